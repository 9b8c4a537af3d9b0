//! Hostile files in the place of a good archive: each is refused in words that name its defect, and
//! the server goes on as if nothing had been there. Memory is limited to 256 MB a process.

use pg_backup_hostile::{Member, Zip, files};
use pg_backup_tests::{Cluster, DbError, Guard, HARM, Victim, give_to_server, sample};
use postgres::Client;
use std::fs;
use std::path::Path;

fn cluster() -> Cluster {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE TABLE t AS SELECT i FROM generate_series(1, 3000) i");
    Guard::limit_memory(&cluster);
    cluster
}

/// The error of a statement, if there is one.
fn said(cluster: &Cluster, sql: &str) -> String {
    let error = cluster.try_sql("postgres", sql).err().map(|error| DbError::of(&error));
    error.map_or_else(String::new, |error| {
        format!("{} {} {}", error.sqlstate, error.message, error.detail)
    })
}

fn findings(cluster: &Cluster, call: &str, condition: &str) -> String {
    let sql =
        format!("SELECT coalesce(string_agg(detail, '; '), '') FROM {call} WHERE {condition}");
    cluster.value("postgres", &sql)
}

#[test]
fn every_hostile_file_is_refused_everywhere_and_the_server_goes_on() {
    let cluster = cluster();
    let victim = Victim::new(&cluster, "compression => 'none'");
    let id = victim.run.id;
    let before = Guard::look(&cluster);
    for file in sample(files()) {
        let (name, says) = (file.name, file.says);
        victim.replace(&cluster, &file.bytes(&victim.good));
        let found = findings(&cluster, &format!("backup_verify({id}, 'read')"), "NOT ok");
        assert!(found.contains(says), "verify of {name}: {found}");
        cluster.sql("postgres", "UPDATE backup_runs SET file_state = 'available'");
        let check = format!("backup_restore_check({id})");
        let found = findings(&cluster, &check, "status = 'blocker'");
        assert!(found.contains(says), "check of {name}: {found}");
        let error = said(&cluster, &format!("CALL backup_restore({id})"));
        assert!(error.contains(says), "restore of {name}: {error}");
        let error = said(&cluster, &format!("SELECT * FROM backup_contents({id})"));
        let harmless = name == "a deflated dump";
        assert!(harmless || error.starts_with("XX001") && error.contains(says), "{name}: {error}");
        assert_eq!(Guard::look(&cluster), before, "{name}");
    }
    assert!(!Path::new("/tmp").join(HARM).exists());
    cluster.assert_nothing_left();
}

/// Dumps whose table of contents was patched, in an archive that is whole otherwise.
fn patched(good: &Zip, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let at = good.members.iter().position(|m| m.central.name == b"database.dump").unwrap();
    let mut dump = good.members[at].packed.clone();
    let toc = dump.len().min(3000);
    for _ in 0..random.usize(1..20) {
        let at = random.usize(11..toc);
        let value = [0, 0xff, 0x7f, random.u8(..)][random.usize(0..4)];
        let count = random.usize(1..9).min(toc - at);
        dump[at..at + count].fill(value);
    }
    let mut zip = good.clone();
    zip.members[at] = Member::stored("database.dump", &dump);
    zip.bytes()
}

#[test]
fn a_patched_table_of_contents_is_a_defect_or_an_error_and_nothing_else() {
    let cluster = cluster();
    let victim = Victim::new(&cluster, "compression => 'none'");
    let id = victim.run.id;
    let before = Guard::look(&cluster);
    let mut defects = 0;
    let seeds = sample(0..40);
    let tried = seeds.len();
    for seed in seeds {
        victim.replace(&cluster, &patched(&victim.good, seed));
        let found = findings(&cluster, &format!("backup_verify({id}, 'read')"), "NOT ok");
        defects += usize::from(!found.is_empty());
        cluster.sql("postgres", "UPDATE backup_runs SET file_state = 'available'");
        let listed = said(&cluster, &format!("SELECT * FROM backup_contents({id})"));
        let _ = said(&cluster, &format!("SELECT * FROM backup_restore_check({id})"));
        assert_eq!(Guard::look(&cluster), before, "seed {seed}: {found}; {listed}");
    }
    assert!(defects > tried / 2, "most patches break a dump, {defects} of {tried} did");
    cluster.assert_nothing_left();
}

/// Sends the bytes of a file in parts and ends the upload; gives the error, as [`said`] does.
fn uploaded(client: &mut Client, file: &Path, bytes: &[u8]) -> String {
    const PART: usize = 8 << 20;
    let begin = "SELECT backup_upload_begin('postgres.zip', $1, encode(sha256(pg_read_binary_file($2)), \
                 'hex'))";
    let path = file.display().to_string();
    let id: i64 = match client.query_one(begin, &[&(bytes.len() as i64), &path]) {
        Ok(row) => row.get(0),
        Err(error) => return format!("{:?}", error.as_db_error()),
    };
    for (number, part) in bytes.chunks(PART).enumerate() {
        let sql = "SELECT backup_upload_part($1, $2, $3)";
        client.query_one(sql, &[&id, &((number * PART) as i64), &part]).expect("a part");
    }
    let done = client.query_one("SELECT backup_upload_finish($1)", &[&id]);
    let error = done.err().map(|error| format!("{:?}", error.as_db_error())).unwrap_or_default();
    client.query_one("SELECT backup_upload_abort($1)", &[&id]).expect("it is still there");
    // As it was said, without the escapes of its debug format.
    error.replace("\\\"", "\"").replace("\\\\", "\\")
}

/// An import looks at what a file is first: some of them are no archive at all.
fn said_of_an_import(name: &str, says: &'static str) -> &'static str {
    match name {
        "bytes before" | "only an end of zip64" | "the start is gone" => "no backup that is known",
        "foreign" | "200,000 members" => "of neither pg_backup nor Tracearr",
        // Scripts, by their first bytes.
        "one byte" | "no zip" => "ends before its end",
        _ => says,
    }
}

#[test]
fn no_hostile_file_becomes_a_backup_by_an_import_or_an_upload() {
    let cluster = cluster();
    let place = cluster.make_dir("import").canonicalize().unwrap();
    cluster.set("pg_backup.import_directories", &place.display().to_string());
    let victim = Victim::new(&cluster, "compression => 'none'");
    // A file that tells no database is called as one whose folder is there.
    let file = place.join("postgres.zip");
    let mut client = cluster.connect("postgres");
    let before = Guard::look(&cluster);
    for hostile in sample(files()) {
        let (name, says) = (hostile.name, said_of_an_import(hostile.name, hostile.says));
        let bytes = hostile.bytes(&victim.good);
        fs::write(&file, &bytes).unwrap();
        give_to_server(&file);
        let error = said(&cluster, &format!("SELECT backup_import('{}')", file.display()));
        assert!(error.contains(says), "import of {name}: {error}");
        let error =
            if bytes.is_empty() { says.to_owned() } else { uploaded(&mut client, &file, &bytes) };
        assert!(error.contains(says), "upload of {name}: {error}");
        assert_eq!(Guard::look(&cluster), before, "{name}");
    }
    let kept = "SELECT count(*) FROM backup_runs WHERE kind = 'import' AND status <> 'failed'";
    assert_eq!(cluster.value("postgres", kept), "0");
    assert!(!Path::new("/tmp").join(HARM).exists());
    cluster.assert_nothing_left();
}
