//! The ring inside a backend: calls every function of the schema `tests`, which the extension has
//! when it is built with the feature `pg_test`. Each runs in a transaction that is rolled back.

use pg_backup_tests::{Cluster, DbError, wait_for};
use postgres::{Client, NoTls};
use std::time::Duration;

/// A server that crashed in a test function takes this long to be back, at the most.
const RECOVERY_LIMIT: Duration = Duration::from_secs(30);

const LIST: &str = "
    SELECT p.proname::text FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = 'tests' AND p.pronargs = 0 AND p.prokind = 'f' ORDER BY 1";

#[test]
fn every_test_function_in_the_backend_passes() {
    let cluster = Cluster::start();
    let mut client = cluster.connect("postgres");
    let rows = client.query(LIST, &[]).expect("the catalog can be read");
    let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(!names.is_empty(), "the schema \"tests\" has no functions: built without pg_test?");

    let mut failures = Vec::new();
    for name in &names {
        match call(&mut client, name) {
            Ok(()) => println!("test {name} ... ok"),
            Err(error) => {
                println!("test {name} ... FAILED");
                failures.push(format!("{name}: {error}"));
            }
        }
        if client.is_closed() {
            client = reconnect(&cluster);
        }
    }
    println!("{} passed, {} failed", names.len() - failures.len(), failures.len());
    assert!(failures.is_empty(), "failures:\n\n{}", failures.join("\n\n"));
}

fn call(client: &mut Client, name: &str) -> Result<(), DbError> {
    let call = format!("BEGIN; SELECT tests.\"{name}\"()");
    let result = client.simple_query(&call).map_err(|error| DbError::of(&error));
    let rolled_back = client.simple_query("ROLLBACK").map_err(|error| DbError::of(&error));
    result.and(rolled_back).map(drop)
}

fn reconnect(cluster: &Cluster) -> Client {
    wait_for("the server after a crash", RECOVERY_LIMIT, || {
        cluster.config("postgres").connect(NoTls).ok()
    })
}
