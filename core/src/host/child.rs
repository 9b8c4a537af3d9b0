//! One child process, from its start to its reaping: pg_dump, pg_restore, pg_dumpall, psql.
//!
//! In: a [`Tool`] (what to run, with a complete environment) and a [`Harden`] hook for what must
//! happen between fork and exec. Out: the ends of its pipes, and an [`Outcome`].
//! What must hold: nothing of the server's environment reaches the child; it leads a process
//! group of its own, and when it ends, by itself or by [`Child::stop`], so does that group;
//! however much it writes to stderr, it never blocks on it; no wait depends on a signal or has
//! no limit. Spawn from the main thread: PR_SET_PDEATHSIG fires when the *thread* ends.

mod drain;
mod outcome;
#[cfg(test)]
mod tests;

pub use outcome::{Ended, Outcome, classify};

use crate::error::{Class, Failure, Result};
use drain::Drain;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a child may take to end after SIGTERM. pg_dump needs milliseconds; more would make
/// a shutdown of the server wait.
pub const GRACE: Duration = Duration::from_secs(2);

/// How long to wait after SIGKILL. Only a child inside an uninterruptible system call (a dead
/// network disk) takes that long; it is given up then, because the server must be able to stop.
pub const KILL_LIMIT: Duration = Duration::from_secs(5);

/// The pauses between two looks at a child: short at first, because most end at once.
const PAUSE_MIN: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// Bytes a pipe should hold: the default of /proc/sys/fs/pipe-max-size, the most that an
/// ordinary user may ask for. The default of 64 KiB costs a context switch per 64 KiB of dump.
const PIPE_BYTES: i32 = 1 << 20;

/// What the extension adds to a command: `pre_exec` hooks that reset the signal mask and
/// dispositions, set PR_SET_PDEATHSIG and close file descriptors. The child already leads its
/// own process group then, so that `setsid` would fail.
pub type Harden = fn(&mut Command);

/// Where a child's input comes from: nowhere, or [`Child::take_stdin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdin {
    Null,
    Pipe,
}

/// Where a child's output goes: nowhere, or [`Child::take_stdout`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stdout {
    Null,
    Pipe,
}

/// What to run. No secret in `args`: every user of the machine can read them.
#[derive(Debug, Clone)]
pub struct Tool {
    /// The name that messages use: "pg_dump".
    pub name: &'static str,
    /// Absolute: nothing is looked up in a PATH.
    pub program: PathBuf,
    pub args: Vec<OsString>,
    /// The environment, beside PATH and LC_ALL which are always the same.
    pub envs: Vec<(OsString, OsString)>,
    pub stdin: Stdin,
    pub stdout: Stdout,
    /// The working directory; the caller's own when there is none.
    pub cwd: Option<PathBuf>,
}

/// A started child. Dropping it stops it.
#[derive(Debug)]
pub struct Child {
    tool: &'static str,
    process: std::process::Child,
    stderr: Option<Drain>,
    outcome: Option<Outcome>,
}

impl Child {
    /// Starts a tool.
    ///
    /// Errors: `UndefinedFile` when the program is missing, `Io` when it cannot be executed,
    /// `LimitExceeded` when the system gives no process or thread, `InvalidArgument` for a
    /// program that is not an absolute path.
    pub fn spawn(tool: &Tool, harden: Harden) -> Result<Self> {
        let mut process = command(tool, harden)?.spawn().map_err(|e| not_started(tool, &e))?;
        let stderr = process.stderr.take();
        let mut child = Self { tool: tool.name, process, stderr: None, outcome: None };
        child.process.stdin.as_ref().inspect(|pipe| enlarge(pipe));
        child.process.stdout.as_ref().inspect(|pipe| enlarge(pipe));
        child.stderr = stderr.map(Drain::start).transpose()?;
        Ok(child)
    }

