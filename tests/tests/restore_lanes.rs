//! Restores by several connections, most of them of one stream: what each connection does, and
//! what becomes of all when one fails, hangs or dies.

use pg_backup_tests::{
    Cluster, Faults, LIMIT, assert_same_text, crash_at, names_below, sample, wait_until,
};

/// A large table and two small ones, each with an index, and views of what they hold.
const TABLES: &str = "
    CREATE TABLE large AS SELECT n AS id, repeat(md5(n::text), 40) AS m
        FROM generate_series(1, 4000) n;
    CREATE TABLE small AS SELECT n AS id, md5(n::text) AS m FROM generate_series(1, 40) n;
    CREATE TABLE other AS SELECT * FROM small;
    CREATE FUNCTION of_large(i integer) RETURNS bigint LANGUAGE sql IMMUTABLE
        AS 'SELECT count(*) + i FROM public.large';
    ALTER TABLE large ADD PRIMARY KEY (id);
    CREATE UNIQUE INDEX small_id ON small (id);
    ALTER TABLE small ADD CONSTRAINT a_first UNIQUE (m);
    COMMENT ON CONSTRAINT a_first ON small IS 'the first of its section';
    COMMENT ON INDEX small_id IS 'built early, and described';
    CREATE INDEX other_m ON other (m);
    CREATE INDEX other_large ON other (of_large(id));
    ALTER TABLE small ADD FOREIGN KEY (id) REFERENCES large";

fn restore(id: &str, options: &str) -> String {
    format!("CALL backup_restore({id}, target => 'copy', jobs => 3{options})")
}

fn filled(cluster: &Cluster) -> String {
    cluster.sql("postgres", "CREATE DATABASE app");
    cluster.psql("app", TABLES);
    cluster.back_up_app("")
}

/// Files of the private directories of jobs, and their bytes.
fn unpacked(cluster: &Cluster) -> Vec<(String, u64)> {
    let directory = cluster.backup_dir();
    let names = names_below(&directory).into_iter().filter(|name| name.contains(".work.partial/"));
    let sized = names.map(|name| (directory.join(&name).metadata().map_or(0, |m| m.len()), name));
    sized.map(|(size, name)| (name, size)).collect()
}

#[test]
fn nothing_but_the_head_of_a_stream_is_unpacked() {
    let faults = Faults::default();
    let cluster = faults.cluster(&[]);
    let id = filled(&cluster);
    faults.plant("after_data");
    let call = cluster.call("postgres", &restore(&id, ""));
    faults.wait("after_data");
    let files = unpacked(&cluster);
    let has = |end: &str| files.iter().any(|(name, _)| name.ends_with(end));
    assert!(has("/head.dump") && has("/rows_0") && has("/rows_2"), "{files:?}");
    let bytes: u64 = files.iter().map(|(_, size)| size).sum();
    assert!(bytes < 4_000_000, "of more than 5 MB: {files:?}");
    faults.lift("after_data");
    call.end().expect("the restore goes on");
    assert_eq!(unpacked(&cluster), []);
    assert_eq!(cluster.fingerprint("copy"), cluster.fingerprint("app"));
    assert_same_text(&cluster.schema_of("copy"), &cluster.schema_of("app"), "the schema");
    cluster.assert_clean();
}

#[test]
fn a_connection_is_not_sent_the_rows_of_others() {
    let cluster = Cluster::start();
    let id = filled(&cluster);
    let sizes = cluster.make_dir("sizes");
    // `tee` is a part of the pipeline: the tool ends after its file is written.
    let tool = format!(
        "#!/bin/bash\n[[ \"$*\" =~ rows_([0-9]) ]] || exec \"$REAL\" \"$@\"\n\
         tee '{}/'\"${{BASH_REMATCH[1]}}\" | \"$REAL\" \"$@\"",
        sizes.display()
    );
    cluster.use_tool("pg_restore", &tool);
    cluster.sql("postgres", &restore(&id, ""));
    let size = |lane: u8| sizes.join(lane.to_string()).metadata().expect("it was sent").len();
    let sent = [0, 1, 2].map(size);
    assert!(sent[0] > 5_000_000 && sent[1] < 100_000 && sent[2] < 100_000, "{sent:?}");
    assert_eq!(cluster.fingerprint("copy"), cluster.fingerprint("app"));
    cluster.assert_clean();
}

