//! Who may do what: nobody anything, until it is given.

use pg_backup_tests::Cluster;

/// Every routine of the extension as a call, from the catalog. No argument is NULL: a strict
/// function of a NULL is never called, and so never refused.
const CALLS: &str = "
SELECT p.oid::regprocedure::text,
       CASE p.prokind WHEN 'p' THEN 'CALL ' ELSE 'SELECT ' END || p.proname || '('
       || coalesce((SELECT string_agg(quote_literal(CASE t::regtype::text
                           WHEN 'text' THEN 'x' WHEN 'text[]' THEN '{x}' WHEN 'jsonb' THEN '{}'
                           WHEN 'timestamp with time zone' THEN '2026-01-01' ELSE '1' END)
                           || '::' || t::regtype, ', ') FROM unnest(p.proargtypes) t), '') || ')'
  FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass
  JOIN pg_extension e ON e.oid = d.refobjid AND d.deptype = 'e'
 WHERE e.extname = 'pg_backup' AND p.pronamespace = e.extnamespace
   AND p.prorettype <> 'trigger'::regtype ORDER BY 1";

const VIEWER: [&str; 14] = [
    "backup_check()",
    "backup_compatibility(bigint,text[])",
    "backup_contents(bigint)",
    "backup_find(text)",
    "backup_inspect(bigint)",
    "backup_latest(text,text)",
    "backup_list_badges()",
    "backup_metrics()",
    "backup_next_run(text,text,timestamp with time zone,timestamp with time zone)",
    "backup_next_runs(text,text,integer,timestamp with time zone)",
    "backup_progress_rows()",
    "backup_restore_check(bigint,text,text,text[],text[],text,text,integer,boolean,boolean,boolean,boolean)",
    "backup_restore_plan(bigint,text,text,text[],text[],text,text,integer,boolean,boolean,boolean,boolean)",
    "backup_retention(text)",
];
const OPERATOR: [&str; 11] = [
    "backup_cancel",
    "backup_create",
    "backup_hook",
    "backup_pause",
    "backup_prune",
    "backup_resume",
    "backup_run",
    "backup_schedule",
    "backup_unschedule",
    "backup_verify",
    "backup_wait",
];
const RELATIONS: [&str; 8] = [
    "backup_history",
    "backup_list",
    "backup_manifest",
    "backup_progress",
    "backup_schedules",
    "backup_hooks",
    "backup_status",
    "backup_rollback_points",
];
const TABLES: [&str; 7] = [
    "backup_runs",
    "backup_manifests",
    "backup_schedule_entries",
    "backup_hook_entries",
    "backup_audit_entries",
    "backup_audit",
    "backup_uploads",
];

fn sqlstate_as(cluster: &Cluster, role: &str, sql: &str) -> String {
    match cluster.connect_as("postgres", role).batch_execute(sql) {
        Ok(()) => "ok".to_owned(),
        Err(error) => pg_backup_tests::sqlstate(&error),
    }
}

fn calls(cluster: &Cluster) -> Vec<(String, String)> {
    let rows = cluster.sql("postgres", CALLS);
    assert!(rows.len() > 10, "{rows:?}");
    let pair = |row: Vec<Option<String>>| (row[0].clone().unwrap(), row[1].clone().unwrap());
    rows.into_iter().map(pair).collect()
}

#[test]
fn a_role_without_rights_can_do_nothing() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE ROLE nobody LOGIN");
    for (name, call) in calls(&cluster) {
        assert_eq!(sqlstate_as(&cluster, "nobody", &call), "42501", "{name}");
    }
    for relation in RELATIONS.into_iter().chain(TABLES) {
        let sql = format!("SELECT * FROM {relation}");
        assert_eq!(sqlstate_as(&cluster, "nobody", &sql), "42501", "{relation}");
    }
}

