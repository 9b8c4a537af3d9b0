\echo Use "ALTER EXTENSION pg_backup UPDATE" to load this file. \quit

-- 010_comments.sql
-- Every object explains itself: the comments of the install script, which is the place to change them.

COMMENT ON FUNCTION backup_migration_hashes(jsonb) IS
    'Internal: a number for each migration that a manifest names, in order.';
COMMENT ON TABLE backup_runs IS 'Every run of pg_backup; read it through backup_history.';
COMMENT ON COLUMN backup_runs.subject IS
    'What it works on: the backup of a verification or restore, the restore of a rollback.';
COMMENT ON COLUMN backup_runs.removal IS
    'What file_state becomes when the file is gone: tells what to finish after a crash.';
COMMENT ON COLUMN backup_runs.target_id IS
    'Id of the database that a restore makes, chosen before it exists.';
COMMENT ON COLUMN backup_runs.target_name IS 'Name that this database is made under.';
COMMENT ON COLUMN backup_runs.kept IS 'Name of the database that a restore replaced and kept.';
COMMENT ON COLUMN backup_runs.kept_id IS
    'Id of that database: one that has only the name is somebody else''s.';
COMMENT ON COLUMN backup_runs.home_id IS
    'Id of the database that holds this row; tells a copy from its original.';
COMMENT ON COLUMN backup_runs.database_id IS
    'Id of the database that was backed up, which survives a rename.';
COMMENT ON COLUMN backup_runs.is_foreign IS
    'Whether the archive was brought in, and nothing proves that this server has made it.';
COMMENT ON COLUMN backup_runs.made_at IS
    'When the content of an import was made, as it says itself, never later than the import.';
COMMENT ON SEQUENCE backup_runs_id_seq IS 'Ids of runs.';
COMMENT ON INDEX backup_runs_pkey IS 'A run by its id.';
COMMENT ON INDEX backup_runs_database_status_idx IS
    'The newest runs of a database with a status, for lists and backup_status.';
COMMENT ON INDEX backup_runs_unfinished_idx IS 'The few runs that have not ended.';
COMMENT ON INDEX backup_runs_schedule_idx IS 'The newest runs of a schedule.';
COMMENT ON INDEX backup_runs_imports_idx IS 'Imports: few, among many backups.';
COMMENT ON INDEX backup_runs_deleting_idx IS 'Files whose removal is not finished.';
COMMENT ON TABLE backup_manifests IS
    'Manifest of each backup; read it through backup_manifest.';
COMMENT ON COLUMN backup_manifests.format IS
    'Format of the dump, beside the manifest so that a list need not decompress it.';
COMMENT ON COLUMN backup_manifests.migrations_key IS
    'Hash of the migrations: archives with the same one are compared once.';
COMMENT ON COLUMN backup_manifests.migrations IS
    'The migrations as numbers, in order: what tells whether two sets differ.';
COMMENT ON INDEX backup_manifests_pkey IS 'A manifest by the id of its backup.';
COMMENT ON TABLE backup_schedule_entries IS
    'Schedules and how far each has come; read them through backup_schedules.';
COMMENT ON COLUMN backup_schedule_entries.home IS
    'Name of the database when this was written: in a copy beside the original it does not run.';
COMMENT ON COLUMN backup_schedule_entries.last_due IS 'Due times up to here are dealt with.';
COMMENT ON COLUMN backup_schedule_entries.attempt IS
    'The attempt that failed last; 0 when there is nothing to try again.';
COMMENT ON COLUMN backup_schedule_entries.retry_at IS 'When the next attempt is due.';
COMMENT ON INDEX backup_schedule_entries_pkey IS 'A schedule by its name.';
COMMENT ON TABLE backup_hook_entries IS 'Hooks; read them through backup_hooks.';
COMMENT ON COLUMN backup_hook_entries.role_id IS
    'Id of the role: one that was made anew under the same name does not inherit the hook.';
COMMENT ON COLUMN backup_hook_entries.system IS
    'The cluster in which that id means that role, whatever it is called by now.';
COMMENT ON INDEX backup_hook_entries_pkey IS 'A hook by its event and name.';
COMMENT ON FUNCTION backup_audit_record(text, jsonb) IS
    'Internal: writes a row of backup_audit for the calls of pg_backup.';
COMMENT ON VIEW backup_audit IS
    'Who did what, when and from where: every call that restores, deletes, moves or reconfigures.';
