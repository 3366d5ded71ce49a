//! Every kind of violation, planted in a trace that is clean but for it: the judge finds that and nothing else.

mod build;

use build::*;
use etherparse::PacketBuilder;
use std::collections::BTreeSet;
use usertcp_tracecheck::Direction::{In, Out};
use usertcp_tracecheck::{Kind, Whom};

type Planting = (Kind, fn(&mut Trace));

/// The last packet again, after `millis`.
fn again(t: &mut Trace, millis: u64) {
    let (_, direction, packet) = t.records.last().cloned().unwrap();
    t.wait(millis).record(direction, packet);
}

/// The last packet with another byte.
fn damage(t: &mut Trace, at: usize, change: impl Fn(&mut [u8])) {
    let (_, _, packet) = t.records.last_mut().unwrap();
    change(&mut packet[at..]);
}

const MARKS: &[Planting] = &[
    (Kind::EctUnagreed, |t| {
        t.open().put(sent(1, 1, 100).ecn(2));
    }),
    (Kind::EctUnagreed, |t| {
        t.put(Seg { ack: None, ..sent(0, 0, 0).flags("SEW").window(64_000).ecn(2) });
    }),
    (Kind::EctUnagreed, |t| {
        t.put(Seg { ack: None, ..sent(0, 0, 0).flags("SEW").window(64_000) }).wait(1000);
        t.put(Seg { ack: None, ..sent(0, 0, 0).flags("S").window(64_000) });
        t.wait(10).put(received(0, 1, 0).flags("SE").window(64_000));
        t.put(sent(1, 1, 0)).put(sent(1, 1, 100).ecn(2));
    }),
    (Kind::EctOnOld, |t| {
        t.open_marking().put(sent(1, 1, 100).ecn(2)).wait(1000).put(sent(1, 1, 100).ecn(2));
    }),
    (Kind::EctOnOld, |t| {
        t.open_marking().put(received(1, 1, 100).ecn(2)).put(sent(1, 101, 0).ecn(2));
    }),
    (Kind::CwrOnOld, |t| {
        t.open_marking().put(sent(1, 1, 100).ecn(2)).wait(1000).put(sent(1, 1, 100).flags("W"));
    }),
    (Kind::EcnUnasked, |t| {
        t.put(Seg { ack: None, ..received(0, 0, 0).flags("S").window(64_000) });
        t.put(sent(0, 1, 0).flags("SE").window(64_000));
    }),
    (Kind::MarkNotEchoed, |t| {
        t.open_marking().put(received(1, 1, 100).ecn(3)).put(sent(1, 101, 0));
    }),
    (Kind::MarkNotEchoed, |t| {
        t.open_marking().put(received(1, 1, 100).ecn(3)).put(sent(1, 101, 0).flags("E"));
        t.put(received(101, 1, 100).ecn(2)).put(sent(1, 201, 0));
    }),
    (Kind::EchoUnmarked, |t| {
        t.open_marking().put(received(1, 1, 100).ecn(2)).put(sent(1, 101, 0).flags("E"));
    }),
];

