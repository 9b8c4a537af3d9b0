//! What the manifest says about the database, asked under the dump's snapshot while pg_dump runs.

use serde::de::DeserializeOwned;

use super::Work;
use super::snapshot::Locked;
use crate::catalog::facts::{DATABASE, NAMES, SERVER, TIMESCALE_JOBS};
use crate::decide::manifest::{Facts, Migrations};
use crate::error::{Class, Failure, Result};
use crate::host::server::Server;
use crate::job::migrations::applied_migrations;
use crate::job::tools::version;

/// Facts of the server, in time for the manifest.
pub struct Gathered {
    pub facts: Facts,
    pub migrations: Vec<Migrations>,
    pub pg_dump_version: String,
}

/// Asks the server, in the session that holds the snapshot.
pub async fn gather(work: &Work<'_>, locked: &Locked) -> Result<Gathered> {
    let session = &locked.session;
    let names: Facts = json(work, session, NAMES).await?;
    let database = json(work, session, DATABASE).await?;
    let mut server: crate::decide::manifest::Server = json(work, session, SERVER).await?;
    server.host = host();
    let has_timescale = names.extensions.iter().any(|e| e.name == "timescaledb");
    let timescaledb_jobs =
        if has_timescale { json(work, session, TIMESCALE_JOBS).await? } else { Vec::new() };
    let named = &work.backup.migrations_table;
    let migrations = applied_migrations(work.context.control, session, named).await?;
    let pg_dump_version = version(work.context, "pg_dump").await?;
    let facts = Facts { database, server, timescaledb_jobs, ..names };
    Ok(Gathered { facts, migrations, pg_dump_version })
}

fn host() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

async fn json<T: DeserializeOwned>(work: &Work<'_>, session: &Server, sql: &str) -> Result<T> {
    let row = session.one(work.context.control, sql, &[]).await?;
    serde_json::from_value(row.get(0)).map_err(|error| {
        Failure::new(Class::Internal, "the server described itself in an unknown way")
            .detail(format!("{error}."))
    })
}
