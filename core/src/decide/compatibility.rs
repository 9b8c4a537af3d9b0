//! Whether an archive fits a database, or the code of an application: by the migrations that each
//! says it has. A set is compared, not an order: branches are merged in any order.

use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use super::manifest::Migrations;

/// A backup to compare with the migrations of a database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Compare {
    pub backup: i64,
    pub database: String,
}

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
    /// The archive cannot be restored at all.
    Broken,
}

impl Badge {
    /// The word in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Badge::Compatible => "compatible",
            Badge::Older => "older",
            Badge::Incompatible => "incompatible",
            Badge::Unknown => "unknown",
            Badge::Broken => "broken",
        }
    }

    fn of(theirs: usize, ours: usize, removed: usize, added: usize) -> Self {
        match (theirs == 0 || ours == 0, removed, added) {
            (true, ..) => Badge::Unknown,
            (_, 1.., _) => Badge::Incompatible,
            (_, 0, 1..) => Badge::Older,
            (_, 0, 0) => Badge::Compatible,
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
    let (theirs, ours) = (set(archive), set(database));
    let difference = |of: &HashSet<Name<'_>>, from: &HashSet<Name<'_>>| {
        let names = of.difference(from).map(|(framework, id)| spelled(framework, id));
        names.collect::<BTreeSet<String>>().into_iter().collect::<Vec<_>>()
    };
    let (added, removed) = (difference(&ours, &theirs), difference(&theirs, &ours));
    let badge = Badge::of(theirs.len(), ours.len(), removed.len(), added.len());
    Compatibility { badge, added, removed }
}

/// Compares what an archive has with the migrations that an application knows: each as its
/// framework names it, with or without `framework: ` before it. Those that the archive does not
/// have are told as they were given.
pub fn compare_known(archive: &[Migrations], known: &[String]) -> Compatibility {
    let theirs = set(archive);
    let known: BTreeSet<&str> = known.iter().map(String::as_str).collect();
    let mut found: HashSet<&str> = HashSet::new();
    let mut removed = BTreeSet::new();
    for (framework, id) in &theirs {
        let whole = spelled(framework, id);
        let named = [known.get(whole.as_str()), known.get(id)];
        found.extend(named.into_iter().flatten());
        if named == [None, None] {
            removed.insert(whole);
        }
    }
    let added: Vec<String> =
        known.iter().filter(|name| !found.contains(*name)).map(|name| (*name).to_owned()).collect();
    let removed: Vec<String> = removed.into_iter().collect();
    let badge = Badge::of(theirs.len(), known.len(), removed.len(), added.len());
    Compatibility { badge, added, removed }
}

/// Names as a history holds them whose database's encoding cannot hold all that is in a manifest.
/// Both sides of a comparison have to be folded alike.
pub fn in_ascii(mut migrations: Vec<Migrations>) -> Vec<Migrations> {
    for id in migrations.iter_mut().flat_map(|one| &mut one.ids) {
        *id = id.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect();
    }
    migrations
}

/// A framework and one of its names.
type Name<'a> = (&'a str, &'a str);

/// The badge, and how many are added and removed, as [`compare`] has it: of numbers that stand for
/// the migrations, in order and without repeats.
pub fn count(archive: &[i64], database: &[i64]) -> (Badge, usize, usize) {
    let (mut theirs, mut ours, mut both) = (archive, database, 0);
    while let ([their, more @ ..], [our, rest @ ..]) = (theirs, ours) {
        both += usize::from(their == our);
        theirs = if their <= our { more } else { theirs };
        ours = if our <= their { rest } else { ours };
    }
    let (added, removed) = (database.len() - both, archive.len() - both);
    (Badge::of(archive.len(), database.len(), removed, added), added, removed)
}

fn set(migrations: &[Migrations]) -> HashSet<Name<'_>> {
    let mut names = HashSet::new();
    for one in migrations {
        names.extend(one.ids.iter().map(|id| (one.framework.as_str(), id.as_str())));
    }
    names
}

fn spelled(framework: &str, id: &str) -> String {
    format!("{framework}: {id}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    #[test]
    fn known_migrations_are_named_with_or_without_their_framework() {
        let found = |known: &[&str]| {
            let known: Vec<String> = known.iter().map(|name| (*name).to_owned()).collect();
            let found = compare_known(&django(&["a.1", "b.1"]), &known);
            (found.badge, found.added, found.removed)
        };
        let texts = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let same = (Badge::Compatible, vec![], vec![]);
        assert_eq!(found(&["a.1", "b.1"]), same);
        assert_eq!(found(&["django: a.1", "b.1", "b.1", "django: b.1"]), same);
        let older = (Badge::Older, texts(&["b.2"]), vec![]);
        assert_eq!(found(&["b.2", "b.1", "a.1"]), older);
        let other = (Badge::Incompatible, texts(&["rails: a.1"]), texts(&["django: a.1"]));
        assert_eq!(found(&["rails: a.1", "b.1"]), other);
        assert_eq!(found(&[]).0, Badge::Unknown);
    }

    fn number(id: &str) -> i64 {
        id.bytes().fold(0, |number, byte| number << 8 | i64::from(byte))
    }

    proptest! {
        #[test]
        fn counting_says_what_comparing_says(
            archive in proptest::collection::vec("[a-d]{1,2}", 0..9),
            database in proptest::collection::vec("[a-d]{1,2}", 0..9),
        ) {
            let sets = |ids: &[String]| django(&ids.iter().map(String::as_str).collect::<Vec<_>>());
            let (archive, database) = (sets(&archive), sets(&database));
            let whole = compare(&archive, &database);
            let numbers = |of: &[Migrations]| {
                let numbers: BTreeSet<i64> = of[0].ids.iter().map(|id| number(id)).collect();
                numbers.into_iter().collect::<Vec<_>>()
            };
            let counted = count(&numbers(&archive), &numbers(&database));
            prop_assert_eq!(counted, (whole.badge, whole.added.len(), whole.removed.len()));
            let bare = compare_known(&archive, &database[0].ids);
            prop_assert_eq!((bare.badge, bare.removed), (whole.badge, whole.removed));
        }
    }
}
