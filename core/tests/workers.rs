//! Several workers of one host behave as one stack, whichever queue a packet comes by.

#[path = "workers/crew.rs"]
mod crew;
#[path = "workers/intercepted.rs"]
mod intercepted;
#[path = "workers/whole.rs"]
mod whole;

use crew::*;
use std::collections::BTreeSet;
use usertcp_core::config::SynCookies;
use usertcp_core::error::{EndReason, Errno};
use usertcp_core::ip::{self, Fault};
use usertcp_core::stack::socket;
use usertcp_core::stack::{Domain, Shutdown};
use usertcp_core::time::Duration;

const DOMAINS: [Domain; 2] = [Domain::V4, Domain::V6];
const SO_REUSEADDR: i32 = 2;
const SO_REUSEPORT: i32 = 15;
const SO_OOBINLINE: i32 = 10;

fn bytes(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * at + seed) >> 5) as u8).collect()
}

/// What nobody should ever see where nothing is wrong.
fn nothing_is_lost(lab: &Lab) {
    let counters = lab.counters();
    let lost: Vec<_> =
        counters.iter().filter(|(name, count, _)| name.starts_with("drop_") && *count > 0).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!(lab.peer.counters().tcp_resets_in + counters.tcp_resets_in, 0);
}

#[test]
fn connections_both_ways_carry_their_bytes() {
    everywhere(|lab| {
        let workers = lab.workers.len();
        for domain in DOMAINS {
            let far = lab.listen(None, at(Host::Peer, domain, 80), 64);
            let near = lab.listen(Some(1), at(Host::Crew, domain, 80), 64);
            let mut pairs = Vec::new();
            for number in 0..24 {
                let outgoing = lab.connecting(Some(number), at(Host::Peer, domain, 80));
                lab.settle();
                let incoming = lab.connecting(None, at(Host::Crew, domain, 80));
                lab.settle();
                assert_eq!(socket::connected(&outgoing.cell, None), Ok(()));
                assert_eq!(socket::connected(&incoming.cell, None), Ok(()));
                assert_eq!(outgoing.id.worker(), number % workers);
                let accepted = lab.accept(&near).expect("accept");
                pairs.push((outgoing, lab.accept(&far).expect("accept")));
                pairs.push((accepted, incoming));
            }
            let used: BTreeSet<usize> =
                pairs.iter().skip(1).step_by(2).map(|(near, _)| near.id.worker()).collect();
            assert_eq!(used.len(), workers, "peers' connections go to every worker");
            for (number, (near, far)) in pairs.iter().enumerate() {
                lab.carry(near, far, &bytes(40_000, number));
                lab.carry(far, near, &bytes(40_000, number + 7));
            }
            for (near, far) in &pairs {
                lab.close(near);
                lab.settle();
                assert_eq!(lab.recv(far), Ok(Vec::new()), "the end of the stream");
                lab.close(far);
                lab.settle();
            }
        }
        nothing_is_lost(lab);
        lab.pass(Duration::from_secs(120));
        for worker in &lab.workers {
            assert_eq!(worker.live_connections(), 0);
        }
        assert_eq!(lab.counters().packets_forwarded > 0, workers > 1);
    });
}

#[test]
fn a_tun_that_learns_has_the_first_packets_of_a_flow_forwarded_only() {
    let mut lab = Lab::new(4, Steer::Learned, |_| {});
    let far = lab.listen(None, at(Host::Peer, Domain::V4, 80), 64);
    for number in 0..16 {
        let near = lab.connecting(Some(number), at(Host::Peer, Domain::V4, 80));
        lab.settle();
        let far = lab.accept(&far).expect("accept");
        lab.carry(&far, &near, &bytes(100_000, number));
    }
    assert_eq!(lab.counters().packets_forwarded, 0, "each has begun by sending");
    let near = lab.listen(Some(0), at(Host::Crew, Domain::V4, 80), 64);
    for number in 0..16 {
        let far = lab.connecting(None, at(Host::Crew, Domain::V4, 80));
        lab.settle();
        let near = lab.accept(&near).expect("accept");
        lab.carry(&far, &near, &bytes(100_000, number));
    }
    let forwarded = lab.counters().packets_forwarded;
    assert!((6..=16).contains(&forwarded), "{forwarded}: a SYN each that came to the first");
}

