//! The cells: what lies between the two ends.

use std::fmt::{self, Write as _};
use std::time::Duration;
use usertcp_core::link::impair::Impairment;

/// Bytes of a full packet.
pub const PACKET: u64 = 1500;

/// Least packets that a queue holds: what an initial window of ten needs beside the one on the link.
const QUEUE_LEAST: u64 = 10;

/// A path, and how many flows share it. Both directions are alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Mbit/s of IP packets; 0: as fast as the machine.
    pub rate: u32,
    /// Round-trip time without queues, ms; 0: as short as the machine makes it.
    pub rtt: u32,
    /// Packets lost, per mille.
    pub loss: u32,
    /// Packets late by up to a quarter of the round-trip time, per cent.
    pub late: u32,
    /// What the queue holds.
    pub queue: Queue,
    /// Connections that send at the same time.
    pub flows: usize,
    /// Whether it is one of the few that a quick run takes.
    pub quick: bool,
}

/// What the queue in front of a link holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// Quarters of the product of rate and round-trip time, 10 packets at least.
    Quarters(u32),
    /// So many packets.
    Packets(u32),
}

const fn cell(rate: u32, rtt: u32, (loss, late): (u32, u32), quarters: u32, flows: usize) -> Cell {
    Cell { rate, rtt, loss, late, queue: Queue::Quarters(quarters), flows, quick: false }
}

const fn quick(cell: Cell) -> Cell {
    Cell { quick: true, ..cell }
}

/// Sending under 1 % loss at a round-trip time near zero: nothing but the machine limits the rate.
const NEAR: Cell =
    Cell { rate: 0, rtt: 0, loss: 10, late: 0, queue: Queue::Packets(1000), flows: 1, quick: true };

/// The cells of a comparison.
pub const CELLS: [Cell; 24] = [
    NEAR,
    cell(10, 20, (0, 0), 4, 1),
    cell(10, 20, (10, 0), 4, 1),
    cell(10, 40, (30, 0), 4, 8),
    cell(10, 100, (0, 0), 16, 1),
    cell(10, 200, (0, 0), 4, 1),
    cell(10, 200, (1, 0), 4, 8),
    cell(100, 5, (0, 0), 4, 1),
    cell(100, 5, (30, 0), 4, 1),
    cell(100, 20, (0, 0), 1, 1),
    cell(100, 20, (0, 0), 16, 1),
    quick(cell(100, 20, (10, 0), 4, 1)),
    cell(100, 20, (0, 1), 4, 1),
    quick(cell(100, 20, (0, 5), 4, 1)),
    cell(100, 20, (10, 5), 4, 8),
    quick(cell(100, 20, (0, 0), 4, 8)),
    cell(100, 100, (0, 0), 4, 1),
    cell(100, 100, (1, 0), 4, 8),
    cell(100, 200, (0, 0), 4, 1),
    quick(cell(1000, 1, (0, 0), 4, 1)),
    cell(1000, 1, (10, 0), 4, 1),
    cell(1000, 10, (0, 0), 1, 8),
    cell(1000, 10, (0, 2), 4, 1),
    quick(cell(1000, 40, (0, 0), 4, 1)),
];

/// No impairment at all: what the machine carries.
pub const OPEN: Cell = Cell { loss: 0, quick: false, ..NEAR };

/// Where sixteen flows share a link.
pub const SHARED: Cell = cell(100, 20, (0, 0), 4, 16);

impl Cell {
    /// Bytes that are on the way in one round-trip time.
    #[must_use]
    pub const fn in_flight(&self) -> u64 {
        self.rate as u64 * self.rtt as u64 * 125
    }

    /// Packets that the queue holds.
    #[must_use]
    pub fn queue_packets(&self) -> u64 {
        match self.queue {
            Queue::Packets(count) => count.into(),
            Queue::Quarters(quarters) => {
                (self.in_flight() * u64::from(quarters) / 4 / PACKET).max(QUEUE_LEAST)
            }
        }
    }

