//! Puts the tables of a part into a new schema of the live database, from the scratch database that
//! the part was restored into.
//!
//! What must hold: the live database is written in one transaction, which is committed only when
//! every tool has ended well; nothing in it but the new schema changes; rows are written with the
//! rights of their owners; the scratch database goes on every path.

use std::io::{Cursor, Read, Write};
use std::process::ChildStdin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::part::{Relation, chosen};
use super::{DROP_TIME, Work, plan};
use crate::catalog::into_schema::{OTHER_PARENTS, SCHEMA_EXISTS, types_by_name, used_types};
use crate::catalog::qualified;
use crate::decide::dump_plan::environment;
use crate::decide::manifest::Manifest;
use crate::decide::progress::Phase;
use crate::decide::request::IntoSchema;
use crate::decide::restore::into_schema::{AFTER_SECTION, BEGIN, Moved, end, gather, pg_dump};
use crate::decide::restore::part::some;
use crate::decide::restore::plan::{Section, psql};
use crate::error::{Class, Failure, Result};
use crate::fault;
use crate::host::child::{Child, Stdin, Stdout, Tool};
use crate::host::server::Server;
use crate::host::threads;
use crate::job::ReportRow;
use crate::job::context::Context;
use crate::job::tools::tool;
use crate::job::wait::{joined, last_words, moving, until};

/// Moved at once from pg_dump to psql.
const CHUNK: usize = 256 << 10;

/// Puts the chosen tables there.
pub async fn transfer(work: &Work<'_>, into: &IntoSchema) -> Result<()> {
    work.phase(Phase::Opening).await;
    let session = work.session_in_target().await?;
    let relations = chosen(work, &session).await?;
    let (moved, left): (Vec<Relation>, Vec<Relation>) =
        relations.into_iter().filter(|relation| relation.is_chosen).partition(is_movable);
    if !moved.iter().any(|relation| relation.kind != "S") {
        return Err(no_table());
    }
    compare_types(work, &session, &moved, into).await?;
    cut_from_parents(work, &session, &moved).await?;
    session.batch(work.context.control, &gather(&into.schema, &as_moved(&moved))?).await?;
    fault::point("gathered");
    pour(work, into).await?;
    fault::point("poured");
    warn(work, &left).await;
    analyze(work, into, &moved).await;
    Ok(())
}

/// Tables with rows of their own, and sequences that belong to none of them.
fn is_movable(relation: &Relation) -> bool {
    matches!(relation.kind.as_str(), "r" | "p") || relation.kind == "S" && relation.table.is_none()
}

fn as_moved(relations: &[Relation]) -> Vec<Moved> {
    let moved = |relation: &Relation| Moved {
        schema: relation.schema.clone(),
        name: relation.name.clone(),
        is_sequence: relation.kind == "S",
        owner: relation.owner.clone(),
    };
    relations.iter().map(moved).collect()
}

fn no_table() -> Failure {
    Failure::new(Class::InvalidArgument, "no table is chosen that has rows of its own")
        .hint("Views, materialized views and foreign tables cannot be put into a schema.")
}

/// Types that the tables use have to be the same in the live database: values are read by them.
async fn compare_types(
    work: &Work<'_>,
    session: &Server,
    moved: &[Relation],
    into: &IntoSchema,
) -> Result<()> {
    let control = work.context.control;
    let ids: Vec<u32> = moved.iter().map(|relation| relation.oid).collect();
    let text = |row: &tokio_postgres::Row| -> [String; 3] { [row.get(0), row.get(1), row.get(2)] };
    let used = session.rows(control, &used_types(), &[&ids]).await?;
    let used: Vec<[String; 3]> = used.iter().map(text).collect();
    let schemas: Vec<&str> = used.iter().map(|[schema, ..]| schema.as_str()).collect();
    let names: Vec<&str> = used.iter().map(|[_, name, _]| name.as_str()).collect();
    let live = session_in(work.context, &into.database, work.id).await?;
    let found = live.rows(control, &types_by_name(), &[&schemas, &names]).await?;
    let found: Vec<[String; 3]> = found.iter().map(text).collect();
    let differs = used.iter().filter(|one| !found.contains(one)).map(|one| {
        let here = found.iter().any(|other| other[..2] == one[..2]);
        let what = if here { "is another one there" } else { "is not there" };
        format!("{} {what}", qualified(&one[0], &one[1]))
    });
    let differs: Vec<String> = differs.collect();
    if differs.is_empty() {
        return Ok(());
    }
    let message = format!("database \"{}\" has not the types that the tables need", into.database);
    Err(Failure::new(Class::NotReady, message)
        .detail(format!("Type {}. Nothing was changed.", some(&differs)))
        .hint(
            "Restore the tables into a new database with target => '…', and copy the rows as text.",
        ))
}

