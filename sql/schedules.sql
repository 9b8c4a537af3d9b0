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

COMMENT ON PROCEDURE backup_schedule(text, text, text, text, integer, integer, integer, integer,
    integer, interval, boolean, text, interval, integer, boolean, interval, text, jsonb) IS
'Make a schedule, or make it anew: when, what to keep, how to run; takes effect at COMMIT.
- name: of the schedule.
- cron: five fields as in crontab(5), or words: hourly, daily 03:00, weekly sun 03:00, monthly last 03:00.
- timezone: name of a zone, by default that of the session.
- database: which one, by default this one.
- keep_last: keep the newest so many.
- keep_daily: keep one of each of so many days.
- keep_weekly: keep one of each of so many ISO weeks.
- keep_monthly: keep one of each of so many months.
- keep_yearly: keep one of each of so many years.
- keep_within: keep all that are not older.
- enabled: false makes it paused.
- on_overlap: skip or queue, while another backup of the database runs.
- catch_up: how late a missed run is made up for; 0 never.
- retries: further attempts after a failure that passes by itself, 0 to 10.
- at_start: also run at every start of the server.
- max_runtime: end a run that takes longer, by default pg_backup.max_runtime.
- verify: verify the archive once more after each run: file, list, read or restore.
- options: arguments of backup_create() by name.';

COMMENT ON PROCEDURE backup_unschedule(text) IS
'Remove a schedule; its backups stay.
- name: of the schedule.';

COMMENT ON PROCEDURE backup_pause(text) IS
'Pause a schedule until backup_resume().
- name: of the schedule.';

COMMENT ON PROCEDURE backup_resume(text) IS
'Let a paused schedule run again; what was due meanwhile is not made up for.
- name: of the schedule.';

COMMENT ON FUNCTION backup_run(text, boolean) IS
'Run a schedule now; gives the id of the run.
- name: of the schedule.
- wait: true waits for the end, and a failure is an error; false begins at COMMIT.';

COMMENT ON FUNCTION backup_next_runs(text, text, integer, timestamptz) IS
'When an expression runs next, by the same code that runs it.
- cron: as in backup_schedule().
- timezone: name of a zone, by default that of the session.
- n: how many, at most 100000.
- after: later than this, by default now.';

COMMENT ON FUNCTION backup_retention(text) IS
'What the policy of a schedule keeps and prunes, and why: exactly what backup_prune() does.
- schedule: its name.
-> id: the backup.
-> verdict: keep or prune.
-> reasons: why it is kept.';

COMMENT ON PROCEDURE backup_prune(text, boolean) IS
'Apply the policy of a schedule now.
- schedule: its name.
- dry_run: true only says what would go.';

COMMENT ON PROCEDURE backup_hook(text, text, text) IS
'Register SQL that runs at an event with the rights of the caller, or remove it.
- event: before_backup, after_backup, on_failure, before_restore, after_restore, after_swap, or assert (in a restored database, must return true).
- name: of the hook; hooks of an event run in the order of their names.
- sql: what to run; NULL removes the hook.';

COMMENT ON FUNCTION backup_home_id() IS
    'Internal: id of this database, behind a default of backup_runs.';
COMMENT ON FUNCTION backup_next_run(text, text, timestamptz, timestamptz) IS
    'Internal: next time of a schedule, behind the view backup_schedules.';
COMMENT ON FUNCTION backup_run_hook(text, text) IS
    'Internal: runs a hook with the rights of its role, for the runner.';
COMMENT ON FUNCTION backup_schedules_changed() IS
    'Internal: tells the launcher of changed schedules, behind a trigger.';

COMMENT ON VIEW backup_schedules IS
    'Schedules of this database: what each says, when it runs next and how it went.';
COMMENT ON COLUMN backup_schedules.name IS 'Name of the schedule.';
COMMENT ON COLUMN backup_schedules.cron IS 'When it runs: five fields or words.';
COMMENT ON COLUMN backup_schedules.timezone IS 'Zone that cron is read in.';
COMMENT ON COLUMN backup_schedules.database IS 'The database that is backed up.';
COMMENT ON COLUMN backup_schedules.enabled IS 'False when it is paused.';
COMMENT ON COLUMN backup_schedules.state IS
    'active, paused, or copy (its original is in another database and runs there).';
COMMENT ON COLUMN backup_schedules.keep_last IS 'Keep the newest so many.';
COMMENT ON COLUMN backup_schedules.keep_daily IS 'Keep one of each of so many days.';
COMMENT ON COLUMN backup_schedules.keep_weekly IS 'Keep one of each of so many ISO weeks.';
COMMENT ON COLUMN backup_schedules.keep_monthly IS 'Keep one of each of so many months.';
COMMENT ON COLUMN backup_schedules.keep_yearly IS 'Keep one of each of so many years.';
COMMENT ON COLUMN backup_schedules.keep_within IS 'Keep all that are not older.';
COMMENT ON COLUMN backup_schedules.on_overlap IS
    'skip or queue, while another backup of the database runs.';
COMMENT ON COLUMN backup_schedules.catch_up IS 'How late a missed run is made up for.';
COMMENT ON COLUMN backup_schedules.retries IS
    'Further attempts after a failure that passes by itself.';
COMMENT ON COLUMN backup_schedules.at_start IS 'Whether it also runs at every start of the server.';
COMMENT ON COLUMN backup_schedules.max_runtime IS 'A run that takes longer is ended.';
COMMENT ON COLUMN backup_schedules.verify IS 'Level of a further verification after each run.';
COMMENT ON COLUMN backup_schedules.options IS 'Arguments of backup_create() by name.';
COMMENT ON COLUMN backup_schedules.requested_by IS 'The role that made the schedule.';
COMMENT ON COLUMN backup_schedules.next_run IS 'When it runs next.';
COMMENT ON COLUMN backup_schedules.last_run IS 'When its last run began, or was due.';
COMMENT ON COLUMN backup_schedules.last_status IS 'Status of its last run.';
COMMENT ON COLUMN backup_schedules.last_success IS 'When its last good run ended.';
COMMENT ON COLUMN backup_schedules.missed IS
    'Due times since the last good run that passed without a run.';

COMMENT ON VIEW backup_hooks IS
    'SQL that runs at the events of a run, and the role whose rights it has.';
COMMENT ON COLUMN backup_hooks.event IS 'When it runs.';
COMMENT ON COLUMN backup_hooks.name IS 'Name of the hook; hooks of an event run in their order.';
COMMENT ON COLUMN backup_hooks.sql IS 'What runs.';
COMMENT ON COLUMN backup_hooks.role IS 'The role that registered it.';
COMMENT ON COLUMN backup_hooks.changed_at IS 'When it was registered.';
COMMENT ON TRIGGER backup_schedules_changed ON backup_schedule_entries IS
    'Whoever changes a schedule: the launcher reads them again at COMMIT.';
