//! Urgent data to and from the kernel's sockets, in line and out of band.

use super::lab::*;
use std::io::{Read, Write};
use usertcp_core::api::*;

const SOL_SOCKET: i32 = libc::SOL_SOCKET;
const OOB: MessageFlags = MessageFlags::OOB;

fn wait_for(socket: &Socket, interest: Readiness) -> Readiness {
    let mut entries = [PollEntry { socket: Some(socket), interest, ready: Readiness(0) }];
    assert_eq!(poll(&mut entries, WAIT).expect("poll"), 1, "nothing came");
    entries[0].ready
}

fn inline(socket: &Socket, on: i32) {
    socket.set_option(SOL_SOCKET, libc::SO_OOBINLINE, &on.to_ne_bytes()).expect("SO_OOBINLINE");
}

fn read(socket: &Socket) -> Vec<u8> {
    let mut buffer = [0; 100];
    let count = socket.recv(&mut buffer, NONE, WAIT).expect("recv");
    buffer[..count].to_vec()
}

#[test]
fn from_the_kernel() {
    with_and_without_offload(|lab| {
        for domain in DOMAINS {
            let (socket, kernel) = lab.connect_out(domain);
            let kernel = socket2::Socket::from(kernel);
            let value = socket.option(SOL_SOCKET, libc::SO_OOBINLINE).expect("SO_OOBINLINE");
            assert_eq!(value, 1i32.to_ne_bytes(), "in line, as RFC 6093 recommends");
            (&kernel).write_all(b"ordinary").expect("write");
            kernel.send_out_of_band(b"urgent!").expect("send");
            (&kernel).write_all(b"behind").expect("write");
            wait_for(&socket, Readiness::PRI);
            let mut before = Vec::new();
            while !socket.at_mark().expect("a mark") {
                before.extend(read(&socket));
            }
            assert_eq!(before, b"ordinaryurgent", "reads stop at the mark");
            assert_eq!(errno(socket.recv(&mut [0], OOB, WAIT)), Errno::EINVAL);
            kernel.shutdown(std::net::Shutdown::Write).expect("shutdown");
            assert_eq!(read_to_end(&socket), b"!behind");
            assert!(socket.readiness().0 & Readiness::PRI.0 == 0);
        }
    });
}

#[test]
fn from_the_kernel_out_of_band() {
    with_and_without_offload(|lab| {
        let (socket, kernel) = lab.connect_in(Domain::V4);
        let kernel = socket2::Socket::from(kernel);
        inline(&socket, 0);
        assert_eq!(errno(socket.recv(&mut [0], OOB, WAIT)), Errno::EINVAL);
        kernel.send_out_of_band(b"abc!").expect("send");
        (&kernel).write_all(b"def").expect("write");
        wait_for(&socket, Readiness::PRI);
        let mut byte = [0; 4];
        assert_eq!(
            socket.recv(&mut byte, MessageFlags(OOB.0 | MessageFlags::PEEK.0), WAIT).expect("recv"),
            1
        );
        assert_eq!(socket.recv(&mut byte, OOB, WAIT).expect("recv"), 1);
        assert_eq!(byte[0], b'!');
        assert_eq!(errno(socket.recv(&mut byte, OOB, WAIT)), Errno::EINVAL);
        kernel.shutdown(std::net::Shutdown::Write).expect("shutdown");
        assert_eq!(read_to_end(&socket), b"abcdef");
    });
}

#[test]
fn to_the_kernel() {
    with_and_without_offload(|lab| {
        for domain in DOMAINS {
            let (socket, mut kernel) = lab.connect_in(domain);
            socket.send(b"ordinary", NONE, WAIT).expect("send");
            socket.send(b"urgent!", OOB, WAIT).expect("send");
            socket.send(b"behind", NONE, WAIT).expect("send");
            socket.shutdown(Shutdown::Write).expect("shutdown");
            let other = socket2::Socket::from(kernel.try_clone().expect("a clone"));
            // Everything is there once the end is.
            let mut byte = [std::mem::MaybeUninit::uninit(); 1];
            let mut before = Vec::new();
            while before.len() < 14 {
                let mut buffer = [0; 14];
                let room = 14 - before.len();
                let count = kernel.read(&mut buffer[..room]).expect("read");
                before.extend_from_slice(&buffer[..count]);
            }
            assert_eq!(before, b"ordinaryurgent");
            let mut rest = Vec::new();
            let count = loop {
                match other.recv_out_of_band(&mut byte) {
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => std::thread::yield_now(),
                    answer => break answer.expect("the urgent byte"),
                }
            };
            assert_eq!(count, 1);
            kernel.read_to_end(&mut rest).expect("read");
            assert_eq!(rest, b"behind", "the kernel takes the urgent byte out of the stream");
        }
    });
}

#[test]
fn a_long_urgent_write_reaches_the_kernel_whole() {
    with_and_without_offload(|lab| {
        let (socket, kernel) = lab.connect_out(Domain::V4);
        socket2::SockRef::from(&kernel).set_out_of_band_inline(true).expect("SO_OOBINLINE");
        let bytes = pattern(77, 1_000_000);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| kernel_read_to_end(&kernel));
            for piece in bytes.chunks(70_000) {
                assert_eq!(socket.send(piece, OOB, WAIT).expect("send"), piece.len());
            }
            socket.shutdown(Shutdown::Write).expect("shutdown");
            assert!(reader.join().expect("the reader") == bytes);
        });
    });
}
