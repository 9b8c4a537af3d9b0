//! The manifest, format 1: what lies in an archive and where it comes from, so that history can
//! be rebuilt from the file alone. Written last into the archive as `manifest.json`, kept in the
//! table behind `backup_manifest`. Unknown fields are ignored, missing ones take their default.
//! Never holds a secret: no password, no password hash, no connection string.

mod wire;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The format that this version writes, and the newest that it reads.
pub const FORMAT: u32 = 1;

/// The whole manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "wire::Wire")]
pub struct Manifest {
    pub format: u32,
    /// Id of the run in the database that made it.
    pub id: i64,
    pub created_at: Span,
    pub comment: Option<String>,
    pub origin: String,
    pub dump: Dump,
    #[serde(flatten)]
    pub facts: Facts,
    /// Versions of what made it.
    pub tools: Tools,
    /// Rows and bytes of every table that the dump holds data of, counted in the dump itself.
    pub tables: Vec<TableCount>,
    pub migrations: Vec<Migrations>,
    pub application: Application,
    pub warnings: Vec<String>,
    /// Files and folders that were copied beside the dump.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// Whether it was signed when it was made. Only the signature proves that.
    pub signed: bool,
    /// Every other member of the archive, all but the signature.
    pub members: Vec<Member>,
}

/// Start and end of the work, UTC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Span {
    pub start: DateTime<Utc>,
    pub end: DateTime<Utc>,
}

/// How the dump was made.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Dump {
    pub format: String,
    pub compression: String,
    pub jobs: u16,
    #[serde(default)]
    pub schemas: Vec<String>,
    #[serde(default)]
    pub tables: Vec<String>,
    #[serde(default)]
    pub exclude_tables: Vec<String>,
    #[serde(default)]
    pub exclude_table_data: Vec<String>,
    /// Whether all tables were locked before the snapshot was taken.
    #[serde(default)]
    pub locked_first: bool,
    /// A script that does not end as those of pg_dump end: nothing tells that it is whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_hand: bool,
    /// Rows come by INSERT, too, which nobody has counted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_inserts: bool,
}

/// What the server said, under the dump's snapshot.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    pub database: Database,
    pub server: Server,
    pub extensions: Vec<Extension>,
    /// Roles that own something or are named in a privilege.
    pub roles: Vec<String>,
    pub schemas: Vec<String>,
    pub tablespaces: Vec<String>,
    pub replication_slots: Vec<String>,
    pub subscriptions: Vec<String>,
    pub publications: Vec<String>,
    pub timescaledb_jobs: Vec<TimescaleJob>,
}

/// Properties of the database that pg_dump without `--create` leaves out.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Database {
    pub name: String,
    pub owner: String,
    pub acl: Option<Vec<String>>,
    pub comment: Option<String>,
    pub encoding: String,
    pub locale_provider: String,
    pub lc_collate: String,
    pub lc_ctype: String,
    /// The locale of the provider ICU or builtin.
    pub icu_locale: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub icu_rules: Option<String>,
    pub collation_version: Option<String>,
    pub tablespace: String,
    pub connection_limit: i32,
    pub allow_connections: bool,
    pub is_template: bool,
    pub size_bytes: i64,
    /// `ALTER DATABASE … SET`, without `timescaledb.restoring`; role is NULL for all roles.
    pub settings: Vec<Setting>,
    pub security_labels: Vec<String>,
}

impl Dump {
    /// Whether pg_restore reads it as one stream.
    pub fn is_stream(&self) -> bool {
        matches!(self.format.as_str(), "custom" | "tar")
    }
}

/// One `name=value` of a database, or of a role in a database.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Setting {
    pub role: Option<String>,
    pub setting: String,
}

/// The server that the dump was taken from.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Server {
    pub version: String,
    pub version_num: i32,
    /// As text: it does not fit a JSON number that all readers take.
    pub system_identifier: String,
    pub host: String,
    pub data_checksums: bool,
    pub wal_level: String,
}

/// An extension of the database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Extension {
    pub name: String,
    pub version: String,
    pub schema: String,
}

/// A background job of TimescaleDB: not in the dump, so kept here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimescaleJob {
    pub job_id: i32,
    pub scheduled: bool,
    pub next_start: Option<DateTime<Utc>>,
}

/// Versions of the tools.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Tools {
    pub pg_backup: String,
    pub pg_dump: String,
}

/// Rows and bytes of one table, as the dump holds them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TableCount {
    pub schema: String,
    pub name: String,
    pub rows: u64,
    pub bytes: u64,
}

/// What one framework says has been applied.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Migrations {
    pub framework: String,
    /// `schema.table` that says so.
    pub table: String,
    pub count: u64,
    pub latest: Option<String>,
    /// SHA-256 over the sorted names, each ended by a newline.
    pub hash: String,
    /// In the order in which they were applied.
    pub ids: Vec<String>,
}

/// What the application says about itself, through settings.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Application {
    pub version: Option<String>,
    pub encryption_key_ids: Vec<String>,
}

/// One member: its size and hash as unzip writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub name: String,
    pub size: u64,
    pub sha256: String,
}

impl Migrations {
    /// Of names in the order of application.
    pub fn applied(framework: &str, table: String, ids: Vec<String>) -> Self {
        let mut sorted: Vec<&str> = ids.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        let mut hash = Sha256::new();
        for id in sorted {
            hash.update(id.as_bytes());
            hash.update(b"\n");
        }
        Self {
            framework: framework.to_owned(),
            table,
            count: ids.len() as u64,
            latest: ids.last().cloned(),
            hash: hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect(),
            ids,
        }
    }
}

/// One file or folder that was attached.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Attachment {
    /// Its member is `attachments/<name>`, the members of a folder lie below that.
    pub name: String,
    /// Where it was.
    pub source: String,
    pub files: u64,
    pub bytes: u64,
    /// Every file and folder of it, folders before what is in them.
    pub entries: Vec<AttachedEntry>,
}

/// What a zip does not say of an attached file or folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttachedEntry {
    /// Name of the member; a folder, which has none, ends in a slash.
    pub member: String,
    /// Permissions, octal.
    pub mode: String,
    pub modified: DateTime<Utc>,
}

impl Manifest {
    /// The number of rows in all tables. What is read from a file may claim any number.
    pub fn total_rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows).fold(0, u64::saturating_add)
    }
}
