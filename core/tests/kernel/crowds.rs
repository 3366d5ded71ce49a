//! Many connections at once.

use super::lab::*;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use usertcp_core::api::*;

const CROWD: usize = 50;

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

#[test]
fn fifty_connections_to_the_kernel_at_once() {
    with_and_without_offload(|lab| {
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
                        let bytes = pattern(number as u64, 50_000);
                        thread::scope(|scope| {
                            scope.spawn(|| send_all(&socket, &bytes));
                            assert!(read_to_end(&socket) == bytes, "connection {number}");
                        });
                    });
                }
            });
        }
    });
}

#[test]
fn a_burst_of_kernel_clients_within_the_backlog() {
    for domain in DOMAINS {
        with_and_without_offload(|lab| {
            let (listener, address) = lab.listener(domain, CROWD as u32);
            let clients: Vec<_> = (0..CROWD).map(|_| lab.kernel_socket(domain)).collect();
            for client in &clients {
                client.set_nonblocking(true).expect("non-blocking");
                let started = client.connect(&address.into()).err().and_then(|error| error.raw_os_error());
                assert!(matches!(started, None | Some(libc::EINPROGRESS)), "{started:?}");
            }
            let accepted: Vec<_> = (0..CROWD).map(|_| listener.accept(WAIT).expect("accept").0).collect();
            let counters = lab.stack.counters().expect("counters");
            assert_eq!((counters.tcp_resets_out, counters.drop_tcp_syn_queue), (0, 0), "{counters:?}");
            thread::scope(|scope| {
                for socket in accepted {
                    scope.spawn(move || echo(&socket));
                }
                for (number, client) in clients.into_iter().enumerate() {
                    scope.spawn(move || {
                        client.set_nonblocking(false).expect("blocking");
                        let kernel = TcpStream::from(client);
                        let bytes = pattern(number as u64, 30_000);
                        thread::scope(|scope| {
                            scope.spawn(|| kernel_send_all(&kernel, &bytes));
                            assert!(kernel_read_to_end(&kernel) == bytes, "client {number}");
                        });
                    });
                }
            });
        });
    }
}

#[test]
fn connections_come_and_go() {
    let Some(lab) = Lab::open(true, |_| {}) else { return };
    let (listener, address) = lab.listener(Domain::V4, 16);
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..200 {
                let (socket, _) = listener.accept(WAIT).expect("accept");
                echo(&socket);
            }
        });
        for _ in 0..200 {
            let kernel = lab.kernel_socket(Domain::V4);
            kernel.connect(&address.into()).expect("connect");
            let kernel = TcpStream::from(kernel);
            kernel_send_all(&kernel, b"hello");
            assert_eq!(kernel_read_to_end(&kernel), b"hello");
        }
    });
}

/// Every kernel client is answered with a cookie, and its options come back with it.
#[test]
fn kernel_clients_bring_cookies_back() {
    for offload in [true, false] {
        let change = |options: &mut StackOptions| options.config.tcp.syn_cookies = SynCookies::Always;
        let Some(lab) = Lab::open(offload, change) else { return };
        for domain in DOMAINS {
            let (listener, address) = lab.listener(domain, CROWD as u32);
            let clients: Vec<_> = (0..CROWD)
                .map(|_| {
                    let client = lab.kernel_socket(domain);
                    client.connect(&address.into()).expect("connect");
                    TcpStream::from(client)
                })
                .collect();
            thread::scope(|scope| {
                for (number, kernel) in clients.iter().enumerate() {
                    let (socket, _) = listener.accept(WAIT).expect("accept");
                    let info = socket.tcp_info().expect("figures");
                    // Timestamps, SACK and window scaling, as the kernel offers them.
                    assert_eq!((info.options & 7, info.snd_wscale > 0), (7, true));
                    scope.spawn(move || echo(&socket));
                    scope.spawn(move || {
                        let bytes = pattern(number as u64, 30_000);
                        thread::scope(|scope| {
                            scope.spawn(|| kernel_send_all(kernel, &bytes));
                            assert!(kernel_read_to_end(kernel) == bytes, "client {number}");
                        });
                    });
                }
            });
        }
        let counters = lab.stack.counters().expect("counters");
        let expected = 2 * CROWD as u64;
        assert_eq!(counters.tcp_syn_cookies_received, expected);
        assert!(counters.tcp_syn_cookies_sent >= expected);
        // A FIN that went twice is acknowledged twice, and the second ACK finds nobody: it is no cookie either.
        let twice = counters.tcp_tail_probes + counters.tcp_retransmits;
        assert!(counters.tcp_syn_cookies_failed <= twice, "{counters:?}");
        assert_eq!(counters.tcp_resets_out, counters.tcp_syn_cookies_failed);
    }
}

/// More kernel clients at once than either queue holds: all come through in time, none is reset.
#[test]
fn kernel_clients_beyond_the_queues_are_not_lost() {
    let change = |options: &mut StackOptions| options.config.tcp.syn_queue_extra = 0;
    let Some(lab) = Lab::open(true, change) else { return };
    let (listener, address) = lab.listener(Domain::V4, 2);
    let clients: Vec<_> = (0..CROWD)
        .map(|_| {
            let client = lab.kernel_socket(Domain::V4);
            client.set_nonblocking(true).expect("non-blocking");
            let started = client.connect(&address.into()).err().and_then(|error| error.raw_os_error());
            assert!(matches!(started, None | Some(libc::EINPROGRESS)), "{started:?}");
            client
        })
        .collect();
    thread::scope(|scope| {
        for client in clients {
            client.set_nonblocking(false).expect("blocking");
            scope.spawn(move || {
                let kernel = TcpStream::from(client);
                // Waits until it is connected.
                kernel_send_all(&kernel, b"hello");
                assert_eq!(kernel_read_to_end(&kernel), b"hello");
            });
        }
        for _ in 0..CROWD {
            let (socket, _) = listener.accept(WAIT).expect("accept");
            scope.spawn(move || echo(&socket));
        }
    });
    assert_eq!(lab.stack.counters().expect("counters").tcp_resets_out, 0);
}

/// A kernel client that says nothing is not shown before it does, or before the time is over.
#[test]
fn a_silent_kernel_client_waits() {
    let Some(lab) = Lab::open(true, |_| {}) else { return };
    for domain in DOMAINS {
        let (listener, address) = lab.listener(domain, 8);
        let set = |seconds: i32| {
            let value = seconds.to_ne_bytes();
            listener.set_option(libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, &value).expect("set");
        };
        set(60);
        let kernel = lab.kernel_socket(domain);
        kernel.connect(&address.into()).expect("connect");
        assert_eq!(errno(listener.accept(Wait::AtMost(Duration::from_millis(200)))), Errno::EAGAIN);
        kernel.send(b"hello").expect("send");
        let (socket, _) = listener.accept(WAIT).expect("accept");
        let mut buffer = [0; 9];
        assert_eq!(socket.recv(&mut buffer, NONE, WAIT).expect("recv"), 5);

        set(1);
        let late = lab.kernel_socket(domain);
        late.connect(&address.into()).expect("connect");
        let start = std::time::Instant::now();
        let (socket, _) = listener.accept(WAIT).expect("accept");
        assert!(start.elapsed() >= Duration::from_millis(800), "{:?}", start.elapsed());
        drop(kernel);
        drop(late);
        assert_eq!(socket.recv(&mut buffer, NONE, WAIT).expect("recv"), 0);
    }
}
