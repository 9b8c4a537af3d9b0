//! Hooks and the roles that register them.
//!
//! In: an event, a name, SQL. Out: a registered hook, and what became of it as the row of the run
//! tells. Must hold: SQL goes in as a parameter, so that a test may write any.

use crate::{Cluster, DbError, Run};

impl Cluster {
    /// Makes a role with the rights of an operator, and a schema of its own with its name.
    pub fn make_operator(&self, role: &str) {
        let sql = format!(
            "CREATE ROLE {role} LOGIN; CREATE SCHEMA {role} AUTHORIZATION {role}; \
             CALL backup_grant('{role}', 'operator')"
        );
        self.psql("postgres", &sql);
    }

    /// Registers a hook as `role`.
    pub fn try_hook(
        &self,
        role: &str,
        event: &str,
        name: &str,
        sql: Option<&str>,
    ) -> Result<(), DbError> {
        let mut client = self.connect_as("postgres", role);
        let done = client.execute("CALL backup_hook($1, $2, $3)", &[&event, &name, &sql]);
        done.map(drop).map_err(|error| DbError::of(&error))
    }

    /// Registers a hook as the superuser.
    pub fn hook(&self, event: &str, name: &str, sql: &str) {
        self.hook_as("postgres", event, name, sql);
    }

    /// Registers a hook as `role`. Panics when that is refused.
    pub fn hook_as(&self, role: &str, event: &str, name: &str, sql: &str) {
        let done = self.try_hook(role, event, name, Some(sql));
        done.unwrap_or_else(|error| panic!("{sql}\nwas refused: {error}"));
    }

    /// Makes a backup that a hook stops, and gives its row.
    pub fn stopped_by_hook(&self) -> Run {
        let error = self.error("postgres", "SELECT backup_create()");
        assert!(error.message.contains("hook"), "not a hook but: {error}");
        let run = self.last_backup();
        assert_eq!((run.status.as_str(), run.file.as_str()), ("failed", ""), "{run:?}");
        assert_eq!(run.error, error.message);
        run
    }
}
