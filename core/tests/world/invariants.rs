//! What holds in every simulated run, whatever it is about.
//!
//! * *stream*: a program reads the bytes that the other one wrote, in their order.
//! * *window*: nothing is sent beyond what the peer has offered, but for a byte that probes.
//! * *flight*: SND.UNA and SND.NXT are what has passed the wire; what the sender takes to be held has arrived; what it takes to be in flight or lost is
//!   all the rest, no more than the copies it has sent of it. All to the byte, but for that of a window probe.
//! * *timer*: whoever has sent or queued something will be woken, no later than the ceiling of the RTO, and the stack knows it.
//! * *echo*: pure ACKs are not answered by pure ACKs without end.
//! * *livelock*: packets without end bring something about.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use usertcp_core::buffer::SocketId;
use usertcp_core::sim::{Host, Network, Seen, Way};
use usertcp_core::stack::Glance;
use usertcp_core::tcp::State;
use usertcp_core::time::{Duration, Instant};
use usertcp_core::wire::tcp::{self, Flags, TcpHeader};
use usertcp_core::wire::{ipv4, ipv6, protocol};

/// Pure ACKs in a row, with less than [`PAUSE`] between them, that answer nothing but pure ACKs.
const ECHOES_MAX: u32 = 30;

/// What ends a row: the shortest interval of keep-alive probes.
const PAUSE: Duration = Duration::from_millis(900);

/// Packets within [`IDLE_TIME`] that bring nothing about.
const IDLE_PACKETS_MAX: u32 = 20_000;
const IDLE_TIME: Duration = Duration::from_secs(10);

/// Connections of a host up to which each instant is looked at; of more every 64th.
const MANY: usize = 32;

/// What timers may be late by: their grain.
const GRAIN: Duration = Duration::from_millis(1);

/// Whose, and with whom.
type Key = [SocketAddr; 2];

/// A socket of a network.
type Name = (usize, SocketId);

/// Why a run is wrong.
pub type Violation = String;

/// One direction of a connection, as the taps of both ends see it. Positions count from the SYN.
#[derive(Debug, Default)]
struct Direction {
    iss: u32,
    /// End of everything sent.
    next: u64,
    /// Highest acknowledgement that has come.
    acked: u64,
    /// Highest edge of a window that has been offered, and has come.
    edge: Option<u64>,
    /// What the sender said of scaling in its SYN.
    shift: Option<u8>,
    /// Segments sent, copies counted, that are not acknowledged.
    copies: VecDeque<(u64, u64)>,
    /// What has arrived and is not acknowledged: disjoint, sorted.
    arrived: Vec<(u64, u64)>,
    /// The other end is tapped as well.
    seen_at_both: bool,
}

impl Direction {
    fn position(&self, seq: u32) -> u64 {
        let here = self.iss.wrapping_add(self.next as u32);
        self.next.saturating_add_signed(i64::from(seq.wrapping_sub(here).cast_signed()))
    }

    fn sent(&mut self, start: u64, end: u64) {
        self.next = self.next.max(end);
        if end > start {
            self.copies.push_back((start, end));
        }
    }

    fn acknowledged(&mut self, ack: u64) {
        self.acked = self.acked.max(ack.min(self.next));
    }

    /// SND.UNA is here: an acknowledgement that came in a segment that nobody wants does not count.
    fn forget(&mut self, una: u64) {
        self.copies.retain(|(_, end)| *end > una);
        self.arrived.retain(|(_, end)| *end > una);
    }

    fn arrives(&mut self, start: u64, end: u64) {
        self.seen_at_both = true;
        let (mut start, mut end) = (start, end);
        self.arrived.retain(|(from, to)| {
            let joined = *from <= end && *to >= start;
            if joined {
                (start, end) = (start.min(*from), end.max(*to));
            }
            !joined
        });
        let at = self.arrived.partition_point(|(from, _)| *from < start);
        self.arrived.insert(at, (start, end));
    }

    /// Bytes from `una` on that have not arrived.
    fn missing(&self, una: u64) -> u64 {
        let part = |(from, to): &(u64, u64)| to.min(&self.next).saturating_sub(*from.max(&una));
        (self.next.saturating_sub(una)).saturating_sub(self.arrived.iter().map(part).sum())
    }

    /// Bytes from `una` on that were sent, copies counted.
    fn copied(&self, una: u64) -> u64 {
        self.copies.iter().map(|(from, to)| to.saturating_sub(*from.max(&una))).sum()
    }
}

