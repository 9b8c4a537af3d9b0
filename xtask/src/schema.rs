//! The SQL of CREATE EXTENSION, read from the shared library itself.
//!
//! In: the .so, whose section `.pgrxsc` holds the entities that pgrx's macros described. Out: SQL.
//! Must hold: the same source gives the same SQL, on every machine and in every run: comments carry
//! no path of the machine that built it, and the order follows from the source alone.

use crate::Result;
use object::{Object, ObjectSection};
use pgrx_sql_entity_graph::section::{decode_entities, is_schema_section_name};
use pgrx_sql_entity_graph::{ControlFile, PgrxSql, SqlGraphEntity, ToSql};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What PostgreSQL's own extensions begin with; CREATE EXTENSION skips the line.
const HEADER: &str = "\
/* Generated from pg_backup.so, where pgrx left the description of every object. */
\\echo Use \"CREATE EXTENSION pg_backup\" to load this file. \\quit
";

/// The install script for the extension described by `control`, version marks replaced.
///
/// # Errors
/// The library is not an ELF file, was stripped of the section, or was made by another pgrx.
pub fn install_script(library: &Path, control: &str, root: &Path) -> Result<String> {
    let data = std::fs::read(library)
        .map_err(|error| format!("could not read \"{}\": {error}", library.display()))?;
    let object = object::File::parse(&*data)?;
    let section = object
        .sections()
        .find(|section| section.name().is_ok_and(is_schema_section_name))
        .ok_or_else(|| format!("\"{}\" has no section .pgrxsc", library.display()))?;
    let mut entities = vec![SqlGraphEntity::ExtensionRoot(ControlFile::from_str(control)?)];
    entities.extend(decode_entities(section.data()?)?);
    let sql = in_order(&PgrxSql::build(entities.into_iter(), "pg_backup".into(), false)?)?;
    Ok(without_machine_paths(&sql, root))
}

/// The objects, each after those that it needs, else in the order of the source. pgrx's own order
/// is as valid, but another one in every run; it is taken where objects need each other in a
/// circle.
fn in_order(sql: &PgrxSql) -> Result<String> {
    let graph = &sql.graph;
    let mut missing: BTreeMap<_, usize> = graph.node_indices().map(|node| (node, 0)).collect();
    for dependent in graph.node_indices().flat_map(|node| graph.neighbors(node)) {
        *missing.entry(dependent).or_default() += 1;
    }
    let mut ready: BTreeSet<_> =
        missing.iter().filter(|&(_, &count)| count == 0).map(|(&node, _)| node).collect();
    let mut out = HEADER.to_owned();
    let mut done = 0;
    while let Some(node) = ready.pop_first() {
        done += 1;
        let is_root = matches!(graph[node], SqlGraphEntity::ExtensionRoot(_));
        let text = if is_root { String::new() } else { graph[node].to_sql(sql)? };
        if !text.trim().is_empty() {
            out.push_str(&format!("\n{}\n", text.trim()));
        }
        for dependent in graph.neighbors(node) {
            let count = missing.entry(dependent).or_default();
            *count -= 1;
            if *count == 0 {
                ready.insert(dependent);
            }
        }
    }
    if done < missing.len() { Ok(sql.to_sql()?) } else { Ok(out) }
}

/// pgrx writes `-- file:line` above each object. Paths inside the workspace become relative; the
/// lines that name a file elsewhere (a registry, another checkout) go.
fn without_machine_paths(sql: &str, root: &Path) -> String {
    let prefix = format!("-- {}/", root.display());
    let mut out = String::with_capacity(sql.len());
    for line in sql.lines() {
        match line.strip_prefix(&prefix) {
            Some(relative) => out.push_str(&format!("-- {relative}")),
            None if line.starts_with("-- /") => continue,
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::without_machine_paths;
    use std::path::Path;

    #[test]
    fn comments_keep_relative_paths_and_lose_absolute_ones() {
        let sql = "-- /home/me/pg/src/a.rs:3\n-- /reg/x.rs:1\n-- src/b.rs:9\nSELECT '-- /x';\n";
        let clean = without_machine_paths(sql, Path::new("/home/me/pg"));
        assert_eq!(clean, "-- src/a.rs:3\n-- src/b.rs:9\nSELECT '-- /x';\n");
    }
}
