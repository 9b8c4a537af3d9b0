//! Files and folders that a backup attaches, and what is not attached.

use pg_backup_tests::{
    Cluster, DbError, bin, give_to_server, names_below, plant_app, sample, skipped, tree,
};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A cluster, a directory whose files may be attached, and one that may be written to.
fn places() -> (Cluster, PathBuf, PathBuf) {
    let cluster = Cluster::start();
    let (app, out) = (cluster.make_dir("app"), cluster.make_dir("out"));
    cluster.append_conf(&[&format!("pg_backup.attach_directories = '{}'", app.display())]);
    cluster.set("pg_backup.export_directories", &out.display().to_string());
    (cluster, app, out)
}

fn attach(path: &Path) -> String {
    format!("SELECT backup_create(attach => ARRAY['{}'])", path.display())
}

fn refused(cluster: &Cluster, path: &Path, sqlstate: &str) -> DbError {
    let error = cluster.error("postgres", &attach(path));
    assert_eq!(error.sqlstate, sqlstate, "{}: {error}", path.display());
    cluster.assert_nothing_left();
    error
}

fn extract(id: &str, member: &str, directory: &Path) -> String {
    format!("SELECT backup_extract({id}, '{member}', '{}')", directory.display())
}

#[test]
fn attached_files_come_back_byte_by_byte_under_every_name() {
    let (cluster, app, out) = places();
    let uploads = app.join("uploads");
    fs::create_dir(&uploads).unwrap();
    let files = plant_app(&uploads);
    let config = app.join("app.conf");
    fs::write(&config, "secret = 1\n").unwrap();
    let sql = format!(
        "SELECT backup_create(attach => ARRAY['{}/', '{}'])",
        uploads.display(),
        config.display()
    );
    let id = cluster.value("postgres", &sql);
    let run = cluster.last_backup();
    assert_eq!((run.status.as_str(), run.warnings.as_str()), ("succeeded", "{}"));

    let listed = format!(
        "SELECT count(*) || ' ' || count(*) FILTER (WHERE bytes = 0) || ' ' || \
         count(*) FILTER (WHERE name = 'attachments/app.conf' AND bytes = 11) \
         FROM backup_contents({id}) WHERE type = 'ATTACHMENT'"
    );
    assert_eq!(cluster.value("postgres", &listed), format!("{} 1 1", files + 1));
    let all = out.join("all");
    let count = cluster.value("postgres", &extract(&id, "attachments", &all));
    assert_eq!(count, (files + 1).to_string());
    assert_eq!(tree(&all.join("uploads")), tree(&uploads));
    assert_eq!(fs::read(all.join("app.conf")).unwrap(), b"secret = 1\n");
    assert_eq!(fs::metadata(&all).unwrap().permissions().mode() & 0o777, 0o700);

    for level in ["file", "list", "read", "restore"] {
        let sql = format!("SELECT bool_and(ok) FROM backup_verify({id}, '{level}')");
        assert_eq!(cluster.value("postgres", &sql), "t", "{level}");
    }
    let archive = cluster.archive(&run);
    let tested = Command::new("unzip").arg("-tqq").arg(&archive).output().unwrap();
    assert!(tested.status.success(), "{tested:?}");
    assert!(archive.metadata().unwrap().len() < 3_500_000, "zeros are deflated");
    assert_eq!(names_below(&out).iter().filter(|name| name.contains("partial")).count(), 0);
}