/// A table whose parent stays behind must not become a child of the live one.
async fn cut_from_parents(work: &Work<'_>, session: &Server, moved: &[Relation]) -> Result<()> {
    let ids: Vec<u32> = moved.iter().map(|relation| relation.oid).collect();
    let control = work.context.control;
    for row in session.rows(control, OTHER_PARENTS, &[&ids]).await? {
        let (child, parent): (String, String) = (row.get(0), row.get(1));
        session.batch(control, &format!("ALTER TABLE {child} NO INHERIT {parent}")).await?;
    }
    Ok(())
}

/// pg_dump of each section into one psql.
async fn pour(work: &Work<'_>, into: &IntoSchema) -> Result<()> {
    let script = client(work, "psql", psql(), &into.database);
    let script = Tool { stdin: Stdin::Pipe, stdout: Stdout::Null, ..script };
    let mut live = Child::spawn(&script, work.context.harden)?;
    let begun = Box::new(BEGIN.as_bytes());
    let mut sink = copied(work.context, begun, live.take_stdin(), &Arc::default()).await?;
    for section in Section::ALL {
        sink = dumped(work, into, section, &mut live, sink).await?;
        fault::point(point(section));
    }
    let end = Cursor::new(end(&into.schema, &work.manifest.tables));
    drop(copied(work.context, Box::new(end), sink, &Arc::default()).await?);
    let outcome = until(work.context.control, || live.try_wait()).await?;
    if outcome.success() {
        return Ok(());
    }
    Err(refused(into, outcome.into_failure("write into the live database")))
}

/// One section. Gives the pipe back when pg_dump has ended well.
async fn dumped(
    work: &Work<'_>,
    into: &IntoSchema,
    section: Section,
    live: &mut Child,
    sink: Option<ChildStdin>,
) -> Result<Option<ChildStdin>> {
    let args = pg_dump(&into.schema, section, work.restore.trusted);
    let dump = client(work, "pg_dump", args, &work.restore.target);
    let mut dump = Child::spawn(&dump, work.context.harden)?;
    let script: Box<dyn Read + Send> = match dump.take_stdout() {
        Some(stdout) => Box::new(stdout.chain(AFTER_SECTION.as_bytes())),
        None => Box::new(std::io::empty()),
    };
    let moved = Arc::<AtomicU64>::default();
    let stall = Duration::from_millis(work.restore.limits.stall);
    let control = moving(work.context.control, "psql", &moved, stall);
    let patient = &Context { control: &control, ..*work.context };
    let sink = copied(patient, script, sink, &moved).await?;
    let outcome = until(&control, || dump.try_wait()).await?;
    if outcome.success() {
        return Ok(sink);
    }
    // pg_dump ends badly too when psql does, which has more to say then.
    drop(sink);
    let written = until(&control, || live.try_wait()).await?;
    Err(match written.success() {
        true => outcome.into_failure("read the scratch database"),
        false => refused(into, written.into_failure("write into the live database")),
    })
}

fn point(section: Section) -> &'static str {
    match section {
        Section::PreData => "poured_pre_data",
        Section::Data => "poured_data",
        Section::PostData => "poured_post_data",
    }
}

/// Copies all, and gives the pipe back while somebody reads it: a tool that has stopped reading is
/// judged by how it ends.
async fn copied(
    context: &Context<'_>,
    mut from: Box<dyn Read + Send>,
    to: Option<ChildStdin>,
    moved: &Arc<AtomicU64>,
) -> Result<Option<ChildStdin>> {
    let moved = moved.clone();
    let copying = threads::spawn("pg_backup pour", move || {
        let Some(mut to) = to else { return Ok(None) };
        let mut buffer = vec![0; CHUNK];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return Ok(Some(to)),
                Ok(count) if to.write_all(&buffer[..count]).is_err() => return Ok(None),
                Ok(_) => moved.fetch_add(1, Ordering::Relaxed),
                Err(error) => return Err(Failure::io("read what pg_dump writes", &error)),
            };
        }
    })?;
    joined(context.control, copying).await
}

