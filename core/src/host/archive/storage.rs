//! How a member lies in an archive, and what the zip says of it beside its name.

/// How a member lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// As it is: its bytes are payload, and the reader behind us is told of it.
    Payload,
    /// Deflated: small members of our own, and attached files.
    Deflated,
    /// As it is, and no payload: attached files that are compressed already.
    Stored,
}

/// What a zip says of a file beside its name.
#[derive(Debug, Clone, Copy)]
pub struct Meta {
    /// Permissions.
    pub mode: u32,
    /// None: the start of the run. The zip has two seconds' precision and no zone: UTC.
    pub modified: Option<chrono::DateTime<chrono::Utc>>,
}

impl Default for Meta {
    fn default() -> Self {
        Self { mode: 0o600, modified: None }
    }
}
