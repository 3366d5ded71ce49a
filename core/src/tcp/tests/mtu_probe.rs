//! Probes of what a path carries, and paths that swallow segments, as one connection sees them.

use super::*;

const SEARCH: MtuSearch = MtuSearch { base: 700, floor: 400, probe: Some(1000) };

/// A connection over a path that is known to carry 700 bytes, and more is looked for.
fn host() -> Host {
    let mut host = Host::selective();
    (host.limits.mss, host.limits.search, host.limits.super_frame) = (700, Some(SEARCH), 60_000);
    host
}

fn news(host: &mut Host) -> Option<PathNews> {
    host.connection.take_path_news()
}

/// What is sent now, as number and length of every segment.
fn rest(host: &mut Host) -> Vec<(u32, usize)> {
    let mut all = Vec::new();
    for sent in host.polls() {
        let (seq, bytes): (u32, usize) =
            (sent.seq.since(SeqNum(ISS)), sent.payload.iter().map(Bytes::len).sum());
        let each = if sent.gso_size == 0 { bytes.max(1) } else { usize::from(sent.gso_size) };
        all.extend((0..bytes).step_by(each).map(|at| (seq + at as u32, each.min(bytes - at))));
    }
    all
}

//= https://www.rfc-editor.org/rfc/rfc4821#section-7.5
//= type=test
//# it creates a probe packet such that its size, including the outermost IP headers, is equal to the probe size. (4821:7.5-1)
//= https://www.rfc-editor.org/rfc/rfc4821#section-5.1
//= type=test
//# When conducting a probe, the Packetization Layer MUST determine the probe packet's final size including IP headers. (4821:5.1-1)
//= https://www.rfc-editor.org/rfc/rfc4821#section-7.1
//= type=test
//# When transmitting non-probes, the Packetization Layer SHOULD create packets of a size less than or equal to eff_pmtu. (4821:7.1-1)
//= https://www.rfc-editor.org/rfc/rfc4821#section-7.4
//= type=test
//# Before sending a probe, the flow MUST meet at least the following conditions: o It has no outstanding probes or losses. (4821:7.4-1)
#[test]
fn a_probe_is_one_segment_and_no_part_of_a_super_frame() {
    let mut host = host();
    host.write_zeros(30_000);
    recv!(host, seq 1, len 1000, gso 0);
    assert_eq!(news(&mut host), Some(PathNews::Probing));
    recv!(host, seq 1001, gso 700);
    host.polls();
    assert_eq!(host.counters.tcp_mtu_probes, 1, "one at a time");
    send!(host, seq 1, ack 1001);
    assert_eq!(news(&mut host), Some(PathNews::Passed(1000)));

    // With timestamps and blocks there is less data in as long a segment.
    let config = TcpConfig { timestamps: true, ..plain() };
    let mut host = Host::connecting(config, setup(ISS));
    host.poll().unwrap();
    let peer = |segment: Segment| segment.stamp(1, 1000);
    host.deliver(peer(segment(0, Some(1), Flags::SYN, b"").window(50_000).mss(MSS as u16).permit()));
    host.poll().unwrap();
    host.deliver(peer(segment(11, Some(1), Flags::default(), b"ahead")));
    host.poll().unwrap();
    (host.limits.mss, host.limits.search) = (700, Some(SEARCH));
    host.write_zeros(30_000);
    recv!(host, seq 1, len 1000 - 12 - 12);
    assert_eq!(news(&mut host), Some(PathNews::Probing));
}

//= https://www.rfc-editor.org/rfc/rfc4821#section-7.4
//= type=test
//# enough data is available to send the probe. (4821:7.4-4)
//= https://www.rfc-editor.org/rfc/rfc4821#section-7.4
//= type=test
//# the sender SHOULD have enough data queued and sufficient receiver window to send the probe plus at least Tcprexmtthresh [RFC2760] additional segments. (4821:7.4-5)
#[test]
fn there_is_no_probe_without_enough_behind_it() {
    let mut host = host();
    host.write_zeros(1000 + 3 * 700 - 1);
    recv!(host, seq 1, gso 700);
    host.polls();
    send!(host, seq 1, ack 3100; window(3099));
    host.write_zeros(30_000);
    let (last, length) = *rest(&mut host).last().unwrap();
    assert_eq!(host.counters.tcp_mtu_probes, 0, "for want of data, and of window");
    send!(host, seq 1, ack last + length as u32; window(50_000));
    recv!(host, len 1000, gso 0);
    assert_eq!(host.counters.tcp_mtu_probes, 1);
}

