//! Traces of connections as they should be, in every manner that looks unusual: nothing is found in them.

mod build;

use build::*;
use etherparse::{Icmpv4Type, PacketBuilder, icmpv4};
use usertcp_tracecheck::Direction::{In, Out};

fn close(t: &mut Trace, seq: u32, ack: u32) {
    t.put(sent(seq, ack, 0).flags("F"));
    t.wait(10).put(received(ack, seq + 1, 0).flags("F"));
    t.put(sent(seq + 1, ack + 1, 0));
}

#[test]
fn open_transfer_close() {
    let mut t = Trace::default();
    t.open();
    for n in 0..50 {
        t.wait(1).put(sent(1 + n * 1448, 1, FULL));
        t.wait(1).put(received(1, 1 + (n + 1) * 1448, 0));
    }
    close(&mut t, 1 + 50 * 1448, 1);
    t.clean();
    let report = t.report();
    assert_eq!((report.connections, report.packets), (1, 106));
}

#[test]
fn marks_both_ways() {
    for ends in [[HERE, PEER], ["2001:db8::1", "2001:db8::2"]] {
        let mut t = Trace::new(ends[0], ends[1]);
        t.open_marking();
        // Marked, echoed by whatever acknowledges until CWR, which comes marked itself.
        t.put(received(1, 1, 100).ecn(3)).put(sent(1, 101, 0).flags("E"));
        t.put(sent(1, 101, 100).flags("E").ecn(2));
        t.put(received(101, 101, 100).flags("W").ecn(3)).put(sent(101, 201, 0).flags("E"));
        t.put(received(201, 101, 100).flags("W").ecn(2)).put(sent(101, 301, 0));
        // An ACK that left before the mark was looked at.
        t.put(sent(101, 301, 100).ecn(2)).put(received(301, 201, 100).ecn(3)).put(sent(201, 301, 100).ecn(2));
        t.put(sent(301, 401, 0).flags("E")).put(received(401, 301, 0).flags("E"));
        // The other way round: told, and sent again without ECT.
        t.put(sent(301, 401, 100).flags("EW").ecn(2)).wait(1000).put(sent(301, 401, 100).flags("E"));
        // Marked, not taken, and sent again.
        t.put(received(401, 401, 100).flags("W").ecn(2)).put(sent(401, 501, 0));
        t.put(received(601, 401, 100).ecn(3)).put(sent(401, 501, 0));
        t.put(received(501, 401, 200)).put(sent(401, 701, 0));
        close(&mut t, 401, 701);
        t.clean();
    }
}

#[test]
fn syns_that_agree_on_no_marks() {
    let mut t = Trace::default();
    t.put(Seg { ack: None, ..received(0, 0, 0).flags("SEW").window(64_000) });
    t.put(sent(0, 1, 0).flags("S").window(64_000)).wait(10).put(received(1, 1, 0));
    // What routers make of it is theirs.
    t.put(received(1, 1, 100).ecn(3)).put(sent(1, 101, 0));
    t.clean();
}

/// Sequence numbers wrap in both directions.
#[test]
fn numbers_that_wrap() {
    let mut t = Trace::default();
    t.accept().put(sent(1, 1, 100));
    for n in 0..4000 {
        t.wait(1).put(received(1 + n * 2_896, 101, FULL)).put(received(1449 + n * 2_896, 101, FULL));
        t.put(sent(101, 1 + (n + 1) * 2_896, 0));
    }
    for n in 0..10 {
        t.wait(1).put(sent(101 + n * 1448, 1 + 4000 * 2_896, FULL));
        t.wait(1).put(received(1 + 4000 * 2_896, 101 + (n + 1) * 1448, 0));
    }
    t.clean();
}

#[test]
fn over_ipv6() {
    let mut t = Trace::new("2001:db8::1", "2001:db8::2");
    t.open().put(sent(1, 1, 1428)).wait(10).put(received(1, 1429, 300)).wait(499).put(sent(1429, 301, 0));
    close(&mut t, 1429, 301);
    t.clean();
}

