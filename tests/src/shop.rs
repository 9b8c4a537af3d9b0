//! A database `app` whose tables are put into a schema of it: what the tests of that ask again.

use crate::Cluster;

const SHOP: &str = r#"
CREATE ROLE seller; CREATE ROLE reader;
CREATE TYPE public.mood AS ENUM ('sad', 'ok');
CREATE DOMAIN public.positive AS int CHECK (VALUE > 0);
CREATE SCHEMA shop AUTHORIZATION seller; CREATE SCHEMA "Old ""x""";
CREATE SEQUENCE shop.numbers START 100; ALTER SEQUENCE shop.numbers OWNER TO seller;
SET ROLE seller;
CREATE TABLE shop.customers (id serial PRIMARY KEY, name text UNIQUE);
CREATE TABLE shop.orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, mood public.mood,
    customer int REFERENCES shop.customers, n public.positive,
    twice int GENERATED ALWAYS AS (n * 2) STORED, number int DEFAULT nextval('shop.numbers'));
CREATE INDEX orders_n ON shop.orders (n);
CREATE TABLE shop.events (at date, what text) PARTITION BY RANGE (at);
CREATE TABLE shop.events_20 PARTITION OF shop.events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE shop.events_21 PARTITION OF shop.events DEFAULT;
CREATE TABLE shop.base (i int); CREATE TABLE shop.derived (j int) INHERITS (shop.base);
INSERT INTO shop.customers (name) SELECT 'c' || i FROM generate_series(1, 10) i;
INSERT INTO shop.orders (mood, customer, n) SELECT 'ok', i % 10 + 1, i FROM generate_series(1, 50) i;
INSERT INTO shop.events SELECT date '2020-12-01' + i, 'e' FROM generate_series(1, 60) i;
INSERT INTO shop.base VALUES (1); INSERT INTO shop.derived VALUES (2, 3);
GRANT SELECT ON shop.orders TO reader;
CREATE FUNCTION shop.noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'noted'; END $$;
CREATE TRIGGER noted BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.noted();
ALTER TABLE shop.orders ENABLE ALWAYS TRIGGER noted;
CREATE VIEW shop.sums AS SELECT sum(n) FROM shop.orders;
RESET ROLE;
CREATE TABLE "Old ""x"""."orders" (i int);
CREATE TABLE "Old ""x"""."N'a""m
e $check$ \ ;" (i int, "c;'" text); INSERT INTO "Old ""x"""."N'a""m
e $check$ \ ;" VALUES (1, E'tab\t\\.');"#;

/// The restore of some tables of `app` into a schema of it.
pub fn into_schema(id: &str, tables: &str, schema: &str) -> String {
    format!("CALL backup_restore({id}, tables => {tables}, into_schema => '{schema}')")
}

impl Cluster {
    /// Makes it, and gives the id of its backup.
    pub fn make_shop(&self) -> String {
        self.psql("postgres", "CREATE DATABASE app");
        self.psql("app", SHOP);
        self.back_up_app("")
    }

    /// It has this schema, as `schema_of()` gave it before, and there is no scratch database.
    pub fn assert_untouched_shop(&self, schema: &str) {
        assert_eq!(self.schema_of("app"), schema);
        let databases = "SELECT count(*) FROM pg_database WHERE datname LIKE '%restoring%'";
        assert_eq!(self.value("postgres", databases), "0");
    }
}
