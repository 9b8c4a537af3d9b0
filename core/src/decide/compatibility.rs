//! Whether an archive fits a database: by the migrations that each says it has. A set is compared,
//! not an order: branches are merged in any order.

use std::collections::BTreeSet;

use super::manifest::Migrations;

/// How an archive fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Badge {
    /// The same migrations.
    Compatible,
    /// The database has more: they have to be applied again after a restore.
    Older,
    /// The archive has some that the database does not have: its code does not know them.
    Incompatible,
    /// One of the two has none.
    Unknown,
}

impl Badge {
    /// The word in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Badge::Compatible => "compatible",
            Badge::Older => "older",
            Badge::Incompatible => "incompatible",
            Badge::Unknown => "unknown",
        }
    }
}

/// The migrations on which an archive and a database differ, each as `framework: name`, sorted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compatibility {
    pub badge: Badge,
    /// In the database, not in the archive.
    pub added: Vec<String>,
    /// In the archive, not in the database.
    pub removed: Vec<String>,
}

/// Compares what an archive has with what a database has.
pub fn compare(archive: &[Migrations], database: &[Migrations]) -> Compatibility {
    let (theirs, ours) = (names(archive), names(database));
    let added: Vec<String> = ours.difference(&theirs).cloned().collect();
    let removed: Vec<String> = theirs.difference(&ours).cloned().collect();
    let badge = match (theirs.is_empty() || ours.is_empty(), removed.is_empty(), added.is_empty()) {
        (true, ..) => Badge::Unknown,
        (_, false, _) => Badge::Incompatible,
        (_, true, false) => Badge::Older,
        (_, true, true) => Badge::Compatible,
    };
    Compatibility { badge, added, removed }
}

fn names(migrations: &[Migrations]) -> BTreeSet<String> {
    let named = |m: &Migrations| {
        let framework = m.framework.clone();
        m.ids.iter().map(move |id| format!("{framework}: {id}")).collect::<Vec<_>>()
    };
    migrations.iter().flat_map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn django(ids: &[&str]) -> Vec<Migrations> {
        let ids = ids.iter().map(|id| (*id).to_owned()).collect();
        vec![Migrations { framework: "django".to_owned(), ids, ..Migrations::default() }]
    }

    #[test]
    fn a_set_is_the_same_older_or_not_for_this_database() {
        let found = |archive: &[&str], database: &[&str]| {
            let found = compare(&django(archive), &django(database));
            (found.badge, found.added.len(), found.removed.len())
        };
        assert_eq!(found(&["a", "b"], &["b", "a"]), (Badge::Compatible, 0, 0));
        assert_eq!(found(&["a"], &["a", "b", "c"]), (Badge::Older, 2, 0));
        assert_eq!(found(&["a", "x"], &["a", "b"]), (Badge::Incompatible, 1, 1));
        assert_eq!(found(&[], &["a"]), (Badge::Unknown, 1, 0));
        assert_eq!(found(&["a"], &[]), (Badge::Unknown, 0, 1));
        assert_eq!(compare(&[], &[]).badge, Badge::Unknown);
    }
}
