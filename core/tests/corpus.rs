//! Feeds every file of `fuzz/seeds` to the functions that the fuzzer calls. A find of the fuzzer
//! becomes a file there.

use std::path::Path;

#[path = "../../fuzz/src/lib.rs"]
mod targets;

fn feed(target: &str, function: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let mut files = 0;
    for entry in folder.read_dir().unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        function(&bytes);
        for end in [bytes.len() / 2, bytes.len().saturating_sub(1)] {
            function(&bytes[..end]);
        }
        files += 1;
    }
    assert!(files > 0, "there are no seeds for {target}");
}

#[test]
fn every_seed_of_the_fuzzer_is_survived() {
    feed("archive", targets::archive);
    feed("manifest", targets::manifest);
    feed("names", targets::names);
    feed("contents", targets::contents);
    feed("script", targets::script);
    feed("foreign", targets::foreign);
    feed("globals", targets::globals);
    feed("head", targets::head);
    feed("custom", targets::custom);
    feed("upload", targets::upload);
    feed("keys", targets::keys);
}
