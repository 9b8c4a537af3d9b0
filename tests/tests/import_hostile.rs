//! Dumps and scripts that mean harm, brought in by `backup_import()`: nothing outside of them is
//! read, nothing in them is run, and what they say of themselves makes them no archive of ours.

use pg_backup_hostile::Member;
use pg_backup_tests::{Cluster, Guard, Victim, give_to_server, names_below, run_tool, sample};
use std::fs;
use std::path::{Path, PathBuf};

/// A cluster with a directory to import from, and a database `app`.
fn cluster() -> (Cluster, PathBuf) {
    let cluster = Cluster::start();
    let place = cluster.make_dir("import").canonicalize().unwrap();
    cluster.set("pg_backup.import_directories", &place.display().to_string());
    cluster.sql("postgres", "CREATE DATABASE app");
    (cluster, place)
}

/// A dump of `app` in directory format, for the server's user to read.
fn directory(cluster: &Cluster, place: &Path, name: &str) -> PathBuf {
    let path = place.join(name);
    let file = format!("--file={}", path.display());
    cluster.tool("pg_dump", &["--dbname=app", "--format=directory", "--compress=0", &file]);
    run_tool(Path::new("/bin/chmod"), &["-R", "a+rX", &path.display().to_string()]);
    path
}

/// A text as `toc.dat` holds it: its length, then its bytes.
fn text(text: &[u8]) -> Vec<u8> {
    [&[0][..], &(text.len() as u32).to_le_bytes(), text].concat()
}

/// The first data file of a dump is another one from now on.
fn point_elsewhere(dump: &Path, to: &str) {
    let files = fs::read_dir(dump).unwrap().map(|entry| entry.unwrap().file_name());
    let name = files
        .map(|name| name.into_string().unwrap())
        .find(|n| n.ends_with(".dat") && n != "toc.dat");
    let (old, new) = (text(name.unwrap().as_bytes()), text(to.as_bytes()));
    let toc = fs::read(dump.join("toc.dat")).unwrap();
    let at = toc.windows(old.len()).position(|window| window == old).expect("it names its file");
    fs::write(dump.join("toc.dat"), [&toc[..at], &new, &toc[at + old.len()..]].concat()).unwrap();
}

#[test]
fn a_dump_in_directory_format_reads_no_file_but_its_own() {
    let (cluster, place) = cluster();
    cluster.sql(
        "app",
        "CREATE TABLE django_migrations (id int, app text, name text, applied text); \
         INSERT INTO django_migrations VALUES (1, 'app', '0001', 'now')",
    );
    let secret = cluster.make_dir("outside").join("secret");
    fs::write(&secret, "1\tapp\tsecret\tnow\n\\.\n").unwrap();
    give_to_server(&secret);
    let up = "../".repeat(20);
    for (number, to) in
        [format!("{up}{}", secret.display()), format!("{up}dev/zero")].iter().enumerate()
    {
        let dump = directory(&cluster, &place, &format!("dump{number}"));
        point_elsewhere(&dump, to);
        let error =
            cluster.error("postgres", &format!("SELECT backup_import('{}')", dump.display()));
        assert!(error.message.contains("none of its own"), "{error}");
    }
    let told = "SELECT count(*) FROM backup_manifest WHERE manifest::text LIKE '%secret%'";
    assert_eq!(cluster.value("postgres", told), "0");
    cluster.assert_nothing_left();
}

#[test]
fn large_objects_are_read_from_the_dump_and_from_nowhere_else() {
    let (cluster, place) = cluster();
    cluster.sql("app", "SELECT lo_from_bytea(0, 'abc')");
    let dump = directory(&cluster, &place, "dump");
    let call = format!("SELECT backup_import('{}')", dump.display());
    let id = cluster.value("postgres", &call);
    let restore = format!("CALL backup_restore({id}, target => 'copy', allow_foreign => true)");
    cluster.sql("postgres", &restore);
    assert_eq!(cluster.value("copy", "SELECT count(*) FROM pg_largeobject"), "1");
    fs::write(dump.join("blobs.toc"), "16403 ../../../../../../../../../dev/zero\n").unwrap();
    let error = cluster.error("postgres", &call);
    assert!(error.message.contains("none of its own"), "{error}");
    cluster.assert_nothing_left();
}

#[test]
fn what_a_script_tells_is_bounded_and_odd_names_are_no_harm() {
    let (cluster, place) = cluster();
    Guard::limit_memory(&cluster);
    let start = "SELECT pg_postmaster_start_time() || (SELECT string_agg(pid::text, ' ' ORDER BY pid) \
                 FROM pg_stat_activity WHERE backend_type IN ('checkpointer', 'walwriter'))";
    let before = cluster.value("postgres", start);
    let file = place.join("a.sql");
    let rows: String = (0..45_000).map(|id| format!("{id}\ta\t{id}\tx\n")).collect();
    let table = |number: usize| {
        format!(
            "COPY s{number}.django_migrations (id, app, name, applied) FROM stdin;\n{rows}\\.\n"
        )
    };
    let many: String = (0..100).map(table).collect();
    fs::write(&file, many).unwrap();
    cluster.value("postgres", &format!("SELECT backup_import('{}')", file.display()));
    let odd = ["a\u{0}b", "a\\b", "../../x", "", "é\u{202e}x", "x'; DROP TABLE t; --"];
    for name in sample(odd) {
        fs::write(&file, format!("{}\nCREATE DATABASE \"{name}\";\n", "-- x\n".repeat(200)))
            .unwrap();
        let call = format!("SELECT backup_import('{}')", file.display());
        let state = match cluster.call("postgres", &call).end() {
            Ok(()) => String::new(),
            Err(error) => format!("{error}"),
        };
        assert_eq!(state.is_empty(), name != "a\u{0}b", "{name:?}: {state}");
    }
    assert_eq!(cluster.value("postgres", start), before, "no process has died");
    cluster.assert_nothing_left();
}

#[test]
fn a_manifest_with_what_no_row_can_hold_is_refused_by_imports_and_scans() {
    let (cluster, place) = cluster();
    let victim = Victim::new(&cluster, "comment => 'mine'");
    cluster.back_up_app("");
    let told = "SELECT manifest::text FROM backup_manifest WHERE manifest ->> 'comment' = 'mine'";
    let manifest = cluster.value("postgres", told).replace("\"mine\"", "\"a\\u0000b\"");
    let member = |_| Member::deflated("manifest.json", manifest.as_bytes());
    let bytes = victim.good.clone().changed("manifest.json", member).bytes();
    let file = place.join("nul.zip");
    fs::write(&file, &bytes).unwrap();
    give_to_server(&file);
    let before = names_below(&cluster.backup_dir());
    cluster.error("postgres", &format!("SELECT backup_import('{}')", file.display()));
    let last = "SELECT kind || ' ' || status || coalesce(file, '') FROM backup_history LIMIT 1";
    assert_eq!(cluster.value("postgres", last), "import failed");
    assert_eq!(names_below(&cluster.backup_dir()), before);
    victim.replace(&cluster, &bytes);
    cluster.sql("postgres", "DROP EXTENSION pg_backup; CREATE EXTENSION pg_backup");
    let found = "SELECT string_agg(action, ' ' ORDER BY action) FROM backup_scan()";
    assert_eq!(cluster.value("postgres", found), "adopted damaged");
    cluster.assert_nothing_left();
}