#[test]
fn a_listener_holds_everywhere_as_soon_as_it_is_told_and_until_it_is_closed() {
    everywhere(|lab| {
        let to = at(Host::Crew, Domain::V4, 80);
        let listener = lab.listen(Some(1), to, 64);
        let clients: Vec<_> = (0..12).map(|_| lab.connecting(None, to)).collect();
        lab.settle();
        assert!(clients.iter().all(|client| socket::connected(&client.cell, None) == Ok(())));
        // Some are in handshakes that the peer does not complete.
        let first = lab.accept(&listener).expect("accept");
        lab.close(&listener);
        let late: Vec<_> = (0..12).map(|_| lab.connecting(None, to)).collect();
        lab.settle();
        for client in &late {
            assert_eq!(socket::connected(&client.cell, None), Err(Errno::ECONNREFUSED));
        }
        let ends = clients
            .iter()
            .filter(|client| matches!(client.cell.lock().end, Some(EndReason::Reset { .. })))
            .count();
        assert_eq!(ends, 11, "what nobody accepted");
        let (own, far) = (lab.local(&first), clients.iter().find(|client| client.cell.lock().end.is_none()));
        assert_eq!(own, to);
        let far = far.expect("the accepted one lives").clone();
        lab.carry(&first, &far, &bytes(5000, 1));
        // The port is free again.
        let again = lab.listen(Some(2), at(Host::Crew, Domain::V4, 81), 1);
        lab.close(&again);
        lab.listen(Some(3), at(Host::Crew, Domain::V4, 81), 1);
    });
}

#[test]
fn handshakes_under_way_end_with_their_listener_in_every_worker() {
    everywhere(|lab| {
        let to = at(Host::Crew, Domain::V4, 80);
        let listener = lab.listen(Some(1), to, 64);
        lab.kept = Some(Vec::new());
        let clients: Vec<_> = (0..12).map(|_| lab.connecting(None, to)).collect();
        lab.settle();
        assert_eq!(lab.kept.as_ref().map(Vec::len), Some(12), "a SYN-ACK each");
        lab.kept = None;
        lab.close(&listener);
        lab.settle();
        for client in &clients {
            assert_eq!(socket::connected(&client.cell, None), Err(Errno::ECONNREFUSED));
        }
        assert!(lab.workers.iter().all(|worker| worker.sockets() == 0));
    });
}

#[test]
fn a_listener_that_is_shut_down_may_listen_again() {
    everywhere(|lab| {
        let to = at(Host::Crew, Domain::V6, 80);
        let listener = lab.listen(Some(1), to, 64);
        let (now, id) = (lab.now, listener.id);
        lab.stack(&listener).shutdown(now, id, Shutdown::Read).expect("shutdown");
        let clients: Vec<_> = (0..8).map(|_| lab.connecting(None, to)).collect();
        lab.settle();
        assert!(clients.iter().all(|client| client.cell.lock().end.is_some()));
        lab.stack(&listener).listen(now, id, 64).expect("listen");
        let clients: Vec<_> = (0..8).map(|_| lab.connecting(None, to)).collect();
        lab.settle();
        assert!(clients.iter().all(|client| socket::connected(&client.cell, None) == Ok(())));
    });
}

/// The others hear late that it listened, and what its options were then.
#[test]
fn a_socket_that_listened_once_is_as_its_own_worker_has_it() {
    everywhere(|lab| {
        let socket = lab.listen(Some(1), at(Host::Crew, Domain::V4, 80), 4);
        let (now, id) = (lab.now, socket.id);
        let own = lab.stack(&socket);
        own.shutdown(now, id, Shutdown::Read).expect("it listens no more");
        own.set_option(now, id, 1, SO_OOBINLINE, &0i32.to_ne_bytes()).expect("SO_OOBINLINE");
        assert!(socket.cell.lock().out_of_band);
        lab.settle();
        assert!(socket.cell.lock().out_of_band);
    });
}