/// Bytes that a program wrote and the other has not read.
#[derive(Debug, Default)]
struct Stream {
    peer: Option<Name>,
    written: VecDeque<u8>,
    /// How many have been read of it.
    read: u64,
    /// What was read before it was known from whom.
    early: Vec<u8>,
}

/// Pure ACKs that answer pure ACKs, by one end.
#[derive(Debug, Default)]
struct Echo {
    last: Option<Instant>,
    /// Acknowledgement and window of the last pure ACK sent.
    said: (u32, u16),
    /// Since then pure ACKs have come, and nothing else.
    asked: bool,
    other: bool,
    row: u32,
}

/// Judges a network by what passes its hosts, what programs see, and what senders think.
#[derive(Debug, Default)]
pub struct Invariants {
    directions: HashMap<Key, Direction>,
    echoes: HashMap<Key, Echo>,
    streams: HashMap<Name, Stream>,
    /// Packets that have left each host.
    passed: Vec<u64>,
    idle_packets: u32,
    idle_since: Option<Instant>,
    instants: u64,
}

/// Installs them on a network whose hosts may have taps.
pub fn watched(mut net: Network) -> Network {
    let shared = Arc::new(Mutex::new(Invariants::default()));
    for (index, host) in net.hosts.iter_mut().enumerate() {
        lock(&shared).passed.push(0);
        let mut other = host.tap.take();
        let shared = shared.clone();
        host.tap = Some(Box::new(move |now, way, packet| {
            if let Some(other) = &mut other {
                other(now, way, packet);
            }
            let mut invariants = lock(&shared);
            invariants.passed[index] += u64::from(way == Way::Out);
            hold(now, invariants.packet(now, way, packet));
        }));
    }
    net.watch = Some(Box::new(move |seen| {
        let now = if let Seen::Still(now, _) = seen { now } else { Instant::ZERO };
        hold(now, lock(&shared).seen(seen));
    }));
    net
}

/// Takes them off again, where a program goes by other ways than the network's calls.
pub fn unwatched(mut net: Network) -> Network {
    net.watch = None;
    net
}

fn lock(shared: &Mutex<Invariants>) -> MutexGuard<'_, Invariants> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hold(now: Instant, outcome: Result<(), Violation>) {
    if let Err(violation) = outcome {
        assert!(std::thread::panicking(), "at {} us: {violation}", now.as_micros());
    }
}

impl Invariants {
    /// A packet passes the device of a host.
    pub fn packet(&mut self, now: Instant, way: Way, packet: &[u8]) -> Result<(), Violation> {
        let Some((source, destination, header, payload)) = segment(packet) else {
            self.idle_packets = 0;
            return Ok(());
        };
        match way {
            Way::Out => {
                self.goes(now, [source, destination], &header, payload)?;
                self.echo(now, [source, destination], &header, payload)?;
                self.idle(now)
            }
            Way::In => {
                self.comes([destination, source], &header, payload);
                Ok(())
            }
        }
    }

    fn goes(&mut self, now: Instant, key: Key, header: &TcpHeader, payload: u64) -> Result<(), Violation> {
        let _ = now;
        let direction = self.directions.entry(key).or_default();
        if header.flags.has(Flags::SYN) {
            self.idle_packets = 0;
            if direction.iss != header.seq || direction.next == 0 {
                *direction = Direction { iss: header.seq, next: 1, ..Direction::default() };
                direction.shift = header.options.window_scale;
                direction.copies.push_back((0, 1));
            }
            return Ok(());
        }
        if header.flags.has(Flags::RST) || direction.next == 0 {
            return Ok(());
        }
        let fin = u64::from(header.flags.has(Flags::FIN));
        let start = direction.position(header.seq);
        let keeps_alive = payload <= 1 && start < direction.acked;
        if payload + fin == 0 || keeps_alive {
            return Ok(());
        }
        let end = start + payload;
        if let Some(edge) = direction.edge
            && end > edge
            && payload > 1
        {
            let over = end - edge;
            return Err(format!("window: {key:?} sends {payload} bytes, {over} beyond the window offered"));
        }
        if end + fin > direction.next {
            self.idle_packets = 0;
        }
        direction.sent(start, end + fin);
        Ok(())
    }

