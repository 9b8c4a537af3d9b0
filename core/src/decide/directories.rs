//! Lists of directories in settings: `/srv/app, "/srv/with, comma"`, as the server's own
//! `unix_socket_directories` has them.
//!
//! In: the text of a setting. Out: absolute paths. What must hold: nothing that is not an absolute
//! path without `.` and `..` gets through, and no text means no directory.

use std::path::{Component, Path, PathBuf};

use crate::error::{Class, Failure, Result};

/// Directories of one setting. A list is read for every job.
const DIRECTORIES_MAX: usize = 100;

/// The directories that setting `name` lists. Errors: `InvalidArgument`, naming the setting.
pub fn directory_list(name: &str, text: &str) -> Result<Vec<PathBuf>> {
    let refused = |what: String| {
        Failure::new(Class::InvalidArgument, format!("invalid setting {name}: {what}")).hint(
            "List absolute directories, separated by commas; put one that holds a comma into \
             double quotes.",
        )
    };
    let mut directories = Vec::new();
    for item in split(text).ok_or_else(|| refused("a double quote is not closed".into()))? {
        if !is_absolute(Path::new(&item)) {
            return Err(refused(format!("\"{}\" is not an absolute path", item.escape_debug())));
        }
        directories.push(PathBuf::from(item));
    }
    if directories.len() > DIRECTORIES_MAX {
        return Err(refused(format!("more than {DIRECTORIES_MAX} directories")));
    }
    Ok(directories)
}

/// Whether a path begins at the root and goes nowhere but down.
pub fn is_absolute(path: &Path) -> bool {
    let text = path.as_os_str().as_encoded_bytes();
    let dotted = text.split(|b| *b == b'/').any(|name| matches!(name, b"." | b".."));
    path.is_absolute()
        && !text.contains(&0)
        && !dotted
        && path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)))
}

/// The items; None when a quote is not closed.
fn split(text: &str) -> Option<Vec<String>> {
    let (mut items, mut rest) = (Vec::new(), text.trim());
    while !rest.is_empty() {
        let (item, after) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (item, after) = quoted.split_once('"')?;
                (item.to_owned(), after.trim_start().strip_prefix(',').unwrap_or(after))
            }
            None => {
                let (item, after) = rest.split_once(',').unwrap_or((rest, ""));
                (item.trim_end().to_owned(), after)
            }
        };
        items.push(item);
        rest = after.trim_start();
    }
    Some(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_as_the_server_reads_its_own() {
        for (text, wanted) in [
            ("", &[][..]),
            ("  ", &[]),
            ("/srv", &["/srv"]),
            (" /srv/a b , /srv/b ", &["/srv/a b", "/srv/b"]),
            ("\"/srv/a, b\" , /c", &["/srv/a, b", "/c"]),
        ] {
            let found = directory_list("x", text).unwrap();
            assert_eq!(found, wanted.iter().map(PathBuf::from).collect::<Vec<_>>(), "{text}");
        }
    }

    #[test]
    fn what_is_not_an_absolute_path_is_refused() {
        for text in ["srv", "/srv,", "/srv,,/b", "/srv/../etc", "/srv/./a", "\"/srv", ",", "~/x"] {
            let list = directory_list("pg_backup.attach_directories", text);
            let wanted = text != "/srv,";
            assert_eq!(list.is_err(), wanted, "{text}");
            if let Err(failure) = list {
                assert!(failure.message.contains("pg_backup.attach_directories"), "{failure}");
            }
        }
    }
}
