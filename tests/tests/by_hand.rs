//! Restore by hand, with unzip, zstd, psql and pg_restore alone, on a server that never saw the
//! extension: what comes back is what was there.

use pg_backup_tests::{Cluster, bin};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every kind of thing whose loss would hurt.
const SCHEMA: &str = "
CREATE ROLE owner_role; CREATE ROLE reader;
CREATE SCHEMA \"Sales Dept\" AUTHORIZATION owner_role;
SET ROLE owner_role;
CREATE TYPE \"Sales Dept\".mood AS ENUM ('sad', 'ok');
CREATE DOMAIN \"Sales Dept\".positive AS int CHECK (VALUE > 0);
CREATE TABLE \"Sales Dept\".orders (id bigint GENERATED ALWAYS AS IDENTITY, at date NOT NULL,
    mood \"Sales Dept\".mood, n \"Sales Dept\".positive, doc jsonb, b bytea,
    twice int GENERATED ALWAYS AS (n * 2) STORED, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE \"Sales Dept\".o1 PARTITION OF \"Sales Dept\".orders FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE \"Sales Dept\".o2 PARTITION OF \"Sales Dept\".orders DEFAULT;
INSERT INTO \"Sales Dept\".orders (at, mood, n, doc, b)
SELECT date '2020-06-01' + i, 'ok', i, jsonb_build_object('k', i, 'text', E'tab\\t nl\\n \\\\.'),
       decode(md5(i::text), 'hex') FROM generate_series(1, 800) i;
