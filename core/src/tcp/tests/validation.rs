//! Congestion window validation by RFC 7661: what becomes of a window that is not used.

use super::*;
use crate::config::{Config, CwndValidation, Ecn};

fn by_pipe_ack() -> TcpConfig {
    TcpConfig { cwnd_validation: CwndValidation::PipeAck, ..plain() }
}

/// A sender whose window has been filled and acknowledged a few times.
struct Sender {
    host: Host,
    /// SND.UNA and SND.NXT, from the ISS.
    una: u32,
    nxt: u32,
}

impl Sender {
    /// With a window of `segments`, all of it used: 10, 20, 40 or 80.
    fn with_window(config: TcpConfig, segments: u32) -> Self {
        let mut sender = Self { host: Host::selective_with(config), una: 1, nxt: 1 };
        let mut window = 10;
        while window < segments {
            sender.round(window);
            window *= 2;
        }
        assert_eq!(sender.window(), segments);
        sender
    }

    fn window(&self) -> u32 {
        self.host.info().snd_cwnd
    }

    fn threshold(&self) -> u32 {
        self.host.info().snd_ssthresh
    }

    /// Writes so many segments; those that go at once.
    fn write(&mut self, segments: u32) -> u32 {
        self.host.write_zeros((segments * MSS) as usize);
        let sent = self.host.polls().len() as u32;
        self.nxt += segments * MSS;
        sent
    }

    fn ack(&mut self, segments: u32) {
        self.una += segments * MSS;
        send!(self.host, seq 1, ack self.una);
    }

    /// Writes so many segments, and a tenth of a second later they are acknowledged.
    fn round(&mut self, segments: u32) {
        assert_eq!(self.write(segments), segments);
        self.host.after(100);
        self.ack(segments);
    }

    fn pause(&mut self, millis: u64) {
        self.host.silent();
        self.host.after(millis);
    }

    /// All that is in flight has arrived but the first `lost` segments, and these are sent again.
    fn loses(&mut self, lost: u32) {
        send!(self.host, seq 1, ack self.una; sack([(self.una + lost * MSS, self.nxt)]));
        assert_eq!(self.host.polls().len() as u32, lost);
    }
}

//= https://www.rfc-editor.org/rfc/rfc7661#section-4.2
//= type=test
//# A sender determines a pipeACK sample by measuring the volume of data that was acknowledged by the network over the period of a measured Round-Trip Time (RTT) (7661:4.2-1).
#[test]
fn a_pause_leaves_the_window_as_it_is() {
    for (config, sent) in [(plain(), 10), (by_pipe_ack(), 40)] {
        let mut sender = Sender::with_window(config, 40);
        sender.pause(60_000);
        assert_eq!(sender.write(50), sent);
    }
}

//= https://www.rfc-editor.org/rfc/rfc7661#section-4.2
//= type=test
//# When no measurements are available (e.g., a sender that has just started transmission or immediately after loss recovery), the pipeACK variable is set to the "undefined value" (7661:4.2-7).
//= https://www.rfc-editor.org/rfc/rfc7661#section-4.2
//= type=test
//# The pipeACK variable MUST NOT be updated during TCP Fast Recovery (7661:4.2-8).
#[test]
fn where_nothing_was_measured_a_pause_is_that_of_rfc_5681() {
    let mut sender = Sender::with_window(by_pipe_ack(), 40);
    sender.write(40);
    sender.host.after(100);
    sender.loses(1);
    // Validated: half of what was in flight, and no more taken off.
    assert_eq!(sender.threshold(), 20);
    sender.ack(40);
    assert_eq!(sender.window(), 20);
    sender.pause(10_000);
    sender.write(1);
    assert_eq!(sender.window(), 10);
}

//= https://www.rfc-editor.org/rfc/rfc7661#section-4.4
//= type=test
//# A sender that is not cwnd-limited MUST NOT increase the cwnd when ACK packets are received in this phase (7661:4.4-4).
//= https://www.rfc-editor.org/rfc/rfc7661#section-4.4
//= type=test
//# A TCP sender implementing this specification MUST enter the non-validated phase when the pipeACK is less than (1/2)*cwnd (7661:4.4-1).
//= https://www.rfc-editor.org/rfc/rfc7661#section-4.4
//= type=test
//# A sender with a pipeACK variable greater than (1/2)*cwnd SHOULD enter the validated phase (7661:4.4-7).
#[test]
fn a_kept_window_grows_again_once_half_of_it_was_acknowledged() {
    let mut sender = Sender::with_window(by_pipe_ack(), 80);
    sender.pause(10_000);
    sender.write(45);
    sender.host.after(100);
    sender.ack(20);
    assert_eq!(sender.window(), 80, "not full");
    sender.ack(25);
    assert_eq!(sender.window(), 105, "45 in a round trip: what slow start gives to half a window in use");
}

