//! What a restore of some tables asks the new database, when it has everything but rows: which
//! relations are chosen, what goes along with them, and what stands in the way of the rest.

use crate::decide::pattern::{schema_pattern, table_pattern};
use crate::decide::request::Restore;
use crate::error::Result;

/// Patterns of a request as regular expressions, `$1` to `$3` of the queries here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Patterns {
    pub schemas: Vec<String>,
    /// Schema of each table pattern; empty for any.
    pub table_schemas: Vec<String>,
    pub tables: Vec<String>,
}

impl Patterns {
    /// Those of `restore`. Errors: one that is none.
    pub fn new(restore: &Restore) -> Result<Patterns> {
        let mut patterns = Patterns::default();
        for text in &restore.schemas {
            patterns.schemas.push(schema_pattern(text)?.name);
        }
        for text in &restore.tables {
            let pattern = table_pattern(text)?;
            patterns.table_schemas.push(pattern.schema.unwrap_or_default());
            patterns.tables.push(pattern.name);
        }
        Ok(patterns)
    }
}

/// How many of the names `$4` (schemas) and `$5` (relations) each pattern matches, and its number
/// among those of its kind (`schema` or `table`), from 1.
pub const MATCHES: &str = "
WITH relation AS (
    SELECT * FROM ROWS FROM (pg_catalog.unnest($4::text[]),
                             pg_catalog.unnest($5::text[])) r(nsp, rel))
SELECT 'schema', p.number, (SELECT pg_catalog.count(*) FROM relation WHERE nsp ~ p.s)
  FROM pg_catalog.unnest($1::text[]) WITH ORDINALITY p(s, number)
UNION ALL
SELECT 'table', p.number, (SELECT pg_catalog.count(*) FROM relation
                   WHERE rel ~ p.r AND (p.s = '' OR nsp ~ p.s))
  FROM ROWS FROM (pg_catalog.unnest($2::text[]), pg_catalog.unnest($3::text[]))
       WITH ORDINALITY p(s, r, number)";

/// Those of the names `$4` (schemas) and `$5` (relations) that a pattern matches.
pub const MATCHED: &str = "
SELECT r.nsp, r.rel
  FROM ROWS FROM (pg_catalog.unnest($4::text[]), pg_catalog.unnest($5::text[])) r(nsp, rel)
 WHERE EXISTS (SELECT FROM pg_catalog.unnest($1::text[]) p WHERE r.nsp ~ p)
    OR EXISTS (SELECT FROM ROWS FROM (pg_catalog.unnest($2::text[]),
                                      pg_catalog.unnest($3::text[])) p(s, r)
                WHERE rel ~ p.r AND (p.s = '' OR nsp ~ p.s))";

/// Every relation of the users, and whether it is chosen: those that a pattern matches, their
/// children and partitions, and the sequences that they own or whose values they take. What belongs
/// to an extension comes with the extension.
pub const RELATIONS: &str = "
WITH RECURSIVE relation AS (
    SELECT c.oid, n.nspname, c.relname, c.relkind
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p', 'm', 'f', 'v', 'S') AND c.relpersistence <> 't'
       AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
                          AND d.deptype = 'e')),
