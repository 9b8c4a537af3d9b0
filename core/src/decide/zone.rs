//! Time zones of schedules: real ones of the tz database, by their names. An offset is none (it
//! knows no summer time), and what PostgreSQL takes beyond names is read in surprising ways:
//! `UTC+5` is five hours west of Greenwich (measured).

use std::fmt;

use crate::error::{Class, Failure, Result};

/// Longer than any name of a zone.
const LONGEST: usize = 64;
/// Names that tz databases carry but that stand for no place or rule that can be relied on.
const UNREAL: [&str; 3] = ["factory", "localtime", "posixrules"];

/// A time zone that is known by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zone(chrono_tz::Tz);

impl Zone {
    /// A zone by its name, upper and lower case alike. Errors: `InvalidArgument`.
    pub fn parse(text: &str) -> Result<Zone> {
        let known =
            chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(text));
        match known {
            Some(zone) if !UNREAL.contains(&text.to_ascii_lowercase().as_str()) => Ok(Zone(*zone)),
            _ => Err(refused(text)),
        }
    }

    /// The name, as the tz database spells it.
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// The zone's rules.
    pub fn tz(self) -> chrono_tz::Tz {
        self.0
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

fn refused(text: &str) -> Failure {
    let shown: String = text.chars().take(LONGEST).collect();
    let failure = Failure::new(Class::InvalidArgument, format!("invalid time zone: \"{shown}\""));
    let offset = text.contains(['+', '-']) && text.contains(|c: char| c.is_ascii_digit());
    if offset {
        return failure
            .detail("An offset from UTC is not a zone: it knows no summer time.")
            .hint("Use the name of a zone, for example 'Europe/Paris' or 'UTC'.");
    }
    failure
        .detail("The tz database has no zone of this name.")
        .hint("Use a name of pg_timezone_names, for example 'Europe/Paris' or 'UTC'.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_real_zones_are_taken_in_any_case() {
        for (text, name) in [
            ("Europe/Paris", "Europe/Paris"),
            ("europe/paris", "Europe/Paris"),
            ("UTC", "UTC"),
            ("utc", "UTC"),
            ("Etc/GMT+5", "Etc/GMT+5"),
            ("Australia/Lord_Howe", "Australia/Lord_Howe"),
            ("CET", "CET"),
        ] {
            assert_eq!(Zone::parse(text).unwrap().name(), name);
        }
    }

    #[test]
    fn offsets_and_unreal_zones_are_refused() {
        let long = "Europe/".repeat(2000);
        for text in [
            "UTC+5",
            "+02:00",
            "-3",
            "<+03>-3",
            "EST5EDT4",
            "Factory",
            "localtime",
            "posixrules",
            "posix/Europe/Paris",
            "right/UTC",
            "Mars/Olympus",
            "",
            " ",
            "Europe/Paris ",
            "Paris",
            "Europe",
            "Z",
            "\u{0}",
            &long,
        ] {
            let failure = Zone::parse(text).unwrap_err();
            assert!(failure.message.starts_with("invalid time zone: \""), "{failure}");
            assert!(failure.message.len() < 100 && !failure.hint.is_empty());
        }
    }
}
