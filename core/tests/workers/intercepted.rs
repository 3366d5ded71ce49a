//! Interceptors of a host with several workers.

use super::bytes;
use crate::crew::*;
use std::collections::BTreeSet;
use usertcp_core::error::Errno;
use usertcp_core::stack::socket;

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
