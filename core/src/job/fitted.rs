//! A report that fits a slot in shared memory. In: what a job gives back, of any length. Out: as
//! much of it as fits. What must hold: no row of it is lost, and what is short of a text says so.

use super::{Report, ReportRow};
use crate::error::{Class, Failure, Result};

/// Characters that are left of the details and hints of findings that are fine, and of the others:
/// tried in this order.
const CUTS: [(usize, usize); 6] =
    [(200, 1500), (100, 700), (60, 300), (40, 150), (20, 80), (8, 30)];
/// What stands where a text was cut.
const CUT: &str = " …";

impl Report {
    /// The report in at most `most` bytes of JSON: without what is for the log, and with texts
    /// that are shorter where it must be. Errors: its rows do not fit even so.
    pub fn fitted(&self, most: usize) -> Result<Report> {
        let fits =
            |report: &Report| serde_json::to_string(report).is_ok_and(|text| text.len() <= most);
        if fits(self) {
            return Ok(self.clone());
        }
        let mut report = Report { warnings: Vec::new(), ..self.clone() };
        for (fine, others) in CUTS {
            if fits(&report) {
                return Ok(report);
            }
            for row in &mut report.rows {
                row.cut(if row.status == "ok" { fine } else { others });
            }
            report.told.iter_mut().for_each(|text| cut(text, others));
        }
        match fits(&report) {
            true => Ok(report),
            // Its row in the history tells the rest.
            false if report.rows.is_empty() && report.copied.is_empty() => {
                Ok(Report { id: self.id, ..Report::default() })
            }
            false => Err(too_long(self)),
        }
    }
}

impl ReportRow {
    fn cut(&mut self, most: usize) {
        cut(&mut self.detail, most);
        cut(&mut self.hint, most);
    }
}

fn cut(text: &mut String, most: usize) {
    let text_end = text.char_indices().nth(most).map(|(end, _)| end);
    if let Some(end) = text_end.filter(|end| end + CUT.len() < text.len()) {
        text.truncate(end);
        text.push_str(CUT);
    }
}

fn too_long(report: &Report) -> Failure {
    let bad = report.rows.iter().filter(|row| row.status != "ok");
    let subjects: Vec<&str> = bad.take(10).map(|row| row.subject.as_str()).collect();
    let failure =
        Failure::new(Class::LimitExceeded, "what was found is too long for what a job gives back");
    match subjects.as_slice() {
        [] => failure,
        some => failure.detail(format!("Not fine are: {}.", some.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 6144;

    fn long(subject: &str, status: &str) -> ReportRow {
        ReportRow::new(subject, status, "ö".repeat(9000), "\"hint\" ".repeat(900))
    }

    #[test]
    fn a_long_report_keeps_every_row_and_says_where_it_was_cut() {
        let rows: Vec<_> = (0..20)
            .map(|i| long(&format!("s{i}"), if i % 3 == 0 { "blocker" } else { "ok" }))
            .collect();
        let report = Report { rows: rows.clone(), ..Report::default() };
        let fitted = report.fitted(MOST).unwrap();
        assert!(serde_json::to_string(&fitted).unwrap().len() <= MOST);
        let heads = |rows: &[ReportRow]| -> Vec<_> {
            rows.iter().map(|row| (row.subject.clone(), row.status.clone())).collect()
        };
        assert_eq!(heads(&fitted.rows), heads(&rows));
        for row in &fitted.rows {
            assert!(row.detail.starts_with("öööö") && row.detail.ends_with(CUT), "{row:?}");
        }
        assert!(fitted.rows[0].detail.len() > fitted.rows[1].detail.len());
    }

    #[test]
    fn what_fits_stays_as_it_is_and_the_log_s_part_goes_first() {
        let mut report = Report { rows: vec![ReportRow::ok("a", "b")], ..Report::default() };
        assert_eq!(report.fitted(MOST).unwrap(), report);
        report.warnings.push(Failure::new(Class::Io, "x".repeat(MOST)));
        let fitted = report.fitted(MOST).unwrap();
        assert_eq!((&fitted.rows, fitted.warnings.len()), (&report.rows, 0));
    }

    #[test]
    fn rows_that_do_not_fit_at_all_are_an_error_and_texts_alone_are_not() {
        let rows = (0..400).map(|i| long(&format!("s{i}"), "blocker")).collect();
        let failure = Report { rows, ..Report::default() }.fitted(MOST).unwrap_err();
        assert!(failure.detail.contains("s0, s1, "), "{failure:?}");
        let told = vec!["x".repeat(60); 4000];
        let fitted = Report { id: 7, told, ..Report::default() }.fitted(MOST).unwrap();
        assert_eq!(fitted, Report { id: 7, ..Report::default() });
    }
}
