//! Random calls on random sockets of two hosts over a bad link: nothing panics, nothing spins, streams stay in order, and in the end nothing is left.
//!
//! `USERTCP_SEED=n` runs one seed alone.

mod world;

use usertcp_core::config::SynCookies;
use usertcp_core::error::Errno;
use usertcp_core::link::impair::Impairment;
use usertcp_core::rng::Rng;
use usertcp_core::sim::{Endpoint, Network, Settled};
use usertcp_core::stack::socket::options::{IPPROTO_IPV6, IPPROTO_TCP, IPV6_V6ONLY, SOL_SOCKET, sol, tcp};
use usertcp_core::stack::socket::{self, Readiness};
use usertcp_core::stack::{Domain, LinkState, Shutdown};
use usertcp_core::time::Duration;
use usertcp_tracecheck::{Kind, Options};
use world::*;

/// What the judge finds while a link is down: answers that do not come, and what is behind a FIN that was never seen, which it
/// takes for data, and retransmissions half as many as there were.
const SILENCE: [Kind; 8] = [
    Kind::ResetInvalid,
    Kind::FinMoved,
    Kind::RtoNotBackedOff,
    Kind::AckDelayed,
    Kind::StretchAck,
    Kind::OutOfOrderNotAcked,
    Kind::GapFillNotAcked,
    Kind::DuplicateNotAcked,
];

/// A socket, and how far its streams are: byte n of any stream is a function of n.
struct Held {
    endpoint: Endpoint,
    sent: usize,
    received: usize,
}

impl Held {
    const fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, sent: 0, received: 0 }
    }
}

const fn byte(position: usize) -> u8 {
    (position as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]
}

struct World {
    net: Network,
    rng: Rng,
    held: Vec<Held>,
    /// Bytes and datagrams received and connections accepted, for the test to know that something happened.
    received: usize,
    accepted: usize,
    datagrams: usize,
}

