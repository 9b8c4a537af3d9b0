//! The settings of the extension, `pg_backup.*`, as plain values. Nothing else reads a setting.

mod application;
mod define;
mod import;
mod transfer;

use std::path::PathBuf;
use std::time::Duration;

use chrono::TimeDelta;
use pg_backup_core::decide::backup_options::Defaults;
use pg_backup_core::decide::format::Compression;
use pg_backup_core::decide::manifest::Application;
use pg_backup_core::decide::request::{Globals, Limits};
use pg_backup_core::decide::settings::{Access, Settings};
use pg_backup_core::decide::verify_level::Level;
use pg_backup_core::error::Result;
use pgrx::GucSetting;

use application::*;
pub use define::define;
use define::*;
pub use import::import_directories;
pub use transfer::upload_keep;

use crate::pg;

/// Where archives lie when neither `pg_backup.directory` nor `BACKUP_DIR` says so: below the data
/// directory, so that it works at once. `backup_check()` warns of it.
const DEFAULT_DIRECTORY: &str = "pg_backup";
/// Compression beside pg_dump gains little beyond so many threads; PostgreSQL needs the others.
const MAX_AUTO_THREADS: usize = 4;

fn text(setting: &Text) -> Option<String> {
    let value = setting.get()?.to_string_lossy().into_owned();
    (!value.is_empty()).then_some(value)
}

/// What a job needs to know of the server: the same for every session.
pub fn load() -> Settings {
    let directory = text(&DIRECTORY).unwrap_or_else(|| DEFAULT_DIRECTORY.to_owned());
    let bin_directory = text(&BIN_DIRECTORY).map_or_else(pg::bin_directory, PathBuf::from);
    Settings {
        access: Access {
            host: text(&HOST).unwrap_or_else(pg::socket_directory),
            port: u16::try_from(PORT.get()).ok().filter(|p| *p != 0).unwrap_or_else(pg::port),
            user: text(&USER).unwrap_or_else(pg::bootstrap_superuser),
            passfile: text(&PASSFILE).map(PathBuf::from),
            major: pg::COMPILED,
            connect_database: text(&CONNECT_DATABASE).unwrap_or_else(|| "postgres".to_owned()),
        },
        directory: PathBuf::from(directory),
        data_directory: pg::data_directory(),
        bin_directory,
        system_identifier: pg::system_identifier(),
        min_free_space: MIN_FREE_SPACE.get().unsigned_abs() as u64 * 1024 * 1024,
        compression_threads: threads(),
        attach_directories: text(&ATTACH_DIRECTORIES).unwrap_or_default(),
        export_directories: text(&EXPORT_DIRECTORIES).unwrap_or_default(),
        hook_timeout: Duration::from_secs(HOOK_TIMEOUT.get().unsigned_abs().into()),
        signing_key_file: transfer::signing_key_file(),
    }
}

/// Whether nobody's code gets the rights of this session's superuser.
pub fn is_restricted() -> bool {
    RESTRICTED.get()
}

/// How long a database that was replaced is kept; None for as long as nobody accepts.
pub fn rollback_keep() -> Option<TimeDelta> {
    let seconds = ROLLBACK_KEEP.get();
    (seconds >= 0).then(|| TimeDelta::seconds(seconds.into()))
}

fn threads() -> u32 {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    match COMPRESSION_THREADS.get() {
        0 => processors.min(MAX_AUTO_THREADS) as u32,
        set => set.unsigned_abs(),
    }
}

/// Limits of a job that this session asks for.
pub fn limits() -> Limits {
    let seconds = |setting: &GucSetting<i32>| setting.get().unsigned_abs() as u64 * 1000;
    Limits {
        runtime: seconds(&MAX_RUNTIME),
        stall: seconds(&STALL_TIMEOUT),
        lock: LOCK_TIMEOUT.get().unsigned_abs() as u64,
    }
}

/// The session's default compression.
fn compression() -> Result<Compression> {
    text(&COMPRESSION).unwrap_or_else(|| "zstd:3".to_owned()).parse()
}

/// What holds for a backup where its options say nothing.
pub fn defaults() -> Result<Defaults> {
    Ok(Defaults {
        compression: compression()?,
        jobs: JOBS.get(),
        globals: globals(),
        limits: limits(),
        migrations_table: migrations_table(),
        application: application(),
    })
}

/// Backups and verifications at the same time.
pub fn database_jobs() -> usize {
    DATABASE_JOBS.get().unsigned_abs() as usize
}

/// Whether roles and tablespaces are saved.
fn globals() -> Globals {
    match GLOBALS.get() {
        GlobalsSetting::On => Globals::On,
        GlobalsSetting::WithoutPasswords => Globals::WithoutPasswords,
        GlobalsSetting::Off => Globals::Off,
    }
}

/// The session's default level of verification.
pub fn verify() -> Level {
    match VERIFY.get() {
        VerifySetting::File => Level::File,
        VerifySetting::List => Level::List,
        VerifySetting::Read => Level::Read,
        VerifySetting::Restore => Level::Restore,
    }
}

/// The session's table of migrations, or empty.
pub fn migrations_table() -> String {
    text(&MIGRATIONS_TABLE).unwrap_or_default()
}

/// What the application says about itself.
fn application() -> Application {
    let ids = text(&ENCRYPTION_KEY_IDS).unwrap_or_default();
    let ids = ids.split(',').map(str::trim).filter(|id| !id.is_empty());
    Application {
        version: text(&APPLICATION_VERSION),
        encryption_key_ids: ids.map(str::to_owned).collect(),
    }
}
