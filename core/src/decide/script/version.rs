//! Which psql can run a script in restricted mode, where no backslash command of it does anything.

/// The first minor release of each major one that knows `\restrict`: those of August 2025.
const KNOWS: [(u32, u32); 5] = [(13, 22), (14, 19), (15, 14), (16, 10), (17, 6)];

/// Whether a psql whose `--version` says `text` knows `\restrict`.
pub fn knows_restrict(text: &str) -> bool {
    let Some((major, minor)) = text.split_whitespace().find_map(release) else { return false };
    match KNOWS.iter().find(|(known, _)| *known == major) {
        Some((_, first)) => minor >= *first,
        None => major > KNOWS[KNOWS.len() - 1].0,
    }
}

fn release(word: &str) -> Option<(u32, u32)> {
    let (major, minor) = word.split_once('.').unwrap_or((word, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_psql_that_knows_restricted_mode_is_taken() {
        let table = [
            ("psql (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)", true),
            ("psql (PostgreSQL) 15.13", false),
            ("psql (PostgreSQL) 17.6", true),
            ("psql (PostgreSQL) 17.5", false),
            ("psql (PostgreSQL) 18.0", true),
            ("psql (PostgreSQL) 12.22", false),
            ("psql (PostgreSQL) 18beta1", false),
            ("", false),
        ];
        for (text, known) in table {
            assert_eq!(knows_restrict(text), known, "{text}");
        }
    }
}
