//! What the workers of a stack are one in: who has a port, and how many sockets there are.

use super::SO_REUSEPORT;
use super::crew::*;
use usertcp_core::error::Errno;
use usertcp_core::stack::Domain;
use usertcp_core::stack::socket;

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
