//! Signatures of archives: HMAC-SHA256 over the bytes of `manifest.json`, which holds the SHA-256
//! of every other member.
//!
//! In: the file of `pg_backup.signing_key_file`, one key a line; the first signs, all verify, so
//! that a key can be replaced: put the new one in front. Must hold: a key is in no error, log,
//! row or archive; a file that others can read or write is refused, as PostgreSQL does with
//! `ssl_key_file`.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use nix::unistd::geteuid;
use sha2::Sha256;

use super::archive::hex;
use super::dir::kind;
use crate::error::{Class, Failure, Result};

/// The shortest key, bytes: the output of the hash (RFC 2104, section 3).
pub const KEY_MIN: usize = 32;
/// The most keys in one file: one a year for longer than archives are kept.
const KEYS_MAX: usize = 16;
/// A file of so many keys is smaller.
const FILE_MAX: u64 = 64 << 10;
/// Rights of anybody but the owner; of a file of root's the server's group may read.
const OF_OTHERS: u32 = 0o077;
const OF_OTHERS_OF_ROOT: u32 = 0o037;

const MAKE: &str = "Make one with \"umask 077; openssl rand -hex 32 >FILE\" as the server's user.";

/// The keys of a file, in its order. Shows nothing of them.
pub struct Keys(Vec<Vec<u8>>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

/// What a signature says of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signature {
    /// There is none.
    Missing,
    /// Made with one of the keys.
    Valid,
    /// Made with another key, or for another manifest.
    Invalid,
}

impl Keys {
    /// Reads the keys of a file. Empty lines and those that begin with `#` are none.
    ///
    /// Errors: `UndefinedFile`, `NotReady` (not a file, rights, owner), `InvalidArgument` (no key,
    /// a short one, one that is no text), `Io`.
    pub fn read(path: &Path) -> Result<Self> {
        let doing = || format!("open the signing key file \"{}\"", path.display());
        let flags = nix::libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let file = file.map_err(|e| {
            Failure::io(doing(), &e).hint("See pg_backup.signing_key_file. Nothing is signed.")
        })?;
        let meta = file.metadata().map_err(|e| Failure::io(doing(), &e))?;
        ensure_private(path, &meta)?;
        Self::parse(&text(file, path)?).map_err(|detail| {
            let message = format!("signing key file \"{}\" is not usable", path.display());
            Failure::new(Class::InvalidArgument, message).detail(detail).hint(MAKE)
        })
    }

    fn parse(text: &[u8]) -> Result<Self, String> {
        let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).enumerate();
        let mut keys: Vec<Vec<u8>> = Vec::new();
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && line[0] != b'#') {
            let number = number + 1;
            if !line.iter().all(u8::is_ascii_graphic) {
                return Err(format!("Line {number} is not a word of printable ASCII."));
            }
            if line.len() < KEY_MIN {
                return Err(format!("The key in line {number} has fewer than {KEY_MIN} bytes."));
            }
            keys.push(line.to_vec());
        }
        match keys.len() {
            0 => Err("It holds no key.".to_owned()),
            1..=KEYS_MAX => Ok(Self(keys)),
            _ => Err(format!("It holds more than {KEYS_MAX} keys.")),
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The signature of a manifest by the first key: 64 digits and a newline.
    pub fn sign(&self, manifest: &[u8]) -> Result<Vec<u8>> {
        let key = self.0.first().and_then(|key| mac(key, manifest));
        let mac = key.ok_or_else(|| Failure::new(Class::Internal, "there is no signing key"))?;
        let digits = hex(&mac.finalize().into_bytes());
        Ok(format!("{digits}\n").into_bytes())
    }

    /// Whether one of the keys has made this signature, in constant time for each.
    pub fn verify(&self, manifest: &[u8], signature: &[u8]) -> Signature {
        let Some(bytes) = unhex(signature.trim_ascii_end()) else { return Signature::Invalid };
        let made =
            |key: &Vec<u8>| mac(key, manifest).is_some_and(|mac| mac.verify_slice(&bytes).is_ok());
        if self.0.iter().any(made) { Signature::Valid } else { Signature::Invalid }
    }
}

/// The keys of the setting; None where it is empty.
pub fn keys(file: Option<&Path>) -> Result<Option<Keys>> {
    file.map(Keys::read).transpose()
}

fn mac(key: &[u8], manifest: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(manifest);
    Some(mac)
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    let pair = |pair: &[u8]| Some((digit(pair[0])? * 16 + digit(pair[1])?) as u8);
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    pairs.iter().map(|two| pair(two)).collect()
}

/// Only the server's user may read it; root's file may be readable by the server's group.
fn ensure_private(path: &Path, meta: &Metadata) -> Result<()> {
    let refused = |what: String| {
        let message = format!("signing key file \"{}\" {what}", path.display());
        Failure::new(Class::NotReady, message)
    };
    if !meta.is_file() {
        return Err(refused(format!("is {}", kind(meta.file_type()))).hint(MAKE));
    }
    let others = match meta.uid() {
        uid if uid == geteuid().as_raw() => OF_OTHERS,
        0 => OF_OTHERS_OF_ROOT,
        uid => {
            return Err(refused("has the wrong owner".into())
                .detail(format!("It is owned by uid {uid}."))
                .hint("Give it to the server's user with chown, and set its mode to 0600."));
        }
    };
    if meta.mode() & others != 0 {
        return Err(refused("has group or world access".into())
            .detail(format!("Its mode is {:04o}.", meta.mode() & 0o7777))
            .hint("Set its mode to 0600, or to 0640 if it is owned by root."));
    }
    Ok(())
}

fn text(file: File, path: &Path) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let read = file.take(FILE_MAX + 1).read_to_end(&mut text);
    read.map_err(|e| {
        Failure::io(format_args!("read the signing key file \"{}\"", path.display()), &e)
    })?;
    if text.len() as u64 > FILE_MAX {
        let message = format!("signing key file \"{}\" is too large", path.display());
        return Err(Failure::new(Class::InvalidArgument, message)
            .detail(format!("At most {FILE_MAX} bytes are read."))
            .hint(MAKE));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
