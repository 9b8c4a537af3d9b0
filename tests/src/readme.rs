//! README.md as tests run it: its blocks of code, and the database that they are about.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use crate::{Cluster, bin, doctest};

/// Read when a test runs: whoever edits the README need not compile.
static README: LazyLock<String> = LazyLock::new(|| crate::document::read("README.md"));

/// What stands between two marks of the README, without the marks.
pub fn between(begin: &str, end: &str) -> &'static str {
    let (_, rest) = README.split_once(begin).unwrap_or_else(|| panic!("no {begin}"));
    let (text, _) = rest.split_once(end).unwrap_or_else(|| panic!("no {end} after {begin}"));
    text.trim()
}

/// Fails unless `wanted` stands between the marks of `name`. With `PG_BACKUP_WRITE_DOCS=1` it is
/// written there instead.
pub fn assert_shown(name: &str, wanted: &str) {
    let (begin, end) = (format!("<!-- {name}:begin -->"), format!("<!-- {name}:end -->"));
    let found = between(&begin, &end);
    if found == wanted {
        return;
    }
    let writes = std::env::var_os("PG_BACKUP_WRITE_DOCS").is_some();
    assert!(writes, "README.md is old, run `make reference`: {name} has to be\n\n{wanted}\n");
    doctest::edit_readme(|text| text.replacen(found, wanted, 1));
}

/// The code of one language under a heading of the README, block by block.
pub fn blocks(heading: &str, language: &str) -> Vec<&'static str> {
    let section = between(&format!("\n## {heading}\n"), "\n## ");
    let begin = format!("```{language}\n");
    section
        .split(begin.as_str())
        .skip(1)
        .map(|rest| rest.split_once("\n```").expect("it ends").0)
        .collect()
}

/// A database as the README's commands expect it: `shop`, with data and the extension.
const SHOP: &str = "
CREATE ROLE clerk;
CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text, price numeric);
INSERT INTO orders (what, price) SELECT md5(i::text), i / 7.0 FROM generate_series(1, 5000) i;
ALTER TABLE orders OWNER TO clerk;
CREATE VIEW dear AS SELECT * FROM orders WHERE price > 700;";

/// Everything that a restore must bring back.
pub const CONTENT: &str = "
SELECT concat_ws(' ', md5(string_agg(o::text, ',' ORDER BY o.id)),
                 (SELECT count(*) FROM dear),
                 (SELECT tableowner FROM pg_tables WHERE tablename = 'orders'))
  FROM orders o";

/// A cluster with that database.
pub fn shop() -> Cluster {
    let cluster = Cluster::start();
    cluster.create_shop();
    cluster
}

impl Cluster {
    /// Makes that database.
    pub fn create_shop(&self) {
        self.sql("postgres", "CREATE DATABASE shop");
        self.sql("shop", SHOP);
    }
}

/// The shop, and the path of the newest archive that `create` has made.
pub fn backed_up(create: &str) -> (Cluster, PathBuf) {
    let source = shop();
    source.psql("shop", &format!("CREATE EXTENSION pg_backup; {create};"));
    let file = source.value("shop", "SELECT file FROM backup_history LIMIT 1");
    let archive = source.backup_dir().join(file);
    (source, archive)
}

/// Runs commands of the README as they stand there, against `cluster`.
pub fn run_shell(cluster: &Cluster, archive: &Path, commands: &str) {
    let folder = tempfile::tempdir().expect("the temporary directory is writable");
    let socket = cluster.value("postgres", "SELECT current_setting('unix_socket_directories')");
    let bindir = bin("psql").parent().expect("programs lie in a directory").display().to_string();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-eu", "-c", commands]).current_dir(folder.path()).env_clear();
    shell.env("PATH", format!("{bindir}:/usr/bin:/bin")).env("LC_ALL", "C.UTF-8");
    shell.env("PGHOST", socket).env("PGUSER", "postgres").env("archive", archive);
    let output = shell.stdin(Stdio::null()).output().expect("there is a shell");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}", output.status);
}
