//! Whose rights the code in a backup gets: never those of the superuser who restores it.

use pg_backup_tests::{Cluster, sample};

/// A low-privileged owner's functions, which would note down whose rights they get.
const TROJANS: &str = "
CREATE ROLE mallory;
CREATE TABLE caught (who text); GRANT ALL ON caught TO PUBLIC;
GRANT CREATE ON SCHEMA public TO mallory;
SET ROLE mallory;
CREATE FUNCTION bite(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF current_user <> 'mallory' THEN
        RAISE EXCEPTION 'bitten as %', current_user;
    END IF;
    RETURN true;
END $$;
CREATE FUNCTION bite_int(int) RETURNS int LANGUAGE sql IMMUTABLE
    AS 'SELECT CASE WHEN public.bite($1) THEN $1 END';
CREATE DOMAIN biting AS int CHECK (public.bite(VALUE));
CREATE TABLE checked (i int CHECK (public.bite(i)));
CREATE TABLE typed (i biting);
CREATE TABLE made (i int, j int GENERATED ALWAYS AS (public.bite_int(i)) STORED);
CREATE TABLE parted (i int) PARTITION BY RANGE (public.bite_int(i));
CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE indexed (i int);
INSERT INTO checked VALUES (1); INSERT INTO typed VALUES (1); INSERT INTO made VALUES (1);
INSERT INTO parted VALUES (1); INSERT INTO indexed VALUES (1);
CREATE INDEX ON indexed (public.bite_int(i));
CREATE TABLE planned (i int, j int); INSERT INTO planned VALUES (1, 1);
CREATE INDEX ON planned (i, (public.bite_int(7)));
CREATE STATISTICS planned (mcv) ON i, (public.bite_int(7)) FROM planned;
CREATE FUNCTION bite_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM public.bite(1); RETURN NEW; END $$;
CREATE FUNCTION sneak(int) RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF session_user = 'mallory' THEN
        BEGIN
            SET SESSION AUTHORIZATION DEFAULT;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
        BEGIN
            PERFORM pg_catalog.set_config('role', 'postgres', false);
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
        PERFORM pg_catalog.set_config('search_path', 'mallory', false);
    END IF;
    RETURN public.bite($1);
END $$;
CREATE TABLE sneaked (i int CHECK (public.sneak(i)));
INSERT INTO sneaked VALUES (1);
CREATE TRIGGER biting BEFORE INSERT ON indexed FOR EACH ROW EXECUTE FUNCTION bite_row();
ALTER TABLE indexed ENABLE ALWAYS TRIGGER biting;
RESET ROLE;";

#[test]
fn trojans_of_an_owner_without_rights_never_run_with_those_of_the_superuser() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "CREATE DATABASE app");
    cluster.psql("app", TROJANS);
    for options in sample(["", ", jobs => 2"]) {
        let id = cluster.back_up_app(options);
        cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'copy'{options})"));
        let rows = "SELECT (SELECT count(*) FROM checked) + (SELECT count(*) FROM typed) \
                    + (SELECT count(*) FROM made) + (SELECT count(*) FROM parted) \
                    + (SELECT count(*) FROM indexed)";
        assert_eq!(cluster.value("copy", rows), "5");
        cluster.sql("postgres", "DROP DATABASE copy");
    }
}

#[test]
fn a_cast_behind_a_foreign_key_runs_as_its_owner() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "CREATE DATABASE app; CREATE ROLE mallory");
    cluster.psql(
        "app",
        "GRANT CREATE ON SCHEMA public TO mallory;
         SET ROLE mallory;
         CREATE TABLE numbers (i int PRIMARY KEY); INSERT INTO numbers VALUES (1);
         CREATE TYPE word AS ENUM ('one');
         CREATE FUNCTION as_int(word) RETURNS int LANGUAGE plpgsql STABLE AS $$
         BEGIN
             IF current_user <> 'mallory' THEN RAISE EXCEPTION 'bitten as %', current_user; END IF;
             RETURN 1;
         END $$;
         CREATE CAST (word AS int) WITH FUNCTION as_int(word) AS IMPLICIT;
         CREATE TABLE words (w word REFERENCES numbers); INSERT INTO words VALUES ('one');",
    );
    let id = cluster.back_up_app("");
    cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    assert_eq!(cluster.value("copy", "SELECT w FROM words"), "one");
    cluster.sql("postgres", "DROP DATABASE copy");
    // What it keeps from happening.
    let trusted = format!("CALL backup_restore({id}, trusted => true)");
    let error = cluster.error("postgres", &trusted);
    assert!(error.detail.contains("bitten as postgres"), "{error}");
    assert_eq!(cluster.databases(), "app");
}

