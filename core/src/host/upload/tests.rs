//! Uploads: what is there counts once, whatever comes in whatever order, and nothing stays behind.

use super::*;
use proptest::prelude::*;
use std::os::unix::fs::symlink;

const SYSTEM: u64 = 7_000_000_000_000_000_001;
const SHA256: &str = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855";

struct Place {
    data: tempfile::TempDir,
    uploads: Uploads,
}

impl Place {
    fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let dir = BackupDir::open(Path::new("pg_backup"), data.path(), true).unwrap();
        Self { uploads: Uploads::new(&dir, SYSTEM, 0), data }
    }

    fn begin(&self, size_bytes: i64) -> i64 {
        self.uploads.begin(new(size_bytes), now()).unwrap()
    }

    fn part(&self, id: i64, at: u64, data: &[u8]) -> Result<u64> {
        self.uploads.part(id, at, data, now())
    }

    fn missing(&self, id: i64) -> Vec<(u64, u64)> {
        let all = self.uploads.list().unwrap();
        let upload = all.into_iter().find(|(one, _)| *one == id).unwrap().1.unwrap();
        upload.received.gaps((0, upload.size_bytes))
    }

    /// Everything below the backup directory but the folder of the cluster.
    fn left(&self) -> usize {
        let system = self.data.path().join("pg_backup").join(SYSTEM.to_string());
        fs::read_dir(system).unwrap().count()
    }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_800_000_000_123).unwrap()
}

fn new(size_bytes: i64) -> NewUpload {
    NewUpload {
        filename: "../a\\b/\u{1}.zip".to_owned(),
        size_bytes,
        sha256: SHA256.to_owned(),
        requested_by: "postgres".to_owned(),
        database: "shop".to_owned(),
    }
}

#[test]
fn parts_come_in_any_order_and_twice() {
    let place = Place::new();
    let id = place.begin(10);
    assert_eq!(place.part(id, 6, b"6789"), Ok(4));
    let failure = place.uploads.hold(id).unwrap().ensure_whole().unwrap_err();
    assert_eq!(failure.class, Class::NotReady);
    assert_eq!(failure.detail, "4 of 10 bytes are there. Missing: {[0,6)}.");
    assert_eq!(place.part(id, 6, b"6789"), Ok(4));
    assert_eq!(place.part(id, 0, b"012"), Ok(7));
    assert_eq!(place.missing(id), [(3, 6)]);
    assert_eq!(place.part(id, 2, b"23456"), Ok(10));
    let held = place.uploads.hold(id).unwrap();
    held.ensure_whole().unwrap();
    assert_eq!(fs::read(held.path()).unwrap(), b"0123456789");
    assert_eq!(held.upload().sha256, SHA256.to_lowercase());
    held.finish().unwrap();
    assert_eq!(place.left(), 0);
    assert_eq!(place.part(id, 0, b"0").unwrap_err().class, Class::UndefinedObject);
}

#[test]
fn other_bytes_at_a_received_place_are_refused_and_change_nothing() {
    let place = Place::new();
    let id = place.begin(200_000);
    let bytes = vec![7; 100_000];
    place.part(id, 0, &bytes).unwrap();
    let mut other = vec![7; 150_000];
    other[99_999] = 8;
    let failure = place.part(id, 0, &other).unwrap_err();
    assert_eq!(failure.class, Class::InvalidArgument);
    assert!(failure.detail.contains("0 to 100000"), "{failure:?}");
    assert_eq!(place.missing(id), [(100_000, 200_000)]);
    assert_eq!(fs::read(bytes_path(&place.uploads.folder, id)).unwrap(), bytes);
}

#[test]
fn parts_beyond_the_end_are_refused() {
    let place = Place::new();
    let id = place.begin(4);
    for (at, data) in [(4, &b"x"[..]), (0, b"12345"), (u64::MAX, b"12")] {
        assert_eq!(place.part(id, at, data).unwrap_err().class, Class::InvalidArgument);
    }
    assert_eq!(place.part(id, 4, b""), Ok(0));
    assert_eq!(place.missing(id), [(0, 4)]);
}

