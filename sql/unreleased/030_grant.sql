-- Runs with the rights of the caller, who needs what GRANT needs. Only what belongs to the extension
-- is given, whatever else has its names.
CREATE OR REPLACE PROCEDURE backup_grant(role text, rights text)
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
