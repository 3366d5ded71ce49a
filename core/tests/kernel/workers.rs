//! Several workers on the queues of one TUN.

use super::lab::*;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::thread;
use usertcp_core::api::*;
use usertcp_core::sys::{self, PollFd};

const CROWD: usize = 24;

/// Runs `test` with two workers and with four, with offload and without.
fn with_workers(test: impl Fn(&Lab)) {
    for workers in [2, 4] {
        for offload in [true, false] {
            let Some(sandbox) = sandbox_of(offload, workers) else { return };
            let queues = sandbox.tun_queues().expect("the queues");
            test(&Lab::within(sandbox, offload, |options| {
                options.device = DeviceOptions::Queues(queues);
                options.workers = workers;
            }));
        }
    }
}

fn kernel_echo(mut kernel: TcpStream) {
    let mut buffer = [0; 20_000];
    loop {
        match kernel.read(&mut buffer).expect("read") {
            0 => return,
            count => kernel.write_all(&buffer[..count]).expect("write"),
        }
    }
}

fn echo(socket: &Socket) {
    let mut buffer = [0; 20_000];
    loop {
        match socket.recv(&mut buffer, NONE, WAIT).expect("recv") {
            0 => return,
            count => assert_eq!(socket.send(&buffer[..count], NONE, WAIT).expect("send"), count),
        }
    }
}

/// Whatever went from one worker to another arrived there.
fn nothing_is_lost(lab: &Lab) {
    let counters = lab.stack.counters().expect("counters");
    assert_eq!(counters.drop_worker_queue, 0);
    assert_eq!((counters.drop_tcp_checksum, counters.drop_ip_checksum), (0, 0));
}

#[test]
fn many_connections_to_the_kernel_at_once() {
    with_workers(|lab| {
        for domain in DOMAINS {
            let (listener, address) = lab.kernel_listener(domain, 128);
            thread::scope(|scope| {
                scope.spawn(|| {
                    for _ in 0..CROWD {
                        let (kernel, _) = listener.accept().expect("accept");
                        kernel.set_read_timeout(Some(PATIENCE)).expect("a time-out");
                        scope.spawn(move || kernel_echo(kernel.into()));
                    }
                });
                for number in 0..CROWD {
                    scope.spawn(move || {
                        let socket = lab.stack.socket(domain).expect("a socket");
                        socket.connect(address, WAIT).expect("connect");
                        let bytes = pattern(number as u64, 300_000);
                        thread::scope(|scope| {
                            scope.spawn(|| send_all(&socket, &bytes));
                            assert!(read_to_end(&socket) == bytes, "connection {number}");
                        });
                    });
                }
            });
        }
        nothing_is_lost(lab);
    });
}

#[test]
fn many_connections_from_the_kernel_at_once() {
    with_workers(|lab| {
        for domain in DOMAINS {
            let (listener, address) = lab.listener(domain, 128);
            thread::scope(|scope| {
                scope.spawn(|| {
                    for _ in 0..CROWD {
                        let (socket, _) = listener.accept(WAIT).expect("accept");
                        scope.spawn(move || echo(&socket));
                    }
                });
                for number in 0..CROWD {
                    scope.spawn(move || {
                        let kernel = lab.kernel_socket(domain);
                        kernel.connect(&address.into()).expect("connect");
                        let kernel = TcpStream::from(kernel);
                        let bytes = pattern(number as u64, 300_000);
                        thread::scope(|scope| {
                            scope.spawn(|| kernel_send_all(&kernel, &bytes));
                            assert!(kernel_read_to_end(&kernel) == bytes, "connection {number}");
                        });
                    });
                }
            });
        }
        nothing_is_lost(lab);
        let counters = lab.stack.counters().expect("counters");
        assert!(counters.packets_forwarded > 0, "SYNs come by the queue that the kernel chooses");
        assert_eq!(counters.tcp_passive_opens, 2 * CROWD as u64);
    });
}

