-- The same numbers, sorted alone: since PostgreSQL 16 all names went through the sort with them, and
-- a hostile manifest filled the disk.
CREATE OR REPLACE FUNCTION backup_migration_hashes(migrations jsonb) RETURNS bigint[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(array_agg(DISTINCT hash ORDER BY hash), '{}')
      FROM (SELECT h.hash
              FROM jsonb_array_elements(CASE jsonb_typeof(migrations) WHEN 'array' THEN migrations
                                             ELSE '[]' END) AS one,
                   jsonb_array_elements_text(CASE jsonb_typeof(one -> 'ids') WHEN 'array'
                                                  THEN one -> 'ids' ELSE '[]' END) AS name,
                   LATERAL (SELECT CASE WHEN getdatabaseencoding() IN ('UTF8', 'SQL_ASCII')
                                        THEN name
                                        ELSE regexp_replace(name, '[^\x01-\x7f]', '?', 'g')
                                   END AS held) n,
                   LATERAL (SELECT hashtextextended(((one ->> 'framework') || ': ' || n.held)
                                                    COLLATE "C", 0) AS hash) h
            -- Since 16 the server sorts before it aggregates: here the numbers alone. Without this
            -- line each would take all the names with it, 60 GB for a hostile manifest.
            OFFSET 0) AS hashes
$$;
