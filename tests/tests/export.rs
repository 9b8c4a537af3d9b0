//! Archives that are copied out: every layout, read by stock tools.

use pg_backup_tests::{Cluster, base, bin, names_below, plant_app, sample, tree};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const DATA: &str = "
CREATE TABLE t (i int PRIMARY KEY, word text);
INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 20000) i;
CREATE VIEW v AS SELECT count(*) FROM t;";
const SUM: &str = "SELECT md5(string_agg(i || word, ',' ORDER BY i)) FROM t";
const LAYOUTS: [&str; 4] = ["zip", "dump", "sql.gz", "directory"];

fn places() -> (Cluster, PathBuf, PathBuf) {
    let cluster = Cluster::start();
    let (app, out) = (cluster.make_dir("app"), cluster.make_dir("out"));
    cluster.append_conf(&[&format!("pg_backup.attach_directories = '{}'", app.display())]);
    cluster.set("pg_backup.export_directories", &out.display().to_string());
    cluster.sql("postgres", "CREATE DATABASE shop");
    cluster.sql("shop", DATA);
    (cluster, app, out)
}

fn export(id: &str, out: &Path, layout: &str) -> String {
    format!("SELECT path FROM backup_export({id}, '{}', '{layout}')", out.display())
}

fn backup(cluster: &Cluster, arguments: &str) -> String {
    cluster.value("postgres", &format!("SELECT backup_create(database => 'shop'{arguments})"))
}

/// What the database holds that `script` makes.
fn poured(cluster: &Cluster, name: &str, path: &Path) -> String {
    cluster.sql("postgres", &format!("CREATE DATABASE {name}"));
    let mut gunzip = Command::new("gunzip").arg("-c").arg(path).stdout(Stdio::piped()).spawn();
    let gunzip = gunzip.as_mut().unwrap();
    let mut script = String::new();
    std::io::Read::read_to_string(gunzip.stdout.as_mut().unwrap(), &mut script).unwrap();
    assert!(gunzip.wait().unwrap().success());
    cluster.psql(name, &script);
    cluster.value(name, SUM)
}

#[test]
fn every_layout_is_read_by_stock_tools() {
    let (cluster, app, out) = places();
    plant_app(&app);
    let wanted = cluster.value("shop", SUM);
    let attach = format!(", attach => ARRAY['{}']", app.display());
    let id = backup(&cluster, &attach);
    let run = cluster.last_backup();

    let zip = PathBuf::from(cluster.value("postgres", &export(&id, &out, "zip")));
    let name = zip.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("shop-2") && name.ends_with("Z.zip"), "{name}");
    assert!(fs::read(&zip).unwrap() == fs::read(cluster.archive(&run)).unwrap());
    assert_eq!(fs::metadata(&zip).unwrap().permissions().mode() & 0o777, 0o600);
    let tested = Command::new("unzip").arg("-tqq").arg(&zip).output().unwrap();
    assert!(tested.status.success(), "{tested:?}");

    let sql = export(&id, &out, "dump").replace("path", "string_agg(path, '|')");
    let both = cluster.value("postgres", &sql);
    let (dump, manifest) = both.split_once('|').unwrap();
    assert_eq!(manifest, dump.replace(".dump", ".manifest.json"));
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
    assert_eq!(manifest["database"]["name"], "shop");
    cluster.sql("postgres", "CREATE DATABASE from_dump");
    cluster.tool("pg_restore", &["-e", "-d", "from_dump", dump]);
    assert_eq!(cluster.value("from_dump", SUM), wanted);

    let script = PathBuf::from(cluster.value("postgres", &export(&id, &out, "sql.gz")));
    assert_eq!(poured(&cluster, "from_script", &script), wanted);

    let folder = PathBuf::from(cluster.value("postgres", &export(&id, &out, "directory")));
    assert_eq!(tree(&folder.join("attachments/app")), tree(&app));
    cluster.sql("postgres", "CREATE DATABASE from_folder");
    let dump = folder.join("database.dump").display().to_string();
    cluster.tool("pg_restore", &["-e", "-d", "from_folder", &dump]);
    assert_eq!(cluster.value("from_folder", SUM), wanted);
    for name in ["globals.sql", "manifest.json", "contents.list"] {
        assert!(folder.join(name).exists(), "{name}");
    }
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    cluster.assert_nothing_left();
}

