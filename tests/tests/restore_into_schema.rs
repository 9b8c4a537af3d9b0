//! `backup_restore(…, into_schema => …)`: deleted rows can be joined back, and whatever goes wrong
//! changes nothing in the live database.

use nix::sys::signal::Signal;
use pg_backup_tests::{Cluster, Faults, LIMIT, is_alive, signal, wait_until};

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

fn fill(cluster: &Cluster) -> String {
    cluster.psql("postgres", "CREATE DATABASE app");
    cluster.psql("app", SHOP);
    cluster.value("postgres", "SELECT backup_create(database => 'app')")
}

fn call(id: &str, tables: &str, schema: &str) -> String {
    format!("CALL backup_restore({id}, tables => {tables}, into_schema => '{schema}')")
}

fn last_restore(cluster: &Cluster) -> String {
    let sql = "SELECT concat_ws(': ', status, error) FROM backup_history \
               WHERE kind = 'restore' ORDER BY id DESC LIMIT 1";
    cluster.value("postgres", sql)
}

/// The live database has no schema `saved` and there is no scratch database.
fn assert_untouched(cluster: &Cluster, schema: &str) {
    assert_eq!(cluster.schema_of("app"), schema);
    let databases = "SELECT count(*) FROM pg_database WHERE datname LIKE '%restoring%'";
    assert_eq!(cluster.value("postgres", databases), "0");
}

#[test]
fn deleted_rows_can_be_joined_back() {
    let cluster = Cluster::start();
    let id = fill(&cluster);
    cluster.sql("app", "DELETE FROM shop.orders WHERE n > 20; DELETE FROM shop.events");
    cluster.sql("postgres", &call(&id, "ARRAY['shop.orders', 'events', 'derived']", "saved"));
    assert_eq!(last_restore(&cluster), "succeeded");
    for (sql, wanted) in [
        (
            "SELECT concat_ws(' ', count(*), sum(twice), min(mood), pg_typeof(min(n))) FROM saved.orders",
            "50 2550 ok integer",
        ),
        (
            "SELECT count(*) FROM saved.orders s LEFT JOIN shop.orders o USING (id) WHERE o.id IS NULL",
            "30",
        ),
        ("SELECT count(*) FROM saved.events", "60"),
        ("SELECT count(*) FROM shop.base", "2"),
        (
            "SELECT string_agg(relname || ' ' || relkind::text || ' ' || pg_get_userbyid(relowner), ', ' ORDER BY relname) \
          FROM pg_class WHERE relnamespace = 'saved'::regnamespace",
            "derived r seller, events p seller, events_20 r seller, events_21 r seller, \
          numbers S seller, orders r seller, orders_id_seq S seller, orders_n i seller, \
          orders_pkey i seller",
        ),
        (
            "SELECT relacl::text FROM pg_class WHERE oid = 'saved.orders'::regclass",
            "{seller=arwdDxt/seller,reader=r/seller}",
        ),
        ("SELECT count(*) FROM pg_trigger WHERE tgrelid = 'saved.orders'::regclass", "0"),
        (
            "SELECT count(*) FROM pg_constraint WHERE conrelid = 'saved.orders'::regclass AND contype = 'f'",
            "0",
        ),
        ("SELECT nextval('saved.orders_id_seq') || ' ' || nextval('saved.numbers')", "51 150"),
        (
            "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'saved.orders'::regclass AND pg_get_expr(adbin, adrelid) ~ 'nextval'",
            "nextval('saved.numbers'::regclass)",
        ),
    ] {
        assert_eq!(cluster.value("app", sql), wanted, "{sql}");
    }
    // The way back for rows.
    cluster.sql("app", "ALTER TABLE shop.orders DISABLE TRIGGER noted");
    cluster.sql(
        "app",
        "INSERT INTO shop.orders (id, mood, customer, n, number) OVERRIDING SYSTEM VALUE \
         SELECT id, mood, customer, n, number FROM saved.orders s \
          WHERE NOT EXISTS (SELECT FROM shop.orders o WHERE o.id = s.id)",
    );
    assert_eq!(cluster.value("app", "SELECT sum(twice) FROM shop.orders"), "2550");
    cluster.sql("app", "DROP SCHEMA saved CASCADE");
    cluster.assert_clean();
}

