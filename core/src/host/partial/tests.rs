//! Partials and working directories: durable, exclusive, and gone whatever happens.

use super::*;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;

const NAME: &str = "app_20260102T030405Z_1.zip";
const PARTIAL: &str = ".app_20260102T030405Z_1.zip.partial";
const WORK: &str = ".app_20260102T030405Z_1.zip.work.partial";

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

/// Takes `path` with each kind of thing in turn, and runs `check`.
fn with_each_kind(path: &Path, check: impl Fn(&str)) {
    fs::write(path, "mine").unwrap();
    check("a file");
    fs::remove_file(path).unwrap();
    symlink("/nonexistent", path).unwrap();
    check("a symbolic link");
    fs::remove_file(path).unwrap();
    mkfifo(path, Mode::S_IRWXU).unwrap();
    check("a FIFO");
    fs::remove_file(path).unwrap();
    let socket = UnixListener::bind(path).unwrap();
    check("a socket");
    drop(socket);
    fs::remove_file(path).unwrap();
    fs::create_dir(path).unwrap();
    check("a directory");
    fs::remove_dir(path).unwrap();
}

#[test]
fn a_partial_is_private_readable_and_published_under_its_final_name() {
    let dir = folder();
    let partial = Partial::create(dir.path(), NAME).unwrap();
    assert_eq!(names(dir.path()), [PARTIAL]);
    assert_eq!(partial.path(), dir.path().join(PARTIAL));
    assert_eq!(mode(partial.path()), 0o600);
    let (mut file, mut text) = (partial.file(), String::new());
    file.write_all(b"payload").unwrap();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "payload");
    let path = partial.final_path().to_owned();
    assert_eq!(partial.publish().unwrap(), path);
    assert_eq!(names(dir.path()), [NAME]);
    assert_eq!((fs::read(&path).unwrap().as_slice(), mode(&path)), (&b"payload"[..], 0o600));
}

#[test]
fn a_partial_that_is_dropped_or_discarded_is_gone() {
    let dir = folder();
    drop(Partial::create(dir.path(), NAME).unwrap());
    assert!(names(dir.path()).is_empty());
    Partial::create(dir.path(), NAME).unwrap().discard().unwrap();
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_living_partial_is_locked() {
    let dir = folder();
    let partial = Partial::create(dir.path(), NAME).unwrap();
    let again = open_existing(partial.path()).unwrap();
    assert_eq!(try_lock(&again, partial.path()).unwrap(), Lock::HeldByAnother);
}

#[test]
fn whatever_has_a_name_already_is_refused_and_stays() {
    let dir = folder();
    for taken in [NAME, PARTIAL] {
        let path = dir.path().join(taken);
        with_each_kind(&path, |what| {
            let failure = Partial::create(dir.path(), NAME).unwrap_err();
            assert_eq!(failure.class, Class::DuplicateFile, "{what}");
            assert_eq!(failure.detail, format!("It is {what}."));
            assert_eq!(names(dir.path()), [taken]);
        });
    }
}

#[test]
fn publishing_replaces_nothing() {
    let dir = folder();
    with_each_kind(&dir.path().join("other"), |what| {
        let partial = Partial::create(dir.path(), NAME).unwrap();
        let final_path = partial.final_path().to_owned();
        fs::rename(dir.path().join("other"), &final_path).unwrap();
        let inode = fs::symlink_metadata(&final_path).unwrap().ino();
        let failure = partial.publish().unwrap_err();
        assert_eq!(failure.class, Class::DuplicateFile, "{what}");
        assert_eq!(names(dir.path()), [NAME], "{what}: the partial is gone");
        assert_eq!(fs::symlink_metadata(&final_path).unwrap().ino(), inode);
        fs::rename(&final_path, dir.path().join("other")).unwrap();
    });
}

#[test]
fn a_partial_that_was_swapped_is_not_published_and_the_stranger_stays() {
    let dir = folder();
    let partial = Partial::create(dir.path(), NAME).unwrap();
    fs::remove_file(partial.path()).unwrap();
    fs::write(partial.path(), "stranger").unwrap();
    assert_eq!(partial.publish().unwrap_err().class, Class::Damaged);
    assert_eq!(names(dir.path()), [PARTIAL]);
    assert_eq!(fs::read(dir.path().join(PARTIAL)).unwrap(), b"stranger");
}

#[test]
fn a_partial_that_was_removed_is_an_error_to_publish_and_none_to_discard() {
    let dir = folder();
    let partial = Partial::create(dir.path(), NAME).unwrap();
    fs::remove_file(partial.path()).unwrap();
    assert_eq!(partial.publish().unwrap_err().class, Class::Damaged);
    let partial = Partial::create(dir.path(), NAME).unwrap();
    fs::remove_file(partial.path()).unwrap();
    partial.discard().unwrap();
}

#[test]
fn without_an_atomic_rename_a_link_replaces_nothing_either() {
    let dir = folder();
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    fs::write(&from, "new").unwrap();
    link_new(&from, &to).unwrap();
    assert_eq!(names(dir.path()), ["to"]);
    fs::write(&from, "newer").unwrap();
    assert_eq!(link_new(&from, &to).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&to).unwrap(), b"new");
    assert_eq!(names(dir.path()), ["from", "to"]);
}

