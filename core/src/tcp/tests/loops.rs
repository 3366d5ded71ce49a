//! Two connections over a network that loses, reorders and duplicates: byte-exact and finished, for every seed.

use super::*;
use crate::rng::Rng;
use crate::tcp::UrgentMark;

/// A program and its connection.
struct End {
    host: Option<Host>,
    config: TcpConfig,
    setup: Setup,
    recv_limit: usize,
    limits: Limits,
    to_write: usize,
    written: usize,
    read: usize,
    /// How likely a write ends with urgent data.
    urges: f64,
    /// Position behind the last urgent byte.
    urged: Option<usize>,
    pattern: u8,
    send_limit: usize,
    /// Right edge of the window we offered last, as the peer computes it.
    edge: Option<SeqNum>,
    closed: bool,
}

struct Wire {
    flights: Vec<(Instant, u64, usize, Segment)>,
    order: u64,
    loss: f64,
    duplicate: f64,
    jitter: u64,
    delay: u64,
    /// Packets with data to lose besides, by their number, and how many there were.
    lose: Vec<u64>,
    data: u64,
}

fn byte_at(pattern: u8, position: usize) -> u8 {
    (position as u8).wrapping_mul(31).wrapping_add((position >> 8) as u8) ^ pattern
}

impl Wire {
    fn carry(&mut self, now: Instant, to: usize, outgoing: &Outgoing, whole: bool, rng: &mut Rng) {
        for segment in packets(outgoing, whole) {
            self.data += u64::from(!segment.payload.is_empty());
            let picked = !segment.payload.is_empty() && self.lose.contains(&self.data);
            if picked || rng.chance(self.loss) {
                continue;
            }
            let copies = if rng.chance(self.duplicate) { 2 } else { 1 };
            for _ in 0..copies {
                let jitter = u64::from(rng.below(self.jitter as u32 + 1));
                let at = now + Duration::from_micros(self.delay + jitter);
                self.order += 1;
                self.flights.push((at, self.order, to, segment.clone()));
            }
        }
    }

    fn next_at(&self) -> Option<Instant> {
        self.flights.iter().map(|flight| flight.0).min()
    }

    fn arrive(&mut self, now: Instant) -> Vec<(usize, Segment)> {
        self.flights.sort_by_key(|flight| (flight.0, flight.1));
        let due = self.flights.iter().take_while(|flight| flight.0 <= now).count();
        self.flights.drain(..due).map(|(_, _, to, segment)| (to, segment)).collect()
    }
}

/// The segments of a super-frame, or the whole of it as a link with receive offload delivers it.
fn packets(outgoing: &Outgoing, whole: bool) -> Vec<Segment> {
    let bytes: Vec<u8> = outgoing.payload.iter().flatten().copied().collect();
    let flags = if outgoing.ack.is_some() { outgoing.flags.with(Flags::ACK) } else { outgoing.flags };
    let header = |at: usize, flags: Flags| TcpHeader {
        source: 1,
        destination: 2,
        seq: (outgoing.seq + at as u32).0,
        ack: outgoing.ack.map_or(0, |ack| ack.0),
        flags,
        window: outgoing.window,
        urgent: outgoing.urgent,
        options: outgoing.options.clone(),
    };
    let each = usize::from(outgoing.gso_size);
    assert!(each == 0 || outgoing.urgent == 0, "every segment would have the same pointer: {outgoing:?}");
    if each == 0 || whole {
        return vec![Segment {
            header: header(0, flags),
            payload: bytes.into(),
            gso_size: outgoing.gso_size,
            ecn: outgoing.ecn,
        }];
    }
    let last = (bytes.len() - 1) / each * each;
    let middle = Flags(flags.0 & !(Flags::FIN.0 | Flags::PSH.0));
    bytes
        .chunks(each)
        .enumerate()
        .map(|(index, chunk)| {
            let at = index * each;
            let flags = if at == last { flags } else { middle };
            let (payload, ecn) = (Bytes::copy_from_slice(chunk), outgoing.ecn);
            Segment { header: header(at, flags), payload, gso_size: 0, ecn }
        })
        .collect()
}

impl End {
    fn work(&mut self, now: Instant, rng: &mut Rng) {
        let Some(host) = &mut self.host else { return };
        host.now = now;
        self.read_some(rng);
        self.write_some(rng);
    }

