//! `backup_restore()` of some tables into a new database: what was asked for comes with all that it
//! needs, nothing else comes.

use pg_backup_tests::{Cluster, into_schema, sample, sqlstate};

const SHOP: &str = r#"
CREATE ROLE seller; CREATE ROLE reader;
CREATE TYPE public.mood AS ENUM ('sad', 'ok');
CREATE DOMAIN public.positive AS int CHECK (VALUE > 0);
CREATE SCHEMA types; CREATE TYPE types.pair AS (a int, b text);
CREATE SCHEMA shop AUTHORIZATION seller;
GRANT USAGE ON SCHEMA public, types TO seller;
CREATE SEQUENCE shop.numbers START 100;
ALTER SEQUENCE shop.numbers OWNER TO seller;
SET ROLE seller;
CREATE TABLE shop.customers (id serial PRIMARY KEY, name text UNIQUE, mood public.mood,
    pair types.pair);
CREATE TABLE shop.orders (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer int REFERENCES shop.customers, n public.positive,
    twice int GENERATED ALWAYS AS (n * 2) STORED, number int DEFAULT nextval('shop.numbers'));
CREATE TABLE shop.items (o int REFERENCES shop.orders, what text);
CREATE TABLE shop.events (at date, what text) PARTITION BY RANGE (at);
CREATE TABLE shop.events_20 PARTITION OF shop.events FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE shop.events_21 PARTITION OF shop.events FOR VALUES FROM ('2021-01-01') TO ('2022-01-01');
CREATE INDEX ON shop.events (at);
CREATE TABLE shop.base (i int); CREATE TABLE shop.derived (j int) INHERITS (shop.base);
CREATE TABLE "shop"."Odd ""x"" y" (i int); CREATE TABLE shop."a
b" (i int);
CREATE TABLE shop.alien (row_of shop.items);
CREATE VIEW shop.sums AS SELECT customer, sum(n) FROM shop.orders GROUP BY 1;
CREATE MATERIALIZED VIEW shop.best AS SELECT * FROM shop.orders WHERE n > 1;
INSERT INTO shop.customers (name, mood, pair) SELECT 'c' || i, 'ok', ROW(i, 'x')::types.pair FROM generate_series(1, 10) i;
INSERT INTO shop.orders (customer, n) SELECT i % 10 + 1, i FROM generate_series(1, 50) i;
INSERT INTO shop.items SELECT i, 'thing' FROM generate_series(1, 50) i;
INSERT INTO shop.events SELECT date '2020-12-01' + i, 'e' FROM generate_series(1, 60) i;
INSERT INTO shop.base VALUES (1); INSERT INTO shop.derived VALUES (2, 3);
INSERT INTO shop."Odd ""x"" y" VALUES (1), (2); INSERT INTO shop."a
b" VALUES (7);
INSERT INTO shop.alien VALUES (ROW(1, 'x')::shop.items);
REFRESH MATERIALIZED VIEW shop.best;
GRANT SELECT ON shop.orders TO reader;
CREATE FUNCTION shop.noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER noted BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.noted();
ALTER TABLE shop.customers ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON shop.customers USING (name = current_user);
RESET ROLE;
CREATE TABLE public.other AS SELECT 1 AS i;
SELECT lo_from_bytea(0, 'large');"#;

fn shop() -> Cluster {
    let cluster = Cluster::start();
    cluster.psql("postgres", "CREATE DATABASE app");
    cluster.psql("app", SHOP);
    cluster
}

/// Relations of the users with the rows that each has of its own.
fn relations(cluster: &Cluster, database: &str) -> String {
    let sql = "SELECT string_agg(c.relname || ' ' || CASE WHEN c.relkind IN ('r', 'm') THEN \
                (SELECT word FROM ts_stat(format('SELECT array_to_tsvector(ARRAY[count(*)::text]) \
                 FROM ONLY %s', c.oid::regclass))) ELSE c.relkind::text END, ', ' \
                ORDER BY c.relname) \
           FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
          WHERE c.relkind IN ('r', 'm', 'v', 'p', 'S') AND n.nspname !~ '^pg_' \
            AND n.nspname <> 'information_schema' AND c.relispopulated";
    cluster.value(database, sql)
}

