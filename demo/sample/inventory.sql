-- Products with jsonb, pictures as bytea, prices that may not overlap, stock.

CREATE TABLE inventory.categories (
    id smallint PRIMARY KEY,
    parent smallint REFERENCES inventory.categories,
    name text COLLATE inventory.by_number NOT NULL UNIQUE
);
INSERT INTO inventory.categories
SELECT n, CASE WHEN n > 8 THEN 1 + n % 8 END, initcap(pg_temp.word(n, 1)) || ' ' || n
FROM generate_series(1, 60) AS n;

CREATE SEQUENCE inventory.sku_number AS integer START WITH 500 INCREMENT BY 3 CACHE 20;
CREATE TABLE inventory.products (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sku text NOT NULL UNIQUE DEFAULT 'SKU-' || nextval('inventory.sku_number'),
    name text NOT NULL,
    category smallint NOT NULL REFERENCES inventory.categories,
    net_price public.amount NOT NULL,
    gross_price numeric(14, 4) GENERATED ALWAYS AS (net_price * 1.2) STORED,
    colours text[] NOT NULL,
    box_mm integer[][] CHECK (array_ndims(box_mm) = 2),
    attributes jsonb NOT NULL,
    description text NOT NULL,
    search tsvector GENERATED ALWAYS AS
        (to_tsvector('inventory.catalogue', name || ' ' || description)) STORED
);
ALTER SEQUENCE inventory.sku_number OWNED BY inventory.products.sku;

INSERT INTO inventory.products
    (name, category, net_price, colours, box_mm, attributes, description)
SELECT
    initcap(pg_temp.word(n, 1) || ' ' || pg_temp.word(n, 2)),
    1 + pg_temp.pick(n, 3, 60),
    1 + pg_temp.pick_skewed(n, 4, 90000) / 100.0,
    ARRAY[pg_temp.word(n, 5), pg_temp.word(n, 6)],
    ARRAY[ARRAY[pg_temp.pick(n, 7, 900), 2], ARRAY[pg_temp.pick(n, 8, 900), 4]],
    jsonb_build_object('material', pg_temp.word(n, 9), 'fragile', pg_temp.pick(n, 10, 9) = 0,
        'care', jsonb_build_object('wash', pg_temp.pick(n, 11, 5) * 15, 'iron', NULL)),
    concat_ws(' ', 'A', pg_temp.word(n, 12), pg_temp.word(n, 13), 'for the',
        pg_temp.word(n, 14), pg_temp.word(n, 15) || '; made of', pg_temp.word(n, 16), 'and',
        pg_temp.word(n, 17) || ', 100 % "natural" — ½ price in spring')
FROM generate_series(1, 8000) AS n;

CREATE INDEX products_attributes ON inventory.products USING gin (attributes jsonb_path_ops);
CREATE INDEX products_search ON inventory.products USING gin (search);
CREATE INDEX products_colours ON inventory.products USING gin (colours);
CREATE INDEX products_margin ON inventory.products ((gross_price - net_price)) INCLUDE (sku);

CREATE TABLE inventory.product_images (
    product_id integer REFERENCES inventory.products ON DELETE CASCADE,
    position smallint,
    image bytea NOT NULL,
    PRIMARY KEY (product_id, position)
);
ALTER TABLE inventory.product_images ALTER COLUMN image SET STORAGE EXTERNAL;
INSERT INTO inventory.product_images
SELECT n, 1, pg_temp.noise(100 + n, 128) FROM generate_series(1, 500) AS n;

CREATE TABLE inventory.price_periods (
    product_id integer NOT NULL REFERENCES inventory.products,
    valid daterange NOT NULL,
    accepted inventory.amount_range,
    price public.amount NOT NULL,
    CONSTRAINT one_price_at_a_time EXCLUDE USING gist (product_id WITH =, valid WITH &&)
);
INSERT INTO inventory.price_periods
SELECT product, daterange(date '2024-01-01' + 90 * quarter, date '2024-01-01' + 90 * quarter + 90),
    inventory.amount_range(1, 5 + quarter), 5 + pg_temp.pick(product + quarter, 1, 9000) / 100.0
FROM generate_series(1, 1500) AS product, generate_series(0, 3) AS quarter;

CREATE TABLE inventory.warehouses (
    code character(3) PRIMARY KEY,
    city text NOT NULL,
    location point NOT NULL,
    network inet NOT NULL
);
INSERT INTO inventory.warehouses VALUES
    ('LYS', 'Lyon', '(45.72,5.09)', '10.1.0.0/16'),
    ('OPO', 'Porto', '(41.24,-8.68)', '10.2.0.0/16'),
    ('GDN', 'Gdańsk', '(54.38,18.47)', 'fd00:3::/48');

CREATE TABLE inventory.stock (
    warehouse character(3) REFERENCES inventory.warehouses,
    product_id integer REFERENCES inventory.products,
    on_hand integer NOT NULL CHECK (on_hand >= 0),
    reserved integer NOT NULL DEFAULT 0,
    CONSTRAINT enough_on_hand CHECK (reserved <= on_hand),
    PRIMARY KEY (warehouse, product_id)
);
INSERT INTO inventory.stock
SELECT w.code, p.id, 50 + pg_temp.pick(p.id, ascii(w.code), 400), pg_temp.pick(p.id, 2, 40)
FROM inventory.warehouses AS w, inventory.products AS p;