/// A domain of mallory, whose check is evaluated when a partition gets its bound.
fn bound(check: &str) -> String {
    format!(
        "CREATE DOMAIN bounding AS text CHECK ({check});
         CREATE TABLE bounded (t bounding) PARTITION BY LIST (t);
         CREATE TABLE bounded_x PARTITION OF bounded FOR VALUES IN ('x');"
    )
}

/// A backup of `app`, in which mallory has run `sql`.
fn infested(cluster: &Cluster, sql: &str) -> String {
    cluster.psql("postgres", "CREATE DATABASE app; CREATE ROLE mallory");
    let sql = format!("GRANT CREATE ON SCHEMA public TO mallory; SET ROLE mallory; {sql}");
    cluster.psql("app", &sql);
    cluster.back_up_app("")
}

#[test]
fn functions_of_the_server_that_run_sql_are_not_called_as_superuser() {
    let cluster = Cluster::start();
    let check = "ts_rewrite('a'::tsquery, 'SELECT ''a''::tsquery, ''b''::tsquery') IS NOT NULL";
    let id = infested(&cluster, &bound(check));
    let error = cluster.error("postgres", &format!("CALL backup_restore({id})"));
    assert!(error.detail.contains("runs SQL or reaches files"), "{error}");
    assert_eq!(cluster.databases(), "app");
    cluster.sql("postgres", &format!("CALL backup_restore({id}, trusted => true)"));
}

#[test]
fn a_security_definer_function_leaves_nothing_for_later() {
    let cluster = Cluster::start();
    let hold = "CREATE FUNCTION hold() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS $$
        BEGIN
            IF current_setting('application_name') LIKE 'pg_backup restore%' THEN
                EXECUTE 'DECLARE later CURSOR WITH HOLD FOR SELECT 1';
            END IF;
            RETURN true;
        END $$;";
    let id = infested(&cluster, &format!("{hold} {}", bound("public.hold()")));
    let error = cluster.error("postgres", &format!("CALL backup_restore({id})"));
    assert!(error.detail.contains("within security-restricted operation"), "{error}");
    assert_eq!(cluster.databases(), "app");
}

#[test]
fn a_function_with_settings_of_its_own_leaves_no_path_to_its_schema() {
    let cluster = Cluster::start();
    let poison =
        "CREATE FUNCTION poison() RETURNS boolean LANGUAGE plpgsql SET work_mem = '1MB' AS $$
        BEGIN
            IF current_setting('application_name') LIKE 'pg_backup restore%' THEN
                PERFORM set_config('search_path', 'evil, pg_catalog', false);
            END IF;
            RETURN true;
        END $$;
        CREATE FUNCTION look() RETURNS boolean LANGUAGE plpgsql AS $$
        BEGIN
            IF current_setting('search_path') LIKE '%evil%' THEN RAISE EXCEPTION 'poisoned'; END IF;
            RETURN true;
        END $$;
        CREATE DOMAIN looking AS text CHECK (public.look());";
    let look = "CREATE TABLE looked (t looking) PARTITION BY LIST (t);
        CREATE TABLE looked_x PARTITION OF looked FOR VALUES IN ('x');";
    let id = infested(&cluster, &format!("{poison} {} {look}", bound("public.poison()")));
    cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    assert_eq!(cluster.value("copy", "SELECT count(*) FROM looked"), "0");
}
