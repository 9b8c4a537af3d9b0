-- How the backups of each database are, for people and for Prometheus.

CREATE VIEW backup_status AS
WITH RECURSIVE named(database) AS (
    -- One look into the index for each database, not one for each row.
    (SELECT r.database FROM @extschema@.backup_runs r ORDER BY r.database LIMIT 1)
    UNION ALL
    SELECT (SELECT r.database FROM @extschema@.backup_runs r
             WHERE r.database > n.database ORDER BY r.database LIMIT 1)
      FROM named n WHERE n.database IS NOT NULL
), scheduled AS (
    SELECT s.database, pg_catalog.min(s.next_run) AS next_run,
           pg_catalog.bool_or(s.next_run < pg_catalog.now() - interval '5 minutes'
                              OR (s.last_status NOT IN ('succeeded', 'queued', 'running', 'verifying')
                                  AND s.last_run < pg_catalog.now() - interval '5 minutes')) AS overdue
      FROM @extschema@.backup_schedules s WHERE s.state = 'active' GROUP BY s.database
), known AS (
    SELECT n.database FROM named n
     WHERE EXISTS (SELECT FROM @extschema@.backup_runs r
                    WHERE r.database = n.database
                      AND (r.kind = 'backup'
                           OR r.kind = 'import' AND r.origin = 'scan' AND NOT r.is_foreign))
    UNION
    SELECT s.database FROM scheduled s
)
SELECT k.database, good.finished_at AS last_success, good.id AS last_success_id,
       pg_catalog.now() - good.finished_at AS last_success_age,
       good.finished_at - good.started_at AS duration, good.size_bytes, good.database_size_bytes,
       pg_catalog.round(100.0 * good.size_bytes / nullif(before.mean, 0) - 100, 1) AS size_trend,
       bad.finished_at AS last_failure, bad.error AS last_error,
       EXISTS (SELECT FROM @extschema@.backup_runs r
                WHERE r.status IN ('queued', 'running', 'verifying') AND r.database = k.database
                  AND r.kind = 'backup') AS running,
       s.next_run, coalesce(s.overdue, false) AS overdue
  FROM known k
  LEFT JOIN scheduled s ON s.database = k.database
  LEFT JOIN LATERAL (
        -- An old dump that somebody brings in is no sign that backups work; what a scan has found
        -- again of ours is.
        SELECT one.*
          FROM ((SELECT r.id, r.started_at, r.finished_at, r.size_bytes, r.database_size_bytes
                   FROM @extschema@.backup_runs r
                  WHERE r.database = k.database AND r.status = 'succeeded'
                    AND r.kind = 'backup' AND r.file_state = 'available'
                  ORDER BY r.id DESC LIMIT 1)
                UNION ALL
                (SELECT r.id, r.started_at, r.finished_at, r.size_bytes, r.database_size_bytes
                   FROM @extschema@.backup_runs r
                  WHERE r.database = k.database AND r.status = 'succeeded'
                    AND r.kind = 'import' AND r.origin = 'scan' AND NOT r.is_foreign
                    AND r.file_state = 'available'
                  ORDER BY r.finished_at DESC, r.id DESC LIMIT 1)) one
         ORDER BY one.finished_at DESC, one.id DESC LIMIT 1) good ON true
  LEFT JOIN LATERAL (
        SELECT pg_catalog.avg(b.size_bytes) AS mean
          FROM (SELECT r.size_bytes FROM @extschema@.backup_runs r
                 WHERE r.database = k.database AND r.status = 'succeeded'
                   AND r.kind = 'backup' AND r.id < good.id
                 ORDER BY r.id DESC LIMIT 5) b) before ON true
  LEFT JOIN LATERAL (
        SELECT f.id, f.finished_at, f.error
          FROM (VALUES ('failed'), ('interrupted'), ('missed')) AS ends(status),
               LATERAL (SELECT r.id, r.finished_at, r.error FROM @extschema@.backup_runs r
                         WHERE r.database = k.database AND r.status = ends.status
                           AND r.kind = 'backup'
                         ORDER BY r.id DESC LIMIT 1) f
         ORDER BY f.id DESC LIMIT 1) bad ON true
 ORDER BY k.database;

