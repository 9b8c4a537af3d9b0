-- The sample database of the demo: a shop, about 145 MB on disk.
--
-- In:  an empty database, a superuser's psql session (roles are created where missing).
-- Out: schemas crm, inventory, sales, audit, and a Django application's tables in public.
-- Holds: the same rows on every machine: all values are arithmetic over hashes of row numbers,
--        no random(), no now(). One of each kind of object that a backup has to carry.
--
--     createdb shop && psql -d shop -f demo/sample.sql

\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET synchronous_commit = off;
SET maintenance_work_mem = '256MB';
SET timezone = 'UTC';

\ir sample/roles.sql
\ir sample/generator.sql
\ir sample/types.sql
SET ROLE shop_owner;
\ir sample/crm.sql
\ir sample/inventory.sql
\ir sample/sales.sql
\ir sample/audit.sql
\ir sample/django.sql
\ir sample/code.sql
\ir sample/rights.sql
RESET ROLE;
\ir sample/settings.sql

ANALYZE;
