-- The data that bench/run.sh measures with: an application's tables, in the mix of text, numbers
-- and documents that databases of web applications hold.
--
-- In:  psql variable `scale`: 1 is about 750 MB of COPY data. Out: four tables with keys.
-- Holds: the same rows at every run; `pg_dump -Fc` makes between a fifth and an eighth of them,
--        as it does of real databases.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET maintenance_work_mem = '256MB';
SET timezone = 'UTC';

CREATE FUNCTION pg_temp.pick(n bigint, seed bigint, below integer) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT ((hashint8extended(n, seed) & 2147483647) % below)::integer $$;

CREATE FUNCTION pg_temp.word(n bigint, seed bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT ('{amber,basket,candle,drawer,enamel,feather,garden,hinge,ivory,jacket,kettle,lantern,
        mirror,needle,orchard,paper,quilt,ribbon,saddle,teapot,umbrella,velvet,walnut,yarn,zipper,
        anchor,blanket,copper,denim,earthen,folding,glass,hammock,indigo,jasmine,knitted,linen,
        marble,nickel,oak,pewter,quartz,rattan,slate,timber,upright,vintage,woven,azure,bronze,
        compact,double,electric,fine,gentle,heavy,insulated,jointed,kitchen,large,modern,natural,
        outdoor,portable}'::text[])[1 + pg_temp.pick(n, seed, 64)]
$$;

-- Paragraphs that an application sends again and again, as in mails, tickets and product texts.
CREATE TEMPORARY TABLE paragraph AS
SELECT n AS id, string_agg(pg_temp.word(n, position), ' ' ORDER BY position) || '. ' AS text
FROM generate_series(1, 1000) AS n, generate_series(1, 30) AS position
GROUP BY n;

CREATE TABLE accounts (
    id bigint, name text, email text, balance numeric(12, 2), tags text[], created_at timestamptz
);
INSERT INTO accounts
SELECT n, 'Account ' || md5(n::text),
    'user' || n || '@mail' || pg_temp.pick(n, 1, 40) || '.example',
    pg_temp.pick(n, 2, 10000000) / 100.0, ARRAY['tag' || pg_temp.pick(n, 3, 20), 'newsletter'],
    timestamptz '2020-01-01' + n * interval '97 seconds'
FROM generate_series(1, (400000 * :scale)::integer) AS n;

-- Visits of about twelve events each, 250 of them at a time: what belongs to one visit comes again
-- after some hundred rows.
CREATE TABLE events (
    id bigint, happened_at timestamptz, account_id bigint, visit uuid, payload jsonb
);
INSERT INTO events
SELECT n, timestamptz '2023-01-01' + n * interval '230 milliseconds',
    1 + pg_temp.pick(visit, 1, 400000), md5(visit::text)::uuid,
    jsonb_build_object(
        'kind', ('{view,view,view,search,basket,payment}'::text[])[1 + pg_temp.pick(n, 2, 6)],
        'path', '/' || pg_temp.word(article, 1) || '/' || pg_temp.word(article, 2) || '-' ||
            article,
        'agent', 'Mozilla/5.0 (X11; Linux x86_64; rv:' || 100 + pg_temp.pick(visit, 5, 12) || '.0)',
        'status', 200,
        'milliseconds', pg_temp.pick(n, 7, 90) * 10,
        'address', '10.' || pg_temp.pick(visit, 8, 250) || '.7.' || pg_temp.pick(visit, 9, 250),
        'referrer', 'https://search.example/?q=' || pg_temp.word(visit, 3) || '&id=' || visit)
FROM generate_series(1, (1300000 * :scale)::integer) AS n,
    LATERAL (SELECT n / 3000 * 250 + pg_temp.pick(n, 1, 250) AS visit,
        pg_temp.pick(n, 3, 3000) AS article) AS of;

CREATE TABLE documents (id bigint, account_id bigint, subject text, body text, state text);
INSERT INTO documents
SELECT n, 1 + pg_temp.pick(n, 1, 400000),
    'Order ' || pg_temp.pick(n, 2, 900000) || ' is on its way',
    a.text || concat_ws(' ', 'Parcel', pg_temp.pick(n, 5, 2000000000), pg_temp.word(n, 10),
        pg_temp.word(n, 11), pg_temp.word(n, 12), pg_temp.word(n, 13), pg_temp.word(n, 14),
        pg_temp.word(n, 15)) || '. ' || b.text || c.text,
    ('{draft,sent,read}'::text[])[1 + pg_temp.pick(n, 9, 3)]
FROM generate_series(1, (300000 * :scale)::integer) AS n
JOIN pg_temp.paragraph AS a ON a.id = 1 + pg_temp.pick(n, 3, 1000)
JOIN pg_temp.paragraph AS b ON b.id = 1 + pg_temp.pick(n, 4, 1000)
JOIN pg_temp.paragraph AS c ON c.id = 1 + pg_temp.pick(n, 6, 1000);

CREATE TABLE measurements (
    sensor integer, taken_at timestamptz, value double precision, quality smallint
);
INSERT INTO measurements
SELECT n % 200, timestamptz '2024-01-01' + (n / 200) * interval '1 minute',
    round((20 + 5 * sin(n / 5000.0) + pg_temp.pick(n, 1, 100) / 100.0)::numeric, 2), 100
FROM generate_series(1, (2500000 * :scale)::integer) AS n;

ALTER TABLE accounts ADD PRIMARY KEY (id);
ALTER TABLE events ADD PRIMARY KEY (id);
ALTER TABLE documents ADD PRIMARY KEY (id);
CREATE INDEX ON events (account_id);
CREATE INDEX ON measurements USING brin (taken_at);
