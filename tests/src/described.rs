//! What the catalog says of the extension's objects: names, types, comments, rights.
//!
//! In: a cluster with the extension in `postgres`. Out: plain values, in the order of their names.
//! A comment on a function is read in the form that `sql/functions.sql` explains.

use crate::{Cluster, Rows};

/// Relations and routines of the extension itself; those of the test build have a schema of their
/// own, which is a member too.
const MEMBERS: &str = "
WITH members AS (
    SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
      LEFT JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
     WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'pg_backup'
       AND d.classid <> 'pg_namespace'::regclass
       AND coalesce(p.pronamespace, e.extnamespace) = e.extnamespace
), relations AS (
    SELECT c.oid, c.relname, c.relkind FROM members m JOIN pg_class c ON c.oid = m.objid
     WHERE m.classid = 'pg_class'::regclass
), columns AS (
    SELECT r.oid, r.relname, r.relkind, a.attnum, a.attname,
           format_type(a.atttypid, a.atttypmod) AS type, col_description(r.oid, a.attnum) AS said
      FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid
     WHERE r.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped
)";

/// Every object that has to be described, and what its comment says. A column of a table that a
/// view shows under its name is described there.
const OBJECTS: &str = "
SELECT pg_describe_object(m.classid, m.objid, 0), obj_description(m.objid, m.classid::regclass::name)
  FROM members m WHERE m.classid <> 'pg_type'::regclass
UNION ALL
SELECT pg_describe_object('pg_class'::regclass, c.oid, c.attnum), c.said FROM columns c
 WHERE c.relkind = 'v' OR NOT EXISTS (SELECT FROM columns v WHERE v.relkind = 'v' AND v.attname = c.attname)
UNION ALL
SELECT pg_describe_object('pg_class'::regclass, i.indexrelid, 0), obj_description(i.indexrelid, 'pg_class')
  FROM pg_index i JOIN relations r ON r.oid = i.indrelid
UNION ALL
SELECT pg_describe_object('pg_trigger'::regclass, t.oid, 0), obj_description(t.oid, 'pg_trigger')
  FROM pg_trigger t JOIN relations r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
ORDER BY 1";

const ARGUMENTS: &str = "
SELECT p.proname, a.name, coalesce(a.mode, 'i'), format_type(a.type, NULL),
       pg_get_function_arg_default(p.oid, a.number::int)
  FROM members m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid,
       unnest(coalesce(p.proallargtypes, p.proargtypes::oid[]), p.proargnames,
              p.proargmodes::text[]) WITH ORDINALITY AS a(type, name, mode, number)
 ORDER BY p.proname, a.number";

const FUNCTIONS: &str = "
SELECT p.proname, p.prokind, coalesce(pg_get_function_result(p.oid), ''),
       coalesce(obj_description(p.oid, 'pg_proc'), ''),
       has_function_privilege('looks', p.oid, 'EXECUTE'), has_function_privilege('works', p.oid, 'EXECUTE')
  FROM members m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
 ORDER BY p.proname";

const RELATIONS: &str = "
SELECT r.relname, r.relkind, coalesce(obj_description(r.oid, 'pg_class'), ''),
       has_table_privilege('looks', r.oid, 'SELECT')
  FROM relations r WHERE r.relkind IN ('r', 'v') ORDER BY r.relkind DESC, r.relname";

const COLUMNS: &str = "
SELECT c.relname, c.attname, c.type,
       coalesce(c.said, (
           SELECT 'See ' || v.relname || '.' FROM columns v
            WHERE v.relkind = 'v' AND v.attname = c.attname AND v.said IS NOT NULL
            ORDER BY NOT EXISTS (SELECT FROM pg_depend d JOIN pg_rewrite w ON w.oid = d.objid
                                  WHERE w.ev_class = v.oid AND d.refobjid = c.oid), v.relname
            LIMIT 1), '')
  FROM columns c ORDER BY c.relname, c.attnum";

/// Roles as `backup_grant()` makes them.
const ROLES: &str = "CREATE ROLE looks; CREATE ROLE works;
CALL backup_grant('looks', 'viewer'); CALL backup_grant('works', 'operator');";

/// A function or procedure.
pub struct Function {
    pub name: String,
    pub is_procedure: bool,
    /// As the server writes it: `bigint`, `TABLE(…)`.
    pub result: String,
    pub said: Said,
    /// Who may call it: viewers, operators or superusers.
    pub callers: &'static str,
    pub arguments: Vec<Argument>,
}

/// An argument, or a column of the result.
pub struct Argument {
    pub name: String,
    /// `i`: an argument. `b`: also in what CALL gives back. `t`: a column of the result.
    pub mode: String,
    pub kind: String,
    pub default: Option<String>,
}

