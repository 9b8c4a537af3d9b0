//! Children of every kind that can go wrong, played by /bin/sh. Nothing is written to a file that
//! is then executed: another test's fork would make that fail with "text file busy".

use super::*;
use std::io::{BufRead, BufReader, Read, Write};

/// The most that a test waits for anything.
const LIMIT: Duration = Duration::from_secs(30);

fn shell(script: &str) -> Tool {
    Tool {
        name: "pg_dump",
        program: PathBuf::from("/bin/sh"),
        args: vec!["-c".into(), script.into()],
        envs: Vec::new(),
        stdin: Stdin::Null,
        stdout: Stdout::Null,
        cwd: None,
    }
}

fn spawn(tool: &Tool) -> Child {
    Child::spawn(tool, |_| {}).unwrap()
}

fn run(script: &str) -> Outcome {
    spawn(&shell(script)).wait_within(LIMIT).unwrap().expect("ended within the limit")
}

/// The output of a script that ends well.
fn output(tool: &Tool) -> String {
    let mut child = spawn(&Tool { stdout: Stdout::Pipe, ..tool.clone() });
    let mut text = String::new();
    child.take_stdout().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait_within(LIMIT).unwrap().unwrap().success());
    text
}

/// Starts a script and gives the first line that it prints.
fn first_line(tool: &Tool) -> (Child, String) {
    let mut child = spawn(&Tool { stdout: Stdout::Pipe, ..tool.clone() });
    let mut line = String::new();
    BufReader::new(child.take_stdout().unwrap()).read_line(&mut line).unwrap();
    (child, line.trim().to_owned())
}

/// The letter of a process's state, as in `proc_pid_stat(5)`; `None` when there is none.
fn state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

fn poll(what: &str, mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !met() {
        assert!(Instant::now() < deadline, "waited too long: {what}");
        std::thread::park_timeout(PAUSE_MAX);
    }
}

fn is_gone(pid: i32) -> bool {
    matches!(state(pid), None | Some('Z' | 'X'))
}

#[test]
fn a_child_that_ends_well_gives_its_output_and_success() {
    assert_eq!(output(&shell("echo words; echo note >&2")), "words\n");
    let outcome = run("echo note >&2");
    assert!(outcome.success());
    assert_eq!(outcome.stderr, "note\n");
}

#[test]
fn an_exit_code_is_a_failure_with_the_last_words() {
    let outcome = run("echo 'pg_dump: error: no such luck' >&2; exit 1");
    assert_eq!(outcome.ended, Ended::Exit(1));
    let failure = outcome.into_failure("");
    assert_eq!(failure.class, Class::ToolFailed);
    assert_eq!(failure.message, "pg_dump failed: exit code 1");
    assert_eq!(failure.detail, "pg_dump: error: no such luck");
}

#[test]
fn a_child_killed_by_a_signal_says_which() {
    assert_eq!(run("kill -9 $$").ended, Ended::Signal(9));
}

#[test]
fn a_real_time_signal_is_an_end_too() {
    assert_eq!(run("kill -40 $$").ended, Ended::Signal(40));
}

#[test]
fn the_answer_stays_the_same() {
    let mut child = spawn(&shell("echo once >&2; exit 4"));
    let first = child.wait_within(LIMIT).unwrap().unwrap();
    assert_eq!(child.try_wait().unwrap(), Some(first.clone()));
    assert_eq!(child.stop(), first);
}

#[test]
fn input_goes_through() {
    let mut child = spawn(&Tool { stdin: Stdin::Pipe, ..shell("read x; [ \"$x\" = word ]") });
    child.take_stdin().unwrap().write_all(b"word\n").unwrap();
    assert!(child.wait_within(LIMIT).unwrap().unwrap().success());
}

#[test]
fn the_environment_is_ours_alone() {
    let envs = [("PGHOST", "/sockets"), ("PATH", "/evil"), ("LC_ALL", "de_DE")];
    let envs = envs.map(|(name, value)| (name.into(), value.into())).to_vec();
    let tool = Tool { program: "/usr/bin/env".into(), args: Vec::new(), envs, ..shell("") };
    let text = output(&tool);
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["LC_ALL=C", "PATH=/usr/bin:/bin", "PGHOST=/sockets"]);
}

#[test]
fn the_hook_and_the_working_directory_take_effect() {
    let tool = Tool { cwd: Some("/usr".into()), stdout: Stdout::Pipe, ..shell("pwd; echo $HOOK") };
    let mut child = Child::spawn(&tool, |command| _ = command.env("HOOK", "seen")).unwrap();
    let mut text = String::new();
    child.take_stdout().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "/usr\nseen\n");
}

#[test]
fn the_child_leads_a_group_of_its_own() {
    let (child, line) = first_line(&shell("cut -d ' ' -f 5 /proc/$$/stat; read x"));
    assert_eq!(line, child.pid().to_string());
}

#[test]
fn the_output_pipe_holds_a_mebibyte() {
    // The write returns although nobody reads.
    let script = "head -c 1048576 /dev/zero";
    let mut child = spawn(&Tool { stdout: Stdout::Pipe, ..shell(script) });
    assert!(child.wait_within(LIMIT).unwrap().unwrap().success());
}

