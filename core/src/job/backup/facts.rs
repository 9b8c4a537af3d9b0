//! What the manifest says about the database, asked under the dump's snapshot while pg_dump runs.

use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::Work;
use super::snapshot::Locked;
use crate::catalog::facts::{DATABASE, NAMES, SERVER, TIMESCALE_JOBS};
use crate::catalog::migrations::{CANDIDATES, FRAMEWORKS, custom_query, query, recognise};
use crate::decide::manifest::{Facts, Migrations};
use crate::error::{Class, Failure, Result};
use crate::host::archive::hex;
use crate::host::server::Server;
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
    let migrations = migrations(work, session).await?;
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

/// What every framework says has been applied. A table that cannot be read is left out: the
/// backup matters more.
async fn migrations(work: &Work<'_>, session: &Server) -> Result<Vec<Migrations>> {
    let control = work.context.control;
    let tables: Vec<&str> = FRAMEWORKS.iter().map(|framework| framework.table).collect();
    let named = &work.backup.migrations_table;
    let rows = session.rows(control, CANDIDATES, &[&tables, named]).await?;
    let mut found = Vec::new();
    for row in rows {
        let (schema, table): (String, String) = (row.get(0), row.get(1));
        let columns: Vec<String> = row.get(2);
        let (framework, sql) = match recognise(&table, &columns) {
            Some(framework) => (framework.name, Some(query(framework, &schema, &table))),
            None => ("custom", custom_query(&schema, &table, &columns)),
        };
        let is_named = *named == table || *named == format!("{schema}.{table}");
        let Some(sql) = sql.filter(|_| framework != "custom" || is_named) else { continue };
        if let Some(ids) = ids(work, session, &sql).await? {
            found.push(applied(framework, format!("{schema}.{table}"), ids));
        }
    }
    Ok(found)
}

/// The names in one table; None when its query fails. The snapshot's transaction goes on.
async fn ids(work: &Work<'_>, session: &Server, sql: &str) -> Result<Option<Vec<String>>> {
    let control = work.context.control;
    session.batch(control, "SAVEPOINT migrations").await?;
    let names = match session.rows(control, sql, &[]).await {
        Ok(rows) => Some(rows.iter().filter_map(|row| row.get(0)).collect()),
        Err(failure) if failure.class == Class::Statement => None,
        Err(failure) => return Err(failure),
    };
    session.batch(control, "ROLLBACK TO SAVEPOINT migrations").await?;
    Ok(names)
}

fn applied(framework: &str, table: String, ids: Vec<String>) -> Migrations {
    let mut sorted = ids.clone();
    sorted.sort();
    let mut hash = Sha256::new();
    for id in &sorted {
        hash.update(id.as_bytes());
        hash.update(b"\n");
    }
    Migrations {
        framework: framework.to_owned(),
        table,
        count: ids.len() as u64,
        latest: ids.last().cloned(),
        hash: hex(&hash.finalize()),
        ids,
    }
}
