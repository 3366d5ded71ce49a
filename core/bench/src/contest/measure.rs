//! What is measured: a role of the contender, on a link, with so many connections, on these processors.

use super::contender::Who;
use super::order::Role;
use super::placement::Placement;
use super::tally::Told;
use crate::statistics::jain;
use std::fmt;
use std::time::Duration;

/// The TUN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// With vnet header: super-frames, and checksums left to the kernel.
    Vnet,
    /// A packet of 1500 bytes a system call.
    Plain,
    /// No device: a peer without memory in the same process.
    Memory,
    /// No device: a pair of connected sockets of the system, an end in each of two processes.
    Pair,
    /// No device: two hosts of a virtual network in one process.
    Virtual,
}

/// A measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Measure {
    pub(crate) role: Role,
    pub(crate) link: Link,
    pub(crate) connections: usize,
    pub(crate) placement: Placement,
}

/// What comes of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Quantity {
    /// Gbit/s that the receiving program got.
    Rate,
    /// Processor seconds of the contender for a gigabyte.
    Cost,
    /// Jain's index of the connections.
    Fairness,
    /// Half of the round trips took no longer, in microseconds.
    Median,
    /// The same of 99 in 100.
    High,
    /// The same of 999 in 1000.
    Highest,
    /// Thousands of connections a second.
    Opened,
    /// Bytes of memory for each connection.
    Memory,
    /// Milliseconds that it took.
    Elapsed,
}

impl Quantity {
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::Rate => "Gbit/s",
            Self::Cost => "CPU s/GB",
            Self::Fairness => "Jain",
            Self::Median | Self::High | Self::Highest => "us",
            Self::Opened => "1000/s",
            Self::Memory => "bytes",
            Self::Elapsed => "ms",
        }
    }

    /// What is added to the name of a measure.
    fn suffix(self) -> &'static str {
        match self {
            Self::Cost => ", CPU",
            Self::Fairness => ", fairness",
            Self::Median => ", p50",
            Self::High => ", p99",
            Self::Highest => ", p99.9",
            Self::Rate | Self::Opened | Self::Memory | Self::Elapsed => "",
        }
    }
}

impl Measure {
    pub(crate) const fn bulk(role: Role, link: Link, connections: usize) -> Self {
        Self { role, link, connections, placement: Placement::Apart }
    }

    pub(crate) const fn round_trips(placement: Placement) -> Self {
        Self { role: Role::Echo, link: Link::Vnet, connections: 1, placement }
    }

    pub(crate) const BESIDE: Self =
        Self { role: Role::Beside, link: Link::Vnet, connections: 2, placement: Placement::Apart };

    pub(crate) const CHURN: Self =
        Self { role: Role::Churn, link: Link::Vnet, connections: 1, placement: Placement::Apart };

    /// Bulk data with both processors for the contender.
    pub(crate) const fn shared(role: Role, connections: usize) -> Self {
        Self { role, link: Link::Plain, connections, placement: Placement::Free }
    }

    pub(crate) const fn idle(connections: usize) -> Self {
        Self { role: Role::Idle, link: Link::Vnet, connections, placement: Placement::Apart }
    }

    /// A million connections, more than two hosts have ports for.
    pub(crate) const MILLION: Self =
        Self { role: Role::Idle, link: Link::Memory, connections: 1_000_000, placement: Placement::Apart };

    /// Both ends without a kernel or a device between them.
    pub(crate) const fn alone(role: Role, link: Link) -> Self {
        Self { role, link, connections: 1, placement: Placement::Free }
    }

    /// Name of a row of the table.
    pub(crate) fn row(&self, quantity: Quantity) -> String {
        format!("{self}{}", quantity.suffix())
    }

    /// Whether the contender counts, not the peer.
    pub(crate) fn told_by_contender(&self) -> bool {
        self.role == Role::Receive
    }

    /// Ports that the peer listens at: the contender has some 28,000 of its own to each.
    pub(crate) fn ports(&self) -> u16 {
        if self.role == Role::Idle { 8 } else { 1 }
    }

