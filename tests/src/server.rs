//! One postmaster as a child of a test.
//!
//! In: a data directory and an environment. Out: a process that accepts connections, and its end.
//! Must hold: the server dies with the thread that started it; it inherits nothing of the
//! developer's environment; every wait has a limit.

use crate::place::server_user;
use crate::process::{poll, signal};
use nix::sys::signal::Signal;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A start that takes longer hangs. Crash recovery of a test's data takes well under a second.
const START_LIMIT: Duration = Duration::from_secs(60);
/// The line of postmaster.pid that holds the server's state: `LOCK_FILE_LINE_PM_STATUS` is 8.
const STATUS_LINE: usize = 7;
/// How much of the log is shown when something went wrong.
const LOG_TAIL_LINES: usize = 60;

/// A running postmaster.
pub struct Server {
    child: Child,
}

/// What it takes to start one.
pub struct Start<'a> {
    /// Of the server's programs.
    pub bindir: &'a Path,
    pub data: &'a Path,
    pub log: &'a Path,
    /// On top of a minimal environment.
    pub env: &'a [(String, String)],
}

impl Start<'_> {
    /// Starts the server and waits until it accepts connections, else gives the reason.
    pub fn run(&self) -> Result<Server, String> {
        let log = OpenOptions::new().create(true).append(true).open(self.log);
        let log = log.map_err(|error| format!("could not open the server's log: {error}"))?;
        let mut command = as_server(self.bindir.join("postgres"));
        command.arg("-D").arg(self.data).envs(self.env.iter().cloned());
        command.stdout(log.try_clone().map_err(|error| error.to_string())?).stderr(log);
        die_with_parent(&mut command, Signal::SIGQUIT);
        let child = command.process_group(0).spawn();
        let child = child.map_err(|error| format!("could not start postgres: {error}"))?;
        let mut server = Server { child };
        match poll(START_LIMIT, || self.state(&mut server)) {
            Some(Ok(())) => Ok(server),
            Some(Err(status)) => Err(format!("the server did not start: {status}")),
            None => {
                server.kill();
                Err(format!("the server was not ready within {START_LIMIT:?}"))
            }
        }
    }

    fn state(&self, server: &mut Server) -> Option<Result<(), ExitStatus>> {
        if let Ok(Some(status)) = server.child.try_wait() {
            return Some(Err(status));
        }
        let file = fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        // After a crash the file is there from before: only our own process counts.
        let ours = file.lines().next()?.trim().parse() == Ok(server.child.id());
        (ours && file.lines().nth(STATUS_LINE)?.trim() == "ready").then_some(Ok(()))
    }
}

impl Server {
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Whether it ended within `limit` after `how` was sent to it.
    pub fn stop(&mut self, how: Signal, limit: Duration) -> bool {
        signal(self.pid(), how);
        poll(limit, || self.child.try_wait().ok().flatten()).is_some()
    }

    /// Kills the postmaster alone, as the out-of-memory killer would, and reaps it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that runs as the server's user, with a minimal environment and no standard input.
pub fn as_server(program: PathBuf) -> Command {
    let mut command = plain(program);
    if let Some((uid, gid)) = server_user() {
        command.uid(uid.as_raw()).gid(gid.as_raw());
    }
    command.current_dir("/");
    command
}

/// A command with a minimal environment and no standard input.
pub fn plain(program: PathBuf) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}

/// Makes the kernel send `end` to the child when the thread that starts it ends, so that a killed
/// test leaves no server.
fn die_with_parent(command: &mut Command, end: Signal) {
    let parent = std::process::id().cast_signed();
    let arm = move || {
        // SAFETY: prctl with PR_SET_PDEATHSIG takes one number and touches no memory of ours.
        if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, end as libc::c_ulong) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: getppid has no preconditions. A parent that died before is noticed here.
        if unsafe { libc::getppid() } != parent {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    };
    // SAFETY: between fork and exec the closure makes two system calls, both async-signal-safe,
    // and allocates nothing. std changes the user first, which would clear the signal.
    unsafe { command.pre_exec(arm) };
}

/// Runs a command to its end. Panics with what it wrote when it fails.
pub fn must_run(command: &mut Command) {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("could not run {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The end of a server's log, for a person who looks for the reason of a failure.
pub fn log_tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let tail = &lines[lines.len().saturating_sub(LOG_TAIL_LINES)..];
    format!("--- server log, last {} lines ---\n{}\n---", tail.len(), tail.join("\n"))
}
