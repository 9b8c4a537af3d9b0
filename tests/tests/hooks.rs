//! Hooks: when they run, what they read, and what becomes of a run when they fail.

use pg_backup_tests::{Cluster, Run};

const BEFORE: &str = "before_backup";
const AFTER: &str = "after_backup";
const FAILURE: &str = "on_failure";
const FACTS: &str = "id kind database origin schedule comment event status file size_bytes sha256 \
                     error";

/// A cluster with a table that hooks write into.
fn with_notes(conf: &[&str]) -> Cluster {
    let cluster = Cluster::with(conf);
    let sql = "CREATE TABLE note (i int GENERATED ALWAYS AS IDENTITY, what text)";
    cluster.sql("postgres", sql);
    cluster
}

/// SQL of a hook that writes down a text.
fn note(what: &str) -> String {
    format!("INSERT INTO public.note (what) VALUES ('{what}')")
}

/// SQL of a hook that writes down every fact that has a value, as `name=value`.
fn note_facts() -> String {
    format!(
        "INSERT INTO public.note (what)
         SELECT string_agg(f || '=' || v, '|' ORDER BY n)
           FROM unnest(string_to_array('{FACTS}', ' ')) WITH ORDINALITY AS u(f, n),
                nullif(current_setting('backup_run.' || f, true), '') v
          WHERE v IS NOT NULL"
    )
}

fn notes(cluster: &Cluster) -> String {
    cluster.value("postgres", "SELECT coalesce(string_agg(what, '; ' ORDER BY i), '') FROM note")
}

fn backup(cluster: &Cluster, options: &str) -> Run {
    cluster.sql("postgres", &format!("SELECT backup_create({options})"));
    cluster.last_backup()
}

#[test]
fn hooks_run_by_their_names_around_the_backup() {
    let cluster = with_notes(&[]);
    for (event, name) in [(AFTER, "b"), (BEFORE, "c"), (BEFORE, "B"), (AFTER, "a"), (BEFORE, "a")] {
        cluster.hook(event, name, &note(&format!("{event} {name}")));
    }
    cluster.hook(FAILURE, "f", &note("never"));
    assert_eq!(backup(&cluster, "").warnings, "{}");
    // Capital letters first, as in the C locale: the same everywhere.
    let wanted =
        "before_backup B; before_backup a; before_backup c; after_backup a; after_backup b";
    assert_eq!(notes(&cluster), wanted);
    cluster.assert_nothing_left();
}

#[test]
fn a_before_hook_is_in_the_dump_and_an_after_hook_is_not() {
    let cluster = with_notes(&[]);
    cluster.hook(BEFORE, "h", &note("it was before"));
    cluster.hook(AFTER, "h", &note("it was after"));
    let script = cluster.script(&backup(&cluster, ""));
    assert!(script.contains("\tit was before") && !script.contains("\tit was after"));
}

#[test]
fn hooks_read_the_facts_of_a_good_run() {
    let cluster = with_notes(&[]);
    cluster.hook(BEFORE, "h", &note_facts());
    cluster.hook(AFTER, "h", &note_facts());
    let run = backup(&cluster, "comment => 'it''s \"mine\" \\ größe'");
    let begin = format!(
        "id={}|kind=backup|database=postgres|origin=manual|comment=it's \"mine\" \\ größe|event=",
        run.id
    );
    let sums = format!(
        "SELECT concat('file=', file, '|size_bytes=', size_bytes, '|sha256=', sha256) \
         FROM backup_history WHERE id = {}",
        run.id
    );
    let sums = cluster.value("postgres", &sums);
    let wanted = format!("{begin}{BEFORE}; {begin}{AFTER}|status=succeeded|{sums}");
    assert_eq!(notes(&cluster), wanted);
}

#[test]
fn hooks_of_a_scheduled_run_know_its_schedule_and_its_database() {
    let cluster = with_notes(&[]);
    cluster.sql("postgres", "CREATE DATABASE \"Other db\"");
    let sql = "CALL backup_schedule('my \"nightly\"', '0 3 29 2 *', database => 'Other db')";
    cluster.psql("postgres", sql);
    cluster.hook(BEFORE, "h", &note_facts());
    let id = cluster.value("postgres", "SELECT backup_run('my \"nightly\"')");
    let wanted = format!(
        "id={id}|kind=backup|database=Other db|origin=manual|schedule=my \"nightly\"|event={BEFORE}"
    );
    assert_eq!(notes(&cluster), wanted);
}

