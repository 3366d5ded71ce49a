//! Two whole stacks over an impaired link on virtual time: whatever the link does, the bytes arrive and both sides end.
//!
//! `USERTCP_SEED=n` runs one seed alone, `USERTCP_SEEDS=n` as many as that. A seed that fails leaves captures of both hosts.

mod world;

use std::path::PathBuf;
use usertcp_core::config::Ecn;
use usertcp_core::error::Errno;
use usertcp_core::link::impair::Impairment;
use usertcp_core::link::pipe::Offload;
use usertcp_core::rng::Rng;
use usertcp_core::sim::{Endpoint, Network, Outcome};
use usertcp_core::stack::Shutdown;
use usertcp_core::time::{Duration, Instant};
use world::*;

/// One direction of a stream and how far it is. What it carries is a function of its key and the position.
struct Stream {
    key: u64,
    length: u64,
    sent: u64,
    received: u64,
    shut: bool,
    ended: bool,
}

impl Stream {
    fn new(rng: &mut Rng, length: u64) -> Self {
        Self { key: rng.next_u64(), length, sent: 0, received: 0, shut: false, ended: false }
    }

    fn byte(&self, position: u64) -> u8 {
        ((position ^ self.key).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
    }

    fn is_done(&self) -> bool {
        self.shut && self.ended
    }

    /// Writes and reads as much as goes, in pieces of random size.
    fn pump(&mut self, net: &mut Network, from: &Endpoint, to: &Endpoint, rng: &mut Rng) {
        while self.sent < self.length {
            let piece = (u64::from(rng.below(20_000)) + 1).min(self.length - self.sent);
            let bytes: Vec<u8> = (self.sent..self.sent + piece).map(|position| self.byte(position)).collect();
            match net.send(from, &bytes) {
                Ok(count) => self.sent += count as u64,
                Err(Errno::EAGAIN) => break,
                Err(errno) => panic!("send: {errno:?}"),
            }
        }
        if self.sent == self.length && !self.shut {
            net.shutdown(from, Shutdown::Write).expect("shutdown");
            self.shut = true;
        }
        while !self.ended {
            match net.recv(to, rng.below(30_000) as usize + 1) {
                Ok(bytes) if bytes.is_empty() => {
                    assert_eq!(self.received, self.length, "the stream ends where it was shut down");
                    self.ended = true;
                }
                Ok(bytes) => {
                    for byte in bytes {
                        assert_eq!(byte, self.byte(self.received), "byte {}", self.received);
                        self.received += 1;
                    }
                }
                Err(Errno::EAGAIN) => break,
                Err(errno) => panic!("recv: {errno:?}"),
            }
        }
    }
}

/// What a seed makes of one direction of a link.
fn impairment(rng: &mut Rng) -> Impairment {
    let pick = |rng: &mut Rng, most: f64| f64::from(rng.below(1000)) / 1000.0 * most;
    let up_to = |rng: &mut Rng, micros: u32| Duration::from_micros(u64::from(rng.below(micros)));
    let mut what = Impairment {
        rate: if rng.chance(0.5) { 0 } else { u64::from(rng.below(50_000_000)) + 1_000_000 },
        delay: up_to(rng, 40_000),
        jitter: up_to(rng, 5_000),
        loss: if rng.chance(0.2) { pick(rng, 0.2) } else { pick(rng, 0.08) },
        duplicate: pick(rng, 0.05),
        reorder: pick(rng, 0.1),
        reorder_delay: up_to(rng, 20_000) + Duration::from_micros(1),
        corrupt: pick(rng, 0.03),
        ..Impairment::default()
    };
    if rng.chance(0.3) {
        (what.reorder_delay, what.reorder_jitter) =
            (Duration::ZERO, up_to(rng, 30_000) + Duration::from_micros(1));
    }
    if rng.chance(0.3) {
        what.burst_enter = pick(rng, 0.01);
        // A burst lasts for packets, not for time: a longer one swallows every retransmission until the connection is given up.
        what.burst_leave = pick(rng, 0.5) + 0.4;
        what.burst_loss = pick(rng, 0.8) + 0.1;
    }
    match rng.below(4) {
        0 => what.queue = rng.below(60) as usize + 4,
        1 => what.queue_bytes = rng.below(100_000) as usize + 6_000,
        _ => {}
    }
    if rng.chance(0.2) {
        what.police_rate = u64::from(rng.below(40_000_000)) + 2_000_000;
        what.police_burst = rng.below(60_000) as usize + 15_000;
    }
    if rng.chance(0.2) {
        // Black holes have tests of their own.
        (what.mtu, what.mtu_told) = (1280 + rng.below(220) as u16, true);
    }
    what
}

/// Instants at which something of 32 bits wraps soon: the ISN clock of 4 us, and the millisecond clock of timestamps.
fn start(rng: &mut Rng) -> Instant {
    let before = Duration::from_millis(u64::from(rng.below(400)));
    let wrap = match rng.below(3) {
        0 => (1u64 << 32) * 4_000,
        1 => (1u64 << 32) * 1_000_000,
        _ => (1u64 << 31) * 1_000_000,
    };
    let nanos = u64::try_from(before.as_nanos()).expect("a short time");
    Instant::from_nanos(wrap - nanos)
}

fn run(seed: u64) {
    let mut rng = Rng::from_seed(seed);
    let what = impairment(&mut rng);
    let incoming = rng.chance(0.5).then(|| impairment(&mut rng));
    let change = |rng: &mut Rng| {
        let after = Duration::from_micros(u64::from(rng.below(3_000_000)));
        (after, [impairment(rng), impairment(rng)])
    };
    let count = rng.below(3).saturating_sub(1);
    let changes = (0..count).map(|_| change(&mut rng)).collect();
    let mut plan = Plan {
        impairment: Some((what, seed)),
        incoming,
        changes,
        start: start(&mut rng),
        offload: if rng.chance(0.5) { Offload::On } else { Offload::Off },
        ..Plan::default()
    };
    for config in &mut plan.configs {
        config.secret = rng.next_key();
        config.tcp.timestamps = rng.chance(0.7);
        config.tcp.window_scaling = rng.chance(0.7);
        config.tcp.sack = rng.chance(0.7);
        let most = if rng.chance(0.3) { 8_000 } else { 300_000 };
        config.buffers.receive = 4_000 + rng.below(most) as usize;
        config.buffers.send = 4_000 + rng.below(most) as usize;
    }
    // Apart from the others, so that what a seed does without marks stays as it is.
    let mut marks = Rng::from_seed(seed).fork("marks");
    if marks.chance(0.4) {
        plan.configs.iter_mut().for_each(|config| config.tcp.ecn = Ecn::On);
        let all = plan.impairment.iter_mut().map(|(what, _)| what).chain(&mut plan.incoming);
        for what in all.chain(plan.changes.iter_mut().flat_map(|(_, both)| both)) {
            what.mark = marks.below(12) as usize + 1;
        }
    }
    let mut net = network(plan);
    let target = address(if rng.chance(0.5) { SERVER_V4 } else { SERVER_V6 });
    let listener = net.listen(SERVER, target, 8).expect("listen");
    let client = net.connect(CLIENT, target).expect("connect");
    let mut up = Stream::new(&mut rng, 200_000);
    let len = u64::from(rng.below(200_000));
    let mut down = Stream::new(&mut rng, len);
    let mut server = None;
    let outcome = net.run_until(secs(3600), |net| {
        if server.is_none() {
            server = net.accept(&listener).ok();
        }
        let Some(server) = &server else { return false };
        up.pump(net, &client, server, &mut rng);
        down.pump(net, server, &client, &mut rng);
        up.is_done() && down.is_done()
    });
    assert_eq!(outcome, Outcome::Met, "the transfer, {} and {} bytes in", up.received, down.received);

    net.close(&client);
    net.close(&server.expect("accepted"));
    let outcome =
        net.run_until(secs(3600), |net| net.hosts.iter().all(|host| host.stack.live_connections() == 0));
    assert_eq!(outcome, Outcome::Met, "both sides end");
    assert!(net.run_for(secs(600)), "no livelock in TIME-WAIT");
    assert!(net.hosts.iter().all(|host| host.stack.sockets() <= 1), "nothing is left but the listener");
}

/// Seeds that are run when nobody says how many.
const SEEDS: u64 = 400;

/// One of `parts` parts of them.
fn run_all(part: u64, parts: u64) {
    let number = |name| std::env::var(name).ok().and_then(|text: String| text.parse::<u64>().ok());
    let seeds = match number("USERTCP_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("USERTCP_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds.filter(|seed| seed % parts == part) {
        if std::panic::catch_unwind(|| run(seed)).is_err() {
            let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("seed-{seed}"));
            std::fs::create_dir_all(&folder).expect("a folder for captures");
            capture_into(Some(folder.clone()));
            let _ = std::panic::catch_unwind(|| run(seed));
            capture_into(None);
            panic!(
                "seed {seed} failed; again: USERTCP_SEED={seed} cargo test -p usertcp-core --test simulation seeds; \
                 captures: {}",
                folder.display()
            );
        }
    }
}

#[test]
fn hundreds_of_seeds_even() {
    run_all(0, 2);
}

#[test]
fn hundreds_of_seeds_odd() {
    run_all(1, 2);
}

#[test]
fn the_same_seed_is_the_same_run() {
    let trace = || {
        let what = Impairment { loss: 0.05, delay: Duration::from_millis(10), ..Impairment::default() };
        let mut net = network(Plan { impairment: Some((what, 7)), ..Plan::default() });
        let target = address(SERVER_V4);
        let listener = net.listen(SERVER, target, 1).expect("listen");
        let client = net.connect(CLIENT, target).expect("connect");
        let mut rng = Rng::from_seed(7);
        let mut up = Stream::new(&mut rng, 300_000);
        let mut server = None;
        let outcome = net.run_until(secs(600), |net| {
            if server.is_none() {
                server = net.accept(&listener).ok();
            }
            if let Some(server) = &server {
                up.pump(net, &client, server, &mut rng);
            }
            up.is_done()
        });
        assert_eq!(outcome, Outcome::Met);
        (net.now, net.hosts[CLIENT].stack.counters().clone(), net.hosts[SERVER].stack.counters().clone())
    };
    let (first, second) = (trace(), trace());
    assert_eq!(first, second);
    assert!(first.1.tcp_retransmits > 0, "the link did lose something");
}

/// A device that is full most of the time: packets wait in the host, and nothing is lost.
#[test]
fn a_link_that_takes_two_packets_at_a_time() {
    for offload in [Offload::On, Offload::Off] {
        let mut net = network(Plan { queue: 2, offload, ..Plan::default() });
        let target = address(SERVER_V6);
        let listener = net.listen(SERVER, target, 1).expect("listen");
        let client = net.connect(CLIENT, target).expect("connect");
        let mut rng = Rng::from_seed(2);
        let (mut up, mut down) = (Stream::new(&mut rng, 3_000_000), Stream::new(&mut rng, 3_000_000));
        let mut server = None;
        let outcome = net.run_until(secs(60), |net| {
            if server.is_none() {
                server = net.accept(&listener).ok();
            }
            let Some(server) = &server else { return false };
            up.pump(net, &client, server, &mut rng);
            down.pump(net, server, &client, &mut rng);
            up.is_done() && down.is_done()
        });
        assert_eq!(outcome, Outcome::Met);
        assert_eq!(net.hosts[CLIENT].stack.counters().tcp_retransmits, 0);
    }
}
