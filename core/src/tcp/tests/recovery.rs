//! Loss without SACK: limited transmit, fast retransmit, NewReno, timeouts.

use super::*;

/// Ten segments are in flight, ten more are queued.
fn in_flight() -> Host {
    let mut host = Host::established();
    host.write_zeros(20_000);
    assert_eq!(host.polls().len(), 10);
    host
}

fn duplicate(host: &mut Host, ack: u32) {
    send!(host, seq 1, ack ack);
}

//= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
//= type=test
//# The TCP sender SHOULD use the "fast retransmit" algorithm to detect and repair loss, based on incoming duplicate ACKs (5681:3.2-3).
//= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
//= type=test
//# On the first and second duplicate ACKs received at a sender, a TCP SHOULD send a segment of previously unsent data per [RFC3042] (5681:3.2-4).
//= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
//= type=test
//# the TCP sender MUST NOT change cwnd to reflect these two segments (5681:3.2-5).
//= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
//= type=test
//# When the third duplicate ACK is received, a TCP MUST set ssthresh to no more than the value given in equation (4) (5681:3.2-7).
//= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
//= type=test
//# When [RFC3042] is in use, additional data sent in limited transmit MUST NOT be included in this calculation (5681:3.2-8).
//= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
//= type=test
//# When previously unsent data is available and the new value of cwnd and the receiver's advertised window allow, a TCP SHOULD send 1*SMSS bytes of previously unsent data (5681:3.2-11).
//= https://www.rfc-editor.org/rfc/rfc5681#section-4.3
//= type=test
//# after all loss in the given window of segments has been successfully retransmitted, cwnd MUST be set to no more than ssthresh and congestion avoidance MUST be used to further increase cwnd (5681:4.3-3).
//= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
//= type=test
//# When the TCP protocol control block is initialized, recover is set to the initial send sequence number (6582:3.2-1).
//= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
//= type=test
//# Set cwnd to either (1) min (ssthresh, max(FlightSize, SMSS) + SMSS) or (2) ssthresh (6582:3.2-4).
//= https://www.rfc-editor.org/rfc/rfc3042#section-2
//= type=test
//# The amount of outstanding data would remain less than or equal to the congestion window plus 2 segments (3042:2-3).
#[test]
fn limited_transmit_then_fast_retransmit_then_one_for_two() {
    let mut host = in_flight();
    duplicate(&mut host, 1);
    recv!(host, seq 10_001, len 1000);
    host.silent();
    assert_eq!(host.info().ca_state, 1);
    duplicate(&mut host, 1);
    recv!(host, seq 11_001, len 1000);
    host.silent();
    assert_eq!(host.info().snd_cwnd, 10);
    duplicate(&mut host, 1);
    recv!(host, seq 1, len 1000);
    host.silent();
    let info = host.info();
    assert_eq!((info.ca_state, info.snd_ssthresh), (3, 5), "half of 10, not of 12");
    // The window comes down to 5 of 12 as ACKs come: 5 segments for 12 of them (RFC 6937).
    let count = |host: &mut Host| {
        duplicate(host, 1);
        host.polls().len()
    };
    let sent: Vec<_> = (4..=8).map(|_| count(&mut host)).collect();
    assert_eq!(sent, [0, 1, 0, 1, 0]);
    assert_eq!(host.counters.tcp_fast_retransmits, 1);
    send!(host, seq 1, ack 14_001);
    assert_eq!((host.info().ca_state, host.info().snd_cwnd), (0, 5), "ssthresh");
    assert_eq!(host.polls().len(), 5);
}

//= https://www.rfc-editor.org/rfc/rfc3042#section-2
//= type=test
//# The receiver's advertised window allows the transmission of the segment (3042:2-2).
#[test]
fn limited_transmit_stays_inside_the_peers_window() {
    let mut host = in_flight();
    send!(host, seq 1, ack 1; window(10_500));
    host.silent();
    send!(host, seq 1, ack 1; window(10_500));
    host.silent();
    assert_eq!((host.info().ca_state, host.info().unacked), (1, 10));
}

//= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
//= type=test
//# If so, the value of recover is incremented to the value of the highest sequence number transmitted by the TCP so far (6582:3.2-3).
//= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
//= type=test
//# Exit the fast recovery procedure (6582:3.2-6).
//= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
//= type=test
//# If this ACK does *not* acknowledge all of the data up to and including recover, then this is a partial ACK. In this case, retransmit the first unacknowledged segment (6582:3.2-7).
#[test]
fn a_partial_ack_retransmits_the_next_hole() {
    let mut host = in_flight();
    for _ in 0..3 {
        duplicate(&mut host, 1);
    }
    let sent = host.polls();
    assert_eq!(sent[0].seq, SeqNum(ISS) + 1);
    host.after(50);
    send!(host, seq 1, ack 4001);
    assert_eq!(host.polls()[0].seq, SeqNum(ISS) + 4001);
    host.after(50);
    send!(host, seq 1, ack 7001);
    assert_eq!(host.polls()[0].seq, SeqNum(ISS) + 7001);
    assert_eq!(host.info().ca_state, 3);
    send!(host, seq 1, ack 7001 + host.info().unacked * 1000);
    assert_eq!((host.info().ca_state, host.info().unacked), (0, 0));
}

//= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
//= type=test
//# Send a new segment if permitted by the new value of cwnd (6582:3.2-10).
//= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
//= type=test
//# Do not exit the fast recovery procedure (6582:3.2-11).
#[test]
fn a_partial_ack_fills_the_hole_and_lets_new_data_go() {
    let mut host = in_flight();
    for _ in 0..3 {
        duplicate(&mut host, 1);
        host.polls();
    }
    assert_eq!(host.info().unacked, 12);
    send!(host, seq 1, ack 4001);
    recv!(host, seq 4001, len 1000);
    host.silent();
    assert_eq!(host.info().ca_state, 3);
    for _ in 0..5 {
        duplicate(&mut host, 4001);
        host.polls();
    }
    assert!(host.info().unacked > 9, "new data went: {:?}", host.info());
    assert_eq!((host.info().ca_state, host.info().snd_ssthresh), (3, 5));
}

//= https://www.rfc-editor.org/rfc/rfc5681#section-4.3
//= type=test
//# Loss in two successive windows of data, or the loss of a retransmission, should be taken as two indications of congestion and, therefore, cwnd (and ssthresh) MUST be lowered twice in this case (5681:4.3-4).
#[test]
fn a_lost_retransmission_is_a_second_loss() {
    for selective in [false, true] {
        let mut host = if selective { Host::selective() } else { Host::established() };
        host.write_zeros(20_000);
        assert_eq!(host.polls().len(), 10);
        for n in 1..=3 {
            send!(host, seq 1, ack 1; sack([(1001, 1001 + 1000 * n)]));
            host.polls();
        }
        assert_eq!((host.info().ca_state, host.info().snd_ssthresh), (3, 5));
        host.timeout();
        assert_eq!((host.info().ca_state, host.info().snd_ssthresh, host.info().snd_cwnd), (4, 2, 1));
    }
}

//= https://www.rfc-editor.org/rfc/rfc5681#section-4.3
//= type=test
//# Loss in two successive windows of data, or the loss of a retransmission, should be taken as two indications of congestion and, therefore, cwnd (and ssthresh) MUST be lowered twice in this case (5681:4.3-4).
#[test]
fn losses_in_two_windows_are_two() {
    let mut host = in_flight();
    for _ in 0..3 {
        duplicate(&mut host, 1);
        host.polls();
    }
    send!(host, seq 1, ack 12_001);
    host.polls();
    send!(host, seq 1, ack 14_001);
    host.polls();
    let (window, before) = (host.info().snd_cwnd, host.info().snd_ssthresh);
    for _ in 0..3 {
        duplicate(&mut host, 14_001);
        host.polls();
    }
    let info = host.info();
    assert!(info.ca_state == 3 && info.snd_cwnd < window && info.snd_ssthresh < before, "{info:?}");
}

//= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
//= type=test
//# For the first partial ACK that arrives during fast recovery, also reset the retransmit timer (6582:3.2-12).
#[test]
fn only_the_first_partial_ack_restarts_the_timer() {
    let mut host = in_flight();
    for _ in 0..3 {
        duplicate(&mut host, 1);
    }
    host.polls();
    host.after(100);
    send!(host, seq 1, ack 2001);
    host.polls();
    let armed = host.connection.poll_timeout();
    host.after(100);
    send!(host, seq 1, ack 3001);
    host.polls();
    assert_eq!(host.connection.poll_timeout(), armed, "impatient (RFC 6582 section 4)");
}

//= https://www.rfc-editor.org/rfc/rfc5681#section-2
//= type=test
//# An acknowledgment is considered a "duplicate" in the following algorithms when (a) the receiver of the ACK has outstanding data, (b) the incoming acknowledgment carries no data, (c) the SYN and FIN bits are both off, (d) the acknowledgment number is equal to the greatest acknowledgment received on the given connection (5681:2-2).
#[test]
fn what_is_no_duplicate_is_not_counted() {
    let mut host = in_flight();
    for window in [50_001, 50_002, 50_003] {
        send!(host, seq 1, ack 1; window(window));
    }
    send!(host, seq 1, ack 1, data b"abc");
    send!(host, seq 4, ack 1, data b"def");
    send!(host, seq 7, ack 1, data b"ghi");
    assert_eq!(host.counters.tcp_fast_retransmits, 0);
    let mut idle = Host::established();
    for _ in 0..5 {
        duplicate(&mut idle, 1);
    }
    assert_eq!(idle.info().ca_state, 0);
}

//= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
//= type=test
//# the value of ssthresh MUST be set to no more than the value given in equation (4): ssthresh = max (FlightSize / 2, 2*SMSS) (5681:3.1-19).
//= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
//= type=test
//# upon a timeout (as specified in [RFC2988]) cwnd MUST be set to no more than the loss window, LW, which equals 1 full-sized segment (5681:3.1-21).
//= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
//= type=test
//# after retransmitting the dropped segment the TCP sender uses the slow start algorithm to increase the window from 1 full-sized segment to the new value of ssthresh, at which point congestion avoidance again takes over (5681:3.1-22).
#[test]
fn a_timeout_goes_back_and_slow_starts() {
    let mut host = in_flight();
    host.timeout();
    let info = host.info();
    assert_eq!((info.ca_state, info.snd_cwnd, info.snd_ssthresh, info.retransmits), (4, 1, 5, 1));
    recv!(host, seq 1, len 1000);
    host.silent();
    send!(host, seq 1, ack 1001);
    recv!(host, seq 1001);
    recv!(host, seq 2001);
    host.silent();
    // The hole is filled: what the ACK covers is not sent again.
    send!(host, seq 1, ack 9001);
    recv!(host, seq 9001, len 1000);
    recv!(host, seq 10_001, len 1000);
    recv!(host, seq 11_001, len 1000);
    host.silent();
    assert_eq!(host.info().total_retrans, 4);
    send!(host, seq 1, ack 12_001);
    assert_eq!(host.info().ca_state, 0);
}

//= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
//= type=test
//# When the third duplicate ACK is received, the TCP sender first checks the value of recover to see if the Cumulative Acknowledgment field covers more than recover (6582:3.2-2).
//= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
//= type=test
//# After a retransmit timeout, record the highest sequence number transmitted in the variable recover, and exit the fast recovery procedure if applicable (6582:3.2-13).
#[test]
fn duplicates_of_what_a_timeout_sent_again_are_no_loss() {
    let mut host = in_flight();
    host.timeout();
    recv!(host, seq 1);
    send!(host, seq 1, ack 3001);
    host.polls();
    for _ in 0..5 {
        duplicate(&mut host, 3001);
        host.polls();
    }
    send!(host, seq 1, ack 10_001);
    host.polls();
    for _ in 0..5 {
        duplicate(&mut host, 10_001);
        host.polls();
    }
    assert_eq!(host.counters.tcp_fast_retransmits, 0, "RFC 6582: not beyond recover");
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.1
//= type=test
//# The RTO MUST be computed according to the algorithm in [10], including Karn's algorithm for taking RTT samples (MUST-18).
//= https://www.rfc-editor.org/rfc/rfc6298#section-3
//= type=test
//# RTT samples MUST NOT be made using segments that were retransmitted (and thus for which it is ambiguous whether the reply was for the first instance of the packet or a later instance) (6298:3-2).
//= https://www.rfc-editor.org/rfc/rfc6298#section-3
//= type=test
//# A TCP implementation MUST take at least one RTT measurement per RTT (unless that is not possible per Karn's algorithm) (6298:3-3).
#[test]
fn karn_without_timestamps() {
    let mut host = Host::established();
    host.write_zeros(500);
    recv!(host, seq 1);
    let first = host.timeout();
    recv!(host, seq 1);
    assert_eq!(u128::from(host.info().rto), first.as_micros() * 2);
    host.now += Duration::from_millis(100);
    send!(host, seq 1, ack 501);
    assert_eq!(u128::from(host.info().rto), first.as_micros() * 2, "no measurement, the backoff stays");
    host.write_zeros(500);
    recv!(host, seq 501);
    host.now += Duration::from_millis(100);
    send!(host, seq 1, ack 1001);
    assert!(u128::from(host.info().rto) < first.as_micros() * 2);
}

#[test]
fn timestamps_measure_what_was_sent_again() {
    let mut host = Host::connecting(TcpConfig { quick_acks: 0, ..TcpConfig::default() }, setup(ISS));
    host.poll();
    send!(host, seq 0, ack 1, flag SYN; stamp(1, 1000); mss(1000); window(50_000));
    host.polls();
    host.write_zeros(500);
    recv!(host, seq 1);
    host.timeout();
    let again = recv!(host, seq 1);
    host.now += Duration::from_millis(40);
    let backed_off = host.info().rto;
    send!(host, seq 1, ack 501; stamp(2, again.options.timestamps.unwrap().0));
    let info = host.info();
    assert_eq!(info.backoff, 0);
    assert!(info.rto < backed_off && info.min_rtt <= 40_000, "{info:?}");
}

//= https://www.rfc-editor.org/rfc/rfc6298#section-3
//= type=test
//# A TCP implementation MUST take at least one RTT measurement per RTT (unless that is not possible per Karn's algorithm) (6298:3-3).
//= https://www.rfc-editor.org/rfc/rfc7323#section-4.2
//= type=test
//# When multiple RTTMs per RTT are available to update the RTT estimator, an implementation SHOULD try to adhere to the spirit of the history specified in [RFC6298] (7323:4.2-1).
#[test]
fn a_flight_is_measured_once() {
    let mut host = Host::connecting(TcpConfig { quick_acks: 0, ..TcpConfig::default() }, setup(ISS));
    host.poll();
    send!(host, seq 0, ack 1, flag SYN; stamp(1, 1000); mss(1012); window(50_000));
    host.polls();
    host.write_zeros(9880);
    let stamp = host.polls().last().and_then(|sent| sent.options.timestamps).unwrap().0;
    host.after(80);
    send!(host, seq 1, ack 989; stamp(2, stamp));
    let first = host.info();
    for segment in 2..=10 {
        host.now += Duration::from_millis(1);
        send!(host, seq 1, ack 1 + 988 * segment; stamp(2, stamp));
    }
    assert_eq!((host.info().rtt, host.info().rttvar), (first.rtt, first.rttvar));
    // The next flight is another measurement.
    host.write_zeros(1000);
    recv!(host, seq 9881);
    host.after(2);
    send!(host, seq 1, ack 10_869; stamp(3, stamp + 91));
    assert!(host.info().rtt < first.rtt);
}

#[test]
fn the_timer_restarts_with_each_ack_and_stops_with_the_last() {
    let mut host = in_flight();
    host.after(100);
    send!(host, seq 1, ack 1001);
    host.polls();
    let waits = host.connection.poll_timeout().expect("the timer").since(host.now);
    assert_eq!(waits.as_micros(), u128::from(host.info().rto));
    send!(host, seq 1, ack 12_001);
    host.polls();
    send!(host, seq 1, ack 20_001);
    host.silent();
    assert_eq!(host.connection.poll_timeout(), None);
}

#[test]
fn a_lost_super_frame_is_repaired_as_the_window_lets_it() {
    let mut host = Host::established();
    host.limits.super_frame = 65_000;
    host.write_zeros(10_000);
    recv!(host, seq 1, len 5000, gso 1000);
    recv!(host, seq 5001, len 5000, gso 1000);
    host.timeout();
    recv!(host, seq 1, len 1000, gso 0);
    send!(host, seq 1, ack 1001);
    recv!(host, seq 1001, len 2000, gso 1000);
    host.silent();
}

/// A window that closes over a repair ends it, but not what the loss costs.
#[test]
fn what_goes_again_for_another_reason_keeps_the_reduction() {
    let mut host = in_flight();
    for _ in 0..3 {
        duplicate(&mut host, 1);
    }
    host.polls();
    assert_eq!((host.info().ca_state, host.info().snd_ssthresh), (3, 5));
    send!(host, seq 1, ack 1; window(0));
    host.timeout();
    host.polls();
    send!(host, seq 1, ack 1; window(20_000));
    host.polls();
    assert!(host.info().snd_cwnd <= 5, "{}", host.info().snd_cwnd);
}

/// The octet of a window probe goes again with the data behind it, and its ACK may be of either.
#[test]
fn the_octet_of_a_probe_measures_nothing() {
    let mut host = Host::connecting(plain(), setup(ISS));
    host.poll();
    host.after(100);
    send!(host, seq 0, ack 1, flag SYN; mss(1000));
    host.polls();
    host.write_zeros(1000);
    host.polls();
    host.after(100);
    send!(host, seq 1, ack 1001; window(0));
    assert_eq!(host.info().min_rtt, 100_000);
    host.write_zeros(5000);
    host.timeout();
    recv!(host, seq 1001, len 1);
    host.after(80);
    send!(host, seq 1, ack 1001; window(20_000));
    host.polls();
    host.after(1);
    send!(host, seq 1, ack 1002; window(20_000));
    assert_eq!(host.info().min_rtt, 100_000);
}