COMMENT ON COLUMN backup_audit.id IS 'Number of the entry.';
COMMENT ON COLUMN backup_audit.at IS 'When it was asked for.';
COMMENT ON COLUMN backup_audit.role IS 'The role whose rights it had.';
COMMENT ON COLUMN backup_audit.session_role IS 'The role that had logged in.';
COMMENT ON COLUMN backup_audit.address IS 'Of the client; NULL: the Unix socket.';
COMMENT ON COLUMN backup_audit.application IS 'What the client calls itself (application_name).';
COMMENT ON COLUMN backup_audit.action IS 'The function or procedure.';
COMMENT ON COLUMN backup_audit.detail IS 'Its arguments.';
COMMENT ON COLUMN backup_audit.run_id IS 'The run in backup_history that came of it.';
COMMENT ON COLUMN backup_audit.outcome IS
    'How it ended; NULL while it goes on, and after one that was killed.';
COMMENT ON COLUMN backup_audit.error IS 'Why it failed.';
COMMENT ON TABLE backup_audit_entries IS
    'Every administrative action; read it through backup_audit.';
COMMENT ON SEQUENCE backup_audit_entries_id_seq IS 'Numbers of entries of the audit.';
COMMENT ON INDEX backup_audit_entries_pkey IS 'An entry of the audit by its number.';
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
COMMENT ON FUNCTION backup_download(bigint, integer, bigint) IS
'The archive of a backup as chunks, in their order; its SHA-256 is in backup_history.
- id: the backup.
- chunk_bytes: size of a chunk, 1024 to 16777216.
- from_chunk: number of the first chunk wanted, from 0.
-> chunk_no: number of the chunk, from 0.
-> data: the bytes.';
COMMENT ON FUNCTION backup_upload_begin(text, bigint, text) IS
'Begin the upload of an archive, a dump or a script; gives the id of the upload.
- filename: a label; no file of that name is made.
- size_bytes: how many bytes will come.
- sha256: of all of them, hexadecimal.';
COMMENT ON FUNCTION backup_upload_part(bigint, bigint, bytea) IS
'Send bytes of an upload, in any order, also twice; gives how many bytes are there.
- id: the upload.
- at_byte: where data begins, from 0.
- data: up to 16 MiB.';
COMMENT ON FUNCTION backup_upload_finish(bigint) IS
'Import an upload that is whole, if its SHA-256 is as announced; gives the id of the run, which is the backup.
- id: the upload.';
COMMENT ON FUNCTION backup_upload_abort(bigint) IS
'Remove an upload and what was sent; false when there is none.
- id: the upload.';
COMMENT ON FUNCTION backup_download_chunks(bigint, integer, bigint) IS
    'Internal: chunks behind backup_download().';
COMMENT ON FUNCTION backup_upload_rows() IS 'Internal: rows behind the view backup_uploads.';
COMMENT ON VIEW backup_uploads IS
    'Uploads to this server that are under way.';
COMMENT ON COLUMN backup_uploads.id IS 'Id of the upload.';
COMMENT ON COLUMN backup_uploads.filename IS 'What its sender calls it.';
COMMENT ON COLUMN backup_uploads.size_bytes IS 'How many bytes will come.';
COMMENT ON COLUMN backup_uploads.received_bytes IS 'How many are there.';
COMMENT ON COLUMN backup_uploads.missing IS 'Which bytes are missing.';
COMMENT ON COLUMN backup_uploads.sha256 IS 'What all of them will have, as announced.';
COMMENT ON COLUMN backup_uploads.requested_by IS 'The role that began it.';
COMMENT ON COLUMN backup_uploads.database IS 'The database where it was begun.';
COMMENT ON COLUMN backup_uploads.started_at IS 'When it was begun.';
COMMENT ON COLUMN backup_uploads.last_part_at IS 'When the last part came.';
COMMENT ON COLUMN backup_uploads.kept_until IS
    'When it is removed if no further part comes; NULL: never.';
COMMENT ON COLUMN backup_uploads.error IS 'Why it cannot be read.';
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
COMMENT ON FUNCTION backup_create(text, text, text, text, integer, text[], text[], text[], text[],
    text[], boolean) IS
