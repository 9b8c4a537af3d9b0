//! See `pg_backup_fuzz::custom`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pg_backup_fuzz::custom(bytes));
