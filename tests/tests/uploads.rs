//! Archives that come by the connection: in parts, in any order, whatever breaks, for superusers.

use pg_backup_tests::{Cluster, LIMIT, names_below, sqlstate, tmpfs, wait_until};
use postgres::Client;
use std::fs;

use crate::downloads::{CHUNK, backed_up};

fn begin(client: &mut Client, bytes: &[u8]) -> i64 {
    let sql = "SELECT backup_upload_begin('mine.zip', $1, encode(sha256($2), 'hex'))";
    client.query_one(sql, &[&(bytes.len() as i64), &bytes]).expect("it begins").get(0)
}

fn part(client: &mut Client, id: i64, at: usize, data: &[u8]) -> Result<i64, postgres::Error> {
    let sql = "SELECT backup_upload_part($1, $2, $3)";
    client.query_one(sql, &[&id, &(at as i64), &data]).map(|row| row.get(0))
}

fn missing(cluster: &Cluster) -> String {
    cluster.value(
        "postgres",
        "SELECT coalesce(string_agg(missing::text, ' '), '-') FROM backup_uploads",
    )
}

#[test]
fn parts_come_in_any_order_from_several_sessions_and_survive_a_crash() {
    let (mut cluster, bytes) = backed_up();
    let id = {
        let (mut one, mut two) = (cluster.connect("postgres"), cluster.connect("postgres"));
        let id = begin(&mut one, &bytes);
        // Neither waits for the other's transaction.
        one.batch_execute("BEGIN").expect("a session");
        two.batch_execute("BEGIN").expect("a session");
        for (number, data) in bytes.chunks(CHUNK).enumerate().skip(1) {
            let session = if number % 2 == 0 { &mut one } else { &mut two };
            part(session, id, number * CHUNK, data).expect("a part");
        }
        // A rollback takes nothing back: what was sent is there.
        two.batch_execute("ROLLBACK").expect("a session");
        id
    };
    assert_eq!(missing(&cluster), format!("{{[0,{CHUNK})}}"));
    cluster.kill_postmaster();
    cluster.start_again();
    assert_eq!(missing(&cluster), format!("{{[0,{CHUNK})}}"));
    let mut client = cluster.connect("postgres");
    let error = client.query("SELECT backup_upload_finish($1)", &[&id]).expect_err("not whole");
    assert_eq!(sqlstate(&error), "55000", "{error:?}");
    assert_eq!(
        part(&mut client, id, 0, &bytes[..CHUNK + 5]).expect("the rest"),
        bytes.len() as i64
    );
    assert_eq!(missing(&cluster), "{}");
}

#[test]
fn parts_that_do_not_fit_are_refused_and_change_nothing() {
    let (cluster, bytes) = backed_up();
    let mut client = cluster.connect("postgres");
    let id = begin(&mut client, &bytes);
    part(&mut client, id, 0, &bytes[..CHUNK]).expect("a part");
    part(&mut client, id, 0, &bytes[..CHUNK]).expect("the same once more");
    let mut other = bytes[..CHUNK].to_vec();
    other[7] ^= 1;
    let large = vec![0; (16 << 20) + 1];
    for (id, at, data, state) in [
        (id, 0, &other[..], "22023"),
        (id, bytes.len(), b"x", "22023"),
        (id, 0, &large, "22023"),
        (id + 1, 0, b"x", "42704"),
    ] {
        let error = part(&mut client, id, at, data).expect_err("it does not fit");
        assert_eq!(sqlstate(&error), state, "{error:?}");
    }
    for call in [
        "part(1, -1, 'x')",
        "part(1, 0, NULL)",
        "part(NULL, 0, 'x')",
        "finish(NULL)",
        "abort(NULL)",
    ] {
        let error = cluster.error("postgres", &format!("SELECT backup_upload_{call}"));
        assert_eq!(error.sqlstate, "22023", "{call}");
    }
    assert_eq!(missing(&cluster), format!("{{[{CHUNK},{})}}", bytes.len()));
}

#[test]
fn what_is_announced_is_checked_and_a_name_is_only_a_label() {
    let cluster = Cluster::start();
    let sum = "repeat('0', 64)";
    for (arguments, state) in [
        (format!("NULL, 1, {sum}"), "22023"),
        (format!("'', 1, {sum}"), "22023"),
        (format!("repeat('x', 10000), 1, {sum}"), "22023"),
        (format!("'x', 0, {sum}"), "22023"),
        (format!("'x', NULL, {sum}"), "22023"),
        ("'x', 1, 'abc'".to_owned(), "22023"),
        ("'x', 1, NULL".to_owned(), "22023"),
        (format!("'x', 9223372036854775807, {sum}"), "53100"),
    ] {
        let sql = format!("SELECT backup_upload_begin({arguments})");
        assert_eq!(cluster.error("postgres", &sql).sqlstate, state, "{sql}");
    }
    let hostile = "../../../etc/passwd\n\\..\\x;$(reboot)";
    let id =
        cluster.value("postgres", &format!("SELECT backup_upload_begin('{hostile}', 1, {sum})"));
    let found = "SELECT concat_ws(' ', size_bytes, received_bytes, requested_by, database, \
                 kept_until - started_at, error) FROM backup_uploads";
    assert_eq!(cluster.value("postgres", found), "1 0 postgres postgres 1 day");
    assert_eq!(cluster.value("postgres", "SELECT filename FROM backup_uploads"), hostile);
    let abort = format!("SELECT backup_upload_abort({id})");
    assert_eq!(
        (cluster.value("postgres", &abort), cluster.value("postgres", &abort)),
        ("t".into(), "f".into())
    );
    cluster.assert_nothing_left();
}