RESET ROLE;
CREATE TABLE nasty (\"a\"\"b\" text, \"x\ny\" text);
INSERT INTO nasty VALUES (E'\\\\.', NULL), ('', E'\\r\\n'), ('COPY x FROM stdin;', '\\N');
CREATE TABLE empty_one (i int);
CREATE VIEW v AS SELECT count(*) FROM nasty;
CREATE MATERIALIZED VIEW m AS SELECT * FROM nasty;
CREATE INDEX ON \"Sales Dept\".orders USING gin (doc);
CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $f$ SELECT 'COPY nasty FROM stdin;
\\.
' $f$;
CREATE SEQUENCE s START 42; SELECT nextval('s'), nextval('s');
SELECT lo_from_bytea(0, decode(repeat('00ff', 5000), 'hex')), lo_from_bytea(0, 'second');
COMMENT ON TABLE nasty IS 'it''s';
GRANT SELECT ON nasty TO reader;";

/// A text that is equal for equal content: rows of every table, large objects, sequences.
const FINGERPRINT: &str = "
SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
  SELECT c.oid::regclass || ' ' || (xpath('/row/f/text()', query_to_xml(format(
           'SELECT md5(coalesce(string_agg(t::text, E''\\n'' ORDER BY t::text), '''')) || count(*) AS f FROM %s t',
           c.oid::regclass), false, true, '')))[1]::text AS line
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  UNION ALL
  SELECT 'lo ' || md5(lo_get(oid)) FROM pg_largeobject_metadata
  UNION ALL
  SELECT schemaname || '.' || sequencename || ' ' || coalesce(last_value::text, '') FROM pg_sequences
) x";

fn run(program: &Path, args: &[&str]) -> String {
    let done = Command::new(program).args(args).output().expect("the program starts");
    assert!(
        done.status.success(),
        "{} {args:?}: {}",
        program.display(),
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8_lossy(&done.stdout).into_owned()
}

fn tool(name: &str, cluster: &Cluster, args: &[&str]) -> String {
    let socket = cluster.value("postgres", "SHOW unix_socket_directories");
    let mut all = vec!["-h", &socket, "-U", "postgres"];
    all.extend(args);
    run(&bin(name), &all)
}

fn schema(cluster: &Cluster, database: &str) -> String {
    let text = tool("pg_dump", cluster, &["-s", "--no-security-labels", database]);
    text.lines().filter(|line| !line.contains("restrict")).collect::<Vec<_>>().join("\n")
}

/// Unpacks an archive with stock tools; gives the folder.
fn unpacked(archive: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    run(Path::new("unzip"), &["-q", "-d", &path, &archive.display().to_string()]);
    let script = format!("find '{path}' -name '*.zst' -exec zstd -q -d --rm {{}} +");
    run(Path::new("sh"), &["-c", &script]);
    let script = format!("find '{path}' -maxdepth 1 -name '*.gz' -exec gunzip {{}} +");
    run(Path::new("sh"), &["-c", &script]);
    folder
}

fn restore(to: &Cluster, folder: &Path, database: &str) {
    to.sql("postgres", &format!("CREATE DATABASE {database} TEMPLATE template0"));
    let member =
        |name: &str| -> Option<PathBuf> { Some(folder.join(name)).filter(|path| path.exists()) };
    let text = |path: PathBuf| path.display().to_string();
    if let Some(script) = member("database.sql") {
        let args = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", &text(script), "-d", database];
        tool("psql", to, &args);
    } else if let Some(dump) = member("database.dump") {
        tool("pg_restore", to, &["-e", "-j", "2", "-d", database, &text(dump)]);
    } else {
        let dump = text(member("database").expect("there is a payload"));
        tool("pg_restore", to, &["-e", "-j", "2", "-d", database, &dump]);
    }
}

#[test]
fn every_format_and_compression_restores_by_hand_to_the_same_database() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "CREATE DATABASE app");
    cluster.psql("app", SCHEMA);
    let (wanted_schema, wanted) = (schema(&cluster, "app"), cluster.value("app", FINGERPRINT));
    assert!(wanted.lines().count() > 8, "{wanted}");
    let fresh = Cluster::builder().fresh().start();
    let mut roles = false;
    for (number, options) in [
        "compression => 'zstd:3'",
        "compression => 'gzip:1'",
        "compression => 'none'",
        "jobs => 2",
        "jobs => 2, compression => 'gzip:1'",
        "jobs => 2, compression => 'none'",
        "format => 'plain'",
        "format => 'plain', compression => 'gzip:9'",
        "format => 'plain', compression => 'none'",
        "format => 'directory'",
    ]
    .into_iter()
    .enumerate()
    {
        let call = format!("SELECT backup_create(database => 'app', {options})");
        let id = cluster.value("postgres", &call);
        let bad = format!("SELECT count(*) FROM backup_verify({id}, 'read') WHERE NOT ok");
        assert_eq!(cluster.value("postgres", &bad), "0", "{options}");
        let folder = unpacked(&cluster.archive(&cluster.last_backup()));
        if !roles {
            let globals = folder.path().join("globals.sql").display().to_string();
            // The bootstrap superuser is there already: that one line fails, as it should.
            tool("psql", &fresh, &["-X", "-q", "-d", "postgres", "-f", &globals]);
            roles = true;
        }
        let database = format!("restored_{number}");
        restore(&fresh, folder.path(), &database);
        assert_eq!(schema(&fresh, &database), wanted_schema, "{options}");
        assert_eq!(fresh.value(&database, FINGERPRINT), wanted, "{options}");
        let total = format!(
            "SELECT sum((t ->> 'rows')::int) FROM backup_manifest, \
             jsonb_array_elements(manifest -> 'tables') t WHERE id = {id}"
        );
        assert_eq!(cluster.value("postgres", &total), "803", "{options}");
    }
}

#[test]
fn globals_can_leave_passwords_out_or_be_left_out() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE ROLE r LOGIN PASSWORD 'secret'");
    for (setting, has_file, has_hash) in
        [("on", true, true), ("without_passwords", true, false), ("off", false, false)]
    {
        let sql = format!("SET pg_backup.globals = {setting}; SELECT backup_create()");
        cluster.sql("postgres", &sql);
        let folder = unpacked(&cluster.archive(&cluster.last_backup()));
        let globals = folder.path().join("globals.sql");
        assert_eq!(globals.exists(), has_file, "{setting}");
        if has_file {
            let text = std::fs::read_to_string(globals).unwrap();
            assert!(text.contains("CREATE ROLE r"), "{text}");
            assert_eq!(text.contains("SCRAM-SHA-256"), has_hash, "{setting}");
        }
    }
    let manifest =
        cluster.value("postgres", "SELECT string_agg(manifest::text, '') FROM backup_manifest");
    assert!(!manifest.contains("SCRAM"), "no secret in a manifest");
}
