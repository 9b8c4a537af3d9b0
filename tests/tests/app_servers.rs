//! The programs of the README's section "Events", run with the real clients of Python and Node.
//!
//! In: README.md; Debian's python3 with psycopg, and node with pg. Must hold: the programs work as
//! they stand there: each run is printed once, with what its row says, what was missed comes first,
//! and a connection that breaks ends the program. A missing client fails the test.

use pg_backup_tests::{Cluster, LIMIT, Mode, Run, wait_for, wait_until};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use tempfile::TempDir;

const README: &str = include_str!("../../README.md");
const INSTALL: &str = "the clients of the README's programs must be there: run `make test-install`";

/// A language of the README's programs.
struct Language {
    /// As the README marks its blocks.
    mark: &'static str,
    /// Debian's own: another one may come first in PATH, and does not have the client.
    interpreter: &'static str,
}

const PYTHON: Language = Language { mark: "python", interpreter: "/usr/bin/python3" };
const NODE: Language = Language { mark: "js", interpreter: "/usr/bin/node" };

/// Which block of a language in the section.
const LISTEN: usize = 0;
const BACK_UP: usize = 1;

/// A running program of the README, killed when it goes. Make it after the cluster.
struct Program {
    child: Child,
    folder: TempDir,
}

impl Program {
    fn start(cluster: &Cluster, language: &Language, number: usize) -> Self {
        let folder = tempfile::tempdir().expect("the temporary directory is writable");
        let program = folder.path().join("program");
        fs::write(&program, block(language.mark, number)).expect("the directory is ours");
        let output = |name| File::create(folder.path().join(name)).expect("the directory is ours");
        let mut command = cluster.program(language.interpreter);
        command.arg(&program).current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(output("stdout")).stderr(output("stderr"));
        let child = command.spawn();
        let child = child.unwrap_or_else(|error| panic!("{}: {error}\n{INSTALL}", language.mark));
        Self { child, folder }
    }

    fn read(&self, name: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        fs::read_to_string(path).expect("the programs write UTF-8")
    }

    /// The whole lines printed so far.
    fn lines(&self) -> Vec<String> {
        let text = self.read("stdout");
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(str::to_owned).collect()
    }

    /// Waits until it has printed so many lines, and gives them. Panics when it ends before.
    fn wait_for_lines(&mut self, count: usize) -> Vec<String> {
        wait_until(&format!("{count} lines of the program"), LIMIT, || {
            let ended = self.child.try_wait().expect("it is our child");
            let enough = self.lines().len() >= count;
            assert!(enough || ended.is_none(), "{ended:?}\n{}\n{INSTALL}", self.read("stderr"));
            enough
        });
        self.lines()
    }

    /// Waits until it ends by itself.
    fn end(&mut self) -> ExitStatus {
        wait_for("the end of the program", LIMIT, || {
            self.child.try_wait().expect("it is our child")
        })
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // One that has ended is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program of the section "Events", as it stands there.
fn block(language: &str, number: usize) -> &'static str {
    let (_, rest) = README.split_once("\n## Events\n").expect("the README has that section");
    let (section, _) = rest.split_once("\n## ").expect("it is not the last one");
    let begin = format!("```{language}\n");
    let block = section.split(begin.as_str()).nth(number + 1);
    let block = block.unwrap_or_else(|| panic!("no block {number} of {language}"));
    block.split_once("\n```").expect("it ends").0
}

/// A backup of `postgres` that succeeds, and the line that tells it.
fn succeed(cluster: &Cluster) -> (Run, String) {
    cluster.sql("postgres", "SELECT backup_create()");
    let run = cluster.last_backup();
    let size = "SELECT pg_size_pretty(size_bytes) FROM backup_history WHERE id = ";
    let size = cluster.value("postgres", &format!("{size}{}", run.id));
    let line = format!("succeeded {} postgres {size}", run.id);
    (run, line)
}

/// A backup that fails, and the line that tells it.
fn fail(cluster: &Cluster) -> (Run, String) {
    cluster.error("postgres", "SELECT backup_create(tables => '{public.none_such}')");
    let run = cluster.last_backup();
    assert_eq!(run.status, "failed", "{run:?}");
    let line = format!("failed {} postgres {}", run.id, run.error);
    (run, line)
}

/// The line of a start: what the row says besides depends on how far the run has come meanwhile.
fn assert_started(line: &str, run: &Run) {
    let wanted = format!("started {} postgres ", run.id);
    assert!(line.starts_with(&wanted), "{line:?} does not begin with {wanted:?}");
}

fn assert_each_run_is_printed(language: &Language) {
    let cluster = Cluster::start();
    let (_, missed) = succeed(&cluster);
    let mut program = Program::start(&cluster, language, LISTEN);
    // It listens before it looks back, so that from here on every run is an event.
    assert_eq!(program.wait_for_lines(1), [missed]);
    let (good, succeeded) = succeed(&cluster);
    let (bad, failed) = fail(&cluster);
    let lines = program.wait_for_lines(5);
    assert_started(&lines[1], &good);
    assert_eq!(lines[2], succeeded);
    assert_started(&lines[3], &bad);
    assert_eq!(lines[4..], [failed]);
}

fn assert_what_was_missed_is_printed(language: &Language) {
    let mut cluster = Cluster::start();
    let (_, first) = succeed(&cluster);
    let mut program = Program::start(&cluster, language, LISTEN);
    assert_eq!(program.wait_for_lines(1), [first.as_str()]);
    cluster.restart(Mode::Fast);
    let status = program.end();
    assert!(!status.success(), "{status}: a supervisor would not start it again");
    let (_, second) = fail(&cluster);
    let mut again = Program::start(&cluster, language, LISTEN);
    assert_eq!(again.wait_for_lines(2), [first, second]);
}

fn assert_a_backup_is_started_and_awaited(language: &Language) {
    let cluster = Cluster::start();
    succeed(&cluster);
    let mut program = Program::start(&cluster, language, BACK_UP);
    let status = program.end();
    assert!(status.success(), "{status}\n{}\n{INSTALL}", program.read("stderr"));
    let run = cluster.last_backup();
    assert_eq!((run.id, run.status.as_str()), (2, "succeeded"));
    assert_eq!(program.lines(), ["2 succeeded"]);
}

#[test]
fn a_python_program_prints_each_run_once() {
    assert_each_run_is_printed(&PYTHON);
}

#[test]
fn a_node_program_prints_each_run_once() {
    assert_each_run_is_printed(&NODE);
}

#[test]
fn a_python_program_whose_connection_broke_prints_what_it_missed() {
    assert_what_was_missed_is_printed(&PYTHON);
}

#[test]
fn a_node_program_whose_connection_broke_prints_what_it_missed() {
    assert_what_was_missed_is_printed(&NODE);
}

#[test]
fn a_python_program_starts_a_backup_and_waits_for_its_event() {
    assert_a_backup_is_started_and_awaited(&PYTHON);
}

#[test]
fn a_node_program_starts_a_backup_and_waits_for_its_event() {
    assert_a_backup_is_started_and_awaited(&NODE);
}
