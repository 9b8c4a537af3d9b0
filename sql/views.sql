-- What people look at, small calls that need no job, and rights.

CREATE VIEW backup_history AS
SELECT id, kind, database, status, origin, schedule, requested_by, queued_at, started_at,
       finished_at, finished_at - started_at AS duration, file, file_state, size_bytes,
       database_size_bytes, sha256, verified_at, verify_level, pinned, comment, warnings, error,
       error_detail, error_hint
  FROM @extschema@.backup_runs
 ORDER BY id DESC;

CREATE VIEW backup_rollback_points AS
SELECT r.id AS restore_id, r.database, r.kept AS kept_as, r.finished_at AS kept_since,
       r.finished_at + nullif(pg_catalog.current_setting('pg_backup.rollback_keep', true), '-1')::interval
           AS kept_until,
       CASE WHEN pg_catalog.has_database_privilege(d.oid, 'CONNECT')
            THEN pg_catalog.pg_database_size(d.oid) END AS size_bytes
  FROM @extschema@.backup_runs r
  JOIN pg_catalog.pg_database d ON d.datname = r.kept AND d.oid = r.kept_id
 WHERE r.kind = 'restore' AND r.status = 'succeeded'
   AND r.home_id = (SELECT h.oid FROM pg_catalog.pg_database h
                     WHERE h.datname = pg_catalog.current_database())
 ORDER BY r.id DESC;

-- Archives that can be restored, or could if they were whole.
CREATE VIEW backup_list AS
SELECT r.id, r.database, coalesce(r.made_at, r.finished_at) AS created,
       pg_catalog.date_trunc('second', pg_catalog.clock_timestamp()
                                       - coalesce(r.made_at, r.finished_at)) AS age,
       r.size_bytes, r.database_size_bytes,
       CASE WHEN r.file_state <> 'available' OR m.id IS NULL THEN 'broken'
            ELSE coalesce(b.compatibility, 'unknown') END AS compatibility,
       b.added AS migrations_added, b.removed AS migrations_removed, m.format, r.origin, r.schedule,
       r.pinned, r.verified_at, r.verify_level, r.comment, r.file
  FROM @extschema@.backup_runs r
  LEFT JOIN @extschema@.backup_manifests m ON m.id = r.id
  LEFT JOIN @extschema@.backup_list_badges() b
         ON b.migrations_key = m.migrations_key AND r.file_state = 'available'
        AND (r.database = pg_catalog.current_database()
             OR r.database_id = (SELECT d.oid FROM pg_catalog.pg_database d
                                  WHERE d.datname = pg_catalog.current_database()))
 WHERE r.kind IN ('backup', 'import') AND r.status = 'succeeded'
   AND r.file_state IN ('available', 'missing', 'damaged')
 ORDER BY coalesce(r.made_at, r.finished_at) DESC, r.id DESC;

CREATE VIEW backup_manifest AS
SELECT id, manifest FROM @extschema@.backup_manifests;

CREATE VIEW backup_progress AS
SELECT p.id, p.kind, p.database, p.phase, p.relation, p.relations_done, p.relations_total,
       p.bytes_done, p.bytes_total, f.percent,
       pg_catalog.clock_timestamp() - coalesce(p.started_at, p.queued_at) AS elapsed,
       CASE WHEN p.phase = 'dumping' AND f.percent BETWEEN 1 AND 99.9
            THEN (pg_catalog.clock_timestamp() - p.started_at)
                 * ((100 - f.percent) / f.percent)::double precision
       END AS eta,
       p.pid, p.blocked_by
  FROM @extschema@.backup_progress_rows() p,
       LATERAL (SELECT CASE WHEN p.bytes_total > 0
                            THEN pg_catalog.round(100.0 * p.bytes_done / p.bytes_total, 1)
                       END AS percent) f;