#[test]
fn one_file_or_one_folder_is_extracted_by_its_name() {
    let (cluster, app, out) = places();
    fs::create_dir_all(app.join("up/loads/empty")).unwrap();
    fs::write(app.join("up/loads/a.txt"), "a").unwrap();
    fs::write(app.join("up/b.txt"), "b").unwrap();
    let id = cluster.value("postgres", &attach(&app.join("up")));
    for (member, wanted) in [
        ("attachments/up/loads", &["a.txt", "empty"][..]),
        ("attachments/up/loads/", &["a.txt", "empty"]),
        ("attachments/up/loads/a.txt", &["a.txt"]),
        ("attachments/up/loads/empty", &[]),
        ("globals.sql", &["globals.sql"]),
        ("manifest.json", &["manifest.json"]),
        ("database.dump.zst", &["database.dump.zst"]),
        ("attachments", &["up", "up/b.txt", "up/loads", "up/loads/a.txt", "up/loads/empty"]),
    ] {
        let target = out.join("x");
        cluster.sql("postgres", &extract(&id, member, &target));
        assert_eq!(names_below(&target), wanted, "{member}");
        fs::remove_dir_all(&target).unwrap();
    }
    for member in ["attachments/up/load", "up", "attachments/../up", "nothing"] {
        let error = cluster.error("postgres", &extract(&id, member, &out.join("x")));
        assert_eq!(error.sqlstate, "42704", "{member}: {error}");
        assert!(names_below(&out).is_empty());
    }
    let error = cluster.error("postgres", &extract(&id, "", &out.join("x")));
    assert_eq!(error.sqlstate, "22023");
}

#[test]
fn nothing_is_attached_without_an_administrators_word() {
    let (cluster, app, _) = places();
    let elsewhere = cluster.make_dir("elsewhere");
    fs::write(elsewhere.join("file"), "x").unwrap();
    fs::write(app.join("file"), "x").unwrap();
    symlink(&elsewhere, app.join("link")).unwrap();
    symlink(elsewhere.join("file"), app.join("file-link")).unwrap();
    for path in ["/etc/passwd", "/", "/etc/nothing-here"] {
        let wanted = if path == "/" { "22023" } else { "42501" };
        refused(&cluster, Path::new(path), wanted);
    }
    for path in [&elsewhere, &app.join("link"), &app.join("link/file"), &app.join("file-link")] {
        let error = refused(&cluster, path, "42501");
        assert!(error.hint.contains("pg_backup.attach_directories"), "{error}");
    }
    refused(&cluster, &app.join("missing"), "58P01");
    refused(&cluster, &app.join("../elsewhere"), "22023");
    cluster.sql("postgres", &attach(&app.join("file")));
    cluster.set("pg_backup.attach_directories", "");
    let error = refused(&cluster, &app.join("file"), "42501");
    assert!(error.detail.contains("empty"), "{error}");
    cluster.set("pg_backup.attach_directories", "relative/path");
    refused(&cluster, &app.join("file"), "22023");
}

#[test]
fn the_servers_own_secrets_are_attached_by_nobody() {
    let (cluster, _, _) = places();
    let home = cluster.data_dir().parent().unwrap().to_owned();
    cluster.set("pg_backup.attach_directories", "/");
    cluster.assert_next_backup_works();
    let space = cluster.make_dir("space");
    cluster.sql("postgres", &format!("CREATE TABLESPACE space LOCATION '{}'", space.display()));
    let keys = cluster.make_dir("keys");
    fs::write(keys.join("key"), "00".repeat(32)).unwrap();
    fs::set_permissions(keys.join("key"), fs::Permissions::from_mode(0o600)).unwrap();
    give_to_server(&keys.join("key"));
    cluster.set("pg_backup.signing_key_file", &keys.join("key").display().to_string());
    let inside = [
        keys.join("key"),
        keys,
        space,
        cluster.data_dir(),
        cluster.data_dir().join("base"),
        cluster.data_dir().join("postgresql.conf"),
        cluster.backup_dir(),
        home,
    ];
    for path in inside {
        let error = refused(&cluster, &path, "42501");
        assert!(error.to_string().contains("belongs to the server itself"), "{error}");
    }
}

