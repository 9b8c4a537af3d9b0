//! The manifest of an archive that was not made here.

use chrono::{DateTime, Local, NaiveDateTime, TimeZone, Utc};
use serde_json::Value;

use super::Work;
use super::dump::Kept;
use super::facts::{Known, database, line};
use crate::decide::archive_spec::Codec;
use crate::decide::format::Compression;
use crate::decide::import::Kind;
use crate::decide::manifest::{
    Application, Database, Dump, Extension, FORMAT, Facts, Manifest, Migrations, Server, Span,
    TableCount, Tools,
};
use crate::decide::script::facts::Facts as Told;
use crate::error::Result;

/// The manifest, all but the members.
pub fn manifest(
    work: &Work<'_>,
    kept: Kept,
    compression: Compression,
    known: &Known,
    told: Told,
    tables: Vec<TableCount>,
) -> Result<Manifest> {
    let list = known.list.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let version = told.server_version.clone();
    let version =
        version.or_else(|| line(&list, "Dumped from database version").map(str::to_owned));
    let tool = told.pg_dump_version.clone();
    let tool = tool.or_else(|| line(&list, "Dumped by pg_dump version").map(str::to_owned));
    let by_hand = kept.kind == Kind::Script && (!told.is_complete || told.goes_on);
    let mut warnings = Vec::new();
    if by_hand {
        warnings.push("nothing at its end tells that the script is whole".to_owned());
    }
    if told.has_inserts {
        warnings.push("rows that come by INSERT are not counted".to_owned());
    }
    let metadata = known.metadata.as_ref();
    let created = created(metadata, &list).or(known.modified).unwrap_or(work.started);
    Ok(Manifest {
        format: FORMAT,
        id: work.id,
        created_at: Span { start: created, end: created },
        comment: None,
        origin: work.import.origin.clone(),
        dump: Dump {
            format: format(kept.kind).to_owned(),
            compression: match kept.codec {
                Codec::Plain => compression.to_string(),
                Codec::Gzip => "gzip:6".to_owned(),
                Codec::Zstd => "zstd:3".to_owned(),
            },
            jobs: 1,
            by_hand,
            has_inserts: told.has_inserts,
            ..Dump::default()
        },
        facts: facts(work, known, &told, metadata, version.unwrap_or_default()),
        tools: Tools {
            pg_backup: env!("CARGO_PKG_VERSION").to_owned(),
            pg_dump: tool.map(|tool| format!("pg_dump (PostgreSQL) {tool}")).unwrap_or_default(),
        },
        tables,
        migrations: told
            .migrations
            .into_iter()
            .map(|(f, t, ids)| Migrations::applied(&f, t, ids))
            .collect(),
        application: application(metadata),
        warnings,
        attachments: Vec::new(),
        signed: false,
        members: Vec::new(),
    })
}

fn format(kind: Kind) -> &'static str {
    match kind {
        Kind::Tar => "tar",
        Kind::Script => "plain",
        Kind::Custom | Kind::Zip => "custom",
    }
}

fn facts(
    work: &Work<'_>,
    known: &Known,
    told: &Told,
    metadata: Option<&Value>,
    version: String,
) -> Facts {
    let timescale = metadata.and_then(|m| m["database"]["timescaleVersion"].as_str());
    let size = metadata.and_then(|m| m["database"]["databaseSize"].as_i64()).filter(|s| *s >= 0);
    let extension = |name: &String| Extension {
        name: name.clone(),
        version: timescale.filter(|_| name == "timescaledb").unwrap_or_default().to_owned(),
        schema: "public".to_owned(),
    };
    Facts {
        database: Database {
            name: told.database.clone().unwrap_or_else(|| database(work.import, known)),
            encoding: told.encoding.clone().unwrap_or_default(),
            connection_limit: -1,
            allow_connections: true,
            size_bytes: size.unwrap_or(0),
            ..Database::default()
        },
        server: Server { version_num: version_num(&version), version, ..Server::default() },
        extensions: told.extensions.iter().map(extension).collect(),
        roles: told.owners.iter().cloned().collect(),
        schemas: told.schemas.iter().cloned().collect(),
        ..Facts::default()
    }
}

/// `15.20 (Debian …)` as the server counts: 150020; 0 for what is no version.
fn version_num(text: &str) -> i32 {
    let word = text.split_whitespace().next().unwrap_or_default();
    let digits = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>();
    let mut parts = word.split('.').map(|part| digits(part).parse::<i32>().unwrap_or(0));
    let (major, minor) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    match major {
        0..10 => major * 10_000 + minor.clamp(0, 99) * 100 + parts.next().unwrap_or(0).clamp(0, 99),
        10..1000 => major * 10_000 + minor.clamp(0, 9999),
        _ => 0,
    }
}

fn created(metadata: Option<&Value>, list: &str) -> Option<DateTime<Utc>> {
    let said = metadata.and_then(|m| m["createdAt"].as_str());
    if let Some(said) = said.and_then(|text| DateTime::parse_from_rfc3339(text).ok()) {
        return Some(said.with_timezone(&Utc));
    }
    let text = list.lines().find_map(|line| line.strip_prefix("; Archive created at "))?;
    let naive = NaiveDateTime::parse_from_str(text.get(..19)?, "%Y-%m-%d %H:%M:%S").ok()?;
    Local.from_local_datetime(&naive).earliest().map(|time| time.with_timezone(&Utc))
}

fn application(metadata: Option<&Value>) -> Application {
    let version = metadata.and_then(|m| m["app"]["version"].as_str());
    Application { version: version.map(str::to_owned), ..Application::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_as_the_server_counts() {
        for (text, number) in [
            ("15.20 (Debian 15.20-1)", 150_020),
            ("9.6.24", 90_624),
            ("18beta1", 180_000),
            ("", 0),
            ("99999999999", 0),
        ] {
            assert_eq!(version_num(text), number, "{text}");
        }
    }

    #[test]
    fn the_head_of_a_list_is_read() {
        let list = ";\n; Archive created at 2026-11-20 03:15:02 UTC\n;     dbname: My app\n\
                    ;     TOC Entries: 3\n;\n1; 2 3 TABLE dbname: x y z\n";
        assert_eq!(line(list, "dbname"), Some("My app"));
        assert!(created(None, list).is_some());
    }
}
