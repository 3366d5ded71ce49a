//! Two whole stacks over an impaired link on virtual time: whatever the link does, the bytes arrive and both sides end.
//!
//! `USERTCP_SEED=n` runs one seed alone.

mod world;

use usertcp_core::error::Errno;
use usertcp_core::link::impair::Impairment;
use usertcp_core::link::pipe::Offload;
use usertcp_core::rng::Rng;
use usertcp_core::sim::{Endpoint, Network, Outcome};
use usertcp_core::stack::Shutdown;
use usertcp_core::time::{Duration, Instant};
use world::*;

/// One direction of a stream and how far it is.
struct Stream {
    bytes: Vec<u8>,
    sent: usize,
    received: Vec<u8>,
    shut: bool,
    ended: bool,
}

impl Stream {
    fn new(rng: &mut Rng, len: usize) -> Self {
        let bytes = (0..len).map(|_| rng.next_u32() as u8).collect();
        Self { bytes, sent: 0, received: Vec::new(), shut: false, ended: false }
    }

    fn is_done(&self) -> bool {
        self.shut && self.ended
    }

    /// Writes and reads as much as goes, in pieces of random size.
    fn pump(&mut self, net: &mut Network, from: &Endpoint, to: &Endpoint, rng: &mut Rng) {
        while self.sent < self.bytes.len() {
            let piece = (rng.below(20_000) as usize + 1).min(self.bytes.len() - self.sent);
            match net.send(from, &self.bytes[self.sent..self.sent + piece]) {
                Ok(count) => self.sent += count,
                Err(Errno::EAGAIN) => break,
                Err(errno) => panic!("send: {errno:?}"),
            }
        }
        if self.sent == self.bytes.len() && !self.shut {
            net.shutdown(from, Shutdown::Write).expect("shutdown");
            self.shut = true;
        }
        while !self.ended {
            match net.recv(to, rng.below(30_000) as usize + 1) {
                Ok(bytes) if bytes.is_empty() => self.ended = true,
                Ok(bytes) => self.received.extend(bytes),
                Err(Errno::EAGAIN) => break,
                Err(errno) => panic!("recv: {errno:?}"),
            }
        }
    }
}

/// A scenario that a seed stands for.
fn impairment(rng: &mut Rng) -> Impairment {
    let pick = |rng: &mut Rng, most: f64| f64::from(rng.below(1000)) / 1000.0 * most;
    Impairment {
        rate: if rng.chance(0.5) { 0 } else { u64::from(rng.below(50_000_000)) + 1_000_000 },
        delay: Duration::from_micros(u64::from(rng.below(40_000))),
        jitter: Duration::from_micros(u64::from(rng.below(5_000))),
        loss: if rng.chance(0.2) { pick(rng, 0.2) } else { pick(rng, 0.08) },
        duplicate: pick(rng, 0.05),
        reorder: pick(rng, 0.1),
        reorder_delay: Duration::from_micros(u64::from(rng.below(20_000)) + 1),
        corrupt: pick(rng, 0.03),
        ..Impairment::default()
    }
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
    let mut plan = Plan {
        impairment: Some((what, seed)),
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
    let mut net = network(plan);
    let target = address(if rng.chance(0.5) { SERVER_V4 } else { SERVER_V6 });
    let listener = net.listen(SERVER, target, 8).expect("listen");
    let client = net.connect(CLIENT, target).expect("connect");
    let mut up = Stream::new(&mut rng, 200_000);
    let len = rng.below(200_000) as usize;
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
    assert_eq!(
        outcome,
        Outcome::Met,
        "the transfer, {} and {} bytes in",
        up.received.len(),
        down.received.len()
    );
    assert!(up.received == up.bytes, "bytes of the client differ");
    assert!(down.received == down.bytes, "bytes of the server differ");

    net.close(&client);
    net.close(&server.expect("accepted"));
    let outcome =
        net.run_until(secs(3600), |net| net.hosts.iter().all(|host| host.stack.live_connections() == 0));
    assert_eq!(outcome, Outcome::Met, "both sides end");
    assert!(net.run_for(secs(600)), "no livelock in TIME-WAIT");
    assert!(net.hosts.iter().all(|host| host.stack.sockets() <= 1), "nothing is left but the listener");
}

fn seeds(count: u64) -> std::ops::Range<u64> {
    match std::env::var("USERTCP_SEED").ok().and_then(|text| text.parse::<u64>().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..count,
    }
}

fn run_all(seeds: impl Iterator<Item = u64>) {
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| run(seed));
        assert!(outcome.is_ok(), "failed with USERTCP_SEED={seed}");
    }
}

#[test]
fn hundreds_of_seeds_even() {
    run_all(seeds(400).filter(|seed| seed % 2 == 0));
}

#[test]
fn hundreds_of_seeds_odd() {
    run_all(seeds(400).filter(|seed| seed % 2 == 1));
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
        assert!(up.received == up.bytes && down.received == down.bytes);
        assert_eq!(net.hosts[CLIENT].stack.counters().tcp_retransmits, 0);
    }
}