#[test]
fn indexes_are_built_while_others_still_load_but_not_those_that_call_a_function() {
    let cluster = Cluster::start();
    let id = filled(&cluster);
    // The lane of the large table begins when the others have built what they may.
    let wait = "#!/bin/bash\n\
        indexes() { \"${REAL%/*}/psql\" -XAtd copy -c \"SELECT string_agg(relname, ' ' ORDER BY \
            relname) FROM pg_class WHERE relkind = 'i' AND relnamespace = 'public'::regnamespace\"; }\n\
        if [[ \"$*\" == *rows_0* ]]; then\n\
          for ((i = 0; i < 600; i++)); do\n\
            [ \"$(indexes)\" = 'a_first other_m small_id' ] && break\n\
            sleep 0.05\n\
          done\n\
          [ \"$(indexes)\" = 'a_first other_m small_id' ] || { echo \"there are: $(indexes)\" >&2; exit 1; }\n\
        fi\n\
        exec \"$REAL\" \"$@\"";
    cluster.use_tool("pg_restore", wait);
    cluster.sql("postgres", &restore(&id, ""));
    assert_same_text(&cluster.schema_of("copy"), &cluster.schema_of("app"), "the schema");
    let by_index = "SET enable_seqscan = off; SELECT count(*) FROM other WHERE of_large(id) > 4000";
    assert_eq!(cluster.value("copy", by_index), "40");
    cluster.assert_clean();
}

#[test]
fn nothing_else_runs_while_indexes_are_attached() {
    let cluster = Cluster::with(&["log_statement = ddl"]);
    cluster.sql("postgres", "CREATE DATABASE app");
    let tables = "
        CREATE TABLE split (id int PRIMARY KEY, m text) PARTITION BY RANGE (id);
        CREATE TABLE split_1 PARTITION OF split FOR VALUES FROM (0) TO (50) PARTITION BY HASH (id);
        CREATE TABLE split_1a PARTITION OF split_1 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
        CREATE TABLE split_2 PARTITION OF split DEFAULT;
        CREATE INDEX ON split (m);
        COMMENT ON CONSTRAINT split_2_pkey ON split_2 IS 'of the part';
        INSERT INTO split SELECT n FROM generate_series(1, 99) n;
        CREATE TABLE refers (id int REFERENCES split);
        CREATE MATERIALIZED VIEW seen AS SELECT id, m FROM split GROUP BY id";
    cluster.psql("app", tables);
    for options in sample(["", ", jobs => 2"]) {
        let id =
            cluster.value("postgres", &format!("SELECT backup_create(database => 'app'{options})"));
        let before = cluster.log().len();
        cluster.sql("postgres", &restore(&id, ""));
        let log = cluster.log().split_off(before);
        let mine = log.lines().filter(|line| line.contains(": LOG:  statement: "));
        let is_attach = |line: &&str| line.contains("ALTER INDEX") && line.contains(" ATTACH ");
        let rest = mine.skip_while(|line| !is_attach(line));
        let attached: Vec<&str> = rest.take_while(is_attach).collect();
        assert_eq!(attached.len(), 6, "{options}: {log}");
        let of = |line: &str| line.split(['[', ']']).nth(1).map(str::to_owned);
        assert!(attached.iter().all(|line| of(line) == of(attached[0])), "{attached:?}");
        assert_same_text(&cluster.schema_of("copy"), &cluster.schema_of("app"), options);
        assert_eq!(cluster.value("copy", "SELECT count(*) FROM seen"), "99");
        cluster.sql("postgres", "DROP DATABASE copy");
    }
    cluster.assert_clean();
}