impl Function {
    /// What a caller gives. The INOUT argument of a procedure is only there to be given back.
    pub fn taken(&self) -> impl Iterator<Item = &Argument> {
        self.arguments.iter().filter(|argument| argument.mode == "i")
    }

    /// What a caller gets, by name.
    pub fn given(&self) -> impl Iterator<Item = &Argument> {
        self.arguments.iter().filter(|argument| argument.mode != "i")
    }

    /// Whether it is for the extension itself.
    pub fn is_internal(&self) -> bool {
        self.said.summary.starts_with("Internal:")
    }
}

/// A comment on a function, taken apart.
#[derive(Debug, Default)]
pub struct Said {
    pub summary: String,
    /// Lines that begin with `- name: `.
    pub arguments: Vec<(String, String)>,
    /// Lines that begin with `-> name: `.
    pub columns: Vec<(String, String)>,
}

impl Said {
    fn of(comment: &str) -> Self {
        let mut said = Self::default();
        for line in comment.lines() {
            let (into, rest) = match (line.strip_prefix("-> "), line.strip_prefix("- ")) {
                (Some(rest), _) => (&mut said.columns, rest),
                (_, Some(rest)) => (&mut said.arguments, rest),
                _ => {
                    said.summary = format!("{} {line}", said.summary).trim().to_owned();
                    continue;
                }
            };
            let (name, meaning) = rest.split_once(": ").unwrap_or((rest, ""));
            into.push((name.to_owned(), meaning.to_owned()));
        }
        said
    }

    /// The routine whose arguments it has, where the summary says "Arguments as in".
    pub fn arguments_as_in(&self) -> Option<&str> {
        self.summary.split_once("Arguments as in ")?.1.split_once("()").map(|(name, _)| name)
    }
}

/// A view or a table.
pub struct Relation {
    pub name: String,
    pub is_view: bool,
    pub said: String,
    pub readers: &'static str,
    pub columns: Vec<Column>,
}

pub struct Column {
    pub name: String,
    pub kind: String,
    pub said: String,
}

/// Makes the roles that rights are asked for. Before [`functions`] and [`relations`].
pub fn make_roles(cluster: &Cluster) {
    cluster.psql("postgres", ROLES);
}

/// Every object, and its comment.
pub fn objects(cluster: &Cluster) -> Vec<(String, String)> {
    let rows = rows(cluster, OBJECTS);
    rows.into_iter().map(|row| (text(&row, 0), text(&row, 1))).collect()
}

/// Every function and procedure.
pub fn functions(cluster: &Cluster) -> Vec<Function> {
    let arguments = rows(cluster, ARGUMENTS);
    let of = |name: &str| {
        let own = arguments.iter().filter(|row| row[0].as_deref() == Some(name));
        let argument = |row: &Vec<Option<String>>| Argument {
            name: text(row, 1),
            mode: text(row, 2),
            kind: text(row, 3),
            default: row[4].clone(),
        };
        own.map(argument).collect()
    };
    let function = |row: &Vec<Option<String>>| Function {
        arguments: of(&text(row, 0)),
        name: text(row, 0),
        is_procedure: text(row, 1) == "p",
        result: text(row, 2),
        said: Said::of(&text(row, 3)),
        callers: allowed(&text(row, 4), &text(row, 5)),
    };
    rows(cluster, FUNCTIONS).iter().map(function).collect()
}

/// Every view, then every table.
pub fn relations(cluster: &Cluster) -> Vec<Relation> {
    let columns = rows(cluster, COLUMNS);
    let of = |name: &str| {
        let own = columns.iter().filter(|row| row[0].as_deref() == Some(name));
        let column =
            |row: &Vec<_>| Column { name: text(row, 1), kind: text(row, 2), said: text(row, 3) };
        own.map(column).collect()
    };
    let relation = |row: &Vec<Option<String>>| Relation {
        columns: of(&text(row, 0)),
        name: text(row, 0),
        is_view: text(row, 1) == "v",
        said: text(row, 2),
        readers: allowed(&text(row, 3), "f"),
    };
    rows(cluster, RELATIONS).iter().map(relation).collect()
}

fn allowed(viewer: &str, operator: &str) -> &'static str {
    match (viewer, operator) {
        ("t", _) => "viewers",
        (_, "t") => "operators",
        _ => "superusers",
    }
}

fn rows(cluster: &Cluster, query: &str) -> Rows {
    cluster.sql("postgres", &format!("{MEMBERS}{query}"))
}

fn text(row: &[Option<String>], number: usize) -> String {
    row[number].clone().unwrap_or_default()
}
