//! `backup_import()`: files of every kind become backups that restore to what they were made from.

use pg_backup_tests::{Cluster, assert_same_text, names_below, sample};
use std::fs;
use std::path::{Path, PathBuf};

/// A cluster with a directory to import from.
fn cluster() -> (Cluster, PathBuf) {
    let cluster = Cluster::start();
    let place = cluster.make_dir("import").canonicalize().unwrap();
    cluster.set("pg_backup.import_directories", &place.display().to_string());
    (cluster, place)
}

fn import(cluster: &Cluster, path: &Path) -> String {
    cluster.value("postgres", &format!("SELECT backup_import('{}')", path.display()))
}

/// A dump of `app` made by pg_dump itself.
fn dump(cluster: &Cluster, place: &Path, name: &str, options: &[&str]) -> PathBuf {
    let file = place.join(name);
    let target = format!("--file={}", file.display());
    let mut args = vec!["--dbname=app", &target];
    args.extend_from_slice(options);
    cluster.tool("pg_dump", &args);
    pg_backup_tests::run_tool(
        Path::new("/bin/chmod"),
        &["-R", "a+rX", &file.display().to_string()],
    );
    file
}

fn restored(cluster: &Cluster, id: &str, target: &str) {
    let call = format!("CALL backup_restore({id}, target => '{target}', allow_foreign => true)");
    cluster.sql("postgres", &call);
}

fn row(cluster: &Cluster, id: &str) -> String {
    let sql = format!(
        "SELECT concat_ws(' ', kind, database, status, origin, file_state, verify_level, \
                sha256 ~ '^[0-9a-f]{{64}}$', size_bytes > 0) FROM backup_history WHERE id = {id}"
    );
    cluster.value("postgres", &sql)
}

#[test]
fn every_format_of_pg_dump_comes_back_as_it_was() {
    let (cluster, place) = cluster();
    cluster.make_everything("app");
    let (schema, content) = (cluster.schema_of("app"), cluster.fingerprint("app"));
    let packed = |name: &str, options: &[&str], packer: &str| {
        let file = dump(&cluster, &place, name, options).display().to_string();
        pg_backup_tests::run_tool(Path::new(packer), &["-k", &file]);
        let ending = if packer.ends_with("zstd") { "zst" } else { "gz" };
        pg_backup_tests::run_tool(Path::new("/bin/rm"), &[&file]);
        PathBuf::from(format!("{file}.{ending}"))
    };
    let files = [
        packed("zipped.sql", &["--create"], "/usr/bin/zstd"),
        packed("zipped.dump", &["--format=custom"], "/bin/gzip"),
        dump(&cluster, &place, "a.bin", &["--format=custom"]),
        dump(&cluster, &place, "custom0", &["--format=custom", "--compress=0"]),
        dump(&cluster, &place, "a.tar", &["--format=tar"]),
        dump(&cluster, &place, "directory", &["--format=directory", "--jobs=2"]),
        dump(&cluster, &place, "plain.sql", &[]),
        dump(&cluster, &place, "plain.sql.gz", &["--compress=6"]),
        dump(&cluster, &place, "created.sql", &["--create"]),
    ];
    let ids = files.each_ref().map(|file| import(&cluster, file));
    for (number, (file, id)) in sample(files.iter().zip(&ids).enumerate()) {
        let what = file.display().to_string();
        let row = row(&cluster, id);
        assert_eq!(row.split_once(' ').map(|(kind, _)| kind), Some("import"), "{what}");
        let target = format!("copy_{number}");
        restored(&cluster, id, &target);
        assert_same_text(&cluster.schema_of(&target), &schema, &what);
        assert_eq!(cluster.fingerprint(&target), content, "{what}");
        let verify = format!("SELECT bool_and(ok) FROM backup_verify({id}, 'read')");
        assert_eq!(cluster.value("postgres", &verify), "t", "{what}");
        cluster.sql("postgres", &format!("DROP DATABASE {target}"));
    }
    let named = "SELECT count(*) FROM backup_history WHERE kind = 'import' AND database = 'app'";
    assert_eq!(cluster.value("postgres", named), "7", "two scripts do not name their database");
    let facts = "SELECT count(*) FROM backup_manifest m WHERE m.manifest -> 'server' ->> 'version' \
                 = current_setting('server_version') AND m.manifest -> 'database' ->> 'encoding' = 'UTF8' AND \
                 jsonb_array_length(m.manifest -> 'tables') > 3";
    assert_eq!(cluster.value("postgres", facts), "9");
    cluster.assert_nothing_left();
}

