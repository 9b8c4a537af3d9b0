//! A table of contents, and which of its entries a restore of a part takes.

use super::*;

const LIST: &str = "\
; Selected TOC Entries:
;
3409; 0 0 ENCODING - ENCODING 
225; 1255 16391 FUNCTION public bite(integer) mallory
218; 1259 16402 TABLE public ch postgres
3416; 0 0 ACL public TABLE ch postgres
;\tdepends on: 218
217; 1259 16401 SEQUENCE public ch_j_seq postgres
;\tdepends on: 218
216; 1259 16396 TABLE public par postgres
223; 1259 16429 MATERIALIZED VIEW public mv postgres
;\tdepends on: 216
3405; 2613 16428 BLOB - 16428 postgres
3499; 0 0 ACL - LARGE OBJECT 16428 postgres
;\tdepends on: 3405
3400; 0 16402 TABLE DATA public ch postgres
;\tdepends on: 218
3398; 0 16396 TABLE DATA public par postgres
;\tdepends on: 216
3418; 0 0 SEQUENCE SET public ch_j_seq postgres
;\tdepends on: 217
3406; 0 0 BLOBS - BLOBS 
3238; 2606 16400 CONSTRAINT public par par_pkey postgres
;\tdepends on: 216
3239; 1259 16411 INDEX public ch_j_idx postgres
;\tdepends on: 218
3419; 0 0 COMMENT public INDEX ch_j_idx postgres
;\tdepends on: 3239
3246; 2606 16406 FK CONSTRAINT public ch ch_i_fkey postgres
;\tdepends on: 216 3238 218
3393; 3256 16433 POLICY public ch po postgres
;\tdepends on: 216 218
3394; 6104 16434 PUBLICATION - pub postgres
3395; 6106 16435 PUBLICATION TABLE public pub ch postgres
;\tdepends on: 218 3394
3404; 0 16429 MATERIALIZED VIEW DATA public mv postgres
;\tdepends on: 223 3408
";

fn read() -> Vec<Entry> {
    entries(LIST, &["public".to_owned()], &["postgres".to_owned(), "mallory".to_owned()]).unwrap()
}

fn names(list: &[&str]) -> HashSet<Printed> {
    list.iter().map(|name| printed("public", name)).collect()
}

fn numbers(list: &str) -> Vec<u32> {
    list.lines().map(|line| line.trim_end_matches(';').parse().unwrap()).collect()
}

#[test]
fn every_definition_is_restored_but_large_objects() {
    let list = numbers(&definitions(LIST));
    assert!(list.contains(&225) && list.contains(&216) && list.contains(&3416));
    assert!(!list.contains(&3405) && !list.contains(&3499) && !list.contains(&3406));
}

#[test]
fn rows_and_what_is_built_on_them_come_for_chosen_tables_only() {
    let rest = rest(&read(), &names(&["ch", "ch_j_seq"]), &HashSet::new(), false);
    assert_eq!(numbers(&rest.list), [3400, 3418, 3239, 3419, 3393]);
    assert_eq!(rest.foreign_keys, ["ch ch_i_fkey"]);
}

#[test]
fn a_foreign_key_comes_where_both_sides_are_chosen() {
    let found = rest(&read(), &names(&["ch", "par"]), &HashSet::new(), false);
    assert!(numbers(&found.list).contains(&3246));
    assert!(found.foreign_keys.is_empty());
    let parent = rest(&read(), &names(&["par"]), &HashSet::new(), false);
    assert!(parent.foreign_keys.is_empty(), "it is not the parent's");
}

#[test]
fn nothing_that_acts_by_itself_comes_beside_a_live_database() {
    let found = rest(&read(), &names(&["ch", "par", "mv"]), &HashSet::new(), true);
    assert_eq!(numbers(&found.list), [3400, 3398, 3238, 3239, 3419]);
}

#[test]
fn a_materialized_view_is_filled_when_all_that_it_reads_is_there() {
    let found = |unread: &[&str]| {
        let rest = rest(&read(), &names(&["par", "mv"]), &names(unread), false);
        numbers(&rest.list).contains(&3404)
    };
    assert!(found(&[]));
    assert!(!found(&["mv"]));
}
