-- The audit trail: partitioned by hash, jsonb documents, a plain sequence that it shares.

CREATE SEQUENCE audit.event_number MAXVALUE 9000000000 CACHE 50;

CREATE TABLE audit.events (
    id bigint NOT NULL DEFAULT nextval('audit.event_number'),
    happened_at timestamptz NOT NULL,
    actor name NOT NULL DEFAULT current_user,
    relation text NOT NULL,
    action text NOT NULL CHECK (action IN ('INSERT', 'UPDATE', 'DELETE')),
    document jsonb NOT NULL,
    PRIMARY KEY (id)
) PARTITION BY HASH (id);

SELECT format('CREATE TABLE audit.events_%s PARTITION OF audit.events '
    'FOR VALUES WITH (MODULUS 4, REMAINDER %s)', part, part)
FROM generate_series(0, 3) AS part
\gexec

INSERT INTO audit.events (happened_at, actor, relation, action, document)
SELECT
    timestamptz '2024-01-01' + n * interval '17 minutes',
    'shop_app',
    ('{crm.customers,inventory.stock,sales.orders}'::text[])[1 + pg_temp.pick(n, 1, 3)],
    ('{INSERT,UPDATE,DELETE}'::text[])[1 + pg_temp.pick_skewed(n, 2, 3)],
    jsonb_build_object(
        'request', md5('request ' || n),
        'address', '10.' || pg_temp.pick(n, 3, 250) || '.0.' || pg_temp.pick(n, 4, 250),
        'old', jsonb_build_object('value', pg_temp.word(n, 5), 'count', pg_temp.pick(n, 6, 900)),
        'new', jsonb_build_object('value', pg_temp.word(n, 7), 'count', pg_temp.pick(n, 8, 900)))
FROM generate_series(1, 60000) AS n;

CREATE INDEX events_document ON audit.events USING gin (document);
CREATE INDEX events_time ON audit.events USING brin (happened_at);
