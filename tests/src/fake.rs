//! Fake tools: a copy of the server's program directory in which one program is a script.

use crate::cluster::Cluster;
use crate::place::unique_name;
use crate::place::{create_server_dir, give_to_server, tree};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

impl Cluster {
    /// A directory for `pg_backup.bin_directory` with every program of the server, `name` replaced
    /// by `script`. The script begins with a `#!` line and finds the real program in `$REAL`.
    pub fn fake_tool(&self, name: &str, script: &str) -> PathBuf {
        self.fake_tools(&[(name, script)])
    }

    /// The same with several programs replaced.
    pub fn fake_tools(&self, tools: &[(&str, &str)]) -> PathBuf {
        let dir = self.home.join(format!("bin-{}", unique_name()));
        create_server_dir(&dir);
        for entry in fs::read_dir(&tree().bindir).expect("the tree has programs").flatten() {
            symlink(entry.path(), dir.join(entry.file_name())).expect("the directory is ours");
        }
        for (name, script) in tools {
            let path = dir.join(name);
            let _ = fs::remove_file(&path);
            let (interpreter, body) = script.split_once('\n').expect("a script has two lines");
            assert!(interpreter.starts_with("#!"), "a script begins with #!");
            let real = tree().bindir.join(name);
            let text = format!("{interpreter}\nREAL='{}'\n{body}\n", real.display());
            fs::write(&path, text).expect("the directory is ours");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("it is ours");
            give_to_server(&path);
        }
        dir
    }
}
