//! Databases that somebody has renamed or opened while a restore was making them: they are
//! somebody's then, and no crash takes them away or calls them restored.

use nix::sys::signal::Signal;
use pg_backup_tests::{Cluster, Faults, LIMIT, Mode, NEW, OLD, sample, signal, wait_until};

const CALL: &str = "CALL backup_restore(1, replace => 'app')";

/// A replace stops at `point`, `meddle` is done to its staging database, and the runner dies.
fn meddled(point: &str, meddle: &str) -> (Faults, Cluster, String) {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    assert_eq!(cluster.make_aged(), "1");
    faults.plant(point);
    let call = cluster.call("postgres", CALL);
    let runner = faults.wait(point);
    let staging = cluster.databases().replace("app ", "");
    cluster.sql("postgres", &format!("ALTER DATABASE {staging} {meddle}"));
    signal(runner, Signal::SIGKILL);
    faults.lift(point);
    call.error();
    cluster.wait_for_restore("postgres", &["manual interrupted".to_owned()]);
    (faults, cluster, staging)
}

/// The launcher has put everything right when the next one works.
fn replace_again(cluster: &Cluster) {
    cluster.sql("postgres", CALL);
    assert_eq!(cluster.age("app"), OLD);
    cluster.accept_all("postgres");
}

fn told(cluster: &Cluster) -> String {
    let sql = "SELECT error_detail || ' ' || error_hint FROM backup_history \
               WHERE kind = 'restore' ORDER BY id DESC LIMIT 1";
    cluster.value("postgres", sql)
}

#[test]
fn a_staging_database_that_was_renamed_is_neither_dropped_nor_called_restored() {
    for point in sample(["loaded", "before_swap"]) {
        let (_faults, mut cluster, _) = meddled(point, "RENAME TO mine");
        let told = told(&cluster);
        assert!(told.contains("is \"mine\" now"), "{told}");
        assert!(told.contains("Look into \"mine\""), "{told}");
        cluster.restart(Mode::Fast);
        replace_again(&cluster);
        assert_eq!(cluster.databases(), "app mine", "{point}");
    }
}

#[test]
fn a_staging_database_that_was_opened_is_neither_dropped_nor_called_restored() {
    let (_faults, mut cluster, staging) = meddled("loaded", "CONNECTION LIMIT -1");
    let told = told(&cluster);
    assert!(told.contains(&format!("is \"{staging}\" now")), "{told}");
    assert_eq!(cluster.age("app"), NEW);
    cluster.restart(Mode::Fast);
    replace_again(&cluster);
    assert_eq!(cluster.databases(), format!("app {staging}"));
}

/// A restore into a new database stops where its rows are there and its indexes are not, and
/// somebody opens that.
fn opened_too_early() -> (Faults, Cluster, pg_backup_tests::Call, i32) {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    assert_eq!(cluster.make_aged(), "1");
    faults.plant("after_data");
    let call = cluster.call("postgres", "CALL backup_restore(1, target => 'copy')");
    let runner = faults.wait("after_data");
    cluster.sql("postgres", "ALTER DATABASE copy CONNECTION LIMIT -1");
    (faults, cluster, call, runner)
}

#[test]
fn a_new_database_that_was_opened_too_early_is_not_called_restored_after_a_crash() {
    let (faults, mut cluster, call, runner) = opened_too_early();
    signal(runner, Signal::SIGKILL);
    faults.lift("after_data");
    call.error();
    cluster.wait_for_restore("postgres", &["manual interrupted".to_owned()]);
    let told = told(&cluster);
    assert!(told.contains("is \"copy\" now: somebody has renamed or opened it"), "{told}");
    cluster.restart(Mode::Fast);
    assert_eq!(cluster.databases(), "app copy");
}

#[test]
fn a_new_database_that_was_opened_too_early_is_not_called_restored_when_its_restore_fails() {
    let (faults, cluster, call, runner) = opened_too_early();
    cluster.sql("postgres", &format!("SELECT pg_cancel_backend({runner})"));
    faults.lift("after_data");
    let error = call.error();
    assert_eq!(error.sqlstate, "57014");
    assert!(error.detail.contains("opened the unfinished database \"copy\""), "{error}");
    cluster.wait_for_restore("postgres", &["manual cancelled".to_owned()]);
    assert_eq!(cluster.databases(), "app copy");
}

