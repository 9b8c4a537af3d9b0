//! The manifest as it is read: every field by its own name. Reading through `flatten` would keep a
//! copy of all that follows, also of what nobody asked for, and many times as large as its text.

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
pub struct Wire {
    format: u32,
    id: i64,
    created_at: Span,
    #[serde(default)]
    comment: Option<String>,
    origin: String,
    dump: Dump,
    #[serde(default)]
    database: Database,
    #[serde(default)]
    server: Server,
    #[serde(default)]
    extensions: Vec<Extension>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    schemas: Vec<String>,
    #[serde(default)]
    tablespaces: Vec<String>,
    #[serde(default)]
    replication_slots: Vec<String>,
    #[serde(default)]
    subscriptions: Vec<String>,
    #[serde(default)]
    publications: Vec<String>,
    #[serde(default)]
    timescaledb_jobs: Vec<TimescaleJob>,
    tools: Tools,
    #[serde(default)]
    tables: Vec<TableCount>,
    #[serde(default)]
    migrations: Vec<Migrations>,
    #[serde(default)]
    application: Application,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    attachments: Vec<Attachment>,
    #[serde(default)]
    signed: bool,
    members: Vec<Member>,
}

impl From<Wire> for Manifest {
    fn from(wire: Wire) -> Self {
        let facts = Facts {
            database: wire.database,
            server: wire.server,
            extensions: wire.extensions,
            roles: wire.roles,
            schemas: wire.schemas,
            tablespaces: wire.tablespaces,
            replication_slots: wire.replication_slots,
            subscriptions: wire.subscriptions,
            publications: wire.publications,
            timescaledb_jobs: wire.timescaledb_jobs,
        };
        Self {
            format: wire.format,
            id: wire.id,
            created_at: wire.created_at,
            comment: wire.comment,
            origin: wire.origin,
            dump: wire.dump,
            facts,
            tools: wire.tools,
            tables: wire.tables,
            migrations: wire.migrations,
            application: wire.application,
            warnings: wire.warnings,
            attachments: wire.attachments,
            signed: wire.signed,
            members: wire.members,
        }
    }
}
