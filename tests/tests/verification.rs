//! Archives that are not what was written: each defect is found and named.

use pg_backup_tests::{Cluster, Run};
use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::PathBuf;

/// A cluster with one backup of a table with some rows.
fn with_backup() -> (Cluster, Run, PathBuf) {
    let cluster = Cluster::start();
    cluster.sql(
        "postgres",
        "CREATE TABLE t AS SELECT i, md5(i::text) AS x FROM generate_series(1, 3000) i",
    );
    cluster.assert_next_backup_works();
    let run = cluster.last_backup();
    let path = cluster.archive(&run);
    (cluster, run, path)
}

/// The findings that are not ok, at one level.
fn defects(cluster: &Cluster, run: &Run, level: &str) -> String {
    let sql = format!(
        "SELECT coalesce(string_agg(subject || ': ' || detail, '; '), '') \
         FROM backup_verify({}, '{level}') WHERE NOT ok",
        run.id
    );
    cluster.value("postgres", &sql)
}

fn state(cluster: &Cluster, run: &Run) -> String {
    let sql = format!("SELECT file_state FROM backup_history WHERE id = {}", run.id);
    cluster.value("postgres", &sql)
}

#[test]
fn a_good_archive_passes_every_level_and_the_history_says_so() {
    let (cluster, run, _) = with_backup();
    for level in ["file", "list", "read"] {
        assert_eq!(defects(&cluster, &run, level), "", "{level}");
        let sql = format!("SELECT verify_level FROM backup_history WHERE id = {}", run.id);
        assert_eq!(cluster.value("postgres", &sql), level);
    }
    let rows = cluster.sql("postgres", &format!("SELECT * FROM backup_verify({})", run.id));
    assert_eq!(rows.len(), 8, "the default is read: {rows:?}");
    assert_eq!(state(&cluster, &run), "available");
    let verifies =
        "SELECT count(*) FROM backup_history WHERE kind = 'verify' AND status = 'succeeded'";
    assert_eq!(cluster.value("postgres", verifies), "4");
}

#[test]
fn each_defect_of_the_file_has_its_own_words() {
    let (cluster, run, path) = with_backup();
    let good = fs::read(&path).unwrap();
    let write = |bytes: &[u8]| {
        let _ = fs::remove_file(&path);
        fs::write(&path, bytes).unwrap();
        pg_backup_tests::give_to_server(&path);
    };
    let mut foreign = Vec::from(*b"PK\x05\x06");
    foreign.extend([0; 18]);
    let mut longer = good.clone();
    longer.extend(b"tail");
    for (what, bytes, words) in [
        ("empty", &b""[..], "is empty"),
        ("cut", &good[..good.len() / 2], "is truncated"),
        ("one byte short", &good[..good.len() - 1], "is truncated"),
        ("longer", &longer, "is longer"),
        ("an empty zip", &foreign, "is foreign"),
    ] {
        write(bytes);
        let found = defects(&cluster, &run, "file");
        assert!(found.contains(words), "{what}: {found}");
        assert_eq!(state(&cluster, &run), "damaged", "{what}");
    }
    fs::remove_file(&path).unwrap();
    assert!(defects(&cluster, &run, "read").contains("is missing"));
    assert_eq!(state(&cluster, &run), "missing");
    write(&good);
    assert_eq!(defects(&cluster, &run, "read"), "");
    assert_eq!(state(&cluster, &run), "available");
}

#[test]
fn what_is_no_regular_file_is_not_read() {
    let (cluster, run, path) = with_backup();
    let kept = path.with_extension("kept");
    fs::rename(&path, &kept).unwrap();
    symlink(&kept, &path).unwrap();
    assert_ne!(defects(&cluster, &run, "read"), "", "a symbolic link");
    fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    pg_backup_tests::give_to_server(&path);
    assert_ne!(defects(&cluster, &run, "read"), "", "a FIFO");
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert_ne!(defects(&cluster, &run, "read"), "", "a directory");
}

