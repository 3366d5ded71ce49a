//! The judge: takes packets one by one, finds the connection of each, and gathers what the rules find.

use crate::connection::Connection;
use crate::network::Hosts;
use crate::packet::{self, Body, Packet, Segment};
use crate::pieces::Pieces;
use crate::{Direction, Flow, Kind, Options, Report, Violation, Whom};
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

/// Follows every connection of a capture.
#[derive(Debug)]
pub struct Checker {
    options: Options,
    report: Report,
    /// Time of the packet that was looked at last.
    now: u64,
    /// What was sent by whom, apart from connections.
    hosts: Hosts,
    connections: HashMap<[SocketAddr; 2], Connection>,
    pieces: Pieces,
    /// Hosts that have sent more at once than a segment can hold.
    cutting: HashSet<IpAddr>,
    found: Vec<Violation>,
    /// Number of the last ICMP message.
    icmp: u64,
}

/// What a rule sees beside the connection.
pub(crate) struct Context<'a> {
    pub(crate) now: u64,
    pub(crate) number: u64,
    pub(crate) options: &'a Options,
    pub(crate) found: &'a mut Vec<Violation>,
    pub(crate) hosts: &'a mut Hosts,
    pub(crate) cutting: &'a mut HashSet<IpAddr>,
    /// Number of the last ICMP message, which may make a host send again before it is time.
    pub(crate) icmp: u64,
}

impl Context<'_> {
    /// The packet at hand is a violation.
    pub(crate) fn blame(&mut self, kind: Kind, flow: Flow, what: impl Into<String>) {
        let (packet, time) = (self.number, self.now);
        self.found.push(Violation { kind, packet, time, flow, what: what.into() });
    }
}

