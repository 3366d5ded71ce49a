//! Networks that simulation tests are made of: two hosts and the link between them.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

pub mod invariants;
mod judge;

#[allow(unused_imports, reason = "each test program uses its part")]
pub use invariants::watched;
#[allow(unused_imports, reason = "each test program uses its part")]
pub use judge::{capture_into, host, judged};
use std::net::SocketAddr;
use usertcp_core::config::{Config, Prefix};
use usertcp_core::error::Errno;
use usertcp_core::link::Device;
use usertcp_core::link::impair::{Impaired, Impairment, Path};
use usertcp_core::link::pipe::{Offload, pipe};
use usertcp_core::rng::Rng;
use usertcp_core::sim::{Endpoint, Network, Outcome, Router};
use usertcp_core::stack::socket;
use usertcp_core::time::{Duration, Instant};
use usertcp_tracecheck::Options;

/// Index of the host that connects.
pub const CLIENT: usize = 0;
/// Index of the host that listens.
pub const SERVER: usize = 1;

/// Where the server listens, over IPv4.
pub const SERVER_V4: &str = "192.0.2.2:80";
/// Where the server listens, over IPv6.
pub const SERVER_V6: &str = "[2001:db8::2]:80";

pub fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn prefix(text: &str) -> Prefix {
    text.parse().expect("a prefix")
}

/// Settings of a host by its index; every secret is different.
pub fn config(host: usize) -> Config {
    let n = host + 1;
    Config {
        addresses: vec![prefix(&format!("192.0.2.{n}/24")), prefix(&format!("2001:db8::{n}/64"))],
        secret: [n as u8 + 40; 16],
        ..Config::default()
    }
}

/// How to build a network.
pub struct Plan {
    pub configs: [Config; 2],
    pub offload: Offload,
    pub impairment: Option<(Impairment, u64)>,
    /// What the client receives passes this instead.
    pub incoming: Option<Impairment>,
    /// Other impairments, outgoing and incoming, from so long after the start on.
    pub changes: Vec<(Duration, [Impairment; 2])>,
    pub start: Instant,
    /// Packets that fit into each direction of the pipe.
    pub queue: usize,
    /// What the judges of both hosts have to know beyond their settings.
    pub judge: fn(&mut Options),
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            configs: [config(CLIENT), config(SERVER)],
            offload: Offload::Off,
            impairment: None,
            incoming: None,
            changes: Vec::new(),
            start: Instant::from_millis(1_000_000),
            queue: 1 << 16,
            judge: |_| {},
        }
    }
}

/// Two hosts back to back; an impairment stands on the client's side and works both ways.
pub fn network(plan: Plan) -> Network {
    let Plan { configs: [client, server], offload, impairment, incoming, changes, start, queue, judge } =
        plan;
    let (left, right) = pipe(1500, queue, offload);
    let left: Box<dyn Device> = match impairment {
        Some((what, seed)) => {
            let incoming = incoming.unwrap_or(what);
            let mut left = Impaired::asymmetric(Box::new(left), what, incoming, seed).expect("impairment");
            for (after, [outgoing, incoming]) in changes {
                left.paths().0.change_at(start + after, outgoing).expect("impairment");
                left.paths().1.change_at(start + after, incoming).expect("impairment");
            }
            Box::new(left)
        }
        None => Box::new(left),
    };
    let client = judged(client, left, judge);
    let server = judged(server, Box::new(right), judge);
    watched(Network::new(start, vec![client, server]))
}

/// Hosts around a router; a path is what packets pass on their way from the router to that host. What many hosts send to one shares its path.
pub fn star(hosts: Vec<(Config, Impairment)>, offload: Offload, seed: u64) -> Network {
    let rng = Rng::from_seed(seed);
    let mut router = Router::new();
    let mut all = Vec::new();
    for (index, (config, impairment)) in hosts.into_iter().enumerate() {
        let (near, far) = pipe(1500, 1 << 16, offload);
        let path = Path::new(impairment, rng.fork(&format!("port {index}"))).expect("impairment");
        let whole =
            |prefix: &Prefix| Prefix { length: if prefix.address.is_ipv4() { 32 } else { 128 }, ..*prefix };
        router.attach(Box::new(far), path, config.addresses.iter().map(whole).collect());
        all.push(host(config, Box::new(near)));
    }
    let mut net = Network::new(Instant::from_millis(1_000_000), all);
    net.routers.push(router);
    watched(net)
}

pub fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A connection between two hosts: the client's end, the server's end, the listener.
pub fn pair(net: &mut Network, target: &str) -> (Endpoint, Endpoint, Endpoint) {
    let listener = net.listen(SERVER, address(target), 5).expect("listen");
    let client = net.connect(CLIENT, address(target)).expect("connect");
    net.settle();
    assert_eq!(socket::connected(&client.cell, None), Ok(()));
    let server = net.accept(&listener).expect("accept");
    (client, server, listener)
}

/// Sends `length` bytes and looks that they arrive; the time it took.
pub fn carry(net: &mut Network, from: &Endpoint, to: &Endpoint, length: usize) -> Duration {
    let bytes: Vec<u8> = (0..length).map(|at| ((at * at) >> 7) as u8).collect();
    let (mut sent, mut got, begun) = (0, Vec::new(), net.now);
    let outcome = net.run_until(secs(1000), |net| {
        while sent < bytes.len() {
            match net.send(from, &bytes[sent..]) {
                Ok(count) => sent += count,
                Err(Errno::EAGAIN) => break,
                Err(errno) => panic!("send: {errno:?}"),
            }
        }
        while let Ok(piece) = net.recv(to, 1 << 20) {
            assert!(!piece.is_empty(), "end of stream");
            got.extend(piece);
        }
        got.len() == bytes.len()
    });
    assert_eq!(outcome, Outcome::Met);
    assert!(got == bytes, "other bytes");
    net.now.since(begun)
}
