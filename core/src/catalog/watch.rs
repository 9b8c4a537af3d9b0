//! What the job's own sessions are doing on the server: copying, or waiting for somebody.

/// Rows of `pg_stat_progress_copy` that belong to sessions of one application.
pub const COPYING: &str = "
SELECT p.relid, p.tuples_processed, p.bytes_processed
  FROM pg_catalog.pg_stat_progress_copy p
  JOIN pg_catalog.pg_stat_activity a ON a.pid = p.pid
 WHERE a.application_name = $1";

/// Sessions that, directly or through others in between, keep sessions of one application
/// waiting; `$2` is one more session of the job, `$3` the sessions that wait for the job. The
/// depth is bounded: a longer chain shows its first links. Columns: pid, whether it is a waiter,
/// whether it is the job's own session `$2`.
pub const BLOCKERS: &str = "
WITH RECURSIVE chain(pid, depth) AS (
    SELECT b.pid, 1
      FROM pg_catalog.pg_stat_activity a,
           pg_catalog.unnest(pg_catalog.pg_blocking_pids(a.pid)) AS b(pid)
     WHERE (a.application_name = $1 OR a.pid = $2) AND a.wait_event_type = 'Lock'
    UNION
    SELECT b.pid, c.depth + 1
      FROM chain c, pg_catalog.unnest(pg_catalog.pg_blocking_pids(c.pid)) AS b(pid)
     WHERE c.depth < 8 AND c.pid <> 0)
SELECT pid, pg_catalog.bool_or(pid = ANY ($3::int[])), pg_catalog.bool_or(pid = $2) FROM chain
 GROUP BY pid ORDER BY pg_catalog.min(depth), pid LIMIT 16";

/// A number that changes when a session of one application begins another statement.
pub const ACTIVITY: &str = "
SELECT coalesce(pg_catalog.sum(extract(epoch FROM a.query_start)), 0)::float8
  FROM pg_catalog.pg_stat_activity a WHERE a.application_name = $1";