#[test]
fn datagrams_and_what_icmp_says_of_them_find_their_socket() {
    with_workers(|lab| {
        for domain in DOMAINS {
            let fd = lab.sandbox.socket(domain, libc::SOCK_DGRAM, 0).expect("a socket");
            let socket = socket2::Socket::from(fd);
            socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
            socket.bind(&kernel_address(domain, 0).into()).expect("bind");
            let kernel = UdpSocket::from(socket);
            let address = kernel.local_addr().expect("an address");
            for number in 0..8 {
                let socket = lab.stack.datagram_socket(domain).expect("a socket");
                socket.bind(stack_address(domain, 0)).expect("bind");
                let own = socket.local_address().expect("an address");
                for length in [1, 1400, 20_000] {
                    let bytes = pattern(number, length);
                    let mut buffer = vec![0; 65_536];
                    socket.send_to(&bytes, Some(address), NONE, WAIT).expect("send");
                    let (count, from) = kernel.recv_from(&mut buffer).expect("recv");
                    assert!(from == own && buffer[..count] == bytes);
                    kernel.send_to(&bytes, own).expect("send");
                    let (count, from) = socket.recv_from(&mut buffer, NONE, WAIT).expect("recv");
                    assert!(from == Some(address) && buffer[..count] == bytes);
                }
                // The kernel tells no more than a few at once.
                if number >= 4 {
                    continue;
                }
                let nobody = kernel_address(domain, 9);
                socket.connect(nobody, WAIT).expect("connect");
                socket.send(b"x", NONE, WAIT).expect("send");
                assert_eq!(errno(socket.recv(&mut [0; 8], NONE, WAIT)), Errno::ECONNREFUSED);
            }
        }
    });
}

#[test]
fn a_listener_is_closed_in_every_worker() {
    with_workers(|lab| {
        let (listener, address) = lab.listener(Domain::V4, 64);
        let early: Vec<_> = (0..8)
            .map(|_| {
                let kernel = lab.kernel_socket(Domain::V4);
                kernel.connect(&address.into()).expect("connect");
                kernel
            })
            .collect();
        listener.close().expect("close");
        for kernel in early {
            let read = TcpStream::from(kernel).read(&mut [0; 8]);
            assert_eq!(read.expect_err("a reset").kind(), std::io::ErrorKind::ConnectionReset);
        }
        for _ in 0..8 {
            let refused = lab.kernel_socket(Domain::V4).connect(&address.into());
            assert_eq!(refused.expect_err("a refusal").kind(), std::io::ErrorKind::ConnectionRefused);
        }
        let again = lab.stack.socket(Domain::V4).expect("a socket");
        again.bind(address).expect("the port is free");
        again.listen(1).expect("listen");
    });
}

#[test]
fn closing_the_stack_sends_what_every_worker_has() {
    with_workers(|lab| {
        let pairs: Vec<_> = (0..8).map(|_| lab.connect_out(Domain::V4)).collect();
        for (number, (socket, _)) in pairs.iter().enumerate() {
            socket.send(&pattern(number as u64, 100_000), NONE, WAIT).expect("send");
        }
        thread::scope(|scope| {
            let closing = scope.spawn(|| lab.stack.close(Some(PATIENCE)));
            for (number, (_, kernel)) in pairs.iter().enumerate() {
                assert!(kernel_read_to_end(kernel) == pattern(number as u64, 100_000), "connection {number}");
            }
            assert!(closing.join().expect("no panic").is_ok());
        });
    });
}

#[test]
fn sockets_of_any_worker_do_what_sockets_do() {
    with_workers(|lab| {
        for _ in 0..4 {
            let (socket, mut kernel) = lab.connect_in(Domain::V6);
            socket.set_option(libc::IPPROTO_TCP, libc::TCP_NODELAY, &1i32.to_ne_bytes()).expect("an option");
            assert_eq!(socket.tcp_info().expect("figures").state, 1);
            assert_eq!(socket.peer_address().expect("an address"), kernel.local_addr().expect("an address"));
            let fd = socket.readiness_fd().expect("a descriptor");
            let shown = |time| {
                let mut entries = [PollFd { fd, events: libc::POLLIN, revents: 0 }];
                sys::poll(&mut entries, Some(time)).expect("poll");
                entries[0].revents
            };
            assert_eq!(shown(Duration::ZERO), 0);
            kernel.write_all(b"question").expect("write");
            let mut entries =
                [PollEntry { socket: Some(&socket), interest: Readiness::IN, ready: Readiness::default() }];
            assert_eq!(poll(&mut entries, WAIT).expect("poll"), 1);
            assert_eq!(shown(PATIENCE), libc::POLLIN);
            let mut buffer = [0; 8];
            assert_eq!(socket.recv(&mut buffer, NONE, WAIT).expect("recv"), 8);
            assert_eq!(shown(Duration::ZERO), 0, "nothing is left");
            let stream = std::os::unix::net::UnixStream::from(socket.export_fd().expect("a stream"));
            stream.set_nonblocking(false).expect("blocking");
            (&stream).write_all(b"answer").expect("write");
            drop(stream);
            assert_eq!(kernel_read_to_end(&kernel), b"answer");
        }
    });
}

