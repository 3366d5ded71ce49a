//! IP headers, as the kernel reads and writes them: what the stack sends, and what it says of packets that cannot be.

use super::lab::*;
use crate::events::until;
use socket2::SockAddr;
use std::io::Read;
use std::net::SocketAddr;
use usertcp_core::api::*;
use usertcp_core::wire::checksum;

/// A raw socket of the kernel's. Over IPv4 it reads whole packets, over IPv6 what is behind the header.
fn raw(lab: &Lab, domain: Domain, protocol: i32) -> socket2::Socket {
    let fd = lab.sandbox.socket(domain, libc::SOCK_RAW, protocol).expect("a raw socket");
    let socket = socket2::Socket::from(fd);
    socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    socket
}

/// The next packet that `wanted` finds something in.
fn read<T>(mut socket: &socket2::Socket, wanted: impl Fn(&[u8]) -> Option<T>) -> T {
    let mut buffer = [0; 65_536];
    loop {
        let length = socket.read(&mut buffer).expect("a packet in time");
        if let Some(found) = wanted(&buffer[..length]) {
            return found;
        }
    }
}

fn to_stack(domain: Domain) -> SockAddr {
    stack_address(domain, 0).into()
}

#[test]
fn hop_limit_class_and_identification_arrive_as_they_were_set() {
    const IP_TOS: i32 = 1;
    const IP_TTL: i32 = 2;
    const IP_MTU_DISCOVER: i32 = 10;
    let Some(lab) = Lab::open(true, |_| {}) else { return };
    let spy = raw(&lab, Domain::V4, libc::IPPROTO_TCP);
    let (listener, address) = lab.kernel_listener(Domain::V4, 8);
    let socket = lab.stack.socket(Domain::V4).expect("a socket");
    for (name, value) in [(IP_TTL, 7i32), (IP_TOS, 0xba), (IP_MTU_DISCOVER, 0)] {
        socket.set_option(0, name, &value.to_ne_bytes()).expect("an option");
    }
    socket.connect(address, WAIT).expect("connect");
    let (kernel, _) = listener.accept().expect("accept");
    let from_stack = |packet: &[u8]| (packet[12..16] == [192, 0, 2, 2]).then(|| packet[..20].to_vec());
    let syn = read(&spy, from_stack);
    assert_eq!((syn[8], syn[1], syn[6] & 0x40), (7, 0xb8, 0), "hops, class, and it may be cut");
    let ack = read(&spy, from_stack);
    assert_ne!(syn[4..6], ack[4..6], "each has an identification of its own");
    drop(kernel);
}

#[test]
fn record_route_and_unknown_options_pass_and_source_routes_do_not() {
    let Some(lab) = Lab::open(false, |_| {}) else { return };
    let (_listener, address) = lab.listener(Domain::V4, 8);
    let sender = raw(&lab, Domain::V4, libc::IPPROTO_RAW);
    let spy = raw(&lab, Domain::V4, libc::IPPROTO_TCP);
    // The kernel resets what it did not ask for: each has a port of its own.
    let send = |from, options: &[u8]| {
        let packet = syn(from, address, options);
        assert_eq!(sender.send_to(&packet, &to_stack(Domain::V4)).expect("send"), packet.len());
    };
    let answered = |packet: &[u8]| {
        let start = usize::from(packet[0] & 15) * 4;
        (packet[12..16] == [192, 0, 2, 2] && packet[start + 13] & 2 != 0).then_some(())
    };
    let passing = [&[7, 7, 4, 0, 0, 0, 0, 0][..], &[158, 4, 9, 9], &[1, 1, 1, 0]];
    for (from, options) in (7..).zip(passing) {
        send(from, options);
        read(&spy, answered);
    }
    send(90, &[131, 7, 4, 192, 0, 2, 1, 0]);
    until("it is counted", || lab.stack.counters().expect("counters").drop_ip_source_route == 1);
}