const TARGETS: [&str; 8] = [
    SERVER_V4,
    SERVER_V6,
    "192.0.2.1:80",
    "127.0.0.1:80",
    "192.0.2.77:9",
    "[::]:80",
    "[::ffff:192.0.2.2]:80",
    "[::ffff:0.0.0.0]:80",
];

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::from_seed(seed);
        let what = Impairment {
            delay: Duration::from_micros(u64::from(rng.below(5_000))),
            loss: 0.02,
            duplicate: 0.02,
            reorder: 0.05,
            reorder_delay: Duration::from_millis(2),
            corrupt: 0.01,
            ..Impairment::default()
        };
        let judge: fn(&mut Options) = |options| {
            options.allowed.extend(SILENCE);
            // A stack that is closed as a whole ends its connections by FIN, also where data was left unread.
            options.allowed.push(Kind::UnreadAtClose);
        };
        let mut plan = Plan { impairment: Some((what, seed)), judge, ..Plan::default() };
        for config in &mut plan.configs {
            config.secret = rng.next_key();
            config.max_sockets = 40;
            config.buffers.receive = 20_000;
            config.buffers.send = 20_000;
            config.buffers.awake_connections = 2 * (seed % 3) as usize;
            config.udp.receive = 20_000;
            config.udp.send = 20_000;
            config.udp.port_first = 40_000;
            config.udp.port_last = 40_004;
            config.tcp.port_first = 40_000;
            config.tcp.port_last = 40_020;
            config.tcp.msl = Duration::from_secs(1);
            config.tcp.syn_queue_extra = rng.below(3);
            let cookies = [SynCookies::Off, SynCookies::WhenFull, SynCookies::Always];
            config.tcp.syn_cookies = cookies[rng.below(3) as usize];
            config.tcp.abort_on_overflow = rng.chance(0.2);
        }
        Self { net: network(plan), rng, held: Vec::new(), received: 0, accepted: 0, datagrams: 0 }
    }

    fn host(&mut self) -> usize {
        self.rng.below(2) as usize
    }

    fn target(&mut self) -> &'static str {
        TARGETS[self.rng.below(TARGETS.len() as u32) as usize]
    }

    fn step(&mut self) {
        let pick = self.rng.below(100);
        let count = self.held.len() as u32;
        let index = self.rng.below(count.max(1)) as usize;
        match pick {
            0..=6 => self.open(),
            _ if count == 0 => self.open(),
            7..=34 => self.send(index),
            35..=64 => self.receive(index),
            65..=74 => self.accept(index),
            75..=80 => self.call(index),
            81..=84 => self.close(index),
            85 => self.link(),
            _ => {
                let time = Duration::from_micros(u64::from(self.rng.below(20_000)));
                assert!(self.net.run_for(time), "livelock");
            }
        }
        assert_ne!(self.net.settle(), Settled::Livelock);
    }

    fn open(&mut self) {
        let (host, target) = (self.host(), address(self.target()));
        let opened = match self.rng.below(4) {
            0 => self.net.listen(host, target, 3),
            1 => self.net.connect(host, target),
            2 => self.net.datagram_socket(host, target),
            _ => self.net.socket(host, Domain::of(target.ip())),
        };
        self.held.extend(opened.ok().map(Held::new));
    }

    fn accept(&mut self, index: usize) {
        let endpoint = self.held[index].endpoint.clone();
        if let Ok(accepted) = self.net.accept(&endpoint) {
            self.held.push(Held::new(accepted));
            self.accepted += 1;
        }
    }

    fn send(&mut self, index: usize) {
        let target = address(self.target());
        let held = &mut self.held[index];
        let len = self.rng.below(6_000) as usize;
        if held.endpoint.cell.lock().datagrams.is_some() {
            let bytes: Vec<u8> = (0..len).map(byte).collect();
            let target = Some(target).filter(|_| self.rng.chance(0.8));
            let _ = self.net.send_to(&held.endpoint, &bytes, target);
            return;
        }
        let bytes: Vec<u8> = (held.sent..held.sent + len).map(byte).collect();
        if let Ok(count) = self.net.send(&held.endpoint, &bytes) {
            held.sent += count;
        }
    }

    fn receive(&mut self, index: usize) {
        let held = &mut self.held[index];
        if let Ok(Some((bytes, _))) = self.net.recv_from(&held.endpoint) {
            assert!(bytes.iter().copied().eq((0..bytes.len()).map(byte)), "a datagram of other bytes");
            self.datagrams += 1;
        }
        if let Ok(bytes) = self.net.recv(&held.endpoint, self.rng.below(8_000) as usize) {
            let expected = held.received..held.received + bytes.len();
            assert!(bytes.iter().copied().eq(expected.map(byte)), "a stream out of order");
            held.received += bytes.len();
            self.received += bytes.len();
        }
    }

    /// A control call, whatever comes of it.
    fn call(&mut self, index: usize) {
        let endpoint = self.held[index].endpoint.clone();
        let (now, target) = (self.net.now, address(self.target()));
        let (id, value) = (endpoint.id, self.rng.below(5_000));
        let stack = &mut self.net.hosts[endpoint.host].stack;
        let _ = match self.rng.below(14) {
            0 => stack.bind(id, target),
            1 => stack.listen(now, id, value % 3),
            2 => stack.connect(now, id, target),
            3 => stack.shutdown(now, id, Shutdown::Write),
            4 => stack.shutdown(now, id, Shutdown::Read),
            5 => stack.abort(now, id),
            6 => stack.set_option(now, id, SOL_SOCKET, sol::SO_RCVBUF, &value.to_ne_bytes()),
            7 => stack.set_option(now, id, SOL_SOCKET, sol::SO_REUSEADDR, &(value % 2).to_ne_bytes()),
            8 => stack.set_option(now, id, SOL_SOCKET, sol::SO_REUSEPORT, &(value % 2).to_ne_bytes()),
            9 => stack.set_option(now, id, IPPROTO_IPV6, IPV6_V6ONLY, &(value % 2).to_ne_bytes()),
            10 => stack.set_option(now, id, IPPROTO_TCP, tcp::TCP_DEFER_ACCEPT, &(value % 4).to_ne_bytes()),
            11 => stack.set_option(now, id, IPPROTO_TCP, tcp::TCP_NODELAY, &value.to_ne_bytes()),
            12 => stack.dissolve(id),
            _ => stack.tcp_info(now, id).and_then(|_| stack.local_address(id)).map(|_| ()),
        };
        // A promise that is taken back, and a kick out of the blue.
        if let Ok(count) = socket::reserve(&endpoint.cell, 3_000, None) {
            socket::cancel(&endpoint.cell, count, &mut Vec::new());
        }
        self.net.hosts[endpoint.host].stack.handle_kick(now, id);
        assert!(!self.net.readiness(&endpoint).any(Readiness::NVAL));
    }

    fn close(&mut self, index: usize) {
        let held = self.held.swap_remove(index);
        self.net.close(&held.endpoint);
        assert_eq!(self.net.send(&held.endpoint, b"x"), Err(Errno::EBADF));
    }

    fn link(&mut self) {
        let (host, now) = (self.host(), self.net.now);
        let state = if self.rng.chance(0.3) { LinkState::Down } else { LinkState::Up };
        self.net.hosts[host].stack.handle_link(now, state);
    }

    fn end(mut self) {
        let now = self.net.now;
        let graceful = self.rng.chance(0.5);
        for host in &mut self.net.hosts {
            host.stack.handle_link(now, LinkState::Up);
            host.stack.close_all(now);
        }
        if graceful {
            assert!(self.net.run_for(secs(100)), "livelock");
        }
        let now = self.net.now;
        self.net.hosts.iter_mut().for_each(|host| host.stack.abort_all(now));
        assert!(self.net.run_for(secs(200)), "livelock");
        for host in &self.net.hosts {
            assert_eq!((host.stack.sockets(), host.stack.live_connections()), (0, 0));
        }
    }
}

fn run(seed: u64) -> (usize, usize, usize) {
    let mut world = World::new(seed);
    (0..2500).for_each(|_| world.step());
    let happened = (world.received, world.accepted, world.datagrams);
    world.end();
    happened
}

#[test]
fn whatever_programs_do_nothing_breaks_and_nothing_is_left() {
    let seeds = match std::env::var("USERTCP_SEED").ok().and_then(|text| text.parse::<u64>().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..300,
    };
    let (mut received, mut accepted, mut heard) = (0, 0, 0);
    for seed in seeds.clone() {
        let outcome = std::panic::catch_unwind(|| run(seed));
        let (bytes, connections, datagrams) =
            outcome.unwrap_or_else(|_| panic!("failed with USERTCP_SEED={seed}"));
        received += bytes;
        accepted += connections;
        heard += datagrams;
    }
    println!("{received} bytes over {accepted} connections, {heard} datagrams");
    assert!(
        seeds.end - seeds.start < 300 || (received > 10_000_000 && accepted > 1_000 && heard > 1_000),
        "too little happened"
    );
}