'Back up a database into one verified archive; gives the id of the run.
- comment: kept with the run, and in the manifest.
- database: which one, by default this one.
- format: custom (the default), directory or plain; jobs above 1 makes it directory.
- compression: none, gzip:1 to gzip:9 or zstd:1 to zstd:19; by default pg_backup.compression.
- jobs: connections of pg_dump, 1 to 64; by default pg_backup.jobs.
- schemas: only these schemas; patterns of pg_dump --schema.
- tables: only these tables; patterns of pg_dump --table, written schema.table.
- exclude_tables: not these tables.
- exclude_table_data: of these tables the definition, not the rows.
- attach: files and folders of the server that go into the archive too.
- wait: true waits for the end, and a failure is an error; false begins at COMMIT.';
COMMENT ON FUNCTION backup_wait(bigint, interval) IS
'Wait for the end of a run; gives its status.
- id: the run.
- timeout: wait no longer than this, by default without limit.';
COMMENT ON FUNCTION backup_cancel(bigint) IS
'Cancel a run that waits or runs; false when there is none.
- id: the run.';
COMMENT ON FUNCTION backup_check() IS
'The doctor: what stands between this server and a good backup.
-> check_name: what was looked at.
-> status: ok, warning or blocker.
-> detail: what was found.
-> hint: what to do, where it is not ok.';
COMMENT ON FUNCTION backup_verify(bigint, text) IS
'Check an archive, one row a step; the first that is not ok says what is wrong.
- id: the backup.
- level: file (present, size, SHA-256), list (and structure), read (and every byte decoded), restore (and restored into a scratch database, rows counted, dropped); by default pg_backup.verify.
-> ok: whether the step went well.
-> subject: the step.
-> detail: what was found.';
COMMENT ON FUNCTION backup_contents(bigint) IS
'Table of contents of an archive, attached files too.
- id: the backup.
-> entry: number of the entry in the dump.
-> type: as pg_restore --list names it; ATTACHMENT for an attached file.
-> schema: where the object is.
-> name: of the object, or of the file in the archive.
-> owner: of the object.
-> rows: of the data of a table.
-> bytes: of the data before compression, or of the file.';
COMMENT ON FUNCTION backup_inspect(bigint) IS
'Manifest of a backup with its run, sizes in bytes, counts, age in seconds, and the migrations on which it and its database differ.
- id: the backup.';
COMMENT ON FUNCTION backup_latest(text, text) IS
'Id of the newest good backup of a database; NULL when there is none.
- database: which one, by default this one.
- schedule: only backups of this schedule.';
COMMENT ON FUNCTION backup_find(text) IS
'Id of the backup with this file; NULL when there is none.
- file: a name, or the end of a path.';
COMMENT ON FUNCTION backup_compatibility(bigint, text[]) IS
'Compare a backup with its database as it is now, or with the migrations that an application knows.
- id: the backup.
- known: migrations as their framework names them, app.name for Django; left out: those of the database.
-> compatibility: a badge as in backup_list.
-> added: what the database, or the application, has more.
-> removed: what only the backup has.';
COMMENT ON PROCEDURE backup_pin(bigint, boolean) IS
'Protect a backup from retention and deletion, or stop protecting it.
- id: the backup.
- pinned: true protects.';
COMMENT ON PROCEDURE backup_delete(bigint) IS
'Delete the archive of a backup; its row stays.
- id: the backup.';
COMMENT ON FUNCTION backup_export(bigint, text, text) IS
'Copy an archive out, into a directory of the server; gives what was written.
- id: the backup.
- directory: one of pg_backup.export_directories, or below one.
- layout: zip, dump (custom format and manifest), sql.gz (for psql) or directory (everything unpacked).
-> path: what was written.
-> size_bytes: of the file, or of all files of the folder.
-> sha256: of the file; NULL for a folder.';
COMMENT ON FUNCTION backup_extract(bigint, text, text) IS
'Write a member or a folder of members of an archive into a directory of the server; gives the number of files.
- id: the backup.
- member: for example attachments/uploads or manifest.json.
- directory: does not exist yet; its parent lies in pg_backup.export_directories.';
COMMENT ON FUNCTION backup_import(text, text) IS
'Take a file of the server into the history as a backup; gives the id of the run.
- path: below pg_backup.import_directories: an archive of pg_backup, a dump of pg_dump in any format, an SQL script (.gz, .zst), a backup of Tracearr.
- comment: kept with the run.';
COMMENT ON FUNCTION backup_scan() IS
'Compare the backup directory with the history: adopt archives without a row, mark those that are gone or changed; touches no file.
-> file: path below the directory.
-> action: adopted, known, found, missing, damaged, work or stranger.
-> id: the backup that it belongs to.
-> detail: what was found.';
COMMENT ON PROCEDURE backup_grant(text, text) IS
'Give a role the rights to look at backups, or also to make them.
- role: who gets them.
- rights: viewer (look) or operator (also back up, verify, cancel, schedule, prune, register hooks).';
COMMENT ON PROCEDURE backup_restore(bigint, text, text, text[], text[], text, text, integer,
    boolean, boolean, boolean, boolean, bigint) IS
