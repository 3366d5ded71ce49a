//! Who is woken when, on virtual time: each sleeper by what it waits for, once, and nobody by anything else.

mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use usertcp_core::error::Errno;
use usertcp_core::sim::Endpoint;
use usertcp_core::stack::Shutdown;
use usertcp_core::stack::socket::{self, Readiness, Take};
use world::*;

/// A sleeper that counts how often it was woken.
struct Sleeper(AtomicUsize);

impl Wake for Sleeper {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn sleeper() -> (Arc<Sleeper>, Waker) {
    let sleeper = Arc::new(Sleeper(AtomicUsize::new(0)));
    (Arc::clone(&sleeper), Waker::from(sleeper))
}

fn count(sleeper: &Sleeper) -> usize {
    sleeper.0.load(Ordering::SeqCst)
}

fn read_asleep(endpoint: &Endpoint) -> Arc<Sleeper> {
    let (woken, waker) = sleeper();
    let outcome = socket::recv(&endpoint.cell, 1, Take::Consume, Some(&waker));
    assert_eq!(outcome.map(|_| ()), Err(Errno::EAGAIN));
    woken
}

#[test]
fn a_reader_is_woken_by_data_by_the_end_and_by_an_error() {
    let mut net = network(Plan::default());
    let (client, server, _) = pair(&mut net, SERVER_V4);
    let woken = read_asleep(&server);
    assert!(net.run_for(secs(1)));
    assert_eq!(count(&woken), 0);
    net.send(&client, b"data").expect("send");
    net.settle();
    net.send(&client, b"data").expect("send");
    net.settle();
    assert_eq!(count(&woken), 1, "once, for it registers anew when it sleeps again");
    assert_eq!(net.recv(&server, 100), Ok(b"datadata".to_vec()));

    let woken = read_asleep(&server);
    net.shutdown(&client, Shutdown::Write).expect("shutdown");
    net.settle();
    assert_eq!(count(&woken), 1);

    let woken = read_asleep(&client);
    let now = net.now;
    net.hosts[SERVER].stack.abort(now, server.id).expect("abort");
    net.settle();
    assert_eq!(count(&woken), 1);
}

#[test]
fn a_writer_is_woken_when_a_third_of_its_buffer_is_free() {
    let mut plan = Plan::default();
    plan.configs[CLIENT].buffers.send = 30_000;
    plan.configs[SERVER].buffers.receive = 30_000;
    let mut net = network(plan);
    let (client, server, _) = pair(&mut net, SERVER_V4);
    assert_eq!(
        net.run_until(secs(2), |net| {
            while net.send(&client, &[1; 5_000]).is_ok() {}
            false
        }),
        usertcp_core::sim::Outcome::TimedOut
    );
    let (woken, waker) = sleeper();
    assert_eq!(socket::reserve(&client.cell, 1, Some(&waker)), Err(Errno::EAGAIN));
    let (polled, poller) = sleeper();
    let ready = socket::readiness(&client.cell, Readiness::OUT, Some(&poller));
    assert_eq!(ready, Readiness::default());
    let mut read = 0;
    while count(&woken) == 0 {
        read += net.recv(&server, 1_000).expect("data").len();
        assert!(net.run_for(secs(1)));
        let free = 30_000 - client.cell.lock().unacked;
        assert_eq!(count(&woken) > 0, free >= 10_000, "{free} bytes are free, {read} were read");
    }
    assert_eq!((count(&woken), count(&polled)), (1, 1));
    assert!(net.readiness(&client).any(Readiness::OUT));
}

#[test]
fn connect_and_accept_wake_their_sleepers() {
    let mut net = network(Plan::default());
    let listener = net.listen(SERVER, address(SERVER_V6), 5).expect("listen");
    let (accepting, waker) = sleeper();
    assert_eq!(socket::accept(&listener.cell, Some(&waker)).map(|_| ()), Err(Errno::EAGAIN));
    let (polling, poller) = sleeper();
    let _ = socket::readiness(&listener.cell, Readiness::IN, Some(&poller));
    let client = net.connect(CLIENT, address(SERVER_V6)).expect("connect");
    let (connecting, waker) = sleeper();
    assert_eq!(socket::connected(&client.cell, Some(&waker)), Err(Errno::EAGAIN));
    net.settle();
    assert_eq!((count(&accepting), count(&polling), count(&connecting)), (1, 1, 1));

    let refused = net.connect(CLIENT, address("[2001:db8::2]:81")).expect("connect");
    let (connecting, waker) = sleeper();
    let _ = socket::readiness(&refused.cell, Readiness::OUT, Some(&waker));
    net.settle();
    assert_eq!(count(&connecting), 1);
    assert!(net.readiness(&refused).any(Readiness::ERR));
}

#[test]
fn close_wakes_whoever_sleeps_and_so_does_the_end_of_the_stack() {
    let mut net = network(Plan::default());
    let (client, server, listener) = pair(&mut net, SERVER_V4);
    let reading = read_asleep(&client);
    net.close(&client);
    assert_eq!(count(&reading), 1);
    let reading = read_asleep(&server);
    let (accepting, waker) = sleeper();
    assert_eq!(socket::accept(&listener.cell, Some(&waker)).map(|_| ()), Err(Errno::EAGAIN));
    let now = net.now;
    net.hosts[SERVER].stack.close_all(now);
    net.settle();
    assert_eq!((count(&reading), count(&accepting)), (1, 1));
    assert_eq!(net.accept(&listener).map(|_| ()), Err(Errno::EBADF));
}