#[test]
fn it_can_be_called_from_the_live_database_itself() {
    let cluster = Cluster::start();
    fill(&cluster);
    cluster.sql("app", "CREATE EXTENSION pg_backup");
    let id = cluster.value("app", "SELECT backup_create()");
    cluster.sql("app", "DROP TABLE shop.events");
    cluster.sql("app", &call(&id, "ARRAY['events', 'shop.orders']", "saved"));
    assert_eq!(cluster.value("app", "SELECT count(*) FROM saved.events"), "60");
    let run = "SELECT concat_ws(' ', status, database) FROM backup_history \
               WHERE kind = 'restore' ORDER BY id DESC LIMIT 1";
    assert_eq!(cluster.value("app", run), "succeeded app");
    let schedules = "SELECT count(*) FROM backup_history";
    assert_eq!(cluster.value("app", schedules), "2");
    let error = cluster.error("app", &call(&id, "ARRAY['backup_runs']", "other"));
    assert_eq!(error.sqlstate, "42704", "what belongs to an extension is not chosen: {error}");
    cluster.assert_nothing_left();
}

#[test]
fn hostile_names_are_only_names() {
    let cluster = Cluster::start();
    let id = fill(&cluster);
    let long = "l".repeat(63);
    for schema in ["dbname=x", "--help", "a'b\\c\"d", "a b\nc", "*", "$check$", long.as_str()] {
        let sql = format!(
            "CALL backup_restore({id}, tables => ARRAY['\"N''a\"\"m\ne $check$ \\ ;\"'], into_schema => $1)"
        );
        let mut session = cluster.connect("postgres");
        session.execute(&sql, &[&schema]).unwrap_or_else(|error| panic!("{schema}: {error:?}"));
        let there = "SELECT count(*) FROM pg_tables WHERE schemaname = $1";
        let count: i64 = cluster.connect("app").query_one(there, &[&schema]).unwrap().get(0);
        assert_eq!(count, 1, "{schema}");
    }
}

#[test]
fn what_cannot_be_put_there_is_refused_and_changes_nothing() {
    let cluster = Cluster::start();
    let id = fill(&cluster);
    let schema = cluster.schema_of("app");
    let refused = |tables: &str, into: &str| cluster.error("postgres", &call(&id, tables, into));
    let error = refused("ARRAY['customers']", "shop");
    assert!(error.detail.contains("schema \"shop\" exists"), "{error}");
    let error = refused("ARRAY['orders']", "saved");
    assert!(error.message.contains("two tables are called \"orders\""), "{error}");
    let error = refused("ARRAY['sums']", "saved");
    assert!(error.message.contains("no table is chosen"), "{error}");
    assert_untouched(&cluster, &schema);
    cluster.sql("app", "ALTER TYPE public.mood ADD VALUE 'new'");
    let schema = cluster.schema_of("app");
    let error = refused("ARRAY['shop.orders']", "saved");
    assert_eq!(error.sqlstate, "55000");
    assert!(error.detail.contains("\"public\".\"mood\" is another one there"), "{error}");
    cluster.sql("app", "DROP TYPE public.mood CASCADE");
    let error = refused("ARRAY['shop.orders']", "saved");
    assert!(error.detail.contains("\"public\".\"mood\" is not there"), "{error}");
    assert_ne!(cluster.schema_of("app"), schema);
    let schema = cluster.schema_of("app");
    cluster.use_tool(
        "pg_dump",
        "#!/bin/bash\n[[ \"$*\" == *section=data* ]] && { \"$REAL\" \"$@\" | head -c 1500; exit 1; }\nexec \"$REAL\" \"$@\"",
    );
    let error = refused("ARRAY['customers']", "saved");
    assert_eq!(error.sqlstate, "38000", "{error}");
    cluster.use_real_tools();
    assert_untouched(&cluster, &schema);
    cluster.sql("postgres", "DROP DATABASE app");
    let error = refused("ARRAY['customers']", "saved");
    assert!(error.detail.contains("database \"app\" does not exist"), "{error}");
    cluster.assert_clean();
}

