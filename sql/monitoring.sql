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

-- What is unknown has no row: a zero would be a date or a size.
CREATE FUNCTION backup_metric_rows()
RETURNS TABLE (family text, names text[], labels text[], value numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
WITH counted AS (
    SELECT r.database, r.kind, r.status, count(*) AS runs,
           count(*) FILTER (WHERE r.file_state = 'available') AS archives,
           sum(r.size_bytes) FILTER (WHERE r.file_state = 'available') AS bytes
      FROM @extschema@.backup_runs r GROUP BY r.database, r.kind, r.status
), points AS (
    SELECT 'info' AS family, '{version}'::text[] AS names, ARRAY[e.extversion] AS labels,
           1::numeric AS value
      FROM pg_extension e WHERE e.extname = 'pg_backup'
    UNION ALL
    SELECT p.family, '{database}', ARRAY[s.database], p.value
      FROM @extschema@.backup_status s
      LEFT JOIN @extschema@.backup_runs r ON r.id = s.last_success_id,
           LATERAL (VALUES
               ('last_success_timestamp_seconds', extract(epoch FROM s.last_success)),
               ('last_success_duration_seconds', extract(epoch FROM r.finished_at - r.started_at)),
               ('last_success_archive_size_bytes', s.size_bytes),
               ('last_success_database_size_bytes', r.database_size_bytes),
               ('last_failure_timestamp_seconds', extract(epoch FROM s.last_failure)),
               ('running', s.running::integer),
               ('overdue', s.overdue::integer)) p(family, value)
    UNION ALL
    SELECT p.family, '{database}', ARRAY[c.database], p.value
      FROM (SELECT database, sum(archives) AS archives, coalesce(sum(bytes), 0) AS bytes
              FROM counted WHERE kind IN ('backup', 'import') GROUP BY database) c,
           LATERAL (VALUES ('archives', c.archives),
                           ('archives_size_bytes', c.bytes)) p(family, value)
    UNION ALL
    -- Every status from the first run on: a counter that begins at 1 hides its first increase.
    SELECT 'runs', '{database,kind,status}', ARRAY[k.database, k.kind, s.status],
           coalesce(c.runs, 0)
      FROM (SELECT DISTINCT database, kind FROM counted) k
     CROSS JOIN (VALUES ('succeeded'), ('failed'), ('cancelled'), ('skipped'), ('missed'),
                        ('interrupted')) s(status)
      LEFT JOIN counted c USING (database, kind, status)
    UNION ALL
    SELECT p.family, '{database,schedule}', ARRAY[s.database, s.name], p.value
      FROM @extschema@.backup_schedules s,
           LATERAL (VALUES
               ('schedule_active', (s.state = 'active')::integer),
               ('schedule_next_run_timestamp_seconds', extract(epoch FROM s.next_run)),
               ('schedule_missed_runs', s.missed)) p(family, value)
)
SELECT 'pg_backup_' || p.family, p.names, p.labels, p.value FROM points p
 WHERE p.value IS NOT NULL
$$;

-- The text of the OpenMetrics specification 1.0. Only types that the older text format of Prometheus
-- has too (so no `info`), because the text file collector of node_exporter reads nothing else.
CREATE FUNCTION backup_metrics() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
WITH families(rank, name, type, unit, help) AS (VALUES
    (1, 'info', 'gauge', '', 'Version of the extension, as a label.'),
    (2, 'last_success_timestamp_seconds', 'gauge', 'seconds',
        'When the newest good backup of the database finished.'),
    (3, 'last_success_duration_seconds', 'gauge', 'seconds',
        'How long the newest good backup took.'),
    (4, 'last_success_archive_size_bytes', 'gauge', 'bytes',
        'Size of the archive of the newest good backup.'),
    (5, 'last_success_database_size_bytes', 'gauge', 'bytes',
        'Size of the database when the newest good backup was made.'),
    (6, 'last_failure_timestamp_seconds', 'gauge', 'seconds',
        'When a backup of the database last failed or was interrupted.'),
    (7, 'running', 'gauge', '', 'Whether a backup of the database runs, 0 or 1.'),
    (8, 'overdue', 'gauge', '',
        'Whether a schedule of the database is late by more than 5 minutes, 0 or 1.'),
    (9, 'archives', 'gauge', '', 'Archives of the database that are available.'),
    (10, 'archives_size_bytes', 'gauge', 'bytes',
        'Size of all archives of the database that are available.'),
    (11, 'runs', 'counter', '', 'Runs that have ended, by kind and status.'),
    (12, 'schedule_active', 'gauge', '',
        'Whether the schedule runs, 0 when it is paused or in a copy of its database.'),
    (13, 'schedule_next_run_timestamp_seconds', 'gauge', 'seconds',
        'When the schedule is due next, in the past when it is late.'),
    (14, 'schedule_missed_runs', 'gauge', '',
        'Due times that passed without a run since the last success of the schedule.')
), samples AS (
    SELECT m.family, string_agg(
               m.family || CASE m.family WHEN 'pg_backup_runs' THEN '_total' ELSE '' END
               || '{' || t.pairs || '} ' || m.value || E'\n', '' ORDER BY t.pairs COLLATE "C") AS lines
      FROM @extschema@.backup_metric_rows() m,
           LATERAL (SELECT string_agg(l.name || '="' || replace(replace(replace(l.label,
                               E'\\', E'\\\\'), '"', E'\\"'), E'\n', E'\\n') || '"', ','
                               ORDER BY l.number) AS pairs
                      FROM unnest(m.names, m.labels)
                           WITH ORDINALITY l(name, label, number)) t
     GROUP BY m.family
)
SELECT string_agg(
           '# HELP ' || n.family || ' ' || f.help || E'\n# TYPE ' || n.family || ' ' || f.type
           || CASE WHEN f.unit <> '' THEN E'\n# UNIT ' || n.family || ' ' || f.unit ELSE '' END
           || E'\n' || coalesce(s.lines, ''), '' ORDER BY f.rank) || E'# EOF\n'
  FROM families f
 CROSS JOIN LATERAL (SELECT 'pg_backup_' || f.name AS family) n
  LEFT JOIN samples s ON s.family = n.family
$$;

COMMENT ON VIEW backup_status IS
    'how each database stands: newest good backup, last failure (last_error only while no good backup is newer), next run, overdue';
COMMENT ON FUNCTION backup_metrics IS
    'the state of all databases and schedules as OpenMetrics text, for Prometheus';
COMMENT ON FUNCTION backup_metric_rows IS 'samples behind the function backup_metrics';
