//! The new database: `CREATE DATABASE` with everything that cannot be changed later, and the
//! statements for the rest (owner, comment, limits, settings), from the manifest.

use super::{ident, literal};
use crate::decide::manifest::{Database, Setting};

/// `CREATE DATABASE`, with a connection limit of 0 until all is done: superusers may connect,
/// clients not. Its id is chosen before, so that a row can name it before it exists.
pub fn create(target: &str, oid: u32, database: &Database) -> String {
    let mut sql = format!(
        "CREATE DATABASE {} WITH TEMPLATE = template0 OID = {oid} CONNECTION LIMIT = 0{}",
        ident(target),
        text(database)
    );
    sql.push_str(&provider(database));
    if !database.tablespace.is_empty() {
        sql.push_str(&format!(" TABLESPACE = {}", ident(&database.tablespace)));
    }
    sql
}

/// Who compares texts, and how. The provider of `template0` may be another one, so it is always
/// said where it is known.
fn provider(database: &Database) -> String {
    let option = |name: &str, value: &Option<String>| {
        value.as_ref().map(|value| format!(" {name} = {}", literal(value))).unwrap_or_default()
    };
    match database.locale_provider.as_str() {
        "icu" => format!(
            " LOCALE_PROVIDER = icu{}{}",
            option("ICU_LOCALE", &database.icu_locale),
            option("ICU_RULES", &database.icu_rules)
        ),
        "builtin" => {
            format!(" LOCALE_PROVIDER = builtin{}", option("BUILTIN_LOCALE", &database.icu_locale))
        }
        "libc" if !database.lc_collate.is_empty() => " LOCALE_PROVIDER = libc".to_owned(),
        _ => String::new(),
    }
}

/// Encoding and locale. Somebody else's dump tells no locale: that of `template0` fits what most
/// have, UTF8, and `C` fits every other encoding.
fn text(database: &Database) -> String {
    let Database { encoding, lc_collate, lc_ctype, .. } = database;
    match (encoding.as_str(), lc_collate.as_str()) {
        ("", "") => String::new(),
        ("UTF8", "") => " ENCODING = 'UTF8'".to_owned(),
        (encoding, "") => {
            format!(" ENCODING = {} LC_COLLATE = 'C' LC_CTYPE = 'C'", literal(encoding))
        }
        (encoding, lc_collate) => format!(
            " ENCODING = {} LC_COLLATE = {} LC_CTYPE = {}",
            literal(encoding),
            literal(lc_collate),
            literal(lc_ctype)
        ),
    }
}

/// `DROP DATABASE`, whoever is connected.
pub fn drop_database(name: &str) -> String {
    format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", ident(name))
}

/// Everything else, once the content is there; to be run in order. What the database has is what
/// the manifest says, nothing more.
pub fn properties(target: &str, database: &Database) -> Vec<String> {
    let name = ident(target);
    let mut statements = Vec::new();
    if !database.owner.is_empty() {
        statements.push(format!("ALTER DATABASE {name} OWNER TO {}", ident(&database.owner)));
    }
    if let Some(comment) = &database.comment {
        statements.push(format!("COMMENT ON DATABASE {name} IS {}", literal(comment)));
    }
    statements.extend(database.settings.iter().filter_map(|setting| set(&name, setting)));
    statements
}

/// The statements that give a database its security labels: each of them can fail alone, where the
/// provider is not loaded or does not take it.
pub fn labels(target: &str, database: &Database) -> Vec<String> {
    let labels = database.security_labels.iter().filter_map(|label| label.split_once(": "));
    let statement = |(provider, label): (&str, &str)| {
        let (provider, name) = (ident(provider), ident(target));
        format!("SECURITY LABEL FOR {provider} ON DATABASE {name} IS {}", literal(label))
    };
    labels.map(statement).collect()
}

/// What comes last: from here on clients may connect.
pub fn open(target: &str, database: &Database) -> String {
    format!(
        "ALTER DATABASE {} WITH IS_TEMPLATE {} CONNECTION LIMIT {}",
        ident(target),
        database.is_template,
        database.connection_limit
    )
}

/// `ALTER DATABASE … SET`, or `ALTER ROLE … IN DATABASE … SET`.
fn set(database: &str, setting: &Setting) -> Option<String> {
    let (name, value) = setting.setting.split_once('=')?;
    // The state of a restore, not a property: with it, TimescaleDB would do nothing ever after.
    if name.eq_ignore_ascii_case("timescaledb.restoring") {
        return None;
    }
    let subject = match &setting.role {
        Some(role) => format!("ROLE {} IN DATABASE {database}", ident(role)),
        None => format!("DATABASE {database}"),
    };
    Some(format!("ALTER {subject} SET {} TO {}", parameter(name), values(name, value)))
}

/// A custom setting has a dot between two names.
fn parameter(name: &str) -> String {
    name.split('.').map(ident).collect::<Vec<_>>().join(".")
}

/// Settings that hold a list of names are stored as a list of quoted names already (GUC_LIST_QUOTE
/// in the server's variable.c); as one literal they would become one name.
const QUOTED_LISTS: [&str; 5] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
];

