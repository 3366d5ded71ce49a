//! HyStart++ by the numbers of RFC 9406, and HyStart as Linux has it.

use super::*;
use crate::config::SlowStart;
use crate::tcp::congestion::{self, Acked, Controller};

/// A sender in slow start whose every segment is acknowledged by itself.
#[derive(Debug)]
struct Sender {
    controller: Box<dyn Controller>,
    now: Instant,
    una: u64,
    nxt: u64,
    /// Where the present round ends.
    end: u64,
    least: Duration,
}

impl Sender {
    fn new(slow_start: SlowStart, segments: u32) -> Self {
        let config = TcpConfig { slow_start, ..TcpConfig::default() };
        let mut controller = congestion::controller(Congestion::Cubic, 1000, 10, &config);
        controller.set_window(segments * 1000);
        let nxt = u64::from(segments) * 1000;
        Self { controller, now: START, una: 0, nxt, end: nxt, least: Duration::MAX }
    }

    fn ack(&mut self, trip: Duration) {
        self.least = self.least.min(trip);
        self.una += 1000;
        let acked = Acked {
            acks: 1,
            bytes: 1000,
            una: self.una,
            nxt: self.nxt,
            rtt: Some(trip),
            srtt: Some(trip),
            least_rtt: Some(self.least),
            window_limited: true,
            after_timeout: false,
        };
        if self.una >= self.end {
            self.end = self.nxt;
        }
        self.controller.on_ack(self.now, acked);
        self.nxt = self.una + u64::from(self.controller.window());
    }

    /// A round is acknowledged, with round trips of so many milliseconds. By how many segments for as many the window has grown.
    fn round(&mut self, millis: u64) -> (u32, u32) {
        let (window, una, end) = (self.window(), self.una, self.end);
        while self.una < end {
            self.ack(Duration::from_millis(millis));
        }
        self.now += Duration::from_millis(millis);
        (self.window() - window, ((self.una - una) / 1000) as u32)
    }

    /// Whether a round with such round trips widens the window as slow start does.
    fn doubles(&mut self, millis: u64) -> bool {
        let (grown, acked) = self.round(millis);
        grown == acked
    }

    fn window(&self) -> u32 {
        self.controller.window() / 1000
    }

    fn is_over(&self) -> bool {
        self.controller.threshold() != u32::MAX
    }
}

//= https://www.rfc-editor.org/rfc/rfc9406#section-4.2
//= type=test
//# A round MUST end when the ACK reaches windowEnd, the number that was next to be sent when the round began (9406:4.2-1).
//= https://www.rfc-editor.org/rfc/rfc9406#section-4.2
//= type=test
//# With N_RTT_SAMPLE samples in a round and its minimum RttThresh or more above that of the round before, the sender MUST enter Conservative Slow Start (9406:4.2-5).
//= https://www.rfc-editor.org/rfc/rfc9406#section-4.2
//= type=test
//# In Conservative Slow Start cwnd MUST grow by 1 / CSS_GROWTH_DIVISOR of what slow start gives (9406:4.2-6).
//= https://www.rfc-editor.org/rfc/rfc9406#section-4.2
//= type=test
//# After CSS_ROUNDS rounds of Conservative Slow Start ssthresh MUST be cwnd (9406:4.2-8).
//= https://www.rfc-editor.org/rfc/rfc9406#section-4.3
//= type=test
//# The constants SHOULD be 4 ms for MIN_RTT_THRESH, 16 ms for MAX_RTT_THRESH, 8 for MIN_RTT_DIVISOR, 8 for N_RTT_SAMPLE, 4 for CSS_GROWTH_DIVISOR, 5 for CSS_ROUNDS (9406:4.3-1).
#[test]
fn longer_round_trips_slow_it_down_and_five_rounds_later_it_is_over() {
    let mut sender = Sender::new(SlowStart::HyStartPlusPlus, 40);
    assert!(sender.doubles(80));
    assert!(sender.doubles(80));
    assert!(sender.doubles(89), "an eighth of 80 is 10");
    // The eighth measurement of the round tells.
    let (grown, acked) = sender.round(102);
    assert!((7 + (acked - 7) / 4).abs_diff(grown) <= 1, "{grown} for {acked}");
    for round in 2..=5 {
        assert!(!sender.is_over(), "{round}");
        let (grown, acked) = sender.round(102);
        assert!((acked / 4).abs_diff(grown) <= 1, "{round}: {grown} for {acked}");
    }
    sender.round(102);
    assert!(sender.is_over());
    assert!(sender.controller.threshold() <= sender.controller.window());
}

//= https://www.rfc-editor.org/rfc/rfc9406#section-4.2
//= type=test
//# Slow start MUST be resumed where the minimum of a later round falls below that at which Conservative Slow Start began (9406:4.2-7).
#[test]
fn round_trips_that_become_short_again_resume_it() {
    let mut sender = Sender::new(SlowStart::HyStartPlusPlus, 100);
    sender.round(50);
    sender.round(50);
    assert!(!sender.doubles(60));
    assert!(!sender.doubles(60));
    sender.round(50);
    assert!(sender.doubles(50));
    assert!(!sender.is_over());
}

