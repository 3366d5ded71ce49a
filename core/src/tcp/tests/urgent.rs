//! Urgent data (RFC 9293 3.8.5, RFC 6093): pointers of every kind, sent and received.

use super::*;
use crate::tcp::UrgentMark;

fn mark(host: &Host) -> Option<(u64, Option<u8>)> {
    host.connection.urgent().map(|UrgentMark { position, byte }| (position, byte))
}

/// Writes, the last byte being urgent.
fn urge(host: &mut Host, bytes: &[u8]) {
    host.write(bytes);
    let end = u64::from(host.info().bytes_acked as u32) + host.buffers.send.len() as u64;
    host.connection.urge(host.now, end);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.5
//= type=test
//# The urgent pointer MUST point to the sequence number of the octet following the urgent data (MUST-62).
//= https://www.rfc-editor.org/rfc/rfc6093#section-4
//= type=test
//# the urgent pointer points to the sequence number of the octet following the urgent data (6093:4-1).
#[test]
fn the_pointer_points_behind_the_urgent_byte() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1, data b"abcdef"; urgent(3));
    assert_eq!(mark(&host), Some((2, Some(b'c'))));
    assert_eq!(host.read(), b"abcdef", "urgent data stays in line");
    urge(&mut host, b"xyz");
    recv!(host, seq 1, flags "PU", len 3, urg 3);
}

#[test]
fn a_peer_of_rfc_1122_can_be_understood() {
    let config = TcpConfig { urgent_pointer_last: true, ..plain() };
    let mut host = Host::established_with(config, setup(ISS));
    send!(host, seq 1, ack 1, data b"abcdef"; urgent(2));
    assert_eq!(mark(&host), Some((2, Some(b'c'))));
}

#[test]
fn pointers_that_say_nothing_new_are_ignored() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1, data b"abcd"; urgent(0));
    assert_eq!(mark(&host), None, "a pointer of 0 is behind the data");
    send!(host, seq 5, ack 1, data b"efgh"; urgent(4));
    assert_eq!(mark(&host), Some((7, Some(b'h'))));
    send!(host, seq 9, ack 1, data b"i"; urgent(0));
    send!(host, seq 5, ack 1, data b"efghij"; urgent(2));
    assert_eq!(mark(&host), Some((7, Some(b'h'))), "it does not go back");
    send!(host, seq 1, ack 1, data b"abcd"; urgent(2));
    assert_eq!(mark(&host), Some((7, Some(b'h'))), "nor come back with an old segment");
    assert_eq!(host.read(), b"abcdefghij");
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.5
//= type=test
//# TCP implementations MUST still include support for the urgent mechanism (MUST-30).
#[test]
fn a_pointer_comes_ahead_of_its_data_and_advances() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1; urgent(300));
    assert_eq!(mark(&host), Some((299, None)));
    send!(host, seq 1, ack 1, data &[7; 100]; urgent(300));
    assert_eq!(mark(&host), Some((299, None)));
    send!(host, seq 101, ack 1, data &[8; 200]; urgent(400));
    assert_eq!(mark(&host), Some((499, None)), "it has moved on");
    send!(host, seq 301, ack 1, data &[9; 200]);
    assert_eq!(mark(&host), Some((499, Some(9))));
    assert_eq!(host.read().len(), 500);
}

#[test]
fn the_byte_is_taken_from_the_stream_not_from_what_overlaps_it() {
    let mut host = Host::established();
    send!(host, seq 4, ack 1, data b"DEF"; urgent(2));
    assert_eq!(mark(&host), Some((4, None)), "the notice passes a hole");
    send!(host, seq 1, ack 1, data b"abc");
    assert_eq!(mark(&host), Some((4, Some(b'E'))));
    assert_eq!(host.read(), b"abcDEF");
}

#[test]
fn a_pointer_at_or_over_the_fin_points_at_nothing() {
    for pointer in [4, 5, 100, 65_535] {
        let mut host = Host::established();
        send!(host, seq 1, ack 1, flag FIN, data b"abc"; urgent(pointer));
        assert_eq!(mark(&host), None, "{pointer}");
        assert_eq!((host.read(), host.state()), (b"abc".to_vec(), State::CloseWait));
        send!(host, seq 5, ack 1; urgent(9));
        assert_eq!(mark(&host), None, "nothing can come behind the FIN");
    }
    let mut host = Host::established();
    send!(host, seq 1, ack 1, flag FIN, data b"abc"; urgent(3));
    assert_eq!(mark(&host), Some((2, Some(b'c'))));
}

