//! `cargo xtask`: builds and installs the extension without cargo-pgrx, and makes private
//! relocated PostgreSQL trees so that tests and the demo install nothing into the system.
//!
//! In: the command line (see [`args::USAGE`]). Out: files in the directories that pg_config
//! names, one line per file on standard output, messages on standard error.
//! Must hold: a file of a running server is replaced by a rename, never written in place.

mod args;
mod cargo;
mod install;
mod pg_config;
mod release;
mod schema;
mod tree;

use args::Command;
use std::process::ExitCode;

/// Errors are text for a person; nothing here is handled by kind.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> ExitCode {
    match args::parse(std::env::args().skip(1)).and_then(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Install(options) => install::run(&options),
        Command::Release(options) => release::run(&options, install::VERSION),
        Command::Upgrades => release::write_upgrades(cargo::root(), install::VERSION),
        Command::Tree { dir, pg_config } => tree::run(&dir, &pg_config),
        Command::Help => {
            print!("{}", args::USAGE);
            Ok(())
        }
    }
}