#[test]
fn statistics_are_gathered_of_every_table_and_of_each_once() {
    let cluster = Cluster::with(&["autovacuum = off"]);
    cluster.sql("postgres", "CREATE DATABASE app");
    let tables = "
        CREATE TABLE split (id int) PARTITION BY RANGE (id);
        CREATE TABLE split_low PARTITION OF split FOR VALUES FROM (0) TO (50);
        CREATE TABLE split_high PARTITION OF split FOR VALUES FROM (50) TO (100)
            PARTITION BY RANGE (id);
        CREATE TABLE split_highest PARTITION OF split_high FOR VALUES FROM (90) TO (100);
        CREATE TABLE parent (id int);
        CREATE TABLE child () INHERITS (parent);
        CREATE TABLE lone AS SELECT generate_series(1, 10) AS id;
        INSERT INTO split SELECT n FROM generate_series(1, 40) n UNION ALL SELECT 95;
        INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2);
        CREATE MATERIALIZED VIEW seen AS SELECT * FROM lone";
    cluster.psql("app", tables);
    let id = cluster.back_up_app("");
    cluster.sql("postgres", &restore(&id, ""));
    cluster.sql("postgres", &format!("CALL backup_restore({id}, target => 'serial')"));
    let counts = "SELECT string_agg(concat_ws(' ', relname, analyze_count), ', ' ORDER BY relname) \
                  FROM pg_stat_user_tables";
    let once = "child 1, lone 1, parent 1, seen 1, split 1, split_high 1, split_highest 1, \
                split_low 1";
    let kinds = "SELECT string_agg(concat_ws(' ', tablename, inherited), ', ' \
                                   ORDER BY tablename, inherited) \
                 FROM pg_stats WHERE schemaname = 'public'";
    for database in ["copy", "serial"] {
        wait_until(&format!("the counters of {database}"), LIMIT, || {
            cluster.value(database, counts) == once
        });
    }
    let gathered = ["copy", "serial"].map(|database| cluster.value(database, kinds));
    cluster.sql("serial", "ANALYZE");
    assert_eq!(gathered, [(); 2].map(|()| cluster.value("serial", kinds)), "as ANALYZE does");
    cluster.assert_clean();
}

#[test]
fn statistics_of_the_system_are_gathered_where_the_restore_has_made_it_larger() {
    let cluster = Cluster::with(&["autovacuum = off"]);
    cluster.sql("postgres", "CREATE DATABASE app");
    let wide = "DO $$ BEGIN FOR i IN 1..40 LOOP EXECUTE (SELECT format('CREATE TABLE wide_%s (%s)', \
                i, string_agg('c' || c || ' int', ', ')) FROM generate_series(1, 40) c); \
                END LOOP; END $$";
    cluster.sql("app", wide);
    let id = cluster.back_up_app("");
    cluster.sql("postgres", &restore(&id, ""));
    let gathered = "SELECT string_agg(relname, ' ') FROM pg_stat_sys_tables WHERE analyze_count > 0 \
                    AND relname IN ('pg_attribute', 'pg_operator')";
    wait_until("the counters", LIMIT, || cluster.value("copy", gathered) == "pg_attribute");
    let rows = "SELECT reltuples = (SELECT count(*) FROM pg_attribute) FROM pg_class \
                WHERE oid = 'pg_attribute'::regclass";
    assert_eq!(cluster.value("copy", rows), "t");
}

