//! Reads a small table without a query: nothing is planned, no operator and no function of anybody
//! runs but the output functions of built-in types. So a superuser may read a table whose owner
//! wishes him ill.
//!
//! In: the id of a table. Out: its columns and its rows as text. Holds: does not wait for a lock;
//! what is too large is not read; rows are those that the statement's snapshot sees.

use std::ffi::CStr;

use pgrx::pg_sys;

use super::server::takes_utf8;
use super::version;

/// Types below this id come with the server (access/transam.h).
const FIRST_NORMAL_ID: u32 = 16_384;

/// The lock of a reader.
const LOCK: i32 = pg_sys::AccessShareLock as i32;

/// A table that stays as it is while this function's caller looks at it.
pub struct Table(pg_sys::Relation);

/// One row: a cell for each column, None for NULL.
type Row = Vec<Option<String>>;

/// Looks at a plain table; None when there is none (any more), or somebody has locked it.
pub fn with_table<T>(id: u32, look: impl FnOnce(&Table) -> T) -> Option<T> {
    let id = pg_sys::Oid::from(id);
    // SAFETY: locks by id, which need not exist; then opens what is there. An error that ends the
    // transaction closes it too.
    unsafe {
        if !pg_sys::ConditionalLockRelationOid(id, LOCK) {
            return None;
        }
        let relation = pg_sys::RelationIdGetRelation(id);
        if relation.is_null() {
            pg_sys::UnlockRelationOid(id, LOCK);
            return None;
        }
        let kind = (*(*relation).rd_rel).relkind as u8;
        let temporary = (*(*relation).rd_rel).relpersistence as u8 == pg_sys::RELPERSISTENCE_TEMP;
        let plain = kind == pg_sys::RELKIND_RELATION && !temporary;
        let found = plain.then(|| look(&Table(relation)));
        pg_sys::relation_close(relation, LOCK);
        found
    }
}

impl Table {
    /// Names of the columns that have a built-in type.
    pub fn columns(&self) -> Vec<String> {
        self.attributes().into_iter().flatten().map(|(name, _)| name).collect()
    }

    /// Name and type of each column, None for one that is dropped or of somebody's own type.
    fn attributes(&self) -> Vec<Option<(String, pg_sys::Oid)>> {
        // SAFETY: the table is open and locked; its description has so many columns.
        let columns = unsafe { version::columns((*self.0).rd_att) };
        let named = |column: &pg_sys::FormData_pg_attribute| {
            // SAFETY: a name is an array that ends with a zero byte.
            let name = unsafe { CStr::from_ptr(column.attname.data.as_ptr()) };
            let name = name.to_str().ok()?.to_owned();
            let usable = !column.attisdropped && column.atttypid.to_u32() < FIRST_NORMAL_ID;
            usable.then_some((name, column.atttypid))
        };
        columns.iter().map(named).collect()
    }

    /// Bytes of its pages.
    pub fn size_bytes(&self) -> u64 {
        let fork = pg_sys::ForkNumber::MAIN_FORKNUM;
        // SAFETY: the table is open and locked.
        let blocks = unsafe { pg_sys::RelationGetNumberOfBlocksInFork(self.0, fork) };
        u64::from(blocks) * u64::from(pg_sys::BLCKSZ)
    }

