//! Timestamps over the life of a connection: PAWS, TS.Recent and Last.ACK.sent (RFC 7323 sections 3 to 5).

use super::*;

/// Both sides speak timestamps; the peer's clock stood at 1000 in its SYN/ACK.
fn stamped() -> Host {
    let mut host = Host::connecting(TcpConfig { timestamps: true, ..plain() }, setup(ISS));
    host.poll().expect("SYN");
    send!(host, seq 0, ack 1, flag SYN; stamp(1000, 1000); mss(1000));
    host.polls();
    host
}

/// TS.Recent, as an ACK echoes it.
fn echo(host: &mut Host, old: u32) -> u32 {
    let seq = host.info().bytes_received as u32;
    send!(host, seq seq.wrapping_sub(100), ack 1, data b"old"; stamp(old, 1000));
    let sent = host.polls();
    sent.last().and_then(|ack| ack.options.timestamps).expect("an ACK with timestamps").1
}

//= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
//= type=test
//# Once TSopt has been successfully negotiated, that is both <SYN> and <SYN,ACK> contain TSopt, the TSopt MUST be sent in every non-<RST> segment for the duration of the connection (7323:3.2-6).
//= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
//= type=test
//# The TCP SHOULD remember this state by setting a flag, referred to as Snd.TS.OK, to one (7323:3.2-8).
#[test]
fn every_segment_has_timestamps() {
    let mut host = stamped();
    host.write_zeros(3000);
    host.close();
    send!(host, seq 3, ack 1, data b"x"; stamp(1001, 1000));
    let mut sent = host.polls();
    host.timeout();
    sent.extend(host.polls());
    assert!(sent.len() >= 5 && sent.iter().all(|one| one.options.timestamps.is_some()), "{sent:?}");
}

//= https://www.rfc-editor.org/rfc/rfc7323#section-5.3
//= type=test
//# If the PAWS algorithm is used, the following processing MUST be performed on all incoming segments for a synchronized connection (7323:5.3-1).
//= https://www.rfc-editor.org/rfc/rfc7323#section-5.3
//= type=test
//# treat the arriving segment as not acceptable: Send an acknowledgment in reply as specified in Section 3.9 of [RFC0793], page 69, and drop the segment (7323:5.3-3).
#[test]
fn what_is_older_than_ts_recent_is_acknowledged_and_dropped() {
    let mut host = stamped();
    let cases: [(Flags, &[u8], u32); 4] = [
        (Flags::default(), b"data", 999),
        (Flags::FIN, b"", 0),
        (Flags::PSH, b"x", 1000u32.wrapping_sub(1 << 30)),
        (Flags::URG, b"y", 999),
    ];
    for (flags, data, tsval) in cases {
        host.deliver(segment(1, Some(1), flags, data).stamp(tsval, 1000));
        recv!(host, seq 1, ack 1, flags "", len 0);
    }
    assert_eq!((host.counters.drop_tcp_paws, host.read(), host.state()), (4, vec![], State::Established));
    send!(host, seq 1, ack 1, data b"equal is not older"; stamp(1000, 1000));
    assert_eq!(host.read(), b"equal is not older");
}

/// On a path that reorders, ACKs of two milliseconds come in the wrong order; what PAWS dropped of them was often the only D-SACK.
#[test]
fn a_pure_ack_that_was_overtaken_is_heard_as_far_as_it_moves_nothing() {
    let config = TcpConfig { timestamps: true, sack: true, ..plain() };
    let mut host = Host::connecting(config, setup(ISS));
    host.poll().expect("SYN");
    send!(host, seq 0, ack 1, flag SYN; stamp(1000, 1000); mss(1000); permit());
    host.polls();
    host.write_zeros(5000);
    host.polls();
    send!(host, seq 1, ack 1001; stamp(1500, 1000));
    host.polls();
    let told = |host: &Host| (host.info().sacked, host.counters.drop_tcp_paws);
    // Sent before the ACK that has come, at the same place and below it.
    send!(host, seq 1, ack 1001; stamp(1499, 1000); sack([(3001, 4001)]));
    assert_eq!(told(&host), (2, 0));
    send!(host, seq 1, ack 1; stamp(1498, 1000); sack([(4001, 5001)]));
    assert_eq!((told(&host), host.counters.tcp_challenge_acks), ((3, 0), 0));
    // What would move anything is refused: by number, by window, by data, by FIN; and what is older than a retransmission.
    send!(host, seq 1, ack 2001; stamp(1499, 1000));
    send!(host, seq 1, ack 1001; stamp(1499, 1000); window(77));
    send!(host, seq 1, ack 1001, data b"x"; stamp(1499, 1000));
    send!(host, seq 1, ack 1001, flag FIN; stamp(1499, 1000));
    send!(host, seq 1, ack 1001; stamp(100, 1000); sack([(2001, 3001)]));
    assert_eq!((told(&host), host.info().bytes_acked), ((3, 5), 1000));
    assert_eq!(echo(&mut host, 1499), 1500, "nor does its timestamp count");
}