fn warnings(cluster: &Cluster) -> String {
    let sql = "SELECT coalesce(array_to_string(warnings, '; '), '') FROM backup_history \
               WHERE kind = 'restore' ORDER BY id DESC LIMIT 1";
    cluster.value("postgres", sql)
}

#[test]
fn chosen_tables_come_with_what_they_need_and_nothing_else() {
    let cluster = shop();
    for (how, jobs) in sample([("", ""), ("", ", jobs => 2"), (", jobs => 2", ", jobs => 2")]) {
        let id = cluster.back_up_app(how);
        let call = |what: &str| {
            let sql = format!("CALL backup_restore({id}, target => 'part', {what}{jobs})");
            cluster.sql("postgres", &sql);
        };
        call("tables => ARRAY['shop.orders']");
        assert_eq!(relations(&cluster, "part"), "numbers S, orders 50, orders_id_seq S");
        let state = "SELECT concat_ws(' ', (SELECT last_value FROM shop.numbers), \
            (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'shop.orders'::regclass), \
            (SELECT count(*) FROM pg_index WHERE indrelid = 'shop.orders'::regclass), \
            (SELECT count(*) FROM pg_constraint WHERE conrelid = 'shop.orders'::regclass \
                AND contype <> 'n'), \
            (SELECT replace(relacl::text, 'xtm/', 'xt/') FROM pg_class WHERE oid = 'shop.orders'::regclass), \
            (SELECT sum(twice) FROM shop.orders), (SELECT count(*) FROM pg_largeobject_metadata))";
        assert_eq!(
            cluster.value("part", state),
            "149 1 1 1 {seller=arwdDxt/seller,reader=r/seller} 2550 0"
        );
        let told = warnings(&cluster);
        assert!(told.contains("foreign keys left out") && told.contains("orders_customer_fkey"));
        cluster.sql("postgres", "DROP DATABASE part");
        call("tables => ARRAY['shop.orders', 'customers']");
        assert_eq!(
            relations(&cluster, "part"),
            "customers 10, customers_id_seq S, numbers S, orders 50, orders_id_seq S"
        );
        assert_eq!(warnings(&cluster), "");
        let policy = "SELECT concat_ws(' ', relrowsecurity, (SELECT polname FROM pg_policy)) \
                      FROM pg_class WHERE relname = 'customers'";
        assert_eq!(cluster.value("part", policy), "t mine");
        cluster.sql("postgres", "DROP DATABASE part");
    }
    cluster.assert_clean();
}

#[test]
fn partitions_children_and_hostile_names_come_as_they_are_chosen() {
    let cluster = shop();
    let id = cluster.back_up_app("");
    for (what, wanted) in sample([
        ("tables => ARRAY['events']", "events p, events_20 30, events_21 30"),
        ("tables => ARRAY['events_21']", "events_21 30"),
        ("tables => ARRAY['base']", "base 1, derived 1"),
        ("tables => ARRAY['derived']", "base 0, derived 1"),
        ("tables => ARRAY['shop.\"Odd \"\"x\"\" y\"']", "Odd \"x\" y 2"),
        ("tables => ARRAY['shop.\"a\nb\"']", "a\nb 1"),
        ("tables => ARRAY['alien']", "alien 1, items 0"),
        ("tables => ARRAY['other']", "other 1"),
        ("tables => ARRAY['best']", "numbers S, orders 0"),
        ("schemas => ARRAY['public']", "other 1"),
    ]) {
        let sql = format!("CALL backup_restore({id}, target => 'part', {what})");
        cluster.sql("postgres", &sql);
        let found = relations(&cluster, "part");
        assert!(found.starts_with(wanted) || found == wanted, "{what}: {found}");
        cluster.sql("postgres", "DROP DATABASE part");
    }
    cluster.sql(
        "postgres",
        &format!("CALL backup_restore({id}, target => 'part', schemas => ARRAY['shop'])"),
    );
    let all = relations(&cluster, "app").replace("other 1, ", "");
    assert_eq!(relations(&cluster, "part"), all);
    cluster.assert_clean();
}

