//! What a restore says to TimescaleDB, in the order of its own documentation and of what was
//! measured. Its functions lie in the schema that the extension was put in, some in schemas of its
//! own that have changed between versions: those are looked up.

use super::{ident, literal, qualified};

/// Jobs of users: those below are TimescaleDB's own.
const FIRST_USER_JOB: i32 = 1000;

/// Of the database: schema and version of the extension, the schema of its function `$1`, and the
/// version that this server would install.
pub const INSTALLED: &str = "
SELECT n.nspname::text, e.extversion,
       (SELECT f.nspname::text
          FROM pg_catalog.pg_depend d
          JOIN pg_catalog.pg_proc p ON p.oid = d.objid
          JOIN pg_catalog.pg_namespace f ON f.oid = p.pronamespace
         WHERE d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
           AND d.refobjid = e.oid AND d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass
           AND d.deptype = 'e' AND p.proname = $1
         ORDER BY f.nspname LIMIT 1)
  FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname = 'timescaledb'";

/// Whether the server can go on from the installed version to a newer one, by its default.
pub const UPDATE: &str = "
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_extension e
      JOIN pg_catalog.pg_available_extensions a ON a.name = e.extname
      JOIN pg_catalog.pg_extension_update_paths(e.extname) u
        ON u.source = e.extversion AND u.target = a.default_version AND u.path IS NOT NULL
     WHERE e.extname = 'timescaledb' AND e.extversion <> a.default_version
       AND pg_catalog.string_to_array(
               pg_catalog.substring(a.default_version, '^[0-9]+(?:[.][0-9]+)*'), '.')::int[]
         > pg_catalog.string_to_array(
               pg_catalog.substring(e.extversion, '^[0-9]+(?:[.][0-9]+)*'), '.')::int[])";

/// Updates the extension: only as the first command of a session, else the old library is loaded.
pub const UPDATE_EXTENSION: &str = "ALTER EXTENSION timescaledb UPDATE";

/// Whether this server can have the version `$1`: one `jsonb`.
pub const READINESS: &str = "
SELECT pg_catalog.jsonb_build_object(
    'available', (SELECT coalesce(pg_catalog.jsonb_agg(version ORDER BY version), '[]')
                    FROM pg_catalog.pg_available_extension_versions WHERE name = 'timescaledb'),
    'preloaded', pg_catalog.current_setting('shared_preload_libraries')
                     ~ '(^|[,/\"])\\s*timescaledb\\s*($|[,\"])',
    'superuser', (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user),
    'slots', pg_catalog.current_setting('max_worker_processes')::int,
    'used', (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity
              WHERE backend_type NOT IN ('client backend', 'autovacuum launcher',
                    'autovacuum worker', 'background writer', 'checkpointer', 'walwriter',
                    'archiver', 'startup', 'walreceiver', 'walsender', 'logger',
                    'walsummarizer', 'slotsync worker', 'io worker')))";

/// Hypertables whose chunks are not all there: name, how many are listed, how many there are.
pub const LOST_CHUNKS: &str = "
SELECT h.relid::text, h.listed, coalesce(i.found, 0)
  FROM (SELECT pg_catalog.to_regclass(pg_catalog.format('%I.%I', hypertable_schema,
                   hypertable_name)) AS relid, pg_catalog.count(*) AS listed
          FROM timescaledb_information.chunks GROUP BY 1) h
  LEFT JOIN (SELECT inhparent, pg_catalog.count(*) AS found
               FROM pg_catalog.pg_inherits GROUP BY 1) i ON i.inhparent = h.relid
 WHERE coalesce(i.found, 0) <> h.listed";

/// Rows as they lie in the tables, as the dump counted them: outside of this mode those of a
/// compressed chunk count as its own, though they lie in another table.
pub const COUNT_AS_STORED: &str = "SET timescaledb.restoring = 'on'";

/// The end of [`COUNT_AS_STORED`].
pub const COUNT_AS_SEEN: &str = "RESET timescaledb.restoring";