#[test]
fn there_is_one_accept_queue_of_one_length() {
    everywhere(|lab| {
        let to = at(Host::Crew, Domain::V4, 80);
        let listener = lab.listen(Some(1), to, 3);
        for _ in 0..20 {
            lab.connecting(None, to);
            lab.settle();
        }
        assert_eq!(listener.cell.lock().accept.len(), 4, "one more than the backlog, as in Linux");
        let mut accepted = Vec::new();
        for _ in 0..200 {
            match lab.accept(&listener) {
                Ok(handle) => accepted.push(handle),
                Err(_) => lab.wait(),
            }
            assert!(listener.cell.lock().accept.len() <= 4);
            if accepted.len() == 20 {
                break;
            }
        }
        assert_eq!(accepted.len(), 20);
    });
}

#[test]
fn what_is_set_on_a_listener_holds_for_what_other_workers_accept() {
    everywhere(|lab| {
        let to = at(Host::Crew, Domain::V4, 80);
        let listener = lab.listen(Some(1), to, 64);
        let (now, id) = (lab.now, listener.id);
        let size = 200_000i32;
        lab.stack(&listener).set_option(now, id, 1, 8, &size.to_ne_bytes()).expect("SO_RCVBUF");
        for _ in 0..12 {
            lab.connecting(None, to);
        }
        lab.settle();
        for _ in 0..12 {
            let accepted = lab.accept(&listener).expect("accept");
            let id = accepted.id;
            let got = lab.stack(&accepted).option(id, 1, 8).expect("SO_RCVBUF");
            assert_eq!(got, size.to_ne_bytes());
        }
    });
}

#[test]
fn listeners_of_two_workers_share_a_port() {
    everywhere(|lab| {
        let to = at(Host::Crew, Domain::V4, 80);
        let listeners: Vec<_> = (0..2)
            .map(|worker| {
                let listener = lab.socket(Some(worker), Domain::V4);
                lab.reuse(&listener, SO_REUSEPORT);
                lab.bind(&listener, to).expect("bind");
                let (now, id) = (lab.now, listener.id);
                lab.stack(&listener).listen(now, id, 64).expect("listen");
                listener
            })
            .collect();
        let clients: Vec<_> = (0..32).map(|_| lab.connecting(None, to)).collect();
        lab.settle();
        let waiting = |listener: &Handle| listener.cell.lock().accept.len();
        let (one, other) = (waiting(&listeners[0]), waiting(&listeners[1]));
        assert!(one + other == 32 && one > 4 && other > 4, "{one} {other}");
        lab.close(&listeners[0]);
        lab.settle();
        let lost = clients.iter().filter(|client| client.cell.lock().end.is_some()).count();
        assert_eq!((lost, waiting(&listeners[1])), (one, other));
        for _ in 0..8 {
            lab.connecting(None, to);
        }
        lab.settle();
        assert_eq!(waiting(&listeners[1]), other + 8);
    });
}

#[test]
fn ports_are_the_stacks() {
    everywhere(|lab| {
        let local = at(Host::Crew, Domain::V4, 5000);
        let (one, other) = (lab.socket(Some(0), Domain::V4), lab.socket(Some(1), Domain::V4));
        lab.bind(&one, local).expect("bind");
        assert_eq!(lab.bind(&other, local), Err(Errno::EADDRINUSE));
        lab.close(&one);
        lab.settle();
        lab.bind(&other, local).expect("it is free");
        let ports: BTreeSet<u16> = (0..64)
            .map(|worker| {
                let socket = lab.socket(Some(worker), Domain::V4);
                lab.bind(&socket, at(Host::Crew, Domain::V4, 0)).expect("bind");
                lab.local(&socket).port()
            })
            .collect();
        assert_eq!(ports.len(), 64);
        let one = lab.datagram_socket(Some(0), local);
        let (domain, worker) = (Domain::V4, 1 % lab.workers.len());
        let (id, _) = lab.workers[worker].datagram_socket(domain).expect("a socket");
        assert_eq!(lab.workers[worker].bind(id, local), Err(Errno::EADDRINUSE));
        lab.close(&one);
        lab.settle();
        assert_eq!(lab.workers[worker].bind(id, local), Ok(()));
    });
}

