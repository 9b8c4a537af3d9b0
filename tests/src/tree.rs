//! Trees of files for tests: made, and compared.

use crate::place::give_to_server;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// One entry of a tree: path, mode, seconds of its last change, and the bytes of a file.
pub type Entry = (Vec<u8>, u32, i64, Option<Vec<u8>>);

/// Everything below `root`, in the order of the paths. Links are entries without bytes.
pub fn tree(root: &Path) -> Vec<Entry> {
    let mut entries = Vec::new();
    collect(root, root, &mut entries);
    entries.sort();
    entries
}

fn collect(root: &Path, folder: &Path, entries: &mut Vec<Entry>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
        let path = entry.expect("it can be read").path();
        let meta = fs::symlink_metadata(&path).expect("it is there");
        let bytes = meta.is_file().then(|| fs::read(&path).expect("it can be read"));
        let below = path.strip_prefix(root).expect("it is below").as_os_str().as_bytes();
        entries.push((below.to_owned(), meta.permissions().mode() & 0o777, meta.mtime(), bytes));
        if meta.is_dir() {
            collect(root, &path, entries);
        }
    }
}

/// Makes an application's files below `root`, which belongs to the server: names that are hard to
/// bear, empty files and folders, permissions, something large. Gives the number of files.
pub fn plant_app(root: &Path) -> usize {
    let long = "n".repeat(255);
    let names: [&[u8]; 14] = [
        b"readme.txt",
        b"-rf",
        b".hidden",
        b"new\nline",
        b"it's \"quoted\" & $(x) `y`",
        "Ünï 漢字 😀".as_bytes(),
        b"100% off",
        b"back\\slash",
        b"latin1-\xe9.txt",
        b"..%2F..%2Fetc",
        b"tab\there",
        b" leading and trailing ",
        long.as_bytes(),
        b"database.dump",
    ];
    for folder in ["deep/er/still", "empty", "empty/inside", "closed"] {
        fs::create_dir_all(root.join(folder)).expect("the directory is ours");
    }
    for (number, name) in names.iter().enumerate() {
        let folder = if number % 2 == 0 { "" } else { "deep/er" };
        fs::write(root.join(folder).join(OsStr::from_bytes(name)), name).expect("it is ours");
    }
    fs::write(root.join("empty file"), "").expect("it is ours");
    let noise: Vec<u8> = (0..3_000_000u64)
        .map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40).wrapping_mul(i) as u8)
        .collect();
    fs::write(root.join("deep/noise.jpg"), noise).expect("it is ours");
    fs::write(root.join("deep/zeros"), vec![0; 5_000_000]).expect("it is ours");
    fs::set_permissions(root.join("closed"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::set_permissions(root.join("readme.txt"), fs::Permissions::from_mode(0o640)).unwrap();
    give_to_server(&root.join("readme.txt"));
    give_to_server(&root.join("closed"));
    names.len() + 3
}
