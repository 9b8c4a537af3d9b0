//! docs/reference.md, made of what the catalog and the sources say.
//!
//! In: a cluster with the extension. Out: Markdown. Must hold: nothing in it is written by hand,
//! so that it cannot say anything else than the server does.

use std::fmt::Write;

use crate::Cluster;
use crate::described::{Argument, Function, Relation, functions, make_roles, relations};
use crate::document::read;

const HEAD: &str = "\
# Reference

Made of the catalog by `make reference`, and held against it by a test: do not edit it. psql shows
the same with `\\df+ backup_create` and `\\d+ backup_history`. What the calls mean, with examples, is in
the [README](../README.md).

Rights are those of `backup_grant()`: operators may do what viewers may, superusers everything.
";

const SETTINGS: &str = "
SELECT name, coalesce(nullif(boot_val, ''), '(empty)'), coalesce(unit, ''), context,
       concat_ws(' ', short_desc, extra_desc)
  FROM pg_settings WHERE name LIKE 'pg\\_backup.%' ORDER BY name";

/// The whole document.
pub fn reference(cluster: &Cluster) -> String {
    make_roles(cluster);
    let mut out = HEAD.to_owned();
    let functions = functions(cluster);
    out.push_str("\n## Functions and procedures\n");
    let people = functions.iter().filter(|function| !function.is_internal());
    people.for_each(|function| add_function(&mut out, function, &functions));
    let (views, tables): (Vec<_>, Vec<_>) =
        relations(cluster).into_iter().partition(|relation| relation.is_view);
    out.push_str("\n## Views\n");
    views.iter().for_each(|view| add_relation(&mut out, view));
    out.push_str("\n## Settings\n");
    let head = ["Name", "Default", "Unit", "Context", "What it is"];
    let mut settings = cluster.sql("postgres", SETTINGS);
    settings.iter_mut().for_each(|row| row[0] = row[0].as_ref().map(|name| format!("`{name}`")));
    let cells = |row: Vec<Option<String>>| row.into_iter().map(Option::unwrap_or_default).collect();
    add_table(&mut out, &head, settings.into_iter().map(cells));
    out.push_str("\n## Errors\n\nEach class of failures has an SQLSTATE of its own.\n");
    add_table(&mut out, &["SQLSTATE", "Condition", "When"], errors(cluster).into_iter());
    out.push_str("\n## Tables\n\nThe extension's own: read them through the views.\n");
    tables.iter().for_each(|table| add_relation(&mut out, table));
    out.push_str("\n## Internal functions\n\nThey are not for people and may change.\n");
    let internal = functions.iter().filter(|function| function.is_internal());
    let row = |function: &Function| {
        let said = function.said.summary.trim_start_matches("Internal: ");
        vec![format!("`{}`", function.name), escaped(said)]
    };
    add_table(&mut out, &["Name", "What it does"], internal.map(row));
    out
}

fn add_function(out: &mut String, function: &Function, all: &[Function]) {
    let argument = |argument: &Argument| {
        let default = argument.default.as_ref().map(|default| format!(" DEFAULT {default}"));
        format!("{} {}{}", argument.name, argument.kind, default.unwrap_or_default())
    };
    let arguments: Vec<String> = function.taken().map(argument).collect();
    let verb = if function.is_procedure { "procedure" } else { "function" };
    let result = match function.result.as_str() {
        table if table.starts_with("TABLE(") => " → rows".to_owned(),
        _ if function.is_procedure => String::new(),
        result => format!(" → {result}"),
    };
    let joined = match arguments.iter().map(String::len).sum::<usize>() {
        0..=70 => arguments.join(", "),
        _ => format!("\n    {}", arguments.join(",\n    ")),
    };
    let summary = escaped(&function.said.summary);
    let _ = writeln!(out, "\n### {}\n\n{summary}\n", function.name);
    let _ = writeln!(out, "```\n{verb} {}({joined}){result}\n```", function.name);
    let described = match function.said.arguments_as_in() {
        Some(other) => all.iter().find(|function| function.name == other).unwrap_or(function),
        None => function,
    };
    add_meanings(out, "Argument", &described.said.arguments);
    add_meanings(out, "Column", &function.said.columns);
    let _ = writeln!(out, "\nFor {}.", function.callers);
}

fn add_meanings(out: &mut String, what: &str, meanings: &[(String, String)]) {
    if !meanings.is_empty() {
        let row = |(name, said): &(String, String)| vec![format!("`{name}`"), escaped(said)];
        add_table(out, &[what, "Meaning"], meanings.iter().map(row));
    }
}

fn add_relation(out: &mut String, relation: &Relation) {
    let _ = writeln!(out, "\n### {}\n\n{}", relation.name, escaped(&relation.said));
    let _ = writeln!(out, "For {}.", relation.readers);
    let rows = relation.columns.iter();
    let rows = rows.map(|c| vec![format!("`{}`", c.name), c.kind.clone(), escaped(&c.said)]);
    add_table(out, &["Column", "Type", "Meaning"], rows);
}

fn add_table(out: &mut String, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let _ = writeln!(out, "\n| {} |\n{}|", head.join(" | "), "|---".repeat(head.len()));
    rows.for_each(|row| {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    });
}

/// `src/error.rs` says which SQLSTATE a class has, `core/src/error.rs` what the class means.
fn errors(cluster: &Cluster) -> Vec<Vec<String>> {
    let (map, classes) = (read("src/error.rs"), read("core/src/error.rs"));
    let arms = map.lines().filter_map(|line| line.trim().split_once(" => C::ERRCODE_"));
    let mut rows = Vec::new();
    for (pattern, condition) in arms {
        let condition = condition.trim_end_matches(',').trim_start_matches("T_R_").to_lowercase();
        let raise = format!("DO 'BEGIN RAISE USING ERRCODE = ''{condition}''; END'");
        let code = cluster.error("postgres", &raise).sqlstate;
        for class in pattern.split(" | ").map(|class| class.trim_start_matches("Class::")) {
            let (before, _) =
                classes.split_once(&format!("\n    {class},")).expect("it is a class");
            let said = before.rsplit("/// ").next().expect("it has a comment");
            rows.push(vec![code.clone(), format!("`{condition}`"), escaped(said)]);
        }
    }
    rows.sort();
    rows
}

/// A text as a cell of a table.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "\\<")
}
