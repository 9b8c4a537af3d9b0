//! SQL of a document, run as a reader would: through psql, block by block, with what is printed
//! held against what the document shows.
//!
//! In: a cluster, a document, its headings. Must hold: what changes from run to run is matched by
//! the patterns of [`VARYING`] and nothing else. With `PG_BACKUP_WRITE_DOCS=1` results that
//! differ are written into the document instead.

use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::sync::LazyLock;

use nix::fcntl::{Flock, FlockArg};
use regex::Regex;

use crate::document::{Block, Mark, blocks, path, read};
use crate::{Cluster, bin, server};

/// What differs between two runs, and what stands for it, in both texts. In this order.
const VARYING: &[(&str, &str)] = &[
    // A moment, as timestamptz prints it and as our NOTICEs do, UTC.
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?( UTC|\+00)?", "<moment>"),
    // A moment in the name of an archive or of a copy.
    (r"\d{8}T\d{6}Z", "<moment>"),
    // An interval that was measured.
    (r"\d\d:\d\d:\d\d(\.\d+)?", "<interval>"),
    (r"\d+\.\d hours old", "<age>"),
    (r"in \d+\.\d s\b", "in <seconds>"),
    // What pg_size_pretty() says, and free space. Sizes depend on the versions of the tools.
    (r"\d+ (bytes|kB|MB|GB|MiB)\b", "<size>"),
    // Into how many entries a dump is cut is up to pg_dump's version.
    (r"\b\d+ entries", "<entries>"),
    // A SHA-256.
    (r"\b[0-9a-f]{64}\b", "<sha256>"),
    // The system identifier in the path of an archive.
    (r"\b\d{18,20}/", "<system>/"),
    // The beginning of an archive's chunk.
    (r"\\x[0-9a-f]+", "<data>"),
    // Bytes of an archive: no number of rows in the documents has so many digits.
    (r"\b\d{5,}\b", "<bytes>"),
    // The layout of a table follows from the widths of the above.
    (r"(?m)^ *-[-+]*$", "---"),
    (r"(?m)^-\[ RECORD (\d+) \][-+]*$", "record $1"),
    (r" +", " "),
    (r"(?m) $", ""),
];

/// Makes psql show times as the documents do.
const ENVIRONMENT: [(&str, &str); 2] = [("PGTZ", "UTC"), ("PGDATESTYLE", "ISO")];