-- The text format of OpenMetrics 1.0: a family's samples stand together behind its TYPE, UNIT and
-- HELP, names end with their unit, labels are escaped, the last line is EOF. Instants are
-- timestamps: how old something is, is up to the reader.
CREATE FUNCTION backup_metrics() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
WITH status AS MATERIALIZED (
    SELECT s.*, '{database="' || replace(replace(replace(
               s.database, '\', '\\'), '"', '\"'), E'\n', '\n') || '"}' AS labels
      FROM @extschema@.backup_status s
), schedules AS MATERIALIZED (
    SELECT s.*, '{schedule="' || replace(replace(replace(
               s.name, '\', '\\'), '"', '\"'), E'\n', '\n') || '",database="' || replace(replace(replace(
               s.database, '\', '\\'), '"', '\"'), E'\n', '\n') || '"}' AS labels
      FROM @extschema@.backup_schedules s
), counted AS MATERIALIZED (
    SELECT r.database, r.kind, r.status, count(*) AS runs,
           count(*) FILTER (WHERE r.file_state = 'available') AS archives,
           sum(r.size_bytes) FILTER (WHERE r.file_state = 'available') AS bytes,
           '{database="' || replace(replace(replace(
               r.database, '\', '\\'), '"', '\"'), E'\n', '\n') || '"' AS labels
      FROM @extschema@.backup_runs r GROUP BY r.database, r.kind, r.status
), families(number, name, type, unit, help) AS (VALUES
    (1, 'pg_backup_info', 'gauge', '', 'The extension and its version.'),
    (2, 'pg_backup_last_success_timestamp_seconds', 'gauge', 'seconds',
        'When the newest good backup ended.'),
    (3, 'pg_backup_last_success_duration_seconds', 'gauge', 'seconds',
        'How long the newest good backup took, verification included.'),
    (4, 'pg_backup_last_success_archive_bytes', 'gauge', 'bytes',
        'Size of the newest good archive.'),
    (5, 'pg_backup_last_success_database_bytes', 'gauge', 'bytes',
        'Size of the database at the newest good backup.'),
    (6, 'pg_backup_last_failure_timestamp_seconds', 'gauge', 'seconds',
        'When the last run that failed, was interrupted or missed ended.'),
    (7, 'pg_backup_running', 'gauge', '', 'Whether a backup waits or runs.'),
    (8, 'pg_backup_overdue', 'gauge', '',
        'Whether an active schedule should have made a backup and has not.'),
    (9, 'pg_backup_archives', 'gauge', '', 'Archives that are there.'),
    (10, 'pg_backup_stored_bytes', 'gauge', 'bytes', 'Size of all archives that are there.'),
    (11, 'pg_backup_runs', 'counter', '', 'Runs that have ended, by how.'),
    (12, 'pg_backup_schedule_active', 'gauge', '', 'Whether the schedule runs.'),
    (13, 'pg_backup_schedule_next_run_timestamp_seconds', 'gauge', 'seconds',
        'When the schedule runs next.'),
    (14, 'pg_backup_schedule_last_success_timestamp_seconds', 'gauge', 'seconds',
        'When the last good run of the schedule ended.'),
    (15, 'pg_backup_schedule_missed', 'gauge', '',
        'Due times since the last good run that passed without a run.')
), samples(number, suffix, labels, value) AS (
    SELECT 1, '', '{version="' || e.extversion || '"}', 1::numeric
      FROM pg_extension e WHERE e.extname = 'pg_backup'
    UNION ALL SELECT 2, '', labels, round(extract(epoch FROM last_success), 3) FROM status
    UNION ALL SELECT 3, '', labels, round(extract(epoch FROM duration), 3) FROM status
    UNION ALL SELECT 4, '', labels, size_bytes FROM status
    UNION ALL SELECT 5, '', labels, database_size_bytes FROM status
    UNION ALL SELECT 6, '', labels, round(extract(epoch FROM last_failure), 3) FROM status
    UNION ALL SELECT 7, '', labels, running::int FROM status
    UNION ALL SELECT 8, '', labels, overdue::int FROM status
    UNION ALL SELECT 9, '', labels || '}', sum(archives) FROM counted
               WHERE kind IN ('backup', 'import') GROUP BY labels
    UNION ALL SELECT 10, '', labels || '}', coalesce(sum(bytes), 0) FROM counted
               WHERE kind IN ('backup', 'import') GROUP BY labels
    UNION ALL SELECT 11, '_total', format('%s,kind="%s",status="%s"}', labels, kind, status), runs
                FROM counted WHERE status NOT IN ('queued', 'running', 'verifying')
    UNION ALL SELECT 12, '', labels, (state = 'active')::int FROM schedules
    UNION ALL SELECT 13, '', labels, round(extract(epoch FROM next_run), 3) FROM schedules
    UNION ALL SELECT 14, '', labels, round(extract(epoch FROM last_success), 3) FROM schedules
    UNION ALL SELECT 15, '', labels, missed FROM schedules
)
SELECT coalesce(string_agg(text, '' ORDER BY number), '') || E'# EOF\n'
  FROM (SELECT f.number,
               format(E'# TYPE %s %s\n', f.name, f.type)
               || CASE WHEN f.unit <> '' THEN format(E'# UNIT %s %s\n', f.name, f.unit) ELSE '' END
               || format(E'# HELP %s %s\n', f.name, f.help)
               || string_agg(f.name || s.suffix || s.labels || ' ' || s.value || E'\n', ''
                             ORDER BY s.labels COLLATE "C") AS text
          FROM families f JOIN samples s ON s.number = f.number AND s.value IS NOT NULL
         GROUP BY f.number, f.name, f.type, f.unit, f.help) t
$$;

COMMENT ON FUNCTION backup_metrics() IS
'The state of all backups of this history as OpenMetrics text, for an exporter of Prometheus.';

COMMENT ON VIEW backup_status IS
    'Each database: how its backups are.';
COMMENT ON COLUMN backup_status.database IS 'A database that was backed up or is scheduled.';
COMMENT ON COLUMN backup_status.last_success IS 'When its newest good backup ended.';
COMMENT ON COLUMN backup_status.last_success_id IS 'Id of that backup.';
COMMENT ON COLUMN backup_status.last_success_age IS 'How long ago that was.';
COMMENT ON COLUMN backup_status.duration IS 'How long that backup took.';
COMMENT ON COLUMN backup_status.size_bytes IS 'Size of its archive.';
COMMENT ON COLUMN backup_status.database_size_bytes IS 'Size of the database then.';
COMMENT ON COLUMN backup_status.size_trend IS
    'Percent by which size_bytes differs from the mean of up to five before.';
COMMENT ON COLUMN backup_status.last_failure IS
    'When a run last failed, was interrupted or missed.';
COMMENT ON COLUMN backup_status.last_error IS 'The error of that run.';
COMMENT ON COLUMN backup_status.running IS 'Whether a backup waits or runs.';
COMMENT ON COLUMN backup_status.next_run IS 'When the next schedule runs.';
COMMENT ON COLUMN backup_status.overdue IS
    'Whether a schedule should have made a backup more than five minutes ago and has not.';
