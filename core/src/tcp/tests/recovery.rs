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
//# When [RFC3042] is in use, additional data sent in limited transmit MUST NOT be included in this calculation.
#[test]
fn limited_transmit_then_fast_retransmit_then_inflation() {
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
    assert_eq!((info.ca_state, info.snd_ssthresh, info.snd_cwnd), (3, 5, 5), "half of 10, not of 12");
    // cwnd 5 and an inflation of 3 and more: beyond 12 in flight with the eighth duplicate.
    for _ in 0..4 {
        duplicate(&mut host, 1);
        host.silent();
    }
    duplicate(&mut host, 1);
    recv!(host, seq 12_001, len 1000);
    assert_eq!(host.counters.tcp_fast_retransmits, 1);
    send!(host, seq 1, ack 13_001);
    assert_eq!((host.info().ca_state, host.info().snd_cwnd), (0, 2), "min(ssthresh, FlightSize + SMSS)");
    assert_eq!(host.polls().len(), 2);
}

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
    recv!(host, seq 4001, len 1000);
    host.polls();
    host.after(50);
    send!(host, seq 1, ack 7001);
    recv!(host, seq 7001, len 1000);
    host.polls();
    assert_eq!(host.info().ca_state, 3);
    send!(host, seq 1, ack 7001 + host.info().unacked * 1000);
    assert_eq!((host.info().ca_state, host.info().unacked), (0, 0));
}

#[test]
fn a_partial_ack_deflates_the_window_by_what_it_acknowledges() {
    let mut host = in_flight();
    for _ in 0..3 {
        duplicate(&mut host, 1);
        host.polls();
    }
    assert_eq!((host.info().snd_cwnd, host.info().unacked), (5, 12));
    // 5000 and 3000 for the duplicates, less 3000, and one segment back; 8000 are in flight.
    send!(host, seq 1, ack 4001);
    recv!(host, seq 4001, len 1000);
    for _ in 0..2 {
        duplicate(&mut host, 4001);
        host.silent();
    }
    duplicate(&mut host, 4001);
    recv!(host, seq 12_001, len 1000);
    host.silent();
    assert_eq!(host.info().snd_cwnd, 5);
}

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
fn a_lost_super_frame_is_repaired_segment_by_segment() {
    let mut host = Host::established();
    host.limits.super_frame = 65_000;
    host.write_zeros(10_000);
    recv!(host, seq 1, len 10_000, gso 1000);
    host.timeout();
    recv!(host, seq 1, len 1000, gso 0);
    send!(host, seq 1, ack 1001);
    recv!(host, seq 1001, len 2000, gso 1000);
    host.silent();
}