#[test]
fn a_flipped_byte_is_found_wherever_it_is() {
    let (cluster, run, path) = with_backup();
    let size = fs::metadata(&path).unwrap().len();
    let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let recorded = cluster.value("postgres", "SELECT sha256 FROM backup_history WHERE id = 1");
    let mut deeper = 0;
    for step in 0..24 {
        // Spread over the file, the same positions at every run.
        let position = size * step / 24 + (step * 7919) % (size / 24);
        let mut byte = [0];
        file.read_exact_at(&mut byte, position).unwrap();
        file.write_all_at(&[byte[0] ^ 0x10], position).unwrap();
        let found = defects(&cluster, &run, "file");
        assert!(
            found.contains("has changed")
                || found.contains("is foreign")
                || found.contains("lost its manifest"),
            "byte {position}: {found}"
        );
        // With the hash of the damaged file in the history: what decoding alone finds.
        let sum = std::process::Command::new("sha256sum").arg(&path).output().unwrap();
        let sum = String::from_utf8(sum.stdout).unwrap()[..64].to_owned();
        cluster.sql("postgres", &format!("UPDATE backup_runs SET sha256 = '{sum}' WHERE id = 1"));
        deeper += usize::from(!defects(&cluster, &run, "read").is_empty());
        file.write_all_at(&byte, position).unwrap();
        let back = format!("UPDATE backup_runs SET sha256 = '{recorded}' WHERE id = 1");
        cluster.sql("postgres", &back);
    }
    assert_eq!(defects(&cluster, &run, "read"), "");
    assert!(deeper >= 20, "level read alone found {deeper} of 24");
}

#[test]
fn an_archive_without_its_manifest_is_named() {
    let (cluster, run, path) = with_backup();
    let folder = tempfile::tempdir().unwrap();
    let run_in = |program: &str, args: &[&str]| {
        let done = std::process::Command::new(program)
            .args(args)
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    };
    run_in("unzip", &["-q", path.to_str().unwrap()]);
    let script = "import zipfile; z = zipfile.ZipFile('x.zip', 'w'); \
                  z.write('database.dump.zst'); z.write('globals.sql'); z.close()";
    run_in("python3", &["-c", script]);
    fs::remove_file(&path).unwrap();
    fs::copy(folder.path().join("x.zip"), &path).unwrap();
    pg_backup_tests::give_to_server(&path);
    assert!(defects(&cluster, &run, "file").contains("lost its manifest"));
    let sql = format!("SELECT * FROM backup_contents({})", run.id);
    assert_eq!(cluster.error("postgres", &sql).sqlstate, "XX001");
}

#[test]
fn pinned_backups_stay_and_deleted_ones_leave_their_row() {
    let (cluster, run, path) = with_backup();
    cluster.psql("postgres", &format!("CALL backup_pin({})", run.id));
    let delete = format!("CALL backup_delete({})", run.id);
    let error = cluster.error("postgres", &delete);
    assert_eq!(error.sqlstate, "55006", "{error}");
    assert!(path.exists() && error.hint.contains("backup_pin"), "{error}");
    cluster.psql("postgres", &format!("CALL backup_pin({}, false); {delete}", run.id));
    assert!(!path.exists());
    assert_eq!(state(&cluster, &run), "deleted");
    assert!(defects(&cluster, &run, "file").contains("was deleted"));
    assert_eq!(state(&cluster, &run), "deleted");
    for sql in [format!("SELECT * FROM backup_contents({})", run.id), delete] {
        assert_eq!(cluster.error("postgres", &sql).sqlstate, "42704", "{sql}");
    }
    for sql in [
        "CALL backup_delete(99)",
        "CALL backup_pin(99)",
        "SELECT backup_verify(99)",
        "SELECT backup_inspect(99)",
        "SELECT * FROM backup_contents(99)",
    ] {
        assert_eq!(cluster.error("postgres", sql).sqlstate, "42704", "{sql}");
    }
    cluster.assert_nothing_left();
}

#[test]
fn deleting_and_verifying_wait_for_a_commit() {
    let (cluster, run, path) = with_backup();
    let sql = format!("BEGIN; CREATE TABLE w (); CALL backup_delete({}); COMMIT", run.id);
    assert_eq!(cluster.error("postgres", &sql).sqlstate, "25001");
    let sql = format!("BEGIN; CREATE TABLE w (); SELECT backup_verify({}); COMMIT", run.id);
    assert_eq!(cluster.error("postgres", &sql).sqlstate, "25001");
    assert!(path.exists());
}
