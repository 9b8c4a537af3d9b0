-- What every generated value comes from. Temporary: nothing of this stays in the database.
-- `seed` tells the columns of one row apart.

-- A number from 0 to below - 1.
CREATE FUNCTION pg_temp.pick(n bigint, seed bigint, below integer) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT ((hashint8extended(n, seed) & 2147483647) % below)::integer $$;

-- A number from 0 to below - 1, small ones far more often: few customers buy a lot.
CREATE FUNCTION pg_temp.pick_skewed(n bigint, seed bigint, below integer) RETURNS integer
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT (below * power((hashint8extended(n, seed) & 1048575) / 1048576.0::float8, 3))::integer
           % below
$$;

CREATE FUNCTION pg_temp.word(n bigint, seed bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT ('{amber,basket,candle,drawer,enamel,feather,garden,hinge,ivory,jacket,kettle,lantern,
        mirror,needle,orchard,paper,quilt,ribbon,saddle,teapot,umbrella,velvet,walnut,yarn,zipper,
        anchor,blanket,copper,denim,earthen,folding,glass,hammock,indigo,jasmine,knitted,linen,
        marble,nickel,oak,pewter,quartz,rattan,slate,timber,upright,vintage,woven,azure,bronze,
        compact,double,electric,fine,gentle,heavy,insulated,jointed,kitchen,large,modern,natural,
        outdoor,portable}'::text[])[1 + pg_temp.pick(n, seed, 64)]
$$;

CREATE FUNCTION pg_temp.first_name(n bigint, seed bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT ('{Ada,Émile,Chiara,Dmitri,Élodie,Frida,Grete,Hông,Ingrid,João,Kenji,Łucja,María,Noor,
        Olu,Priya,Quentin,Rasmus,Søren,Tomáš,Ursula,Violeta,Wei,Xenia,Yusuf,Zoë}'::text[])
        [1 + pg_temp.pick(n, seed, 26)]
$$;

CREATE FUNCTION pg_temp.last_name(n bigint, seed bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT ('{Andersson,Bernard,Castro,Dubois,Eriksen,Fischer,García,Haddad,Ivanova,Jansen,Kowalski,
        Laurent,Müller,Nakamura,O''Brien,Petit,Quispe,Rossi,Schmidt,Takahashi,Ünal,Virtanen,Weiß,
        Xu,Yılmaz,Zhang}'::text[])[1 + pg_temp.pick(n, seed, 26)]
$$;

CREATE FUNCTION pg_temp.city(n bigint, seed bigint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT ('{Aarhus,Bordeaux,Coimbra,Dresden,Eindhoven,Firenze,Gdańsk,Helsinki,İzmir,Jaén,Kraków,
        Lyon,Malmö,Nantes,Oslo,Porto,Rennes,Sevilla,Toulouse,Utrecht}'::text[])
        [1 + pg_temp.pick(n, seed, 20)]
$$;

-- Bytes that no compressor can shrink, 64 per block: photographs and scanned contracts.
CREATE FUNCTION pg_temp.noise(n bigint, blocks integer) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT string_agg(sha512(int8send(n * 1000000 + block)), NULL ORDER BY block)
    FROM generate_series(1, blocks) AS block
$$;
