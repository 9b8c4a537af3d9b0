//! The errors of the server, in parts that a test can look at.

use std::fmt;

/// An error as the server sent it. Empty where the server said nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DbError {
    /// Five characters; empty when the error did not come from the server.
    pub sqlstate: String,
    pub message: String,
    pub detail: String,
    pub hint: String,
}

impl DbError {
    /// Takes an error of the driver apart.
    pub fn of(error: &postgres::Error) -> Self {
        let Some(sent) = error.as_db_error() else {
            return Self {
                sqlstate: String::new(),
                message: error.to_string(),
                detail: String::new(),
                hint: String::new(),
            };
        };
        Self {
            sqlstate: sent.code().code().to_owned(),
            message: sent.message().to_owned(),
            detail: sent.detail().unwrap_or_default().to_owned(),
            hint: sent.hint().unwrap_or_default().to_owned(),
        }
    }
}

impl fmt::Display for DbError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.sqlstate)?;
        if !self.detail.is_empty() {
            write!(f, "\nDETAIL: {}", self.detail)?;
        }
        if !self.hint.is_empty() {
            write!(f, "\nHINT: {}", self.hint)?;
        }
        Ok(())
    }
}

/// The SQLSTATE alone, for example `42501`.
pub fn sqlstate(error: &postgres::Error) -> String {
    DbError::of(error).sqlstate
}
