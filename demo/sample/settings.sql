-- What belongs to the database itself, and what only a superuser may create in it.

SELECT format('ALTER DATABASE %I SET %s', current_database(), setting)
FROM unnest('{"timezone = ''Europe/Paris''","statement_timeout = ''10min''",
    "shop.tax_rate = ''0.20''"}'::text[]) AS setting
\gexec
SELECT format('ALTER ROLE shop_app IN DATABASE %I SET statement_timeout = ''5s''',
    current_database())
\gexec
SELECT format('COMMENT ON DATABASE %I IS %L', current_database(), 'sample data; nothing is real')
\gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database())
\gexec
SELECT format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO shop_app, shop_readonly',
    current_database())
\gexec

CREATE FUNCTION audit.warn_of_drop() RETURNS event_trigger
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE DEBUG 'dropped by %', current_user;
END
$$;
CREATE EVENT TRIGGER warn_of_drop ON sql_drop EXECUTE FUNCTION audit.warn_of_drop();
