//! Tables of migrations as each framework makes them, and some that only look like it.

use super::*;
use proptest::prelude::*;

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn row(cells: &[&str]) -> Row {
    cells.iter().map(|cell| (*cell != "NULL").then(|| (*cell).to_owned())).collect()
}

/// How a framework's own table is read.
fn of(name: &str) -> Reading {
    let found = FRAMEWORKS.iter().find(|framework| framework.name == name).unwrap();
    let columns = [found.columns, found.read].concat();
    reading("public", found.table, &texts(&columns), "").unwrap()
}

fn names(framework: &str, rows: &[&[&str]]) -> Option<Vec<String>> {
    of(framework).names(rows.iter().map(|cells| row(cells)).collect())
}

#[test]
fn every_framework_is_recognised_by_its_own_table() {
    for framework in FRAMEWORKS {
        assert_eq!(of(framework.name).framework, framework.name);
        let columns = of(framework.name).columns;
        let once: std::collections::BTreeSet<&str> = columns.iter().copied().collect();
        assert_eq!(once.len(), columns.len(), "{}", framework.name);
        assert!(columns.contains(&framework.order), "{}", framework.name);
    }
}

#[test]
fn frameworks_that_share_a_table_name_are_told_apart_by_their_columns() {
    let name = |table: &str, columns: &[&str]| {
        reading("public", table, &texts(columns), "").map(|found| found.framework)
    };
    assert_eq!(name("schema_migrations", &["version"]), Some("rails"));
    assert_eq!(name("schema_migrations", &["version", "dirty"]), Some("golang-migrate"));
    assert_eq!(name("schema_migrations", &["version", "inserted_at"]), Some("ecto"));
    assert_eq!(name("schema_migrations", &["other"]), None);
    assert_eq!(name("migrations", &["id", "migration", "batch"]), Some("laravel"));
    assert_eq!(name("migrations", &["id", "timestamp", "name"]), Some("typeorm"));
    assert_eq!(name("migrations", &["id", "name"]), None);
}

#[test]
fn a_custom_table_is_read_by_its_best_column() {
    let found = |named: &str, columns: &[&str]| {
        reading("s", "mine", &texts(columns), named).map(|found| found.columns)
    };
    assert_eq!(found("mine", &["id", "version"]), Some(vec!["version"]));
    assert_eq!(found("s.mine", &["id"]), Some(vec!["id"]));
    assert_eq!(found("mine", &["when"]), None);
    assert_eq!(found("t.mine", &["id"]), None);
    assert_eq!(found("", &["id"]), None);
}

#[test]
fn rows_come_in_the_order_of_application_whatever_order_they_are_read_in() {
    let rows: [&[&str]; 3] = [&["10", "b", "1"], &["9", "a", "1"], &["NULL", "a", "NULL"]];
    assert_eq!(names("django", &rows), Some(texts(&["a.1", "b.1"])));
    let rows: [&[&str]; 2] = [&["b", "20240102"], &["a", "20240101"]];
    assert_eq!(names("knex", &rows), Some(texts(&["a", "b"])));
}

#[test]
fn what_was_undone_or_has_failed_does_not_count() {
    let rows: [&[&str]; 5] =
        [&["1", "0", "t"], &["2", "1", "t"], &["3", "2", "t"], &["4", "1", "f"], &["5", "2", "t"]];
    assert_eq!(names("goose", &rows), Some(texts(&["2"])));
    let rows: [&[&str]; 4] = [
        &["1", "1", "SQL", "V1__a.sql", "t"],
        &["2", "2", "SQL", "V2__b.sql", "t"],
        &["3", "2", "UNDO_SQL", "U2__b.sql", "t"],
        &["4", "3", "SQL", "V3__c.sql", "f"],
    ];
    assert_eq!(names("flyway", &rows), Some(texts(&["1"])));
    let rows: [&[&str]; 3] = [&["a", "now", "NULL"], &["b", "NULL", "NULL"], &["c", "now", "now"]];
    assert_eq!(names("prisma", &rows), Some(texts(&["a"])));
    assert_eq!(names("golang-migrate", &[&["7", "t"]]), Some(vec![]));
}

#[test]
fn a_table_that_is_not_as_the_framework_makes_it_gives_nothing() {
    assert_eq!(names("sqlx", &[&["1", "t"], &["2", "not a boolean"]]), None);
    assert_eq!(names("goose", &[&["1", "1", "NULL"]]), None);
}

proptest! {
    #[test]
    fn any_rows_give_every_name_once(
        rows in proptest::collection::vec((".{0,3}", proptest::option::of("[tf]")), 0..40)
    ) {
        for framework in FRAMEWORKS {
            let reading = of(framework.name);
            let wide = |(a, b): &(String, Option<String>)| -> Row {
                (0..reading.columns.len()).map(|i| match i % 2 { 0 => Some(a.clone()), _ => b.clone() })
                    .collect()
            };
            if let Some(found) = reading.names(rows.iter().map(wide).collect()) {
                let once: std::collections::BTreeSet<&String> = found.iter().collect();
                prop_assert_eq!(once.len(), found.len());
            }
        }
    }
}