//= https://www.rfc-editor.org/rfc/rfc4821#section-7.4
//= type=test
//# The available window is greater than the probe size. (4821:7.4-3)
//= https://www.rfc-editor.org/rfc/rfc4821#section-7.4
//= type=test
//# Protocols MAY delay sending non-probes in order to accumulate enough data to meet the pre-conditions for probing. (4821:7.4-6)
//= https://www.rfc-editor.org/rfc/rfc4821#section-7.4
//= type=test
//# The delayed sending algorithm SHOULD use some self-scaling technique to appropriately limit the time that the data is delayed. (4821:7.4-7)
#[test]
fn acknowledgements_make_room_for_a_probe() {
    let mut host = host();
    host.limits.search = None;
    host.write_zeros(60_000);
    assert_eq!(rest(&mut host).last(), Some(&(6301, 700)), "the window is full");
    host.limits.search = Some(MtuSearch { probe: Some(1000), ..SEARCH });
    // Slow start makes room for one byte more than is acknowledged, and that is too little.
    send!(host, seq 1, ack 301);
    host.silent();
    send!(host, seq 1, ack 701);
    recv!(host, seq 7001, len 1000, gso 0);
}

//= https://www.rfc-editor.org/rfc/rfc4821#section-7.4
//= type=test
//# If the last probe failed or was inconclusive, then the probe timeout has expired (4821:7.4-2)
//= https://www.rfc-editor.org/rfc/rfc4821#section-4
//= type=test
//# This SHOULD be enforced by requiring a minimum headway between a suppressed congestion adjustment (due to a failed probe) and the next attempted probe, which is equal to one round-trip time for each packet permitted by the congestion window. (4821:4-5)
//= https://www.rfc-editor.org/rfc/rfc4821#section-6.1
//= type=test
//# timeouts SHOULD NOT be used as the primary mechanism for loss indication unless there are no other alternatives. (4821:6.1-1)
//= https://www.rfc-editor.org/rfc/rfc4821#section-10.1
//= type=test
//# Data in the probe gap will need to be retransmitted with multiple smaller segments. (4821:10.1-1)
//= https://www.rfc-editor.org/rfc/rfc4821#section-4
//= type=test
//# Normal congestion control algorithms MUST remain in effect under all conditions except when only an isolated probe packet is detected as lost. In this case alone, the normal congestion (window or data rate) reduction SHOULD be suppressed. If any other data loss is detected, standard congestion control MUST take place. (4821:4-3)
#[test]
fn a_lost_probe_is_told_by_what_follows_and_goes_again_in_smaller_segments() {
    let mut host = host();
    // A round trip of 50 ms is measured.
    host.write_zeros(1);
    host.polls();
    host.after(50);
    send!(host, seq 1, ack 2);
    host.write_zeros(1000 + 8 * 700);
    host.polls();
    news(&mut host);
    let window = host.info().snd_cwnd;
    host.after(50);
    for end in [1702, 2402, 3102] {
        send!(host, seq 1, ack 2; sack([(1002, end)]));
    }
    assert_eq!(news(&mut host), Some(PathNews::Failed(1000)));
    assert_eq!(host.counters.tcp_mtu_probes_lost, 1);
    assert_eq!((host.info().ca_state, host.info().snd_cwnd), (1, window), "disorder at most");
    let mut again = rest(&mut host);
    send!(host, seq 1, ack 702; sack([(1002, 6602)]));
    again.extend(rest(&mut host));
    assert_eq!(again[..2], [(2, 700), (702, 300)]);
    host.after(50);
    send!(host, seq 1, ack 6602);
    // Not before a round trip for each segment of the window.
    host.write_zeros(60_000);
    host.polls();
    assert_eq!(host.counters.tcp_mtu_probes, 1);
}