'Restore a backup: into a new database, in the place of a live one, or into a schema of it.
- id: the backup.
- target: name of the new database, by default <database>_restored_<id>.
- replace: name of the live database whose place it takes.
- tables: only these tables and what they need; patterns of pg_dump --table.
- schemas: only these schemas.
- into_schema: put them into this new schema of the live database.
- safety: what becomes of a live database: rename (kept, the default), dump (also backed up before) or none (dropped).
- jobs: connections of pg_restore, 1 to 64.
- trusted: true lets code of the owners in the backup run with the rights of a superuser.
- force: true goes on where the live database lacks migrations of the backup.
- allow_foreign: true restores what was made elsewhere.
- globals: true makes roles and tablespaces that are missing here.
-> run_id: id of the run.';
COMMENT ON FUNCTION backup_restore_check(bigint, text, text, text[], text[], text, text, integer,
    boolean, boolean, boolean, boolean) IS
'What stands in the way of a restore: every requirement a row, nothing touched. Arguments as in backup_restore().
-> check_name: what was looked at.
-> status: ok, warning or blocker.
-> detail: what was found.
-> hint: what to do, where it is not ok.';
COMMENT ON FUNCTION backup_restore_plan(bigint, text, text, text[], text[], text, text, integer,
    boolean, boolean, boolean, boolean) IS
'The steps of a restore in their order, nothing touched. Arguments as in backup_restore().
-> step: its number.
-> action: what is done.
-> command: the program or the SQL that does it.';
COMMENT ON PROCEDURE backup_rollback(bigint, bigint) IS
'Swap the database that a restore replaced back into its place.
- restore_id: the run of the restore.
-> run_id: id of the run.';
COMMENT ON PROCEDURE backup_accept(bigint, bigint) IS
'Drop the database that a restore replaced: there is no way back then.
- restore_id: the run of the restore.
-> run_id: id of the run.';
COMMENT ON FUNCTION backup_compatibility_here(bigint) IS
    'Internal: backup_compatibility() without a job; unknown for a backup of another database.';
COMMENT ON FUNCTION backup_list_badges() IS 'Internal: rows behind the view backup_list.';
COMMENT ON FUNCTION backup_progress_rows() IS 'Internal: rows behind the view backup_progress.';

-- 020_migration_hashes.sql
-- The same numbers, sorted alone: since PostgreSQL 16 all names went through the sort with them, and
-- a hostile manifest filled the disk.
CREATE OR REPLACE FUNCTION backup_migration_hashes(migrations jsonb) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(array_agg(DISTINCT hash ORDER BY hash), '{}')
      FROM (SELECT h.hash
              FROM jsonb_array_elements(CASE jsonb_typeof(migrations) WHEN 'array' THEN migrations
                                             ELSE '[]' END) AS one,
                   jsonb_array_elements_text(CASE jsonb_typeof(one -> 'ids') WHEN 'array'
                                                  THEN one -> 'ids' ELSE '[]' END) AS name,
                   LATERAL (SELECT CASE WHEN getdatabaseencoding() IN ('UTF8', 'SQL_ASCII')
                                        THEN name
                                        ELSE regexp_replace(name, '[^\x01-\x7f]', '?', 'g')
                                   END AS held) n,
                   LATERAL (SELECT hashtextextended(((one ->> 'framework') || ': ' || n.held)
                                                    COLLATE "C", 0) AS hash) h
            -- Since 16 the server sorts before it aggregates: here the numbers alone. Without this
            -- line each would take all the names with it, 60 GB for a hostile manifest.
            OFFSET 0) AS hashes
$$;

-- 030_grant.sql
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

-- Touches no row.
UPDATE @extschema@.backup_schedule_entries SET name = name WHERE false;
