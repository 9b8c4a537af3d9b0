//! What goes wrong while files are attached, extracted and exported: nothing is left, nothing that
//! exists is touched, and the next try works.

use pg_backup_tests::{
    Cluster, Faults, LIMIT, give_to_server, names_below, plant_app, sample, tmpfs, tree, wait_until,
};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

fn places(cluster: &Cluster) -> (PathBuf, PathBuf) {
    let (app, out) = (cluster.make_dir("app"), cluster.make_dir("out"));
    cluster.append_conf(&[&format!("pg_backup.attach_directories = '{}'", app.display())]);
    cluster.set("pg_backup.export_directories", &out.display().to_string());
    (app, out)
}

fn attach(path: &Path) -> String {
    format!("SELECT backup_create(attach => ARRAY['{}'])", path.display())
}

fn calls(id: &str, out: &Path) -> [String; 4] {
    let out = out.display();
    [
        format!("SELECT backup_extract({id}, 'attachments', '{out}/x')"),
        format!("SELECT backup_export({id}, '{out}', 'directory')"),
        format!("SELECT backup_export({id}, '{out}', 'zip')"),
        format!("SELECT backup_export({id}, '{out}', 'dump')"),
    ]
}

/// Starts `sql` and waits until its job stands at `point`.
fn stopped_at(cluster: &Cluster, faults: &Faults, point: &str, sql: &str) -> pg_backup_tests::Call {
    faults.plant(point);
    let call = cluster.call("postgres", sql);
    faults.wait(point);
    call
}

#[test]
fn files_that_change_vanish_or_become_links_meanwhile_are_told_of() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let (app, out) = places(&cluster);
    for name in ["a", "b-vanishes", "c-link", "d", "e-folder/f"] {
        fs::create_dir_all(app.join(name).parent().unwrap()).unwrap();
        fs::write(app.join(name), name).unwrap();
    }
    let secret = cluster.make_dir("secret");
    fs::write(secret.join("f"), "SECRET").unwrap();
    let call = stopped_at(&cluster, &faults, "attached", &attach(&app));
    fs::remove_file(app.join("b-vanishes")).unwrap();
    fs::remove_file(app.join("c-link")).unwrap();
    symlink(secret.join("f"), app.join("c-link")).unwrap();
    fs::remove_dir_all(app.join("e-folder")).unwrap();
    symlink(&secret, app.join("e-folder")).unwrap();
    faults.lift("attached");
    call.end().unwrap();
    let run = cluster.last_backup();
    for (name, what) in [
        ("b-vanishes", "it has just been removed"),
        ("c-link", "it is a symbolic link"),
        ("e-folder", "it is a symbolic link"),
    ] {
        let wanted = format!("{name}\\\" was not attached: {what}");
        assert!(run.warnings.contains(&wanted), "{}", run.warnings);
    }
    let extract =
        format!("SELECT backup_extract({}, 'attachments', '{}/x')", run.id, out.display());
    assert_eq!(cluster.value("postgres", &extract), "2");
    let bytes = fs::read(cluster.archive(&run)).unwrap();
    assert!(!bytes.windows(6).any(|window| window == b"SECRET"));
}

#[test]
fn a_file_that_grows_shrinks_or_is_written_is_attached_as_it_was_read() {
    let cluster = Cluster::start();
    let (app, _) = places(&cluster);
    let log = app.join("log");
    fs::write(&log, vec![b'x'; 30_000_000]).unwrap();
    let over = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (stop, path) = (over.clone(), log.clone());
    let writer = std::thread::spawn(move || {
        let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
        while !stop.load(std::sync::atomic::Ordering::Relaxed) {
            std::io::Write::write_all(&mut file, b"another line\n").unwrap();
        }
    });
    let id = cluster.value("postgres", &attach(&log));
    over.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
    let warnings = cluster.last_backup().warnings;
    assert!(warnings.contains("log\\\" changed while it was attached"), "{warnings}");
    let verify = format!("SELECT bool_and(ok) FROM backup_verify({id}, 'read')");
    assert_eq!(cluster.value("postgres", &verify), "t");
}

