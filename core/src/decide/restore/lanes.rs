//! How a dump that can only be read from its beginning to its end is loaded by several connections.
//!
//! In: what `pg_restore --list --verbose` prints, and the bytes of each table. Out: lanes, each
//! with tables of its own; every lane reads the dump by itself. A lane that has its rows while
//! others still load builds indexes of its tables meanwhile.
//!
//! What must hold: every entry is loaded once, understood or not; no index is built early that may
//! look at rows of other tables.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::part::{self, Entry, Printed, printed};
use super::timescale;
use crate::decide::manifest::Manifest;
use crate::decide::request::Restore;
use crate::error::Result;

/// What is built on the rows of one table alone. Foreign keys, triggers and rules are not.
const OF_ONE_TABLE: [&str; 2] = ["CONSTRAINT", "INDEX"];
/// What such an entry may need beside its table. A function could read any other table.
const HARMLESS: [&str; 2] = ["COLLATION", "SCHEMA"];

/// Whether several connections read one stream. TimescaleDB has an order of its own, and a part is
/// read several times.
pub fn is_shared_out(manifest: &Manifest, restore: &Restore) -> bool {
    let whole = !part::is_part(restore) && timescale::recorded(manifest).is_none();
    whole && restore.jobs > 1 && manifest.dump.format == "custom"
}

/// What one connection loads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lane {
    /// List for the section data.
    pub rows: String,
    /// Numbers of indexes that can be built when its rows are there, and what is said about them.
    built: BTreeSet<u32>,
}

/// All of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lanes {
    pub lanes: Vec<Lane>,
    /// The lane of each entry with rows of a table.
    pub of: Arc<HashMap<u32, usize>>,
    /// What is understood.
    pub entries: Vec<Entry>,
    /// Every entry, in the order of the dump.
    ids: Vec<u32>,
}

/// Shares the tables out to at most `jobs` lanes, so that all have about the same bytes to load.
///
/// Errors: `LimitExceeded` for a table of contents that is too long to be read.
pub fn lanes(contents: &str, manifest: &Manifest, jobs: u16) -> Result<Lanes> {
    let facts = &manifest.facts;
    let entries = part::entries(contents, &facts.schemas, &facts.roles)?;
    let kinds: HashMap<u32, &str> =
        entries.iter().map(|entry| (entry.toc.dump_id, entry.toc.kind.as_str())).collect();
    let loaded = by_size(&entries, manifest);
    let count = usize::from(jobs).min(loaded.len()).max(1);
    let mut bytes = vec![0_u64; count];
    // Lane of each entry with rows, and of each table that has some.
    let (mut rows, mut tables) = (HashMap::new(), HashMap::new());
    for (size, entry) in loaded {
        let lane = (0..count).min_by_key(|lane| bytes[*lane]).unwrap_or(0);
        bytes[lane] = bytes[lane].saturating_add(size.max(1));
        rows.insert(entry.toc.dump_id, lane);
        let of = entry.needs.iter().filter(|id| kinds.get(id) == Some(&"TABLE"));
        tables.extend(of.map(|id| (*id, lane)));
    }
    let ids: Vec<u32> = contents.lines().filter_map(part::dump_id).collect();
    // The first one has also what is not understood, large objects, and values of sequences.
    let list = |lane: usize| list(ids.iter().filter(|id| *rows.get(id).unwrap_or(&0) == lane));
    let mut lanes: Vec<Lane> =
        (0..count).map(|lane| Lane { rows: list(lane), ..Lane::default() }).collect();
    for entry in &entries {
        if let Some(lane) = lane_of(entry, &kinds, &tables) {
            lanes[lane].built.insert(entry.toc.dump_id);
        }
    }
    for lane in &mut lanes {
        part::with_what_is_said(&entries, &mut lane.built);
    }
    Ok(Lanes { lanes, of: Arc::new(rows), entries, ids })
}

/// What has rows of a table, the largest first.
fn by_size<'e>(entries: &'e [Entry], manifest: &Manifest) -> Vec<(u64, &'e Entry)> {
    let sizes: HashMap<Printed, u64> = manifest
        .tables
        .iter()
        .map(|table| (printed(&table.schema, &table.name), table.bytes))
        .collect();
    let size = |entry: &Entry| {
        let schema = entry.toc.schema.clone().unwrap_or_default();
        sizes.get(&(schema, entry.toc.name.clone())).copied().unwrap_or(0)
    };
    let with_rows = entries.iter().filter(|entry| entry.toc.kind == "TABLE DATA");
    let mut sized: Vec<_> = with_rows.map(|entry| (size(entry), entry)).collect();
    sized.sort_by_key(|(size, entry)| (Reverse(*size), entry.toc.dump_id));
    sized
}

/// The lane in which an index can be built early, if there is one.
fn lane_of(
    entry: &Entry,
    kinds: &HashMap<u32, &str>,
    tables: &HashMap<u32, usize>,
) -> Option<usize> {
    if !OF_ONE_TABLE.contains(&entry.toc.kind.as_str()) {
        return None;
    }
    let mut found = None;
    for id in &entry.needs {
        match *kinds.get(id)? {
            "TABLE" => {
                let lane = *tables.get(id)?;
                if found.is_some_and(|other| other != lane) {
                    return None;
                }
                found = Some(lane);
            }
            kind if HARMLESS.contains(&kind) => {}
            _ => return None,
        }
    }
    found
}

