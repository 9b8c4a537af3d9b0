//! A part of the cases of a test that tries many, so that `make test` is quick.
//!
//! In: the cases. Out: a quarter of them, one at least; with `PG_BACKUP_TEST_EXTRA=1`, as `.ci/run`
//! has it, all. What must hold: every major version has another quarter, so that 15 to 18 together
//! come to each case that all of them have; what is left out is counted in the file `sampled`
//! beside the tree, and `make test` tells of it.

use crate::ability::major;
use crate::place::base;
use std::fs::OpenOptions;
use std::io::Write;

/// One case of so many is tried.
const ONE_OF: usize = 4;

/// The cases of `all` that this run tries, in their order.
pub fn sample<T>(all: impl IntoIterator<Item = T>) -> Vec<T> {
    let all: Vec<T> = all.into_iter().collect();
    if std::env::var_os("PG_BACKUP_TEST_EXTRA").is_some_and(|set| !set.is_empty() && set != "0") {
        return all;
    }
    let total = all.len();
    let chosen = chosen(all, major() as usize);
    let line = format!("{} {total}", chosen.len());
    println!("{line}: of the cases, this run tries so many");
    let file = OpenOptions::new().append(true).create(true).open(base().join("sampled"));
    file.and_then(|mut file| writeln!(file, "{line}")).expect("the tests' directory is ours");
    chosen
}

/// Every fourth case, from another one on for each `turn`.
fn chosen<T>(all: Vec<T>, turn: usize) -> Vec<T> {
    let step = ONE_OF.min(all.len().max(1));
    all.into_iter().skip(turn % step).step_by(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn four_turns_in_a_row_come_to_every_case_and_each_to_one() {
        for count in 0..10 {
            let turns = (15..19).map(|turn| chosen((0..count).collect(), turn));
            let turns: Vec<Vec<usize>> = turns.collect();
            assert!(turns.iter().all(|cases| cases.is_empty() == (count == 0)));
            let all: HashSet<usize> = turns.concat().into_iter().collect();
            assert_eq!(all.len(), count);
        }
    }
}