    /// How long a run lasts: 2 s or 50 round trips, 10 s at most.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_millis((50 * u64::from(self.rtt)).clamp(2000, 10_000))
    }

    /// Bytes that one connection may have to keep: twice what path and queue hold, so that neither end's buffer is what limits it.
    #[must_use]
    pub fn buffer(&self) -> u64 {
        (2 * (self.in_flight() + self.queue_packets() * PACKET)).max(4 << 20)
    }

    /// What is done to the packets of each direction.
    #[must_use]
    pub fn impairment(&self) -> Impairment {
        let round_trip = Duration::from_millis(self.rtt.into());
        Impairment {
            rate: u64::from(self.rate) * 1_000_000,
            delay: round_trip / 2,
            loss: f64::from(self.loss) / 1000.0,
            reorder: f64::from(self.late) / 100.0,
            reorder_jitter: round_trip / 4,
            queue: usize::try_from(self.queue_packets()).unwrap_or(usize::MAX),
            ..Impairment::default()
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut name = match self.rate {
            0 => "max".to_owned(),
            rate if rate % 1000 == 0 => format!("{}G", rate / 1000),
            rate => format!("{rate}M"),
        };
        write!(name, "-{}ms-{}%", self.rtt, f64::from(self.loss) / 10.0)?;
        if self.late > 0 {
            write!(name, "-late{}%", self.late)?;
        }
        match self.queue {
            Queue::Quarters(quarters) => write!(name, "-{}bdp", f64::from(quarters) / 4.0)?,
            Queue::Packets(count) => write!(name, "-{count}p")?,
        }
        write!(f, "{name}-{}", self.flows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_say_what_a_cell_is_and_are_its_own() {
        let names: BTreeSet<String> = CELLS.iter().map(Cell::to_string).collect();
        assert_eq!(names.len(), 24);
        for name in ["100M-20ms-1%-1bdp-1", "1G-10ms-0%-0.25bdp-8", "100M-20ms-1%-late5%-1bdp-8"] {
            assert!(names.contains(name), "{name} is not in {names:?}");
        }
        assert_eq!(CELLS[0].to_string(), "max-0ms-1%-1000p-1");
        assert_eq!(CELLS.iter().filter(|cell| cell.quick).count(), 6);
    }

    #[test]
    fn the_cells_span_what_they_are_to_span() {
        let range = |of: fn(&Cell) -> u64| {
            let values = CELLS[1..].iter().map(of);
            (values.clone().min().unwrap_or(0), values.max().unwrap_or(0))
        };
        assert_eq!(range(|cell| cell.rate.into()), (10, 1000));
        assert_eq!(range(|cell| cell.rtt.into()), (1, 200));
        assert_eq!(range(|cell| cell.loss.into()), (0, 30));
        assert_eq!(range(|cell| cell.late.into()), (0, 5));
        assert_eq!(range(|cell| cell.flows as u64), (1, 8));
        let quarters = |cell: &Cell| match cell.queue {
            Queue::Quarters(quarters) => quarters.into(),
            Queue::Packets(_) => 0,
        };
        assert_eq!(range(quarters), (1, 16));
        assert_eq!(range(|cell| cell.duration().as_secs()), (2, 10));
        assert!(CELLS.iter().all(|cell| cell.impairment().validate().is_ok()));
    }

    #[test]
    fn sizes_follow_from_rate_and_time() {
        let cell = cell(100, 20, (10, 5), 4, 1);
        assert_eq!((cell.in_flight(), cell.queue_packets()), (250_000, 166));
        assert_eq!(cell.buffer(), 4 << 20);
        assert_eq!(cell.duration(), Duration::from_secs(2));
        let impairment = cell.impairment();
        assert_eq!((impairment.loss, impairment.reorder), (0.01, 0.05));
        assert_eq!(impairment.reorder_jitter, Duration::from_millis(5));
        assert!(CELLS.iter().all(|cell| cell.queue_packets() >= QUEUE_LEAST));
    }
}