    fn read_some(&mut self, rng: &mut Rng) {
        let host = self.host.as_mut().unwrap();
        let mut published = VecDeque::new();
        host.buffers.recv.drain_into(&mut published);
        for slice in published {
            for (index, byte) in slice.iter().enumerate() {
                assert_eq!(*byte, byte_at(!self.pattern, self.read + index), "byte {}", self.read + index);
            }
            self.read += slice.len();
            host.buffers.recv_held += slice.len();
        }
        if let Some(UrgentMark { position, byte: Some(byte) }) = host.connection.urgent() {
            assert_eq!(byte, byte_at(!self.pattern, position as usize), "the urgent byte at {position}");
        }
        let used = host.buffers.recv_held;
        assert!(used <= host.buffers.recv_limit + 64_000, "{used} bytes held");
        if rng.chance(0.7) {
            let count = (rng.below(used as u32 + 1) as usize).max(used.min(1000));
            host.buffers.recv_held -= count;
            host.connection.on_read(host.now, &host.buffers);
        }
    }

    fn write_some(&mut self, rng: &mut Rng) {
        let host = self.host.as_mut().unwrap();
        if !host.connection.established() {
            return;
        }
        let room = self.send_limit.saturating_sub(host.buffers.send.len());
        let count = (1 + rng.below(20_000) as usize).min(room).min(self.to_write - self.written);
        if count > 0 {
            let bytes: Vec<u8> = (0..count).map(|i| byte_at(self.pattern, self.written + i)).collect();
            host.write(&bytes);
            self.written += count;
            if rng.chance(self.urges) {
                host.connection.urge(host.now, self.written as u64);
                self.urged = Some(self.written);
            }
        }
        if self.written == self.to_write && !self.closed {
            host.close();
            self.closed = true;
        }
    }

    fn timers(&mut self, now: Instant) {
        let Some(host) = &mut self.host else { return };
        host.now = now;
        host.run_timers();
    }

    /// Everything to send, checked against what the peer has offered.
    fn flush(&mut self, peer_edge: Option<SeqNum>) -> Vec<Outgoing> {
        let Some(host) = &mut self.host else { return Vec::new() };
        let sent = host.polls();
        for outgoing in &sent {
            let length: usize = outgoing.payload.iter().map(Bytes::len).sum();
            assert!(!outgoing.flags.has(Flags::RST), "{outgoing:?}");
            if let Some(edge) = peer_edge.filter(|_| length > 1) {
                let end = outgoing.seq + length as u32;
                assert!(end.at_or_before(edge), "{end:?} beyond the window {edge:?}");
            }
            let syn = outgoing.flags.has(Flags::SYN);
            let scale = if syn { 0 } else { host.info().rcv_wscale };
            if let Some(ack) = outgoing.ack {
                let edge = ack + (u32::from(outgoing.window) << scale);
                let before = self.edge.unwrap_or(edge);
                assert!(
                    edge.at_or_after(before) || before.since(edge) < 1 << scale,
                    "window shrunk: {before:?} to {edge:?}, scale {scale}"
                );
                self.edge = Some(before.latest(edge));
            }
        }
        sent
    }

    fn deadline(&self) -> Option<Instant> {
        self.host.as_ref()?.connection.poll_timeout()
    }

    fn finished(&self, peer: &Self) -> bool {
        let done = |host: &Host| {
            host.connection.ended() == Some(EndReason::Finished) && host.connection.receive_ended()
        };
        let mark = self.host.as_ref().and_then(|host| host.connection.urgent());
        if let Some(mark) = mark.filter(|_| self.read == peer.to_write) {
            assert_eq!(Some(mark.position as usize + 1), peer.urged, "the last word on what is urgent");
        }
        self.read == peer.to_write && self.host.as_ref().is_some_and(done)
    }
}

fn end(rng: &mut Rng, pattern: u8, bytes: u32) -> End {
    let config = TcpConfig {
        timestamps: rng.chance(0.6),
        window_scaling: rng.chance(0.7),
        nagle: rng.chance(0.7),
        sack: rng.chance(0.7),
        ..TcpConfig::default()
    };
    let mut setup = setup(0u32.wrapping_sub(rng.below(200_000)));
    setup.timestamp_offset = 0u32.wrapping_sub(rng.below(20_000));
    setup.mss = 500 + rng.below(1000) as u16;
    let limits = Limits {
        super_frame: if rng.chance(0.5) { 60_000 } else { 0 },
        slices: 1 + rng.below(20) as usize,
        mss: u16::MAX,
        search: None,
    };
    End {
        host: None,
        config,
        setup,
        recv_limit: 3000 + rng.below(300_000) as usize,
        limits,
        to_write: rng.below(bytes) as usize,
        written: 0,
        read: 0,
        urges: 0.0,
        urged: None,
        pattern,
        send_limit: 4000 + rng.below(200_000) as usize,
        edge: None,
        closed: false,
    }
}

