//! Paths that swallow packets and say nothing: segments get smaller, probes find out what passes, and everybody who goes there knows (RFC 4821).

mod world;

use usertcp_core::config::{Config, MtuProbing};
use usertcp_core::link::impair::{Impaired, Impairment};
use usertcp_core::link::pipe::{Offload, pipe};
use usertcp_core::sim::{Endpoint, Network, Outcome};
use usertcp_core::time::{Duration, Instant};
use usertcp_tracecheck::Kind;
use world::{CLIENT, SERVER, SERVER_V4, SERVER_V6, address, carry, config, host, judged, secs};

const LINK: u16 = 1500;

/// A path of 20 ms there and back that carries `mtu` bytes and says nothing of it.
fn path(mtu: u16) -> Impairment {
    Impairment {
        rate: 100_000_000,
        delay: Duration::from_millis(10),
        mtu,
        mtu_told: false,
        ..Impairment::default()
    }
}

/// Two hosts and a path between them that changes.
fn behind(
    first: Impairment,
    later: &[(Duration, Impairment)],
    offload: Offload,
    config: impl Fn(usize) -> Config,
) -> Network {
    let (left, right) = pipe(LINK, 1 << 16, offload);
    let mut left = Impaired::new(Box::new(left), first, 7).expect("a path");
    if first.mtu_told {
        // A router's report may be longer than the path that it tells of.
        left.paths().1.change_at(BEGIN, path(0)).expect("a change");
    }
    for (after, then) in later {
        let (out, back) = left.paths();
        out.change_at(BEGIN + *after, *then).expect("a change");
        back.change_at(BEGIN + *after, *then).expect("a change");
    }
    let client = judged(config(CLIENT), Box::new(left), |options| {
        // On a path as small as that routers may cut.
        if (1..config(CLIENT).ip.path_mtu_min).contains(&first.mtu) {
            options.allowed.push(Kind::MayFragment);
        }
    });
    let server = host(config(SERVER), Box::new(right));
    Network::new(BEGIN, vec![client, server])
}

const BEGIN: Instant = Instant::from_millis(1_000_000);

/// A connection between two hosts that are not in one place: the client's end, the server's end, the listener.
fn pair(net: &mut Network, target: &str) -> (Endpoint, Endpoint, Endpoint) {
    let listener = net.listen(SERVER, address(target), 5).expect("listen");
    let (client, server) = join(net, &listener, target);
    (client, server, listener)
}

fn join(net: &mut Network, listener: &Endpoint, target: &str) -> (Endpoint, Endpoint) {
    let client = net.connect(CLIENT, address(target)).expect("connect");
    assert!(net.run_for(Duration::from_millis(100)));
    (client, net.accept(listener).expect("accept"))
}

/// Bytes of data in a full segment of `end`, and its headers: what packets it sends.
fn packets(net: &Network, end: &Endpoint, target: &str) -> u32 {
    let headers = if target.starts_with('[') { 72 } else { 52 };
    net.hosts[end.host].stack.tcp_info(net.now, end.id).expect("figures").snd_mss + headers
}

/// Lets `time` pass, in which `from` sends 50 kB every so often.
fn talk(net: &mut Network, from: &Endpoint, to: &Endpoint, time: Duration) {
    let end = net.now + time;
    while net.now < end {
        carry(net, from, to, 50_000);
        assert!(net.run_for(Duration::from_millis(50)));
    }
}

fn counters(net: &Network) -> [u64; 4] {
    let counters = net.hosts[CLIENT].stack.counters();
    [counters.tcp_black_holes, counters.tcp_timeouts, counters.tcp_mtu_probes, counters.tcp_mtu_probes_lost]
}