#[test]
fn a_pattern_that_matches_nothing_is_named_before_anything_is_made() {
    let cluster = shop();
    let id = cluster.back_up_app("");
    let call =
        format!("CALL backup_restore({id}, target => 'part', tables => ARRAY['orders', 'ordesr'])");
    let error = cluster.error("postgres", &call);
    assert_eq!(error.sqlstate, "55000", "{error}");
    assert!(error.detail.contains("\"ordesr\"") && !error.detail.contains("\"orders\""), "{error}");
    let call = format!("CALL backup_restore({id}, target => 'part', schemas => ARRAY['shopp'])");
    let error = cluster.error("postgres", &call);
    assert!(error.detail.contains("schema pattern \"shopp\""), "{error}");
    let call = format!("CALL backup_restore({id}, target => 'part', tables => ARRAY['a.b.c'])");
    let error = cluster.connect("postgres").batch_execute(&call).unwrap_err();
    assert_eq!(sqlstate(&error), "22023");
    let plain = cluster.back_up_app(", format => 'plain'");
    let call = format!("CALL backup_restore({plain}, tables => ARRAY['orders'], trusted => true)");
    let error = cluster.error("postgres", &call);
    assert!(error.detail.contains("plain dump"), "{error}");
    let there = "SELECT count(*) FROM pg_database WHERE datname ~ 'part|restored'";
    assert_eq!(cluster.value("postgres", there), "0");
}

/// pg_dump makes what groups by a key when the key is there: a view first as one of NULLs, a
/// materialized view not before the rows.
#[test]
fn queries_that_group_by_a_key_come_with_it_and_stand_in_nobody_s_way() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE DATABASE app");
    let tables = "
        CREATE TABLE c (id int PRIMARY KEY, name text);
        CREATE TABLE o (customer int);
        CREATE TABLE lone AS SELECT 1 AS i;
        INSERT INTO c VALUES (1, 'one'), (2, 'two'); INSERT INTO o VALUES (1), (1), (2);
        CREATE VIEW totals AS SELECT c.id, c.name, count(*) AS n FROM c JOIN o ON o.customer = c.id
            GROUP BY c.id;
        CREATE VIEW over AS SELECT name, n FROM totals;
        CREATE MATERIALIZED VIEW m AS SELECT id, name, count(*) AS n FROM c GROUP BY id;
        CREATE INDEX m_id ON m (id);
        CREATE MATERIALIZED VIEW other AS SELECT id, name FROM c GROUP BY id";
    cluster.psql("app", tables);
    for how in sample(["", ", jobs => 2"]) {
        let id = cluster.back_up_app(how);
        let part = |tables: &str| {
            let call =
                format!("CALL backup_restore({id}, target => 'part', tables => '{tables}'{how})");
            cluster.sql("postgres", &call);
            let all = "SELECT string_agg(concat_ws(' ', relname, relkind, relispopulated::text), ', ' \
                              ORDER BY relname) \
                       FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind <> 'i'";
            cluster.value("part", all)
        };
        let dropped = || cluster.sql("postgres", "DROP DATABASE part");
        assert_eq!(part("{o}"), "o r true");
        dropped();
        assert_eq!(part("{c,m}"), "c r true, m m true");
        assert_eq!(cluster.value("part", "SELECT string_agg(name || n, ' ') FROM m"), "one1 two1");
        assert_eq!(cluster.value("part", "SELECT to_regclass('m_id')"), "m_id");
        assert_eq!(warnings(&cluster), "");
        dropped();
        assert_eq!(part("{m}"), "c r true, m m false");
        assert!(warnings(&cluster).contains("without rows, because they read"));
        dropped();
        assert_eq!(part("{totals,o}"), "c r true, o r true, totals v true");
        assert_eq!(cluster.value("part", "SELECT count(*) FROM totals"), "0");
        dropped();
        assert_eq!(part("{c,o,over}"), "c r true, o r true, over v true, totals v true");
        let over = "SELECT string_agg(name || n, ' ' ORDER BY n) FROM over";
        assert_eq!(cluster.value("part", over), "two1 one2");
        dropped();
    }
    cluster.assert_clean();
}