impl End {
    fn open(&mut self, now: Instant, syn: Option<&Segment>) {
        let mut counters = Counters::default();
        let mut cx = Context { config: &self.config, counters: &mut counters, challenges: &mut challenges() };
        let setup = self.setup.clone();
        let connection = match syn {
            None => Connection::connect(now, setup, self.recv_limit, &mut cx),
            Some(syn) => Connection::accept(now, setup, self.recv_limit, syn, &mut cx),
        };
        let mut host = Host::around(connection, self.config.clone(), counters, self.recv_limit);
        host.limits = self.limits;
        host.now = now;
        self.host = Some(host);
    }
}

/// Runs one seed; returns how long it took on the virtual clock.
fn run(seed: u64, loss: f64, simultaneous: bool) -> Duration {
    let mut rng = Rng::from_seed(seed);
    let mut ends = [end(&mut rng, 0x55, 400_000), end(&mut rng, 0xaa, 400_000)];
    ends.iter_mut().for_each(|end| end.urges = 0.05);
    let wire = Wire {
        flights: Vec::new(),
        order: 0,
        loss,
        duplicate: loss / 2.0,
        jitter: if rng.chance(0.5) { 0 } else { u64::from(rng.below(5000)) },
        delay: 100 + u64::from(rng.below(20_000)),
        lose: Vec::new(),
        data: 0,
    };
    exchange(rng, ends, wire, simultaneous)
}

fn exchange(mut rng: Rng, mut ends: [End; 2], mut wire: Wire, simultaneous: bool) -> Duration {
    let start = Instant::from_millis(u64::from(u32::MAX) - u64::from(rng.below(5000)));
    let mut now = start;
    let whole = rng.chance(0.5);
    ends[0].open(now, None);
    if simultaneous {
        ends[1].open(now, None);
    }
    for _ in 0..400_000 {
        for (to, segment) in wire.arrive(now) {
            deliver(&mut ends[to], now, segment);
            if rng.chance(0.5) {
                flush(&mut ends, to, now, whole, &mut wire, &mut rng);
            }
        }
        for index in 0..2 {
            ends[index].timers(now);
            ends[index].work(now, &mut rng);
            flush(&mut ends, index, now, whole, &mut wire, &mut rng);
        }
        if ends[0].finished(&ends[1]) && ends[1].finished(&ends[0]) {
            return now.since(start);
        }
        // A program that reads a little at a time comes back by itself.
        let busy = ends.iter().any(|end| end.host.as_ref().is_some_and(|h| h.buffers.recv_held > 0));
        let tick = busy.then(|| now + Duration::from_millis(3));
        let next = [wire.next_at(), ends[0].deadline(), ends[1].deadline(), tick];
        let next = next.into_iter().flatten().min().expect("something to wait for");
        assert!(next > now || wire.next_at() == Some(next), "no progress at {now:?}");
        now = next;
    }
    panic!(
        "never finished: {:#?}",
        ends.map(|end| (end.to_write, end.read, end.host.map(|h| (h.state(), h.info()))))
    );
}

fn deliver(end: &mut End, now: Instant, segment: Segment) {
    match &mut end.host {
        Some(host) => {
            host.now = now;
            host.deliver(segment);
        }
        None if segment.header.flags == Flags::SYN => end.open(now, Some(&segment)),
        None => {}
    }
}

fn flush(ends: &mut [End; 2], from: usize, now: Instant, whole: bool, wire: &mut Wire, rng: &mut Rng) {
    let peer_edge = ends[1 - from].edge;
    if let Some(host) = &mut ends[from].host {
        host.now = now;
    }
    for outgoing in ends[from].flush(peer_edge) {
        wire.carry(now, 1 - from, &outgoing, whole, rng);
    }
}

fn seeds(range: std::ops::Range<u64>, loss: f64, simultaneous: bool) {
    for seed in range {
        let outcome = std::panic::catch_unwind(|| run(seed, loss, simultaneous));
        match outcome {
            Ok(took) => assert!(took < Duration::from_secs(3600), "seed {seed} took {took:?}"),
            Err(_) => panic!("seed {seed} at loss {loss} failed"),
        }
    }
}

