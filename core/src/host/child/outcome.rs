//! How a child process ended, and what that means for the job.
//!
//! In: an exit code or a signal, and the tail of stderr. Out: success, or a [`Failure`] that says
//! which tool, how it ended, its last words without secrets, and what to do. What must hold: the
//! texts only choose a class and a hint; whether a child failed is its exit code alone.

mod texts;

use nix::libc;

use self::texts::{GENERAL, KNOWN, LOADING};
use crate::decide::redact::redact;
use crate::error::{Class, Failure};

/// The most characters of stderr that a failure shows.
const DETAIL_CHARS: usize = 2000;

/// Signals that a program gets by its own doing: pg_restore does not check all that it reads.
const BROKEN_BY: [i32; 5] =
    [libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGSEGV];

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The exit code, 0 to 255.
    Exit(i32),
    /// The number of the signal that ended it.
    Signal(i32),
    /// Nobody knows: something else reaped it, or SIGKILL did not end it in time.
    Lost,
}

/// The end of a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub tool: &'static str,
    pub ended: Ended,
    /// What it wrote to stderr: beginning and end, see [`crate::decide::redact::Tail`]. Not
    /// redacted.
    pub stderr: String,
}

impl Outcome {
    /// Exit code 0. Warnings may still be in `stderr`.
    pub fn success(&self) -> bool {
        self.ended == Ended::Exit(0)
    }

    /// The failure of a job whose child ended so: `pg_dump failed: exit code 1`, or with `what`
    /// ("dump database \"app\"") in front: `could not dump database "app": pg_dump failed: …`.
    pub fn into_failure(self, what: &str) -> Failure {
        let judged = classify(&self.stderr);
        self.failure(what, judged)
    }

    /// The same of a tool that reads a dump: where it says why it cannot, or breaks on it, the dump
    /// is damaged. One that was ended, cannot start or is too old has said nothing of the dump.
    pub fn into_reading_failure(self, what: &str) -> Failure {
        let judges = match self.ended {
            Ended::Exit(code) => code == 1 && !self.stderr.contains("unsupported version"),
            Ended::Signal(number) => BROKEN_BY.contains(&number),
            Ended::Lost => false,
        };
        let failure = self.into_failure(what);
        match failure.class {
            Class::ToolFailed if judges => Failure { class: Class::Damaged, ..failure },
            _ => failure,
        }
    }

    /// The same of a tool that loads into a database: there the same words mean something else.
    pub fn into_load_failure(self, what: &str) -> Failure {
        let judged = known(LOADING, &self.stderr).unwrap_or_else(|| classify(&self.stderr));
        self.failure(what, judged)
    }

    fn failure(self, what: &str, (class, hint): (Class, &'static str)) -> Failure {
        let detail = last_words(&redact(&self.stderr));
        let detail = match detail.as_str() {
            "" => format!("{} wrote no message.", self.tool),
            _ => detail,
        };
        let prefix = if what.is_empty() { String::new() } else { format!("could not {what}: ") };
        Failure::new(class, format!("{prefix}{} {}", self.tool, self.ended))
            .detail(detail)
            .hint(if hint == GENERAL { self.ended.hint() } else { hint })
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Self::Exit(code) => write!(f, "failed: exit code {code}"),
            Self::Signal(number) => match signal_text(number) {
                Some(text) => write!(f, "was ended by signal {number} ({text})"),
                None => write!(f, "was ended by signal {number}"),
            },
            Self::Lost => write!(f, "was lost: how it ended is not known"),
        }
    }
}

impl Ended {
    /// What to do where stderr gives no better advice.
    fn hint(self) -> &'static str {
        match self {
            Self::Signal(9) => {
                "Somebody killed it, or the system for lack of memory: the kernel's log tells."
            }
            Self::Signal(_) => "The server's log and the kernel's log may tell who ended it.",
            Self::Exit(_) | Self::Lost => GENERAL,
        }
    }
}

/// The texts of `strsignal(3)` for signals that end a process.
fn signal_text(number: i32) -> Option<&'static str> {
    Some(match number {
        1 => "Hangup",
        2 => "Interrupt",
        3 => "Quit",
        4 => "Illegal instruction",
        6 => "Aborted",
        7 => "Bus error",
        8 => "Floating point exception",
        9 => "Killed",
        11 => "Segmentation fault",
        13 => "Broken pipe",
        14 => "Alarm clock",
        15 => "Terminated",
        24 => "CPU time limit exceeded",
        25 => "File size limit exceeded",
        31 => "Bad system call",
        _ => return None,
    })
}

/// What a tool's last words mean: the class of the failure, and what to do.
pub fn classify(stderr: &str) -> (Class, &'static str) {
    known(KNOWN, stderr).unwrap_or((Class::ToolFailed, GENERAL))
}

