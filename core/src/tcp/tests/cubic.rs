//! CUBIC by the numbers of RFC 9438, and what is true of every controller.

use super::*;
use crate::config::SlowStart;
use crate::tcp::congestion::{self, Acked, Controller};
use proptest::prelude::*;

const TRIP: Duration = Duration::from_millis(100);

fn config() -> TcpConfig {
    TcpConfig { slow_start: SlowStart::Standard, slow_start_after_idle: false, ..TcpConfig::default() }
}

/// CUBIC with a window of so many segments of 1000 bytes.
fn cubic_of(segments: u32, config: &TcpConfig) -> Box<dyn Controller> {
    let mut cubic = congestion::controller(Congestion::Cubic, 1000, 10, config);
    cubic.set_window(segments * 1000);
    cubic
}

fn cubic(segments: u32) -> Box<dyn Controller> {
    cubic_of(segments, &config())
}

fn acked(segments: u32) -> Acked {
    let trip = Some(TRIP);
    Acked {
        bytes: segments * 1000,
        rtt: trip,
        srtt: trip,
        least_rtt: trip,
        window_limited: true,
        ..Acked::default()
    }
}

fn loses(cubic: &mut dyn Controller, now: Instant) {
    let flight = cubic.window();
    cubic.on_congestion(now, flight);
    cubic.on_recovered(now);
}

/// Acknowledges a window a round trip, segment by segment, for `time`.
fn runs(cubic: &mut dyn Controller, mut now: Instant, time: Duration) -> Instant {
    let end = now + time;
    while now < end {
        let segments = cubic.window() / 1000;
        for _ in 0..segments {
            now += TRIP / segments;
            cubic.on_ack(now, acked(1));
        }
    }
    now
}

//= https://www.rfc-editor.org/rfc/rfc9438#section-4.6
//= type=test
//# On congestion ssthresh MUST be beta_cubic of the flight size or of the window, and at least two segments (9438:4.6-1).
//= https://www.rfc-editor.org/rfc/rfc9438#section-4.6
//= type=test
//# beta_cubic SHOULD be 0.7 (9438:4.6-2).
//= https://www.rfc-editor.org/rfc/rfc9438#section-4.6
//= type=test
//# cwnd MAY be used in place of the flight size if growth stops where the application limits (9438:4.6-4).
#[test]
fn a_loss_takes_three_tenths() {
    let mut cubic = cubic(100);
    assert_eq!((cubic.name(), cubic.threshold()), ("cubic", u32::MAX));
    cubic.on_congestion(START, 20_000);
    assert_eq!((cubic.window(), cubic.threshold()), (100_000, 70_000), "recovery leads the window there");
    cubic.on_recovered(START);
    assert_eq!(cubic.window(), 70_000);
    cubic.set_window(2000);
    loses(&mut *cubic, START);
    assert_eq!((cubic.window(), cubic.threshold()), (2000, 2000));
}

//= https://www.rfc-editor.org/rfc/rfc9438#section-4.2
//= type=test
//# In congestion avoidance the target SHOULD be W_cubic(t + RTT) = C * (t + RTT - K)^3 + W_max with C of 0.4 (9438:4.2-1).
//= https://www.rfc-editor.org/rfc/rfc9438#section-4.2
//= type=test
//# K MUST be the cube root of (W_max - cwnd_epoch) / C with cwnd_epoch the window at the start of the stage (9438:4.2-2).
//= https://www.rfc-editor.org/rfc/rfc9438#section-4.4
//= type=test
//# Outside of the region of Reno cwnd MUST grow by (target - cwnd) / cwnd with each segment acknowledged, below W_max (9438:4.4-1).
#[test]
fn the_window_follows_the_curve_back_to_where_the_loss_was_and_beyond() {
    let mut cubic = cubic(1000);
    loses(&mut *cubic, START);
    // K is the cube root of 300 / 0.4, 9.086 s.
    let (c, k) = (0.4, 9.086f64);
    let mut now = START;
    for second in 1..=14u32 {
        now = runs(&mut *cubic, now, Duration::from_secs(1));
        let t = now.since(START).as_secs_f64();
        let curve = c * (t - k).powi(3) + 1000.0;
        let window = f64::from(cubic.window()) / 1000.0;
        assert!((window - curve).abs() < 0.015 * curve, "at {second} s: {window}, {curve} by the curve");
    }
}

