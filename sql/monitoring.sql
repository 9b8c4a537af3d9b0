-- What somebody who is not looking needs to know: one row a database, and the same for Prometheus.

-- A good backup here is one of kind backup that succeeded and whose archive is still available: what
-- was imported says nothing of when this server last made one. Newest is by id, as everywhere.
-- Every part finds its rows through an index, newest first, so that the length of the history does
-- not matter; the databases themselves are found by jumping from one name to the next.
CREATE VIEW backup_status AS
WITH RECURSIVE recorded(database) AS (
    (SELECT r.database FROM @extschema@.backup_runs r ORDER BY r.database LIMIT 1)
    UNION ALL
    SELECT (SELECT r.database FROM @extschema@.backup_runs r
             WHERE r.database > p.database ORDER BY r.database LIMIT 1)
      FROM recorded p WHERE p.database IS NOT NULL
), scheduled AS (
    -- Overdue: the launcher has not come to a due time for 5 minutes, or it has, and no good backup
    -- of the schedule has begun since and none is under way. The rows of due times are queued at
    -- that time, which tells a last_due that was due from the moment of backup_schedule().
    SELECT s.database, pg_catalog.min(s.next_run) AS next_run,
           pg_catalog.bool_or(coalesce(s.next_run < c.late, false)
               OR (s.state = 'active' AND e.last_due < c.late AND due.at >= e.last_due
                   AND NOT (coalesce(good.started_at >= e.last_due, false) OR busy.is)))
               AS overdue
      FROM @extschema@.backup_schedules s
      JOIN @extschema@.backup_schedule_entries e ON e.name = s.name
     CROSS JOIN (SELECT pg_catalog.statement_timestamp() - interval '5 minutes' AS late) c
      LEFT JOIN LATERAL (SELECT r.queued_at AS at FROM @extschema@.backup_runs r
                          WHERE r.schedule = s.name AND r.kind = 'backup'
                            AND r.origin <> 'manual'
                          ORDER BY r.id DESC LIMIT 1) due ON true
      LEFT JOIN LATERAL (SELECT r.started_at FROM @extschema@.backup_runs r
                          WHERE r.schedule = s.name AND r.kind = 'backup'
                            AND r.status = 'succeeded'
                          ORDER BY r.id DESC LIMIT 1) good ON true
     CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM @extschema@.backup_runs r
                          WHERE r.schedule = s.name AND r.kind = 'backup'
                            AND r.status IN ('queued', 'running', 'verifying')) AS is) busy
     GROUP BY s.database
)
SELECT d.database, good.finished_at AS last_success, good.id AS last_success_id,
       pg_catalog.statement_timestamp() - good.finished_at AS last_success_age, good.size_bytes,
       pg_catalog.round(100 * (good.size_bytes / nullif(before.mean, 0) - 1), 1) AS size_trend,
       bad.at AS last_failure,
       CASE WHEN good.id IS NULL OR bad.id > good.id THEN bad.error END AS last_error,
       EXISTS (SELECT FROM @extschema@.backup_runs r
                WHERE r.database = d.database AND r.kind = 'backup'
                  AND r.status IN ('running', 'verifying')) AS running,
       s.next_run, coalesce(s.overdue, false) AS overdue
  FROM (SELECT p.database FROM recorded p
         WHERE EXISTS (SELECT FROM @extschema@.backup_runs r
                        WHERE r.database = p.database AND r.kind = 'backup')
         UNION SELECT database FROM scheduled) d
  LEFT JOIN scheduled s ON s.database = d.database
  LEFT JOIN LATERAL (SELECT r.id, r.finished_at, r.size_bytes FROM @extschema@.backup_runs r
                      WHERE r.database = d.database AND r.kind = 'backup'
                        AND r.status = 'succeeded' AND r.file_state = 'available'
                      ORDER BY r.id DESC LIMIT 1) good ON true
  -- Also archives that are gone by now: their sizes are not.
  LEFT JOIN LATERAL (SELECT pg_catalog.avg(b.size_bytes) AS mean
                       FROM (SELECT r.size_bytes FROM @extschema@.backup_runs r
                              WHERE r.database = d.database AND r.kind = 'backup'
                                AND r.status = 'succeeded' AND r.id < good.id
                              ORDER BY r.id DESC LIMIT 5) b) before ON true
  LEFT JOIN LATERAL (SELECT b.id, b.at, b.error
                       FROM (VALUES ('failed'), ('interrupted')) f(status),
                            LATERAL (SELECT r.id, coalesce(r.finished_at, r.queued_at) AS at,
                                            r.error
                                       FROM @extschema@.backup_runs r
                                      WHERE r.database = d.database AND r.kind = 'backup'
                                        AND r.status = f.status
                                      ORDER BY r.id DESC LIMIT 1) b
                      ORDER BY b.id DESC LIMIT 1) bad ON true
 ORDER BY d.database;