//= https://www.rfc-editor.org/rfc/rfc7323#section-5.2
//= type=test
//# When an <RST> segment is received, it MUST NOT be subjected to the PAWS check by verifying an acceptable value in SEG.TSval (7323:5.2-5).
#[test]
fn a_reset_needs_no_timestamp_and_may_have_an_old_one() {
    for reset in [segment(1, Some(1), Flags::RST, b""), segment(1, Some(1), Flags::RST, b"").stamp(5, 0)] {
        let mut host = stamped();
        host.deliver(reset);
        assert_eq!(host.connection.take_error(), Some(Errno::ECONNRESET));
    }
}

//= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
//= type=test
//# If a non-<RST> segment is received without a TSopt, a TCP SHOULD silently drop the segment (7323:3.2-9).
//= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
//= type=test
//# A TCP MUST NOT abort a TCP connection because any segment lacks an expected TSopt (7323:3.2-10).
#[test]
fn without_the_option_a_segment_is_dropped_in_silence_and_the_connection_lives() {
    let mut host = stamped();
    for flags in [Flags::default(), Flags::FIN, Flags::URG] {
        host.deliver(segment(1, Some(1), flags, b"bare"));
        host.silent();
    }
    assert_eq!((host.counters.drop_tcp_no_timestamp, host.state()), (3, State::Established));
}

//= https://www.rfc-editor.org/rfc/rfc7323#section-5.2
//= type=test
//# information from the Timestamps option MUST NOT be used to update connection state information (7323:5.2-6).
#[test]
fn a_reset_that_is_not_heeded_changes_nothing() {
    let mut host = stamped();
    send!(host, seq 5, ack 1, flag RST; stamp(5000, 1000));
    assert_eq!((host.state(), host.counters.drop_tcp_rst), (State::Established, 1));
    host.polls();
    send!(host, seq 0, ack 1, flag RST; stamp(5000, 1000));
    assert_eq!((host.state(), host.counters.drop_tcp_window), (State::Established, 1));
    assert_eq!(echo(&mut host, 1), 1000);
}

//= https://www.rfc-editor.org/rfc/rfc7323#section-5.3
//= type=test
//# PAWS processing MUST take precedence over the regular TCP acceptability check (7323:5.3-2).
#[test]
fn old_timestamps_are_looked_at_before_the_window() {
    let mut host = stamped();
    send!(host, seq 70_001, ack 1, data b"x"; stamp(999, 1000));
    assert_eq!((host.counters.drop_tcp_paws, host.counters.drop_tcp_window), (1, 0));
}

