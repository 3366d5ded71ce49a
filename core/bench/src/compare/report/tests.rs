//! Table and JSON of made-up measurements.

use super::super::cells::CELLS;
use super::*;
use serde_json::Value;

fn measurement(goodput: f64) -> Measurement {
    Measurement { goodput, jain: 0.9, retransmissions: 3, controller: "cubic".to_owned() }
}

/// Two cells, three rounds: ours sends at `factor` of Linux, give or take a little.
fn results(factor: f64) -> Results {
    let mut results = Results::new(&CELLS[..2]);
    for at in 0..2 {
        for (round, noise) in [0.99, 1.0, 1.01].into_iter().enumerate() {
            for pairing in PAIRINGS {
                let own = if index(pairing) == 1 { factor * noise } else { 1.0 };
                results.add(at, pairing, round, measurement(8e6 * own));
            }
        }
    }
    results
}

#[test]
fn the_file_has_every_cell_with_every_pairing() {
    let json: Value = serde_json::from_str(&results(0.9).json().expect("JSON")).expect("JSON");
    let cells = json["cells"].as_array().expect("a list");
    assert_eq!(cells.len(), 8);
    let keys = ["name", "pairing", "ratio", "low", "high"];
    assert!(cells.iter().all(|cell| keys.iter().all(|key| !cell[key].is_null())), "{cells:?}");
    let ours = &cells[1];
    assert_eq!(
        (ours["name"].as_str(), ours["pairing"].as_str()),
        (Some("max-0ms-1%-1000p-1"), Some("ours-linux"))
    );
    let number = |key: &str| ours[key].as_f64().expect("a number");
    assert!((number("ratio") - 0.9).abs() < 1e-3 && number("low") < 0.9 && number("high") > 0.9);
    assert!(cells[0]["ratio"].as_f64().is_some_and(|ratio| (ratio - 1.0).abs() < 1e-9));
    assert!(json["means"][0]["ratio"].as_f64().is_some_and(|ratio| (ratio - 0.9).abs() < 1e-3));
}

#[test]
fn numbers_that_nothing_is_known_of_are_numbers() {
    let mut results = Results::new(&CELLS[..1]);
    assert!(results.json().is_ok_and(|json| !json.contains("null")));
    PAIRINGS.into_iter().for_each(|pairing| results.add(0, pairing, 0, measurement(1e6)));
    let json: Value = serde_json::from_str(&results.json().expect("JSON")).expect("JSON");
    assert!(json["cells"][1]["high"].is_f64(), "{json}");
}

#[test]
fn a_cell_is_doubtful_that_may_be_on_either_side() {
    assert_eq!(results(0.86).doubtful(0.85), [0, 1]);
    assert!(results(0.95).doubtful(0.85).is_empty());
    assert!(results(0.5).doubtful(0.85).is_empty());
}

#[test]
fn a_round_without_its_counterpart_does_not_count() {
    let mut results = results(0.9);
    results.add(0, PAIRINGS[1], 7, measurement(1.0));
    assert!(results.rows(0).iter().all(|row| row.rounds == 3));
}

#[test]
fn the_table_says_what_is_noteworthy() {
    let mut results = results(0.9);
    results.open(PAIRINGS[0], 2e9, 1.5e9);
    results.open(PAIRINGS[1], 1e9, 1.5e9);
    results.shared(PAIRINGS[3], &[1.0; 16]);
    results.complain(&["no tcp_rmem".to_owned(), "no tcp_rmem".to_owned()]);
    let table = results.table();
    for part in [
        "geometric mean of ours-linux: 0.900",
        "linux-linux: 2000 Mbit/s (at least 1500: the wire is not the bottleneck)",
        "ours-linux: 1000 Mbit/s (at least 1500: TOO LITTLE)",
        "16 flows ours-ours: Jain's index 1.0000",
    ] {
        assert!(table.contains(part), "{part} is not in\n{table}");
    }
    assert_eq!(table.matches("no tcp_rmem").count(), 1);
}
