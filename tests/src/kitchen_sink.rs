//! A database with every kind of object that pg_dump knows, and everything about it as one text.
//!
//! In: a cluster. Out: a database, and a text that is equal for databases that are equal but for
//! their names. Must hold: what belongs to an extension is the extension's business and no content.

use crate::{Cluster, major, names_below, needs_extension, needs_icu, needs_libxml};

const SCRIPT: &str = include_str!("kitchen_sink.sql");

/// What belongs to the database and stands in no dump of it.
const PROPERTIES: &str = r#"
ALTER DATABASE NAME OWNER TO cook;
REVOKE ALL ON DATABASE NAME FROM PUBLIC;
GRANT CONNECT ON DATABASE NAME TO waiter WITH GRANT OPTION; GRANT TEMP ON DATABASE NAME TO PUBLIC;
COMMENT ON DATABASE NAME IS E'it''s\n\\ ours'; ALTER DATABASE NAME CONNECTION LIMIT 9;
ALTER DATABASE NAME SET app.motto = 'a''b\c';
ALTER DATABASE NAME SET search_path = public, "Kitchen 1";
ALTER ROLE waiter IN DATABASE NAME SET work_mem = '8MB';"#;

/// One line for each relation with rows, large object, sequence and extension. `ts_stat` runs a
/// query from a text without making anything, and needs no library.
const CONTENT: &str = "
SELECT string_agg(line, E'\\n' ORDER BY line) FROM (
  SELECT c.oid::regclass || ' ' || (SELECT word FROM ts_stat(format('SELECT array_to_tsvector(ARRAY[
           md5(coalesce(string_agg(t::text, E''\\n'' ORDER BY t::text), '''')) || count(*)]) FROM ONLY %s t',
           c.oid::regclass))) AS line
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE c.relkind IN ('r', 'm') AND c.relispopulated
     AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
  UNION ALL
  SELECT concat_ws(' ', 'lo', oid, md5(lo_get(oid)), lomowner::regrole, lomacl,
                   obj_description(oid, 'pg_largeobject'))
    FROM pg_largeobject_metadata
  UNION ALL
  SELECT concat_ws(' ', 'sequence', c.oid::regclass, (SELECT word FROM ts_stat(format(
           'SELECT array_to_tsvector(ARRAY[last_value || '' '' || is_called]) FROM %s', c.oid::regclass))))
    FROM pg_class c WHERE c.relkind = 'S'
     AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
  UNION ALL
  SELECT concat_ws(' ', 'extension', extname, extnamespace::regnamespace) FROM pg_extension
) x";

/// What newer major versions have on top.
const NEWER: [(u32, &str); 2] = [
    (17, "
     GRANT MAINTAIN ON parent TO waiter WITH GRANT OPTION; GRANT MAINTAIN ON menu TO cook;
     CREATE TABLE named_parts (k int GENERATED ALWAYS AS IDENTITY, v text) PARTITION BY LIST (v);
     CREATE TABLE named_parts_a PARTITION OF named_parts FOR VALUES IN ('a');
     INSERT INTO named_parts (v) VALUES ('a'), ('a');
     CREATE FUNCTION at_the_door() RETURNS event_trigger LANGUAGE plpgsql
         AS $$ BEGIN PERFORM 1; END $$;
     CREATE EVENT TRIGGER door ON login EXECUTE FUNCTION at_the_door();
     ALTER EVENT TRIGGER door ENABLE ALWAYS;
     CREATE COLLATION builtin_c (provider = builtin, locale = 'C.UTF-8')"),
    (18, "
     CREATE TABLE virtuals (i int, twice int GENERATED ALWAYS AS (i * 2) VIRTUAL,
         CONSTRAINT hoped CHECK (i > 0) NOT ENFORCED, CONSTRAINT named NOT NULL i);
     INSERT INTO virtuals VALUES (-1), (2);
     CREATE TABLE later_not_null (i int); INSERT INTO later_not_null VALUES (NULL);
     ALTER TABLE later_not_null ADD CONSTRAINT unsure NOT NULL i NOT VALID;
     CREATE TABLE stays (room int4range, during tstzrange, PRIMARY KEY (room, during WITHOUT OVERLAPS));
     CREATE TABLE guests (room int4range, during tstzrange,
         FOREIGN KEY (room, PERIOD during) REFERENCES stays (room, PERIOD during))"),
];

/// The script without what this build of PostgreSQL does not have.
fn script() -> String {
    let mut script = SCRIPT.to_owned();
    if !needs_icu() {
        let german = "(provider = icu, locale = 'de-u-co-phonebk', deterministic = false)";
        script = script.replace(german, "FROM \"C\"");
    }
    if !needs_libxml() {
        script = script.replace("x xml", "x text");
    }
    if !needs_extension("hstore") {
        let lines = script.lines().filter(|line| !line.starts_with("CREATE EXTENSION"));
        script = lines.collect::<Vec<_>>().join("\n");
        for (line, instead) in [
            ("COMMENT ON EXTENSION hstore IS 'ours';", ""),
            ("h ext.hstore", "h text"),
            ("CREATE INDEX trigrams ON child USING gin (more ext.gin_trgm_ops);", ""),
            ("FOREIGN DATA WRAPPER postgres_fdw", "FOREIGN DATA WRAPPER nothing"),
        ] {
            script = script.replace(line, instead);
        }
    }
    script
}

impl Cluster {
    /// A database with everything that this PostgreSQL has, whose locale and tablespace are not
    /// those of the others.
    pub fn make_kitchen_sink(&self, database: &str) {
        let place = self.make_dir("shelf");
        assert!(names_below(&place).is_empty());
        let locale = match needs_icu() {
            true => "LOCALE_PROVIDER icu ICU_LOCALE 'de-u-co-phonebk' LOCALE 'C.UTF-8'",
            false => "LOCALE 'C'",
        };
        let make = format!(
            "CREATE ROLE cook; CREATE ROLE waiter; CREATE TABLESPACE shelf LOCATION '{}';
             CREATE DATABASE {database} TEMPLATE template0 TABLESPACE shelf ENCODING 'UTF8' {locale}",
            place.display()
        );
        self.psql("postgres", &make);
        self.psql(database, &script());
        for (from, sql) in NEWER {
            if major() >= from {
                self.psql(database, sql);
            }
        }
        self.psql("postgres", &PROPERTIES.replace("NAME", database));
    }

    /// Definitions, rows and properties of a database, without its name.
    pub fn everything_of(&self, database: &str) -> String {
        let (schema, content) = (self.schema_of(database), self.value(database, CONTENT));
        format!("{schema}\n{content}\n{}", self.properties_of(database))
    }

    /// Owner, privileges, comment, limits, locale, tablespace and settings of a database.
    pub fn properties_of(&self, database: &str) -> String {
        let sql = format!(
            "SELECT concat_ws(' | ', d.datdba::regrole, d.datacl, d.datconnlimit, d.datistemplate, \
                    d.datallowconn, pg_encoding_to_char(d.encoding), d.datlocprovider, \
                    d.datcollate, d.datctype, coalesce(to_jsonb(d) ->> 'daticulocale', \
                    to_jsonb(d) ->> 'datlocale'), to_jsonb(d) ->> 'daticurules', \
                    d.datcollversion, t.spcname, \
                    shobj_description(d.oid, 'pg_database'), \
                    (SELECT string_agg(s.setrole || ' ' || s.setconfig::text, ';' \
                                       ORDER BY s.setrole) \
                       FROM pg_db_role_setting s WHERE s.setdatabase = d.oid)) \
               FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace \
              WHERE d.datname = '{database}'"
        );
        self.value("postgres", &sql)
    }
}