/// Makes a schema, of a role's where one is given.
pub fn create_schema(schema: &str, owner: Option<&str>) -> String {
    let owner = owner.map(|owner| format!(" AUTHORIZATION {}", ident(owner))).unwrap_or_default();
    format!("CREATE SCHEMA IF NOT EXISTS {}{owner}", ident(schema))
}

/// Makes the extension in its recorded version.
pub fn create_extension(schema: &str, version: &str) -> String {
    let version = match version {
        "" => String::new(),
        version => format!(" VERSION {}", literal(version)),
    };
    format!("CREATE EXTENSION timescaledb SCHEMA {}{version}", ident(schema))
}

/// From here on the catalog takes rows as they come, and nothing runs.
pub fn pre_restore(schema: &str) -> String {
    format!("SELECT {}()", qualified(schema, "timescaledb_pre_restore"))
}

/// Whether the edition is the one without functions for jobs (measured: `alter_job` is refused
/// there, while rows of jobs come with a dump of the other edition).
pub const IS_APACHE: &str =
    "SELECT coalesce(pg_catalog.current_setting('timescaledb.license', true) = 'apache', false)";

/// The end of the restore. In the same transaction all jobs of users are parked: otherwise every
/// policy fires at once, and retention drops what was just restored (measured, within two seconds).
pub fn post_restore(schema: &str, is_apache: bool) -> String {
    let park = match is_apache {
        true => set_scheduled("false"),
        false => format!(
            "SELECT {}(job_id, scheduled => false) FROM timescaledb_information.jobs \
              WHERE job_id >= {FIRST_USER_JOB}",
            qualified(schema, "alter_job")
        ),
    };
    let post = qualified(schema, "timescaledb_post_restore");
    format!("BEGIN; SELECT {post}(); {park}; COMMIT")
}

/// What `alter_job` does to the row, no more.
fn set_scheduled(value: &str) -> String {
    format!(
        "UPDATE _timescaledb_config.bgw_job SET scheduled = {value} WHERE id >= {FIRST_USER_JOB}"
    )
}

/// Gives the jobs `$1` their schedule back, each with its next start `$2`; one whose time is over
/// or unknown starts when its interval has passed, so that no policy fires the moment it is back.
pub fn give_back(schema: &str, is_apache: bool) -> String {
    if is_apache {
        let update = set_scheduled("true");
        return format!("{update} AND id = ANY ($1::int[]) AND $2::timestamptz[] IS NOT NULL");
    }
    format!(
        "SELECT {}(j.job_id, scheduled => true, next_start => CASE \
                WHEN r.next_start > pg_catalog.now() THEN r.next_start \
                ELSE pg_catalog.now() + j.schedule_interval END) \
           FROM timescaledb_information.jobs j \
           JOIN ROWS FROM (pg_catalog.unnest($1::int[]), pg_catalog.unnest($2::timestamptz[])) \
                AS r(job_id, next_start) ON r.job_id = j.job_id \
          WHERE j.job_id >= {FIRST_USER_JOB}",
        qualified(schema, "alter_job")
    )
}

/// Calls a function without arguments.
pub fn call(schema: &str, function: &str) -> String {
    format!("SELECT {}()", qualified(schema, function))
}

/// Which of the tables with the schemas `$1` and names `$2` lie in schemas like `$3`, or are like a
/// table with a schema `$4` (any, where NULL) and a name `$5`.
pub const MATCHING: &str = "
SELECT t.s, t.n
  FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS t(s, n)
 WHERE EXISTS (SELECT FROM pg_catalog.unnest($3::text[]) AS p WHERE t.s ~ p)
    OR EXISTS (SELECT FROM ROWS FROM (pg_catalog.unnest($4::text[]), pg_catalog.unnest($5::text[]))
                           AS p(s, n)
                WHERE t.n ~ p.n AND (p.s IS NULL OR t.s ~ p.s))";
