-- A database with every kind of object that pg_dump knows. Run by psql, once for each database of
-- a cluster; roles are made before.
SET client_min_messages = warning;
CREATE SCHEMA ext; CREATE SCHEMA "Kitchen 1" AUTHORIZATION cook;
COMMENT ON SCHEMA "Kitchen 1" IS 'with a ; and a '' in it';
GRANT USAGE, CREATE ON SCHEMA "Kitchen 1" TO waiter WITH GRANT OPTION;
GRANT CREATE ON SCHEMA public TO cook;
CREATE EXTENSION hstore SCHEMA ext; CREATE EXTENSION pg_trgm SCHEMA ext VERSION '1.5';
CREATE EXTENSION postgres_fdw; COMMENT ON EXTENSION hstore IS 'ours';

-- Languages, transforms, access methods.
CREATE FUNCTION call_it() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE FUNCTION inline_it(internal) RETURNS void LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_inline_handler';
CREATE FUNCTION valid_it(oid) RETURNS void LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_validator';
CREATE TRUSTED LANGUAGE plkitchen HANDLER call_it INLINE inline_it VALIDATOR valid_it;
COMMENT ON LANGUAGE plkitchen IS 'l'; GRANT USAGE ON LANGUAGE plkitchen TO waiter;
CREATE TRANSFORM FOR int LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal),
                                       TO SQL WITH FUNCTION int4recv(internal));
COMMENT ON TRANSFORM FOR int LANGUAGE sql IS 't';
CREATE ACCESS METHOD gist_too TYPE INDEX HANDLER gisthandler;
CREATE ACCESS METHOD heap_too TYPE TABLE HANDLER heap_tableam_handler;
COMMENT ON ACCESS METHOD heap_too IS 'am';

