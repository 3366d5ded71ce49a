//! Much data, each way and both at once.

use super::lab::*;
use std::net::TcpStream;
use std::thread;
use usertcp_core::api::*;

const LENGTH: usize = 8 << 20;

fn both_ways(socket: &Socket, kernel: &TcpStream, length: usize) {
    let (out, back) = (pattern(21, length), pattern(22, length));
    thread::scope(|scope| {
        scope.spawn(|| send_all(socket, &out));
        scope.spawn(|| kernel_send_all(kernel, &back));
        let arrived = scope.spawn(|| kernel_read_to_end(kernel) == out);
        assert!(read_to_end(socket) == back, "what the kernel sent");
        assert!(arrived.join().expect("the kernel's reader"), "what the stack sent");
    });
}

#[test]
fn connections_that_the_stack_opens() {
    with_and_without_offload(|lab| {
        for domain in DOMAINS {
            let (socket, kernel) = lab.connect_out(domain);
            both_ways(&socket, &kernel, LENGTH);
        }
        let counters = lab.stack.counters().expect("counters");
        assert_eq!(counters.tcp_active_opens, 2);
        assert!(counters.tcp_retransmits < 100, "{counters:?}");
    });
}

#[test]
fn connections_that_the_kernel_opens() {
    with_and_without_offload(|lab| {
        for domain in DOMAINS {
            let (socket, kernel) = lab.connect_in(domain);
            both_ways(&socket, &kernel, LENGTH);
        }
        assert_eq!(lab.stack.counters().expect("counters").tcp_passive_opens, 2);
    });
}

#[test]
fn one_way_at_a_time() {
    with_and_without_offload(|lab| {
        for domain in DOMAINS {
            let bytes = pattern(23, LENGTH);
            let (socket, kernel) = lab.connect_out(domain);
            thread::scope(|scope| {
                scope.spawn(|| send_all(&socket, &bytes));
                assert!(kernel_read_to_end(&kernel) == bytes, "upload");
            });
            let (socket, kernel) = lab.connect_in(domain);
            thread::scope(|scope| {
                scope.spawn(|| kernel_send_all(&kernel, &bytes));
                assert!(read_to_end(&socket) == bytes, "download");
            });
        }
    });
}

/// What the kernel cuts for a link without offload is merged again as far as it is there when the stack looks.
#[test]
fn single_packets_are_merged() {
    let Some(lab) = Lab::open(false, |_| {}) else { return };
    let bytes = pattern(24, LENGTH);
    let (socket, kernel) = lab.connect_in(Domain::V4);
    thread::scope(|scope| {
        scope.spawn(|| kernel_send_all(&kernel, &bytes));
        assert!(read_to_end(&socket) == bytes);
    });
    let counters = lab.stack.counters().expect("counters");
    let packets = (LENGTH / 1448) as u64;
    assert!(counters.frames_in < packets, "{} frames for {packets} packets", counters.frames_in);
}

#[test]
fn single_bytes_back_and_forth() {
    use std::io::{Read, Write};
    with_and_without_offload(|lab| {
        let (socket, mut kernel) = lab.connect_out(Domain::V4);
        kernel.set_nodelay(true).expect("TCP_NODELAY");
        for round in 0..200_u8 {
            kernel.write_all(&[round]).expect("write");
            let mut byte = [0];
            assert_eq!(socket.recv(&mut byte, NONE, WAIT).expect("recv"), 1);
            assert_eq!(socket.send(&byte, NONE, WAIT).expect("send"), 1);
            kernel.read_exact(&mut byte).expect("read");
            assert_eq!(byte, [round]);
        }
    });
}
