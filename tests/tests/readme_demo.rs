//! The session of `make demo` in README.md is that of the demo in this checkout.
//!
//! In: README.md between the marks of `demo`, and the demo's scripts, whose recorded steps are
//! marked. Must hold: the same steps, and no statement that the demo does not have. A test that
//! fails wants `make demo-record`.

use std::collections::BTreeSet;

use pg_backup_tests::document::read;
use pg_backup_tests::readme::between;

const SCRIPTS: [&str; 5] =
    ["scripts/demo.sh", "demo/cluster.sh", "demo/restore.sh", "demo/screen.sh", "demo/tour.sh"];
/// More lines nobody reads.
const LINES_MAX: usize = 150;

#[test]
fn the_recorded_session_has_the_steps_and_statements_of_the_demo() {
    let sources = SCRIPTS.map(read).join("\n");
    let marked = sources
        .lines()
        .filter_map(|line| line.trim().strip_prefix("heading '")?.strip_suffix("' # recorded"));
    let wanted: BTreeSet<&str> = marked.collect();
    let session = between("<!-- demo:begin -->", "<!-- demo:end -->");
    assert!(session.lines().count() <= LINES_MAX, "the session is too long for a README");
    let steps = session.lines().filter_map(|line| {
        let (number, step) = line.split_once(". ")?;
        number.parse::<u32>().is_ok().then_some(step)
    });
    assert_eq!(steps.collect::<BTreeSet<_>>(), wanted, "run `make demo-record`");
    for line in session.lines() {
        let Some(statement) = line.split_once("=# ").map(|(_, statement)| statement) else {
            continue;
        };
        // As far as the scripts have it letter by letter: ids and names are put in.
        let fixed = statement.split(|c: char| c.is_ascii_digit() || c == '\'').next();
        let fixed = fixed.unwrap_or(statement).split(" sales.").next().unwrap_or(statement);
        assert!(sources.contains(fixed), "the demo has no {statement}; run `make demo-record`");
    }
}
