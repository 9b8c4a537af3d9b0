//! The Rust files of the checkout as text, and the little that is read out of them. Everything is
//! laid out by rustfmt: a function ends where a brace stands below its first line.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders with Rust files of ours.
const PLACES: [&str; 7] = ["core", "src", "tests", "pgrx-tests", "hostile", "fuzz", "xtask"];

/// One file.
pub struct Source {
    /// From the root of the checkout.
    pub path: String,
    pub text: String,
    /// A file of tests, or what they are made of.
    pub is_test: bool,
}

/// A function, from its line `at`, counted from 1.
pub struct Function {
    pub at: usize,
    pub lines: usize,
}

impl Source {
    /// The lines of the code proper, up to the tests at its end, that are `wrong`.
    pub fn findings(&self, wrong: impl Fn(&str) -> bool, what: &str) -> Vec<String> {
        let own = self.text.lines().take_while(|line| *line != "#[cfg(test)]" || self.is_test);
        let wrong = own.zip(1..).filter(|(line, _)| wrong(line));
        wrong.map(|(_, at)| format!("{}:{at}: {what}", self.path)).collect()
    }
}

/// The root of the checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// Every Rust file.
pub fn sources() -> Vec<Source> {
    let root = root();
    let mut folders: Vec<PathBuf> = PLACES.iter().map(|place| root.join(place)).collect();
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
        for path in entries.map(|entry| entry.unwrap().path()) {
            let built = path.ends_with("target");
            if path.is_dir() && !built {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(source(&root, &path));
            }
        }
    }
    assert!(sources.len() > 100, "the checkout was not found below {}", root.display());
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn source(root: &Path, path: &Path) -> Source {
    let name = path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned();
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{name}: {e}"));
    let folders = ["tests/", "pgrx-tests/", "hostile/"];
    let is_test = folders.iter().any(|folder| name.starts_with(folder))
        || name.contains("/tests/")
        || name.ends_with("tests.rs")
        || name.ends_with("/hostile.rs")
        || name.ends_with("/model.rs");
    Source { path: name, text, is_test }
}

/// Every function that has a body, with its length.
pub fn functions(text: &str) -> Vec<Function> {
    let lines: Vec<&str> = text.lines().collect();
    let begins = |line: &str| {
        let words = line.split(['(', '<']).next().unwrap_or_default();
        // A type has no name behind the word.
        let named = words.split_whitespace().skip_while(|word| *word != "fn").nth(1).is_some();
        named && !line.trim_start().starts_with("//")
    };
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| begins(line)) {
        let indent = &line[..line.len() - line.trim_start().len()];
        let (end, none) = (format!("{indent}}}"), format!("{indent})"));
        let rest = lines[at..].iter();
        let length = rest.take_while(|line| **line != end && !is_declaration(line, &none)).count();
        found.push(Function { at: at + 1, lines: length + 1 });
    }
    found
}

/// The end of a function without a body, or of one on a single line.
fn is_declaration(line: &str, end: &str) -> bool {
    line.ends_with(" }") && line.contains("fn ")
        || line.ends_with(';') && (line.contains("fn ") || line.starts_with(end))
}

/// Whether a text in a piece of code begins with a word in capitals, as statements do.
pub fn has_statement(code: &str) -> bool {
    let begins = |text: &str| text.chars().take(3).filter(char::is_ascii_uppercase).count() == 3;
    code.split('"').skip(1).step_by(2).any(begins)
}
