//! What an interval promises.
use super::*;
#[test]
fn oracle() {
    let text = std::fs::read_to_string("/tmp/h2pg/oracle.txt").unwrap();
    let (mut n, mut bad) = (0, 0);
    for line in text.lines() {
        let f: Vec<&str> = line.split('|').collect();
        let zone: Tz = f[0].parse().unwrap();
        let at = DateTime::from_timestamp_micros(f[1].parse().unwrap()).unwrap();
        let i = Interval {
            months: f[2].parse().unwrap(),
            days: f[3].parse().unwrap(),
            micros: f[4].parse().unwrap(),
        };
        let r = i.before(at, zone).unwrap();
        n += 1;
        let want = DateTime::from_timestamp_micros(f[5].parse().unwrap()).unwrap();
        if r != want || i.to_string() != f[6] {
            bad += 1;
            if bad < 20 {
                println!("{line}: at {at} {i} got {r} want {want}");
            }
        }
    }
    println!("{n} compared, {bad} bad");
    assert_eq!(bad, 0);
}
