//! The arguments of `backup_restore()`, and what they ask for.

use pg_backup_core::catalog::history_files::no_backup;
use pg_backup_core::decide::backup_options::{Asked as AskedBackup, BackupOptions};
use pg_backup_core::decide::naming::cut_name;
use pg_backup_core::decide::request::{Backup, IntoSchema, Restore, Safety};
use pg_backup_core::error::{Class, Failure, Result};

use super::names;
use crate::{catalog, pg, settings};

/// Bytes of a name (NAMEDATALEN - 1).
const NAME_MAX: usize = 63;
/// Connections of pg_restore.
const JOBS: std::ops::RangeInclusive<i32> = 1..=64;

/// The arguments as they were given.
pub struct Asked {
    pub id: Option<i64>,
    pub target: Option<String>,
    pub replace: Option<String>,
    pub tables: Option<Vec<Option<String>>>,
    pub schemas: Option<Vec<Option<String>>>,
    pub into_schema: Option<String>,
    pub safety: Option<String>,
    pub jobs: Option<i32>,
    pub trusted: Option<bool>,
    pub force: Option<bool>,
    pub allow_foreign: Option<bool>,
    pub globals: Option<bool>,
}

impl Asked {
    /// What they ask for, resolved. Errors: a combination that means nothing, a bad value, a backup
    /// that is not in the history.
    pub fn restore(self) -> Result<Restore> {
        self.fits_together()?;
        let backup = self.id.ok_or_else(|| invalid("the id of the backup must not be NULL"))?;
        let database = catalog::backup(&catalog::schema()?, backup)?.map(|stored| stored.database);
        let database = database.ok_or_else(|| no_backup(backup))?;
        let replace = self.replace.map(|name| checked("replace", name)).transpose()?;
        let into_schema = match self.into_schema {
            Some(schema) => Some(IntoSchema {
                database: database.clone(),
                schema: checked("into_schema", schema)?,
            }),
            None => None,
        };
        let target = match self.target {
            Some(target) => checked("target", target)?,
            None if replace.is_some() || into_schema.is_some() => String::new(),
            None => cut_name(&database, &format!("_restored_{backup}")),
        };
        let safety = safety(self.safety)?;
        let safety_backup = match (&replace, safety) {
            (Some(live), Safety::Dump) => Some(Box::new(backup_of(live)?)),
            _ => None,
        };
        Ok(Restore {
            backup,
            target,
            replace,
            tables: patterns("tables", self.tables)?,
            schemas: patterns("schemas", self.schemas)?,
            into_schema,
            safety,
            safety_backup,
            jobs: jobs(self.jobs)?,
            trusted: self.trusted.unwrap_or(false),
            force: self.force.unwrap_or(false),
            allow_foreign: self.allow_foreign.unwrap_or(false),
            globals: self.globals.unwrap_or(false),
            limits: settings::limits(),
        })
    }

    fn fits_together(&self) -> Result<()> {
        let places = [
            ("target", self.target.is_some()),
            ("replace", self.replace.is_some()),
            ("into_schema", self.into_schema.is_some()),
        ];
        let given: Vec<&str> = places.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
        if let [first, second, ..] = given.as_slice() {
            return Err(invalid(&format!("{first} and {second} exclude each other")).hint(
                "target makes a new database, replace puts it in the place of a live one, \
                 into_schema puts tables beside those of a live one.",
            ));
        }
        let part = self.tables.is_some() || self.schemas.is_some();
        if self.replace.is_some() && part {
            return Err(invalid("a part of a backup cannot replace a database").hint(
                "Restore the tables with into_schema => '…' or target => '…', and copy the rows.",
            ));
        }
        if self.into_schema.is_some() && !part {
            return Err(invalid("into_schema needs tables or schemas")
                .hint("For example: tables => ARRAY['public.orders']"));
        }
        if self.safety.is_some() && self.replace.is_none() {
            return Err(invalid("safety needs replace")
                .hint("Nothing is replaced without it, so there is nothing to keep."));
        }
        Ok(())
    }
}

/// Whether the caller's own database is replaced: its session ends at the swap.
pub fn replaces_own(restore: &Restore) -> bool {
    restore.replace.as_deref() == Some(pg::database_name().as_str())
}

fn invalid(message: &str) -> Failure {
    Failure::new(Class::InvalidArgument, message)
}

fn checked(argument: &str, name: String) -> Result<String> {
    if name.is_empty() || name.len() > NAME_MAX {
        return Err(invalid(&format!("invalid name in {argument}"))
            .hint(format!("Use 1 to {NAME_MAX} bytes.")));
    }
    Ok(name)
}

fn patterns(argument: &str, list: Option<Vec<Option<String>>>) -> Result<Vec<String>> {
    let given = list.is_some();
    let list = names(argument, list)?;
    match given && list.iter().all(String::is_empty) {
        true => {
            Err(invalid(&format!("{argument} must not be empty"))
                .hint("Leave it out for everything."))
        }
        false => Ok(list),
    }
}

fn safety(word: Option<String>) -> Result<Safety> {
    let Some(word) = word else { return Ok(Safety::default()) };
    Safety::from_word(&word).ok_or_else(|| {
        invalid(&format!("invalid safety: \"{word}\"")).hint(
            "keep keeps the replaced database until it is accepted, dump makes a backup of it as \
             well, none drops it at once.",
        )
    })
}

/// The backup that is made of a database before it is replaced: as the settings say.
fn backup_of(live: &str) -> Result<Backup> {
    let asked =
        AskedBackup { database: live.to_owned(), origin: "safety".to_owned(), schedule: None };
    BackupOptions::default().backup(asked, settings::defaults()?)
}

fn jobs(jobs: Option<i32>) -> Result<u16> {
    let jobs = jobs.unwrap_or(1);
    match JOBS.contains(&jobs) {
        true => Ok(jobs as u16),
        false => Err(invalid(&format!("invalid jobs: {jobs}")).hint("Use 1 to 64 connections.")),
    }
}
