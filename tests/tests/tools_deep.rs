//! Tools that hang where nobody expects it, that are cut in every codec, and that say things no
//! table can hold.

use nix::sys::signal::Signal;
use pg_backup_tests::{Cluster, DEAF, LIMIT, STOPPED, sample, signal, wait_until};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

const CREATE: &str = "SELECT backup_create()";
/// Much longer than the stall timeout, even on a busy machine.
const STALL_LIMIT: Duration = Duration::from_secs(20);
/// Long enough for a busy machine to do something in, short for a test.
const STALL: &str = "SET pg_backup.stall_timeout = '1s'; SELECT backup_create()";

fn assert_stalls(cluster: &Cluster, what: &str) {
    let call = cluster.call("postgres", STALL);
    wait_until(&format!("the end of a stuck {what}"), STALL_LIMIT, || call.has_ended());
    let error = call.error();
    assert_eq!(error.sqlstate, "57014", "{what}: {error}");
    assert!(error.message.contains(what) && !error.hint.is_empty(), "{what}: {error}");
    assert_eq!(cluster.assert_survived("failed").error, error.message, "{what}");
}

#[test]
fn a_pg_dump_that_closes_its_output_and_stays_is_ended_by_the_stall_timeout() {
    let cluster = Cluster::start();
    cluster.use_tool("pg_dump", "#!/bin/sh\n\"$REAL\" \"$@\"\nexec >&- 2>&-\nexec sleep 1000");
    assert_stalls(&cluster, "pg_dump");
}

#[test]
fn a_pg_dump_that_gives_its_output_and_stays_is_ended_by_the_stall_timeout() {
    let cluster = Cluster::start();
    for options in sample(["", "format => 'plain'", "format => 'directory'"]) {
        cluster.use_tool("pg_dump", pg_backup_tests::LINGERING);
        let sql = format!("SET pg_backup.stall_timeout = '1s'; SELECT backup_create({options})");
        assert_eq!(cluster.error("postgres", &sql).sqlstate, "57014", "{options}");
        cluster.assert_survived("failed");
    }
}

#[test]
fn a_pg_dumpall_that_hangs_is_ended_by_the_stall_timeout() {
    let cluster = Cluster::start();
    for script in sample([STOPPED, DEAF]) {
        cluster.use_tool("pg_dumpall", script);
        assert_stalls(&cluster, "pg_dumpall");
    }
}

#[test]
fn a_pg_restore_that_hangs_is_ended_by_the_stall_timeout() {
    let cluster = Cluster::start();
    for script in sample([STOPPED, "#!/bin/sh\ncat >/dev/null\nkill -STOP $$"]) {
        cluster.use_tool("pg_restore", script);
        assert_stalls(&cluster, "pg_restore");
    }
}

#[test]
fn a_verification_that_hangs_can_be_cancelled() {
    let cluster = Cluster::start();
    cluster.sql("postgres", CREATE);
    cluster.use_tool("pg_restore", STOPPED);
    for sql in [CREATE, "SELECT backup_verify(1, 'read')"] {
        let call = cluster.call("postgres", sql);
        let stopped = || {
            let found = pg_backup_tests::processes_with(cluster.name());
            found.into_iter().any(|pid| pg_backup_tests::command_line(pid).contains("pg_restore"))
        };
        wait_until("the stopped pg_restore", LIMIT, stopped);
        call.cancel();
        assert_eq!(call.error().sqlstate, "57014", "{sql}");
        cluster.assert_clean();
    }
    cluster.use_real_tools();
    cluster.assert_next_backup_works();
}

#[test]
fn a_pg_restore_that_is_killed_fails_the_backup() {
    let cluster = Cluster::start();
    cluster.use_tool("pg_restore", "#!/bin/sh\nhead -c 10 >/dev/null\nkill -9 $$");
    let error = cluster.error("postgres", CREATE);
    assert!(error.message.contains("pg_restore was ended by signal 9"), "{error}");
    cluster.assert_survived("failed");
}

