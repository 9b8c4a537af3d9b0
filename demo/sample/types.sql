-- Schemas, extensions, and the types that the tables are made of.

CREATE EXTENSION pg_trgm SCHEMA public;
CREATE EXTENSION btree_gist SCHEMA public;

CREATE SCHEMA crm AUTHORIZATION shop_owner;
CREATE SCHEMA inventory AUTHORIZATION shop_owner;
CREATE SCHEMA sales AUTHORIZATION shop_owner;
CREATE SCHEMA audit AUTHORIZATION shop_owner;
COMMENT ON SCHEMA crm IS 'who the customers are';
COMMENT ON SCHEMA audit IS 'who changed what; written by triggers only';

SET ROLE shop_owner;

CREATE TYPE crm.customer_tier AS ENUM ('new', 'regular', 'gold', 'Très fidèle');
CREATE TYPE crm.postal_address AS (street text, city text, postal_code text, country character(2));
CREATE DOMAIN crm.email_address AS text
    CONSTRAINT looks_like_email CHECK (VALUE ~ '^[^@[:space:]]+@[^@[:space:]]+\.[a-z]{2,}$');

CREATE DOMAIN public.amount AS numeric(12, 2) CHECK (VALUE >= 0);
COMMENT ON DOMAIN public.amount IS 'euros; never negative';

CREATE TYPE sales.order_status AS ENUM
    ('draft', 'placed', 'paid', 'packed', 'shipped', 'delivered', 'returned', 'cancelled');
CREATE TYPE inventory.amount_range AS RANGE (subtype = numeric);

CREATE TEXT SEARCH CONFIGURATION inventory.catalogue (COPY = pg_catalog.english);
CREATE COLLATION inventory.by_number (provider = icu, locale = 'en-u-kn-true');

RESET ROLE;
