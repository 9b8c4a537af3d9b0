//! Events: what a session that listens hears of runs, and that hearing it is never a burden.

use pg_backup_tests::{Cluster, LIMIT, wait_until};
use postgres::Client;
use postgres::fallible_iterator::FallibleIterator;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Nothing more comes within this time.
const QUIET: Duration = Duration::from_millis(300);

fn listener(cluster: &Cluster, database: &str) -> Client {
    let mut client = cluster.connect(database);
    client.batch_execute("LISTEN pg_backup").expect("everybody may listen");
    client
}

/// The next event. Panics when none comes.
fn next(client: &mut Client) -> Value {
    let event = client.notifications().timeout_iter(LIMIT).next().expect("the session is alive");
    let event = event.expect("an event comes in time");
    assert_eq!(event.channel(), "pg_backup");
    serde_json::from_str(event.payload()).expect("the payload is JSON")
}

/// Events up to the end of run `id`.
fn until_end(client: &mut Client, id: i64) -> Vec<Value> {
    let start = Instant::now();
    let mut events = Vec::new();
    loop {
        let event = next(client);
        let is_end = event["id"] == id && event["event"] != "started";
        events.push(event);
        if is_end {
            return events;
        }
        assert!(start.elapsed() < LIMIT, "{events:?}");
    }
}

fn assert_quiet(client: &mut Client) {
    let more = client.notifications().timeout_iter(QUIET).next().expect("the session is alive");
    assert!(more.is_none(), "{more:?}");
}

fn create(cluster: &Cluster, options: &str) -> i64 {
    let sql = format!("SELECT backup_create({options})");
    cluster.value("postgres", &sql).parse().expect("a number")
}

fn last_id(cluster: &Cluster) -> i64 {
    cluster.value("postgres", "SELECT max(id) FROM backup_history").parse().expect("a number")
}

#[test]
fn a_backup_tells_when_it_starts_and_when_it_has_succeeded() {
    let cluster = Cluster::start();
    let mut client = listener(&cluster, "postgres");
    let id = create(&cluster, "");
    let event = |event: &str, status: &str| {
        json!({"event": event, "id": id, "kind": "backup", "database": "postgres",
               "status": status})
    };
    let events = until_end(&mut client, id);
    assert_eq!(events, [event("started", "running"), event("succeeded", "succeeded")]);
    assert_quiet(&mut client);
}

/// Whoever may connect may listen, so an event must not hold what an error quotes.
#[test]
fn a_failure_is_told_to_everybody_and_its_error_to_nobody() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE ROLE stranger LOGIN");
    let mut client = cluster.connect_as("postgres", "stranger");
    client.batch_execute("LISTEN pg_backup").expect("everybody may listen");
    cluster.hook("before_backup", "h", "DO $$ BEGIN RAISE 'xyzzy'; END $$");
    let run = cluster.stopped_by_hook();
    let events = until_end(&mut client, run.id);
    let wanted = json!({"event": "failed", "id": run.id, "kind": "backup", "database": "postgres",
                        "status": "failed"});
    assert_eq!(events.last(), Some(&wanted));
    assert!(client.query("SELECT * FROM backup_history", &[]).is_err());
}

#[test]
fn schedules_are_named_and_what_they_prune_is_told() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "CALL backup_schedule('my \"s\"', '0 3 29 2 *', keep_last => 1)");
    cluster.sql("postgres", "SELECT backup_run('my \"s\"')");
    let first = last_id(&cluster);
    let mut client = listener(&cluster, "postgres");
    cluster.sql("postgres", "SELECT backup_run('my \"s\"')");
    let (prune, second) = (last_id(&cluster), first + 1);
    let events = until_end(&mut client, prune);
    let told = |event: &str, id: i64, kind: &str, status: &str| {
        json!({"event": event, "id": id, "kind": kind, "database": "postgres", "status": status,
               "schedule": "my \"s\""})
    };
    let wanted = [
        told("started", second, "backup", "running"),
        told("succeeded", second, "backup", "succeeded"),
        told("started", prune, "prune", "running"),
        told("pruned", first, "backup", "succeeded"),
        told("succeeded", prune, "prune", "succeeded"),
    ];
    assert_eq!(events, wanted);
}

#[test]
fn skipped_and_cancelled_runs_are_told() {
    let cluster = Cluster::start();
    let mut client = listener(&cluster, "postgres");
    cluster.fill("big", 1, 1);
    let hold = cluster.hold_dumps();
    let first = cluster.call_until_dumping("postgres", "SELECT backup_create(database => 'big')");
    cluster.error("postgres", "SELECT backup_create(database => 'big')");
    let skipped = last_id(&cluster);
    let events = until_end(&mut client, skipped);
    let told = events.last().expect("there is one");
    assert_eq!((&told["event"], &told["status"]), (&json!("skipped"), &json!("skipped")));
    assert_eq!(told["database"], "big");
    first.cancel();
    first.error();
    let told = next(&mut client);
    assert_eq!((&told["event"], &told["status"]), (&json!("failed"), &json!("cancelled")));
    drop(hold);
}

#[test]
fn a_missed_run_is_told() {
    let cluster = Cluster::start();
    let mut client = listener(&cluster, "postgres");
    let sql = "CALL backup_schedule('s', '0 3 29 2 *', catch_up => '1 minute')";
    cluster.psql("postgres", sql);
    // As if the server had been down for a while.
    let late = "UPDATE backup_schedule_entries SET last_due = now() - interval '3 days', \
                cron = to_char(now() - interval '2 hours', 'MI HH24 * * *')";
    cluster.sql("postgres", late);
    let told = next(&mut client);
    assert_eq!((&told["event"], &told["status"]), (&json!("missed"), &json!("missed")), "{told}");
    assert_eq!((&told["schedule"], &told["kind"]), (&json!("s"), &json!("backup")), "{told}");
    let row = format!("SELECT status FROM backup_history WHERE id = {}", told["id"]);
    assert_eq!(cluster.value("postgres", &row), "missed");
}

