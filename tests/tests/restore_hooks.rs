//! Hooks of a restore, its progress and its notifications: an error before the swap leaves
//! everything as it was, one after it is a warning; a hook has the rights of its owner, never more.

use pg_backup_tests::{Cluster, Faults, LIMIT, NEW, OLD, sample, wait_until};
use postgres::fallible_iterator::FallibleIterator;
use std::time::Duration;

/// How long a listener waits for the next word.
const PATIENCE: Duration = Duration::from_secs(30);

fn replace(id: &str) -> String {
    format!("CALL backup_restore({id}, replace => 'app')")
}

/// The warnings and the end of the last restore.
fn last_warning(cluster: &Cluster) -> String {
    let sql = "SELECT status || ' ' || coalesce(warnings::text, '') FROM backup_history \
               WHERE kind = 'restore' ORDER BY id DESC LIMIT 1";
    cluster.value("postgres", sql)
}

#[test]
fn hooks_run_in_their_databases_at_their_steps() {
    let cluster = Cluster::start();
    let id = cluster.make_aged();
    cluster.sql("postgres", "CREATE TABLE told (at text)");
    cluster.hook("before_restore", "b", "INSERT INTO public.told VALUES (current_database())");
    cluster.hook(
        "after_restore",
        "a",
        "CREATE TABLE public.by_hook AS SELECT current_database()::text AS at",
    );
    cluster.hook("after_swap", "s", "INSERT INTO public.by_hook VALUES (current_database())");
    cluster.sql("postgres", &replace(&id));
    assert_eq!(cluster.value("postgres", "SELECT at FROM told"), "postgres");
    let at = "SELECT string_agg(at, ' ' ORDER BY at DESC) FROM by_hook";
    assert_eq!(cluster.value("app", at), "app_restoring_2 app");
    assert_eq!(cluster.age("app"), OLD);
}

#[test]
fn a_hook_that_fails_before_the_swap_stops_the_restore() {
    let cluster = Cluster::start();
    let id = cluster.make_aged();
    for event in sample(["before_restore", "after_restore"]) {
        cluster.hook(event, "bad", "SELECT 1/0");
        let error = cluster.error("postgres", &replace(&id));
        assert!(error.message.contains("bad"), "{event}: {error}");
        assert_eq!((cluster.databases(), cluster.age("app")), ("app".into(), NEW.into()));
        cluster.sql("postgres", &format!("CALL backup_hook('{event}', 'bad', NULL)"));
    }
    cluster.replace_app("postgres", &id);
}

#[test]
fn a_hook_that_fails_after_the_swap_is_a_warning() {
    let cluster = Cluster::start();
    let id = cluster.make_aged();
    cluster.hook("after_swap", "bad", "SELECT 1/0");
    cluster.sql("postgres", &replace(&id));
    assert_eq!(cluster.age("app"), OLD);
    let told = last_warning(&cluster);
    assert!(told.starts_with("succeeded ") && told.contains("division by zero"), "{told}");
    assert_ne!(cluster.kept("postgres"), "");
}

/// SQL by which a hook of a role without rights would become more than it is.
const CLIMBS: [&str; 6] = [
    "RESET ROLE; CREATE ROLE climbed SUPERUSER",
    "SET SESSION AUTHORIZATION DEFAULT; CREATE ROLE climbed SUPERUSER",
    "SELECT pg_temp.backup_run_as(10, 'postgres', 'CREATE ROLE climbed SUPERUSER')",
    "SELECT pg_temp.backup_assert_as(10, 'postgres', 'CREATE ROLE climbed SUPERUSER')",
    "COPY (SELECT 1) TO PROGRAM 'true'; CREATE ROLE climbed SUPERUSER",
    "DO $$ BEGIN EXECUTE 'RESET ROLE'; CREATE ROLE climbed SUPERUSER; END $$",
];

#[test]
fn a_hook_never_has_more_rights_than_its_owner() {
    let cluster = Cluster::start();
    let id = cluster.make_aged();
    cluster.make_operator("weak");
    for event in ["before_restore", "after_restore", "after_swap"] {
        for climb in sample(CLIMBS) {
            // Some are refused already when they are registered.
            if cluster.try_hook("weak", event, "climb", Some(climb)).is_err() {
                continue;
            }
            let _ = cluster.try_sql("postgres", &replace(&id));
            let climbed = "SELECT count(*) FROM pg_roles WHERE rolname = 'climbed'";
            assert_eq!(cluster.value("postgres", climbed), "0", "{event}: {climb}");
            cluster.sql("postgres", &format!("CALL backup_hook('{event}', 'climb', NULL)"));
            cluster.accept_all("postgres");
        }
    }
    assert_eq!(cluster.databases(), "app");
}

#[test]
fn a_restore_is_seen_from_another_database_and_tells_its_phases() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let id = cluster.make_aged();
    cluster.sql("postgres", "CREATE DATABASE other");
    cluster.sql("other", "CREATE EXTENSION pg_backup");
    let mut listener = cluster.connect("postgres");
    listener.batch_execute("LISTEN pg_backup").unwrap();
    faults.plant("after_data");
    let call = replace(&id).replace(')', ", jobs => 2)");
    let call = cluster.call("postgres", &call);
    faults.wait("after_data");
    let seen = "SELECT concat_ws(' ', kind, database, phase) FROM backup_progress";
    assert_eq!(cluster.value("other", seen), "restore app data");
    faults.lift("after_data");
    call.end().unwrap();
    wait_until("the end", LIMIT, || cluster.runners().is_empty());
    let mut phases = Vec::new();
    let mut sent = listener.notifications();
    let mut words = sent.timeout_iter(PATIENCE);
    while let Some(word) = words.next().unwrap() {
        let word: serde_json::Value = serde_json::from_str(word.payload()).unwrap();
        if word["event"] == "phase" {
            assert_eq!((&word["kind"], &word["database"]), (&"restore".into(), &"app".into()));
            phases.push(word["phase"].as_str().unwrap().to_owned());
        }
        if word["status"] == "succeeded" {
            break;
        }
    }
    let wanted = [
        "checking",
        "creating staging",
        "pre-data",
        "data",
        "post-data",
        "verifying",
        "hooks",
        "opening",
        "swapping",
    ];
    let order: Vec<_> = phases.iter().filter(|phase| wanted.contains(&phase.as_str())).collect();
    assert_eq!(order, wanted, "{phases:?}");
}