-- Types.
CREATE TYPE mood AS ENUM ('sad', 'it''s ok', 'happy'); ALTER TYPE mood ADD VALUE 'so so' AFTER 'sad';
CREATE TYPE pair AS (a int, b text COLLATE "C"); COMMENT ON COLUMN pair.b IS 'second';
CREATE FUNCTION apart(float8, float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT $2 - $1';
CREATE TYPE span AS RANGE (subtype = float8, subtype_diff = apart, multirange_type_name = spans);
CREATE TYPE shelf;
CREATE FUNCTION shelf_in(cstring) RETURNS shelf LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION shelf_out(shelf) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE TYPE shelf (INPUT = shelf_in, OUTPUT = shelf_out, INTERNALLENGTH = 4, PASSEDBYVALUE,
                   ALIGNMENT = int4, DEFAULT = '7', CATEGORY = 'N');
CREATE TYPE empty_shell;
CREATE DOMAIN positive AS int DEFAULT 1 NOT NULL CONSTRAINT plus CHECK (VALUE > 0);
ALTER DOMAIN positive ADD CONSTRAINT small CHECK (VALUE < 1000000) NOT VALID;
COMMENT ON CONSTRAINT plus ON DOMAIN positive IS 'p'; GRANT USAGE ON TYPE mood TO waiter;
REVOKE ALL ON TYPE pair FROM PUBLIC; GRANT USAGE ON TYPE pair TO cook;
CREATE COLLATION german (provider = icu, locale = 'de-u-co-phonebk', deterministic = false);
CREATE COLLATION plain FROM "C"; COMMENT ON COLLATION german IS 'c';

-- Routines, casts, operators, conversions, text search.
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE COST 3
    SET work_mem = '1MB' RETURN $1 * 2;
CREATE PROCEDURE wash(INOUT n int, VARIADIC rest text[] DEFAULT '{}') LANGUAGE plpgsql
    SECURITY DEFINER AS $$ BEGIN n := n + 1; END $$;
CREATE FUNCTION in_kitchen() RETURNS text LANGUAGE plkitchen AS $$ BEGIN RETURN 'x'; END $$;
COMMENT ON PROCEDURE wash IS 'w'; REVOKE ALL ON FUNCTION twice FROM PUBLIC;
CREATE FUNCTION add_up(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + coalesce($2, 0)';
CREATE AGGREGATE total(int) (SFUNC = add_up, STYPE = int, INITCOND = '0', COMBINEFUNC = add_up,
                             MSFUNC = add_up, MINVFUNC = add_up, MSTYPE = int, MINITCOND = '0');
COMMENT ON AGGREGATE total(int) IS 'a';
CREATE FUNCTION to_pair(int) RETURNS pair LANGUAGE sql IMMUTABLE AS 'SELECT ROW($1, '''')::pair';
CREATE CAST (int AS pair) WITH FUNCTION to_pair(int) AS ASSIGNMENT;
CREATE CAST (shelf AS int) WITHOUT FUNCTION; COMMENT ON CAST (shelf AS int) IS 'c';
CREATE FUNCTION near(int, int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT abs($1 - $2) < 2';
CREATE OPERATOR <~> (FUNCTION = near, LEFTARG = int, RIGHTARG = int, COMMUTATOR = <~>,
                     RESTRICT = eqsel, JOIN = eqjoinsel);
COMMENT ON OPERATOR <~>(int, int) IS 'o';
CREATE OPERATOR FAMILY family USING btree; COMMENT ON OPERATOR FAMILY family USING btree IS 'f';
CREATE OPERATOR CLASS backwards FOR TYPE int USING btree FAMILY family AS OPERATOR 1 >,
    OPERATOR 2 >=, OPERATOR 3 =, OPERATOR 4 <=, OPERATOR 5 <, FUNCTION 1 btint4cmp(int, int);
CREATE OPERATOR CLASS on_hash FOR TYPE bigint USING hash AS OPERATOR 1 =, FUNCTION 1 hashint8(bigint);
CREATE CONVERSION latin FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
COMMENT ON CONVERSION latin IS 'c';
CREATE TEXT SEARCH PARSER cut (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end,
                               LEXTYPES = prsd_lextype, HEADLINE = prsd_headline);
CREATE TEXT SEARCH TEMPLATE simpler (INIT = dsimple_init, LEXIZE = dsimple_lexize);
CREATE TEXT SEARCH DICTIONARY words (TEMPLATE = simpler, STOPWORDS = english);
CREATE TEXT SEARCH CONFIGURATION search (PARSER = cut);
ALTER TEXT SEARCH CONFIGURATION search ADD MAPPING FOR asciiword, word WITH words, english_stem;
COMMENT ON TEXT SEARCH CONFIGURATION search IS 's'; COMMENT ON TEXT SEARCH DICTIONARY words IS 'd';

-- Relations.
SET ROLE cook;
CREATE TABLE "Kitchen 1".dishes (
    id bigint GENERATED BY DEFAULT AS IDENTITY (START 10 INCREMENT 5), name text COLLATE "C" NOT NULL,
    feeling public.mood DEFAULT 'happy', size public.positive, couple public.pair, room public.span,
    "a""b'c;\d" text, doc jsonb, raw bytea, "twice" int GENERATED ALWAYS AS (size * 2) STORED,
    tags text[], CONSTRAINT "the key" PRIMARY KEY (id), CONSTRAINT dear CHECK (size <> 13) NO INHERIT,
    EXCLUDE USING gist (room WITH &&) DEFERRABLE INITIALLY DEFERRED);
INSERT INTO "Kitchen 1".dishes (name, size, couple, room, "a""b'c;\d", doc, raw, tags)
SELECT 'dish ' || i, i, ROW(i, E'tab\t\\.')::public.pair, public.span(i, i + 0.5),
       CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN '' ELSE E'\\.\nCOPY x FROM stdin;' END,
       jsonb_build_object('k', i), decode(md5(i::text), 'hex'), ARRAY['a,b', '"', NULL]
  FROM generate_series(14, 700) i;
SELECT setval('"Kitchen 1".dishes_id_seq', 99990, false);
COMMENT ON TABLE "Kitchen 1".dishes IS E'line\nline'; COMMENT ON COLUMN "Kitchen 1".dishes.doc IS 'j';
COMMENT ON CONSTRAINT dear ON "Kitchen 1".dishes IS 'c';
GRANT SELECT (name, doc), UPDATE (name) ON "Kitchen 1".dishes TO waiter WITH GRANT OPTION;
RESET ROLE;
ALTER TABLE "Kitchen 1".dishes ALTER doc SET STORAGE EXTERNAL, ALTER size SET STATISTICS 77,
    ALTER name SET (n_distinct = -0.5), SET (fillfactor = 80, autovacuum_enabled = off),
    CLUSTER ON "the key", REPLICA IDENTITY FULL;
CREATE TABLE parent (i int PRIMARY KEY, at date NOT NULL DEFAULT '2020-02-02') USING heap_too;
CREATE TABLE child (more text) INHERITS (parent);
CREATE TABLE parts (k int, v text, PRIMARY KEY (k)) PARTITION BY RANGE (k);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (100) PARTITION BY HASH (k);
CREATE TABLE parts_1a PARTITION OF parts_1 FOR VALUES WITH (MODULUS 1, REMAINDER 0);
CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
INSERT INTO parts SELECT i, 'v' || i FROM generate_series(1, 300) i;
INSERT INTO parent SELECT generate_series(1, 20); INSERT INTO child VALUES (100, '2021-01-01', 'm');
CREATE TABLE refers (k int REFERENCES parts ON DELETE CASCADE DEFERRABLE, up int,
    self int UNIQUE NULLS NOT DISTINCT);
ALTER TABLE refers ADD FOREIGN KEY (up) REFERENCES refers (self), ADD CONSTRAINT unsure
    FOREIGN KEY (up) REFERENCES parent NOT VALID;
INSERT INTO refers VALUES (5, NULL, 1), (6, 1, 2);
CREATE UNLOGGED TABLE unlogged (i int); INSERT INTO unlogged VALUES (1), (2);
CREATE TABLE typed OF pair (PRIMARY KEY (a)); INSERT INTO typed VALUES (1, 'x');
CREATE TABLE no_columns (); INSERT INTO no_columns DEFAULT VALUES;
CREATE TABLE dropped (a int, gone text, b int); ALTER TABLE dropped DROP gone;
INSERT INTO dropped VALUES (1, 2);
CREATE TABLE strange (s shelf, h ext.hstore, f float8, r real, n numeric, t timestamptz, x xml);
INSERT INTO strange VALUES ('3', 'a=>1', 0.1, 'NaN', 'Infinity', 'infinity', '<a/>'),
    ('-1', NULL, 1e-300, 3.4e38, 1e100, '0001-01-01 BC', NULL);
CREATE INDEX ON "Kitchen 1".dishes USING gin (doc jsonb_path_ops);
CREATE UNIQUE INDEX partial ON "Kitchen 1".dishes (lower(name) DESC NULLS LAST) INCLUDE (id)
    WITH (fillfactor = 70) WHERE size > 10;
ALTER INDEX "Kitchen 1".partial ALTER COLUMN 1 SET STATISTICS 400;
CREATE INDEX backwards_index ON parent (i backwards); COMMENT ON INDEX backwards_index IS 'i';
CREATE INDEX trigrams ON child USING gin (more ext.gin_trgm_ops);
CREATE INDEX ON parts (v); CREATE INDEX ON child (i);
CREATE STATISTICS stats (ndistinct, mcv) ON name, size FROM "Kitchen 1".dishes;
ALTER STATISTICS stats SET STATISTICS 50; COMMENT ON STATISTICS stats IS 's';
CREATE SEQUENCE counter AS smallint INCREMENT -3 MINVALUE -99 MAXVALUE 100 START 7 CACHE 5 CYCLE;
CREATE SEQUENCE untouched; SELECT nextval('counter'); ALTER SEQUENCE untouched OWNED BY typed.a;
GRANT USAGE ON SEQUENCE counter TO waiter;

-- Views, rules, triggers, policies.
CREATE VIEW menu WITH (security_barrier, check_option = local) AS
    SELECT id, name FROM "Kitchen 1".dishes WHERE size < 500;
ALTER VIEW menu ALTER name SET DEFAULT 'soup'; COMMENT ON VIEW menu IS 'v';
CREATE RECURSIVE VIEW counting (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM counting WHERE n < 5;
CREATE VIEW loop_1 AS SELECT 1 AS x; CREATE VIEW loop_2 AS SELECT * FROM loop_1;
CREATE OR REPLACE VIEW loop_1 AS SELECT 1 AS x WHERE NOT EXISTS (SELECT FROM parent WHERE i < 0);
CREATE MATERIALIZED VIEW sums AS SELECT v, count(*) AS n FROM parts GROUP BY v;
CREATE UNIQUE INDEX ON sums (v); CREATE MATERIALIZED VIEW sums_2 AS SELECT sum(n) FROM sums;
CREATE MATERIALIZED VIEW not_filled AS SELECT 1 AS one WITH NO DATA;
CREATE RULE quiet AS ON UPDATE TO parent WHERE NEW.i < 0 DO INSTEAD NOTHING;
COMMENT ON RULE quiet ON parent IS 'r';
CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE OF i ON parent FOR EACH ROW WHEN (NEW.i > 5)
    EXECUTE FUNCTION touched('a', E'b\\');
CREATE TRIGGER touch_view INSTEAD OF INSERT ON menu FOR EACH ROW EXECUTE FUNCTION touched();
CREATE TRIGGER on_parts AFTER INSERT ON parts FOR EACH ROW EXECUTE FUNCTION touched();
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON refers DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION touched();
ALTER TABLE parts_rest DISABLE TRIGGER on_parts; COMMENT ON TRIGGER touch ON parent IS 't';
ALTER TABLE "Kitchen 1".dishes ENABLE ROW LEVEL SECURITY; ALTER TABLE parent FORCE ROW LEVEL SECURITY;
CREATE POLICY theirs ON "Kitchen 1".dishes AS RESTRICTIVE FOR UPDATE TO waiter, cook
    USING (name <> '') WITH CHECK (name = current_user);
COMMENT ON POLICY theirs ON "Kitchen 1".dishes IS 'p';

-- Foreign data, replication, event triggers, default privileges, large objects.
CREATE FOREIGN DATA WRAPPER nothing OPTIONS (x 'it''s'); GRANT USAGE ON FOREIGN DATA WRAPPER nothing TO cook;
CREATE SERVER far TYPE 't' VERSION '1' FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '/nowhere', dbname 'x');
CREATE USER MAPPING FOR waiter SERVER far OPTIONS (user 'u', password 'p''w');
CREATE USER MAPPING FOR PUBLIC SERVER far; COMMENT ON SERVER far IS 's';
CREATE FOREIGN TABLE away (i int OPTIONS (column_name 'j') NOT NULL, t text) SERVER far OPTIONS (table_name 'x');
CREATE PUBLICATION some_rows FOR TABLE parent WHERE (i > 1), TABLE parts (k, v) WITH (publish = 'insert', publish_via_partition_root);
CREATE PUBLICATION all_of_schema FOR TABLES IN SCHEMA "Kitchen 1"; CREATE PUBLICATION everything FOR ALL TABLES;
COMMENT ON PUBLICATION everything IS 'p';
CREATE SUBSCRIPTION abo CONNECTION 'host=/nowhere dbname=x' PUBLICATION p
    WITH (connect = false, slot_name = NONE, enabled = false, binary = true);
CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; END $$;
CREATE EVENT TRIGGER watch ON ddl_command_end WHEN TAG IN ('CREATE TABLE', 'ALTER TABLE') EXECUTE FUNCTION on_ddl();
ALTER EVENT TRIGGER watch ENABLE REPLICA; COMMENT ON EVENT TRIGGER watch IS 'e';
ALTER DEFAULT PRIVILEGES FOR ROLE cook IN SCHEMA "Kitchen 1" GRANT INSERT ON TABLES TO waiter;
ALTER DEFAULT PRIVILEGES FOR ROLE cook REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
SELECT lo_from_bytea(4711, decode(repeat('00ff', 9000), 'hex')), lo_create(4712);
GRANT SELECT ON LARGE OBJECT 4711 TO waiter; COMMENT ON LARGE OBJECT 4711 IS 'big';
ALTER LARGE OBJECT 4712 OWNER TO cook;