/// Two ends of a path of 20 ms on which everything is large, and `change` what is not.
fn large(rng: &mut Rng, bytes: [usize; 2], change: impl Fn(&mut TcpConfig)) -> ([End; 2], Wire) {
    let mut ends = [end(rng, 0x55, 1), end(rng, 0xaa, 1)];
    for (end, bytes) in ends.iter_mut().zip(bytes) {
        end.config = TcpConfig::default();
        change(&mut end.config);
        end.setup.mss = 1460;
        end.recv_limit = 4 << 20;
        end.send_limit = 4 << 20;
        end.to_write = bytes;
        end.limits = Limits { super_frame: 64_000, slices: 64, mss: u16::MAX, search: None };
    }
    let (flights, lose) = (Vec::new(), Vec::new());
    let wire = Wire { flights, order: 0, loss: 0.0, duplicate: 0.0, jitter: 0, delay: 10_000, lose, data: 0 };
    (ends, wire)
}

/// Four megabytes each way at once, one packet in a hundred lost, a round trip of 20 ms.
#[test]
fn bulk_both_ways_with_one_percent_of_loss() {
    let mut total = [Duration::ZERO; 2];
    for (total, sack) in total.iter_mut().zip([true, false]) {
        for seed in 5000..5004 {
            let mut rng = Rng::from_seed(seed);
            let (ends, mut wire) = large(&mut rng, [4 << 20; 2], |config| config.sack = sack);
            wire.loss = 0.01;
            let took = exchange(rng, ends, wire, false);
            assert!(took < Duration::from_secs(15), "seed {seed} took {took:?}");
            *total += took;
        }
    }
    assert!(total[0] < total[1] * 5 / 4, "with SACK {:?}, without {:?}", total[0], total[1]);
}

/// Sixty-four segments at once, six of them lost: with SACK they are all sent again in the round trip after, without it is one in each.
#[test]
fn several_losses_in_one_window() {
    const BYTES: usize = 64 * 1448;
    let time = |sack: bool, lose: &[u64]| {
        let mut rng = Rng::from_seed(6000);
        let (ends, mut wire) = large(&mut rng, [BYTES, 0], |config| {
            config.sack = sack;
            config.initial_window = 64;
            config.rto_min = Duration::from_secs(2);
        });
        wire.lose = lose.to_vec();
        exchange(rng, ends, wire, false)
    };
    let trip = Duration::from_millis(20);
    let whole = time(true, &[]);
    assert_eq!(whole, time(false, &[]));
    let lose = [5, 12, 20, 28, 36, 44];
    let selective = time(true, &lose) - whole;
    assert!(selective <= trip * 2, "with SACK {selective:?} longer");
    let cumulative = time(false, &lose) - whole;
    assert!(cumulative >= trip * 6, "without SACK {cumulative:?} longer");
}

/// Every way to agree or not, and up to a fifth of all packets lost.
#[test]
fn sack_on_both_sides_on_one_and_on_none() {
    for seed in 7000..7048 {
        let mut rng = Rng::from_seed(seed);
        let agree = [seed % 2 == 0, seed / 2 % 2 == 0];
        let bytes = 100_000 + rng.below(200_000) as usize;
        let (mut ends, mut wire) = large(&mut rng, [bytes; 2], |_| {});
        for (end, sack) in ends.iter_mut().zip(agree) {
            end.config.sack = sack;
            end.config.timestamps = rng.chance(0.5);
            end.limits.super_frame = if rng.chance(0.5) { 60_000 } else { 0 };
        }
        wire.loss = f64::from(1 + rng.below(20)) / 100.0;
        wire.jitter = if rng.chance(0.5) { 0 } else { 3000 };
        let took = exchange(rng, ends, wire, false);
        assert!(took < Duration::from_secs(1800), "seed {seed} took {took:?}");
    }
}

#[test]
fn without_loss() {
    seeds(0..100, 0.0, false);
}

#[test]
fn with_two_percent_of_loss() {
    seeds(1000..1150, 0.02, false);
}

#[test]
fn with_ten_percent_of_loss() {
    seeds(2000..2100, 0.1, false);
}

#[test]
fn simultaneous_opens() {
    seeds(3000..3050, 0.0, true);
    seeds(3100..3150, 0.05, true);
}
