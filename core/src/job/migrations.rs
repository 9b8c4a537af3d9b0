//! What a database says of its migrations: read for the manifest of a backup, and to compare a
//! backup with the database that it is to replace.

use sha2::{Digest, Sha256};

use crate::catalog::migrations::{CANDIDATES, FRAMEWORKS, custom_query, query, recognise};
use crate::decide::manifest::Migrations;
use crate::error::{Class, Result};
use crate::host::archive::hex;
use crate::host::control::Control;
use crate::host::server::Server;

/// What every framework says has been applied. A table that cannot be read is left out: the
/// backup matters more.
pub async fn applied_migrations(
    control: &dyn Control,
    session: &Server,
    named: &str,
) -> Result<Vec<Migrations>> {
    let tables: Vec<&str> = FRAMEWORKS.iter().map(|framework| framework.table).collect();
    let rows = session.rows(control, CANDIDATES, &[&tables, &named]).await?;
    let mut found = Vec::new();
    for row in rows {
        let (schema, table): (String, String) = (row.get(0), row.get(1));
        let columns: Vec<String> = row.get(2);
        let (framework, sql) = match recognise(&table, &columns) {
            Some(framework) => (framework.name, Some(query(framework, &schema, &table))),
            None => ("custom", custom_query(&schema, &table, &columns)),
        };
        let is_named = named == table || named == format!("{schema}.{table}");
        let Some(sql) = sql.filter(|_| framework != "custom" || is_named) else { continue };
        if let Some(ids) = ids(control, session, &sql).await? {
            found.push(applied(framework, format!("{schema}.{table}"), ids));
        }
    }
    Ok(found)
}

/// The names in one table; None when its query fails. The snapshot's transaction goes on.
async fn ids(control: &dyn Control, session: &Server, sql: &str) -> Result<Option<Vec<String>>> {
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
