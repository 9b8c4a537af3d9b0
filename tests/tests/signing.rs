//! Signed archives: with a key file every archive carries a signature that stock tools can check; a
//! key file that cannot be used stops the backup, for its owner believes that archives are signed.

use pg_backup_tests::{Cluster, give_to_server};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

const KEY: &str = "3d2f1e0c9b8a79685746352413021f0e3d2f1e0c9b8a79685746352413021f0e";
const NEW_KEY: &str = "ffffffffffffffffffffffffffffffff-another-key";

fn key_file(cluster: &Cluster, text: &str, mode: u32) -> PathBuf {
    let path = cluster.make_dir("keys").join("signing");
    fs::write(&path, text).expect("the directory is ours");
    give_to_server(&path);
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("the file is ours");
    path
}

fn sign_with(text: &str) -> (Cluster, PathBuf) {
    let cluster = Cluster::start();
    let path = key_file(&cluster, text, 0o600);
    cluster.set("pg_backup.signing_key_file", &path.display().to_string());
    (cluster, path)
}

fn run(program: &str, args: &[&str], folder: &Path) -> String {
    let output = Command::new(program).args(args).current_dir(folder).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Checks the newest archive with unzip and openssl.
fn assert_signed_with(cluster: &Cluster, key: &str) {
    let archive = cluster.archive(&cluster.last_backup());
    let folder = tempfile::tempdir().expect("the temporary directory is writable");
    let members = ["manifest.json", "manifest.hmac"];
    run("unzip", &["-q", &archive.display().to_string(), members[0], members[1]], folder.path());
    let made = run("openssl", &["dgst", "-sha256", "-hmac", key, "manifest.json"], folder.path());
    let kept = fs::read_to_string(folder.path().join("manifest.hmac")).expect("it is text");
    assert_eq!(made.rsplit(' ').next(), Some(kept.as_str()));
}

#[test]
fn an_archive_is_signed_as_stock_tools_sign_and_verifies() {
    let (cluster, path) = sign_with(&format!("{KEY}\n"));
    for create in
        ["backup_create()", "backup_create(jobs => 2)", "backup_create(format => 'plain')"]
    {
        cluster.sql("postgres", &format!("SELECT {create}"));
        assert_signed_with(&cluster, KEY);
        let verified = "SELECT bool_and(ok) FROM backup_verify(backup_latest(), 'read')";
        assert_eq!(cluster.value("postgres", verified), "t");
    }
    let signed = "SELECT string_agg(manifest ->> 'signed', ' ') FROM backup_manifest";
    assert_eq!(cluster.value("postgres", signed), "true true true");
    fs::write(&path, format!("{NEW_KEY}\n{KEY}\n")).expect("the file is ours");
    cluster.sql("postgres", "SELECT backup_create()");
    assert_signed_with(&cluster, NEW_KEY);
    let row = "SELECT status || ': ' || detail FROM backup_check() WHERE check_name = 'signing'";
    assert_eq!(cluster.value("postgres", row), "ok: on; 2 keys verify");
}

#[test]
fn without_a_key_file_nothing_is_signed() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "SELECT backup_create()");
    let archive = cluster.archive(&cluster.last_backup());
    let members = run("unzip", &["-Z1", &archive.display().to_string()], Path::new("/"));
    assert!(!members.contains("manifest.hmac"), "{members}");
    let row = "SELECT status FROM backup_check() WHERE check_name = 'signing'";
    assert_eq!(cluster.value("postgres", row), "ok");
}

#[test]
fn a_key_file_that_cannot_be_used_stops_the_backup_and_is_not_shown() {
    for (text, mode, state, said) in [
        (KEY, 0o644, "55000", "has group or world access"),
        ("too-short-a-secret", 0o600, "22023", "is not usable"),
        ("", 0o600, "22023", "is not usable"),
    ] {
        let cluster = Cluster::start();
        let path = key_file(&cluster, text, mode);
        cluster.set("pg_backup.signing_key_file", &path.display().to_string());
        let error = cluster.error("postgres", "SELECT backup_create()");
        assert_eq!(error.sqlstate, state, "{error}");
        assert!(error.message.contains(said), "{error}");
        let row = "SELECT status FROM backup_check() WHERE check_name = 'signing'";
        assert_eq!(cluster.value("postgres", row), "blocker");
        cluster.assert_clean();
        let shown = format!("{error}{}", cluster.log());
        assert!(!shown.contains(KEY) && !shown.contains("secret"), "{shown}");
        cluster.set("pg_backup.signing_key_file", "");
        cluster.assert_next_backup_works();
    }
}

#[test]
fn a_key_file_that_is_missing_stops_the_backup() {
    let cluster = Cluster::with(&["pg_backup.signing_key_file = '/nonexistent/key'"]);
    let error = cluster.error("postgres", "SELECT backup_create()");
    assert_eq!(error.sqlstate, "58P01", "{error}");
    cluster.assert_clean();
}
