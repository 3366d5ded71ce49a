//! Datagrams between the stack and the kernel, both ways, both families.

use super::lab::*;
use std::net::UdpSocket;
use usertcp_core::api::*;

fn kernel_socket(lab: &Lab, domain: Domain) -> UdpSocket {
    let fd = lab.sandbox.socket(domain, libc::SOCK_DGRAM, 0).expect("a kernel socket");
    let socket = socket2::Socket::from(fd);
    socket.bind(&kernel_address(domain, 0).into()).expect("bind");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    socket.set_recv_buffer_size(4 << 20).expect("a buffer");
    socket.into()
}

fn stack_socket(lab: &Lab, domain: Domain) -> Socket {
    let socket = lab.stack.datagram_socket(domain).expect("a socket");
    socket.bind(stack_address(domain, 0)).expect("bind");
    socket
}

#[test]
fn datagrams_of_every_size_pass_both_ways() {
    with_and_without_offload(|lab| {
        for domain in DOMAINS {
            let (kernel, socket) = (kernel_socket(lab, domain), stack_socket(lab, domain));
            let (theirs, ours) =
                (kernel.local_addr().expect("a name"), socket.local_address().expect("a name"));
            // Empty, odd, at the MTU, beyond it, and the longest.
            let most = if domain == Domain::V4 { 65_507 } else { 65_527 };
            for length in [0, 1, 1451, 1452, 1453, 1471, 1472, 1473, 9001, most] {
                let bytes = pattern(length as u64, length);
                let mut buffer = vec![0; 70_000];
                assert_eq!(socket.send_to(&bytes, Some(theirs), NONE, WAIT).expect("send"), length);
                let (count, from) = kernel.recv_from(&mut buffer).expect("recv");
                assert!(from == ours && buffer[..count] == bytes, "{length} bytes out");
                assert_eq!(kernel.send_to(&bytes, ours).expect("send"), length);
                let (count, from) = socket.recv_from(&mut buffer, NONE, WAIT).expect("recv");
                assert!(from == Some(theirs) && buffer[..count] == bytes, "{length} bytes in");
            }
            assert_eq!(errno(socket.send_to(&vec![0; most + 1], Some(theirs), NONE, WAIT)), Errno::EMSGSIZE);
        }
        let counters = lab.stack.counters().expect("counters");
        assert_eq!((counters.drop_udp_checksum, counters.drop_udp_length), (0, 0));
        assert_eq!((counters.udp_datagrams_in, counters.udp_datagrams_out), (20, 20));
        assert!(counters.udp_fragmented >= 6 && counters.ip_reassembled >= 6);
    });
}

#[test]
fn a_port_that_nobody_has_is_refused_both_ways() {
    let Some(lab) = Lab::open(true, |_| {}) else { return };
    for domain in DOMAINS {
        let socket = stack_socket(&lab, domain);
        // Not the port of a socket that was closed: the child of another test may keep that open until it calls exec.
        socket.connect(kernel_address(domain, 9), WAIT).expect("connect");
        socket.send(b"to nobody", NONE, WAIT).expect("send");
        assert_eq!(errno(socket.recv(&mut [0; 9], NONE, WAIT)), Errno::ECONNREFUSED);

        let kernel = kernel_socket(&lab, domain);
        let ours = socket.local_address().expect("a name");
        socket.close().expect("close");
        kernel.connect(ours).expect("connect");
        kernel.send(b"to nobody").expect("send");
        let refused = kernel.recv(&mut [0; 9]).expect_err("refused");
        assert_eq!(refused.raw_os_error(), Some(libc::ECONNREFUSED));
    }
}

#[test]
fn a_burst_arrives_whole_where_there_is_room() {
    with_and_without_offload(|lab| {
        let (kernel, socket) = (kernel_socket(lab, Domain::V4), stack_socket(lab, Domain::V4));
        let theirs = kernel.local_addr().expect("a name");
        socket.connect(theirs, WAIT).expect("connect");
        kernel.connect(socket.local_address().expect("a name")).expect("connect");
        let mut buffer = [0; 2000];
        for round in 0..20u32 {
            for number in 0..50u32 {
                let bytes = (round * 50 + number).to_be_bytes();
                assert_eq!(socket.send(&bytes, NONE, WAIT).expect("send"), 4);
                kernel.send(&bytes).expect("send");
            }
            for number in 0..50u32 {
                let expected = (round * 50 + number).to_be_bytes();
                let count = kernel.recv(&mut buffer).expect("recv");
                assert_eq!(buffer[..count], expected);
                let count = socket.recv(&mut buffer, NONE, WAIT).expect("recv");
                assert_eq!(buffer[..count], expected);
            }
        }
    });
}
