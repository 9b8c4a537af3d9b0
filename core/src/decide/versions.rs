//! Whether the library and the SQL of a database fit, and what to run where they do not.
//!
//! In: three versions: of the library that runs, of the SQL in a database, and of the files on disk
//! that the next restart or `ALTER EXTENSION` takes. Out: nothing, or a [`Failure`] that tells.
//! Must hold: an older SQL always works with a newer library, less what is new.

use std::cmp::Ordering;

use crate::error::{Class, Failure};

/// The version of this library.
pub const LIBRARY: &str = env!("CARGO_PKG_VERSION");

/// The versions that have to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions<'a> {
    /// Of the library that the server has loaded.
    pub library: &'a str,
    /// Of the extension in a database.
    pub sql: &'a str,
    /// Of the files that are installed; None where they are gone.
    pub on_disk: Option<&'a str>,
}

impl Versions<'_> {
    /// What is wrong with them in `database`, as a warning; None when all fit.
    pub fn mismatch(&self, database: &str) -> Option<Failure> {
        let Self { library, sql, on_disk } = self;
        let is_replaced = on_disk.is_some_and(|on_disk| on_disk != *library);
        let message = match order(sql, library) {
            Ordering::Equal if !is_replaced => return None,
            Ordering::Equal => format!(
                "the server runs the library of pg_backup {library}, but files of version {} are \
                 installed",
                on_disk.unwrap_or_default()
            ),
            _ => format!(
                "the extension pg_backup in database \"{database}\" is version {sql}, but the \
                 library is version {library}"
            ),
        };
        let failure = Failure::new(Class::NotReady, message);
        Some(failure.detail(self.detail()).hint(self.hint(database)))
    }

    fn detail(&self) -> &'static str {
        match order(self.sql, self.library) {
            Ordering::Less => {
                "Backups and schedules go on; what the newer version has added is missing in this \
                 database."
            }
            Ordering::Equal => "All goes on as it was with the library that runs.",
            Ordering::Greater => {
                "Backups and schedules go on where they need nothing that the library lacks."
            }
        }
    }

    fn hint(&self, database: &str) -> String {
        let Self { library, sql, on_disk } = self;
        let update = format!("in database \"{database}\" run: ALTER EXTENSION pg_backup UPDATE.");
        let is_newer = |on_disk: &&str| order(on_disk, library) == Ordering::Greater;
        match (order(sql, library), on_disk.filter(is_newer)) {
            (Ordering::Less, None) => sentence(&update),
            (Ordering::Less, Some(_)) => {
                format!("Restart the server, so that it loads the new library; then {update}")
            }
            (Ordering::Equal, Some(_)) => {
                format!("Restart the server, so that it loads the new library; then {update}")
            }
            (Ordering::Equal, None) => format!(
                "The next restart loads an older library: install version {library} again before."
            ),
            (Ordering::Greater, Some(on_disk)) if order(on_disk, sql) != Ordering::Less => {
                "Restart the server, so that it loads the library that is installed.".to_owned()
            }
            (Ordering::Greater, _) => {
                format!(
                    "Install version {sql} of pg_backup or a newer one, and restart the server."
                )
            }
        }
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

/// The order of `major.minor.patch`. What is not of that form is another version, and a newer one:
/// nobody has promised that this library knows it.
pub fn order(one: &str, other: &str) -> Ordering {
    match (parsed(one), parsed(other)) {
        (Some(one), Some(other)) => one.cmp(&other),
        _ if one == other => Ordering::Equal,
        _ => Ordering::Greater,
    }
}

fn parsed(version: &str) -> Option<[u32; 3]> {
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    let parsed = [numbers.next()??, numbers.next()??, numbers.next()??];
    numbers.next().is_none().then_some(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(sql: &str, on_disk: Option<&str>) -> Option<String> {
        let versions = Versions { library: "0.10.0", sql, on_disk };
        versions.mismatch("app").map(|failure| failure.hint)
    }

    #[test]
    fn every_mismatch_says_what_to_run() {
        let update = "n database \"app\" run: ALTER EXTENSION pg_backup UPDATE.";
        for (sql, on_disk, wanted) in [
            ("0.9.0", Some("0.10.0"), format!("I{update}")),
            ("0.9.0", None, format!("I{update}")),
            ("0.9.0", Some("0.9.0"), format!("I{update}")),
            (
                "0.9.0",
                Some("0.11.0"),
                format!("Restart the server, so that it loads the new library; then i{update}"),
            ),
            (
                "0.10.0",
                Some("0.11.0"),
                format!("Restart the server, so that it loads the new library; then i{update}"),
            ),
            (
                "0.10.0",
                Some("0.9.0"),
                "The next restart loads an older library: install version 0.10.0 again before."
                    .to_owned(),
            ),
            (
                "0.11.0",
                Some("0.11.0"),
                "Restart the server, so that it loads the library that is installed.".to_owned(),
            ),
            (
                "0.11.0",
                Some("0.10.0"),
                "Install version 0.11.0 of pg_backup or a newer one, and restart the server."
                    .to_owned(),
            ),
        ] {
            assert_eq!(hint(sql, on_disk), Some(wanted), "{sql} {on_disk:?}");
        }
    }

    #[test]
    fn versions_that_fit_are_nothing_to_tell() {
        assert_eq!(hint("0.10.0", Some("0.10.0")), None);
        assert_eq!(hint("0.10.0", None), None);
    }

    #[test]
    fn numbers_are_compared_as_numbers_and_what_is_none_is_newer() {
        assert_eq!(order("0.9.0", "0.10.0"), Ordering::Less);
        assert_eq!(order("1.0.0", "0.10.0"), Ordering::Greater);
        assert_eq!(order("next", "0.10.0"), Ordering::Greater);
        assert_eq!(order("next", "next"), Ordering::Equal);
    }
}
