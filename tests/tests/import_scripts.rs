//! `backup_import()` of dumps that others have made with other options, or have added to.

use pg_backup_tests::{Cluster, run_tool, sample};
use std::fs;
use std::path::{Path, PathBuf};

/// A cluster with a database `app`, and a directory to import from.
fn cluster(tables: &str) -> (Cluster, PathBuf) {
    let cluster = Cluster::start();
    let place = cluster.make_dir("import").canonicalize().unwrap();
    cluster.set("pg_backup.import_directories", &place.display().to_string());
    cluster.sql("postgres", "CREATE DATABASE app");
    cluster.psql("app", tables);
    (cluster, place)
}

/// What pg_dump writes of `app`, and the id of its import when `more` was added at its end.
fn imported(cluster: &Cluster, place: &Path, options: &[&str], more: &str) -> String {
    let file = place.join("dump");
    let target = format!("--file={}", file.display());
    let mut args = vec!["--dbname=app", &target];
    args.extend_from_slice(options);
    cluster.tool("pg_dump", &args);
    let mut dump = fs::read(&file).unwrap();
    dump.extend_from_slice(more.as_bytes());
    fs::write(&file, dump).unwrap();
    run_tool(Path::new("/bin/chmod"), &["a+r", &file.display().to_string()]);
    cluster.value("postgres", &format!("SELECT backup_import('{}')", file.display()))
}

fn restored(cluster: &Cluster, id: &str) {
    let call = format!("CALL backup_restore({id}, target => 'copy', allow_foreign => true)");
    cluster.sql("postgres", &call);
}

fn verified(cluster: &Cluster, id: &str) -> String {
    let sql = format!("SELECT bool_and(ok) FROM backup_verify({id}, 'read')");
    cluster.value("postgres", &sql)
}

#[test]
fn a_script_with_statements_behind_its_end_stays_whole() {
    let (cluster, place) = cluster("CREATE TABLE t AS SELECT generate_series(1, 3) AS i");
    let id = imported(&cluster, &place, &[], "ANALYZE;\nGRANT SELECT ON public.t TO PUBLIC;\n");
    assert_eq!(verified(&cluster, &id), "t");
    restored(&cluster, &id);
    let granted = "SELECT has_table_privilege('public', 't', 'SELECT')";
    assert_eq!(cluster.value("copy", granted), "t");
}

#[test]
fn a_script_that_does_more_to_its_rows_is_restored_with_a_warning() {
    let (cluster, place) = cluster("CREATE TABLE t AS SELECT generate_series(1, 3) AS i");
    let more = "INSERT INTO public.t VALUES (4);\nDELETE FROM public.t WHERE i < 3;\n";
    let id = imported(&cluster, &place, &[], more);
    restored(&cluster, &id);
    assert_eq!(cluster.value("copy", "SELECT string_agg(i::text, ' ' ORDER BY i) FROM t"), "3 4");
    let warnings = "SELECT warnings::text FROM backup_history WHERE kind = 'restore'";
    let told = cluster.value("postgres", warnings);
    assert!(
        told.contains("more to the rows") && told.contains("public.t: 2 rows, not 3"),
        "{told}"
    );
}

#[test]
fn rows_that_were_dumped_for_the_root_of_their_partitions_are_counted_there() {
    let tables = "
        CREATE TABLE days (day int) PARTITION BY RANGE (day);
        CREATE TABLE early PARTITION OF days FOR VALUES FROM (0) TO (100);
        CREATE TABLE late PARTITION OF days FOR VALUES FROM (100) TO (200);
        INSERT INTO days SELECT generate_series(0, 149)";
    let (cluster, place) = cluster(tables);
    for format in sample(["custom", "plain", "tar"]) {
        let options = ["--load-via-partition-root", &format!("--format={format}")];
        let id = imported(&cluster, &place, &options, "");
        restored(&cluster, &id);
        assert_eq!(cluster.value("copy", "SELECT count(*) FROM early"), "100", "{format}");
        cluster.sql("postgres", "DROP DATABASE copy");
    }
}

#[test]
fn names_in_a_dump_of_another_encoding_are_understood() {
    let tables = "CREATE ROLE \"müller\"; CREATE SCHEMA \"Köln\";
                  CREATE TABLE \"Köln\".t (i int); ALTER TABLE \"Köln\".t OWNER TO \"müller\"";
    let (cluster, place) = cluster(tables);
    for format in ["custom", "plain", "tar"] {
        let options = ["--encoding=LATIN1", &format!("--format={format}")];
        let id = imported(&cluster, &place, &options, "");
        let manifest = format!("SELECT manifest FROM backup_manifest WHERE id = {id}");
        let manifest = cluster.value("postgres", &manifest);
        assert!(manifest.contains("\"müller\"") && manifest.contains("\"Köln\""), "{manifest}");
        assert!(!manifest.contains('\u{fffd}'), "{manifest}");
    }
}

/// pg_restore reads a tar as far as to the script at its end, which it does not need.
#[test]
fn a_tar_with_many_definitions_is_read_to_its_end() {
    let tables = "CREATE TABLE t AS SELECT generate_series(1, 3) AS i;
                  DO $$ BEGIN EXECUTE format('CREATE FUNCTION long() RETURNS text LANGUAGE sql AS %L',
                      'SELECT ' || quote_literal(repeat('long ', 800000))); END $$";
    let (cluster, place) = cluster(tables);
    let id = imported(&cluster, &place, &["--format=tar"], "");
    assert_eq!(verified(&cluster, &id), "t");
    restored(&cluster, &id);
    assert_eq!(cluster.value("copy", "SELECT length(long())"), "4000000");
}
