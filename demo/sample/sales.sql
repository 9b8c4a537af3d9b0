-- Orders, partitioned by month with a default partition, their lines, and carts behind row
-- level security.

\set orders 150000

CREATE SEQUENCE sales.order_number START WITH 100000;

CREATE TABLE sales.orders (
    id bigint NOT NULL DEFAULT nextval('sales.order_number'),
    ordered_on date NOT NULL,
    customer_id bigint NOT NULL,
    status sales.order_status NOT NULL DEFAULT 'draft',
    delivery jsonb,
    remark text,
    PRIMARY KEY (id, ordered_on)
) PARTITION BY RANGE (ordered_on);
ALTER SEQUENCE sales.order_number OWNED BY sales.orders.id;

SELECT format('CREATE TABLE sales.orders_%s PARTITION OF sales.orders FOR VALUES FROM (%L) TO (%L)',
    to_char(month, 'YYYY_MM'), month::date, (month + interval '1 month')::date)
FROM generate_series(timestamp '2024-01-01', '2025-12-01', '1 month') AS month
\gexec
CREATE TABLE sales.orders_other PARTITION OF sales.orders DEFAULT;
COMMENT ON TABLE sales.orders_other IS 'orders from before 2024 and from the future';

-- 735 days from 2023-12-31: what lies outside the months above goes to the default partition.
INSERT INTO sales.orders (ordered_on, customer_id, status, delivery, remark)
SELECT
    date '2023-12-31' + (n * 735 / :orders)::integer,
    1 + pg_temp.pick_skewed(n, 1, 40000),
    (enum_range(NULL::sales.order_status))[1 + pg_temp.pick(n, 2, 8)],
    CASE WHEN pg_temp.pick(n, 3, 3) > 0 THEN jsonb_build_object(
        'carrier', ('{post,bike,"van 2"}'::text[])[1 + pg_temp.pick(n, 4, 3)],
        'city', pg_temp.city(n, 5), 'parcels', 1 + pg_temp.pick_skewed(n, 6, 5)) END,
    CASE WHEN pg_temp.pick(n, 7, 20) = 0 THEN 'please wrap the ' || pg_temp.word(n, 8) END
FROM generate_series(0, :orders - 1) AS n;

ALTER TABLE sales.orders ADD FOREIGN KEY (customer_id) REFERENCES crm.customers;
CREATE INDEX orders_customer ON sales.orders (customer_id);
CREATE INDEX orders_delivery ON sales.orders USING gin (delivery jsonb_path_ops);

CREATE TABLE sales.order_lines (
    order_id bigint NOT NULL,
    ordered_on date NOT NULL,
    line smallint NOT NULL CHECK (line > 0),
    product_id integer NOT NULL,
    quantity smallint NOT NULL CHECK (quantity BETWEEN 1 AND 100),
    unit_price public.amount NOT NULL,
    total numeric(14, 2) GENERATED ALWAYS AS (quantity * unit_price) STORED
);
INSERT INTO sales.order_lines (order_id, ordered_on, line, product_id, quantity, unit_price)
SELECT 100000 + n, date '2023-12-31' + (n * 735 / :orders)::integer, line,
    1 + pg_temp.pick_skewed(n * 4 + line, 1, 8000), 1 + pg_temp.pick_skewed(n * 4 + line, 2, 9),
    1 + pg_temp.pick(n * 4 + line, 3, 20000) / 100.0
FROM generate_series(0, :orders - 1) AS n, generate_series(1, 1 + pg_temp.pick(n, 9, 3)) AS line;

ALTER TABLE sales.order_lines ADD PRIMARY KEY (order_id, line);
ALTER TABLE sales.order_lines
    ADD FOREIGN KEY (order_id, ordered_on) REFERENCES sales.orders (id, ordered_on)
        ON DELETE CASCADE,
    ADD FOREIGN KEY (product_id) REFERENCES inventory.products;

CREATE TABLE sales.carts (
    id uuid PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES crm.customers,
    items jsonb NOT NULL CHECK (jsonb_typeof(items) = 'array'),
    expires_at timestamptz NOT NULL
);
INSERT INTO sales.carts
SELECT md5('cart ' || n)::uuid, 1 + pg_temp.pick(n, 1, 40000),
    jsonb_build_array(jsonb_build_object('product', 1 + pg_temp.pick(n, 2, 8000), 'quantity', 1)),
    timestamptz '2026-01-01' + n * interval '1 minute'
FROM generate_series(1, 5000) AS n;

ALTER TABLE sales.carts ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_cart ON sales.carts TO shop_app
    USING (customer_id = current_setting('shop.customer', true)::bigint)
    WITH CHECK (customer_id = current_setting('shop.customer', true)::bigint);
CREATE POLICY reports ON sales.carts AS RESTRICTIVE FOR SELECT TO shop_readonly
    USING (expires_at > timestamptz '2026-01-02');

CREATE UNLOGGED TABLE sales.price_cache (product_id integer PRIMARY KEY, price public.amount);
INSERT INTO sales.price_cache SELECT id, net_price FROM inventory.products WHERE id <= 500;

CREATE VIEW sales.open_orders WITH (security_barrier) AS
    SELECT o.id, o.ordered_on, c.full_name, sum(l.total) AS total
    FROM sales.orders AS o
    JOIN crm.customers AS c ON c.id = o.customer_id
    JOIN sales.order_lines AS l ON l.order_id = o.id AND l.ordered_on = o.ordered_on
    WHERE o.status IN ('placed', 'paid', 'packed')
    GROUP BY o.id, o.ordered_on, c.full_name;
COMMENT ON VIEW sales.open_orders IS 'what still has to leave the house';

CREATE MATERIALIZED VIEW sales.monthly_revenue AS
    SELECT date_trunc('month', l.ordered_on)::date AS month, p.category,
        sum(l.total) AS revenue, count(*) AS lines
    FROM sales.order_lines AS l JOIN inventory.products AS p ON p.id = l.product_id
    GROUP BY 1, 2;
CREATE UNIQUE INDEX monthly_revenue_key ON sales.monthly_revenue (month, category);

CREATE VIEW sales."Revenue per Month" AS
    SELECT month AS "Month", sum(revenue) AS "Revenue (€)" FROM sales.monthly_revenue GROUP BY 1;
