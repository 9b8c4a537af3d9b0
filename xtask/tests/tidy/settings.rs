//! Every setting is of use: something reads it, and a test sets it by its name.
//!
//! In: `src/settings/`, where a setting is a static `GucSetting` or `Text` that is registered under
//! a name, and the tests. Out: a line for each that is only defined, or that no test names.

use crate::source::{Source, sources};

const SETTINGS: &str = "src/settings/";
/// What stands before the name of a setting where it is registered.
const NAME: &str = "c\"pg_backup.";
/// What stands before it wherever it is set.
const PREFIX: &str = "pg_backup.";
/// What jobs set for their own sessions, in every restore that a test makes.
const SET_BY_JOBS: [&str; 1] = ["restricted"];

fn settings() -> Vec<Source> {
    sources().into_iter().filter(|source| source.path.starts_with(SETTINGS)).collect()
}

/// The statics that hold values.
fn statics(source: &Source) -> impl Iterator<Item = &str> {
    source.text.lines().filter_map(|line| {
        let (name, kind) = line.split_once("static ")?.1.split_once(": ")?;
        (kind.starts_with("GucSetting<") || kind.starts_with("Text ")).then_some(name)
    })
}

/// How often a word stands in a text.
fn count(text: &str, word: &str) -> usize {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|other| *other == word).count()
}

#[test]
fn every_setting_is_read() {
    let settings = settings();
    let text: String = settings.iter().map(|source| source.text.as_str()).collect();
    let names: Vec<&str> = settings.iter().flat_map(statics).collect();
    assert_eq!(names.len(), text.matches(NAME).count(), "a static each: {names:?}");
    // Where it is declared, where it is registered, and who reads it.
    let unread: Vec<_> = names.into_iter().filter(|name| count(&text, name) < 3).collect();
    assert!(unread.is_empty(), "nobody reads {unread:?}");
}

#[test]
fn every_setting_is_set_by_a_test() {
    let sources = sources();
    let tests: Vec<&str> =
        sources.iter().filter(|one| one.is_test).map(|one| one.text.as_str()).collect();
    let settings = settings();
    let defined = settings.iter().flat_map(|source| source.text.split(NAME).skip(1));
    let names = defined.filter_map(|rest| rest.split('"').next());
    let names = names.filter(|name| !SET_BY_JOBS.contains(name));
    let unset: Vec<&str> = names
        .filter(|name| {
            let full = format!("{PREFIX}{name}");
            !tests.iter().any(|text| text.split(&full).skip(1).any(ends_a_name))
        })
        .collect();
    assert!(unset.is_empty(), "no test sets {unset:?}");
}

/// Whether no further letter of a longer name comes: `jobs` is not `jobs_limit`.
fn ends_a_name(rest: &str) -> bool {
    !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_')
}
