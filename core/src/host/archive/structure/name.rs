//! Which names a member may have.

use super::NAME_MAX;

/// What is wrong with a name, continuing `has a member whose name `; None when nothing is.
pub fn fault(name: &[u8]) -> Option<&'static str> {
    let Ok(text) = std::str::from_utf8(name) else { return Some("is not in UTF-8") };
    match text {
        "" => Some("is empty"),
        _ if text.len() > NAME_MAX => Some("is too long"),
        _ if text.contains('\0') => Some("holds a NUL"),
        _ if text.contains('\\') => Some("holds a backslash"),
        _ if text.starts_with('/') => Some("is absolute"),
        _ if text.ends_with('/') => Some("is that of a directory"),
        _ if text.split('/').any(|part| part == "..") => Some("leads outside"),
        _ if text.split('/').any(|part| part.is_empty() || part == ".") => Some("is not plain"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_relative_plain_and_not_too_long() {
        let long = "a/".repeat(512) + "b";
        for (name, wanted) in [
            (&b"database.dump"[..], None),
            ("attachments/ünïcode ☃/x..y".as_bytes(), None),
            (b"..x/...", None),
            (&long.as_bytes()[..NAME_MAX - 1], None),
            (b"", Some("is empty")),
            (long.as_bytes(), Some("is too long")),
            (b"\xff", Some("is not in UTF-8")),
            (b"a\0b", Some("holds a NUL")),
            (b"..\\x", Some("holds a backslash")),
            (b"/etc/passwd", Some("is absolute")),
            (b"a/", Some("is that of a directory")),
            (b"..", Some("leads outside")),
            (b"a/../b", Some("leads outside")),
            (b"./a", Some("is not plain")),
            (b"a//b", Some("is not plain")),
        ] {
            assert_eq!(fault(name), wanted, "{}", String::from_utf8_lossy(name));
        }
    }
}
