-- Functions, procedures, an aggregate, an operator, triggers. Some bodies hold what a careless
-- reader of dumps takes for the end of a body, for data, or for a psql command.

CREATE FUNCTION sales.order_total(order_id bigint) RETURNS numeric
LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT coalesce(sum(l.total), 0) FROM sales.order_lines AS l
    WHERE l.order_id = order_total.order_id;
END;

CREATE FUNCTION audit."Why so tricky?"(INOUT "some text" text DEFAULT 'it''s', OUT tag text)
LANGUAGE plpgsql IMMUTABLE
AS $body$
DECLARE
    nested constant text := $$one ' quote, $tag$ and a "name"$$;
BEGIN
    /* not over yet: $func$ ; /* nested */ COPY public.t (a) FROM stdin;
\.
    */
    -- don't stop here; \connect postgres
    "some text" := replace("some text", E'\\.\n', $x$\.$x$) || nested;
    tag := 'COPY sales.orders FROM stdin;
1	2	\N
\.
';
END
$body$;
COMMENT ON FUNCTION audit."Why so tricky?"(text) IS 'bodies are data; $$ quotes '' nest; \. too';

CREATE FUNCTION audit.record_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO audit.events (happened_at, relation, action, document)
    VALUES (timestamptz '2025-12-31 12:00', TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, TG_OP,
        jsonb_build_object('old', to_jsonb(OLD), 'new', to_jsonb(NEW)));
    RETURN NULL;
END
$$;

CREATE FUNCTION crm.touch() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    NEW.updated_at := timestamptz '2025-12-31 12:00';
    RETURN NEW;
END
$$;

CREATE TRIGGER touch BEFORE UPDATE ON crm.customers
    FOR EACH ROW WHEN (OLD.tier <> NEW.tier) EXECUTE FUNCTION crm.touch();
CREATE TRIGGER record_change AFTER INSERT OR UPDATE OR DELETE ON crm.customers
    FOR EACH ROW EXECUTE FUNCTION audit.record_change();
CREATE TRIGGER record_change AFTER DELETE ON sales.orders
    FOR EACH ROW EXECUTE FUNCTION audit.record_change();
UPDATE crm.customers SET tier = 'Très fidèle' WHERE id % 400 = 0;

CREATE FUNCTION sales.place(sales.open_orders) RETURNS void
LANGUAGE sql
AS 'UPDATE sales.orders SET status = ''placed'' WHERE id = ($1).id';

CREATE FUNCTION sales.place_instead() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    PERFORM sales.place(NEW);
    RETURN NEW;
END
$$;
CREATE TRIGGER place_instead INSTEAD OF UPDATE ON sales.open_orders
    FOR EACH ROW EXECUTE FUNCTION sales.place_instead();

CREATE PROCEDURE sales.refresh_reports()
LANGUAGE plpgsql SECURITY INVOKER
AS $$
BEGIN
    REFRESH MATERIALIZED VIEW sales.monthly_revenue;
    COMMIT;
END
$$;

CREATE AGGREGATE sales.product(double precision) (
    SFUNC = float8mul, STYPE = double precision, INITCOND = '1');

CREATE FUNCTION crm.same_place(crm.postal_address, crm.postal_address) RETURNS boolean
LANGUAGE sql IMMUTABLE
AS $$ SELECT ($1).city = ($2).city AND ($1).country = ($2).country $$;
CREATE OPERATOR crm.~~~ (
    LEFTARG = crm.postal_address, RIGHTARG = crm.postal_address,
    FUNCTION = crm.same_place, COMMUTATOR = OPERATOR(crm.~~~));

CREATE RULE never_forget AS ON DELETE TO audit.events DO INSTEAD NOTHING;
