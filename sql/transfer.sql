-- Archives that leave by the connection, and archives that come by it.

-- Inlined into the query that calls it, where it is a plain FROM item: the chunks then flow through to
-- the client one by one. Called as a function it would be a table first, in memory or in temporary
-- files. That is why it is STABLE, has no settings of its own, and does nothing but this.
CREATE FUNCTION backup_download(id bigint, chunk_bytes integer DEFAULT 1048576,
                                from_chunk bigint DEFAULT 0)
RETURNS TABLE (chunk_no bigint, data bytea)
LANGUAGE sql STABLE PARALLEL UNSAFE ROWS 1000 AS $$
    SELECT (c.chunk).chunk_no, (c.chunk).data
      FROM (SELECT @extschema@.backup_download_chunks($1, $2, $3) AS chunk) c
$$;

CREATE VIEW backup_uploads AS
SELECT u.id, u.filename, u.size_bytes, u.received_bytes,
       u.missing::pg_catalog.int8multirange AS missing, u.sha256, u.requested_by, u.database,
       u.started_at, u.last_part_at,
       coalesce(u.last_part_at, u.started_at)
       + nullif(pg_catalog.current_setting('pg_backup.upload_keep', true), '-1')::interval
           AS kept_until,
       u.error
  FROM @extschema@.backup_upload_rows() u
 ORDER BY u.id;

REVOKE ALL ON backup_uploads FROM PUBLIC;

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
