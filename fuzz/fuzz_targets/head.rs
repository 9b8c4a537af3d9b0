//! See `pg_backup_fuzz::head`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pg_backup_fuzz::head(bytes));
