//! What a restore is asked to do, and the ways out of one that has replaced a database.

use serde::{Deserialize, Serialize};

use super::{Backup, Limits};

/// A restore: into a new database, in the place of a live one, or into a schema of a live one.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Restore {
    /// The run that made the archive.
    pub backup: i64,
    /// Name of the database to make; empty where the job chooses one, because it will not keep it.
    pub target: String,
    /// The live database whose place it takes when it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replace: Option<String>,
    /// Only these tables, as patterns of pg_dump; all when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tables: Vec<String>,
    /// Only these schemas, as patterns of pg_dump.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schemas: Vec<String>,
    /// The schema of a live database that the tables are put into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into_schema: Option<IntoSchema>,
    #[serde(default)]
    pub safety: Safety,
    /// The backup of the database that is replaced, which is made before anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety_backup: Option<Box<Backup>>,
    /// Connections of pg_restore.
    pub jobs: u16,
    /// Whether everything may run with the rights of a superuser.
    pub trusted: bool,
    /// Whether it may be restored though its migrations do not fit.
    #[serde(default)]
    pub force: bool,
    /// Whether it may come from another server.
    #[serde(default)]
    pub allow_foreign: bool,
    /// Whether missing roles and tablespaces are made as the archive's `globals.sql` has them.
    #[serde(default)]
    pub globals: bool,
    pub limits: Limits,
}

/// A schema that does not exist yet, in a database that does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntoSchema {
    pub database: String,
    pub schema: String,
}

/// What is kept of a database that is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Safety {
    /// The database itself, closed, until it is accepted, swapped back, or its time is over.
    #[default]
    Keep,
    /// That, and a backup of it.
    Dump,
    /// Nothing.
    None,
}

impl Safety {
    /// Reads the word of the SQL argument.
    pub fn from_word(word: &str) -> Option<Safety> {
        match word {
            "keep" => Some(Safety::Keep),
            "dump" => Some(Safety::Dump),
            "none" => Some(Safety::None),
            _ => None,
        }
    }
}

impl Restore {
    /// The database whose content the restore decides: in the history's column `database`.
    pub fn database(&self) -> &str {
        let into = self.into_schema.as_ref().map(|into| into.database.as_str());
        self.replace.as_deref().or(into).unwrap_or(&self.target)
    }
}

/// A restore whose database was kept: swapped back, or dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// The restore.
    pub restore: i64,
    /// The live database that it replaced.
    pub database: String,
    pub end: KeptEnd,
}

/// What becomes of a database that a restore has kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeptEnd {
    /// Swapped back.
    Rollback,
    /// Dropped, as asked for.
    Accept,
    /// Dropped, because its time is over.
    Expired,
}

impl KeptEnd {
    /// The word in the history's column `origin`.
    pub fn as_str(self) -> &'static str {
        match self {
            KeptEnd::Rollback => "rollback",
            KeptEnd::Accept => "accept",
            KeptEnd::Expired => "expired",
        }
    }
}
