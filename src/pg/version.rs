//! Which PostgreSQL this library was compiled for, and all that differs between major versions.
//!
//! In: the Cargo feature `pgNN` and pgrx's headers. Out: the major version, and functions that are
//! the same for all of them.
//! Must hold: a build whose feature and headers disagree does not compile; the server itself
//! refuses to load a library of another major version. What the *running* server knows is asked
//! of it by SQL, in core, for tools and archives come from more than one version.

use pgrx::pg_sys;

/// The major version of the headers.
pub const COMPILED: u32 = pg_sys::PG_VERSION_NUM / 10_000;

/// The major version of the Cargo feature. pgrx refuses none, and more than one.
const FEATURE: u32 = match () {
    () if cfg!(feature = "pg15") => 15,
    () if cfg!(feature = "pg16") => 16,
    () if cfg!(feature = "pg17") => 17,
    () => 18,
};

const _: () = assert!(
    COMPILED == FEATURE,
    "the Cargo feature pgNN does not fit the headers of PGRX_PG_CONFIG_PATH"
);

/// Sets the handler of a signal. Its name is a macro since 18.
///
/// # Safety
/// As for the server's `pqsignal`: the handler does what a handler may.
pub unsafe fn set_handler(signal: std::ffi::c_int, handler: pg_sys::pqsigfunc) {
    // SAFETY: the caller's.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::pqsignal(signal, handler);
        #[cfg(feature = "pg18")]
        pg_sys::pqsignal_be(signal, handler);
    }
}

/// Ends the process, after all callbacks. The headers of 18 say in another way that it does not
/// return.
pub fn proc_exit(code: std::ffi::c_int) -> ! {
    // SAFETY: the server's way to end a process; it does not return.
    #[allow(unreachable_code)]
    unsafe {
        pg_sys::proc_exit(code);
        std::process::abort()
    }
}

/// The columns of a table. Since 18 they lie behind shorter descriptions of them
/// (`TupleDescAttrAddress` in tupdesc.h).
///
/// # Safety
/// `described` is whole, and lives as long as what comes out is used.
pub unsafe fn columns<'a>(described: pg_sys::TupleDesc) -> &'a [pg_sys::FormData_pg_attribute] {
    // SAFETY: the caller's; `natts` is how many there are.
    unsafe {
        let count = usize::try_from((*described).natts).unwrap_or_default();
        #[cfg(not(feature = "pg18"))]
        let first = (&raw const (*described).attrs).cast();
        #[cfg(feature = "pg18")]
        let first = (&raw const (*described).compact_attrs)
            .cast::<pg_sys::CompactAttribute>()
            .add(count)
            .cast();
        std::slice::from_raw_parts(first, count)
    }
}
