//! Programs that close, and such as read on behind a shutdown: neither end of a connection leaves anything behind without a RST.

use super::lab::*;
use crate::events::until;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::thread;
use usertcp_core::api::{self, Domain, Duration, PollEntry, Readiness, Socket, StackOptions, poll};
use usertcp_tracecheck::{Kind, Options, Whom, check_capture};

/// The flags of a packet in pcapng: code, length, direction.
const FLAGS: [u8; 4] = [2, 0, 4, 0];

/// Runs `test` in a lab and judges both ends, as if each had made the capture, by a judge without patience: whoever sends FIN and leaves
/// the window shut up to the end is taken to be gone.
fn judged(name: &str, test: impl Fn(&Lab)) {
    for offload in [true, false] {
        let path: PathBuf =
            std::env::temp_dir().join(format!("usertcp-{}-{name}-{offload}.pcapng", std::process::id()));
        let Some(lab) = Lab::open(offload, |options: &mut StackOptions| {
            options.pcap = Some(path.clone());
            options.config.buffers.receive = 30_000;
        }) else {
            return;
        };
        test(&lab);
        drop(lab);
        let bytes = fs::read(&path).expect("the capture");
        for capture in [turned(&bytes), bytes] {
            let options = Options {
                whom: Whom::Capturing,
                super_frames: Some(offload),
                slack: Duration::from_millis(500),
                patience: Duration::ZERO,
                allowed: vec![Kind::MayFragment],
                ..Options::default()
            };
            let report = check_capture(&capture[..], options).expect("a capture");
            let listed: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
            assert!(listed.is_empty(), "{}: {}", path.display(), listed.join("\n"));
            assert!(report.connections > 0);
        }
        fs::remove_file(&path).expect("the capture is removed");
    }
}

/// The capture as the other end would have made it.
fn turned(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
        let (kind, length) = (word(at), word(at + 4));
        if kind == 6 {
            let options = at + 28 + word(at + 20).next_multiple_of(4);
            assert_eq!(bytes[options..options + 4], FLAGS, "the first option");
            bytes[options + 4] ^= 3;
        }
        at += length;
    }
    bytes
}

/// A connection that the stack opened, with small buffers in the kernel.
fn small(lab: &Lab, domain: Domain) -> (Socket, TcpStream) {
    let (listener, address) = lab.kernel_listener(domain, 1);
    listener.set_recv_buffer_size(20_000).expect("SO_RCVBUF");
    let socket = lab.stack.socket(domain).expect("a socket");
    socket.connect(address, WAIT).expect("connect");
    let (kernel, _) = listener.accept().expect("accept");
    kernel.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    (socket, kernel.into())
}

/// Sends until the kernel's window is shut.
fn fill(lab: &Lab, socket: &Socket) {
    let bytes = pattern(51, 1 << 20);
    socket.send(&bytes, NONE, WAIT).expect("send");
    let before = lab.stack.counters().expect("counters").tcp_probes;
    until("a probe", || lab.stack.counters().expect("counters").tcp_probes > before);
}

#[test]
fn a_kernel_that_closes_with_data_unread() {
    judged("close", |lab| {
        for domain in DOMAINS {
            let (socket, kernel) = small(lab, domain);
            fill(lab, &socket);
            drop(kernel);
            assert_eq!(errno(socket.recv(&mut [0], NONE, WAIT)), api::Errno::ECONNRESET);
            // Behind its shutdown.
            let (socket, kernel) = small(lab, domain);
            fill(lab, &socket);
            kernel.shutdown(Shutdown::Write).expect("shutdown");
            assert_eq!(socket.recv(&mut [0], NONE, WAIT).expect("the end"), 0);
            drop(kernel);
            let mut entries =
                [PollEntry { socket: Some(&socket), interest: Readiness::IN, ready: Readiness(0) }];
            until("a reset", || {
                poll(&mut entries, WAIT).expect("poll");
                entries[0].ready.0 & Readiness::ERR.0 != 0
            });
        }
    });
}

#[test]
fn a_kernel_that_closes_and_is_sent_more() {
    judged("more", |lab| {
        let (socket, kernel) = small(lab, Domain::V4);
        drop(kernel);
        assert_eq!(socket.recv(&mut [0], NONE, WAIT).expect("the end"), 0);
        socket.send(&pattern(52, 100_000), NONE, WAIT).expect("send");
        until("a reset", || socket.send(b"more", NONE, WAIT).is_err());
    });
}

#[test]
fn a_kernel_that_reads_behind_its_shutdown() {
    judged("half", |lab| {
        let (socket, mut kernel) = small(lab, Domain::V4);
        let bytes = pattern(51, 1 << 20);
        fill(lab, &socket);
        kernel.shutdown(Shutdown::Write).expect("shutdown");
        assert_eq!(socket.recv(&mut [0], NONE, WAIT).expect("the end"), 0);
        // It pauses twice with its window shut, and has less room at the end.
        let mut read = vec![0; bytes.len()];
        let (first, rest) = read.split_at_mut(300_000);
        kernel.read_exact(first).expect("read");
        let before = lab.stack.counters().expect("counters").tcp_probes;
        until("a probe", || lab.stack.counters().expect("counters").tcp_probes > before);
        let kernel = socket2::Socket::from(kernel);
        kernel.set_recv_buffer_size(5000).expect("SO_RCVBUF");
        let mut kernel = TcpStream::from(kernel);
        kernel.read_exact(rest).expect("read");
        assert!(read == bytes);
        drop(socket);
        assert_eq!(kernel.read(&mut [0]).expect("the end"), 0);
    });
}

#[test]
fn a_program_of_the_stack() {
    judged("stack", |lab| {
        // It reads on behind its shutdown, with a pause.
        let (socket, kernel) = lab.connect_in(Domain::V4);
        let bytes = pattern(53, 1 << 20);
        socket.shutdown(api::Shutdown::Write).expect("shutdown");
        assert_eq!((&kernel).read(&mut [0]).expect("the end"), 0);
        thread::scope(|scope| {
            scope.spawn(|| kernel_send_all(&kernel, &bytes));
            until("much to read", || socket.ioctl(libc::FIONREAD).is_ok_and(|count| count > 20_000));
            assert!(read_to_end(&socket) == bytes);
        });
        // It closes with data unread.
        let (socket, mut kernel) = lab.connect_in(Domain::V6);
        kernel.write_all(b"never read").expect("write");
        let mut entries = [PollEntry { socket: Some(&socket), interest: Readiness::IN, ready: Readiness(0) }];
        assert_eq!(poll(&mut entries, WAIT).expect("poll"), 1);
        socket.shutdown(api::Shutdown::Write).expect("shutdown");
        socket.close().expect("close");
        until("a reset", || kernel.write(b"x").is_err());
    });
}
