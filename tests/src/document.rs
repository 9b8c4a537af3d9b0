//! Markdown as the tests see it: blocks of code, what stands behind them, and their marks.
//!
//! In: a file of the project. Out: its [`Block`]s in order. A mark is a line before a block:
//!
//! - `<!-- not run: why -->`: it shows syntax, or needs what a test does not have;
//! - `<!-- result not shown: why -->`: it is run, and prints what nobody wants to read;
//! - `<!-- run by: NAME.rs -->`: a program or commands; that file of `tests/tests` runs them.
//!
//! A block of SQL that prints anything is followed by a block `text` with what psql prints.

use std::fs;
use std::path::{Path, PathBuf};

/// A fenced block of code.
#[derive(Debug)]
pub struct Block {
    /// The heading of the second level above it.
    pub heading: String,
    /// What stands behind the fence: `sql`, `sh`, nothing.
    pub language: String,
    pub text: String,
    pub mark: Option<Mark>,
    /// What the document says that it prints.
    pub result: Option<String>,
    /// Its lines in the file with the fences, those of the result included; from 0, half open.
    pub lines: (usize, usize),
    /// The first line behind its own closing fence.
    end: usize,
}

/// Why a block is not run as it stands, or its result not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    NotRun(String),
    ResultNotShown(String),
    RunBy(String),
}

impl Mark {
    fn of(line: &str) -> Option<Self> {
        let comment = line.strip_prefix("<!-- ")?.strip_suffix(" -->")?;
        let (kind, said) = comment.split_once(": ")?;
        match kind {
            "not run" => Some(Self::NotRun(said.to_owned())),
            "result not shown" => Some(Self::ResultNotShown(said.to_owned())),
            "run by" => Some(Self::RunBy(said.to_owned())),
            _ => None,
        }
    }
}

/// A file of the project, by its path below the root.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// Its text, as it is now.
pub fn read(name: &str) -> String {
    let path = path(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// README.md and what lies in docs/.
pub fn documents() -> Vec<String> {
    let entries = fs::read_dir(path("docs")).expect("docs/ is there");
    let names = entries.map(|entry| entry.expect("it can be read").file_name());
    let mut found: Vec<String> = names
        .filter_map(|name| name.into_string().ok().filter(|name| name.ends_with(".md")))
        .map(|name| format!("docs/{name}"))
        .collect();
    found.sort();
    found.insert(0, "README.md".to_owned());
    found
}

/// The blocks of a text, those that are results of others left out.
pub fn blocks(text: &str) -> Vec<Block> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found: Vec<Block> = Vec::new();
    let (mut heading, mut at) = (String::new(), 0);
    while at < lines.len() {
        if let Some(title) = lines[at].strip_prefix("## ") {
            title.clone_into(&mut heading);
        } else if lines[at].starts_with("```") {
            let block = block(&lines, at, &heading);
            at = block.end;
            match found.last_mut() {
                Some(last) if is_result(&lines, last, &block) => {
                    last.lines.1 = block.end;
                    last.result = Some(block.text);
                }
                _ => found.push(block),
            }
            continue;
        }
        at += 1;
    }
    found
}

/// The block whose fence is line `at`.
fn block(lines: &[&str], at: usize, heading: &str) -> Block {
    let length = lines[at + 1..].iter().position(|line| line.starts_with("```"));
    let length = length.unwrap_or_else(|| panic!("the block in line {} has no end", at + 1));
    let end = at + length + 2;
    Block {
        heading: heading.to_owned(),
        language: lines[at][3..].to_owned(),
        text: lines[at + 1..end - 1].join("\n"),
        mark: at.checked_sub(1).and_then(|before| Mark::of(lines[before])),
        result: None,
        lines: (at, end),
        end,
    }
}

/// Whether `block` is what the block before it prints: text, with nothing but empty lines between.
fn is_result(lines: &[&str], before: &Block, block: &Block) -> bool {
    before.language == "sql"
        && before.result.is_none()
        && block.language == "text"
        && lines[before.end..block.lines.0].iter().all(|line| line.is_empty())
}