#[test]
fn a_run_that_a_crash_interrupted_is_told_by_the_server_that_is_back() {
    let mut cluster = Cluster::with(&["max_prepared_transactions = 1"]);
    cluster.fill("big", 1, 1);
    let hold = cluster.hold_dumps();
    let call = cluster.call_until_dumping("postgres", "SELECT backup_create(database => 'big')");
    // It survives the crash, and keeps the recovery waiting until we listen.
    let lock = "BEGIN; LOCK TABLE backup_runs IN SHARE MODE; PREPARE TRANSACTION 'in the way'";
    cluster.sql("postgres", lock);
    cluster.kill_postmaster();
    drop(hold);
    call.error();
    cluster.start_again();
    let mut client = listener(&cluster, "postgres");
    cluster.sql("postgres", "ROLLBACK PREPARED 'in the way'");
    let told = next(&mut client);
    assert_eq!((&told["event"], &told["status"]), (&json!("failed"), &json!("interrupted")));
    assert_eq!((&told["id"], &told["database"]), (&json!(1), &json!("big")));
}

#[test]
fn who_hears_an_event_can_read_its_row_at_once() {
    let cluster = Cluster::start();
    let mut client = listener(&cluster, "postgres");
    cluster.psql("postgres", "CALL backup_schedule('s', '0 3 29 2 *', keep_last => 1)");
    for _ in 0..3 {
        // The job of the last one may still prune.
        let jobs = "SELECT count(*) FROM backup_progress";
        wait_until("the end of the job", LIMIT, || cluster.value("postgres", jobs) == "0");
        cluster.sql("postgres", "SELECT backup_run('s', wait => false)");
        loop {
            let event = next(&mut client);
            let id = event["id"].as_i64().expect("a number");
            let sql = "SELECT status, coalesce(file_state, '') FROM backup_history WHERE id = $1";
            let row = client.query_one(sql, &[&id]).expect("the row is there");
            let (status, state): (String, String) = (row.get(0), row.get(1));
            let wanted: &[&str] = match event["event"].as_str().expect("text") {
                "started" => &["running", "verifying", "succeeded"],
                _ => &["succeeded"],
            };
            assert!(wanted.contains(&status.as_str()), "{event}: {status}");
            assert!(event["event"] != "pruned" || state == "pruned", "{event}: {state}");
            if event["event"] == "succeeded" {
                break;
            }
        }
    }
}

#[test]
fn nothing_is_told_of_a_backup_that_was_rolled_back() {
    let cluster = Cluster::start();
    let mut client = listener(&cluster, "postgres");
    cluster.psql("postgres", "BEGIN; SELECT backup_create(wait => false); ROLLBACK");
    assert_quiet(&mut client);
    let mut caller = cluster.connect("postgres");
    let sql = "BEGIN; SELECT backup_create(wait => false)";
    caller.batch_execute(sql).expect("it starts at commit");
    assert_quiet(&mut client);
    caller.batch_execute("COMMIT").expect("it starts now");
    assert_eq!(next(&mut client)["event"], "started");
    assert_eq!(next(&mut client)["event"], "succeeded");
}

#[test]
fn events_go_to_the_database_that_holds_the_row() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE DATABASE other");
    let mut home = listener(&cluster, "postgres");
    let mut other = listener(&cluster, "other");
    let id = create(&cluster, "database => 'other'");
    assert_eq!(until_end(&mut home, id)[0]["database"], "other");
    assert_quiet(&mut other);
}

#[test]
fn a_home_database_in_latin1_tells_names_beyond_ascii() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "CREATE DATABASE old ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    cluster.psql("old", "CREATE EXTENSION pg_backup; CALL backup_schedule('s', '0 3 29 2 *')");
    let mut client = listener(&cluster, "old");
    // Calls take ASCII only there, but a restore brings any row. It is due since an hour.
    let due = "UPDATE backup_schedule_entries SET name = 'größe', cron = \
               to_char(now() - interval '1 hour', 'MI HH24 * * *'), \
               last_due = now() - interval '2 hours'";
    cluster.sql("old", due);
    for wanted in ["started", "succeeded"] {
        let told = next(&mut client);
        assert_eq!(
            (&told["event"], &told["schedule"]),
            (&json!(wanted), &json!("größe")),
            "{told}"
        );
        assert_eq!(told["database"], "old");
    }
}

#[test]
fn a_listener_that_sits_in_a_transaction_fails_no_backup() {
    let cluster = Cluster::start();
    let mut client = listener(&cluster, "postgres");
    client.batch_execute("BEGIN").expect("it is idle");
    cluster.assert_next_backup_works();
    client.batch_execute("COMMIT").expect("it is in a transaction");
    assert_eq!(next(&mut client)["event"], "started");
    assert_eq!(next(&mut client)["event"], "succeeded");
}

#[test]
fn what_others_send_on_the_channel_disturbs_nobody() {
    let cluster = Cluster::start();
    let mut client = listener(&cluster, "postgres");
    client.batch_execute("NOTIFY pg_backup, 'not json'").expect("everybody may");
    let sent = client.notifications().timeout_iter(LIMIT).next().expect("alive").expect("sent");
    assert_eq!(sent.payload(), "not json");
    cluster.assert_next_backup_works();
}