-- Label values and lines as the OpenMetrics specification 1.0 has them. What is unknown is left out:
-- a zero would be a date or a size. Only types that the older text format of Prometheus knows too
-- (so no `info`), because the text file collector of node_exporter reads nothing else.
CREATE FUNCTION backup_metrics() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
WITH families(rank, name, type, unit, help) AS (VALUES
    (1, 'pg_backup_info', 'gauge', '', 'Version of the extension, as a label.'),
    (2, 'pg_backup_last_success_timestamp_seconds', 'gauge', 'seconds',
        'When the newest good backup of the database finished.'),
    (3, 'pg_backup_last_success_duration_seconds', 'gauge', 'seconds',
        'How long the newest good backup took.'),
    (4, 'pg_backup_last_success_archive_size_bytes', 'gauge', 'bytes',
        'Size of the archive of the newest good backup.'),
    (5, 'pg_backup_last_success_database_size_bytes', 'gauge', 'bytes',
        'Size of the database when the newest good backup was made.'),
    (6, 'pg_backup_last_failure_timestamp_seconds', 'gauge', 'seconds',
        'When a backup of the database last failed or was interrupted.'),
    (7, 'pg_backup_running', 'gauge', '', 'Whether a backup of the database runs: 0 or 1.'),
    (8, 'pg_backup_overdue', 'gauge', '',
        'Whether an active schedule of the database is late by more than 5 minutes: 0 or 1.'),
    (9, 'pg_backup_archives', 'gauge', '', 'Archives of the database that are available.'),
    (10, 'pg_backup_archives_size_bytes', 'gauge', 'bytes',
        'Size of all available archives of the database.'),
    (11, 'pg_backup_runs', 'counter', '', 'Runs that have ended, by kind and status.'),
    (12, 'pg_backup_schedule_active', 'gauge', '',
        'Whether the schedule runs: 0 when it is paused or a copy.'),
    (13, 'pg_backup_schedule_next_run_timestamp_seconds', 'gauge', 'seconds',
        'When the schedule is due next; in the past when it is late.'),
    (14, 'pg_backup_schedule_missed_runs', 'gauge', '',
        'Due times that passed without a run since the last success of the schedule.')
), databases AS (
    SELECT s.database, s.last_success, extract(epoch FROM r.finished_at - r.started_at) AS duration,
           s.size_bytes, r.database_size_bytes, s.last_failure, s.running, s.overdue
      FROM @extschema@.backup_status s
      LEFT JOIN @extschema@.backup_runs r ON r.id = s.last_success_id
), counted AS (
    SELECT r.database, r.kind, r.status, count(*) AS runs,
           count(*) FILTER (WHERE r.file_state = 'available') AS archives,
           sum(r.size_bytes) FILTER (WHERE r.file_state = 'available') AS archives_bytes
      FROM @extschema@.backup_runs r GROUP BY r.database, r.kind, r.status
), stored AS (
    SELECT c.database, sum(c.archives) AS archives, coalesce(sum(c.archives_bytes), 0) AS bytes
      FROM counted c WHERE c.kind IN ('backup', 'import') GROUP BY c.database
), ended AS (
    -- Every status from the first run on: a counter that begins at 1 hides its first increase.
    SELECT k.database, k.kind, s.status, coalesce(c.runs, 0) AS runs
      FROM (SELECT DISTINCT c.database, c.kind FROM counted c) k
     CROSS JOIN (VALUES ('succeeded'), ('failed'), ('cancelled'), ('skipped'), ('missed'),
                        ('interrupted')) s(status)
      LEFT JOIN counted c USING (database, kind, status)
), points(rank, suffix, labels, value) AS (
    SELECT 1, '', ARRAY['version', e.extversion], 1::numeric
      FROM pg_extension e WHERE e.extname = 'pg_backup'
    UNION ALL
    SELECT p.rank, '', ARRAY['database', d.database], p.value
      FROM databases d,
           LATERAL (VALUES (2, extract(epoch FROM d.last_success)), (3, d.duration),
                           (4, d.size_bytes::numeric), (5, d.database_size_bytes::numeric),
                           (6, extract(epoch FROM d.last_failure)),
                           (7, d.running::integer::numeric), (8, d.overdue::integer::numeric)
                   ) p(rank, value)
    UNION ALL
    SELECT p.rank, '', ARRAY['database', s.database], p.value
      FROM stored s, LATERAL (VALUES (9, s.archives), (10, s.bytes)) p(rank, value)
    UNION ALL
    SELECT 11, '_total', ARRAY['database', e.database, 'kind', e.kind, 'status', e.status], e.runs
      FROM ended e
    UNION ALL
    SELECT p.rank, '', ARRAY['database', s.database, 'schedule', s.name], p.value
      FROM @extschema@.backup_schedules s,
           LATERAL (VALUES (12, (s.state = 'active')::integer::numeric),
                           (13, extract(epoch FROM s.next_run)), (14, s.missed::numeric)
                   ) p(rank, value)
), escaped AS (
    SELECT p.rank, p.suffix, p.value,
           replace(replace(replace(l.text, '\', '\\'), '"', '\"'), E'\n', '\n') AS text, l.number,
           p.number AS point
      FROM (SELECT p.*, row_number() OVER (ORDER BY p.rank, p.labels COLLATE "C") AS number
              FROM points p WHERE p.value IS NOT NULL) p,
           LATERAL unnest(p.labels) WITH ORDINALITY l(text, number)
), samples AS (
    SELECT e.rank, e.point,
           format('%s{%s} %s', min(f.name) || min(e.suffix),
                  string_agg(CASE e.number % 2 WHEN 1 THEN e.text || '=' ELSE '"' || e.text || '"' END
                             || CASE WHEN e.number % 2 = 0 THEN ',' ELSE '' END, '' ORDER BY e.number),
                  min(e.value)) AS line
      FROM escaped e JOIN families f USING (rank) GROUP BY e.rank, e.point
)
SELECT string_agg(f.text, '' ORDER BY f.rank) || E'# EOF\n' FROM (SELECT 0 AS rank, '' AS text) f
$$;
