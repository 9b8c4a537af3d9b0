//! See `pg_backup_fuzz::keys`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pg_backup_fuzz::keys(bytes));
