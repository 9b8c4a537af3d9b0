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
         SELECT pg_create_logical_replication_slot('slot_a', 'pgoutput');",
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