#[test]
fn what_is_announced_has_to_make_sense() {
    let place = Place::new();
    let refused = |new: NewUpload| {
        let failure = place.uploads.begin(new, now()).unwrap_err();
        assert_eq!(failure.class, Class::InvalidArgument, "{failure:?}");
    };
    refused(new(0));
    refused(new(-1));
    refused(NewUpload { filename: String::new(), ..new(1) });
    refused(NewUpload { filename: "x".repeat(10_000), ..new(1) });
    refused(NewUpload { sha256: "abc".to_owned(), ..new(1) });
    refused(NewUpload { sha256: "\u{e9}".repeat(32), ..new(1) });
    let failure = place.uploads.begin(new(i64::MAX), now()).unwrap_err();
    assert_eq!(failure.class, Class::DiskFull, "{failure:?}");
    assert_eq!(place.uploads.list().unwrap(), []);
}

#[test]
fn uploads_of_the_same_moment_do_not_meet() {
    let place = Place::new();
    let (one, two) = (place.begin(1), place.begin(1));
    assert_eq!((one, two), (1_800_000_000_123, 1_800_000_000_124));
    assert_eq!((place.uploads.abort(one), place.uploads.abort(one)), (Ok(true), Ok(false)));
    assert_eq!(place.missing(two), [(0, 1)]);
    place.uploads.abort(two).unwrap();
    assert_eq!(place.left(), 0);
}

#[test]
fn there_is_a_limit_of_uploads() {
    let place = Place::new();
    for _ in 0..MAX_UPLOADS {
        place.begin(1);
    }
    assert_eq!(place.uploads.begin(new(1), now()).unwrap_err().class, Class::LimitExceeded);
}

#[test]
fn one_that_is_being_finished_takes_no_part_and_is_not_swept() {
    let place = Place::new();
    let id = place.begin(1);
    let held = place.uploads.hold(id).unwrap();
    let later = now() + TimeDelta::days(3);
    assert_eq!(place.uploads.sweep(later, TimeDelta::days(1)), Sweep::default());
    let failure = place.part(id, 0, b"x").unwrap_err();
    assert_eq!(failure.class, Class::Concurrent);
    drop(held);
    assert_eq!(place.part(id, 0, b"x"), Ok(1));
}

#[test]
fn only_abandoned_uploads_are_swept() {
    let place = Place::new();
    let day = TimeDelta::days(1);
    let (old, fresh) = (place.begin(2), place.begin(2));
    place.uploads.part(fresh, 0, b"x", now() + day).unwrap();
    assert_eq!(place.uploads.sweep(now() + day, day), Sweep::default());
    let swept = place.uploads.sweep(now() + day + TimeDelta::seconds(1), day);
    assert_eq!(swept.removed, [bytes_path(&place.uploads.folder, old)]);
    assert_eq!(place.missing(fresh), [(1, 2)]);
    place.uploads.sweep(now() + day * 3, day);
    assert_eq!(place.left(), 0);
}

#[test]
fn halves_of_an_upload_are_swept_and_strangers_stay() {
    let place = Place::new();
    let day = TimeDelta::days(1);
    let (bytes_only, state_only) = (place.begin(2), place.begin(2));
    let folder = &place.uploads.folder;
    fs::remove_file(state::path(folder, bytes_only, "json")).unwrap();
    fs::remove_file(bytes_path(folder, state_only)).unwrap();
    for name in ["notes.txt", "01.upload", "+5.json", "5.upload.bak", "-3.upload"] {
        fs::write(folder.join(name), "mine").unwrap();
    }
    let swept = place.uploads.sweep(now() + day * 2, day);
    assert_eq!((swept.removed.len(), swept.failed.len()), (1, 0), "{swept:?}");
    assert_eq!(fs::read_dir(folder).unwrap().count(), 5);
}