#[test]
fn a_pg_restore_that_cannot_judge_an_archive_does_not_condemn_it() {
    let cluster = Cluster::start();
    let id = cluster.value("postgres", CREATE);
    for script in [
        "#!/bin/sh\nhead -c 10 >/dev/null\nkill -9 $$",
        "#!/bin/sh\nexit 127",
        "#!/bin/sh\ncat >/dev/null\necho 'unsupported version (1.99) in file header' >&2\nexit 1",
    ] {
        cluster.use_tool("pg_restore", script);
        let verify = format!("SELECT backup_verify({id}, 'read')");
        let error = cluster.error("postgres", &verify);
        assert_ne!(error.sqlstate, "XX001", "{script}: {error}");
        let state = format!("SELECT file_state FROM backup_history WHERE id = {id}");
        assert_eq!(cluster.value("postgres", &state), "available", "{script}");
    }
}

#[test]
fn a_verification_that_is_cut_short_does_not_count() {
    let cluster = Cluster::start();
    for script in sample([
        "#!/bin/sh\ncat >/dev/null\nexit 0",
        "#!/bin/sh\n[ \"$1\" = --list ] && exec \"$REAL\" \"$@\"\n\"$REAL\" \"$@\" | head -c 600",
        "#!/bin/sh\n[ \"$1\" = --list ] && exec \"$REAL\" \"$@\"\nhead -c 100 >/dev/null\nexit 0",
    ]) {
        cluster.use_tool("pg_restore", script);
        let error = cluster.error("postgres", CREATE);
        assert_eq!(error.sqlstate, "XX001", "{script}: {error}");
        cluster.assert_survived("failed");
    }
}

#[test]
fn a_tool_without_the_right_to_be_executed_is_named() {
    let cluster = Cluster::start();
    for tool in sample(["pg_dump", "pg_dumpall", "pg_restore"]) {
        let dir = cluster.fake_tool(tool, "#!/bin/sh\nexit 0");
        fs::set_permissions(dir.join(tool), fs::Permissions::from_mode(0o600)).unwrap();
        cluster.set("pg_backup.bin_directory", &dir.display().to_string());
        let error = cluster.error("postgres", CREATE);
        assert!(error.message.contains(tool) && error.message.contains("denied"), "{error}");
        assert!(error.hint.contains("pg_backup.bin_directory"), "{error}");
        cluster.assert_survived("failed");
    }
}

#[test]
fn a_directory_without_any_tool_is_named() {
    let cluster = Cluster::start();
    cluster.set("pg_backup.bin_directory", "/nowhere");
    let error = cluster.error("postgres", CREATE);
    assert_eq!(error.sqlstate, "58P01", "{error}");
    assert!(error.message.contains("/nowhere/pg_dump"), "{error}");
    cluster.assert_survived("failed");
}

/// How many bytes pg_dump writes: what a cut has to stay below.
fn length_of_dump(cluster: &Cluster, file: &Path, options: &str) -> usize {
    let script =
        format!("#!/bin/bash\nset -o pipefail\n\"$REAL\" \"$@\" | tee '{}'", file.display());
    cluster.use_tool("pg_dump", &script);
    cluster.sql("postgres", &format!("SELECT backup_create({options})"));
    fs::metadata(file).unwrap().len().try_into().unwrap()
}

#[test]
fn a_dump_that_is_cut_never_succeeds_in_any_codec() {
    let cluster = Cluster::start();
    let rows = "CREATE TABLE t AS SELECT i, repeat(md5(i::text), 3) FROM generate_series(1, 500) i";
    cluster.sql("postgres", rows);
    let copy = cluster.make_dir("copy").join("dump");
    for options in [
        "compression => 'zstd:3'",
        "compression => 'gzip:6'",
        "format => 'plain', compression => 'zstd:3'",
        "format => 'plain', compression => 'gzip:6'",
    ] {
        let size = length_of_dump(&cluster, &copy, options);
        let near_the_end = [1, 2, 9, 60, 200].map(|end| size - end);
        // The last newline of a script may go: nothing is lost with it.
        let harmless =
            |cut: &usize| options.contains("plain', compression => 'z") && *cut == size - 1;
        let cuts = near_the_end.into_iter().chain([5, size / 2]).filter(|cut| !harmless(cut));
        for cut in sample(cuts) {
            cluster.use_tool("pg_dump", &format!("#!/bin/sh\n\"$REAL\" \"$@\" | head -c {cut}"));
            let error = cluster.error("postgres", &format!("SELECT backup_create({options})"));
            assert_eq!(error.sqlstate, "XX001", "{options}, {cut} of {size}: {error}");
        }
        cluster.assert_clean();
    }
    cluster.use_real_tools();
    cluster.assert_next_backup_works();
}

