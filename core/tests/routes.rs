//! Where a stack sends and what it refuses to: routes, their MTU, link-local addresses, and who gets how many errors.

mod world;

use std::net::SocketAddr;
use usertcp_core::counters::Drop;
use usertcp_core::error::Errno;
use usertcp_core::ip::{self, Envelope, Payload};
use usertcp_core::link::{Capabilities, Frame};
use usertcp_core::stack::socket::ip::{IPPROTO_IP, v4::IP_MTU};
use usertcp_core::stack::{Domain, Stack};
use usertcp_core::time::{Duration, Instant};
use usertcp_core::trace::Log;
use usertcp_core::wire::tcp::{Flags, TcpHeader, parse};
use world::*;

const NOW: Instant = Instant::from_millis(5_000);

/// 192.0.2.1/24, 2001:db8::1/64 and fe80::1/64, with these routes.
fn stack(routes: &[&str]) -> Stack {
    let mut config = config(CLIENT);
    config.addresses.push("fe80::1/64".parse().expect("a prefix"));
    config.routes = routes.iter().map(|text| text.parse().expect("a route")).collect();
    Stack::new(config, Capabilities::plain(1500), Log::new(None)).expect("a stack")
}

fn connect(stack: &mut Stack, target: &str) -> Result<SocketAddr, Errno> {
    let target: SocketAddr = target.parse().expect("an endpoint");
    let (id, _) = stack.socket(Domain::of(target.ip())).expect("a socket");
    stack.connect(NOW, id, target)?;
    stack.local_address(id)
}

/// A segment of a stranger to port 81 of the stack.
fn segment(source: &str, destination: &str, flags: Flags) -> Frame {
    let ip = |text: &str| text.parse().expect("an address");
    let header = TcpHeader { source: 1234, destination: 81, seq: 1, flags, ..TcpHeader::default() };
    let envelope = Envelope::new(ip(source), ip(destination));
    ip::to_frame(&ip::tcp_transmit(&envelope, &header, Payload::new(), 0, &Capabilities::plain(1500)))
}

