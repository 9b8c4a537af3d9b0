//! See `pg_backup_fuzz::upload`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pg_backup_fuzz::upload(bytes));
