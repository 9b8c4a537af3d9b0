//! Which bytes of a file are there: ranges that neither touch nor overlap, in order.
//!
//! In: parts in any order, also twice. Out: what is there and what is missing. Must hold: the list
//! stays short, whatever a client sends.

use serde::{Deserialize, Serialize};

/// More holes than this are not kept: a client that sends its parts on several connections makes
/// a few, one that sends every second byte makes them without end.
pub const MAX_RANGES: usize = 1000;

/// Bytes from the first number to before the second.
pub type Range = (u64, u64);

/// The ranges that are there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ranges(Vec<Range>);

impl Ranges {
    /// What of `wanted` is there, in order.
    pub fn overlaps(&self, wanted: Range) -> Vec<Range> {
        let cut = |&(from, to): &Range| (from.max(wanted.0), to.min(wanted.1));
        self.0.iter().map(cut).filter(|(from, to)| from < to).collect()
    }

    /// What of `wanted` is not there, in order.
    pub fn gaps(&self, wanted: Range) -> Vec<Range> {
        let mut gaps = Vec::new();
        let mut at = wanted.0;
        for (from, to) in self.overlaps(wanted) {
            if at < from {
                gaps.push((at, from));
            }
            at = to;
        }
        if at < wanted.1 {
            gaps.push((at, wanted.1));
        }
        gaps
    }

    /// The same with `new`; None when that would be more than [`MAX_RANGES`].
    pub fn with(&self, new: Range) -> Option<Ranges> {
        let touches = |&(from, to): &Range| from <= new.1 && new.0 <= to;
        let joined = self.0.iter().copied().filter(touches);
        let joined = joined.fold(new, |all, one| (all.0.min(one.0), all.1.max(one.1)));
        let mut ranges: Vec<Range> = self.0.iter().copied().filter(|r| !touches(r)).collect();
        if joined.0 < joined.1 {
            let place = ranges.partition_point(|range| range.0 < joined.0);
            ranges.insert(place, joined);
        }
        (ranges.len() <= MAX_RANGES).then_some(Ranges(ranges))
    }

    /// How many bytes are there.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(from, to)| to - from).sum()
    }

    /// Whether this is what [`Ranges::with`] makes within `size` bytes: it may have been read from
    /// a file.
    pub fn is_sound(&self, size: u64) -> bool {
        let ordered = self.0.windows(2).all(|pair| pair[0].1 < pair[1].0);
        let inside = self.0.iter().all(|(from, to)| from < to && *to <= size);
        ordered && inside && self.0.len() <= MAX_RANGES
    }
}

/// Ranges as PostgreSQL writes an `int8multirange`.
pub fn multirange(ranges: &[Range]) -> String {
    let texts: Vec<String> = ranges.iter().map(|(from, to)| format!("[{from},{to})")).collect();
    format!("{{{}}}", texts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranges(parts: &[Range]) -> Ranges {
        let none = Ranges::default();
        parts.iter().fold(none, |ranges, part| ranges.with(*part).expect("they are few"))
    }

    #[test]
    fn parts_that_touch_become_one_range() {
        let ranges = ranges(&[(10, 20), (30, 40), (20, 30), (0, 1)]);
        assert_eq!(ranges.0, [(0, 1), (10, 40)]);
        assert_eq!(ranges.total(), 31);
        assert_eq!(ranges.gaps((0, 50)), [(1, 10), (40, 50)]);
        assert_eq!(multirange(&ranges.gaps((0, 50))), "{[1,10),[40,50)}");
    }

    #[test]
    fn what_is_whole_has_no_gap() {
        let ranges = ranges(&[(0, 7)]);
        assert_eq!((ranges.gaps((0, 7)), multirange(&[])), (vec![], "{}".to_owned()));
    }

    #[test]
    fn a_list_without_end_is_refused() {
        let mut ranges = Ranges::default();
        for number in 0..MAX_RANGES as u64 {
            ranges = ranges.with((number * 2, number * 2 + 1)).expect("still few");
        }
        assert_eq!(ranges.with((5000, 5001)), None);
        assert!(ranges.with((0, 4000)).is_some_and(|all| all.0.len() == 1));
    }

    #[test]
    fn what_no_part_can_make_is_not_sound() {
        for broken in [vec![(5, 5)], vec![(3, 1)], vec![(0, 11)], vec![(4, 6), (6, 8)]] {
            assert!(!Ranges(broken.clone()).is_sound(10), "{broken:?}");
        }
        assert!(Ranges(vec![(0, 2), (4, 10)]).is_sound(10));
    }

    proptest! {
        #[test]
        fn ranges_are_what_a_map_of_bytes_says(parts in prop::collection::vec((0u64..60, 1u64..12), 0..20)) {
            let mut map = [false; 72];
            let mut ranges = Ranges::default();
            for (at, length) in parts {
                map[at as usize..(at + length) as usize].fill(true);
                ranges = ranges.with((at, at + length)).expect("they are few");
            }
            prop_assert!(ranges.is_sound(72));
            prop_assert_eq!(ranges.total(), map.iter().filter(|there| **there).count() as u64);
            let gaps = ranges.gaps((0, 72));
            for (at, there) in map.iter().enumerate() {
                let missing = gaps.iter().any(|(from, to)| (*from..*to).contains(&(at as u64)));
                prop_assert_eq!(missing, !there);
            }
        }
    }
}
