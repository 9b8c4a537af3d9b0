//! The rows of the tables of migrations in a script, within bounds for all of them together.

use super::super::identifier;
use crate::decide::copy_text;
use crate::decide::frameworks::{self, CELL_MAX, CELLS_MAX, NAMES_MAX, Reading, Row, TABLES_MAX};

/// What a row takes in memory beside its text, bytes.
const ROW: usize = 64;

/// Framework, table, and names of migrations in the order in which they were applied.
type Found = Vec<(String, String, Vec<String>)>;

/// What was read so far, and the table whose rows come now.
#[derive(Debug, Default)]
pub(super) struct Migrations {
    copy: Option<Copy>,
    /// Bytes of all rows.
    bytes: usize,
}

/// Rows of a table of migrations.
#[derive(Debug)]
struct Copy {
    table: String,
    reading: Reading,
    /// Places of the wanted columns among those that are copied.
    places: Vec<usize>,
    rows: Vec<Row>,
    /// The end of the last chunk.
    line: Vec<u8>,
    bytes: usize,
    broken: bool,
}

impl Migrations {
    /// A COPY begins.
    pub fn begin(&mut self, text: &str) {
        self.copy = Copy::new(text);
    }

    /// Takes some of its data.
    pub fn feed(&mut self, data: &[u8]) {
        let Some(copy) = &mut self.copy else { return };
        copy.feed(data);
        copy.broken |= self.bytes + copy.bytes > CELLS_MAX;
    }

    /// It has ended. What is beyond a bound is left out.
    pub fn end(&mut self, found: &mut Found) {
        let Some(copy) = self.copy.take() else { return };
        self.bytes += copy.bytes;
        if copy.broken || found.len() >= TABLES_MAX as usize {
            return;
        }
        if let Some(names) = copy.reading.names(copy.rows) {
            found.push((copy.reading.framework.to_owned(), copy.table, names));
        }
    }
}

impl Copy {
    /// Of `COPY schema.table (columns) FROM stdin;`, when the table is one of migrations.
    fn new(text: &str) -> Option<Copy> {
        let (first, rest) = identifier(text.get(4..)?)?;
        let (schema, table, rest) = match rest.strip_prefix('.') {
            Some(rest) => {
                let (table, rest) = identifier(rest)?;
                (first, table, rest)
            }
            None => (String::new(), first, rest),
        };
        let mut rest = rest.trim_start().strip_prefix('(')?;
        let mut columns = Vec::new();
        loop {
            let (column, after) = identifier(rest)?;
            columns.push(column);
            match after.trim_start().strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        let reading = frameworks::reading(&schema, &table, &columns, "")?;
        let place = |name: &&str| columns.iter().position(|column| column == name);
        let places = reading.columns.iter().map(place).collect::<Option<Vec<_>>>()?;
        let table = if schema.is_empty() { table } else { format!("{schema}.{table}") };
        let (rows, line) = (Vec::new(), Vec::new());
        Some(Copy { table, reading, places, rows, line, bytes: 0, broken: false })
    }

    fn feed(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.broken {
                return;
            }
            if self.line.len() + part.len() > CELL_MAX {
                self.broken = true;
                return;
            }
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.row();
                self.line.clear();
            }
            self.broken |= self.rows.len() > NAMES_MAX || self.bytes > CELLS_MAX;
        }
    }

    fn row(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.bytes += line.len() + ROW;
        let line = String::from_utf8_lossy(&line);
        if line.trim_end() == "\\." {
            return;
        }
        let cells = copy_text::cells(line.trim_end_matches(['\n', '\r']));
        let cell = |place: &usize| cells.get(*place).cloned().flatten();
        self.rows.push(self.places.iter().map(cell).collect());
    }
}
