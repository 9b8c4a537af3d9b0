//! Restores that replace a live database: what the tests of them ask again and again.

use crate::{Cluster, Faults, LIMIT, is_alive, signal, wait_until};
use nix::sys::signal::Signal;
use postgres::{NoTls, SimpleQueryMessage};

/// A database `app` whose one table tells its age, and an archive of it that is older than it.
pub const OLD: &str = "old";
/// What it tells after the archive was made, until it is replaced.
pub const NEW: &str = "new";

impl Cluster {
    /// Names of the databases that are there beside those of the cluster.
    pub fn databases(&self) -> String {
        let sql = "SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_database \
                   WHERE datname NOT IN ('postgres', 'template0', 'template1')";
        self.value("postgres", sql)
    }

    /// The newest restore, rollback or accept in a history: `origin status: error`.
    pub fn last_restore(&self, home: &str) -> String {
        let sql = "SELECT origin || ' ' || concat_ws(': ', status, error) FROM backup_history \
                   WHERE kind = 'restore' ORDER BY id DESC LIMIT 1";
        self.value(home, sql)
    }

    /// Waits until it is that, also while the server comes back from a crash.
    pub fn wait_for_restore(&self, home: &str, wanted: &[String]) -> String {
        let sql = "SELECT origin || ' ' || status FROM backup_history WHERE kind = 'restore' \
                   ORDER BY id DESC LIMIT 1";
        let mut last = String::new();
        wait_until(&format!("a restore that is one of {wanted:?}"), LIMIT, || {
            last = self.ask(home, sql).unwrap_or_default();
            wanted.contains(&last)
        });
        last
    }

    /// The one value of a query; None when the server does not answer.
    pub fn ask(&self, database: &str, sql: &str) -> Option<String> {
        let mut client = self.config(database).connect(NoTls).ok()?;
        client.simple_query(sql).ok()?.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
    }

    /// A database `app` that says [`NEW`], and the id of its backup that says [`OLD`]. The archive
    /// has a few hundred rows and an index besides.
    pub fn make_aged(&self) -> String {
        self.sql("postgres", "CREATE DATABASE app");
        let make = format!(
            "CREATE TABLE age AS SELECT '{OLD}'::text AS says; \
             CREATE TABLE filler AS SELECT i, md5(i::text) AS m FROM generate_series(1, 500) i; \
             CREATE INDEX ON filler (m)"
        );
        self.sql("app", &make);
        let id = self.back_up_app("");
        self.make_new();
        id
    }

    /// The id of a new backup of `app`, with more arguments of `backup_create()` if there are any.
    pub fn back_up_app(&self, options: &str) -> String {
        self.value("postgres", &format!("SELECT backup_create(database => 'app'{options})"))
    }

    /// Makes what `app` says new again.
    pub fn make_new(&self) {
        self.sql("app", &format!("UPDATE age SET says = '{NEW}'; DELETE FROM filler WHERE i > 9"));
    }

    /// What a database says, which must be all of one age.
    pub fn age(&self, database: &str) -> String {
        let sql = "SELECT says || ' ' || (SELECT count(*) FROM filler) FROM age";
        match self.value(database, sql).as_str() {
            "old 500" => OLD.to_owned(),
            "new 9" => NEW.to_owned(),
            mixed => panic!("{database} is neither old nor new but: {mixed}"),
        }
    }

    /// Kills the postmaster, and then the runner, which stands at a fault point and cannot see it.
    pub fn kill_with_runner(&mut self, runner: i32) {
        let postmaster = self.pid();
        let killer = std::thread::spawn(move || {
            wait_until("the postmaster's end", LIMIT, || !is_alive(postmaster));
            signal(runner, Signal::SIGKILL);
        });
        self.kill_postmaster();
        killer.join().expect("the killer does not panic");
    }

    /// The databases that restores have kept, by the history of `home`.
    pub fn kept(&self, home: &str) -> String {
        let sql = "SELECT string_agg(kept_as, ' ' ORDER BY kept_as) FROM backup_rollback_points";
        self.value(home, sql)
    }

    /// After a crash: `app` answers, all old or all new; each other database is one that a restore
    /// says it keeps. Gives what `app` says.
    pub fn assert_accounted_for(&self, home: &str) -> String {
        let ended = |origin: &str| {
            ["succeeded", "interrupted", "failed"].map(|status| format!("{origin} {status}"))
        };
        let wanted: Vec<String> =
            ["manual", "rollback", "accept"].iter().flat_map(|o| ended(o)).collect();
        self.wait_for_restore(home, &wanted);
        wait_until("only databases that are accounted for", LIMIT, || {
            let (kept, all) = (self.kept(home), self.databases());
            all.split(' ').filter(|name| *name != "app").collect::<Vec<_>>().join(" ") == kept
        });
        self.age("app")
    }

    /// The same, and the next restore works, and its acceptance.
    pub fn assert_recovered(&self, home: &str, backup: &str) -> String {
        let age = self.assert_accounted_for(home);
        self.replace_app(home, backup);
        assert_eq!(self.age("app"), OLD);
        age
    }

    /// Replaces `app` from the history of `home`, which is another database, and accepts it.
    pub fn replace_app(&self, home: &str, backup: &str) {
        self.sql(home, &format!("CALL backup_restore({backup}, replace => 'app')"));
        self.accept_all(home);
        assert_eq!(self.databases(), "app");
    }

    /// Accepts every restore in the history of `home`.
    pub fn accept_all(&self, home: &str) {
        let sql = "SELECT restore_id FROM backup_rollback_points ORDER BY restore_id";
        for row in self.sql(home, sql) {
            let id = row[0].clone().expect("an id");
            self.sql(home, &format!("CALL backup_accept({id})"));
        }
    }
}

/// Crashes the server when the job of `sql` stands at `point`: everything, or (`runner_only`) the
/// runner, at whose death the postmaster starts the others again.
pub fn crash_at(cluster: &mut Cluster, faults: &Faults, sql: &str, point: &str, runner_only: bool) {
    faults.plant(point);
    let call = cluster.call("postgres", sql);
    let runner = faults.wait(point);
    if runner_only {
        signal(runner, Signal::SIGKILL);
        faults.lift(point);
        call.error();
        wait_until("the end of the crash", LIMIT, || cluster.ask("postgres", "SELECT 1").is_some());
    } else {
        cluster.kill_with_runner(runner);
        faults.lift(point);
        call.error();
        cluster.start_again();
    }
}
