//! Retention after the runs of a schedule: only after a success, only its own, only when the new
//! backup is whole.

use pg_backup_tests::{Cluster, DbError, Faults, names_below, sample};
use std::sync::mpsc;

/// Makes the archive of the run longer by one byte, before it is verified.
const DAMAGE: &str = "DO $$ BEGIN EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'printf x >> \"' \
    || current_setting('data_directory') || '/pg_backup/' || current_setting('backup_run.file') \
    || '\"'); END $$";

fn run(cluster: &Cluster, schedule: &str) -> String {
    cluster.value("postgres", &format!("SELECT backup_run('{schedule}')"))
}

/// Kind, status and file state of every run, oldest first.
fn rows(cluster: &Cluster) -> String {
    let sql = "SELECT string_agg(concat_ws(' ', kind, status, file_state), '; ' ORDER BY id) \
               FROM backup_history";
    cluster.value("postgres", sql)
}

fn archives(cluster: &Cluster) -> usize {
    let names = names_below(&cluster.backup_dir());
    names.iter().filter(|name| name.ends_with(".zip")).count()
}

/// The notices of a statement.
fn notices(cluster: &Cluster, sql: &str) -> Vec<String> {
    let (sender, receiver) = mpsc::channel();
    let mut config = cluster.config("postgres");
    config.notice_callback(move |notice| {
        let _ = sender.send(notice.message().to_owned());
    });
    let mut client = config.connect(postgres::NoTls).expect("the server runs");
    client.batch_execute(sql).unwrap_or_else(|error| panic!("{}", DbError::of(&error)));
    receiver.try_iter().collect()
}

#[test]
fn after_each_success_the_older_archives_go_and_their_rows_stay() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "CALL backup_schedule('s', '0 3 29 2 *', keep_last => 2)");
    let ids: Vec<String> = (0..4).map(|_| run(&cluster, "s")).collect();
    let good = "backup succeeded available";
    let gone = "backup succeeded pruned; backup succeeded pruned";
    assert_eq!(rows(&cluster), format!("{gone}; {good}; prune succeeded; {good}; prune succeeded"));
    assert_eq!(archives(&cluster), 2);
    let kept = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM backup_retention('s')";
    assert_eq!(cluster.value("postgres", kept), format!("{} {}", ids[2], ids[3]));
    let whole = format!(
        "SELECT count(*) FROM backup_history h JOIN backup_manifest USING (id) WHERE id = {} \
         AND file IS NOT NULL AND sha256 IS NOT NULL AND size_bytes > 0 AND error IS NULL",
        ids[0]
    );
    assert_eq!(cluster.value("postgres", &whole), "1", "the row of a pruned backup is whole");
    let prune = "SELECT DISTINCT concat_ws(' ', origin, schedule, database, subject) \
                 FROM backup_runs WHERE kind = 'prune'";
    assert_eq!(cluster.value("postgres", prune), "manual s postgres");
    cluster.assert_clean();
}

#[test]
fn schedules_and_backups_by_hand_leave_each_other_alone() {
    let cluster = Cluster::start();
    let sql = "CALL backup_schedule('a', '0 3 29 2 *', keep_last => 1);
               CALL backup_schedule('b', '0 3 29 2 *', keep_last => 1);
               CALL backup_schedule('c', '0 3 29 2 *')";
    cluster.psql("postgres", sql);
    for schedule in ["a", "b", "c", "a", "c"] {
        run(&cluster, schedule);
        cluster.assert_next_backup_works();
    }
    let count = "SELECT string_agg(concat(schedule, n), ' ' ORDER BY schedule) FROM \
                 (SELECT schedule, count(*) n FROM backup_history \
                   WHERE file_state = 'available' GROUP BY 1) x";
    assert_eq!(cluster.value("postgres", count), "a1 b1 c2 5");
    cluster.assert_clean();
}

#[test]
fn a_failed_run_prunes_nothing() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "CALL backup_schedule('s', '0 3 29 2 *', keep_last => 2)");
    run(&cluster, "s");
    run(&cluster, "s");
    cluster.psql("postgres", "CALL backup_schedule('s', '0 3 29 2 *', keep_last => 1)");
    cluster.hook("before_backup", "no", "SELECT 1/0");
    cluster.error("postgres", "SELECT backup_run('s')");
    assert_eq!(archives(&cluster), 2);
    assert!(rows(&cluster).ends_with("available; backup failed"), "{}", rows(&cluster));
    cluster.try_hook("postgres", "before_backup", "no", None).expect("it is there");
    run(&cluster, "s");
    assert_eq!(archives(&cluster), 1);
    cluster.assert_clean();
}

#[test]
fn a_backup_that_does_not_pass_its_verification_prunes_nothing() {
    for level in sample(["file", "list", "read"]) {
        let cluster = Cluster::start();
        let sql =
            format!("CALL backup_schedule('s', '0 3 29 2 *', keep_last => 1, verify => '{level}')");
        cluster.psql("postgres", &sql);
        let first = run(&cluster, "s");
        cluster.hook("after_backup", "damage", DAMAGE);
        let error = cluster.error("postgres", "SELECT backup_run('s')");
        assert!(error.message.ends_with("did not pass its verification"), "{error}");
        assert!(error.hint.contains("Nothing was pruned"), "{error}");
        let wanted = "backup succeeded available; verify succeeded; backup succeeded damaged; \
                      verify failed";
        assert_eq!(rows(&cluster), wanted, "{level}");
        cluster.try_hook("postgres", "after_backup", "damage", None).expect("it is there");
        // The damaged one does not count; now the first may go.
        run(&cluster, "s");
        let state = format!("SELECT file_state FROM backup_history WHERE id = {first}");
        assert_eq!(cluster.value("postgres", &state), "pruned");
        assert!(rows(&cluster).contains("backup succeeded damaged"), "it is left to look at");
    }
}

