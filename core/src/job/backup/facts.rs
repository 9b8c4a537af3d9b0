//! What the manifest says about the database, asked under the dump's snapshot while pg_dump runs,
//! and the manifest itself, once the dump is counted.

use chrono::Utc;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::Work;
use super::dump::Dumped;
use super::snapshot::Locked;
use crate::catalog::facts::{DATABASE, NAMES, SERVER, TIMESCALE_JOBS};
use crate::catalog::migrations::{CANDIDATES, FRAMEWORKS, custom_query, query, recognise};
use crate::decide::format::Format;
use crate::decide::manifest::{
    Application, Dump, FORMAT, Facts, Manifest, Migrations, Span, TableCount, Tools,
};
use crate::decide::toc::{self, TocEntry};
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

/// The manifest, all but the members that follow it. Takes the counts out of `dumped`.
pub fn manifest(work: &Work<'_>, locked: &Locked, dumped: &mut Dumped) -> Result<Manifest> {
    let backup = work.backup;
    let counts = std::mem::take(&mut dumped.counts);
    let gathered = &dumped.gathered;
    let tables = match backup.format {
        Format::Directory => {
            let text = String::from_utf8_lossy(dumped.contents.as_deref().unwrap_or_default());
            let facts = &gathered.facts;
            by_dump_id(&toc::parse(&text, &facts.schemas, &facts.roles), &counts.data_files)?
        }
        Format::Custom | Format::Plain => counts.tables.into_iter().map(count).collect(),
    };
    Ok(Manifest {
        format: FORMAT,
        id: work.id,
        created_at: Span { start: work.started, end: Utc::now() },
        comment: backup.comment.clone(),
        origin: backup.origin.clone(),
        dump: Dump {
            format: backup.format.as_str().to_owned(),
            compression: backup.compression.to_string(),
            jobs: backup.jobs,
            schemas: backup.schemas.clone(),
            tables: backup.tables.clone(),
            exclude_tables: backup.exclude_tables.clone(),
            exclude_table_data: backup.exclude_table_data.clone(),
            locked_first: locked.locked_first,
        },
        facts: gathered.facts.clone(),
        tools: Tools {
            pg_backup: env!("CARGO_PKG_VERSION").to_owned(),
            pg_dump: gathered.pg_dump_version.clone(),
        },
        tables,
        migrations: gathered.migrations.clone(),
        application: Application {
            version: backup.application.version.clone(),
            encryption_key_ids: backup.application.encryption_key_ids.clone(),
        },
        warnings: dumped.warnings.clone(),
        members: Vec::new(),
    })
}

fn count(rows: crate::decide::copy_rows::TableRows) -> TableCount {
    TableCount { schema: rows.schema, name: rows.name, rows: rows.rows, bytes: rows.bytes }
}

/// Names for the data files of a directory-format dump. An entry without its file is a dump that
/// is not whole.
fn by_dump_id(
    entries: &[TocEntry],
    files: &std::collections::HashMap<u32, (u64, u64)>,
) -> Result<Vec<TableCount>> {
    let data = entries.iter().filter(|entry| entry.kind == "TABLE DATA");
    let count = |entry: &TocEntry| {
        let (rows, bytes) = files.get(&entry.dump_id).copied().ok_or_else(|| {
            Failure::new(Class::Damaged, format!("the dump holds no data of \"{}\"", entry.name))
                .hint("pg_dump stopped early without saying so.")
        })?;
        let schema = entry.schema.clone().unwrap_or_default();
        Ok(TableCount { schema, name: entry.name.clone(), rows, bytes })
    };
    data.map(count).collect()
}
