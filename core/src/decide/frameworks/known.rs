//! The frameworks that are known, by the tables that they make.

use super::{Cells, Framework, Mark, applied, applied_if, joined};

/// A framework whose rows are what has been applied, one column its name.
macro_rules! simple {
    ($name:literal, $table:literal, $columns:expr, $column:literal, $order:literal) => {
        Framework {
            name: $name,
            table: $table,
            columns: $columns,
            without: &[],
            read: &[$column, $order],
            order: $order,
            judge: |c| applied(c.get($column)),
        }
    };
}

/// All of them. Of those that share the name of a table, the columns decide.
pub const FRAMEWORKS: &[Framework] = &[
    Framework {
        name: "django",
        table: "django_migrations",
        columns: &["applied"],
        without: &[],
        read: &["id", "app", "name"],
        order: "id",
        judge: |c| joined(&[c.get("app"), c.get("name")], "."),
    },
    Framework {
        without: &["dirty", "inserted_at"],
        ..simple!("rails", "schema_migrations", &[], "version", "version")
    },
    simple!("ecto", "schema_migrations", &["inserted_at"], "version", "version"),
    Framework {
        name: "golang-migrate",
        table: "schema_migrations",
        columns: &[],
        without: &[],
        read: &["version", "dirty"],
        order: "version",
        judge: |c| applied_if(c.flag("dirty").map(|dirty| !dirty), c.get("version")),
    },
    Framework {
        name: "prisma",
        table: "_prisma_migrations",
        columns: &["started_at", "checksum"],
        without: &[],
        read: &["migration_name", "finished_at", "rolled_back_at"],
        // Prisma applies them in the order of their names.
        order: "migration_name",
        judge: prisma,
    },
    simple!("drizzle", "__drizzle_migrations", &["created_at"], "hash", "id"),
    simple!("alembic", "alembic_version", &[], "version_num", "version_num"),
    Framework {
        name: "flyway",
        table: "flyway_schema_history",
        columns: &["checksum"],
        without: &[],
        read: &["installed_rank", "version", "type", "script", "success"],
        order: "installed_rank",
        judge: flyway,
    },
    Framework {
        name: "liquibase",
        table: "databasechangelog",
        columns: &["dateexecuted"],
        without: &[],
        read: &["orderexecuted", "filename", "id", "author", "exectype"],
        order: "orderexecuted",
        judge: liquibase,
    },
    Framework {
        name: "sqlx",
        table: "_sqlx_migrations",
        columns: &["checksum"],
        without: &[],
        read: &["version", "success"],
        order: "version",
        judge: |c| applied_if(c.flag("success"), c.get("version")),
    },
    simple!("diesel", "__diesel_schema_migrations", &["run_on"], "version", "version"),
    simple!("knex", "knex_migrations", &["batch"], "name", "id"),
    simple!("laravel", "migrations", &["batch"], "migration", "id"),
    simple!("typeorm", "migrations", &["timestamp"], "name", "id"),
    simple!("sequelize", "SequelizeMeta", &[], "name", "name"),
    simple!("efcore", "__EFMigrationsHistory", &["ProductVersion"], "MigrationId", "MigrationId"),
    Framework {
        name: "goose",
        table: "goose_db_version",
        columns: &["tstamp"],
        without: &[],
        read: &["id", "version_id", "is_applied"],
        order: "id",
        judge: goose,
    },
];

fn prisma(c: &Cells<'_>) -> Mark {
    match (c.get("finished_at"), c.get("rolled_back_at")) {
        (Some(_), None) => applied(c.get("migration_name")),
        _ => Mark::Ignored,
    }
}

/// What was undone has a row of its own, of a type that begins with `UNDO`. A repeatable migration
/// has no version.
fn flyway(c: &Cells<'_>) -> Mark {
    let name = c.get("version").or(c.get("script"));
    match (applied_if(c.flag("success"), name), c.get("type")) {
        (Mark::Applied(name), Some(kind)) if kind.starts_with("UNDO") => Mark::Undone(name),
        (mark, _) => mark,
    }
}

/// What has failed, where its author said that this does not matter, is recorded too.
fn liquibase(c: &Cells<'_>) -> Mark {
    match c.get("exectype") {
        Some("FAILED" | "SKIPPED") => Mark::Ignored,
        _ => joined(&[c.get("filename"), c.get("id"), c.get("author")], "::"),
    }
}

/// The row of version 0 is made with the table. Older versions of goose write a row for what was
/// undone.
fn goose(c: &Cells<'_>) -> Mark {
    match (c.flag("is_applied"), c.get("version_id")) {
        (None, _) => Mark::Malformed,
        (_, None | Some("0")) => Mark::Ignored,
        (Some(true), version) => applied(version),
        (Some(false), Some(version)) => Mark::Undone(version.to_owned()),
    }
}
