//! What newer major versions of PostgreSQL have: triggers on login, more limits for sessions,
//! statistics in dumps, extensions in a directory of their own.

use pg_backup_tests::{
    Cluster, assert_same_text, base, give_to_server, into_schema, needs_major, run_tool, tree_dirs,
};
use std::fs;
use std::path::Path;

/// Notes everybody who logs in.
const DOOR: &str = "
    CREATE TABLE logins (app text); GRANT INSERT ON logins TO PUBLIC;
    CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO public.logins VALUES (current_setting('application_name')); END $$;
    CREATE EVENT TRIGGER door ON login EXECUTE FUNCTION note();
    ALTER EVENT TRIGGER door ENABLE ALWAYS";
/// Notes tables that are made.
const DDL: &str = "
    CREATE FUNCTION note_table() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
      INSERT INTO public.logins VALUES ('pg_ by hook'); END $$;
    CREATE EVENT TRIGGER made ON ddl_command_end WHEN TAG IN ('CREATE TABLE')
      EXECUTE FUNCTION note_table();
    ALTER EVENT TRIGGER made ENABLE ALWAYS";
/// Of them, those that are ours or our tools'.
const OURS: &str = "SELECT coalesce(string_agg(app, ', '), '') FROM logins WHERE app ~ 'pg_'";

#[test]
fn a_trigger_on_login_never_fires_in_a_session_of_a_job() {
    if !needs_major(17, "event triggers on login") {
        return;
    }
    let cluster = Cluster::start();
    cluster.make_everything("app");
    cluster.psql("app", DOOR);
    cluster.psql("app", "SELECT 1");
    let seen = cluster.value("app", "SELECT count(*) > 0 FROM logins");
    assert_eq!(seen, "t", "it fires in other sessions");
    for format in ["custom", "directory", "plain"] {
        let id = cluster.back_up_app(&format!(", format => '{format}'"));
        let copy = format!("copy_{format}");
        cluster.sql("postgres", &format!("CALL backup_restore({id}, target => '{copy}')"));
        assert_eq!(cluster.value(&copy, OURS), "", "{format}");
        cluster.sql("postgres", &format!("CALL backup_restore({id}, replace => 'app')"));
        assert_eq!(cluster.value("app", OURS), "", "{format}");
        if format != "plain" {
            let call = into_schema(&id, "ARRAY['public.logins']", &format!("kept_{format}"));
            cluster.sql("postgres", &call);
        }
        assert_eq!(cluster.value("app", OURS), "", "{format}");
        cluster.accept_all("postgres");
    }
    let hook = "CALL backup_hook('before_backup', 'h', 'CREATE TABLE public.by_hook ()')";
    cluster.sql("app", "CREATE EXTENSION pg_backup");
    cluster.sql("app", hook);
    cluster.psql("app", DDL);
    cluster.sql("app", "SELECT backup_create()");
    let told = cluster.value("app", "SELECT string_agg(app, ', ') FROM logins WHERE app ~ 'pg_'");
    assert_eq!(told, "pg_ by hook", "statements of a hook fire event triggers as any others");
    cluster.assert_nothing_left();
}

#[test]
fn a_trigger_on_login_that_lets_nobody_in_stops_no_job() {
    if !needs_major(17, "event triggers on login") {
        return;
    }
    let cluster = Cluster::start();
    cluster.make_everything("app");
    cluster.psql("app", &DOOR.replace("INSERT INTO public.logins VALUES", "RAISE EXCEPTION '%',"));
    let refused = cluster.psql_err("app", "SELECT 1").1;
    assert!(refused.contains("psql"), "{refused}");
    let id = cluster.value("postgres", "SELECT backup_create(database => 'app')");
    cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    cluster.sql("postgres", &format!("CALL backup_restore({id}, replace => 'app')"));
    let there =
        cluster.value("postgres", "SELECT dathasloginevt FROM pg_database WHERE datname = 'app'");
    assert_eq!(there, "t");
    cluster.accept_all("postgres");
    cluster.assert_nothing_left();
}

