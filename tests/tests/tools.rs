//! Tools that fail, lie, hang or are not there: the backup says so and nothing is left.

use pg_backup_tests::{Cluster, DEAF, LIMIT, STOPPED, sample, wait_until};

/// A cluster whose `tool` is a script.
fn with_tool(tool: &str, script: &str) -> Cluster {
    let cluster = Cluster::start();
    use_tool(&cluster, tool, script);
    cluster
}

fn use_tool(cluster: &Cluster, tool: &str, script: &str) {
    let dir = cluster.fake_tool(tool, script);
    cluster.append_conf(&[&format!("pg_backup.bin_directory = '{}'", dir.display())]);
    cluster.reload();
}

fn use_real_tools(cluster: &Cluster) {
    cluster.append_conf(&["pg_backup.bin_directory = ''"]);
    cluster.reload();
}

/// The call fails with `sqlstate` and words, the row too, nothing is left, and with the real
/// tools the next backup works.
fn assert_fails(cluster: &Cluster, sql: &str, sqlstate: &str, words: &[&str]) {
    let error = cluster.error("postgres", sql);
    let run = cluster.last_backup();
    assert_eq!(error.sqlstate, sqlstate, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "no \"{word}\" in {error}");
    }
    assert_eq!((run.status.as_str(), run.file.as_str()), ("failed", ""), "{run:?}");
    assert_eq!(run.error, error.message);
    assert!(!error.hint.is_empty(), "{error}");
    cluster.assert_nothing_left();
    use_real_tools(cluster);
    cluster.assert_next_backup_works();
}

const CREATE: &str = "SELECT backup_create()";

#[test]
fn a_pg_dump_that_is_killed_fails_the_backup() {
    let cluster = with_tool("pg_dump", "#!/bin/sh\n\"$REAL\" \"$@\" | head -c 100\nkill -9 $$");
    assert_fails(&cluster, CREATE, "38000", &["pg_dump was ended by signal 9"]);
}

#[test]
fn a_pg_dump_that_exits_1_after_complete_output_fails_the_backup() {
    let cluster = with_tool("pg_dump", "#!/bin/sh\n\"$REAL\" \"$@\"\necho oh no >&2\nexit 1");
    assert_fails(&cluster, CREATE, "38000", &["exit code 1", "oh no"]);
}

#[test]
fn ten_megabytes_of_stderr_do_not_block_or_fill_anything() {
    let noise = "yes noise | head -c 10000000 >&2";
    let cluster = with_tool("pg_dump", &format!("#!/bin/sh\n{noise}\necho last words >&2\nexit 3"));
    let error = cluster.error("postgres", CREATE);
    assert!(error.detail.contains("last words") && error.detail.len() < 4000, "{error}");
    use_tool(&cluster, "pg_dump", &format!("#!/bin/sh\n{noise}\nexec \"$REAL\" \"$@\""));
    cluster.assert_next_backup_works();
    cluster.assert_nothing_left();
}

#[test]
fn a_warning_with_exit_0_is_kept_with_the_backup() {
    let cluster = with_tool(
        "pg_dump",
        "#!/bin/sh\necho 'pg_dump: warning: mind the gap' >&2\nexec \"$REAL\" \"$@\"",
    );
    cluster.assert_next_backup_works();
    assert_eq!(cluster.last_backup().warnings, "{\"mind the gap\"}");
}