#[test]
fn a_running_child_is_stopped_by_sigterm_at_once() {
    let (mut child, _) = first_line(&shell("echo ready; while :; do sleep 1; done"));
    assert_eq!(child.try_wait().unwrap(), None);
    let began = Instant::now();
    assert_eq!(child.stop().ended, Ended::Signal(15));
    assert!(began.elapsed() < GRACE);
}

#[test]
fn a_child_that_ignores_sigterm_is_killed_after_the_grace() {
    let script = "trap '' TERM; echo ready; while :; do sleep 1; done";
    let (mut child, _) = first_line(&shell(script));
    let began = Instant::now();
    assert_eq!(child.stop().ended, Ended::Signal(9));
    assert!(began.elapsed() >= GRACE);
    assert!(began.elapsed() < GRACE + KILL_LIMIT);
    assert!(is_gone(child.pid()));
}

#[test]
fn a_stopped_child_is_ended() {
    let mut child = spawn(&shell("kill -STOP $$; while :; do sleep 1; done"));
    let pid = child.pid();
    poll("the child stops", || state(pid) == Some('T'));
    let began = Instant::now();
    assert_eq!(child.stop().ended, Ended::Signal(15));
    assert!(began.elapsed() < GRACE);
}

#[test]
fn a_dropped_child_is_stopped() {
    let (child, _) = first_line(&shell("echo ready; while :; do sleep 1; done"));
    let pid = child.pid();
    drop(child);
    assert_eq!(state(pid), None);
}

#[test]
fn ten_megabytes_of_messages_neither_block_nor_pile_up() {
    let outcome = run("head -c 10000000 /dev/zero | tr '\\0' x >&2; echo; echo 'last words' >&2; \
                       exit 1");
    assert_eq!(outcome.ended, Ended::Exit(1));
    assert!(outcome.stderr.ends_with("last words\n"));
    assert!(outcome.stderr.len() < 64 << 10, "{} bytes kept", outcome.stderr.len());
}

#[test]
fn what_a_child_leaves_in_its_group_ends_with_it() {
    let (mut child, orphan) = first_line(&shell("sleep 600 >/dev/null & echo $!"));
    assert!(child.wait_within(LIMIT).unwrap().unwrap().success());
    let orphan = orphan.parse().unwrap();
    poll("the orphan ends", || is_gone(orphan));
}

#[test]
fn a_grandchild_that_holds_stderr_open_holds_up_nothing() {
    // The grandchild leaves the group before the child goes on and ends.
    let script = "setsid sh -c 'echo $$; exec sleep 600 >/dev/null' & \
                  read go; echo words >&2; exit 1";
    let tool = Tool { stdin: Stdin::Pipe, ..shell(script) };
    let (mut child, grandchild) = first_line(&tool);
    let began = Instant::now();
    drop(child.take_stdin());
    let outcome = child.wait_within(LIMIT).unwrap().unwrap();
    assert!(began.elapsed() < LIMIT);
    let grandchild = grandchild.parse().unwrap();
    assert!(!is_gone(grandchild), "the grandchild still holds the pipe");
    assert_eq!((outcome.ended, outcome.stderr.as_str()), (Ended::Exit(1), "words\n"));
    kill(Pid::from_raw(grandchild), Signal::SIGKILL).unwrap();
}

#[test]
fn a_child_that_someone_else_reaped_is_lost_not_waited_for() {
    let mut child = spawn(&shell("exit 0"));
    nix::sys::wait::waitpid(Pid::from_raw(child.pid()), None).unwrap();
    assert_eq!(child.try_wait().unwrap_err().class, Class::Io);
    let outcome = child.stop();
    assert_eq!(outcome.ended, Ended::Lost);
    assert!(!outcome.success());
}

fn refused(tool: &Tool) -> Failure {
    Child::spawn(tool, |_| {}).expect_err("the tool does not start")
}

#[test]
fn a_missing_program_is_named_with_the_setting_to_change() {
    let failure = refused(&Tool { program: "/nonexistent/pg_dump".into(), ..shell("") });
    assert_eq!(failure.class, Class::UndefinedFile);
    assert!(failure.message.starts_with("could not execute \"/nonexistent/pg_dump\": "));
    assert!(failure.hint.contains("pg_backup.bin_directory"), "{}", failure.hint);
}

#[test]
fn a_program_that_is_not_executable_is_refused() {
    // Root may execute what anybody may, and nobody may execute this one.
    let file = tempfile::NamedTempFile::new().unwrap();
    let failure = refused(&Tool { program: file.path().into(), ..shell("") });
    assert_eq!(failure.class, Class::Io);
    assert!(failure.message.contains("ermission denied"), "{}", failure.message);
}

#[test]
fn a_missing_working_directory_is_not_taken_for_a_missing_program() {
    let failure = refused(&Tool { cwd: Some("/nonexistent".into()), ..shell("") });
    assert_eq!(failure.message, "working directory \"/nonexistent\" does not exist");
}

#[test]
fn a_relative_program_is_refused() {
    let failure = refused(&Tool { program: "sh".into(), ..shell("") });
    assert_eq!(failure.class, Class::InvalidArgument);
}
