//! Where things lie, and who the server is.
//!
//! In: `PG_BACKUP_TEST_DIR` (default `pg_backup-test-UID` in the temporary directory), which holds
//! the tree `pg` and the templates; `PG_BACKUP_TEST_RUN` (default the same), which holds used data
//! directories, and `run` with one directory per cluster. Out: paths and names.
//! Must hold: no name of a cluster is a part of another's, for processes are found by it.

use nix::unistd::{Gid, Uid, User, chown};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// The kernel's `sun_path` holds 108 bytes, PostgreSQL adds `/.s.PGSQL.5432.lock`.
const SOCKET_DIR_MAX: usize = 85;

/// The directory of everything.
pub fn base() -> &'static Path {
    static BASE: LazyLock<PathBuf> = LazyLock::new(|| {
        std::env::var_os("PG_BACKUP_TEST_DIR").map_or_else(
            || std::env::temp_dir().join(format!("pg_backup-test-{}", Uid::effective())),
            PathBuf::from,
        )
    });
    &BASE
}

/// The directory of what comes and goes with every test. `make` puts it into memory.
pub fn passing() -> &'static Path {
    static PASSING: LazyLock<PathBuf> = LazyLock::new(|| {
        std::env::var_os("PG_BACKUP_TEST_RUN").map_or_else(|| base().to_owned(), PathBuf::from)
    });
    &PASSING
}

/// The private PostgreSQL tree: programs, libraries and the extension under test.
pub struct Tree {
    pub bindir: PathBuf,
    pub libdir: PathBuf,
    pub extension_dir: PathBuf,
}

/// The tree of `make test-install`. Panics where there is none.
pub fn tree() -> &'static Tree {
    static TREE: LazyLock<Tree> = LazyLock::new(|| tree_of(&base().join("pg/pg_config")));
    &TREE
}

/// The tree that a pg_config belongs to.
pub(crate) fn tree_of(pg_config: &Path) -> Tree {
    let told = told_by(pg_config);
    let place = |name: &str| {
        let value = told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
        PathBuf::from(value.unwrap_or_else(|| panic!("pg_config tells no {name}")))
    };
    Tree {
        bindir: place("BINDIR"),
        libdir: place("PKGLIBDIR"),
        extension_dir: place("SHAREDIR").join("extension"),
    }
}

/// Where libraries and extensions lie in the tree.
pub fn tree_dirs() -> (&'static Path, &'static Path) {
    (&tree().libdir, &tree().extension_dir)
}

/// All that a pg_config says, a line each.
fn told_by(pg_config: &Path) -> String {
    let output = std::process::Command::new(pg_config).output().unwrap_or_else(|error| {
        panic!("{}: {error}: run `make test-install` first", pg_config.display())
    });
    String::from_utf8(output.stdout).expect("its paths are UTF-8")
}

/// A program of the server under test, for example `bin("pg_restore")`.
pub fn bin(name: &str) -> PathBuf {
    tree().bindir.join(name)
}

/// The operating system user that servers run as, when it is not the user of the tests.
pub fn server_user() -> Option<(Uid, Gid)> {
    static USER: LazyLock<Option<(Uid, Gid)>> = LazyLock::new(|| {
        if !Uid::effective().is_root() {
            return None;
        }
        let user = User::from_name("postgres").ok().flatten();
        let user = user.expect("as root the tests need an operating system user postgres");
        Some((user.uid, user.gid))
    });
    *USER
}

/// Makes the server's user the owner of `path` (not of what is below it).
pub fn give_to_server(path: &Path) {
    if let Some((uid, gid)) = server_user() {
        chown(path, Some(uid), Some(gid))
            .unwrap_or_else(|error| panic!("could not chown {}: {error}", path.display()));
    }
}

/// Creates a directory that only the server (and root) may enter.
pub fn create_server_dir(path: &Path) {
    fs::DirBuilder::new()
        .mode(0o700)
        .create(path)
        .unwrap_or_else(|error| panic!("could not create {}: {error}", path.display()));
    give_to_server(path);
}

/// Where clusters live. Everybody may pass, each cluster's own directory is closed.
pub fn run_dir() -> PathBuf {
    let dir = passing().join("run");
    fs::create_dir_all(&dir).expect("PG_BACKUP_TEST_DIR and _RUN must be writable");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).expect("run is ours");
    dir
}

/// A name for a cluster or mount that no other has: `c0012345n001`. Of fixed width, so that no
/// name is the beginning of another.
pub fn unique_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("c{:07}n{count:03}", std::process::id())
}

/// The process that made a name of [`unique_name`].
pub fn maker_of(name: &str) -> Option<i32> {
    name.strip_prefix('c')?.split_once('n')?.0.parse().ok()
}

/// The directory for the socket: the cluster's own, or a short one where that path is too long.
pub fn socket_dir(home: &Path, name: &str) -> PathBuf {
    if home.as_os_str().len() <= SOCKET_DIR_MAX {
        return home.to_owned();
    }
    let dir = Path::new("/tmp").join(format!("pg_backup-{name}"));
    create_server_dir(&dir);
    dir
}
