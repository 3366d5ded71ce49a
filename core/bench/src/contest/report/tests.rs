//! Table, bars and JSON of made-up measurements.

use super::super::measure::{Link, Measure, cells};
use super::super::order::Role;
use super::*;
use serde_json::Value;

const RECEIVE: &str = "receive, vnet, 1";

/// Three rounds: ours receives at `factor` of null+copy, on a machine that is twice as fast in every second round.
fn results(factor: f64) -> Results {
    let mut results = Results::new(&cells(), "peer on CPU 0".to_owned());
    for round in 0..3 {
        let speed = if round % 2 == 0 { 40.0 } else { 80.0 };
        for (who, own) in [(Who::Null, 1.25), (Who::NullCopy, 1.0), (Who::Ours, factor)] {
            results.add(RECEIVE.to_owned(), who, round, speed * own);
        }
    }
    results
}

fn json(results: &Results) -> Value {
    serde_json::from_str(&results.json().expect("JSON")).expect("JSON")
}

fn row<'a>(file: &'a Value, who: &str) -> &'a Value {
    let rows = file["rows"].as_array().expect("a list");
    rows.iter().find(|row| row["measure"] == RECEIVE && row["who"] == who).expect("a row")
}

#[test]
fn the_file_has_values_and_ratios() {
    let file = json(&results(0.8));
    let rows = file["rows"].as_array().expect("a list");
    let keys = ["measure", "who", "median", "low", "high", "unit"];
    assert!(rows.iter().all(|row| keys.iter().all(|key| !row[key].is_null())), "{rows:?}");
    let ours = row(&file, "ours");
    assert_eq!((ours["median"].as_f64(), ours["unit"].as_str()), (Some(32.0), Some("Gbit/s")));
    assert_eq!((ours["low"].as_f64(), ours["high"].as_f64()), (Some(32.0), Some(64.0)));
}

#[test]
fn ratios_are_of_the_same_round() {
    let file = json(&results(0.8));
    let ratio = row(&file, "ours / null+copy");
    for key in ["median", "low", "high"] {
        assert!(ratio[key].as_f64().is_some_and(|value| (value - 0.8).abs() < 1e-9), "{ratio}");
    }
    assert!(row(&file, "ours / null")["median"].as_f64().is_some_and(|value| (value - 0.64).abs() < 1e-9));
}

#[test]
fn a_round_without_its_counterpart_does_not_count() {
    let mut results = results(0.8);
    results.add(RECEIVE.to_owned(), Who::Ours, 7, 1.0);
    assert_eq!(results.compared(RECEIVE, Who::Ours, Some(Who::Null)).len(), 3);
    assert!(results.compared(RECEIVE, Who::Ours, Some(Who::Kernel)).is_empty());
}

#[test]
fn a_bar_is_met_or_missed_or_not_measured() {
    let bar = Bar {
        measure: Measure::bulk(Role::Receive, Link::Vnet, 1),
        quantity: Quantity::Rate,
        who: Who::Ours,
        to: Some(Who::NullCopy),
        bound: Bound::AtLeast(0.75),
    };
    assert_eq!(results(0.8).verdict(&bar).met, Some(true));
    assert_eq!(results(0.7).verdict(&bar).met, Some(false));
    let other = Bar { measure: Measure::bulk(Role::Send, Link::Vnet, 1), ..bar };
    assert_eq!(results(0.8).verdict(&other).met, None);
    let file = json(&results(0.7));
    let verdicts = file["bars"].as_array().expect("a list");
    assert_eq!(verdicts.len(), bars().len());
    assert!(verdicts.iter().any(|bar| bar["measure"] == RECEIVE && bar["met"] == false), "{verdicts:?}");
}

#[test]
fn the_table_says_what_is_noteworthy() {
    let mut results = results(0.7);
    (results.spoilt, results.failed) = (3, 1);
    results.complain(&["no tcp_rmem".to_owned(), "no tcp_rmem".to_owned()]);
    let table = results.table();
    let expected = [
        "ours / null+copy",
        "at least 0.75  MISSED",
        "not measured",
        "peer on CPU 0",
        "far apart: 3;",
        "nothing: 1",
    ];
    for part in expected {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
    assert_eq!(table.matches("no tcp_rmem").count(), 1);
}

#[test]
fn figures_have_three_digits_that_matter() {
    let texts: Vec<String> = [0.0472, 1.234, 12.34, 123.4, 12345.6].into_iter().map(figure).collect();
    assert_eq!(texts, ["0.047", "1.23", "12.34", "123.4", "12346"]);
}
