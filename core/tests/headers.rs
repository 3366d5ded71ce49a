//! What the stack writes into IP headers: hop limits and classes as sockets ask, flow labels, identifications, and whether routers may cut.

mod world;

use std::collections::HashSet;
use usertcp_core::config::SynCookies;
use usertcp_core::counters::Drop;
use usertcp_core::error::Errno;
use usertcp_core::ip::{self, Fault};
use usertcp_core::link::pipe::Offload;
use usertcp_core::link::{Capabilities, Transmit};
use usertcp_core::sim::{Endpoint, Network};
use usertcp_core::stack::Stack;
use usertcp_core::stack::socket::ip::{IPPROTO_IP, IPPROTO_IPV6, v4::*, v6::*};
use usertcp_core::stack::socket::options::{IPPROTO_TCP, tcp::TCP_NODELAY};
use usertcp_core::time::Duration;
use usertcp_core::trace::Log;
use usertcp_tracecheck::{Kind, Options};
use world::*;

const TARGETS: [&str; 2] = [SERVER_V4, SERVER_V6];

/// The IP header of a packet: what of it is looked at here.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
struct Seen {
    hops: u8,
    class: u8,
    label: u32,
    id: u16,
    df: bool,
    length: usize,
}

fn seen(transmit: &Transmit) -> Seen {
    let head = &transmit.head;
    let length = transmit.len();
    if head[0] >> 4 == 6 {
        let word = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let (class, label) = ((word >> 20) as u8, word & 0xf_ffff);
        return Seen { hops: head[7], class, label, id: 0, df: true, length };
    }
    let id = u16::from_be_bytes([head[4], head[5]]);
    Seen { hops: head[8], class: head[1], label: 0, id, df: head[6] & 0x40 != 0, length }
}

/// What a host has to send now. It gets lost.
fn sent(net: &mut Network, host: usize) -> Vec<Seen> {
    let now = net.now;
    let stack = &mut net.hosts[host].stack;
    std::iter::from_fn(|| stack.poll_transmit(now)).map(|transmit| seen(&transmit)).collect()
}

fn set(net: &mut Network, end: &Endpoint, level: i32, name: i32, value: i32) -> Result<(), Errno> {
    let now = net.now;
    net.hosts[end.host].stack.set_option(now, end.id, level, name, &value.to_ne_bytes())
}

fn get(net: &mut Network, end: &Endpoint, level: i32, name: i32) -> Result<i32, Errno> {
    let bytes = net.hosts[end.host].stack.option(end.id, level, name)?;
    Ok(i32::from_ne_bytes(bytes.try_into().expect("an int")))
}