#[test]
fn viewers_and_operators_get_exactly_their_sets() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE ROLE v LOGIN; CREATE ROLE o LOGIN");
    cluster
        .psql("postgres", "CALL backup_grant('v', 'viewer'); CALL backup_grant('o', 'operator')");
    for (role, is_operator) in [("v", false), ("o", true)] {
        for (name, _) in calls(&cluster) {
            let wanted = VIEWER.contains(&name.as_str())
                || (is_operator && OPERATOR.iter().any(|o| name.starts_with(&format!("{o}("))));
            let sql = format!("SELECT has_function_privilege('{role}', '{name}', 'EXECUTE')");
            assert_eq!(cluster.value("postgres", &sql) == "t", wanted, "{role}: {name}");
        }
        for relation in RELATIONS.into_iter().chain(TABLES) {
            let sql = format!("SELECT * FROM {relation}");
            let wanted = if TABLES.contains(&relation) { "42501" } else { "ok" };
            assert_eq!(sqlstate_as(&cluster, role, &sql), wanted, "{role}: {relation}");
        }
    }
}

#[test]
fn what_only_has_a_name_of_the_extension_is_neither_given_nor_in_the_way() {
    let cluster = Cluster::start();
    let theirs = "CREATE ROLE o LOGIN;
                  CREATE FUNCTION backup_prune(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
                  REVOKE ALL ON FUNCTION backup_prune(int) FROM PUBLIC;
                  CALL backup_grant('o', 'operator')";
    cluster.psql("postgres", theirs);
    let given = "SELECT string_agg(has_function_privilege('o', oid, 'EXECUTE')::text, ' '
                                   ORDER BY pronargs)
                   FROM pg_proc WHERE proname = 'backup_prune'";
    assert_eq!(cluster.value("postgres", given), "false true");
}

#[test]
fn an_operator_backs_up_verifies_and_is_named_but_deletes_nothing() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE ROLE o LOGIN; CREATE ROLE v LOGIN");
    cluster
        .psql("postgres", "CALL backup_grant('o', 'operator'); CALL backup_grant('v', 'viewer')");
    let ok = ["SELECT backup_create('mine')", "SELECT backup_verify(1)", "SELECT backup_wait(1)"];
    for sql in ok {
        assert_eq!(sqlstate_as(&cluster, "o", sql), "ok", "{sql}");
    }
    let by = "SELECT DISTINCT requested_by FROM backup_history";
    assert_eq!(cluster.value("postgres", by), "o");
    for sql in ["CALL backup_delete(1)", "CALL backup_pin(1)", "CALL backup_grant('o', 'viewer')"] {
        assert_eq!(sqlstate_as(&cluster, "o", sql), "42501", "{sql}");
    }
    let look = [
        "SELECT * FROM backup_contents(1)",
        "SELECT backup_inspect(1)",
        "SELECT * FROM backup_check()",
    ];
    for sql in look {
        assert_eq!(sqlstate_as(&cluster, "v", sql), "ok", "{sql}");
    }
    // Even with the right to call it, deleting is for superusers.
    cluster.sql("postgres", "GRANT EXECUTE ON PROCEDURE backup_delete TO o");
    assert_eq!(sqlstate_as(&cluster, "o", "CALL backup_delete(1)"), "42501");
    assert_eq!(cluster.last_backup().status, "succeeded");
}

#[test]
fn wrong_grants_are_refused() {
    let cluster = Cluster::start();
    for (sql, sqlstate) in [
        ("CALL backup_grant('nobody', 'viewer')", "42704"),
        ("CALL backup_grant('postgres', 'king')", "22023"),
        ("CALL backup_grant('postgres', NULL)", "22023"),
        ("CALL backup_grant(NULL, 'viewer')", "42704"),
    ] {
        assert_eq!(cluster.error("postgres", sql).sqlstate, sqlstate, "{sql}");
    }
}

#[test]
fn places_are_for_superusers_to_set_and_to_see() {
    let cluster = Cluster::start();
    cluster.sql("postgres", "CREATE ROLE nobody LOGIN");
    for setting in ["directory", "bin_directory", "host", "\"user\"", "passfile"] {
        let show = format!("SHOW pg_backup.{setting}");
        assert_eq!(sqlstate_as(&cluster, "nobody", &show), "42501", "{setting}");
        let set = format!("SET pg_backup.{setting} = '/tmp'");
        assert_eq!(cluster.error("postgres", &set).sqlstate, "55P02", "{setting}");
    }
    assert_eq!(sqlstate_as(&cluster, "nobody", "SET pg_backup.globals = off"), "42501");
}
