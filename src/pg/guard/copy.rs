//! COPY … FROM in a guarded session: rows are written as the owner of their table.

use std::ffi::c_char;
use std::sync::OnceLock;

use pgrx::{pg_guard, pg_sys};

use super::guarded;
use crate::pg::role::{restrict, unrestrict};

/// The hook that was there before.
static BEFORE: OnceLock<pg_sys::ProcessUtility_hook_type> = OnceLock::new();
/// Sets the hook.
pub fn install() {
    // SAFETY: a hook of the server, set while there is one thread; the function stays loaded.
    unsafe {
        let _ = BEFORE.set(pg_sys::ProcessUtility_hook);
        pg_sys::ProcessUtility_hook = Some(utility);
    }
}

#[pg_guard]
#[expect(clippy::too_many_arguments, reason = "the signature of the hook")]
unsafe extern "C-unwind" fn utility(
    statement: *mut pg_sys::PlannedStmt,
    text: *const c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    params: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    destination: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    let next = || {
        let standard = pg_sys::standard_ProcessUtility;
        let before = BEFORE.get().copied().flatten();
        // SAFETY: the server's arguments, passed on as they came.
        unsafe {
            match before {
                Some(before) => before(
                    statement,
                    text,
                    read_only_tree,
                    context,
                    params,
                    environment,
                    destination,
                    completion,
                ),
                None => standard(
                    statement,
                    text,
                    read_only_tree,
                    context,
                    params,
                    environment,
                    destination,
                    completion,
                ),
            }
        }
    };
    // SAFETY: a statement of the server.
    match guarded().then(|| unsafe { owner_of_target(statement) }).flatten() {
        Some(owner) => {
            let restricted = restrict(Some(owner), true);
            next();
            unrestrict(restricted);
        }
        None => next(),
    }
}

/// The owner of the table that COPY … FROM fills; None for any other statement.
unsafe fn owner_of_target(statement: *mut pg_sys::PlannedStmt) -> Option<pg_sys::Oid> {
    // SAFETY: the node tells its own type; a relation that does not exist raises the error that
    // COPY itself would raise.
    unsafe {
        let node = (*statement).utilityStmt;
        if node.is_null() || (*node).type_ != pg_sys::NodeTag::T_CopyStmt {
            return None;
        }
        let copy = node.cast::<pg_sys::CopyStmt>();
        if !(*copy).is_from || (*copy).relation.is_null() {
            return None;
        }
        let lock = pg_sys::RowExclusiveLock as i32;
        let relation = pg_sys::table_openrv((*copy).relation, lock);
        let owner = (*(*relation).rd_rel).relowner;
        // The lock stays until the end of the transaction: it remains this table.
        pg_sys::table_close(relation, pg_sys::NoLock as i32);
        Some(owner)
    }
}