#[test]
fn a_check_of_what_a_text_means_is_no_trojan() {
    if !needs_major(16, "pg_input_is_valid") {
        return;
    }
    let cluster = Cluster::start();
    cluster.make_everything("app");
    cluster.sql("app", "CREATE TABLE days (day text CHECK (pg_input_is_valid(day, 'date')))");
    cluster.sql("app", "INSERT INTO days VALUES ('2020-02-02')");
    let id = cluster.back_up_app("");
    cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    assert_eq!(cluster.value("copy", "SELECT day FROM days"), "2020-02-02");
}

#[test]
fn limits_of_newer_versions_that_a_role_or_database_has_do_not_stop_a_job() {
    if !needs_major(17, "transaction_timeout") {
        return;
    }
    let cluster = Cluster::start();
    cluster.make_everything("app");
    let wanted = cluster.fingerprint("app");
    cluster.sql("postgres", "ALTER DATABASE app SET transaction_timeout = '1ms'");
    cluster.sql("postgres", "ALTER ROLE postgres IN DATABASE app SET idle_session_timeout = '1ms'");
    let id = cluster.value("postgres", "SELECT backup_create(database => 'app')");
    cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    cluster.sql("postgres", &format!("CALL backup_restore({id}, replace => 'app')"));
    cluster.sql("postgres", "ALTER DATABASE copy RESET ALL");
    cluster.sql("postgres", "ALTER ROLE postgres IN DATABASE copy RESET ALL");
    assert_eq!(cluster.fingerprint("copy"), wanted);
    cluster.accept_all("postgres");
    cluster.assert_nothing_left();
}

#[test]
fn a_dump_with_statistics_is_imported_and_restored() {
    if !needs_major(18, "statistics in dumps") {
        return;
    }
    let cluster = Cluster::start();
    let place = cluster.make_dir("import").canonicalize().expect("it is there");
    cluster.set("pg_backup.import_directories", &place.display().to_string());
    cluster.make_everything("app");
    cluster.psql("app", "ANALYZE");
    let (schema, content) = (cluster.schema_of("app"), cluster.fingerprint("app"));
    for format in ["custom", "directory", "plain"] {
        let file = place.join(format).display().to_string();
        let (file_arg, format_arg) = (format!("--file={file}"), format!("--format={format}"));
        cluster.tool("pg_dump", &["--dbname=app", "--statistics", &file_arg, &format_arg]);
        run_tool(Path::new("/bin/chmod"), &["-R", "a+rX", &file]);
        let id = cluster.value("postgres", &format!("SELECT backup_import('{file}')"));
        let target = format!("copy_{format}");
        let call =
            format!("CALL backup_restore({id}, target => '{target}', allow_foreign => true)");
        cluster.sql("postgres", &call);
        assert_same_text(&cluster.schema_of(&target), &schema, format);
        assert_eq!(cluster.fingerprint(&target), content, "{format}");
    }
    cluster.assert_nothing_left();
}

#[test]
fn the_extension_can_lie_in_a_directory_of_its_own() {
    if !needs_major(18, "extension_control_path") {
        return;
    }
    let place = tempfile::tempdir_in(base()).expect("it is ours");
    let elsewhere = place.path().display().to_string();
    let (libraries, extensions) = tree_dirs();
    fs::create_dir_all(place.path().join("extension")).expect("it is ours");
    fs::copy(libraries.join("pg_backup.so"), place.path().join("pg_backup.so")).expect("a copy");
    for name in pg_backup_tests::names_below(extensions) {
        if name.starts_with("pg_backup") {
            let copy = place.path().join("extension").join(&name);
            fs::copy(extensions.join(&name), &copy).expect("a copy");
        }
    }
    run_tool(Path::new("/bin/chmod"), &["-R", "a+rX", &elsewhere]);
    give_to_server(place.path());
    let cluster = Cluster::builder()
        .fresh()
        .conf(&[
            &format!("extension_control_path = '{elsewhere}:$system'"),
            &format!("dynamic_library_path = '{elsewhere}:$libdir'"),
        ])
        .start();
    let mapped = fs::read_to_string(format!("/proc/{}/maps", cluster.pid())).expect("it runs");
    assert!(mapped.contains(&format!("{elsewhere}/pg_backup.so")), "the library of its own");
    cluster.sql("postgres", "CREATE EXTENSION pg_backup");
    cluster.make_everything("app");
    cluster.hook("before_restore", "h", "SELECT 1");
    let id = cluster.back_up_app("");
    cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'copy')"));
    cluster.assert_nothing_left();
}