#[test]
fn loss_is_repaired_by_sack() {
    let mut t = Trace::default();
    t.open();
    let seg = |n: u32| sent(1 + n * 1448, 1, FULL);
    for n in 0..10 {
        t.put(seg(n));
    }
    t.wait(20);
    // The third is lost, then the repair, too.
    t.put(received(1, 1 + 2 * 1448, 0));
    for n in 4..=10 {
        t.put(received(1, 1 + 2 * 1448, 0).sack(&[(1 + 3 * 1448, 1 + n * 1448)]));
    }
    t.put(seg(2)).put(seg(10)).put(seg(11));
    t.wait(300).put(seg(2)).wait(600).put(seg(2)).wait(1200).put(seg(2));
    t.wait(20).put(received(1, 1 + 10 * 1448, 0).sack(&[(1 + 2 * 1448, 1 + 3 * 1448)]));
    t.put(seg(10)).put(seg(11)).wait(20).put(received(1, 1 + 12 * 1448, 0));
    t.clean();
}

#[test]
fn gaps_are_reported_and_filled() {
    let mut t = Trace::default();
    t.accept().put(sent(1, 1, 1));
    let seg = |n: u32| received(1 + n * 1000, 2, 1000);
    t.put(seg(0)).wait(1).put(seg(2)).put(sent(2, 1001, 0).sack(&[(2001, 3001)]));
    t.wait(1).put(seg(4)).put(sent(2, 1001, 0).sack(&[(4001, 5001), (2001, 3001)]));
    t.wait(1).put(seg(2)).put(sent(2, 1001, 0).sack(&[(2001, 3001), (4001, 5001)]));
    t.wait(1).put(seg(1)).put(sent(2, 3001, 0).sack(&[(4001, 5001)]));
    t.wait(1).put(seg(1)).put(sent(2, 3001, 0).sack(&[(1001, 2001), (4001, 5001)]));
    t.wait(1).put(seg(3)).put(sent(2, 5001, 0));
    t.clean();
}

#[test]
fn both_open_at_once() {
    let mut t = Trace::default();
    t.put(Seg { ack: None, ..sent(0, 0, 0).flags("S") });
    t.wait(5).put(Seg { ack: None, ..received(0, 0, 0).flags("S") }).put(sent(0, 1, 0).flags("S"));
    t.wait(5).put(received(0, 1, 0).flags("S")).put(sent(1, 1, 10)).wait(10).put(received(1, 11, 0));
    close(&mut t, 11, 1);
    t.clean();
}

#[test]
fn a_syn_is_repeated_and_refused() {
    let syn = Seg { ack: None, ..sent(0, 0, 0).flags("S") };
    let mut t = Trace::default();
    t.put(syn.clone()).wait(1000).put(syn.clone()).wait(2000).put(syn.clone()).wait(4000).put(syn.clone());
    t.wait(10).put(received(0, 1, 0).flags("R").options(&[]));
    // The program tries again: a clock has moved the ISN.
    t.wait(1000).isns[0] = t.isns[0].wrapping_add(2_000_000);
    t.put(syn);
    t.clean();
}

/// The same ports again, with another number each time.
#[test]
fn programs_that_try_again() {
    let syn = Seg { ack: None, ..sent(0, 0, 0).flags("S") };
    let next = |t: &mut Trace, wait| {
        t.put(syn.clone()).wait(wait);
        t.isns[0] = t.isns[0].wrapping_add(2_000_000);
    };
    // Each time for as long.
    let mut t = Trace::default();
    (0..10).for_each(|_| next(&mut t, 3000));
    t.clean();

    // For longer and longer, and the host repeats each SYN meanwhile.
    let mut t = Trace::default();
    for wait in [2000, 4000, 8000, 16_000] {
        t.put(syn.clone()).wait(1000);
        next(&mut t, wait - 1000);
    }
    t.clean();

    // For longer and longer, and each SYN is refused.
    let mut t = Trace::default();
    for wait in [1000, 2000, 4000, 8000] {
        t.put(syn.clone()).wait(1).put(received(0, 1, 0).flags("R").options(&[])).wait(wait - 1);
        t.isns[0] = t.isns[0].wrapping_add(2_000_000);
    }
    t.clean();

    // Or an ICMP message tells the program that nobody is there.
    let mut t = Trace::default();
    for wait in [1000, 2000, 4000, 8000] {
        let mut told = Vec::new();
        let ip = PacketBuilder::ipv4([192, 0, 2, 2], [192, 0, 2, 1], 64);
        let port = Icmpv4Type::DestinationUnreachable(icmpv4::DestUnreachableHeader::Host);
        ip.icmpv4(port).write(&mut told, &[0; 28]).unwrap();
        next(&mut t, 1);
        t.record(In, told).wait(wait - 1);
    }
    t.clean();
}

