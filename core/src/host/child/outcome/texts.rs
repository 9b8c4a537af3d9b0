//! What tools say, what that means, and what to do.

use crate::error::Class;

/// Where there is no better advice.
pub(super) const GENERAL: &str = "The server's log may tell more.";

/// Texts in lower case, most telling first: a failed connection names its reason in the same
/// line, so the reasons come before the connection, and "does not exist" fits nearly anything.
/// The texts are those of PostgreSQL 15 to 18 and of `strerror(3)`, untranslated.
pub(super) const KNOWN: &[(&str, Class, &str)] = &[
    ("remaining connection slots", Class::TooManyConnections, CONNECTIONS),
    ("too many clients", Class::TooManyConnections, CONNECTIONS),
    ("too many connections for", Class::TooManyConnections, CONNECTIONS),
    ("no space left", Class::DiskFull, "Free space on the disk of the backup directory."),
    (
        "out of shared memory",
        Class::LimitExceeded,
        "Raise max_locks_per_transaction, or back up fewer tables at once: a dump locks them all.",
    ),
    (
        "server version mismatch",
        Class::ToolFailed,
        "Set pg_backup.bin_directory to the programs of the server's own version.",
    ),
    (
        "no matching",
        Class::InvalidArgument,
        "Check the pattern: names in it are folded to lower case unless they are in double \
         quotes, and an unqualified table is looked up in the search path only.",
    ),
    (
        "row-level security",
        Class::ToolFailed,
        "Let pg_backup.user be a superuser or a role with BYPASSRLS.",
    ),
    (
        "permission denied",
        Class::ToolFailed,
        "Let pg_backup.user be a superuser, and the server's user have the rights on the files.",
    ),
    // All that pg_dumpall says; the job's own session was let in a moment before.
    (
        "could not connect to database",
        Class::Connection,
        "The tool does not say why, the server's log does; most often max_connections is used up.",
    ),
    ("connection to server", Class::Connection, REACH),
    ("could not connect", Class::Connection, REACH),
    ("server closed the connection", Class::Connection, BROKEN),
    ("terminating connection", Class::Connection, BROKEN),
    (
        "does not exist",
        Class::ToolFailed,
        "Something was dropped or renamed meanwhile. Run it again.",
    ),
];

/// Of a tool that loads, before those of all.
pub(super) const LOADING: &[(&str, Class, &str)] = &[
    (
        "no space left",
        Class::DiskFull,
        "Free space where databases are: on the disk of the data directory, of a tablespace or of \
         the WAL. The archive is not touched.",
    ),
    (
        "out of shared memory",
        Class::LimitExceeded,
        "Raise max_locks_per_transaction: tables that are made in one transaction are all locked.",
    ),
    (
        "permission denied",
        Class::ToolFailed,
        "Each object is made with the rights of its owner. If you trust who made the archive, \
         trusted => true makes all of them with those of a superuser.",
    ),
    (
        "does not exist",
        Class::ToolFailed,
        "The archive needs something that it does not hold and that is not here: see the first \
         error.",
    ),
];

const CONNECTIONS: &str =
    "Raise max_connections or superuser_reserved_connections, or run it when fewer are connected.";
const REACH: &str =
    "Check pg_backup.host, pg_backup.port, pg_backup.user and pg_hba.conf with backup_check().";
const BROKEN: &str = "The server ended the connection; its log tells why. Run it again.";
