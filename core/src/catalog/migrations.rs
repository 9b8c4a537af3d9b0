//! Where frameworks keep what they have applied. Found by the name of a table and its columns,
//! in any schema; read in the order of application. A migration is named `app.name` for Django,
//! by Liquibase's own `file::id::author`, and by its name or version elsewhere.

/// How one framework keeps its migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framework {
    pub name: &'static str,
    pub table: &'static str,
    /// Columns that must exist; they also tell apart frameworks that share a table name.
    pub columns: &'static [&'static str],
    /// Columns that must not exist.
    pub without: &'static [&'static str],
    /// SQL for the name of one migration.
    pub id: &'static str,
    /// SQL condition for what counts as applied.
    pub applied: &'static str,
    /// SQL for the order.
    pub order: &'static str,
}

const fn framework(
    name: &'static str,
    table: &'static str,
    columns: &'static [&'static str],
    id: &'static str,
    order: &'static str,
) -> Framework {
    Framework { name, table, columns, without: &[], id, applied: "true", order }
}

/// The frameworks that are known, by their documented tables.
pub const FRAMEWORKS: &[Framework] = &[
    framework(
        "django",
        "django_migrations",
        &["app", "name", "applied"],
        "app || '.' || name",
        "id",
    ),
    Framework {
        without: &["dirty"],
        ..framework("rails", "schema_migrations", &["version"], "version::text", "version")
    },
    Framework {
        applied: "NOT dirty",
        ..framework(
            "golang-migrate",
            "schema_migrations",
            &["version", "dirty"],
            "version::text",
            "version",
        )
    },
    Framework {
        applied: "finished_at IS NOT NULL AND rolled_back_at IS NULL",
        ..framework(
            "prisma",
            "_prisma_migrations",
            &["migration_name", "started_at", "finished_at", "rolled_back_at"],
            "migration_name",
            "started_at, migration_name",
        )
    },
    framework("drizzle", "__drizzle_migrations", &["id", "hash", "created_at"], "hash", "id"),
    framework("alembic", "alembic_version", &["version_num"], "version_num", "version_num"),
    Framework {
        applied: "success",
        ..framework(
            "flyway",
            "flyway_schema_history",
            &["installed_rank", "version", "script", "success"],
            "coalesce(version, script)",
            "installed_rank",
        )
    },
    framework(
        "liquibase",
        "databasechangelog",
        &["id", "author", "filename", "orderexecuted"],
        "filename || '::' || id || '::' || author",
        "orderexecuted",
    ),
    Framework {
        applied: "success",
        ..framework(
            "sqlx",
            "_sqlx_migrations",
            &["version", "success", "checksum"],
            "version::text",
            "version",
        )
    },
    framework(
        "diesel",
        "__diesel_schema_migrations",
        &["version", "run_on"],
        "version::text",
        "version",
    ),
    framework("knex", "knex_migrations", &["id", "name", "batch"], "name", "id"),
    Framework {
        applied: "is_applied AND version_id > 0 AND id = (SELECT max(g.id) FROM {table} g \
                  WHERE g.version_id = m.version_id)",
        ..framework(
            "goose",
            "goose_db_version",
            &["id", "version_id", "is_applied"],
            "version_id::text",
            "id",
        )
    },
];

/// No framework keeps more migrations than this; a table with more is cut.
const IDS_MAX: u32 = 50_000;

/// Columns that hold the name of a migration in a table that a setting names, the best first.
pub const NAME_COLUMNS: &[&str] =
    &["name", "migration_name", "migration", "filename", "version", "version_num", "id"];

/// Tables with the names in `$1`, or qualified as in `$2` (`schema.table`, may be empty), with
/// those of their columns that have a built-in type: a cast from a type of somebody else would
/// run its author's function with our rights.
pub const CANDIDATES: &str = "
SELECT n.nspname, c.relname, pg_catalog.array_agg(a.attname::text)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
                           AND y.typnamespace = 'pg_catalog'::pg_catalog.regnamespace
 WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
   AND (c.relname = ANY ($1) OR n.nspname || '.' || c.relname = $2 OR c.relname = $2)
 GROUP BY n.nspname, c.relname ORDER BY n.nspname, c.relname";

/// The framework that a table belongs to.
pub fn recognise(table: &str, columns: &[String]) -> Option<&'static Framework> {
    let has = |name: &&str| columns.iter().any(|column| column == name);
    FRAMEWORKS.iter().find(|framework| {
        framework.table == table
            && framework.columns.iter().all(&has)
            && !framework.without.iter().any(&has)
    })
}

/// The query for the names in a framework's table.
pub fn query(framework: &Framework, schema: &str, table: &str) -> String {
    let qualified = super::qualified(schema, table);
    let applied = framework.applied.replace("{table}", &qualified);
    format!(
        "SELECT ({})::text FROM {qualified} m WHERE {applied} ORDER BY {} LIMIT {IDS_MAX}",
        framework.id, framework.order
    )
}

/// The query for the names in a table that a setting names; None when no column fits.
pub fn custom_query(schema: &str, table: &str, columns: &[String]) -> Option<String> {
    let has = |name: &&&str| columns.iter().any(|column| column == *name);
    let column = super::ident(NAME_COLUMNS.iter().find(has)?);
    Some(format!(
        "SELECT {column}::text FROM {} WHERE {column} IS NOT NULL ORDER BY 1 LIMIT {IDS_MAX}",
        super::qualified(schema, table)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn rails_and_golang_migrate_are_told_apart_by_their_columns() {
        let name = |cols: &[&str]| recognise("schema_migrations", &columns(cols)).map(|f| f.name);
        assert_eq!(name(&["version"]), Some("rails"));
        assert_eq!(name(&["version", "dirty"]), Some("golang-migrate"));
        assert_eq!(name(&["other"]), None);
    }

    #[test]
    fn a_custom_table_is_read_by_its_best_column() {
        let sql = custom_query("s", "mine", &columns(&["id", "version"])).unwrap();
        assert!(sql.contains("\"version\"::text FROM \"s\".\"mine\""), "{sql}");
        assert_eq!(custom_query("s", "mine", &columns(&["when"])), None);
    }
}
