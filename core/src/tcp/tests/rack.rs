//! RACK's reordering window: how it widens, how far, and for how long.

use super::super::rack::{Path, Rack};
use crate::time::Duration;

/// A path of 100 ms that is 140 ms long of late, on which nothing is being repaired.
const PATH: Path =
    Path { least: Duration::from_millis(100), smoothed: Duration::from_millis(140), eager: false };

fn rack() -> Rack {
    Rack::new(Duration::ZERO)
}

/// D-SACKs in so many round trips.
fn duplicates(rack: &mut Rack, rounds: u64) {
    for round in 0..rounds {
        let una = 1000 * round;
        rack.on_duplicate(una, una + 1000);
        rack.on_duplicate(una + 999, una + 5000);
    }
}

//= https://www.rfc-editor.org/rfc/rfc8985#section-3.3.2
//= type=test
//# The RACK reordering window MUST be bounded, and this bound SHOULD be SRTT (8985:3.3.2-4).
#[test]
fn the_window_widens_with_each_round_trip_of_duplicates_up_to_srtt() {
    for (rounds, millis) in [(0, 25), (1, 50), (2, 75), (4, 125), (5, 140), (300, 140)] {
        let mut rack = rack();
        duplicates(&mut rack, rounds);
        assert_eq!(rack.window(PATH), Duration::from_millis(millis), "{rounds} round trips");
    }
    let mut rack = rack();
    duplicates(&mut rack, 9);
    assert_eq!(rack.window(Path { eager: true, ..PATH }), Duration::ZERO, "nothing was overtaken");
}

//= https://www.rfc-editor.org/rfc/rfc8985#section-6.2
//= type=test
//# RACK persists using the inflated RACK.reo_wnd for up to 16 loss recoveries, after which it resets RACK.reo_wnd to its starting value, min_RTT / 4 (8985:6.2-10).
#[test]
fn a_wide_window_is_kept_for_sixteen_recoveries() {
    let mut rack = rack();
    duplicates(&mut rack, 2);
    for recovery in 1..16 {
        rack.on_recovered();
        assert_eq!(rack.window(PATH), Duration::from_millis(75), "recovery {recovery}");
    }
    rack.on_recovered();
    assert_eq!(rack.window(PATH), Duration::from_millis(25));
}

#[test]
fn a_clock_that_ticks_is_given_a_tick() {
    let rack = Rack::new(Duration::from_millis(10));
    let short = Path { least: Duration::from_millis(4), smoothed: Duration::from_millis(5), eager: false };
    assert_eq!(rack.window(short), Duration::from_millis(11));
    assert_eq!(rack.window(PATH), Duration::from_millis(35));
}
