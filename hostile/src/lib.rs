//! Archives that lie, for the tests.
//!
//! In: the members of a good archive ([`Zip`]). Out: the files that somebody who means harm, or a
//! broken disk, would make of it ([`files`]), each with what has to be said about it. Nothing here
//! knows the reader: a zip is built byte by byte ([`zip`](mod@zip)), so that every field can lie.

#![forbid(unsafe_code)]

pub mod files;
pub mod zip;

pub use files::{Hostile, files};
pub use zip::{Member, Zip};