/// Sets the option of the target's family: IPv4's number or IPv6's.
fn set_either(net: &mut Network, end: &Endpoint, target: &str, names: [i32; 2], value: i32) {
    let six = target.starts_with('[');
    let (level, name) = if six { (IPPROTO_IPV6, names[1]) } else { (IPPROTO_IP, names[0]) };
    assert_eq!(set(net, end, level, name, value), Ok(()));
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2
//= type=test
//# The TTL value used to send TCP segments MUST be configurable (MUST-49).
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.9
//= type=test
//# The application layer MUST be able to specify the Differentiated Services field for segments that are sent on a connection (MUST-48).
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.9
//= type=test
//# the application SHOULD be able to change the Differentiated Services field during the connection lifetime (SHLD-21).
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.9
//= type=test
//# TCP implementations SHOULD pass the current Differentiated Services field value without change to the IP layer, when it sends segments on the connection (SHLD-22).
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.6
//= type=test
//# The IP layer MUST provide a means for the transport layer to set the TOS field of every datagram that is sent; the default is all zero bits. (1122:3.2.1.6-1)
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.7
//= type=test
//# The IP layer MUST provide a means for the transport layer to set the TTL field of every datagram that is sent. (1122:3.2.1.7-3)
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.4
//= type=test
//# The transport layer MUST either have mechanisms to set these interface parameters, or provide a path to pass them through from an application, or both. (1122:3.4-2)
#[test]
fn hop_limit_and_class_are_the_sockets() {
    for target in TARGETS {
        let mut net = network(Plan::default());
        let (client, server, listener) = pair(&mut net, target);
        assert_eq!(set(&mut net, &client, IPPROTO_TCP, TCP_NODELAY, 1), Ok(()));
        net.send(&client, b"plain").expect("send");
        let plain = sent(&mut net, CLIENT)[0];
        assert_eq!((plain.hops, plain.class), (64, 0));

        set_either(&mut net, &client, target, [IP_TTL, IPV6_UNICAST_HOPS], 7);
        set_either(&mut net, &client, target, [IP_TOS, IPV6_TCLASS], 0xbb);
        net.send(&client, b"set").expect("send");
        let set = sent(&mut net, CLIENT)[0];
        assert_eq!((set.hops, set.class), (7, 0xb8), "without the bits of ECN");

        // What a listener is set to, its connections have from their SYN/ACK on; those that are there already keep what they have.
        set_either(&mut net, &listener, target, [IP_TTL, IPV6_UNICAST_HOPS], 9);
        set_either(&mut net, &listener, target, [IP_TOS, IPV6_TCLASS], 0x48);
        let now = net.now;
        net.connect(CLIENT, address(target)).expect("connect");
        let syn = net.hosts[CLIENT].stack.poll_transmit(now).expect("a SYN");
        net.hosts[SERVER].stack.handle_frame(now, ip::to_frame(&syn));
        let answer = sent(&mut net, SERVER)[0];
        assert_eq!((answer.hops, answer.class), (9, 0x48));
        net.send(&server, b"as before").expect("send");
        assert_eq!(sent(&mut net, SERVER)[0].hops, 64);
    }
}

#[test]
fn options_of_ipv6_are_not_for_sockets_of_ipv4() {
    let mut net = network(Plan::default());
    let (client, ..) = pair(&mut net, SERVER_V4);
    assert_eq!(set(&mut net, &client, IPPROTO_IPV6, IPV6_TCLASS, 0), Err(Errno::ENOPROTOOPT));
    assert_eq!(get(&mut net, &client, IPPROTO_IPV6, IPV6_MTU), Err(Errno::ENOPROTOOPT));
    let (client, ..) = pair(&mut net, SERVER_V6);
    assert_eq!(set(&mut net, &client, IPPROTO_IP, IP_TOS, 8), Ok(()), "both for those of IPv6, as in Linux");
    assert_eq!(get(&mut net, &client, IPPROTO_IP, IP_TOS), Ok(8));
    assert_eq!(get(&mut net, &client, IPPROTO_IPV6, IPV6_TCLASS), Ok(0));
}

//= https://www.rfc-editor.org/rfc/rfc6437#section-1
//= type=test
//# IPv6 source nodes SHOULD be able to label known flows (e.g., TCP connections and application streams), even if the node itself does not require any flow-specific treatment. (6437:1-1)
#[test]
fn a_flow_has_one_label_and_flows_have_several() {
    let mut net = network(Plan::default());
    let (client, server, _) = pair(&mut net, SERVER_V6);
    let mut labels = [HashSet::new(), HashSet::new()];
    for _ in 0..5 {
        net.send(&client, &[1; 4000]).expect("send");
        net.send(&server, &[2; 4000]).expect("send");
        for host in [CLIENT, SERVER] {
            labels[host].extend(sent(&mut net, host).into_iter().map(|packet| packet.label));
        }
        net.settle();
    }
    assert!(labels.iter().all(|labels| labels.len() == 1 && !labels.contains(&0)), "{labels:?}");
    assert_ne!(labels[CLIENT], labels[SERVER], "each direction is a flow");
    let now = net.now;
    let first = net.connect(CLIENT, address("[2001:db8::2]:81")).expect("connect");
    let syn = net.hosts[CLIENT].stack.poll_transmit(now).expect("a SYN");
    assert!(!labels[CLIENT].contains(&seen(&syn).label), "{first:?}");
    // A reset without a socket has the label that the connection would have.
    net.hosts[SERVER].stack.handle_frame(now, ip::to_frame(&syn));
    net.hosts[SERVER].stack.handle_frame(now, ip::to_frame(&syn));
    let resets = sent(&mut net, SERVER);
    assert!(resets.len() == 2 && resets[0].label == resets[1].label && resets[0].label != 0);

    let mut plan = Plan::default();
    plan.configs[CLIENT].ip.flow_label = false;
    let mut net = network(plan);
    let (client, ..) = pair(&mut net, SERVER_V6);
    net.send(&client, b"without").expect("send");
    //= https://www.rfc-editor.org/rfc/rfc6437#section-3
    //= type=test
    //# A source node that does not otherwise set the flow label MUST set its value to zero. (6437:3-4)
    assert_eq!(sent(&mut net, CLIENT)[0].label, 0);
}

//= https://www.rfc-editor.org/rfc/rfc4987#section-4
//= type=test
//# the IPv6 flow label value used on the SYN-ACK should be consistent with the flow label used for the rest of the packets within that flow (4987:4-3).
#[test]
fn a_cookie_has_the_label_of_what_follows() {
    let mut plan = Plan::default();
    plan.configs[SERVER].tcp.syn_cookies = SynCookies::Always;
    let mut net = network(plan);
    let listener = net.listen(SERVER, address(SERVER_V6), 8).expect("listen");
    let _client = net.connect(CLIENT, address(SERVER_V6)).expect("connect");
    let now = net.now;
    let syn = net.hosts[CLIENT].stack.poll_transmit(now).expect("a SYN");
    net.hosts[SERVER].stack.handle_frame(now, ip::to_frame(&syn));
    let answer = net.hosts[SERVER].stack.poll_transmit(now).expect("a SYN/ACK");
    assert_eq!(net.hosts[SERVER].stack.counters().tcp_syn_cookies_sent, 1);
    net.hosts[CLIENT].stack.handle_frame(now, ip::to_frame(&answer));
    net.settle();
    let server = net.accept(&listener).expect("accept");
    net.send(&server, b"data").expect("send");
    let labels: Vec<_> = sent(&mut net, SERVER).into_iter().map(|packet| packet.label).collect();
    assert!(!labels.is_empty() && labels.iter().all(|label| *label == seen(&answer).label), "{labels:?}");
}

/// Tells `client` that the first packet it has to send did not fit; the rest gets lost.
fn too_big(net: &mut Network, client: &Endpoint, mtu: u16) {
    let now = net.now;
    let stack = &mut net.hosts[client.host].stack;
    let packet = ip::to_frame(&stack.poll_transmit(now).expect("a segment")).bytes;
    while stack.poll_transmit(now).is_some() {}
    let router = if packet[0] >> 4 == 6 { "2001:db8:f::1" } else { "203.0.113.9" }.parse().ok();
    let (_, message) = ip::fault_about(&packet, Fault::TooBig { mtu }, router, 64).expect("a message");
    stack.handle_frame(now, ip::to_frame(&message));
}

//= https://www.rfc-editor.org/rfc/rfc6864#section-4.1
//= type=test
//# Originating sources MAY set the IPv4 ID field of atomic datagrams to any value. (6864:4.1-2)
#[test]
fn what_may_be_cut_has_an_identification_of_its_own() {
    for (discovery, cut) in [(None, false), (Some(0), true), (Some(1), false), (Some(2), false)] {
        let mut net = network(Plan::default());
        let (client, ..) = pair(&mut net, SERVER_V4);
        if let Some(discovery) = discovery {
            assert_eq!(set(&mut net, &client, IPPROTO_IP, IP_MTU_DISCOVER, discovery), Ok(()));
        }
        net.send(&client, &[0; 10_000]).expect("send");
        let packets = sent(&mut net, CLIENT);
        let ids: HashSet<u16> = packets.iter().map(|packet| packet.id).collect();
        assert!(packets.iter().all(|packet| packet.df != cut), "{discovery:?}");
        assert!(packets.len() > 5 && (!cut || ids.len() == packets.len()), "{discovery:?}: {ids:?}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc6864#section-4.2
//= type=test
//# The IPv4 ID of non-atomic datagrams MUST NOT be reused when sending a copy of an earlier non-atomic datagram. (6864:4.2-1)
#[test]
fn a_copy_that_may_be_cut_has_a_new_identification() {
    let mut net = network(Plan::default());
    let (client, ..) = pair(&mut net, SERVER_V4);
    assert_eq!(set(&mut net, &client, IPPROTO_IP, IP_MTU_DISCOVER, 0), Ok(()));
    net.send(&client, b"lost").expect("send");
    let first = sent(&mut net, CLIENT);
    net.now += secs(5);
    let now = net.now;
    net.hosts[CLIENT].stack.handle_timeout(now);
    let again = sent(&mut net, CLIENT);
    assert_eq!((first.len(), again.len(), first[0].length), (1, 1, again[0].length));
    assert_ne!(first[0].id, again[0].id);
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.7
//= type=test
//# When a fixed TTL value is used, it MUST be configurable. (1122:3.2.1.7-4)
#[test]
fn the_default_hop_limit_can_be_set() {
    for target in TARGETS {
        let mut plan = Plan::default();
        plan.configs[CLIENT].ip.hop_limit = 17;
        let mut net = network(plan);
        net.connect(CLIENT, address(target)).expect("connect");
        assert_eq!(sent(&mut net, CLIENT)[0].hops, 17);
        let now = net.now;
        net.connect(SERVER, address(&target.replace("2:80", "1:80").replace("2]", "1]"))).expect("connect");
        let syn = net.hosts[SERVER].stack.poll_transmit(now).expect("a SYN");
        net.hosts[CLIENT].stack.handle_frame(now, ip::to_frame(&syn));
        assert_eq!(sent(&mut net, CLIENT)[0].hops, 17, "a reset");
    }
}

#[test]
fn the_segments_of_a_super_frame_use_up_its_identifications() {
    let judge: fn(&mut Options) = |options| options.allowed.push(Kind::MayFragment);
    let mut net = network(Plan { offload: Offload::On, judge, ..Plan::default() });
    let (client, ..) = pair(&mut net, SERVER_V4);
    assert_eq!(set(&mut net, &client, IPPROTO_IP, IP_MTU_DISCOVER, 0), Ok(()));
    net.send(&client, &[0; 14_480]).expect("send");
    let first = sent(&mut net, CLIENT);
    assert_eq!(first.len(), 2, "ten segments in two frames");
    assert!(net.run_for(secs(1)));
    net.send(&client, b"next").expect("send");
    let next = sent(&mut net, CLIENT).pop().expect("a packet");
    assert!(next.id.wrapping_sub(first[0].id) >= 10, "{first:?} {next:?}");
}

#[test]
fn a_path_narrower_than_the_least_is_left_to_routers_unless_forbidden() {
    for (discovery, df) in [(1, false), (2, true)] {
        let mut net = network(Plan::default());
        let (client, ..) = pair(&mut net, SERVER_V4);
        assert_eq!(set(&mut net, &client, IPPROTO_IP, IP_MTU_DISCOVER, discovery), Ok(()));
        net.send(&client, &[0; 4000]).expect("send");
        too_big(&mut net, &client, 300);
        let packets = sent(&mut net, CLIENT);
        assert!(packets.len() > 7 && packets.iter().all(|packet| packet.length <= 552 && packet.df == df));
        let ids: HashSet<u16> = packets.iter().map(|packet| packet.id).collect();
        assert!(df || ids.len() == packets.len());
    }
}

#[test]
fn who_does_not_discover_is_told_nothing_and_fits_every_path_of_ipv6() {
    let mut net = network(Plan::default());
    let (client, ..) = pair(&mut net, SERVER_V4);
    assert_eq!(set(&mut net, &client, IPPROTO_IP, IP_MTU_DISCOVER, 0), Ok(()));
    net.send(&client, &[0; 4000]).expect("send");
    too_big(&mut net, &client, 1400);
    assert_eq!(net.hosts[CLIENT].stack.counters().dropped(Drop::IcmpMtu), 1);
    assert_eq!(get(&mut net, &client, IPPROTO_IP, IP_MTU), Ok(1500));

    //= https://www.rfc-editor.org/rfc/rfc8201#section-1
    //= type=test
    //# Nodes not implementing Path MTU Discovery must use the IPv6 minimum link MTU defined in [RFC8200] as the maximum packet size. (8201:1-2)
    let (client, ..) = pair(&mut net, SERVER_V6);
    assert_eq!(set(&mut net, &client, IPPROTO_IPV6, IPV6_MTU_DISCOVER, 0), Ok(()));
    net.send(&client, &[0; 8000]).expect("send");
    let packets = sent(&mut net, CLIENT);
    assert!(packets.len() > 5 && packets.iter().all(|packet| packet.length <= 1280), "{packets:?}");
    assert_eq!(get(&mut net, &client, IPPROTO_IPV6, IPV6_MTU), Ok(1280));
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.3
//= type=test
//# A host MUST implement a mechanism to allow the transport layer to learn MMS_S, the maximum transport-layer message size that may be sent for a given {source, destination, TOS} triplet (1122:3.3.3-2)
#[test]
fn the_mtu_of_a_path_can_be_asked_for() {
    for (target, level, name) in [(SERVER_V4, IPPROTO_IP, IP_MTU), (SERVER_V6, IPPROTO_IPV6, IPV6_MTU)] {
        let mut net = network(Plan::default());
        let (client, _, listener) = pair(&mut net, target);
        assert_eq!(get(&mut net, &listener, level, name), Err(Errno::ENOTCONN));
        assert_eq!(get(&mut net, &client, level, name), Ok(1500));
        assert_eq!(set(&mut net, &client, level, name, 1400), Err(Errno::ENOPROTOOPT), "read-only");
        net.send(&client, &[0; 4000]).expect("send");
        too_big(&mut net, &client, 1400);
        assert_eq!(get(&mut net, &client, level, name), Ok(1400));
    }
    let mut stack = Stack::new(config(SERVER), Capabilities::plain(1500), Log::new(None)).expect("a stack");
    let now = usertcp_core::time::Instant::from_millis(5000) + Duration::ZERO;
    let (id, _) = stack.socket(usertcp_core::stack::Domain::V4).expect("a socket");
    stack.connect(now, id, address("127.0.0.1:9")).expect("connect");
    assert_eq!(stack.option(id, IPPROTO_IP, IP_MTU), Ok(65_535i32.to_ne_bytes().to_vec()), "loopback's");
}
