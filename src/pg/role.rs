//! Running SQL with the rights of another role.

use std::ffi::CString;

use pgrx::pg_sys;

/// Runs `work` as `role`, which cannot become anybody else meanwhile: no SET ROLE, no SET SESSION
/// AUTHORIZATION, and nothing that would run after it with our rights (deferred triggers, cursors
/// that are held, temporary objects; see SECURITY_RESTRICTED_OPERATION in the server's miscinit.c).
/// Settings that it changes are as before afterwards. When it raises an error, the abort of the
/// transaction puts all of it back.
pub fn as_role<T>(role: u32, work: impl FnOnce() -> T) -> T {
    let (mut before, mut context) = (pg_sys::Oid::INVALID, 0);
    let restricted =
        (pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION) as i32;
    // SAFETY: state of this process, inside the transaction of the current statement; put back
    // below, or by the server when the transaction aborts.
    let level = unsafe {
        pg_sys::GetUserIdAndSecContext(&raw mut before, &raw mut context);
        pg_sys::SetUserIdAndSecContext(pg_sys::Oid::from(role), context | restricted);
        pg_sys::NewGUCNestLevel()
    };
    let result = work();
    // SAFETY: what was saved above.
    unsafe {
        pg_sys::AtEOXact_GUC(false, level);
        pg_sys::SetUserIdAndSecContext(before, context);
    }
    result
}

/// Id of the role that called, also inside a SECURITY DEFINER function.
pub fn current_role_id() -> u32 {
    // SAFETY: reads state of this process.
    unsafe { pg_sys::GetOuterUserId() }.to_u32()
}

/// Raises an error of syntax, if there is one in these statements.
pub fn parse(sql: &str) {
    let Ok(sql) = CString::new(sql) else { return };
    // SAFETY: the parser copies what it needs; its result is freed with the statement's memory.
    unsafe { pg_sys::pg_parse_query(sql.as_ptr()) };
}
