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

COMMENT ON FUNCTION backup_download IS
    'the archive of a backup as chunks of chunk_bytes bytes, numbered from 0, beginning with from_chunk; its SHA-256 is in backup_history';
COMMENT ON FUNCTION backup_download_chunks IS 'chunks behind backup_download()';
COMMENT ON FUNCTION backup_upload_begin IS
    'begin the upload of an archive of size_bytes bytes with this SHA-256 (hexadecimal); gives the id of the upload';
COMMENT ON FUNCTION backup_upload_part IS
    'send bytes of an upload, beginning at at_byte (from 0), in any order, also twice; gives how many bytes are there';
COMMENT ON FUNCTION backup_upload_finish IS
    'import an upload that is whole, if its SHA-256 is as announced; gives the id of the run, which is the backup';
COMMENT ON FUNCTION backup_upload_abort IS
    'remove an upload and what was sent; false when there is none';
COMMENT ON FUNCTION backup_upload_rows IS 'rows behind the view backup_uploads';
COMMENT ON VIEW backup_uploads IS
    'uploads to this server that are under way: what is there, which bytes are missing, until when it is kept';
