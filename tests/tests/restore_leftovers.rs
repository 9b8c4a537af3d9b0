//! What a restore leaves behind and cannot take away at once, and what is in its way at the swap.

use nix::sys::signal::Signal;
use pg_backup_tests::{Faults, LIMIT, Mode, NEW, OLD, signal, wait_until};

const CALL: &str = "CALL backup_restore(1, replace => 'app')";

#[test]
fn a_leftover_that_cannot_be_dropped_is_named_holds_up_nothing_and_goes_later() {
    let faults = Faults::default();
    let mut cluster = faults.cluster(&["max_prepared_transactions = 2"]);
    cluster.make_aged();
    faults.plant("before_swap");
    let call = cluster.call("postgres", CALL);
    let runner = faults.wait("before_swap");
    let staging = cluster.databases().replace("app ", "");
    cluster.sql(&staging, "BEGIN; CREATE TABLE x (); PREPARE TRANSACTION 'in the way'");
    signal(runner, Signal::SIGKILL);
    faults.lift("before_swap");
    call.error();
    cluster.wait_for_restore("postgres", &["manual interrupted".to_owned()]);
    let detail = cluster.value("postgres", "SELECT error_detail FROM backup_history LIMIT 1");
    assert!(detail.contains(&format!("\"{staging}\" could not be dropped or closed")), "{detail}");
    cluster.schedule("postgres", "'s', '0 3 29 2 *', timezone => 'UTC', keep_last => 1");
    cluster.sql("postgres", "SELECT backup_run('s')");
    cluster.restart(Mode::Fast);
    cluster.sql("postgres", "SELECT backup_run('s')");
    assert_eq!(cluster.databases(), format!("app {staging}"));
    cluster.sql(&staging, "ROLLBACK PREPARED 'in the way'");
    cluster.restart(Mode::Fast);
    wait_until("the end of the leftover", LIMIT, || cluster.databases() == "app");
}

#[test]
fn a_database_that_was_a_template_when_it_was_backed_up_can_be_swapped_back_and_dropped() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    cluster.make_aged();
    cluster.sql("postgres", "ALTER DATABASE app IS_TEMPLATE true");
    let id = cluster.back_up_app("");
    cluster.sql("postgres", "ALTER DATABASE app IS_TEMPLATE false");
    let run = cluster.value("postgres", &format!("CALL backup_restore({id}, replace => 'app')"));
    let back = cluster.value("postgres", &format!("CALL backup_rollback({run})"));
    cluster.sql("postgres", &format!("CALL backup_accept({back})"));
    assert_eq!((cluster.databases(), cluster.age("app")), ("app".into(), NEW.into()));
}

#[test]
fn a_lock_on_the_history_in_the_live_database_keeps_it_as_it_is() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    cluster.make_aged();
    cluster.sql("app", "CREATE EXTENSION pg_backup");
    let mut session = cluster.connect("app");
    session.batch_execute("BEGIN; LOCK TABLE backup_runs IN ROW EXCLUSIVE MODE").unwrap();
    let error = cluster.error("postgres", CALL);
    assert_eq!(error.sqlstate, "55P03", "{error}");
    assert!(error.detail.starts_with("Database \"app\" is as it was."), "{error}");
    session.batch_execute("COMMIT").expect("it was not ended");
    assert_eq!((cluster.databases(), cluster.age("app")), ("app".into(), NEW.into()));
    cluster.replace_app("postgres", "1");
}

#[test]
fn a_change_of_the_live_database_that_is_not_committed_keeps_its_name() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    cluster.make_aged();
    let mut session = cluster.connect("postgres");
    session.batch_execute("BEGIN; ALTER DATABASE app CONNECTION LIMIT 50").unwrap();
    let error = cluster.error("postgres", CALL);
    assert!(error.detail.starts_with("Database \"app\" is as it was."), "{error}");
    assert_eq!(error.sqlstate, "55P03", "{error}");
    assert!(error.hint.contains("not committed"), "{error}");
    assert_eq!(cluster.databases(), "app");
    session.batch_execute("COMMIT").unwrap();
    assert_eq!(cluster.age("app"), NEW);
    cluster.replace_app("postgres", "1");
    assert_eq!(cluster.age("app"), OLD);
}