#[test]
fn our_own_archive_keeps_its_bytes_and_is_foreign_without_a_signature() {
    let (cluster, place) = cluster();
    cluster.make_everything("app");
    let content = cluster.fingerprint("app");
    for format in sample(["custom", "directory", "plain"]) {
        let made = cluster.back_up_app(&format!(", format => '{format}', comment => 'mine'"));
        let archive = cluster.archive(&cluster.last_backup());
        let copy = place.join("renamed by somebody");
        fs::copy(&archive, &copy).unwrap();
        pg_backup_tests::run_tool(Path::new("/bin/chmod"), &["644", &copy.display().to_string()]);
        let id = import(&cluster, &copy);
        assert_eq!(row(&cluster, &id), "import app succeeded import available read t t");
        let same = format!(
            "SELECT count(DISTINCT sha256) || min(comment) FROM backup_history \
             WHERE id IN ({made}, {id})"
        );
        assert_eq!(cluster.value("postgres", &same), "1mine");
        let error = cluster.error("postgres", &format!("CALL backup_restore({id})"));
        assert!(error.detail.contains("nothing proves"), "{error}");
        assert!(error.hint.contains("allow_foreign => true"), "{error}");
        let error = cluster.error("postgres", &format!("SELECT backup_verify({id}, 'restore')"));
        assert!(error.message.contains("is foreign"), "{error}");
        restored(&cluster, &id, "copy");
        assert_eq!(cluster.fingerprint("copy"), content);
        cluster.sql("postgres", "DROP DATABASE copy");
        let own = format!("SELECT bool_and(ok) FROM backup_verify({made}, 'restore')");
        assert_eq!(cluster.value("postgres", &own), "t");
    }
}

#[test]
fn a_backup_of_tracearr_is_taken_with_what_its_metadata_say() {
    let (cluster, place) = cluster();
    cluster.sql("postgres", "CREATE DATABASE app");
    cluster.sql(
        "app",
        "CREATE SCHEMA drizzle; CREATE TABLE drizzle.__drizzle_migrations (id serial PRIMARY KEY, \
         hash text NOT NULL, created_at bigint); INSERT INTO drizzle.__drizzle_migrations (hash, \
         created_at) VALUES ('aaa', 1), ('bbb', 2); CREATE TABLE users AS SELECT 1 AS id",
    );
    dump(&cluster, &place, "database.dump", &["--format=custom"]);
    let metadata = r#"{"format": 1, "createdAt": "2026-01-02T03:04:05.000Z",
        "app": {"version": "1.4.0"}, "database": {"pgVersion": "15.20", "databaseSize": 12345}}"#;
    fs::write(place.join("metadata.json"), metadata).unwrap();
    let make = "import zipfile, sys; z = zipfile.ZipFile(sys.argv[1] + '/t.zip', 'w', \
                zipfile.ZIP_DEFLATED); [z.write(sys.argv[1] + '/' + n, n) for n in \
                ('metadata.json', 'database.dump')]; z.close()";
    let folder = place.display().to_string();
    pg_backup_tests::run_tool(Path::new("/usr/bin/python3"), &["-c", make, &folder]);
    let id = import(&cluster, &place.join("t.zip"));
    assert_eq!(row(&cluster, &id), "import app succeeded import available read t t");
    let facts = format!(
        "SELECT concat_ws(' ', m.manifest -> 'application' ->> 'version', \
                m.manifest -> 'created_at' ->> 'start', m.manifest -> 'migrations' -> 0 ->> \
                'framework', m.manifest -> 'migrations' -> 0 ->> 'ids', \
                m.manifest -> 'database' ->> 'size_bytes') FROM backup_manifest m WHERE id = {id}"
    );
    assert_eq!(
        cluster.value("postgres", &facts),
        "1.4.0 2026-01-02T03:04:05Z drizzle [\"aaa\", \"bbb\"] 12345"
    );
    restored(&cluster, &id, "copy");
    assert_eq!(cluster.value("copy", "SELECT count(*) FROM users"), "1");
}

