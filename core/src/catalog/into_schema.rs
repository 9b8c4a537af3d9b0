//! What putting tables into a schema of a live database asks of both sides.

/// Whether the schema `$1` is there.
pub const SCHEMA_EXISTS: &str =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)";

/// Whether the schema `$1` is the one that says `$2` of itself.
pub const SCHEMA_SAYS: &str = "
SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace
                WHERE nspname = $1 AND pg_catalog.obj_description(oid, 'pg_namespace') = $2)";

/// Sessions in the database `$1` that are called `$2`.
pub const SESSIONS: &str = "
SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
 WHERE datname = $1 AND application_name = $2";

/// Parents that are not among `$1` of the tables `$1`: child and parent, as SQL.
pub const OTHER_PARENTS: &str = "
SELECT pg_catalog.quote_ident(cn.nspname) || '.' || pg_catalog.quote_ident(c.relname),
       pg_catalog.quote_ident(pn.nspname) || '.' || pg_catalog.quote_ident(p.relname)
  FROM pg_catalog.pg_inherits i
  JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND NOT c.relispartition
  JOIN pg_catalog.pg_namespace cn ON cn.oid = c.relnamespace
  JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
  JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
 WHERE i.inhrelid = ANY ($1::oid[]) AND NOT i.inhparent = ANY ($1::oid[])";

/// What a type `t` is, so that two databases can be compared. What a domain does not promise of its
/// values is not compared: pg_dump makes such a constraint behind the rows.
const DEFINITION: &str = "
CASE t.typtype
    WHEN 'e' THEN (SELECT pg_catalog.string_agg(pg_catalog.quote_literal(e.enumlabel), ', '
                                                ORDER BY e.enumsortorder)
                     FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid)
    WHEN 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) || ' ' || t.typnotnull || ' '
                  || coalesce((SELECT pg_catalog.string_agg(pg_catalog.pg_get_constraintdef(k.oid),
                                                            ', ' ORDER BY k.conname)
                                 FROM pg_catalog.pg_constraint k
                                WHERE k.contypid = t.oid AND k.convalidated), '')
    WHEN 'c' THEN (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(a.attname) || ' '
                              || pg_catalog.format_type(a.atttypid, a.atttypmod), ', '
                              ORDER BY a.attnum)
                     FROM pg_catalog.pg_attribute a
                    WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped)
    ELSE t.typtype::text
END";

/// Types of the users that columns of the tables `$1` are made of, however deep: schema, name,
/// definition. Arrays come with their elements; rows of the tables themselves with these.
pub fn used_types() -> String {
    format!(
        "WITH RECURSIVE used AS (
    SELECT atttypid AS id FROM pg_catalog.pg_attribute
     WHERE attrelid = ANY ($1::oid[]) AND attnum > 0 AND NOT attisdropped
    UNION
    SELECT x.id FROM used JOIN pg_catalog.pg_type t ON t.oid = used.id CROSS JOIN LATERAL (
        SELECT t.typelem UNION ALL SELECT t.typbasetype
        UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid
        UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a
                   WHERE t.typrelid <> 0 AND a.attrelid = t.typrelid AND a.attnum > 0
                     AND NOT a.attisdropped) x(id))
SELECT n.nspname::text, t.typname::text, coalesce({DEFINITION}, '')
  FROM used JOIN pg_catalog.pg_type t ON t.oid = used.id
  JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
 WHERE n.nspname <> 'pg_catalog' AND NOT (t.typlen = -1 AND t.typelem <> 0)
   AND NOT t.typrelid = ANY ($1::oid[])
 ORDER BY 1, 2"
    )
}

/// The same for the types of the schemas `$1` and names `$2`, as they are here.
pub fn types_by_name() -> String {
    format!(
        "SELECT n.nspname::text, t.typname::text, coalesce({DEFINITION}, '')
  FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) w(nsp, typ)
  JOIN pg_catalog.pg_namespace n ON n.nspname = w.nsp
  JOIN pg_catalog.pg_type t ON t.typnamespace = n.oid AND t.typname = w.typ"
    )
}

/// Makes a table no child of a parent any more; both as SQL.
pub fn no_inherit(child: &str, parent: &str) -> String {
    format!("ALTER TABLE {child} NO INHERIT {parent}")
}

/// Gathers statistics of tables, given as SQL.
pub fn analyze_tables(tables: &[String]) -> String {
    format!("ANALYZE {}", tables.join(", "))
}
