//! A row that a procedure gives back: CALL shows it, and drivers read it.

use std::ffi::CStr;

use pgrx::prelude::*;
use pgrx::{AllocatedByRust, IntoDatum, PgTupleDesc, pg_sys};

/// A row of one bigint.
type Row = PgHeapTuple<'static, AllocatedByRust>;

/// Makes it.
pub fn row(column: &CStr, value: i64) -> Row {
    // SAFETY: the descriptor is made here and has one column of the value's type; all of it is
    // memory of the current statement.
    let row = unsafe {
        let described = pg_sys::CreateTemplateTupleDesc(1);
        pg_sys::TupleDescInitEntry(described, 1, column.as_ptr(), pg_sys::INT8OID, -1, 0);
        let described = PgTupleDesc::from_pg(pg_sys::BlessTupleDesc(described));
        PgHeapTuple::from_datums(described, [value.into_datum()])
    };
    match row {
        Ok(row) => row,
        Err(error) => error!("could not make a row: {error}"),
    }
}