    fn comes(&mut self, key: Key, header: &TcpHeader, payload: u64) {
        let [local, remote] = key;
        let echo = self.echoes.entry(key).or_default();
        echo.asked |= is_pure(header, payload);
        echo.other |= !is_pure(header, payload);
        let theirs = self.directions.entry([remote, local]).or_default();
        theirs.seen_at_both = true;
        let fin = u64::from(header.flags.has(Flags::FIN));
        if theirs.next > 0 && !header.flags.has(Flags::SYN) && payload + fin > 0 {
            let start = theirs.position(header.seq);
            if theirs.missing(start) > 0 {
                self.idle_packets = 0;
            }
            theirs.arrives(start, start + payload + fin);
        }
        let (their_shift, syn) = (theirs.shift, header.flags.has(Flags::SYN));
        let ours = self.directions.entry(key).or_default();
        if !header.flags.has(Flags::ACK) || ours.next == 0 {
            return;
        }
        let ack = ours.position(header.ack);
        if ack > ours.next {
            return;
        }
        let shift = if syn { 0 } else { their_shift.and(ours.shift).and(their_shift).unwrap_or(0).min(14) };
        let edge = ack + (u64::from(header.window) << shift);
        ours.edge = Some(ours.edge.map_or(edge, |known| known.max(edge)));
        if ack > ours.acked {
            self.idle_packets = 0;
        }
        ours.acknowledged(ack);
    }

    /// A segment goes: perhaps another answer that nobody can need to a pure ACK, which says the same as the one before.
    fn echo(&mut self, now: Instant, key: Key, header: &TcpHeader, payload: u64) -> Result<(), Violation> {
        let echo = self.echoes.entry(key).or_default();
        let said = (header.ack, header.window);
        let answers = is_pure(header, payload) && echo.asked && !echo.other && echo.said == said;
        let pause = echo.last.is_some_and(|last| now.since(last) >= PAUSE);
        echo.row = if answers && !pause { echo.row + 1 } else { 0 };
        (echo.last, echo.said, echo.asked, echo.other) = (Some(now), said, false, false);
        if echo.row > ECHOES_MAX {
            return Err(format!("echo: {key:?} answers pure ACKs by pure ACKs without end"));
        }
        Ok(())
    }

    fn idle(&mut self, now: Instant) -> Result<(), Violation> {
        self.idle_packets += 1;
        if self.idle_packets == 1 || self.idle_since.is_none_or(|since| now.since(since) > IDLE_TIME) {
            self.idle_since = Some(now);
            self.idle_packets = 1;
        }
        if self.idle_packets > IDLE_PACKETS_MAX {
            return Err(format!("livelock: {IDLE_PACKETS_MAX} packets have brought nothing about"));
        }
        Ok(())
    }

    /// Something happens in the network.
    pub fn seen(&mut self, seen: Seen<'_>) -> Result<(), Violation> {
        match seen {
            Seen::Written(endpoint, bytes) => {
                self.written((endpoint.host, endpoint.id), bytes);
                Ok(())
            }
            Seen::Read(endpoint, bytes) => self.read((endpoint.host, endpoint.id), bytes),
            Seen::Still(now, hosts) => self.still(now, hosts),
            Seen::Livelock(now) => Err(format!("livelock: no end of it at {} us", now.as_micros())),
        }
    }

    /// A program has written.
    pub fn written(&mut self, name: Name, bytes: &[u8]) {
        self.streams.entry(name).or_default().written.extend(bytes);
    }

    /// A program has read.
    pub fn read(&mut self, name: Name, bytes: &[u8]) -> Result<(), Violation> {
        let stream = self.streams.entry(name).or_default();
        let Some(peer) = stream.peer else {
            stream.early.extend(bytes);
            return Ok(());
        };
        let source = self.streams.entry(peer).or_default();
        for byte in bytes {
            let position = source.read;
            source.read += 1;
            match source.written.pop_front() {
                Some(written) if written == *byte => {}
                Some(written) => {
                    return Err(format!("stream: byte {position} was {written} and is read as {byte}"));
                }
                None => return Err(format!("stream: byte {position} is read and was never written")),
            }
        }
        Ok(())
    }

    fn still(&mut self, now: Instant, hosts: &[Host]) -> Result<(), Violation> {
        self.instants += 1;
        let many = hosts.iter().any(|host| host.stack.sockets() > MANY);
        if many && !self.instants.is_multiple_of(64) {
            return Ok(());
        }
        let mut known = HashMap::new();
        for (index, host) in hosts.iter().enumerate() {
            for (id, key, glance) in host.stack.glances() {
                self.timer(now, key, &glance, host.stack.poll_timeout())?;
                // What waits in front of a device, is refused by it, or was taken out of the stack by hand has not passed the tap.
                let counters = host.stack.counters();
                if counters.frames_out_failed == 0 && self.passed.get(index) == Some(&counters.frames_out) {
                    self.flight(key, &glance)?;
                }
                known.insert(key, ((index, id), glance));
            }
        }
        self.pair(&known)
    }

