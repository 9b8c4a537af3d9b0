//! The command lines of a restore.
//!
//! A dump is restored in three sections. In the second, the rows are written with the rights of
//! each table's owner: functions in a CHECK, a domain or a generated column must not run with
//! those of the superuser who restores (measured; a low-privileged owner could otherwise get them).

use std::ffi::OsString;
use std::path::Path;

use crate::decide::quote::ident;

/// One part of a dump, in the order in which they are restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    PreData,
    Data,
    PostData,
}

impl Section {
    /// All of them, in order.
    pub const ALL: [Section; 3] = [Section::PreData, Section::Data, Section::PostData];

    /// The word in pg_restore, in `backup_progress.phase` and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Section::PreData => "pre-data",
            Section::Data => "data",
            Section::PostData => "post-data",
        }
    }
}

/// How a dump is restored.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    pub section: Section,
    /// Connections; more than one needs `source`.
    pub jobs: u16,
    /// Rows may be written with the rights of the superuser.
    pub trusted: bool,
    /// The dump as a file or directory; standard input where there is none.
    pub source: Option<&'a Path>,
    /// File with the dump ids of what is wanted; everything where there is none.
    pub list: Option<&'a Path>,
}

/// Arguments of pg_restore for one section, into `database`.
pub fn pg_restore(database: &str, load: &Load<'_>) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec![
        "--no-password".into(),
        "--exit-on-error".into(),
        format!("--section={}", load.section.as_str()).into(),
        format!("--dbname={}", conninfo(database)).into(),
    ];
    if load.section == Section::Data && !load.trusted {
        args.push("--use-set-session-authorization".into());
    }
    if let Some(list) = load.list {
        let mut arg = OsString::from("--use-list=");
        arg.push(list);
        args.push(arg);
    }
    if let Some(source) = load.source {
        args.push(format!("--jobs={}", load.jobs.max(1)).into());
        args.push("--".into());
        args.push(source.into());
    }
    args
}

/// Arguments of pg_restore for the table of contents of a dump that lies at `source`, or comes
/// through standard input.
pub fn pg_restore_contents(source: Option<&Path>) -> Vec<OsString> {
    from(source, vec!["--list".into()])
}

/// The same, with what each entry depends on.
pub fn pg_restore_verbose_contents(source: Option<&Path>) -> Vec<OsString> {
    from(source, vec!["--list".into(), "--verbose".into()])
}

/// Arguments of pg_restore for the rows of a table of TimescaleDB's catalog, as a script.
pub fn pg_restore_catalog(table: &str, source: Option<&Path>) -> Vec<OsString> {
    let args = ["--file=-", "--data-only", "--schema=_timescaledb_catalog"];
    let mut args: Vec<OsString> = args.map(Into::into).to_vec();
    args.push(format!("--table={table}").into());
    from(source, args)
}

fn from(source: Option<&Path>, mut args: Vec<OsString>) -> Vec<OsString> {
    if let Some(source) = source {
        args.push("--".into());
        args.push(source.into());
    }
    args
}

/// Arguments of psql for a plain dump on its standard input.
pub fn psql() -> Vec<OsString> {
    ["--no-psqlrc", "--no-password", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-"]
        .map(OsString::from)
        .to_vec()
}

/// A database as a connection string that says nothing else: a bare name with `=` in it would be
/// taken for one.
fn conninfo(database: &str) -> String {
    format!("dbname='{}'", database.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Arguments of pg_dump for one section of the gathered schema.
pub fn pg_dump(schema: &str, section: Section, trusted: bool) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec![
        "--no-password".into(),
        "--format=plain".into(),
        "--strict-names".into(),
        "--no-publications".into(),
        "--no-subscriptions".into(),
        format!("--schema={}", ident(schema)).into(),
        format!("--section={}", section.as_str()).into(),
    ];
    if section == Section::Data && !trusted {
        args.push("--use-set-session-authorization".into());
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(args: Vec<OsString>) -> String {
        args.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn rows_are_written_by_the_owners_of_their_tables_unless_trusted() {
        let load = |section, trusted| Load { section, jobs: 1, trusted, source: None, list: None };
        let args = |section, trusted| text(pg_restore("app", &load(section, trusted)));
        assert_eq!(
            args(Section::Data, false),
            "--no-password --exit-on-error --section=data --dbname=dbname='app' \
             --use-set-session-authorization"
        );
        assert!(!args(Section::Data, true).contains("authorization"));
        assert!(!args(Section::PreData, false).contains("authorization"));
    }

    #[test]
    fn a_hostile_name_of_a_database_stays_a_name() {
        let (source, list) = (Some("/x".as_ref()), Some("/l".as_ref()));
        let load = Load { section: Section::Data, jobs: 2, trusted: false, source, list };
        let args = pg_restore("host=evil' \\", &load);
        assert_eq!(args[3], "--dbname=dbname='host=evil\\' \\\\'");
        assert!(text(args).ends_with("--use-list=/l --jobs=2 -- /x"));
    }
}
