//! Who calls, and running SQL with the rights of another role.

use std::ffi::{CStr, CString};

use pgrx::pg_sys;

use super::server::text_of;

/// No SET ROLE, no SET SESSION AUTHORIZATION, nothing that runs later.
const RESTRICTED: i32 =
    (pg_sys::SECURITY_LOCAL_USERID_CHANGE | pg_sys::SECURITY_RESTRICTED_OPERATION) as i32;

/// The setting that says who a session is.
const SESSION_ROLE: &CStr = c"session_authorization";

/// The role whose rights the current statement has: the caller, in a function that is not SECURITY
/// DEFINER. Not who logged in: a function behind an index of a role without rights, say, runs
/// with that role's rights in whatever session maintains the index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub id: u32,
    pub name: String,
    pub superuser: bool,
}

/// Who calls.
pub fn caller() -> Caller {
    // SAFETY: reads state of this process, and looks up the catalog inside the transaction of the
    // current statement.
    unsafe {
        let id = pg_sys::GetUserId();
        let name = text_of(pg_sys::GetUserNameFromId(id, true));
        Caller { id: id.to_u32(), name, superuser: pg_sys::superuser_arg(id) }
    }
}

/// Runs `work` as `role`, by the name `name`, which cannot become anybody else meanwhile: it is the
/// session's user too, there is no SET ROLE, and nothing that would run after it with our rights
/// (deferred triggers, cursors that are held, temporary objects; see SECURITY_RESTRICTED_OPERATION
/// in the server's miscinit.c). Settings that it changes are as before afterwards. When it raises
/// an error, the abort of the transaction puts all of it back.
pub fn as_role<T>(role: u32, name: &str, work: impl FnOnce() -> T) -> T {
    let name = CString::new(name).unwrap_or_default();
    // SAFETY: a setting of this session, put back with its level; raises an error for a role that
    // is none.
    let level = unsafe {
        let level = pg_sys::NewGUCNestLevel();
        pg_sys::set_config_option(
            SESSION_ROLE.as_ptr(),
            name.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_SESSION,
            pg_sys::GucAction::GUC_ACTION_SAVE,
            true,
            0,
            false,
        );
        level
    };
    let result = switched(role, RESTRICTED, work);
    // SAFETY: the level that was begun above.
    unsafe { pg_sys::AtEOXact_GUC(false, level) };
    result
}

/// What [`unrestrict`] needs.
#[derive(Debug, Clone)]
pub struct Restricted {
    /// Who it was, where that was changed.
    before: Option<(pg_sys::Oid, i32)>,
    level: Option<i32>,
    /// Where names were looked up, where the level of settings is not ours.
    search_path: Option<CString>,
}

const SEARCH_PATH: &CStr = c"search_path";

/// Begins a security-restricted operation, as `role` or as whoever it is, until [`unrestrict`] or
/// an error: no SET ROLE, no SET SESSION AUTHORIZATION, nothing that runs later. Settings are as
/// before afterwards; without `settings`, which somebody else ends, that is `search_path` alone.
pub fn restrict(role: Option<pg_sys::Oid>, settings: bool) -> Restricted {
    let (mut before, mut context) = (pg_sys::Oid::INVALID, 0);
    // SAFETY: state of this process, inside the transaction of the current statement.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&raw mut before, &raw mut context);
        let level = settings.then(|| pg_sys::NewGUCNestLevel());
        let search_path = match settings {
            true => None,
            false => copied(pg_sys::GetConfigOption(SEARCH_PATH.as_ptr(), true, false)),
        };
        pg_sys::SetUserIdAndSecContext(role.unwrap_or(before), context | RESTRICTED);
        Restricted { before: role.map(|_| (before, context)), level, search_path }
    }
}

/// Ends it.
pub fn unrestrict(restricted: Restricted) {
    // SAFETY: what `restrict` has saved.
    unsafe {
        if let Some(level) = restricted.level {
            pg_sys::AtEOXact_GUC(false, level);
        }
        if let Some((role, context)) = restricted.before {
            pg_sys::SetUserIdAndSecContext(role, context);
        }
        let path = pg_sys::GetConfigOption(SEARCH_PATH.as_ptr(), true, false);
        if let Some(before) =
            restricted.search_path.filter(|before| copied(path).as_ref() != Some(before))
        {
            pg_sys::set_config_option(
                SEARCH_PATH.as_ptr(),
                before.as_ptr(),
                pg_sys::GucContext::PGC_USERSET,
                pg_sys::GucSource::PGC_S_SESSION,
                pg_sys::GucAction::GUC_ACTION_SET,
                true,
                0,
                false,
            );
        }
    }
}

/// A text of the server.
unsafe fn copied(text: *const std::ffi::c_char) -> Option<CString> {
    // SAFETY: a text that ends with a zero byte, or none.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_owned())
}

/// Runs statements of ours on the tables of the extension, in a function that is not SECURITY
/// DEFINER and has looked at its caller.
pub fn as_superuser<T>(work: impl FnOnce() -> T) -> T {
    let change = pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32;
    switched(pg_sys::BOOTSTRAP_SUPERUSERID, change, work)
}

fn switched<T>(role: u32, flags: i32, work: impl FnOnce() -> T) -> T {
    let (mut before, mut context) = (pg_sys::Oid::INVALID, 0);
    // SAFETY: state of this process, inside the transaction of the current statement; put back
    // below, or by the server when the transaction aborts.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&raw mut before, &raw mut context);
        pg_sys::SetUserIdAndSecContext(pg_sys::Oid::from(role), context | flags);
    }
    let result = work();
    // SAFETY: what was saved above.
    unsafe { pg_sys::SetUserIdAndSecContext(before, context) };
    result
}

/// Raises an error of syntax, if there is one in these statements.
pub fn parse(sql: &str) {
    let Ok(sql) = CString::new(sql) else { return };
    // SAFETY: the parser copies what it needs; its result is freed with the statement's memory.
    unsafe { pg_sys::pg_parse_query(sql.as_ptr()) };
}
