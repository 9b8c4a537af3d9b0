//! What README.md says, held against a running server.
//!
//! In: README.md, whose tables stand between `<!-- name:begin -->` and `<!-- name:end -->`. Must
//! hold: the tables are what the catalog says (a test that fails prints the text that is wanted),
//! and the commands of "Restore by hand" work as they stand there. SQL: `readme_sql.rs`.

use pg_backup_tests::Cluster;
use pg_backup_tests::readme::{CONTENT, assert_shown, backed_up, blocks, run_shell};

/// Functions and procedures for people. In brackets: arguments that are NULL where they are left
/// out.
const FUNCTIONS: &str = r"
SELECT format('`%s`', p.proname),
       regexp_replace(regexp_replace(pg_get_function_arguments(p.oid), '\mIN ', '', 'g'),
                      '(\w+ [a-z ]+(?:\[\])?) DEFAULT NULL(?:::[a-z ]+(?:\[\])?)?', '[\1]', 'g'),
       CASE p.prokind WHEN 'p' THEN 'procedure: CALL' ELSE pg_get_function_result(p.oid) END,
       split_part(obj_description(p.oid, 'pg_proc'), E'\n', 1)
  FROM pg_proc p
  JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
 WHERE e.extname = 'pg_backup' AND p.pronamespace = e.extnamespace
   AND obj_description(p.oid, 'pg_proc') NOT LIKE 'Internal:%'
 ORDER BY p.proname";

const VIEWS: &str = "
SELECT format('`%s`', c.relname),
       (SELECT string_agg(a.attname, ', ' ORDER BY a.attnum) FROM pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum > 0),
       obj_description(c.oid, 'pg_class')
  FROM pg_class c
  JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
  JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
 WHERE e.extname = 'pg_backup' AND c.relkind = 'v'
 ORDER BY c.relname";

const SETTINGS: &str = "
SELECT format('`%s`', name), coalesce(nullif(boot_val, ''), '(empty)'), coalesce(unit, ''), context,
       concat_ws(' ', short_desc, extra_desc)
  FROM pg_settings WHERE name LIKE 'pg\\_backup.%' ORDER BY name";

fn assert_table(name: &str, head: &[&str], query: &str) {
    let cluster = Cluster::start();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
    };
    let mut wanted = vec![line(&mut head.iter().copied()), "|---".repeat(head.len()) + "|"];
    for row in cluster.sql("postgres", query) {
        wanted.push(line(&mut row.iter().map(|cell| cell.as_deref().unwrap_or("(no comment)"))));
    }
    let wanted = wanted.join("\n");
    assert_shown(name, &wanted);
}

#[test]
fn the_table_of_functions_is_what_the_catalog_says() {
    assert_table("functions", &["Name", "Arguments", "Result", "What it does"], FUNCTIONS);
}

#[test]
fn the_table_of_views_is_what_the_catalog_says() {
    assert_table("views", &["Name", "Columns", "What it shows"], VIEWS);
}

#[test]
fn the_table_of_settings_is_what_the_server_says() {
    assert_table("settings", &["Name", "Default", "Unit", "Context", "What it is"], SETTINGS);
}

#[test]
fn an_archive_is_restored_by_hand_as_the_readme_shows() {
    assert_restored_by_hand("SELECT backup_create()", 0);
}

#[test]
fn a_directory_archive_is_restored_by_hand_with_several_jobs() {
    // With some history: what is loaded at the same time must not depend on an order.
    let some = "SELECT backup_create() FROM generate_series(1, 4)";
    assert_restored_by_hand(&format!("{some}; SELECT backup_create(jobs => 2)"), 1);
}

#[test]
fn a_plain_archive_is_restored_by_hand_as_a_stream() {
    assert_restored_by_hand("SELECT backup_create(format => 'plain')", 2);
}

#[test]
fn an_archive_is_restored_by_hand_without_the_history() {
    let (source, archive) = backed_up("SELECT backup_create()");
    let fresh = Cluster::builder().fresh().start();
    let all = blocks("Restore by hand", "sh");
    let (prepare, _) = all[0].rsplit_once('\n').expect("it has several lines");
    run_shell(&fresh, &archive, &format!("{prepare}\n{}", all[3]));
    assert_eq!(fresh.value("shop_restored", CONTENT), source.value("shop", CONTENT));
    let extensions = "SELECT count(*) FROM pg_extension WHERE extname = 'pg_backup'";
    assert_eq!(fresh.value("shop_restored", extensions), "0");
}

/// Backs up as `create` says, and restores with block `number` of the README on a fresh server.
fn assert_restored_by_hand(create: &str, number: usize) {
    let (source, archive) = backed_up(create);
    let fresh = Cluster::builder().fresh().start();
    run_shell(&fresh, &archive, blocks("Restore by hand", "sh")[number]);
    assert_eq!(fresh.value("shop_restored", CONTENT), source.value("shop", CONTENT));
}
