-- Who may do what: whole schemas, single columns, functions, and what is yet to come.

GRANT USAGE ON SCHEMA crm, inventory, sales TO shop_app, shop_readonly;
GRANT USAGE ON SCHEMA audit TO shop_readonly;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sales TO shop_app;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA crm, inventory, public TO shop_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA sales, crm, inventory, public TO shop_app;

GRANT SELECT ON ALL TABLES IN SCHEMA sales, inventory, audit TO shop_readonly;
GRANT SELECT (id, code, tier, created_at) ON crm.customers TO shop_readonly;
GRANT SELECT (username, date_joined), UPDATE (last_login) ON public.auth_user TO shop_readonly;

REVOKE EXECUTE ON FUNCTION audit.record_change() FROM PUBLIC;
REVOKE EXECUTE ON PROCEDURE sales.refresh_reports() FROM PUBLIC;
GRANT EXECUTE ON PROCEDURE sales.refresh_reports() TO shop_app WITH GRANT OPTION;

ALTER DEFAULT PRIVILEGES IN SCHEMA sales GRANT SELECT ON TABLES TO shop_readonly;
ALTER DEFAULT PRIVILEGES IN SCHEMA sales GRANT USAGE ON SEQUENCES TO shop_app;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
