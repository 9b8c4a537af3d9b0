//! docs/architecture.md against the checkout: what it names is there, and what is there is named.
//!
//! Paths stand in backquotes. One without `core/` or the like in front is below `core/src/`, or in
//! a folder that was named before it in the same line or paragraph.

use std::fs;
use std::path::Path;

use crate::source::root;

const MAP: &str = "docs/architecture.md";
/// Named there, and no files of the checkout: a member of archives, and what a fuzzer writes.
const NO_FILES: [&str; 2] = ["globals.sql", "fuzz/artifacts/"];
/// Endings by which a word without a slash is a file.
const ENDINGS: [&str; 5] = [".rs", ".sql", ".md", ".sh", ".py"];
/// Folders whose folders are all named.
const NAMED_IN: [&str; 6] = [".", "core", "core/src", "src", "tests", "docs"];
/// What cargo has built.
const BUILT: &str = "target";

/// What stands between backquotes and looks like a path.
fn paths(line: &str) -> impl Iterator<Item = &str> {
    let is_path = |word: &&str| {
        let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "_./-".contains(c));
        let is_file = ENDINGS.iter().any(|ending| word.len() > 3 && word.ends_with(ending));
        plain && !NO_FILES.contains(word) && (word.contains('/') || is_file)
    };
    line.split('`').skip(1).step_by(2).filter(is_path)
}

#[test]
fn every_path_in_the_map_exists() {
    let root = root();
    let text = fs::read_to_string(root.join(MAP)).unwrap();
    let mut missing = Vec::new();
    for (paragraph, at) in text.split("\n\n").flat_map(rows).zip(1..) {
        let mut folders = vec![root.clone(), root.join("core/src")];
        for path in paths(paragraph) {
            match folders.iter().map(|folder| folder.join(path)).find(|path| path.exists()) {
                Some(found) => {
                    folders.extend(found.parent().map(Path::to_owned));
                    folders.push(found);
                }
                None => missing.push(format!("{MAP}, paragraph or row {at}: {path}")),
            }
        }
    }
    assert!(missing.is_empty(), "\n{}\n", missing.join("\n"));
}

/// The rows of a table, or the paragraph as it is.
fn rows(paragraph: &str) -> Vec<&str> {
    if paragraph.starts_with('|') { paragraph.lines().collect() } else { vec![paragraph] }
}

#[test]
fn every_folder_is_in_the_map() {
    let root = root();
    let text = fs::read_to_string(root.join(MAP)).unwrap();
    let mut unnamed = Vec::new();
    for place in NAMED_IN {
        for entry in fs::read_dir(root.join(place)).unwrap().map(Result::unwrap) {
            let name = entry.file_name().into_string().unwrap();
            if !entry.path().is_dir() || name.starts_with('.') || name == BUILT {
                continue;
            }
            if !text.contains(&format!("{name}/")) {
                unnamed.push(format!("{place}/{name}"));
            }
        }
    }
    assert!(unnamed.is_empty(), "not in {MAP}:\n{}\n", unnamed.join("\n"));
}
