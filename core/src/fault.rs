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

/// Now, or what a test has made of it: a file `pg_backup_clock` in the same directory holds seconds
/// that the clock is ahead.
#[cfg(feature = "fault_points")]
pub fn now() -> chrono::DateTime<chrono::Utc> {
    let directory = std::env::var_os("PG_BACKUP_FAULT_DIR").unwrap_or_default();
    let file = std::path::Path::new(&directory).join("pg_backup_clock");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let ahead = text.trim().parse::<f64>().unwrap_or(0.0);
    chrono::Utc::now() + chrono::TimeDelta::milliseconds((ahead * 1000.0) as i64)
}

/// Now.
#[cfg(not(feature = "fault_points"))]
pub fn now() -> chrono::DateTime<chrono::Utc> {
    chrono::Utc::now()
}

/// Nothing.
#[cfg(not(feature = "fault_points"))]
pub fn point(_name: &str) {}
