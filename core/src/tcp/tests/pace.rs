//! Nagle, super-frames and slices.

use super::*;
use crate::tcp::pace::{Hold, Nagle, Offer, Verdict};

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.7.4
//= type=test
//# A TCP implementation SHOULD implement the Nagle algorithm to coalesce short segments (SHLD-7).
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.2
//= type=test
//# the TCP implementation MAY aggregate the data internally without sending it (MAY-16).
#[test]
fn nagle_holds_the_second_small_segment() {
    let mut host = Host::established();
    host.write(b"a");
    recv!(host, seq 1, flags "P", len 1);
    host.write(b"b");
    host.write(b"c");
    host.silent();
    send!(host, seq 1, ack 2);
    recv!(host, seq 2, flags "P", len 2);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.2
//= type=test
//# However, a TCP implementation SHOULD send a maximum-sized segment whenever possible (SHLD-28) to improve performance (see Section 3.8.6.2.1).
#[test]
fn whole_segments_are_never_held() {
    let mut host = Host::established();
    host.write(b"a");
    recv!(host, len 1);
    host.write_zeros(1500);
    recv!(host, seq 2, len 1000, flags "");
    host.silent();
    send!(host, seq 1, ack 2);
    recv!(host, seq 1002, len 500);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.2
//= type=test
//# MUST NOT buffer data indefinitely (MUST-60), and (2) MUST set the PSH bit in the last buffered segment (i.e., when there is no more queued data to be sent) (MUST-61).
#[test]
fn a_tail_behind_whole_segments_is_not_held() {
    let mut host = Host::established();
    host.write_zeros(1500);
    recv!(host, seq 1, len 1000);
    recv!(host, seq 1001, len 500, flags "P");
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.7.4
//= type=test
//# there MUST be a way for an application to disable the Nagle algorithm on an individual connection (MUST-17)
#[test]
fn no_delay_and_close_let_small_segments_go() {
    let mut host = Host::established();
    host.connection.options_mut().no_delay = true;
    for seq in 1..5 {
        host.write(b"x");
        recv!(host, seq seq, len 1);
    }
    host.connection.options_mut().no_delay = false;
    host.write(b"y");
    host.silent();
    host.close();
    recv!(host, seq 5, len 1, flags "FP");
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.2
//= type=test
//# The transmitter SHOULD collapse successive bits when it packetizes data, to send the largest possible segment (SHLD-27).
#[test]
fn a_super_frame_has_no_crumb_inside() {
    let mut host = Host::established();
    host.limits.super_frame = 4500;
    host.write_zeros(9700);
    recv!(host, seq 1, len 4000, gso 1000, flags "P");
    recv!(host, seq 4001, len 4000, gso 1000, flags "P");
    recv!(host, seq 8001, len 1700, gso 1000, flags "P");
    host.silent();
    assert_eq!(host.info().data_segs_out, 10);
}

//= https://www.rfc-editor.org/rfc/rfc5681#section-2
//= type=test
//# At any given time, a TCP MUST NOT send data with a sequence number higher than the sum of the highest acknowledged sequence number and the minimum of cwnd and rwnd (5681:2-1).
#[test]
fn the_congestion_window_bounds_a_super_frame() {
    let mut host = Host::established();
    host.limits.super_frame = 65_000;
    host.write_zeros(40_000);
    recv!(host, seq 1, len 5000, gso 1000);
    recv!(host, seq 5001, len 5000, gso 1000);
    host.silent();
}

#[test]
fn a_super_frame_is_half_of_either_window_at_most() {
    let mut host = Host::established();
    host.limits.super_frame = 65_000;
    host.write_zeros(40_000);
    host.polls();
    send!(host, seq 1, ack 10_001);
    recv!(host, seq 10_001, len 10_000, gso 1000);
    recv!(host, seq 20_001, len 10_000, gso 1000);
    host.silent();
    // The peer has never offered more than this.
    let mut host =
        Host::accepting(plain(), setup(ISS), &segment(0, None, Flags::SYN, b"").window(6000).mss(1000));
    host.limits.super_frame = 65_000;
    host.polls();
    send!(host, seq 1, ack 1; window(6000));
    host.write_zeros(10_000);
    recv!(host, seq 1, len 3000, gso 1000);
    recv!(host, seq 3001, len 3000, gso 1000);
    host.silent();
}

#[test]
fn many_slices_make_whole_segments() {
    let mut host = Host::established();
    host.limits = Limits { super_frame: 65_000, slices: 4, mss: u16::MAX, search: None };
    for count in [700, 700, 700, 700, 700, 700] {
        host.buffers.send.push(Bytes::from(vec![1; count]));
    }
    host.connection.on_written(host.now);
    let sent = recv!(host, seq 1, len 2000, gso 1000);
    assert!(sent.payload.len() <= 4);
    recv!(host, seq 2001, len 2200, gso 1000);
    host.silent();
}

#[test]
fn crumbs_are_copied_into_a_segment() {
    let mut host = Host::established();
    host.limits.slices = 4;
    for index in 0..1200 {
        host.buffers.send.push(Bytes::from(vec![index as u8; 1]));
    }
    host.connection.on_written(host.now);
    let sent = recv!(host, seq 1, len 1000);
    assert_eq!(sent.payload.len(), 1);
    assert_eq!(sent.payload[0][999], 999u32 as u8);
    recv!(host, seq 1001, len 200);
}

#[test]
fn the_table_of_decisions() {
    let ordinary = Offer {
        unsent: 5000,
        usable: 50_000,
        room: 10_000,
        mss: 1000,
        most: 60_000,
        wnd_max: 50_000,
        resending: false,
        nagle: Nagle::Hold,
        forced: false,
    };
    let table = [
        ("everything", ordinary, Verdict::Send(5000)),
        ("a tail under Nagle", Offer { unsent: 5300, ..ordinary }, Verdict::Send(5000)),
        ("a tail", Offer { unsent: 5300, nagle: Nagle::Pass, ..ordinary }, Verdict::Send(5300)),
        ("a crumb under Nagle", Offer { unsent: 300, ..ordinary }, Verdict::Hold(Hold::Small)),
        ("a crumb again", Offer { unsent: 300, resending: true, ..ordinary }, Verdict::Send(300)),
        ("nothing", Offer { unsent: 0, ..ordinary }, Verdict::Hold(Hold::Empty)),
        ("a closed window", Offer { usable: 0, ..ordinary }, Verdict::Hold(Hold::Window)),
        ("a small window", Offer { usable: 700, ..ordinary }, Verdict::Hold(Hold::Window)),
        ("a small window, forced", Offer { usable: 700, forced: true, ..ordinary }, Verdict::Send(700)),
        ("half of a small window", Offer { usable: 700, wnd_max: 1400, ..ordinary }, Verdict::Send(700)),
        ("a full network", Offer { room: 0, ..ordinary }, Verdict::Hold(Hold::Congestion)),
        ("a crumb of room", Offer { room: 999, ..ordinary }, Verdict::Hold(Hold::Congestion)),
        ("room for two", Offer { room: 2999, ..ordinary }, Verdict::Send(2000)),
        ("single segments", Offer { most: 1000, ..ordinary }, Verdict::Send(1000)),
    ];
    for (what, offer, verdict) in table {
        assert_eq!(offer.decide(), verdict, "{what}");
    }
}