const HEADERS: &[Planting] = &[
    (Kind::Malformed, |t| {
        t.open().put(sent(1, 1, 100));
        damage(t, 2, |bytes| bytes[..2].copy_from_slice(&[0, 10]));
    }),
    (Kind::IpChecksum, |t| {
        t.open();
        damage(t, 10, |bytes| bytes[0] ^= 1);
    }),
    (Kind::TcpChecksum, |t| {
        t.open();
        damage(t, 36, |bytes| bytes[0] ^= 1);
    }),
    (Kind::UdpChecksum, |t| {
        t.record(Out, datagram(b"hello"));
        damage(t, 28, |bytes| bytes[0] ^= 1);
    }),
    (Kind::IcmpChecksum, |t| {
        let mut packet = Vec::new();
        let ip = PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64);
        ip.icmpv4_echo_request(1, 2).write(&mut packet, b"ping").unwrap();
        t.record(Out, packet);
        damage(t, 28, |bytes| bytes[0] ^= 1);
    }),
    (Kind::ZeroTtl, |t| {
        let mut packet = Vec::new();
        PacketBuilder::ipv4([192, 0, 2, 1], [192, 0, 2, 2], 0).udp(1, 2).write(&mut packet, b"x").unwrap();
        t.record(Out, packet);
    }),
    (Kind::MayFragment, |t| {
        t.open();
        damage(t, 6, |bytes| {
            bytes[0] &= !0x40;
            bytes[4] += 0x40;
        });
    }),
    (Kind::IdReused, |t| {
        t.record(Out, piece(7, 0, true, &[1; 16])).record(Out, piece(7, 2, false, &[2; 8]));
        t.wait(60_000).record(Out, piece(7, 0, true, &[3; 16]));
    }),
    (Kind::FlowLabelChanged, |t| {
        t.ends = ["2001:db8::1", "2001:db8::2"].map(|text| text.parse().unwrap());
        t.open();
        damage(t, 2, |bytes| bytes[0] ^= 1);
    }),
    (Kind::MalformedOptions, |t| {
        let stamps = t.open().records.last().unwrap().2[40..52].to_vec();
        t.put(sent(1, 1, 0).options(&[&stamps[..], &[99, 9, 0, 0]].concat()));
    }),
    (Kind::Flags, |t| {
        t.open();
        t.put(Seg { ack: None, echo: Some(0), ..sent(1, 1, 0) });
    }),
    (Kind::SynOnlyOption, |t| {
        let stamps = t.open().records.last().unwrap().2[40..52].to_vec();
        t.put(sent(1, 1, 0).options(&[&stamps[..], &[2, 4, 5, 180]].concat()));
    }),
    (Kind::ScaleTooLarge, |t| {
        t.stamps = false;
        t.put(Seg { ack: None, ..sent(0, 0, 0).flags("S").options(&[2, 4, 5, 180, 1, 3, 3, 15]) });
    }),
    (Kind::ScaleUnasked, |t| {
        t.stamps = false;
        t.put(Seg { ack: None, ..received(0, 0, 0).flags("S").options(&[2, 4, 5, 180]) });
        t.put(sent(0, 1, 0).flags("S").options(&[2, 4, 5, 180, 1, 3, 3, 7]));
    }),
    (Kind::TimestampsUnasked, |t| {
        t.put(Seg { ack: None, ..received(0, 0, 0).flags("S").options(&[2, 4, 5, 180]) });
        t.put(sent(0, 1, 0).flags("S").options(&[2, 4, 5, 180, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 1]));
    }),
    (Kind::TimestampsMissing, |t| {
        t.open().put(sent(1, 1, 100).options(&[]));
    }),
    (Kind::TsvalBackwards, |t| {
        t.open().put(Seg { stamp: Some(1), ..sent(1, 1, 100) });
    }),
    (Kind::TsecrWithoutAck, |t| {
        t.put(Seg { ack: None, echo: Some(9), ..sent(0, 0, 0).flags("S") });
    }),
    (Kind::TsecrUnknown, |t| {
        t.open().put(Seg { echo: Some(1_000_000), ..sent(1, 1, 100) });
    }),
    (Kind::TooLarge, |t| {
        t.open().put(sent(1, 1, 1460));
    }),
    (Kind::UrgentPointer, |t| {
        t.open().put(Seg { urgent: 9, ..sent(1, 1, 10).flags("U") });
        t.put(Seg { urgent: 5, ..sent(1, 1, 10).flags("U") });
    }),
];

