//! Each invariant of simulated runs finds the violation that is planted for it, and nothing in what is like it but right.

mod world;

use usertcp_core::buffer::SocketId;
use usertcp_core::link::impair::Impairment;
use usertcp_core::link::pipe::Offload;
use usertcp_core::sim::{Network, Outcome, Seen, Way};
use usertcp_core::stack::Glance;
use usertcp_core::tcp::State;
use usertcp_core::time::{Duration, Instant};
use usertcp_core::wire::Checksum;
use usertcp_core::wire::ipv4::Ipv4Header;
use usertcp_core::wire::tcp::{Flags, TcpHeader, TcpOptions};
use world::invariants::Invariants;
use world::*;

const CLIENT_AT: &str = "192.0.2.1:4000";
const MSS: u32 = 1000;
const ISS: u32 = u32::MAX - 5000;

/// A segment from the client to the server, or back.
fn packet(up: bool, flags: Flags, seq: u32, ack: u32, window: u16, payload: usize) -> Vec<u8> {
    let ends = [address(CLIENT_AT), address(SERVER_V4)];
    let (source, destination) = if up { (ends[0], ends[1]) } else { (ends[1], ends[0]) };
    let header = TcpHeader {
        source: source.port(),
        destination: destination.port(),
        seq,
        ack,
        flags,
        window,
        urgent: 0,
        options: TcpOptions::default(),
    };
    let mut segment = header.emit().to_vec();
    segment.extend(vec![9; payload]);
    let length = segment.len() as u32;
    let sum = Checksum::pseudo_header(source.ip(), destination.ip(), 6, length).chain([&segment[..]]);
    segment[16..18].copy_from_slice(&sum.finish().to_be_bytes());
    let (std::net::IpAddr::V4(source), std::net::IpAddr::V4(destination)) = (source.ip(), destination.ip())
    else {
        unreachable!("IPv4")
    };
    let ip = Ipv4Header {
        source,
        destination,
        protocol: 6,
        ttl: 64,
        tos: 0,
        identification: 0,
        dont_fragment: true,
        more_fragments: false,
        fragment_offset: 0,
        total_length: (20 + segment.len()) as u16,
    };
    [&ip.emit()[..], &segment].concat()
}

const ACK: Flags = Flags::ACK;

/// Taps at both ends of a connection that has just been opened, with a window of 10 segments each way.
struct Taps(Invariants, Instant);

impl Taps {
    fn new() -> Self {
        let mut taps = Self(Invariants::default(), Instant::from_millis(1000));
        taps.crosses(true, Flags::SYN, ISS, 0, 10_000, 0).unwrap();
        taps.crosses(false, Flags::SYN.with(ACK), 500, ISS.wrapping_add(1), 10_000, 0).unwrap();
        taps.crosses(true, ACK, ISS.wrapping_add(1), 501, 10_000, 0).unwrap();
        taps
    }

    fn goes(
        &mut self,
        up: bool,
        flags: Flags,
        seq: u32,
        ack: u32,
        window: u16,
        payload: usize,
    ) -> Result<(), String> {
        self.0.packet(self.1, Way::Out, &packet(up, flags, seq, ack, window, payload))
    }

    fn crosses(
        &mut self,
        up: bool,
        flags: Flags,
        seq: u32,
        ack: u32,
        window: u16,
        payload: usize,
    ) -> Result<(), String> {
        self.goes(up, flags, seq, ack, window, payload)?;
        self.0.packet(self.1, Way::In, &packet(up, flags, seq, ack, window, payload))
    }

    /// The client sends a segment; `at` counts from its first byte.
    fn data(&mut self, at: u32, arrives: bool) -> Result<(), String> {
        let seq = ISS.wrapping_add(1 + at);
        if arrives {
            return self.crosses(true, ACK, seq, 501, 10_000, MSS as usize);
        }
        self.goes(true, ACK, seq, 501, 10_000, MSS as usize)
    }

    fn flight(&mut self, glance: Glance) -> Result<(), String> {
        self.0.flight([address(CLIENT_AT), address(SERVER_V4)], &glance)
    }

    fn timer(&self, glance: Glance, stack: Option<Instant>) -> Result<(), String> {
        self.0.timer(self.1, [address(CLIENT_AT), address(SERVER_V4)], &glance, stack)
    }
}

/// What the client thinks when it has sent `sent` bytes and `acked` of them are acknowledged.
fn glance(acked: u32, sent: u32, [in_flight, lost, held]: [u32; 3]) -> Glance {
    Glance {
        state: State::Established,
        iss: ISS,
        una: ISS.wrapping_add(1 + acked),
        nxt: ISS.wrapping_add(1 + sent),
        in_flight,
        lost,
        resent: (in_flight + lost + held).saturating_sub(sent - acked),
        held,
        queued: (sent - acked) as usize,
        deadline: Some(Instant::from_millis(1200)),
        ceiling: Duration::from_secs(120),
    }
}

