//! Requests to write an archive out for people: what, in which form, and the names of the copies.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use super::naming::safe_name;
use super::request::Limits;
use crate::error::{Class, Failure, Result};

/// Moment of a copy's name, UTC.
const STAMP: &str = "%Y%m%dT%H%M%SZ";

/// Members of an archive to write into a new directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Extract {
    pub backup: i64,
    /// A member, or a folder of members.
    pub member: String,
    /// Absolute path that does not exist yet.
    pub directory: String,
    pub limits: Limits,
}

/// An archive to copy out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Export {
    pub backup: i64,
    /// Absolute path of a directory that exists.
    pub directory: String,
    pub layout: Layout,
    pub limits: Limits,
}

/// What a copy is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layout {
    /// The archive as it is.
    #[serde(rename = "zip")]
    Zip,
    /// The custom-format dump, and the manifest beside it.
    #[serde(rename = "dump")]
    Dump,
    /// A script for psql.
    #[serde(rename = "sql.gz")]
    Script,
    /// Everything unpacked into a folder.
    #[serde(rename = "directory")]
    Directory,
}

impl Layout {
    /// Reads the word of the SQL argument. Errors: `InvalidArgument`.
    pub fn from_word(word: &str) -> Result<Layout> {
        Ok(match word {
            "zip" => Layout::Zip,
            "dump" => Layout::Dump,
            "sql.gz" => Layout::Script,
            "directory" => Layout::Directory,
            _ => {
                let message = format!("invalid layout: \"{}\"", word.escape_debug());
                return Err(Failure::new(Class::InvalidArgument, message)
                    .hint("Layouts are 'zip', 'dump', 'sql.gz' and 'directory'."));
            }
        })
    }

    /// The name of the copy of a backup of `database` that began at `started`:
    /// `app-20261120T031502Z.dump`.
    pub fn file_name(self, database: &str, started: DateTime<Utc>) -> String {
        let ending = match self {
            Layout::Zip => ".zip",
            Layout::Dump => ".dump",
            Layout::Script => ".sql.gz",
            Layout::Directory => "",
        };
        format!("{}{ending}", stem(database, started))
    }

    /// Errors unless an archive can be copied out like this.
    pub fn ensure_fits(self, manifest: &Manifest) -> Result<()> {
        let format = manifest.dump.format.as_str();
        if self != Layout::Dump || format == "custom" {
            return Ok(());
        }
        let message = format!("a dump in {format} format cannot be exported as one .dump file");
        Err(Failure::new(Class::InvalidArgument, message)
            .detail("Only the custom format of pg_dump is one file that pg_restore reads.")
            .hint("Use layout => 'sql.gz' for one file for psql, or 'directory' for everything."))
    }
}

/// The name of the manifest beside a dump.
pub fn manifest_name(database: &str, started: DateTime<Utc>) -> String {
    format!("{}.manifest.json", stem(database, started))
}

fn stem(database: &str, started: DateTime<Utc>) -> String {
    format!("{}-{}", safe_name(database), started.format(STAMP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_operators_expect() {
        let started = "2026-11-20T03:15:02.9Z".parse().unwrap();
        assert_eq!(Layout::Zip.file_name("app", started), "app-20261120T031502Z.zip");
        assert_eq!(Layout::Dump.file_name("app", started), "app-20261120T031502Z.dump");
        assert_eq!(Layout::Script.file_name("app", started), "app-20261120T031502Z.sql.gz");
        assert_eq!(Layout::Directory.file_name("app", started), "app-20261120T031502Z");
        assert_eq!(manifest_name("app", started), "app-20261120T031502Z.manifest.json");
        let hostile = Layout::Zip.file_name("../../x\n-rf", started);
        assert!(!hostile.contains(['/', '\n']) && !hostile.starts_with(['.', '-']), "{hostile}");
    }

    #[test]
    fn every_word_is_read_and_others_are_refused() {
        for word in ["zip", "dump", "sql.gz", "directory"] {
            let layout = Layout::from_word(word).unwrap();
            assert_eq!(serde_json::to_value(layout).unwrap(), word);
        }
        assert!(Layout::from_word("tar").is_err());
    }
}