    /// Finds out which two sockets belong together.
    fn pair(&mut self, known: &HashMap<Key, (Name, Glance)>) -> Result<(), Violation> {
        for ([local, remote], (name, glance)) in known {
            let Some((peer, other)) = known.get(&[*remote, *local]) else { continue };
            let is_open = |glance: &Glance| !matches!(glance.state, State::SynSent | State::SynReceived);
            let current = |key: Key, glance: &Glance| {
                is_open(glance) && self.directions.get(&key).is_some_and(|known| known.iss == glance.iss)
            };
            if !current([*local, *remote], glance) || !current([*remote, *local], other) {
                continue;
            }
            let stream = self.streams.entry(*name).or_default();
            if stream.peer.is_none() {
                stream.peer = Some(*peer);
                let early = std::mem::take(&mut stream.early);
                self.read(*name, &early)?;
            }
        }
        Ok(())
    }

    /// Whether somebody will wake a sender.
    pub fn timer(
        &self,
        now: Instant,
        key: Key,
        glance: &Glance,
        stack: Option<Instant>,
    ) -> Result<(), Violation> {
        let waits = glance.state.transmits() && (glance.una != glance.nxt || glance.queued > 0);
        if !waits && !matches!(glance.state, State::SynSent | State::SynReceived) {
            return Ok(());
        }
        let Some(deadline) = glance.deadline else {
            return Err(format!("timer: {key:?} waits for nothing: {glance:?}"));
        };
        if deadline > now + glance.ceiling + GRAIN {
            return Err(format!("timer: {key:?} waits for longer than an RTO may be: {glance:?}"));
        }
        if stack.is_none_or(|stack| stack > deadline.max(now) + GRAIN) {
            return Err(format!("timer: {key:?} is not woken by {stack:?}: {glance:?}"));
        }
        Ok(())
    }

    /// Whether a sender's idea of what is under way agrees with what the taps have seen.
    pub fn flight(&mut self, key: Key, glance: &Glance) -> Result<(), Violation> {
        let Some(direction) = self.directions.get_mut(&key) else { return Ok(()) };
        if !glance.state.transmits() || direction.iss != glance.iss {
            return Ok(());
        }
        let wrong = |what: &str| Err(format!("flight: {key:?} {what}: {glance:?}"));
        let (una, nxt) = (direction.position(glance.una), direction.position(glance.nxt));
        if una > direction.acked {
            return wrong("takes for acknowledged what is not");
        }
        if nxt != direction.next {
            return wrong(&format!("has sent up to {}, and thinks {nxt}", direction.next));
        }
        direction.forget(una);
        let [in_flight, lost, resent, held] =
            [glance.in_flight, glance.lost, glance.resent, glance.held].map(u64::from);
        // The byte of a window probe is sent and not in flight.
        let known = in_flight + lost + held;
        if !(known..=known + 1).contains(&(nxt - una + resent)) {
            return wrong("has figures that do not add up");
        }
        let copied = direction.copied(una);
        if in_flight > copied {
            return wrong(&format!("takes {in_flight} bytes to be in flight of {copied} sent"));
        }
        let missing = direction.missing(una);
        if direction.seen_at_both && held + missing > nxt - una {
            return wrong(&format!("takes for held some of {missing} bytes that have not arrived"));
        }
        Ok(())
    }
}

/// Nothing but an acknowledgement.
fn is_pure(header: &TcpHeader, payload: u64) -> bool {
    payload == 0 && header.flags.0 & (Flags::SYN.0 | Flags::FIN.0 | Flags::RST.0) == 0
}

/// A sound segment of TCP, and how many bytes it carries.
fn segment(packet: &[u8]) -> Option<(SocketAddr, SocketAddr, TcpHeader, u64)> {
    let (source, destination, bytes) = if packet.first()? >> 4 == 4 {
        let (header, start) = ipv4::parse(packet).ok()?;
        let whole = header.protocol == protocol::TCP && !header.is_fragment();
        let bytes = packet.get(start..usize::from(header.total_length)).filter(|_| whole)?;
        (header.source.into(), header.destination.into(), bytes)
    } else {
        let (header, start) = ipv6::parse(packet).ok()?;
        let end = ipv6::HEADER + usize::from(header.payload_length);
        let whole = header.protocol == protocol::TCP && header.fragment.is_none();
        (header.source.into(), header.destination.into(), packet.get(start..end).filter(|_| whole)?)
    };
    let (header, length) = tcp::parse(source, destination, bytes, true).ok()?;
    let payload = (bytes.len() - length) as u64;
    let ends = [(source, header.source), (destination, header.destination)].map(SocketAddr::from);
    Some((ends[0], ends[1], header, payload))
}
