//! The audit: whoever restores, deletes, moves or reconfigures something is on record, and nothing
//! that was done can be taken off it by a ROLLBACK.

use pg_backup_tests::{Cluster, Faults, LIMIT, OLD, wait_until};

/// The newest rows, oldest first: `action outcome error` and what `more` says.
fn audit(cluster: &Cluster, database: &str, more: &str) -> Vec<String> {
    let sql =
        format!("SELECT concat_ws(' ', action, outcome, {more}) FROM backup_audit ORDER BY id");
    cluster.sql(database, &sql).into_iter().map(|row| row[0].clone().unwrap_or_default()).collect()
}

#[test]
fn every_administrative_call_is_on_record_with_who_and_what() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE ROLE boss SUPERUSER LOGIN; CREATE ROLE viewer");
    let id = cluster.value("postgres", "SELECT backup_create()");
    let calls = [
        (format!("CALL backup_pin({id})"), format!("backup_pin succeeded {id}")),
        (format!("CALL backup_pin({id}, false)"), format!("backup_pin succeeded {id}")),
        (
            "CALL backup_schedule('s', '0 3 29 2 *', keep_last => 1)".into(),
            "backup_schedule succeeded s".into(),
        ),
        ("CALL backup_pause('s')".into(), "backup_pause succeeded s".into()),
        ("CALL backup_resume('s')".into(), "backup_resume succeeded s".into()),
        ("CALL backup_prune('s')".into(), "backup_prune succeeded s".into()),
        ("CALL backup_unschedule('s')".into(), "backup_unschedule succeeded s".into()),
        ("CALL backup_hook('assert', 'h', 'SELECT true')".into(), "backup_hook succeeded h".into()),
        ("CALL backup_grant('viewer', 'viewer')".into(), "backup_grant succeeded viewer".into()),
        (
            format!("CALL backup_restore({id}, target => 'copy')"),
            format!("backup_restore succeeded {id}"),
        ),
        (format!("CALL backup_delete({id})"), format!("backup_delete succeeded {id}")),
    ];
    let mut boss = cluster.connect_as("postgres", "boss");
    boss.batch_execute("SET application_name = 'desk'").unwrap();
    for (call, _) in &calls {
        boss.batch_execute(call).unwrap_or_else(|error| panic!("{call}: {error:?}"));
    }
    let subject = "coalesce(detail ->> 'id', detail ->> 'backup', detail ->> 'name', \
                   detail ->> 'schedule', detail ->> 'role')";
    let wanted: Vec<String> = calls.iter().map(|(_, row)| row.clone()).collect();
    assert_eq!(audit(&cluster, "postgres", subject), wanted);
    let who = "SELECT DISTINCT concat_ws(' ', role, session_role, application, address IS NULL, \
               at BETWEEN now() - interval '1 hour' AND now()) FROM backup_audit";
    assert_eq!(cluster.value("postgres", who), "boss boss desk t t");
    // What came of a job is the row of its run.
    let run = "SELECT h.kind || ' ' || h.status FROM backup_audit a JOIN backup_history h ON h.id = a.run_id \
               WHERE a.action = 'backup_restore'";
    assert_eq!(cluster.value("postgres", run), "restore succeeded");
    let told = "SELECT detail - 'backup' FROM backup_audit WHERE action = 'backup_schedule'";
    assert!(cluster.value("postgres", told).contains("\"keep_last\": 1"));
}

#[test]
fn the_role_that_was_set_and_the_address_are_told() {
    // An address of this machine that nobody else listens at.
    let cluster = Cluster::with(&["listen_addresses = '127.45.67.89'"]);
    let hba = cluster.data_dir().join("pg_hba.conf");
    std::fs::write(&hba, "local all all trust\nhost all all 127.0.0.0/8 trust\n").unwrap();
    cluster.sql("postgres", "SELECT pg_reload_conf(); CREATE ROLE boss SUPERUSER");
    let mut config = postgres::Config::new();
    config.host("127.45.67.89").user("postgres").dbname("postgres");
    let mut found = None;
    wait_until("the new rules", LIMIT, || {
        found = config.connect(postgres::NoTls).ok();
        found.is_some()
    });
    let mut client = found.unwrap();
    client.batch_execute("SET ROLE boss").unwrap();
    let id: i64 = client.query_one("SELECT backup_create()", &[]).unwrap().get(0);
    client.batch_execute(&format!("CALL backup_pin({id})")).unwrap();
    client.batch_execute(&format!("CALL backup_pin({id}, false)")).unwrap();
    client.batch_execute(&format!("CALL backup_delete({id})")).unwrap();
    let who = "SELECT DISTINCT concat_ws(' ', role, session_role, address) FROM backup_audit";
    assert_eq!(cluster.value("postgres", who), "boss postgres 127.0.0.1");
}

