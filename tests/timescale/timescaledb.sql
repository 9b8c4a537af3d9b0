-- A stand-in for TimescaleDB in SQL alone: the catalog, functions and settings that a restore
-- touches, under their names. It fails where the real one would: catalog rows that come outside of
-- restoring mode or from another version, chunks before the catalog, jobs that fire when the mode
-- ends. What would only be seen later, or elsewhere, goes into the server's log as
-- "stand-in: <what> in <database>". Installed under every version that the tests need.

CREATE SCHEMA _timescaledb_catalog;
CREATE SCHEMA _timescaledb_config;
CREATE SCHEMA _timescaledb_functions;
CREATE SCHEMA _timescaledb_internal;
CREATE SCHEMA timescaledb_information;
GRANT USAGE ON SCHEMA _timescaledb_catalog, _timescaledb_config, _timescaledb_functions,
    _timescaledb_internal, timescaledb_information TO PUBLIC;

CREATE TABLE _timescaledb_catalog.metadata (
    key name PRIMARY KEY, value text NOT NULL, include_in_telemetry boolean NOT NULL);
CREATE TABLE _timescaledb_catalog.hypertable (
    id serial PRIMARY KEY, schema_name name NOT NULL, table_name name NOT NULL);
CREATE TABLE _timescaledb_catalog.chunk (
    id serial PRIMARY KEY, hypertable_id int NOT NULL REFERENCES _timescaledb_catalog.hypertable,
    schema_name name NOT NULL, table_name name NOT NULL);
CREATE SEQUENCE _timescaledb_config.bgw_job_id_seq START 1000 MINVALUE 1000;
CREATE TABLE _timescaledb_config.bgw_job (
    id int PRIMARY KEY DEFAULT nextval('_timescaledb_config.bgw_job_id_seq'),
    application_name name NOT NULL, schedule_interval interval NOT NULL, scheduled boolean NOT NULL,
    owner regrole NOT NULL DEFAULT current_user::regrole);
-- Not in a dump.
CREATE TABLE _timescaledb_internal.bgw_job_stat (job_id int PRIMARY KEY, next_start timestamptz);
GRANT SELECT ON ALL TABLES IN SCHEMA _timescaledb_catalog TO PUBLIC;

SELECT pg_catalog.pg_extension_config_dump('_timescaledb_catalog.metadata',
                                           $$WHERE key = 'timescaledb_version'$$);