#[test]
fn a_connection_from_a_port_that_was_asked_for_stays_where_its_socket_is() {
    everywhere(|lab| {
        let far = lab.listen(None, at(Host::Peer, Domain::V4, 80), 64);
        let to = at(Host::Peer, Domain::V4, 80);
        let mut pairs = Vec::new();
        for number in 0..12u16 {
            let near = lab.socket(Some(usize::from(number)), Domain::V4);
            lab.reuse(&near, SO_REUSEADDR);
            lab.bind(&near, at(Host::Crew, Domain::V4, 6000 + number)).expect("bind");
            lab.connect(&near, to).expect("connect");
            lab.settle();
            assert_eq!(socket::connected(&near.cell, None), Ok(()));
            pairs.push((near, lab.accept(&far).expect("accept")));
        }
        for (number, (near, far)) in pairs.iter().enumerate() {
            lab.carry(near, far, &bytes(30_000, number));
            lab.carry(far, near, &bytes(30_000, number));
        }
        nothing_is_lost(lab);
        // The same four-tuple is no other worker's to have, while the connection lives and in TIME-WAIT.
        for time_wait in [false, true] {
            for (number, (near, far)) in pairs.iter().enumerate() {
                if time_wait {
                    lab.close(near);
                    lab.settle();
                    lab.close(far);
                    lab.settle();
                }
                let other = lab.socket(Some(number + 1), Domain::V4);
                lab.reuse(&other, SO_REUSEADDR);
                lab.bind(&other, at(Host::Crew, Domain::V4, 6000 + number as u16)).expect("bind");
                assert_eq!(lab.connect(&other, to), Err(Errno::EADDRNOTAVAIL), "{number}");
                lab.close(&other);
            }
        }
        lab.pass(Duration::from_secs(120));
        for number in 0..12u16 {
            let near = lab.socket(Some(usize::from(number) + 1), Domain::V4);
            lab.bind(&near, at(Host::Crew, Domain::V4, 6000 + number)).expect("bind");
            lab.connect(&near, to).expect("it is free again");
            lab.settle();
            assert_eq!(socket::connected(&near.cell, None), Ok(()));
        }
    });
}

#[test]
fn a_connection_that_both_sides_open_at_once() {
    everywhere(|lab| {
        for number in 0..8u16 {
            let (own, far) = (at(Host::Crew, Domain::V4, 7000 + number), at(Host::Peer, Domain::V4, 7000));
            let (near, there) = (lab.socket(Some(number.into()), Domain::V4), lab.socket(None, Domain::V4));
            lab.reuse(&there, SO_REUSEADDR);
            lab.bind(&near, own).expect("bind");
            lab.bind(&there, far).expect("bind");
            lab.connect(&near, far).expect("connect");
            lab.connect(&there, own).expect("connect");
            lab.settle();
            assert_eq!(socket::connected(&near.cell, None), Ok(()));
            assert_eq!(socket::connected(&there.cell, None), Ok(()));
            lab.carry(&near, &there, &bytes(3000, 1));
            lab.carry(&there, &near, &bytes(3000, 2));
        }
    });
}

#[test]
fn cookies_make_connections_in_every_worker() {
    for steer in STEERS {
        let mut lab = Lab::new(4, steer, |config| config.tcp.syn_cookies = SynCookies::Always);
        let to = at(Host::Crew, Domain::V4, 80);
        let listener = lab.listen(Some(2), to, 64);
        for number in 0..16 {
            let far = lab.connecting(None, to);
            lab.settle();
            let near = lab.accept(&listener).expect("accept");
            lab.carry(&far, &near, &bytes(10_000, number));
        }
        assert_eq!(lab.counters().tcp_syn_cookies_received, 16);
    }
}