fn known(texts: &[(&str, Class, &'static str)], stderr: &str) -> Option<(Class, &'static str)> {
    let text = stderr.to_ascii_lowercase();
    let found = texts.iter().find(|(words, ..)| text.contains(words));
    found.map(|&(_, class, hint)| (class, hint))
}

/// The end of a text, at most [`DETAIL_CHARS`] characters, from the start of a line if there is
/// one in it.
fn last_words(text: &str) -> String {
    let text = text.trim_end();
    let Some((start, _)) = text.char_indices().nth_back(DETAIL_CHARS - 1) else {
        return text.to_owned();
    };
    let last = &text[start..];
    let cut_inside_a_line = start > 0 && !text[..start].ends_with('\n');
    let line = last.find('\n').filter(|_| cut_inside_a_line).map_or(0, |at| at + 1);
    last[line..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(ended: Ended, stderr: &str) -> Failure {
        Outcome { tool: "pg_dump", ended, stderr: stderr.to_owned() }.into_failure("")
    }

    #[test]
    fn well_known_texts_choose_class_and_hint() {
        let denied = "pg_dump: error: query failed: ERROR:  permission denied for table t";
        let rls = "query would be affected by row-level security policy for table \"t\"";
        let slots = "connection to server on socket \"/s\" failed: FATAL:  remaining connection \
                     slots are reserved for superusers";
        let gone = "connection to server on socket \"/s\" failed: No such file or directory";
        for (stderr, class, hint) in [
            (denied, Class::ToolFailed, "superuser"),
            (rls, Class::ToolFailed, "BYPASSRLS"),
            ("could not write to file: No space left on device", Class::DiskFull, "Free space"),
            (
                "pg_dump: error: aborting because of server version mismatch",
                Class::ToolFailed,
                "bin_",
            ),
            ("no matching tables were found", Class::InvalidArgument, "pattern"),
            ("ERROR:  out of shared memory", Class::LimitExceeded, "max_locks_per_transaction"),
            (slots, Class::TooManyConnections, "max_connections"),
            ("FATAL:  sorry, too many clients already", Class::TooManyConnections, "max_conn"),
            (gone, Class::Connection, "pg_hba.conf"),
            ("error: could not connect to database \"a\"", Class::Connection, "max_connections"),
            ("FATAL:  terminating connection due to administrator", Class::Connection, "again"),
            ("ERROR:  relation \"t\" does not exist", Class::ToolFailed, "dropped"),
            ("pg_dump: error: who knows", Class::ToolFailed, "server's log"),
            ("", Class::ToolFailed, "server's log"),
        ] {
            let (found, text) = classify(stderr);
            assert_eq!(found, class, "{stderr}");
            assert!(text.contains(hint), "{stderr}: {text}");
        }
    }

    #[test]
    fn nobody_is_told_to_delete_backups_because_a_database_is_too_large() {
        let stderr = "pg_restore: error: COPY failed for table \"t\": ERROR:  could not extend file \
                      \"base/1/2\": No space left on device";
        let outcome =
            Outcome { tool: "pg_restore", ended: Ended::Exit(1), stderr: stderr.to_owned() };
        let failure = outcome.into_load_failure("");
        assert_eq!(failure.class, Class::DiskFull);
        assert!(!failure.hint.contains("backup directory"), "{}", failure.hint);
    }

    #[test]
    fn hints_are_full_sentences() {
        for (words, _, hint) in KNOWN.iter().chain(LOADING) {
            assert!(hint.ends_with('.') && hint.starts_with(char::is_uppercase), "{hint}");
            assert_eq!(words.to_ascii_lowercase(), *words);
        }
    }

    #[test]
    fn the_message_says_which_tool_and_how_it_ended() {
        assert_eq!(failure(Ended::Exit(1), "").message, "pg_dump failed: exit code 1");
        let killed = failure(Ended::Signal(9), "");
        assert_eq!(killed.message, "pg_dump was ended by signal 9 (Killed)");
        assert!(killed.hint.contains("memory"), "{}", killed.hint);
        assert_eq!(failure(Ended::Signal(40), "").message, "pg_dump was ended by signal 40");
        assert_eq!(killed.detail, "pg_dump wrote no message.");
        let outcome = Outcome { tool: "psql", ended: Ended::Exit(3), stderr: String::new() };
        let message = outcome.into_failure("restore globals").message;
        assert_eq!(message, "could not restore globals: psql failed: exit code 3");
    }

    #[test]
    fn the_detail_holds_the_last_lines_and_no_secret() {
        let long = "a line of forty characters, more or less\n".repeat(200);
        let detail = failure(Ended::Exit(1), &format!("{long}password=s3cret\nlast\n")).detail;
        assert!(detail.ends_with("\nlast"), "{detail}");
        assert!(detail.starts_with("a line"), "{detail}");
        assert!(!detail.contains("s3cret"), "{detail}");
        assert!(detail.chars().count() <= DETAIL_CHARS);
    }

    #[test]
    fn a_long_line_of_wide_characters_is_cut_between_them() {
        assert_eq!(last_words(&"é".repeat(5000)).chars().count(), DETAIL_CHARS);
        assert_eq!(last_words(&"x".repeat(DETAIL_CHARS)), "x".repeat(DETAIL_CHARS));
    }
}
