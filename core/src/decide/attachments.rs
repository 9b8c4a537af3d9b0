//! Attached files: which may be asked for, and by which names they lie in the archive.
//!
//! In: paths of files and folders, names of what is found in them. Out: names of members,
//! `attachments/<name>/<path>`. What must hold: every name that a file system can hold has exactly
//! one name in the archive, and back; no two attached things share a name.

use std::path::{Path, PathBuf};

use super::directories::is_absolute;
use crate::error::{Class, Failure, Result};

/// Folder of all attached files in an archive.
pub const ATTACHMENTS: &str = "attachments/";
/// Things that one backup may attach; folders hold the rest.
const ATTACHED_MAX: usize = 100;
/// Longest name of a member, bytes: what every reader of zip files takes.
pub const MEMBER_MAX: usize = 1024;
/// A byte of a name that is not kept as it is.
const ESCAPE: u8 = b'%';

/// Checks what is to be attached, before any file is looked at. Errors: `InvalidArgument`.
pub fn check(paths: &[String]) -> Result<()> {
    let refused = |what: String| Failure::new(Class::InvalidArgument, what);
    if paths.len() > ATTACHED_MAX {
        return Err(refused(format!("attach lists more than {ATTACHED_MAX} files and folders"))
            .hint("Attach a folder that holds them."));
    }
    let mut names = Vec::new();
    for path in paths {
        let name = attached_name(path)?;
        if names.contains(&name) {
            return Err(refused(format!("attach lists two things named \"{name}\""))
                .detail("Each lies in the archive by the last part of its path.")
                .hint("Rename one, or attach a folder that holds both."));
        }
        names.push(name);
    }
    Ok(())
}

/// The name in the archive of a path that is attached: the last part of it, encoded.
pub fn attached_name(path: &str) -> Result<String> {
    let name = Path::new(path).file_name().filter(|_| is_absolute(Path::new(path)));
    let name = name.ok_or_else(|| {
        let message = format!("cannot attach \"{}\"", path.escape_debug());
        Failure::new(Class::InvalidArgument, message)
            .detail("It is not the absolute path of a file or folder.")
            .hint(
                "Give a path like '/srv/app/uploads', below a directory of \
                   pg_backup.attach_directories.",
            )
    })?;
    Ok(encode(name.as_encoded_bytes()))
}

/// The member of what lies at `path` below a thing attached as `name`:
/// `attachments/<name>/<path>`, each name encoded. Errors: `LimitExceeded` when it is too long.
pub fn member_name(name: &str, path: &Path) -> Result<String> {
    let mut member = format!("{ATTACHMENTS}{name}");
    for part in path {
        member.push('/');
        member.push_str(&encode(part.as_encoded_bytes()));
    }
    // A folder's name has a slash behind it.
    if member.len() < MEMBER_MAX {
        return Ok(member);
    }
    let shown = path.to_string_lossy().escape_debug().to_string();
    let message = format!("the path of \"{shown}\" is too long to be attached");
    Err(Failure::new(Class::LimitExceeded, message)
        .detail(format!("Names in an archive have at most {MEMBER_MAX} bytes."))
        .hint("Attach a folder further down."))
}

/// The setting's directories and the path that is asked for, both without links: whether it is
/// allowed.
pub fn is_below(path: &Path, directories: &[PathBuf]) -> bool {
    directories.iter().any(|directory| path.starts_with(directory))
}

/// One name of a file system as text: what is not printable UTF-8, a backslash and `%` become
/// `%XX`, as in an URL.
pub fn encode(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '%' | '\\' => escape(&mut text, &[c as u8]),
                c if c.is_control() => escape(&mut text, c.encode_utf8(&mut [0; 4]).as_bytes()),
                c => text.push(c),
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

fn escape(text: &mut String, bytes: &[u8]) {
    use std::fmt::Write;
    for byte in bytes {
        let _ = write!(text, "%{byte:02X}");
    }
}

/// The name of a file system behind one part of a member's name; None for what [`encode`] never
/// writes, and for what is no plain name.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(byte) = rest.next() {
        match *byte {
            ESCAPE => {
                let digits = [*rest.next()?, *rest.next()?];
                name.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
            }
            byte => name.push(byte),
        }
    }
    let plain = !matches!(&name[..], b"" | b"." | b"..") && !name.contains(&b'/');
    (plain && !name.contains(&0) && encode(&name) == text).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_that_people_use_stays_as_it_is() {
        for name in ["a.txt", "-rf", "Ünï 漢字 😀", "it's \"quoted\"", ".hidden", "a b"] {
            assert_eq!(encode(name.as_bytes()), name);
        }
        assert_eq!(encode(b"100%.pdf"), "100%25.pdf");
        assert_eq!(encode(b"new\nline\\back\xff"), "new%0Aline%5Cback%FF");
    }

    #[test]
    fn what_leads_elsewhere_is_no_name() {
        for text in ["", ".", "..", "%2E", "%2E%2E", "a%2Fb", "a/b", "%00", "%", "%4", "%zz", "%+1"]
        {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn attached_paths_are_absolute_and_their_names_differ() {
        let list = |paths: &[&str]| check(&paths.iter().map(|p| p.to_string()).collect::<Vec<_>>());
        assert!(list(&["/srv/uploads", "/etc/app/config"]).is_ok());
        assert!(list(&["/srv/uploads/"]).is_ok());
        assert!(list(&["/a/x", "/b/x"]).unwrap_err().message.contains("two things named \"x\""));
        for path in ["", "/", "uploads", "/srv/..", "/srv/../etc", "/srv/a\0b", "./a"] {
            assert!(list(&[path]).is_err(), "{path}");
        }
    }

    #[test]
    fn below_is_told_by_whole_names() {
        let allowed = [PathBuf::from("/srv/app")];
        assert!(is_below(Path::new("/srv/app"), &allowed));
        assert!(is_below(Path::new("/srv/app/x"), &allowed));
        assert!(!is_below(Path::new("/srv/application"), &allowed));
        assert!(!is_below(Path::new("/srv/app"), &[]));
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in prop::collection::vec(1u8..=255, 1..64)) {
            prop_assume!(!name.contains(&b'/') && name != b"." && name != b"..");
            let text = encode(&name);
            prop_assert!(!text.contains(['\\', '/', '\0', '\n']));
            prop_assert_eq!(decode(&text), Some(name));
        }

        #[test]
        fn no_text_decodes_to_a_path(text in ".{0,40}") {
            if let Some(name) = decode(&text) {
                prop_assert!(!name.contains(&b'/') && !name.contains(&0) && name != b"..");
            }
        }
    }
}
