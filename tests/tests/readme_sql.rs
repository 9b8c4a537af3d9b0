//! Every block of SQL of README.md, run in its order, and what psql prints for it.
//!
//! In: README.md. A session is a server on which the sections of [`SESSIONS`] are followed one
//! after another. Must hold: each section with SQL is in one of them. After a change: `make
//! reference` writes what is printed into the README; read the difference before it is committed.

use std::fs;
use std::process::Command;

use pg_backup_tests::doctest::Places;
use pg_backup_tests::document::{Mark, blocks, documents, read};
use pg_backup_tests::readme::{CONTENT, backed_up, run_shell, shop};
use pg_backup_tests::{Cluster, Faults, give_to_server};

/// The sections of README.md whose SQL is run, by the test that does so.
const SESSIONS: &[&str] = &[
    "Ten lines of SQL",
    "Install",
    "Schedules",
    "Retention",
    "Hooks",
    "Monitoring",
    "Which archive fits",
    "Files beside the database",
    "Copies for people",
    "Download and upload",
    "Bringing backups in",
    "Restore",
    "Replace a live database",
    "Runbook",
];
/// Blocks that may be marked as not run. A further one wants a good reason.
const NOT_RUN_MAX: usize = 12;
/// Blocks of SQL whose result may be left out.
const NOT_SHOWN_MAX: usize = 2;

const EXTENSION: &str = "CREATE EXTENSION pg_backup;";
/// A second backup of Django's migrations than the database has.
const MIGRATIONS: &str = "
CREATE TABLE django_migrations (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, app text,
    name text, applied timestamptz DEFAULT now());
INSERT INTO django_migrations (app, name) VALUES ('auth', '0001_initial'), ('shop', '0001_initial');";

#[test]
fn every_block_of_the_documents_is_run_or_says_why_not() {
    let (mut not_run, mut not_shown) = (0, 0);
    for name in documents() {
        for block in blocks(&read(&name)) {
            let place = format!("{name}, line {}", block.lines.0 + 1);
            match (&block.mark, block.language.as_str()) {
                (Some(Mark::NotRun(why)), _) => {
                    assert!(why.len() > 10, "{place}: why is it not run?");
                    not_run += 1;
                }
                (Some(Mark::RunBy(file)), _) => {
                    let test = read(&format!("tests/tests/{file}"));
                    let heading = format!("{:?}", block.heading);
                    assert!(test.contains(&heading), "{place}: {file} does not name {heading}");
                }
                (mark, "sql") => {
                    assert_eq!(name, "README.md", "{place}: SQL of this file is not run");
                    let known = SESSIONS.contains(&block.heading.as_str());
                    assert!(known, "{place}: no session follows \"{}\"", block.heading);
                    not_shown += usize::from(mark.is_some());
                }
                (_, "" | "text" | "json") => {
                    let sql = ["SELECT ", "CALL "].iter().any(|verb| block.text.starts_with(verb));
                    assert!(!sql, "{place}: SQL stands in a block of its own language");
                }
                _ => panic!("{place}: mark the block: run by, or not run with the reason"),
            }
        }
    }
    assert!(not_run <= NOT_RUN_MAX, "{not_run} blocks are not run");
    assert!(not_shown <= NOT_SHOWN_MAX, "the result of {not_shown} blocks is not shown");
}

#[test]
fn the_lines_of_sql_at_the_top_print_what_the_readme_shows() {
    let cluster = shop();
    cluster.follow("shop", &["Ten lines of SQL"], &vec![]);
}

#[test]
fn a_new_installation_prints_what_the_readme_shows() {
    let cluster = shop();
    let data = cluster.data_dir().display().to_string();
    cluster.follow("shop", &["Install"], &vec![("/var/lib/postgresql/data", data)]);
}

#[test]
fn schedules_retention_hooks_and_status_print_what_the_readme_shows() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    // Not near a full hour, when the README's hourly schedule would run by itself. Never behind the
    // real clock: backups would come from the future.
    let ahead = "SELECT CASE WHEN extract(minute FROM now()) > 57 THEN 600 ELSE 0 END";
    faults.write_clock(&cluster.value("postgres", ahead));
    cluster.reload();
    cluster.create_shop();
    cluster.psql("shop", &format!("{EXTENSION} CREATE TABLE log (line text);"));
    cluster.follow("shop", &["Schedules", "Retention", "Hooks", "Monitoring"], &vec![]);
    cluster.psql("shop", "SELECT backup_create()");
    assert_eq!(cluster.value("shop", "SELECT count(*) FROM ops.backups"), "1");
}

#[test]
fn badges_print_what_the_readme_shows() {
    let cluster = shop();
    let later = "INSERT INTO django_migrations (app, name) VALUES ('shop', '0002_prices');";
    let create = "SELECT backup_create(comment => 'before 2.4');";
    cluster.psql("shop", &format!("{EXTENSION} {MIGRATIONS} {create} {later}"));
    cluster.follow("shop", &["Which archive fits"], &vec![]);
}

#[test]
fn files_print_what_the_readme_shows() {
    let cluster = shop();
    cluster.psql("shop", EXTENSION);
    let place = |name: &str| cluster.make_dir(name).display().to_string();
    let (app, etc, out) = (place("app"), place("etc"), place("exports"));
    fs::create_dir(format!("{app}/uploads")).expect("it is ours");
    fs::write(format!("{app}/uploads/a.jpg"), "a picture").expect("it is ours");
    fs::write(format!("{etc}/shop.conf"), "debug = off\n").expect("it is ours");
    let uploads = format!("{app}/uploads");
    give_to_server(uploads.as_ref());
    let places: Places = vec![("/srv/app", app), ("/etc/app", etc), ("/srv/exports", out.clone())];
    cluster.follow("shop", &["Files beside the database", "Copies for people"], &places);
    let picture = fs::read_to_string(format!("{out}/uploads/a.jpg"));
    assert_eq!(picture.expect("it was extracted"), "a picture");
    assert_eq!(fs::read_dir(&out).expect("it is ours").count(), 6);
}

