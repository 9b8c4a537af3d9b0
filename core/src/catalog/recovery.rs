//! Where the extension is, in this server and in a database.

/// Databases that can be connected to. One with a connection limit of 0 is closed to clients: a
/// restore is under way in it, whose schedules and history must not begin to live before it is
/// whole. Templates are left alone: a session in one of them makes CREATE DATABASE fail, and they
/// have no history of their own.
pub const DATABASES: &str = "
SELECT oid, datname FROM pg_catalog.pg_database
 WHERE datallowconn AND NOT datistemplate AND datconnlimit NOT IN (-2, 0) ORDER BY datname";

/// Schema of the extension in this database, the database's id, and the version of the extension;
/// no row without it.
pub const EXTENSION: &str = "
SELECT n.nspname,
       (SELECT d.oid FROM pg_catalog.pg_database d
         WHERE d.datname = pg_catalog.current_database()),
       e.extversion
  FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
 WHERE e.extname = 'pg_backup'";

/// Version of the files that are installed: no row where there are none.
pub const ON_DISK: &str = "
SELECT a.default_version::text FROM pg_catalog.pg_available_extensions() a
 WHERE a.name = 'pg_backup'";

/// Names of databases by their ids, of those that can be connected to.
pub const NAMES: &str = "
SELECT oid, datname FROM pg_catalog.pg_database
 WHERE oid = ANY ($1) AND datallowconn AND NOT datistemplate AND datconnlimit NOT IN (-2, 0)";

/// A text that changes when a database is made, dropped, renamed, opened or closed.
pub const FINGERPRINT: &str = "
SELECT pg_catalog.md5(pg_catalog.string_agg(
           pg_catalog.concat_ws(' ', oid, datname, datallowconn, datistemplate, datconnlimit),
           ',' ORDER BY oid))
  FROM pg_catalog.pg_database";
