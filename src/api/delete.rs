//! `backup_delete()`: the function behind the procedure.

use pg_backup_core::decide::request::{Delete, Request, Task};
use pg_backup_core::error::{Class, Failure, Result};
use pgrx::prelude::*;

use super::audited_home;
use crate::error::unwrap;
use crate::pg;
use crate::worker::call;

#[pg_extern(sql = r#"
CREATE PROCEDURE backup_delete(id bigint)
LANGUAGE c AS '@MODULE_PATHNAME@', '@FUNCTION_NAME@'
SET search_path = pg_catalog, pg_temp;
"#)]
fn backup_delete(id: Option<i64>) {
    unwrap(delete(id));
}

fn delete(id: Option<i64>) -> Result<()> {
    let backup = id.ok_or_else(|| {
        Failure::new(Class::InvalidArgument, "the id of the backup must not be NULL")
    })?;
    if !pg::caller().superuser {
        return Err(Failure::new(
            Class::InsufficientPrivilege,
            "must be superuser to delete a backup",
        ));
    }
    call::ensure_ready()?;
    call::ensure_nothing_written("backup_delete()")?;
    let task = Task::Delete(Delete { backup });
    call::run(&Request { home: audited_home("backup_delete", 0)?, task }).map(drop)
}
