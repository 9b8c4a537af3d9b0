//! The programs of docs/examples, run with the real clients of the shell, Python and Node.
//!
//! Must hold: what they download is the archive, also when the connection breaks or an earlier
//! download was left half done; what they upload arrives whole, also then. A missing client
//! fails the test.

use pg_backup_tests::{Cluster, LIMIT, wait_until};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use tempfile::TempDir;

const INSTALL: &str = "the clients of the programs must be there: run `make test-install`";

/// A program and what runs it: Debian's own interpreters have the clients.
struct Program {
    interpreter: &'static str,
    file: &'static str,
}

const SHELL: Program = Program { interpreter: "/bin/bash", file: "transfer.sh" };
const PYTHON: Program = Program { interpreter: "/usr/bin/python3", file: "transfer.py" };
const NODE: Program = Program { interpreter: "/usr/bin/node", file: "transfer.js" };

/// A cluster with backup 1 of some megabytes that do not compress, and a folder for a client.
struct Place {
    cluster: Cluster,
    folder: TempDir,
    archive: Vec<u8>,
}

impl Place {
    fn new() -> Self {
        let cluster = Cluster::start();
        cluster.fill("shop", 1, 12);
        cluster.sql("postgres", "SELECT backup_create(database => 'shop', compression => 'none')");
        let archive = fs::read(cluster.archive(&cluster.last_backup())).expect("it is there");
        assert!(archive.len() > 8 << 20, "{}", archive.len());
        let folder = tempfile::tempdir().expect("the temporary directory is writable");
        Self { cluster, folder, archive }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self, program: &Program, args: &[&str]) -> Child {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples");
        let mut command = self.cluster.program(program.interpreter);
        command.arg(examples.join(program.file)).args(args).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap_or_else(|error| panic!("{}: {error}\n{INSTALL}", program.file))
    }

    /// Runs it to its end, which must be a good one; gives what it printed.
    fn run(&self, program: &Program, args: &[&str]) -> String {
        finish(self.start(program, args))
    }

    /// Ends the session of the program in the middle of `call`.
    fn break_connection(&self, call: &str) {
        let sql = format!(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
             WHERE application_name = 'transfer' AND query LIKE '%{call}(%' \
               AND pid <> pg_backend_pid()"
        );
        let mut client = self.cluster.connect("postgres");
        wait_until("a session to end", LIMIT, || {
            client.query_one(&sql, &[]).expect("it is asked").get::<_, i64>(0) > 0
        });
    }
}

fn finish(child: Child) -> String {
    let output = child.wait_with_output().expect("it is our child");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}\n{INSTALL}", output.status);
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn assert_downloaded(program: &Program) {
    let place = Place::new();
    place.run(program, &["download", "1", "copy.zip"]);
    assert!(fs::read(place.file("copy.zip")).expect("it is there") == place.archive);
}

fn assert_download_goes_on(program: &Program) {
    let place = Place::new();
    let half = place.file("half.zip");
    fs::write(&half, &place.archive[..(5 << 20) / 2]).expect("the folder is ours");
    place.run(program, &["download", "1", "half.zip"]);
    assert!(fs::read(half).expect("it is there") == place.archive);
    let download = place.start(program, &["download", "1", "broken.zip"]);
    place.break_connection("backup_download");
    finish(download);
    assert!(fs::read(place.file("broken.zip")).expect("it is there") == place.archive);
}

/// An upload arrives and becomes a backup.
fn assert_uploaded(program: &Program, breaks: bool) {
    let place = Place::new();
    fs::write(place.file("mine.zip"), &place.archive).expect("the folder is ours");
    let upload = place.start(program, &["upload", "mine.zip"]);
    if breaks {
        place.break_connection("backup_upload_part");
    }
    let id = finish(upload);
    let found = format!(
        "SELECT concat_ws(' ', kind, status, file_state, sha256 = \
                (SELECT sha256 FROM backup_history WHERE id = 1)) \
           FROM backup_history WHERE id = {id}"
    );
    let found = place.cluster.value("postgres", &found);
    assert_eq!(found, "import succeeded available t");
    assert_eq!(place.cluster.value("postgres", "SELECT count(*) FROM backup_uploads"), "0");
}

#[test]
fn a_shell_downloads() {
    assert_downloaded(&SHELL);
}

#[test]
fn a_python_program_downloads_and_goes_on() {
    assert_download_goes_on(&PYTHON);
}

#[test]
fn a_node_program_downloads_and_goes_on() {
    assert_download_goes_on(&NODE);
}

#[test]
fn a_shell_uploads() {
    assert_uploaded(&SHELL, false);
}

#[test]
fn a_python_program_uploads_and_goes_on() {
    assert_uploaded(&PYTHON, true);
}

#[test]
fn a_node_program_uploads_and_goes_on() {
    assert_uploaded(&NODE, true);
}
