//! Every setting: its name, unit, range, default, and who may set it.

use std::ffi::{CStr, CString};

use pg_backup_core::decide::format::Compression;
use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, PostgresGucEnum};

use crate::pg;

/// `pg_backup.globals`.
#[derive(Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
pub enum GlobalsSetting {
    #[name = c"on"]
    On,
    #[name = c"without_passwords"]
    WithoutPasswords,
    #[name = c"off"]
    Off,
}

/// `pg_backup.verify`.
#[derive(Clone, Copy, PartialEq, Eq, PostgresGucEnum)]
pub enum VerifySetting {
    #[name = c"file"]
    File,
    #[name = c"list"]
    List,
    #[name = c"read"]
    Read,
    #[name = c"restore"]
    Restore,
}

pub(super) type Text = GucSetting<Option<CString>>;

pub(super) static DIRECTORY: Text = Text::new(None);
pub(super) static BIN_DIRECTORY: Text = Text::new(None);
pub(super) static HOST: Text = Text::new(None);
pub(super) static PORT: GucSetting<i32> = GucSetting::<i32>::new(0);
pub(super) static USER: Text = Text::new(None);
pub(super) static PASSFILE: Text = Text::new(None);
pub(super) static CONNECT_DATABASE: Text = Text::new(Some(c"postgres"));
pub(super) static RESTRICTED: GucSetting<bool> = GucSetting::<bool>::new(false);
pub(super) static COMPRESSION: Text = Text::new(Some(c"zstd:3"));
pub(super) static COMPRESSION_THREADS: GucSetting<i32> = GucSetting::<i32>::new(0);
pub(super) static JOBS: GucSetting<i32> = GucSetting::<i32>::new(1);
pub(super) static DATABASE_JOBS: GucSetting<i32> = GucSetting::<i32>::new(2);
pub(super) static MAX_RUNTIME: GucSetting<i32> = GucSetting::<i32>::new(0);
pub(super) static HOOK_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(60);
pub(super) static ROLLBACK_KEEP: GucSetting<i32> = GucSetting::<i32>::new(7 * 24 * 3600);
pub(super) static STALL_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(900);
pub(super) static LOCK_TIMEOUT: GucSetting<i32> = GucSetting::<i32>::new(300_000);
pub(super) static MIN_FREE_SPACE: GucSetting<i32> = GucSetting::<i32>::new(512);
pub(super) static GLOBALS: GucSetting<GlobalsSetting> =
    GucSetting::<GlobalsSetting>::new(GlobalsSetting::On);
pub(super) static VERIFY: GucSetting<VerifySetting> =
    GucSetting::<VerifySetting>::new(VerifySetting::Read);
pub(super) static ATTACH_DIRECTORIES: Text = Text::new(None);
pub(super) static EXPORT_DIRECTORIES: Text = Text::new(None);

/// Registers every setting, then reserves the prefix.
pub fn define() {
    define_places();
    define_guard();
    define_limits();
    define_defaults();
    super::application::define();
    super::transfer::define();
    super::import::define();
    pg::reserve_prefix(c"pg_backup");
}