#[test]
fn a_rollback_takes_nothing_off_the_record_that_was_done() {
    let cluster = Cluster::start();
    let id = cluster.value("postgres", "SELECT backup_create()");
    cluster.sql("postgres", &format!("BEGIN; CALL backup_delete({id}); ROLLBACK"));
    assert_eq!(
        audit(&cluster, "postgres", "detail ->> 'backup'"),
        [format!("backup_delete succeeded {id}")]
    );
    // What a ROLLBACK undoes is not on it.
    let id = cluster.value("postgres", "SELECT backup_create()");
    cluster.sql("postgres", &format!("BEGIN; CALL backup_pin({id}); ROLLBACK"));
    assert_eq!(cluster.value("postgres", "SELECT count(*) FROM backup_audit"), "1");
}

#[test]
fn an_attempt_that_fails_is_on_record_with_its_error() {
    let cluster = Cluster::start();
    let id = cluster.value("postgres", "SELECT backup_create()");
    cluster.sql("postgres", &format!("CALL backup_pin({id})"));
    cluster.error("postgres", &format!("CALL backup_delete({id})"));
    cluster.error("postgres", "CALL backup_restore(77, target => 'x')");
    let told = audit(&cluster, "postgres", "error");
    assert_eq!(told[1], format!("backup_delete failed backup {id} is pinned"));
    assert_eq!(told.len(), 2, "what has no archive is refused before there is a job: {told:?}");
}

#[test]
fn what_cannot_be_recorded_is_not_done() {
    let cluster = Cluster::start();
    let id = cluster.value("postgres", "SELECT backup_create()");
    cluster.sql("postgres", "ALTER TABLE backup_audit_entries ADD CHECK (false) NOT VALID");
    let error = cluster.error("postgres", &format!("CALL backup_delete({id})"));
    assert_eq!(error.message, "could not record backup_delete in the audit");
    assert!(error.hint.starts_with("Nothing was done."), "{error}");
    let state = format!("SELECT file_state FROM backup_history WHERE id = {id}");
    assert_eq!(cluster.value("postgres", &state), "available");
    cluster.error("postgres", &format!("CALL backup_pin({id})"));
    cluster.assert_clean();
}

#[test]
fn a_cancel_is_on_record() {
    let cluster = Cluster::start();
    cluster.fill("big", 1, 1);
    let _hold = cluster.hold_dumps();
    let call = cluster.call_until_dumping("postgres", "SELECT backup_create(database => 'big')");
    assert_eq!(cluster.value("postgres", "SELECT backup_cancel(1)"), "t");
    call.error();
    assert_eq!(cluster.value("postgres", "SELECT backup_cancel(1)"), "f");
    assert_eq!(audit(&cluster, "postgres", "detail"), ["backup_cancel succeeded {\"id\": 1}"]);
}

#[test]
fn the_record_of_a_replaced_database_goes_on_in_the_one_that_takes_its_place() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    cluster.make_aged();
    cluster.psql("app", "CREATE EXTENSION pg_backup; UPDATE age SET says = 'old'");
    let id = cluster.value("app", "SELECT backup_create()");
    cluster.sql("app", &format!("CALL backup_pin({id})"));
    cluster.make_new();
    cluster.psql("app", &format!("CALL backup_restore({id}, replace => 'app')"));
    let told = || {
        cluster.ask("app", "SELECT string_agg(concat_ws(' ', action, outcome), ', ' ORDER BY id) FROM backup_audit")
    };
    let wanted = "backup_pin succeeded, backup_restore succeeded";
    wait_until("the outcome", LIMIT, || told().as_deref() == Some(wanted));
    assert_eq!(cluster.value("app", "SELECT says FROM age"), OLD);
    // Ids go on where they were.
    cluster.sql("app", &format!("CALL backup_pin({id}, false)"));
    assert_eq!(
        told().as_deref(),
        Some("backup_pin succeeded, backup_restore succeeded, backup_pin succeeded")
    );
}

#[test]
fn what_leaves_and_what_comes_is_on_record_whatever_is_rolled_back() {
    let cluster = Cluster::start();
    let id = cluster.value("postgres", "SELECT backup_create()");
    let download = format!("SELECT count(*) FROM backup_download({id}, from_chunk => 1)");
    // Once for a session, however often it asks.
    cluster.sql("postgres", &format!("BEGIN; {download}; {download}; ROLLBACK"));
    cluster.sql("postgres", &download);
    let begin = "BEGIN; SELECT backup_upload_begin('x.zip', 10, repeat('0', 64)); ROLLBACK";
    cluster.sql("postgres", begin);
    let upload = cluster.value("postgres", "SELECT id FROM backup_uploads");
    cluster.sql("postgres", &format!("SELECT backup_upload_abort({upload})"));
    let wanted = [
        format!("backup_download succeeded {id}"),
        format!("backup_download succeeded {id}"),
        format!("backup_upload_begin succeeded {upload}"),
        format!("backup_upload_abort succeeded {upload}"),
    ];
    assert_eq!(audit(&cluster, "postgres", "detail ->> 'id'"), wanted);
    assert_eq!(cluster.error("postgres", "SELECT * FROM backup_download(77)").sqlstate, "42704");
    assert_eq!(audit(&cluster, "postgres", "''").len(), wanted.len());
}
