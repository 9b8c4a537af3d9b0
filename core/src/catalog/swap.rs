//! Databases that change their names, are opened, closed, found again by their ids, and dropped.

use super::ident;

/// The database with the id `$1`: its name, and whether clients may connect. No row without it.
pub const DATABASE_NOW: &str =
    "SELECT datname::text, datconnlimit NOT IN (0, -2) FROM pg_catalog.pg_database WHERE oid = $1";

/// Those of the names `$1` that a database has.
pub const TAKEN_NAMES: &str =
    "SELECT datname::text FROM pg_catalog.pg_database WHERE datname = ANY ($1)";

/// Ids of the databases `$1` and `$2`, and what time it is.
pub const PARTIES: &str = "
SELECT (SELECT oid FROM pg_catalog.pg_database WHERE datname = $1),
       (SELECT oid FROM pg_catalog.pg_database WHERE datname = $2), pg_catalog.clock_timestamp()";

/// Ends the sessions of clients in the database with the id `$1`, and those in `$2` that began
/// before `$5`, but not `$3`: a session that comes into `$2` later may be a client who has found it
/// under its new name. Tells how many there are, and whether session `$4` has shut the database
/// `$1`: nobody can connect to it any more. Workers of extensions go on (measured: TimescaleDB's do
/// not come back by themselves).
pub const END_SESSIONS: &str = "
SELECT (SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(pid))
          FROM pg_catalog.pg_stat_activity
         WHERE (datid = $1 OR datid = $2 AND backend_start < $5)
           AND backend_type = 'client backend'
           AND pid <> pg_catalog.pg_backend_pid() AND pid <> $3),
       EXISTS (SELECT FROM pg_catalog.pg_locks l
                WHERE l.pid = $4 AND l.objid = $1 AND l.locktype = 'object'
                  AND l.classid = 'pg_catalog.pg_database'::pg_catalog.regclass
                  AND l.mode = 'AccessExclusiveLock' AND l.granted)";

/// Who is in the database `$1` beside this session, at most five: what they are, and their process.
pub const HOLDERS: &str = "
SELECT pg_catalog.concat(backend_type, ' ', pid)
  FROM pg_catalog.pg_stat_activity
 WHERE datname = $1 AND pid <> pg_catalog.pg_backend_pid()
UNION ALL
SELECT pg_catalog.concat('prepared transaction ', pg_catalog.quote_literal(gid))
  FROM pg_catalog.pg_prepared_xacts WHERE database = $1
 LIMIT 5";

/// The live database steps aside as `kept`, which is closed, and `staging` takes its name; `open`
/// is the statement that lets clients into it.
pub fn rename_both(live: &str, staging: &str, kept: &str, open: Option<&str>) -> String {
    format!(
        "BEGIN; ALTER DATABASE {live} RENAME TO {kept}; ALTER DATABASE {staging} RENAME TO {live}; \
         ALTER DATABASE {kept} WITH ALLOW_CONNECTIONS false; {open}; COMMIT",
        open = open.unwrap_or_default(),
        live = ident(live),
        staging = ident(staging),
        kept = ident(kept)
    )
}

/// Opens or closes a database to everybody, superusers too.
pub fn allow_connections(database: &str, allowed: bool) -> String {
    format!("ALTER DATABASE {} WITH ALLOW_CONNECTIONS {allowed}", ident(database))
}

/// Names of the subscriptions in the database `$1`.
pub const SUBSCRIPTIONS_OF: &str = "
SELECT s.subname::text FROM pg_catalog.pg_subscription s
  JOIN pg_catalog.pg_database d ON d.oid = s.subdbid WHERE d.datname = $1 ORDER BY 1";

/// Whether the database `$1` is a template, which the server does not drop.
pub const IS_TEMPLATE: &str =
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1 AND datistemplate)";

/// Makes a template a database like others.
pub fn no_template(database: &str) -> String {
    format!("ALTER DATABASE {} WITH IS_TEMPLATE false", ident(database))
}

/// Drops a subscription without its slot, which is that of the original.
pub fn drop_subscription(name: &str) -> String {
    let name = ident(name);
    format!(
        "ALTER SUBSCRIPTION {name} DISABLE; ALTER SUBSCRIPTION {name} SET (slot_name = NONE); \
         DROP SUBSCRIPTION {name}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_change_in_one_transaction_whatever_they_hold() {
        assert_eq!(
            rename_both("a\"; --", "b", "c", Some("OPEN")),
            "BEGIN; ALTER DATABASE \"a\"\"; --\" RENAME TO \"c\"; ALTER DATABASE \"b\" RENAME TO \
             \"a\"\"; --\"; ALTER DATABASE \"c\" WITH ALLOW_CONNECTIONS false; OPEN; COMMIT"
        );
    }
}