#[test]
fn hooks_do_not_see_a_backup_pruned_before_they_have_run() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "CALL backup_schedule('s', '0 3 29 2 *', keep_last => 1)");
    cluster.sql("postgres", "CREATE TABLE seen (n int)");
    let sql = "INSERT INTO public.seen SELECT count(*) FROM public.backup_history \
               WHERE file_state = 'available'";
    cluster.hook("after_backup", "count", sql);
    run(&cluster, "s");
    run(&cluster, "s");
    let seen = "SELECT string_agg(n::text, ' ' ORDER BY n) FROM seen";
    assert_eq!(cluster.value("postgres", seen), "1 2");
    assert_eq!(archives(&cluster), 1);
}

#[test]
fn after_a_run_the_policy_of_then_counts_not_that_of_its_begin() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let keep = |policy: &str| format!("CALL backup_schedule('s', '0 3 29 2 *'{policy})");
    cluster.sql("postgres", "CREATE DATABASE other");
    cluster.psql("postgres", &keep(""));
    run(&cluster, "s");
    // What is done while the backup is made, and how many archives there are after it.
    let changes = [
        ("CALL backup_unschedule('s')", 2),
        (&*keep(", keep_last => 1, database => 'other'"), 3),
        (&*keep(""), 4),
        (&*keep(", keep_last => 4"), 4),
    ];
    for (change, archives_after) in changes {
        cluster.psql("postgres", &keep(", keep_last => 1"));
        faults.plant("archive_unfinished");
        let call = cluster.call("postgres", "SELECT backup_run('s')");
        faults.wait("archive_unfinished");
        cluster.psql("postgres", change);
        faults.lift("archive_unfinished");
        assert_eq!(call.end(), Ok(()));
        assert_eq!(archives(&cluster), archives_after, "{change}");
    }
    cluster.assert_clean();
}

#[test]
fn a_schedule_that_is_removed_and_made_anew_takes_up_its_old_backups() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "CALL backup_schedule('s', '0 3 29 2 *', keep_last => 5)");
    run(&cluster, "s");
    run(&cluster, "s");
    cluster.psql("postgres", "CALL backup_unschedule('s')");
    assert_eq!(archives(&cluster), 2, "its backups stay");
    assert_eq!(cluster.error("postgres", "CALL backup_prune('s')").sqlstate, "42704");
    let again = "CALL backup_schedule('s', '0 3 29 2 *', keep_last => 1); CALL backup_prune('s')";
    cluster.psql("postgres", again);
    assert_eq!(archives(&cluster), 1);
}

#[test]
fn what_cannot_be_pruned_is_refused_with_the_reason() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "CALL backup_schedule('all', '0 3 29 2 *')");
    let id = run(&cluster, "all");
    let shown = "SELECT concat_ws(' ', id, verdict, reasons) FROM backup_retention('all')";
    assert_eq!(cluster.value("postgres", shown), format!("{id} keep {{\"no policy\"}}"));
    let refused = [
        ("CALL backup_prune('all')", "22023", "schedule \"all\" has no retention policy"),
        ("CALL backup_prune('all', true)", "22023", "schedule \"all\" has no retention policy"),
        ("CALL backup_prune('none')", "42704", "schedule \"none\" does not exist"),
        ("CALL backup_prune(NULL)", "22023", "the name of the schedule must not be NULL"),
        ("SELECT * FROM backup_retention('none')", "42704", "schedule \"none\" does not exist"),
    ];
    for (sql, sqlstate, message) in refused {
        let error = cluster.error("postgres", sql);
        assert_eq!((error.sqlstate.as_str(), error.message.as_str()), (sqlstate, message), "{sql}");
    }
    let written = "BEGIN; CREATE TABLE t (); CALL backup_prune('all')";
    assert_eq!(cluster.error("postgres", written).sqlstate, "25001");
}

#[test]
fn a_dry_run_says_what_would_go_and_touches_nothing() {
    let cluster = Cluster::start();
    cluster.psql("postgres", "CALL backup_schedule('s', '0 3 29 2 *')");
    let ids: Vec<String> = (0..3).map(|_| run(&cluster, "s")).collect();
    cluster.psql("postgres", "CALL backup_schedule('s', '0 3 29 2 *', keep_last => 1)");
    let all = "SELECT md5(string_agg(r::text, ',' ORDER BY id)) FROM backup_runs r";
    let before = cluster.value("postgres", all);
    // Nothing is done, so it may stand in a transaction that has written.
    let sql = "BEGIN; CREATE TABLE t (); CALL backup_prune('s', dry_run => true); COMMIT";
    let said = notices(&cluster, sql);
    let would = |id: &str| format!("would prune backup {id}");
    let wanted = ["would prune 2 of 3 backups".to_owned(), would(&ids[1]), would(&ids[0])];
    assert_eq!(said, wanted);
    assert_eq!(cluster.value("postgres", all), before);
    assert_eq!(archives(&cluster), 3);
    assert_eq!(notices(&cluster, "CALL backup_prune('s')"), ["pruned 2 of 3 backups"]);
    assert_eq!(notices(&cluster, "CALL backup_prune('s')"), ["pruned 0 of 1 backups"]);
    assert!(rows(&cluster).ends_with("available; prune succeeded"), "one row for all of it");
}
