//! The command lines: which tool with which arguments and environment.
//!
//! Names never go through a shell nor through conninfo parsing: the database is in `PGDATABASE`,
//! which libpq takes literally, patterns are joined to their option with `=`. No password is in
//! an argument or the environment; a password file is named by its path.

use std::ffi::OsString;
use std::path::Path;

use super::format::{Format, Method};
use super::major::session_options;
use super::request::{Backup, Globals};
use super::settings::Access;

/// For a database that nobody uses yet: no statement waits for the disk by itself. The commit that
/// opens the database does, and what is before it in the log is on disk then.
const UNSEEN: &str = "-c synchronous_commit=off";

/// Environment of a tool that connects to `database` and shows up as `application`.
pub fn environment(
    access: &Access,
    database: &str,
    application: &str,
) -> Vec<(OsString, OsString)> {
    let mut env: Vec<(OsString, OsString)> = vec![
        ("PGHOST".into(), access.host.clone().into()),
        ("PGPORT".into(), access.port.to_string().into()),
        ("PGUSER".into(), access.user.clone().into()),
        ("PGDATABASE".into(), database.into()),
        ("PGAPPNAME".into(), application.into()),
        ("PGOPTIONS".into(), session_options(access.major).into()),
        ("PGCONNECT_TIMEOUT".into(), "30".into()),
    ];
    if let Some(passfile) = &access.passfile {
        env.push(("PGPASSFILE".into(), passfile.clone().into()));
    }
    env
}

/// The same for a tool that loads what many roles have written: none of their code runs with the
/// rights of a superuser.
pub fn restricted_environment(
    access: &Access,
    database: &str,
    application: &str,
) -> Vec<(OsString, OsString)> {
    let mut env = environment(access, database, application);
    for (_, options) in env.iter_mut().filter(|(name, _)| name == "PGOPTIONS") {
        let session = session_options(access.major);
        *options = format!("{session} {UNSEEN} -c pg_backup.restricted=on").into();
    }
    env
}

/// Level for pg_dump's own compression: it compresses only what it can and we cannot do better.
fn pg_dump_level(backup: &Backup) -> i32 {
    match backup.compression.method {
        Method::Gzip => backup.compression.level,
        Method::None | Method::Zstd => 0,
    }
}

/// Arguments of pg_dump. `directory` is where a directory-format dump goes; the others go to
/// standard output.
pub fn pg_dump(
    backup: &Backup,
    encoding: &str,
    snapshot: Option<&str>,
    directory: Option<&Path>,
) -> Vec<OsString> {
    let format = match backup.format {
        Format::Custom => "custom",
        Format::Directory => "directory",
        Format::Plain => "plain",
    };
    let mut args: Vec<OsString> = vec![
        "--no-password".into(),
        "--strict-names".into(),
        format!("--format={format}").into(),
        format!("--compress={}", pg_dump_level(backup)).into(),
        format!("--encoding={encoding}").into(),
    ];
    if let Some(snapshot) = snapshot {
        args.push(format!("--snapshot={snapshot}").into());
    }
    if let Some(directory) = directory {
        let mut file = OsString::from("--file=");
        file.push(directory);
        args.extend([file, format!("--jobs={}", backup.jobs).into(), "--no-sync".into()]);
    }
    for (option, patterns) in [
        ("--schema", &backup.schemas),
        ("--table", &backup.tables),
        ("--exclude-table", &backup.exclude_tables),
        ("--exclude-table-data", &backup.exclude_table_data),
    ] {
        args.extend(patterns.iter().map(|p| OsString::from(format!("{option}={p}"))));
    }
    args
}

/// Arguments of pg_dumpall for roles and tablespaces, through `connect_database`. It knows no
/// PGDATABASE and reads a name with `=` as conninfo, so conninfo is what it gets, quoted by libpq's
/// rules.
pub fn pg_dumpall(globals: Globals, connect_database: &str) -> Vec<OsString> {
    let quoted = connect_database.replace('\\', r"\\").replace('\'', r"\'");
    let mut args: Vec<OsString> = vec![
        "--globals-only".into(),
        "--no-password".into(),
        format!("--database=dbname='{quoted}'").into(),
    ];
    if globals == Globals::WithoutPasswords {
        args.push("--no-role-passwords".into());
    }
    args
}

/// Arguments of pg_restore that turn the archive on its standard input into a script on its
/// standard output: it reads and decodes every byte.
pub fn pg_restore_script() -> Vec<OsString> {
    vec!["--file=-".into()]
}

/// Arguments of pg_restore that list the archive on its standard input, or a directory.
pub fn pg_restore_list(directory: Option<&Path>) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["--list".into()];
    if let Some(directory) = directory {
        args.push("--format=directory".into());
        args.push(directory.into());
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::request::Limits;

    fn backup() -> Backup {
        Backup {
            database: "--help".into(),
            origin: "manual".into(),
            schedule: None,
            comment: None,
            format: Format::Custom,
            compression: "zstd:3".parse().unwrap(),
            jobs: 1,
            schemas: vec![],
            tables: vec!["-t evil".into()],
            exclude_tables: vec![],
            exclude_table_data: vec!["audit.*".into()],
            attach: vec![],
            globals: Globals::On,
            limits: Limits { runtime: 0, stall: 0, lock: 0 },
            migrations_table: String::new(),
            application: Default::default(),
        }
    }

    fn strings(args: &[OsString]) -> Vec<&str> {
        args.iter().map(|a| a.to_str().unwrap()).collect()
    }

    #[test]
    fn hostile_names_stay_values_of_their_option() {
        let args = pg_dump(&backup(), "UTF8", Some("0003-1"), None);
        let args = strings(&args);
        assert!(args.contains(&"--table=-t evil"));
        assert!(args.contains(&"--exclude-table-data=audit.*"));
        assert!(args.contains(&"--snapshot=0003-1"));
        assert!(args.iter().all(|a| a.starts_with("--") && *a != "--help"));
    }

    #[test]
    fn pg_dump_leaves_zstd_to_us_and_keeps_gzip() {
        let mut request = backup();
        assert!(strings(&pg_dump(&request, "UTF8", None, None)).contains(&"--compress=0"));
        request.compression = "gzip:4".parse().unwrap();
        assert!(strings(&pg_dump(&request, "UTF8", None, None)).contains(&"--compress=4"));
    }

    #[test]
    fn the_database_is_named_in_the_environment_only() {
        let access = Access {
            host: "/tmp".into(),
            port: 5432,
            user: "postgres".into(),
            passfile: None,
            major: 17,
            connect_database: "postgres".into(),
        };
        let env = environment(&access, "a=b host=evil", "pg_backup dump 1");
        assert!(env.contains(&("PGDATABASE".into(), "a=b host=evil".into())));
        assert!(!env.iter().any(|(name, _)| name == "PGPASSWORD" || name == "PGPASSFILE"));
    }

    #[test]
    fn globals_can_leave_the_password_hashes_out() {
        assert!(
            strings(&pg_dumpall(Globals::WithoutPasswords, "postgres"))
                .contains(&"--no-role-passwords")
        );
        assert!(!strings(&pg_dumpall(Globals::On, "postgres")).contains(&"--no-role-passwords"));
        assert!(
            strings(&pg_dumpall(Globals::On, r"it's a=b\"))
                .contains(&r"--database=dbname='it\'s a=b\\'")
        );
    }
}