//= https://www.rfc-editor.org/rfc/rfc791#section-3.3
//= type=test
//# On unsuccessful returns, a reasonable report must be made as to the cause of the problem, but the details of such reports are up to individual implementations. (791:3.3-1)
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.1.6
//= type=test
//# The following information MUST be configurable: (1) IP address(es). (2) Address mask(s). (1122:3.3.1.6-1)
#[test]
fn what_no_route_leads_to_is_unreachable() {
    let mut everywhere = stack(&[]);
    assert!(
        connect(&mut everywhere, "8.8.8.8:80").is_ok()
            && connect(&mut everywhere, "[2001:db8:9::1]:80").is_ok()
    );
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.3
    //= type=test
    //# (b) { 0, <Host-number> } Specified host on this network. It MUST NOT be sent (1122:3.2.1.3-2)
    assert_eq!(connect(&mut everywhere, "0.1.2.3:80"), Err(Errno::ENETUNREACH), "this network's hosts");
    let (id, cell) = everywhere.datagram_socket(Domain::V4).expect("a socket");
    let refused = everywhere.connect(NOW, id, address("0.1.2.3:80"));
    assert_eq!((refused, cell.lock().error), (Err(Errno::ENETUNREACH), None));
    let mut some = stack(&["198.51.100.0/24 via 192.0.2.9", "2001:db8:9::/48"]);
    for reached in ["198.51.100.1:80", "192.0.2.77:80", "127.0.0.1:80", "[2001:db8:9::1]:80", "[fe80::9]:80"]
    {
        assert!(connect(&mut some, reached).is_ok(), "{reached}");
    }
    for lost in ["8.8.8.8:80", "198.51.101.1:80", "[2001:db8:8::1]:80"] {
        assert_eq!(connect(&mut some, lost), Err(Errno::ENETUNREACH), "{lost}");
        // Nor does an address of its own help.
        let target = address(lost);
        let own = if target.is_ipv4() { "192.0.2.1:0" } else { "[2001:db8::1]:0" };
        let (id, _) = some.socket(Domain::of(target.ip())).expect("a socket");
        some.bind(id, address(own)).expect("bind");
        assert_eq!(some.connect(NOW, id, target), Err(Errno::ENETUNREACH), "{lost}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.3
//= type=test
//# When a host sends any datagram, the IP source address MUST be one of its own IP addresses (but not a broadcast or multicast address). (1122:3.2.1.3-9)
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.4.2
//= type=test
//# An application MUST be able to explicitly specify the source address for initiating a connection or a request. (1122:3.3.4.2-2)
//= https://www.rfc-editor.org/rfc/rfc6724#section-1
//= type=test
//# The selection rules specified in this document MUST NOT be construed to override an application or upper layer's explicit choice of a legal destination or source address. (6724:1-1)
//= https://www.rfc-editor.org/rfc/rfc6724#section-4
//= type=test
//# if the application or upper layer specifies a source address that is not in the candidate set for the destination, then the network layer MUST treat this as an error. (6724:4-3)
#[test]
fn nobody_sends_from_what_is_not_his() {
    let mut stack = stack(&[]);
    for (own, outcome) in [
        ("192.0.2.1:7", Ok(())),
        ("192.0.2.255:7", Err(Errno::EADDRNOTAVAIL)),
        ("255.255.255.255:7", Err(Errno::EADDRNOTAVAIL)),
        ("224.0.0.1:7", Err(Errno::EADDRNOTAVAIL)),
        ("192.0.2.9:7", Err(Errno::EADDRNOTAVAIL)),
        ("[fe80::1]:7", Ok(())),
        ("[2001:db8::9]:7", Err(Errno::EADDRNOTAVAIL)),
        ("[ff02::1]:7", Err(Errno::EADDRNOTAVAIL)),
    ] {
        let own = address(own);
        let (id, _) = stack.socket(Domain::of(own.ip())).expect("a socket");
        assert_eq!(stack.bind(id, own), outcome, "{own}");
        let (id, _) = stack.datagram_socket(Domain::of(own.ip())).expect("a socket");
        assert_eq!(stack.bind(id, own), outcome, "{own}");
    }
    let (id, _) = stack.socket(Domain::V6).expect("a socket");
    stack.bind(id, address("[2001:db8::1]:8")).expect("bind");
    stack.connect(NOW, id, address("[2001:db8::9]:80")).expect("connect");
    let syn = ip::ingress(&ip::to_frame(&stack.poll_transmit(NOW).expect("a SYN"))).expect("a packet");
    assert_eq!(syn.source, address("[2001:db8::1]:8").ip());
}

//= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.3
//= type=test
//# The MTU of each physical interface MUST be configurable. (1122:3.3.3-6)
#[test]
fn the_mtu_of_the_link_can_be_set_lower() {
    for (mtu, mss) in [(9000, 1460), (1400, 1360)] {
        let config = usertcp_core::config::Config { mtu, ..config(CLIENT) };
        let mut stack = Stack::new(config, Capabilities::plain(1500), Log::new(None)).expect("a stack");
        connect(&mut stack, "192.0.2.9:80").expect("connect");
        let syn = ip::ingress(&ip::to_frame(&stack.poll_transmit(NOW).expect("a SYN"))).expect("a packet");
        let (header, _) = parse(syn.source, syn.destination, &syn.payload, true).expect("a segment");
        assert_eq!(header.options.mss, Some(mss));
    }
}

#[test]
fn who_cannot_be_answered_is_not() {
    for (source, destination) in [("198.51.100.7", "192.0.2.1"), ("2001:db8:9::7", "2001:db8::1")] {
        for (routes, answers) in [(&[][..], 1), (&["203.0.113.0/24", "2001:db8:7::/48"][..], 0)] {
            let mut stack = stack(routes);
            stack.handle_frame(NOW, segment(source, destination, Flags::SYN));
            assert_eq!(std::iter::from_fn(|| stack.poll_transmit(NOW)).count(), answers, "a reset");
            assert_eq!(stack.counters().ip_no_route, 1 - answers as u64);
            // A connection that could not be answered does not begin.
            let (id, _) =
                stack.socket(Domain::of(destination.parse().expect("an address"))).expect("a socket");
            let local = SocketAddr::new(destination.parse().expect("an address"), 81);
            stack.bind(id, local).expect("bind");
            stack.listen(NOW, id, 5).expect("listen");
            stack.handle_frame(NOW, segment(source, destination, Flags::SYN));
            assert_eq!(stack.sockets(), 1 + answers);
            assert_eq!(stack.counters().dropped(Drop::IpNoRoute), 1 - answers as u64);
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc1191#section-3.1
//= type=test
//# hosts SHOULD no longer lower the value they send (1191:3.1-3)
//= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.3
//= type=test
//# EMTU_S must be less than or equal to the MTU of the network interface corresponding to the source address of the datagram. (1122:3.3.3-3)
#[test]
fn the_mtu_of_a_route_is_that_of_its_connections() {
    let mut stack = stack(&["0.0.0.0/0 via 192.0.2.9", "198.51.100.0/24 via 192.0.2.9 mtu 1400"]);
    for (target, mss) in [("198.51.100.1:80", 1360), ("203.0.113.1:80", 1460)] {
        let (id, _) = stack.socket(Domain::V4).expect("a socket");
        stack.connect(NOW, id, address(target)).expect("connect");
        let syn = ip::ingress(&ip::to_frame(&stack.poll_transmit(NOW).expect("a SYN"))).expect("a packet");
        let (header, _) = parse(syn.source, syn.destination, &syn.payload, true).expect("a segment");
        assert_eq!(header.options.mss, Some(mss));
        let mtu = i32::from(mss) + 40;
        assert_eq!(stack.option(id, IPPROTO_IP, IP_MTU), Ok(mtu.to_ne_bytes().to_vec()));
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.7.3
//= type=test
//# TCP implementations SHOULD use the smallest effective MTU of the interface to calculate the value to advertise in the MSS Option (SHLD-6).
#[test]
fn the_smallest_mtu_of_link_route_and_configuration_is_announced() {
    for (device, configured, route, mss) in
        [(1500, 1400, 1500, 1360), (1300, 1400, 1500, 1260), (1500, 1500, 1200, 1160)]
    {
        let mut config = config(CLIENT);
        config.mtu = configured;
        config.routes = vec![format!("0.0.0.0/0 via 192.0.2.9 mtu {route}").parse().expect("a route")];
        let mut stack = Stack::new(config, Capabilities::plain(device), Log::new(None)).expect("a stack");
        assert!(connect(&mut stack, "198.51.100.1:80").is_ok());
        let syn = ip::ingress(&ip::to_frame(&stack.poll_transmit(NOW).expect("a SYN"))).expect("a packet");
        let (header, _) = parse(syn.source, syn.destination, &syn.payload, true).expect("a segment");
        assert_eq!(header.options.mss, Some(mss));
    }
}

#[test]
fn link_local_addresses_are_of_the_one_link() {
    let mut stack = stack(&[]);
    for target in ["[fe80::9]:80", "[fe80::9%1]:80"] {
        let local = connect(&mut stack, target).expect("connect");
        assert!(local.to_string().starts_with("[fe80::1%1]:"), "from the address of the same scope: {local}");
    }
    assert_eq!(connect(&mut stack, "[fe80::9%2]:80"), Err(Errno::ENODEV));
    assert!(connect(&mut stack, "[2001:db8::9%2]:80").is_ok(), "a link does not matter here");
    let (id, _) = stack.socket(Domain::V6).expect("a socket");
    assert_eq!(stack.bind(id, address("[fe80::1%7]:90")), Err(Errno::ENODEV));
    stack.bind(id, address("[fe80::1]:81")).expect("bind");
    assert_eq!(stack.local_address(id), Ok(address("[fe80::1%1]:81")));
    stack.listen(NOW, id, 5).expect("listen");
    stack.handle_frame(NOW, segment("fe80::9", "fe80::1", Flags::SYN));
    assert_eq!(stack.sockets(), 6, "a connection from a neighbour");
}

#[test]
fn one_stranger_cannot_have_all_the_errors() {
    let unknown = |source: &str| {
        let mut bytes = segment(source, "192.0.2.1", Flags::SYN).bytes.to_vec();
        bytes[9] = 47;
        bytes[10..12].fill(0);
        let sum = usertcp_core::wire::checksum(&bytes[..20]).to_be_bytes();
        bytes[10..12].copy_from_slice(&sum);
        Frame { bytes: bytes.into(), ..Frame::default() }
    };
    let mut stack = stack(&[]);
    let mut told = |source, now| {
        (0..20).for_each(|_| stack.handle_frame(now, unknown(source)));
        std::iter::from_fn(|| stack.poll_transmit(now)).count()
    };
    assert_eq!((told("192.0.2.7", NOW), told("192.0.2.8", NOW)), (6, 6));
    assert_eq!(told("192.0.2.7", NOW + Duration::from_secs(1)), 1);
    assert_eq!((stack.counters().icmp_errors_out, stack.counters().icmp_errors_held), (13, 47));
}
