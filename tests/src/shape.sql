-- What the extension is in this database, a line for each aspect: its members and what hangs on
-- them, without ids and without the schema `tests` of the test build.
WITH extension AS (
    SELECT * FROM pg_extension WHERE extname = 'pg_backup'
), member AS (
    SELECT d.classid, d.objid, i.type, i.identity
      FROM pg_depend d JOIN extension e ON d.refobjid = e.oid,
           pg_identify_object(d.classid, d.objid, 0) i
     WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
       AND i.schema IS DISTINCT FROM 'tests' AND i.identity <> 'tests'
), relation AS (
    SELECT c.*, m.type, m.identity FROM member m
      JOIN pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
), part AS (
    -- What hangs on relations, and has comments too.
    SELECT 'pg_constraint'::regclass AS classid, o.oid AS objid,
           pg_get_constraintdef(o.oid) || concat(' ', o.convalidated) AS definition
      FROM pg_constraint o JOIN relation r ON o.conrelid = r.oid
    UNION ALL
    SELECT 'pg_class'::regclass, x.indexrelid,
           concat_ws(' ', pg_get_indexdef(x.indexrelid), x.indisvalid, x.indisreplident)
      FROM pg_index x JOIN relation r ON x.indrelid = r.oid
    UNION ALL
    SELECT 'pg_trigger'::regclass, t.oid, concat_ws(' ', pg_get_triggerdef(t.oid), t.tgenabled)
      FROM pg_trigger t JOIN relation r ON t.tgrelid = r.oid WHERE NOT t.tgisinternal
    UNION ALL
    SELECT 'pg_rewrite'::regclass, w.oid, concat_ws(' ', pg_get_ruledef(w.oid), w.ev_enabled)
      FROM pg_rewrite w JOIN relation r ON w.ev_class = r.oid
    UNION ALL
    SELECT 'pg_policy'::regclass, p.oid,
           concat_ws(' ', p.polcmd, p.polpermissive, pg_get_expr(p.polqual, p.polrelid),
                     pg_get_expr(p.polwithcheck, p.polrelid))
      FROM pg_policy p JOIN relation r ON p.polrelid = r.oid
    UNION ALL
    SELECT 'pg_statistic_ext'::regclass, s.oid, pg_get_statisticsobjdef(s.oid)
      FROM pg_statistic_ext s JOIN relation r ON s.stxrelid = r.oid
), line AS (
    SELECT m.type, m.identity, 'member' AS aspect, '' AS value FROM member m
    UNION ALL
    SELECT m.type, m.identity, 'definition', concat_ws(' ', pg_get_functiondef(p.oid),
           'OWNER', p.proowner::regrole)
      FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
    UNION ALL
    SELECT m.type, m.identity, 'privileges', a.privileges
      FROM member m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid,
           LATERAL (SELECT string_agg(i::text, ' ' ORDER BY i::text) AS privileges
                      FROM unnest(p.proacl) i) a
    UNION ALL
    SELECT r.type, r.identity, 'kind', concat_ws(' ', r.relkind, r.relpersistence, r.relreplident,
           r.relrowsecurity, r.relforcerowsecurity, r.reloptions, r.relowner::regrole,
           r.reltablespace)
      FROM relation r
    UNION ALL
    SELECT r.type, r.identity, 'privileges', a.privileges
      FROM relation r, LATERAL (SELECT string_agg(i::text, ' ' ORDER BY i::text) AS privileges
                                  FROM unnest(r.relacl) i) a
    UNION ALL
    SELECT r.type, r.identity, 'column ' || a.attname,
           concat_ws(' ', row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum),
                     format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
                     a.attgenerated, a.attstorage, a.attcompression, a.attcollation::regcollation,
                     a.attacl, o.options, pg_get_expr(d.adbin, d.adrelid))
      FROM relation r JOIN pg_attribute a ON a.attrelid = r.oid AND NOT a.attisdropped
       AND (a.attnum > 0)
      LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum,
           -- Columns of views carry a number of the server's own.
           LATERAL (SELECT string_agg(x, ' ') AS options FROM unnest(a.attoptions) x
                     WHERE x NOT LIKE 'pg\_attver=%') o
    UNION ALL
    SELECT r.type, r.identity, 'view', pg_get_viewdef(r.oid) FROM relation r WHERE r.relkind = 'v'
    UNION ALL
    SELECT r.type, r.identity, 'sequence', concat_ws(' ', format_type(s.seqtypid, NULL),
           s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle)
      FROM relation r JOIN pg_sequence s ON s.seqrelid = r.oid
    UNION ALL
    SELECT i.type, i.identity, 'definition', p.definition
      FROM part p, pg_identify_object(p.classid, p.objid, 0) i
    UNION ALL
    SELECT i.type, i.identity, 'comment', d.description
      FROM (SELECT classid, objid FROM member UNION SELECT classid, objid FROM part
            UNION SELECT 'pg_extension'::regclass, oid FROM extension) o
      JOIN pg_description d ON d.classoid = o.classid AND d.objoid = o.objid,
           pg_identify_object(d.classoid, d.objoid, d.objsubid) i
    UNION ALL
    -- What pg_dump takes for given.
    SELECT i.type, i.identity, 'initial privileges', a.privileges
      FROM member m JOIN pg_init_privs p ON p.classoid = m.classid AND p.objoid = m.objid,
           pg_identify_object(p.classoid, p.objoid, p.objsubid) i,
           LATERAL (SELECT string_agg(g::text, ' ' ORDER BY g::text) AS privileges
                      FROM unnest(p.initprivs) g) a
    UNION ALL
    SELECT 'extension', 'pg_backup', 'version', e.extversion FROM extension e
    UNION ALL
    SELECT 'extension', 'pg_backup', 'rows of ' || c.oid::regclass, c.condition
      FROM extension e, unnest(e.extconfig, e.extcondition) AS c (oid, condition)
    UNION ALL
    SELECT 'event trigger', t.evtname, 'definition',
           concat_ws(' ', t.evtevent, t.evtfoid::regproc, t.evtenabled, t.evttags)
      FROM member m JOIN pg_event_trigger t
        ON m.classid = 'pg_event_trigger'::regclass AND t.oid = m.objid
)
SELECT type, identity, aspect, coalesce(value, '') FROM line
 ORDER BY type COLLATE "C", identity COLLATE "C", aspect COLLATE "C", value COLLATE "C"
