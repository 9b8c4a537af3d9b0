//! What a backup can be told: the arguments of `backup_create()`, and the `options` of a schedule.
//!
//! In: what was said, and the defaults for the rest. Out: the backup to make, or why it cannot be.
//! A schedule's options are checked when it is made, by this same code.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::attachments;
use super::format::{Compression, Format};
use super::manifest::Application;
use super::pattern::{schema_pattern, table_pattern};
use super::request::{Backup, Globals, Limits};
use crate::error::{Class, Failure, Result};

/// Connections of pg_dump, as `pg_backup.jobs` allows.
const JOBS: std::ops::RangeInclusive<i32> = 1..=64;

/// Characters of an error's text: the name of an unknown key may be as long as anybody likes.
const MESSAGE_MAX: usize = 300;

/// What was said outright.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BackupOptions {
    pub comment: Option<String>,
    pub format: Option<String>,
    pub compression: Option<String>,
    pub jobs: Option<i32>,
    /// pg_dump patterns.
    pub schemas: Vec<String>,
    pub tables: Vec<String>,
    pub exclude_tables: Vec<String>,
    pub exclude_table_data: Vec<String>,
    /// Absolute paths of files and folders.
    pub attach: Vec<String>,
}

/// What holds where nothing was said: the settings of the server or of the session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Defaults {
    pub compression: Compression,
    pub jobs: i32,
    pub globals: Globals,
    pub limits: Limits,
    pub migrations_table: String,
    pub application: Application,
}

/// Who asks for a backup, and for which database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    pub database: String,
    /// The word in the history's column `origin`.
    pub origin: String,
    pub schedule: Option<String>,
}

impl BackupOptions {
    /// Options as a schedule has them: a JSON object. Errors: `InvalidArgument`, naming the key.
    pub fn from_json(text: &str) -> Result<BackupOptions> {
        // An array would be taken as the fields in their order.
        let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text);
        let options = object.and_then(|object| serde_json::from_value(object.into()));
        options.map_err(|error: serde_json::Error| {
            let what = error.to_string();
            let what = what.split(" at line ").next().unwrap_or_default();
            let what: String = what.chars().take(MESSAGE_MAX).collect();
            Failure::new(Class::InvalidArgument, format!("invalid options: {what}")).hint(
                "options is a JSON object of arguments of backup_create(), for example \
                 {\"jobs\": 2, \"exclude_tables\": [\"public.log\"]}.",
            )
        })
    }

    /// pg_dump says of `--schema` that it has no effect beside `--table`.
    fn ensure_one_list(&self) -> Result<()> {
        if self.schemas.is_empty() || self.tables.is_empty() {
            return Ok(());
        }
        Err(Failure::new(Class::InvalidArgument, "schemas and tables do not go together")
            .detail("pg_dump would dump the tables only, and nothing of the schemas.")
            .hint("A pattern of tables may name a schema: tables => '{shop.*,public.users}'."))
    }

    /// The backup that these options make. Errors: `InvalidArgument`.
    pub fn backup(self, asked: Asked, defaults: Defaults) -> Result<Backup> {
        attachments::check(&self.attach)?;
        self.schemas.iter().try_for_each(|pattern| schema_pattern(pattern).map(drop))?;
        let lists = [&self.tables, &self.exclude_tables, &self.exclude_table_data];
        lists.into_iter().flatten().try_for_each(|pattern| table_pattern(pattern).map(drop))?;
        self.ensure_one_list()?;
        let (format, jobs) = format_and_jobs(self.format.as_deref(), self.jobs, defaults.jobs)?;
        let compression = match self.compression.as_deref() {
            Some(text) => Compression::from_str(text)?,
            None => defaults.compression,
        };
        Ok(Backup {
            database: asked.database,
            origin: asked.origin,
            schedule: asked.schedule,
            comment: self.comment,
            format,
            compression,
            jobs,
            schemas: self.schemas,
            tables: self.tables,
            exclude_tables: self.exclude_tables,
            exclude_table_data: self.exclude_table_data,
            attach: self.attach,
            globals: defaults.globals,
            limits: defaults.limits,
            migrations_table: defaults.migrations_table,
            application: defaults.application,
        })
    }
}

/// Several connections need the directory format. What was said outright must fit together; a
/// default gives way.
fn format_and_jobs(
    format: Option<&str>,
    jobs: Option<i32>,
    default_jobs: i32,
) -> Result<(Format, u16)> {
    let said = format.map(Format::from_str).transpose()?;
    let wanted = jobs.unwrap_or(default_jobs);
    if !JOBS.contains(&wanted) {
        return Err(Failure::new(Class::InvalidArgument, format!("invalid jobs: {wanted}"))
            .hint("Use 1 to 64 connections."));
    }
    match (said, wanted) {
        (Some(Format::Directory), count) => Ok((Format::Directory, count as u16)),
        (Some(format), 1) => Ok((format, 1)),
        (Some(format), _) if jobs.is_none() => Ok((format, 1)),
        (Some(format), count) => Err(Failure::new(
            Class::InvalidArgument,
            format!("jobs => {count} does not go with format => '{}'", format.as_str()),
        )
        .hint("Only the directory format is dumped by several connections; leave format out.")),
        (None, 1) => Ok((Format::Custom, 1)),
        (None, count) => Ok((Format::Directory, count as u16)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_which_pg_dump_would_take_one_only_are_refused() {
        let names = || vec!["a".to_owned()];
        let both = BackupOptions { schemas: names(), tables: names(), ..BackupOptions::default() };
        let failure = both.ensure_one_list().unwrap_err();
        assert_eq!(failure.class, Class::InvalidArgument);
        assert!(failure.message.contains("schemas and tables"));
    }

    #[test]
    fn options_that_nobody_knows_are_refused_by_name() {
        let failure = BackupOptions::from_json(r#"{"job": 2}"#).unwrap_err();
        assert!(failure.message.starts_with("invalid options: unknown field `job`"), "{failure}");
        for text in ["[]", "null", "7", r#"{"jobs": "many"}"#, r#"{"tables": "a"}"#] {
            assert!(BackupOptions::from_json(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_default_for_jobs_gives_way_to_a_format_but_what_was_said_does_not() {
        assert_eq!(format_and_jobs(Some("custom"), None, 4).unwrap(), (Format::Custom, 1));
        assert_eq!(format_and_jobs(None, None, 4).unwrap(), (Format::Directory, 4));
        assert!(format_and_jobs(Some("plain"), Some(2), 1).is_err());
        assert!(format_and_jobs(None, Some(0), 1).is_err());
    }
}
