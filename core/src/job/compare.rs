//! `backup_compatibility()` of a backup of another database than the caller's: only a job can
//! connect to it. Reads; leaves no row in the history.

use super::context::Context;
use super::migrations::applied_migrations;
use super::{Report, ReportRow};
use crate::catalog::BEGIN_SNAPSHOT;
use crate::catalog::migrations::{NAMED_BY_SETTING, recorded};
use crate::decide::compatibility::{Compare, Compatibility, compare, in_ascii};
use crate::decide::progress::{Phase, Progress};
use crate::decide::request::Home;
use crate::error::Result;
use crate::host::server::Server;

/// Subjects of the rows: the badge, then each name on one of the two sides, then how many are
/// left out.
pub const BADGE: &str = "badge";
pub const ADDED: &str = "added";
pub const REMOVED: &str = "removed";
pub const MORE: &str = "more";

/// Bytes of names in one report, which has to fit a job slot.
const NAMES_BYTES: usize = 2800;
/// What a row costs beside its name.
const ROW_BYTES: usize = 70;

/// Compares.
pub async fn run(context: &Context<'_>, home: &Home, asked: &Compare) -> Result<Report> {
    context.control.report(&Progress { phase: Phase::Checking, ..Progress::default() });
    let (access, control) = (&context.settings.access, context.control);
    let session = Server::connect(access, control, &home.database, "pg_backup job").await?;
    let rows = session.rows(control, &recorded(&home.schema), &[&asked.backup]).await?;
    let recorded = rows.first().and_then(|row| row.get::<_, Option<serde_json::Value>>(0));
    let recorded = recorded.and_then(|value| serde_json::from_value(value).ok());
    let recorded: Vec<_> = recorded.unwrap_or_default();
    let whole = matches!(session.encoding.as_str(), "UTF8" | "SQL_ASCII");
    let session = Server::connect(access, control, &asked.database, "pg_backup job").await?;
    session.batch(control, BEGIN_SNAPSHOT).await?;
    let named: String = session.one(control, NAMED_BY_SETTING, &[]).await?.get(0);
    let applied = applied_migrations(control, &session, &named).await?;
    let found = match whole {
        true => compare(&recorded, &applied),
        false => compare(&in_ascii(recorded), &in_ascii(applied)),
    };
    Ok(Report { rows: rows_of(found), ..Report::default() })
}

/// As many names as fit, those of the archive first: they decide.
fn rows_of(found: Compatibility) -> Vec<ReportRow> {
    let mut rows = vec![ReportRow::ok(BADGE, found.badge.as_str())];
    let removed = found.removed.into_iter().map(|name| (REMOVED, name));
    let all = removed.chain(found.added.into_iter().map(|name| (ADDED, name)));
    let (mut room, mut more) = (NAMES_BYTES, 0_usize);
    for (side, name) in all {
        // A name may grow when it is written as JSON.
        let cost = ROW_BYTES + 2 * name.len();
        if more > 0 || cost > room {
            more += 1;
            continue;
        }
        room -= cost;
        rows.push(ReportRow::ok(side, name));
    }
    if more > 0 {
        rows.push(ReportRow::ok(MORE, more.to_string()));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::compatibility::Badge;

    #[test]
    fn what_does_not_fit_is_counted() {
        let names = |word: &str| (0..500).map(|i| format!("django: {word}.{i:04}")).collect();
        let found =
            Compatibility { badge: Badge::Incompatible, added: names("a"), removed: names("r") };
        let rows = rows_of(found);
        let text = serde_json::to_string(&rows).unwrap();
        assert!(text.len() < 5500, "{}", text.len());
        let more: usize = rows.last().unwrap().detail.parse().unwrap();
        assert_eq!(rows.len() - 2 + more, 1000);
        assert_eq!(rows[1].subject, REMOVED);
    }
}
