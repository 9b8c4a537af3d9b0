//! Owner, privileges, comment, labels, settings and limits of the new database: pg_restore without
//! `--create` sets none of them, and with it no other name.

use super::Work;
use crate::catalog::database::{labels, open, properties};
use crate::catalog::properties::{PRIVILEGES, Privilege, grant, revoke_all};
use crate::catalog::transaction;
use crate::error::Result;

/// Makes the database what the manifest says, in one transaction; and opens it to clients, unless
/// it is swapped in: then that opens it.
pub async fn apply(work: &Work<'_>) -> Result<()> {
    let database = &work.manifest.facts.database;
    label(work).await?;
    let mut statements = properties(&work.restore.target, database);
    if let Some(acl) = &database.acl {
        statements.extend(privileges(work, acl).await?);
    }
    if work.restore.replace.is_none() {
        work.history.whole(work.id).await?;
        work.is_whole.set(true);
        crate::fault::point("whole");
        statements.push(open(&work.restore.target, database));
    }
    work.server.batch(work.context.control, &transaction(&statements)).await
}

/// Security labels, as far as their providers are here; of others the row tells.
async fn label(work: &Work<'_>) -> Result<()> {
    let mut warnings = Vec::new();
    for statement in labels(&work.restore.target, &work.manifest.facts.database) {
        let labelled = work.server.batch(work.context.control, &statement).await;
        work.context.control.proceed()?;
        match labelled {
            Ok(()) => {}
            Err(failure) if work.server.is_closed() => return Err(failure),
            Err(failure) => {
                warnings.push(format!("a security label was not set: {}", failure.message));
            }
        }
    }
    match warnings.as_slice() {
        [] => Ok(()),
        warnings => work.history.warn(work.id, warnings).await,
    }
}

/// The statements that make the privileges what they were: all are taken away, then given by those
/// who gave them.
async fn privileges(work: &Work<'_>, acl: &[String]) -> Result<Vec<String>> {
    let target = &work.restore.target;
    let mut statements = vec![revoke_all(target, &work.manifest.facts.database.owner)];
    let rows = work.server.rows(work.context.control, PRIVILEGES, &[&acl]).await?;
    for row in rows {
        let privilege = Privilege {
            grantor: row.get(0),
            grantee: row.get(1),
            what: row.get(2),
            grantable: row.get(3),
        };
        statements.extend(grant(target, &privilege));
    }
    Ok(statements)
}
