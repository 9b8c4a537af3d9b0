//! The manifest: what it says is what was there.

use pg_backup_tests::Cluster;

/// A value of the newest manifest.
fn manifest(cluster: &Cluster, path: &str) -> String {
    let sql =
        format!("SELECT manifest #>> '{{{path}}}' FROM backup_manifest ORDER BY id DESC LIMIT 1");
    cluster.value("postgres", &sql)
}

#[test]
fn properties_of_the_database_are_recorded() {
    let cluster = Cluster::with(&["wal_level = logical"]);
    cluster.psql(
        "postgres",
        "CREATE ROLE app_owner; CREATE ROLE app_reader;
         CREATE DATABASE app OWNER app_owner CONNECTION LIMIT 17;
         COMMENT ON DATABASE app IS 'the app';
         ALTER DATABASE app SET work_mem = '7MB';
         ALTER ROLE app_reader IN DATABASE app SET lock_timeout = '1s';
         ALTER DATABASE app SET timescaledb.restoring = 'on';
         GRANT CONNECT ON DATABASE app TO app_reader;",
    );
    cluster.psql(
        "app",
        "CREATE TABLE t (i int); GRANT SELECT ON t TO app_reader; CREATE PUBLICATION p FOR TABLE t;
         SELECT pg_create_logical_replication_slot('slot_a', 'test_decoding');",
    );
    let sql = "SET pg_backup.application_version = '2.1'; \
               SET pg_backup.encryption_key_ids = 'k1,k2'; \
               SELECT backup_create('why', 'app')";
    cluster.sql("postgres", sql);
    for (path, value) in [
        ("format", "1"),
        ("comment", "why"),
        ("database,name", "app"),
        ("database,owner", "app_owner"),
        ("database,comment", "the app"),
        ("database,connection_limit", "17"),
        ("database,encoding", "UTF8"),
        ("database,locale_provider", "libc"),
        ("database,tablespace", "pg_default"),
        ("server,wal_level", "logical"),
        ("publications", "[\"p\"]"),
        ("replication_slots", "[\"slot_a\"]"),
        ("roles", "[\"app_owner\", \"app_reader\"]"),
        ("application,version", "2.1"),
        ("application,encryption_key_ids", "[\"k1\", \"k2\"]"),
        ("dump,locked_first", "true"),
        ("dump,format", "custom"),
    ] {
        assert_eq!(manifest(&cluster, path), value, "{path}");
    }
    let settings = manifest(&cluster, "database,settings");
    assert!(settings.contains("work_mem=7MB") && settings.contains("app_reader"), "{settings}");
    assert!(!settings.contains("restoring"), "{settings}");
    let id = cluster.value("postgres", "SELECT system_identifier FROM pg_control_system()");
    assert_eq!(manifest(&cluster, "server,system_identifier"), id);
}

#[test]
fn members_are_what_unzip_writes() {
    let cluster = Cluster::start();
    cluster.assert_next_backup_works();
    let run = cluster.last_backup();
    let folder = tempfile::tempdir().unwrap();
    let archive = cluster.archive(&run);
    let done = std::process::Command::new("unzip")
        .args(["-q".as_ref(), "-d".as_ref(), folder.path().as_os_str(), archive.as_os_str()])
        .status()
        .unwrap();
    assert!(done.success());
    let members = cluster.sql(
        "postgres",
        "SELECT m ->> 'name', m ->> 'size', m ->> 'sha256' FROM backup_manifest, \
         jsonb_array_elements(manifest -> 'members') m",
    );
    assert_eq!(members.len(), 3, "{members:?}");
    for member in members {
        let [name, size, sha256] = [0, 1, 2].map(|i| member[i].clone().unwrap());
        let path = folder.path().join(&name);
        assert_eq!(std::fs::metadata(&path).unwrap().len().to_string(), size, "{name}");
        let sum = std::process::Command::new("sha256sum").arg(&path).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&sum.stdout)[..64], sha256, "{name}");
    }
    let inside = std::fs::read_to_string(folder.path().join("manifest.json")).unwrap();
    let inside: serde_json::Value = serde_json::from_str(&inside).unwrap();
    let stored = cluster.value("postgres", "SELECT manifest FROM backup_manifest");
    assert_eq!(inside, serde_json::from_str::<serde_json::Value>(&stored).unwrap());
    let hash = std::process::Command::new("sha256sum").arg(&archive).output().unwrap();
    let recorded = cluster.value("postgres", "SELECT sha256 FROM backup_history");
    assert_eq!(String::from_utf8_lossy(&hash.stdout)[..64], recorded);
}

