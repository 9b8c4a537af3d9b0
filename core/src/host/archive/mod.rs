//! The archive file: a zip of stored or deflated members, ZIP64, written once as a stream.
//!
//! `writer` makes it and hashes on the way, `tail` tells how far the writer is, `follow` reads
//! behind it, `reader` opens a finished one.

pub mod follow;
pub mod range;
pub mod reader;
pub mod tail;
pub mod writer;

/// SHA-256 as lower-case hexadecimal digits.
pub fn hex(digest: &[u8]) -> String {
    use std::fmt::Write;
    digest.iter().fold(String::with_capacity(digest.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
