//! The tests from outside, one executable: it is linked once. A file is a subject; its tests are
//! `file::name_of_the_test`, so `make test-cluster FILTER=file::` runs one file.
//!
//! Must hold: every file of this folder is in the list below.

mod app_servers;
mod attach;
mod attach_faults;
mod audit;
mod badges;
mod badges_frameworks;
mod badges_hostile;
mod by_hand;
mod crash_points;
mod documentation;
mod downloads;
mod encodings;
mod environment;
mod events;
mod exhaustion;
mod export;
mod harness;
mod hook_limits;
mod hook_rights;
mod hooks;
mod hostile;
mod import;
mod import_age;
mod import_faults;
mod import_hostile;
mod import_scripts;
mod in_backend;
mod lock_chains;
mod locks;
mod majors;
mod majors_across;
mod manifest;
mod meaning;
mod monitoring;
mod names;
mod pg_upgrade;
mod phases;
mod places;
mod plain_restore;
mod planted;
mod poison;
mod readme;
mod readme_demo;
mod readme_sql;
mod replace;
mod replace_at_home;
mod replace_faults;
mod replace_held;
mod replace_names;
mod replace_random;
mod restore;
mod restore_exhaustion;
mod restore_faults;
mod restore_globals;
mod restore_hooks;
mod restore_into_schema;
mod restore_into_schema_faults;
mod restore_lanes;
mod restore_leftovers;
mod restore_parts;
mod restore_properties;
mod restore_roundtrip;
mod restore_taken_over;
mod restore_trojans;
mod restore_trust;
mod retention;
mod retention_copies;
mod retention_faults;
mod retention_runs;
mod rights;
mod scan;
mod schedule_bad_input;
mod schedule_faults;
mod schedule_options;
mod schedule_places;
mod schedule_runs;
mod schedule_times;
mod sessions;
mod settings;
mod signing;
mod standby;
mod stuck;
mod timescale;
mod timescale_checks;
mod tools;
mod tools_deep;
mod transactions;
mod transfer_programs;
mod unattended;
mod upgrade;
mod upgrade_carry;
mod upgrade_mismatch;
mod upload_finish;
mod uploads;
mod verification;

/// A file that is not in the list would never run, and nobody would notice.
#[test]
fn every_file_of_this_folder_is_in_the_list() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    for entry in std::fs::read_dir(folder).expect("the tests lie there").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") else {
            continue;
        };
        let line = format!("\nmod {module};\n");
        assert!(include_str!("main.rs").contains(&line), "tests/tests/main.rs lacks mod {module}");
    }
}
