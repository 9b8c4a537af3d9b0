//! What README.md says of archives that come and go, held against a running server.

use std::fs;
use std::process::Command;

use pg_backup_tests::Cluster;
use pg_backup_tests::readme::{CONTENT, blocks, run_shell, shop};

#[test]
fn badges_downloads_and_signatures_are_asked_for_as_the_readme_shows() {
    let cluster = shop();
    cluster.psql("shop", "CREATE EXTENSION pg_backup; SELECT backup_create()");
    for heading in ["Which archive fits", "Download and upload"] {
        for block in blocks(heading, "sql") {
            cluster.psql("shop", block);
        }
    }
    let list = cluster.psql("shop", blocks("Which archive fits", "sql")[0]);
    assert!(list.contains("|unknown|"), "{list}");
}

#[test]
fn files_are_attached_and_copied_out_as_the_readme_shows() {
    let cluster = shop();
    let place = |name: &str| cluster.make_dir(name).display().to_string();
    let (app, etc, out) = (place("app"), place("etc"), place("exports"));
    fs::create_dir(format!("{app}/uploads")).expect("it is ours");
    fs::write(format!("{app}/uploads/a.jpg"), "a picture").expect("it is ours");
    let run = |block: &str| {
        let block = block.replace("/srv/app", &app).replace("/etc/app", &etc);
        cluster.psql("shop", &block.replace("/srv/exports", &out))
    };
    run("CREATE EXTENSION pg_backup");
    for heading in ["Files beside the database", "Copies for people"] {
        for block in blocks(heading, "sql") {
            run(block);
            if block.contains("pg_reload_conf") {
                cluster.reload();
            }
        }
    }
    let picture = fs::read_to_string(format!("{out}/uploads/a.jpg"));
    assert_eq!(picture.expect("it was extracted"), "a picture");
    assert_eq!(fs::read_dir(&out).expect("it is ours").count(), 6);
}

#[test]
fn files_are_brought_in_and_a_lost_history_is_found_as_the_readme_shows() {
    let cluster = shop();
    cluster.psql("shop", "CREATE EXTENSION pg_backup; SELECT backup_create()");
    let incoming = cluster.make_dir("incoming").display().to_string();
    let (allow, scan) = match blocks("Bringing backups in", "sql")[..] {
        [allow, scan] => (allow.replace("/var/lib/postgresql/incoming", &incoming), scan),
        _ => panic!("there are two"),
    };
    cluster.psql("shop", &allow);
    cluster.reload();
    run_shell(&cluster, incoming.as_ref(), "pg_dump -Fc -f \"$archive/app.dump\" shop");
    let id = cluster.value("shop", &format!("SELECT backup_import('{incoming}/app.dump')"));
    let restore = format!("CALL backup_restore({id}, target => 'app_new', allow_foreign => true)");
    cluster.psql("shop", &restore);
    assert_eq!(cluster.value("app_new", CONTENT), cluster.value("shop", CONTENT));
    let found = cluster.psql("shop", scan);
    assert_eq!(found.matches("|known|").count(), 2, "{found}");
}

#[test]
fn a_lost_machine_comes_back_by_hand_as_the_runbook_says() {
    let source = shop();
    source.psql("postgres", "CREATE DATABASE library; ALTER DATABASE library SET work_mem = '7MB'");
    source.psql("library", "CREATE TABLE books AS SELECT 'Emma' AS title");
    source.psql("shop", "CREATE EXTENSION pg_backup; SELECT backup_create(database => 'library')");
    source.psql("shop", "SELECT backup_create()");
    let file = source.value("shop", "SELECT file FROM backup_history WHERE id = 2");
    let fresh = Cluster::builder().fresh().start();
    let (from, to) = (source.backup_dir(), fresh.backup_dir());
    let copied = Command::new("cp").arg("-a").arg(&from).arg(&to).status();
    assert!(copied.expect("cp runs").success());
    run_shell(&fresh, &to.join(file), blocks("Runbook", "sh")[0]);
    assert_eq!(fresh.value("shop", CONTENT), source.value("shop", CONTENT));
    let restore = blocks("Runbook", "sql")[1];
    let untrusting = fresh.error("shop", "CALL backup_restore(1, target => 'library')");
    assert_eq!(untrusting.sqlstate, "55000", "{untrusting}");
    assert!(untrusting.hint.contains("allow_foreign"), "{untrusting}");
    fresh.psql("shop", restore);
    let found = "SELECT title || ' ' || current_setting('work_mem') FROM books";
    assert_eq!(fresh.value("library", found), "Emma 7MB");
}

#[test]
fn a_lost_machine_comes_back_by_a_scan_as_the_runbook_says() {
    let source = shop();
    source.psql("postgres", "SELECT backup_create(database => 'shop')");
    let fresh = Cluster::builder().fresh().start();
    let (from, to) = (source.backup_dir(), fresh.backup_dir());
    let copied = Command::new("cp").arg("-a").arg(&from).arg(&to).status();
    assert!(copied.expect("cp runs").success());
    fresh.psql("postgres", blocks("Runbook", "sql")[0]);
    assert_eq!(fresh.value("shop", CONTENT), source.value("shop", CONTENT));
}
