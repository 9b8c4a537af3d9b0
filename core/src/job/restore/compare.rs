//! Counts the rows of a restored database against the manifest.
//!
//! What must hold: a restore that lost a row, or has one too many, has not succeeded; but where the
//! dump itself says that more is done to the rows than the manifest knows, that is a warning.

use std::collections::HashMap;

use super::{Work, timescale};
use crate::catalog::restore::{DUMP_CONDITIONS, TREES, count};
use crate::decide::progress::Phase;
use crate::error::{Class, Failure, Result};
use crate::host::server::Server;

/// Schema and name of a table.
type Name = (String, String);

/// Tables whose rows are counted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The table, or the root of their tree.
    pub name: Name,
    pub tables: Vec<Name>,
    /// Of all of them, as the manifest says.
    pub rows: u64,
}

/// Compares every table.
pub async fn compare(work: &Work<'_>) -> Result<()> {
    work.phase(Phase::Verifying).await;
    let control = work.context.control;
    let session = work.session_in_target().await?;
    timescale::count_as_stored(work, &session, true).await?;
    let conditions = conditions(work, &session).await?;
    let mut wrong = Vec::new();
    for group in groups(work, &session).await? {
        let mut rows = 0;
        for table in &group.tables {
            let mut sql = count(&table.0, &table.1);
            if let Some(condition) = conditions.get(table) {
                sql.push(' ');
                sql.push_str(condition);
            }
            rows += session.one(control, &sql, &[]).await?.get::<_, i64>(0);
        }
        if rows != group.rows as i64 {
            let (schema, name) = &group.name;
            wrong.push(format!("{schema}.{name}: {rows} rows, not {}", group.rows));
        }
    }
    if let Some(first) = wrong.first() {
        let what = format!("{} tables differ; {first}", wrong.len());
        let dump = &work.manifest.dump;
        if !dump.by_hand && !dump.has_inserts {
            return Err(differs(&what));
        }
        let warning = format!("the script does more to the rows than load those it holds: {what}");
        work.history.warn(work.id, &[warning]).await?;
    }
    timescale::count_as_stored(work, &session, false).await
}

fn differs(what: &str) -> Failure {
    Failure::new(Class::Damaged, "the restored rows are not those of the manifest")
        .detail(format!("{what}."))
        .hint(
            "Something ran while the rows were loaded: a trigger or rule that is enabled ALWAYS, \
             or an event trigger. Look into the dump.",
        )
}

/// The tables of the manifest. A tree of partitions that the dump loads by its root is one group:
/// which rows are in which partition is not the manifest's to say.
pub async fn groups(work: &Work<'_>, session: &Server) -> Result<Vec<Group>> {
    // A script by hand may leave the schema to its own search_path: nobody knows which it was.
    let tables = work.manifest.tables.iter().filter(|table| !table.schema.is_empty());
    let (schemas, names): (Vec<&str>, Vec<&str>) =
        tables.clone().map(|table| (table.schema.as_str(), table.name.as_str())).unzip();
    let mut roots: HashMap<Name, Name> = HashMap::new();
    let mut trees: HashMap<Name, (bool, Group)> = HashMap::new();
    for row in session.rows(work.context.control, TREES, &[&schemas, &names]).await? {
        let (root, table): (Name, Name) = ((row.get(0), row.get(1)), (row.get(2), row.get(3)));
        let empty = || (false, Group { name: root.clone(), tables: Vec::new(), rows: 0 });
        let (_, tree) = trees.entry(root.clone()).or_insert_with(empty);
        if row.get(4) {
            tree.tables.push(table.clone());
        }
        roots.insert(table, root);
    }
    let mut groups = Vec::new();
    for table in tables {
        let name = (table.schema.clone(), table.name.clone());
        match roots.get(&name).and_then(|root| trees.get_mut(root)) {
            Some((is_counted, tree)) => {
                *is_counted = true;
                tree.rows += table.rows;
            }
            None => groups.push(Group { tables: vec![name.clone()], name, rows: table.rows }),
        }
    }
    groups.extend(trees.into_values().filter_map(|(is_counted, tree)| is_counted.then_some(tree)));
    Ok(groups)
}

/// Tables of extensions hold rows of their own beside those that were dumped: which were is a
/// condition that the extension has given to pg_dump.
async fn conditions(
    work: &Work<'_>,
    session: &Server,
) -> Result<HashMap<(String, String), String>> {
    let rows = session.rows(work.context.control, DUMP_CONDITIONS, &[]).await?;
    Ok(rows.iter().map(|row| ((row.get(0), row.get(1)), row.get(2))).collect())
}
