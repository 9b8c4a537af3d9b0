//! The environment of the postmaster, and what of it reaches the tools: nothing.

use pg_backup_tests::{Cluster, assert_same_text, sample};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// A cluster with content that shows what settings do to a dump.
fn with_content(cluster: Cluster) -> Cluster {
    cluster.make_content();
    cluster
}

/// A dump by two connections of the same database.
fn jobs_dump(cluster: &Cluster) -> String {
    cluster.backup_as_boss(", jobs => 2").unwrap();
    cluster.value(
        "postgres",
        "SELECT t ->> 'name' || ' ' || (t ->> 'rows') FROM backup_manifest m, \
         jsonb_array_elements(manifest -> 'tables') t WHERE m.id = backup_latest('app') \
         AND t ->> 'name' = 't'",
    )
}

/// Variables that libpq, the tools, the C library, the shell and Rust's own library listen to.
fn hostile(bin: &str) -> Vec<(String, String)> {
    let pairs = [
        ("PATH", bin),
        ("PGHOST", "/nowhere"),
        ("PGHOSTADDR", "203.0.113.1"),
        ("PGUSER", "nobody"),
        ("PGDATABASE", "nothing"),
        ("PGPASSWORD", "secret"),
        ("PGPASSFILE", "/nowhere/pass"),
        ("PGSERVICE", "evil"),
        ("PGSERVICEFILE", "/nowhere/evil.conf"),
        ("PGSYSCONFDIR", "/nowhere"),
        ("PGOPTIONS", "-c statement_timeout=1 -c search_path=nowhere -c role=nobody"),
        ("PGAPPNAME", "evil"),
        ("PGSSLMODE", "verify-full"),
        ("PGREQUIRESSL", "1"),
        ("PGGSSENCMODE", "require"),
        ("PGCHANNELBINDING", "require"),
        ("PGREQUIREPEER", "nobody"),
        ("PGTARGETSESSIONATTRS", "standby"),
        ("PGCONNECT_TIMEOUT", "1"),
        ("PGCLIENTENCODING", "LATIN1"),
        ("PGDATESTYLE", "German"),
        ("PGTZ", "Asia/Kathmandu"),
        ("PG_COLOR", "always"),
        ("TZ", "Asia/Kathmandu"),
        ("LC_ALL", "xx_YY.nothing"),
        ("LANG", "tr_TR"),
        ("LANGUAGE", "de:fr"),
        ("HOME", "/nowhere"),
        ("TMPDIR", "/nowhere"),
        ("IFS", "/"),
        ("ENV", "/nowhere"),
        ("BASH_ENV", "/nowhere"),
        ("ZSTD_CLEVEL", "19"),
        ("RUST_BACKTRACE", "full"),
        ("RUST_MIN_STACK", "1"),
        ("TOKIO_WORKER_THREADS", "0"),
    ];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

fn cluster_with(variables: &[(String, String)]) -> Cluster {
    let pairs: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Cluster::builder().env(&pairs).start()
}

#[test]
fn the_environment_of_the_postmaster_changes_nothing() {
    let bin = tempfile::tempdir().unwrap();
    fs::set_permissions(bin.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for tool in sample(["pg_dump", "pg_dumpall", "pg_restore", "sh", "zstd"]) {
        fs::write(bin.path().join(tool), "#!/bin/sh\nexit 0\n").unwrap();
        fs::set_permissions(bin.path().join(tool), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:/usr/bin:/bin", bin.path().display());
    let normal = with_content(Cluster::start());
    let hostile = with_content(cluster_with(&hostile(&path)));
    for option in ["", ", format => 'plain'"] {
        assert_same_text(
            &hostile.script_of_backup(option),
            &normal.script_of_backup(option),
            option,
        );
    }
    assert_eq!(jobs_dump(&hostile), "t 300");
    assert_eq!(hostile.last_backup().warnings, "{}");
    let verified = "SELECT bool_and(ok) FROM backup_verify(1, 'read')";
    assert_eq!(hostile.value("postgres", verified), "t");
    let blockers = "SELECT string_agg(check_name || ': ' || detail, E'\\n') FROM backup_check() \
                    WHERE status = 'blocker'";
    assert_eq!(hostile.value("postgres", blockers), "");
    hostile.assert_clean();
}

#[test]
fn a_tool_inherits_only_what_it_needs() {
    let mut variables = hostile("/usr/bin:/bin");
    // With it every session fails at a reload: PostgreSQL sets it anew, in the middle of one.
    variables.retain(|(name, _)| name != "PGCLIENTENCODING");
    let cluster = cluster_with(&variables);
    let seen = cluster.make_dir("seen");
    let look = |tool: &str| {
        format!(
            "#!/bin/sh\n{{ env -0 | tr '\\n\\0' ' \\n'; echo FDS $(readlink /proc/$$/fd/*); pwd; \
             umask; while read -r line; do case $line in SigBlk*|SigIgn*) echo \"$line\" ;; esac; done \
             < /proc/$$/status; }} > {}/{tool}.$$\n\
             exec \"$REAL\" \"$@\"",
            seen.display()
        )
    };
    let scripts = ["pg_dump", "pg_dumpall", "pg_restore"].map(|tool| (tool, look(tool)));
    let tools: Vec<(&str, &str)> =
        scripts.iter().map(|(tool, script)| (*tool, script.as_str())).collect();
    let dir = cluster.fake_tools(&tools);
    cluster.set("pg_backup.bin_directory", &dir.display().to_string());
    cluster.assert_next_backup_works();
    let mut count = 0;
    for entry in fs::read_dir(&seen).unwrap().flatten() {
        let text = fs::read_to_string(entry.path()).unwrap();
        let names: BTreeSet<&str> = text
            .lines()
            .filter_map(|line| Some(line.split_once('=')?.0))
            .filter(|name| !["_", "SHLVL", "PWD", "OLDPWD"].contains(name))
            .collect();
        let known =
            "LC_ALL PATH PGAPPNAME PGCONNECT_TIMEOUT PGDATABASE PGHOST PGOPTIONS PGPORT PGUSER";
        assert!(names.iter().all(|name| known.split(' ').any(|k| k == *name)), "{text}");
        assert!(!text.contains("nowhere") && !text.contains("secret"), "{text}");
        assert!(text.contains("\n/\n0077\n"), "{text}");
        for leak in ["/data/", "socket:", "anon_inode"] {
            assert!(!text.contains(leak), "{leak}: {text}");
        }
        let signals: Vec<u64> = text
            .lines()
            .filter(|line| line.starts_with("Sig"))
            .map(|line| u64::from_str_radix(line.split_once('\t').unwrap().1, 16).unwrap())
            .collect();
        // The classic signals: the others are the C library's.
        assert!(signals.len() == 2 && signals.iter().all(|set| set & 0x7fff_ffff == 0), "{text}");
        count += 1;
    }
    assert!(count >= 3, "only {count} tools ran");
}

#[test]
fn a_database_with_a_hostile_name_can_be_the_one_for_globals() {
    let cluster = Cluster::start();
    let name = "dbname=postgres host=/nowhere";
    cluster.sql("postgres", &format!("CREATE DATABASE \"{name}\""));
    cluster.set("pg_backup.connect_database", name);
    cluster.assert_next_backup_works();
    cluster.assert_clean();
}
