//! What README.md says, held against a running server.
//!
//! In: README.md, whose tables stand between `<!-- name:begin -->` and `<!-- name:end -->`. Must
//! hold: the tables are what the catalog says (a test that fails prints the text that is wanted),
//! and the statements and commands of the README work as they stand there.

use pg_backup_tests::Cluster;
use pg_backup_tests::readme::{CONTENT, backed_up, between, blocks, run_shell, shop};

/// Functions and procedures. In brackets: arguments that are NULL where they are left out.
const FUNCTIONS: &str = r"
SELECT format('`%s`', p.proname),
       regexp_replace(regexp_replace(pg_get_function_arguments(p.oid), '\mIN ', '', 'g'),
                      '(\w+ [a-z ]+(?:\[\])?) DEFAULT NULL(?:::[a-z ]+(?:\[\])?)?', '[\1]', 'g'),
       CASE p.prokind WHEN 'p' THEN 'procedure: CALL' ELSE pg_get_function_result(p.oid) END,
       obj_description(p.oid, 'pg_proc')
  FROM pg_proc p
  JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
 WHERE e.extname = 'pg_backup' AND p.pronamespace = e.extnamespace
   AND p.prorettype <> 'trigger'::regtype
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
    let found = between(&format!("<!-- {name}:begin -->"), &format!("<!-- {name}:end -->"));
    assert!(found == wanted, "the table of {name} in README.md has to be:\n\n{wanted}\n");
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
fn the_lines_of_sql_at_the_top_do_what_they_say() {
    let cluster = shop();
    let sql = blocks("Ten lines of SQL", "sql")[0];
    assert_eq!(sql.lines().count(), 10);
    cluster.psql("shop", sql);
    let sql = "SELECT string_agg(concat_ws(' ', kind, status, file_state), ', ' ORDER BY id) \
               FROM backup_history";
    assert_eq!(
        cluster.value("shop", sql),
        "backup succeeded available, backup succeeded available, verify succeeded, \
         restore succeeded"
    );
}

#[test]
fn the_statements_of_each_section_work() {
    let cluster = shop();
    cluster.psql("shop", "CREATE EXTENSION pg_backup; CREATE TABLE log (line text);");
    for heading in ["Schedules", "Retention", "Hooks", "Monitoring", "Restore"] {
        for block in blocks(heading, "sql") {
            cluster.psql("shop", block);
        }
    }
    assert_eq!(cluster.value("shop_yesterday", CONTENT), cluster.value("shop", CONTENT));
    cluster.psql("shop", "SELECT backup_create()");
    assert_eq!(cluster.value("shop", "SELECT count(*) FROM ops.backups"), "1");
    assert_eq!(
        cluster.value("shop", "SELECT string_agg(name, ' ' ORDER BY name) FROM backup_schedules"),
        "hourly nightly"
    );
}

#[test]
fn a_live_database_is_replaced_and_swapped_back_as_the_readme_shows() {
    let cluster = shop();
    cluster.psql("postgres", "SELECT backup_create(database => 'shop')");
    cluster.psql("shop", "DROP TABLE orders CASCADE");
    let blocks = blocks("Replace a live database", "sql");
    // The ids of the README are those of an older server.
    let statements = blocks[0].replace("42", "1").replace("43", "2");
    let (restore, ways_out) = statements.split_once("CALL backup_rollback").expect("it is there");
    let hooks = blocks[1];
    cluster.psql("postgres", hooks);
    cluster.psql("postgres", "CALL backup_hook('after_restore', '2 sessions', NULL)");
    cluster.psql("postgres", restore);
    assert_eq!(
        cluster.value("shop", "SELECT count(channel) || ' ' || count(*) FROM orders"),
        "0 5000"
    );
    let (rollback, accept) = ways_out.split_once('\n').expect("there are two");
    cluster.psql("postgres", &format!("CALL backup_rollback{rollback}"));
    let orders = "SELECT to_regclass('orders') IS NULL";
    assert_eq!(cluster.value("shop", orders), "t");
    cluster.psql("postgres", &accept.replace('2', "3"));
    let left =
        "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database WHERE datname ~ 'shop'";
    assert_eq!(cluster.value("postgres", left), "shop");
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
