//! Databases with TimescaleDB, against a stand-in that fails where the real one would: the order
//! of the restore, jobs that are parked and given back, workers that are started again.

use pg_backup_tests::{
    Cluster, Faults, LIMIT, PRELOADED, install_timescaledb, sample, wait_for, wait_until,
};

/// Rows, catalog and sequences, without the jobs.
fn content(cluster: &Cluster, database: &str) -> String {
    let sql = "SELECT concat_ws(' | ', (SELECT count(*) || ' ' || sum(v) FROM metrics), \
                      (SELECT count(*) FROM ONLY metrics), (SELECT count(*) FROM plain), \
                      (SELECT string_agg(h::text, ';') FROM _timescaledb_catalog.hypertable h), \
                      (SELECT string_agg(c::text, ';') FROM _timescaledb_catalog.chunk c), \
                      (SELECT string_agg(relname || ' ' || relowner::regrole, ';' \
                                 ORDER BY relname) \
                         FROM pg_class WHERE relnamespace = '_timescaledb_internal'::regnamespace \
                          AND relname LIKE '\\_hyper%'), \
                      (SELECT last_value FROM _timescaledb_catalog.chunk_id_seq), \
                      (SELECT last_value FROM _timescaledb_config.bgw_job_id_seq))";
    cluster.value(database, sql)
}

/// Which jobs of users are scheduled.
fn scheduled(cluster: &Cluster, database: &str) -> String {
    let sql = "SELECT string_agg(application_name, ' ' ORDER BY job_id) \
               FROM timescaledb_information.jobs WHERE job_id >= 1000 AND scheduled";
    cluster.value(database, &format!("SELECT coalesce(({sql}), 'none')"))
}

/// Databases in restoring mode.
fn restoring(cluster: &Cluster) -> String {
    let sql = "SELECT coalesce(string_agg(setconfig::text, ' '), '') FROM pg_db_role_setting \
               WHERE setconfig::text LIKE '%restoring%'";
    cluster.value("postgres", sql)
}

/// Nothing happened that would have done damage.
fn assert_undamaged(cluster: &Cluster) {
    for what in ["jobs fired", "post_restore of half a restore"] {
        assert!(!cluster.log().contains(&format!("stand-in: {what}")), "{what}");
    }
    assert_eq!(restoring(cluster), "");
}

fn warnings(cluster: &Cluster) -> String {
    let sql = "SELECT coalesce(array_to_string(warnings, ' '), '') FROM backup_history \
               WHERE kind = 'restore' LIMIT 1";
    cluster.value("postgres", sql)
}

#[test]
fn a_copy_holds_every_chunk_and_its_jobs_are_parked() {
    let cluster = Cluster::with_timescaledb();
    cluster.make_hypertable("public");
    let wanted = content(&cluster, "app");
    for (options, how) in sample([
        ("", ""),
        ("", ", jobs => 4"),
        (", format => 'directory', compression => 'none'", ", jobs => 4"),
        (", format => 'plain'", ", trusted => true"),
    ]) {
        let id = cluster.backup_of_app(options);
        cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'copy'{how})"));
        assert_eq!(content(&cluster, "copy"), wanted, "{options}{how}");
        assert_eq!(scheduled(&cluster, "copy"), "none", "{options}{how}");
        assert!(warnings(&cluster).contains("are parked in \"copy\""), "{}", warnings(&cluster));
        let version = "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'";
        assert_eq!(cluster.value("copy", version), "2.20.0", "the server's default");
        assert_undamaged(&cluster);
        cluster.sql("postgres", "DROP DATABASE copy");
    }
    cluster.assert_clean();
}

#[test]
fn the_extension_may_lie_in_a_schema_of_its_own() {
    let cluster = Cluster::with_timescaledb();
    cluster.psql("postgres", "CREATE ROLE boss");
    cluster.make_hypertable("\"The ts\"");
    cluster.psql(
        "app",
        "ALTER SCHEMA \"The ts\" OWNER TO boss; GRANT USAGE ON SCHEMA \"The ts\" TO sensor",
    );
    let (wanted, schema) = (content(&cluster, "app"), cluster.schema_of("app"));
    for how in sample(["", ", jobs => 2"]) {
        let id = cluster.backup_of_app("");
        cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'copy'{how})"));
        assert_eq!(content(&cluster, "copy"), wanted);
        pg_backup_tests::assert_same_text(&cluster.schema_of("copy"), &schema, how);
        cluster.sql("postgres", "DROP DATABASE copy");
    }
    let id = cluster.backup_of_app(", format => 'plain'");
    let error = cluster.error("postgres", &format!("CALL backup_restore({id}, trusted => true)"));
    assert!(error.detail.contains("in schema \"The ts\", which the script makes"), "{error}");
    assert_undamaged(&cluster);
}

#[test]
fn jobs_come_back_under_the_original_name_and_none_at_once() {
    let cluster = Cluster::with_timescaledb();
    cluster.make_hypertable("public");
    let id = cluster.backup_of_app("");
    cluster.sql("postgres", "DROP DATABASE app");
    cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'app')"));
    assert_eq!(scheduled(&cluster, "app"), "retention refresh");
    let starts = "SELECT string_agg(CASE WHEN next_start = '2040-01-01 00:00+00' THEN 'as before' \
                         WHEN next_start > now() + interval '50 minutes' THEN 'later' \
                         ELSE 'now' END, \
                         ', ' ORDER BY job_id) \
                    FROM timescaledb_information.jobs WHERE job_id IN (1000, 1001)";
    assert_eq!(cluster.value("app", starts), "as before, later");
    assert_eq!(warnings(&cluster), "");
    assert_undamaged(&cluster);
}

