-- Roles of the shop: an owner that cannot log in, the application, a reader for reports.
-- Roles belong to the whole server, so each is created only where it is missing.

SELECT format('CREATE ROLE %I %s', wanted.name, wanted.options)
FROM (VALUES
    ('shop_owner', 'NOLOGIN'),
    ('shop_app', 'LOGIN CONNECTION LIMIT 50'),
    ('shop_readonly', 'LOGIN')
) AS wanted (name, options)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted.name)
\gexec

SELECT format('ALTER DATABASE %I OWNER TO shop_owner', current_database())
\gexec

COMMENT ON ROLE shop_app IS 'the web application';
ALTER SCHEMA public OWNER TO shop_owner;