#[test]
fn a_cancel_in_the_middle_leaves_nothing() {
    for point in ["after_data", "gathered", "poured_pre_data", "poured_data"] {
        let faults = Faults::default();
        let cluster = faults.cluster(&[]);
        let id = fill(&cluster);
        let schema = cluster.schema_of("app");
        faults.plant(point);
        let running = cluster.call("postgres", &call(&id, "ARRAY['shop.orders']", "saved"));
        faults.wait(point);
        running.cancel();
        faults.lift(point);
        assert_eq!(running.error().sqlstate, "57014", "{point}");
        wait_until("the end of the restore", LIMIT, || cluster.runners().is_empty());
        assert!(last_restore(&cluster).starts_with("cancelled"), "{point}");
        assert_untouched(&cluster, &schema);
        cluster.sql("postgres", &call(&id, "ARRAY['shop.orders']", "saved"));
        cluster.assert_clean();
    }
}

#[test]
fn a_cancel_just_before_the_commit_leaves_all_or_nothing() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let id = fill(&cluster);
    let schema = cluster.schema_of("app");
    faults.plant("poured_post_data");
    let running = cluster.call("postgres", &call(&id, "ARRAY['shop.orders']", "saved"));
    faults.wait("poured_post_data");
    running.cancel();
    faults.lift("poured_post_data");
    assert_eq!(running.error().sqlstate, "57014");
    wait_until("the end of the restore", LIMIT, || cluster.runners().is_empty());
    if last_restore(&cluster) == "succeeded" {
        // The word came when the tables were there already.
        assert_eq!(cluster.value("app", "SELECT count(*) FROM saved.orders"), "50");
        cluster.sql("app", "DROP SCHEMA saved CASCADE");
    }
    assert_untouched(&cluster, &schema);
}

#[test]
fn a_kill_in_the_middle_leaves_nothing() {
    for point in ["gathered", "poured_data", "poured_post_data"] {
        let faults = Faults::default();
        let mut cluster = faults.cluster(&[]);
        let id = fill(&cluster);
        let schema = cluster.schema_of("app");
        faults.plant(point);
        let running = cluster.call("postgres", &call(&id, "ARRAY['shop.orders']", "saved"));
        let runner = faults.wait(point);
        let postmaster = cluster.pid();
        let killer = std::thread::spawn(move || {
            wait_until("the postmaster's end", LIMIT, || !is_alive(postmaster));
            signal(runner, Signal::SIGKILL);
        });
        cluster.kill_postmaster();
        killer.join().unwrap();
        faults.lift(point);
        running.error();
        cluster.start_again();
        wait_until("the end of recovery", LIMIT, || {
            last_restore(&cluster).starts_with("interrupted")
        });
        assert_untouched(&cluster, &schema);
        cluster.sql("postgres", &call(&id, "ARRAY['shop.orders']", "saved"));
        assert_eq!(cluster.value("app", "SELECT count(*) FROM saved.orders"), "50");
    }
}

