//! A connection that has slept is the connection that it was: the same calls on two networks, in one of which every connection sleeps whenever it is at rest.

mod world;

use proptest::prelude::*;
use usertcp_core::config::{Config, Personality};
use usertcp_core::error::Errno;
use usertcp_core::link::Device;
use usertcp_core::link::impair::{Impaired, Impairment};
use usertcp_core::link::pipe::{Offload, pipe};
use usertcp_core::sim::{Endpoint, Host, Network};
use usertcp_core::stack::socket::Readiness;
use usertcp_core::stack::socket::options::{IPPROTO_TCP, SOL_SOCKET, sol, tcp};
use usertcp_core::stack::{Shutdown, TcpInfo};
use usertcp_core::time::{Duration, Instant};
use world::*;

#[derive(Clone, Copy, Debug)]
enum Call {
    Send(usize),
    Receive(usize),
    NoDelay(bool),
    KeepAlive,
    Reno,
    Shut,
    Close,
}

/// What a host shows of a connection.
type Shown = (Result<TcpInfo, Errno>, Readiness, Vec<u8>);

fn call(net: &mut Network, end: &Endpoint, what: Call) -> Vec<u8> {
    let now = net.now;
    let mut set = |level, name, value: &[u8]| {
        // Of a socket that is closed by now nothing can be set.
        let _outcome = net.hosts[end.host].stack.set_option(now, end.id, level, name, value);
    };
    match what {
        Call::Send(count) => drop(net.send(end, &vec![7; count])),
        Call::Receive(most) => return net.recv(end, most).unwrap_or_default(),
        Call::NoDelay(on) => set(IPPROTO_TCP, tcp::TCP_NODELAY, &i32::from(on).to_ne_bytes()),
        Call::KeepAlive => {
            set(SOL_SOCKET, sol::SO_KEEPALIVE, &1i32.to_ne_bytes());
            set(IPPROTO_TCP, tcp::TCP_KEEPIDLE, &2i32.to_ne_bytes());
        }
        Call::Reno => set(IPPROTO_TCP, tcp::TCP_CONGESTION, b"reno"),
        Call::Shut => drop(net.shutdown(end, Shutdown::Write)),
        Call::Close => net.close(end),
    }
    Vec::new()
}

/// Everything that both hosts show after each call, and how many connections slept at most.
fn run(
    awake: usize,
    personality: Personality,
    seed: u64,
    calls: &[(bool, Call, u64)],
) -> (Vec<Shown>, usize) {
    let what = Impairment {
        delay: Duration::from_millis(5),
        loss: 0.03,
        reorder: 0.03,
        reorder_delay: Duration::from_millis(3),
        duplicate: 0.03,
        ..Impairment::default()
    };
    // Nobody judges: what is sent is not the matter, but that it is the same.
    let (left, right) = pipe(1500, 1 << 16, Offload::Off);
    let left = Impaired::new(Box::new(left), what, seed).expect("impairment");
    let ends: [(usize, Box<dyn Device>); 2] = [(CLIENT, Box::new(left)), (SERVER, Box::new(right))];
    let hosts = ends.map(|(host, device)| {
        let Config { addresses, secret, .. } = config(host);
        let mut config = Config { addresses, secret, ..Config::of(personality) };
        config.buffers.awake_connections = awake;
        Host::new(config, device).expect("a host")
    });
    let mut net = Network::new(Instant::from_millis(1_000_000), hosts.into());
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let client = net.connect(CLIENT, address(SERVER_V4)).expect("connect");
    let mut server = None;
    net.run_until(secs(100), |net| {
        server = server.take().or_else(|| net.accept(&listener).ok());
        server.is_some()
    });
    let ends = [client, server.expect("a connection")];
    let (mut shown, mut asleep) = (Vec::new(), 0);
    for (who, what, pause) in calls {
        let read = call(&mut net, &ends[usize::from(*who)], *what);
        net.run_for(Duration::from_micros(*pause));
        for end in &ends {
            let info = net.hosts[end.host].stack.tcp_info(net.now, end.id);
            shown.push((info, net.readiness(end), read.clone()));
            asleep = asleep.max(net.hosts[end.host].stack.asleep());
        }
    }
    (shown, asleep)
}

fn calls() -> impl Strategy<Value = Vec<(bool, Call, u64)>> {
    let call = prop_oneof![
        8 => (1usize..2000).prop_map(Call::Send),
        2 => (2000usize..100_000).prop_map(Call::Send),
        8 => (1usize..100_000).prop_map(Call::Receive),
        1 => any::<bool>().prop_map(Call::NoDelay),
        1 => Just(Call::KeepAlive),
        1 => Just(Call::Reno),
        1 => Just(Call::Shut),
    ];
    let pause = prop_oneof![3 => 0u64..1000, 3 => 1000u64..100_000, 2 => 100_000u64..5_000_000];
    prop::collection::vec((any::<bool>(), call, pause), 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn nobody_can_tell_who_has_slept(
        calls in calls(),
        seed in any::<u64>(),
        closes in any::<(bool, bool)>(),
        linux in any::<bool>(),
    ) {
        let personality = if linux { Personality::Linux } else { Personality::FreeBsd };
        let mut calls = calls;
        let ends = [(closes.0, true), (closes.1, false)];
        calls.extend(ends.into_iter().filter(|(closes, _)| *closes).map(|(_, who)| (who, Call::Close, 2_000_000)));
        let (awake, slept) = run(usize::MAX, personality, seed, &calls);
        prop_assert_eq!(slept, 0);
        let (asleep, _) = run(0, personality, seed, &calls);
        for (number, (one, other)) in awake.iter().zip(&asleep).enumerate() {
            prop_assert_eq!(one, other, "after {:?}", calls[number / 2]);
        }
    }
}

#[test]
fn who_is_at_rest_sleeps_and_wakes_to_what_comes() {
    let calls = [(false, Call::Send(100), 1_000_000), (true, Call::Receive(100), 1_000_000)];
    let (_, slept) = run(0, Personality::Linux, 1, &calls);
    assert_eq!(slept, 1, "the one connection of a host");
}
