//! Settings whose effect shows in nothing else that is tested: how jobs get back into the server
//! (host, port, role, password), and how many threads compress.

use pg_backup_tests::{Cluster, DbError, Gate, LIMIT, Mode, give_to_server, wait_until};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const CREATE: &str = "SELECT backup_create()";

/// A server with a second socket directory, whose role `keeper` needs a password.
fn guarded() -> (Cluster, tempfile::TempDir) {
    let second = tempfile::tempdir().expect("the temporary directory is writable");
    give_to_server(second.path());
    let cluster = Cluster::start();
    let own = cluster.value("postgres", "SHOW unix_socket_directories");
    let both = format!("unix_socket_directories = '{own}, {}'", second.path().display());
    cluster.append_conf(&[&both]);
    let hba = "local all keeper scram-sha-256\nlocal all all trust\n";
    fs::write(cluster.data_dir().join("pg_hba.conf"), hba).unwrap();
    cluster.sql("postgres", "CREATE ROLE keeper SUPERUSER LOGIN PASSWORD 'open sesame'");
    (cluster, second)
}

fn write_passfile(cluster: &Cluster, line: &str) -> String {
    let path = cluster.data_dir().join("passfile");
    fs::write(&path, line).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    give_to_server(&path);
    path.display().to_string()
}

fn failure(cluster: &Cluster) -> DbError {
    cluster.error("postgres", CREATE)
}

#[test]
fn jobs_connect_where_and_as_the_settings_say() {
    let (mut cluster, second) = guarded();
    cluster.restart(Mode::Fast);
    let second = second.path().display().to_string();
    let port = cluster.value("postgres", "SHOW port");

    cluster.set("pg_backup.host", "/nowhere");
    let error = failure(&cluster);
    assert_eq!(error.sqlstate, "08006", "{error}");
    assert!(error.detail.contains("/nowhere"), "{error}");
    cluster.set("pg_backup.host", &second);
    cluster.assert_next_backup_works();

    cluster.set("pg_backup.port", "1");
    let error = failure(&cluster);
    assert!(error.detail.contains("port 1,"), "{error}");
    cluster.set("pg_backup.port", &port);
    cluster.assert_next_backup_works();

    cluster.set("pg_backup.user", "keeper");
    let error = failure(&cluster);
    assert!(error.detail.contains("user \"keeper\""), "{error}");
    // As libpq looks it up: by the directory of the socket.
    let passfile = write_passfile(&cluster, &format!("{second}:{port}:*:keeper:open sesame\n"));
    cluster.set("pg_backup.passfile", &passfile);
    cluster.assert_next_backup_works();
    let blockers = "SELECT string_agg(check_name || ': ' || detail, E'\\n') FROM backup_check() \
                    WHERE status = 'blocker'";
    assert_eq!(cluster.value("postgres", blockers), "");
    cluster.assert_clean();
}

/// Threads of that name in a process; a thread that another one starts has the name of that one.
fn threads_named(pid: i32, name: &str) -> usize {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let names = tasks.map(|task| fs::read_to_string(task.path().join("comm")).unwrap_or_default());
    names.filter(|found| found.trim_end() == name).count()
}

#[test]
fn as_many_threads_compress_as_the_setting_says() {
    let cluster = Cluster::start();
    cluster.fill("app", 1, 1);
    for number in [4, 1] {
        cluster.set("pg_backup.compression_threads", &number.to_string());
        let gate = Gate::new(&cluster, &format!("gate{number}"));
        cluster.use_tool("pg_dump", &gate.script(20_000));
        let sql = "SELECT backup_create(database => 'app', compression => 'zstd:3')";
        let call = cluster.call_until_dumping("postgres", sql);
        let runner = cluster.wait_for_runner();
        // One takes the bytes from pg_dump, and hands them to the others.
        wait_until(&format!("{number} threads that compress"), LIMIT, || {
            threads_named(runner, "pg_backup pack") == number + 1
        });
        gate.open();
        call.end().unwrap();
    }
}