    /// What comes of a sample of it.
    pub(crate) fn kinds(&self) -> &'static [Quantity] {
        use Quantity::{Cost, Elapsed, Fairness, High, Highest, Median, Memory, Opened, Rate};
        match self.role {
            Role::Receive | Role::Send if matches!(self.link, Link::Pair | Link::Virtual) => &[Rate],
            Role::Receive | Role::Send if self.connections > 1 => &[Rate, Cost, Fairness],
            Role::Receive | Role::Send => &[Rate, Cost],
            Role::Echo | Role::Beside => &[Median, High, Highest],
            Role::Churn => &[Opened],
            Role::Idle => &[Memory],
            Role::TimeOut => &[Elapsed],
        }
    }

    /// Its values, of what was told at the end of a window in which the contender has used so much processor time.
    pub(crate) fn quantities(&self, told: &Told, used: Duration) -> Vec<(Quantity, f64)> {
        let number = |at: usize| told.numbers.get(at).map_or(0.0, |number| *number as f64);
        let value = |quantity: Quantity| match quantity {
            Quantity::Rate => told.rate() * 8.0 / 1e9,
            Quantity::Cost => used.as_secs_f64() / (told.rate() * told.took.as_secs_f64() / 1e9),
            Quantity::Fairness => {
                let shares: Vec<f64> = told.numbers.iter().map(|number| *number as f64).collect();
                jain(&shares)
            }
            Quantity::Median => number(0) / 1000.0,
            Quantity::High => number(1) / 1000.0,
            Quantity::Highest => number(2) / 1000.0,
            Quantity::Opened => told.rate() / 1000.0,
            Quantity::Memory => number(0) / self.connections as f64,
            Quantity::Elapsed => told.took.as_secs_f64() * 1000.0,
        };
        self.kinds().iter().map(|quantity| (*quantity, value(*quantity))).collect()
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = match self.link {
            Link::Vnet => "vnet",
            Link::Plain => "plain",
            Link::Memory => "in memory",
            Link::Pair => "socketpair",
            Link::Virtual => "simulated",
        };
        let text = match (self.role, self.placement) {
            (Role::TimeOut, _) => format!("time-out of 30 s, {link}"),
            (Role::Receive | Role::Send, _) if matches!(self.link, Link::Pair | Link::Virtual) => {
                format!("{}, {link}, {}", self.role, self.connections)
            }
            (Role::Receive | Role::Send, Placement::Free) => {
                format!("{}, {link}, {}, both CPUs", self.role, self.connections)
            }
            (Role::Receive | Role::Send, _) => format!("{}, {link}, {}", self.role, self.connections),
            (Role::Echo, Placement::Together) => "request/response, same CPU".to_owned(),
            (Role::Echo, _) => "request/response, two CPUs".to_owned(),
            (Role::Beside, _) => "request/response, beside bulk".to_owned(),
            (Role::Churn, _) => "connect and close".to_owned(),
            (Role::Idle, _) if self.link == Link::Memory => format!("idle, {}, {link}", self.connections),
            (Role::Idle, _) => format!("idle, {}", self.connections),
        };
        f.pad(&text)
    }
}

/// Who takes part in a measure.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    pub(crate) measure: Measure,
    pub(crate) who: Vec<Who>,
    /// The most rounds that are worth it.
    pub(crate) rounds: usize,
}