//= https://www.rfc-editor.org/rfc/rfc4821#section-7.7
//= type=test
//# If there is a full-stop timeout and there was not an ICMP message indicating a reason (PTB, Net unreachable, etc., or the ICMP message was ignored for some reason), the RECOMMENDED first recovery action is to treat this as a detected ICMP black hole (4821:7.7-2)
//= https://www.rfc-editor.org/rfc/rfc4821#section-7.7
//= type=test
//# If eff_pmtu is larger than search_low, set eff_pmtu to search_low. Otherwise, set both eff_pmtu and search_low to the initial value for search_low. (4821:7.7-3)
//= https://www.rfc-editor.org/rfc/rfc4821#section-7.6.1
//= type=test
//# Set search_low to the probe size. If the probe size is larger than the eff_pmtu, raise eff_pmtu to the probe size. (4821:7.6.1-1)
#[test]
fn a_path_that_swallows_segments_is_found_out_from_below() {
    for offload in [Offload::Off, Offload::On] {
        for target in [SERVER_V4, SERVER_V6] {
            let mut net = behind(path(1400), &[], offload, config);
            let (client, server, listener) = pair(&mut net, target);
            let stall = carry(&mut net, &client, &server, 100_000);
            assert!(stall < secs(3), "{target}: {stall:?}");
            let [holes, timeouts, ..] = counters(&net);
            assert_eq!((holes, timeouts), (1, 3), "{target}");
            talk(&mut net, &client, &server, secs(60));
            let found = packets(&net, &client, target);
            assert!((1393..=1400).contains(&found), "{target}: {found}, {:?}", counters(&net));
            assert_eq!(counters(&net)[..2], [1, 3], "{target}: nothing was waited for again");

            // Others begin there.
            //= https://www.rfc-editor.org/rfc/rfc4821#section-5.2
            //= type=test
            //# The observed PMTU (eff_pmtu in Section 7.1) MAY be shared between different flows with a common path representation. (4821:5.2-1)
            //= https://www.rfc-editor.org/rfc/rfc4821#section-4
            //= type=test
            //# all Packetization Layer sessions that share the path representation (as described in Section 5.2) SHOULD be notified to make use of the new MTU (4821:4-8)
            let (second, accepted) = join(&mut net, &listener, target);
            let before = counters(&net);
            carry(&mut net, &second, &accepted, 100_000);
            assert_eq!(counters(&net), before, "{target}: nothing is lost");
            assert_eq!(packets(&net, &second, target), found);
        }
    }
}

#[test]
fn who_is_not_to_find_out_stalls() {
    let off = |n| {
        let mut config = config(n);
        config.tcp.mtu_probing = MtuProbing::Off;
        config
    };
    let mut net = behind(path(1400), &[], Offload::On, off);
    let (client, _server, _listener) = pair(&mut net, SERVER_V4);
    net.send(&client, &[0; 3000]).expect("send");
    assert!(net.run_for(secs(30)));
    assert_eq!(packets(&net, &client, SERVER_V4), 1500);
    assert_eq!(counters(&net)[0], 0);
}

//= https://www.rfc-editor.org/rfc/rfc4821#section-7.7
//= type=test
//# Upon additional successive timeouts, search_low and eff_pmtu SHOULD be halved, with a lower bound of 68 bytes for IPv4 and 1280 bytes for IPv6. (4821:7.7-4)
#[test]
fn a_very_small_path_is_found_in_steps_and_nothing_below_the_least() {
    let mut net = behind(path(700), &[], Offload::On, config);
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    let stall = carry(&mut net, &client, &server, 20_000);
    assert!(stall < secs(5), "{stall:?}");
    assert_eq!(counters(&net)[0], 2);
    talk(&mut net, &client, &server, secs(60));
    assert!((693..=700).contains(&packets(&net, &client, SERVER_V4)));

    // Less than a path of IPv6 may carry.
    let mut net = behind(path(1000), &[], Offload::On, config);
    let (client, _server, _listener) = pair(&mut net, SERVER_V6);
    net.send(&client, &[0; 3000]).expect("send");
    assert!(net.run_for(secs(60)));
    assert_eq!((packets(&net, &client, SERVER_V6), counters(&net)[0]), (1280, 1));
}