#[test]
fn a_state_that_cannot_be_read_is_said_and_can_be_aborted() {
    let place = Place::new();
    let id = place.begin(10);
    let path = state::path(&place.uploads.folder, id, "json");
    for text in ["", "{", "[]", &"[".repeat(100_000), r#"{"received":[[5,1]]}"#] {
        fs::write(&path, text).unwrap();
        assert_eq!(place.part(id, 0, b"x").unwrap_err().class, Class::Damaged);
    }
    assert!(place.uploads.list().unwrap()[0].1.is_err());
    assert_eq!(place.uploads.abort(id), Ok(true));
}

#[test]
fn after_a_crash_of_the_machine_everything_is_missing_again() {
    let place = Place::new();
    let id = place.begin(4);
    place.part(id, 0, b"0123").unwrap();
    let path = state::path(&place.uploads.folder, id, "json");
    let mut state: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    state["boot"] = "another".into();
    fs::write(&path, state.to_string()).unwrap();
    assert_eq!(place.missing(id), [(0, 4)]);
    assert_eq!(place.part(id, 0, b"01"), Ok(2));
    assert_eq!(place.missing(id), [(2, 4)]);
}

#[test]
fn no_link_is_followed() {
    let place = Place::new();
    let id = place.begin(4);
    let folder = &place.uploads.folder;
    let victim = place.data.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    fs::remove_file(bytes_path(folder, id)).unwrap();
    symlink(&victim, bytes_path(folder, id)).unwrap();
    assert_eq!(place.part(id, 0, b"evil").unwrap_err().class, Class::Io);
    fs::remove_file(bytes_path(folder, id)).unwrap();
    let id = place.begin(4);
    symlink(&victim, state::path(folder, id, "new")).unwrap();
    assert_eq!(place.part(id, 0, b"evil").unwrap_err().class, Class::Io);
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

#[test]
fn a_file_that_was_cut_is_not_whole() {
    let place = Place::new();
    let id = place.begin(4);
    place.part(id, 0, b"0123").unwrap();
    fs::write(bytes_path(&place.uploads.folder, id), "01").unwrap();
    let failure = place.uploads.hold(id).unwrap().ensure_whole().unwrap_err();
    assert_eq!(failure.class, Class::Damaged);
}

#[test]
fn sessions_that_send_at_the_same_time_lose_nothing() {
    let place = Place::new();
    let bytes: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
    let id = place.begin(bytes.len() as i64);
    let uploads = &place.uploads;
    std::thread::scope(|scope| {
        for session in 0..4 {
            let bytes = &bytes;
            scope.spawn(move || {
                for (number, part) in bytes.chunks(5000).enumerate() {
                    if number % 3 != session {
                        uploads.part(id, number as u64 * 5000, part, now()).unwrap();
                    }
                }
            });
        }
    });
    let held = uploads.hold(id).unwrap();
    held.ensure_whole().unwrap();
    assert_eq!(fs::read(held.path()).unwrap(), bytes);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_parts_that_cover_the_file_make_it(
        cuts in prop::collection::vec((0usize..3000, 1usize..900), 1..25), seed: u8
    ) {
        let place = Place::new();
        let bytes: Vec<u8> = (0..3000usize).map(|i| (i as u8).wrapping_mul(seed | 1)).collect();
        let id = place.begin(3000);
        for (at, length) in cuts {
            let end = (at + length).min(3000);
            place.part(id, at as u64, &bytes[at..end]).unwrap();
        }
        for (from, to) in place.missing(id) {
            place.part(id, from, &bytes[from as usize..to as usize]).unwrap();
        }
        let held = place.uploads.hold(id).unwrap();
        held.ensure_whole().unwrap();
        prop_assert_eq!(fs::read(held.path()).unwrap(), bytes);
    }
}
