//! Reads a member and holds it against what the manifest says of it.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::hex;
use crate::decide::manifest::Member;
use crate::error::{Class, Failure, Result};

/// Characters of a member's name in a message.
const NAME_SHOWN: usize = 200;

/// The bytes of one member, hashed on their way. It never gives more bytes than the manifest
/// says, so that a bomb ends there.
pub struct Checked<R> {
    inner: R,
    member: Member,
    read: u64,
    hash: Sha256,
}

impl<R: Read> Checked<R> {
    /// Reads `member` from `inner`.
    pub fn new(inner: R, member: &Member) -> Self {
        Self { inner, member: member.clone(), read: 0, hash: Sha256::new() }
    }

    /// Reads what nobody has asked for, and judges the whole. Errors: `Damaged`.
    pub fn finish(mut self) -> Result<()> {
        io::copy(&mut self, &mut io::sink()).map_err(|e| self.failure(&e))?;
        let mut more = [0; 1];
        if self.inner.read(&mut more).map_err(|e| self.failure(&e))? > 0 {
            return Err(different(&self.member).detail("It is longer than the manifest says."));
        }
        let sha256 = hex(&self.hash.finalize());
        if self.read == self.member.size && sha256 == self.member.sha256 {
            return Ok(());
        }
        Err(different(&self.member).detail(format!(
            "It has {} bytes and SHA-256 {sha256}, the manifest says {} bytes and {}.",
            self.read, self.member.size, self.member.sha256
        )))
    }

    /// Why reading failed.
    pub fn failure(&self, error: &io::Error) -> Failure {
        Failure::inside(error)
            .unwrap_or_else(|| different(&self.member).detail(format!("Reading it: {error}.")))
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.member.size - self.read;
        let wanted = left.min(buffer.len() as u64) as usize;
        let count = self.inner.read(&mut buffer[..wanted])?;
        self.hash.update(&buffer[..count]);
        self.read += count as u64;
        Ok(count)
    }
}

fn different(member: &Member) -> Failure {
    let name: String = member.name.escape_debug().take(NAME_SHOWN).collect();
    Failure::new(Class::Damaged, format!("member \"{name}\" is not what was written"))
        .hint("Do not rely on this archive. See backup_history for another one.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(size: u64, bytes: &[u8]) -> Member {
        Member { name: "a".into(), size, sha256: hex(&Sha256::digest(bytes)) }
    }

    #[test]
    fn only_the_very_bytes_of_the_manifest_pass() {
        let check = |bytes: &[u8], member: &Member| Checked::new(bytes, member).finish();
        assert_eq!(check(b"", &member(0, b"")), Ok(()));
        assert_eq!(check(b"abc", &member(3, b"abc")), Ok(()));
        for (bytes, wanted) in [
            (&b"abd"[..], member(3, b"abc")),
            (b"abcd", member(3, b"abc")),
            (b"ab", member(3, b"abc")),
            (b"ab", member(u64::MAX, b"ab")),
        ] {
            assert_eq!(check(bytes, &wanted).unwrap_err().class, Class::Damaged, "{bytes:?}");
        }
    }

    #[test]
    fn a_bomb_ends_where_the_manifest_says() {
        let mut checked = Checked::new(io::repeat(0), &member(10, &[0; 10]));
        let mut bytes = Vec::new();
        checked.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), 10);
        assert!(checked.finish().is_err());
    }
}