impl Checker {
    /// A judge who has seen nothing yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self {
            options,
            report: Report::default(),
            now: 0,
            hosts: Hosts::default(),
            connections: HashMap::new(),
            pieces: Pieces::default(),
            cutting: HashSet::new(),
            found: Vec::new(),
            icmp: 0,
        }
    }

    /// Looks at a packet that begins with its IP header. `time` is in nanoseconds and never goes back.
    pub fn packet(&mut self, time: u64, direction: Direction, bytes: &[u8]) {
        self.report.packets += 1;
        self.now = self.now.max(time);
        match packet::parse(bytes) {
            Ok(packet) => self.judge(direction, bytes, &packet),
            Err(what) => self.unreadable(direction, bytes, what),
        }
        self.gather();
    }

    /// Counts a packet that cannot be looked at.
    pub fn skip(&mut self, time: u64) {
        self.report.packets += 1;
        self.report.skipped += 1;
        self.now = self.now.max(time);
    }

    /// The time has come to `time` without a packet: answers that are still owed are late.
    pub fn passed(&mut self, time: u64) {
        self.now = self.now.max(time);
    }

    /// What came of it.
    #[must_use]
    pub fn finish(mut self) -> Report {
        let mut connections = std::mem::take(&mut self.connections);
        for connection in connections.values_mut() {
            connection.overdue(&mut self.context());
            connection.end(&mut self.context());
            self.report.connections += connection.count();
        }
        self.gather();
        // Where super-frames were seen, a short one may be one, too.
        let unsure = self.options.super_frames.is_none();
        let cutting = std::mem::take(&mut self.cutting);
        self.report.violations.retain(|violation| {
            !(unsure && violation.kind == Kind::TooLarge && cutting.contains(&violation.flow.from.ip()))
        });
        self.report.violations.sort_by_key(|violation| (violation.packet, violation.kind));
        self.report
    }

    fn context(&mut self) -> Context<'_> {
        Context {
            now: self.now,
            number: self.report.packets,
            options: &self.options,
            found: &mut self.found,
            hosts: &mut self.hosts,
            cutting: &mut self.cutting,
            icmp: self.icmp,
        }
    }

    fn gather(&mut self) {
        for violation in self.found.drain(..) {
            if !self.options.allowed.contains(&violation.kind) {
                self.report.add(violation);
            }
        }
    }

    /// Whether packets of this host are judged.
    fn judges(&self, host: IpAddr, here: bool) -> bool {
        match &self.options.whom {
            Whom::Everyone => true,
            Whom::Capturing => here,
            Whom::Hosts(hosts) => hosts.contains(&host),
        }
    }

    /// Whether the capture was made on this host, at the near end of a packet with this direction.
    fn is_here(&self, host: IpAddr, direction: Direction, near: Direction) -> bool {
        match (direction, &self.options.whom) {
            (Direction::Unknown, Whom::Hosts(hosts)) => hosts.contains(&host),
            _ => direction == near,
        }
    }

    fn unreadable(&mut self, direction: Direction, bytes: &[u8], what: String) {
        let addresses = crate::network::addresses(bytes);
        let sent = addresses.is_some_and(|[from, _]| self.is_here(from, direction, Direction::Out));
        if !sent && direction != Direction::Out {
            self.report.damaged += 1;
            return;
        }
        let nowhere = IpAddr::from([0, 0, 0, 0]);
        let [from, to] = addresses.unwrap_or([nowhere; 2]).map(|ip| SocketAddr::new(ip, 0));
        if self.judges(from.ip(), true) {
            self.context().blame(Kind::Malformed, Flow { from, to }, what);
        }
    }

    fn judge(&mut self, direction: Direction, bytes: &[u8], packet: &Packet<'_>) {
        let here = self.is_here(packet.source, direction, Direction::Out);
        let judged = here && self.judges(packet.source, true);
        if !self.sound(packet, judged) {
            return;
        }
        if judged {
            self.identify(bytes, packet);
            crate::network::header(packet, &mut self.context());
        }
        self.carried(direction, bytes.len(), packet);
    }

    /// Whether the checksums let its receiver take the packet; that of a judged sender is to blame if they do not.
    fn sound(&mut self, packet: &Packet<'_>, judged: bool) -> bool {
        let (v4, right) = (packet.v4.is_none_or(|v4| v4.checksum_right), checksum(packet));
        if !self.options.checksums {
            return true;
        }
        if judged {
            crate::network::checksums(packet, v4, right, &mut self.context());
            return true;
        }
        self.report.damaged += u64::from(!(v4 && right));
        v4 && right
    }

    /// The last piece of a datagram has come.
    fn join(&mut self, direction: Direction, last: &Packet<'_>, bytes: &[u8]) {
        let judged = self.is_here(last.source, direction, Direction::Out) && self.judges(last.source, true);
        match packet::joined(last, bytes) {
            Ok(body) => {
                let whole = Packet { body, ..last.clone() };
                if self.sound(&whole, judged) {
                    self.carried(direction, bytes.len(), &whole);
                }
            }
            Err(what) if judged => {
                let [from, to] = [last.source, last.destination].map(|ip| SocketAddr::new(ip, 0));
                self.context().blame(Kind::Malformed, Flow { from, to }, what);
            }
            Err(_) => self.report.damaged += 1,
        }
    }

    fn carried(&mut self, direction: Direction, length: usize, packet: &Packet<'_>) {
        match &packet.body {
            Body::Tcp(segment) => self.tcp(direction, length, packet, segment),
            Body::Icmp { .. } => self.icmp = self.report.packets,
            Body::Fragment(piece) => {
                self.report.fragments += 1;
                if let Some(bytes) = self.pieces.add(self.now, direction, packet, piece) {
                    self.join(direction, packet, &bytes);
                }
            }
            Body::Udp { .. } | Body::Other => {}
        }
    }

    fn identify(&mut self, bytes: &[u8], packet: &Packet<'_>) {
        let mut hosts = std::mem::take(&mut self.hosts);
        hosts.identify(bytes, packet, &mut self.context());
        self.hosts = hosts;
    }

    fn tcp(&mut self, direction: Direction, length: usize, packet: &Packet<'_>, segment: &Segment<'_>) {
        let from = SocketAddr::new(packet.source, segment.ports[0]);
        let to = SocketAddr::new(packet.destination, segment.ports[1]);
        if from == to {
            return;
        }
        let key = if from < to { [from, to] } else { [to, from] };
        let near = [
            self.is_here(from.ip(), direction, Direction::Out),
            self.is_here(to.ip(), direction, Direction::In),
        ];
        let judged = [self.judges(from.ip(), near[0]), self.judges(to.ip(), near[1])];
        let index = usize::from(key[0] != from);
        let mut connection = self.connections.remove(&key).unwrap_or_else(|| Connection::new(key));
        let seen = connection.seen();
        if !seen {
            connection.stand(index, near[0], judged[0]);
            connection.stand(1 - index, near[1], judged[1]);
        }
        connection.segment(index, segment, length, packet.flow_label, &mut self.context());
        self.connections.insert(key, connection);
    }
}

/// Whether the checksum of what the packet carries is right.
fn checksum(packet: &Packet<'_>) -> bool {
    match &packet.body {
        Body::Tcp(segment) => segment.checksum_right,
        Body::Udp { checksum_right } | Body::Icmp { checksum_right } => *checksum_right,
        Body::Fragment(_) | Body::Other => true,
    }
}