#[test]
fn links_that_cannot_give_a_queue_to_each_worker_say_so() {
    let Some(sandbox) = sandbox(true) else { return };
    let open = |device: DeviceOptions, workers: usize, impairment: Option<Impairment>| {
        let options = StackOptions { device, workers, impairment, ..StackOptions::default() };
        Stack::open(options).map(|_| ()).expect_err("no stack").to_string()
    };
    let single = || DeviceOptions::Descriptor(sandbox.tun().expect("the TUN"));
    let text = open(single(), 4, None);
    assert!(text.contains("4 workers") && text.contains("queue") && text.contains("by name"), "{text}");
    let text = open(DeviceOptions::Queues(vec![sandbox.tun().expect("the TUN")]), 2, None);
    assert!(text.contains("workers is 2") && text.contains("1 given"), "{text}");
    let text = open(DeviceOptions::default(), 2, Some(Impairment::default()));
    assert!(text.contains("one worker"), "{text}");
    for workers in [0, 65] {
        assert!(open(single(), workers, None).contains("from 1 to 64"));
    }
}

/// Whichever worker's connection is cut off: what led to it may have come by any queue.
#[test]
fn a_reset_has_the_packets_of_every_worker_written() {
    let Some(sandbox) = sandbox_of(false, 4) else { return };
    let queues = sandbox.tun_queues().expect("the queues");
    let file = std::env::temp_dir().join(format!("usertcp-workers-{}.pcapng", std::process::id()));
    let lab = Lab::within(sandbox, false, |options| {
        options.device = DeviceOptions::Queues(queues);
        options.workers = 4;
        options.pcap = Some(file.clone());
        options.pcap_ring = 4 << 20;
    });
    let (listener, address) = lab.kernel_listener(Domain::V4, 128);
    let ends: Vec<_> = (0..CROWD)
        .map(|_| {
            let socket = lab.stack.socket(Domain::V4).expect("a socket");
            socket.connect(address, WAIT).expect("connect");
            (socket, listener.accept().expect("accept").0)
        })
        .collect();
    let mut ends = ends.into_iter();
    let (socket, kernel) = ends.next().expect("one of them");
    kernel.set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
    drop(kernel);
    assert_eq!(errno(socket.recv(&mut [0], NONE, WAIT)), Errno::ECONNRESET);
    lab.stack.close(None).expect("close");
    let packets = std::fs::read(&file).expect("a capture");
    std::fs::remove_file(&file).expect("it was there");
    let ports = ends_of(&packets, address.port());
    assert_eq!(ports.len(), CROWD, "of how many connections there is something");
}

/// The stack's ports in packets of IPv4 to `port`, of a capture in the format pcapng.
fn ends_of(capture: &[u8], port: u16) -> BTreeSet<u16> {
    let word = |at: usize| u32::from_le_bytes(capture[at..at + 4].try_into().expect("four bytes"));
    let mut ports = BTreeSet::new();
    let mut at = 0;
    while at < capture.len() {
        let packet = &capture[(at + 28).min(capture.len())..];
        if word(at) == 6 && packet[0] == 0x45 {
            let [source, target] = [20, 22].map(|from| u16::from_be_bytes([packet[from], packet[from + 1]]));
            if target == port {
                ports.insert(source);
            }
        }
        at += word(at + 4) as usize;
    }
    ports
}
