//! Named fault points for tests: where a job stops dead. Compiled to nothing without the feature
//! `fault_points`, which no release has.

/// Waits here for as long as a file named `pg_backup_fault_<name>` lies in the directory that
/// `PG_BACKUP_FAULT_DIR` names, so that a test can act at this very step.
#[cfg(feature = "fault_points")]
pub fn point(name: &str) {
    use std::time::Duration;
    /// A test that forgets to remove its file must not hang a server for good.
    const LIMIT: u32 = 6000;
    const PAUSE: Duration = Duration::from_millis(10);
    let Some(directory) = std::env::var_os("PG_BACKUP_FAULT_DIR") else { return };
    let wanted = std::path::Path::new(&directory).join(format!("pg_backup_fault_{name}"));
    if !wanted.exists() {
        return;
    }
    let reached = std::path::Path::new(&directory).join(format!("pg_backup_reached_{name}"));
    let _ = std::fs::write(reached, std::process::id().to_string());
    let parent = std::os::unix::process::parent_id();
    for _ in 0..LIMIT {
        if !wanted.exists() {
            return;
        }
        if std::os::unix::process::parent_id() != parent {
            // The postmaster is gone: dead at this very step, which is what the test wants.
            std::process::abort();
        }
        std::thread::sleep(PAUSE);
    }
}

/// Nothing.
#[cfg(not(feature = "fault_points"))]
pub fn point(_name: &str) {}
