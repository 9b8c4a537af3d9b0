//! `backup_restore(…, into_schema => …)`: deleted rows can be joined back, and what cannot be put
//! there is refused and changes nothing in the live database.

use pg_backup_tests::{Cluster, into_schema, sample};

#[test]
fn deleted_rows_can_be_joined_back() {
    let cluster = Cluster::start();
    let id = cluster.make_shop();
    cluster.sql("app", "DELETE FROM shop.orders WHERE n > 20; DELETE FROM shop.events");
    cluster
        .sql("postgres", &into_schema(&id, "ARRAY['shop.orders', 'events', 'derived']", "saved"));
    assert_eq!(cluster.last_restore("postgres"), "manual succeeded");
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
            "SELECT replace(relacl::text, 'xtm/', 'xt/') FROM pg_class WHERE oid = 'saved.orders'::regclass",
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
    cluster.make_shop();
    cluster.sql("app", "CREATE EXTENSION pg_backup");
    let id = cluster.value("app", "SELECT backup_create()");
    cluster.sql("app", "DROP TABLE shop.events");
    cluster.sql("app", &into_schema(&id, "ARRAY['events', 'shop.orders']", "saved"));
    assert_eq!(cluster.value("app", "SELECT count(*) FROM saved.events"), "60");
    let run = "SELECT concat_ws(' ', status, database) FROM backup_history \
               WHERE kind = 'restore' ORDER BY id DESC LIMIT 1";
    assert_eq!(cluster.value("app", run), "succeeded app");
    let schedules = "SELECT count(*) FROM backup_history";
    assert_eq!(cluster.value("app", schedules), "2");
    let error = cluster.error("app", &into_schema(&id, "ARRAY['backup_runs']", "other"));
    assert_eq!(error.sqlstate, "42704", "what belongs to an extension is not chosen: {error}");
    cluster.assert_nothing_left();
}

#[test]
fn hostile_names_are_only_names() {
    let cluster = Cluster::start();
    let id = cluster.make_shop();
    let long = "l".repeat(63);
    let names = ["dbname=x", "--help", "a'b\\c\"d", "a b\nc", "*", "$check$", long.as_str()];
    for schema in sample(names) {
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
    let id = cluster.make_shop();
    let schema = cluster.schema_of("app");
    let refused =
        |tables: &str, into: &str| cluster.error("postgres", &into_schema(&id, tables, into));
    let error = refused("ARRAY['customers']", "shop");
    assert!(error.detail.contains("Schema \"shop\" exists"), "{error}");
    let error = refused("ARRAY['orders']", "saved");
    assert!(error.message.contains("two tables are called \"orders\""), "{error}");
    let error = refused("ARRAY['sums']", "saved");
    assert!(error.message.contains("no table is chosen"), "{error}");
    cluster.assert_untouched_shop(&schema);
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
    cluster.assert_untouched_shop(&schema);
    cluster.sql("postgres", "DROP DATABASE app");
    let error = refused("ARRAY['customers']", "saved");
    assert!(error.detail.contains("Database \"app\" does not exist"), "{error}");
    cluster.assert_clean();
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
    cluster.sql("postgres", &into_schema(&id, tables, "saved"));
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
    let id = cluster.make_shop();
    let schema = cluster.schema_of("app");
    let plan = cluster.value(
        "postgres",
        &format!(
            "SELECT string_agg(action || ': ' || command, E'\\n' ORDER BY step) \
             FROM backup_restore_plan({id}, tables => ARRAY['shop.orders'], into_schema => 'sa\"ved', globals => true)"
        ),
    );
    for part in [
        "tables => ARRAY['shop.orders'], into_schema => 'sa\"ved', globals => true)",
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
    cluster.assert_untouched_shop(&schema);
}
