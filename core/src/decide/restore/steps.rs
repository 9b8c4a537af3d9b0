//! The steps of a restore as people read them: what `backup_restore_plan()` shows. The same
//! functions that the restore itself uses make the commands.

use std::ffi::OsString;
use std::path::Path;

use super::database::{create, properties};
use super::plan::{Load, Section, pg_restore, psql};
use crate::decide::archive_spec::{DIRECTORY, payload_member};
use crate::decide::manifest::Manifest;
use crate::decide::request::Restore;

/// One step: what it does, and the command that does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub action: String,
    pub command: String,
}

/// All steps, in order. Nothing secret is in them.
pub fn steps(manifest: &Manifest, restore: &Restore, archive: &str) -> Vec<Step> {
    let mut steps = vec![
        step("check", format!("SELECT * FROM backup_restore_check({})", restore.backup)),
        step(
            "create the database",
            create(&restore.target, 0, &manifest.facts.database).replace(" OID = 0", ""),
        ),
    ];
    steps.extend(load(manifest, restore, archive));
    for table in &manifest.tables {
        let sql = crate::catalog::restore::count(&table.schema, &table.name);
        steps.push(step(&format!("expect {} rows", table.rows), sql));
    }
    steps.push(step("gather statistics", "ANALYZE".to_owned()));
    for command in properties(&restore.target, &manifest.facts.database) {
        steps.push(step("set what the database was", command));
    }
    if let Some(acl) = &manifest.facts.database.acl {
        steps.push(step("give the privileges", format!("GRANT … as in {{{}}}", acl.join(","))));
    }
    steps
}

fn step(action: &str, command: String) -> Step {
    Step { action: action.to_owned(), command }
}

fn load(manifest: &Manifest, restore: &Restore, archive: &str) -> Vec<Step> {
    let directory = manifest.dump.format == "directory";
    let mut names = manifest.members.iter().map(|member| member.name.as_str());
    let member = names.find(|name| payload_member(name).is_some()).unwrap_or_default();
    let source = format!("unzip -p {archive} {member}{}", decoder(member));
    if manifest.dump.format == "plain" {
        return vec![step("load the script", format!("{source} | {}", line("psql", psql())))];
    }
    let unpacked = (directory || restore.jobs > 1).then(|| Path::new("…/database"));
    let mut steps = Vec::new();
    if let Some(place) = unpacked {
        let what = if directory { DIRECTORY } else { member };
        steps.push(step("unpack", format!("unzip {archive} '{what}*' -d {}", place.display())));
    }
    for section in Section::ALL {
        let (jobs, trusted) = (restore.jobs, restore.trusted);
        let load = Load { section, jobs, trusted, source: unpacked };
        let restore = line("pg_restore", pg_restore(&restore.target, &load));
        let command = if unpacked.is_some() { restore } else { format!("{source} | {restore}") };
        steps.push(step(&format!("load the section {}", section.as_str()), command));
    }
    steps
}

fn decoder(member: &str) -> &'static str {
    match member.rsplit_once('.') {
        Some((_, "zst")) => " | zstd -d",
        Some((_, "gz")) => " | gunzip",
        _ => "",
    }
}

fn line(program: &str, args: Vec<OsString>) -> String {
    let words = args.iter().map(|arg| arg.to_string_lossy().into_owned());
    std::iter::once(program.to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}
