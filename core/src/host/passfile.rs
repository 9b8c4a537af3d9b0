//! libpq's password file: `host:port:database:user:password`, `*` for any, `\` escapes `:` and
//! itself, `#` starts a comment line (libpq documentation, "The Password File"). Read only when
//! `pg_backup.passfile` names one; like libpq, refused when others can read it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::decide::settings::Access;
use crate::error::{Class, Failure, Result};

/// A password file larger than this is something else.
const MAX_BYTES: u64 = 1 << 20;

/// The password for `database`, when the file has one.
pub fn password(access: &Access, database: &str) -> Result<Option<String>> {
    let Some(path) = &access.passfile else { return Ok(None) };
    let text = read(path)?;
    Ok(found(&text, access, database))
}

fn read(path: &Path) -> Result<String> {
    let doing = || format!("read password file \"{}\"", path.display());
    let meta = std::fs::metadata(path).map_err(|e| Failure::io(doing(), &e))?;
    if !meta.is_file() || meta.len() > MAX_BYTES || meta.mode() & 0o077 != 0 {
        return Err(Failure::new(
            Class::InvalidArgument,
            format!("password file \"{}\" is not usable", path.display()),
        )
        .hint("It must be a regular file that only its owner can read (chmod 0600)."));
    }
    std::fs::read_to_string(path).map_err(|e| Failure::io(doing(), &e))
}

/// libpq looks for a socket by its directory, and for the one in the directory that it was built
/// with as "localhost". Which one that is cannot be seen here, so both are looked for.
fn found(text: &str, access: &Access, database: &str) -> Option<String> {
    let port = access.port.to_string();
    let by = |host| {
        let wanted = [host, port.as_str(), database, access.user.as_str()];
        text.lines().find_map(|line| matching(line, &wanted))
    };
    let local = || access.host.starts_with('/').then(|| by("localhost")).flatten();
    by(&access.host).or_else(local)
}

fn matching(line: &str, wanted: &[&str; 4]) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let fields = split(line);
    let (password, keys) = fields.split_last().filter(|(_, keys)| keys.len() == 4)?;
    let hit = keys.iter().zip(wanted).all(|(key, want)| key == "*" || key == want);
    hit.then(|| password.clone())
}

/// Splits at `:` that are not escaped; at most five fields.
fn split(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => fields.last_mut().into_iter().for_each(|f| f.extend(chars.next())),
            ':' if fields.len() < 5 => fields.push(String::new()),
            c => fields.last_mut().into_iter().for_each(|f| f.push(c)),
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_matches_by_its_four_keys() {
        let wanted = ["localhost", "5432", "app", "postgres"];
        for (line, password) in [
            ("localhost:5432:app:postgres:s3cret", Some("s3cret")),
            ("*:*:*:*:any", Some("any")),
            (r"*:*:*:*:a\:b\\c", Some(r"a:b\c")),
            ("*:*:*:*:with:colon", Some("with:colon")),
            ("otherhost:*:*:*:no", None),
            ("# *:*:*:*:no", None),
            ("garbage", None),
            ("", None),
        ] {
            assert_eq!(matching(line, &wanted).as_deref(), password, "{line}");
        }
    }

    #[test]
    fn a_socket_is_found_by_its_directory_and_else_as_localhost() {
        let access = |host: &str| Access {
            host: host.to_owned(),
            port: 5432,
            user: "postgres".to_owned(),
            passfile: None,
            major: 15,
            connect_database: "postgres".to_owned(),
        };
        let (local, socket) = ("localhost:5432:*:postgres:local", "/run/pg:5432:*:postgres:socket");
        for (text, host, password) in [
            (format!("{local}\n{socket}"), "/run/pg", Some("socket")),
            (local.to_owned(), "/run/pg", Some("local")),
            (local.to_owned(), "db.example", None),
            (socket.to_owned(), "/tmp", None),
        ] {
            assert_eq!(found(&text, &access(host), "app").as_deref(), password, "{text} {host}");
        }
    }
}
