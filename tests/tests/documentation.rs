//! Every object explains itself, and docs/reference.md is what they say.
//!
//! Must hold: a new function, view, column, table, index or trigger without a comment fails here,
//! so does an argument or a column of a result that its comment does not explain, or one that is
//! explained and does not exist. `make reference` writes docs/reference.md.

use std::collections::BTreeSet;
use std::fs;

use pg_backup_tests::Cluster;
use pg_backup_tests::described::{functions, make_roles, objects};
use pg_backup_tests::document::{path, read};
use pg_backup_tests::reference::reference;
use regex::Regex;

/// A comment that is shorter says nothing.
const SHORTEST: usize = 10;

#[test]
fn every_object_has_a_comment_of_whole_sentences() {
    let cluster = Cluster::start();
    let objects = objects(&cluster);
    assert!(objects.len() > 200, "only {} objects", objects.len());
    let mut wrong = Vec::new();
    for (object, said) in &objects {
        let sentence = said.ends_with('.') && said.len() >= SHORTEST;
        // An install script is read by servers of every encoding.
        if !sentence || !said.is_ascii() || said.contains("..") {
            wrong.push(format!("{object}: {said:?}"));
        }
    }
    assert!(wrong.is_empty(), "comments to be put right:\n{}", wrong.join("\n"));
}

#[test]
fn what_a_comment_names_exists() {
    let cluster = Cluster::start();
    let named = "SELECT name FROM pg_settings WHERE name LIKE 'pg_backup.%' \
                 UNION SELECT proname FROM pg_proc WHERE proname LIKE 'backup_%' \
                 UNION SELECT relname FROM pg_class WHERE relname LIKE 'backup_%'";
    let known: BTreeSet<String> =
        cluster.sql("postgres", named).into_iter().filter_map(|row| row[0].clone()).collect();
    let name = Regex::new(r"\bpg_backup\.[a-z_]+|\bbackup_[a-z_]+").expect("it is valid");
    for (object, said) in objects(&cluster) {
        for name in name.find_iter(&said).map(|found| found.as_str()) {
            assert!(known.contains(name), "{object} speaks of {name}, which does not exist");
        }
    }
}

#[test]
fn a_function_explains_its_arguments_and_columns_and_no_others() {
    let cluster = Cluster::start();
    make_roles(&cluster);
    let all = functions(&cluster);
    for function in all.iter().filter(|function| !function.is_internal()) {
        let (name, said) = (&function.name, &function.said);
        let taken: Vec<&str> = function.taken().map(|argument| argument.name.as_str()).collect();
        match said.arguments_as_in() {
            None => assert_eq!(names(&said.arguments), taken, "arguments of {name}"),
            Some(other) => {
                let other = all.iter().find(|function| function.name == other).expect(other);
                let theirs: Vec<_> = other.taken().map(|argument| argument.name.as_str()).collect();
                assert_eq!(theirs, taken, "arguments of {name}");
            }
        }
        let given: Vec<&str> = function.given().map(|argument| argument.name.as_str()).collect();
        assert_eq!(names(&said.columns), given, "columns of {name}");
        let lines = said.arguments.iter().chain(&said.columns);
        lines.for_each(|(of, said)| assert!(said.ends_with('.'), "{name}, {of}: {said:?}"));
    }
}

fn names(meanings: &[(String, String)]) -> Vec<&str> {
    meanings.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn the_reference_is_what_the_catalog_says() {
    let cluster = Cluster::start();
    let wanted = reference(&cluster);
    if std::env::var_os("PG_BACKUP_WRITE_DOCS").is_some() {
        fs::write(path("docs/reference.md"), &wanted).expect("it is writable");
    }
    let found = read("docs/reference.md");
    let differs = wanted.lines().zip(found.lines()).find(|(wanted, found)| wanted != found);
    assert!(found == wanted, "docs/reference.md is old, run `make reference`: {differs:?}");
}