//= https://www.rfc-editor.org/rfc/rfc9438#section-4.3
//= type=test
//# W_est MUST begin at cwnd_epoch and grow by alpha_cubic * segments_acked / cwnd with each ACK (9438:4.3-1).
//= https://www.rfc-editor.org/rfc/rfc9438#section-4.3
//= type=test
//# alpha_cubic SHOULD be 3 * (1 - beta_cubic) / (1 + beta_cubic) until W_est reaches cwnd_prior and 1 from there on (9438:4.3-2).
//= https://www.rfc-editor.org/rfc/rfc9438#section-4.3
//= type=test
//# Where W_cubic(t) is below W_est, cwnd SHOULD be W_est (9438:4.3-3).
//= https://www.rfc-editor.org/rfc/rfc9438#section-4.6
//= type=test
//# cwnd_prior MUST be cwnd as it was before it was reduced (9438:4.6-3).
#[test]
fn over_short_ways_it_keeps_up_with_reno() {
    let short = Duration::from_millis(40);
    let mut cubic = cubic(10);
    loses(&mut *cubic, START);
    assert_eq!(cubic.window(), 7000);
    let (mut now, mut windows) = (START, Vec::new());
    for _ in 0..16 {
        let segments = cubic.window() / 1000;
        for _ in 0..segments {
            now += short / segments;
            cubic.on_ack(now, Acked { srtt: Some(short), ..acked(1) });
        }
        windows.push(cubic.window() / 1000);
    }
    // 0.529 a round trip up to 10 segments, one from there on.
    let reno: Vec<_> = (1..=16u32).map(|trip| 7.0 + f64::from(trip) * 0.529).map(|w| w.min(10.0)).collect();
    for (trip, (window, reno)) in windows.iter().zip(&reno).enumerate().take(6) {
        assert!((f64::from(*window) - reno).abs() < 1.5, "{trip}: {windows:?}");
    }
    assert!(windows[15] - windows[7] >= 7, "one a round trip beyond: {windows:?}");
}

//= https://www.rfc-editor.org/rfc/rfc9438#section-4.2
//= type=test
//# The target MUST NOT be below cwnd nor above 1.5 * cwnd (9438:4.2-3).
#[test]
fn half_a_window_a_round_trip_is_the_most() {
    let mut cubic = cubic(1000);
    loses(&mut *cubic, START);
    cubic.on_ack(START, acked(1));
    // An hour later the curve is out of sight.
    let now = START + Duration::from_secs(3600);
    cubic.on_ack(now, acked(700));
    assert_eq!(cubic.window(), 700_000 + 350_000);
    // The window above the curve does not come down.
    let mut cubic = self::cubic(1000);
    loses(&mut *cubic, START);
    cubic.on_ack(START, acked(1));
    cubic.set_window(2_000_000);
    cubic.on_ack(START + TRIP, acked(1));
    assert_eq!(cubic.window(), 2_000_000);
}