#[test]
fn every_format_becomes_a_script_and_what_cannot_be_one_dump_is_refused() {
    let (cluster, _, out) = places();
    let wanted = cluster.value("shop", SUM);
    let mut number = 0;
    for format in ["plain", "directory", "custom"] {
        for compression in sample(["zstd:3", "gzip:1", "none"]) {
            let sql = format!(", format => '{format}', compression => '{compression}'");
            let id = backup(&cluster, &sql);
            let place = out.join(format!("{number}"));
            fs::create_dir(&place).unwrap();
            pg_backup_tests::give_to_server(&place);
            number += 1;
            let script = cluster.value("postgres", &export(&id, &place, "sql.gz"));
            let name = format!("poured_{number}");
            assert_eq!(poured(&cluster, &name, Path::new(&script)), wanted, "{sql}");
            if format != "custom" {
                let error = cluster.error("postgres", &export(&id, &place, "dump"));
                assert_eq!(error.sqlstate, "22023", "{error}");
                assert!(error.hint.contains("sql.gz"), "{error}");
            }
            if format == "directory" {
                let folder = cluster.value("postgres", &export(&id, &place, "directory"));
                cluster.sql("postgres", &format!("CREATE DATABASE unpacked_{number}"));
                let (folder, into) = (format!("{folder}/database"), format!("unpacked_{number}"));
                cluster.tool("pg_restore", &["-e", "-d", &into, &folder]);
                assert_eq!(cluster.value(&into, SUM), wanted);
            }
            let left = names_below(&place);
            assert!(left.iter().all(|name| !name.contains("partial")), "{left:?}");
        }
    }
}

#[test]
fn a_manifest_that_was_left_alone_is_taken_and_another_one_is_not_touched() {
    let (cluster, _, out) = places();
    let id = backup(&cluster, "");
    let both = |rows: Vec<Vec<Option<String>>>| -> Vec<String> {
        rows.into_iter()
            .map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(" "))
            .collect()
    };
    let call = format!("SELECT * FROM backup_export({id}, '{}', 'dump')", out.display());
    let first = both(cluster.sql("postgres", &call));
    let dump = PathBuf::from(first[0].split(' ').next().unwrap());
    let manifest = dump.with_extension("manifest.json");
    let bytes = || [&dump, &manifest].map(|file| fs::read(file).expect("it was exported"));
    let before = bytes();
    // As a crash between the two names leaves it.
    fs::remove_file(&dump).unwrap();
    assert_eq!(both(cluster.sql("postgres", &call)), first);
    assert!(bytes() == before, "something else was written");
    assert_eq!(names_below(&out).len(), 2, "{:?}", names_below(&out));
    fs::remove_file(&dump).unwrap();
    fs::write(&manifest, "somebody's").unwrap();
    assert_eq!(cluster.error("postgres", &call).sqlstate, "58P02");
    assert_eq!(fs::read(&manifest).unwrap(), b"somebody's");
    assert_eq!(names_below(&out).len(), 1, "{:?}", names_below(&out));
}

#[test]
fn what_exists_is_not_touched() {
    let (cluster, _, out) = places();
    let id = backup(&cluster, "");
    for layout in LAYOUTS {
        cluster.sql("postgres", &export(&id, &out, layout));
    }
    let before = tree(&out);
    for layout in LAYOUTS {
        let error = cluster.error("postgres", &export(&id, &out, layout));
        assert_eq!(error.sqlstate, "58P02", "{layout}: {error}");
        assert!(error.to_string().contains("exists already"), "{error}");
    }
    let existing = out.join("precious");
    fs::create_dir(&existing).unwrap();
    for target in [&existing, &out] {
        let sql = format!("SELECT backup_extract({id}, 'globals.sql', '{}')", target.display());
        cluster.error("postgres", &sql);
    }
    fs::remove_dir(&existing).unwrap();
    std::os::unix::fs::symlink("/nowhere", &existing).unwrap();
    let sql = format!("SELECT backup_extract({id}, 'globals.sql', '{}')", existing.display());
    assert_eq!(cluster.error("postgres", &sql).sqlstate, "58P02");
    fs::remove_file(&existing).unwrap();
    assert!(tree(&out) == before, "something was changed");
}