fn client(
    work: &Work<'_>,
    name: &'static str,
    args: Vec<std::ffi::OsString>,
    database: &str,
) -> Tool {
    let application = format!("pg_backup restore {}", work.id);
    let envs = environment(&work.context.settings.access, database, &application);
    tool(work.context, name, args, envs)
}

fn refused(into: &IntoSchema, failure: Failure) -> Failure {
    let IntoSchema { database, schema } = into;
    let message = format!("could not put the tables into schema \"{schema}\" of \"{database}\"");
    let detail = format!("{}: {} Nothing was changed there.", failure.message, failure.detail);
    let hint = "Functions, sequences and roles that the tables use must be there. Else restore \
                them into a new database with target => '…'.";
    Failure { message, detail, hint: hint.to_owned(), ..failure }
}

async fn session_in(context: &Context<'_>, database: &str, id: i64) -> Result<Server> {
    let name = format!("pg_backup restore {id}");
    Server::connect(&context.settings.access, context.control, database, &name).await
}

/// The tables are there: what is said from here on is a warning.
async fn warn(work: &Work<'_>, left: &[Relation]) {
    let left = left.iter().filter(|relation| relation.kind != "S");
    let left: Vec<String> =
        left.map(|relation| format!("{}.{}", relation.schema, relation.name)).collect();
    let mut warnings = vec![
        "foreign keys, triggers, rules, policies and extended statistics were left out".to_owned(),
    ];
    if !left.is_empty() {
        warnings.push(format!("left out, because they have no rows of their own: {}", some(&left)));
    }
    let _ = work.history.warn(work.id, &warnings).await;
}

/// Statistics, so that joins with the new tables are planned well.
async fn analyze(work: &Work<'_>, into: &IntoSchema, moved: &[Relation]) {
    let tables = moved.iter().filter(|relation| relation.kind != "S");
    let names: Vec<String> = tables.map(|table| qualified(&into.schema, &table.name)).collect();
    let analyzed = async {
        let live = session_in(work.context, &into.database, work.id).await?;
        live.batch(work.context.control, &format!("ANALYZE {}", names.join(", "))).await
    };
    if let Err(failure) = analyzed.await {
        let warning = format!("the tables were not analyzed: {}", failure.message);
        let _ = work.history.warn(work.id, &[warning]).await;
    }
}

/// Drops the scratch database of a restore that succeeded.
pub async fn finished(work: &Work<'_>) -> Result<()> {
    let control = last_words(work.context.control, DROP_TIME);
    let target = &work.restore.target;
    if let Err(failure) = work.server.batch(&control, &plan::drop_database(target)).await {
        let warning = format!("database \"{target}\" could not be dropped: {}", failure.message);
        work.history.with_control(&control).warn(work.id, &[warning]).await?;
    }
    Ok(())
}

/// The rows of `backup_restore_check()` about the schema.
pub async fn rows(
    context: &Context<'_>,
    into: &IntoSchema,
    manifest: &Manifest,
) -> Result<ReportRow> {
    let IntoSchema { database, schema } = into;
    let blocker =
        |detail: String, hint: &str| ReportRow::new("into_schema", "blocker", detail, hint);
    let live = match session_in(context, database, 0).await {
        Ok(live) => live,
        Err(failure) if failure.class == Class::UndefinedDatabase => {
            return Ok(blocker(
                format!("database \"{database}\" does not exist"),
                "Restore the tables into a new database, with target => '…'.",
            ));
        }
        Err(failure) => return Err(failure),
    };
    let exists: bool = live.one(context.control, SCHEMA_EXISTS, &[&schema]).await?.get(0);
    Ok(if exists {
        let detail = format!("schema \"{schema}\" exists in database \"{database}\"");
        blocker(detail, "An existing schema is never written to: choose another name.")
    } else if manifest.facts.schemas.contains(schema) || schema.starts_with("pg_") {
        let detail =
            format!("the archive has a schema \"{schema}\" itself, or the server keeps it");
        blocker(detail, "Choose another name.")
    } else {
        let detail = format!("schema \"{schema}\" will be made in database \"{database}\"");
        ReportRow::ok("into_schema", detail)
    })
}