SELECT pg_catalog.pg_extension_config_dump('_timescaledb_catalog.hypertable', '');
SELECT pg_catalog.pg_extension_config_dump('_timescaledb_catalog.hypertable_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('_timescaledb_catalog.chunk', '');
SELECT pg_catalog.pg_extension_config_dump('_timescaledb_catalog.chunk_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('_timescaledb_config.bgw_job', 'WHERE id >= 1000');
SELECT pg_catalog.pg_extension_config_dump('_timescaledb_config.bgw_job_id_seq', '');

INSERT INTO _timescaledb_catalog.metadata
SELECT 'timescaledb_version', extversion, false FROM pg_extension WHERE extname = 'timescaledb';
INSERT INTO _timescaledb_config.bgw_job VALUES (1, 'Telemetry Reporter', '24h', true);

CREATE FUNCTION _timescaledb_functions.is_restoring() RETURNS boolean LANGUAGE sql STABLE
    AS $$ SELECT coalesce(current_setting('timescaledb.restoring', true), '') IN ('on', 'true') $$;

-- Rows of the catalog come from the functions below, or from a restore that was announced.
CREATE FUNCTION _timescaledb_functions.guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT _timescaledb_functions.is_restoring()
       AND coalesce(current_setting('timescaledb_standin.api', true), '') <> 'on' THEN
        RAISE 'rows of "%" outside of restoring mode', TG_TABLE_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER guard BEFORE INSERT ON _timescaledb_catalog.hypertable
    FOR EACH ROW EXECUTE FUNCTION _timescaledb_functions.guard();
CREATE TRIGGER guard BEFORE INSERT ON _timescaledb_catalog.chunk
    FOR EACH ROW EXECUTE FUNCTION _timescaledb_functions.guard();
CREATE TRIGGER guard BEFORE INSERT ON _timescaledb_config.bgw_job
    FOR EACH ROW EXECUTE FUNCTION _timescaledb_functions.guard();

CREATE FUNCTION _timescaledb_functions.metadata_insert() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    version text := (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb');
BEGIN
    IF NEW.key = 'timescaledb_version' AND NEW.value <> version THEN
        RAISE 'catalog version mismatch, expected "%" seen "%"', version, NEW.value;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER metadata_insert BEFORE INSERT ON _timescaledb_catalog.metadata
    FOR EACH ROW EXECUTE FUNCTION _timescaledb_functions.metadata_insert();

-- In a CHECK of every chunk: rows of one that the catalog does not know are lost.
CREATE FUNCTION _timescaledb_functions.is_known(chunk name) RETURNS boolean LANGUAGE plpgsql
AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM _timescaledb_catalog.chunk c
                    WHERE c.table_name = is_known.chunk) THEN
        RAISE 'rows of chunk "%" before the catalog', chunk;
    END IF;
    RETURN true;
END $$;

CREATE FUNCTION @extschema@.create_hypertable(relation regclass) RETURNS int LANGUAGE sql
SET timescaledb_standin.api = 'on' AS $$
    INSERT INTO _timescaledb_catalog.hypertable (schema_name, table_name)
    SELECT n.nspname, c.relname
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation
    RETURNING id
$$;

-- The real one makes chunks by itself.
CREATE FUNCTION @extschema@.create_chunk(relation regclass, rows text) RETURNS name LANGUAGE plpgsql
SET timescaledb_standin.api = 'on' AS $$
DECLARE
    hypertable int := (SELECT h.id FROM _timescaledb_catalog.hypertable h
                        WHERE format('%I.%I', h.schema_name, h.table_name)::regclass = relation);
    owner regrole := (SELECT relowner FROM pg_class WHERE oid = relation);
    number int := nextval('_timescaledb_catalog.chunk_id_seq');
    chunk name := format('_hyper_%s_%s_chunk', hypertable, number);
BEGIN
    INSERT INTO _timescaledb_catalog.chunk
    VALUES (number, hypertable, '_timescaledb_internal', chunk);
    EXECUTE format('CREATE TABLE _timescaledb_internal.%I (CONSTRAINT known CHECK (
        _timescaledb_functions.is_known(%L))) INHERITS (%s)', chunk, chunk, relation);
    EXECUTE format('INSERT INTO _timescaledb_internal.%I %s', chunk, rows);
    EXECUTE format('ALTER TABLE _timescaledb_internal.%I OWNER TO %s', chunk, owner);
    RETURN chunk;
END $$;

CREATE FUNCTION @extschema@.add_job(name text, schedule_interval interval) RETURNS int LANGUAGE sql
SET timescaledb_standin.api = 'on' AS $$
    WITH job AS (INSERT INTO _timescaledb_config.bgw_job
                     (application_name, schedule_interval, scheduled)
                 VALUES (name, schedule_interval, true) RETURNING id)
    INSERT INTO _timescaledb_internal.bgw_job_stat
    SELECT id, now() + schedule_interval FROM job RETURNING job_id
$$;

CREATE FUNCTION @extschema@.alter_job(job_id int, schedule_interval interval = NULL,
    scheduled boolean = NULL, next_start timestamptz = NULL) RETURNS int LANGUAGE plpgsql AS $$
BEGIN
    UPDATE _timescaledb_config.bgw_job b
       SET scheduled = coalesce(alter_job.scheduled, b.scheduled),
           schedule_interval = coalesce(alter_job.schedule_interval, b.schedule_interval)
     WHERE b.id = alter_job.job_id;
    IF next_start IS NOT NULL THEN
        INSERT INTO _timescaledb_internal.bgw_job_stat
        VALUES (alter_job.job_id, alter_job.next_start)
        ON CONFLICT ON CONSTRAINT bgw_job_stat_pkey DO UPDATE SET next_start = EXCLUDED.next_start;
    END IF;
    RETURN alter_job.job_id;
END $$;

CREATE VIEW timescaledb_information.jobs AS
SELECT b.id AS job_id, b.application_name, b.schedule_interval, b.scheduled, b.owner, s.next_start
  FROM _timescaledb_config.bgw_job b
  LEFT JOIN _timescaledb_internal.bgw_job_stat s ON s.job_id = b.id;
CREATE VIEW timescaledb_information.chunks AS
SELECT h.schema_name AS hypertable_schema, h.table_name AS hypertable_name,
       c.schema_name AS chunk_schema, c.table_name AS chunk_name
  FROM _timescaledb_catalog.chunk c
  JOIN _timescaledb_catalog.hypertable h ON h.id = c.hypertable_id;
GRANT SELECT ON timescaledb_information.jobs, timescaledb_information.chunks TO PUBLIC;

CREATE FUNCTION _timescaledb_functions.start_background_workers() RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    RAISE LOG 'stand-in: start_background_workers in %', current_database();
    RETURN true;
END $$;
CREATE FUNCTION _timescaledb_functions.stop_background_workers() RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    RAISE LOG 'stand-in: stop_background_workers in %', current_database();
    RETURN true;
END $$;

CREATE FUNCTION @extschema@.timescaledb_pre_restore() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER DATABASE %I SET timescaledb.restoring = ''on''', current_database());
    SET SESSION timescaledb.restoring = 'on';
    PERFORM _timescaledb_functions.stop_background_workers();
    RETURN true;
END $$;

-- Jobs that are scheduled when the transaction of the restore's end is over fire at once: the
-- oldest chunk of every hypertable goes, as a retention policy would have it.
CREATE TABLE _timescaledb_internal.restored (at timestamptz);
CREATE FUNCTION _timescaledb_functions.fire() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    chunk name;
BEGIN
    IF NOT EXISTS (SELECT FROM _timescaledb_config.bgw_job WHERE id >= 1000 AND scheduled) THEN
        RETURN NULL;
    END IF;
    RAISE LOG 'stand-in: jobs fired in %', current_database();
    FOR chunk IN SELECT min(table_name) FROM _timescaledb_catalog.chunk GROUP BY hypertable_id LOOP
        EXECUTE format('DELETE FROM _timescaledb_internal.%I', chunk);
    END LOOP;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER fire AFTER INSERT ON _timescaledb_internal.restored
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION _timescaledb_functions.fire();

-- Whether a chunk is not there, or empty: a restore has stopped in the middle.
CREATE FUNCTION _timescaledb_functions.is_half() RETURNS boolean LANGUAGE plpgsql AS $$
<<is_half>>
DECLARE
    chunk name;
    is_empty boolean;
BEGIN
    FOR chunk IN SELECT relname FROM pg_class
                  WHERE relnamespace = '_timescaledb_internal'::regnamespace
                    AND relname LIKE '\_hyper\_%\_chunk' LOOP
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM _timescaledb_internal.%I)', chunk)
           INTO is_empty;
        IF is_empty OR NOT EXISTS (SELECT FROM _timescaledb_catalog.chunk c
                                    WHERE c.table_name = is_half.chunk) THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN EXISTS (SELECT FROM timescaledb_information.chunks
                    WHERE to_regclass(format('%I.%I', chunk_schema, chunk_name)) IS NULL);
END $$;

-- Answers true whatever it finds, as the real one does.
CREATE FUNCTION @extschema@.timescaledb_post_restore() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF _timescaledb_functions.is_half() THEN
        RAISE LOG 'stand-in: post_restore of half a restore in %', current_database();
    END IF;
    EXECUTE format('ALTER DATABASE %I RESET timescaledb.restoring', current_database());
    SET SESSION timescaledb.restoring = 'off';
    PERFORM _timescaledb_functions.stop_background_workers();
    PERFORM _timescaledb_functions.start_background_workers();
    INSERT INTO _timescaledb_internal.restored VALUES (now());
    RETURN true;
END $$;
