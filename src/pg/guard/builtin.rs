//! Functions that the server brings along and that run SQL from a text, or reach files: in an
//! expression that is evaluated with the rights of a superuser they are somebody's trojan. A
//! restore needs none of them. What extensions bring along is trusted as the extensions are.

use std::sync::OnceLock;

use pgrx::{pg_guard, pg_sys};

use super::{guarded, refuse};

/// The ids of functions that come with the server: large objects to and from files, files, XML from
/// queries, words and rewrites from queries. They do not change between versions, but 4100, which
/// reads a file up to 15, has been free since and tells of shared memory in 18; 6208 and 6209 read
/// files since 16.
const DANGEROUS: [std::ops::RangeInclusive<u32>; 12] = [
    764..=765,
    767..=767,
    2623..=2625,
    2923..=2938,
    3293..=3293,
    3295..=3297,
    3307..=3307,
    3685..=3685,
    3689..=3690,
    3826..=3828,
    4100..=4100,
    6208..=6209,
];

/// The hook that was there before.
static BEFORE: OnceLock<pg_sys::object_access_hook_type> = OnceLock::new();

/// Sets the hook.
pub fn install() {
    // SAFETY: a hook of the server, set while there is one thread; the function stays loaded.
    unsafe {
        let _ = BEFORE.set(pg_sys::object_access_hook);
        pg_sys::object_access_hook = Some(access);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn access(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    part: std::ffi::c_int,
    argument: *mut std::ffi::c_void,
) {
    if let Some(before) = BEFORE.get().copied().flatten() {
        // SAFETY: the hook of somebody else, with the server's arguments.
        unsafe { before(access, class, object, part, argument) };
    }
    let executes = access == pg_sys::ObjectAccessType::OAT_FUNCTION_EXECUTE;
    if !executes || !guarded() || !DANGEROUS.iter().any(|ids| ids.contains(&object.to_u32())) {
        return;
    }
    // SAFETY: reads state of this process, and the catalog inside a transaction.
    if unsafe { pg_sys::superuser_arg(pg_sys::GetUserId()) } {
        refuse(object.to_u32());
    }
}
