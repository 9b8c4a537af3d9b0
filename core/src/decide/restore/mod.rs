//! Restoring: which tool runs with which arguments, what of an archive is wanted, and what a
//! database that is found has become.

pub mod globals;
pub mod lanes;
pub mod part;
pub mod plan;
pub mod post_data;
pub mod standing;
pub mod timescale;
