//! Directories of every kind that can be configured, and names that must not lead out of one.

use super::*;
use nix::sys::stat::Mode;
use nix::unistd::{geteuid, mkfifo};
use std::os::unix::fs::{PermissionsExt, chown, symlink};

const NOBODY: u32 = 65534;

/// A data directory for one test, and paths in it.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        // The temporary directory itself may be reached through a link.
        self.0.path().canonicalize().unwrap().join(name)
    }

    fn make(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.at(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn open(&self, configured: impl AsRef<Path>, create: bool) -> Result<BackupDir> {
        BackupDir::open(configured.as_ref(), self.0.path(), create)
    }

    fn refusal(&self, configured: impl AsRef<Path>) -> Failure {
        self.open(configured, true).unwrap_err()
    }

    /// A usable backup directory.
    fn backups(&self) -> BackupDir {
        self.open("pg_backup", true).unwrap()
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_relative_path_lies_under_the_data_directory_and_is_made_private() {
    let place = Place::new();
    let dir = place.open("pg_backup/deep", true).unwrap();
    assert_eq!(dir.path(), place.at("pg_backup/deep"));
    assert_eq!(mode(dir.path()), 0o700);
    assert_eq!(mode(&place.at("pg_backup")), 0o700);
    assert_eq!(place.open("./pg_backup//deep/", true).unwrap(), dir);
}

#[test]
fn nothing_is_made_when_not_asked_for() {
    let place = Place::new();
    let failure = place.open("pg_backup", false).unwrap_err();
    assert_eq!(failure.class, Class::UndefinedFile);
    assert_eq!(failure.hint, "The first backup creates it.");
    assert!(!place.at("pg_backup").exists());
}

#[test]
fn an_absolute_path_must_exist() {
    let place = Place::new();
    let missing = place.at("mnt");
    let failure = place.refusal(&missing);
    assert_eq!(failure.class, Class::UndefinedFile);
    assert!(failure.message.ends_with("mnt\" does not exist"), "{}", failure.message);
    assert!(failure.hint.contains("Create it first"), "{}", failure.hint);
    assert!(!missing.exists());
    fs::create_dir(&missing).unwrap();
    assert_eq!(place.open(&missing, true).unwrap().path(), missing);
}

#[test]
fn a_relative_path_that_leads_elsewhere_is_refused() {
    let place = Place::new();
    for configured in ["", ".", "..", "../backups", "a/../..", "./."] {
        assert_eq!(place.refusal(configured).class, Class::InvalidArgument, "{configured}");
    }
    assert_eq!(fs::read_dir(place.0.path()).unwrap().count(), 0);
}

#[test]
fn what_is_no_directory_is_named() {
    let place = Place::new();
    fs::write(place.at("file"), "").unwrap();
    mkfifo(&place.at("fifo"), Mode::S_IRWXU).unwrap();
    for (name, said) in [("file", "is a file"), ("fifo", "is a FIFO")] {
        for configured in [PathBuf::from(name), place.at(name)] {
            let failure = place.refusal(configured);
            assert_eq!(failure.class, Class::InvalidArgument);
            assert!(failure.message.ends_with(said), "{}", failure.message);
        }
    }
    assert!(place.refusal(place.at("file/below")).message.ends_with("lies below a file"));
}

#[test]
fn a_link_that_leads_nowhere_is_named_and_stays() {
    let place = Place::new();
    symlink("/nonexistent", place.at("gone")).unwrap();
    symlink("loop", place.at("loop")).unwrap();
    for name in ["gone", "loop"] {
        let failure = place.refusal(name);
        assert_eq!(failure.class, Class::UndefinedFile);
        assert!(failure.message.ends_with("is a dangling symbolic link"), "{}", failure.message);
        assert!(place.at(name).is_symlink());
    }
}

#[test]
fn a_link_to_a_good_directory_is_resolved_once() {
    let place = Place::new();
    let real = place.make("real", 0o700);
    symlink(&real, place.at("link")).unwrap();
    assert_eq!(place.open("link", true).unwrap().path(), real);
    assert_eq!(place.open(place.at("link"), false).unwrap().path(), real);
}

#[test]
fn a_foreign_owner_is_named() {
    let place = Place::new();
    let foreign = place.make("foreign", 0o700);
    // Root can give a directory away; for anybody else the root directory is a foreign one.
    let foreign = if geteuid().is_root() {
        chown(&foreign, Some(NOBODY), None).unwrap();
        foreign
    } else {
        PathBuf::from("/")
    };
    let failure = place.refusal(&foreign);
    assert_eq!(failure.class, Class::NotReady);
    assert!(failure.message.ends_with("has the wrong owner"), "{}", failure.message);
    let owner = if geteuid().is_root() { NOBODY } else { 0 };
    assert!(failure.detail.contains(&format!("uid {owner}")), "{}", failure.detail);
    assert!(failure.detail.contains(&format!("uid {geteuid}", geteuid = geteuid())));
}

#[test]
fn a_directory_that_others_can_write_to_is_refused() {
    let place = Place::new();
    for bits in [0o777, 0o770, 0o702, 0o1777] {
        let path = place.make(&format!("open{bits:o}"), bits);
        let failure = place.refusal(&path);
        assert_eq!(failure.class, Class::NotReady);
        assert_eq!(failure.detail, format!("Its mode is {bits:04o}."));
        assert!(failure.hint.contains("chmod 0700"), "{}", failure.hint);
    }
    let path = place.make("readable", 0o755);
    assert!(place.open(path, false).is_ok());
}

#[test]
fn a_directory_that_cannot_be_written_to_is_refused() {
    let place = Place::new();
    // Modes do not stop root, but no user can make a file in sysfs.
    let sealed =
        if geteuid().is_root() { PathBuf::from("/sys") } else { place.make("sealed", 0o500) };
    if fs::metadata(&sealed).map_or(true, |meta| meta.uid() != geteuid().as_raw()) {
        println!("not exercised: {} does not belong to uid {}", sealed.display(), geteuid());
        return;
    }
    let failure = place.refusal(&sealed);
    let expected = format!("could not write to backup directory \"{}\": ", sealed.display());
    let reason = failure.message.strip_prefix(&expected).expect(&failure.message);
    assert!(!reason.contains('/'), "the name of the file that was tried is nobody's concern");
    assert_ne!(failure.hint, "");
}

#[test]
fn refusals_of_the_system_have_their_own_hints() {
    for (errno, class, hint) in [
        (nix::libc::EROFS, Class::Io, "read-only"),
        (nix::libc::EACCES, Class::Io, "chmod 0700"),
        (nix::libc::ENOSPC, Class::DiskFull, "Free space"),
        (nix::libc::EDQUOT, Class::DiskFull, "Free space"),
        (nix::libc::EIO, Class::Io, ""),
    ] {
        let failure =
            check::no_access("write to", Path::new("/b"), &io::Error::from_raw_os_error(errno));
        assert_eq!(failure.class, class);
        assert!(failure.hint.contains(hint), "{}", failure.hint);
    }
}

#[test]
fn the_test_for_writing_leaves_nothing_behind() {
    let place = Place::new();
    let dir = place.backups();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_folder_is_made_private_on_both_levels_and_found_again() {
    let place = Place::new();
    let dir = place.backups();
    let folder = dir.folder(7, "app").unwrap();
    assert_eq!(folder, dir.path().join("7/app"));
    assert_eq!((mode(&folder), mode(&dir.path().join("7"))), (0o700, 0o700));
    assert_eq!(dir.folder(7, "app").unwrap(), folder);
}

#[test]
fn foreign_things_in_the_place_of_a_folder_are_refused() {
    let place = Place::new();
    let dir = place.backups();
    dir.folder(7, "app").unwrap();
    let elsewhere = place.make("elsewhere", 0o700);
    symlink(&elsewhere, dir.path().join("7/link")).unwrap();
    symlink(&elsewhere, dir.path().join("8")).unwrap();
    fs::write(dir.path().join("7/file"), "").unwrap();
    for (system, database) in [(7, "link"), (8, "app"), (7, "file")] {
        let failure = dir.folder(system, database).unwrap_err();
        assert_eq!(failure.class, Class::DuplicateFile, "{database}");
    }
    assert_eq!(fs::read_dir(elsewhere).unwrap().count(), 0);
    let open = dir.folder(7, "open").unwrap();
    fs::set_permissions(open, fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(dir.folder(7, "open").unwrap_err().class, Class::NotReady);
}

#[test]
fn a_name_that_is_a_path_is_no_folder() {
    let place = Place::new();
    let dir = place.backups();
    for name in ["", ".", "..", "a/b", "/etc", "a\0"] {
        assert_eq!(dir.folder(7, name).unwrap_err().class, Class::Internal, "{name:?}");
    }
}

#[test]
fn a_stored_name_leads_back_to_its_file() {
    let place = Place::new();
    let dir = place.backups();
    let file = dir.folder(7, "app").unwrap().join("app_1.zip");
    let name = dir.relative(&file);
    assert_eq!(name, "7/app/app_1.zip");
    assert_eq!(dir.resolve(&name).unwrap(), file, "also when it does not exist");
    fs::write(&file, "").unwrap();
    assert_eq!(dir.resolve(&name).unwrap(), file);
    assert!(dir.resolve(&dir.relative(Path::new("/etc/passwd"))).is_err());
}

#[test]
fn a_stored_name_never_leads_out() {
    let place = Place::new();
    let dir = place.backups();
    for name in ["", "/etc/passwd", "..", "7/../../x", "7//x", "./x", "7/./x", "x/", "a\0b"] {
        assert_eq!(dir.resolve(name).unwrap_err().class, Class::InvalidArgument, "{name:?}");
    }
    symlink("/etc", dir.path().join("7")).unwrap();
    assert_eq!(dir.resolve("7/passwd").unwrap_err().class, Class::Damaged);
    let folder = dir.folder(8, "app").unwrap();
    symlink("/etc/passwd", folder.join("x.zip")).unwrap();
    assert_eq!(dir.resolve("8/app/x.zip").unwrap_err().class, Class::Damaged);
}

#[test]
fn a_disk_is_shared_with_what_lies_on_it() {
    let place = Place::new();
    let dir = place.backups();
    assert!(dir.shares_disk_with(place.0.path()).unwrap());
    assert!(!dir.shares_disk_with(Path::new("/proc")).unwrap());
    let failure = dir.shares_disk_with(Path::new("/nonexistent")).unwrap_err();
    assert_eq!(failure.class, Class::UndefinedFile);
}

#[test]
fn a_folder_that_goes_before_it_is_used_is_made_again() {
    let place = Place::new();
    let dir = place.backups();
    let mut tries = 0;
    let made = dir.in_folder(7, "app", |folder| {
        tries += 1;
        if tries < 3 {
            fs::remove_dir(folder).unwrap();
        }
        let file = folder.join("x");
        fs::write(&file, "").map_err(|e| Failure::io("write", &e))
    });
    made.unwrap();
    assert_eq!(tries, 3);
}
