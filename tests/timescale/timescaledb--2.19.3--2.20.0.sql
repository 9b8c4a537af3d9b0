UPDATE _timescaledb_catalog.metadata SET value = '2.20.0' WHERE key = 'timescaledb_version';
