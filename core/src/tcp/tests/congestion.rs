//! Reno by the numbers of RFC 5681.

use super::*;
use crate::config::SlowStart;
use crate::tcp::congestion::reno::Reno;
use crate::tcp::congestion::window::{Window, initial_window};
use crate::tcp::congestion::{Acked, Controller};

fn acked(bytes: u32) -> Acked {
    Acked { bytes, window_limited: true, ..Acked::default() }
}

/// Reno with `window` bytes of `mss` each and the slow start of RFC 5681, `step` segments an ACK.
pub(super) fn reno(mss: u32, window: u32, step: u32) -> Reno {
    let config = TcpConfig { slow_start: SlowStart::Standard, slow_start_step: step, ..plain() };
    let mut reno = Reno::new(Window::new(mss, window / mss, &config));
    reno.set_window(window);
    reno
}

fn loses(controller: &mut dyn Controller, flight: u32) {
    controller.on_congestion(START, flight);
    controller.on_recovered(START);
}

#[test]
fn the_initial_window_of_rfc_6928() {
    let table =
        [(536, 5360), (1000, 10_000), (1460, 14_600), (2000, 14_600), (9000, 18_000), (65_000, 130_000)];
    for (mss, window) in table {
        assert_eq!(initial_window(mss, 10), window, "MSS {mss}");
    }
    assert_eq!(initial_window(1000, 0), 1000);
}

//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.2
//= type=test
//# A TCP endpoint MUST implement the basic congestion control algorithms slow start, congestion avoidance, and exponential backoff of RTO to avoid creating congestion collapse conditions (MUST-19).
//= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
//= type=test
//# The slow start and congestion avoidance algorithms MUST be used by a TCP sender to control the amount of outstanding data being injected into the network (5681:3.1-1).
//= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
//= type=test
//# The initial value of ssthresh SHOULD be set arbitrarily high (5681:3.1-10).
//= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
//= type=test
//# ssthresh MUST be reduced in response to congestion (5681:3.1-11).
//= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
//= type=test
//# SHOULD increment cwnd per equation (2) once per RTT (5681:3.1-14).
//= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
//= type=test
//# The RECOMMENDED way to increase cwnd during congestion avoidance is to count the number of bytes that have been acknowledged by ACKs for new data (5681:3.1-16).
#[test]
fn slow_start_then_congestion_avoidance() {
    let mut reno = reno(1000, 4000, 2);
    assert_eq!(reno.threshold(), u32::MAX);
    reno.on_ack(START, acked(1000));
    assert_eq!(reno.window(), 5000);
    reno.on_ack(START, acked(8000));
    assert_eq!(reno.window(), 7000, "two segments an ACK at most");
    let mut merged = self::reno(1000, 4000, 2);
    merged.on_ack(START, Acked { acks: 5, ..acked(9000) });
    assert_eq!(merged.window(), 13_000, "five of them allow ten, and nine have arrived");
    loses(&mut reno, 6000);
    assert_eq!((reno.window(), reno.threshold()), (3000, 3000));
    reno.on_ack(START, acked(2999));
    assert_eq!(reno.window(), 3000);
    reno.on_ack(START, acked(1));
    assert_eq!(reno.window(), 4000, "one segment a round trip");
}

#[test]
fn slow_start_ends_at_its_threshold() {
    let mut reno = reno(1000, 10_000, 45);
    reno.on_timeout(START, 20_000, false);
    assert_eq!((reno.window(), reno.threshold()), (1000, 5000));
    reno.on_ack(START, acked(3000));
    assert_eq!(reno.window(), 4000);
    reno.on_ack(START, acked(9000));
    assert_eq!(reno.window(), 5000);
    reno.on_ack(START, acked(4999));
    assert_eq!(reno.window(), 5000);
    reno.on_ack(START, acked(1));
    assert_eq!(reno.window(), 6000);
}

#[test]
fn in_slow_start_half_a_window_in_use_is_enough() {
    let mut host = Host::established();
    host.write_zeros(6000);
    host.polls();
    let mut windows = Vec::new();
    for ack in [2001, 4001, 6001] {
        send!(host, seq 1, ack ack);
        windows.push(host.info().snd_cwnd);
    }
    assert_eq!(windows, [12, 12, 12]);
    host.write_zeros(12_000);
    host.polls();
    send!(host, seq 1, ack 18_001);
    assert_eq!(host.info().snd_cwnd, 24, "a full one doubles");
    host.write_zeros(2000);
    host.polls();
    send!(host, seq 1, ack 20_001);
    assert_eq!(host.info().snd_cwnd, 24);
}

#[test]
fn what_duplicates_told_of_does_not_widen_the_window_again() {
    let mut host = Host::established();
    host.write_zeros(15_000);
    host.polls();
    for _ in 0..2 {
        send!(host, seq 1, ack 1);
        recv!(host, len 1000);
    }
    send!(host, seq 1, ack 3001);
    assert_eq!(host.info().snd_cwnd, 11);
}

