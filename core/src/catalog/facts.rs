//! Facts for the manifest, each a query that gives one `jsonb` in the shape of its struct in
//! [`crate::decide::manifest`]. All run under the dump's snapshot.

/// [`crate::decide::manifest::Database`].
pub const DATABASE: &str = "
SELECT pg_catalog.jsonb_build_object(
    'name', d.datname, 'owner', pg_catalog.pg_get_userbyid(d.datdba),
    'acl', pg_catalog.to_jsonb(d.datacl::text[]),
    'comment', pg_catalog.shobj_description(d.oid, 'pg_database'),
    'encoding', pg_catalog.pg_encoding_to_char(d.encoding),
    'locale_provider', CASE pg_catalog.to_jsonb(d) ->> 'datlocprovider'
                         WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END,
    'lc_collate', d.datcollate, 'lc_ctype', d.datctype,
    'icu_locale', coalesce(pg_catalog.to_jsonb(d) ->> 'daticulocale',
                           pg_catalog.to_jsonb(d) ->> 'datlocale'),
    'icu_rules', pg_catalog.to_jsonb(d) ->> 'daticurules',
    'collation_version', pg_catalog.to_jsonb(d) ->> 'datcollversion',
    'tablespace', t.spcname, 'connection_limit', d.datconnlimit,
    'allow_connections', d.datallowconn, 'is_template', d.datistemplate,
    'size_bytes', pg_catalog.pg_database_size(d.oid),
    'settings', (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                            'role', r.rolname, 'setting', u.setting)
                            ORDER BY r.rolname NULLS FIRST, u.setting), '[]')
                   FROM pg_catalog.pg_db_role_setting s
                   LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole,
                        pg_catalog.unnest(s.setconfig) AS u(setting)
                  WHERE s.setdatabase = d.oid AND u.setting !~* '^timescaledb\\.restoring='),
    'security_labels', (SELECT coalesce(pg_catalog.jsonb_agg(l.provider || ': ' || l.label), '[]')
                          FROM pg_catalog.pg_shseclabel l
                         WHERE l.classoid = 'pg_catalog.pg_database'::pg_catalog.regclass
                           AND l.objoid = d.oid))
  FROM pg_catalog.pg_database d JOIN pg_catalog.pg_tablespace t ON t.oid = d.dattablespace
 WHERE d.datname = pg_catalog.current_database()";

/// [`crate::decide::manifest::Server`], without the host's name.
pub const SERVER: &str = "
SELECT pg_catalog.jsonb_build_object(
    'version', pg_catalog.current_setting('server_version'),
    'version_num', pg_catalog.current_setting('server_version_num')::int,
    'system_identifier', (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
    'data_checksums', pg_catalog.current_setting('data_checksums')::boolean,
    'wal_level', pg_catalog.current_setting('wal_level'))";

/// Extensions, schemas, roles, tablespaces, slots, subscriptions and publications by name.
/// Roles are those that own something in the database, or are named in a privilege or policy.
pub const NAMES: &str = "
SELECT pg_catalog.jsonb_build_object(
    'extensions', (SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
                              'name', e.extname, 'version', e.extversion, 'schema', n.nspname)
                              ORDER BY e.extname), '[]')
                     FROM pg_catalog.pg_extension e
                     JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace),
    'schemas', (SELECT coalesce(pg_catalog.jsonb_agg(n.nspname ORDER BY n.nspname), '[]')
                  FROM pg_catalog.pg_namespace n
                 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'),
    'roles', (SELECT coalesce(pg_catalog.jsonb_agg(DISTINCT r.rolname), '[]')
                FROM pg_catalog.pg_roles r, pg_catalog.pg_database d
               WHERE d.datname = pg_catalog.current_database()
                 AND (r.oid = d.datdba
                      OR EXISTS (SELECT FROM pg_catalog.pg_shdepend s
                                  WHERE s.refclassid = 'pg_catalog.pg_authid'::regclass
                                    AND s.refobjid = r.oid
                                    AND (s.dbid = d.oid OR s.dbid = 0 AND s.objid = d.oid
                                         AND s.classid = 'pg_catalog.pg_database'::regclass)))),
    'tablespaces', (SELECT coalesce(pg_catalog.jsonb_agg(DISTINCT t.spcname), '[]')
                      FROM pg_catalog.pg_class c
                      JOIN pg_catalog.pg_tablespace t ON t.oid = c.reltablespace
                     WHERE t.spcname NOT IN ('pg_default', 'pg_global')),
    'replication_slots', (SELECT coalesce(pg_catalog.jsonb_agg(slot_name ORDER BY slot_name), '[]')
                            FROM pg_catalog.pg_replication_slots
                           WHERE database = pg_catalog.current_database()),
    'subscriptions', (SELECT coalesce(pg_catalog.jsonb_agg(s.subname ORDER BY s.subname), '[]')
                        FROM pg_catalog.pg_subscription s
                        JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
                       WHERE d.datname = pg_catalog.current_database()),
    'publications', (SELECT coalesce(pg_catalog.jsonb_agg(pubname ORDER BY pubname), '[]')
                       FROM pg_catalog.pg_publication))";

/// Jobs of TimescaleDB, where it is installed: they are not in the dump.
pub const TIMESCALE_JOBS: &str = "
SELECT coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
           'job_id', job_id, 'scheduled', scheduled,
           'next_start', CASE WHEN pg_catalog.isfinite(next_start) THEN next_start END)
           ORDER BY job_id), '[]')
  FROM timescaledb_information.jobs";

/// Databases that a restore of TimescaleDB left in restoring mode (facts of TimescaleDB: the
/// flag is a database setting).
pub const RESTORING: &str = "
SELECT coalesce(pg_catalog.string_agg(d.datname, ', ' ORDER BY d.datname), '')
  FROM pg_catalog.pg_db_role_setting s
  JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
 WHERE EXISTS (SELECT FROM pg_catalog.unnest(s.setconfig) c
                WHERE c ~* '^timescaledb\\.restoring=(on|true|yes|1)')";

/// Major version of the server, and whether the session's role is a superuser.
pub const WAY_BACK: &str = "
SELECT pg_catalog.current_setting('server_version_num')::int / 10000,
       (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user)";
