//! New files and folders in a place of others: what was there stays, what is given up goes.

use super::*;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};

fn parent(path: &Path) -> Parent {
    let text = path.display().to_string();
    let allowed = AllowList { setting: "pg_backup.export_directories", value: &text };
    Parent::open(path, &allowed, &Guarded::default()).unwrap()
}

fn names(path: &Path) -> Vec<String> {
    let entries = fs::read_dir(path).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_name_appears_when_it_is_complete() {
    let place = tempfile::tempdir().unwrap();
    let parent = parent(place.path());
    let fresh = Fresh::file(&parent, OsStr::new("a.zip")).unwrap();
    fresh.handle().unwrap().write_all(b"bytes").unwrap();
    assert_eq!(names(place.path()), [".a.zip.pg_backup.partial"]);
    let path = fresh.publish().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"bytes");
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
    let folder = Fresh::folder(&parent, OsStr::new("b")).unwrap();
    let names_of = |names: &[&str]| names.iter().map(|n| n.as_bytes().to_vec()).collect::<Vec<_>>();
    let root = folder.handle().unwrap();
    create_file(&root, &names_of(&["x", "y", "z"])).unwrap().write_all(b"z").unwrap();
    let twice = create_file(&root, &names_of(&["x", "y", "z"])).unwrap_err();
    assert_eq!(twice.class, Class::Damaged);
    folder.publish().unwrap();
    assert_eq!(fs::read(place.path().join("b/x/y/z")).unwrap(), b"z");
}

#[test]
fn nothing_stays_of_what_is_given_up() {
    let place = tempfile::tempdir().unwrap();
    let parent = parent(place.path());
    drop(Fresh::file(&parent, OsStr::new("a")).unwrap());
    let folder = Fresh::folder(&parent, OsStr::new("b")).unwrap();
    create_file(&folder.handle().unwrap(), &[b"x".to_vec(), b"y".to_vec()]).unwrap();
    drop(folder);
    assert!(names(place.path()).is_empty());
}

#[test]
fn what_is_there_is_never_replaced() {
    let place = tempfile::tempdir().unwrap();
    let parent = parent(place.path());
    fs::write(place.path().join("file"), "precious").unwrap();
    fs::create_dir(place.path().join("folder")).unwrap();
    symlink("nowhere", place.path().join("link")).unwrap();
    for name in ["file", "folder", "link"] {
        for made in [Fresh::file, Fresh::folder] {
            let failure = made(&parent, OsStr::new(name)).unwrap_err();
            assert_eq!(failure.class, Class::DuplicateFile, "{name}");
        }
    }
    for made in [Fresh::file, Fresh::folder] {
        let fresh = made(&parent, OsStr::new("late")).unwrap();
        fs::create_dir(place.path().join("late")).unwrap();
        assert_eq!(fresh.publish().unwrap_err().class, Class::DuplicateFile);
        fs::remove_dir(place.path().join("late")).unwrap();
    }
    assert_eq!(names(place.path()).len(), 3, "{:?}", names(place.path()));
    assert_eq!(fs::read(place.path().join("file")).unwrap(), b"precious");
}

#[test]
fn what_a_dead_job_left_is_removed_and_what_a_living_one_makes_is_not() {
    let place = tempfile::tempdir().unwrap();
    let parent = parent(place.path());
    let partial = place.path().join(".b.pg_backup.partial");
    fs::create_dir_all(partial.join("deep/er")).unwrap();
    fs::write(partial.join("deep/file"), "x").unwrap();
    let living = Fresh::folder(&parent, OsStr::new("b")).unwrap();
    assert!(names(&partial).is_empty(), "the leftover is gone");
    let failure = Fresh::folder(&parent, OsStr::new("b")).unwrap_err();
    assert_eq!(failure.class, Class::Concurrent);
    living.publish().unwrap();
    // Something else of that name is not ours to remove.
    fs::write(place.path().join(".c.pg_backup.partial"), "x").unwrap();
    assert_eq!(Fresh::folder(&parent, OsStr::new("c")).unwrap_err().class, Class::DuplicateFile);
    symlink("/etc", place.path().join(".d.pg_backup.partial")).unwrap();
    assert!(Fresh::folder(&parent, OsStr::new("d")).is_err());
    let long = "n".repeat(NAME_MAX + 1);
    assert!(Fresh::file(&parent, OsStr::new(&long)).is_err());
}

#[test]
fn a_link_inside_is_not_followed() {
    let (place, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let parent = parent(place.path());
    let folder = Fresh::folder(&parent, OsStr::new("b")).unwrap();
    symlink(elsewhere.path(), folder.partial_path().join("x")).unwrap();
    let path = [b"x".to_vec(), b"y".to_vec()];
    assert!(create_file(&folder.handle().unwrap(), &path).is_err());
    drop(folder);
    assert!(names(elsewhere.path()).is_empty() && elsewhere.path().exists());
}
