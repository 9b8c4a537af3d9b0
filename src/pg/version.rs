//! Which PostgreSQL this library was compiled for, and all that differs between major versions.
//!
//! In: the Cargo feature `pgNN` and pgrx's headers. Out: the major version.
//! Must hold: a build whose feature and headers disagree does not compile; the server itself
//! refuses to load a library of another major version. What the *running* server knows is asked
//! of it by SQL, in core, for tools and archives come from more than one version.

use pgrx::pg_sys;

/// The major version of the headers.
pub const COMPILED: u32 = pg_sys::PG_VERSION_NUM / 10_000;

/// The major version of the Cargo feature. pgrx refuses none, and more than one.
const FEATURE: u32 = match () {
    () if cfg!(feature = "pg15") => 15,
    () if cfg!(feature = "pg16") => 16,
    () if cfg!(feature = "pg17") => 17,
    () => 18,
};

const _: () = assert!(
    COMPILED == FEATURE,
    "the Cargo feature pgNN does not fit the headers of PGRX_PG_CONFIG_PATH"
);
