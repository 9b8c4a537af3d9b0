//! Owner, privileges, comment, settings and limits of the new database: pg_restore without
//! `--create` sets none of them, and with it no other name.

use super::Work;
use crate::catalog::ident;
use crate::catalog::restore::PRIVILEGES;
use crate::decide::restore::database::{open, properties};
use crate::error::Result;

/// Makes the database what the manifest says, in one transaction; and opens it to clients, unless
/// it is swapped in: then that opens it.
pub async fn apply(work: &Work<'_>) -> Result<()> {
    let control = work.context.control;
    let database = &work.manifest.facts.database;
    let mut statements = properties(&work.restore.target, database);
    if let Some(acl) = &database.acl {
        statements.extend(privileges(work, acl).await?);
    }
    if work.restore.replace.is_none() {
        statements.push(open(&work.restore.target, database));
    }
    let script = statements.join(";\n");
    work.server.batch(control, &format!("BEGIN;\n{script};\nCOMMIT")).await
}

/// The statements that make the privileges what they were: all are taken away, then given by those
/// who gave them.
async fn privileges(work: &Work<'_>, acl: &[String]) -> Result<Vec<String>> {
    let target = ident(&work.restore.target);
    let owner = ident(&work.manifest.facts.database.owner);
    let mut statements = vec![format!("REVOKE ALL ON DATABASE {target} FROM PUBLIC, {owner}")];
    let rows = work.server.rows(work.context.control, PRIVILEGES, &[&acl]).await?;
    for row in rows {
        let (grantor, grantee): (String, String) = (row.get(0), row.get(1));
        let (privilege, grantable): (String, bool) = (row.get(2), row.get(3));
        let to = if grantee.is_empty() { "PUBLIC".to_owned() } else { ident(&grantee) };
        let option = if grantable { " WITH GRANT OPTION" } else { "" };
        statements.push(format!("SET LOCAL SESSION AUTHORIZATION {}", ident(&grantor)));
        statements.push(format!("GRANT {privilege} ON DATABASE {target} TO {to}{option}"));
        statements.push("RESET SESSION AUTHORIZATION".to_owned());
    }
    Ok(statements)
}