//= https://www.rfc-editor.org/rfc/rfc7661#section-4.4
//= type=test
//# A sender that is cwnd-limited MAY use the standard TCP method to increase cwnd (7661:4.4-3).
#[test]
fn a_kept_window_that_is_full_grows() {
    let mut sender = Sender::with_window(by_pipe_ack(), 40);
    sender.pause(10_000);
    assert_eq!(sender.write(45), 40);
    sender.host.after(100);
    sender.ack(15);
    assert_eq!(sender.window(), 55);
}

//= https://www.rfc-editor.org/rfc/rfc7661#section-4.4.3
//= type=test
//# The sender MUST then update cwnd to be not greater than: cwnd = max((1/2)*cwnd, IW) (7661:4.4.3-2).
#[test]
fn each_five_minutes_without_use_halve_it_down_to_the_initial_window() {
    // The sample that was enough is forgotten after a second.
    for (seconds, window) in [(300, 80), (302, 40), (600, 40), (602, 20), (902, 10), (36_000, 10)] {
        let mut sender = Sender::with_window(by_pipe_ack(), 80);
        sender.pause(seconds * 1000);
        sender.write(1);
        assert_eq!(sender.window(), window, "{seconds} s");
    }
    // Whether nothing is sent or little, and whenever it is looked at.
    let mut sender = Sender::with_window(by_pipe_ack(), 80);
    for minute in 1..=16 {
        sender.pause(59_900);
        sender.round(1);
        let window = [80, 40, 20, 10][(60 * minute as usize).saturating_sub(1) / 300];
        assert_eq!(sender.window(), window, "minute {minute}");
    }
}

//= https://www.rfc-editor.org/rfc/rfc7661#section-4.4.3
//= type=test
//# If the sender exits the non-validated phase after this period, it MUST update the ssthresh: ssthresh = max(ssthresh, 3*cwnd/4) (7661:4.4.3-1).
#[test]
fn what_was_sustained_for_so_long_is_remembered_by_the_threshold() {
    let mut sender = Sender::with_window(by_pipe_ack(), 10);
    sender.write(10);
    sender.host.after(100);
    sender.loses(1);
    sender.ack(10);
    assert_eq!((sender.window(), sender.threshold()), (5, 5));
    for window in 5..12 {
        sender.round(window);
    }
    assert_eq!((sender.window(), sender.threshold()), (12, 5));
    sender.pause(310_000);
    sender.write(1);
    assert_eq!((sender.window(), sender.threshold()), (10, 9));
}

//= https://www.rfc-editor.org/rfc/rfc7661#section-4.4
//= type=test
//# If the sender receives an indication of congestion while in the non-validated phase (i.e., detects loss), the sender MUST exit the non-validated phase (7661:4.4-5).
//= https://www.rfc-editor.org/rfc/rfc7661#section-4.4.1
//= type=test
//# A sender that detects a packet drop MUST record the current FlightSize in the variable LossFlightSize and MUST calculate a safe cwnd for loss recovery using the method below: cwnd = (Max(pipeACK,LossFlightSize))/2 (7661:4.4.1-1).
//= https://www.rfc-editor.org/rfc/rfc7661#section-4.4.1
//= type=test
//# At the end of the recovery phase, the TCP sender MUST reset the cwnd using the method below: cwnd = (Max(pipeACK,LossFlightSize) - R)/2 (7661:4.4.1-2).
//= https://www.rfc-editor.org/rfc/rfc7661#section-4.4.1
//= type=test
//# The ssthresh is adjusted using the standard TCP method (7661:4.4.1-5).
//= https://www.rfc-editor.org/rfc/rfc7661#section-4.4.1
//= type=test
//# After completing the loss recovery phase, the sender MUST re-initialise the pipeACK variable to the "undefined" value (7661:4.4.1-4).
#[test]
fn a_loss_leaves_half_of_what_was_in_use() {
    for congestion in [Congestion::Reno, Congestion::Cubic] {
        let mut sender = Sender::with_window(TcpConfig { congestion, ..by_pipe_ack() }, 80);
        sender.pause(10_000);
        // 30 in a round trip are known, four of them in flight when the loss is told.
        sender.round(30);
        sender.write(4);
        sender.host.after(100);
        sender.loses(1);
        assert_eq!(sender.threshold(), 15, "{congestion}");
        sender.ack(4);
        assert_eq!((sender.window(), sender.threshold()), (14, 14), "{congestion}: (30 - 1) / 2");
        // Nothing is known any more: the pause is one of RFC 5681.
        sender.pause(10_000);
        sender.write(1);
        assert_eq!(sender.window(), 10, "{congestion}");
    }
}