#[test]
fn what_icmp_says_reaches_the_connection_that_it_is_about() {
    everywhere(|lab| {
        for (number, domain) in DOMAINS.into_iter().cycle().enumerate().take(12) {
            lab.kept = Some(Vec::new());
            let near = lab.connecting(Some(number), at(Host::Peer, domain, 80));
            lab.settle();
            let syn = lab.kept.take().and_then(|mut kept| kept.pop()).expect("a SYN");
            let (_, told) = ip::fault_about(&syn.bytes, Fault::PortUnreachable, None, 64).expect("a message");
            lab.reach_crew(ip::to_frame(&told));
            lab.settle();
            assert_eq!(socket::connected(&near.cell, None), Err(Errno::ECONNREFUSED), "{number}");
        }
        assert_eq!(lab.counters().icmp_errors_in, 12);
        assert_eq!(lab.counters().drop_icmp_no_socket, 0);
    });
}

#[test]
fn a_narrower_path_is_told_to_the_connection_that_uses_it() {
    everywhere(|lab| {
        for (number, domain) in DOMAINS.into_iter().cycle().enumerate().take(8) {
            let far = lab.listen(None, at(Host::Peer, domain, 80 + number as u16), 64);
            let near = lab.connecting(Some(number), at(Host::Peer, domain, 80 + number as u16));
            lab.settle();
            let far = lab.accept(&far).expect("accept");
            lab.kept = Some(Vec::new());
            lab.send(&near, &bytes(1428, 3));
            lab.settle();
            let sent = lab.kept.take().map(|kept| kept[0].clone()).expect("a segment");
            let mtu = 1460 - 10 * number as u16;
            let (_, told) = ip::fault_about(&sent.bytes, Fault::TooBig { mtu }, None, 64).expect("a message");
            lab.reach_crew(ip::to_frame(&told));
            lab.pass(Duration::from_secs(3));
            assert_eq!(lab.recv(&far), Ok(bytes(1428, 3)), "sent again");
            let (now, id) = (lab.now, near.id);
            assert_eq!(lab.stack(&near).tcp_info(now, id).expect("figures").pmtu, u32::from(mtu));
        }
    });
}

#[test]
fn datagrams_find_their_socket_whole_or_in_fragments() {
    everywhere(|lab| {
        for domain in DOMAINS {
            let far = lab.datagram_socket(None, at(Host::Peer, domain, 53));
            for number in 0..8u16 {
                let near = lab.datagram_socket(Some(number.into()), at(Host::Crew, domain, 8000 + number));
                for length in [1, 1000, 4000, 20_000] {
                    let text = bytes(length, usize::from(number));
                    lab.send_to(&far, &text, at(Host::Crew, domain, 8000 + number)).expect("send");
                    lab.settle();
                    assert_eq!(lab.recv_from(&near), Ok((text.clone(), at(Host::Peer, domain, 53))));
                    lab.send_to(&near, &text, at(Host::Peer, domain, 53)).expect("send");
                    lab.settle();
                    assert_eq!(lab.recv_from(&far), Ok((text, at(Host::Crew, domain, 8000 + number))));
                }
            }
        }
        nothing_is_lost(lab);
        assert_eq!(lab.counters().ip_reassembled, 32);
    });
}

#[test]
fn of_sockets_in_several_workers_the_closest_has_the_datagram() {
    everywhere(|lab| {
        let (own, far) = (at(Host::Crew, Domain::V4, 53), at(Host::Peer, Domain::V4, 4000));
        let there = lab.datagram_socket(None, far);
        let sockets: Vec<_> = (0..3)
            .map(|worker| {
                let (_, stack) = (Host::Crew, worker % lab.workers.len());
                let (id, cell) = lab.workers[stack].datagram_socket(Domain::V4).expect("a socket");
                let handle = Handle { host: Host::Crew, id, cell };
                lab.reuse(&handle, SO_REUSEADDR);
                handle
            })
            .collect();
        lab.bind(&sockets[0], address("0.0.0.0:53")).expect("bind");
        let arrives = |lab: &mut Lab, at: usize| {
            lab.send_to(&there, b"x", own).expect("send");
            lab.settle();
            for (number, socket) in sockets.iter().enumerate() {
                assert_eq!(lab.recv_from(socket).is_ok(), number == at, "{number}");
            }
        };
        arrives(lab, 0);
        lab.bind(&sockets[1], own).expect("bind");
        arrives(lab, 1);
        lab.bind(&sockets[2], own).expect("bind");
        lab.connect(&sockets[2], far).expect("connect");
        arrives(lab, 2);
        lab.close(&sockets[2]);
        lab.settle();
        let rest = &sockets[..2];
        lab.send_to(&there, b"x", own).expect("send");
        lab.settle();
        assert!(lab.recv_from(&rest[0]).is_err() && lab.recv_from(&rest[1]).is_ok());
    });
}

