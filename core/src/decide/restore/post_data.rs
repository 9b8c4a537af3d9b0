//! The order in which several connections load the section post-data.
//!
//! In: the entries of a table of contents. Out: lists, each for one run of pg_restore.
//!
//! What must hold: nothing else runs while indexes become parts of those of a partitioned table.
//! When a partition that is partitioned itself gets the last part of its index, the server also
//! locks the table above (`validatePartitionedIndex` in tablecmds.c). pg_restore does not know of
//! that lock: two of its connections can wait for each other, and the restore fails (measured).

use std::collections::BTreeSet;

use super::part::{BUILT_ON_ROWS, Entry, with_what_is_said};

/// What the parts and the wholes are.
const INDEXES: [&str; 2] = ["CONSTRAINT", "INDEX"];
const ATTACH: &str = "INDEX ATTACH";

/// One run of pg_restore.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Name of the list.
    pub name: &'static str,
    pub list: String,
    /// Whether several connections may do it.
    pub is_parallel: bool,
}

/// The runs that load what is in `list`: all at once where no index has parts, else the indexes,
/// then the parts by one connection, then the rest.
pub fn runs(entries: &[Entry], list: String) -> Vec<Run> {
    let all = |list| vec![Run { name: "rest", list, is_parallel: true }];
    if !entries.iter().any(|entry| entry.toc.kind == ATTACH) {
        return all(list);
    }
    let (mut built, attached, is_rest_free) = stages(entries);
    with_what_is_said(entries, &mut built);
    let [mut indexes, mut parts, mut rest] = [const { String::new() }; 3];
    for line in list.lines() {
        let id = line.trim_end_matches(';').parse::<u32>().ok();
        let is_in = |set: &BTreeSet<u32>| id.is_some_and(|id| set.contains(&id));
        let to = match (is_in(&built), is_in(&attached)) {
            (true, _) => &mut indexes,
            (_, true) => &mut parts,
            _ => &mut rest,
        };
        to.push_str(line);
        to.push('\n');
    }
    let runs = [
        Run { name: "indexes", list: indexes, is_parallel: true },
        Run { name: "attached", list: parts, is_parallel: false },
        Run { name: "rest", list: rest, is_parallel: is_rest_free },
    ];
    runs.into_iter().filter(|run| !run.list.is_empty()).collect()
}

/// The indexes that need nothing of the section but each other, what attaches them, and whether
/// that is all that attaches.
fn stages(entries: &[Entry]) -> (BTreeSet<u32>, BTreeSet<u32>, bool) {
    let (mut there, mut built, mut attached) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::<u32>::new());
    let mut is_rest_free = true;
    let mut has_begun = false;
    for entry in entries {
        let (id, kind) = (entry.toc.dump_id, entry.toc.kind.as_str());
        // The entries stand in an order in which they can be made; the sections stand apart.
        has_begun |= BUILT_ON_ROWS.contains(&kind);
        let can_be_made = || entry.needs.iter().all(|need| there.contains(need));
        if !has_begun {
            there.insert(id);
        } else if INDEXES.contains(&kind) && can_be_made() {
            there.insert(id);
            built.insert(id);
        } else if kind == ATTACH && can_be_made() {
            attached.insert(id);
        } else if kind == ATTACH {
            is_rest_free = false;
        }
    }
    (built, attached, is_rest_free)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::restore::part::entries;

    const CONTENTS: &str = "\
214; 1259 1 TABLE public parts postgres
215; 1259 2 TABLE public parts_1 postgres
;\tdepends on: 214
217; 0 0 TABLE ATTACH public parts_1 postgres
;\tdepends on: 215 214
384; 0 2 TABLE DATA public parts_1 postgres
;\tdepends on: 215
221; 2606 3 CONSTRAINT public parts parts_pkey postgres
;\tdepends on: 214
391; 0 0 COMMENT public CONSTRAINT parts_pkey ON parts postgres
;\tdepends on: 221
219; 1259 4 MATERIALIZED VIEW public m postgres
;\tdepends on: 214 221
224; 2606 5 CONSTRAINT public parts_1 parts_1_pkey postgres
;\tdepends on: 215 221
232; 1259 6 INDEX public m_id_idx postgres
;\tdepends on: 219
233; 0 0 INDEX ATTACH public parts_1_pkey postgres
;\tdepends on: 224 221 215 214
240; 2620 7 TRIGGER public parts t postgres
;\tdepends on: 214
239; 2606 8 FK CONSTRAINT public ref fk postgres
;\tdepends on: 233 221 214
";
    /// An index that needs what is only made in the rest, and so has its parts there.
    const LATE: &str = "\
250; 1259 9 INDEX public odd postgres
;\tdepends on: 219 214
251; 0 0 INDEX ATTACH public odd_1 postgres
;\tdepends on: 250 214
";

    fn run(contents: &str) -> Vec<(&'static str, Vec<u32>, bool)> {
        let read = entries(contents, &["public".to_owned()], &["postgres".to_owned()]).unwrap();
        // One that is not understood, as the last.
        let ids = read.iter().map(|entry| entry.toc.dump_id).chain([999]);
        let list: String = ids.map(|id| format!("{id};\n")).collect();
        let ids = |list: &str| {
            list.lines().map(|line| line.trim_end_matches(';').parse().unwrap()).collect()
        };
        let runs = runs(&read, list).into_iter();
        runs.map(|run| (run.name, ids(&run.list), run.is_parallel)).collect()
    }

    #[test]
    fn indexes_are_made_then_attached_alone_then_comes_the_rest() {
        let runs = run(CONTENTS);
        assert_eq!(runs[0], ("indexes", vec![221, 391, 224], true));
        assert_eq!(runs[1], ("attached", vec![233], false));
        let rest = vec![214, 215, 217, 384, 219, 232, 240, 239, 999];
        assert_eq!(runs[2], ("rest", rest, true));
    }

    #[test]
    fn where_something_can_only_be_attached_with_the_rest_one_connection_does_that() {
        let runs = run(&format!("{CONTENTS}{LATE}"));
        assert_eq!(runs[1], ("attached", vec![233], false));
        assert!(runs[2].1.ends_with(&[250, 251, 999]) && !runs[2].2, "{runs:?}");
    }

    #[test]
    fn without_parts_it_is_one_run() {
        let contents: String = CONTENTS
            .lines()
            .filter(|line| !line.contains("INDEX ATTACH"))
            .map(|line| format!("{line}\n"))
            .collect();
        let runs = run(&contents);
        assert_eq!((runs.len(), runs[0].0, runs[0].2), (1, "rest", true));
    }
}