//= https://www.rfc-editor.org/rfc/rfc6093#section-2.1
//= type=test
//# The URG control flag indicates that the "Urgent Pointer" field is meaningful and must be added to the segment sequence number to yield the urgent pointer (6093:2.1-2).
#[test]
fn pointers_wrap_with_the_numbers() {
    let mut host = Host::established();
    let before = 0u32.wrapping_sub(IRS) - 1;
    let bytes = vec![1; before as usize];
    send!(host, seq 1, ack 1, data &bytes);
    let next = 1 + before;
    send!(host, seq next - 2, ack 1, data b"\x01\x01xyz"; urgent(4));
    assert_eq!(mark(&host), Some((u64::from(before) + 1, Some(b'y'))));
    send!(host, seq next + 3, ack 1; urgent(65_535));
    assert_eq!(mark(&host), Some((u64::from(before) + 3 + 65_534, None)), "farther than the window reaches");
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
//= type=test
//# If the URG bit is set, RCV.UP <- max(RCV.UP,SEG.UP), and signal the user that the remote side has urgent data ... This should not occur since a FIN has been received from the remote side. Ignore the URG. (SM-14)
#[test]
fn only_the_states_that_receive_listen_to_urg() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1, flag FIN);
    send!(host, seq 2, ack 1; urgent(5));
    assert_eq!(mark(&host), None);
    let mut host = Host::connecting(plain(), setup(ISS));
    host.poll();
    send!(host, seq 0, ack 1, flag SYN, data b"abc"; urgent(2));
    assert_eq!(mark(&host), None, "a SYN has no urgent data");
    for ack in [1, 2] {
        let mut host = Host::established();
        host.close();
        host.polls();
        send!(host, seq 1, ack ack, data b"abc"; urgent(2));
        assert_eq!(mark(&host), Some((1, Some(b'b'))), "{:?}", host.state());
    }
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.4
//= type=test
//# A TCP receiver MUST process the RST and URG fields of all incoming segments, even when the receive window is zero (MUST-66)
#[test]
fn a_notice_passes_our_closed_window() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1, data &[0; 60_000]; merged(1000));
    assert_eq!(host.polls().last().unwrap().window, 0);
    send!(host, seq 60_001, ack 1; urgent(1));
    assert_eq!(mark(&host), Some((60_000, None)));
    send!(host, seq 60_001, ack 1, data b"u"; urgent(2));
    assert_eq!(mark(&host), Some((60_001, None)));
    recv!(host, ack 60_001, win 0);
    assert_eq!(host.buffers.recv.len(), 60_000);
}

#[test]
fn a_notice_passes_the_peers_closed_window() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1; window(0));
    host.write(b"held back");
    host.silent();
    urge(&mut host, b"!");
    recv!(host, seq 1, flags "U", len 0, urg 10);
    host.silent();
    host.timeout();
    recv!(host, seq 1, flags "PU", len 1, urg 10);
    send!(host, seq 1, ack 2; window(100));
    recv!(host, seq 2, flags "PU", len 9, urg 9);
}

#[test]
fn a_notice_passes_a_full_network() {
    let mut host = Host::established();
    host.write_zeros(30_000);
    assert_eq!(host.polls().len(), 10);
    urge(&mut host, b"!");
    recv!(host, seq 10_001, flags "U", len 0, urg 20_001);
    host.silent();
}

#[test]
fn urgent_data_is_not_held_for_more() {
    let mut host = Host::established();
    host.write(b"a");
    recv!(host, len 1);
    urge(&mut host, b"b");
    recv!(host, seq 2, flags "PU", len 1, urg 1);
}

#[test]
fn every_segment_tells_until_the_urgent_byte_is_acknowledged() {
    let mut host = Host::established();
    host.limits.super_frame = 60_000;
    urge(&mut host, &[7; 2500]);
    recv!(host, seq 1, flags "U", len 1000, urg 2500, gso 0);
    recv!(host, seq 1001, flags "U", len 1000, urg 1500);
    recv!(host, seq 2001, flags "PU", len 500, urg 500);
    host.timeout();
    recv!(host, seq 1, flags "U", len 1000, urg 2500);
    send!(host, seq 1, ack 2501);
    host.silent();
    host.write_zeros(2000);
    recv!(host, seq 2501, flags "", len 1000, urg 0);
    recv!(host, seq 3501, flags "P", len 1000, urg 0);
}

#[test]
fn ordinary_data_behind_urgent_data_is_ordinary() {
    let mut host = Host::established();
    urge(&mut host, b"urgent");
    host.write(b"ordinary");
    recv!(host, seq 1, flags "PU", len 14, urg 6);
    send!(host, seq 1, ack 7);
    host.timeout();
    recv!(host, seq 7, flags "P", len 8, urg 0);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.5
//= type=test
//# A TCP implementation MUST support a sequence of urgent data of any length (MUST-31)
//= https://www.rfc-editor.org/rfc/rfc7323#appendix-A
//= type=test
//# If it does overflow, than a value of 65535 should be inserted into the Urgent Pointer (7323:A-1).
#[test]
fn urgent_data_of_any_length() {
    let mut host = Host::established_with(TcpConfig { initial_window: 200, ..plain() }, setup(ISS));
    send!(host, seq 1, ack 1; window(65_000));
    urge(&mut host, &[7; 200_000]);
    let mut acked = 1;
    while acked < 200_001 {
        for sent in host.polls() {
            let offset = sent.seq.since(SeqNum(ISS));
            let left = 200_001 - offset;
            let end = host.info().bytes_acked as u32 + 65_000;
            let expected = left.min(65_535);
            assert!(sent.urgent == expected as u16, "{left} left at {offset}, window to {end}: {sent:?}");
            acked = acked.max(offset + sent.payload.iter().map(Bytes::len).sum::<usize>() as u32);
        }
        send!(host, seq 1, ack acked; window(65_000));
    }
    host.silent();
}

#[test]
fn a_pointer_moves_on_with_what_is_written() {
    let mut host = Host::established();
    urge(&mut host, b"one");
    recv!(host, seq 1, flags "PU", len 3, urg 3);
    urge(&mut host, b"two");
    recv!(host, seq 4, flags "PU", len 3, urg 3);
    host.timeout();
    recv!(host, seq 1, flags "PU", len 6, urg 6);
    host.close();
    send!(host, seq 1, ack 7);
    recv!(host, seq 7, flags "F", urg 0);
}