/// A SYN from this port of the kernel's side.
fn syn(from: u8, to: SocketAddr, options: &[u8]) -> Vec<u8> {
    let start = 20 + options.len();
    let mut packet = vec![0x40 | (start / 4) as u8, 0, 0, (start + 20) as u8, 0, 1, 0, 0, 64, 6, 0, 0];
    packet.extend([192, 0, 2, 1, 192, 0, 2, 2]);
    packet.extend(options);
    let sum = checksum(&packet).to_be_bytes();
    packet[10..12].copy_from_slice(&sum);
    let [high, low] = to.port().to_be_bytes();
    let segment = [0, from, high, low, 0, 0, 0, 9, 0, 0, 0, 0, 0x50, 2, 2, 0, 0, 0, 0, 0];
    let pseudo = [192, 0, 2, 1, 192, 0, 2, 2, 0, 6, 0, 20];
    let sum = checksum(&[&pseudo[..], &segment].concat()).to_be_bytes();
    packet.extend(segment);
    packet[start + 16..start + 18].copy_from_slice(&sum);
    packet
}

#[test]
fn the_kernel_is_told_what_is_wrong_with_its_packets() {
    let Some(lab) = Lab::open(true, |_| {}) else { return };
    // The kernel verifies the checksums of what it hands to these sockets.
    let hears = raw(&lab, Domain::V4, libc::IPPROTO_ICMP);
    let sender = raw(&lab, Domain::V4, libc::IPPROTO_RAW);
    let problem =
        |packet: &[u8]| (packet[20] == 12).then(|| (packet[21], packet[24], packet[28..32].to_vec()));
    sender
        .send_to(&syn(7, stack_address(Domain::V4, 9), &[7, 7, 3, 0, 0, 0, 0, 0]), &to_stack(Domain::V4))
        .expect("send");
    let (code, pointer, quoted) = read(&hears, problem);
    assert_eq!((code, pointer, quoted[0]), (0, 22, 0x47));

    let hears = raw(&lab, Domain::V6, libc::IPPROTO_ICMPV6);
    let problem = |message: &[u8]| {
        (message[0] == 4)
            .then(|| (message[1], u32::from_be_bytes([message[4], message[5], message[6], message[7]])))
    };
    let cases: [(i32, &[u8], (u8, u32)); 5] = [
        (libc::IPPROTO_DSTOPTS, &[6, 0, 0xbe, 4, 0, 0, 0, 0], (2, 42)),
        (libc::IPPROTO_ROUTING, &[6, 0, 0, 1, 0, 0, 0, 0], (0, 42)),
        (libc::IPPROTO_DSTOPTS, &[253, 0, 1, 4, 0, 0, 0, 0], (1, 40)),
        (libc::IPPROTO_FRAGMENT, &[6, 0, 0, 1, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8], (3, 0)),
        (253, b"experiment", (1, 6)),
    ];
    for (protocol, bytes, expected) in cases {
        let sender = raw(&lab, Domain::V6, protocol);
        sender.send_to(bytes, &to_stack(Domain::V6)).expect("send");
        assert_eq!(read(&hears, problem), expected, "{protocol}");
    }
    assert_eq!(lab.stack.counters().expect("counters").icmp_errors_out, 6);
}

#[test]
fn what_the_kernel_cuts_into_fragments_is_put_together() {
    let Some(lab) = Lab::open(true, |_| {}) else { return };
    for (domain, protocol, kind) in
        [(Domain::V4, libc::IPPROTO_ICMP, 8), (Domain::V6, libc::IPPROTO_ICMPV6, 128)]
    {
        let before = lab.stack.counters().expect("counters");
        let socket = raw(&lab, domain, protocol);
        let mut echo = vec![kind, 0, 0, 0, 0, 9, 0, 1];
        echo.extend(pattern(5, 4000));
        if domain == Domain::V4 {
            let sum = checksum(&echo).to_be_bytes();
            echo[2..4].copy_from_slice(&sum);
        }
        socket.send_to(&echo, &to_stack(domain)).expect("send");
        until("it is whole", || {
            let now = lab.stack.counters().expect("counters");
            now.ip_reassembled == before.ip_reassembled + 1 && now.echo_replies == before.echo_replies + 1
        });
        assert_eq!(lab.stack.counters().expect("counters").ip_fragments_in, before.ip_fragments_in + 3);
    }
}