#[test]
fn rows_are_counted_per_table_as_count_says() {
    let cluster = Cluster::start();
    cluster.psql(
        "postgres",
        "CREATE SCHEMA \"A.b\"; CREATE TABLE \"A.b\".\"t \"\"x\"\"\" AS SELECT generate_series(1, 7);
         CREATE TABLE part (i int) PARTITION BY HASH (i);
         CREATE TABLE part_0 PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 0);
         CREATE TABLE part_1 PARTITION OF part FOR VALUES WITH (MODULUS 2, REMAINDER 1);
         INSERT INTO part SELECT generate_series(1, 1000);
         CREATE TABLE nothing (i int); CREATE TABLE nulls AS SELECT NULL::text FROM generate_series(1, 5);",
    );
    for options in ["", "jobs => 2", "format => 'plain'"] {
        cluster.sql("postgres", &format!("SELECT backup_create({options})"));
        let rows = cluster.sql(
            "postgres",
            "SELECT t ->> 'schema', t ->> 'name', t ->> 'rows' FROM backup_manifest m, \
             jsonb_array_elements(m.manifest -> 'tables') t \
             WHERE m.id = backup_latest() AND t ->> 'name' !~ '^backup_'",
        );
        assert_eq!(rows.len(), 5, "{options}: {rows:?}");
        for row in rows {
            let [schema, name, rows] = [0, 1, 2].map(|i| row[i].clone().unwrap());
            let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
            let count = format!("SELECT count(*) FROM {}.{}", quote(&schema), quote(&name));
            assert_eq!(cluster.value("postgres", &count), rows, "{options}: {schema}.{name}");
        }
    }
}

