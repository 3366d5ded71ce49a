//! Interceptors of a host with several workers.

use super::bytes;
use crate::crew::*;
use std::collections::BTreeSet;
use usertcp_core::error::Errno;
use usertcp_core::stack::{Domain, socket};

/// SYNs wait in the worker that will have the connection; one queue shows them all, and who decides need not know where they are.
#[test]
fn intercepted_connections_go_to_every_worker() {
    everywhere(|lab| {
        let workers = lab.workers.len();
        let mut used = BTreeSet::new();
        for (prefix, target) in [("203.0.113.0/24", "203.0.113.7:"), ("2001:db8:5::/48", "[2001:db8:5::7]:")]
        {
            let interceptor = lab.intercept(prefix, Some(64));
            for number in 0..24 {
                let target = address(&format!("{target}{}", 1000 + number));
                let far = lab.connecting(None, target);
                lab.settle();
                let syn = socket::next_syn(&interceptor.cell, None).expect("a SYN");
                assert_eq!(syn.local, target);
                assert_eq!(lab.refuse(&syn.clone()), Ok(()));
                assert_eq!(lab.decided(&syn).err(), Some(Errno::EBADF));
                lab.settle();
                assert_eq!(socket::connected(&far.cell, None), Err(Errno::ECONNREFUSED));
                let far = lab.connecting(None, target);
                lab.settle();
                let syn = socket::next_syn(&interceptor.cell, None).expect("a SYN");
                let near = lab.decided(&syn).expect("accept");
                lab.settle();
                assert_eq!(socket::connected(&near.cell, None), Ok(()));
                assert_eq!(lab.local(&near), target);
                assert_eq!(near.id.worker(), syn.interceptor.worker());
                used.insert(near.id.worker());
                lab.carry(&near, &far, &bytes(20_000, number));
                if number == 20 {
                    // Whatever was accepted does without.
                    lab.close(&interceptor);
                    lab.settle();
                    lab.carry(&far, &near, &bytes(20_000, number));
                    lab.carry(&near, &far, &bytes(20_000, number));
                    break;
                }
                lab.close(&far);
                lab.settle();
                lab.close(&near);
                lab.settle();
            }
            let last = lab.connecting(None, address(&format!("{target}9")));
            lab.settle();
            assert_eq!(socket::connected(&last.cell, None), Err(Errno::EAGAIN));
            assert!(lab.counters().drop_ip_not_ours > 0);
        }
        assert_eq!(used.len(), workers);
    });
}

/// The bound is one for all workers.
#[test]
fn a_full_queue_of_syns_is_full_in_every_worker() {
    everywhere(|lab| {
        let interceptor = lab.intercept("203.0.113.0/24", Some(10));
        for port in 1..=30 {
            lab.connecting(None, address(&format!("203.0.113.9:{port}")));
        }
        lab.settle();
        assert_eq!((lab.counters().tcp_syns_paused, lab.counters().drop_tcp_intercept_queue), (10, 20));
        let syns: Vec<_> = std::iter::from_fn(|| socket::next_syn(&interceptor.cell, None).ok()).collect();
        assert_eq!(syns.len(), 10);
        lab.close(&interceptor);
        lab.settle();
        assert!(syns.iter().all(|syn| lab.decided(syn).err() == Some(Errno::ECANCELED)));
    });
}

/// Whichever worker a transparent socket was made in: packets for its address find it, and what it accepts is shared out.
#[test]
fn sockets_at_anothers_address_are_found_by_every_queue() {
    everywhere(|lab| {
        let workers = lab.workers.len();
        for (domain, foreign) in [(Domain::V4, "203.0.113.7:"), (Domain::V6, "[2001:db8:5::7]:")] {
            let foreign = |port: usize| address(&format!("{foreign}{port}"));
            let far = lab.listen(None, at(Host::Peer, domain, 80), 64);
            for number in 0..12 {
                let near = lab.socket(Some(number), domain);
                lab.transparent(&near);
                lab.bind(&near, foreign(2000 + number)).expect("bind");
                lab.connect(&near, at(Host::Peer, domain, 80)).expect("connect");
                lab.settle();
                assert_eq!(socket::connected(&near.cell, None), Ok(()));
                let end = lab.accept(&far).expect("accept");
                lab.carry(&near, &end, &bytes(20_000, number));
                lab.carry(&end, &near, &bytes(20_000, number));
                lab.close(&end);
                lab.settle();
                lab.close(&near);
            }
            let listener = lab.socket(Some(1), domain);
            lab.transparent(&listener);
            lab.bind(&listener, foreign(80)).expect("bind");
            let (now, id) = (lab.now, listener.id);
            lab.stack(&listener).listen(now, id, 64).expect("listen");
            let mut used = BTreeSet::new();
            for number in 0..24 {
                let far = lab.connecting(None, foreign(80));
                lab.settle();
                let near = lab.accept(&listener).expect("accept");
                assert_eq!(lab.local(&near), foreign(80));
                used.insert(near.id.worker());
                lab.carry(&near, &far, &bytes(20_000, number));
                lab.close(&far);
                lab.settle();
                lab.close(&near);
            }
            assert_eq!(used.len(), workers);
            let datagrams = lab.socket_of_datagrams(Some(1), domain);
            lab.transparent(&datagrams);
            lab.bind(&datagrams, foreign(53)).expect("bind");
            let far = lab.datagram_socket(None, at(Host::Peer, domain, 9));
            for port in 0..8 {
                lab.send_to(&far, &[port], foreign(53)).expect("send");
                lab.settle();
                assert_eq!(lab.recv_from(&datagrams), Ok((vec![port], at(Host::Peer, domain, 9))));
            }
            assert_eq!(lab.counters().drop_ip_not_ours, 0);
            lab.close(&datagrams);
            lab.close(&listener);
        }
    });
}