const TROJANS: &str = "
CREATE ROLE mallory; GRANT CREATE ON SCHEMA public TO mallory;
SET ROLE mallory;
CREATE FUNCTION public.bite(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF current_user <> 'mallory' THEN RAISE EXCEPTION 'bitten as %', current_user; END IF;
    RETURN true;
END $$;
CREATE FUNCTION public.bite_int(int) RETURNS int LANGUAGE sql IMMUTABLE
    AS 'SELECT CASE WHEN public.bite($1) THEN $1 END';
CREATE DOMAIN public.biting AS int CHECK (public.bite(VALUE));
CREATE TABLE public.checked (i int CHECK (public.bite(i)), j public.biting,
    k int GENERATED ALWAYS AS (public.bite_int(i)) STORED);
CREATE TABLE public.parted (i int) PARTITION BY RANGE (public.bite_int(i));
CREATE TABLE public.part PARTITION OF public.parted FOR VALUES FROM (0) TO (10);
INSERT INTO public.checked VALUES (1, 2); INSERT INTO public.parted VALUES (1);
CREATE INDEX ON public.checked (public.bite_int(i));
CREATE FUNCTION public.bite_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM public.bite(1); RETURN NEW; END $$;
CREATE FUNCTION public.sneak(int) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF session_user = 'mallory' THEN
        BEGIN
            SET SESSION AUTHORIZATION DEFAULT;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END IF;
    RETURN public.bite($1);
END $$;
CREATE TABLE public.sneaked (i int CHECK (public.sneak(i)));
INSERT INTO public.sneaked VALUES (1);
CREATE TRIGGER biting BEFORE INSERT ON public.checked FOR EACH ROW EXECUTE FUNCTION public.bite_row();
ALTER TABLE public.checked ENABLE ALWAYS TRIGGER biting;
RESET ROLE;";

#[test]
fn trojans_of_an_owner_without_rights_never_run_with_those_of_the_superuser() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "CREATE DATABASE app");
    cluster.psql("app", TROJANS);
    let id = cluster.value("postgres", "SELECT backup_create(database => 'app')");
    let tables = "ARRAY['checked', 'parted', 'sneaked']";
    cluster.sql("postgres", &call(&id, tables, "saved"));
    let rows =
        "SELECT (SELECT sum(i + j + k) FROM saved.checked) + (SELECT sum(i) FROM saved.parted)";
    assert_eq!(cluster.value("app", rows), "5");
    let sql = format!("CALL backup_restore({id}, tables => {tables}, target => 'part')");
    cluster.sql("postgres", &sql);
    assert_eq!(cluster.value("part", "SELECT count(*) FROM checked"), "1");
}

#[test]
fn the_plan_shows_how_and_touches_nothing() {
    let cluster = Cluster::start();
    let id = fill(&cluster);
    let schema = cluster.schema_of("app");
    let plan = cluster.value(
        "postgres",
        &format!(
            "SELECT string_agg(action || ': ' || command, E'\\n' ORDER BY step) \
             FROM backup_restore_plan({id}, tables => ARRAY['shop.orders'], into_schema => 'sa\"ved', globals => true)"
        ),
    );
    for part in [
        "make missing roles and tablespaces, and touch no other: unzip -p",
        "the rows of what is chosen: table shop.orders: pg_restore --list --verbose",
        "pg_restore --use-list=…/rest --no-password --exit-on-error --section=data",
        "expect the recorded rows in each chosen table",
        "ALTER TABLE … SET SCHEMA \"sa\"\"ved\"",
        "--section=data --use-set-session-authorization | psql",
        "DROP DATABASE IF EXISTS \"…_restoring_<run>\" WITH (FORCE)",
    ] {
        assert!(plan.contains(part), "{part}\n{plan}");
    }
    assert!(!plan.contains("SCRAM"), "{plan}");
    assert_untouched(&cluster, &schema);
}

#[test]
fn a_cancel_that_comes_after_the_commit_is_too_late() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let id = fill(&cluster);
    // Has done its work, and does not end.
    let gate = cluster.make_dir("gate").join("gate");
    std::fs::write(&gate, "").unwrap();
    let script = format!(
        "#!/bin/bash\n\"$REAL\" \"$@\"\nwhile [ -e '{}' ]; do read -t 0.02 <> <(:); done",
        gate.display()
    );
    cluster.use_tool("psql", &script);
    let running = cluster.call("postgres", &call(&id, "ARRAY['shop.orders']", "saved"));
    let there = "SELECT count(*) FROM pg_namespace WHERE nspname = 'saved'";
    wait_until("the commit", LIMIT, || cluster.value("app", there) == "1");
    running.cancel();
    assert_eq!(running.error().sqlstate, "57014");
    wait_until("the end of the restore", LIMIT, || cluster.runners().is_empty());
    assert_eq!(last_restore(&cluster), "succeeded");
    assert_eq!(cluster.value("app", "SELECT count(*) FROM saved.orders"), "50");
    let databases = "SELECT count(*) FROM pg_database WHERE datname LIKE '%restoring%'";
    assert_eq!(cluster.value("postgres", databases), "0");
}
