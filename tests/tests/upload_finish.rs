//! The end of an upload: it becomes a backup when it is whole and good, and else it stays an
//! upload, whatever dies meanwhile.

use pg_backup_tests::{Call, Cluster, Faults, give_to_server, sqlstate};
use postgres::Client;
use std::fs;
use std::os::unix::fs::PermissionsExt;

const UPLOADS: &str = "SELECT coalesce(string_agg(missing::text, ' '), '-') FROM backup_uploads";

fn archive(cluster: &Cluster) -> Vec<u8> {
    cluster
        .sql("postgres", "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 900) i");
    cluster.sql("postgres", "SELECT backup_create()");
    fs::read(cluster.archive(&cluster.last_backup())).expect("the archive is there")
}

/// Sends all of `bytes`, with their SHA-256 or another one, and gives the id of the upload.
fn send(client: &mut Client, bytes: &[u8], right: bool) -> i64 {
    let sql = "SELECT backup_upload_begin('mine.zip', $1, encode(sha256($2), 'hex'))";
    let hashed = if right { bytes } else { b"another" };
    let begun = client.query_one(sql, &[&(bytes.len() as i64), &hashed]);
    let id = begun.expect("it begins").get(0);
    let sql = "SELECT backup_upload_part($1, 0, $2)";
    client.query_one(sql, &[&id, &bytes]).expect("a part");
    id
}

fn finish(client: &mut Client, id: i64) -> Result<i64, postgres::Error> {
    client.query_one("SELECT backup_upload_finish($1)", &[&id]).map(|row| row.get(0))
}

/// The upload is a backup now, with the same bytes, and nothing else is left of it.
fn assert_taken(cluster: &Cluster, run: i64, bytes: &[u8]) {
    let sql = format!(
        "SELECT concat_ws(' ', kind, origin, status, file_state) FROM backup_history WHERE id = {run}"
    );
    assert_eq!(cluster.value("postgres", &sql), "import upload succeeded available");
    let sql = format!("SELECT data FROM backup_download({run})");
    let rows = cluster.connect("postgres").query(&sql, &[]).expect("it can be downloaded");
    let whole: Vec<u8> = rows.iter().flat_map(|row| row.get::<_, Vec<u8>>(0)).collect();
    assert!(whole == bytes);
    assert_eq!(cluster.value("postgres", UPLOADS), "-");
    cluster.assert_nothing_left();
}

/// Starts to finish an upload, and waits until its import has read it.
fn begin_to_finish(cluster: &Cluster, faults: &Faults, id: i64) -> Call {
    faults.plant("import_copied");
    let call = cluster.call("postgres", &format!("SELECT backup_upload_finish({id})"));
    faults.wait("import_copied");
    call
}

#[test]
fn an_upload_becomes_a_backup_that_counts_as_foreign() {
    let cluster = Cluster::start();
    let bytes = archive(&cluster);
    let mut client = cluster.connect("postgres");
    let id = send(&mut client, &bytes, true);
    let run = finish(&mut client, id).expect("it is a good one");
    assert_taken(&cluster, run, &bytes);
    let again = finish(&mut client, id).expect_err("it is no upload any more");
    assert_eq!(sqlstate(&again), "42704", "{again:?}");
    let restore = format!("CALL backup_restore({run}, target => 'copy')");
    let error = cluster.error("postgres", &restore);
    assert!(error.hint.contains("allow_foreign"), "{error}");
}

#[test]
fn a_signed_upload_is_one_of_ours() {
    let cluster = Cluster::start();
    let key = cluster.make_dir("keys").join("signing");
    fs::write(&key, "0123456789abcdef0123456789abcdef").expect("the directory is ours");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("the file is ours");
    give_to_server(&key);
    cluster.set("pg_backup.signing_key_file", &key.display().to_string());
    let bytes = archive(&cluster);
    let mut client = cluster.connect("postgres");
    let id = send(&mut client, &bytes, true);
    let run = finish(&mut client, id).expect("it is a good one");
    assert_taken(&cluster, run, &bytes);
    cluster.psql("postgres", &format!("CALL backup_restore({run}, target => 'copy')"));
    assert_eq!(cluster.value("copy", "SELECT count(*) FROM t"), "900");
}

