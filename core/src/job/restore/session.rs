//! Sessions of a restore: in the database that it works on, and beside all that it may rename.

use super::Work;
use crate::catalog::restore::{GUARDED, UNSEEN};
use crate::error::Result;
use crate::host::server::Server;
use crate::job::context::Context;

/// What the sessions of a swap are called.
pub const APPLICATION: &str = "pg_backup swap";

/// A session in a database that is none of these.
pub async fn session_elsewhere(context: &Context<'_>, names: &[&str]) -> Result<Server> {
    let access = &context.settings.access;
    let free = |name: &&str| !names.contains(name);
    let known = [access.connect_database.as_str(), "postgres", "template1"];
    let name = known.into_iter().find(free).unwrap_or("template1");
    Server::connect(access, context.control, name, APPLICATION).await
}

/// A session in the live database.
pub async fn session_in(context: &Context<'_>, database: &str, id: i64) -> Result<Server> {
    let (access, name) = (&context.settings.access, session_name(id));
    Server::connect(access, context.control, database, &name).await
}

/// What sessions and tools of a restore are called.
pub fn session_name(id: i64) -> String {
    format!("pg_backup restore {id}")
}

impl Work<'_> {
    /// A session in the new database.
    pub(super) async fn session_in_target(&self) -> Result<Server> {
        let access = &self.context.settings.access;
        let name = session_name(self.id);
        let control = self.context.control;
        let session = Server::connect(access, control, &self.restore.target, &name).await?;
        session.batch(control, UNSEEN).await?;
        if !self.restore.trusted {
            // A plan alone runs code of who owns an index.
            session.batch(control, GUARDED).await?;
        }
        Ok(session)
    }
}
