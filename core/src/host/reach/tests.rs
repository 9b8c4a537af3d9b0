//! Paths below an allowed directory, with links on the way.

use super::*;
use std::os::unix::fs::symlink;

fn list(value: &str) -> AllowList<'_> {
    AllowList { setting: "pg_backup.attach_directories", value }
}

#[test]
fn what_lies_below_an_allowed_directory_is_found_without_links() {
    let place = tempfile::tempdir().unwrap();
    let root = fs::canonicalize(place.path()).unwrap();
    for folder in ["real/in", "other"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    symlink(root.join("real"), root.join("link")).unwrap();
    symlink(root.join("other"), root.join("real/out")).unwrap();
    let by_link = root.join("link").display().to_string();
    let allowed = list(&by_link);
    let found = allowed.resolve(&root.join("link/in"));
    assert_eq!(found.unwrap(), root.join("real/in"), "the setting itself may be a link");
    assert_eq!(allowed.resolve(&root.join("real")).unwrap(), root.join("real"));
    for path in ["other", "real/out", "link/out", "real/../other", "re"] {
        let failure = allowed.resolve(&root.join(path)).unwrap_err();
        assert_eq!(failure.class, Class::InsufficientPrivilege, "{path}");
    }
    let failure = allowed.resolve(&root.join("link/missing")).unwrap_err();
    assert_eq!(failure.class, Class::UndefinedFile);
    let failure = list("").resolve(&root.join("real")).unwrap_err();
    assert!(failure.detail.contains("empty"), "{failure:?}");
    assert!(list("not/absolute").resolve(&root).is_err());
}

#[test]
fn a_message_stays_on_one_line() {
    assert!(!shown(Path::new("/a\nb\x1b[2J")).contains(['\n', '\x1b']));
}
