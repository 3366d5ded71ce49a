//! How connections end, and how they fail to begin.

use super::lab::*;
use std::io::{ErrorKind, Read, Write};
use std::thread;
use std::time::Instant;
use usertcp_core::api::*;

#[test]
fn half_closed_from_either_side() {
    with_and_without_offload(|lab| {
        for domain in DOMAINS {
            let (socket, mut kernel) = lab.connect_out(domain);
            socket.shutdown(Shutdown::Write).expect("shutdown");
            assert_eq!(kernel_read_to_end(&kernel), b"");
            kernel.write_all(b"the other half").expect("write");
            drop(kernel);
            assert_eq!(read_to_end(&socket), b"the other half");

            let (socket, kernel) = lab.connect_in(domain);
            kernel.shutdown(std::net::Shutdown::Write).expect("shutdown");
            assert_eq!(socket.recv(&mut [0], NONE, WAIT).expect("the end"), 0);
            socket.send(b"still open", NONE, WAIT).expect("send");
            socket.close().expect("close");
            assert_eq!(kernel_read_to_end(&kernel), b"still open");
        }
    });
}

#[test]
fn a_reset_from_the_kernel() {
    with_and_without_offload(|lab| {
        let (socket, kernel) = lab.connect_out(Domain::V4);
        let kernel = socket2::Socket::from(kernel);
        kernel.set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
        drop(kernel);
        assert_eq!(errno(socket.recv(&mut [0], NONE, WAIT)), Errno::ECONNRESET);
        assert_eq!(errno(socket.send(b"x", NONE, WAIT)), Errno::EPIPE);
    });
}

#[test]
fn a_reset_from_the_stack() {
    with_and_without_offload(|lab| {
        let (socket, mut kernel) = lab.connect_out(Domain::V6);
        socket.abort().expect("abort");
        assert_eq!(kernel.read(&mut [0]).expect_err("a reset").kind(), ErrorKind::ConnectionReset);
        // Closing with unread data resets as well (RFC 2525 2.17).
        let (socket, mut kernel) = lab.connect_in(Domain::V4);
        kernel.write_all(b"never read").expect("write");
        let mut entries = [PollEntry { socket: Some(&socket), interest: Readiness::IN, ready: Readiness(0) }];
        assert_eq!(poll(&mut entries, WAIT).expect("poll"), 1);
        socket.close().expect("close");
        assert_eq!(kernel.read(&mut [0]).expect_err("a reset").kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn refused_both_ways() {
    with_and_without_offload(|lab| {
        for domain in DOMAINS {
            let socket = lab.stack.socket(domain).expect("a socket");
            assert_eq!(errno(socket.connect(kernel_address(domain, 9), WAIT)), Errno::ECONNREFUSED);
            let kernel = lab.kernel_socket(domain);
            let refused = kernel.connect(&stack_address(domain, 9).into()).expect_err("a refusal");
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        }
    });
}

#[test]
fn an_address_where_nobody_is() {
    let change = |options: &mut StackOptions| {
        options.config.tcp.rto_initial = Duration::from_millis(200);
        options.config.tcp.syn_retries = 2;
    };
    let Some(lab) = Lab::open(true, change) else { return };
    let start = Instant::now();
    let socket = lab.stack.socket(Domain::V4).expect("a socket");
    let nobody = "192.0.2.77:80".parse().expect("an address");
    assert_eq!(errno(socket.connect(nobody, Wait::Forever)), Errno::ETIMEDOUT);
    let took = start.elapsed();
    assert!((Duration::from_millis(1300)..Duration::from_secs(5)).contains(&took), "{took:?}");
}

#[test]
fn the_stack_closes_and_the_kernel_has_everything() {
    with_and_without_offload(|lab| {
        let bytes = pattern(31, 3_000_000);
        let (socket, kernel) = lab.connect_out(Domain::V4);
        socket.send(&bytes, NONE, WAIT).expect("send");
        thread::scope(|scope| {
            let reader = scope.spawn(|| kernel_read_to_end(&kernel));
            let (idle, mut other) = lab.connect_in(Domain::V6);
            lab.stack.close(Some(PATIENCE)).expect("close");
            assert!(reader.join().expect("the reader") == bytes);
            assert_eq!(other.read(&mut [0]).expect("the end"), 0);
            drop(idle);
        });
    });
}