#[test]
fn only_superusers_write_and_only_where_they_may() {
    let (cluster, app, out) = places();
    let id = backup(&cluster, "");
    let calls = |place: &Path| {
        let target = place.join("x");
        [
            export(&id, place, "zip"),
            format!("SELECT backup_extract({id}, 'globals.sql', '{}')", target.display()),
        ]
    };
    cluster.sql("postgres", "CREATE ROLE op LOGIN; CALL backup_grant('op', 'operator')");
    cluster.sql("postgres", "GRANT EXECUTE ON FUNCTION backup_export, backup_extract TO op");
    for sql in calls(&out) {
        let error = cluster.connect_as("postgres", "op").simple_query(&sql).unwrap_err();
        assert_eq!(pg_backup_tests::sqlstate(&error), "42501");
    }
    let link = out.join("link");
    std::os::unix::fs::symlink(&app, &link).unwrap();
    for place in [app.as_path(), base(), Path::new("/tmp"), &link, Path::new("/etc/none")] {
        for sql in calls(place) {
            let error = cluster.error("postgres", &sql);
            assert_eq!(error.sqlstate, "42501", "{sql}: {error}");
            assert!(error.hint.contains("pg_backup.export_directories"), "{error}");
        }
    }
    for sql in calls(Path::new("relative")).into_iter().chain(calls(&out.join(".."))) {
        assert_eq!(cluster.error("postgres", &sql).sqlstate, "22023", "{sql}");
    }
    cluster.set("pg_backup.export_directories", "/");
    for place in [cluster.data_dir(), cluster.backup_dir(), cluster.data_dir().join("base")] {
        for sql in calls(&place) {
            let error = cluster.error("postgres", &sql);
            assert!(error.to_string().contains("belongs to the server itself"), "{error}");
        }
    }
    for sql in [
        format!("SELECT * FROM backup_export({id}, NULL)"),
        "SELECT * FROM backup_export(NULL, '/tmp')".to_owned(),
        format!("SELECT * FROM backup_export({id}, '/tmp', NULL)"),
        format!("SELECT * FROM backup_export({id}, '/tmp', 'tar')"),
        format!("SELECT backup_extract({id}, NULL, '/tmp/x')"),
    ] {
        assert_eq!(cluster.error("postgres", &sql).sqlstate, "22023", "{sql}");
    }
    let sql = format!("SELECT * FROM backup_export(4711, '{}')", out.display());
    assert_eq!(cluster.error("postgres", &sql).sqlstate, "42704");
}

#[test]
fn a_damaged_archive_leaves_nothing() {
    let (cluster, app, out) = places();
    let noise: Vec<u8> = (0..400_000u64).map(|i| ((i * i) >> 7) as u8).collect();
    fs::write(app.join("noise"), noise).unwrap();
    let id = backup(&cluster, &format!(", attach => ARRAY['{}']", app.display()));
    let archive = cluster.archive(&cluster.last_backup());
    let good = fs::read(&archive).unwrap();
    for (offset, calls) in
        [(500, &LAYOUTS[..]), (good.len() / 2, &["zip", "directory"]), (good.len() - 40, &["zip"])]
    {
        let mut bytes = good.clone();
        bytes[offset] ^= 0x10;
        fs::write(&archive, &bytes).unwrap();
        for layout in calls {
            let error = cluster.error("postgres", &export(&id, &out, layout));
            assert_eq!(error.sqlstate, "XX001", "{layout} at {offset}: {error}");
            assert!(names_below(&out).is_empty(), "{layout} at {offset}");
        }
    }
    fs::write(&archive, &good[..good.len() - 1]).unwrap();
    for layout in LAYOUTS {
        assert_eq!(cluster.error("postgres", &export(&id, &out, layout)).sqlstate, "XX001");
    }
    fs::remove_file(&archive).unwrap();
    assert_eq!(cluster.error("postgres", &export(&id, &out, "zip")).sqlstate, "58P01");
    assert!(names_below(&out).is_empty());
    assert!(bin("psql").exists());
}