#[test]
fn an_upload_with_another_hash_is_refused_and_stays() {
    let cluster = Cluster::start();
    let bytes = archive(&cluster);
    let mut client = cluster.connect("postgres");
    let id = send(&mut client, &bytes, false);
    let error = finish(&mut client, id).expect_err("the bytes are others");
    assert_eq!(sqlstate(&error), "XX001", "{error:?}");
    assert_eq!(cluster.value("postgres", UPLOADS), "{}");
    let row = "SELECT kind || ' ' || status || ' ' || (file IS NULL) FROM backup_history LIMIT 1";
    assert_eq!(cluster.value("postgres", row), "import failed true");
    let abort = format!("SELECT backup_upload_abort({id})");
    assert_eq!(cluster.value("postgres", &abort), "t");
    cluster.assert_clean();
}

#[test]
fn what_is_no_backup_is_refused() {
    let cluster = Cluster::start();
    let good = archive(&cluster);
    let mut client = cluster.connect("postgres");
    let mut flipped = good.clone();
    flipped[good.len() / 3] ^= 1;
    for bytes in [b"rubbish".to_vec(), good[..good.len() - 9].to_vec(), flipped] {
        let id = send(&mut client, &bytes, true);
        finish(&mut client, id).expect_err("it is no backup");
        let abort = format!("SELECT backup_upload_abort({id})");
        assert_eq!(cluster.value("postgres", &abort), "t");
    }
    cluster.assert_clean();
}

#[test]
fn nobody_touches_an_upload_that_is_being_finished() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let bytes = archive(&cluster);
    let mut client = cluster.connect("postgres");
    let id = send(&mut client, &bytes, true);
    let call = begin_to_finish(&cluster, &faults, id);
    for sql in ["finish($1)", "abort($1)", "part($1, 0, 'x')"] {
        let error = client.query(&format!("SELECT backup_upload_{sql}"), &[&id]).expect_err(sql);
        assert_eq!(sqlstate(&error), "55006", "{sql}: {error:?}");
    }
    faults.lift("import_copied");
    call.end().expect("it is a good one");
    assert_taken(&cluster, 2, &bytes);
}

#[test]
fn a_finish_that_is_cancelled_or_dies_can_be_called_again() {
    let faults = Faults::default();
    let mut cluster = faults.cluster(&[]);
    let bytes = archive(&cluster);
    let id = send(&mut cluster.connect("postgres"), &bytes, true);
    let call = begin_to_finish(&cluster, &faults, id);
    call.cancel();
    faults.lift("import_copied");
    assert_eq!(call.error().sqlstate, "57014");
    let _call = begin_to_finish(&cluster, &faults, id);
    cluster.kill_postmaster();
    faults.lift("import_copied");
    cluster.start_again();
    assert_eq!(cluster.value("postgres", UPLOADS), "{}");
    let run = finish(&mut cluster.connect("postgres"), id).expect("it is whole");
    assert_taken(&cluster, run, &bytes);
}

#[test]
fn a_call_that_waits_for_an_upload_can_be_cancelled() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let bytes = archive(&cluster);
    let mut client = cluster.connect("postgres");
    let id = send(&mut client, &bytes, true);
    let call = begin_to_finish(&cluster, &faults, id);
    for sql in ["finish($1)", "abort($1)", "part($1, 0, 'x')"] {
        client.batch_execute("SET statement_timeout = '50ms'").expect("a session");
        let error = client.query(&format!("SELECT backup_upload_{sql}"), &[&id]).expect_err(sql);
        assert_eq!(sqlstate(&error), "57014", "{sql}: {error:?}");
    }
    faults.lift("import_copied");
    call.end().expect("it is a good one");
    assert_taken(&cluster, 2, &bytes);
}