#[test]
fn a_dump_with_garbage_behind_its_end_never_succeeds_or_restores() {
    let cluster = Cluster::start();
    for options in ["compression => 'none'", "compression => 'zstd:3'", "compression => 'gzip:6'"] {
        cluster.use_tool("pg_dump", "#!/bin/sh\n\"$REAL\" \"$@\"\nhead -c 5000 /dev/urandom");
        let end = cluster.try_sql("postgres", &format!("SELECT backup_create({options})"));
        let run = cluster.last_backup();
        assert_eq!(end.is_ok(), run.status == "succeeded", "{options}: {run:?}");
        if end.is_ok() {
            // pg_restore stops at the end that the dump names; then the rest is harmless.
            let verify = format!("SELECT bool_and(ok) FROM backup_verify({}, 'read')", run.id);
            assert_eq!(cluster.value("postgres", &verify), "t", "{options}");
        }
        cluster.assert_clean();
    }
}

#[test]
fn a_script_with_a_torn_middle_never_succeeds() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE TABLE t AS SELECT i FROM generate_series(1, 20000) i");
    let torn = "#!/bin/bash\nt=$(mktemp)\n\"$REAL\" \"$@\" > $t\nn=$(stat -c %s $t)\n\
                head -c $((n / 2)) $t\nprintf X\ntail -c 3000 $t\nrm $t";
    for options in sample(["compression => 'none'", "compression => 'gzip:6'"]) {
        cluster.use_tool("pg_dump", torn);
        let error = cluster.error("postgres", &format!("SELECT backup_create({options})"));
        assert_eq!(error.sqlstate, "XX001", "{options}: {error}");
        cluster.assert_survived("failed");
    }
}

#[test]
fn ten_megabytes_of_warnings_are_kept_in_bounds() {
    let cluster = Cluster::start();
    let script = "#!/bin/sh\nyes 'pg_dump: warning: mind the gap between train and platform' \
                  | head -c 10000000 >&2\nexec \"$REAL\" \"$@\"";
    cluster.use_tool("pg_dump", script);
    cluster.assert_next_backup_works();
    let warnings = cluster.last_backup().warnings;
    assert!(warnings.contains("mind the gap") && warnings.len() < 100_000, "{}", warnings.len());
    cluster.assert_clean();
}

#[test]
fn last_words_that_no_table_can_hold_are_made_fit() {
    let cluster = Cluster::start();
    let words =
        r"printf 'nul \000 invalid \377\376 escape \033[31m euro \342\202\254 cut \342\202\n' >&2";
    cluster.use_tool("pg_dump", &format!("#!/bin/bash\n{words}\nexit 1"));
    let error = cluster.error("postgres", CREATE);
    assert!(error.detail.contains("nul") && error.detail.contains("euro €"), "{error}");
    assert!(cluster.assert_survived("failed").detail.contains("euro €"));

    let warning = words.replace("'nul", "'pg_dump: warning: nul");
    cluster.use_tool("pg_dump", &format!("#!/bin/bash\n{warning}\nexec \"$REAL\" \"$@\""));
    cluster.assert_next_backup_works();
    assert!(cluster.last_backup().warnings.contains("euro €"), "{:?}", cluster.last_backup());
    cluster.assert_clean();
}

#[test]
fn a_real_pg_dump_that_is_killed_fails_the_backup() {
    let cluster = Cluster::start();
    cluster.fill("app", 1, 1);
    let gate = pg_backup_tests::Gate::new(&cluster, "gate");
    cluster.use_tool("pg_dump", &gate.script(20_000));
    let sql = "SELECT backup_create(database => 'app')";
    let call = cluster.call_until_dumping("postgres", sql);
    let real = pg_backup_tests::bin("pg_dump").display().to_string();
    let found = pg_backup_tests::processes_with(cluster.name());
    let pids =
        found.into_iter().filter(|pid| pg_backup_tests::command_line(*pid).starts_with(&real));
    let pids: Vec<i32> = pids.collect();
    assert_eq!(pids.len(), 1);
    signal(pids[0], Signal::SIGKILL);
    gate.open();
    assert_eq!(call.error().sqlstate, "38000");
    cluster.assert_survived("failed");
}