#[test]
fn an_upload_that_would_fill_the_disk_is_refused() {
    let cluster = Cluster::with(&["pg_backup.min_free_space = '2000TB'"]);
    let sql = "SELECT backup_upload_begin('x', 1, repeat('0', 64))";
    let error = cluster.error("postgres", sql);
    assert_eq!(error.sqlstate, "53100", "{error}");
    assert!(error.detail.contains("min_free_space"), "{error}");
    cluster.set("pg_backup.min_free_space", "0");
    let id = cluster.value("postgres", sql);
    cluster.set("pg_backup.min_free_space", "2000TB");
    let error = cluster.error("postgres", &format!("SELECT backup_upload_part({id}, 0, 'x')"));
    assert_eq!(error.sqlstate, "53100", "{error}");
    assert!(error.hint.contains("send this part again"), "{error}");
    cluster.set("pg_backup.min_free_space", "0");
    let sent = cluster.value("postgres", &format!("SELECT backup_upload_part({id}, 0, 'x')"));
    assert_eq!(sent, "1");
}

#[test]
fn the_launcher_removes_uploads_that_nobody_goes_on_with() {
    let cluster = Cluster::with(&["pg_backup.upload_keep = '1s'"]);
    cluster.sql("postgres", "SELECT backup_upload_begin('x', 1, repeat('0', 64))");
    wait_until("the end of the upload", LIMIT, || missing(&cluster) == "-");
    cluster.assert_nothing_left();
    assert!(!cluster.log().contains("WARNING"), "{}", cluster.log());
}

#[test]
fn without_a_limit_uploads_stay() {
    let cluster = Cluster::with(&["pg_backup.upload_keep = -1"]);
    cluster.sql("postgres", "SELECT backup_upload_begin('x', 1, repeat('0', 64))");
    cluster.sql("postgres", "SELECT backup_upload_begin('y', 1, repeat('0', 64))");
    let found = "SELECT count(*) || ' ' || count(kept_until) FROM backup_uploads";
    assert_eq!(cluster.value("postgres", found), "2 0");
}

#[test]
fn a_full_disk_refuses_a_part_and_keeps_the_upload() {
    let Some(disk) = tmpfs(4) else { return };
    let directory = format!("pg_backup.directory = '{}'", disk.path().display());
    let cluster = Cluster::with(&[&directory, "pg_backup.min_free_space = 0"]);
    let bytes: Vec<u8> = (0..3u32 << 20).map(|i| (i >> 3) as u8).collect();
    let mut client = cluster.connect("postgres");
    let id = begin(&mut client, &bytes);
    part(&mut client, id, 0, &bytes[..1 << 20]).expect("there is room");
    let ballast = disk.path().join("ballast");
    fs::write(&ballast, vec![0; 5 << 19]).expect("there is room for this too");
    let error = part(&mut client, id, 1 << 20, &bytes[1 << 20..]).expect_err("the disk is full");
    assert_eq!(sqlstate(&error), "53100", "{error:?}");
    assert_eq!(missing(&cluster), "{[1048576,3145728)}");
    fs::remove_file(ballast).expect("it is ours");
    part(&mut client, id, 1 << 20, &bytes[1 << 20..]).expect("there is room again");
    assert_eq!(missing(&cluster), "{}");
    let file = names_below(disk.path()).into_iter().find(|name| name.ends_with(".upload"));
    let file = disk.path().join(file.expect("the bytes are there"));
    assert!(fs::read(file).expect("it is a file") == bytes);
}

#[test]
fn an_upload_is_not_finished_in_a_transaction_that_has_written() {
    let (cluster, bytes) = backed_up();
    let mut client = cluster.connect("postgres");
    client.batch_execute("BEGIN; CREATE TEMP TABLE mine ()").expect("a session");
    // The parts themselves write nothing that belongs to the transaction.
    let id = begin(&mut client, &bytes);
    part(&mut client, id, 0, &bytes).expect("a part");
    let error = client.query("SELECT backup_upload_finish($1)", &[&id]).expect_err("refused");
    assert_eq!(sqlstate(&error), "25001", "{error:?}");
    client.batch_execute("ROLLBACK").expect("a session");
    assert_eq!(missing(&cluster), "{}");
}

#[test]
fn a_part_without_bytes_changes_nothing() {
    let (cluster, bytes) = backed_up();
    let mut client = cluster.connect("postgres");
    let id = begin(&mut client, &bytes);
    for at in [0, 5, bytes.len()] {
        assert_eq!(part(&mut client, id, at, b"").expect("nothing"), 0);
    }
    assert_eq!(missing(&cluster), format!("{{[0,{})}}", bytes.len()));
    assert_eq!(part(&mut client, id, 0, &bytes).expect("all of it"), bytes.len() as i64);
    assert_eq!(part(&mut client, id, 7, b"").expect("nothing"), bytes.len() as i64);
}

#[test]
fn a_name_of_an_upload_is_listed_in_every_database() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "SELECT backup_upload_begin('größe 文', 1, repeat('0', 64))");
    for encoding in ["LATIN1", "EUC_JP"] {
        let name = encoding.to_lowercase();
        cluster.sql(
            "postgres",
            &format!("CREATE DATABASE {name} ENCODING {encoding} LOCALE 'C' TEMPLATE template0"),
        );
        cluster.sql(&name, "CREATE EXTENSION pg_backup");
        let shown = cluster.value(&name, "SELECT filename FROM backup_uploads");
        assert_eq!(shown, "gr??e ?", "{encoding}");
    }
}