/// What a document says, and what it is here: `/srv/backups` and a directory of the test.
pub type Places = Vec<(&'static str, String)>;

impl Cluster {
    /// Runs the SQL under `headings` of README.md in a database, and compares what is printed.
    pub fn follow(&self, database: &str, headings: &[&str], places: &Places) {
        for heading in headings {
            let found = blocks(&read("README.md"));
            let of_heading = found.iter().filter(|block| block.heading == *heading);
            let sql: Vec<_> = of_heading.filter(|block| block.language == "sql").collect();
            assert!(!sql.is_empty(), "README.md has no SQL under \"{heading}\"");
            for (number, block) in sql.iter().enumerate() {
                self.follow_block(database, block, number, places);
            }
        }
    }

    /// Runs block `number` of SQL under a heading.
    pub fn follow_one(&self, database: &str, heading: &str, number: usize, places: &Places) {
        let found = blocks(&read("README.md"));
        let of_heading = found.iter().filter(|block| block.heading == heading);
        let block = of_heading.filter(|block| block.language == "sql").nth(number);
        let block = block.unwrap_or_else(|| panic!("no block {number} under \"{heading}\""));
        self.follow_block(database, block, number, places);
    }

    fn follow_block(&self, database: &str, block: &Block, number: usize, places: &Places) {
        if matches!(block.mark, Some(Mark::NotRun(_))) {
            return;
        }
        let backups = ("/srv/backups", self.backup_dir().display().to_string());
        let places: &Places = &places.iter().cloned().chain([backups]).collect();
        let here =
            places.iter().fold(block.text.clone(), |sql, (there, here)| sql.replace(there, here));
        let printed = self.read_as_a_user(database, &here);
        let printed = places.iter().fold(printed, |text, (there, here)| text.replace(here, there));
        if block.text.contains("pg_reload_conf") {
            self.reload();
        }
        if !matches!(block.mark, Some(Mark::ResultNotShown(_))) {
            compare(block, number, printed.trim_end());
        }
    }

    /// What psql prints, notices in their places. Command tags are left out (`-q`).
    fn read_as_a_user(&self, database: &str, sql: &str) -> String {
        let mut psql = server::plain("/bin/sh".into());
        psql.args(["-c", "exec \"$0\" \"$@\" 2>&1"]).arg(bin("psql"));
        psql.args(["-Xq", "-v", "ON_ERROR_STOP=1", "-P", "pager=off", "-U", "postgres", "-h"]);
        psql.arg(&self.socket_dir).env("PGDATABASE", database).envs(ENVIRONMENT);
        psql.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = psql.spawn().expect("there is a shell");
        let mut stdin = child.stdin.take().expect("it is a pipe");
        // psql may end before it has read everything; its own error is the better one.
        let _ = stdin.write_all(sql.as_bytes());
        drop(stdin);
        let output = child.wait_with_output().expect("psql ran");
        let printed = String::from_utf8(output.stdout).expect("psql prints UTF-8");
        assert!(output.status.success(), "psql failed on\n{sql}\nand said\n{printed}");
        printed
    }
}

fn compare(block: &Block, number: usize, printed: &str) {
    let shown = block.result.as_deref().unwrap_or_default();
    if comparable(shown) == comparable(printed) {
        return;
    }
    if std::env::var_os("PG_BACKUP_WRITE_DOCS").is_some() {
        return write_result(&block.heading, number, printed);
    }
    panic!(
        "README.md, line {}: after\n{}\npsql prints\n\n{printed}\n\nand the README shows\n\n{shown}\n\n\
         With PG_BACKUP_WRITE_DOCS=1 the test writes it there.",
        block.lines.0 + 1,
        block.text
    );
}

/// A text without what differs between two runs.
fn comparable(text: &str) -> String {
    static PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let compile = |&(pattern, with): &(&str, &'static str)| {
            (Regex::new(pattern).expect("the pattern is valid"), with)
        };
        VARYING.iter().map(compile).collect()
    });
    let plain = |text: String, (pattern, with): &(Regex, &str)| {
        pattern.replace_all(&text, *with).into_owned()
    };
    PATTERNS.iter().fold(text.to_owned(), plain)
}

/// Puts a result behind block `number` of SQL under a heading.
fn write_result(heading: &str, number: usize, printed: &str) {
    edit_readme(|text| {
        let found = blocks(text);
        let sql = found.iter().filter(|block| block.heading == heading && block.language == "sql");
        let block = sql.collect::<Vec<_>>()[number];
        let lines: Vec<&str> = text.lines().collect();
        let behind = block.lines.0 + block.text.lines().count() + 2;
        let mut edited = lines[..behind].join("\n");
        if !printed.is_empty() {
            edited.push_str(&format!("\n\n```text\n{printed}\n```"));
        }
        format!("{edited}\n{}\n", lines[block.lines.1..].join("\n"))
    });
}

/// Changes README.md, one test at a time. Those that read it meanwhile see the old or the new one.
pub fn edit_readme(edit: impl FnOnce(&str) -> String) {
    let file = fs::File::open(path("LICENSE")).expect("a file that is never replaced");
    let lock = Flock::lock(file, FlockArg::LockExclusive);
    let _lock = lock.map_err(|(_, error)| error).expect("it can be locked");
    let new = path("README.md.new");
    fs::write(&new, edit(&read("README.md"))).expect("it is writable");
    fs::rename(&new, path("README.md")).expect("it is writable");
}
