//! A streaming standby of a cluster.

use crate::cluster::Cluster;
use crate::place::bin;
use crate::server::{as_server, must_run};

impl Cluster {
    /// A hot standby that streams from this cluster, started and open for reading. `conf` are
    /// lines for its postgresql.conf. Promote it with `SELECT pg_promote()`.
    pub fn standby(&self, conf: &[&str]) -> Self {
        let mut standby = Self::prepare(Vec::new());
        let mut copy = as_server(bin("pg_basebackup"));
        copy.arg("-D").arg(standby.data_dir()).arg("-h").arg(&self.socket_dir);
        copy.args(["-U", "postgres", "--wal-method=stream", "--checkpoint=fast"]);
        must_run(copy.args(["--write-recovery-conf", "--no-sync"]));
        let lines: Vec<String> = conf.iter().map(|&line| line.to_owned()).collect();
        standby.launch(&lines);
        standby
    }
}
