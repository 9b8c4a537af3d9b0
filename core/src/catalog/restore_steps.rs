//! The steps of a restore as people read them: what `backup_restore_plan()` shows. The same
//! functions that the restore itself uses make the commands.

use std::ffi::OsString;
use std::path::Path;

use super::carry::CARRIED;
use super::database::{create, labels, open, properties};
use super::timescale::{create_extension, post_restore, pre_restore};
use super::{ident, literal, restore_part_steps as part_steps};
use crate::decide::archive_spec::{DIRECTORY, payload_member};
use crate::decide::manifest::{Extension, Manifest};
use crate::decide::request::{Restore, Safety};
use crate::decide::restore::lanes::is_shared_out;
use crate::decide::restore::plan::{Load, Section, pg_restore, psql};
use crate::decide::restore::timescale::{ListPaths, keeps_jobs, parts, recorded};

/// One step: what it does, and the command that does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub action: String,
    pub command: String,
}

/// The name of a database that the job chooses, because it will not keep it.
const STAGING: &str = "…_restoring_<run>";

/// All steps, in order. Nothing secret is in them.
pub fn steps(manifest: &Manifest, restore: &Restore, archive: &str) -> Vec<Step> {
    let check = check(restore);
    let target = match restore.target.as_str() {
        "" => STAGING.to_owned(),
        target => target.to_owned(),
    };
    let restore = &Restore { target, ..restore.clone() };
    let database = &manifest.facts.database;
    let mut steps = vec![step("check", check), step("run the hooks", hook("before_restore"))];
    steps.splice(1..1, part_steps::globals(restore, archive));
    if let Some(backup) = &restore.safety_backup {
        let name = literal(&backup.database);
        let command = format!("SELECT backup_create(database => {name})");
        steps.push(step("make a backup of what is replaced", command));
    }
    let sql = create(&restore.target, 0, database).replace(" OID = 0", "");
    steps.push(step("create the database, closed to clients", sql));
    let timescale = recorded(manifest);
    if let Some(extension) = timescale {
        steps.extend(before_load(extension));
    }
    steps.extend(load(manifest, restore, archive));
    if let Some(extension) = timescale {
        let command = post_restore(&extension.schema, false);
        steps.push(step("tell TimescaleDB that it is over, and park its jobs", command));
    }
    steps.extend(part_steps::drop_rest(restore));
    steps.extend(part_steps::counts(manifest, restore));
    steps.push(step("gather statistics", "ANALYZE".to_owned()));
    if let Some(into) = &restore.into_schema {
        steps.extend(part_steps::into_schema(restore, into));
        return steps;
    }
    steps.push(step("run the hooks in the new database", hook("after_restore")));
    if timescale.is_some() && keeps_jobs(manifest, restore) {
        let command = "SELECT alter_job(…, scheduled => true, next_start => …)".to_owned();
        steps.push(step("give TimescaleDB's jobs their schedules back", command));
    }
    for command in labels(&restore.target, database) {
        steps.push(step("label the database, if the provider is loaded", command));
    }
    for command in properties(&restore.target, database) {
        steps.push(step("set what the database was", command));
    }
    if let Some(acl) = &database.acl {
        steps.push(step("give the privileges", format!("GRANT … as in {{{}}}", acl.join(","))));
    }
    match &restore.replace {
        Some(live) => steps.extend(swap(manifest, restore, live)),
        None => steps.push(step("let clients in", open(&restore.target, database))),
    }
    steps
}

/// The call that looks at what this restore needs, with the same arguments.
pub fn check(restore: &Restore) -> String {
    let list = |names: &[String]| {
        let names: Vec<String> = names.iter().map(|name| literal(name)).collect();
        (!names.is_empty()).then(|| format!("ARRAY[{}]", names.join(", ")))
    };
    let target = Some(&restore.target).filter(|target| !target.is_empty());
    let into = restore.into_schema.as_ref();
    let yes = |asked: bool| asked.then(|| "true".to_owned());
    let safety = match restore.safety {
        Safety::Keep => None,
        Safety::Dump => Some(literal("dump")),
        Safety::None => Some(literal("none")),
    };
    let named = [
        ("target", target.map(|name| literal(name))),
        ("replace", restore.replace.as_deref().map(literal)),
        ("tables", list(&restore.tables)),
        ("schemas", list(&restore.schemas)),
        ("into_schema", into.map(|into| literal(&into.schema))),
        ("safety", safety),
        ("jobs", (restore.jobs > 1).then(|| restore.jobs.to_string())),
        ("trusted", yes(restore.trusted)),
        ("force", yes(restore.force)),
        ("allow_foreign", yes(restore.allow_foreign)),
        ("globals", yes(restore.globals)),
    ];
    let given = named.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let given: String = given.map(|(name, value)| format!(", {name} => {value}")).collect();
    format!("SELECT * FROM backup_restore_check({}{given})", restore.backup)
}

fn hook(event: &str) -> String {
    format!("SELECT name, sql FROM backup_hooks WHERE event = '{event}'")
}

