//! One PostgreSQL installation, as its pg_config reports it.
//!
//! In: the path of a pg_config program. Out: [`PgConfig`], plain data.
//! Must hold: directories are absolute, and the version is one that pg_config printed.

use crate::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a PostgreSQL keeps its files, and which one it is.
#[derive(Debug)]
pub struct PgConfig {
    pub path: PathBuf,
    /// For example `PostgreSQL 15.20 (Debian 15.20-0+deb12u1)`.
    pub version: String,
    pub bindir: PathBuf,
    pub pkglibdir: PathBuf,
    pub sharedir: PathBuf,
}

impl PgConfig {
    /// Asks the program at `path`. Fails when it cannot run or prints something unexpected.
    pub fn read(path: &Path) -> Result<Self> {
        let config = Self {
            path: path.to_owned(),
            version: ask(path, "--version")?,
            bindir: ask(path, "--bindir")?.into(),
            pkglibdir: ask(path, "--pkglibdir")?.into(),
            sharedir: ask(path, "--sharedir")?.into(),
        };
        for dir in [&config.bindir, &config.pkglibdir, &config.sharedir] {
            if !dir.is_absolute() {
                return Err(format!("{} reports \"{}\"", path.display(), dir.display()).into());
            }
        }
        config.major()?;
        Ok(config)
    }

    /// The major version, for example 15.
    pub fn major(&self) -> Result<u32> {
        major_of(&self.version)
            .ok_or_else(|| format!("unknown PostgreSQL version \"{}\"", self.version).into())
    }
}

fn ask(path: &Path, option: &str) -> Result<String> {
    let output = Command::new(path)
        .arg(option)
        .output()
        .map_err(|error| format!("could not run \"{}\": {error}", path.display()))?;
    if !output.status.success() {
        return Err(format!("\"{} {option}\" failed: {}", path.display(), output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// `PostgreSQL 15.20 (Debian …)`, `PostgreSQL 19beta1` → the number.
fn major_of(version: &str) -> Option<u32> {
    let number = version.strip_prefix("PostgreSQL ")?;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major_of;

    #[test]
    fn the_major_version_is_read_from_releases_and_betas() {
        assert_eq!(major_of("PostgreSQL 15.20 (Debian 15.20-0+deb12u1)"), Some(15));
        assert_eq!(major_of("PostgreSQL 19beta1"), Some(19));
        assert_eq!(major_of("PostgreSQL 18"), Some(18));
        assert_eq!(major_of("EnterpriseDB"), None);
    }
}
