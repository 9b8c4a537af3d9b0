//! What this PostgreSQL can do: a build without a library, or an older major version, cannot do
//! all.
//!
//! In: the tree under test. Out: whether a test goes on. What must hold: a test that does less says
//! why, on its output and in the file `skipped` beside the tree, which `make test-all` shows.

use crate::place::{base, bin, tree};
use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;
use std::sync::LazyLock;

/// Major version of the PostgreSQL under test, for example 17.
pub fn major() -> u32 {
    static MAJOR: LazyLock<u32> = LazyLock::new(|| {
        let output = Command::new(bin("postgres")).arg("--version").output();
        let said = String::from_utf8(output.expect("it runs").stdout).expect("it is ASCII");
        let number = said.split_whitespace().find_map(|word| word.split('.').next()?.parse().ok());
        number.unwrap_or_else(|| panic!("no version: {said}"))
    });
    *MAJOR
}

/// Whether PostgreSQL is at least of this major version.
pub fn needs_major(wanted: u32, what: &str) -> bool {
    major() >= wanted || skipped(&format!("PostgreSQL {} has no {what}", major()))
}

/// Whether PostgreSQL was built with ICU.
pub fn needs_icu() -> bool {
    is_built_with("--with-icu") || skipped("this PostgreSQL was built without ICU")
}

/// Whether PostgreSQL was built with libxml: without it, the type xml takes no value.
pub fn needs_libxml() -> bool {
    is_built_with("--with-libxml") || skipped("this PostgreSQL was built without libxml")
}

/// Whether an extension that comes with PostgreSQL is installed.
pub fn needs_extension(name: &str) -> bool {
    tree().extension_dir.join(format!("{name}.control")).exists()
        || skipped(&format!("this PostgreSQL has no extension {name}"))
}

fn is_built_with(option: &str) -> bool {
    let output = Command::new(bin("pg_config")).arg("--configure").output().expect("it runs");
    String::from_utf8_lossy(&output.stdout).contains(option)
}

/// Says why a test does less than it could. False, for those who ask.
pub fn skipped(reason: &str) -> bool {
    println!("skipped: {reason}");
    let file = OpenOptions::new().append(true).create(true).open(base().join("skipped"));
    let said = file.and_then(|mut file| writeln!(file, "skipped: {reason}"));
    said.expect("the tests' directory is ours");
    false
}
