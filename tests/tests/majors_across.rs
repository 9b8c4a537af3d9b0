//! Archives of one major version of PostgreSQL on another one: a newer server takes those of an
//! older one, and an older server refuses those of a newer one, clearly.
//!
//! The other server's part runs in a process of its own, this program again: a harness knows one
//! tree. Which majors there are is what `make test PG=NN` has left.

use pg_backup_tests::{Cluster, DbError, base, major, names_below, run_tool, sample, skipped};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the other process puts its archives.
const TO: &str = "PG_BACKUP_TEST_ARCHIVES_TO";
const MAJORS: [u32; 4] = [15, 16, 17, 18];

/// The tests' directory of another major version, when that has been installed.
fn directory_of(other: u32) -> Option<PathBuf> {
    let home = match major() {
        15 => base(),
        _ => base().parent()?,
    };
    let place = if other == 15 { home.to_owned() } else { home.join(format!("pg{other}")) };
    place.join("pg/pg_config").exists().then_some(place)
}

/// Archives of a cluster of `other`, one of each format, and its fingerprint; in a directory that
/// the server may read.
fn archives_of(other: u32) -> Option<tempfile::TempDir> {
    let Some(place) = directory_of(other) else {
        skipped(&format!("no PostgreSQL {other} beside this one: make test-install PG={other}"));
        return None;
    };
    let made = tempfile::tempdir().expect("the temporary directory is writable");
    let name = match module_path!().split_once("::") {
        Some((_, module)) => format!("{module}::leaves_archives_for_another_major"),
        None => "leaves_archives_for_another_major".to_owned(),
    };
    let output = Command::new(std::env::current_exe().expect("it has a path"))
        .args(["--exact", &name, "--ignored", "--nocapture"])
        .env("PG_BACKUP_TEST_DIR", place)
        .env_remove("PG_BACKUP_TEST_RUN")
        .env(TO, made.path())
        .output()
        .expect("this program runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}{said}", String::from_utf8_lossy(&output.stdout));
    Some(made)
}

#[test]
#[ignore = "a part of the other tests here, run by them"]
fn leaves_archives_for_another_major() {
    let Some(to) = std::env::var_os(TO) else { return };
    let cluster = Cluster::start();
    cluster.make_everything("app");
    for format in ["custom", "directory", "plain"] {
        cluster.back_up_app(&format!(", format => '{format}'"));
        let archive = cluster.archive(&cluster.last_backup());
        fs::copy(archive, Path::new(&to).join(format!("{format}.zip"))).expect("a copy");
    }
    let all = [cluster.backup_dir(), Path::new(&to).join("archives")];
    run_tool(
        Path::new("/bin/cp"),
        &["-a", &all[0].display().to_string(), &all[1].display().to_string()],
    );
    fs::write(Path::new(&to).join("fingerprint"), cluster.fingerprint("app")).expect("it is ours");
}

/// A cluster with a directory to import from, which holds the archives.
fn with_archives(made: &Path) -> (Cluster, PathBuf) {
    let cluster = Cluster::start();
    // Its roles are those that the archives need.
    cluster.make_everything("app");
    let place = cluster.make_dir("import").canonicalize().expect("it is there");
    let zips = names_below(made).into_iter().filter(|name| !name.contains('/'));
    for name in zips.filter(|name| name.ends_with(".zip")) {
        let copy = place.join(&name);
        fs::copy(made.join(&name), &copy).expect("a copy");
        run_tool(Path::new("/bin/chmod"), &["644", &copy.display().to_string()]);
    }
    cluster.set("pg_backup.import_directories", &place.display().to_string());
    (cluster, place)
}

fn import(cluster: &Cluster, place: &Path, format: &str) -> String {
    let path = place.join(format!("{format}.zip"));
    cluster.value("postgres", &format!("SELECT backup_import('{}')", path.display()))
}

/// A schema without the names of `NOT NULL`, which only PostgreSQL 18 and later know: there, that
/// of a table that was renamed is the old one.
fn unnamed(schema: &str) -> String {
    let mut words = schema.split(' ').peekable();
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        if word == "CONSTRAINT" && words.peek().is_some_and(|name| name.ends_with("_not_null")) {
            words.next();
        } else {
            kept.push(word);
        }
    }
    kept.join(" ")
}

#[test]
fn archives_of_older_majors_restore_to_what_they_were() {
    for other in MAJORS.into_iter().filter(|other| *other < major()) {
        let Some(made) = archives_of(other) else { continue };
        let (cluster, place) = with_archives(made.path());
        let wanted = fs::read_to_string(made.path().join("fingerprint")).expect("it was left");
        let schema = unnamed(&cluster.schema_of("app"));
        for format in ["custom", "directory", "plain"] {
            let (id, what) = (import(&cluster, &place, format), format!("{other} {format}"));
            let target = format!("copy_{format}");
            let call =
                format!("CALL backup_restore({id}, target => '{target}', allow_foreign => true)");
            cluster.sql("postgres", &call);
            assert_eq!(cluster.fingerprint(&target), wanted, "{what}");
            pg_backup_tests::assert_same_text(
                &unnamed(&cluster.schema_of(&target)),
                &schema,
                &what,
            );
        }
        cluster.assert_nothing_left();
    }
}

/// Puts the archives where those of the cluster lie, and lets it find them. Gives their ids: of
/// custom, directory and plain.
fn scanned(cluster: &Cluster, made: &Path) -> Vec<String> {
    let (from, to) = (made.join("archives"), cluster.backup_dir());
    let paths = [from.display().to_string(), to.display().to_string()];
    run_tool(Path::new("/bin/cp"), &["-aT", &paths[0], &paths[1]]);
    let scan = "SELECT count(*) FROM backup_scan() WHERE action = 'adopted'";
    assert_eq!(cluster.value("postgres", scan), "3");
    let ids = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM backup_history \
               WHERE origin = 'scan'";
    cluster.value("postgres", ids).split(' ').map(str::to_owned).collect()
}

#[test]
fn an_archive_of_a_newer_major_is_refused_before_anything_is_done() {
    for other in sample(MAJORS.into_iter().filter(|other| *other > major())) {
        let Some(made) = archives_of(other) else { continue };
        let (cluster, place) = with_archives(made.path());
        for id in scanned(&cluster, made.path()).into_iter().take(2) {
            let check = format!(
                "SELECT status || ': ' || detail FROM backup_restore_check({id}, target => 'copy') \
                 WHERE check_name = 'server_version'"
            );
            let wanted = format!("blocker: made on {other}, this server is {}", major());
            assert_eq!(cluster.value("postgres", &check), wanted);
            let call = format!("CALL backup_restore({id}, target => 'copy')");
            let error = cluster.error("postgres", &call);
            assert!(error.message.contains("cannot be restored now"), "{error}");
            let told = error.detail.to_lowercase();
            assert!(told.contains(&format!("made on {other}")), "{error}");
        }
        let path = place.join("custom.zip");
        let import = format!("SELECT backup_import('{}')", path.display());
        // 17 and 18 write the same version of the dump's format.
        if let Err(error) = cluster.try_sql("postgres", &import) {
            let error = DbError::of(&error);
            assert!(error.message.contains("made by a newer pg_dump"), "{error}");
        }
        let there = "SELECT count(*) FROM pg_database WHERE datname ~ 'copy'";
        assert_eq!(cluster.value("postgres", there), "0");
        cluster.assert_nothing_left();
    }
}