#[test]
fn a_dump_that_is_cut_and_exits_0_never_succeeds() {
    let cluster = Cluster::start();
    cluster.sql(
        "postgres",
        "CREATE TABLE t AS SELECT i, repeat('x', i) FROM generate_series(1, 300) i",
    );
    let size_sql = "SELECT (m.manifest #>> '{members,0,size}')::int FROM backup_manifest m \
                    WHERE m.id = (SELECT max(id) FROM backup_manifest)";
    for (options, ends) in [
        ("compression => 'none'", vec![1, 2, 3, 5, 10, 100, 200, 5_000]),
        ("format => 'plain', compression => 'none'", vec![2, 3, 60, 5_000]),
    ] {
        use_real_tools(&cluster);
        cluster.sql("postgres", &format!("SELECT backup_create({options})"));
        let size: usize = cluster.value("postgres", size_sql).parse().unwrap();
        let mut cuts: Vec<usize> = ends.iter().map(|end| size.saturating_sub(*end)).collect();
        cuts.extend([0, 1, 10, 500, size / 2]);
        for cut in sample(cuts) {
            let script = format!("#!/bin/sh\n\"$REAL\" \"$@\" | head -c {cut}\nexit 0");
            use_tool(&cluster, "pg_dump", &script);
            let error = cluster.error("postgres", &format!("SELECT backup_create({options})"));
            assert_eq!(error.sqlstate, "XX001", "{options}, {cut} of {size}: {error}");
            assert_eq!(cluster.last_backup().status, "failed");
        }
    }
    cluster.assert_nothing_left();
}

#[test]
fn a_directory_dump_with_a_missing_or_cut_file_never_succeeds() {
    let cluster = Cluster::start();
    cluster.sql(
        "postgres",
        "CREATE TABLE t AS SELECT i, repeat('x', i) FROM generate_series(1, 300) i",
    );
    let last_arg = "for a in \"$@\"; do case $a in --file=*) d=${a#--file=};; esac; done";
    for damage in sample([
        "cat $d/*.dat | head -c 9 >/dev/null; f=$(ls -S $d/*.dat | head -1); truncate -s -20 $f",
        "truncate -s 0 $(ls -S $d/*.dat | head -1)",
        "truncate -s 100 $d/toc.dat",
        "rm $d/toc.dat",
    ]) {
        // Into a directory of its own first: files that are closed are packed at once.
        let script = format!(
            "#!/bin/sh\n{last_arg}\nt=$(mktemp -d)\nn=\nfor a in \"$@\"; do case $a in \
             --file=*) n=\"$n --file=$t/x\";; *) n=\"$n $a\";; esac; done\n\"$REAL\" $n || exit 1\n\
             o=$d; d=$t/x; {damage}; d=$o\ncp $t/x/* $d/; rm -r $t\nexit 0"
        );
        use_tool(&cluster, "pg_dump", &script);
        let error =
            cluster.error("postgres", "SELECT backup_create(jobs => 2, compression => 'none')");
        assert!(["XX001", "38000"].contains(&error.sqlstate.as_str()), "{damage}: {error}");
        assert_eq!(cluster.last_backup().status, "failed", "{damage}");
    }
    cluster.assert_nothing_left();
    use_real_tools(&cluster);
    cluster.sql("postgres", "SELECT backup_create(jobs => 2)");
}

#[test]
fn a_tool_that_is_not_there_or_not_executable_is_named() {
    for tool in sample(["pg_dump", "pg_dumpall", "pg_restore"]) {
        let cluster = Cluster::start();
        let dir = cluster.fake_tool(tool, "#!/bin/sh\nexit 0");
        std::fs::remove_file(dir.join(tool)).unwrap();
        cluster.append_conf(&[&format!("pg_backup.bin_directory = '{}'", dir.display())]);
        cluster.reload();
        assert_fails(&cluster, CREATE, "58P01", &[tool]);
        use_tool(&cluster, tool, "#!/nowhere/sh\nexit 0");
        assert!(cluster.error("postgres", CREATE).to_string().contains(tool));
        cluster.assert_nothing_left();
    }
}

#[test]
fn roles_that_cannot_be_dumped_fail_the_backup() {
    let cluster = with_tool("pg_dumpall", "#!/bin/sh\necho no roles today >&2\nexit 1");
    assert_fails(&cluster, CREATE, "38000", &["pg_dumpall failed", "no roles today"]);
    use_tool(&cluster, "pg_dumpall", "#!/bin/sh\n\"$REAL\" \"$@\" | head -c 300\nexit 0");
    assert_fails(&cluster, CREATE, "XX001", &["pg_dumpall stopped before its last line"]);
    use_tool(&cluster, "pg_dumpall", "#!/bin/sh\nexit 1");
    cluster.append_conf(&["pg_backup.globals = off"]);
    cluster.reload();
    cluster.assert_next_backup_works();
}