/// Lets nobody connect who is not there, ends the sessions of jobs, and lets the job at `point` go
/// on. Gives what lets everybody in again.
fn locked_out<'c>(cluster: &'c Cluster, faults: &Faults, point: &str) -> impl Fn() + use<'c> {
    let hba = cluster.data_dir().join("pg_hba.conf");
    let before = std::fs::read_to_string(&hba).unwrap();
    let set = move |text: &str| {
        std::fs::write(&hba, text).unwrap();
        cluster.sql("postgres", "SELECT pg_reload_conf()");
    };
    set("local all all reject\n");
    let reject = "SELECT string_agg(auth_method, '') FROM pg_hba_file_rules";
    assert_eq!(cluster.value("postgres", reject), "reject");
    let ours = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                WHERE application_name LIKE 'pg_backup%' AND backend_type = 'client backend'";
    assert_ne!(cluster.value("postgres", ours), "0");
    faults.lift(point);
    move || set(&before)
}

/// What becomes of a database is found out before anything is done to it, if not now, then later.
#[test]
fn nothing_is_dropped_while_nobody_can_look() {
    let (faults, cluster, call, _) = opened_too_early();
    cluster.sql("postgres", "ALTER DATABASE copy CONNECTION LIMIT 0");
    let let_in = locked_out(&cluster, &faults, "after_data");
    let error = call.error();
    assert!(error.detail.contains("could not be found out"), "{error}");
    assert_eq!(cluster.databases(), "app copy");
    let_in();
    cluster.wait_for_restore("postgres", &["manual interrupted".to_owned()]);
    assert_eq!(cluster.databases(), "app");
}

#[test]
fn a_rollback_is_neither_failed_nor_done_while_nobody_can_look() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    cluster.make_aged();
    let run = cluster.value("postgres", "CALL backup_restore(1, replace => 'app')");
    let there = cluster.databases();
    faults.plant("rollback_opened");
    let call = cluster.call("postgres", &format!("CALL backup_rollback({run})"));
    faults.wait("rollback_opened");
    let let_in = locked_out(&cluster, &faults, "rollback_opened");
    let error = call.error();
    assert!(error.detail.contains("could not be found out"), "{error}");
    let running = "SELECT status FROM backup_history ORDER BY id DESC LIMIT 1";
    assert_eq!(cluster.value("postgres", running), "running");
    let_in();
    cluster.wait_for_restore("postgres", &["rollback interrupted".to_owned()]);
    assert_eq!(cluster.databases(), there);
    let open = "SELECT count(*) FROM pg_database WHERE datname LIKE 'app%' AND datallowconn";
    wait_until("the kept one to be closed", LIMIT, || cluster.value("postgres", open) == "1");
    cluster.sql("postgres", &format!("CALL backup_rollback({run})"));
    assert_eq!(cluster.age("app"), NEW);
}

#[test]
fn a_restore_that_fails_drops_what_it_has_made_whatever_its_name_and_nothing_else() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    cluster.make_aged();
    faults.plant("before_swap");
    let call = cluster.call("postgres", CALL);
    let runner = faults.wait("before_swap");
    let staging = cluster.databases().replace("app ", "");
    cluster.sql("postgres", &format!("ALTER DATABASE {staging} RENAME TO aside"));
    cluster.sql("postgres", &format!("CREATE DATABASE {staging}"));
    cluster.sql("postgres", &format!("SELECT pg_cancel_backend({runner})"));
    faults.lift("before_swap");
    assert_eq!(call.error().sqlstate, "57014");
    wait_until("the end of the restore", LIMIT, || cluster.runners().is_empty());
    assert_eq!(cluster.databases(), format!("app {staging}"));
}

#[test]
fn a_kept_database_that_was_renamed_or_dropped_is_not_kept_any_more_whoever_has_its_name() {
    let mut cluster = Cluster::start();
    cluster.make_aged();
    let run = cluster.value("postgres", CALL);
    let kept = cluster.kept("postgres");
    cluster.sql("postgres", &format!("ALTER DATABASE {kept} RENAME TO mine"));
    cluster.sql("postgres", &format!("CREATE DATABASE {kept}"));
    for call in ["accept", "rollback"] {
        let error = cluster.error("postgres", &format!("CALL backup_{call}({run})"));
        assert_eq!(error.sqlstate, "42704", "{error}");
        assert!(error.detail.contains("renamed"), "{error}");
    }
    assert_eq!(cluster.kept("postgres"), "");
    cluster.append_conf(&["pg_backup.rollback_keep = 0"]);
    cluster.restart(Mode::Fast);
    cluster.sql("postgres", CALL);
    wait_until("the end of what is kept no longer", LIMIT, || {
        cluster.databases() == format!("app {kept} mine")
    });
    assert_eq!(cluster.age("app"), OLD);
}
