//! What frameworks say they have applied. A table is recognised by its name and its columns, in any
//! schema; its rows are judged here, not in SQL: a query of ours would plan, and planning runs
//! functions that the table's owner has put into an index (the server's
//! `RelationGetIndexExpressions()` evaluates them), with our rights.
//!
//! In: the cells of the rows as the server writes them. Out: the names of migrations, in the order
//! in which they were applied: `app.name` for Django, `file::id::author` for Liquibase, name or
//! version elsewhere. Must hold: a table that is not as the framework makes it gives nothing.

mod known;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub use known::FRAMEWORKS;

/// No framework keeps more migrations than this; a table with more is cut.
pub const NAMES_MAX: usize = 50_000;

/// Bytes of a cell. The longest that a framework allows are the 1000 characters of Flyway.
pub const CELL_MAX: usize = 8192;

/// Bytes of a table that is read at all, dead rows included; what it stores out of line has a
/// limit of its own, because it may be compressed.
pub const TABLE_MAX: u64 = 8 << 20;

/// Bytes of what is stored out of line.
pub const TOAST_MAX: u64 = 256 << 10;

/// Bytes of all cells that are read: what a table stores may be compressed.
pub const CELLS_MAX: usize = 64 << 20;

/// Tables that are read: some applications have one for each of their tenants.
pub const TABLES_MAX: i64 = 1000;

/// Columns that hold the name of a migration in a table that a setting names, the best first.
const NAME_COLUMNS: &[&str] =
    &["name", "migration_name", "migration", "filename", "version", "version_num", "id"];

/// How one framework keeps its migrations.
#[derive(Debug, Clone, Copy)]
pub struct Framework {
    pub name: &'static str,
    pub table: &'static str,
    /// Columns that must exist; they also tell apart frameworks that share a table name.
    columns: &'static [&'static str],
    /// Columns that must not exist.
    without: &'static [&'static str],
    /// Those that are read.
    read: &'static [&'static str],
    /// The one that says the order.
    order: &'static str,
    judge: fn(&Cells<'_>) -> Mark,
}

/// What one row says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mark {
    Applied(String),
    /// It was applied, and is no longer.
    Undone(String),
    /// Nothing about a migration.
    Ignored,
    /// Not as the framework writes it.
    Malformed,
}

/// How a table is read.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Name of the framework, or `custom`.
    pub framework: &'static str,
    /// The columns to read.
    pub columns: Vec<&'static str>,
    order: &'static str,
    judge: fn(&Cells<'_>) -> Mark,
}

/// One row: a cell for each column that is read, None for NULL, booleans as `t` and `f`.
pub type Row = Vec<Option<String>>;

/// A row with the names of its columns.
struct Cells<'a> {
    columns: &'a [&'static str],
    row: &'a [Option<String>],
}

impl Cells<'_> {
    fn get(&self, column: &str) -> Option<&str> {
        let place = self.columns.iter().position(|name| *name == column)?;
        self.row.get(place)?.as_deref()
    }

    fn flag(&self, column: &str) -> Option<bool> {
        match self.get(column)? {
            "t" => Some(true),
            "f" => Some(false),
            _ => None,
        }
    }
}

/// How to read a table with these columns; None when it is neither a framework's nor `named` by
/// the setting (`table` or `schema.table`).
pub fn reading(schema: &str, table: &str, columns: &[String], named: &str) -> Option<Reading> {
    let has = |name: &&str| columns.iter().any(|column| column == name);
    let fits = |framework: &&Framework| {
        framework.table == table
            && framework.columns.iter().chain(framework.read).all(&has)
            && !framework.without.iter().any(&has)
    };
    if let Some(found) = FRAMEWORKS.iter().find(fits) {
        let Framework { name, read, order, judge, .. } = *found;
        // COPY takes each column once.
        let mut columns = read.to_vec();
        columns.dedup();
        return Some(Reading { framework: name, columns, order, judge });
    }
    let is_named = named == table || named.strip_prefix(schema) == Some(&format!(".{table}"));
    let is_named = is_named && !named.is_empty();
    let column = NAME_COLUMNS.iter().copied().find(|name| has(name)).filter(|_| is_named)?;
    let judge = |cells: &Cells<'_>| applied(cells.row.first().and_then(Option::as_deref));
    Some(Reading { framework: "custom", columns: vec![column], order: column, judge })
}

/// Names of tables to look for, beside the one that a setting names.
pub fn tables() -> Vec<&'static str> {
    FRAMEWORKS.iter().map(|framework| framework.table).collect()
}

impl Reading {
    /// The names that rows in any order give; None when one of them is not as it should be.
    pub fn names(&self, mut rows: Vec<Row>) -> Option<Vec<String>> {
        rows.sort_by_cached_key(|row| key(self.cells(row).get(self.order)));
        let mut last = HashMap::new();
        for (place, row) in rows.iter().enumerate() {
            match (self.judge)(&self.cells(row)) {
                Mark::Applied(name) => drop(last.insert(name, place)),
                Mark::Undone(name) => drop(last.remove(&name)),
                Mark::Ignored => {}
                Mark::Malformed => return None,
            }
        }
        let mut names: Vec<(usize, String)> = last.into_iter().map(|(n, p)| (p, n)).collect();
        names.sort();
        names.truncate(NAMES_MAX);
        Some(names.into_iter().map(|(_, name)| name).collect())
    }

    fn cells<'a>(&'a self, row: &'a [Option<String>]) -> Cells<'a> {
        Cells { columns: &self.columns, row }
    }
}

/// Numbers by value, before texts.
fn key(cell: Option<&str>) -> (bool, i128, String) {
    let text = cell.unwrap_or_default();
    match text.parse() {
        Ok(number) => (false, number, String::new()),
        Err(_) => (true, 0, text.to_owned()),
    }
}

fn applied(name: Option<&str>) -> Mark {
    name.map_or(Mark::Ignored, |name| Mark::Applied(name.to_owned()))
}

fn applied_if(flag: Option<bool>, name: Option<&str>) -> Mark {
    match flag {
        Some(true) => applied(name),
        Some(false) => Mark::Ignored,
        None => Mark::Malformed,
    }
}

fn joined(parts: &[Option<&str>], between: &str) -> Mark {
    let parts: Option<Vec<&str>> = parts.iter().copied().collect();
    parts.map_or(Mark::Ignored, |parts| Mark::Applied(parts.join(between)))
}
