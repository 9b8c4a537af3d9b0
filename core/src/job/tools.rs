//! Small runs of the server's tools: a version, a table of contents, the globals. Their output is
//! bounded, their time too.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::context::Context;
use super::wait::until;
use crate::decide::archive_spec::SMALL_TOOL_TIME;
use crate::error::{Class, Failure, Result};
use crate::host::child::{Child, Outcome, Stdin, Stdout, Tool};
use crate::host::threads;

/// A tool of the server with nothing on its standard input and a pipe behind its output.
pub fn tool(
    context: &Context<'_>,
    name: &'static str,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
) -> Tool {
    Tool {
        name,
        program: context.settings.bin_directory.join(name),
        args,
        envs,
        stdin: Stdin::Null,
        stdout: Stdout::Pipe,
        cwd: Some("/".into()),
    }
}

/// Runs a tool to its end and gives what it wrote, at most `cap` bytes. `feed`, when there is
/// one, is written to its standard input; a tool that stops reading early is fine.
pub async fn output(
    context: &Context<'_>,
    tool: &Tool,
    feed: Option<Box<dyn Read + Send>>,
    cap: u64,
    what: &str,
) -> Result<Vec<u8>> {
    let (outcome, bytes) = written(context, tool, feed, cap).await?;
    if !outcome.success() {
        return Err(outcome.into_failure(what));
    }
    Ok(bytes)
}

/// The same, and how it ended.
pub async fn written(
    context: &Context<'_>,
    tool: &Tool,
    feed: Option<Box<dyn Read + Send>>,
    cap: u64,
) -> Result<(Outcome, Vec<u8>)> {
    let tool = Tool { stdin: feed.as_ref().map_or(Stdin::Null, |_| Stdin::Pipe), ..tool.clone() };
    let mut child = Child::spawn(&tool, context.harden)?;
    let stdout = child.take_stdout();
    let reader = threads::spawn("pg_backup out", move || -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if let Some(stdout) = stdout {
            let mut limited = stdout.take(cap + 1);
            limited.read_to_end(&mut bytes).map_err(|e| Failure::io("read a tool's output", &e))?;
        }
        Ok(bytes)
    })?;
    let stdin = child.take_stdin();
    let feeder = threads::spawn("pg_backup in", move || {
        let (Some(mut feed), Some(mut stdin)) = (feed, stdin) else { return };
        let mut buffer = vec![0; 64 << 10];
        // The tool may stop reading when it knows enough; what counts is how it ends.
        while let Ok(count @ 1..) = feed.read(&mut buffer) {
            if stdin.write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    })?;
    let outcome = ended(context, tool.name, &mut child, SMALL_TOOL_TIME).await?;
    let bytes = threads::join(reader)??;
    threads::join(feeder)?;
    // A tool that nobody reads any more is ended by that, whatever it had to say.
    if bytes.len() as u64 > cap {
        return Err(Failure::new(
            Class::LimitExceeded,
            format!("{} wrote more than {cap} bytes", tool.name),
        )
        .detail("So much is not read of it.")
        .hint("It lists the objects of the dump: large objects are listed, too, until 16."));
    }
    Ok((outcome, bytes))
}

/// Waits for the end of the child `name`, at most `limit`.
pub async fn ended(
    context: &Context<'_>,
    name: &str,
    child: &mut Child,
    limit: Duration,
) -> Result<Outcome> {
    let started = Instant::now();
    until(context.control, || match child.try_wait()? {
        Some(outcome) => Ok(Some(outcome)),
        None if started.elapsed() >= limit => {
            let seconds = limit.as_secs();
            Err(Failure::new(Class::Timeout, format!("{name} did not end within {seconds} s"))
                .hint("Try it by hand: pg_backup.bin_directory says where it is."))
        }
        None => Ok(None),
    })
    .await
}

/// The version line of a tool: `pg_dump (PostgreSQL) 15.20`.
pub async fn version(context: &Context<'_>, name: &'static str) -> Result<String> {
    const CAP: u64 = 1024;
    let tool = tool(context, name, vec!["--version".into()], Vec::new());
    let bytes = output(context, &tool, None, CAP, "").await?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}