#[test]
fn a_download_prints_what_the_readme_shows() {
    let (cluster, archive) = backed_up("SELECT backup_create()");
    cluster.follow("shop", &["Download and upload"], &vec![]);
    let commands = pg_backup_tests::readme::blocks("Download and upload", "sh");
    let equal = "cmp shop.zip \"$archive\"";
    run_shell(&cluster, &archive, &format!("export PGDATABASE=shop\n{}\n{equal}", commands[0]));
    run_shell(&cluster, &archive, &format!("{}\n[ $(stat -c %a signing_key) = 600 ]", commands[1]));
}

#[test]
fn an_import_prints_what_the_readme_shows() {
    let cluster = shop();
    cluster.psql("shop", &format!("{EXTENSION} SELECT backup_create();"));
    let incoming = cluster.make_dir("incoming");
    run_shell(&cluster, &incoming, "pg_dump -Fc -f \"$archive/app.dump\" shop");
    let here = incoming.display().to_string();
    let places = vec![("/var/lib/postgresql/incoming", here)];
    cluster.follow("shop", &["Bringing backups in"], &places);
    assert_eq!(cluster.value("app_new", CONTENT), cluster.value("shop", CONTENT));
}

#[test]
fn a_restore_prints_what_the_readme_shows() {
    let cluster = shop();
    cluster.psql("shop", &format!("{EXTENSION} SELECT backup_create();"));
    let whole = cluster.value("shop", CONTENT);
    cluster.follow("shop", &["Restore"], &vec![]);
    assert_eq!(cluster.value("shop_yesterday", CONTENT), whole);
    assert_eq!(cluster.value("shop", CONTENT), whole);
}

#[test]
fn a_replaced_database_prints_what_the_readme_shows() {
    let cluster = shop();
    cluster.psql("postgres", "SELECT backup_create(database => 'shop')");
    cluster.psql("shop", "CREATE TABLE sessions (id int); DROP TABLE orders CASCADE");
    let hooks = blocks(&read("README.md"));
    let hooks = hooks.iter().filter(|block| block.heading == "Replace a live database");
    let hooks = hooks.filter(|block| block.language == "sql").count() - 1;
    for number in 0..hooks {
        cluster.follow_one("postgres", "Replace a live database", number, &vec![]);
    }
    assert_eq!(cluster.value("shop", "SELECT count(*) FROM orders"), "5000");
    let left =
        "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE datname ~ 'shop'";
    assert_eq!(cluster.value("postgres", left), "shop");

    cluster.follow_one("postgres", "Replace a live database", hooks, &vec![]);
    cluster.psql("postgres", "CALL backup_hook('after_restore', '2 sessions', NULL)");
    cluster.psql("postgres", "CALL backup_restore(1, replace => 'shop')");
    let channels = "SELECT count(channel) || ' ' || count(*) FROM orders";
    assert_eq!(cluster.value("shop", channels), "0 5000");
}

#[test]
fn a_lost_machine_comes_back_by_a_scan_as_the_runbook_shows() {
    let source = shop();
    source.psql("postgres", "SELECT backup_create(database => 'shop')");
    let fresh = Cluster::builder().fresh().start();
    copy_archives(&source, &fresh);
    for number in 0..2 {
        fresh.follow_one("postgres", "Runbook", number, &vec![]);
    }
    assert_eq!(fresh.value("shop", CONTENT), source.value("shop", CONTENT));
}

#[test]
fn a_lost_machine_comes_back_by_hand_as_the_runbook_shows() {
    let source = shop();
    source.psql("postgres", "CREATE DATABASE library; ALTER DATABASE library SET work_mem = '7MB'");
    source.psql("library", "CREATE TABLE books AS SELECT 'Emma' AS title");
    source.psql("shop", &format!("{EXTENSION} SELECT backup_create(database => 'library')"));
    source.psql("shop", "SELECT backup_create()");
    let file = source.value("shop", "SELECT file FROM backup_history WHERE id = 2");
    let fresh = Cluster::builder().fresh().start();
    copy_archives(&source, &fresh);
    let by_hand = pg_backup_tests::readme::blocks("Runbook", "sh")[0];
    run_shell(&fresh, &fresh.backup_dir().join(file), by_hand);
    assert_eq!(fresh.value("shop", CONTENT), source.value("shop", CONTENT));
    let untrusting = fresh.error("shop", "CALL backup_restore(1, target => 'library')");
    assert_eq!(untrusting.sqlstate, "55000", "{untrusting}");
    assert!(untrusting.hint.contains("allow_foreign"), "{untrusting}");
    fresh.follow_one("shop", "Runbook", 2, &vec![]);
    let found = "SELECT title || ' ' || current_setting('work_mem') FROM books";
    assert_eq!(fresh.value("library", found), "Emma 7MB");
}

fn copy_archives(source: &Cluster, fresh: &Cluster) {
    let mut copy = Command::new("cp");
    copy.arg("-a").arg(source.backup_dir()).arg(fresh.backup_dir());
    assert!(copy.status().expect("cp runs").success());
}
