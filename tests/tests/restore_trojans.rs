//! What a role without rights has put into its own objects never runs with the rights of the
//! superuser who restores, replaces or verifies: every trojan tries to make a superuser.

use pg_backup_tests::Cluster;

/// Tries every way to more rights. The role outlives the database that it was made from.
const BITE: &str = "
CREATE FUNCTION m.bite() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
DECLARE way text;
BEGIN
    FOREACH way IN ARRAY ARRAY['SELECT 1', 'RESET ROLE', 'SET SESSION AUTHORIZATION DEFAULT',
        'SET LOCAL ROLE postgres', 'RESET ALL', 'DISCARD ALL',
        'SELECT set_config(''session_authorization'', ''postgres'', false)',
        'SELECT set_config(''pg_backup.restricted_copy'', ''off'', false)'] LOOP
        BEGIN EXECUTE way; EXCEPTION WHEN OTHERS THEN NULL; END;
        BEGIN
            EXECUTE format('CREATE ROLE bitten SUPERUSER');
            RETURN true;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    RETURN true;
END $$;
CREATE FUNCTION m.num(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN PERFORM m.bite(); RETURN $1; END $$;
CREATE FUNCTION m.row() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM m.bite(); RETURN NEW; END $$;";

/// Objects of the role `mallory` whose evaluation calls it, by name.
const TROJANS: [(&str, &str); 14] = [
    ("check", "CREATE TABLE m.t (i int CHECK (m.bite())); INSERT INTO m.t VALUES (1)"),
    (
        "domain",
        "CREATE DOMAIN m.d AS int CHECK (m.bite()); CREATE TABLE m.t (i m.d); \
                INSERT INTO m.t VALUES (1)",
    ),
    (
        "generated",
        "CREATE TABLE m.t (i int, j int GENERATED ALWAYS AS (m.num(i)) STORED); \
                   INSERT INTO m.t VALUES (1)",
    ),
    (
        "partition key",
        "CREATE TABLE m.t (i int) PARTITION BY LIST (m.num(i)); \
                       CREATE TABLE m.p PARTITION OF m.t DEFAULT; INSERT INTO m.t VALUES (1)",
    ),
    (
        "index",
        "CREATE TABLE m.t (i int); INSERT INTO m.t VALUES (1); \
               CREATE INDEX ON m.t (m.num(i)) WHERE m.num(i) > 0",
    ),
    (
        "statistics",
        "CREATE TABLE m.t (i int); INSERT INTO m.t SELECT generate_series(1, 300); \
                    CREATE STATISTICS m.s ON (m.num(i)), i FROM m.t",
    ),
    (
        "trigger",
        "CREATE TABLE m.t (i int); INSERT INTO m.t VALUES (1); CREATE TRIGGER x BEFORE \
                 INSERT ON m.t FOR EACH ROW EXECUTE FUNCTION m.row(); \
                 ALTER TABLE m.t ENABLE ALWAYS TRIGGER x",
    ),
    (
        "statement trigger",
        "CREATE TABLE m.t (i int); INSERT INTO m.t VALUES (1); CREATE TRIGGER x \
                 AFTER INSERT ON m.t EXECUTE FUNCTION m.row(); \
                 ALTER TABLE m.t ENABLE REPLICA TRIGGER x",
    ),
    (
        "rule",
        "CREATE TABLE m.t (i int); INSERT INTO m.t VALUES (1); \
              CREATE RULE x AS ON INSERT TO m.t DO ALSO SELECT m.bite(); \
              ALTER TABLE m.t ENABLE ALWAYS RULE x",
    ),
    (
        "policy",
        "CREATE TABLE m.t (i int); INSERT INTO m.t VALUES (1); \
                CREATE POLICY x ON m.t USING (m.bite()) WITH CHECK (m.bite()); \
                ALTER TABLE m.t ENABLE ROW LEVEL SECURITY",
    ),
    ("view", "CREATE TABLE m.t (i int); CREATE VIEW m.v AS SELECT m.bite()"),
    (
        "materialized view",
        "CREATE MATERIALIZED VIEW m.t AS SELECT m.bite() AS i; \
                           CREATE INDEX ON m.t (i)",
    ),
    ("default", "CREATE TABLE m.t (i int, b boolean DEFAULT m.bite()); INSERT INTO m.t VALUES (1)"),
    (
        "exclusion",
        "CREATE FUNCTION m.eq(int, int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS \
                   $$ BEGIN PERFORM m.bite(); RETURN $1 = $2; END $$; CREATE TABLE m.t (i int, \
                   EXCLUDE USING btree (m.num(i) WITH =)); INSERT INTO m.t VALUES (1), (2)",
    ),
];

/// The same for what is evaluated when an object is made.
const MADE: [(&str, &str); 3] = [
    (
        "partition bound",
        "CREATE DOMAIN m.d AS int CHECK (m.bite()); CREATE TABLE m.t (i m.d) \
         PARTITION BY LIST (i); CREATE TABLE m.p PARTITION OF m.t FOR VALUES IN (1)",
    ),
    (
        "aggregate",
        "CREATE DOMAIN m.d AS int CHECK (m.bite()); CREATE FUNCTION m.s(m.d, int) RETURNS m.d \
         LANGUAGE sql AS 'SELECT $1'; CREATE AGGREGATE m.a(int) (SFUNC = m.s, STYPE = m.d, \
         INITCOND = '1')",
    ),
    (
        "attached partition",
        "CREATE TABLE m.t (i int) PARTITION BY LIST (i); \
         CREATE TABLE m.p (i int, CHECK (m.num(1) = 1)); \
         ALTER TABLE m.t ATTACH PARTITION m.p FOR VALUES IN (1)",
    ),
];

/// Puts a trojan into a schema of its own, made by the role itself.
fn infest(cluster: &Cluster, schema: &str, name: &str, trojan: &str) {
    cluster.sql("app", &format!("CREATE SCHEMA {schema} AUTHORIZATION mallory"));
    let mut mallory = cluster.connect_as("app", "mallory");
    for sql in [BITE, trojan] {
        let sql = sql.replace("m.", &format!("{schema}."));
        mallory.batch_execute(&sql).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    }
}

fn assert_not_bitten(cluster: &Cluster, what: &str) {
    let bitten = "SELECT count(*) FROM pg_roles WHERE rolname = 'bitten'";
    assert_eq!(cluster.value("postgres", bitten), "0", "{what}");
}

/// Restores all of `trojans`, which sit in one database, in every way.
fn none_bites(trojans: &[(&str, &str)]) {
    let cluster = Cluster::start();
    cluster.psql("postgres", "CREATE ROLE mallory LOGIN; CREATE DATABASE app");
    for (number, (name, trojan)) in trojans.iter().enumerate() {
        infest(&cluster, &format!("m{number}"), name, trojan);
    }
    let id = cluster.value("postgres", "SELECT backup_create(database => 'app')");
    assert_not_bitten(&cluster, "backup");
    for call in [
        format!("CALL backup_restore({id}, target => 'copy')"),
        format!("CALL backup_restore({id}, target => 'copy', jobs => 2)"),
        format!("SELECT backup_verify({id}, 'restore')"),
        format!("CALL backup_restore({id}, replace => 'app', safety => 'none')"),
    ] {
        cluster.sql("postgres", &call);
        assert_not_bitten(&cluster, &call);
        cluster.sql("postgres", "DROP DATABASE IF EXISTS copy");
    }
    assert_eq!(cluster.databases(), "app");
}

#[test]
fn no_trojan_of_a_role_without_rights_runs_as_superuser() {
    none_bites(&TROJANS);
}

#[test]
fn no_trojan_of_a_role_without_rights_runs_while_definitions_are_made() {
    none_bites(&MADE);
}

#[test]
fn the_trojans_bite_a_superuser_who_is_not_careful() {
    // Else the test above would prove nothing.
    let cluster = Cluster::start();
    cluster.psql("postgres", "CREATE ROLE mallory LOGIN; CREATE DATABASE app");
    infest(&cluster, "m", "check", TROJANS[0].1);
    cluster.sql("app", "INSERT INTO m.t VALUES (2)");
    let bitten = "SELECT count(*) FROM pg_roles WHERE rolname = 'bitten'";
    assert_eq!(cluster.value("postgres", bitten), "1");
}
