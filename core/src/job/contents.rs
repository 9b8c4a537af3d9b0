//! The table of contents of a dump, as `pg_restore -l` prints it.

use std::fs::File;
use std::path::Path;

use super::context::Context;
use super::decode::decoder;
use super::tools::{output, tool, written};
use crate::decide::archive_spec::{CONTENTS_MAX, payload_member};
use crate::decide::dump_plan::pg_restore_list;
use crate::error::{Class, Failure, Result};
use crate::host::archive::range::RangeReader;
use crate::host::archive::tail::Tail;

/// Of a custom-format dump that lies in the archive `file` at the member that `tail` knows.
pub async fn of_stream(context: &Context<'_>, file: File, tail: &Tail) -> Result<Vec<u8>> {
    let span = tail.last_closed();
    let (name, start, end) =
        span.ok_or_else(|| Failure::new(Class::Internal, "the dump has no end yet"))?;
    of_range(context, file, &name, start, end).await
}

/// Of a custom-format dump in the bytes `start` to `end` of `file`; `name` tells how they are
/// compressed.
pub async fn of_range(
    context: &Context<'_>,
    file: File,
    name: &str,
    start: u64,
    end: u64,
) -> Result<Vec<u8>> {
    let codec = payload_member(name).map(|(codec, _)| codec);
    let codec = codec.ok_or_else(|| Failure::new(Class::Internal, "not a dump"))?;
    let reader = decoder(codec, RangeReader::new(file, start, end));
    let reader = reader.map_err(|e| Failure::io("read the dump back", &e))?;
    let list = tool(context, "pg_restore", pg_restore_list(None), Vec::new());
    let (outcome, listed) = written(context, &list, Some(reader), CONTENTS_MAX).await?;
    match outcome.success() {
        true => Ok(listed),
        false => Err(outcome.into_reading_failure("list the dump")),
    }
}

/// Of a directory-format dump.
pub async fn of_directory(context: &Context<'_>, directory: Option<&Path>) -> Result<Vec<u8>> {
    let list = tool(context, "pg_restore", pg_restore_list(directory), Vec::new());
    output(context, &list, None, CONTENTS_MAX, "list the dump").await
}
