//! Format and compression of a backup, as users write them and as requests carry them.
//!
//! In: text of an argument or a setting. Out: plain values that print as the text that makes
//! them again, so that history, manifest and request all hold the same words.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Class, Failure, Result};

/// Level where none is given: zlib's own default.
const GZIP_DEFAULT: i32 = 6;
/// Levels that zlib knows besides 0, which is `none`.
const GZIP_MAX: i32 = 9;
/// Level where none is given: zstd's own default.
const ZSTD_DEFAULT: i32 = 3;
/// Levels above 19 need the ultra mode and memory that decompressors refuse by default.
const ZSTD_MAX: i32 = 19;
/// How much of a refused value an error repeats, characters.
const SHOWN_CHARS: usize = 60;

/// The formats of pg_dump that we make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One file for pg_restore.
    Custom,
    /// A directory for pg_restore, dumped with several connections.
    Directory,
    /// An SQL script for psql.
    Plain,
}

impl Format {
    /// The word that users write and the manifest holds.
    pub fn as_str(self) -> &'static str {
        match self {
            Format::Custom => "custom",
            Format::Directory => "directory",
            Format::Plain => "plain",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = Failure;

    /// Reads a format in any case.
    ///
    /// # Errors
    /// `InvalidArgument`, with the allowed words as a hint.
    fn from_str(text: &str) -> Result<Self> {
        [Format::Custom, Format::Directory, Format::Plain]
            .into_iter()
            .find(|format| text.trim().eq_ignore_ascii_case(format.as_str()))
            .ok_or_else(|| {
                Failure::new(
                    Class::InvalidArgument,
                    format!("unrecognized backup format: \"{}\"", shown(text)),
                )
                .hint("Allowed formats are \"custom\", \"directory\" and \"plain\".")
            })
    }
}

/// How the payload is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    None,
    Gzip,
    Zstd,
}

/// A method and its level: 1..=9 for gzip, 1..=19 for zstd, 0 for none. In JSON it is its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Compression {
    pub method: Method,
    pub level: i32,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.method {
            Method::None => f.write_str("none"),
            Method::Gzip => write!(f, "gzip:{}", self.level),
            Method::Zstd => write!(f, "zstd:{}", self.level),
        }
    }
}

impl FromStr for Compression {
    type Err = Failure;

    /// Reads `none`, `gzip`, `gzip:1` to `gzip:9`, `zstd`, `zstd:1` to `zstd:19`, in any case.
    ///
    /// # Errors
    /// `InvalidArgument`, with the allowed values as a hint.
    fn from_str(text: &str) -> Result<Self> {
        let lower = text.trim().to_ascii_lowercase();
        let (word, level) = match lower.split_once(':') {
            Some((word, level)) => (word, Some(level)),
            None => (lower.as_str(), None),
        };
        let (method, default, max) = match word {
            "none" if level.is_none() => return Ok(Self { method: Method::None, level: 0 }),
            "none" => return Err(refused("compression \"none\" takes no level", text)),
            "gzip" => (Method::Gzip, GZIP_DEFAULT, GZIP_MAX),
            "zstd" => (Method::Zstd, ZSTD_DEFAULT, ZSTD_MAX),
            _ => return Err(refused("unrecognized compression method", text)),
        };
        let level = level.map_or(Some(default), |digits| level_of(digits, max));
        match level {
            Some(level) => Ok(Self { method, level }),
            None => Err(refused("compression level out of range", text)),
        }
    }
}

impl TryFrom<String> for Compression {
    type Error = Failure;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Compression> for String {
    fn from(compression: Compression) -> Self {
        compression.to_string()
    }
}

/// A level in digits, between 1 and `max`.
fn level_of(digits: &str, max: i32) -> Option<i32> {
    // A sign is a number to Rust, but not a level to us.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|level| (1..=max).contains(level))
}

fn refused(message: &str, text: &str) -> Failure {
    Failure::new(Class::InvalidArgument, format!("{message}: \"{}\"", shown(text))).hint(format!(
        "Allowed values are \"none\", \"gzip\", \"gzip:1\" to \"gzip:{GZIP_MAX}\", \"zstd\" and \
         \"zstd:1\" to \"zstd:{ZSTD_MAX}\"."
    ))
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_allowed_compression_is_read_and_printed() {
        let table = [
            ("none", Method::None, 0, "none"),
            ("gzip", Method::Gzip, 6, "gzip:6"),
            ("GZIP:9", Method::Gzip, 9, "gzip:9"),
            ("zstd", Method::Zstd, 3, "zstd:3"),
            ("Zstd:19", Method::Zstd, 19, "zstd:19"),
            (" zstd:1 ", Method::Zstd, 1, "zstd:1"),
        ];
        for (text, method, level, printed) in table {
            let compression: Compression = text.parse().unwrap();
            assert_eq!(compression, Compression { method, level }, "{text}");
            assert_eq!(compression.to_string(), printed);
            assert_eq!(printed.parse(), Ok(compression));
        }
    }

    #[test]
    fn a_compression_that_cannot_work_is_refused_with_the_allowed_values() {
        let refused = [
            "",
            "lz4",
            "none:1",
            "none:",
            "gzip:",
            "gzip:0",
            "gzip:10",
            "gzip:+5",
            "gzip:-1",
            "zstd:20",
            "zstd:22",
            "zstd:3:4",
            "zstd 3",
            "zstd:99999999999999999999",
            "zstd:٣",
        ];
        for text in refused {
            let failure = text.parse::<Compression>().unwrap_err();
            assert_eq!(failure.class, Class::InvalidArgument, "{text}");
            assert!(failure.message.ends_with(&format!(": \"{text}\"")), "{failure}");
            assert!(failure.hint.contains("\"zstd:19\""), "{}", failure.hint);
        }
    }

    #[test]
    fn a_refused_value_is_not_repeated_at_length() {
        let long = "x".repeat(100_000);
        assert!(long.parse::<Compression>().unwrap_err().message.len() < 200);
        assert!(long.parse::<Format>().unwrap_err().message.len() < 200);
    }

    #[test]
    fn formats_are_words_in_any_case() {
        for format in [Format::Custom, Format::Directory, Format::Plain] {
            assert_eq!(format.to_string().parse(), Ok(format));
            assert_eq!(format.to_string().to_uppercase().parse(), Ok(format));
        }
        let failure = "tar".parse::<Format>().unwrap_err();
        assert_eq!(failure.message, "unrecognized backup format: \"tar\"");
        assert_eq!(failure.hint, "Allowed formats are \"custom\", \"directory\" and \"plain\".");
    }

    #[test]
    fn both_travel_as_text_in_json() {
        let zstd: Compression = "zstd".parse().unwrap();
        let json = serde_json::to_string(&(Format::Plain, zstd)).unwrap();
        assert_eq!(json, r#"["plain","zstd:3"]"#);
        let back: (Format, Compression) = serde_json::from_str(&json).unwrap();
        assert_eq!(back, (Format::Plain, zstd));
        assert!(serde_json::from_str::<Compression>(r#""zstd:20""#).is_err());
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_printed_as_what_it_is(text in "(none|gzip|zstd|.{0,5})(:.{0,3})?") {
            if let Ok(compression) = text.parse::<Compression>() {
                prop_assert_eq!(compression.to_string().parse(), Ok(compression));
            }
        }
    }
}