//= https://www.rfc-editor.org/rfc/rfc4821#section-7.6.4
//= type=test
//# the state variables eff_pmtu, search_low, and search_high SHOULD NOT be updated, and the same-sized probe SHOULD be attempted again as soon as the probing preconditions are met (4821:7.6.4-1)
#[test]
fn a_probe_that_is_lost_among_others_tells_nothing() {
    let mut host = host();
    host.write_zeros(700);
    recv!(host, seq 1, len 700);
    host.write_zeros(6000);
    recv!(host, seq 701, len 1000);
    news(&mut host);
    host.polls();
    for end in [2401, 3101, 3801] {
        send!(host, seq 1, ack 1; sack([(1701, end)]));
    }
    assert_eq!(news(&mut host), Some(PathNews::Inconclusive));
    assert_eq!(host.counters.tcp_fast_retransmits, 1);
    assert!(host.info().snd_ssthresh < i32::MAX as u32, "that is congestion");
}

/// Without SACK duplicate ACKs tell of it.
#[test]
fn a_peer_without_blocks_tells_of_a_lost_probe_as_well() {
    let mut host = Host::established_with(TcpConfig { sack: false, ..plain() }, setup(ISS));
    (host.limits.mss, host.limits.search) = (700, Some(SEARCH));
    host.write_zeros(1000 + 8 * 700);
    recv!(host, seq 1, len 1000);
    news(&mut host);
    host.polls();
    for _ in 0..3 {
        send!(host, seq 1, ack 1);
    }
    assert_eq!(news(&mut host), Some(PathNews::Failed(1000)));
    assert_eq!(host.counters.tcp_fast_retransmits, 0);
    let mut again = rest(&mut host);
    send!(host, seq 1, ack 701);
    again.extend(rest(&mut host));
    assert_eq!(again[..2], [(1, 700), (701, 300)]);
    send!(host, seq 1, ack 6601);
    assert_eq!((host.info().ca_state, host.info().unacked), (0, 0));
}

/// A router returns it: nothing else is sent again.
#[test]
fn a_probe_that_a_router_returns_is_all_that_goes_again() {
    let mut host = host();
    host.write_zeros(1000 + 8 * 700);
    host.polls();
    news(&mut host);
    let told = IcmpError::TooBig { mss: 800, sent: 1000 };
    let heeded = host.connection.on_icmp(host.now, told, SeqNum(ISS) + 1, &host.config);
    assert_eq!((heeded, news(&mut host)), (Ok(()), None));
    assert_eq!(rest(&mut host), [(1, 700), (701, 300)]);
    assert_eq!((host.info().ca_state, host.info().total_retrans), (0, 2));
}

/// Everything goes again because of another segment, or of a window that was shut: nobody will tell of the probe any more.
#[test]
fn a_probe_that_goes_again_among_everything_is_forgotten() {
    let among = || {
        let mut host = host();
        host.write_zeros(700);
        recv!(host, seq 1, len 700);
        host.write_zeros(8000);
        recv!(host, seq 701, len 1000);
        host.polls();
        assert_eq!(news(&mut host), Some(PathNews::Probing));
        host
    };
    let mut returned = among();
    let told = IcmpError::TooBig { mss: 600, sent: 700 };
    let heeded = returned.connection.on_icmp(returned.now, told, SeqNum(ISS) + 1, &returned.config);
    assert_eq!(heeded, Ok(()));
    returned.limits.mss = 600;
    let mut shut = among();
    send!(shut, seq 1, ack 1; window(0));
    shut.timeout();
    for (mut host, least) in [(returned, 600), (shut, 700)] {
        assert_eq!(news(&mut host), Some(PathNews::Inconclusive));
        let mut known = 1;
        while known < 8701 {
            let end = rest(&mut host).last().map(|(seq, bytes)| seq + *bytes as u32);
            known = end.expect("what was lost goes again");
            send!(host, seq 1, ack known; window(50_000));
        }
        assert_eq!(host.counters.tcp_mtu_probes, 1, "nothing was left for another");
        host.write_zeros(1000 + 3 * least);
        recv!(host, seq 8701, len 1000);
        assert_eq!(news(&mut host), Some(PathNews::Probing));
    }
}