//= https://www.rfc-editor.org/rfc/rfc9438#section-4.7
//= type=test
//# Where cwnd is below W_max at congestion, W_max SHOULD be cwnd * (1 + beta_cubic) / 2 for fast convergence, and cwnd otherwise (9438:4.7-1).
#[test]
fn a_loss_below_the_last_one_makes_room_for_others() {
    // Where it is after long enough for the curve to be flat.
    let plateau = |yields: bool| {
        let mut cubic = cubic_of(1000, &TcpConfig { cubic_fast_convergence: yields, ..config() });
        loses(&mut *cubic, START);
        loses(&mut *cubic, START);
        assert_eq!(cubic.window(), 490_000);
        // 490 to 700 are 8.07 s, to 595 6.4 s.
        runs(&mut *cubic, START, Duration::from_secs(7));
        cubic.window() / 1000
    };
    assert!((592..=600).contains(&plateau(true)), "{}", plateau(true));
    assert!((694..=702).contains(&plateau(false)), "{}", plateau(false));
}

//= https://www.rfc-editor.org/rfc/rfc9438#section-4.8
//= type=test
//# At a time-out ssthresh MUST be reduced with beta_cubic and cwnd as in RFC 5681 (9438:4.8-1).
//= https://www.rfc-editor.org/rfc/rfc9438#section-4.8
//= type=test
//# The first stage of congestion avoidance after a time-out SHOULD begin with K of 0 and W_max of cwnd_epoch (9438:4.8-2).
//= https://www.rfc-editor.org/rfc/rfc9438#section-4.10
//= type=test
//# CUBIC MUST use slow start while cwnd is below ssthresh (9438:4.10-1).
#[test]
fn after_a_timeout_it_slow_starts_to_seven_tenths_and_begins_a_new_curve() {
    let mut cubic = cubic(1000);
    cubic.on_timeout(START, 1_000_000, false);
    cubic.on_timeout(START, 1000, true);
    assert_eq!((cubic.window(), cubic.threshold()), (1000, 700_000));
    cubic.on_ack(START, Acked { after_timeout: true, ..acked(40) });
    assert_eq!(cubic.window(), 2000);
    let mut now = START;
    while cubic.window() < 700_000 {
        now += TRIP;
        cubic.on_ack(now, acked(40));
    }
    assert_eq!(cubic.window(), 700_000, "not beyond the threshold");
    // Nothing says where the end is: by a twentieth a round trip at least.
    now += TRIP;
    for _ in 0..700 {
        cubic.on_ack(now, acked(1));
    }
    assert!((734..=736).contains(&(cubic.window() / 1000)), "{}", cubic.window());
}

//= https://www.rfc-editor.org/rfc/rfc9438#section-4.2
//= type=test
//# t MUST be the time since the stage of congestion avoidance began without the time in which the application limited cwnd (9438:4.2-4).
//= https://www.rfc-editor.org/rfc/rfc9438#section-5.8
//= type=test
//# cwnd MUST NOT grow while the application limits it (9438:5.8-1).
#[test]
fn time_in_which_the_window_is_not_used_does_not_count() {
    let grown = |pause: fn(&mut dyn Controller, Instant) -> Instant| {
        let mut cubic = cubic(1000);
        loses(&mut *cubic, START);
        let now = runs(&mut *cubic, START, Duration::from_secs(3));
        let now = pause(&mut *cubic, now);
        runs(&mut *cubic, now, Duration::from_secs(1));
        cubic.window()
    };
    let none = grown(|_, now| now);
    let idle = grown(|cubic, now| {
        let pause = Duration::from_secs(60);
        cubic.on_idle(now + pause, pause + TRIP, TRIP);
        cubic.on_idle(now + pause, pause + TRIP, TRIP);
        now + pause
    });
    let slack = grown(|cubic, mut now| {
        let before = cubic.window();
        for _ in 0..600 {
            now += TRIP;
            cubic.on_ack(now, Acked { window_limited: false, ..acked(3) });
        }
        assert_eq!(cubic.window(), before);
        now
    });
    assert_eq!([idle, slack], [none, none]);
}

