//! What a judge hands back, and what it was told to look for.

use crate::Kind;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Whose packets are judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Whom {
    /// Everybody's.
    #[default]
    Everyone,
    /// Those of the host that the capture was made on: packets marked as outgoing.
    Capturing,
    /// Those of the hosts with these addresses. Where packets carry no direction, the capture is taken to have been made there.
    Hosts(Vec<IpAddr>),
}

/// What a judge has to know beyond the packets.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whose packets are judged.
    pub whom: Whom,
    /// Whether records may be super-frames, which the link cuts or has merged: their length says nothing of the segments. `None`: the capture shows it.
    pub super_frames: Option<bool>,
    /// Whether checksums are judged. Off for a capture made where the link computes them.
    pub checksums: bool,
    /// Initial window in segments (RFC 6928: 10).
    pub initial_window: u32,
    /// Bytes that one ACK may cover when they arrived at one instant. `None`: whatever a host takes at once.
    pub batch: Option<u32>,
    /// How much later than the RFCs say something may be: scheduling, and the grain of timers.
    pub slack: Duration,
    /// The least retransmission time-out of a SYN (RFC 6298: 1 s).
    pub rto_initial: Duration,
    /// The retransmission time-out from which on it need not be doubled (RFC 6298: 60 s or more).
    pub rto_max: Duration,
    /// The least silence before a keep-alive (RFC 9293: 2 h).
    pub keep_alive: Duration,
    /// The least time between keep-alives that are not answered (75 s is what hosts do).
    pub keep_alive_interval: Duration,
    /// How long a program that has sent its FIN may leave unread what fills the window before it is taken to have closed.
    pub patience: Duration,
    /// Kinds that are not reported.
    pub allowed: Vec<Kind>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            whom: Whom::Everyone,
            super_frames: None,
            checksums: true,
            initial_window: 10,
            batch: None,
            slack: Duration::from_millis(100),
            rto_initial: Duration::from_secs(1),
            rto_max: Duration::from_secs(60),
            keep_alive: Duration::from_secs(7200),
            keep_alive_interval: Duration::from_secs(75),
            patience: Duration::from_secs(30),
            allowed: Vec::new(),
        }
    }
}

/// Which way a packet passed the host that captured it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// It was received.
    In,
    /// It was sent.
    Out,
    /// The capture does not say.
    Unknown,
}

/// Who sent to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The sender; the port is zero where there is none.
    pub from: SocketAddr,
    /// The receiver.
    pub to: SocketAddr,
}

impl fmt::Display for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.from.port() == 0 && self.to.port() == 0 {
            return write!(f, "{} > {}", self.from.ip(), self.to.ip());
        }
        write!(f, "{} > {}", self.from, self.to)
    }
}

/// Something that the RFCs do not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which kind it is.
    pub kind: Kind,
    /// Number of the packet that shows it, from 1; of a packet that should have been answered, that packet's.
    pub packet: u64,
    /// Its time in nanoseconds, as the capture counts.
    pub time: u64,
    /// The connection, from the one who is to blame.
    pub flow: Flow,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.time / 1_000_000_000, self.time % 1_000_000_000);
        let Self { kind, packet, flow, what, .. } = self;
        write!(f, "packet {packet}, {seconds}.{nanos:09} s, {flow}: {kind}: {what}; {}", kind.rule())
    }
}

/// What came of a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Everything that was wrong, in the order of the packets that showed it.
    pub violations: Vec<Violation>,
    /// Violations beyond those that are listed.
    pub omitted: u64,
    /// TCP connections.
    pub connections: u64,
    /// Packets.
    pub packets: u64,
    /// Fragments, which are put together.
    pub fragments: u64,
    /// Packets that were damaged on their way, which their receiver had to drop.
    pub damaged: u64,
    /// Packets that could not be looked at: cut short by the capture, or not IP.
    pub skipped: u64,
}

/// Violations that are listed.
const LISTED: usize = 1000;

impl Report {
    pub(crate) fn add(&mut self, violation: Violation) {
        if self.violations.len() < LISTED {
            self.violations.push(violation);
        } else {
            self.omitted += 1;
        }
    }

    /// The closing line.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |count: u64, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
        let mut parts = vec![
            count(self.violations.len() as u64 + self.omitted, "violation"),
            count(self.connections, "connection"),
            count(self.packets, "packet"),
        ];
        for (number, what) in [
            (self.fragments, "of them fragments"),
            (self.damaged, "damaged"),
            (self.skipped, "not looked at"),
        ] {
            if number > 0 {
                parts.push(format!("{number} {what}"));
            }
        }
        parts.join(", ")
    }
}
