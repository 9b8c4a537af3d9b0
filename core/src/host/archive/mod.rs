//! The archive file: a zip of stored or deflated members, ZIP64, written once as a stream.
//!
//! `writer` makes it and hashes on the way, `tail` tells how far the writer is, `follow` reads
//! behind it. `reader` opens a finished one, `foreign` one of another program; both look at its
//! `structure` first and read a `member` against what the zip says of it.

pub mod checked;
pub mod follow;
pub mod foreign;
pub mod gauge;
pub mod member;
pub mod range;
pub mod reader;
pub mod storage;
pub mod structure;
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
