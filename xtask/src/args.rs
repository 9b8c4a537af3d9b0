//! The command line of xtask: words in, one [`Command`] out.
//!
//! Must hold: an unknown word is an error, never ignored; `--option VALUE` and `--option=VALUE`
//! mean the same.

use crate::Result;
use std::path::PathBuf;

/// What `cargo xtask help` prints.
pub const USAGE: &str = "\
Usage:
  cargo xtask install [--pg-config PATH] [--release | --profile NAME] [--features A,B]
                      [--destdir DIR] [--no-build]
      Build pg_backup and install it into the PostgreSQL that PATH belongs to.
      --destdir puts everything under DIR; --no-build takes the library built before.
  cargo xtask release [--pg-config PATH]
      Freeze the version of the workspace: its scripts go into sql/released, for ever.
  cargo xtask upgrades
      Write the upgrade scripts into sql/, from where cargo-pgrx takes them.
  cargo xtask tree DIR [--pg-config PATH]
      Make a private copy of that PostgreSQL in DIR, to install into without touching
      the system. Prints the path of its pg_config.
  PATH is PGRX_PG_CONFIG_PATH where it is not given.
";

/// One parsed command line.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    Install(Install),
    Release(Install),
    Upgrades,
    Tree { dir: PathBuf, pg_config: PathBuf },
    Help,
}

/// The options of `xtask install`.
#[derive(Debug, PartialEq, Eq)]
pub struct Install {
    pub pg_config: PathBuf,
    /// A Cargo profile: `dev`, `release` or one of the workspace.
    pub profile: String,
    pub features: Option<String>,
    pub destdir: Option<PathBuf>,
    pub build: bool,
}

/// Parses the words after `xtask`. Fails on unknown words and missing values.
pub fn parse(words: impl Iterator<Item = String>) -> Result<Command> {
    let mut words = Words { rest: words.collect::<Vec<_>>().into_iter() };
    match words.rest.next().as_deref() {
        Some("install") => Ok(Command::Install(parse_install(words)?)),
        // Of the library as users get it: without the objects of the tests.
        Some("release") => Ok(Command::Release(parse_install(words)?)),
        Some("upgrades") => {
            words.rest.next().map_or(Ok(Command::Upgrades), |word| Err(unknown(&word)))
        }
        Some("tree") => parse_tree(words),
        None | Some("help" | "-h" | "--help") => Ok(Command::Help),
        Some(other) => Err(format!("unknown command \"{other}\"\n\n{USAGE}").into()),
    }
}

fn parse_install(mut words: Words) -> Result<Install> {
    let mut pg_config = None;
    let (mut profile, mut features, mut destdir, mut build) = ("dev".to_owned(), None, None, true);
    while let Some((word, inline)) = words.next_split() {
        match word.as_str() {
            "--pg-config" => pg_config = Some(words.value(&word, inline)?.into()),
            "--release" => profile = "release".to_owned(),
            "--profile" => profile = words.value(&word, inline)?,
            "--features" => features = Some(words.value(&word, inline)?),
            "--destdir" => destdir = Some(words.value(&word, inline)?.into()),
            "--no-build" => build = false,
            _ => return Err(unknown(&word)),
        }
    }
    let pg_config = pg_config.map_or_else(default_pg_config, Ok)?;
    Ok(Install { pg_config, profile, features, destdir, build })
}

fn parse_tree(mut words: Words) -> Result<Command> {
    let (mut dir, mut pg_config) = (None, None);
    while let Some((word, inline)) = words.next_split() {
        match word.as_str() {
            "--pg-config" => pg_config = Some(words.value(&word, inline)?.into()),
            _ if word.starts_with('-') || dir.is_some() => return Err(unknown(&word)),
            _ => dir = Some(PathBuf::from(word)),
        }
    }
    let dir = dir.ok_or("xtask tree needs a directory")?;
    Ok(Command::Tree { dir, pg_config: pg_config.map_or_else(default_pg_config, Ok)? })
}

fn unknown(word: &str) -> Box<dyn std::error::Error + Send + Sync> {
    format!("unexpected argument \"{word}\"\n\n{USAGE}").into()
}

/// `.cargo/config.toml` sets it for every `cargo xtask`.
fn default_pg_config() -> Result<PathBuf> {
    std::env::var_os("PGRX_PG_CONFIG_PATH")
        .map(PathBuf::from)
        .ok_or_else(|| "no --pg-config given and PGRX_PG_CONFIG_PATH is not set".into())
}

struct Words {
    rest: std::vec::IntoIter<String>,
}

impl Words {
    /// The next word, `--option=value` split in two.
    fn next_split(&mut self) -> Option<(String, Option<String>)> {
        let word = self.rest.next()?;
        match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => {
                Some((name.to_owned(), Some(value.to_owned())))
            }
            _ => Some((word, None)),
        }
    }

    fn value(&mut self, option: &str, inline: Option<String>) -> Result<String> {
        inline
            .or_else(|| self.rest.next())
            .filter(|value| !value.is_empty())
            .ok_or_else(|| format!("{option} needs a value").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Command> {
        parse(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn options_are_read_in_both_spellings() {
        let one = words("install --pg-config /x/pg_config --profile bench --features a,b");
        let two = words("install --pg-config=/x/pg_config --profile=bench --features=a,b");
        let Ok(Command::Install(one)) = one else { panic!("{one:?}") };
        assert_eq!(one.profile, "bench");
        assert_eq!(one.features.as_deref(), Some("a,b"));
        assert!(one.build);
        assert_eq!(Command::Install(one), two.unwrap());
    }

    #[test]
    fn an_unknown_option_and_a_missing_value_are_errors() {
        assert!(words("install --pg-config /x --fast").unwrap_err().to_string().contains("--fast"));
        assert!(words("install --pg-config").unwrap_err().to_string().contains("needs a value"));
        assert!(words("tree a b --pg-config /x").unwrap_err().to_string().contains("\"b\""));
        assert!(words("remove").unwrap_err().to_string().contains("unknown command"));
    }
}