#[test]
fn more_in_flight_than_was_acknowledged_before_is_what_was_in_use() {
    for congestion in [Congestion::Reno, Congestion::Cubic] {
        let mut sender = Sender::with_window(TcpConfig { congestion, ..by_pipe_ack() }, 80);
        sender.pause(10_000);
        sender.write(40);
        sender.host.after(100);
        // All that is lost is known by then, and taken off before it is halved.
        sender.loses(10);
        assert_eq!(sender.threshold(), 20, "{congestion}");
        sender.ack(40);
        assert_eq!((sender.window(), sender.threshold()), (15, 15), "{congestion}: (40 - 10) / 2");
    }
}

//= https://www.rfc-editor.org/rfc/rfc7661#section-4.4.1
//= type=test
//# The calculated cwnd value MUST NOT be reduced below 1 TCP Maximum Segment Size (MSS) (7661:4.4.1-3).
#[test]
fn a_loss_leaves_a_segment_at_least() {
    let mut sender = Sender::with_window(by_pipe_ack(), 40);
    sender.pause(10_000);
    sender.write(4);
    sender.host.after(100);
    send!(sender.host, seq 1, ack sender.una; sack([(sender.nxt - 2 * MSS, sender.nxt)]));
    sender.host.polls();
    sender.host.after(200);
    sender.host.polls();
    sender.ack(4);
    assert!((1..=2).contains(&sender.window()), "{}", sender.window());
}

#[test]
fn a_reduction_for_nothing_brings_back_the_window_and_that_it_is_not_validated() {
    for congestion in [Congestion::Reno, Congestion::Cubic] {
        let mut sender = Sender::with_window(TcpConfig { congestion, ..by_pipe_ack() }, 80);
        sender.pause(10_000);
        sender.write(20);
        sender.host.after(100);
        sender.loses(1);
        assert_eq!(sender.threshold(), 10);
        let copy = (sender.una, sender.una + MSS);
        sender.una = sender.nxt;
        send!(sender.host, seq 1, ack sender.una; sack([copy]));
        assert_eq!(sender.host.counters.tcp_undos, 1, "{congestion}");
        assert_eq!(sender.window(), 80, "{congestion}");
        sender.write(45);
        sender.host.after(100);
        sender.ack(20);
        assert_eq!(sender.window(), 80, "{congestion}: not full, and not validated");
    }
}

//= https://www.rfc-editor.org/rfc/rfc7661#section-4.4
//= type=test
//# If the Retransmission Timeout (RTO) expires while in the non-validated phase, the sender MUST exit the non-validated phase (7661:4.4-6).
#[test]
fn a_timeout_is_answered_as_ever() {
    let mut sender = Sender::with_window(by_pipe_ack(), 80);
    sender.pause(10_000);
    sender.write(20);
    sender.host.timeout();
    sender.host.polls();
    assert_eq!((sender.window(), sender.threshold()), (1, 10));
    // The 20 segments did not fill the window of then, which would matter in the phase.
    sender.ack(1);
    assert_eq!(sender.window(), 2);
}

//= https://www.rfc-editor.org/rfc/rfc7661#section-4.4
//= type=test
//# The NVP SHOULD NOT exceed five minutes (7661:4.4-2).
#[test]
fn a_window_is_kept_for_five_minutes_at_most() {
    for (seconds, taken) in [(0, false), (1, true), (300, true), (301, false)] {
        let tcp = TcpConfig { cwnd_preserved: Duration::from_secs(seconds), ..TcpConfig::default() };
        assert_eq!(Config { tcp, ..Config::default() }.validate().is_ok(), taken, "{seconds} s");
    }
    let config = TcpConfig { cwnd_preserved: Duration::from_secs(1), ..by_pipe_ack() };
    let mut sender = Sender::with_window(config, 80);
    sender.pause(2500);
    sender.write(1);
    assert_eq!(sender.window(), 40);
}

#[test]
fn a_mark_leaves_half_of_what_was_in_use() {
    for congestion in [Congestion::Reno, Congestion::Cubic] {
        let config = TcpConfig { congestion, ecn: Ecn::On, ..by_pipe_ack() };
        let mut host = Host::connecting(config, setup(ISS));
        host.polls();
        host.deliver(segment(0, Some(1), Flags::SYN.with(Flags::ECE), b"").window(50_000).mss(MSS as u16));
        host.polls();
        let mut sender = Sender { host, una: 1, nxt: 1 };
        for window in [10, 20, 40] {
            sender.round(window);
        }
        sender.pause(10_000);
        sender.write(20);
        sender.host.after(100);
        sender.una += MSS;
        send!(sender.host, seq 1, ack sender.una, flag ECE);
        assert_eq!(sender.threshold(), 10, "{congestion}");
        sender.ack(19);
        sender.round(1);
        assert_eq!((sender.window(), sender.threshold()), (10, 10), "{congestion}: nothing was sent again");
    }
}