const ACKS: &[Planting] = &[
    (Kind::SackUnpermitted, |t| {
        t.stamps = false;
        t.put(Seg { ack: None, ..sent(0, 0, 0).flags("S") });
        t.wait(10).put(received(0, 1, 0).flags("S").options(&[2, 4, 5, 180])).put(sent(1, 1, 0));
        t.put(received(101, 1, 100)).put(sent(1, 1, 0).sack(&[(101, 201)]));
    }),
    (Kind::SackInvalid, |t| {
        t.open().put(received(101, 1, 100)).put(sent(1, 1, 0).sack(&[(201, 101)]));
    }),
    (Kind::SackBelowAck, |t| {
        t.open().put(received(1, 1, 200)).put(received(301, 1, 100));
        t.put(sent(1, 201, 0).sack(&[(301, 401), (1, 101)]));
    }),
    (Kind::SackOfUnsent, |t| {
        t.open().put(received(101, 1, 100)).put(sent(1, 1, 0).sack(&[(101, 301)]));
    }),
    (Kind::AckOfUnsent, |t| {
        t.open().put(received(1, 1, 100)).put(sent(1, 102, 0));
    }),
    (Kind::AckBackwards, |t| {
        t.open().put(received(1, 1, 100)).put(sent(1, 101, 0)).put(sent(1, 1, 100));
    }),
    (Kind::AckDelayed, |t| {
        t.open().put(received(1, 1, 100));
        t.wait(501).put(sent(1, 101, 0));
    }),
    (Kind::StretchAck, |t| {
        t.open();
        for n in 0..4 {
            t.wait(1).put(received(1 + n * 1448, 1, 1448));
        }
        t.put(sent(1, 1 + 4 * 1448, 0));
    }),
    (Kind::StretchAck, |t| {
        // All at one instant.
        t.options.batch = Some(10_000);
        t.open();
        for n in 0..10 {
            t.put(received(1 + n * 1448, 1, FULL));
        }
        t.put(sent(1, 1 + 10 * 1448, 0));
    }),
    (Kind::OutOfOrderNotAcked, |t| {
        t.open().put(received(1449, 1, FULL));
        t.wait(1).put(sent(1, 1, 0).sack(&[(1449, 2897)]));
    }),
    (Kind::GapFillNotAcked, |t| {
        t.open().put(received(101, 1, 100)).put(sent(1, 1, 0).sack(&[(101, 201)]));
        t.wait(10).put(received(1, 1, 100));
        t.wait(40).put(sent(1, 201, 0));
    }),
    (Kind::DuplicateNotAcked, |t| {
        t.open().put(received(1, 1, 100)).put(sent(1, 101, 0));
        t.wait(300).put(received(1, 1, 100)).wait(600);
    }),
    (Kind::WindowShrunk, |t| {
        t.open().put(received(1, 1, 1000)).put(sent(1, 1001, 0).window(400));
    }),
    (Kind::AckLoop, |t| {
        t.open().put(received(1, 1, 0));
        for _ in 0..40 {
            t.wait(1).put(sent(1, 1, 0)).put(received(1, 1, 0));
        }
    }),
];

const STREAM: &[Planting] = &[
    (Kind::BeyondWindow, |t| {
        t.put(Seg { ack: None, ..sent(0, 0, 0).flags("S") });
        t.wait(10).put(received(0, 1, 0).flags("S").window(1000));
        t.put(sent(1, 1, 1001));
    }),
    (Kind::DataChanged, |t| {
        t.open().put(sent(1, 1, 1000));
        t.wait(1100).put(Seg { payload: vec![9; 100], ..sent(501, 1, 0) });
    }),
    (Kind::DataAfterFin, |t| {
        t.open().put(sent(1, 1, 100).flags("F")).put(sent(101, 1, 1));
    }),
    (Kind::FinMoved, |t| {
        t.open().put(sent(1, 1, 100).flags("F"));
        t.wait(1000).put(sent(1, 1, 50).flags("F"));
    }),
    (Kind::InitialWindow, |t| {
        t.open();
        for n in 0..12 {
            t.put(sent(1 + n * 1448, 1, FULL));
        }
    }),
    (Kind::SlowStart, |t| {
        t.open();
        for n in 0..10 {
            t.put(sent(1 + n * 1448, 1, FULL));
        }
        t.wait(10).put(received(1, 1449, 0));
        for n in 10..14 {
            t.put(sent(1 + n * 1448, 1, FULL));
        }
    }),
];

