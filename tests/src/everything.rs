//! A database with every kind of thing whose loss would hurt, and what it is compared by.

use crate::cluster::Cluster;
use crate::place::bin;
use std::path::Path;
use std::process::Command;

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
  SELECT c.oid::regclass || ' ' || (SELECT word FROM ts_stat(format('SELECT array_to_tsvector(ARRAY[
           md5(coalesce(string_agg(t::text, E''\\n'' ORDER BY t::text), '''')) || count(*)]) FROM %s t',
           c.oid::regclass))) AS line
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  UNION ALL
  SELECT 'lo ' || md5(lo_get(oid)) FROM pg_largeobject_metadata
  UNION ALL
  SELECT schemaname || '.' || sequencename || ' ' || coalesce(last_value::text, '') FROM pg_sequences
) x";

impl Cluster {
    /// A database with everything.
    pub fn make_everything(&self, database: &str) {
        self.psql("postgres", &format!("CREATE DATABASE {database}"));
        self.psql(database, SCHEMA);
    }

    /// The content of a database as a text.
    pub fn fingerprint(&self, database: &str) -> String {
        self.value(database, FINGERPRINT)
    }

    /// The definitions of a database, as the stock pg_dump writes them.
    pub fn schema_of(&self, database: &str) -> String {
        let text = self.tool("pg_dump", &["-s", "--no-security-labels", "-d", database]);
        text.lines().filter(|line| !line.contains("restrict")).collect::<Vec<_>>().join("\n")
    }

    /// Runs one of the server's tools against this cluster, and gives what it writes.
    pub fn tool(&self, name: &str, args: &[&str]) -> String {
        let socket = self.value("postgres", "SHOW unix_socket_directories");
        let mut all = vec!["-h", &socket, "-U", "postgres"];
        all.extend(args);
        run_tool(&bin(name), &all)
    }
}

/// Runs a program that must succeed, and gives what it writes.
pub fn run_tool(program: &Path, args: &[&str]) -> String {
    let done = Command::new(program).args(args).output().expect("the program starts");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{} {args:?}: {said}", program.display());
    String::from_utf8_lossy(&done.stdout).into_owned()
}
