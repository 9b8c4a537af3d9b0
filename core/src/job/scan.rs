//! placeholder
use super::Report;
use super::context::Context;
use crate::decide::request::{Home, Scan};
use crate::error::{Class, Failure, Result};
/// Scans.
pub async fn run(_context: &Context<'_>, _home: &Home, _scan: &Scan) -> Result<Report> {
    Err(Failure::new(Class::NotReady, "no scan yet"))
}
