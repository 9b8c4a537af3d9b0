//! What an archive holds, read with stock tools alone; and every call of the extension.
//!
//! In: an archive, or a database with the extension. Out: text to compare. Must hold: nothing here
//! asks the extension what it has written.

use crate::client::Rows;
use crate::place::bin;
use crate::{Cluster, DbError, Run};
use std::path::Path;
use std::process::Command;

/// Every routine of the extension as a call, from the catalog, with the schema it lies in. No
/// argument is NULL: a strict function of a NULL is never called.
const CALLS: &str = "
SELECT CASE p.prokind WHEN 'p' THEN 'CALL ' ELSE 'SELECT ' END
       || e.extnamespace::regnamespace || '.' || quote_ident(p.proname) || '('
       || coalesce((SELECT string_agg(CASE t::regtype::text WHEN 'text[]' THEN '''{x}'''
                            WHEN 'text' THEN '''x''' WHEN 'jsonb' THEN '''{}'''
                            WHEN 'timestamp with time zone' THEN '''2026-01-01'''
                            ELSE '''1''' END, ', ' ORDER BY n)
                      FROM unnest(p.proargtypes) WITH ORDINALITY AS u(t, n)), '') || ')'
  FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass
  JOIN pg_extension e ON e.oid = d.refobjid AND d.deptype = 'e'
 WHERE e.extname = 'pg_backup' AND p.pronamespace = e.extnamespace
   AND p.prorettype <> 'trigger'::regtype ORDER BY p.proname";
const VIEWS: &str = "
SELECT c.oid::regclass FROM pg_class c JOIN pg_depend d ON d.objid = c.oid
  JOIN pg_extension e ON e.oid = d.refobjid AND d.deptype = 'e'
 WHERE e.extname = 'pg_backup' AND c.relkind = 'v' AND d.classid = 'pg_class'::regclass
 ORDER BY c.relname";

/// What the text of a dump could show of settings: floats, bytes, intervals, escapes, characters
/// beyond ASCII, NULL in arrays, row security, bounds of partitions, a large object.
pub const CONTENT: &str = r"
SET client_encoding = 'UTF8';
CREATE TABLE t AS SELECT i, 'größe ' || i AS name, i / 3.0::float8 AS f, '\x00ff'::bytea AS b,
       make_interval(days => i, secs => 1.5) AS span, ARRAY[NULL, 'NULL', E'a\\b'] AS list,
       date '2020-02-01' + i AS day FROM generate_series(1, 300) i;
CREATE TABLE p (day date DEFAULT '2020-03-04', i int CHECK (i = NULL OR i > 0))
       PARTITION BY RANGE (day);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2020-03-04') TO ('2021-04-03');
INSERT INTO p VALUES ('2020-12-11', 1);
CREATE TABLE guarded (i int);
INSERT INTO guarded VALUES (1), (2);
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
ALTER TABLE guarded FORCE ROW LEVEL SECURITY;
CREATE POLICY none ON guarded USING (false);
CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT 'back\slash ''quote''' $$;
CREATE VIEW v AS SELECT E'a\\b\'c' AS x, lower(name) = 'x' AS y FROM t;
SELECT lo_from_bytea(0, 'large');
CREATE SCHEMA evil;
CREATE FUNCTION evil.never(text, text) RETURNS boolean LANGUAGE plpgsql
       AS $$ BEGIN RAISE 'evil'; END $$;
CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'evil'; END $$;
CREATE FUNCTION evil.array_to_string(anyarray, text) RETURNS text LANGUAGE plpgsql
       AS $$ BEGIN RAISE 'evil'; END $$;
CREATE FUNCTION evil.set_config(text, text, boolean) RETURNS text LANGUAGE plpgsql
       AS $$ BEGIN RAISE 'evil'; END $$;
CREATE OPERATOR evil.= (FUNCTION = evil.never, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR evil.~ (FUNCTION = evil.never, LEFTARG = text, RIGHTARG = text);
CREATE TABLE evil.pg_class AS SELECT 1 AS oid;
CREATE TYPE evil.text AS (x int);";

fn first_column(rows: Rows) -> Vec<String> {
    rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
}

impl Cluster {
    /// Every routine of the extension in `database`, as a call with arguments of the right types.
    pub fn calls(&self, database: &str) -> Vec<String> {
        let calls = first_column(self.sql(database, CALLS));
        assert!(calls.len() > 10, "{calls:?}");
        calls
    }

    /// Every view of the extension in `database`.
    pub fn views(&self, database: &str) -> Vec<String> {
        let views = first_column(self.sql(database, VIEWS));
        assert!(views.len() > 2, "{views:?}");
        views
    }

    /// The SQL script in the archive of a new backup of `app`, made by the superuser `boss`.
    pub fn script_of_backup(&self, options: &str) -> String {
        let made = self.backup_as_boss(options);
        made.unwrap_or_else(|error| panic!("{options}: {error}"));
        let script = self.script(&self.last_backup());
        assert!(script.lines().count() > 300, "a dump of {} bytes", script.len());
        script
    }

    /// A backup of `app`, asked for by the superuser `boss`.
    pub fn backup_as_boss(&self, options: &str) -> Result<(), DbError> {
        let sql = format!("SELECT backup_create(database => 'app'{options})");
        let done = self.connect_as("postgres", "boss").batch_execute(&sql);
        done.map_err(|error| DbError::of(&error))
    }

    /// A database `app` with [`CONTENT`], a superuser `boss`, and a role `weak`.
    pub fn make_content(&self) {
        let roles = "CREATE DATABASE app; CREATE ROLE weak; CREATE ROLE boss SUPERUSER LOGIN";
        self.psql("postgres", roles);
        self.psql("app", CONTENT);
    }

    /// The dump in the archive of a run, as the SQL script that stock tools make of it. Two dumps
    /// of the same content give the same script.
    pub fn script(&self, run: &Run) -> String {
        script(&self.archive(run))
    }
}

/// The same by the path of an archive whose dump is one member.
pub fn script(archive: &Path) -> String {
    let pipe = "set -o pipefail; member=$(unzip -Z1 \"$1\" | grep '^database\\.') || exit 1\n\
                case $member in *.zst) plain='zstd -dcq' ;; *.gz) plain='gunzip -c' ;; \
                *) plain=cat ;; esac\n\
                case $member in *.sql*) script=cat ;; *) script=\"$2 -f -\" ;; esac\n\
                unzip -p \"$1\" \"$member\" | $plain | $script";
    let mut shell = Command::new("bash");
    shell.args(["-c", pipe, "bash"]).arg(archive).arg(bin("pg_restore"));
    let done = shell.output().expect("bash starts");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}: {said}", archive.display());
    let text = String::from_utf8(done.stdout).expect("the dump is in UTF-8");
    // The key of psql's restricted mode is drawn anew for each dump.
    text.lines()
        .filter(|line| !line.contains("restrict"))
        .fold(String::new(), |all, line| all + line + "\n")
}

/// Panics with the first line that differs.
pub fn assert_same_text(found: &str, wanted: &str, what: &str) {
    let pair = found.lines().zip(wanted.lines()).find(|(found, wanted)| found != wanted);
    if let Some((found, wanted)) = pair {
        panic!("{what}:\n  found: {found}\n wanted: {wanted}");
    }
    assert_eq!(found.lines().count(), wanted.lines().count(), "{what}: lines");
}