fn found(outcome: Result<(), String>, kind: &str) {
    let violation = outcome.expect_err(kind);
    assert!(violation.starts_with(kind), "{violation}");
}

#[test]
fn a_stream_that_changes_on_its_way_is_found() {
    let names = [0, 1].map(|host| (host, SocketId { index: 0, generation: 0 }));
    // Who belongs to whom is found out by looking at real hosts; reading what one has written oneself needs none.
    let mut net = network(Plan::default());
    let (client, server, _) = pair(&mut net, SERVER_V4);
    net.send(&client, b"abcdef").unwrap();
    net.settle();
    assert_eq!(net.recv(&server, 3).unwrap(), b"abc");
    let watch = net.watch.as_mut().unwrap();
    let changed =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| watch(Seen::Read(&server, b"dxf"))));
    assert!(message(changed).contains("stream: byte 4 was 101 and is read as 120"));
    let mut alone = Invariants::default();
    alone.written(names[0], b"abc");
    assert_eq!(alone.read(names[1], b"abc"), Ok(()), "nothing is known of them");
}

#[test]
fn bytes_that_nobody_wrote_are_found() {
    let mut net = network(Plan::default());
    let (client, server, _) = pair(&mut net, SERVER_V4);
    net.send(&client, b"abc").unwrap();
    net.settle();
    assert_eq!(net.recv(&server, 9).unwrap(), b"abc");
    let watch = net.watch.as_mut().unwrap();
    let more = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| watch(Seen::Read(&server, b"d"))));
    assert!(message(more).contains("stream: byte 3 is read and was never written"));
}

fn message(outcome: std::thread::Result<()>) -> String {
    *outcome.expect_err("a violation").downcast::<String>().expect("a sentence")
}

#[test]
fn what_goes_beyond_the_window_is_found() {
    let mut taps = Taps::new();
    (0..10).for_each(|n| taps.data(n * MSS, true).unwrap());
    found(taps.data(10 * MSS, true), "window:");
    // A byte may probe, and a window that is taken back was offered.
    taps.goes(true, ACK, ISS.wrapping_add(10_001), 501, 10_000, 1).unwrap();
    taps.crosses(false, ACK, 501, ISS.wrapping_add(1001), 0, 0).unwrap();
    taps.data(9 * MSS, true).unwrap();
    taps.crosses(false, ACK, 501, ISS.wrapping_add(1001), 10_000, 0).unwrap();
    taps.data(10 * MSS, true).unwrap();
    found(taps.data(11 * MSS, true), "window:");
}

#[test]
fn bytes_that_a_sender_has_lost_sight_of_are_found() {
    let mut taps = Taps::new();
    (0..10).for_each(|n| taps.data(n * MSS, n == 9).unwrap());
    for right in [[10_000, 0, 0], [9_000, 0, 1_000], [1_000, 8_000, 1_000]] {
        taps.flight(glance(0, 10_000, right)).unwrap();
    }
    found(taps.flight(glance(0, 10_000, [8_999, 0, 1_001])), "flight:");
    found(taps.flight(glance(0, 10_000, [8_998, 0, 1_000])), "flight:");
    // In flight is what was sent, copies counted, and no more.
    found(taps.flight(glance(0, 10_000, [10_001, 0, 0])), "flight:");
    taps.data(0, false).unwrap();
    taps.flight(glance(0, 10_000, [9_000, 1_000, 1_000])).unwrap();
    taps.flight(glance(0, 10_000, [11_000, 0, 0])).unwrap();
    found(taps.flight(glance(0, 10_000, [11_001, 0, 0])), "flight:");
}

#[test]
fn acknowledgements_that_never_came_and_segments_that_never_went_are_found() {
    let mut taps = Taps::new();
    (0..5).for_each(|n| taps.data(n * MSS, true).unwrap());
    taps.flight(glance(0, 5_000, [5_000, 0, 0])).unwrap();
    found(taps.flight(glance(1_000, 5_000, [4_000, 0, 0])), "flight:");
    found(taps.flight(glance(0, 6_000, [6_000, 0, 0])), "flight:");
    found(taps.flight(glance(0, 4_000, [4_000, 0, 0])), "flight:");
    taps.crosses(false, ACK, 501, ISS.wrapping_add(1001), 10_000, 0).unwrap();
    taps.flight(glance(1_000, 5_000, [4_000, 0, 0])).unwrap();
}

