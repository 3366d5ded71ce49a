//! A tiny run of every pairing through a real wire.

use super::cells::{Cell, Queue};
use super::run::run;
use super::{CONTROLLER, PAIRINGS, System, Until};
use std::fs;

/// A fast, lossy path, on which a few hundred kilobytes take some tens of milliseconds.
const CELL: Cell =
    Cell { rate: 1000, rtt: 2, loss: 10, late: 2, queue: Queue::Quarters(4), flows: 2, quick: false };

#[test]
fn every_pairing_carries_bytes() {
    if let Err(error) = fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun") {
        println!("skipped: no TUN granted: /dev/net/tun: {error}");
        return;
    }
    for pairing in PAIRINGS {
        let sample = match run(&CELL, pairing, 1, Until::Bytes(300_000), None) {
            Ok(sample) => sample,
            Err(error) if error.to_string().contains("no sandbox") => {
                println!("skipped: {error}");
                return;
            }
            Err(error) => panic!("{pairing}: {error}"),
        };
        assert_eq!(sample.flows.len(), 2);
        assert!(sample.goodput > 0.0, "{pairing}");
        assert!(sample.wire.there.packets > 200 && sample.wire.back.packets > 20, "{:?}", sample.wire);
        assert_eq!(sample.wire.refused, 0, "{pairing}");
        if pairing.sender == System::Linux {
            assert_eq!(sample.controller, CONTROLLER);
        }
    }
}
