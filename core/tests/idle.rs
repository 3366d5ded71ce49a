//! What connections cost that do nothing, in bytes counted where they are allocated: against a peer without memory, opened and closed.

use allocation_counter::measure;
use usertcp_core::sim::crowd::Crowd;
use usertcp_core::stack::socket::options::{SOL_SOCKET, sol};
use usertcp_core::time::Duration;

const MANY: usize = 20_000;
/// So few that they do not count.
const AWAKE: usize = 50;
/// What the allocator needs for a block of its own, on average.
const OVERHEAD: i64 = 16;

/// A crowd, and bytes for each of its connections.
fn crowd(fill: impl FnOnce(&mut Crowd)) -> (Crowd, i64) {
    let mut made = None;
    let info = measure(|| {
        let mut crowd = Crowd::new(MANY, |config| config.buffers.awake_connections = AWAKE).expect("a stack");
        fill(&mut crowd);
        made = Some(crowd);
    });
    let bytes = info.bytes_current + OVERHEAD * info.count_current;
    (made.expect("a crowd"), bytes / MANY as i64)
}

/// Bytes for each connection that something has given back.
fn given_back(mut change: impl FnMut()) -> i64 {
    let info = measure(&mut change);
    -(info.bytes_current + OVERHEAD * info.count_current) / MANY as i64
}

#[test]
fn an_idle_connection_is_small_whoever_opened_it_and_whatever_it_has_done() {
    for request in [&[][..], &[7; 100]] {
        let fill = |crowd: &mut Crowd| {
            crowd.connect(MANY).expect("connections");
            crowd.talk(request);
        };
        let (ours, bytes) = crowd(fill);
        assert!(ours.stack.asleep() > MANY - 3 * AWAKE, "{} sleep", ours.stack.asleep());
        println!("opened here, {} bytes sent: {bytes} bytes", request.len());
        assert!(bytes <= 1200, "opened here, {} bytes sent: {bytes} bytes", request.len());
        let fill = |crowd: &mut Crowd| {
            crowd.accept(MANY).expect("connections");
            crowd.talk(request);
        };
        let (theirs, bytes) = crowd(fill);
        assert!(theirs.stack.asleep() > MANY - 3 * AWAKE, "{} sleep", theirs.stack.asleep());
        println!("opened there, {} bytes sent: {bytes} bytes", request.len());
        assert!(bytes <= 1200, "opened there, {} bytes sent: {bytes} bytes", request.len());
    }
}

#[test]
fn time_wait_is_smaller_and_nothing_is_left_behind_it() {
    let (mut crowd, open) = crowd(|crowd| crowd.connect(MANY).expect("connections"));
    let closed = given_back(|| crowd.close());
    assert_eq!(crowd.stack.sockets(), MANY, "all are in TIME-WAIT");
    println!("TIME-WAIT: {} of {open} bytes", open - closed);
    assert!(open - closed <= 750, "TIME-WAIT: {} of {open} bytes", open - closed);
    let over = given_back(|| crowd.pass(Duration::from_secs(61)));
    assert_eq!(crowd.stack.sockets(), 0);
    println!("left: {}", open - closed - over);
    assert!(open - closed - over <= 150, "{} bytes are left", open - closed - over);
}

#[test]
fn connections_that_are_gone_put_nobody_to_sleep() {
    let mut crowd = Crowd::new(MANY, |config| config.buffers.awake_connections = AWAKE).expect("a stack");
    crowd.connect(2).expect("connections");
    for _ in 0..4 * AWAKE {
        crowd.connect(1).expect("a connection");
        let (id, _) = crowd.sockets.pop().expect("the last one");
        let at_once: Vec<u8> = [1i32, 0].into_iter().flat_map(i32::to_ne_bytes).collect();
        crowd.stack.set_option(crowd.now, id, SOL_SOCKET, sol::SO_LINGER, &at_once).expect("SO_LINGER");
        crowd.stack.close(crowd.now, id);
        crowd.turn();
    }
    assert_eq!((crowd.stack.sockets(), crowd.stack.asleep()), (2, 0));
}