#[test]
fn a_failing_before_hook_stops_the_run_and_says_so() {
    let cluster = with_notes(&[]);
    cluster.hook(BEFORE, "a first", &note("first"));
    let raise = "DO $$ BEGIN RAISE 'the ship is leaving' USING DETAIL = 'No cargo.', \
                 HINT = 'Wait for it.'; END $$";
    cluster.hook(BEFORE, "b raises", raise);
    cluster.hook(BEFORE, "c last", &note("last"));
    cluster.hook(AFTER, "h", &note("after"));
    cluster.hook(FAILURE, "h", &note_facts());
    let run = cluster.stopped_by_hook();
    assert_eq!(run.error, "hook \"b raises\" failed at before_backup");
    assert!(run.detail.contains("the ship is leaving"), "{run:?}");
    assert!(run.detail.contains("No cargo."), "{run:?}");
    assert!(run.hint.contains("Wait for it."), "{run:?}");
    let wanted = format!(
        "first; id={}|kind=backup|database=postgres|origin=manual|event={FAILURE}|status=failed\
         |error={}",
        run.id, run.error
    );
    assert_eq!(notes(&cluster), wanted);
    cluster.assert_clean();
    cluster.try_hook("postgres", BEFORE, "b raises", None).expect("it is there");
    cluster.assert_next_backup_works();
}

#[test]
fn what_a_failing_hook_wrote_is_undone() {
    let cluster = with_notes(&[]);
    cluster.hook(BEFORE, "h", &format!("{}; SELECT 1/0", note("half")));
    let run = cluster.stopped_by_hook();
    assert!(run.detail.contains("division by zero"), "{run:?}");
    assert!(run.hint.contains("CALL backup_hook('before_backup'"), "{run:?}");
    assert_eq!(notes(&cluster), "");
}

#[test]
fn a_failing_after_hook_is_a_warning_of_a_good_run() {
    let cluster = with_notes(&[]);
    cluster.hook(AFTER, "a", &note("a"));
    cluster.hook(AFTER, "b", "SELECT 1/0");
    cluster.hook(FAILURE, "f", &note("failure"));
    let run = backup(&cluster, "");
    assert_eq!(run.status, "succeeded");
    assert!(run.warnings.contains("hook \\\"b\\\" failed at after_backup"), "{run:?}");
    assert!(run.warnings.contains("division by zero"), "{run:?}");
    assert_eq!(notes(&cluster), "a");
    assert!(cluster.log().contains("hook \"b\" failed"), "the log tells it too");
    cluster.assert_clean();
}

#[test]
fn a_failing_hook_after_a_failure_changes_nothing_but_adds_a_warning() {
    let cluster = with_notes(&[]);
    cluster.hook(FAILURE, "f", "SELECT 1/0");
    let error = cluster.error("postgres", "SELECT backup_create(tables => '{nothing}')");
    let run = cluster.last_backup();
    assert_eq!((run.status.as_str(), &run.error), ("failed", &error.message));
    assert!(run.warnings.contains("hook \\\"f\\\" failed at on_failure"), "{run:?}");
}

#[test]
fn any_sqlstate_that_a_hook_raises_is_a_failed_hook() {
    let cluster = with_notes(&[]);
    cluster.hook(FAILURE, "f", &note("told"));
    for state in ["57014", "57P01", "57P02", "55P03", "53100", "53300", "40P01", "42501", "3D000"] {
        let sql = format!("DO $$ BEGIN RAISE 'no' USING ERRCODE = '{state}'; END $$");
        cluster.hook(BEFORE, "h", &sql);
        let error = cluster.error("postgres", "SELECT backup_create()");
        let run = cluster.last_backup();
        let found = (run.status.as_str(), run.error.as_str(), error.message.as_str());
        let wanted = "hook \"h\" failed at before_backup";
        assert_eq!(found, ("failed", wanted, wanted), "{state}: {run:?}");
        assert!(!run.hint.contains("pg_backup.user") && !run.hint.contains("max_"), "{run:?}");
        assert!(notes(&cluster).ends_with("told"), "{state}");
        cluster.sql("postgres", "TRUNCATE note");
    }
}

#[test]
fn a_hook_of_several_statements_is_one_transaction() {
    let cluster = with_notes(&[]);
    let sql = "CREATE TABLE public.x AS SELECT 1 AS i; INSERT INTO public.x VALUES (2); \
               INSERT INTO public.note (what) SELECT sum(i) || ' ' || count(DISTINCT xmin::text) \
               FROM public.x; DROP TABLE public.x";
    cluster.hook(BEFORE, "h", sql);
    assert_eq!(backup(&cluster, "").warnings, "{}");
    assert_eq!(notes(&cluster), "3 1");
}