#[test]
fn a_replaced_database_has_its_jobs_and_workers_and_so_has_the_one_that_comes_back() {
    let cluster = Cluster::with_timescaledb();
    cluster.make_hypertable("public");
    let wanted = content(&cluster, "app");
    let id = cluster.backup_of_app("");
    cluster.sql("app", "DELETE FROM metrics; SELECT alter_job(1000, scheduled => false)");
    let emptied = content(&cluster, "app");
    cluster.sql("postgres", &format!("CALL backup_restore({id}, replace => 'app')"));
    assert_eq!(content(&cluster, "app"), wanted);
    assert_eq!(scheduled(&cluster, "app"), "retention refresh");
    assert_eq!(cluster.stand_in_said("start_background_workers", "app"), 1);
    assert_eq!(warnings(&cluster), "");
    let run = "SELECT id FROM backup_history WHERE kind = 'restore' LIMIT 1";
    let run = cluster.value("postgres", run);
    cluster.sql("postgres", &format!("CALL backup_rollback({run})"));
    assert_eq!(content(&cluster, "app"), emptied);
    assert_eq!(scheduled(&cluster, "app"), "refresh");
    assert_eq!(cluster.stand_in_said("start_background_workers", "app"), 2);
    assert_undamaged(&cluster);
    cluster.assert_clean();
}

#[test]
fn a_rename_that_fails_leaves_the_live_database_with_its_workers() {
    install_timescaledb();
    let faults = Faults::default();
    let cluster = faults.cluster(&[PRELOADED, "max_prepared_transactions = 2"]);
    cluster.make_hypertable("public");
    let id = cluster.backup_of_app("");
    faults.plant("carried_over");
    let call = cluster.call("postgres", &format!("CALL backup_restore({id}, replace => 'app')"));
    faults.wait("carried_over");
    cluster.psql("app", "BEGIN; CREATE TABLE x (); PREPARE TRANSACTION 'in the way'");
    faults.lift("carried_over");
    let error = call.error();
    assert!(error.detail.contains("as it was"), "{error}");
    assert_eq!(cluster.stand_in_said("start_background_workers", "app"), 1);
    assert_eq!(scheduled(&cluster, "app"), "retention refresh");
    cluster.sql("app", "ROLLBACK PREPARED 'in the way'");
    assert_undamaged(&cluster);
    cluster.assert_clean();
}

#[test]
fn a_restore_that_fails_halfway_is_never_told_that_it_is_over() {
    let cluster = Cluster::with_timescaledb();
    cluster.make_hypertable("public");
    let id = cluster.backup_of_app("");
    cluster.use_tool(
        "pg_restore",
        "#!/bin/bash\n[[ \"$*\" == *section=post* ]] && exit 1\nexec \"$REAL\" \"$@\"",
    );
    let error = cluster.error("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    assert!(error.message.contains("pg_restore"), "{error}");
    assert_eq!(cluster.stand_in_said("stop_background_workers", "copy"), 1);
    assert_eq!(cluster.stand_in_said("start_background_workers", "copy"), 0);
    let gone = "SELECT count(*) FROM pg_database WHERE datname = 'copy'";
    assert_eq!(cluster.value("postgres", gone), "0");
    assert_undamaged(&cluster);
}

#[test]
fn the_version_is_the_one_that_the_dump_itself_holds() {
    let cluster = Cluster::with_timescaledb();
    cluster.make_hypertable("public");
    let wanted = content(&cluster, "app");
    // The manifest is mistaken.
    cluster
        .psql("app", "UPDATE pg_extension SET extversion = '2.20.0' WHERE extname = 'timescaledb'");
    let id = cluster.backup_of_app("");
    cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    assert_eq!(content(&cluster, "copy"), wanted);
}

#[test]
fn a_restore_that_died_is_seen_by_the_watchdog_until_it_is_swept() {
    install_timescaledb();
    let faults = Faults::default();
    let cluster = faults.cluster(&[PRELOADED]);
    cluster.make_hypertable("public");
    let id = cluster.backup_of_app("");
    faults.plant("timescale_loaded");
    let call = cluster.call("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    faults.wait("timescale_loaded");
    let stuck = "SELECT concat_ws(' ', status, detail) FROM backup_check() \
                 WHERE check_name = 'timescaledb_restoring'";
    assert_eq!(cluster.value("postgres", stuck), "blocker in restoring mode: copy");
    call.cancel();
    faults.lift("timescale_loaded");
    assert_eq!(call.error().sqlstate, "57014");
    wait_until("the end of the restore", LIMIT, || cluster.runners().is_empty());
    let none = wait_for("the answer", LIMIT, || Some(cluster.sql("postgres", stuck)));
    assert!(none.is_empty(), "{none:?}");
    assert_undamaged(&cluster);
}

#[test]
fn a_verification_restores_hypertables_too() {
    let cluster = Cluster::with_timescaledb();
    cluster.make_hypertable("public");
    let id = cluster.backup_of_app("");
    let verify = format!("SELECT bool_and(ok)::text FROM backup_verify({id}, 'restore')");
    assert_eq!(cluster.value("postgres", &verify), "true");
    assert_undamaged(&cluster);
    cluster.assert_clean();
}
