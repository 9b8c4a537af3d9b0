//! The build of the extension's shared library.
//!
//! In: profile, features, the target PostgreSQL. Out: the path of the .so.
//! Must hold: what is installed is what this build made, whatever target directory Cargo was
//! configured with; so the path comes from Cargo's own messages.

use crate::Result;
use crate::args::Install;
use crate::pg_config::PgConfig;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const LIBRARY: &str = "libpg_backup.so";
/// The default feature of the extension is `pg15`.
const DEFAULT_MAJOR: u32 = 15;

/// The root of the workspace.
pub fn root() -> &'static Path {
    let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest_dir.parent().unwrap_or(manifest_dir)
}

/// The library to install: built now, or with `--no-build` the one beside xtask.
pub fn library(options: &Install, target: &PgConfig) -> Result<PathBuf> {
    if options.build { build(options, target) } else { built_before(&options.profile) }
}

fn build(options: &Install, target: &PgConfig) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(["build", "--lib", "--package", "pg_backup"]);
    command.args(["--profile", &options.profile]);
    command.arg("--message-format=json-render-diagnostics");
    let mut features: Vec<String> = options.features.iter().cloned().collect();
    let major = target.major()?;
    if major != DEFAULT_MAJOR {
        command.arg("--no-default-features");
        features.push(format!("pg{major}"));
    }
    if configured_major()? != Some(major) {
        // pgrx binds to one major version: its headers and the feature must agree.
        command.env("PGRX_PG_CONFIG_PATH", &target.path);
    }
    if !features.is_empty() {
        command.args(["--features", &features.join(",")]);
    }
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("could not run cargo: {error}"))?;
    if !output.status.success() {
        return Err("the build failed".into());
    }
    artifact(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| format!("cargo built no {LIBRARY}").into())
}

/// The major version whose headers are set. Within one major version pgrx stays with the same
/// headers: another pg_config path rebuilds everything.
fn configured_major() -> Result<Option<u32>> {
    match std::env::var_os("PGRX_PG_CONFIG_PATH") {
        // The default path where there is no PostgreSQL 15: the target's own headers are taken.
        Some(path) if Path::new(&path).exists() => {
            PgConfig::read(Path::new(&path))?.major().map(Some)
        }
        _ => Ok(None),
    }
}

/// Finds the library in Cargo's JSON messages: the last quoted path that ends with its name.
fn artifact(messages: &str) -> Option<PathBuf> {
    let end = messages.rfind(&format!("/{LIBRARY}\""))? + 1 + LIBRARY.len();
    let start = messages[..end].rfind('"')? + 1;
    Some(PathBuf::from(&messages[start..end]))
}

fn built_before(profile: &str) -> Result<PathBuf> {
    let exe = std::env::current_exe()?;
    let target = exe.parent().and_then(Path::parent).ok_or("xtask lies in no target directory")?;
    // Cargo keeps the profile `dev` in the directory `debug`.
    let library = target.join(if profile == "dev" { "debug" } else { profile }).join(LIBRARY);
    if !library.is_file() {
        return Err(format!("\"{}\" does not exist: build it first", library.display()).into());
    }
    Ok(library)
}

#[cfg(test)]
mod tests {
    use super::artifact;

    #[test]
    fn the_library_is_found_in_the_messages_of_cargo() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","filenames":["/t/debug/libother.so"]}"#,
            "\n",
            r#"{"filenames":["/t/a b/debug/libpg_backup.so","/t/debug/libpg_backup.rlib"]}"#,
        );
        let path = artifact(messages).unwrap();
        assert_eq!(path.to_str(), Some("/t/a b/debug/libpg_backup.so"));
        assert_eq!(artifact("{}"), None);
    }
}
