//! Archives that leave by the connection: byte-equal, chunk by chunk, for superusers.

use pg_backup_tests::{Cluster, sqlstate};
use postgres::Client;
use std::fs;

/// A chunk or a part in these tests: small, so that there are many.
pub const CHUNK: usize = 20_000;

/// A cluster with backup 1, and the bytes of its archive.
pub fn backed_up() -> (Cluster, Vec<u8>) {
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
fn a_download_works_in_a_read_only_transaction() {
    let (cluster, bytes) = backed_up();
    let sql = "BEGIN READ ONLY; SELECT sum(length(data)) FROM backup_download(1); COMMIT";
    assert_eq!(cluster.value("postgres", sql), bytes.len().to_string());
}

#[test]
fn an_archive_that_is_deleted_on_the_way_still_comes_whole() {
    let (cluster, bytes) = backed_up();
    let mut client = cluster.connect("postgres");
    let mut transaction = client.transaction().expect("a new session");
    transaction
        .batch_execute("DECLARE c CURSOR FOR SELECT data FROM backup_download(1, 20000)")
        .expect("a cursor");
    let first = transaction.query_one("FETCH c", &[]).expect("a first chunk");
    let mut whole: Vec<u8> = first.get(0);
    cluster.psql("postgres", "CALL backup_delete(1)");
    for row in transaction.query("FETCH ALL FROM c", &[]).expect("the rest") {
        whole.extend(row.get::<_, Vec<u8>>(0));
    }
    assert!(whole == bytes);
}