/// Nothing passes for a while, whatever its size.
#[test]
fn an_interruption_makes_a_path_look_small_no_longer_than_it_lasts() {
    let cut = Impairment { loss: 1.0, ..path(0) };
    let mut net = behind(path(0), &[(secs(1), cut), (secs(4), path(0))], Offload::On, config);
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    carry(&mut net, &client, &server, 100_000);
    assert!(net.run_until(secs(1), |_| false) != Outcome::Livelock);
    carry(&mut net, &client, &server, 200_000);
    assert!(counters(&net)[0] > 0);
    talk(&mut net, &client, &server, secs(1));
    assert_eq!((packets(&net, &client, SERVER_V4), counters(&net)[2..].to_vec()), (1500, vec![1, 0]));
}

/// Nothing passes for so long that the smallest segments vanish as well: no router may cut even those, and full ones go again without a probe.
#[test]
fn what_did_not_help_is_given_up_as_soon_as_something_passes() {
    for target in [SERVER_V4, SERVER_V6] {
        let cut = Impairment { loss: 1.0, ..path(0) };
        let mut net = behind(path(0), &[(secs(1), cut), (secs(30), path(0))], Offload::On, config);
        let (client, server, _listener) = pair(&mut net, target);
        carry(&mut net, &client, &server, 100_000);
        assert!(net.run_for(secs(1)));
        carry(&mut net, &client, &server, 200_000);
        assert!(counters(&net)[0] > 0);
        assert_eq!((packets(&net, &client, target), counters(&net)[2]), (1500, 0), "{target}");
    }
}

/// A path that becomes smaller under a connection, and larger again.
#[test]
fn a_path_that_changes_is_followed() {
    let changes = [(secs(2), path(1300)), (secs(60), path(0))];
    let mut net = behind(path(0), &changes, Offload::On, config);
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    carry(&mut net, &client, &server, 1_000_000);
    assert_eq!((packets(&net, &client, SERVER_V4), counters(&net)[..3].to_vec()), (1500, vec![0, 0, 0]));
    assert!(net.run_for(secs(3)));
    talk(&mut net, &client, &server, secs(50));
    assert!((1293..=1300).contains(&packets(&net, &client, SERVER_V4)));
    //= https://www.rfc-editor.org/rfc/rfc4821#section-7.3
    //= type=test
    //# When probing has converged, a timer SHOULD be set. When the timer expires, search_high should be reset to its initial value (described above) so that probing can resume. (4821:7.3-2)
    assert!(net.run_for(secs(500)));
    let before = counters(&net);
    carry(&mut net, &client, &server, 1_000_000);
    assert!((1293..=1300).contains(&packets(&net, &client, SERVER_V4)));
    assert_eq!(counters(&net), before, "nothing for ten minutes");
    assert!(net.run_for(secs(100)));
    carry(&mut net, &client, &server, 1_000_000);
    assert_eq!(packets(&net, &client, SERVER_V4), 1500);
}

//= https://www.rfc-editor.org/rfc/rfc4821#section-7.2
//= type=test
//# It is RECOMMENDED that search_low be initially set to an MTU size that is likely to work over a very wide range of environments. (4821:7.2-3)
//= https://www.rfc-editor.org/rfc/rfc8899#section-5.1.2
//= type=test
//# a default BASE_PLPMTU of 1200 bytes is RECOMMENDED. (8899:5.1.2-1)
//= https://www.rfc-editor.org/rfc/rfc4821#section-7.2
//= type=test
//# The initial value for search_high SHOULD be the largest possible packet that might be supported by the flow. (4821:7.2-1)
#[test]
fn who_begins_small_grows_to_what_the_path_carries() {
    let always = |n| {
        let mut config = config(n);
        config.tcp.mtu_probing = MtuProbing::Always;
        config
    };
    for (mtu, found) in [(0, 1500..=1500), (1400, 1393..=1400)] {
        let mut net = behind(path(mtu), &[], Offload::On, always);
        let (client, server, _listener) = pair(&mut net, SERVER_V4);
        assert_eq!(packets(&net, &client, SERVER_V4), 1200);
        let pmtu =
            |net: &Network| net.hosts[CLIENT].stack.tcp_info(net.now, client.id).expect("figures").pmtu;
        assert_eq!(pmtu(&net), 1200);
        talk(&mut net, &client, &server, secs(60));
        assert!(found.contains(&packets(&net, &client, SERVER_V4)));
        assert!(found.contains(&pmtu(&net)));
        assert_eq!(counters(&net)[..2], [0, 0]);
    }
}