//= https://www.rfc-editor.org/rfc/rfc9438#section-4.9
//= type=test
//# A reduction that proves spurious MAY be undone by restoring cwnd, ssthresh, W_max, K, cwnd_prior and the start of the stage (9438:4.9-1).
#[test]
fn a_reduction_for_nothing_leaves_no_trace() {
    let windows = |spurious: fn(&mut dyn Controller, Instant)| {
        let mut cubic = cubic(1000);
        loses(&mut *cubic, START);
        let now = runs(&mut *cubic, START, Duration::from_secs(5));
        spurious(&mut *cubic, now);
        let (window, threshold) = (cubic.window(), cubic.threshold());
        runs(&mut *cubic, now, Duration::from_secs(5));
        (window, threshold, cubic.window())
    };
    let none = windows(|_, _| {});
    let recovery = windows(|cubic, now| {
        cubic.on_congestion(now, 700_000);
        cubic.set_window(500_000);
        cubic.on_undo(now);
        cubic.on_recovered(now);
    });
    let timeout = windows(|cubic, now| {
        cubic.on_timeout(now, 700_000, false);
        cubic.on_timeout(now, 700_000, true);
        cubic.on_undo(now);
    });
    for spurious in [recovery, timeout] {
        assert_eq!((spurious.0, spurious.1), (none.0, none.1));
        // But for what had been counted towards the next segment.
        assert!(spurious.2.abs_diff(none.2) <= 2000, "{spurious:?} {none:?}");
    }
}

#[test]
fn the_curve_stays_where_it_is_when_segments_change() {
    let mut cubic = cubic(1000);
    loses(&mut *cubic, START);
    cubic.on_ack(START, acked(1));
    cubic.on_segment_size(500);
    assert_eq!((cubic.window(), cubic.threshold()), (350_000, 700_000));
    cubic.on_segment_size(1000);
    // Slow start to 700, and then 2.09 s before K.
    runs(&mut *cubic, START, Duration::from_secs(7));
    assert!((985..=1000).contains(&(cubic.window() / 1000)), "{}", cubic.window());
}

#[test]
fn a_successor_takes_over_window_and_threshold() {
    let mut cubic = cubic(1000);
    cubic.on_congestion(START, 1_000_000);
    cubic.set_window(800_000);
    let mut reno = congestion::successor(Congestion::Reno, &*cubic, 1000, &config());
    assert_eq!((reno.name(), reno.window(), reno.threshold()), ("reno", 800_000, 700_000));
    reno.on_recovered(START);
    assert_eq!(reno.window(), 700_000, "the recovery that was under way ends as it would have");
}

#[test]
fn the_option_changes_the_controller_in_the_middle_of_a_connection() {
    let mut host = Host::established();
    host.write_zeros(20_000);
    host.polls();
    host.timeout();
    host.polls();
    let figures = |host: &Host| (host.info().snd_cwnd, host.info().snd_ssthresh);
    let before = figures(&host);
    host.connection.options_mut().congestion = Congestion::Cubic;
    host.connection.steer(&host.config);
    assert_eq!(figures(&host), before);
    for ack in 1..=10 {
        send!(host, seq 1, ack 1 + ack * 1000);
        host.polls();
    }
    host.now += Duration::from_millis(10);
    host.write_zeros(20_000);
    host.polls();
    let window = host.info().snd_cwnd;
    host.timeout();
    assert_eq!(host.info().snd_ssthresh, window * 7 / 10);
}

/// What happens to a controller.
#[derive(Clone, Copy, Debug)]
enum Event {
    Ack { bytes: u32, limited: bool, after_timeout: bool, trip: u64 },
    Congestion(u32),
    Timeout(u32, bool),
    Recovered,
    Undo,
    Idle(u64),
    Size(u32),
    Set(u32),
}

