//! The text format of COPY: one row, its cells parted by tabs (PostgreSQL documentation, COPY,
//! "Text Format").

/// The cells of a row as `COPY … TO STDOUT` sends it; `\N` is NULL.
pub fn cells(line: &str) -> Vec<Option<String>> {
    let line = line.strip_suffix('\n').unwrap_or(line);
    line.split('\t').map(|cell| (cell != "\\N").then(|| plain(cell))).collect()
}

/// What is written with a backslash: of the octal and hexadecimal forms, which COPY reads, it
/// writes none.
fn plain(cell: &str) -> String {
    let mut text = String::with_capacity(cell.len());
    let mut rest = cell.chars();
    while let Some(c) = rest.next() {
        text.push(match c {
            '\\' => match rest.next() {
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('v') => '\u{b}',
                Some(other) => other,
                None => break,
            },
            other => other,
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn null_empty_and_escaped_cells_are_read() {
        let found = cells("a\\tb\t\\N\t\t\\\\N\n");
        let wanted = [Some("a\tb"), None, Some(""), Some("\\N")];
        assert_eq!(found, wanted.map(|cell| cell.map(str::to_owned)));
        assert_eq!(cells("x\\"), [Some("x".to_owned())]);
    }

    proptest! {
        #[test]
        fn any_line_has_one_cell_more_than_tabs(line in "[^\n]{0,60}") {
            prop_assert_eq!(cells(&line).len(), line.matches('\t').count() + 1);
        }
    }
}