#[test]
fn resets_of_both_kinds() {
    let mut t = Trace::default();
    // To a port where nobody listens.
    t.put(Seg { ack: None, ..received(0, 0, 0).flags("S") });
    t.isns[0] = 0;
    t.put(sent(0, 1, 0).flags("R").options(&[]));
    t.clean();

    let mut t = Trace::default();
    t.open().put(sent(1, 1, 1000)).wait(10).put(sent(1001, 1, 0).flags("R"));
    // What was on its way is answered.
    t.wait(5).put(received(1, 1, 100)).put(Seg { ack: None, ..sent(1, 0, 0).flags("R") });
    t.clean();

    let mut t = Trace::default();
    t.open().put(received(1, 1, 0).flags("R")).wait(10_000);
    t.clean();
}

/// The same before the handshake is over: what it acknowledges says nothing.
#[test]
fn a_reset_beside_the_handshake_is_none() {
    let mut t = Trace::default();
    t.put(Seg { ack: None, ..received(0, 0, 0).flags("S") }).put(sent(0, 1, 0).flags("S"));
    t.put(received(2, 1, 0).flags("R")).put(sent(1, 1, 0)).wait(50).put(received(1, 1, 0));
    t.put(sent(1, 1, 100)).wait(10).put(received(1, 101, 0));
    t.clean();
}

/// A blind RST inside the window is asked about, and the connection goes on (RFC 5961).
#[test]
fn a_reset_that_is_challenged() {
    let mut t = Trace::default();
    t.open().put(received(1000, 1, 0).flags("R")).put(sent(1, 1, 0)).put(sent(1, 1, 10));
    t.wait(10).put(received(1, 11, 0));
    t.clean();
}

#[test]
fn a_window_that_closes_is_probed() {
    let mut t = Trace::default();
    t.open();
    let closed = |ack| received(1, ack, 0).window(0);
    for n in 0..44 {
        t.wait(1).put(sent(1 + n * 1448, 1, FULL));
        if n % 2 == 1 {
            t.wait(1)
                .put(received(1, 1 + (n + 1) * 1448, 0).window(((64_000 - (n + 1) * 1448) / 128) as u16));
        }
    }
    t.wait(1).put(sent(1 + 44 * 1448, 1, 288)).wait(1).put(closed(64_001));
    for wait in [1000, 2000, 4000] {
        t.wait(wait).put(sent(64_001, 1, 1)).wait(1).put(closed(64_001));
    }
    t.wait(100).put(received(1, 64_001, 0)).put(sent(64_001, 1, FULL));
    t.clean();
}

/// The other way round: the window here closes, and the probe is answered.
#[test]
fn a_window_that_is_closed_here() {
    let mut t = Trace::default();
    t.put(Seg { ack: None, ..received(0, 0, 0).flags("S") });
    t.put(sent(0, 1, 0).flags("S").window(6400)).wait(10).put(received(1, 1, FULL));
    // Each is rounded down to a multiple of 128.
    t.put(sent(1, 1449, 0).window((6400 - 1448) / 128))
        .wait(1)
        .put(received(1449, 1, FULL))
        .put(received(2897, 1, FULL));
    t.put(sent(1, 4345, 0).window((6400 - 4344) / 128)).wait(1).put(received(4345, 1, 2056)).wait(40);
    t.put(sent(1, 6401, 0).window(0)).wait(100).put(sent(1, 6401, 0).window(500));
    t.clean();
}

