//! What a restore runs is the work of many roles, and whoever loads it is a superuser: nobody's
//! code may get his rights. pg_restore does not see to that. Its `--use-set-session-authorization`
//! leaves who logged in a superuser, whose rights a function behind a CHECK takes back; and while
//! definitions are made, the server evaluates expressions as who makes them (a bound of a
//! partition over a domain, the first value of an aggregate, a cast behind a foreign key).
//!
//! So in a guarded session rows are written as the owner of their table ([`copy`]), and a function
//! of a role without rights runs as that role whenever it would run as a superuser
//! ([`function`]); built-in functions that run SQL from a text or reach files are refused there
//! ([`builtin`]): each in a security-restricted operation, where neither SET ROLE nor SET
//! SESSION AUTHORIZATION can be said and after which settings are as before, as the server itself
//! does maintenance. In: the setting `pg_backup.restricted`, which only a superuser can give.

mod builtin;
mod copy;
mod function;

use std::sync::OnceLock;

/// What the guard asks of the rest of the extension.
#[derive(Debug, Clone, Copy)]
pub struct Asks {
    /// Whether this session is guarded.
    pub is_guarded: fn() -> bool,
    /// Raises the error for the call of a built-in function, by its id.
    pub refuse: fn(u32) -> !,
}

static ASKS: OnceLock<Asks> = OnceLock::new();

/// Guards sessions. Once, while the library is preloaded.
pub fn guard(asks: Asks) {
    if ASKS.set(asks).is_ok() {
        copy::install();
        function::install();
        builtin::install();
    }
}

fn guarded() -> bool {
    ASKS.get().is_some_and(|asks| (asks.is_guarded)())
}

fn refuse(function: u32) {
    if let Some(asks) = ASKS.get() {
        (asks.refuse)(function)
    }
}
