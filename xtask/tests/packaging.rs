//! What META.json, compose.yml and the Dockerfile say, against the tree and against each other.
//!
//! In: the files of the checkout. Out: a failed test that names the file and the line of thought.
//! Must hold: no server, no network; what only an image or an archive could show is for
//! `make test-docker` and `make test-deb`.

use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn meta() -> Value {
    serde_json::from_str(&read("META.json")).unwrap()
}

fn compose() -> Value {
    serde_yaml_ng::from_str(&read("compose.yml")).unwrap()
}

/// The text after `word` of each line of the Dockerfile that begins with it.
fn instructions(word: &str) -> Vec<String> {
    let lines = read("Dockerfile");
    let lines = lines.lines().filter_map(|line| line.strip_prefix(&format!("{word} ")));
    lines.map(|rest| rest.trim().to_owned()).collect()
}

/// The default of an `ARG`.
fn arg(name: &str) -> String {
    let prefix = format!("{name}=");
    let found = instructions("ARG").into_iter().find(|arg| arg.starts_with(&prefix));
    found.unwrap_or_else(|| panic!("the Dockerfile has no ARG {name}"))[prefix.len()..].to_owned()
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// What the server of a service runs: its own command, else that of the Dockerfile.
fn preloaded(service: &Value) -> String {
    let cmd: Value = serde_json::from_str(&instructions("CMD")[0]).unwrap();
    let command = service.get("command").unwrap_or(&cmd);
    let setting =
        strings(command).into_iter().find_map(|w| w.strip_prefix("shared_preload_libraries="));
    setting.expect("nothing is preloaded").to_owned()
}

#[test]
fn meta_json_has_what_the_spec_of_pgxn_asks_for() {
    let meta = meta();
    for field in ["name", "version", "abstract", "maintainer", "license", "provides", "meta-spec"] {
        assert!(!meta[field].is_null(), "META.json lacks {field}");
    }
    assert_eq!(meta["meta-spec"]["version"], "1.0.0");
    assert_eq!(meta["license"], "postgresql");
    let abstracts = [&meta["abstract"], &meta["provides"]["pg_backup"]["abstract"]];
    assert!(abstracts.iter().all(|text| text.as_str().is_some_and(|t| !t.is_empty())));
}

#[test]
fn meta_json_has_the_version_of_cargo() {
    let meta = meta();
    assert_eq!(meta["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(meta["provides"]["pg_backup"]["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_files_that_meta_json_names_exist() {
    for (name, extension) in meta()["provides"].as_object().unwrap() {
        assert!(root().join(format!("{name}.control")).is_file(), "{name} has no control file");
        for field in ["file", "docfile"] {
            let file = extension[field].as_str().unwrap();
            assert!(root().join(file).is_file(), "{field} of {name}: {file}");
        }
        // Anything else is no extension for PGXN's client: `pgxn load` would do nothing, and say so
        // to nobody.
        assert!(extension["file"].as_str().unwrap().ends_with(".sql"));
    }
}

#[test]
fn meta_json_names_the_oldest_postgres_that_can_be_built_for() {
    let wanted = meta()["prereqs"]["runtime"]["requires"]["PostgreSQL"].clone();
    let cargo = read("Cargo.toml");
    let majors = cargo.lines().filter_map(|line| line.strip_prefix("pg")?.split_once(" = ["));
    let oldest: u32 = majors.filter_map(|(major, _)| major.parse().ok()).min().unwrap();
    assert_eq!(wanted, format!("{oldest}.0.0"));
}

#[test]
fn the_dockerfile_takes_a_compiler_that_is_new_enough() {
    let minor = |version: &str| version.split('.').nth(1).unwrap().parse::<u32>().unwrap();
    assert!(minor(&arg("RUST_VERSION")) >= minor(env!("CARGO_PKG_RUST_VERSION")));
}

#[test]
fn services_give_only_arguments_that_the_dockerfile_takes() {
    for (name, service) in compose()["services"].as_object().unwrap() {
        assert_eq!(service["build"]["context"], ".");
        for argument in service["build"]["args"].as_object().unwrap().keys() {
            // Panics where there is none.
            assert!(!arg(argument).is_empty(), "{name} gives {argument}");
        }
    }
}

#[test]
fn services_mount_a_directory_of_the_host_where_the_image_keeps_backups() {
    let volume = instructions("VOLUME").remove(0);
    assert_eq!(instructions("ENV").last().unwrap(), &format!("BACKUP_DIR={volume}"));
    let ignored = read(".dockerignore");
    for (name, service) in compose()["services"].as_object().unwrap() {
        let mounts = strings(&service["volumes"]);
        let source = mounts.iter().find_map(|mount| mount.strip_suffix(&format!(":{volume}")));
        let source = source.unwrap_or_else(|| panic!("{name} mounts nothing at {volume}"));
        let place = source.strip_prefix('.').expect("beside compose.yml");
        assert!(ignored.lines().any(|line| line == place), "{place} would go into the image");
    }
}

#[test]
fn services_preload_pg_backup_last_and_keep_their_password_in_a_file() {
    let compose = compose();
    let secrets = &compose["secrets"];
    for (name, service) in compose["services"].as_object().unwrap() {
        assert!(preloaded(service).split(',').next_back() == Some("pg_backup"), "{name}");
        let file = service["environment"]["POSTGRES_PASSWORD_FILE"].as_str().unwrap();
        let secret = file.strip_prefix("/run/secrets/").unwrap();
        assert!(strings(&service["secrets"]).contains(&secret), "{name} does not get {secret}");
        assert!(secrets[secret]["file"].as_str().unwrap().starts_with("./secrets/"));
        assert!(service["healthcheck"]["test"].is_array(), "{name} has no health check");
    }
    assert!(read(".dockerignore").lines().any(|line| line == "/secrets"));
}

#[test]
fn named_volumes_of_services_are_declared() {
    let compose = compose();
    for service in compose["services"].as_object().unwrap().values() {
        for mount in strings(&service["volumes"]) {
            let source = mount.split(':').next().unwrap();
            let declared = compose["volumes"].as_object().unwrap().contains_key(source);
            assert!(source.starts_with("./") || declared, "{mount}");
        }
    }
}

#[test]
fn make_uninstall_removes_the_files_of_the_extension_and_no_others() {
    let place = tempfile::tempdir().unwrap();
    let server = place.path().join("a server");
    let scripts = server.join("share/extension");
    fs::create_dir_all(&scripts).unwrap();
    let ours = ["pg_backup.control", "pg_backup--0.1.0.sql", "pg_backup--0.1.0--0.2.0.sql"];
    for name in ours.iter().chain(&["pg_backup_tools--1.0.sql", "plpgsql.control"]) {
        fs::write(scripts.join(name), "").unwrap();
    }
    fs::write(server.join("pg_backup.so"), "").unwrap();
    fs::write(server.join("pg_backup_tools.so"), "").unwrap();
    let told = format!(
        "#!/bin/sh\ncase $1 in --pkglibdir) echo '{0}';; --sharedir) echo '{0}/share';; esac\n",
        server.display()
    );
    let pg_config = place.path().join("pg_config");
    fs::write(&pg_config, told).unwrap();
    fs::set_permissions(&pg_config, fs::Permissions::from_mode(0o755)).unwrap();
    let mut make = Command::new("make");
    make.current_dir(root()).args(["--silent", "uninstall"]).env_remove("MAKEFLAGS");
    make.env_remove("DESTDIR");
    let output = make.arg(format!("PG_CONFIG={}", pg_config.display())).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut left: Vec<_> = [&server, &scripts]
        .iter()
        .flat_map(|dir| fs::read_dir(dir).unwrap().flatten())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    left.sort();
    let expected = ["pg_backup_tools--1.0.sql", "pg_backup_tools.so", "plpgsql.control", "share"];
    assert_eq!(left, expected);
}