CREATE FUNCTION backup_inspect(id bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    run @extschema@.backup_runs;
    described jsonb;
BEGIN
    SELECT r.* INTO run FROM @extschema@.backup_runs r
     WHERE r.id = backup_inspect.id AND r.kind IN ('backup', 'import');
    IF NOT FOUND THEN
        RAISE EXCEPTION 'backup % does not exist', backup_inspect.id
            USING ERRCODE = 'undefined_object',
                  HINT = 'See backup_history for the ids of backups in this database.';
    END IF;
    SELECT m.manifest INTO described FROM @extschema@.backup_manifests m WHERE m.id = run.id;
    RETURN jsonb_build_object(
        'run', to_jsonb(run) - 'subject',
        'age_seconds', round(extract(epoch FROM clock_timestamp()
                                             - coalesce(run.made_at, run.finished_at))),
        'archive_bytes', run.size_bytes,
        'database_bytes', run.database_size_bytes,
        'tables', jsonb_array_length(described -> 'tables'),
        'rows', (SELECT coalesce(sum((t ->> 'rows')::bigint), 0)
                   FROM jsonb_array_elements(described -> 'tables') t),
        'migrations', (SELECT coalesce(jsonb_agg(m - 'ids'), '[]')
                         FROM jsonb_array_elements(described -> 'migrations') m),
        'compatibility', (SELECT to_jsonb(c)
                            FROM @extschema@.backup_compatibility_here(run.id) c
                           WHERE run.status = 'succeeded'),
        'manifest', described);
END
$$;

-- The newest content. What was brought in counts from when it was made; and what is foreign only
-- where there is nothing else: whoever made it says when that was.
CREATE FUNCTION backup_latest(database text DEFAULT NULL, schedule text DEFAULT NULL)
RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT newest.id
      FROM ((SELECT r.id, r.finished_at AS made, r.is_foreign FROM @extschema@.backup_runs r
              WHERE r.kind = 'backup' AND r.status = 'succeeded' AND r.file_state = 'available'
                AND r.database = coalesce(backup_latest.database, current_database())
                AND (backup_latest.schedule IS NULL OR r.schedule = backup_latest.schedule)
              ORDER BY r.id DESC LIMIT 1)
            UNION ALL
            (SELECT r.id, coalesce(r.made_at, r.finished_at), r.is_foreign
               FROM @extschema@.backup_runs r
              WHERE r.kind = 'import' AND r.status = 'succeeded' AND r.file_state = 'available'
                AND r.database = coalesce(backup_latest.database, current_database())
                AND (backup_latest.schedule IS NULL OR r.schedule = backup_latest.schedule)
              ORDER BY r.is_foreign, coalesce(r.made_at, r.finished_at) DESC, r.id DESC LIMIT 1)
           ) newest
     ORDER BY newest.is_foreign, newest.made DESC, newest.id DESC LIMIT 1
$$;

CREATE FUNCTION backup_find(file text) RETURNS bigint
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT r.id FROM @extschema@.backup_runs r
     WHERE r.file = backup_find.file
        OR right(r.file, length(backup_find.file) + 1) = '/' || backup_find.file
     ORDER BY r.id DESC LIMIT 1
$$;

CREATE PROCEDURE backup_pin(id bigint, pinned boolean DEFAULT true)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF backup_pin.id IS NULL OR backup_pin.pinned IS NULL THEN
        RAISE EXCEPTION 'id and pinned must not be NULL'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE @extschema@.backup_runs r SET pinned = backup_pin.pinned
     WHERE r.id = backup_pin.id AND r.kind IN ('backup', 'import') AND r.status = 'succeeded'
       AND (NOT backup_pin.pinned OR r.file_state NOT IN ('deleting', 'pruned', 'deleted'));
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no good backup %', backup_pin.id
            USING ERRCODE = 'undefined_object',
                  HINT = 'See backup_history for the ids of backups in this database.';
    END IF;
    PERFORM @extschema@.backup_audit_record('backup_pin',
        jsonb_build_object('id', backup_pin.id, 'pinned', backup_pin.pinned));
END
$$;

-- Runs with the rights of the caller, who needs what GRANT needs. Only what belongs to the extension
-- is given, whatever else has its names.
CREATE PROCEDURE backup_grant(role text, rights text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    viewer constant text[] := ARRAY['backup_check', 'backup_inspect', 'backup_contents',
        'backup_latest', 'backup_find', 'backup_progress_rows', 'backup_next_runs',
        'backup_next_run', 'backup_retention', 'backup_metrics', 'backup_compatibility',
        'backup_list_badges', 'backup_restore_plan', 'backup_restore_check'];
    operator constant text[] := ARRAY['backup_create', 'backup_wait', 'backup_cancel',
        'backup_verify', 'backup_run', 'backup_schedule', 'backup_unschedule', 'backup_pause',
        'backup_resume', 'backup_prune', 'backup_hook'];
    views constant text[] := ARRAY['backup_history', 'backup_list', 'backup_manifest', 'backup_progress',
        'backup_schedules', 'backup_hooks', 'backup_status', 'backup_rollback_points'];
    routine regprocedure;
    relation text;
BEGIN
    IF rights IS NULL OR rights NOT IN ('viewer', 'operator') THEN
        RAISE EXCEPTION 'invalid set of rights: %', coalesce(quote_literal(rights), 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Sets of rights are ''viewer'' and ''operator''.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = backup_grant.role) THEN
        RAISE EXCEPTION 'role % does not exist', coalesce(quote_ident(role), 'NULL')
            USING ERRCODE = 'undefined_object';
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %s TO %I', '@extschema@', role);
    FOREACH relation IN ARRAY views LOOP
        EXECUTE format('GRANT SELECT ON %s.%I TO %I', '@extschema@', relation, role);
    END LOOP;
    FOR routine IN
        SELECT p.oid
          FROM pg_catalog.pg_proc p
          JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid
          JOIN pg_catalog.pg_extension e
               ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid
         WHERE e.extname = 'pg_backup' AND d.deptype = 'e'
           AND p.proname = ANY (CASE rights WHEN 'viewer' THEN viewer ELSE viewer || operator END)
    LOOP
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %I', routine, role);
    END LOOP;
    PERFORM @extschema@.backup_audit_record('backup_grant',
        jsonb_build_object('role', role, 'rights', rights));
END
$$;

COMMENT ON VIEW backup_history IS
    'Every run, newest first, also the failed ones.';
COMMENT ON COLUMN backup_history.id IS 'Id of the run; of a backup, also the id of the backup.';
COMMENT ON COLUMN backup_history.kind IS 'backup, restore, verify, import or prune (a deletion).';
COMMENT ON COLUMN backup_history.database IS
    'The database that was backed up, restored or verified.';
COMMENT ON COLUMN backup_history.status IS
    'queued, running, verifying, succeeded, failed, cancelled, skipped, missed (due, and nobody was there) or interrupted (the server or its process stopped).';
COMMENT ON COLUMN backup_history.origin IS
    'Who began it: manual, schedule, catch_up, retry, start; safety before a restore; rollback or accept after one; import, upload or scan.';
COMMENT ON COLUMN backup_history.schedule IS 'The schedule that it belongs to.';
COMMENT ON COLUMN backup_history.requested_by IS 'The role that called.';
COMMENT ON COLUMN backup_history.queued_at IS 'When it was asked for, or due.';
COMMENT ON COLUMN backup_history.started_at IS 'When work on it began.';
COMMENT ON COLUMN backup_history.finished_at IS 'When it ended.';
COMMENT ON COLUMN backup_history.duration IS 'From started_at to finished_at.';
COMMENT ON COLUMN backup_history.file IS 'Path of the archive below the backup directory.';
COMMENT ON COLUMN backup_history.file_state IS
    'available, missing, damaged, deleting, pruned (by retention) or deleted (by hand).';
COMMENT ON COLUMN backup_history.size_bytes IS 'Size of the archive.';
COMMENT ON COLUMN backup_history.database_size_bytes IS
    'Size of the database when it was backed up.';
COMMENT ON COLUMN backup_history.sha256 IS
    'Of the archive, hexadecimal, computed from what was read back.';
COMMENT ON COLUMN backup_history.verified_at IS
    'When the archive was verified last; of a restore, when the new database was whole.';
COMMENT ON COLUMN backup_history.verify_level IS 'How far: file, list, read or restore.';
COMMENT ON COLUMN backup_history.pinned IS 'Whether it is protected from retention and deletion.';
COMMENT ON COLUMN backup_history.comment IS 'What the caller said.';
COMMENT ON COLUMN backup_history.warnings IS 'What went well and should still be known.';
COMMENT ON COLUMN backup_history.error IS 'Why it did not succeed.';
COMMENT ON COLUMN backup_history.error_detail IS 'What is known of the error.';
COMMENT ON COLUMN backup_history.error_hint IS 'What to do about the error.';

COMMENT ON VIEW backup_list IS
    'Archives that are there, newest first, and whether each fits this database.';
COMMENT ON COLUMN backup_list.id IS 'Id of the backup.';
COMMENT ON COLUMN backup_list.database IS 'The database that was backed up.';
COMMENT ON COLUMN backup_list.created IS 'When it was made, as far as is known.';
COMMENT ON COLUMN backup_list.age IS 'How long ago that was.';
COMMENT ON COLUMN backup_list.size_bytes IS 'Size of the archive.';
COMMENT ON COLUMN backup_list.database_size_bytes IS 'Size of the database when it was backed up.';
COMMENT ON COLUMN backup_list.compatibility IS
    'compatible (the same migrations), older (migrations_added since), incompatible (migrations_removed are not in this database), unknown (nothing to compare, or a backup of another database: see backup_compatibility) or broken (the file is missing or damaged).';
COMMENT ON COLUMN backup_list.migrations_added IS 'How many migrations the database has more.';
COMMENT ON COLUMN backup_list.migrations_removed IS 'How many migrations only the archive has.';
COMMENT ON COLUMN backup_list.format IS 'custom, directory or plain; tar of an import.';
COMMENT ON COLUMN backup_list.origin IS 'Who began it, as in backup_history.';
COMMENT ON COLUMN backup_list.schedule IS 'The schedule that it belongs to.';
COMMENT ON COLUMN backup_list.pinned IS 'Whether it is protected from retention and deletion.';
COMMENT ON COLUMN backup_list.verified_at IS 'When the archive was verified last.';
COMMENT ON COLUMN backup_list.verify_level IS 'How far: file, list, read or restore.';
COMMENT ON COLUMN backup_list.comment IS 'What the caller said.';
COMMENT ON COLUMN backup_list.file IS 'Path of the archive below the backup directory.';

COMMENT ON VIEW backup_manifest IS
    'What lies in each archive and where it comes from.';
COMMENT ON COLUMN backup_manifest.id IS 'Id of the backup.';
COMMENT ON COLUMN backup_manifest.manifest IS 'The manifest.json of the archive.';

COMMENT ON VIEW backup_progress IS
    'Jobs of the whole server that wait or run.';
COMMENT ON COLUMN backup_progress.id IS 'Id of the run; NULL until it has one.';
COMMENT ON COLUMN backup_progress.kind IS
    'What it does: backup, restore, verify, import, prune and others.';
COMMENT ON COLUMN backup_progress.database IS 'The database that it works on.';
COMMENT ON COLUMN backup_progress.phase IS
    'What it is at: queued, connecting, locking, dumping, verifying, publishing and others.';
COMMENT ON COLUMN backup_progress.relation IS 'The table at hand.';
COMMENT ON COLUMN backup_progress.relations_done IS 'Tables that are done.';
COMMENT ON COLUMN backup_progress.relations_total IS 'Tables in all.';
COMMENT ON COLUMN backup_progress.bytes_done IS 'Bytes on disk of the tables that are done.';
COMMENT ON COLUMN backup_progress.bytes_total IS 'Bytes on disk of all tables.';
COMMENT ON COLUMN backup_progress.percent IS 'bytes_done of bytes_total.';
COMMENT ON COLUMN backup_progress.elapsed IS 'Since it began, or since it was queued.';
COMMENT ON COLUMN backup_progress.eta IS 'How long the dump will still take, at this speed.';
COMMENT ON COLUMN backup_progress.pid IS 'Process id of its worker.';
COMMENT ON COLUMN backup_progress.blocked_by IS
    'Process ids of the sessions whose locks it waits for.';

COMMENT ON VIEW backup_rollback_points IS
    'Databases that restores have replaced and kept, and until when.';
COMMENT ON COLUMN backup_rollback_points.restore_id IS
    'Run of the restore, for backup_rollback() and backup_accept().';
COMMENT ON COLUMN backup_rollback_points.database IS 'Name of the database that was replaced.';
COMMENT ON COLUMN backup_rollback_points.kept_as IS 'Name under which it is kept.';
COMMENT ON COLUMN backup_rollback_points.kept_since IS 'When it was replaced.';
COMMENT ON COLUMN backup_rollback_points.kept_until IS
    'When it will be dropped; NULL: when it is accepted.';
COMMENT ON COLUMN backup_rollback_points.size_bytes IS 'Size of the kept database.';
