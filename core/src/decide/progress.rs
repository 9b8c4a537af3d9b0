//! How far a job is: phases, and a percentage that never goes back.
//!
//! In: the tables of the dump with their size on disk, and what `pg_stat_progress_copy` says
//! about the one that is being copied. Out: relations and bytes done. Bytes are bytes on disk of
//! the tables, so that done and total have one unit; the table at hand counts by its rows.

use std::collections::HashMap;

/// The part of a job that is under way, as shown in `backup_progress.phase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    #[default]
    Queued,
    Connecting,
    Locking,
    Dumping,
    Verifying,
    Publishing,
    Deleting,
    Checking,
    Hooks,
    Extracting,
    Creating,
    PreData,
    Data,
    PostData,
    Opening,
    Swapping,
    Attaching,
    Exporting,
    Copying,
}

impl Phase {
    /// The word in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Queued => "queued",
            Phase::Connecting => "connecting",
            Phase::Locking => "locking",
            Phase::Dumping => "dumping",
            Phase::Verifying => "verifying",
            Phase::Publishing => "publishing",
            Phase::Deleting => "deleting",
            Phase::Checking => "checking",
            Phase::Hooks => "hooks",
            Phase::Extracting => "extracting",
            Phase::Creating => "creating staging",
            Phase::PreData => "pre-data",
            Phase::Data => "data",
            Phase::PostData => "post-data",
            Phase::Opening => "opening",
            Phase::Swapping => "swapping",
            Phase::Attaching => "attaching",
            Phase::Exporting => "exporting",
            Phase::Copying => "copying",
        }
    }
}

/// A snapshot of a job for others to see.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    pub phase: Phase,
    /// The table that is being copied, `schema.name`, or empty.
    pub relation: String,
    pub relations_done: u32,
    pub relations_total: u32,
    pub bytes_done: u64,
    pub bytes_total: u64,
    /// Backends that the job waits for.
    pub blocked_by: Vec<i32>,
}

/// A table that the dump will copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedTable {
    pub oid: u32,
    /// `schema.name`, as people read it.
    pub label: String,
    pub size_bytes: u64,
    /// The planner's estimate, 0 when it has none.
    pub rows_estimate: u64,
}

/// One row of `pg_stat_progress_copy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CopySample {
    pub oid: u32,
    pub rows: u64,
    pub bytes: u64,
}

/// Turns samples into progress. Tables are expected in the order of the dump (pg_dump copies in
/// order of schema and name); when a later one shows up, the ones before it are done.
#[derive(Debug, Default)]
pub struct Meter {
    tables: Vec<PlannedTable>,
    position: HashMap<u32, usize>,
    size_before: Vec<u64>,
    total: u64,
    best: Progress,
}

impl Meter {
    /// A meter for tables in the order of the dump.
    pub fn new(tables: Vec<PlannedTable>) -> Self {
        let position = tables.iter().enumerate().map(|(i, table)| (table.oid, i)).collect();
        let mut size_before = Vec::with_capacity(tables.len());
        let mut total = 0;
        for table in &tables {
            size_before.push(total);
            total += table.size_bytes;
        }
        Self { tables, position, size_before, total, best: Progress::default() }
    }

    /// Progress while dumping; never less than what an earlier sample gave.
    pub fn sample(&mut self, samples: &[CopySample]) -> Progress {
        let known = samples.iter().filter_map(|s| Some((*self.position.get(&s.oid)?, s)));
        let (mut relations, mut bytes, mut label) = (0, 0, None);
        for (index, sample) in known {
            let table = &self.tables[index];
            let part = (table.size_bytes as f64 * fraction(table, sample)) as u64;
            if label.is_none() || self.size_before[index] + part > bytes {
                (relations, bytes) = (index, self.size_before[index] + part);
                label = Some(table.label.clone());
            }
        }
        self.best.relation = label.unwrap_or_else(|| self.best.relation.clone());
        self.best.relations_done = self.best.relations_done.max(relations as u32);
        self.best.bytes_done = self.best.bytes_done.max(bytes).min(self.total);
        self.best.relations_total = self.tables.len() as u32;
        self.best.bytes_total = self.total;
        self.best.clone()
    }

    /// Progress once every table is copied.
    pub fn finished(&mut self) -> Progress {
        self.best.relations_done = self.tables.len() as u32;
        self.best.relations_total = self.tables.len() as u32;
        self.best.bytes_done = self.total;
        self.best.bytes_total = self.total;
        self.best.relation.clear();
        self.best.clone()
    }
}

/// How much of a table is copied, below 1 until the next table shows up.
fn fraction(table: &PlannedTable, sample: &CopySample) -> f64 {
    const ALMOST: f64 = 0.99;
    let share = |done: u64, all: u64| if all == 0 { 0.0 } else { done as f64 / all as f64 };
    let by_rows = share(sample.rows, table.rows_estimate);
    let by_bytes = share(sample.bytes, table.size_bytes);
    (if table.rows_estimate > 0 { by_rows } else { by_bytes }).min(ALMOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(oid: u32, size_bytes: u64, rows_estimate: u64) -> PlannedTable {
        PlannedTable { oid, label: format!("public.t{oid}"), size_bytes, rows_estimate }
    }

    fn meter() -> Meter {
        Meter::new(vec![table(1, 1000, 10), table(2, 3000, 0), table(3, 0, 0)])
    }

    #[test]
    fn the_table_at_hand_counts_by_its_rows_and_the_ones_before_it_are_done() {
        let mut meter = meter();
        let first = meter.sample(&[CopySample { oid: 1, rows: 5, bytes: 10 }]);
        assert_eq!((first.relations_done, first.bytes_done, first.bytes_total), (0, 500, 4000));
        let second = meter.sample(&[CopySample { oid: 2, rows: 1, bytes: 1500 }]);
        assert_eq!((second.relations_done, second.bytes_done), (1, 2500));
        assert_eq!(second.relation, "public.t2");
        assert_eq!(meter.finished().bytes_done, 4000);
    }

    #[test]
    fn progress_never_goes_back_and_never_passes_the_total() {
        let mut meter = meter();
        meter.sample(&[CopySample { oid: 2, rows: 0, bytes: u64::MAX / 2 }]);
        let high = meter.best.bytes_done;
        let back = meter.sample(&[CopySample { oid: 1, rows: 1, bytes: 0 }]);
        assert_eq!(back.bytes_done, high);
        assert!(high < 4000);
        assert_eq!(meter.sample(&[CopySample { oid: 99, rows: 1, bytes: 1 }]).bytes_done, high);
    }

    #[test]
    fn an_empty_database_has_a_total_of_zero() {
        let mut meter = Meter::new(vec![]);
        assert_eq!(meter.sample(&[]).bytes_total, 0);
        assert_eq!(meter.finished().relations_total, 0);
    }
}
