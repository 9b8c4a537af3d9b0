//! The habits of the house that can be told from the text, held by a test.
//!
//! In: every Rust file of the checkout, and docs/architecture.md. Out: one line for each place that
//! is not as the others are. What it cannot see (whether a comment is true) is for people.

mod map;
mod settings;
mod source;

use source::{Source, functions, has_statement, sources};

const LINES_MAX: usize = 300;
const COLUMNS_MAX: usize = 100;
const HEADER_MAX: usize = 15;
const FUNCTION_MAX: usize = 70;

/// A folder of Rust, and what of its own crate it may use (`crate::…`). Dependencies point one
/// way: see docs/architecture.md.
const LAYERS: [(&str, &[&str]); 11] = [
    ("core/src/error.rs", &[]),
    ("core/src/fault.rs", &["error"]),
    ("core/src/decide/", &["decide", "error"]),
    ("core/src/host/", &["host", "decide", "error", "fault"]),
    ("core/src/catalog/", &["catalog", "host", "decide", "error", "fault"]),
    ("core/src/job/", &["job", "catalog", "host", "decide", "error", "fault"]),
    ("src/pg/", &["pg"]),
    ("src/error.rs", &["pg"]),
    ("src/settings/", &["settings", "error", "pg"]),
    ("src/catalog/", &["catalog", "error", "pg"]),
    ("src/worker/", &["worker", "catalog", "settings", "error", "pg"]),
];

/// Calls that send a statement.
const SENDERS: [&str; 7] =
    [".batch(", ".rows(", ".one(", ".execute(", ".select(", ".update(", ".copy_out("];
/// Where SQL text may stand: the two catalogs, the session's own first words, and tests.
const SQL_PLACES: [&str; 3] = ["core/src/catalog/", "src/catalog/", "core/src/host/server.rs"];

/// Fails with every finding.
fn report(findings: Vec<String>) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// What `check` finds in each source.
fn found(check: impl Fn(&Source) -> Vec<String>) -> Vec<String> {
    sources().iter().flat_map(check).collect()
}

#[test]
fn every_file_begins_with_a_header_of_at_most_fifteen_lines() {
    report(found(|source| {
        let lines = source.text.lines().take_while(|line| line.starts_with("//!")).count();
        match lines {
            0 => vec![format!("{}: has no header (//!)", source.path)],
            n if n > HEADER_MAX => vec![format!("{}: its header has {n} lines", source.path)],
            _ => Vec::new(),
        }
    }));
}

#[test]
fn no_file_has_more_than_300_lines() {
    report(found(|source| {
        let lines = source.text.lines().count();
        let long = lines > LINES_MAX;
        long.then(|| format!("{}: {lines} lines", source.path)).into_iter().collect()
    }));
}

#[test]
fn no_line_has_more_than_100_columns_but_for_texts_in_tests() {
    report(found(|source| {
        let too_long = |line: &str| {
            let comment = line.trim_start().starts_with("//");
            line.chars().count() > COLUMNS_MAX && (comment || !source.is_test)
        };
        source.findings(too_long, "is too long")
    }));
}

#[test]
fn no_function_has_more_than_70_lines() {
    report(found(|source| {
        let long = functions(&source.text).into_iter().filter(|one| one.lines > FUNCTION_MAX);
        long.map(|one| format!("{}:{}: {} lines", source.path, one.at, one.lines)).collect()
    }));
}

#[test]
fn dependencies_point_one_way() {
    report(found(|source| {
        let Some((_, allowed)) = LAYERS.iter().find(|(place, _)| source.path.starts_with(place))
        else {
            return Vec::new();
        };
        let turns_back = |line: &str| {
            let used = line.split("crate::").skip(1);
            let used = used.map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next());
            !line.trim_start().starts_with("//")
                && used.flatten().any(|module| !module.is_empty() && !allowed.contains(&module))
        };
        source.findings(turns_back, "uses what lies above it")
    }));
}

#[test]
fn sql_stands_in_the_catalogs() {
    report(found(|source| {
        if source.is_test || SQL_PLACES.iter().any(|place| source.path.starts_with(place)) {
            return Vec::new();
        }
        let sends = |line: &str| {
            let call = SENDERS.iter().find_map(|sender| line.split_once(sender));
            call.is_some_and(|(_, arguments)| has_statement(arguments)) || line.contains("Spi::")
        };
        source.findings(sends, "sends SQL that stands in no catalog")
    }));
}

#[test]
fn unsafe_code_stands_behind_the_fence_and_at_the_doors_of_workers() {
    report(found(|source| {
        let fenced = ["src/pg/", "src/worker/"].iter().any(|place| source.path.starts_with(place));
        if fenced || source.is_test || !source.path.starts_with("src/") {
            return Vec::new();
        }
        let is_unsafe = |line: &str| {
            let code = line.split("//").next().unwrap_or_default();
            code.contains("unsafe {") || code.contains("unsafe fn") || code.contains("unsafe impl")
        };
        source.findings(is_unsafe, "has unsafe code")
    }));
}
