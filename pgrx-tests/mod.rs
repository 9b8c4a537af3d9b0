//! Tests that run inside a backend: each function is called by the outer ring in a transaction
//! of its own, which is rolled back. Built with the feature `pg_test` only, into schema `tests`.

use pgrx::prelude::*;

#[pg_schema]
mod tests {}
