//! Every kind of object that pg_dump knows comes back: in a new database, in the place of the live
//! one, and after each swap back.

use pg_backup_tests::{Cluster, assert_same_text, into_schema, sample};

fn sink() -> (Cluster, String) {
    let cluster = Cluster::start();
    cluster.make_kitchen_sink("app");
    let everything = cluster.everything_of("app");
    (cluster, everything)
}

#[test]
fn a_new_database_has_everything_of_the_old_one() {
    let (cluster, wanted) = sink();
    let [alone, several] = ["", ", jobs => 2"];
    let plain = ", format => 'plain'";
    for (options, how) in
        sample([(alone, alone), (alone, several), (several, several), (plain, alone)])
    {
        let id =
            cluster.value("postgres", &format!("SELECT backup_create(database => 'app'{options})"));
        cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'copy'{how})"));
        assert_same_text(&cluster.everything_of("copy"), &wanted, &format!("{options}; {how}"));
        assert_same_text(&cluster.everything_of("app"), &wanted, "the live one");
        // The server drops no database with a subscription in it.
        cluster.sql("copy", "DROP SUBSCRIPTION abo");
        cluster.sql("postgres", "DROP DATABASE copy");
    }
}

#[test]
fn a_replaced_database_has_everything_and_so_has_each_swap_back() {
    let (cluster, wanted) = sink();
    let id = cluster.value("postgres", "SELECT backup_create(database => 'app')");
    cluster.psql(
        "app",
        "DROP SCHEMA \"Kitchen 1\" CASCADE; TRUNCATE parts CASCADE; SELECT lo_unlink(4711)",
    );
    cluster.psql(
        "postgres",
        "ALTER DATABASE app RESET ALL; ALTER DATABASE app CONNECTION LIMIT 3; \
                              ALTER DATABASE app OWNER TO waiter; COMMENT ON DATABASE app IS NULL",
    );
    let spoilt = cluster.everything_of("app");
    let run = cluster.value("postgres", &format!("CALL backup_restore({id}, replace => 'app')"));
    assert_same_text(&cluster.everything_of("app"), &wanted, "replaced");
    let run = cluster.value("postgres", &format!("CALL backup_rollback({run})"));
    assert_same_text(&cluster.everything_of("app"), &spoilt, "swapped back");
    cluster.value("postgres", &format!("CALL backup_rollback({run})"));
    assert_same_text(&cluster.everything_of("app"), &wanted, "swapped back again");
    assert_eq!(cluster.databases(), format!("app {}", cluster.kept("postgres")));
    cluster.assert_clean();
}

#[test]
fn a_database_with_a_subscription_can_be_dropped_again() {
    let cluster = Cluster::start();
    cluster.make_aged();
    cluster.sql(
        "app",
        "CREATE SUBSCRIPTION abo CONNECTION 'host=/nowhere dbname=x' PUBLICATION p \
         WITH (connect = false, slot_name = 'theirs', enabled = false)",
    );
    let id = cluster.value("postgres", "SELECT backup_create(database => 'app')");
    cluster.sql("postgres", &format!("SELECT backup_verify({id}, 'restore')"));
    assert_eq!(cluster.databases(), "app");
    cluster.replace_app("postgres", &id);
    let slot = "SELECT subslotname FROM pg_subscription";
    assert_eq!(cluster.value("app", slot), "theirs");
}

/// Values of an enum have other ids in another database, so pg_dump gives such rows to the root.
#[test]
fn rows_that_are_distributed_by_the_hash_of_an_enum_come_back() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE DATABASE app");
    let tables = "
        CREATE TYPE mood AS ENUM ('ill', 'well', 'wild', 'mild');
        CREATE TABLE days (day int, m mood) PARTITION BY RANGE (day);
        CREATE TABLE early PARTITION OF days FOR VALUES FROM (0) TO (100) PARTITION BY HASH (m);
        CREATE TABLE early_0 PARTITION OF early FOR VALUES WITH (MODULUS 3, REMAINDER 0);
        CREATE TABLE early_1 PARTITION OF early FOR VALUES WITH (MODULUS 3, REMAINDER 1);
        CREATE TABLE early_2 PARTITION OF early FOR VALUES WITH (MODULUS 3, REMAINDER 2);
        CREATE TABLE late PARTITION OF days FOR VALUES FROM (100) TO (200);
        INSERT INTO days SELECT i, (enum_range(NULL::mood))[1 + i % 4] FROM generate_series(0, 149) i";
    cluster.psql("app", tables);
    let rows = "SELECT string_agg(day || m::text, ' ' ORDER BY day) FROM";
    let wanted = cluster.value("app", &format!("{rows} days"));
    for options in sample(["", ", format => 'plain'", ", format => 'directory'", ", jobs => 2"]) {
        let id = cluster.back_up_app(options);
        cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
        assert_eq!(cluster.value("copy", &format!("{rows} days")), wanted, "{options}");
        cluster.sql("postgres", "DROP DATABASE copy");
        let verified = format!("SELECT bool_and(ok) FROM backup_verify({id}, 'restore')");
        assert_eq!(cluster.value("postgres", &verified), "t", "{options}");
        if !options.contains("plain") {
            cluster.sql("postgres", &into_schema(&id, "ARRAY['days']", "saved"));
            assert_eq!(cluster.value("app", &format!("{rows} saved.days")), wanted, "{options}");
            cluster.psql("app", "DROP SCHEMA saved CASCADE");
        }
    }
    cluster.assert_clean();
}

/// pg_restore lists them with spaces, and a dump in directory format is known by that list only.
#[test]
fn tables_with_line_ends_in_their_names_come_back_from_every_format() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE DATABASE app");
    let tables = "CREATE SCHEMA \"a\nb\"; CREATE TABLE \"a\nb\".\"c\r\nd\" AS SELECT 1 AS i; \
                  CREATE TABLE \"e\nf\" AS SELECT generate_series(1, 2) AS i";
    cluster.psql("app", tables);
    let rows = "SELECT count(*) FROM \"a\nb\".\"c\r\nd\" UNION ALL SELECT count(*) FROM \"e\nf\"";
    for options in sample(["", ", format => 'plain'", ", format => 'directory'", ", jobs => 2"]) {
        let id = cluster.back_up_app(options);
        cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
        assert_eq!(cluster.psql("copy", rows), "1\n2", "{options}");
        cluster.sql("postgres", "DROP DATABASE copy");
    }
    let id = cluster.back_up_app(", format => 'directory'");
    let part = format!("CALL backup_restore({id}, target => 'copy', tables => '{{e*}}')");
    cluster.sql("postgres", &part);
    assert_eq!(cluster.psql("copy", "SELECT count(*) FROM \"e\nf\""), "2");
    cluster.assert_clean();
}
