//! Networks of more than two hosts: senders that share a bottleneck, and links of different MTUs behind one another.

mod world;

use usertcp_core::config::Ecn;
use usertcp_core::error::Errno;
use usertcp_core::link::impair::Impairment;
use usertcp_core::link::pipe::Offload;
use usertcp_core::sim::{Endpoint, Network, Outcome};
use usertcp_core::time::Duration;
use world::*;

/// Moves what goes from `from` to `to`, and returns how much arrived.
fn pump(net: &mut Network, from: &Endpoint, to: &Endpoint) -> usize {
    while !matches!(net.send(from, &[7; 30_000]), Err(Errno::EAGAIN)) {}
    let mut count = 0;
    while let Ok(bytes) = net.recv(to, 1 << 20) {
        count += bytes.len();
    }
    count
}

/// Connections from every host but the first to the first.
fn connected(net: &mut Network, target: &str) -> Vec<(Endpoint, Endpoint)> {
    let listener = net.listen(0, address(target), 10).expect("listen");
    let mut pairs = Vec::new();
    for host in 1..net.hosts.len() {
        let client = net.connect(host, address(target)).expect("connect");
        let mut server = None;
        let outcome = net.run_until(secs(5), |net| {
            server = server.take().or_else(|| net.accept(&listener).ok());
            server.is_some()
        });
        assert_eq!(outcome, Outcome::Met);
        pairs.push((client, server.expect("accepted")));
    }
    pairs
}

#[test]
fn many_senders_fill_one_bottleneck_and_no_more() {
    let bottleneck = Impairment {
        rate: 40_000_000,
        delay: Duration::from_millis(10),
        queue: 100,
        ..Impairment::default()
    };
    let back = Impairment { delay: Duration::from_millis(10), ..Impairment::default() };
    for target in ["192.0.2.1:80", "[2001:db8::1]:80"] {
        let hosts = (0..5).map(|n| (config(n), if n == 0 { bottleneck } else { back })).collect();
        let mut net = star(hosts, Offload::On, 1);
        let pairs = connected(&mut net, target);
        let mut received = vec![0; pairs.len()];
        let start = net.now;
        let outcome = net.run_until(secs(30), |net| {
            for ((client, server), sum) in pairs.iter().zip(&mut received) {
                *sum += pump(net, client, server);
            }
            net.now.since(start) >= secs(10)
        });
        assert_eq!(outcome, Outcome::Met);
        let total: usize = received.iter().sum();
        assert!((40_000_000..50_000_000).contains(&total), "40 Mbit/s for ten seconds: {received:?}");
        assert!(received.iter().all(|sum| *sum > 3_000_000), "nobody starves: {received:?}");
        let path = net.routers[0].path(0).expect("a port");
        assert!(path.statistics().dropped > 0, "the queue was full");
        assert_eq!(net.routers[0].unroutable, 0);
    }
}

#[test]
fn senders_whose_packets_are_marked_lose_none() {
    let bottleneck = Impairment {
        rate: 40_000_000,
        delay: Duration::from_millis(10),
        queue: 200,
        mark: 30,
        ..Impairment::default()
    };
    let back = Impairment { delay: Duration::from_millis(10), ..Impairment::default() };
    for (target, offload) in [("192.0.2.1:80", Offload::On), ("[2001:db8::1]:80", Offload::Off)] {
        let settings = |n| {
            let mut config = config(n);
            config.tcp.ecn = if n == 0 { Ecn::Passive } else { Ecn::On };
            config
        };
        let hosts = (0..4).map(|n| (settings(n), if n == 0 { bottleneck } else { back })).collect();
        let mut net = star(hosts, offload, 1);
        let pairs = connected(&mut net, target);
        let mut received = vec![0; pairs.len()];
        let start = net.now;
        let outcome = net.run_until(secs(30), |net| {
            for ((client, server), sum) in pairs.iter().zip(&mut received) {
                *sum += pump(net, client, server);
            }
            net.now.since(start) >= secs(10)
        });
        assert_eq!(outcome, Outcome::Met);
        let total: usize = received.iter().sum();
        assert!((40_000_000..50_000_000).contains(&total), "40 Mbit/s for ten seconds: {received:?}");
        assert!(received.iter().all(|sum| *sum > 6_000_000), "nobody starves: {received:?}");
        let statistics = *net.routers[0].path(0).expect("a port").statistics();
        assert!(statistics.marked > 0 && statistics.dropped == 0, "{statistics:?}");
        assert!(net.hosts[0].stack.counters().tcp_ecn_marks >= statistics.marked - 1);
        for (client, _) in &pairs {
            let counters = net.hosts[client.host].stack.counters();
            assert_eq!((counters.tcp_retransmits, counters.tcp_timeouts), (0, 0));
            let reductions = counters.tcp_ecn_reductions;
            assert!((5..100).contains(&reductions), "once in many round trips: {reductions}");
            let info = net.hosts[client.host].stack.tcp_info(net.now, client.id).expect("figures");
            assert!(info.options & 8 != 0 && info.delivered_ce > 0, "{info:?}");
        }
    }
}

#[test]
fn a_router_tells_of_the_smaller_link_behind_it_or_a_black_hole_swallows() {
    let narrow = Impairment { mtu: 1300, mtu_told: true, ..Impairment::default() };
    for target in ["192.0.2.1:80", "[2001:db8::1]:80"] {
        let mut net = star(vec![(config(0), narrow), (config(1), Impairment::default())], Offload::On, 2);
        let pairs = connected(&mut net, target);
        let (client, server) = &pairs[0];
        let mut received = 0;
        let outcome = net.run_until(secs(60), |net| {
            received += pump(net, client, server);
            received >= 1_000_000
        });
        assert_eq!(outcome, Outcome::Met);
        assert_eq!(net.hosts[1].stack.tcp_info(net.now, client.id).expect("info").pmtu, 1300);
        let statistics = *net.routers[0].path(0).expect("a port").statistics();
        assert!(statistics.told > 0 && statistics.told == statistics.too_big, "{statistics:?}");
    }
}

#[test]
fn what_leads_nowhere_is_counted() {
    let mut net = star(vec![(config(0), Impairment::default())], Offload::Off, 3);
    net.connect(0, address("198.51.100.1:80")).expect("begun");
    net.settle();
    assert_eq!(net.routers[0].unroutable, 1);
}