fn swap(manifest: &Manifest, restore: &Restore, live: &str) -> Vec<Step> {
    let kept = format!("{live}_before_<run>");
    let mut steps = vec![
        step(
            "carry history, schedules and hooks over",
            format!(
                "COPY {} from {} to {}",
                CARRIED.join(", "),
                ident(live),
                ident(&restore.target)
            ),
        ),
        step(
            "end the sessions of clients in it",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE …".to_owned(),
        ),
        step(
            "swap, in one transaction",
            format!(
                "BEGIN; ALTER DATABASE {live} RENAME TO {kept}; ALTER DATABASE {staging} RENAME TO \
                 {live}; ALTER DATABASE {kept} WITH ALLOW_CONNECTIONS false; {open}; COMMIT",
                live = ident(live),
                kept = ident(&kept),
                staging = ident(&restore.target),
                open = open(live, &manifest.facts.database)
            ),
        ),
    ];
    if recorded(manifest).is_some() {
        let command = "SELECT _timescaledb_functions.start_background_workers()".to_owned();
        steps.push(step("start TimescaleDB's workers, which a rename stops", command));
    }
    steps.push(step("run the hooks in its place", hook("after_swap")));
    steps.push(match restore.safety {
        Safety::None => step("drop what was replaced", format!("DROP DATABASE {}", ident(&kept))),
        Safety::Keep | Safety::Dump => step(
            "keep what was replaced, until pg_backup.rollback_keep is over",
            "CALL backup_rollback(<run>) swaps back, CALL backup_accept(<run>) drops it".to_owned(),
        ),
    });
    steps
}

pub(super) fn step(action: &str, command: String) -> Step {
    Step { action: action.to_owned(), command }
}

fn load(manifest: &Manifest, restore: &Restore, archive: &str) -> Vec<Step> {
    let directory = manifest.dump.format == "directory";
    let mut names = manifest.members.iter().map(|member| member.name.as_str());
    let member = names.find(|name| payload_member(name).is_some()).unwrap_or_default();
    let source = format!("unzip -p {archive} {member}{}", decoder(member));
    if manifest.dump.format == "plain" {
        return vec![step(
            "load the script, in psql's restricted mode",
            format!("{source} | {}", line("psql", psql())),
        )];
    }
    if is_shared_out(manifest, restore) {
        return shared_out(restore, &source);
    }
    let unpacked = (directory || restore.jobs > 1).then(|| Path::new("…/database"));
    let mut steps = Vec::new();
    if let Some(place) = unpacked {
        let place = place.display();
        let compressed = manifest.members.iter().any(|member| member.name.ends_with(".dat.zst"));
        let command = match (directory, compressed) {
            (true, true) => {
                format!("unzip {archive} '{DIRECTORY}*' -d … && zstd -d --rm {place}/*.zst")
            }
            (true, false) => format!("unzip {archive} '{DIRECTORY}*' -d …"),
            (false, _) => format!("{source} > {place}"),
        };
        steps.push(step("unpack", command));
    }
    steps.extend(part_steps::lists(restore));
    let (jobs, trusted) = (restore.jobs, restore.trusted);
    let load = |section| Load { section, jobs, trusted, source: unpacked, list: None };
    let parts = match recorded(manifest) {
        Some(_) => parts(
            load,
            ListPaths {
                all: "…/all".as_ref(),
                catalog: "…/catalog".as_ref(),
                others: "…/others".as_ref(),
            },
        ),
        None => Section::ALL.map(load).to_vec(),
    };
    for load in parts {
        let several = unpacked.is_some() && restore.jobs > 1;
        let (action, listed) = action(load.section, several);
        let load = Load { list: listed.or(load.list), ..load };
        let part = part_steps::list(restore, load.section).filter(|_| listed.is_none());
        let list = part.into_iter();
        let restore = line("pg_restore", list.chain(pg_restore(&restore.target, &load)).collect());
        let command = if unpacked.is_some() { restore } else { format!("{source} | {restore}") };
        steps.push(step(&action, command));
    }
    steps
}

/// What loads a section, and from which list where there are `several` connections.
fn action(section: Section, several: bool) -> (String, Option<&'static Path>) {
    let action = format!("load the section {}", section.as_str());
    if section != Section::PostData || !several {
        return (action, None);
    }
    let order = "indexes, then what attaches them (by one connection), then the rest";
    (format!("{action}: {order}"), Some(Path::new("…/post_data_rest")))
}

/// Several connections, each with tables of its own; only the head of the dump is unpacked.
fn shared_out(restore: &Restore, source: &str) -> Vec<Step> {
    let head = "…/head.dump";
    let section = |section| {
        let (action, list) = action(section, true);
        let (from_head, jobs) = (section != Section::Data, restore.jobs);
        let (action, jobs, list) = match section {
            Section::PreData => (action, 1, None),
            Section::Data => {
                (format!("{action}, each connection its tables"), 1, Some(Path::new("…/rows")))
            }
            Section::PostData => (action, jobs, list),
        };
        let file = from_head.then_some(Path::new(head));
        let load = Load { section, jobs, trusted: restore.trusted, source: file, list };
        let restore = line("pg_restore", pg_restore(&restore.target, &load));
        let command = if from_head { restore } else { format!("{source} | {restore}") };
        step(&action, command)
    };
    let unpack =
        step("unpack the table of contents", format!("{source} | head --bytes=… > {head}"));
    std::iter::once(unpack).chain(Section::ALL.map(section)).collect()
}

fn before_load(extension: &Extension) -> [Step; 2] {
    let Extension { schema, version, .. } = extension;
    [
        step("make TimescaleDB as it was", create_extension(schema, version)),
        step("tell it that a restore begins", pre_restore(schema)),
    ]
}

fn decoder(member: &str) -> &'static str {
    match member.rsplit_once('.') {
        Some((_, "zst")) => " | zstd -d",
        Some((_, "gz")) => " | gunzip",
        _ => "",
    }
}

pub(super) fn line(program: &str, args: Vec<OsString>) -> String {
    let words = args.iter().map(|arg| arg.to_string_lossy().into_owned());
    std::iter::once(program.to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}