along AS (
    SELECT inhparent AS of_id, inhrelid AS id FROM pg_catalog.pg_inherits
    UNION ALL
    SELECT d.refobjid, d.objid FROM pg_catalog.pg_depend d
      JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S'
     WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i')
       AND d.refclassid = 'pg_catalog.pg_class'::regclass
    UNION ALL
    SELECT a.adrelid, d.refobjid FROM pg_catalog.pg_attrdef a
      JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::regclass
           AND d.objid = a.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
      JOIN pg_catalog.pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'),
chosen AS (
    SELECT oid FROM relation r
     WHERE EXISTS (SELECT FROM pg_catalog.unnest($1::text[]) p
                    WHERE r.nspname::text COLLATE pg_catalog.default ~ p)
        OR EXISTS (SELECT FROM ROWS FROM (pg_catalog.unnest($2::text[]),
                                          pg_catalog.unnest($3::text[])) p(s, r)
                    WHERE relname::text COLLATE pg_catalog.default ~ p.r
                      AND (p.s = '' OR nspname::text COLLATE pg_catalog.default ~ p.s))
    UNION
    SELECT along.id FROM chosen JOIN along ON along.of_id = chosen.oid)
SELECT r.oid, r.nspname::text, r.relname::text, r.relkind::text,
       r.oid IN (SELECT oid FROM chosen),
       (SELECT pg_catalog.quote_ident(pn.nspname) || '.' || pg_catalog.quote_ident(p.relname)
          FROM pg_catalog.pg_inherits i
          JOIN pg_catalog.pg_class k ON k.oid = i.inhrelid AND k.relispartition
          JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
          JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
         WHERE i.inhrelid = r.oid AND p.oid NOT IN (SELECT oid FROM chosen)),
       (SELECT d.refobjid FROM pg_catalog.pg_depend d
         WHERE r.relkind = 'S' AND d.objid = r.oid AND d.deptype IN ('a', 'i')
           AND d.classid = 'pg_catalog.pg_class'::regclass
           AND d.refclassid = 'pg_catalog.pg_class'::regclass LIMIT 1),
       pg_catalog.pg_get_userbyid(
           (SELECT relowner FROM pg_catalog.pg_class WHERE oid = r.oid))::text,
       EXISTS (SELECT FROM pg_catalog.pg_depend d
                WHERE r.relkind = 'S' AND d.objid = r.oid AND d.deptype = 'i'
                  AND d.classid = 'pg_catalog.pg_class'::regclass)
  FROM relation r ORDER BY r.oid";

/// Materialized views among `$1` whose query reads a relation with rows that is not in `$1`.
pub const INCOMPLETE: &str = "
WITH RECURSIVE reads AS (
    SELECT w.ev_class AS view, d.refobjid AS id FROM pg_catalog.pg_rewrite w
      JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass
           AND d.objid = w.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
     WHERE d.refobjid <> w.ev_class),
needs AS (
    SELECT view, id FROM reads
    UNION
    SELECT needs.view, reads.id FROM needs JOIN reads ON reads.view = needs.id)
SELECT DISTINCT needs.view FROM needs JOIN pg_catalog.pg_class c ON c.oid = needs.id
 WHERE needs.view = ANY ($1::oid[]) AND NOT needs.id = ANY ($1::oid[])
   AND c.relkind IN ('r', 'p', 'm', 'f')";

/// Materialized views with rows whose query calls a function that may read a relation: nobody knows
/// which. What is immutable reads none; what an extension brings, or the server, reads its own.
pub const CALLING: &str = "
WITH RECURSIVE uses AS (
    SELECT w.ev_class AS view, d.refclassid, d.refobjid FROM pg_catalog.pg_rewrite w
      JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::regclass
           AND d.objid = w.oid AND d.refobjid <> w.ev_class),
needs AS (
    SELECT view, refclassid, refobjid FROM uses
    UNION
    SELECT needs.view, uses.refclassid, uses.refobjid FROM needs JOIN uses
        ON needs.refclassid = 'pg_catalog.pg_class'::regclass AND uses.view = needs.refobjid)
SELECT DISTINCT n.nspname || '.' || c.relname
  FROM needs JOIN pg_catalog.pg_class c ON c.oid = needs.view AND c.relkind = 'm'
       AND c.relispopulated
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_proc f ON needs.refclassid = 'pg_catalog.pg_proc'::regclass
       AND f.oid = needs.refobjid AND f.provolatile <> 'i'
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend e
                    WHERE e.classid = 'pg_catalog.pg_proc'::regclass AND e.objid = f.oid
                      AND e.deptype = 'e')
 ORDER BY 1";

/// Names of the schemas and the roles that there are, as a table of contents may show them.
pub const KNOWN_NAMES: &str = "
SELECT ARRAY(SELECT nspname::text FROM pg_catalog.pg_namespace),
       ARRAY(SELECT rolname::text FROM pg_catalog.pg_roles)";

/// Makes a partition a table of its own; both as SQL.
pub fn detach_partition(parent: &str, partition: &str) -> String {
    format!("ALTER TABLE {parent} DETACH PARTITION {partition}")
}

/// Makes a sequence one of its own.
pub fn disown_sequence(sequence: &str) -> String {
    format!("ALTER SEQUENCE {sequence} OWNED BY NONE")
}

/// What fails in this session is nothing for the server's log.
pub const LOG_NOTHING: &str = "SET log_min_messages = panic";

/// Drops a relation of the given `relkind`, by its name as SQL, unless something needs it.
pub fn drop_relation(kind: &str, name: &str) -> String {
    format!("DROP {} IF EXISTS {name} RESTRICT", word(kind))
}

fn word(kind: &str) -> &'static str {
    match kind {
        "m" => "MATERIALIZED VIEW",
        "f" => "FOREIGN TABLE",
        "v" => "VIEW",
        "S" => "SEQUENCE",
        _ => "TABLE",
    }
}
