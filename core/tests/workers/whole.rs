//! What the workers of a stack are one in: who has a port, and how many sockets there are.

use super::SO_REUSEPORT;
use super::crew::*;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use usertcp_core::error::Errno;
use usertcp_core::stack::socket;
use usertcp_core::stack::{Domain, Stack};

/// The cell says at once that a listener is closed, and each worker hears of it later.
#[test]
fn peers_of_a_listener_that_is_just_closed_go_to_who_shares_its_port() {
    for close_specific in [false, true] {
        everywhere(|lab| {
            if lab.workers.len() == 1 {
                return;
            }
            let to = at(Host::Crew, Domain::V4, 80);
            let other = if close_specific { address("0.0.0.0:80") } else { to };
            let listeners = [to, other].map(|local| {
                let listener = lab.socket(Some(1), Domain::V4);
                lab.reuse(&listener, SO_REUSEPORT);
                lab.bind(&listener, local).expect("bind");
                let (now, id) = (lab.now, listener.id);
                lab.stack(&listener).listen(now, id, 64).expect("listen");
                listener
            });
            lab.settle();
            assert!(socket::close(&listeners[0].cell, &mut Vec::new()));
            let clients: Vec<_> = (0..16).map(|_| lab.connecting(None, to)).collect();
            lab.settle();
            assert!(clients.iter().all(|client| socket::connected(&client.cell, None) == Ok(())));
            assert_eq!(listeners[1].cell.lock().accept.len(), 16);
            // Nobody is left.
            lab.close(&listeners[1]);
            let late = lab.connecting(None, to);
            lab.settle();
            assert_eq!(socket::connected(&late.cell, None), Err(Errno::ECONNREFUSED));
        });
    }
}

#[test]
fn sockets_are_counted_over_all_workers() {
    let mut lab = Lab::new(4, Steer::Learned, |config| config.max_sockets = 10);
    let all: Vec<_> = (0..10).map(|number| lab.socket(Some(number * number), Domain::V4)).collect();
    for worker in &mut lab.workers {
        assert_eq!(worker.socket(Domain::V4).map(|_| ()), Err(Errno::EMFILE));
    }
    lab.close(&all[3]);
    lab.socket(Some(0), Domain::V4);
}

/// However many workers make the last one at the same time.
#[test]
fn there_are_never_more_sockets_than_allowed() {
    let mut lab = Lab::new(4, Steer::Learned, |config| config.max_sockets = 1);
    let (now, start) = (lab.now, Barrier::new(4));
    let (made, open) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let make = |worker: &mut Stack| {
        start.wait();
        for _ in 0..20_000 {
            let Ok((id, cell)) = worker.socket(Domain::V4) else { continue };
            made.fetch_add(1, Ordering::AcqRel);
            assert_eq!(open.fetch_add(1, Ordering::AcqRel), 0);
            open.fetch_sub(1, Ordering::AcqRel);
            assert!(socket::close(&cell, &mut Vec::new()));
            worker.close(now, id);
        }
    };
    std::thread::scope(|scope| {
        lab.workers.iter_mut().for_each(|worker| drop(scope.spawn(|| make(worker))));
    });
    assert!(made.into_inner() > 4);
}