fn values(name: &str, value: &str) -> String {
    if !QUOTED_LISTS.contains(&name.to_ascii_lowercase().as_str()) {
        return literal(value);
    }
    match value.trim() {
        "" => "''".to_owned(),
        list => split_names(list).iter().map(|name| literal(name)).collect::<Vec<_>>().join(", "),
    }
}

/// The names of a list as the server stores it: separated by commas, quoted where they need it.
fn split_names(list: &str) -> Vec<String> {
    let (mut names, mut name, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = list.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                name.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(std::mem::take(&mut name).trim().to_owned()),
            c => name.push(c),
        }
    }
    names.push(if quoted { name } else { name.trim().to_owned() });
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database() -> Database {
        Database {
            owner: "bo\"ss".to_owned(),
            encoding: "UTF8".to_owned(),
            lc_collate: "C.UTF-8".to_owned(),
            lc_ctype: "C.UTF-8".to_owned(),
            locale_provider: "libc".to_owned(),
            tablespace: "pg_default".to_owned(),
            connection_limit: -1,
            ..Database::default()
        }
    }

    #[test]
    fn a_database_is_made_with_its_encoding_locale_and_tablespace() {
        let sql = create("a\"b", 77777, &database());
        assert_eq!(
            sql,
            "CREATE DATABASE \"a\"\"b\" WITH TEMPLATE = template0 OID = 77777 CONNECTION LIMIT = 0 \
             ENCODING = 'UTF8' LC_COLLATE = 'C.UTF-8' LC_CTYPE = 'C.UTF-8' LOCALE_PROVIDER = libc \
             TABLESPACE = \"pg_default\""
        );
        let icu = Database {
            locale_provider: "icu".to_owned(),
            icu_locale: Some("de-AT".to_owned()),
            ..database()
        };
        assert!(create("x", 1, &icu).contains(" LOCALE_PROVIDER = icu ICU_LOCALE = 'de-AT' TAB"));
        let ruled = Database { icu_rules: Some("&a < b".to_owned()), ..icu.clone() };
        assert!(create("x", 1, &ruled).contains(" ICU_LOCALE = 'de-AT' ICU_RULES = '&a < b' TAB"));
        let builtin = Database { locale_provider: "builtin".to_owned(), ..icu };
        let wanted = " LOCALE_PROVIDER = builtin BUILTIN_LOCALE = 'de-AT' TABLESPACE";
        assert!(create("x", 1, &builtin).contains(wanted));
    }

    #[test]
    fn a_dump_that_tells_little_gets_what_the_server_has() {
        let of = |encoding: &str| {
            let database = Database { encoding: encoding.to_owned(), ..Database::default() };
            create("d", 7, &database).split_once("LIMIT = 0").unwrap().1.to_owned()
        };
        assert_eq!(of(""), "");
        assert_eq!(of("UTF8"), " ENCODING = 'UTF8'");
        assert_eq!(of("LATIN1"), " ENCODING = 'LATIN1' LC_COLLATE = 'C' LC_CTYPE = 'C'");
        assert!(properties("d", &Database::default()).is_empty());
    }

    #[test]
    fn settings_come_back_as_they_were_lists_of_names_too() {
        let setting = |role: Option<&str>, setting: &str| Setting {
            role: role.map(str::to_owned),
            setting: setting.to_owned(),
        };
        for (given, wanted) in [
            (setting(None, "work_mem=8MB"), "ALTER DATABASE \"d\" SET \"work_mem\" TO '8MB'"),
            (
                setting(Some("bob"), "search_path=\"My schema\", public"),
                "ALTER ROLE \"bob\" IN DATABASE \"d\" SET \"search_path\" TO 'My schema', 'public'",
            ),
            (setting(None, "search_path=\"\""), "ALTER DATABASE \"d\" SET \"search_path\" TO ''"),
            (
                setting(None, "app.motto=it's"),
                "ALTER DATABASE \"d\" SET \"app\".\"motto\" TO 'it''s'",
            ),
            (
                setting(None, "app.path=a\\b"),
                "ALTER DATABASE \"d\" SET \"app\".\"path\" TO E'a\\\\b'",
            ),
        ] {
            assert_eq!(set("\"d\"", &given).as_deref(), Some(wanted));
        }
        assert_eq!(set("\"d\"", &setting(None, "timescaledb.restoring=on")), None);
    }

    #[test]
    fn labels_keep_whatever_they_hold() {
        let security_labels = vec!["an\"on: it's: top".to_owned(), "none".to_owned()];
        let labelled = Database { security_labels, ..database() };
        assert_eq!(
            labels("d", &labelled),
            ["SECURITY LABEL FOR \"an\"\"on\" ON DATABASE \"d\" IS 'it''s: top'"]
        );
    }

    #[test]
    fn the_limit_of_connections_is_not_among_the_properties() {
        let statements = properties("d", &database());
        assert_eq!(statements, ["ALTER DATABASE \"d\" OWNER TO \"bo\"\"ss\""]);
        let last = open("d", &database());
        assert_eq!(last, "ALTER DATABASE \"d\" WITH IS_TEMPLATE false CONNECTION LIMIT -1");
    }
}
