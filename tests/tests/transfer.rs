//! Archives that leave by the connection and come by it: byte-equal, chunk by chunk, for superusers.

use pg_backup_tests::{Cluster, Faults, LIMIT, sqlstate, wait_until};
use postgres::Client;
use std::fs;

/// A chunk or a part in these tests: small, so that there are many.
const CHUNK: usize = 20_000;

/// A cluster with backup 1, and the bytes of its archive.
fn backed_up() -> (Cluster, Vec<u8>) {
    let cluster = Cluster::start();
    cluster.sql(
        "postgres",
        "CREATE TABLE t AS SELECT i, md5(i::text) FROM generate_series(1, 9000) i",
    );
    cluster.sql("postgres", "SELECT backup_create(compression => 'none')");
    let bytes = fs::read(cluster.archive(&cluster.last_backup())).expect("the archive is there");
    assert!(bytes.len() > 10 * CHUNK);
    (cluster, bytes)
}

fn chunks(client: &mut Client, query: &str) -> Vec<(i64, Vec<u8>)> {
    let rows = client.query(query, &[]).unwrap_or_else(|error| panic!("{query}: {error:?}"));
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

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
fn a_download_is_the_archive_in_every_form_of_the_query() {
    let (cluster, bytes) = backed_up();
    let mut client = cluster.connect("postgres");
    for query in [
        "SELECT * FROM backup_download(1, 20000)",
        "SELECT chunk_no, data FROM backup_download(backup_latest(), chunk_bytes => 20000)",
        "SELECT * FROM backup_download((SELECT max(id) FROM backup_history), 20000)",
        "SELECT (c).chunk_no, (c).data FROM (SELECT backup_download(1, 20000) AS c) c",
        "SELECT * FROM backup_download(1)",
    ] {
        let chunks = chunks(&mut client, query);
        assert!(chunks.iter().enumerate().all(|(at, (number, _))| *number == at as i64), "{query}");
        let whole: Vec<u8> = chunks.into_iter().flat_map(|(_, data)| data).collect();
        assert!(whole == bytes, "{query}");
    }
    let same = "SELECT encode(sha256(string_agg(data, NULL ORDER BY chunk_no)), 'hex') = \
                (SELECT sha256 FROM backup_history WHERE id = 1) FROM backup_download(1, 1024)";
    assert_eq!(cluster.value("postgres", same), "t");
}

#[test]
fn a_download_goes_on_in_another_session_and_through_a_cursor() {
    let (cluster, bytes) = backed_up();
    let mut whole = Vec::new();
    let mut number = 0i64;
    while whole.len() < bytes.len() {
        let mut session = cluster.connect("postgres");
        let sql = "SELECT data FROM backup_download(1, 20000, from_chunk => $1) LIMIT 3";
        for row in session.query(sql, &[&number]).expect("it goes on") {
            whole.extend(row.get::<_, Vec<u8>>(0));
            number += 1;
        }
    }
    assert!(whole == bytes);
    let mut client = cluster.connect("postgres");
    let mut transaction = client.transaction().expect("a new session");
    transaction
        .batch_execute("DECLARE c CURSOR FOR SELECT data FROM backup_download(1, 20000)")
        .expect("a cursor");
    let mut whole = Vec::new();
    while let Some(row) = transaction.query_opt("FETCH c", &[]).expect("a chunk or the end") {
        whole.extend(row.get::<_, Vec<u8>>(0));
    }
    assert!(whole == bytes);
}

#[test]
fn a_plain_query_for_an_archive_makes_no_table_of_it() {
    let (cluster, _) = backed_up();
    let plan = |query: &str| {
        let rows = cluster.sql("postgres", &format!("EXPLAIN (COSTS OFF) {query}"));
        rows.into_iter().flatten().flatten().collect::<Vec<_>>().join("\n")
    };
    for query in
        ["SELECT data FROM backup_download(1)", "SELECT * FROM backup_download(backup_latest())"]
    {
        let plan = plan(query);
        assert!(plan.contains("ProjectSet") && !plan.contains("Function Scan"), "{plan}");
    }
}

#[test]
fn what_cannot_be_downloaded_is_said() {
    let (cluster, bytes) = backed_up();
    let path = cluster.archive(&cluster.last_backup());
    let error =
        |call: &str| cluster.error("postgres", &format!("SELECT * FROM backup_download({call})"));
    for (call, state) in [
        ("2", "42704"),
        ("NULL", "22023"),
        ("1, NULL", "22023"),
        ("1, 1000", "22023"),
        ("1, 16777217", "22023"),
        ("1, 1024, -1", "22023"),
    ] {
        assert_eq!(error(call).sqlstate, state, "{call}");
    }
    fs::write(&path, &bytes[1..]).expect("it is ours");
    let cut = error("1");
    assert_eq!(cut.sqlstate, "XX001", "{cut}");
    assert!(cut.message.contains("does not have the size"), "{cut}");
    fs::remove_file(&path).expect("it is ours");
    assert_eq!(error("1").sqlstate, "58P01");
    cluster.psql("postgres", "CALL backup_delete(1)");
    assert_eq!(error("1").sqlstate, "42704");
}

#[test]
fn an_archive_that_changes_on_the_way_is_an_error() {
    let (cluster, bytes) = backed_up();
    let mut client = cluster.connect("postgres");
    let mut transaction = client.transaction().expect("a new session");
    transaction
        .batch_execute("DECLARE c CURSOR FOR SELECT data FROM backup_download(1, 20000); FETCH c")
        .expect("a first chunk");
    let path = cluster.archive(&cluster.last_backup());
    let mut longer = bytes;
    longer.push(0);
    fs::write(path, longer).expect("it is ours");
    let error = transaction.batch_execute("FETCH c").expect_err("it is another file");
    assert_eq!(sqlstate(&error), "XX001", "{error:?}");
}

#[test]
fn transfers_are_for_superusers_whatever_is_granted() {
    let (cluster, _) = backed_up();
    cluster.sql(
        "postgres",
        "CREATE ROLE o LOGIN; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO o; \
         GRANT SELECT ON backup_uploads TO o",
    );
    let mut client = cluster.connect_as("postgres", "o");
    for sql in [
        "SELECT * FROM backup_download(1)",
        "SELECT backup_download(1)",
        "SELECT backup_upload_begin('x', 1, repeat('0', 64))",
        "SELECT backup_upload_part(1, 0, 'x')",
        "SELECT backup_upload_finish(1)",
        "SELECT backup_upload_abort(1)",
        "SELECT * FROM backup_uploads",
    ] {
        let error = client.batch_execute(sql).expect_err(sql);
        assert_eq!(sqlstate(&error), "42501", "{sql}");
    }
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
    let faults = Faults::default();
    let cluster = faults.cluster(&["pg_backup.upload_keep = '1s'"]);
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