#[test]
fn what_nobody_has_is_refused_once() {
    everywhere(|lab| {
        let refused = at(Host::Crew, Domain::V4, 9);
        let there = lab.datagram_socket(None, at(Host::Peer, Domain::V4, 4000));
        lab.connect(&there, refused).expect("connect");
        lab.send_to(&there, b"x", refused).expect("send");
        let clients: Vec<_> = (0..8).map(|_| lab.connecting(None, refused)).collect();
        lab.settle();
        assert_eq!(socket::take_error(&there.cell), Some(Errno::ECONNREFUSED));
        for client in clients {
            assert_eq!(socket::connected(&client.cell, None), Err(Errno::ECONNREFUSED));
        }
        let counters = lab.counters();
        assert_eq!((counters.drop_tcp_no_socket, counters.drop_udp_no_socket), (8, 1));
        assert_eq!((counters.tcp_resets_out, counters.icmp_errors_out), (8, 1));
    });
}

#[test]
fn sockets_of_two_workers_reach_each_other() {
    everywhere(|lab| {
        for text in ["127.0.0.1:80", "[::1]:80", "192.0.2.2:81"] {
            let listener = lab.listen(Some(0), address(text), 64);
            for number in 0..8 {
                let client = lab.connecting(Some(number), address(text));
                lab.settle();
                assert_eq!(socket::connected(&client.cell, None), Ok(()), "{text}");
                let server = lab.accept(&listener).expect("accept");
                lab.carry(&client, &server, &bytes(100_000, number));
                lab.carry(&server, &client, &bytes(100_000, number + 1));
            }
        }
        let one = lab.datagram_socket(Some(0), address("127.0.0.1:53"));
        for number in 1..4 {
            let other = lab.datagram_socket(Some(number), address("127.0.0.1:0"));
            let from = lab.local(&other);
            lab.send_to(&other, b"question", address("127.0.0.1:53")).expect("send");
            lab.settle();
            assert_eq!(lab.recv_from(&one), Ok((b"question".to_vec(), from)));
            lab.connect(&other, address("127.0.0.1:9")).expect("connect");
            lab.send_to(&other, b"x", address("127.0.0.1:9")).expect("send");
            lab.settle();
            assert_eq!(socket::take_error(&other.cell), Some(Errno::ECONNREFUSED));
        }
    });
}

#[test]
fn a_full_queue_between_workers_loses_packets_by_name_and_no_bytes() {
    for workers in [2, 4] {
        let mut lab = Lab::new(workers, Steer::Wrong, |_| {});
        let near = lab.listen(Some(0), at(Host::Crew, Domain::V4, 80), 64);
        let far = lab.connecting(None, at(Host::Crew, Domain::V4, 80));
        lab.settle();
        let near = lab.accept(&near).expect("accept");
        lab.room = 9;
        lab.carry(&far, &near, &bytes(200_000, 1));
        lab.carry(&near, &far, &bytes(200_000, 2));
        assert!(lab.counters().drop_worker_queue > 0);
    }
}

#[test]
fn a_host_has_from_one_to_sixty_four_workers() {
    use usertcp_core::{config::Config, link::Capabilities, stack::Stack, trace::Log};
    let workers = |count| {
        let made = Stack::workers(&Config::default(), count, Capabilities::plain(1500), || Log::new(None));
        made.map(|workers| workers.len()).map_err(|error| error.errno())
    };
    assert_eq!([workers(1), workers(64)], [Ok(1), Ok(64)]);
    assert_eq!([workers(0), workers(65)], [Err(Errno::EINVAL); 2]);
}
