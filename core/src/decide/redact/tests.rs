//! What is masked, what is kept, and that neither depends on how the bytes arrive.

use super::*;
use proptest::prelude::*;

#[test]
fn secrets_are_masked_and_the_rest_stays() {
    let table = [
        ("host=a password=s3cret user=b", "host=a password=*** user=b"),
        ("password = s3cret", "password = ***"),
        (r"password='s3 \'cret' user=b", "password=*** user=b"),
        (r"password=s3\ cret user=b", "password=*** user=b"),
        ("sslpassword=s3cret sslmode=on", "sslpassword=*** sslmode=on"),
        ("PGPASSWORD=s3cret pg_dump", "PGPASSWORD=*** pg_dump"),
        ("ALTER ROLE a PASSWORD 's3''cret' LOGIN", "ALTER ROLE a PASSWORD *** LOGIN"),
        ("encrypted password E's3\\'cret';", "encrypted password ***;"),
        ("OPTIONS (user 'a', password 's3cret')", "OPTIONS (user 'a', password ***)"),
        ("PASSWORD $$s3cret$$ LOGIN", "PASSWORD *** LOGIN"),
        ("PASSWORD $q$s3$$cret$q$ LOGIN", "PASSWORD *** LOGIN"),
        (r#"{"password": "s3\"cret", "a": 1}"#, r#"{"password": ***, "a": 1}"#),
        ("to postgres://bob:s3cret@db:5432/x", "to postgres://bob:***@db:5432/x"),
        ("postgresql://bob:s3@cret@db/x y@z", "postgresql://bob:***@db/x y@z"),
        ("POSTGRES://bob:S3cret@db", "POSTGRES://bob:***@db"),
        ("PASSWORD 's3cret without an end", "PASSWORD ***"),
        ("password=a password=b", "password=*** password=***"),
        ("é password=é€ ü", "é password=*** ü"),
        ("password=", "password=***"),
    ];
    for (text, masked) in table {
        assert_eq!(redact(text), masked, "{text}");
    }
}

#[test]
fn what_holds_no_secret_stays() {
    let texts = [
        "",
        "FATAL:  password authentication failed for user \"bob\"",
        "fe_sendauth: no password supplied",
        "Password: ",
        "ALTER ROLE a PASSWORD NULL",
        "column \"password\" of relation \"users\" does not exist",
        "postgres://localhost:5432/app?sslmode=require",
        "https://bob:builder@example.org",
        "postgres:// bob:x@y",
    ];
    for text in texts {
        assert_eq!(redact(text), text);
    }
}

#[test]
fn a_hostile_text_takes_no_quadratic_time() {
    for piece in ["postgres://", "password $", "password=\"", "password", "password $a"] {
        redact(&piece.repeat(20_000));
    }
}

#[test]
fn a_short_stream_is_kept_as_it_is() {
    let mut tail = Tail::new();
    assert_eq!(tail.text(), "");
    tail.push(b"one\n");
    tail.push(b"two \xff");
    assert_eq!((tail.text().as_str(), tail.total()), ("one\ntwo \u{fffd}", 9));
}

#[test]
fn of_a_long_stream_the_first_and_the_last_lines_stay() {
    let mut tail = Tail::new();
    for line in 0..100_000 {
        tail.push(format!("line {line}\n").as_bytes());
    }
    let text = tail.text();
    assert!(text.starts_with("line 0\n") && text.ends_with("\nline 99999\n"), "{text}");
    let marks: Vec<_> = text.lines().filter(|line| line.contains("left out")).collect();
    let left_out: u64 = marks[0].split(' ').nth(1).unwrap().parse().unwrap();
    let mark = format!("… {left_out} bytes left out …\n");
    assert_eq!(marks.len(), 1);
    assert_eq!((text.len() - mark.len()) as u64 + left_out, tail.total());
    let whole = |line: &str| line.starts_with("line ") || line.starts_with('…');
    assert!(text.lines().all(whole));
    assert!(text.len() > HEAD_BYTES + TAIL_BYTES - 100);
}

#[test]
fn a_stream_without_line_ends_is_cut_all_the_same() {
    let mut tail = Tail::new();
    tail.push(&vec![b'x'; 10 << 20]);
    let left_out = (10 << 20) - HEAD_BYTES - TAIL_BYTES;
    assert!(tail.text().contains(&format!("\n… {left_out} bytes left out …\n")));
    assert!(tail.tail.capacity() + tail.head.capacity() <= 64 * 1024);
}

#[test]
fn a_secret_whose_key_was_left_out_is_not_shown() {
    let mut tail = Tail::new();
    tail.push(b"first\n");
    tail.push(&vec![b'x'; 20_000]);
    tail.push(format!(" password={}{}\nlast\n", "y".repeat(20), "s3cret".repeat(1360)).as_bytes());
    let text = redact(&tail.text());
    assert!(!text.contains("s3cret") && text.ends_with("last\n"), "{text}");
}

#[test]
fn warnings_are_found_and_shortened() {
    let stderr = format!(
        "pg_dump: warning: there are circular foreign-key constraints on this table:\n\
         pg_dump: detail: node\n\
         WARNING:  not ours\n\
         pg_restore: warning: errors ignored on restore: 1\r\n\
         could not: warning: be a tool's name\n\
         pg_dump: warning: {}\n",
        "é".repeat(1000)
    );
    let found = warnings(&stderr);
    assert_eq!(found[0], "there are circular foreign-key constraints on this table:");
    assert_eq!(found[1], "errors ignored on restore: 1");
    assert_eq!(found[2], "could not: warning: be a tool's name");
    assert_eq!(found[3].chars().count(), MAX_WARNING_CHARS);
    assert_eq!(found.len(), 4);
    assert_eq!(warnings(&"pg_dump: warning: x\n".repeat(1000)).len(), MAX_WARNINGS);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic_and_twice_is_once(
        text in "(?is).{0,40}|(password|[ ='\"$:@\\\\xé]|postgres://|e'|\\$a\\$){0,12}",
    ) {
        let once = redact(&text);
        prop_assert_eq!(redact(&once), once);
        let _ = warnings(&text);
    }

    #[test]
    fn a_secret_never_comes_through(
        secret in "[A-Z0-9][A-Z0-9@:/'é]{5,30}",
        tail in "[a-z =]{0,20}",
    ) {
        let doubled = secret.replace('\'', "''");
        let start: String = secret.chars().take(4).collect();
        let end: String = secret.chars().skip(secret.chars().count() - 4).collect();
        for text in [
            format!("x password={secret} {tail}"),
            format!("x PASSWORD '{doubled}' {tail}"),
            format!("x postgres://u:{secret}@host/{tail}"),
        ] {
            let masked = redact(&text);
            prop_assert!(!masked.contains(&start) && !masked.contains(&end), "{} {}", text, masked);
        }
    }

    #[test]
    fn chunks_make_no_difference_to_a_tail(cuts in prop::collection::vec(0usize..9000, 0..12)) {
        let bytes: Vec<u8> = (0..30_000).map(|n| b"ab\ncdefg"[n * n % 8]).collect();
        let mut whole = Tail::new();
        whole.push(&bytes);
        let mut parts = Tail::new();
        let mut rest = &bytes[..];
        for cut in cuts {
            let (part, after) = rest.split_at(cut.min(rest.len()));
            parts.push(part);
            rest = after;
        }
        parts.push(rest);
        prop_assert_eq!(parts.text(), whole.text());
        prop_assert_eq!(parts.total(), 30_000);
    }
}