/// Each framework: its table as its documentation lays it out, two migrations applied and one
/// that does not count where the framework knows such, the schema, and the names in order.
const FRAMEWORKS: [(&str, &str, &str); 12] = [
    ("django", "CREATE TABLE django_migrations (id bigint PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,
      app varchar(255) NOT NULL, name varchar(255) NOT NULL, applied timestamptz NOT NULL);
      INSERT INTO django_migrations (app, name, applied) VALUES ('auth', '0001_initial', now()), ('shop', '0001_initial', now())",
     "auth.0001_initial shop.0001_initial"),
    ("rails", "CREATE TABLE schema_migrations (version varchar NOT NULL PRIMARY KEY);
      INSERT INTO schema_migrations VALUES ('20240101000000'), ('20240102000000')",
     "20240101000000 20240102000000"),
    ("golang-migrate", "CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL);
      INSERT INTO schema_migrations VALUES (7, false)", "7"),
    ("prisma", "CREATE TABLE _prisma_migrations (id varchar(36) PRIMARY KEY, checksum varchar(64) NOT NULL,
      finished_at timestamptz, migration_name varchar(255) NOT NULL, logs text, rolled_back_at timestamptz,
      started_at timestamptz NOT NULL DEFAULT now(), applied_steps_count int NOT NULL DEFAULT 0);
      INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name, rolled_back_at, started_at) VALUES
      ('1', 'c', now(), '2024_init', NULL, '2024-01-01'), ('2', 'c', now(), '2024_more', NULL, '2024-01-02'),
      ('3', 'c', NULL, '2024_failed', NULL, '2024-01-03'), ('4', 'c', now(), '2024_back', now(), '2024-01-04')",
     "2024_init 2024_more"),
    ("drizzle", "CREATE SCHEMA drizzle; CREATE TABLE drizzle.__drizzle_migrations (id serial PRIMARY KEY,
      hash text NOT NULL, created_at bigint);
      INSERT INTO drizzle.__drizzle_migrations (hash, created_at) VALUES ('aa', 1), ('bb', 2)", "aa bb"),
    ("alembic", "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL PRIMARY KEY);
      INSERT INTO alembic_version VALUES ('ae1027a6acf')", "ae1027a6acf"),
    ("flyway", "CREATE TABLE flyway_schema_history (installed_rank int PRIMARY KEY, version varchar(50),
      description varchar(200) NOT NULL, type varchar(20) NOT NULL, script varchar(1000) NOT NULL, checksum int,
      installed_by varchar(100) NOT NULL, installed_on timestamp NOT NULL DEFAULT now(), execution_time int NOT NULL, success boolean NOT NULL);
      INSERT INTO flyway_schema_history VALUES (1, '1', 'a', 'SQL', 'V1__a.sql', 1, 'me', now(), 1, true),
      (2, NULL, 'r', 'SQL', 'R__r.sql', 1, 'me', now(), 1, true), (3, '2', 'b', 'SQL', 'V2__b.sql', 1, 'me', now(), 1, false)",
     "1 R__r.sql"),
    ("liquibase", "CREATE TABLE databasechangelog (id varchar(255) NOT NULL, author varchar(255) NOT NULL,
      filename varchar(255) NOT NULL, dateexecuted timestamp NOT NULL, orderexecuted int NOT NULL, exectype varchar(10) NOT NULL);
      INSERT INTO databasechangelog VALUES ('1', 'me', 'a.xml', now(), 1, 'EXECUTED'), ('1', 'you', 'b.xml', now(), 2, 'EXECUTED')",
     "a.xml::1::me b.xml::1::you"),
    ("sqlx", "CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY, description text NOT NULL,
      installed_on timestamptz NOT NULL DEFAULT now(), success boolean NOT NULL, checksum bytea NOT NULL, execution_time bigint NOT NULL);
      INSERT INTO _sqlx_migrations VALUES (1, 'a', now(), true, '', 1), (2, 'b', now(), false, '', 1)", "1"),
    ("diesel", "CREATE TABLE __diesel_schema_migrations (version varchar(50) PRIMARY KEY, run_on timestamp NOT NULL DEFAULT now());
      INSERT INTO __diesel_schema_migrations VALUES ('00000000000000'), ('20240101')", "00000000000000 20240101"),
    ("knex", "CREATE TABLE knex_migrations (id serial PRIMARY KEY, name varchar(255), batch int, migration_time timestamptz);
      INSERT INTO knex_migrations (name, batch) VALUES ('1_a.js', 1), ('2_b.js', 1)", "1_a.js 2_b.js"),
    ("goose", "CREATE TABLE goose_db_version (id serial PRIMARY KEY, version_id bigint NOT NULL, is_applied boolean NOT NULL, tstamp timestamp DEFAULT now());
      INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true), (1, true), (2, true), (2, false), (3, true)", "1 3"),
];

#[test]
fn migrations_of_every_framework_are_recorded() {
    let cluster = Cluster::start();
    for (framework, layout, names) in FRAMEWORKS {
        let database = format!("db_{}", framework.replace('-', "_"));
        cluster.sql("postgres", &format!("CREATE DATABASE {database}"));
        cluster.sql(&database, layout);
        cluster.sql("postgres", &format!("SELECT backup_create(database => '{database}')"));
        let found = cluster.sql(
            "postgres",
            "SELECT m ->> 'framework', m ->> 'count', (SELECT string_agg(i, ' ' ORDER BY n) FROM \
             jsonb_array_elements_text(m -> 'ids') WITH ORDINALITY AS x(i, n)), length(m ->> 'hash') \
             FROM backup_manifest b, jsonb_array_elements(b.manifest -> 'migrations') m \
             WHERE b.id = (SELECT max(id) FROM backup_manifest)",
        );
        let wanted = [framework, &names.split(' ').count().to_string(), names, "64"];
        let wanted = wanted.map(|text| Some(text.to_owned())).to_vec();
        assert_eq!(found, vec![wanted], "{framework}");
    }
}

#[test]
fn a_table_named_by_a_setting_is_read_and_a_broken_one_does_not_matter() {
    let cluster = Cluster::start();
    cluster.sql(
        "postgres",
        "CREATE TABLE our_versions AS SELECT 'v' || i AS name FROM generate_series(1, 3) i; \
         CREATE TABLE _sqlx_migrations (version text, success text, checksum int); \
         INSERT INTO _sqlx_migrations VALUES ('x', 'not a boolean', 1)",
    );
    for name in ["our_versions", "public.our_versions"] {
        cluster.sql(
            "postgres",
            &format!("SET pg_backup.migrations_table = '{name}'; SELECT backup_create()"),
        );
        assert_eq!(manifest(&cluster, "migrations,0,framework"), "custom");
        assert_eq!(manifest(&cluster, "migrations,0,ids"), "[\"v1\", \"v2\", \"v3\"]");
        assert_eq!(manifest(&cluster, "migrations,1"), "");
    }
}

#[test]
fn a_table_of_migrations_cannot_run_its_owners_code() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE ROLE mallory LOGIN; GRANT CREATE ON SCHEMA public TO mallory");
    let mut mallory = cluster.connect_as("postgres", "mallory");
    mallory
        .batch_execute(
            "CREATE TYPE trap AS (a int); \
             CREATE FUNCTION spring(trap) RETURNS text LANGUAGE plpgsql AS \
               $$ BEGIN EXECUTE 'ALTER ROLE mallory SUPERUSER'; RETURN 'x'; END $$; \
             CREATE CAST (trap AS text) WITH FUNCTION spring(trap) AS IMPLICIT; \
             CREATE TABLE knex_migrations (id int, name trap, batch int); \
             INSERT INTO knex_migrations VALUES (1, ROW(1), 1); \
             CREATE TABLE schema_migrations (version trap); \
             INSERT INTO schema_migrations VALUES (ROW(1))",
        )
        .unwrap();
    cluster.assert_next_backup_works();
    let is = "SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'";
    assert_eq!(cluster.value("postgres", is), "f");
    assert_eq!(manifest(&cluster, "migrations,0"), "");
}