/// Where things are and how to get back in: for the server as a whole, set by superusers.
fn define_places() {
    let places: [(&CStr, &CStr, &CStr, &'static Text); 8] = [
        (
            c"pg_backup.directory",
            c"Directory of the archives.",
            c"A relative path lies below the data directory. The default is the server's \
              environment variable BACKUP_DIR, else \"pg_backup\".",
            &DIRECTORY,
        ),
        (
            c"pg_backup.bin_directory",
            c"Directory of pg_dump, pg_dumpall and pg_restore.",
            c"Empty: where the server's own program is.",
            &BIN_DIRECTORY,
        ),
        (
            c"pg_backup.host",
            c"Host or socket directory by which jobs connect to this server.",
            c"Empty: the first of unix_socket_directories.",
            &HOST,
        ),
        (
            c"pg_backup.user",
            c"Role by which jobs connect to this server; must be a superuser.",
            c"Empty: the bootstrap superuser.",
            &USER,
        ),
        (
            c"pg_backup.passfile",
            c"Password file for pg_backup.user, in libpq's format.",
            c"Empty: none. Only the path is stored here.",
            &PASSFILE,
        ),
        (
            c"pg_backup.connect_database",
            c"Database for what belongs to no database in particular.",
            c"Used to find the databases with the extension and for roles and tablespaces.",
            &CONNECT_DATABASE,
        ),
        (
            c"pg_backup.attach_directories",
            c"Directories whose files and folders backups may attach.",
            c"Absolute, separated by commas. Empty: none.",
            &ATTACH_DIRECTORIES,
        ),
        (
            c"pg_backup.export_directories",
            c"Directories below which backup_extract() and backup_export() write.",
            c"Absolute, separated by commas. Empty: none.",
            &EXPORT_DIRECTORIES,
        ),
    ];
    if let Some(directory) = pg::environment(c"BACKUP_DIR").filter(|d| !d.is_empty()) {
        pg::set_boot_value(&DIRECTORY, &directory);
    }
    for (name, short, long, setting) in places {
        let (context, flags) = (GucContext::Sighup, GucFlags::SUPERUSER_ONLY);
        GucRegistry::define_string_guc(name, short, long, setting, context, flags);
    }
    GucRegistry::define_int_guc(
        c"pg_backup.port",
        c"Port by which jobs connect to this server.",
        c"0: the server's own port.",
        &PORT,
        0,
        65535,
        GucContext::Sighup,
        GucFlags::SUPERUSER_ONLY,
    );
}

/// What the sessions of a restore have: see [`crate::pg`], its guard.
fn define_guard() {
    GucRegistry::define_bool_guc(
        c"pg_backup.restricted",
        c"Whether functions have the rights of their owner, never those of a superuser.",
        c"For the sessions of a restore.",
        &RESTRICTED,
        GucContext::Suset,
        GucFlags::NO_SHOW_ALL | GucFlags::NO_RESET_ALL | GucFlags::DISALLOW_IN_FILE,
    );
}

type Int = (
    &'static CStr,
    &'static CStr,
    &'static CStr,
    &'static GucSetting<i32>,
    (i32, i32),
    GucContext,
    GucFlags,
);

fn define_ints<const N: usize>(settings: [Int; N]) {
    for (name, short, long, setting, (min, max), context, flags) in settings {
        GucRegistry::define_int_guc(name, short, long, setting, min, max, context, flags);
    }
}

fn define_limits() {
    let seconds = GucFlags::UNIT_S;
    define_ints([
        (
            c"pg_backup.max_runtime",
            c"Longest time that a job may take.",
            c"0: no limit.",
            &MAX_RUNTIME,
            (0, i32::MAX),
            GucContext::Userset,
            seconds,
        ),
        (
            c"pg_backup.stall_timeout",
            c"Longest time that a dump may stand still.",
            c"Neither a byte nor a new statement nor a lock to wait for. 0: no limit.",
            &STALL_TIMEOUT,
            (0, i32::MAX),
            GucContext::Userset,
            seconds,
        ),
        (
            c"pg_backup.lock_timeout",
            c"Longest time that a backup waits for a lock of another session.",
            c"0: no limit.",
            &LOCK_TIMEOUT,
            (0, i32::MAX),
            GucContext::Userset,
            GucFlags::UNIT_MS,
        ),
        (
            c"pg_backup.hook_timeout",
            c"Longest time that one hook may take.",
            c"0: no limit.",
            &HOOK_TIMEOUT,
            (0, i32::MAX / 1000),
            GucContext::Sighup,
            seconds,
        ),
        (
            c"pg_backup.rollback_keep",
            c"How long a database that a restore has replaced is kept.",
            c"-1: until it is accepted.",
            &ROLLBACK_KEEP,
            (-1, i32::MAX),
            GucContext::Sighup,
            seconds,
        ),
        (
            c"pg_backup.min_free_space",
            c"Space that a backup leaves free in the file system of pg_backup.directory.",
            c"A backup that would go below is not begun, or given up.",
            &MIN_FREE_SPACE,
            (0, i32::MAX),
            GucContext::Sighup,
            GucFlags::UNIT_MB,
        ),
        (
            c"pg_backup.database_jobs",
            c"Backups and verifications that run at the same time in this server.",
            c"Further ones wait in a queue. Each takes one of max_worker_processes.",
            &DATABASE_JOBS,
            (1, 64),
            GucContext::Sighup,
            GucFlags::default(),
        ),
    ]);
}

fn define_defaults() {
    define_ints([
        (
            c"pg_backup.jobs",
            c"Connections by which pg_dump copies tables, when backup_create() does not say.",
            c"More than one gives a directory-format dump inside the archive.",
            &JOBS,
            (1, 64),
            GucContext::Userset,
            GucFlags::default(),
        ),
        (
            c"pg_backup.compression_threads",
            c"Threads that compress beside pg_dump.",
            c"0: one for each processor, at most 4.",
            &COMPRESSION_THREADS,
            (0, 16),
            GucContext::Sighup,
            GucFlags::default(),
        ),
    ]);
    pg::define_checked_string(
        c"pg_backup.compression",
        c"Compression of backups: none, gzip:1-9 or zstd:1-19.",
        c"Used when backup_create() does not say.",
        &COMPRESSION,
        |text| text.parse::<Compression>().map(drop),
    );
    GucRegistry::define_enum_guc(
        c"pg_backup.globals",
        c"Whether roles and tablespaces of the server go into each archive.",
        c"\"without_passwords\" leaves the password hashes out.",
        &GLOBALS,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_enum_guc(
        c"pg_backup.verify",
        c"Level of backup_verify() when it does not say.",
        c"Every new backup is read back and decoded before it counts, whatever this says.",
        &VERIFY,
        GucContext::Userset,
        GucFlags::default(),
    );
}
