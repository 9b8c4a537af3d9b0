//! How deep a verification looks. Each level includes the ones before it.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Class, Failure};

/// `file`: present, size and SHA-256 as recorded. `list`: structure, manifest and table of
/// contents as well. `read`: every byte of every member decoded as well. `restore`:
/// restored into a scratch database, rows counted, and dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    File,
    List,
    Read,
    Restore,
}

impl Level {
    /// The word in SQL and in the history.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::File => "file",
            Level::List => "list",
            Level::Read => "read",
            Level::Restore => "restore",
        }
    }
}

impl FromStr for Level {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        match text.to_ascii_lowercase().as_str() {
            "file" => Ok(Level::File),
            "list" => Ok(Level::List),
            "read" => Ok(Level::Read),
            "restore" => Ok(Level::Restore),
            _ => Err(Failure::new(
                Class::InvalidArgument,
                format!("invalid verification level: \"{text}\""),
            )
            .hint("Levels are \"file\", \"list\", \"read\" and \"restore\".")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_ordered_and_read_back_from_their_names() {
        assert!(Level::File < Level::List && Level::Read < Level::Restore);
        for level in [Level::File, Level::List, Level::Read, Level::Restore] {
            assert_eq!(level.as_str().parse::<Level>().unwrap(), level);
        }
        assert_eq!("deep".parse::<Level>().unwrap_err().class, Class::InvalidArgument);
    }
}