#[test]
fn a_cancel_leaves_nothing_of_a_backup_or_a_copy() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let (app, out) = places(&cluster);
    plant_app(&app);
    let call = stopped_at(&cluster, &faults, "attached", &attach(&app));
    cluster.wait_for_phase("attaching");
    call.cancel();
    assert_eq!(call.error().sqlstate, "57014");
    faults.lift("attached");
    cluster.assert_survived("cancelled");

    let id = cluster.value("postgres", &attach(&app));
    for (number, sql) in sample(calls(&id, &out).iter().enumerate()) {
        let inside = if number < 2 { "extracted_file" } else { "before_copy_is_named" };
        for point in [inside, "before_copy_is_named"] {
            let call = stopped_at(&cluster, &faults, point, sql);
            assert!(names_below(&out).iter().any(|name| name.ends_with(".partial")));
            call.cancel();
            assert_eq!(call.error().sqlstate, "57014", "{sql}");
            // What stands at the fault point sees nothing of it before it is lifted.
            faults.lift(point);
            wait_until("the end of the copy", LIMIT, || names_below(&out).is_empty());
            cluster.assert_nothing_left();
        }
        cluster.sql("postgres", sql);
        for name in fs::read_dir(&out).unwrap() {
            let path = name.unwrap().path();
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
        }
    }
}

#[test]
fn what_a_kill_leaves_is_named_partial_and_in_nobodys_way() {
    let faults = Faults::default();
    let mut cluster = faults.cluster(&[]);
    let (app, out) = places(&cluster);
    plant_app(&app);
    let id = cluster.value("postgres", &attach(&app));
    for sql in &calls(&id, &out) {
        faults.plant("before_copy_is_named");
        let call = cluster.call("postgres", sql);
        let runner = faults.wait("before_copy_is_named");
        cluster.kill_with_runner(runner);
        faults.lift("before_copy_is_named");
        call.error();
        let left: Vec<String> = fs::read_dir(&out)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(!left.is_empty() && left.iter().all(|n| n.ends_with(".partial")), "{left:?}");
        cluster.start_again();
        cluster.sql("postgres", sql);
        let partials = names_below(&out).iter().any(|name| name.ends_with(".partial"));
        assert!(!partials, "{sql}");
        fs::remove_dir_all(&out).unwrap();
        fs::create_dir(&out).unwrap();
        give_to_server(&out);
    }
    assert_eq!(cluster.last_backup().status, "succeeded");
}

#[test]
fn a_full_disk_keeps_nothing_of_a_copy() {
    let Some(disk) = tmpfs(8) else { return };
    let cluster = Cluster::with(&["pg_backup.min_free_space = 0"]);
    let (app, _) = places(&cluster);
    let noise: Vec<u8> =
        (0..9_000_000u64).map(|i| (i.wrapping_mul(i * i) >> 9).wrapping_mul(i | 5) as u8).collect();
    fs::write(app.join("noise"), noise).unwrap();
    let id = cluster.value("postgres", &attach(&app));
    cluster.set("pg_backup.export_directories", &disk.path().display().to_string());
    let [extract, directory, zip, dump] = calls(&id, disk.path());
    for reserve in ["0", "4MB"] {
        cluster.set("pg_backup.min_free_space", reserve);
        for sql in [&extract, &directory, &zip] {
            let error = cluster.error("postgres", sql);
            assert_eq!(error.sqlstate, "53100", "{sql}: {error}");
            assert!(names_below(disk.path()).is_empty());
        }
    }
    cluster.set("pg_backup.min_free_space", "0");
    cluster.sql("postgres", &dump);
}

#[test]
fn a_full_disk_or_a_hanging_reader_ends_a_backup_with_attachments() {
    let Some(disk) = tmpfs(16) else { return };
    let cluster = Cluster::with(&["pg_backup.min_free_space = 4MB"]);
    let (app, _) = places(&cluster);
    let noise: Vec<u8> = (0..20_000_000u64)
        .map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40).wrapping_mul(i | 1) as u8)
        .collect();
    fs::write(app.join("noise"), noise).unwrap();
    let before = tree(&app);
    cluster.set("pg_backup.directory", &disk.path().display().to_string());
    let error = cluster.error("postgres", &attach(&app));
    assert_eq!(error.sqlstate, "53100", "{error}");
    assert_eq!(cluster.last_backup().status, "failed");
    assert!(names_below(disk.path()).iter().all(|name| !name.contains(".zip")));
    assert!(tree(&app) == before);
}
