//! Functions of roles without rights, called with those of a superuser: each runs as its owner.
//!
//! The hook is the one that label providers use. The server calls it at the begin and at the end
//! of each function that it was asked for, also when that ends by an error, in strict nesting.

use std::cell::RefCell;
use std::sync::OnceLock;

use pgrx::pg_catalog::pg_proc::PgProc;
use pgrx::{pg_guard, pg_sys};

use super::guarded;
use crate::pg::role::{Restricted, restrict, unrestrict};

type Needs = pg_sys::needs_fmgr_hook_type;
type Hook = pg_sys::fmgr_hook_type;

/// The hooks that were there before.
static BEFORE: OnceLock<(Needs, Hook)> = OnceLock::new();

thread_local! {
    /// For each function that is running: what it has to be put back to, where it was switched.
    static RUNNING: RefCell<Vec<Option<Restricted>>> = const { RefCell::new(Vec::new()) };
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
            // SAFETY: the function that is about to be called. What raises an error here does so
            // before it is noted: the server tells no end of a function that did not begin.
            let restricted = guarded().then(|| unsafe { restricted_call((*function).fn_oid) });
            RUNNING.with_borrow_mut(|running| running.push(restricted.flatten()));
        }
        E::FHET_END | E::FHET_ABORT => {
            let restricted = RUNNING.with_borrow_mut(Vec::pop).flatten();
            // After an error the abort of the transaction puts all of it back.
            if event == E::FHET_END {
                restricted.into_iter().for_each(unrestrict);
            }
        }
        _ => {}
    }
}

/// Restricts a function whose owner has not got the rights of a superuser, where it would have
/// them, or could leave something behind that has. The server has become the owner of a SECURITY
/// DEFINER function already, and is itself again before it tells the end.
fn restricted_call(function: pg_sys::Oid) -> Option<Restricted> {
    // SAFETY: reads state of this process, and the catalog inside a transaction.
    unsafe {
        let called = PgProc::new(function)?;
        let owner = called.proowner();
        if pg_sys::superuser_arg(owner) {
            return None;
        }
        // The server ends the settings of a function that has its own as committed.
        let has_settings = called.proconfig().is_some();
        if called.prosecdef() {
            return Some(restrict(None, !has_settings));
        }
        let is_superuser = pg_sys::superuser_arg(pg_sys::GetUserId());
        is_superuser.then(|| restrict(Some(owner), !has_settings))
    }
}
