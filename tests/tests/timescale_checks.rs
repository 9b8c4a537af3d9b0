//! TimescaleDB: what is said before a restore, the plan, and whether the stand-in is strict enough
//! for the other tests to mean something.

use pg_backup_tests::{Cluster, bin, install_timescaledb};

#[test]
fn what_the_server_does_not_have_is_said_before() {
    install_timescaledb();
    let cluster = Cluster::start();
    cluster.make_hypertable("public");
    let id = cluster.backup_of_app("");
    let rows = |id: &str| {
        let sql = format!(
            "SELECT string_agg(concat_ws(' ', check_name, status, detail), E'\\n') \
             FROM backup_restore_check({id}, target => 'copy') WHERE check_name ~ 'timescale'"
        );
        cluster.value("postgres", &sql)
    };
    assert_eq!(rows(&id), "timescaledb blocker TimescaleDB is not preloaded");
    cluster
        .psql("app", "UPDATE pg_extension SET extversion = '1.7.5' WHERE extname = 'timescaledb'");
    let id = cluster.backup_of_app("");
    assert_eq!(
        rows(&id),
        "timescaledb blocker the backup needs TimescaleDB 1.7.5, this server has 2.20.0, 2.19.3"
    );
    let error = cluster.error("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    assert!(error.detail.contains("needs TimescaleDB 1.7.5"), "{error}");
}

#[test]
fn a_part_with_a_hypertable_is_refused_with_the_reason() {
    let cluster = Cluster::with_timescaledb();
    cluster.make_hypertable("public");
    let id = cluster.backup_of_app("");
    for (part, wanted) in [
        ("tables => ARRAY['met*']", "blocker hypertables are asked for: public.metrics"),
        ("schemas => ARRAY['public']", "blocker hypertables are asked for: public.metrics"),
        ("tables => ARRAY['public.plain']", "ok no hypertable is asked for"),
    ] {
        let sql = format!(
            "SELECT concat_ws(' ', status, detail) FROM backup_restore_check({id}, \
             target => 'copy', {part}) WHERE check_name = 'timescaledb'"
        );
        assert_eq!(cluster.value("postgres", &sql), wanted, "{part}");
    }
}

#[test]
fn the_plan_shows_the_order_of_timescaledb() {
    let cluster = Cluster::with_timescaledb();
    cluster.make_hypertable("public");
    let id = cluster.backup_of_app("");
    let sql = format!(
        "SELECT string_agg(command, E'\\n' ORDER BY step) \
         FROM backup_restore_plan({id}, replace => 'app')"
    );
    let plan = cluster.value("postgres", &sql);
    let mut rest = plan.as_str();
    for part in [
        "CREATE EXTENSION timescaledb SCHEMA \"public\" VERSION '2.19.3'",
        "\"public\".\"timescaledb_pre_restore\"()",
        "--section=pre-data",
        "--section=data --dbname=dbname='…_restoring_<run>' --use-list=…/catalog",
        "--use-set-session-authorization --use-list=…/others",
        "--section=post-data",
        "BEGIN; SELECT \"public\".\"timescaledb_post_restore\"(); SELECT \"public\".\"alter_job\"",
        "alter_job(…, scheduled => true",
        "RENAME TO",
        "start_background_workers",
    ] {
        let at = rest.find(part).unwrap_or_else(|| panic!("{part} not in order\n{plan}"));
        rest = &rest[at..];
    }
}

/// Runs the stock pg_restore into a new database `stock`, after `before`; gives whether it
/// liked it.
fn stock(cluster: &Cluster, before: &str, options: &[&str], dump: &str) -> bool {
    cluster.psql("postgres", "DROP DATABASE IF EXISTS stock");
    cluster.psql("postgres", "CREATE DATABASE stock TEMPLATE template0");
    cluster.psql("stock", before);
    let socket = cluster.value("postgres", "SHOW unix_socket_directories");
    let mut command = std::process::Command::new(bin("pg_restore"));
    command.args(["-h", &socket, "-U", "postgres", "-d", "stock", "-e"]).args(options).arg(dump);
    command.output().expect("pg_restore starts").status.success()
}

#[test]
fn the_stand_in_fails_where_the_real_one_would() {
    let cluster = Cluster::with_timescaledb();
    cluster.make_hypertable("public");
    let directory = cluster.make_dir("dump");
    let dump = directory.join("app").display().to_string();
    cluster.tool("pg_dump", &["-Fc", "-f", &dump, "-d", "app"]);
    let extension = |version: &str| format!("CREATE EXTENSION timescaledb VERSION '{version}';");
    let pre = "SELECT timescaledb_pre_restore();";
    let post = "SELECT timescaledb_post_restore()";
    assert!(!stock(&cluster, "", &[], &dump), "nobody was told");
    assert!(!stock(&cluster, &(extension("2.20.0") + pre), &[], &dump), "another version");
    let begun = extension("2.19.3") + pre;
    assert!(!stock(&cluster, &begun, &["-j4"], &dump), "chunks before the catalog");
    assert_eq!(cluster.value("stock", post), "t", "of half a database");
    assert_eq!(cluster.stand_in_said("post_restore of half a restore", "stock"), 1);
    assert!(stock(&cluster, &begun, &[], &dump), "one after the other");
    let rows = "SELECT count(*) FROM metrics";
    assert_eq!(cluster.value("stock", rows), "50000");
    cluster.value("stock", post);
    assert_eq!(cluster.value("stock", rows), "30000", "retention fired");
}