#[test]
fn what_is_no_file_is_left_out_with_a_warning() {
    let (cluster, app, out) = places();
    let uploads = app.join("uploads");
    fs::create_dir(&uploads).unwrap();
    fs::write(uploads.join("file"), "x").unwrap();
    symlink("/etc/passwd", uploads.join("link")).unwrap();
    symlink("/etc", uploads.join("folder-link")).unwrap();
    symlink("nowhere", uploads.join("dangling")).unwrap();
    nix::unistd::mkfifo(&uploads.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(uploads.join("socket")).unwrap();
    let id = cluster.value("postgres", &attach(&uploads));
    let warnings = cluster.last_backup().warnings;
    for (name, what) in [
        ("link", "a symbolic link"),
        ("folder-link", "a symbolic link"),
        ("dangling", "a symbolic link"),
        ("fifo", "a FIFO"),
        ("socket", "a socket"),
    ] {
        assert!(
            warnings.contains(&format!("{name}\\\" was not attached: it is {what}")),
            "{warnings}"
        );
    }
    cluster.sql("postgres", &extract(&id, "attachments/uploads", &out.join("x")));
    assert_eq!(names_below(&out.join("x")), ["file"]);
}

#[test]
fn what_cannot_be_read_fails_the_backup_before_the_dump() {
    let (cluster, app, _) = places();
    let uploads = app.join("uploads");
    fs::create_dir(&uploads).unwrap();
    if !nix::unistd::geteuid().is_root() {
        skipped("not root: a file of another user was not tried");
        return;
    }
    let closed = uploads.join("closed");
    fs::write(&closed, "x").unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o600)).unwrap();
    let error = refused(&cluster, &uploads, "58030");
    assert!(error.to_string().contains("uploads/closed"), "{error}");
    let run = cluster.last_backup();
    assert_eq!((run.status.as_str(), run.file.as_str()), ("failed", ""));
    give_to_server(&closed);
    cluster.sql("postgres", &attach(&uploads));
}

#[test]
fn two_things_of_one_name_are_refused_and_so_are_schedules_with_them() {
    let (cluster, app, _) = places();
    let sql = format!("ARRAY['{0}/a/x', '{0}/b/x']", app.display());
    let error = cluster.error("postgres", &format!("SELECT backup_create(attach => {sql})"));
    assert_eq!(error.sqlstate, "22023");
    let schedule = |list: &str| {
        format!("CALL backup_schedule('n', '0 3 * * *', options => '{{\"attach\": {list}}}')")
    };
    let error = cluster.error("postgres", &schedule("[\"/a/x\", \"/b/x\"]"));
    assert_eq!(error.sqlstate, "22023");
    fs::write(app.join("file"), "x").unwrap();
    cluster.sql("postgres", &schedule(&format!("[\"{}\"]", app.join("file").display())));
    let id = cluster.value("postgres", "SELECT backup_run('n', true)");
    let listed = format!("SELECT name FROM backup_contents({id}) WHERE type = 'ATTACHMENT'");
    assert_eq!(cluster.value("postgres", &listed), "attachments/file");
}

#[test]
fn every_format_carries_attachments_and_is_restored_without_them() {
    let (cluster, app, _) = places();
    fs::write(app.join("database.dump"), "not a dump").unwrap();
    cluster.sql("postgres", "CREATE TABLE t AS SELECT generate_series(1, 1000) i");
    for format in sample(["custom", "directory", "plain"]) {
        let sql = format!(
            "SELECT backup_create(format => '{format}', attach => ARRAY['{}'])",
            app.join("database.dump").display()
        );
        let id = cluster.value("postgres", &sql);
        let verify = format!("SELECT bool_and(ok) FROM backup_verify({id}, 'read')");
        assert_eq!(cluster.value("postgres", &verify), "t");
        if format != "plain" {
            let target = format!("restored_{format}");
            cluster.sql("postgres", &format!("CALL backup_restore({id}, target => '{target}')"));
            assert_eq!(cluster.value(&target, "SELECT count(*) FROM t"), "1000");
        }
    }
    assert!(bin("pg_restore").exists());
}