#[test]
fn a_lane_that_fails_ends_the_others_and_leaves_nothing() {
    let cluster = Cluster::start();
    let id = filled(&cluster);
    for (fails, waits) in
        sample([("rows_0", "rows_1"), ("rows_2", "rows_0"), ("early_1", "rows_0")])
    {
        let tool = format!(
            "#!/bin/bash\n[[ \"$*\" == *{waits}* ]] && exec sleep 600\n\
             [[ \"$*\" == *{fails}* ]] && {{ echo 'pg_restore: error: no luck' >&2; exit 1; }}\n\
             exec \"$REAL\" \"$@\""
        );
        cluster.use_tool("pg_restore", &tool);
        let error = cluster.error("postgres", &restore(&id, ""));
        assert_eq!(error.sqlstate, "38000", "{fails}: {error}");
        assert!(format!("{error}").contains("no luck"), "{fails}: {error}");
        assert_eq!(cluster.databases(), "app", "{fails}");
        cluster.assert_clean();
    }
    cluster.use_real_tools();
    cluster.sql("postgres", &restore(&id, ""));
    assert_eq!(cluster.fingerprint("copy"), cluster.fingerprint("app"));
}

#[test]
fn a_lane_that_hangs_is_ended_by_the_stall_timeout_and_a_cancel_ends_them_all() {
    let cluster = Cluster::start();
    let id = filled(&cluster);
    let hangs = "#!/bin/bash\n[[ \"$*\" == *rows_0* ]] && exec sleep 600\nexec \"$REAL\" \"$@\"";
    cluster.use_tool("pg_restore", hangs);
    let stall = format!("SET pg_backup.stall_timeout = '1s'; {}", restore(&id, ""));
    let error = cluster.error("postgres", &stall);
    assert!(error.message.contains("pg_restore has not moved for 1 s"), "{error}");
    let call = cluster.call("postgres", &restore(&id, ""));
    cluster.wait_for_phase("data");
    call.cancel();
    assert_eq!(call.error().sqlstate, "57014");
    wait_until("the end of the restore", LIMIT, || cluster.runners().is_empty());
    assert_eq!(cluster.databases(), "app");
    cluster.assert_clean();
}

#[test]
fn a_table_of_contents_that_cannot_be_listed_is_done_without() {
    let cluster = Cluster::start();
    let id = filled(&cluster);
    let tool = "#!/bin/bash\n[[ \"$*\" == *--list*--verbose* ]] && exit 1\nexec \"$REAL\" \"$@\"";
    cluster.use_tool("pg_restore", tool);
    cluster.sql("postgres", &restore(&id, ""));
    assert_eq!(cluster.fingerprint("copy"), cluster.fingerprint("app"));
    cluster.assert_clean();
}

#[test]
fn a_crash_between_the_lanes_and_the_rest_leaves_nothing() {
    for runner_only in sample([false, true]) {
        let faults = Faults::default();
        let mut cluster = faults.cluster(&[]);
        let id = filled(&cluster);
        crash_at(&mut cluster, &faults, &restore(&id, ""), "after_data", runner_only);
        cluster.wait_for_restore("postgres", &["manual interrupted".to_owned()]);
        assert_eq!(cluster.databases(), "app", "{runner_only}");
        cluster.sql("postgres", &restore(&id, ""));
        assert_eq!(cluster.fingerprint("copy"), cluster.fingerprint("app"));
        cluster.assert_clean();
    }
}

#[test]
fn the_plan_shows_what_each_connection_does() {
    let cluster = Cluster::start();
    let id = filled(&cluster);
    let plan = cluster.value(
        "postgres",
        &format!(
            "SELECT string_agg(command, E'\\n' ORDER BY step) \
             FROM backup_restore_plan({id}, target => 'copy', jobs => 3)"
        ),
    );
    for part in [
        "zstd -d | head --bytes=… > …/head.dump",
        "--section=data --dbname=dbname='copy' --use-set-session-authorization --use-list=…/rows",
        "--section=post-data --dbname=dbname='copy' --use-list=…/post_data_rest --jobs=3 -- …/head.dump",
    ] {
        assert!(plan.contains(part), "{part}\n{plan}");
    }
    assert!(!plan.contains("unzip -d"), "{plan}");
}
