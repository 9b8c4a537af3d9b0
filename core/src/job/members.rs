//! Reads the members beside the dump (attached files, roles, the table of contents) and holds each
//! against the manifest.

use std::path::Path;
use std::time::Duration;

use super::context::Context;
use super::wait::{moving, until};
use crate::decide::archive_spec::payload_member;
use crate::decide::manifest::{Manifest, Member};
use crate::error::Result;
use crate::host::archive::checked::Checked;
use crate::host::archive::reader::Archive;
use crate::host::stoppable::{Stop, Stoppable};

/// Read at once.
const CHUNK: usize = 256 << 10;
/// What stands still when reading does.
const READING: &str = "reading the members of the archive";

/// The members of an archive beside its dump.
pub fn others(manifest: Manifest) -> Vec<Member> {
    let mut members = manifest.members;
    members.retain(|member| payload_member(&member.name).is_none());
    members
}

/// Reads them all. Errors: `Damaged`, naming the member.
pub async fn check(
    context: &Context<'_>,
    path: &Path,
    others: Vec<Member>,
    stall: Duration,
) -> Result<()> {
    let (path, stop) = (path.to_owned(), Stop::default());
    let mut reading = Stoppable::spawn("pg_backup members", &stop, move |stop| {
        let archive = Archive::open(&path)?;
        others.iter().try_for_each(|member| read(&archive, member, stop))
    })?;
    let control = moving(context.control, READING, stop.bytes(), stall);
    until(&control, || reading.try_join()).await
}

fn read(archive: &Archive, member: &Member, stop: &Stop) -> Result<()> {
    use std::io::Read;
    let mut checked = Checked::new(archive.member(&member.name, member.size)?, member);
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = checked.read(&mut buffer).map_err(|e| checked.failure(&e))?;
        if count == 0 {
            return checked.finish();
        }
        stop.moved(count)?;
    }
}
