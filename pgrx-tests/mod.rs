//! Tests that run inside a backend: each function is called by the outer ring in a transaction
//! of its own, which is rolled back. Built with the feature `pg_test` only, into schema `tests`.
//! A test fails by an error.

use pgrx::prelude::*;

#[pg_schema]
mod tests {
    use std::str::FromStr;

    use pg_backup_core::decide::request::{Globals, Limits};
    use pg_backup_core::decide::verify_level::Level;
    use pg_backup_core::error::{Class, Failure};
    use pgrx::prelude::*;

    use crate::worker::slots::{self, State};
    use crate::worker::text::Text;
    use crate::{catalog, error, pg, settings};

    /// SQLSTATE of a statement that fails, or "ok". The transaction goes on.
    fn sqlstate(sql: &str) -> String {
        PgTryBuilder::new(|| {
            Spi::run(sql).expect("SPI works");
            "ok".to_owned()
        })
        .catch_others(|caught| match caught {
            pg_sys::panic::CaughtError::PostgresError(report)
            | pg_sys::panic::CaughtError::ErrorReport(report) => {
                format!("{:?}", report.sql_error_code())
            }
            pg_sys::panic::CaughtError::RustPanic { .. } => "panic".to_owned(),
        })
        .execute()
    }

    #[pg_extern]
    fn the_headers_are_those_of_the_running_server() {
        let running = "SELECT current_setting('server_version_num')::int / 10000";
        let running: i32 = Spi::get_one(running).unwrap().unwrap();
        assert_eq!(i64::from(pg::COMPILED), i64::from(running));
    }

    #[pg_extern]
    fn settings_have_units_and_reach_the_job_as_plain_values() {
        Spi::run(
            "SET LOCAL pg_backup.max_runtime = '2min'; SET LOCAL pg_backup.lock_timeout = '3s'; \
                  SET LOCAL pg_backup.stall_timeout = '1h'",
        )
        .unwrap();
        let wanted = Limits { runtime: 120_000, stall: 3_600_000, lock: 3000 };
        assert_eq!(settings::limits(), wanted);
        assert_eq!(settings::defaults().unwrap().globals, Globals::On);
        Spi::run("SET LOCAL pg_backup.globals = 'without_passwords'").unwrap();
        assert_eq!(settings::defaults().unwrap().globals, Globals::WithoutPasswords);
        Spi::run("SET LOCAL pg_backup.verify = 'list'").unwrap();
        assert_eq!(settings::verify(), Level::List);
        Spi::run("SET LOCAL pg_backup.compression = 'GZIP:4'").unwrap();
        assert_eq!(settings::defaults().unwrap().compression.to_string(), "gzip:4");
        Spi::run("SET LOCAL pg_backup.encryption_key_ids = ' k1, k2 ,'").unwrap();
        assert_eq!(settings::defaults().unwrap().application.encryption_key_ids, ["k1", "k2"]);
    }

    #[pg_extern]
    fn the_server_is_described_by_itself() {
        let settings = settings::load();
        assert!(settings.access.host.starts_with('/') && settings.access.user == "postgres");
        assert!(settings.bin_directory.join("pg_dump").exists());
        assert!(settings.data_directory.join("PG_VERSION").exists());
        assert_eq!(settings.directory.to_str(), Some("pg_backup"));
        assert_eq!(settings.min_free_space, 512 << 20);
        assert!(settings.system_identifier != 0 && settings.compression_threads > 0);
        let id = "SELECT system_identifier::text FROM pg_control_system()";
        let id: String = Spi::get_one(id).unwrap().unwrap();
        assert_eq!(id, settings.system_identifier.to_string());
    }

    #[pg_extern]
    fn settings_out_of_range_are_refused() {
        for sql in [
            "SET pg_backup.jobs = 0",
            "SET pg_backup.jobs = 65",
            "SET pg_backup.max_runtime = -1",
            "SET pg_backup.compression = 'zip'",
            "SET pg_backup.compression = ''",
            "SET pg_backup.verify = 'deep'",
        ] {
            assert_ne!(sqlstate(sql), "ok", "{sql}");
        }
    }

    #[pg_extern]
    fn every_class_of_failure_has_an_sqlstate_of_five_characters() {
        for class in [Class::InvalidArgument, Class::Deadlock, Class::DiskFull, Class::Internal] {
            let failure = Failure::new(class, "message").detail("Detail.").hint("Hint.");
            let state = sqlstate_of(failure);
            assert_eq!(state, format!("{:?}", error::sqlstate(class)));
        }
    }

    fn sqlstate_of(failure: Failure) -> String {
        PgTryBuilder::new(move || error::raise(failure))
            .catch_others(|caught| match caught {
                pg_sys::panic::CaughtError::PostgresError(report)
                | pg_sys::panic::CaughtError::ErrorReport(report)
                | pg_sys::panic::CaughtError::RustPanic { ereport: report, .. } => {
                    assert_eq!(report.message(), "message");
                    format!("{:?}", report.sql_error_code())
                }
            })
            .execute()
    }

    #[pg_extern]
    fn reading_gives_the_transaction_no_id() {
        catalog::schema().unwrap();
        assert!(catalog::database_exists("postgres").unwrap());
        assert!(!catalog::database_exists("nope").unwrap());
        assert_eq!(catalog::status("public", 4711).unwrap(), None);
        assert!(!pg::has_written());
        Spi::run("SELECT pg_catalog.txid_current()").unwrap();
        assert!(pg::has_written());
    }

    #[pg_extern]
    fn a_slot_is_taken_found_and_freed_and_its_next_job_is_another() {
        let first = slots::write(|table| {
            let (index, slot) = table.take(State::Reserved).unwrap();
            (slot.home, slot.id) = (1, 77);
            slots::Ticket { index, generation: slot.generation }
        });
        assert_eq!(slots::read(|table| table.find(1, 77)), Some(first));
        slots::write(|table| table.get_mut(first).unwrap().state = State::Free);
        assert_eq!(slots::read(|table| table.find(1, 77)), None);
        slots::write(|table| {
            let (index, slot) = table.take(State::Reserved).unwrap();
            let next = slots::Ticket { index, generation: slot.generation };
            assert!(table.get(first).is_none() && table.get(next).is_some());
            table.get_mut(next).unwrap().state = State::Free;
        });
    }

    #[pg_extern]
    fn a_text_in_shared_memory_is_cut_at_a_character() {
        let mut text = Text::<5>::EMPTY;
        text.set("aäöü");
        assert_eq!(text.get(), "aäö");
        assert!(!text.set_whole("too long") && text.get().is_empty());
        assert!(text.set_whole("whole"));
        assert_eq!(text.get(), "whole");
    }

    #[pg_extern]
    fn levels_read_back_from_what_sql_says() {
        assert_eq!(Level::from_str("READ").unwrap(), Level::Read);
        let sql = "SELECT * FROM backup_verify(1, 'deep')";
        assert_eq!(sqlstate(sql), "ERRCODE_INVALID_PARAMETER_VALUE");
    }
}
