-- What people look at, small calls that need no job, rights, and what \d+ and \df+ say.

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

-- Runs with the rights of the caller, who needs what GRANT needs.
CREATE PROCEDURE backup_grant(role text, rights text)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    viewer constant text[] := ARRAY['backup_check()', 'backup_inspect(bigint)',
        'backup_contents(bigint)', 'backup_latest(text, text)', 'backup_find(text)',
        'backup_progress_rows()', 'backup_next_runs(text, text, integer, timestamptz)',
        'backup_next_run(text, text, timestamptz, timestamptz)', 'backup_retention(text)',
        'backup_metrics()', 'backup_compatibility(bigint, text[])', 'backup_list_badges()',
        'backup_restore_plan', 'backup_restore_check'];
    operator constant text[] := ARRAY[
        'backup_create(text, text, text, text, integer, text[], text[], text[], text[], text[], boolean)',
        'backup_wait(bigint, interval)', 'backup_cancel(bigint)', 'backup_verify(bigint, text)', 'backup_run(text, boolean)',
        'backup_schedule', 'backup_unschedule', 'backup_pause', 'backup_resume', 'backup_prune',
        'backup_hook'];
    views constant text[] := ARRAY['backup_history', 'backup_list', 'backup_manifest', 'backup_progress',
        'backup_schedules', 'backup_hooks', 'backup_status', 'backup_rollback_points'];
    routine text;
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
    FOREACH routine IN ARRAY
            CASE rights WHEN 'viewer' THEN viewer ELSE viewer || operator END LOOP
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s.%s TO %I', '@extschema@', routine, role);
    END LOOP;
    PERFORM @extschema@.backup_audit_record('backup_grant',
        jsonb_build_object('role', role, 'rights', rights));
END
$$;

-- Nothing is for everybody.
REVOKE ALL ON backup_runs, backup_manifests, backup_schedule_entries, backup_hook_entries,
    backup_history, backup_list, backup_manifest, backup_progress, backup_schedules, backup_hooks, backup_status,
    backup_rollback_points
  FROM PUBLIC;
REVOKE ALL ON SEQUENCE backup_runs_id_seq FROM PUBLIC;
DO $$
DECLARE
    routine regprocedure;
BEGIN
    FOR routine IN
        SELECT d.objid::regprocedure FROM pg_catalog.pg_depend d
          JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
         WHERE d.classid = 'pg_catalog.pg_proc'::regclass
           AND d.refclassid = 'pg_catalog.pg_extension'::regclass
           AND d.deptype = 'e' AND e.extname = 'pg_backup'
    LOOP
        EXECUTE format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', routine);
    END LOOP;
END
$$;

COMMENT ON TABLE backup_runs IS 'every run of pg_backup; read it through backup_history';
COMMENT ON TABLE backup_manifests IS 'manifest of each backup; read it through backup_manifest';
COMMENT ON VIEW backup_history IS 'every run, newest first, also the failed ones';
COMMENT ON VIEW backup_manifest IS 'what lies in each archive and where it comes from';
COMMENT ON VIEW backup_progress IS 'jobs of the whole server that wait or run';
COMMENT ON FUNCTION backup_create IS
    'back up a database into one verified archive; gives the id of the run';
COMMENT ON FUNCTION backup_wait IS
    'wait for the end of a run, at most timeout; gives its status';
COMMENT ON FUNCTION backup_cancel IS
    'cancel a run that waits or runs; false when there is none';
COMMENT ON FUNCTION backup_verify IS
    'check an archive: level file (size, SHA-256), list (structure), read (every byte decoded), restore (into a scratch database, rows counted, dropped)';
COMMENT ON FUNCTION backup_scan IS
    'compare the backup directory with the history: adopts archives without a row, marks those that are gone or have another size, reports what is not of pg_backup; touches no file';
COMMENT ON FUNCTION backup_contents IS
    'table of contents of an archive, attached files too (type ATTACHMENT)';
COMMENT ON FUNCTION backup_extract IS
    'write a member or a folder of members of an archive (attachments/...) into a directory that does not exist yet; gives the number of files';
COMMENT ON FUNCTION backup_export IS
    'copy an archive out: layout zip, dump (custom format and manifest), sql.gz (for psql) or directory (everything unpacked); gives what was written, bytes';
COMMENT ON VIEW backup_list IS
    'archives that are there, newest first, and whether each fits this database: compatible (the same migrations), older (migrations_added since), incompatible (migrations_removed are not in this database), unknown (nothing to compare, or a backup of another database: see backup_compatibility), broken (the file is missing or damaged); sizes in bytes';
COMMENT ON FUNCTION backup_compatibility IS
    'compare a backup with its database as it is now, or with the migrations in known (as their framework names them; app.name for Django): badge as in backup_list, the names that were added since, and those that only the backup has';
COMMENT ON FUNCTION backup_compatibility_here IS
    'the same without a job, for backup_inspect: unknown for a backup of another database';
COMMENT ON FUNCTION backup_list_badges IS 'rows behind the view backup_list';
COMMENT ON FUNCTION backup_inspect IS
    'manifest of a backup with sizes in bytes, counts, age in seconds, and the migrations on which it and its database differ';
COMMENT ON FUNCTION backup_import IS
    'take a file below pg_backup.import_directories into the catalogue: an archive of pg_backup, a dump of pg_dump in any format, an SQL script (.gz, .zst), a backup of Tracearr; gives the id of the run';
COMMENT ON FUNCTION backup_check IS
    'the doctor: what stands between this server and a good backup';
COMMENT ON PROCEDURE backup_restore IS
    'restore a backup: into a new database, in the place of a live one, or into a schema of it';
COMMENT ON PROCEDURE backup_rollback IS
    'swap the database that a restore replaced back into its place';
COMMENT ON PROCEDURE backup_accept IS
    'drop the database that a restore replaced: there is no way back then';
COMMENT ON VIEW backup_rollback_points IS
    'databases that restores have replaced and kept, and until when';
COMMENT ON FUNCTION backup_restore_check IS
    'what stands in the way of a restore: every requirement a row, nothing touched';
COMMENT ON FUNCTION backup_restore_plan IS
    'the steps and commands of a restore, nothing touched';
COMMENT ON FUNCTION backup_latest IS
    'id of the newest good backup of a database, by default this one';
COMMENT ON FUNCTION backup_find IS 'id of the backup with this file name';
COMMENT ON FUNCTION backup_progress_rows IS 'rows behind the view backup_progress';
COMMENT ON PROCEDURE backup_delete IS 'delete the archive of a backup; its row stays';
COMMENT ON PROCEDURE backup_pin IS 'protect a backup from deletion, or stop protecting it';
COMMENT ON PROCEDURE backup_grant IS
    'give a role the rights of a viewer (look) or an operator (also back up, verify, cancel, schedule)';