//= https://www.rfc-editor.org/rfc/rfc7323#section-4.1
//= type=test
//# Values of this clock MUST be at least approximately proportional to real time, in order to measure actual RTT (7323:4.1-1).
//= https://www.rfc-editor.org/rfc/rfc7323#section-5.4
//= type=test
//# It MUST tick at least once for each 2^31 bytes sent (7323:5.4-1).
//= https://www.rfc-editor.org/rfc/rfc7323#section-5.4
//= type=test
//# the clock SHOULD tick at least once per window's worth of data (7323:5.4-2).
//= https://www.rfc-editor.org/rfc/rfc7323#section-5.4
//= type=test
//# The recycling time of the timestamp clock MUST be greater than MSL seconds (7323:5.4-3).
//= https://www.rfc-editor.org/rfc/rfc7323#section-5.4
//= type=test
//# The PAWS mechanism also puts a strong monotonicity requirement on the sender's timestamp clock (7323:5.4-4).
#[test]
fn the_clock_is_neither_slow_nor_fast_and_never_goes_back() {
    use crate::tcp::timestamps::value;
    let at = |millis: u64| value(Instant::from_millis(millis), 0xffff_fff0);
    for millis in 0..100_000 {
        assert_eq!(at(millis + 1).wrapping_sub(at(millis)), 1);
    }
    let around = Duration::from_millis(1 << 32);
    assert_eq!(at(around.as_millis() as u64), at(0));
    assert!(around > TcpConfig::default().msl.saturating_mul(2));
}

//= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
//= type=test
//# SHOULD be sent in an <RST> segment (7323:3.2-7).
//= https://www.rfc-editor.org/rfc/rfc7323#section-5.2
//= type=test
//# If an <RST> is being generated because of a user abort, and Snd.TS.OK is set, then a Timestamps option SHOULD be included in the <RST> (7323:5.2-4).
#[test]
fn a_reset_has_timestamps_too() {
    let mut host = stamped();
    host.after(5);
    host.connection.abort(host.now, EndReason::Aborted);
    assert_eq!(recv!(host, flags "R").options.timestamps, Some((1005, 1000)));
    let mut host = Host::established();
    host.connection.abort(host.now, EndReason::Aborted);
    assert_eq!(recv!(host, flags "R").options.timestamps, None);
}

/// A RST in answer to a segment echoes its TSval, and has none of its own.
//= https://www.rfc-editor.org/rfc/rfc7323#section-5.2
//= type=test
//# it is now RECOMMENDED that when generating an <RST>, if the segment causing the <RST> to be generated contains a Timestamps option, the <RST> should also contain a Timestamps option (7323:5.2-2).
//= https://www.rfc-editor.org/rfc/rfc7323#section-5.2
//= type=test
//# In the <RST> segment, SEG.TSecr SHOULD be set to SEG.TSval from the incoming segment and SEG.TSval SHOULD be set to zero (7323:5.2-3).
#[test]
fn a_reset_echoes_what_caused_it() {
    for (stamped, timestamps) in [(true, Some((0, 77))), (false, None)] {
        let with = |segment: Segment| if stamped { segment.stamp(77, 5) } else { segment };
        let mut host = Host::connecting(TcpConfig::default(), setup(ISS));
        recv!(host, flags "S");
        host.deliver(with(segment(0, Some(9), Flags::SYN, b"")));
        assert_eq!(recv!(host, seq 9, flags "R").options.timestamps, timestamps);

        let mut host = Host::accepting(TcpConfig::default(), setup(ISS), &segment(0, None, Flags::SYN, b""));
        recv!(host, flags "S");
        host.deliver(with(segment(1, Some(9), Flags::default(), b"")));
        assert_eq!(recv!(host, seq 9, flags "R").options.timestamps, timestamps);

        let stray = with(segment(1, Some(9), Flags::default(), b""));
        let reset = reset_for(&stray.header, 0).expect("a reset");
        assert_eq!(reset.options.timestamps, timestamps);
    }
}

//= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
//= type=test
//# If a TSopt is received on a connection where TSopt was not negotiated in the initial three-way handshake, the TSopt MUST be ignored and the packet processed normally (7323:3.2-11).
#[test]
fn an_option_that_was_not_negotiated_is_ignored() {
    let mut host = Host::established();
    send!(host, seq 1, ack 1, data b"new"; stamp(5000, 9));
    send!(host, seq 4, ack 1, data b"old"; stamp(1, 9));
    assert_eq!(host.read(), b"newold");
    host.write(b"x");
    assert_eq!(recv!(host, len 1).options.timestamps, None);
}

