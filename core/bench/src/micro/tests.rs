//! That the scenes do what they say: each checks itself when it is settled.

use super::*;
use std::collections::BTreeSet;

#[test]
fn every_scene_does_what_it_says_with_little_and_with_much() {
    for axis in AXES {
        for size in axis.sizes().iter().filter(|size| **size <= 10_000) {
            for (name, mut scene) in axis.scenes(*size) {
                for count in [1, 2] {
                    assert!(scene.prepare(count), "{name}, {size} {}", axis.name());
                    scene.act();
                    scene.settle();
                }
            }
        }
    }
}

#[test]
fn every_row_has_a_name_of_its_own_and_figures_in_order() {
    let mut names = BTreeSet::new();
    run(Extent::Quick, |row| {
        assert!(row.low <= row.median && row.median <= row.high, "{row:?}");
        assert!(row.low > 0.0 && row.unit == "ns", "{row:?}");
        assert!(names.insert((row.measure.clone(), row.who.clone())), "twice: {row:?}");
    });
    for name in ["checksum, 64 KiB", "handle found, 10000 open", "super-frame in, 64 KiB, one a turn"] {
        assert!(names.contains(&(format!("micro, {name}"), "ours".to_owned())), "{name}");
    }
}