#[test]
fn a_name_that_is_a_path_is_refused() {
    let dir = folder();
    for name in ["", ".", "..", "a/b", "/x", "a\0"] {
        assert_eq!(Partial::create(dir.path(), name).unwrap_err().class, Class::Internal);
        assert_eq!(WorkDir::create(dir.path(), name).unwrap_err().class, Class::Internal);
    }
}

#[test]
fn a_missing_folder_is_an_error() {
    let dir = folder();
    let gone = dir.path().join("gone");
    assert_eq!(Partial::create(&gone, NAME).unwrap_err().class, Class::UndefinedFile);
    assert_eq!(WorkDir::create(&gone, NAME).unwrap_err().class, Class::UndefinedFile);
}

#[test]
fn a_working_directory_is_private_locked_and_goes_with_its_owner() {
    let dir = folder();
    let work = WorkDir::create(dir.path(), NAME).unwrap();
    assert_eq!(work.path(), dir.path().join(WORK));
    assert_eq!((mode(work.path()), names(work.path())), (0o700, vec![".lock".to_owned()]));
    let (file, lock) = open_lock(work.path()).unwrap();
    assert_eq!(try_lock(&file, &lock).unwrap(), Lock::HeldByAnother);
    fs::create_dir(work.path().join("database")).unwrap();
    fs::write(work.path().join("database/1.dat"), "rows").unwrap();
    drop(work);
    assert!(names(dir.path()).is_empty());
    WorkDir::create(dir.path(), NAME).unwrap().remove().unwrap();
    assert!(names(dir.path()).is_empty());
}

#[test]
fn links_in_a_working_directory_are_not_followed_when_it_goes() {
    let (dir, other) = (folder(), folder());
    fs::write(other.path().join("precious"), "").unwrap();
    let work = WorkDir::create(dir.path(), NAME).unwrap();
    symlink(other.path(), work.path().join("link")).unwrap();
    drop(work);
    assert_eq!(names(other.path()), ["precious"]);
    assert!(names(dir.path()).is_empty());
}

#[test]
fn a_working_directory_is_refused_where_something_is() {
    let dir = folder();
    for taken in [NAME, WORK] {
        with_each_kind(&dir.path().join(taken), |what| {
            let failure = WorkDir::create(dir.path(), NAME).unwrap_err();
            assert_eq!(failure.class, Class::DuplicateFile, "{what}");
            assert_eq!(names(dir.path()), [taken]);
        });
    }
}

#[test]
fn a_working_directory_of_another_owner_stays_when_ours_is_gone() {
    let dir = folder();
    let work = WorkDir::create(dir.path(), NAME).unwrap();
    fs::remove_dir_all(work.path()).unwrap();
    let successor = WorkDir::create(dir.path(), NAME).unwrap();
    drop(work);
    assert!(successor.path().join(".lock").exists());
}

#[test]
fn what_is_given_up_takes_an_empty_folder_along_and_no_other() {
    let dir = folder();
    let below = dir.path().join("app");
    let both = || {
        fs::create_dir_all(&below).unwrap();
        let partial = Partial::create(&below, NAME).unwrap().with_folder();
        (partial, WorkDir::create(&below, NAME).unwrap().with_folder())
    };
    let (partial, work) = both();
    drop(partial);
    assert!(work.path().exists());
    drop(work);
    assert!(!below.exists());
    let (partial, work) = both();
    drop(work);
    assert!(partial.path().exists());
    drop(partial);
    assert!(!below.exists());
    let (partial, work) = both();
    partial.publish().unwrap();
    drop(work);
    assert_eq!(names(&below), [NAME]);
}