//= https://www.rfc-editor.org/rfc/rfc7323#section-5.5
//= type=test
//# We therefore require that an implementation of PAWS include a mechanism to "invalidate" the TS.Recent value when a connection is idle for more than 24 days (7323:5.5-1).
//= https://www.rfc-editor.org/rfc/rfc7323#section-5.5
//= type=test
//# the TCP MAY update a clock or timestamp value associated with the connection whenever TS.Recent is updated (7323:5.5-2).
#[test]
fn after_24_days_in_silence_ts_recent_says_nothing() {
    const DAY: u64 = 24 * 3600;
    let mut host = stamped();
    host.now += Duration::from_secs(24 * DAY - 1);
    send!(host, seq 1, ack 1, data b"x"; stamp(999, 1000));
    assert_eq!((host.counters.drop_tcp_paws, host.read().len()), (1, 0));
    host.polls();
    host.now += Duration::from_secs(1);
    send!(host, seq 1, ack 1, data b"x"; stamp(999, 1000));
    assert_eq!(host.read(), b"x");
    assert_eq!(echo(&mut host, 1), 999, "what came then is the new TS.Recent");
}

//= https://www.rfc-editor.org/rfc/rfc7323#section-4.3
//= type=test
//# An <ACK> for an out-of-order segment SHOULD, therefore, contain the timestamp from the most recent segment that advanced RCV.NXT (7323:4.3-3).
//= https://www.rfc-editor.org/rfc/rfc7323#section-4.3
//= type=test
//# the timestamp from the latest segment (which filled the hole) MUST be echoed (7323:4.3-4).
//= https://www.rfc-editor.org/rfc/rfc7323#section-5.3
//= type=test
//# the timestamp MUST be checked only when a segment first arrives at the receiver, regardless of whether it is in sequence or it must be queued for later delivery (7323:5.3-5).
#[test]
fn out_of_order_segments_do_not_move_ts_recent() {
    let mut host = stamped();
    send!(host, seq 101, ack 1, data b"later"; stamp(1300, 1000));
    let ack = recv!(host, ack 1);
    assert_eq!(ack.options.timestamps.unwrap().1, 1000, "case B of RFC 7323 4.3");
    send!(host, seq 1, ack 1, data &[1; 100]; stamp(1200, 1000));
    let ack = recv!(host, ack 106);
    assert_eq!(ack.options.timestamps.unwrap().1, 1200, "the segment that filled the gap");
    send!(host, seq 106, ack 1, data b"older than the one out of order"; stamp(1250, 1000));
    assert_eq!(host.read().len(), 100 + 5 + 31, "it is not dropped");
}

#[test]
fn what_acknowledges_what_was_never_sent_does_not_move_ts_recent() {
    let mut host = stamped();
    send!(host, seq 1, ack 9999, flag FIN; stamp(200_000, 1000));
    recv!(host, ack 1);
    send!(host, seq 1, ack 1, data b"next"; stamp(1001, 1000));
    host.polls();
    assert_eq!(host.info().bytes_received, 4, "it is not old");
    assert_eq!(echo(&mut host, 900), 1001);
}

#[test]
fn a_bare_ack_moves_ts_recent() {
    let mut host = stamped();
    send!(host, seq 1, ack 1; stamp(1500, 1000));
    assert_eq!(echo(&mut host, 1), 1500);
}

#[test]
fn ts_recent_wraps() {
    let mut host = stamped();
    for tsval in [1 << 30, 2 << 30, 3 << 30, 0, 7] {
        send!(host, seq 1, ack 1; stamp(tsval, 1000));
        assert_eq!((echo(&mut host, tsval.wrapping_sub(1)), host.counters.drop_tcp_paws > 0), (tsval, true));
    }
}

#[test]
fn old_data_in_syn_received_is_dropped_too() {
    let config = TcpConfig { timestamps: true, ..plain() };
    let mut host = Host::accepting(config, setup(ISS), &segment(0, None, Flags::SYN, b"").stamp(500, 0));
    host.poll();
    send!(host, seq 1, ack 1, data b"x"; stamp(499, 1000));
    assert_eq!((host.state(), host.counters.drop_tcp_paws), (State::SynReceived, 1));
    host.polls();
    send!(host, seq 1, ack 1; stamp(500, 1000));
    assert_eq!(host.state(), State::Established);
}