    /// The writing end of the child's input, once; drop it to give the child its end of file.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.process.stdin.take()
    }

    /// The reading end of the child's output, once.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.process.stdout.take()
    }

    /// The process id, also the id of the process group.
    pub fn pid(&self) -> i32 {
        self.process.id() as i32
    }

    /// Looks, without waiting, whether the child has ended; the same answer ever after.
    ///
    /// Errors: `Io` when the system does not know the child: someone else reaped it.
    pub fn try_wait(&mut self) -> Result<Option<Outcome>> {
        if self.outcome.is_none() && self.has_ended()? {
            let status = self.reap()?;
            self.settle(Ended::from(status));
        }
        Ok(self.outcome.clone())
    }

    /// Waits up to `limit` for the child to end; `None` when it still runs.
    ///
    /// Errors: as [`Child::try_wait`].
    pub fn wait_within(&mut self, limit: Duration) -> Result<Option<Outcome>> {
        let deadline = Instant::now() + limit;
        let mut pause = PAUSE_MIN;
        loop {
            let outcome = self.try_wait()?;
            if outcome.is_some() || Instant::now() >= deadline {
                return Ok(outcome);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Ends the child and its group: SIGTERM, up to [`GRACE`], SIGKILL, up to [`KILL_LIMIT`].
    /// One that has ended already keeps its true outcome. Can be called again.
    pub fn stop(&mut self) -> Outcome {
        self.ended_within(Duration::ZERO)
            .or_else(|| {
                self.signal(Signal::SIGTERM);
                // One that is stopped gets its SIGTERM only when it goes on.
                self.signal(Signal::SIGCONT);
                self.ended_within(GRACE)
            })
            .or_else(|| {
                self.signal(Signal::SIGKILL);
                self.ended_within(KILL_LIMIT)
            })
            .unwrap_or_else(|| self.settle(Ended::Lost))
    }

    /// The outcome once there is one; `Lost` when the system does not know the child any more.
    fn ended_within(&mut self, limit: Duration) -> Option<Outcome> {
        match self.wait_within(limit) {
            Ok(outcome) => outcome,
            Err(_) => Some(self.settle(Ended::Lost)),
        }
    }

    /// Looks without reaping: until then the id cannot become that of a stranger.
    fn has_ended(&self) -> Result<bool> {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(Pid::from_raw(self.pid())), look) {
            Ok(WaitStatus::StillAlive) => Ok(false),
            // The wrapper knows no real-time signals: EINVAL says that one of them ended it.
            Ok(_) | Err(Errno::EINVAL) => Ok(true),
            Err(errno) => Err(self.lost(&errno.into())),
        }
    }

    /// Reaps a child that has ended, after what it left behind in its group.
    fn reap(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGKILL);
        let status = self.process.try_wait().map_err(|e| self.lost(&e))?;
        status.ok_or_else(|| self.lost(&Errno::ECHILD.into()))
    }

    /// Signals the group, and the child itself where there is no group to signal. Errors say that
    /// nobody is left, and then there is nothing to do. Only called before the child is reaped.
    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid());
        let group = killpg(pid, signal);
        if group.is_err() || signal == Signal::SIGKILL {
            kill(pid, signal).ok();
        }
    }

    fn settle(&mut self, ended: Ended) -> Outcome {
        let stderr = self.stderr.take().map(Drain::finish).unwrap_or_default();
        let outcome = Outcome { tool: self.tool, ended, stderr };
        self.outcome.insert(outcome).clone()
    }

    fn lost(&self, error: &std::io::Error) -> Failure {
        Failure::io(format_args!("wait for {} (process {})", self.tool, self.pid()), error)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.stop();
    }
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Exit(code),
            (None, Some(signal)) => Self::Signal(signal),
            (None, None) => Self::Lost,
        }
    }
}

fn command(tool: &Tool, harden: Harden) -> Result<Command> {
    if !tool.program.is_absolute() {
        let program = tool.program.display();
        let message = format!("program \"{program}\" is not an absolute path");
        return Err(Failure::new(Class::InvalidArgument, message));
    }
    let mut command = Command::new(&tool.program);
    command.args(&tool.args).env_clear().envs(tool.envs.iter().map(|(name, value)| (name, value)));
    // PATH for what psql or a wrapper script may call; LC_ALL because `classify` reads English.
    command.env("PATH", "/usr/bin:/bin").env("LC_ALL", "C");
    command.stdin(if tool.stdin == Stdin::Pipe { Stdio::piped() } else { Stdio::null() });
    command.stdout(if tool.stdout == Stdout::Pipe { Stdio::piped() } else { Stdio::null() });
    command.stderr(Stdio::piped()).process_group(0);
    if let Some(cwd) = &tool.cwd {
        command.current_dir(cwd);
    }
    harden(&mut command);
    Ok(command)
}

/// Why a tool did not start. A missing working directory gives the same error as a missing
/// program, and the hook's own errors are among them too.
fn not_started(tool: &Tool, error: &std::io::Error) -> Failure {
    if let Some(cwd) = tool.cwd.as_ref().filter(|cwd| !cwd.is_dir()) {
        let message = format!("working directory \"{}\" does not exist", cwd.display());
        return Failure::new(Class::UndefinedFile, message);
    }
    let mut failure = Failure::io(format_args!("execute \"{}\"", tool.program.display()), error);
    // EAGAIN and ENOMEM: no process left for this user, or no memory for one.
    let limits = [std::io::ErrorKind::WouldBlock, std::io::ErrorKind::OutOfMemory];
    if limits.contains(&error.kind()) {
        failure.class = Class::LimitExceeded;
        return failure.hint("Raise the limit of processes of the server's user, or free memory.");
    }
    failure.hint(format!(
        "Set pg_backup.bin_directory to the directory that holds the server's own {}, and let \
         the server's user execute it.",
        tool.name
    ))
}

/// Makes a pipe larger where the system allows it; everything works without, only slower.
fn enlarge(pipe: impl AsFd) {
    fcntl(pipe, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES)).ok();
}
