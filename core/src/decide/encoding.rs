//! Text in the encodings that a server can have, as text of ours. What a dump holds is in the
//! encoding of its database, names too.

use std::borrow::Cow;

use encoding_rs::Encoding;

/// Names of PostgreSQL's encodings (in its manual under "Character Set Support"), and those of the
/// same encodings in the web's standard. LATIN1 and LATIN5 differ from theirs only in control
/// characters.
const ENCODINGS: [(&str, &str); 36] = [
    ("BIG5", "big5"),
    ("EUC_CN", "gbk"),
    ("EUC_JIS_2004", "euc-jp"),
    ("EUC_JP", "euc-jp"),
    ("EUC_KR", "euc-kr"),
    ("GB18030", "gb18030"),
    ("GBK", "gbk"),
    ("ISO_8859_5", "iso-8859-5"),
    ("ISO_8859_6", "iso-8859-6"),
    ("ISO_8859_7", "iso-8859-7"),
    ("ISO_8859_8", "iso-8859-8"),
    ("KOI8R", "koi8-r"),
    ("KOI8U", "koi8-u"),
    ("LATIN1", "iso-8859-1"),
    ("LATIN10", "iso-8859-16"),
    ("LATIN2", "iso-8859-2"),
    ("LATIN3", "iso-8859-3"),
    ("LATIN4", "iso-8859-4"),
    ("LATIN5", "iso-8859-9"),
    ("LATIN6", "iso-8859-10"),
    ("LATIN7", "iso-8859-13"),
    ("LATIN8", "iso-8859-14"),
    ("LATIN9", "iso-8859-15"),
    ("SJIS", "shift_jis"),
    ("UHC", "euc-kr"),
    ("WIN1250", "windows-1250"),
    ("WIN1251", "windows-1251"),
    ("WIN1252", "windows-1252"),
    ("WIN1253", "windows-1253"),
    ("WIN1254", "windows-1254"),
    ("WIN1255", "windows-1255"),
    ("WIN1256", "windows-1256"),
    ("WIN1257", "windows-1257"),
    ("WIN1258", "windows-1258"),
    ("WIN866", "ibm866"),
    ("WIN874", "windows-874"),
];

/// Whether names can be decoded, or are what the server takes for UTF-8.
pub fn is_readable(name: &str) -> bool {
    let is = |known: &str| known.eq_ignore_ascii_case(name);
    is("UTF8") || is("SQL_ASCII") || ENCODINGS.iter().any(|(known, _)| is(known))
}

/// Decodes `bytes` of the encoding that PostgreSQL calls `name`. What the encoding does not have,
/// and what is not UTF-8 where the encoding is not known (SQL_ASCII says nothing), is replaced.
pub fn decode<'t>(bytes: &'t [u8], name: &str) -> Cow<'t, str> {
    let known = ENCODINGS.iter().find(|(ours, _)| ours.eq_ignore_ascii_case(name));
    match known.and_then(|(_, label)| Encoding::for_label_no_replacement(label.as_bytes())) {
        Some(encoding) => encoding.decode_without_bom_handling(bytes).0,
        None => String::from_utf8_lossy(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_of_the_standard() {
        for (ours, label) in ENCODINGS {
            assert!(Encoding::for_label_no_replacement(label.as_bytes()).is_some(), "{ours}");
        }
    }

    #[test]
    fn text_is_decoded_by_the_encoding_or_else_as_utf8() {
        assert_eq!(decode(b"sch\xe9ma", "LATIN1"), "schéma");
        assert_eq!(decode(b"\xc6\xfc\xcb\xdc", "EUC_JP"), "日本");
        assert_eq!(decode(b"\xcf\xf0", "win1251"), "Пр");
        assert_eq!(decode("schéma".as_bytes(), "UTF8"), "schéma");
        assert_eq!(decode("schéma".as_bytes(), "SQL_ASCII"), "schéma");
        assert_eq!(decode(b"\xe9", "MULE_INTERNAL"), "\u{fffd}");
    }
}
