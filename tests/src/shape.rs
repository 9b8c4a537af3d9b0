//! What the extension is in a database, read from the catalogs, and how two databases differ.
//!
//! In: a database. Out: a [`Shape`]. Must hold: everything that CREATE EXTENSION makes is in it,
//! with comments and privileges, and nothing that differs between equal databases.

use crate::Cluster;
use std::collections::BTreeMap;

const SHAPE: &str = include_str!("shape.sql");

/// An aspect of an object: its kind, its name, and which aspect.
type Aspect = (String, String, String);

/// The extension as it is in one database.
#[derive(Debug, PartialEq, Eq)]
pub struct Shape(BTreeMap<Aspect, String>);

impl Cluster {
    /// The extension in `database`.
    pub fn shape(&self, database: &str) -> Shape {
        self.shape_after(database, "")
    }

    /// What it would be after `change`, statements that give no rows.
    pub fn shape_after(&self, database: &str, change: &str) -> Shape {
        let mut lines = BTreeMap::new();
        for row in self.sql(database, &format!("BEGIN; {change};\n{SHAPE};\nROLLBACK")) {
            let mut texts = row.into_iter().map(Option::unwrap_or_default);
            let mut next = || texts.next().unwrap_or_default();
            let aspect = (next(), next(), next());
            let before = lines.insert(aspect.clone(), next());
            assert_eq!(before, None, "two lines for {aspect:?}");
        }
        assert!(lines.len() > 200, "{} lines", lines.len());
        Shape(lines)
    }
}

impl Shape {
    /// How this one differs from `wanted`, a line for each aspect; empty when it does not.
    pub fn differences(&self, wanted: &Shape) -> Vec<String> {
        let mut lines = Vec::new();
        for (aspect, value) in &wanted.0 {
            match self.0.get(aspect) {
                Some(found) if found == value => {}
                Some(found) => {
                    lines.push(format!("{}:\n  found:  {found}\n  wanted: {value}", name(aspect)));
                }
                None => lines.push(format!("{} is missing: {value}", name(aspect))),
            }
        }
        let extra = self.0.iter().filter(|(aspect, _)| !wanted.0.contains_key(*aspect));
        lines.extend(extra.map(|(aspect, value)| format!("{} is extra: {value}", name(aspect))));
        lines
    }

    /// SQL that makes of this one what `wanted` is, as far as that can be written without thinking:
    /// comments, functions, views. For a file in `sql/unreleased`.
    pub fn steps_to(&self, wanted: &Shape) -> String {
        let differs = |(aspect, value): &(&Aspect, &String)| self.0.get(*aspect) != Some(*value);
        // Objects before what is said of them.
        let (comments, objects): (Vec<_>, Vec<_>) =
            wanted.0.iter().filter(differs).partition(|(aspect, _)| aspect.2 == "comment");
        let changed = objects.into_iter().chain(comments);
        let steps: String =
            changed.filter_map(|(aspect, value)| self.step(aspect, value)).collect();
        let gone = self.0.keys().filter(|aspect| !wanted.0.contains_key(*aspect));
        let gone: String =
            gone.filter(|aspect| aspect.2 == "comment").map(|a| comment(a, "NULL")).collect();
        (steps + &gone).replace("public.", "@extschema@.")
    }

    fn step(&self, aspect: &Aspect, value: &str) -> Option<String> {
        let (kind, identity, what) = aspect;
        match (kind.as_str(), what.as_str()) {
            (_, "comment") => Some(comment(aspect, &literal(value))),
            ("function" | "procedure", "definition") => {
                let text = value.rsplit_once(" OWNER ").map_or(value, |(text, _)| text);
                let text = text.replace("'$libdir/pg_backup'", "'MODULE_PATHNAME'");
                let is_new = !self.0.contains_key(aspect);
                let revoke = format!("REVOKE ALL ON ROUTINE {identity} FROM PUBLIC;\n");
                Some(format!("{};\n{}", text.trim(), if is_new { &revoke } else { "" }))
            }
            ("view", "view") => Some(format!("CREATE OR REPLACE VIEW {identity} AS\n{value}\n")),
            _ => None,
        }
    }
}

fn name((kind, identity, aspect): &Aspect) -> String {
    format!("{kind} {identity}, {aspect}")
}

/// `COMMENT ON`, with a column's `table column` and its like as SQL calls them.
fn comment((kind, identity, _): &Aspect, text: &str) -> String {
    let kind = match kind.rsplit_once(' ') {
        Some(("event", _)) | None => kind.as_str(),
        Some((_, last)) => last,
    };
    format!("COMMENT ON {} {identity} IS {text};\n", kind.to_uppercase())
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
