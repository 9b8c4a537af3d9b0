//! Tables that have the name of a framework's and are something else: made by a user who wishes
//! that a superuser reads them.
//!
//! Must hold: nothing of theirs runs, and nothing of theirs makes a list slow or fail.

use pg_backup_tests::{Cluster, LIMIT};
use std::time::Instant;

const BADGE: &str = "SELECT compatibility FROM backup_list ORDER BY id LIMIT 1";

/// A role that may make tables, and its function: a trap for whoever runs it.
fn mallory(cluster: &Cluster) -> postgres::Client {
    cluster.sql("postgres", "CREATE ROLE mallory LOGIN; GRANT CREATE ON SCHEMA public TO mallory");
    let mut mallory = cluster.connect_as("postgres", "mallory");
    mallory
        .batch_execute(
            "CREATE TABLE sprung (by text); GRANT INSERT ON sprung TO PUBLIC; \
             CREATE FUNCTION public.note() RETURNS int LANGUAGE plpgsql VOLATILE AS \
               $$ BEGIN IF current_user <> 'mallory' THEN INSERT INTO sprung VALUES (current_user); \
                  END IF; RETURN 1; END $$; \
             CREATE FUNCTION spring(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS \
               $$ BEGIN RETURN (SELECT public.note()); END $$",
        )
        .unwrap();
    mallory
}

fn sprung(cluster: &Cluster) -> String {
    cluster.value("postgres", "SELECT count(*) FROM sprung")
}

/// Everything that reads the tables.
fn look(cluster: &Cluster) {
    cluster.sql("postgres", "SELECT backup_create()");
    let restore = "SELECT * FROM backup_restore_check(backup_latest(), replace => 'postgres')";
    for sql in [
        "TABLE backup_list",
        "SELECT * FROM backup_compatibility(backup_latest())",
        "SELECT backup_inspect(backup_latest())",
        restore,
    ] {
        cluster.sql("postgres", sql);
    }
}

#[test]
fn a_function_in_an_index_does_not_run() {
    let cluster = Cluster::start();
    let mut mallory = mallory(&cluster);
    mallory
        .batch_execute(
            "CREATE TABLE knex_migrations (id int, name text, batch int); \
             INSERT INTO knex_migrations VALUES (1, 'a', 1); \
             CREATE INDEX ON knex_migrations (id, (spring(1))); \
             CREATE STATISTICS trap ON id, (spring(2)) FROM knex_migrations",
        )
        .unwrap();
    look(&cluster);
    assert_eq!(sprung(&cluster), "0");
    assert_eq!(cluster.value("postgres", BADGE), "compatible");
    // That the trap is one: a superuser's own query runs it.
    cluster.sql("postgres", "SELECT * FROM knex_migrations ORDER BY id");
    assert_ne!(sprung(&cluster), "0");
}

#[test]
fn types_views_and_policies_of_a_user_are_not_looked_through() {
    let cluster = Cluster::start();
    let mut mallory = mallory(&cluster);
    mallory
        .batch_execute(
            "CREATE TYPE trap AS (a int); \
             CREATE FUNCTION told(trap) RETURNS text LANGUAGE sql AS 'SELECT spring(1)::text'; \
             CREATE CAST (trap AS text) WITH FUNCTION told(trap) AS IMPLICIT; \
             CREATE DOMAIN boxed AS text CHECK (spring(1) = 1); \
             CREATE TABLE knex_migrations (id int, name trap, batch int); \
             INSERT INTO knex_migrations VALUES (1, ROW(1), 1); \
             CREATE TABLE alembic_version (version_num boxed); \
             INSERT INTO alembic_version VALUES ('x'); \
             CREATE VIEW _prisma_migrations AS SELECT spring(3) AS started_at, 'c' AS checksum, \
               'x' AS migration_name, 1 AS finished_at, NULL::int AS rolled_back_at; \
             CREATE TABLE schema_migrations (version text); \
             INSERT INTO schema_migrations VALUES ('1'); \
             ALTER TABLE schema_migrations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; \
             CREATE POLICY hide ON schema_migrations USING (spring(version::int) = 2); \
             CREATE TABLE parent (id int, hash text, created_at bigint); \
             CREATE TABLE __drizzle_migrations () INHERITS (parent)",
        )
        .unwrap();
    look(&cluster);
    assert_eq!(sprung(&cluster), "0");
    let found = "SELECT string_agg(m ->> 'framework' || ' ' || (m ->> 'count'), ', ') \
                 FROM backup_manifest, jsonb_array_elements(manifest -> 'migrations') m";
    assert_eq!(cluster.value("postgres", found), "drizzle 0, rails 1");
}

#[test]
fn a_large_or_strange_table_is_left_out_at_once() {
    let cluster = Cluster::start();
    cluster.sql(
        "postgres",
        "CREATE TABLE alembic_version AS SELECT 'kept' AS version_num; \
         CREATE TABLE knex_migrations AS SELECT i AS id, 'm' || i AS name, 1 AS batch \
           FROM generate_series(1, 250000) i; \
         CREATE TABLE django_migrations AS SELECT 1 AS id, 'a' AS app, repeat('x', 40000000) AS name, \
           now() AS applied; \
         CREATE TABLE __diesel_schema_migrations AS SELECT repeat('x', 8000) || i AS version, \
           now() AS run_on FROM generate_series(1, 20000) i",
    );
    let small = "SELECT pg_relation_size('__diesel_schema_migrations') < 8000000";
    assert_eq!(cluster.value("postgres", small), "t");
    look(&cluster);
    let found = "SELECT string_agg(m ->> 'framework', ' ') \
                 FROM backup_manifest, jsonb_array_elements(manifest -> 'migrations') m";
    assert_eq!(cluster.value("postgres", found), "alembic");
    assert_eq!(cluster.value("postgres", BADGE), "compatible");
}

#[test]
fn a_table_that_a_migration_has_locked_does_not_hold_up_the_list() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE TABLE alembic_version AS SELECT 'a' AS version_num");
    cluster.sql("postgres", "SELECT backup_create()");
    let mut session = cluster.connect("postgres");
    let mut transaction = session.transaction().unwrap();
    transaction.batch_execute("ALTER TABLE alembic_version ADD COLUMN more int").unwrap();
    let began = Instant::now();
    assert_eq!(cluster.value("postgres", BADGE), "unknown");
    assert!(began.elapsed() < LIMIT);
    transaction.rollback().unwrap();
    assert_eq!(cluster.value("postgres", BADGE), "compatible");
}