fn event() -> impl Strategy<Value = Event> {
    let bytes = prop_oneof![0..5000u32, any::<u32>()];
    let ack = (bytes.clone(), any::<bool>(), any::<bool>(), prop_oneof![0..1_000_000_000u64, any::<u64>()])
        .prop_map(|(bytes, limited, after_timeout, trip)| Event::Ack { bytes, limited, after_timeout, trip });
    prop_oneof![
        8 => ack,
        1 => bytes.clone().prop_map(Event::Congestion),
        1 => (bytes.clone(), any::<bool>()).prop_map(|(flight, again)| Event::Timeout(flight, again)),
        1 => Just(Event::Recovered),
        1 => Just(Event::Undo),
        1 => any::<u64>().prop_map(Event::Idle),
        1 => (0..70_000u32).prop_map(Event::Size),
        1 => bytes.prop_map(Event::Set),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_a_window_is_a_segment_at_least_and_grows_with_what_is_acknowledged_only(
        cubic in any::<bool>(),
        start in 0..3usize,
        events in prop::collection::vec((event(), prop_oneof![0..100_000_000u64, any::<u64>()]), 1..200),
    ) {
        let slow_start = SlowStart::NAMES[start].0;
        let config = TcpConfig { slow_start, ..TcpConfig::default() };
        let kind = if cubic { Congestion::Cubic } else { Congestion::Reno };
        let mut controller = congestion::controller(kind, 1000, 10, &config);
        let (mut now, mut mss, mut una) = (START, 1000u32, 0u64);
        for (event, nanos) in events {
            now += Duration::from_nanos(nanos);
            let (window, threshold) = (controller.window(), controller.threshold());
            match event {
                Event::Ack { bytes, limited, after_timeout, trip } => {
                    una += u64::from(bytes);
                    let trip = Some(Duration::from_nanos(trip));
                    let acked = Acked {
                        acks: 1,
                        bytes, una, nxt: una + u64::from(window), rtt: trip, srtt: trip, least_rtt: trip,
                        window_limited: limited, after_timeout,
                    };
                    controller.on_ack(now, acked);
                    let grown = controller.window();
                    prop_assert!(grown >= window, "an ACK narrows nothing");
                    prop_assert!(limited || grown == window);
                    prop_assert!(grown - window <= bytes.saturating_add(mss), "{window} {grown} for {bytes}");
                }
                Event::Congestion(flight) => {
                    controller.on_congestion(now, flight);
                    prop_assert_eq!(controller.window(), window);
                    prop_assert!(controller.threshold() >= 2 * mss);
                }
                Event::Timeout(flight, again) => {
                    controller.on_timeout(now, flight, again);
                    prop_assert_eq!(controller.window(), mss);
                    prop_assert!(!again || controller.threshold() == threshold);
                }
                Event::Recovered => {
                    controller.on_recovered(now);
                    prop_assert!(controller.window() <= threshold.max(window));
                }
                Event::Undo => {
                    controller.on_undo(now);
                    prop_assert!(controller.window() >= window && controller.threshold() >= threshold);
                }
                Event::Idle(nanos) => {
                    controller.on_idle(now, Duration::from_nanos(nanos), TRIP);
                    prop_assert!(controller.window() <= window);
                }
                Event::Size(bytes) => {
                    mss = bytes.max(1);
                    controller.on_segment_size(bytes);
                    prop_assert!(controller.window() <= window.max(mss));
                }
                Event::Set(bytes) => controller.set_window(bytes),
            }
            prop_assert!(controller.window() >= mss);
        }
    }

    #[test]
    fn an_undo_restores(cubic in any::<bool>(), segments in 2..10_000u32, losses in 0..5, timeout in any::<bool>()) {
        let kind = if cubic { Congestion::Cubic } else { Congestion::Reno };
        let mut controller = congestion::controller(kind, 1000, 10, &config());
        controller.set_window(segments * 1000);
        for _ in 0..losses {
            loses(&mut *controller, START);
        }
        let before = (controller.window(), controller.threshold());
        if timeout {
            controller.on_timeout(START, controller.window(), false);
        } else {
            loses(&mut *controller, START);
        }
        controller.on_undo(START);
        prop_assert_eq!((controller.window(), controller.threshold()), before);
    }
}
