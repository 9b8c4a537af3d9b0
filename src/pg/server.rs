//! Facts about this server and this session.

use std::ffi::{CStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use pgrx::datum::TimestampWithTimeZone;
use pgrx::pg_sys;

/// Microseconds between the Unix epoch and PostgreSQL's (2000-01-01).
const EPOCH_GAP: i64 = 946_684_800_000_000;

/// A C string of the server as text; empty for NULL. Bytes that are no UTF-8 are replaced.
///
/// # Safety
/// `text` is NULL or points to a string that ends with NUL and stays as it is during the call.
pub(super) unsafe fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: as this function's contract says.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Whether UTF-8 can be said as it is in this session's database.
pub fn takes_utf8() -> bool {
    // SAFETY: reads state of this process.
    let encoding = unsafe { pg_sys::GetDatabaseEncoding() };
    [pg_sys::pg_enc::PG_UTF8, pg_sys::pg_enc::PG_SQL_ASCII].contains(&(encoding as u32))
}

/// Whether the library is being loaded by `shared_preload_libraries`.
pub fn is_preloading() -> bool {
    // SAFETY: a flag that only the main thread of this process writes.
    unsafe { pg_sys::process_shared_preload_libraries_in_progress }
}

/// Whether pg_upgrade has started this server: not for people, and not to be changed by us.
pub fn is_pg_upgrade() -> bool {
    // SAFETY: a flag that is set while the postmaster reads its arguments.
    unsafe { pg_sys::IsBinaryUpgrade }
}

/// Whether the server is a standby, or not through its recovery.
pub fn in_recovery() -> bool {
    // SAFETY: reads shared memory that exists in every process that can get here.
    unsafe { pg_sys::RecoveryInProgress() }
}

/// The system identifier of the cluster.
pub fn system_identifier() -> u64 {
    // SAFETY: reads the control file as it was loaded at start.
    unsafe { pg_sys::GetSystemIdentifier() }
}

/// The data directory, absolute.
pub fn data_directory() -> PathBuf {
    // SAFETY: set once at start, before any process of the server can call this.
    PathBuf::from(unsafe { text_of(pg_sys::DataDir) })
}

/// The directory of the server's own program, and of the tools that belong to it.
pub fn bin_directory() -> PathBuf {
    // SAFETY: a buffer that is filled once at start and ends with NUL.
    let path = unsafe { CStr::from_ptr((&raw const pg_sys::my_exec_path).cast::<c_char>()) };
    let path = Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
    path.parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The first of `unix_socket_directories`, or the loopback address when there is none.
pub fn socket_directory() -> String {
    // SAFETY: a setting; the server keeps its string alive until the next reload.
    let all = unsafe { text_of(pg_sys::Unix_socket_directories) };
    match all.split(',').map(|part| part.trim().trim_matches('"')).find(|part| !part.is_empty()) {
        Some(first) => first.to_owned(),
        None => "127.0.0.1".to_owned(),
    }
}

/// The server's port.
pub fn port() -> u16 {
    // SAFETY: a setting that is fixed at start.
    u16::try_from(unsafe { pg_sys::PostPortNumber }).unwrap_or_default()
}

/// Name of the role that initdb made, whatever it is called by now. Works in a worker without a
/// database too: roles are shared by all.
pub fn bootstrap_superuser() -> String {
    let id = pg_sys::Oid::from(pg_sys::BOOTSTRAP_SUPERUSERID);
    // SAFETY: looks up a role by its id inside a transaction; `true` gives NULL for none.
    unsafe {
        if pg_sys::IsTransactionState() {
            return text_of(pg_sys::GetUserNameFromId(id, true));
        }
        pg_sys::StartTransactionCommand();
        let name = text_of(pg_sys::GetUserNameFromId(id, true));
        pg_sys::CommitTransactionCommand();
        name
    }
}

/// Id of the database of this session.
pub fn database_id() -> u32 {
    // SAFETY: set when the session begins.
    unsafe { pg_sys::MyDatabaseId }.to_u32()
}

/// Name of the database of this session.
pub fn database_name() -> String {
    // SAFETY: looks up the catalog inside the transaction of the current statement.
    unsafe { text_of(pg_sys::get_database_name(pg_sys::MyDatabaseId)) }
}

/// The role of the session, also inside a SECURITY DEFINER function: a name for the history.
/// Whether something is allowed is asked of [`super::caller`].
pub fn current_role() -> String {
    // SAFETY: looks up the catalog inside the transaction of the current statement.
    unsafe { text_of(pg_sys::GetUserNameFromId(pg_sys::GetOuterUserId(), true)) }
}

/// Process id.
pub fn my_pid() -> i32 {
    // SAFETY: set when the process begins.
    unsafe { pg_sys::MyProcPid }
}

/// Now, in microseconds since the Unix epoch.
pub fn now_micros() -> i64 {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() + EPOCH_GAP }
}

/// An instant of SQL; None for infinity.
pub fn instant(at: TimestampWithTimeZone) -> Option<DateTime<Utc>> {
    let micros = i64::from(at).checked_add(EPOCH_GAP)?;
    DateTime::from_timestamp_micros(micros)
}

/// The session's time zone by its name.
pub fn time_zone() -> String {
    // SAFETY: a setting; the name is part of the zone, which lives as long as the process.
    unsafe { text_of(pg_sys::pg_get_timezone_name(pg_sys::session_timezone)) }
}

/// Whether the server's own tables have this time zone.
pub fn knows_zone(name: &str) -> bool {
    let Ok(name) = std::ffi::CString::new(name) else { return false };
    // SAFETY: reads a file of the server's, or its cache; NULL for a name that is none.
    !unsafe { pg_sys::pg_tzset(name.as_ptr()) }.is_null()
}

/// Microseconds since the Unix epoch as a value of SQL; None for 0.
pub fn timestamp(micros: i64) -> Option<TimestampWithTimeZone> {
    if micros == 0 {
        return None;
    }
    TimestampWithTimeZone::try_from(micros - EPOCH_GAP).ok()
}