/// What PAWS refuses may still be told to have come twice: whoever sent it again for nothing learns so.
//= https://www.rfc-editor.org/rfc/rfc2883#section-4.3
//= type=test
//# The D-SACK block can be included in the SACK option of the ACK, as outlined in Section 4, independently of the use of PAWS by the TCP receiver (2883:4.3-1).
#[test]
fn what_is_refused_is_told_to_have_come_twice() {
    let config = TcpConfig { timestamps: true, ..plain() };
    let mut host = Host::connecting(config, setup(ISS));
    let own = host.poll().unwrap().options.timestamps.unwrap().0;
    host.deliver(segment(0, Some(1), Flags::SYN, b"").mss(MSS as u16).permit().stamp(10, own));
    host.polls();
    send!(host, seq 2001, ack 1, data &[7; 100]; stamp(30, own));
    host.polls();
    send!(host, seq 1, ack 1, data &[7; 100]; stamp(31, own));
    host.polls();
    send!(host, seq 2001, ack 1, data &[7; 100]; stamp(20, own));
    let told = host.polls().pop().expect("an ACK").options.sack;
    let block = |from: u32| ((SeqNum(IRS) + from).0, (SeqNum(IRS) + from + 100).0);
    assert_eq!(&told[..2], &[block(2001), block(2001)], "D-SACK, and the block around it");
    assert_eq!(host.counters.drop_tcp_paws, 1);
}

/// A repair that fills a gap has a newer timestamp than what was sent just before it and is still on its way.
#[test]
fn what_a_repair_has_overtaken_is_taken_within_a_round_trip() {
    let config = TcpConfig { timestamps: true, sack: true, ..plain() };
    let mut host = Host::connecting(config, setup(ISS));
    let own = host.poll().expect("SYN").options.timestamps.expect("timestamps").0;
    host.now += Duration::from_millis(20);
    send!(host, seq 0, ack 1, flag SYN; stamp(1000, own); mss(1000); permit());
    host.polls();
    send!(host, seq 101, ack 1, data &[2; 100]; stamp(1010, own));
    send!(host, seq 1, ack 1, data &[1; 100]; stamp(1030, own));
    send!(host, seq 201, ack 1, data &[3; 100]; stamp(1010, own));
    assert_eq!((host.read().len(), host.counters.drop_tcp_paws), (300, 0));
    assert_eq!(
        recv!(host, ack 301).options.timestamps.map(|(_, echo)| echo),
        Some(1030),
        "TS.Recent never goes back"
    );
    send!(host, seq 301, ack 1, data &[4; 100]; stamp(1009, own));
    assert_eq!((host.read().len(), host.counters.drop_tcp_paws), (0, 1), "a round trip and no more");
    host.now += Duration::from_millis(20);
    send!(host, seq 301, ack 1, data &[4; 100]; stamp(1029, own));
    assert_eq!((host.read().len(), host.counters.drop_tcp_paws), (0, 2), "and no longer than one");
}

/// Ten ticks of a clock that ticks ten times a second are a second, in which the numbers may have gone round.
#[test]
fn a_clock_that_ticks_slowly_tells_nothing_of_a_round_trip() {
    let config = TcpConfig { timestamps: true, sack: true, ..plain() };
    let mut host = Host::connecting(config, setup(ISS));
    let own = host.poll().expect("SYN").options.timestamps.expect("timestamps").0;
    host.now += Duration::from_millis(20);
    send!(host, seq 0, ack 1, flag SYN; stamp(1000, own); mss(1000); permit());
    host.polls();
    host.now += Duration::from_secs(2);
    send!(host, seq 101, ack 1, data &[2; 100]; stamp(1020, own));
    send!(host, seq 1, ack 1, data &[1; 100]; stamp(1021, own));
    send!(host, seq 201, ack 1, data &[3; 100]; stamp(1020, own));
    assert_eq!((host.read().len(), host.counters.drop_tcp_paws), (200, 1));
}