/// All measures.
pub(crate) fn cells() -> Vec<Cell> {
    use Who::{
        Kernel, KernelAsyncio, Null, NullCopy, NullSpin, NullStretch, NullSum, Ours, OursAsyncio, OursBridge,
        OursOne, OursPython, OursSpin, OursTwo, PyTcp, Smoltcp, SmoltcpVnet,
    };
    const ALWAYS: usize = usize::MAX;
    let cell = |measure, who: &[Who], rounds| Cell { measure, who: who.to_vec(), rounds };
    let mut all = Vec::new();
    for link in [Link::Vnet, Link::Plain] {
        for role in [Role::Receive, Role::Send] {
            let mut who = vec![Null, NullCopy, Ours, OursPython, Smoltcp];
            who.push(if role == Role::Receive { NullStretch } else { OursOne });
            if (link, role) == (Link::Plain, Role::Receive) {
                who.push(NullSum);
            }
            if link == Link::Vnet {
                who.extend([SmoltcpVnet, Kernel, OursBridge, OursAsyncio, KernelAsyncio]);
            }
            all.push(cell(Measure::bulk(role, link, 1), &who, ALWAYS));
        }
    }
    for (connections, who) in [(16, &[Null, NullCopy, Ours, Smoltcp][..]), (256, &[Null, Ours])] {
        for link in [Link::Vnet, Link::Plain] {
            for role in [Role::Receive, Role::Send] {
                let mut who = who.to_vec();
                match (connections, role, link) {
                    (16, Role::Send, _) => who.push(OursOne),
                    (16, Role::Receive, Link::Plain) => who.push(NullSum),
                    _ => {}
                }
                all.push(cell(Measure::bulk(role, link, connections), &who, ALWAYS));
            }
        }
    }
    for role in [Role::Receive, Role::Send] {
        all.push(cell(Measure::shared(role, 16), &[Ours, OursTwo], 4));
    }
    let together = Measure::round_trips(Placement::Together);
    let python = [OursPython, OursAsyncio, KernelAsyncio];
    all.push(cell(together, &[&[Null, Ours, Smoltcp, Kernel], &python[..]].concat(), ALWAYS));
    let apart = Measure::round_trips(Placement::Apart);
    all.push(cell(apart, &[Null, NullSpin, Ours, OursSpin, OursPython, Smoltcp, Kernel], ALWAYS));
    all.push(cell(Measure::BESIDE, &[Null, Ours, Smoltcp, Kernel], ALWAYS));
    all.push(cell(Measure::CHURN, &[Ours, OursPython, Smoltcp, Kernel], ALWAYS));
    all.push(cell(Measure::idle(10_000), &[Ours, Smoltcp], 3));
    all.push(cell(Measure::idle(100_000), &[Ours], 3));
    all.push(cell(Measure::MILLION, &[Ours], 1));
    all.push(cell(Measure::alone(Role::Receive, Link::Pair), &[OursPython, PyTcp], ALWAYS));
    for role in [Role::Receive, Role::TimeOut] {
        all.push(cell(Measure::alone(role, Link::Virtual), &[OursPython], ALWAYS));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn told(numbers: &[u64]) -> Told {
        Told { took: Duration::from_millis(500), numbers: numbers.to_vec() }
    }

    #[test]
    fn measures_have_names_of_their_own() {
        let cells = cells();
        let names: BTreeSet<String> = cells.iter().map(|cell| cell.measure.to_string()).collect();
        assert_eq!(names.len(), cells.len());
        assert!(names.contains("receive, vnet, 256") && names.contains("idle, 100000"), "{names:?}");
        assert_eq!(Measure::CHURN.row(Quantity::Opened), "connect and close");
        assert_eq!(
            Measure::round_trips(Placement::Apart).row(Quantity::Highest),
            "request/response, two CPUs, p99.9"
        );
    }

    #[test]
    fn rates_are_of_the_window_and_costs_of_the_bytes() {
        let measure = Measure::bulk(Role::Receive, Link::Plain, 2);
        let values = measure.quantities(&told(&[400_000_000, 100_000_000]), Duration::from_millis(250));
        assert_eq!(values[0], (Quantity::Rate, 8.0));
        assert_eq!(values[1], (Quantity::Cost, 0.5));
        assert!(values[2].0 == Quantity::Fairness && (values[2].1 - 25.0 / 34.0).abs() < 1e-9);
        assert_eq!(Measure::CHURN.quantities(&told(&[6000]), Duration::ZERO), [(Quantity::Opened, 12.0)]);
    }

    #[test]
    fn round_trips_are_in_microseconds_and_memory_is_shared_out() {
        let values = Measure::BESIDE.quantities(&told(&[12_500, 20_000, 90_000, 40_000]), Duration::ZERO);
        assert_eq!(values, [(Quantity::Median, 12.5), (Quantity::High, 20.0), (Quantity::Highest, 90.0)]);
        let values = Measure::idle(10_000).quantities(&told(&[15_000_000]), Duration::ZERO);
        assert_eq!(values, [(Quantity::Memory, 1500.0)]);
    }
}
