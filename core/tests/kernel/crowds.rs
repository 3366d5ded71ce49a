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
