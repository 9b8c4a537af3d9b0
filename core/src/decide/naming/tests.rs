//! What the names of folders and files promise.

use super::*;
use proptest::prelude::*;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[test]
fn a_plain_name_stays_as_it_is() {
    for name in ["app", "app_2", "a-b.c", "0", "_", "x-1234567", "x-1234567g", &"a".repeat(40)] {
        assert_eq!(safe_name(name), name);
    }
}

#[test]
fn a_name_that_must_change_carries_its_hash() {
    let table = [
        ("App", "app-"),
        ("../../x", "_._.._x-"),
        ("--help", "_-help-"),
        (".hidden", "_hidden-"),
        ("a b\nc", "a_b_c-"),
        ("café", "caf_-"),
        ("a/b", "a_b-"),
        ("", "_-e3b0c442"),
        ("x-0123abcd", "x-0123abcd-"),
    ];
    for (name, start) in table {
        let safe = safe_name(name);
        assert!(safe.starts_with(start), "{name}: {safe}");
        assert!(has_hash(&safe) && safe != name, "{safe}");
    }
    // printf App | sha256sum
    assert_eq!(safe_name("App"), "app-0d04bfeb");
}

#[test]
fn a_long_name_is_cut_and_hashed() {
    let safe = safe_name(&"a".repeat(63));
    assert_eq!(safe.len(), 49);
    assert_ne!(safe, safe_name(&"a".repeat(62)));
}

#[test]
fn nobody_can_take_the_folder_of_a_changed_name() {
    let folder = safe_name("App");
    assert_ne!(safe_name(&folder), folder);
}

#[test]
fn an_archive_name_tells_database_moment_and_run() {
    let started = at("2025-03-30T01:02:03.999Z");
    assert_eq!(archive_name("app", started, 42, 0), "app_20250330T010203Z_42.zip");
    assert_eq!(archive_name("app", started, 42, 3), "app_20250330T010203Z_42-3.zip");
    let parsed = parse_archive_name("my_app_20250330T010203Z_42-3.zip").unwrap();
    let started = at("2025-03-30T01:02:03Z");
    assert_eq!(parsed, ArchiveName { safe: "my_app".into(), started, id: 42, attempt: 3 });
}

#[test]
fn what_we_did_not_name_is_not_read() {
    let foreign = [
        "",
        ".zip",
        "app.zip",
        "app_42.zip",
        "_20250330T010203Z_42.zip",
        "app_20250330T010203Z_42",
        "app_20250330T010203Z_042.zip",
        "app_20250330T010203Z_+42.zip",
        "app_20250330T010203Z_-42.zip",
        "app_20250330T010203Z_42-0.zip",
        "app_20250330T010203Z_42-01.zip",
        "app_20251330T010203Z_42.zip",
        "app_20250330T010260Z_42.zip",
        "App_20250330T010203Z_42.zip",
        ".app_20250330T010203Z_42.zip",
        "a/b_20250330T010203Z_42.zip",
        "-a_20250330T010203Z_42.zip",
        "app_20250330T010203Z_99999999999999999999.zip",
        "app_20250330T010203Z_42.ZIP",
    ];
    for name in foreign {
        assert_eq!(parse_archive_name(name), None, "{name}");
    }
    let long = format!("{}_20250330T010203Z_42.zip", "a".repeat(41));
    assert_eq!(parse_archive_name(&long), None);
}

#[test]
fn only_partials_of_our_archives_count_as_partials() {
    let name = archive_name("app", at("2025-03-30T01:02:03Z"), 42, 0);
    assert!(is_partial(&partial_name(&name)));
    for other in [&name, ".x.partial", ".partial", "x.partial", "", "..partial"] {
        assert!(!is_partial(other), "{other}");
    }
}

#[test]
fn moments_outside_of_four_digit_years_still_give_a_readable_name() {
    for moment in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
        let name = archive_name("app", moment, i64::MIN, u32::MAX);
        assert!(parse_archive_name(&name).is_some(), "{name}");
    }
}

proptest! {
    #[test]
    fn every_archive_name_is_safe_and_reads_back(
        database in "(?s).{0,80}|[a-zA-Z._-]{0,63}|[a-z]{1,30}-[0-9a-f]{8}",
        seconds in 0i64..253_402_300_799,
        id in 0i64..=i64::MAX,
        attempt in 0u32..=u32::MAX,
    ) {
        let started = DateTime::from_timestamp(seconds, 0).unwrap();
        let name = archive_name(&database, started, id, attempt);
        prop_assert!(name.len() <= MAX_NAME_BYTES && !name.starts_with(['.', '-']));
        prop_assert!(!name.contains(['/', '\0', '\n', ' ']) && name.is_ascii());
        prop_assert!(is_partial(&partial_name(&name)) && !is_partial(&name));
        let expected = ArchiveName { safe: safe_name(&database), started, id, attempt };
        prop_assert_eq!(parse_archive_name(&name), Some(expected));
    }

    #[test]
    fn distinct_databases_have_distinct_folders(a in "[aA_-]{0,12}", b in "[aA_-]{0,12}") {
        prop_assert_eq!(safe_name(&a) == safe_name(&b), a == b);
    }

    #[test]
    fn no_file_name_makes_it_panic(
        name in "(?s).{0,150}|[a-z_]{0,5}_[0-9TZ]{0,17}_[0-9-]{0,22}\\.zip",
    ) {
        if let Some(parsed) = parse_archive_name(&name) {
            prop_assert_eq!(parsed.to_file_name(), name.clone());
        }
        let _ = is_partial(&name);
    }
}