/// What was found holds for as long as somebody goes there, and no longer is it looked for again than every so often.
#[test]
fn what_is_in_use_is_not_forgotten() {
    let always = |n| {
        let mut config = config(n);
        config.tcp.mtu_probing = MtuProbing::Always;
        config
    };
    let mut net = behind(path(0), &[], Offload::On, always);
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    talk(&mut net, &client, &server, secs(2));
    assert_eq!((packets(&net, &client, SERVER_V4), counters(&net)[2]), (1500, 1));
    for _ in 0..40 {
        assert!(net.run_for(secs(100)));
        carry(&mut net, &client, &server, 1000);
        assert_eq!(packets(&net, &client, SERVER_V4), 1500, "at {:?}", net.now.since(BEGIN));
    }
    assert_eq!(counters(&net)[2], 1);
    // Later nobody knows what has become of it.
    assert!(net.run_for(secs(1300)));
    carry(&mut net, &client, &server, 1000);
    assert_eq!(packets(&net, &client, SERVER_V4), 1200);
}

/// Who only asks for a connection, and who carries nothing to speak of, takes no room from what is known of others.
#[test]
fn only_who_probes_has_a_place_among_the_paths() {
    let always = |n| {
        let mut config = config(n);
        config.tcp.mtu_probing = MtuProbing::Always;
        config.ip.path_mtus = 3;
        config
    };
    let told = Impairment { mtu_told: true, ..path(1000) };
    let mut net = behind(told, &[], Offload::On, always);
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    assert_eq!(packets(&net, &client, SERVER_V4), 1200);
    carry(&mut net, &client, &server, 3000);
    let told = |net: &Network| net.hosts[CLIENT].stack.counters().icmp_errors_in;
    let before = (counters(&net), told(&net));
    assert_eq!((packets(&net, &client, SERVER_V4), before.1 > 0), (1000, true));
    for host in 10..20 {
        net.connect(CLIENT, address(&format!("192.0.2.{host}:80"))).expect("a SYN");
    }
    assert!(net.run_for(secs(2)));
    carry(&mut net, &client, &server, 3000);
    assert_eq!(packets(&net, &client, SERVER_V4), 1000);
    assert_eq!((counters(&net)[2..].to_vec(), told(&net)), (before.0[2..].to_vec(), before.1));
}

/// Where a route says what it carries, nothing beyond that is tried; one below `path_mtu_base` is never tried at all.
//= https://www.rfc-editor.org/rfc/rfc4821#section-4
//= type=test
//# There SHOULD be per-protocol and per-route limits on the initial effective Path MTU (eff_pmtu) and the upper searching limit (search_high). (4821:4-12)
//= https://www.rfc-editor.org/rfc/rfc4821#section-7.2
//= type=test
//# The initial value for search_low SHOULD be configurable. (4821:7.2-4)
#[test]
fn routes_and_settings_bound_the_search() {
    for (base, begins) in [(1000, 1000), (1350, 1300)] {
        let always = |n| {
            let mut config = config(n);
            config.tcp.mtu_probing = MtuProbing::Always;
            config.ip.path_mtu_base = base;
            config.routes = vec!["192.0.2.2/32 via 192.0.2.9 mtu 1300".parse().expect("a route")];
            config
        };
        let mut net = behind(path(0), &[], Offload::On, always);
        let (client, server, _listener) = pair(&mut net, SERVER_V4);
        assert_eq!(packets(&net, &client, SERVER_V4), begins);
        talk(&mut net, &client, &server, secs(2));
        assert_eq!((packets(&net, &client, SERVER_V4), counters(&net)[3]), (1300, 0));
    }
}

