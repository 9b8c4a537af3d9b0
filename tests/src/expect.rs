//! What an archive holds, read with stock tools alone; and every call of the extension.
//!
//! In: an archive, or a database with the extension. Out: text to compare. Must hold: nothing here
//! asks the extension what it has written.

use crate::client::Rows;
use crate::place::bin;
use crate::{Cluster, Run};
use std::path::Path;
use std::process::Command;

/// Every routine of the extension as a call, from the catalog, with the schema it lies in. No
/// argument is NULL: a strict function of a NULL is never called.
const CALLS: &str = "
SELECT CASE p.prokind WHEN 'p' THEN 'CALL ' ELSE 'SELECT ' END
       || e.extnamespace::regnamespace || '.' || quote_ident(p.proname) || '('
       || coalesce((SELECT string_agg(CASE t::regtype::text WHEN 'text[]' THEN '''{x}'''
                            WHEN 'text' THEN '''x''' ELSE '''1''' END, ', ' ORDER BY n)
                      FROM unnest(p.proargtypes) WITH ORDINALITY AS u(t, n)), '') || ')'
  FROM pg_proc p JOIN pg_depend d ON d.objid = p.oid AND d.classid = 'pg_proc'::regclass
  JOIN pg_extension e ON e.oid = d.refobjid AND d.deptype = 'e'
 WHERE e.extname = 'pg_backup' AND p.pronamespace = e.extnamespace ORDER BY p.proname";
const VIEWS: &str = "
SELECT c.oid::regclass FROM pg_class c JOIN pg_depend d ON d.objid = c.oid
  JOIN pg_extension e ON e.oid = d.refobjid AND d.deptype = 'e'
 WHERE e.extname = 'pg_backup' AND c.relkind = 'v' AND d.classid = 'pg_class'::regclass
 ORDER BY c.relname";

fn first_column(rows: Rows) -> Vec<String> {
    rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
}

impl Cluster {
    /// Every routine of the extension in `database`, as a call with arguments of the right types.
    pub fn calls(&self, database: &str) -> Vec<String> {
        let calls = first_column(self.sql(database, CALLS));
        assert!(calls.len() > 10, "{calls:?}");
        calls
    }

    /// Every view of the extension in `database`.
    pub fn views(&self, database: &str) -> Vec<String> {
        let views = first_column(self.sql(database, VIEWS));
        assert!(views.len() > 2, "{views:?}");
        views
    }

    /// The dump in the archive of a run, as the SQL script that stock tools make of it. Two dumps
    /// of the same content give the same script.
    pub fn script(&self, run: &Run) -> String {
        script(&self.archive(run))
    }
}

/// The same by the path of an archive whose dump is one member.
pub fn script(archive: &Path) -> String {
    let pipe = "set -o pipefail; member=$(unzip -Z1 \"$1\" | grep '^database\\.') || exit 1\n\
                case $member in *.zst) plain='zstd -dcq' ;; *.gz) plain='gunzip -c' ;; \
                *) plain=cat ;; esac\n\
                case $member in *.sql*) script=cat ;; *) script=\"$2 -f -\" ;; esac\n\
                unzip -p \"$1\" \"$member\" | $plain | $script";
    let mut shell = Command::new("bash");
    shell.args(["-c", pipe, "bash"]).arg(archive).arg(bin("pg_restore"));
    let done = shell.output().expect("bash starts");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{}: {said}", archive.display());
    let text = String::from_utf8(done.stdout).expect("the dump is in UTF-8");
    // The key of psql's restricted mode is drawn anew for each dump.
    text.lines()
        .filter(|line| !line.contains("restrict"))
        .fold(String::new(), |all, line| all + line + "\n")
}
