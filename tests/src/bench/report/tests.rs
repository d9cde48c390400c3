use super::*;

fn figure(values: &[f64]) -> Figure {
    Figure::new(Subject::new("g", "c", "m"), "ns", values)
}

#[test]
fn a_figure_is_the_median_of_its_rounds_with_the_extremes() {
    let odd = figure(&[5.0, 1.0, 3.0]);
    assert_eq!(
        (odd.median, odd.min, odd.max, odd.rounds),
        (3.0, 1.0, 5.0, 3)
    );
    let even = figure(&[4.0, 1.0, 2.0, 9.0]);
    assert_eq!(
        (even.median, even.min, even.max, even.rounds),
        (3.0, 1.0, 9.0, 4)
    );
}

#[test]
fn a_bound_itself_is_met() {
    for (bound, value, met) in [
        (Bound::AtLeast, 7.0, true),
        (Bound::AtLeast, 6.9, false),
        (Bound::AtMost, 7.0, true),
        (Bound::AtMost, 7.1, false),
    ] {
        let target = Target::new("it".into(), bound, 7.0, value, "x");
        assert_eq!(target.met, met, "{target:?}");
    }
}

#[test]
fn a_figure_is_found_by_all_of_its_circumstances_and_only_while_it_means_something() {
    let subject = |fan_out: u32| Subject::new("g", "c", "m").with("fan_out", &fan_out);
    let mut figures =
        [1, 2].map(|fan_out| Figure::new(subject(fan_out), "ns", &[f64::from(fan_out)]));
    assert_eq!(
        find(&figures, &subject(2)).map(|found| found.median),
        Some(2.0)
    );
    assert!(find(&figures, &subject(3)).is_none());
    assert!(find(&figures, &Subject::new("g", "c", "m")).is_none());
    figures[1].astray = 1;
    assert!(find(&figures, &subject(2)).is_none());
}

#[test]
fn a_report_is_read_as_it_was_written() {
    let mut written = figure(&[1.5]);
    written.subject = written.subject.with("fan_out", &8);
    let json = serde_json::to_value(&written).expect("plain data");
    assert_eq!(json["contender"], "c");
    assert_eq!(json["parameters"]["fan_out"], "8");
    let read: Figure = serde_json::from_value(json).expect("what was written");
    assert_eq!(read.subject, written.subject);
    assert_eq!(read.subject.number("fan_out"), Some(8));
}