const TIMES: &[Planting] = &[
    (Kind::SynRtoTooLow, |t| {
        t.put(Seg { ack: None, ..sent(0, 0, 0).flags("S") });
        t.wait(500).put(Seg { ack: None, ..sent(0, 0, 0).flags("S") });
    }),
    (Kind::RtoNotBackedOff, |t| {
        t.open();
        for _ in 0..4 {
            t.put(sent(1, 1, 100)).wait(1000);
        }
    }),
    (Kind::TimeoutBurst, |t| {
        t.open();
        for n in 0..4 {
            t.put(sent(1 + n * 1448, 1, FULL));
        }
        t.wait(1000).put(sent(1, 1, FULL)).wait(2000).put(sent(1, 1, FULL)).put(sent(1449, 1, FULL));
    }),
    (Kind::KeepAliveTooSoon, |t| {
        t.open().wait(10_000).put(sent(0, 1, 0));
    }),
    (Kind::SynChanged, |t| {
        t.put(Seg { ack: None, ..received(0, 0, 0).flags("S") }).put(sent(0, 1, 0).flags("S"));
        t.wait(1000).put(sent(77_777, 1, 0).flags("S"));
    }),
    (Kind::SynChanged, |t| {
        for wait in [1000, 2000, 4000, 0] {
            t.put(Seg { ack: None, ..sent(0, 0, 0).flags("S") }).wait(wait);
            t.isns[0] = t.isns[0].wrapping_add(2_000_000);
        }
    }),
    (Kind::IsnBackwards, |t| {
        t.put(Seg { ack: None, ..sent(0, 0, 0).flags("S") });
        t.wait(5000).put(Seg { ack: None, ..sent(-5000_i32 as u32, 0, 0).flags("S") });
    }),
    (Kind::IsnPredictable, |t| {
        for n in 0..4 {
            t.ports[0] += 1;
            t.isns[0] += 1000;
            t.wait(1).put(Seg { ack: None, ..sent(n, 0, 0).flags("S") });
        }
    }),
];

const RESETS: &[Planting] = &[
    (Kind::ResetInvalid, |t| {
        t.open().put(sent(5_000_000, 1, 0).flags("R"));
    }),
    (Kind::ResetAnswered, |t| {
        t.open().put(received(1, 1, 0).flags("R")).put(sent(1, 1, 0).flags("R"));
    }),
    (Kind::ResetAnswered, |t| {
        t.put(Seg { ack: None, ..sent(0, 0, 0).flags("S") });
        t.put(received(0, 1, 0).flags("R")).put(sent(1, 1, 0).flags("R"));
    }),
    (Kind::AfterReset, |t| {
        t.open().put(sent(1, 1, 0).flags("R")).put(sent(1, 1, 100));
    }),
    (Kind::AfterReset, |t| {
        t.open().put(received(1, 1, 0).flags("R")).wait(1).put(sent(1, 1, 100));
    }),
];

const CLOSES: &[Planting] = &[
    (Kind::UnreadAtClose, |t| {
        t.take(WINDOW).put(sent(1, 1 + WINDOW, 0).flags("F").window(0)).wait(1);
        t.put(received(1 + WINDOW, 2, 0)).probe(2, 1 + WINDOW, 4);
    }),
    // It stays shut for longer than any pause, and then the peer ends, too.
    (Kind::UnreadAtClose, |t| {
        t.take(WINDOW).put(sent(1, 1 + WINDOW, 0).flags("F").window(0)).wait(1);
        t.put(received(1 + WINDOW, 2, 0)).wait(40_000).put(received(1 + WINDOW, 2, 0).flags("F"));
        t.put(sent(2, 2 + WINDOW, 0).window(0));
    }),
    (Kind::DataAfterClose, |t| {
        t.take(2 * 1448).put(sent(1, 2897, 0).flags("F").window(left(2896))).wait(1);
        t.put(received(2897, 2, FULL)).put(received(4345, 2, FULL)).put(sent(2, 5793, 0).window(left(5792)));
        t.put(received(5793, 2, 608)).put(sent(2, 1 + WINDOW, 0).window(0)).probe(2, 1 + WINDOW, 4);
    }),
    // Then the ports are used again.
    (Kind::DataAfterClose, |t| {
        t.put(Seg { ack: None, ..received(0, 0, 0).flags("S") });
        t.put(sent(0, 1, 0).flags("S").window(WINDOW as u16)).wait(1).put(received(1, 1, 0));
        t.put(sent(1, 1, 0).flags("F").window(WINDOW as u16 / 128)).wait(1).put(received(1, 2, 6400));
        t.put(sent(2, 1 + WINDOW, 0).window(0)).probe(2, 1 + WINDOW, 6);
        t.isns = [ISS.wrapping_add(0x0800_0000), IRS.wrapping_add(0x1000_0000)];
        t.accept();
    }),
];