//= https://www.rfc-editor.org/rfc/rfc9406#section-4.2
//= type=test
//# The minimum of the round-trip times of each round MUST be kept, with that of the round before (9406:4.2-2).
//= https://www.rfc-editor.org/rfc/rfc9406#section-4.2
//= type=test
//# RttThresh MUST be lastRoundMinRTT / MIN_RTT_DIVISOR between MIN_RTT_THRESH and MAX_RTT_THRESH (9406:4.2-4).
#[test]
fn how_much_longer_is_bounded_either_way() {
    for (trip, longer, slows) in
        [(1, 4, false), (1, 5, true), (80, 89, false), (80, 90, true), (400, 415, false), (400, 416, true)]
    {
        let mut sender = Sender::new(SlowStart::HyStartPlusPlus, 100);
        sender.round(trip);
        sender.round(trip);
        // It is the least of a round that counts.
        sender.ack(Duration::from_millis(longer));
        assert_eq!(!sender.doubles(longer + 200), slows, "{longer} after {trip}");
    }
}

#[test]
fn fewer_than_eight_measurements_tell_nothing() {
    let mut sender = Sender::new(SlowStart::HyStartPlusPlus, 100);
    sender.round(50);
    sender.round(50);
    let before = sender.window();
    for _ in 0..7 {
        sender.ack(Duration::from_millis(500));
    }
    sender.ack(Duration::from_millis(50));
    sender.ack(Duration::from_millis(500));
    assert_eq!(sender.window(), before + 9);
}

//= https://www.rfc-editor.org/rfc/rfc9406#section-4.2
//= type=test
//# Loss MUST end slow start and Conservative Slow Start at once (9406:4.2-9).
//= https://www.rfc-editor.org/rfc/rfc9406#section-4.2
//= type=test
//# HyStart++ MUST be used only where ssthresh has its first, arbitrarily high value (9406:4.2-10).
#[test]
fn a_loss_ends_it_and_the_next_slow_start_is_the_ordinary_one() {
    let mut sender = Sender::new(SlowStart::HyStartPlusPlus, 100);
    sender.round(50);
    sender.round(50);
    sender.round(60);
    let window = sender.controller.window();
    sender.controller.on_timeout(sender.now, window, false);
    assert_eq!(sender.controller.threshold() / 1000, window * 7 / 10 / 1000);
    // From one segment on, each round twice the one before, whatever the round trips.
    for (round, window) in [2, 4, 8, 16, 32].into_iter().enumerate() {
        for _ in 0..window / 2 {
            sender.ack(Duration::from_millis(60 + 20 * round as u64));
        }
        assert_eq!(sender.window(), window);
    }
}

//= https://www.rfc-editor.org/rfc/rfc9406#section-4.2
//= type=test
//# Where pacing is off, an ACK MUST NOT add more than L segments to cwnd in slow start (9406:4.2-3).
#[test]
fn an_ack_of_many_segments_counts_as_so_many_at_most() {
    let config = TcpConfig { slow_start_step: 8, ..TcpConfig::default() };
    let mut cubic = congestion::controller(Congestion::Cubic, 1000, 10, &config);
    cubic.on_ack(START, Acked { bytes: 20_000, window_limited: true, ..Acked::default() });
    assert_eq!(cubic.window(), 18_000);
}

#[test]
fn classic_hystart_ends_at_round_trips_an_eighth_longer() {
    for (longer, over) in [(89, false), (91, true)] {
        let mut sender = Sender::new(SlowStart::HyStart, 40);
        sender.round(80);
        sender.round(80);
        // The eighth of a round is the last that only counts; the round begins with the third.
        for _ in 0..11 {
            sender.now += Duration::from_millis(3);
            sender.ack(Duration::from_millis(longer));
        }
        assert_eq!(sender.is_over(), over, "{longer}");
    }
}

#[test]
fn classic_hystart_ends_where_a_train_takes_half_a_round_trip() {
    for (gap, over) in [(1, true), (3, false)] {
        let mut sender = Sender::new(SlowStart::HyStart, 100);
        sender.round(80);
        for _ in 0..60 {
            sender.now += Duration::from_millis(gap);
            sender.ack(Duration::from_millis(80));
        }
        assert_eq!(sender.is_over(), over, "{gap} ms");
    }
}

#[test]
fn classic_hystart_leaves_a_small_window_alone() {
    let mut sender = Sender::new(SlowStart::HyStart, 4);
    sender.round(80);
    sender.round(200);
    assert!(sender.window() < 16 && !sender.is_over());
}

#[test]
fn the_standard_one_ends_by_loss_only() {
    let mut sender = Sender::new(SlowStart::Standard, 40);
    for round in 0..5 {
        assert!(sender.doubles(50 << round));
    }
    assert!(!sender.is_over());
}