/// Where routers are let cut what is too long, a probe must not be cut.
//= https://www.rfc-editor.org/rfc/rfc8899#section-3
//= type=test
//# In IPv4, a probe packet MUST be sent with the Don't Fragment (DF) bit set in the IP header and without network layer endpoint fragmentation. (8899:3-3)
#[test]
fn a_probe_is_never_cut() {
    let always = |n| {
        let mut config = config(n);
        config.tcp.mtu_probing = MtuProbing::Always;
        config
    };
    // Routers may cut because one told of the path; later none tells what becomes of probes.
    let told = Impairment { mtu_told: true, ..path(500) };
    let mut net = behind(told, &[(secs(30), path(500))], Offload::Off, always);
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    carry(&mut net, &client, &server, 20_000);
    assert!(net.run_for(secs(610)));
    talk(&mut net, &client, &server, secs(20));
    // As small as a path is ever taken to be, and what is too long even so goes in fragments.
    let found = packets(&net, &client, SERVER_V4);
    assert!((552..560).contains(&found), "{found}");
    let server = net.hosts[SERVER].stack.counters();
    assert!(server.ip_reassembled > 100, "{}", server.ip_reassembled);
    assert!(counters(&net)[2] > 1);
}

/// What a program that asks for IP_PMTUDISC_PROBE gets: segments that find out by themselves, and routers that are not believed.
#[test]
fn a_stream_that_probes_by_itself_believes_no_router() {
    use usertcp_core::stack::socket::ip::{IPPROTO_IP, v4::IP_MTU_DISCOVER};
    let told = Impairment { mtu_told: true, ..path(1400) };
    let mut net = behind(told, &[], Offload::On, config);
    let listener = net.listen(SERVER, address(SERVER_V4), 5).expect("listen");
    let (client, server) = join(&mut net, &listener, SERVER_V4);
    let probe = 3i32.to_ne_bytes();
    net.hosts[CLIENT].stack.set_option(net.now, client.id, IPPROTO_IP, IP_MTU_DISCOVER, &probe).expect("set");
    talk(&mut net, &client, &server, secs(60));
    let found = packets(&net, &client, SERVER_V4);
    assert!((1393..=1400).contains(&found), "{found}");
    let stack = &net.hosts[CLIENT].stack;
    assert_eq!((stack.counters().icmp_errors_in, stack.counters().tcp_black_holes), (0, 0));
    assert!(stack.counters().dropped(usertcp_core::counters::Drop::IcmpMtu) > 0);
}

/// A router that tells after all.
//= https://www.rfc-editor.org/rfc/rfc4821#section-7.6.2
//= type=test
//# If an ICMP PTB message is received matching the probe packet, then search_high and eff_pmtu MAY be set from the MTU value indicated in the message. (4821:7.6.2-4)
#[test]
fn what_a_router_says_of_a_probe_ends_the_search() {
    let told = Impairment { mtu_told: true, ..path(1400) };
    let mut net = behind(path(1400), &[(secs(2), told)], Offload::On, config);
    let (client, server, _listener) = pair(&mut net, SERVER_V4);
    carry(&mut net, &client, &server, 2000);
    assert!(net.run_for(secs(3)));
    talk(&mut net, &client, &server, secs(1));
    assert_eq!(packets(&net, &client, SERVER_V4), 1400);
    assert_eq!(counters(&net), [1, 3, 2, 0]);
}