#[test]
fn a_hook_cannot_end_its_transaction() {
    let cluster = with_notes(&[]);
    for end in ["COMMIT", "ROLLBACK", "BEGIN", "SAVEPOINT s", "PREPARE TRANSACTION 'x'"] {
        cluster.hook(BEFORE, "h", &format!("{}; {end}; {}", note("a"), note("b")));
        let run = cluster.stopped_by_hook();
        assert!(run.detail.contains("transaction"), "{end}: {run:?}");
        assert_eq!(notes(&cluster), "", "{end}");
    }
    cluster.hook(BEFORE, "h", "VACUUM public.note");
    assert!(cluster.stopped_by_hook().detail.contains("VACUUM"));
    cluster.assert_nothing_left();
}

#[test]
fn wrong_hooks_are_refused_when_they_are_registered() {
    let cluster = Cluster::start();
    let long = "x".repeat(64);
    let cases: [(&str, &str, Option<&str>, &str, &str); 10] = [
        (BEFORE, "h", Some("SELEKT 1"), "42601", "syntax error"),
        (BEFORE, "h", Some("SELECT 'open"), "42601", "unterminated"),
        ("before_lunch", "h", Some("SELECT 1"), "22023", "invalid event: \"before_lunch\""),
        ("BEFORE_BACKUP", "h", Some("SELECT 1"), "22023", "invalid event"),
        ("", "h", Some("SELECT 1"), "22023", "invalid event"),
        ("after_swop", "h", Some("SELECT 1"), "22023", "invalid event: \"after_swop\""),
        (BEFORE, "", Some("SELECT 1"), "22023", "invalid name of a hook"),
        (BEFORE, "a\nb", Some("SELECT 1"), "22023", "invalid name of a hook"),
        (BEFORE, &long, Some("SELECT 1"), "22023", "invalid name of a hook"),
        (BEFORE, "h", None, "42704", "hook \"h\" at before_backup does not exist"),
    ];
    for (event, name, sql, sqlstate, message) in cases {
        let error = cluster.try_hook("postgres", event, name, sql).unwrap_err();
        assert_eq!(error.sqlstate, sqlstate, "{event} {name} {sql:?}: {error}");
        assert!(error.message.contains(message), "{error}");
        assert!(sqlstate == "42601" || !error.hint.is_empty(), "{error}");
    }
    for call in ["NULL, 'h', 'SELECT 1'", "'before_backup', NULL, 'SELECT 1'"] {
        let error = cluster.error("postgres", &format!("CALL backup_hook({call})"));
        assert_eq!(error.sqlstate, "22023", "{error}");
    }
    assert_eq!(cluster.value("postgres", "SELECT count(*) FROM backup_hooks"), "0");
}

#[test]
fn a_hook_is_replaced_by_its_name_and_removed_by_null() {
    let cluster = with_notes(&[]);
    cluster.hook(BEFORE, "h", &note("old"));
    cluster.hook(BEFORE, "h", &note("new"));
    backup(&cluster, "");
    cluster.try_hook("postgres", BEFORE, "h", None).expect("it is there");
    backup(&cluster, "");
    assert_eq!(notes(&cluster), "new");
    let sql = "CALL backup_hook(event => 'after_backup', name => 'n', sql => 'SELECT 1')";
    cluster.psql("postgres", sql);
    let row = "SELECT concat_ws(' ', event, name, sql, role) FROM backup_hooks";
    assert_eq!(cluster.value("postgres", row), "after_backup n SELECT 1 postgres");
}

#[test]
fn a_registration_that_is_rolled_back_is_none() {
    let cluster = with_notes(&[]);
    let sql =
        format!("BEGIN; CALL backup_hook('before_backup', 'h', $q${}$q$); ROLLBACK", note("x"));
    cluster.psql("postgres", &sql);
    backup(&cluster, "");
    assert_eq!(notes(&cluster), "");
}

#[test]
fn only_hooks_of_the_database_whose_history_holds_the_run_are_run() {
    let cluster = with_notes(&[]);
    cluster.psql("postgres", "CREATE DATABASE other");
    cluster.psql("other", "CREATE EXTENSION pg_backup; CREATE TABLE note (what text)");
    cluster.psql("other", &format!("CALL backup_hook('before_backup', 'h', $q${}$q$)", note("o")));
    cluster.hook(BEFORE, "h", &note("home"));
    backup(&cluster, "database => 'other'");
    assert_eq!(notes(&cluster), "home");
    assert_eq!(cluster.value("other", "SELECT count(*) FROM note"), "0");
    cluster.sql("other", "SELECT backup_create(database => 'postgres')");
    assert_eq!(cluster.value("other", "SELECT string_agg(what, ',') FROM note"), "o");
    assert_eq!(notes(&cluster), "home");
}

#[test]
fn an_empty_hook_and_one_of_comments_do_nothing() {
    let cluster = Cluster::start();
    for sql in ["", " ; ;", "-- nothing", "/* nothing */"] {
        cluster.hook(BEFORE, "h", sql);
        assert_eq!(backup(&cluster, "").warnings, "{}", "{sql:?}");
    }
}
