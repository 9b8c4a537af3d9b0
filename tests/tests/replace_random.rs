//! Power cuts and kills at random moments of a replace and of the way back: the database is all
//! old or all new. A test that fails prints its seed, which `PG_BACKUP_TEST_SEED` repeats.

use nix::sys::signal::Signal;
use pg_backup_tests::{Cluster, LIMIT, Mode, NEW, OLD, sample, signal, wait_until};
use std::time::{Duration, Instant};

/// Random moments of each test: a hundred in both.
const MOMENTS: u32 = 50;
/// A replace of the small database takes about this long, and a rollback.
const REPLACE: Duration = Duration::from_millis(900);
const ROLLBACK: Duration = Duration::from_millis(500);

fn seed() -> u64 {
    let given = std::env::var("PG_BACKUP_TEST_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| fastrand::u64(..))
}

/// Ends the server, or one of its processes, by one of the ways that give no warning.
fn strike(cluster: &mut Cluster, random: &mut fastrand::Rng, backend: i32) {
    match random.u8(..4) {
        0 | 1 => cluster.restart(Mode::Immediate),
        2 => {
            cluster.kill_postmaster();
            cluster.start_again();
        }
        _ => {
            let victim = cluster.runners().first().copied().unwrap_or(backend);
            signal(victim, Signal::SIGKILL);
        }
    }
    wait_until("a server that answers", LIMIT, || cluster.ask("postgres", "SELECT 1").is_some());
}

/// Starts a call, strikes within `span` of it, and gives whether it had come back.
fn struck(cluster: &mut Cluster, random: &mut fastrand::Rng, sql: &str, span: Duration) -> bool {
    let call = cluster.call("postgres", sql);
    let (began, moment) = (Instant::now(), span.mul_f64(random.f64()));
    wait_until("the moment", LIMIT, || began.elapsed() >= moment || call.has_ended());
    let pid = call.pid;
    strike(cluster, random, pid);
    call.end().is_ok()
}

#[test]
fn a_replace_that_is_struck_at_a_random_moment_is_all_or_nothing() {
    let seed = seed();
    println!("PG_BACKUP_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut cluster = Cluster::start();
    let id = cluster.make_aged();
    cluster.replace_app("postgres", &id);
    let mut old = 0;
    for moment in sample(0..MOMENTS) {
        cluster.make_new();
        let call = format!("CALL backup_restore({id}, replace => 'app')");
        let came_back = struck(&mut cluster, &mut random, &call, REPLACE);
        let age = cluster.assert_accounted_for("postgres");
        assert!(!came_back || age == OLD, "moment {moment}: what was said to be done is not");
        old += u32::from(age == OLD);
        cluster.accept_all("postgres");
    }
    println!("{old} had been swapped");
    cluster.replace_app("postgres", &id);
    cluster.assert_clean();
}

#[test]
fn a_rollback_that_is_struck_at_a_random_moment_is_all_or_nothing() {
    let seed = seed();
    println!("PG_BACKUP_TEST_SEED={seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut cluster = Cluster::start();
    let id = cluster.make_aged();
    let mut run =
        cluster.value("postgres", &format!("CALL backup_restore({id}, replace => 'app')"));
    let mut age = OLD.to_owned();
    for moment in sample(0..MOMENTS) {
        let call = format!("CALL backup_rollback({run})");
        let came_back = struck(&mut cluster, &mut random, &call, ROLLBACK);
        let now = cluster.assert_accounted_for("postgres");
        assert!(!came_back || age != now, "moment {moment}: what was said to be done is not");
        age = now;
        run = cluster.value("postgres", "SELECT restore_id FROM backup_rollback_points");
    }
    assert!([OLD, NEW].contains(&age.as_str()));
    cluster.sql("postgres", &format!("CALL backup_accept({run})"));
    assert_eq!(cluster.databases(), "app");
    cluster.assert_clean();
}
