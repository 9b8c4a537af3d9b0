//! Functions of roles without rights, called with those of a superuser: each runs as its owner.
//!
//! The hook is the one that label providers use. The server calls it at the begin and at the end
//! of each function that it was asked for, also when that ends by an error, in strict nesting.

use std::cell::RefCell;
use std::sync::OnceLock;

use pgrx::pg_catalog::pg_proc::PgProc;
use pgrx::{pg_guard, pg_sys};

use super::guarded;
use crate::pg::role::{Switched, switch_back, switch_to};

type Needs = pg_sys::needs_fmgr_hook_type;
type Hook = pg_sys::fmgr_hook_type;

/// The hooks that were there before.
static BEFORE: OnceLock<(Needs, Hook)> = OnceLock::new();

thread_local! {
    /// For each function that is running: what it has to be put back to, where it was switched.
    static RUNNING: RefCell<Vec<Option<Switched>>> = const { RefCell::new(Vec::new()) };
}

/// Sets the hooks.
pub fn install() {
    // SAFETY: hooks of the server, set while there is one thread; the functions stay loaded.
    unsafe {
        let _ = BEFORE.set((pg_sys::needs_fmgr_hook, pg_sys::fmgr_hook));
        pg_sys::needs_fmgr_hook = Some(needs);
        pg_sys::fmgr_hook = Some(hook);
    }
}

/// Functions that the server brings along are nobody's trojans. One that is asked for is not
/// inlined either.
#[pg_guard]
unsafe extern "C-unwind" fn needs(function: pg_sys::Oid) -> bool {
    let before = BEFORE.get().and_then(|(needs, _)| *needs);
    // SAFETY: the hook of somebody else, with the server's argument.
    let wanted = before.is_some_and(|before| unsafe { before(function) });
    wanted || (guarded() && function.to_u32() >= pg_sys::FirstNormalObjectId)
}

#[pg_guard]
unsafe extern "C-unwind" fn hook(
    event: pg_sys::FmgrHookEventType::Type,
    function: *mut pg_sys::FmgrInfo,
    private: *mut pg_sys::Datum,
) {
    use pg_sys::FmgrHookEventType as E;
    if let Some(before) = BEFORE.get().and_then(|(_, hook)| *hook) {
        // SAFETY: the hook of somebody else, with the server's arguments.
        unsafe { before(event, function, private) };
    }
    match event {
        E::FHET_START => {
            // SAFETY: the function that is about to be called.
            let owner = guarded().then(|| unsafe { untrusted_owner((*function).fn_oid) });
            let switched = owner.flatten().map(switch_to);
            RUNNING.with_borrow_mut(|running| running.push(switched));
        }
        E::FHET_END | E::FHET_ABORT => {
            let switched = RUNNING.with_borrow_mut(Vec::pop).flatten();
            // After an error the abort of the transaction puts the settings back.
            switched.into_iter().for_each(|s| switch_back(s, event == E::FHET_END));
        }
        _ => {}
    }
}

/// The owner of a function that would run with the rights of a superuser and whose owner has not
/// got them.
fn untrusted_owner(function: pg_sys::Oid) -> Option<u32> {
    // SAFETY: reads state of this process, and the catalog inside a transaction.
    unsafe {
        if !pg_sys::superuser_arg(pg_sys::GetUserId()) {
            return None;
        }
        let owner = PgProc::new(function)?.proowner();
        (!pg_sys::superuser_arg(owner)).then(|| owner.to_u32())
    }
}