#[test]
fn a_backup_that_cannot_be_verified_does_not_succeed() {
    let cluster = with_tool("pg_restore", "#!/bin/sh\ncat >/dev/null\necho broken >&2\nexit 1");
    assert_fails(&cluster, CREATE, "XX001", &["broken"]);
}

#[test]
fn a_hanging_dump_is_ended_by_the_stall_timeout() {
    let cluster = with_tool("pg_dump", "#!/bin/sh\n\"$REAL\" \"$@\" | head -c 100\nkill -STOP $$");
    let sql = "SET pg_backup.stall_timeout = '1s'; SELECT backup_create()";
    assert_fails(&cluster, sql, "57014", &["has not moved for 1 s"]);
}

#[test]
fn a_job_is_ended_by_max_runtime() {
    let cluster = with_tool("pg_dump", "#!/bin/sh\nkill -STOP $$");
    let sql = "SET pg_backup.max_runtime = '1s'; SELECT backup_create()";
    assert_fails(&cluster, sql, "57014", &["ran longer than 1 s"]);
}

const HANGING: [&str; 2] = [STOPPED, DEAF];

#[test]
fn a_hanging_dump_can_be_cancelled_in_every_way() {
    for script in sample(HANGING) {
        let cluster = with_tool("pg_dump", script);
        let call = cluster.call("postgres", CREATE);
        cluster.wait_for_phase("dumping");
        call.cancel();
        assert_eq!(call.error().sqlstate, "57014");
        cluster.assert_nothing_left();
        assert_eq!(cluster.last_backup().status, "cancelled");

        let timed = "SET statement_timeout = '1s'; SELECT backup_create()";
        assert_eq!(cluster.error("postgres", timed).sqlstate, "57014");
        cluster.assert_nothing_left();
        assert_eq!(cluster.last_backup().status, "cancelled");

        let call = cluster.call("postgres", CREATE);
        cluster.wait_for_phase("dumping");
        let id = cluster.value("postgres", "SELECT id FROM backup_progress");
        assert_eq!(cluster.value("postgres", &format!("SELECT backup_cancel({id})")), "t");
        assert_eq!(call.error().sqlstate, "57014");
        cluster.assert_nothing_left();
        assert_eq!(cluster.last_backup().status, "cancelled");
        assert_eq!(cluster.value("postgres", &format!("SELECT backup_cancel({id})")), "f");

        let call = cluster.call("postgres", CREATE);
        cluster.wait_for_phase("dumping");
        cluster.sql("postgres", &format!("SELECT pg_terminate_backend({})", call.pid));
        call.error();
        cluster.assert_nothing_left();
        assert_eq!(cluster.last_backup().status, "cancelled");
        use_real_tools(&cluster);
        cluster.assert_next_backup_works();
    }
}

#[test]
fn the_server_stops_and_starts_with_a_stuck_child() {
    use pg_backup_tests::Mode;
    for (script, ways) in sample([
        (STOPPED, ["fast", "immediate"].as_slice()),
        (DEAF, &["kill", "fast"]),
        (STOPPED, &["kill"]),
        (DEAF, &["immediate"]),
    ]) {
        let mut cluster = with_tool("pg_dump", script);
        for how in ways {
            let call = cluster.call("postgres", CREATE);
            cluster.wait_for_phase("dumping");
            match *how {
                "fast" => {
                    let took = cluster.stop(Mode::Fast);
                    assert!(took < LIMIT / 4, "fast shutdown took {took:?}");
                }
                "immediate" => {
                    cluster.stop(Mode::Immediate);
                }
                _ => cluster.kill_postmaster(),
            }
            call.error();
            cluster.start_again();
            wait_until("the row of the dead job to tell the truth", LIMIT, || {
                cluster.last_backup().status == "interrupted"
            });
            cluster.assert_nothing_left();
        }
        use_real_tools(&cluster);
        cluster.assert_next_backup_works();
    }
}