fn plantings() -> impl Iterator<Item = &'static Planting> {
    [HEADERS, MARKS, ACKS, STREAM, TIMES, RESETS, CLOSES].into_iter().flatten()
}

#[test]
fn every_kind_is_found_where_it_is_planted_and_nothing_else() {
    let mut wrong = Vec::new();
    for (kind, plant) in plantings() {
        let mut trace = Trace::default();
        plant(&mut trace);
        if trace.kinds() != [*kind] {
            let found: Vec<String> = trace.report().violations.iter().map(ToString::to_string).collect();
            wrong.push(format!("{kind} was planted, found:\n    {}", found.join("\n    ")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_kind_has_a_planting() {
    let planted: BTreeSet<Kind> = plantings().map(|(kind, _)| *kind).collect();
    let all: BTreeSet<Kind> = Kind::ALL.iter().copied().collect();
    assert_eq!(planted, all);
}

#[test]
fn names_are_different_and_rules_cite_their_source() {
    let names: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
    assert_eq!(names.len(), Kind::ALL.len());
    assert!(Kind::ALL.iter().all(|kind| kind.rule().contains("(RFC ")));
}

#[test]
fn what_is_allowed_is_not_reported() {
    for (kind, plant) in plantings() {
        let mut trace = Trace::default();
        plant(&mut trace);
        trace.options.allowed = vec![*kind];
        trace.clean_but_for_damage();
    }
}

#[test]
fn a_host_that_is_not_asked_for_is_not_judged() {
    for (_, plant) in plantings() {
        let mut trace = Trace::default();
        plant(&mut trace);
        trace.options.whom = Whom::Hosts(vec!["192.0.2.77".parse().unwrap()]);
        trace.clean_but_for_damage();
    }
}

/// Without directions the host that is named is taken for the one that captured.
#[test]
fn captures_without_directions_are_judged_as_well() {
    for (kind, plant) in plantings().filter(|(kind, _)| *kind != Kind::FlowLabelChanged) {
        let mut trace = Trace::default();
        plant(&mut trace);
        trace.options.whom = Whom::Hosts(vec![HERE.parse().unwrap()]);
        trace.records.iter_mut().for_each(|record| record.1 = usertcp_tracecheck::Direction::Unknown);
        assert_eq!(trace.kinds(), [*kind], "{kind}");
    }
}

/// What a host far away sent twice has to be the same twice; when it answered cannot be seen from here.
#[test]
fn the_far_end_is_judged_by_what_distance_does_not_change() {
    let mut trace = Trace::default();
    trace.options.whom = Whom::Everyone;
    trace.open().put(received(1, 1, 100)).put(sent(1, 101, 0));
    trace.wait(300).put(Seg { payload: vec![9; 100], ..received(1, 1, 0) }).put(sent(1, 101, 0));
    assert_eq!(trace.kinds(), [Kind::DataChanged]);

    let mut trace = Trace::default();
    trace.options.whom = Whom::Everyone;
    trace.open().put(sent(1, 1, 100)).wait(900).put(received(1, 101, 0));
    trace.clean();
}

#[test]
fn a_violation_says_where_when_who_and_why() {
    let mut trace = Trace::default();
    trace.open().put(received(1, 1, 100)).put(sent(1, 102, 0));
    let report = trace.report();
    let text = report.violations[0].to_string();
    for part in [
        "packet 5",
        "1.010000000 s",
        "192.0.2.1:40000 > 192.0.2.2:80",
        "ack-of-unsent",
        "1 bytes beyond",
        "RFC 9293 3.4",
    ] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    assert_eq!(report.summary(), "1 violation, 1 connection, 5 packets");
    again(&mut trace, 1);
    assert_eq!(trace.report().violations.len(), 2);
}

#[test]
fn what_was_damaged_on_its_way_is_nobodys_fault() {
    let mut trace = Trace::default();
    let mut packet = trace.open().packet(&received(1, 1, 10));
    packet[60] ^= 1;
    trace.record(In, packet).wait(900);
    let report = trace.report();
    assert_eq!((report.violations.len(), report.damaged), (0, 1));
}