#[test]
fn in_congestion_avoidance_all_of_the_window_has_to_be_in_use() {
    let mut host = Host::established();
    host.write_zeros(20_000);
    host.polls();
    host.timeout();
    host.polls();
    // ssthresh is five segments.
    for ack in 1..=20 {
        send!(host, seq 1, ack 1 + ack * 1000);
        host.polls();
    }
    let window = host.info().snd_cwnd;
    assert!((5..8).contains(&window), "{window}");
    for count in 1..8 {
        host.write_zeros(window as usize * 1000 - 1000);
        host.polls();
        send!(host, seq 1, ack 20_001 + count * (window - 1) * 1000);
        assert_eq!(host.info().snd_cwnd, window);
    }
    host.write_zeros(window as usize * 1000);
    host.polls();
    send!(host, seq 1, ack 20_001 + 7 * (window - 1) * 1000 + window * 1000);
    let grown = host.info().snd_cwnd;
    assert_eq!(grown, window + 1);
}

/// The windows of two hosts of one life, and how many segments they send, when one hears each of `acks` in the same turn, and the other the last for all.
fn heard_apart_and_merged(live: impl Fn() -> Host, acks: &[u32]) -> [(u32, usize); 2] {
    [false, true].map(|merged| {
        let mut host = live();
        let last = acks[acks.len() - 1];
        if merged {
            host.deliver(segment(1, Some(last), Flags::default(), b"").merged(acks.len() as u16));
        } else {
            acks.iter().for_each(|ack| host.deliver(segment(1, Some(*ack), Flags::default(), b"")));
        }
        let sent = host.polls().len();
        (host.info().snd_cwnd, sent)
    })
}

#[test]
fn merged_acknowledgements_widen_the_window_as_each_would() {
    let fresh = || {
        let mut host = Host::established_with(TcpConfig { slow_start_step: 2, ..plain() }, setup(ISS));
        host.write_zeros(40_000);
        host.polls();
        host
    };
    let [apart, merged] = heard_apart_and_merged(fresh, &[2001, 4001, 6001, 8001, 10_001]);
    assert_eq!((apart.0, &apart), (20, &merged));
    let timed_out = || {
        let mut host = fresh();
        host.timeout();
        host.polls();
        host
    };
    let [apart, merged] = heard_apart_and_merged(timed_out, &[1001, 2001, 3001]);
    assert_eq!((apart.0, &apart), (4, &merged));
}

#[test]
fn a_window_that_is_not_used_does_not_grow() {
    let mut reno = reno(1000, 4000, 2);
    reno.on_ack(START, Acked { window_limited: false, ..acked(1000) });
    assert_eq!(reno.window(), 4000);
}

//= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
//= type=test
//# the value of ssthresh MUST be set to no more than the value given in equation (4): ssthresh = max (FlightSize / 2, 2*SMSS) (5681:3.1-19).
//= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
//= type=test
//# when a TCP sender detects segment loss using the retransmission timer and the given segment has already been retransmitted by way of the retransmission timer at least once, the value of ssthresh is held constant (5681:3.1-20).
#[test]
fn a_timeout_starts_again_from_one_segment() {
    let mut reno = reno(1000, 20_000, 2);
    reno.on_timeout(START, 20_000, false);
    assert_eq!((reno.window(), reno.threshold()), (1000, 10_000));
    reno.on_timeout(START, 20_000, true);
    assert_eq!(reno.threshold(), 10_000, "once for each loss");
    reno.on_ack(START, Acked { after_timeout: true, ..acked(5000) });
    assert_eq!(reno.window(), 2000, "L = 1 while repairing");
    reno.on_ack(START, Acked { after_timeout: true, acks: 3, ..acked(5000) });
    assert_eq!(reno.window(), 5000, "of each of those that were merged");
    reno.on_timeout(START, 1000, false);
    assert_eq!(reno.threshold(), 2000, "two segments at least");
}

//= https://www.rfc-editor.org/rfc/rfc5681#section-4.1
//= type=test
//# we define RW = min(IW,cwnd) (5681:4.1-2).
#[test]
fn a_pause_never_widens_the_window() {
    let mut reno = reno(1000, 10_000, 2);
    reno.set_window(4000);
    reno.on_idle(START, Duration::from_secs(10), Duration::from_secs(1));
    assert_eq!(reno.window(), 4000);
}