//= https://www.rfc-editor.org/rfc/rfc4821#section-7.6.3
//= type=test
//# A time interval that is five times the non-timeout failure case (Section 7.6.2) is RECOMMENDED. (4821:7.6.3-1)
#[test]
fn a_timeout_tells_of_a_probe_only_if_it_is_the_first_in_flight() {
    let mut host = host();
    host.write_zeros(6000);
    host.polls();
    news(&mut host);
    host.timeout();
    assert_eq!(news(&mut host), Some(PathNews::Failed(1000)));
    let mut other = self::host();
    other.write_zeros(700);
    other.polls();
    other.write_zeros(6000);
    other.polls();
    news(&mut other);
    other.timeout();
    assert_eq!(news(&mut other), Some(PathNews::Inconclusive));
}

//= https://www.rfc-editor.org/rfc/rfc4821#section-7.1
//= type=test
//# if an "implicit probe" is lost, it MUST NOT be treated as a probe failure as a true probe would be. (4821:7.1-5)
#[test]
fn timeouts_in_a_row_make_segments_smaller_down_to_the_least() {
    let mut host = Host::established();
    host.limits.search = Some(MtuSearch { probe: None, ..SEARCH });
    host.write_zeros(5000);
    host.polls();
    let mut told = Vec::new();
    for _ in 0..6 {
        host.timeout();
        let news = news(&mut host);
        if let Some(PathNews::BlackHole(size)) = news {
            host.limits.mss = size;
        }
        told.push(news);
        host.polls();
    }
    let hole = |size| Some(PathNews::BlackHole(size));
    assert_eq!(told, [None, None, hole(700), hole(400), None, None]);
    assert_eq!((host.counters.tcp_black_holes, host.info().snd_mss), (2, 400));
    // Even the least vanished: something else was the reason.
    send!(host, seq 1, ack 401);
    assert_eq!(news(&mut host), Some(PathNews::NotSize));
    send!(host, seq 1, ack 801);
    assert_eq!(news(&mut host), None, "said once");

    //= https://www.rfc-editor.org/rfc/rfc4821#section-4
    //= type=test
    //# Whenever the MTU is reduced (e.g., when processing ICMP PTB messages), the congestion state variable SHOULD be rescaled so as not to raise the window size in packets. (4821:4-7)
    //= https://www.rfc-editor.org/rfc/rfc4821#section-4
    //= type=test
    //# Whenever the MTU is raised, the congestion state variables MUST be rescaled so as not to raise the window size in bytes (or data rate in bytes per seconds). (4821:4-6)
    let mut sized = Host::established();
    let bytes = |host: &Host| host.info().snd_cwnd * host.info().snd_mss;
    for (size, packets) in [(500, 10), (1000, 5), (700, 5)] {
        let before = bytes(&sized);
        sized.limits.mss = size;
        sized.silent();
        assert_eq!(sized.info().snd_cwnd, packets, "{size}");
        assert!(bytes(&sized) <= before);
    }

    // Small segments vanish for other reasons, and where the network says why, for that.
    let mut host = Host::established();
    host.limits.search = Some(MtuSearch { probe: None, ..SEARCH });
    host.write_zeros(300);
    host.polls();
    for _ in 0..4 {
        host.timeout();
        host.polls();
    }
    assert_eq!(host.counters.tcp_black_holes, 0);
    let mut host = Host::established();
    host.limits.search = Some(MtuSearch { probe: None, ..SEARCH });
    host.write_zeros(3000);
    host.polls();
    let from = "203.0.113.9".parse().unwrap();
    let told = Unreachable { errno: Errno::EHOSTUNREACH, kind: 3, code: 1, from };
    host.connection
        .on_icmp(host.now, IcmpError::Unreachable(told), SeqNum(ISS) + 1, &host.config)
        .expect("believed");
    for _ in 0..4 {
        host.timeout();
        host.polls();
    }
    assert_eq!(host.counters.tcp_black_holes, 0);
}
