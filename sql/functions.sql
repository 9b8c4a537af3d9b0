-- The last fragment: what \df+ says of the functions that make, look at, bring in and restore
-- backups, and that nothing is for PUBLIC.
--
-- A comment is the one description of its object: docs/reference.md is made of them, and tests hold
-- them against the catalog. Full sentences, ASCII only. Of a function the first line is the summary,
-- "- name:" is an argument, "-> name:" a column of the result; all of them in their order, or
-- "Arguments as in". What begins with "Internal:" is not for people.

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
