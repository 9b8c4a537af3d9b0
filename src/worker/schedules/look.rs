//! The job that looks at a schedule: whether it is due, its row decides.

use pg_backup_core::decide::request::{Cause, Home, Request, Scheduled, Task};
use pg_backup_core::decide::timetable::Look;
use pg_backup_core::error::{Class, Failure, Result};
use pg_backup_core::fault;

use crate::settings;
use crate::worker::slots;

/// The request, and the same as JSON. Errors: it does not fit into a slot.
pub fn request(look: &Look, cause: Cause) -> Result<(Request, String)> {
    let home = Home {
        database: look.home.database.clone(),
        schema: look.home.schema.clone(),
        requested_by: look.requested_by.clone(),
        id: 0,
        queued_at: fault::now().timestamp_micros(),
        asker: None,
    };
    let task = Task::Scheduled(Scheduled {
        schedule: look.schedule.clone(),
        database: look.database.clone(),
        cause,
        defaults: settings::defaults()?,
    });
    let request = Request { home, task };
    let text = serde_json::to_string(&request);
    let text = text.map_err(|e| Failure::new(Class::Internal, e.to_string()))?;
    if text.len() > slots::PAYLOAD {
        return Err(Failure::new(Class::LimitExceeded, "the settings are too long for a job"));
    }
    Ok((request, text))
}