    /// Its rows, in any order, and what is left of `room`; None when a column is not there, a cell
    /// is longer than `longest` bytes or no text of this database's encoding that can be taken, or
    /// all cells are longer than `room`.
    pub fn rows(
        &self,
        columns: &[&str],
        longest: usize,
        mut room: usize,
    ) -> Option<(Vec<Row>, usize)> {
        let attributes = self.attributes();
        let place = |name: &&str| {
            let fits = |column: &Option<(String, _)>| column.as_ref().is_some_and(|c| c.0 == *name);
            let place = attributes.iter().position(fits)?;
            Some((place, attributes[place].as_ref()?.1))
        };
        let places: Vec<(usize, pg_sys::Oid)> = columns.iter().map(place).collect::<Option<_>>()?;
        let cells: Vec<Cell> = places.into_iter().map(|(at, of)| Cell::new(at, of)).collect();
        let mut rows = Vec::new();
        // SAFETY: a sequential scan of a table that is open and locked; the slot and the scan end
        // before it is closed.
        unsafe {
            let slot = pg_sys::table_slot_create(self.0, std::ptr::null_mut());
            let snapshot = pg_sys::GetActiveSnapshot();
            let scan = pg_sys::table_beginscan(self.0, snapshot, 0, std::ptr::null_mut());
            let forward = pg_sys::ScanDirection::ForwardScanDirection;
            let mut whole = true;
            while whole && pg_sys::table_scan_getnextslot(scan, forward, slot) {
                pg_sys::slot_getsomeattrs_int(slot, attributes.len() as i32);
                let row: Option<Row> = cells.iter().map(|cell| cell.read(slot, longest)).collect();
                let bytes = row.iter().flatten().flatten().map(String::len).sum();
                let left = room.checked_sub(bytes);
                whole = row.is_some() && left.is_some();
                room = left.unwrap_or_default();
                rows.extend(row);
            }
            pg_sys::table_endscan(scan);
            pg_sys::ExecDropSingleTupleTableSlot(slot);
            whole.then_some((rows, room))
        }
    }
}

/// A column to read, and the function that writes its values.
struct Cell {
    place: usize,
    output: pg_sys::Oid,
    variable: bool,
}

impl Cell {
    fn new(place: usize, of: pg_sys::Oid) -> Self {
        let (mut output, mut variable) = (pg_sys::Oid::INVALID, false);
        // SAFETY: looks up a built-in type.
        unsafe { pg_sys::getTypeOutputInfo(of, &raw mut output, &raw mut variable) };
        Self { place, output, variable }
    }

    /// None when it cannot be taken, Some(None) for NULL.
    ///
    /// # Safety
    /// The slot holds a row whose columns are all unpacked.
    unsafe fn read(
        &self,
        slot: *mut pg_sys::TupleTableSlot,
        longest: usize,
    ) -> Option<Option<String>> {
        // SAFETY: as this function's contract says; the text is memory of the current statement.
        unsafe {
            if *(*slot).tts_isnull.add(self.place) {
                return Some(None);
            }
            let value = *(*slot).tts_values.add(self.place);
            if self.variable && pg_sys::toast_raw_datum_size(value) > longest {
                return None;
            }
            let text = pg_sys::OidOutputFunctionCall(self.output, value);
            let found = in_utf8(CStr::from_ptr(text));
            pg_sys::pfree(text.cast());
            found.map(Some)
        }
    }
}

/// Bytes that one byte of a text may become (mb/pg_wchar.h, MAX_CONVERSION_GROWTH).
const GROWTH: usize = 4;

/// A text of this database's encoding; None when it cannot be said in UTF-8.
fn in_utf8(text: &CStr) -> Option<String> {
    let bytes = text.to_bytes();
    if takes_utf8() || bytes.is_ascii() {
        return String::from_utf8(bytes.to_vec()).ok();
    }
    let mut converted = vec![0; bytes.len() * GROWTH + 1];
    let (length, room) = (i32::try_from(bytes.len()).ok()?, i32::try_from(converted.len()).ok()?);
    // SAFETY: looks up the server's own conversion and fills the buffer, at most so far as it goes;
    // it stops at what it cannot convert, instead of raising an error.
    let read = unsafe {
        let (from, to) = (pg_sys::GetDatabaseEncoding(), pg_sys::pg_enc::PG_UTF8 as i32);
        let function = pg_sys::FindDefaultConversionProc(from, to);
        if function == pg_sys::Oid::INVALID {
            return None;
        }
        let (source, target) = (text.as_ptr().cast_mut().cast(), converted.as_mut_ptr());
        pg_sys::pg_do_encoding_conversion_buf(
            function, from, to, source, length, target, room, true,
        )
    };
    let text = CStr::from_bytes_until_nul(&converted).ok()?;
    (read == length).then(|| text.to_str().map(str::to_owned).ok())?
}
