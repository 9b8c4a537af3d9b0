-- Schedules and hooks as people look at them, and how the launcher learns of a change.

-- A row in a copy of the database keeps the id of the original.
ALTER TABLE backup_runs ALTER COLUMN home_id SET DEFAULT @extschema@.backup_home_id();

-- Whoever changes the table, and however: the launcher reads it again when that commits. What jobs
-- write into it (last_due, attempt, retry_at, missed) is not in the list.
CREATE TRIGGER backup_schedules_changed
 AFTER INSERT OR DELETE OR TRUNCATE
    OR UPDATE OF name, cron, timezone, database, enabled, on_overlap, at_start
    ON backup_schedule_entries FOR EACH STATEMENT
EXECUTE FUNCTION @extschema@.backup_schedules_changed();

CREATE VIEW backup_schedules AS
SELECT s.name, s.cron, s.timezone, coalesce(s.database, pg_catalog.current_database()) AS database,
       s.enabled, f.state, s.keep_last, s.keep_daily, s.keep_weekly, s.keep_monthly,
       s.keep_yearly, s.keep_within, s.on_overlap, s.catch_up, s.retries, s.at_start,
       s.max_runtime, s.verify, s.options, s.requested_by,
       CASE WHEN f.state = 'active'
            THEN @extschema@.backup_next_run(s.cron, s.timezone, s.last_due, s.retry_at)
       END AS next_run,
       last.at AS last_run, last.status AS last_status, good.finished_at AS last_success, s.missed
  FROM @extschema@.backup_schedule_entries s,
       LATERAL (SELECT CASE WHEN NOT s.enabled THEN 'paused'
                            WHEN s.home <> pg_catalog.current_database()
                             AND EXISTS (SELECT FROM pg_catalog.pg_database d
                                          WHERE d.datname = s.home) THEN 'copy'
                            ELSE 'active' END AS state) f
  LEFT JOIN LATERAL (SELECT coalesce(r.started_at, r.queued_at) AS at, r.status
                       FROM @extschema@.backup_runs r
                      WHERE r.schedule = s.name AND r.kind = 'backup'
                      ORDER BY r.id DESC LIMIT 1) last ON true
  LEFT JOIN LATERAL (SELECT r.finished_at FROM @extschema@.backup_runs r
                      WHERE r.schedule = s.name AND r.kind = 'backup' AND r.status = 'succeeded'
                      ORDER BY r.id DESC LIMIT 1) good ON true
 ORDER BY s.name;

CREATE VIEW backup_hooks AS
SELECT event, name, sql, role, changed_at FROM @extschema@.backup_hook_entries
 ORDER BY event, name;

COMMENT ON TABLE backup_schedule_entries IS
    'schedules and how far each has come; read them through backup_schedules';
COMMENT ON TABLE backup_hook_entries IS 'hooks; read them through backup_hooks';
COMMENT ON VIEW backup_schedules IS
    'schedules of this database: what each says, when it runs next and how it went';
COMMENT ON VIEW backup_hooks IS 'SQL that runs at the events of a run, and the role whose rights it has';
COMMENT ON PROCEDURE backup_schedule IS
    'make a schedule, or make it anew: cron (''0 3 * * *'') or ''daily 03:00'', what to keep, how to run';
COMMENT ON PROCEDURE backup_unschedule IS 'remove a schedule; its backups stay';
COMMENT ON PROCEDURE backup_pause IS 'pause a schedule until backup_resume()';
COMMENT ON PROCEDURE backup_resume IS
    'let a paused schedule run again; what was due meanwhile is not made up for';
COMMENT ON FUNCTION backup_run IS 'run a schedule now; gives the id of the run';
COMMENT ON FUNCTION backup_next_runs IS
    'when an expression runs next, by the same code that runs it';
COMMENT ON FUNCTION backup_next_run IS 'next time of a schedule, behind the view backup_schedules';
COMMENT ON FUNCTION backup_schedules_changed IS
    'tells the launcher of changed schedules, behind a trigger';
COMMENT ON FUNCTION backup_home_id IS 'id of this database, behind a default of the history';
COMMENT ON FUNCTION backup_retention IS
    'what the policy of a schedule keeps and prunes, and why: exactly what backup_prune() does';
COMMENT ON PROCEDURE backup_prune IS
    'apply the policy of a schedule now; dry_run only says what would go';
COMMENT ON PROCEDURE backup_hook IS
    'register SQL under a name with the caller''s rights, for an event: before_backup, after_backup, on_failure, before_restore, after_restore and assert (both in the restored database, assert must return true), after_swap; SQL NULL removes it';
COMMENT ON FUNCTION backup_run_hook IS 'runs a hook with the rights of its role, for the runner';
