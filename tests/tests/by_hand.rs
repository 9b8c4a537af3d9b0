//! Restore by hand, with unzip, zstd, psql and pg_restore alone, on a server that never saw the
//! extension: what comes back is what was there.

use pg_backup_tests::{Cluster, run_tool, sample};
use std::path::{Path, PathBuf};

/// Unpacks an archive with stock tools; gives the folder.
fn unpacked(archive: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    run_tool(Path::new("unzip"), &["-q", "-d", &path, &archive.display().to_string()]);
    let script = format!("find '{path}' -name '*.zst' -exec zstd -q -d --rm {{}} +");
    run_tool(Path::new("sh"), &["-c", &script]);
    let script = format!("find '{path}' -maxdepth 1 -name '*.gz' -exec gunzip {{}} +");
    run_tool(Path::new("sh"), &["-c", &script]);
    folder
}

fn restore(to: &Cluster, folder: &Path, database: &str) {
    to.sql("postgres", &format!("CREATE DATABASE {database} TEMPLATE template0"));
    let member =
        |name: &str| -> Option<PathBuf> { Some(folder.join(name)).filter(|path| path.exists()) };
    let text = |path: PathBuf| path.display().to_string();
    if let Some(script) = member("database.sql") {
        let args = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", &text(script), "-d", database];
        to.tool("psql", &args);
    } else if let Some(dump) = member("database.dump") {
        to.tool("pg_restore", &["-e", "-j", "2", "-d", database, &text(dump)]);
    } else {
        let dump = text(member("database").expect("there is a payload"));
        to.tool("pg_restore", &["-e", "-j", "2", "-d", database, &dump]);
    }
}

#[test]
fn every_format_and_compression_restores_by_hand_to_the_same_database() {
    let cluster = Cluster::start();
    cluster.make_everything("app");
    let (wanted_schema, wanted) = (cluster.schema_of("app"), cluster.fingerprint("app"));
    assert!(wanted.lines().count() > 8, "{wanted}");
    let fresh = Cluster::builder().fresh().start();
    let mut roles = false;
    for (number, options) in sample(
        [
            "compression => 'zstd:3'",
            "compression => 'gzip:1'",
            "compression => 'none'",
            "jobs => 2",
            "jobs => 2, compression => 'gzip:1'",
            "jobs => 2, compression => 'none'",
            "format => 'plain'",
            "format => 'plain', compression => 'gzip:9'",
            "format => 'plain', compression => 'none'",
            "format => 'directory'",
        ]
        .into_iter()
        .enumerate(),
    ) {
        let call = format!("SELECT backup_create(database => 'app', {options})");
        let id = cluster.value("postgres", &call);
        let bad = format!("SELECT count(*) FROM backup_verify({id}, 'read') WHERE NOT ok");
        assert_eq!(cluster.value("postgres", &bad), "0", "{options}");
        let folder = unpacked(&cluster.archive(&cluster.last_backup()));
        if !roles {
            let globals = folder.path().join("globals.sql").display().to_string();
            // The bootstrap superuser is there already: that one line fails, as it should.
            fresh.tool("psql", &["-X", "-q", "-d", "postgres", "-f", &globals]);
            roles = true;
        }
        let database = format!("restored_{number}");
        restore(&fresh, folder.path(), &database);
        assert_eq!(fresh.schema_of(&database), wanted_schema, "{options}");
        assert_eq!(fresh.fingerprint(&database), wanted, "{options}");
        let total = format!(
            "SELECT sum((t ->> 'rows')::int) FROM backup_manifest, \
             jsonb_array_elements(manifest -> 'tables') t WHERE id = {id}"
        );
        assert_eq!(cluster.value("postgres", &total), "803", "{options}");
    }
}

#[test]
fn globals_can_leave_passwords_out_or_be_left_out() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE ROLE r LOGIN PASSWORD 'secret'");
    for (setting, has_file, has_hash) in
        [("on", true, true), ("without_passwords", true, false), ("off", false, false)]
    {
        let sql = format!("SET pg_backup.globals = {setting}; SELECT backup_create()");
        cluster.sql("postgres", &sql);
        let folder = unpacked(&cluster.archive(&cluster.last_backup()));
        let globals = folder.path().join("globals.sql");
        assert_eq!(globals.exists(), has_file, "{setting}");
        if has_file {
            let text = std::fs::read_to_string(globals).unwrap();
            assert!(text.contains("CREATE ROLE r"), "{text}");
            assert_eq!(text.contains("SCRAM-SHA-256"), has_hash, "{setting}");
        }
    }
    let manifest =
        cluster.value("postgres", "SELECT string_agg(manifest::text, '') FROM backup_manifest");
    assert!(!manifest.contains("SCRAM"), "no secret in a manifest");
}
