//! Walks through folders with links, depths and numbers that must not be followed for ever.

use super::*;
use crate::host::reach::open_exact;
use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};

fn walked(path: &Path, guarded: &Guarded) -> (Result<Vec<String>>, Vec<String>) {
    let (mut seen, mut met) = (Vec::new(), Met::default());
    let root = open_exact(path, guarded).unwrap();
    let place = Place { path, name: "x" };
    let done = walk(root, place, guarded, &mut met, &mut |_, member, item, _| {
        seen.push(match item {
            Item::Folder => format!("{member}/"),
            Item::File(mut file) => {
                let mut text = String::new();
                file.read_to_string(&mut text).unwrap();
                format!("{member}={text}")
            }
        });
        Ok(())
    });
    (done.map(|()| seen), met.into_warnings())
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(place.path()).unwrap();
    (place, path)
}

#[test]
fn everything_is_met_once_and_in_order() {
    let (_place, path) = place();
    fs::create_dir_all(path.join("b/c")).unwrap();
    fs::create_dir(path.join("empty")).unwrap();
    for name in ["z", "b/c/2", "b/c/1", "a"] {
        fs::write(path.join(name), name).unwrap();
    }
    let (seen, warnings) = walked(&path, &Guarded::default());
    let x = "attachments/x";
    let wanted = ["/", "/a=a", "/b/", "/b/c/", "/b/c/1=b/c/1", "/b/c/2=b/c/2", "/empty/", "/z=z"];
    assert_eq!(seen.unwrap(), wanted.map(|name| format!("{x}{name}")));
    assert!(warnings.is_empty());
    assert_eq!(walked(&path.join("a"), &Guarded::default()).0.unwrap(), [format!("{x}=a")]);
}

#[test]
fn no_link_is_followed_and_each_is_told() {
    let (_place, path) = place();
    symlink("/etc/passwd", path.join("file")).unwrap();
    symlink("/etc", path.join("folder")).unwrap();
    nix::unistd::mkfifo(&path.join("fifo"), Mode::S_IRWXU).unwrap();
    let (seen, warnings) = walked(&path, &Guarded::default());
    assert_eq!(seen.unwrap(), ["attachments/x/"]);
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(warnings[0].ends_with("it is a FIFO"), "{warnings:?}");
}

#[test]
fn a_guarded_place_is_not_reached_from_above_from_inside_or_as_it_is() {
    let (_place, path) = place();
    fs::create_dir_all(path.join("app/secret/deep")).unwrap();
    fs::write(path.join("app/secret/deep/key"), "k").unwrap();
    let secret = path.join("app/secret");
    let guarded = Guarded::new([secret.as_path(), Path::new("/nonexistent")]);
    let failure = walked(&path.join("app"), &guarded).0.unwrap_err();
    assert_eq!(failure.class, Class::InsufficientPrivilege);
    for inside in ["app/secret", "app/secret/deep", "app/secret/deep/key"] {
        let failure = open_exact(&path.join(inside), &guarded).unwrap_err();
        assert_eq!(failure.class, Class::InsufficientPrivilege, "{inside}");
    }
    let key = Guarded::new([secret.join("deep/key").as_path()]);
    fs::hard_link(secret.join("deep/key"), path.join("innocent")).unwrap();
    assert!(open_exact(&path.join("innocent"), &key).is_err(), "by another name");
}

#[test]
fn depth_is_bounded() {
    let (_place, path) = place();
    fs::create_dir_all(path.join("d/".repeat(DEPTH_MAX + 1))).unwrap();
    let failure = walked(&path, &Guarded::default()).0.unwrap_err();
    assert_eq!(failure.class, Class::LimitExceeded);
}

#[test]
fn a_walk_does_not_follow_a_link_that_is_put_in_its_way() {
    let (_outside, outside) = place();
    fs::write(outside.join("secret"), "SECRET").unwrap();
    let (_place, path) = place();
    let (swapped, aside) = (path.join("swapped"), path.join("aside"));
    fs::create_dir(&swapped).unwrap();
    fs::write(swapped.join("secret"), "harmless").unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                fs::rename(&swapped, &aside).unwrap();
                symlink(&outside, &swapped).unwrap();
                fs::remove_file(&swapped).unwrap();
                fs::rename(&aside, &swapped).unwrap();
            }
        });
        for _ in 0..2000 {
            if let Ok(seen) = walked(&path, &Guarded::default()).0 {
                assert!(seen.iter().all(|text| !text.contains("SECRET")), "{seen:?}");
            }
            if let Ok(opened) = open_exact(&swapped.join("secret"), &Guarded::default()) {
                let mut text = String::new();
                File::from(opened.fd).read_to_string(&mut text).unwrap();
                assert_eq!(text, "harmless");
            }
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn entries_names_and_warnings_are_bounded() {
    let place = Place { path: Path::new("/srv/app"), name: "app" };
    let mut met = Met::default();
    for _ in 0..ENTRIES_MAX {
        met.count(place, Path::new("a")).unwrap();
    }
    let failure = met.count(place, Path::new("a")).unwrap_err();
    assert_eq!(failure.class, Class::LimitExceeded);
    let (long, mut met) = ("n".repeat(250), Met::default());
    let counted = (0..ENTRIES_MAX).take_while(|_| met.count(place, Path::new(&long)).is_ok());
    assert!((20_000..60_000).contains(&counted.count()));
    let deep = "d/".repeat(600);
    assert!(Met::default().count(place, Path::new(&deep)).is_err(), "longer than a zip takes");
    let mut met = Met::default();
    (0..1000).for_each(|number| met.warn(number.to_string()));
    let warnings = met.into_warnings();
    assert_eq!(warnings.len() as u64, WARNINGS_MAX + 1);
    assert_eq!(warnings.last().unwrap(), "and 950 more of attached files");
}