fn list<'i>(ids: impl Iterator<Item = &'i u32>) -> String {
    ids.map(|id| format!("{id};\n")).collect()
}

impl Lane {
    /// List of the indexes that can be built early; None where there is none.
    pub fn early(&self) -> Option<String> {
        (!self.built.is_empty()).then(|| list(self.built.iter()))
    }
}

impl Lanes {
    /// List for the section post-data: what those of `early`, one for each lane, have not built.
    pub fn rest(&self, early: &[bool]) -> String {
        let lanes = self.lanes.iter().zip(early).filter(|(_, early)| **early);
        let built: BTreeSet<u32> = lanes.flat_map(|(lane, _)| lane.built.iter().copied()).collect();
        list(self.ids.iter().filter(|id| !built.contains(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const CONTENTS: &str = "\
;
; Archive created at 2026-01-01 00:00:00 UTC
;
9; 1255 900 FUNCTION public f(integer) boss
10; 1259 1000 TABLE public large boss
;\tdepends on: 5
11; 1259 1001 TABLE public small boss
12; 1259 1002 TABLE public other boss
13; 1259 1003 VIEW public what is this
20; 0 1000 TABLE DATA public large boss
;\tdepends on: 10
21; 0 1001 TABLE DATA public small boss
;\tdepends on: 11
22; 0 1002 TABLE DATA public other boss
;\tdepends on: 12
23; 0 0 SEQUENCE SET public s boss
30; 2606 1 CONSTRAINT public large large_pkey boss
;\tdepends on: 10
31; 1259 2 INDEX public small_idx boss
;\tdepends on: 11
40; 0 0 COMMENT public INDEX small_idx boss
;\tdepends on: 31
41; 0 0 COMMENT public TABLE small boss
;\tdepends on: 11
32; 1259 3 INDEX public other_f boss
;\tdepends on: 9 12
33; 2606 4 FK CONSTRAINT public small fk boss
;\tdepends on: 11 30 10
34; 1259 5 INDEX public both boss
;\tdepends on: 10 11
35; 1259 6 INDEX public of_unknown boss
;\tdepends on: 11 77
";

    fn manifest() -> Manifest {
        let table = |name: &str, bytes: u64| {
            json!({
                "schema": "public", "name": name, "rows": 1, "bytes": bytes
            })
        };
        serde_json::from_value(json!({
            "format": 1, "id": 1, "comment": null, "origin": "manual", "members": [],
            "created_at": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"},
            "dump": {"format": "custom", "compression": "none", "jobs": 1}, "tools":
            {"pg_backup": "0", "pg_dump": "15"}, "schemas": ["public"], "roles": ["boss"],
            "tables": [table("large", 1000), table("small", 10), table("other", 20)]
        }))
        .unwrap()
    }

    fn ids(list: &str) -> Vec<u32> {
        list.lines().map(|line| line.trim_end_matches(';').parse().unwrap()).collect()
    }

    #[test]
    fn the_largest_table_has_a_lane_and_everything_is_loaded_once() {
        let lanes = lanes(CONTENTS, &manifest(), 2).unwrap();
        assert_eq!(lanes.lanes.len(), 2);
        assert_eq!(ids(&lanes.lanes[1].rows), [21, 22]);
        let first = ids(&lanes.lanes[0].rows);
        assert!(first.contains(&20) && first.contains(&23) && first.contains(&13), "{first:?}");
        let mut all: Vec<u32> = lanes.lanes.iter().flat_map(|lane| ids(&lane.rows)).collect();
        all.sort_unstable();
        let mut wanted = lanes.ids.clone();
        wanted.sort_unstable();
        assert_eq!(all, wanted);
        assert_eq!(*lanes.of, HashMap::from([(20, 0), (21, 1), (22, 1)]));
    }

    #[test]
    fn only_what_needs_nothing_but_tables_of_the_lane_is_built_early() {
        let lanes = lanes(CONTENTS, &manifest(), 2).unwrap();
        assert_eq!(lanes.lanes[0].early().as_deref(), Some("30;\n"));
        assert_eq!(lanes.lanes[1].early().as_deref(), Some("31;\n40;\n"));
        let rest = ids(&lanes.rest(&[false, true]));
        assert!(!rest.contains(&31) && !rest.contains(&40), "{rest:?}");
        assert!([30, 41, 32, 33, 34, 35].iter().all(|id| rest.contains(id)), "{rest:?}");
        assert_eq!(ids(&lanes.rest(&[false, false])), lanes.ids);
    }

    #[test]
    fn there_are_no_more_lanes_than_tables_and_at_least_one() {
        assert_eq!(lanes(CONTENTS, &manifest(), 64).unwrap().lanes.len(), 3);
        let empty = lanes("; nothing\n", &manifest(), 4).unwrap();
        assert_eq!(empty.lanes, [Lane::default()]);
        assert_eq!(empty.rest(&[true]), "");
    }
}