#[test]
fn what_is_no_backup_leaves_a_row_and_no_file() {
    let (cluster, place) = cluster();
    cluster.sql("postgres", "CREATE DATABASE app");
    cluster.sql("app", "CREATE TABLE t AS SELECT i FROM generate_series(1, 20000) i");
    let whole = fs::read(dump(&cluster, &place, "whole", &["--format=custom"])).unwrap();
    let tar = fs::read(dump(&cluster, &place, "tar", &["--format=tar"])).unwrap();
    let sql = fs::read(dump(&cluster, &place, "sql", &[])).unwrap();
    let gz = fs::read(dump(&cluster, &place, "gz", &["--compress=9"])).unwrap();
    cluster.back_up_app("");
    let zip = fs::read(cluster.archive(&cluster.last_backup())).unwrap();
    let files = || -> Vec<String> {
        names_below(&cluster.backup_dir()).into_iter().filter(|n| n.contains(".zip")).collect()
    };
    let before = files();
    let mut newer = whole.clone();
    newer[6] = 99;
    let mut flipped = zip.clone();
    let middle = flipped.len() / 3;
    flipped[middle] ^= 1;
    let copy_cut = "CREATE TABLE t (a int);\nCOPY t FROM stdin;\n1\n2\n";
    for (name, bytes, what) in [
        ("empty", &b""[..], "the file is empty"),
        ("elf", &b"\x7fELF\0\0"[..], "no backup that is known"),
        ("cut.dump", &whole[..whole.len() - 20], "read"),
        ("cut.tar", &tar[..tar.len() / 2], "before its end"),
        ("cut.sql", &sql[..sql.len() - 100], "before its end"),
        ("cut.gz", &gz[..gz.len() - 20], ""),
        ("cut.zip", &zip[..zip.len() - 20], ""),
        ("flipped.zip", &flipped, ""),
        ("newer.dump", &newer, "newer pg_dump"),
        ("copy.sql", copy_cut.as_bytes(), "before its end"),
        ("one byte.sql", b"x", "before its end"),
        ("cluster.sql", b"--\n-- PostgreSQL database cluster dump\n--\n", "several databases"),
    ] {
        let file = place.join(name);
        fs::write(&file, bytes).unwrap();
        let error =
            cluster.error("postgres", &format!("SELECT backup_import('{}')", file.display()));
        let said = format!("{} {}", error.message, error.detail);
        let cut = name.ends_with(".sql") && what == "before its end";
        assert!(!cut || error.hint.starts_with("It was cut when it was made"), "{name}: {error}");
        assert!(error.message.contains(name) && said.contains(what), "{name}: {error}");
        let last = "SELECT kind || ' ' || status || coalesce(file, '') FROM backup_history LIMIT 1";
        assert_eq!(cluster.value("postgres", last), "import failed", "{name}");
        assert_eq!(files(), before, "{name}");
    }
    let folders = fs::read_dir(cluster.archive(&cluster.last_backup()).ancestors().nth(2).unwrap());
    let folders = folders.unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert_eq!(folders, ["app"], "a failed import has left its folder");
    cluster.assert_nothing_left();
}