#[test]
fn senders_whom_nobody_wakes_are_found() {
    let taps = Taps::new();
    let soon = Some(Instant::from_millis(1200));
    let waiting = glance(0, 1_000, [1_000, 0, 0]);
    taps.timer(waiting, soon).unwrap();
    found(taps.timer(Glance { deadline: None, ..waiting }, soon), "timer:");
    found(taps.timer(Glance { deadline: Some(Instant::from_millis(122_000)), ..waiting }, soon), "timer:");
    found(taps.timer(waiting, None), "timer:");
    found(taps.timer(waiting, Some(Instant::from_millis(1300))), "timer:");
    // Nothing sent and nothing queued waits for nothing, and what is queued waits.
    taps.timer(Glance { deadline: None, ..glance(0, 0, [0, 0, 0]) }, None).unwrap();
    found(taps.timer(Glance { deadline: None, queued: 9, ..glance(0, 0, [0, 0, 0]) }, None), "timer:");
    found(
        taps.timer(Glance { deadline: None, state: State::SynSent, ..glance(0, 0, [0, 0, 0]) }, None),
        "timer:",
    );
}

#[test]
fn acknowledgements_that_answer_each_other_are_found() {
    let round = |taps: &mut Taps, window: u16, pause: Duration| {
        taps.1 += pause;
        taps.crosses(true, ACK, ISS.wrapping_add(1), 501, window, 0)?;
        taps.crosses(false, ACK, 501, ISS.wrapping_add(1), 9_000, 0)
    };
    let quick = Duration::from_millis(10);
    let mut taps = Taps::new();
    found((0..100).try_for_each(|_| round(&mut taps, 9_000, quick)), "echo:");
    // Probes of keep-alive are far apart, and news of the window at one end is no answer. Data is news.
    let mut taps = Taps::new();
    (0..100).try_for_each(|_| round(&mut taps, 9_000, Duration::from_secs(1))).unwrap();
    let mut taps = Taps::new();
    for n in 0..100 {
        taps.data(0, true).unwrap();
        taps.crosses(false, ACK, 501, ISS.wrapping_add(1), 10_000 + n, 0).unwrap();
    }
}

#[test]
fn packets_that_bring_nothing_about_are_found() {
    let mut taps = Taps::new();
    let again = |taps: &mut Taps, every: Duration| {
        (0..30_000).try_for_each(|_| {
            taps.1 += every;
            taps.data(0, true)
        })
    };
    found(again(&mut taps, Duration::from_micros(100)), "livelock:");
    again(&mut Taps::new(), Duration::from_millis(10)).unwrap();
}

#[test]
fn hosts_that_move_for_ever_are_found() {
    let mut invariants = Invariants::default();
    found(invariants.seen(Seen::Livelock(Instant::ZERO)), "livelock:");
}

/// A network with everything that a link can do, and what passes one end of it.
fn run(seed: u64) -> Vec<(u64, Way, Vec<u8>)> {
    use std::sync::{Arc, Mutex};
    let what = Impairment {
        rate: 20_000_000,
        delay: Duration::from_millis(8),
        jitter: Duration::from_millis(1),
        loss: 0.01,
        burst_enter: 0.002,
        burst_leave: 0.3,
        burst_loss: 0.8,
        duplicate: 0.02,
        reorder: 0.03,
        reorder_jitter: Duration::from_millis(5),
        corrupt: 0.01,
        queue_bytes: 60_000,
        police_rate: 30_000_000,
        police_burst: 30_000,
        ..Impairment::default()
    };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut net = network(Plan { impairment: Some((what, seed)), offload: Offload::On, ..Plan::default() });
    for host in &mut net.hosts {
        let (mut tap, seen) = (host.tap.take().unwrap(), seen.clone());
        host.tap = Some(Box::new(move |now: Instant, way, packet: &[u8]| {
            tap(now, way, packet);
            seen.lock().unwrap().push((now.as_nanos(), way, packet.to_vec()));
        }));
    }
    transfer(&mut net, 400_000);
    drop(net);
    Arc::into_inner(seen).unwrap().into_inner().unwrap()
}

fn transfer(net: &mut Network, bytes: usize) {
    let listener = net.listen(SERVER, address(SERVER_V4), 1).unwrap();
    let client = net.connect(CLIENT, address(SERVER_V4)).unwrap();
    let (mut server, mut sent, mut received) = (None, 0, 0);
    let outcome = net.run_until(secs(600), |net| {
        server = server.take().or_else(|| net.accept(&listener).ok());
        let Some(server) = &server else { return false };
        while sent < bytes {
            let Ok(count) = net.send(&client, &vec![sent as u8; 5000.min(bytes - sent)]) else { break };
            sent += count;
        }
        while let Ok(bytes) = net.recv(server, 50_000) {
            received += bytes.len();
        }
        received == bytes
    });
    assert_eq!(outcome, Outcome::Met);
}

#[test]
fn a_seed_gives_the_same_packets_at_the_same_times() {
    let (first, second) = (run(5), run(5));
    assert!(first.len() > 600, "{}", first.len());
    assert!(first == second);
    assert!(first != run(6));
}
