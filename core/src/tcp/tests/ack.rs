//! When acknowledgements are sent.

use super::*;

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.3
//= type=test
//# the delay MUST be less than 0.5 seconds (MUST-40)
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.3
//= type=test
//# A TCP endpoint SHOULD implement a delayed ACK (SHLD-18)
#[test]
fn a_lone_segment_is_acknowledged_after_40_ms() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1, data &[0; 1000]);
    assert_eq!(host.timeout(), Duration::from_millis(40));
    recv!(host, ack 1001);
    host.silent();
    assert_eq!(host.connection.poll_timeout(), None);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.3
//= type=test
//# An ACK SHOULD be generated for at least every second full-sized segment or 2*RMSS bytes of new data (where RMSS is the MSS specified by the TCP endpoint receiving the segments to be acknowledged, or the default value if not specified) (SHLD-19).
#[test]
fn every_second_full_segment_is_acknowledged_at_once() {
    let mut host = Host::established();
    for round in 0..3 {
        send!(host, seq 1 + round * 2000, ack 1, data &[0; 1000]);
        host.silent();
        send!(host, seq 1001 + round * 2000, ack 1, data &[0; 1000]);
        recv!(host, ack 2001 + round * 2000);
        host.silent();
    }
}

#[test]
fn small_segments_are_gathered_until_the_timer() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1, data &[0; 100]);
    host.after(30);
    send!(host, seq 101, ack 1, data &[0; 100]);
    assert_eq!(host.timeout(), Duration::from_millis(10), "from the first of them");
    recv!(host, ack 201);
}

#[test]
fn data_carries_the_acknowledgement() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1, data b"question");
    host.write(b"answer");
    recv!(host, seq 1, ack 9, len 6);
    host.silent();
}

#[test]
fn the_first_segments_are_acknowledged_at_once() {
    let mut host = Host::established_with(TcpConfig { quick_acks: 2, ..plain() }, setup(ISS));
    for seq in [1, 11] {
        send!(host, seq seq, ack 1, data &[0; 10]);
        recv!(host, ack seq + 10);
    }
    send!(host, seq 21, ack 1, data &[0; 10]);
    host.silent();
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# A TCP implementation MAY send an ACK segment acknowledging RCV.NXT when a valid segment arrives that is in the window but not at the left window edge (MAY-13).
//= https://www.rfc-editor.org/rfc/rfc5681#section-4.2
//= type=test
//# Out-of-order data segments SHOULD be acknowledged immediately, in order to accelerate loss recovery (5681:4.2-6).
//= https://www.rfc-editor.org/rfc/rfc5681#section-4.2
//= type=test
//# the receiver SHOULD send an immediate ACK when it receives a data segment that fills in all or part of a gap in the sequence space (5681:4.2-8).
#[test]
fn each_segment_out_of_order_and_a_filled_gap_are_acknowledged_at_once() {
    let mut host = Host::established();
    send!(host, seq 1001, ack 1, data &[0; 100]);
    send!(host, seq 1101, ack 1, data &[0; 100]);
    recv!(host, ack 1, win 60_000);
    recv!(host, ack 1, win 60_000);
    host.silent();
    send!(host, seq 1, ack 1, data &[0; 500]);
    recv!(host, ack 501);
    send!(host, seq 501, ack 1, data &[0; 500]);
    recv!(host, ack 1201);
    host.silent();
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# the processing of received segments MUST be implemented to aggregate ACK segments whenever possible (MUST-58)
#[test]
fn a_super_frame_counts_as_its_segments() {
    let mut host = Host::established();
    let big = vec![7; 8000];
    send!(host, seq 1, ack 1, data &big; merged(1000));
    recv!(host, ack 8001);
    send!(host, seq 9001, ack 1, data &big[..3000]; merged(1000));
    for _ in 0..3 {
        recv!(host, ack 8001);
    }
    host.silent();
    assert_eq!(host.info().segs_in, 1 + 8 + 3);
}

//= https://www.rfc-editor.org/rfc/rfc5681#section-4.2
//= type=test
//# A TCP receiver MUST NOT generate more than one ACK for every incoming segment, other than to update the offered window as the receiving application consumes new data (5681:4.2-9).
#[test]
fn duplicates_go_alone_and_before_data() {
    let mut host = Host::established();
    host.write_zeros(1000);
    for seq in [1001, 2001] {
        send!(host, seq seq, ack 1, data &[0; 1000]);
    }
    recv!(host, ack 1, len 0);
    recv!(host, ack 1, len 0);
    recv!(host, ack 1, len 1000);
    host.silent();
}

#[test]
fn overlaps_are_trimmed() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1, data b"abcd");
    send!(host, seq 3, ack 1, data b"cdef");
    assert_eq!(host.read(), b"abcdef");
    send!(host, seq 1, ack 1, data b"abc");
    recv!(host, ack 7);
    assert_eq!(host.read(), b"");
}

/// Where data was missing, an ACK may get lost as well: none is the only one for what came at once, nor waits for more to come.
#[test]
fn after_a_gap_no_ack_is_alone_or_delayed_for_a_second() {
    let config = TcpConfig { delayed_ack: Duration::from_millis(40), quick_acks: 0, ..plain() };
    let mut host = Host::established_with(config, setup(ISS));
    let one = [7; 1000];
    let acks = |host: &mut Host| {
        host.polls().iter().map(|ack| ack.ack.expect("ACK").since(SeqNum(IRS))).collect::<Vec<_>>()
    };
    let bring = |host: &mut Host, from: u32, count: u32| {
        (0..count).for_each(|at| host.deliver(segment(from + 1000 * at, Some(1), Flags::default(), &one)));
        acks(host)
    };
    assert_eq!(bring(&mut host, 1, 4), [4001], "one for all");
    assert_eq!(bring(&mut host, 5001, 1), [4001], "a gap");
    assert_eq!(bring(&mut host, 4001, 1), [6001]);
    assert_eq!(bring(&mut host, 6001, 4), [7001, 10_001], "two");
    assert_eq!(bring(&mut host, 10_001, 1), [11_001], "at once");
    host.after(1000);
    assert_eq!(bring(&mut host, 11_001, 4), [15_001]);
    assert_eq!(bring(&mut host, 15_001, 1), Vec::<u32>::new());
    assert_eq!(host.timeout(), Duration::from_millis(40));
}