//= https://www.rfc-editor.org/rfc/rfc5681#section-4.3
//= type=test
//# after all loss in the given window of segments has been successfully retransmitted, cwnd MUST be set to no more than ssthresh and congestion avoidance MUST be used to further increase cwnd (5681:4.3-3).
#[test]
fn recovery_leads_the_window_down_and_leaves_it_at_the_threshold() {
    let mut reno = reno(1000, 20_000, 2);
    reno.on_congestion(START, 20_000);
    assert_eq!((reno.window(), reno.threshold()), (20_000, 10_000));
    reno.set_window(0);
    assert_eq!(reno.window(), 1000, "a segment at least");
    reno.set_window(9000);
    reno.on_recovered(START);
    assert_eq!(reno.window(), 10_000);
}

#[test]
fn a_reduction_for_nothing_is_taken_back_once() {
    let mut reno = reno(1000, 20_000, 2);
    reno.on_timeout(START, 20_000, false);
    reno.on_timeout(START, 1000, true);
    reno.on_undo(START);
    assert_eq!((reno.window(), reno.threshold()), (20_000, u32::MAX));
    reno.on_recovered(START);
    assert_eq!(reno.window(), 20_000, "nothing was lost");
    loses(&mut reno, 20_000);
    reno.set_window(30_000);
    reno.on_undo(START);
    assert_eq!((reno.window(), reno.threshold()), (30_000, u32::MAX), "the larger of then and now");
    reno.set_window(5000);
    reno.on_undo(START);
    assert_eq!(reno.window(), 5000);
}

//= https://www.rfc-editor.org/rfc/rfc5681#section-4.1
//= type=test
//# a TCP SHOULD set cwnd to no more than RW before beginning transmission if the TCP has not sent data in an interval exceeding the retransmission timeout (5681:4.1-1).
#[test]
fn a_pause_brings_back_the_initial_window() {
    let mut host = Host::established();
    host.write_zeros(50_000);
    assert_eq!(host.polls().len(), 10);
    send!(host, seq 1, ack 10_001);
    assert_eq!(host.polls().len(), 20, "ten segments acknowledged, twenty in flight");
    send!(host, seq 1, ack 30_001);
    host.polls();
    send!(host, seq 1, ack 50_001);
    assert!(host.info().snd_cwnd >= 40);
    host.after(10_000);
    host.write_zeros(50_000);
    assert_eq!(host.polls().len(), 10);
}

//= https://www.rfc-editor.org/rfc/rfc5681#section-4.1
//= type=test
//# a TCP SHOULD set cwnd to no more than RW before beginning transmission if the TCP has not sent data in an interval exceeding the retransmission timeout (5681:4.1-1).
#[test]
fn the_pause_has_to_exceed_the_timeout_and_the_setting_may_forbid_it() {
    for (restart, pause, sent) in [(true, 199, 40), (true, 210, 10), (false, 10_000, 40)] {
        let config = TcpConfig { slow_start_after_idle: restart, ..plain() };
        let mut host = Host::established_with(config, setup(ISS));
        host.write_zeros(50_000);
        assert_eq!(host.polls().len(), 10);
        send!(host, seq 1, ack 10_001);
        host.polls();
        send!(host, seq 1, ack 30_001);
        host.polls();
        send!(host, seq 1, ack 50_001);
        host.silent();
        // The peer speaks meanwhile, which is no pause less.
        host.after(pause - 1);
        send!(host, seq 1, ack 50_001, data b"request");
        host.after(1);
        host.write_zeros(50_000);
        assert_eq!(
            host.polls().iter().filter(|sent| !sent.payload.is_empty()).count(),
            sent,
            "{restart} {pause}"
        );
    }
}

//= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
//= type=test
//# cwnd SHOULD be reduced by the ratio of the old segment size to the new segment size (5681:3.1-9).
//= https://www.rfc-editor.org/rfc/rfc5681#section-3.1
//= type=test
//# during congestion avoidance, cwnd MUST NOT be increased by more than SMSS bytes per RTT (5681:3.1-17).
#[test]
fn the_size_of_segments_bounds_the_growth() {
    let mut reno = reno(1000, 8000, 2);
    reno.on_segment_size(500);
    assert_eq!(reno.window(), 4000, "as many segments");
    reno.on_ack(START, acked(4000));
    assert_eq!(reno.window(), 5000, "two of the new ones");
    loses(&mut reno, 8000);
    reno.on_ack(START, acked(4000));
    assert_eq!(reno.window(), 4500, "one of them a round trip");
    reno.on_segment_size(1000);
    assert_eq!(reno.window(), 4500);
    reno.on_ack(START, acked(4500));
    assert_eq!(reno.window(), 5500);
    reno.on_timeout(START, 1000, false);
    assert_eq!((reno.window(), reno.threshold()), (1000, 2000));
}

#[test]
fn an_unused_window_stays() {
    let mut host = Host::established();
    for round in 0..20 {
        host.write_zeros(100);
        recv!(host, len 100);
        send!(host, seq 1, ack 101 + round * 100);
    }
    assert_eq!(host.info().snd_cwnd, 10);
}