/// One octet into a window that is closed: it need not be taken.
#[test]
fn a_probe_of_a_window_here() {
    let mut t = Trace::default();
    t.put(Seg { ack: None, ..received(0, 0, 0).flags("S") });
    t.put(sent(0, 1, 0).flags("S").window(1280)).wait(10).put(received(1, 1, 1280));
    t.put(sent(1, 1281, 0).window(0));
    for _ in 0..3 {
        t.wait(1000).put(received(1281, 1, 1)).put(sent(1, 1281, 0).window(0));
    }
    t.clean();
}

#[test]
fn super_frames_in_both_directions() {
    let mut t = Trace::default();
    t.open().put(sent(1, 1, 14_480)).wait(10).put(received(1, 14_481, 0));
    t.put(sent(14_481, 1, 28_960))
        .wait(10)
        .put(received(1, 43_441, 28_960))
        .put(received(28_961, 43_441, 28_960));
    // Of two segments, the second short.
    t.put(sent(43_441, 57_921, 1460)).wait(10).put(received(57_921, 44_901, 0));
    t.clean();
}

/// Whatever lies before the capture is not held against anybody.
#[test]
fn a_capture_that_begins_in_the_middle() {
    let mut t = Trace::default();
    t.put(sent(5000, 9000, FULL)).wait(5).put(received(9000, 5000, 100)).put(received(9100, 6448, 100));
    t.wait(5).put(sent(6448, 9200, FULL)).put(sent(7896, 9200, FULL)).wait(5).put(received(9200, 9344, 0));
    t.put(sent(9344, 9200, 0).flags("F")).wait(10).put(received(9200, 9345, 0));
    t.clean();
}

/// The same ports come again: first as a challenge, then as a new connection.
#[test]
fn a_new_incarnation() {
    let mut t = Trace::default();
    t.accept().put(sent(1, 1, 10)).wait(5).put(received(1, 11, 0));
    t.isns[1] = t.isns[1].wrapping_add(0x1000_0000);
    let syn = t.packet(&Seg { ack: None, ..received(0, 0, 0).flags("S") });
    t.isns[1] = IRS;
    t.record(In, syn.clone()).put(sent(11, 1, 0));
    t.wait(5).put(received(1, 11, 0).flags("R"));
    t.isns = [ISS.wrapping_add(0x0800_0000), IRS.wrapping_add(0x1000_0000)];
    t.wait(1000).record(In, syn).put(sent(0, 1, 0).flags("S")).wait(5).put(received(1, 1, 100));
    t.wait(100).put(sent(1, 101, 0));
    t.clean();
    assert_eq!(t.report().connections, 2);
}

#[test]
fn keep_alives_and_their_answers() {
    let mut t = Trace::default();
    t.open().wait(7_200_000).put(sent(0, 1, 0)).wait(10).put(received(1, 1, 0));
    t.wait(7_200_000).put(sent(0, 1, 0)).wait(75_000).put(sent(0, 1, 0));
    t.wait(100).put(received(0, 1, 0)).put(sent(1, 1, 0));
    t.clean();
}

#[test]
fn datagrams_and_fragments() {
    let mut t = Trace::default();
    t.record(Out, datagram(b"one"))
        .record(In, piece(1, 0, true, &[1; 8]))
        .record(In, piece(1, 1, false, &[2; 8]));
    t.record(Out, piece(5, 0, true, &[1; 8])).record(Out, piece(5, 1, false, &[2; 8]));
    t.wait(130_000).record(Out, piece(5, 0, true, &[3; 8])).record(Out, piece(5, 1, false, &[4; 8]));
    t.clean();
    assert_eq!(t.report().fragments, 6);
}

#[test]
fn urgent_data_moves_on() {
    let mut t = Trace::default();
    t.open().put(Seg { urgent: 5, ..sent(1, 1, 5).flags("U") });
    t.put(Seg { urgent: 10, ..sent(6, 1, 10).flags("U") })
        .put(Seg { urgent: 15, ..sent(1, 1, 5).flags("U") });
    t.clean();
}