#[test]
fn only_what_lies_below_an_importable_directory_is_read() {
    let (cluster, place) = cluster();
    let outside = cluster.make_dir("outside");
    fs::write(outside.join("x.sql"), "SELECT 1;\n").unwrap();
    fs::write(place.join("it's \"x\"\n.sql"), "SELECT 1;\n").unwrap();
    std::os::unix::fs::symlink(outside.join("x.sql"), place.join("link.sql")).unwrap();
    std::os::unix::fs::symlink(&outside, place.join("out")).unwrap();
    pg_backup_tests::run_tool(
        Path::new("/usr/bin/mkfifo"),
        &["-m", "666", &place.join("fifo").display().to_string()],
    );
    let shown = place.display().to_string();
    for (path, state, what) in [
        (format!("{}/x.sql", outside.display()), "42501", "not below"),
        (format!("{shown}/link.sql"), "42501", "not below"),
        (format!("{shown}/out/x.sql"), "42501", "not below"),
        (format!("{shown}/../outside/x.sql"), "22023", "without \"..\""),
        ("x.sql".to_owned(), "22023", "not an absolute path"),
        (shown.clone(), "42501", "not below"),
        ("/etc/shadow".to_owned(), "42501", "not below"),
        (format!("{shown}/none"), "58P01", "No such file"),
        (format!("{shown}/fifo"), "22023", "is a FIFO"),
    ] {
        let error = cluster.error("postgres", &format!("SELECT backup_import('{path}')"));
        assert!(error.message.contains(what), "{path}: {error}");
        assert_eq!(error.sqlstate, state, "{path}: {error}");
    }
    let odd = "SELECT backup_import($1)";
    let mut client = cluster.connect("postgres");
    let path = format!("{shown}/it's \"x\"\n.sql");
    let id: i64 = client.query_one(odd, &[&path]).unwrap().get(0);
    assert!(row(&cluster, &id.to_string()).contains("succeeded"));
    cluster.set("pg_backup.import_directories", "");
    let error = cluster.error("postgres", &format!("SELECT backup_import('{shown}/a.sql')"));
    assert!(error.hint.contains("ALTER SYSTEM SET pg_backup.import_directories"), "{error}");
}

#[test]
fn two_imports_of_one_file_are_two_backups() {
    let (cluster, place) = cluster();
    cluster.sql("postgres", "CREATE DATABASE app");
    let file = dump(&cluster, &place, "a.dump", &["--format=custom"]);
    let sql = format!("SELECT backup_import('{}')", file.display());
    let calls: Vec<_> = (0..2).map(|_| cluster.call("postgres", &sql)).collect();
    calls.into_iter().for_each(|call| call.end().unwrap());
    let two = "SELECT count(DISTINCT file) FROM backup_history WHERE status = 'succeeded'";
    assert_eq!(cluster.value("postgres", two), "2");
}

#[test]
fn an_archive_with_our_signature_is_ours_until_a_byte_of_it_changes() {
    let (cluster, place) = cluster();
    let key = cluster.make_dir("keys").join("key");
    fs::write(&key, "0123456789abcdef0123456789abcdef\n").unwrap();
    pg_backup_tests::give_to_server(&key);
    pg_backup_tests::run_tool(Path::new("/bin/chmod"), &["600", &key.display().to_string()]);
    cluster.set("pg_backup.signing_key_file", &key.display().to_string());
    cluster.sql("postgres", "CREATE DATABASE app");
    cluster.back_up_app("");
    let copy = place.join("a.zip");
    fs::copy(cluster.archive(&cluster.last_backup()), &copy).unwrap();
    pg_backup_tests::run_tool(Path::new("/bin/chmod"), &["644", &copy.display().to_string()]);
    let id = import(&cluster, &copy);
    let foreign = |id: &str| {
        cluster.value("postgres", &format!("SELECT is_foreign FROM backup_runs WHERE id = {id}"))
    };
    assert_eq!(foreign(&id), "f");
    cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    fs::write(&key, "fedcba9876543210fedcba9876543210\n").unwrap();
    assert_eq!(foreign(&import(&cluster, &copy)), "t", "another key proves nothing");
}
