//! Values of type bytea that the operating system fills: chunks of an archive are not copied once
//! more on their way to a client.

use std::fs::File;
use std::io::{Error, ErrorKind, Result};
use std::os::fd::AsRawFd;

use pgrx::callconv::{BoxRet, FcInfo};
use pgrx::datum::Datum;
use pgrx::pgrx_sql_entity_graph::metadata::{
    ArgumentError, ReturnsError, ReturnsRef, SqlMappingRef, SqlTranslatable, TypeOrigin,
};
use pgrx::{IntoDatum, pg_sys};

/// A bytea in memory of the server.
pub struct Bytes(pg_sys::Datum);

/// The range of a file that begins at byte `at`, whole. Its memory is that of the current context
/// of the server: raises an error when there is none.
pub fn bytes_of_file(file: &File, at: u64, length: usize) -> Result<Bytes> {
    let whole = length + pg_sys::VARHDRSZ;
    let (Ok(size), Ok(at)) = (i32::try_from(whole), i64::try_from(at)) else {
        return Err(Error::from(ErrorKind::InvalidInput));
    };
    // SAFETY: palloc gives `whole` bytes or raises an error. All of them are written before
    // anybody reads them: the header here, the rest by the kernel, which is told of no byte
    // beyond the end.
    unsafe {
        let varlena = pg_sys::palloc(whole).cast::<pg_sys::varlena>();
        pgrx::set_varsize_4b(varlena, size);
        let data = varlena.cast::<u8>().add(pg_sys::VARHDRSZ);
        let mut done = 0;
        while done < length {
            let (to, from) = (data.add(done), at.saturating_add(done as i64));
            match libc::pread(file.as_raw_fd(), to.cast(), length - done, from) {
                0 => return Err(Error::from(ErrorKind::UnexpectedEof)),
                read if read > 0 => done += read.unsigned_abs(),
                _ => match Error::last_os_error() {
                    error if error.kind() == ErrorKind::Interrupted => {}
                    error => return Err(error),
                },
            }
        }
        Ok(Bytes(pg_sys::Datum::from(varlena)))
    }
}

impl IntoDatum for Bytes {
    fn into_datum(self) -> Option<pg_sys::Datum> {
        Some(self.0)
    }

    fn type_oid() -> pg_sys::Oid {
        pg_sys::BYTEAOID
    }
}

// SAFETY: the datum is a bytea, as `type_oid` says.
unsafe impl BoxRet for Bytes {
    unsafe fn box_into<'fcx>(self, fcinfo: &mut FcInfo<'fcx>) -> Datum<'fcx> {
        // SAFETY: as above; the memory lives as long as the context that it is of.
        unsafe { fcinfo.return_raw_datum(self.0) }
    }
}

// SAFETY: it is what its SQL type says.
unsafe impl SqlTranslatable for Bytes {
    const TYPE_IDENT: &'static str = "bytea";
    const TYPE_ORIGIN: TypeOrigin = TypeOrigin::External;
    const ARGUMENT_SQL: std::result::Result<SqlMappingRef, ArgumentError> =
        Ok(SqlMappingRef::As("bytea"));
    const RETURN_SQL: std::result::Result<ReturnsRef, ReturnsError> =
        Ok(ReturnsRef::One(SqlMappingRef::As("bytea")));
}
