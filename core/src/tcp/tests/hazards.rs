//! What a peer, a forger or a slow program must not bring about.

use super::*;

#[test]
fn reading_beside_a_hole_makes_no_duplicate_acks() {
    let mut host = Host::established();
    let unread = 50_000;
    for at in (0..unread).step_by(1000) {
        send!(host, seq 1 + at, ack 1, data &[7; 1000]);
    }
    host.polls();
    let mut published = VecDeque::new();
    host.buffers.recv.drain_into(&mut published);
    host.buffers.recv_held = unread as usize;
    send!(host, seq 1001 + unread, ack 1, data &[7; 1000]);
    assert_eq!(host.polls().len(), 1, "the duplicate ACK of the hole");
    for _ in 0..20 {
        host.buffers.recv_held -= 1000;
        host.connection.on_read(host.now, &host.buffers);
        for sent in host.polls() {
            assert_ne!(sent.window, 10_000, "a duplicate ACK that no segment caused: {sent:?}");
        }
    }
    assert!(host.connection.read_edge(&host.buffers) > 1, "the next byte read would kick for nothing");
}
