//! The SQL of CREATE EXTENSION, read from the shared library itself.
//!
//! In: the .so, whose section `.pgrxsc` holds the entities that pgrx's macros described. Out: SQL.
//! Must hold: the same source gives the same SQL on every machine, so comments carry no path of
//! the machine that built it.

use crate::Result;
use object::{Object, ObjectSection};
use pgrx_sql_entity_graph::section::{decode_entities, is_schema_section_name};
use pgrx_sql_entity_graph::{ControlFile, PgrxSql, SqlGraphEntity};
use std::path::Path;

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
    let sql = PgrxSql::build(entities.into_iter(), "pg_backup".into(), false)?.to_sql()?;
    Ok(without_machine_paths(&sql, root))
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