#[test]
fn what_a_part_cannot_have_as_it_was_is_told() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE DATABASE app");
    let tables = "
        CREATE EXTENSION pg_backup;
        CREATE TABLE c AS SELECT generate_series(1, 3) AS id;
        CREATE TABLE s (id serial, n int GENERATED ALWAYS AS IDENTITY);
        INSERT INTO s SELECT FROM generate_series(1, 7);
        CREATE FUNCTION counted() RETURNS bigint LANGUAGE sql STABLE
            AS 'SELECT count(*) FROM public.c';
        CREATE VIEW between AS SELECT counted();
        CREATE MATERIALIZED VIEW m AS SELECT * FROM between;
        CREATE MATERIALIZED VIEW sure AS SELECT 1 AS i, lower('A')";
    cluster.psql("app", tables);
    let id = cluster.back_up_app("");
    let part = |tables: &str| {
        let call = format!("CALL backup_restore({id}, target => 'part', tables => '{tables}')");
        cluster.sql("postgres", &call);
    };
    part("{m,sure,s_id_seq,s_n_seq,backup_runs}");
    let told = "left out, because they are sequences of identity columns of tables that were not \
                chosen: public.s_n_seq; \
                left out, because they belong to an extension, with which all of the database is \
                restored: public.backup_runs; \
                materialized views that may have other rows: their functions may read what was not \
                chosen: public.m";
    let without_needed = "SELECT string_agg(w, '; ') FROM (SELECT unnest(warnings) AS w \
                          FROM backup_history WHERE kind = 'restore' LIMIT 10) x \
                          WHERE w NOT LIKE 'there, but%'";
    assert_eq!(cluster.value("postgres", without_needed), told);
    assert_eq!(cluster.value("part", "SELECT last_value FROM s_id_seq"), "7");
    assert_eq!(cluster.value("part", "SELECT to_regclass('s')"), "");
    let refused = cluster.error(
        "postgres",
        &format!("CALL backup_restore({id}, target => 'none', tables => '{{s_n_seq}}')"),
    );
    assert_eq!(refused.sqlstate, "42704", "{refused}");
    assert!(refused.detail.contains("of an identity column with its table"), "{refused}");
    cluster.assert_clean();
}

/// Behind the rows, but no table's.
#[test]
fn a_constraint_of_a_domain_that_is_not_validated_comes_with_every_part() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE DATABASE app");
    let tables = "
        CREATE DOMAIN small AS int CHECK (VALUE < 10);
        CREATE TABLE t (v small);
        INSERT INTO t VALUES (1);
        ALTER DOMAIN small ADD CONSTRAINT positive CHECK (VALUE > 0) NOT VALID;
        COMMENT ON CONSTRAINT positive ON DOMAIN small IS 'from now on'";
    cluster.psql("app", tables);
    let constraints = "SELECT string_agg(concat_ws(' ', conname, convalidated::text, \
                              obj_description(oid, 'pg_constraint')), ', ' ORDER BY conname) \
                       FROM pg_constraint WHERE contypid = 'small'::regtype";
    let id = cluster.back_up_app("");
    let part = "target => 'part', tables => '{t}'";
    cluster.sql("postgres", &format!("CALL backup_restore({id}, {part})"));
    assert_eq!(cluster.value("part", constraints), cluster.value("app", constraints));
    cluster.sql("postgres", &into_schema(&id, "ARRAY['t']", "saved"));
    assert_eq!(cluster.value("app", "SELECT v FROM saved.t"), "1");
    cluster.psql("app", "ALTER DOMAIN small VALIDATE CONSTRAINT positive");
    let refused = cluster.error("postgres", &into_schema(&id, "ARRAY['t']", "again"));
    assert!(refused.detail.contains("\"small\" is another one there"), "{refused}");
}
