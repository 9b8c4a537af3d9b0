//! Writes members of an archive into a new directory: `backup_extract()`. Leaves no row of the
//! history, and nothing on the disk unless all of it is there and is what was written.

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use super::context::Context;
use super::copied_out::{Room, allowed, copied, publish, source, text, unpack};
use super::wait::deadline;
use super::{CopiedOut, Report};
use crate::decide::directories::is_absolute;
use crate::decide::export::Extract;
use crate::decide::pieces::{Kind, pieces};
use crate::decide::progress::{Phase, Progress};
use crate::decide::request::Home;
use crate::error::{Class, Failure, Result};
use crate::host::archive::reader::Archive;
use crate::host::fresh::{Fresh, Parent};
use crate::host::stoppable::{Stop, Stoppable};

/// Extracts.
pub async fn run(context: &Context<'_>, home: &Home, extract: &Extract) -> Result<Report> {
    let limited = deadline(context.control, Duration::from_millis(extract.limits.runtime));
    let context = &Context { control: &limited, ..*context };
    let phase = Phase::Extracting;
    context.control.report(&Progress { phase, ..Progress::default() });
    let (parent, name) = split(&extract.directory)?;
    let source = source(context, home, extract.backup).await?;
    let parent = Parent::open(parent, &allowed(context), &source.guarded)?;
    let folder = Fresh::folder(&parent, name)?;
    let mut archive = Archive::open(&source.path)?;
    let pieces = pieces(&archive.manifest()?, &extract.member)?;
    let total = pieces.iter().map(|piece| match &piece.kind {
        Kind::File(member) => member.size,
        _ => 0,
    });
    let total = total.sum();
    let reserve = context.settings.min_free_space;
    let (room, root) = (Room { place: parent.path().to_owned(), reserve }, folder.handle()?);
    let stop = Stop::default();
    let thread = Stoppable::spawn("pg_backup unpack", &stop, move |stop| {
        unpack(&mut archive, &pieces, &root, false, &room, stop)
    })?;
    let totals = copied(context, (phase, total), extract.limits.stall, &stop, thread).await?;
    let path = text(&publish(context, folder, true).await?);
    let copied = CopiedOut { path, files: totals.files, bytes: totals.bytes, sha256: None };
    Ok(Report { copied: vec![copied], ..Report::default() })
}

/// The directory that exists, and the name of the one to make.
fn split(directory: &str) -> Result<(&Path, &OsStr)> {
    let path = Path::new(directory);
    let parts = path.parent().zip(path.file_name()).filter(|_| is_absolute(path));
    parts.ok_or_else(|| {
        let message = format!("invalid directory: \"{}\"", directory.escape_debug());
        Failure::new(Class::InvalidArgument, message)
            .detail("It is not the absolute path of a directory to make.")
            .hint(
                "Give a path like '/srv/restored/uploads': the last name must not exist, the \
                   rest must, below a directory of pg_backup.export_directories.",
            )
    })
}
