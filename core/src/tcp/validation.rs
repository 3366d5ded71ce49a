//! Congestion window validation by what is acknowledged in a round trip (RFC 7661): a window that is not used is kept for a while, not believed.
//!
//! ```text
//!  validated --- pipeACK < cwnd/2 ---> non-validated: grows only where it is full, is kept over pauses
//!      ^                                   |     |
//!      +------- pipeACK > cwnd/2 ----------+     +--- each non-validated period: half of it, IW at least
//!      +------- loss: half of what was in use --+
//! ```

use super::congestion::window::initial_window;
use super::connection::Open;
use super::recovery::Repair;
use crate::config::{CwndValidation, TcpConfig};
use crate::pack::{Pack, Packer, Unpacker, packed};
use crate::time::{Duration, Instant};

/// Parts of the sampling period that remember their largest sample (RFC 7661 4.5.1).
const PARTS: usize = 5;
/// The sampling period is no shorter.
const SAMPLING: Duration = Duration::from_secs(1);

/// What one connection knows of the use of its window.
#[derive(Debug)]
pub(super) struct Validation {
    /// pipeACK: the largest samples of late, the newest first; none: undefined.
    samples: Option<[Sample; PARTS]>,
    round: Option<Round>,
    phase: Phase,
    loss: Option<Loss>,
    /// The non-validated period.
    period: Duration,
    /// Segments of the initial window.
    initial: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Validated,
    NonValidated {
        /// When it began; later by each period that is over and paid for.
        since: Instant,
    },
}

/// The largest of the samples of one part of the sampling period.
#[derive(Clone, Copy, Debug, Default)]
struct Sample {
    /// When the first of them was taken.
    at: Instant,
    bytes: u32,
}

/// A sample in the making: what was in flight when its first ACK came. Stream positions.
#[derive(Clone, Copy, Debug)]
struct Round {
    from: u64,
    end: u64,
}

/// A loss in the non-validated phase that is being repaired.
#[derive(Clone, Copy, Debug)]
struct Loss {
    /// Max(pipeACK, LossFlightSize).
    used: u32,
    /// R: bytes that arrived as copies.
    repaired: u32,
    /// When the phase began that it ended.
    since: Instant,
}

impl Validation {
    /// That of a connection that begins with `initial` segments; none where the setting wants none.
    pub(super) fn new(config: &TcpConfig, initial: u32) -> Option<Box<Self>> {
        let validation = Self {
            //= https://www.rfc-editor.org/rfc/rfc7661#section-4.2
            //# When no measurements are available (e.g., a sender that has just started transmission or immediately after loss recovery), the pipeACK variable is set to the "undefined value" (7661:4.2-7).
            samples: None,
            round: None,
            phase: Phase::Validated,
            loss: None,
            period: config.cwnd_preserved,
            initial,
        };
        (config.cwnd_validation == CwndValidation::PipeAck).then(|| Box::new(validation))
    }

    //= https://www.rfc-editor.org/rfc/rfc7661#section-4.2
    //# This specification defines the pipeACK Sampling Period as Max(3*RTT, 1 second) (7661:4.2-6).
    fn sampling(trip: Duration) -> Duration {
        trip.saturating_mul(3).max(SAMPLING)
    }

    /// pipeACK, bytes; nothing acknowledged for a sampling period is zero.
    fn pipe_ack(&self, now: Instant, trip: Duration) -> Option<u32> {
        let sampling = Self::sampling(trip);
        //= https://www.rfc-editor.org/rfc/rfc7661#section-4.2
        //# The value of the pipeACK variable MUST NOT exceed the maximum (highest value) within the pipeACK Sampling Period (7661:4.2-5).
        let late = self.samples.as_ref()?.iter().filter(|sample| now.since(sample.at) <= sampling);
        Some(late.map(|sample| sample.bytes).max().unwrap_or(0))
    }

    //= https://www.rfc-editor.org/rfc/rfc7661#section-4.2
    //# The pipeACK variable MAY consider multiple pipeACK samples over the pipeACK Sampling Period (7661:4.2-4).
    fn sample(&mut self, now: Instant, trip: Duration, bytes: u32) {
        let fresh = Sample { at: now, bytes };
        let samples = self.samples.get_or_insert([Sample { bytes: 0, ..fresh }; PARTS]);
        let part = Self::sampling(trip) / PARTS as u32;
        let [newest, ..] = samples;
        if now.since(newest.at) <= part {
            newest.bytes = newest.bytes.max(bytes);
        } else {
            samples.rotate_right(1);
            let [newest, ..] = samples;
            *newest = fresh;
        }
    }

    /// Whether the phase is another by now. `full`: the window is what holds the sender back, as far as the present round trip tells.
    fn judge(&mut self, now: Instant, trip: Duration, window: u32, full: bool) {
        let half = window / 2;
        //= https://www.rfc-editor.org/rfc/rfc7661#section-4.3
        //# Validated phase: pipeACK >=(1/2)*cwnd, or pipeACK is undefined (7661:4.3-1).
        let Some(used) = self.pipe_ack(now, trip) else { return };
        match self.phase {
            // In slow start a sample is of a window half as large as the present one, and a segment less may have been in flight: who has just filled
            // the window is not one who leaves half of it alone.
            //= https://www.rfc-editor.org/rfc/rfc7661#section-4.4
            //# A TCP sender implementing this specification MUST enter the non-validated phase when the pipeACK is less than (1/2)*cwnd (7661:4.4-1).
            Phase::Validated if used < half && !full => {
                let sampling = Self::sampling(trip);
                let samples = self.samples.iter().flatten().filter(|sample| sample.bytes >= half);
                // It began when the last sample that was enough grew too old, whenever that is noticed.
                let since = samples.map(|sample| sample.at + sampling).max().unwrap_or(now);
                self.phase = Phase::NonValidated { since: since.min(now) };
            }
            //= https://www.rfc-editor.org/rfc/rfc7661#section-4.4
            //# A sender with a pipeACK variable greater than (1/2)*cwnd SHOULD enter the validated phase (7661:4.4-7).
            Phase::NonValidated { .. } if used > half => self.phase = Phase::Validated,
            Phase::Validated | Phase::NonValidated { .. } => {}
        }
    }

    /// SND.UNA has moved from `from` to `to`, and `nxt` was sent before that.
    //= https://www.rfc-editor.org/rfc/rfc7661#section-4.2
    //# A sender determines a pipeACK sample by measuring the volume of data that was acknowledged by the network over the period of a measured Round-Trip Time (RTT) (7661:4.2-1).
    //= https://www.rfc-editor.org/rfc/rfc7661#section-4.2
    //# SHOULD perform a pipeACK sample at least once per RTT when it has sent unacknowledged segments (7661:4.2-3).
    fn on_ack(&mut self, now: Instant, trip: Duration, [from, to, nxt]: [u64; 3]) {
        let round = *self.round.get_or_insert(Round { from, end: nxt });
        if to >= round.end {
            self.round = None;
            self.sample(now, trip, u32::try_from(to - round.from).unwrap_or(u32::MAX));
        }
    }

    /// A loss was told with `flight` bytes outstanding: the threshold that is safe, where the window is not validated.
    fn on_loss(&mut self, now: Instant, trip: Duration, flight: u32) -> Option<u32> {
        self.round = None;
        let Phase::NonValidated { since } = self.phase else { return None };
        //= https://www.rfc-editor.org/rfc/rfc7661#section-4.4
        //# If the sender receives an indication of congestion while in the non-validated phase (i.e., detects loss), the sender MUST exit the non-validated phase (7661:4.4-5).
        self.phase = Phase::Validated;
        let used = flight.max(self.pipe_ack(now, trip).unwrap_or(0));
        self.loss = Some(Loss { used, repaired: 0, since });
        //= https://www.rfc-editor.org/rfc/rfc7661#section-4.4.1
        //# A sender that detects a packet drop MUST record the current FlightSize in the variable LossFlightSize and MUST calculate a safe cwnd for loss recovery using the method below: cwnd = (Max(pipeACK,LossFlightSize))/2 (7661:4.4.1-1).
        Some(used / 2)
    }

    const fn on_repaired(&mut self, bytes: u32) {
        if let Some(loss) = &mut self.loss {
            loss.repaired = loss.repaired.saturating_add(bytes);
        }
    }

    /// Nothing is known of the use of the window any more.
    fn reset(&mut self) {
        //= https://www.rfc-editor.org/rfc/rfc7661#section-4.4
        //# If the Retransmission Timeout (RTO) expires while in the non-validated phase, the sender MUST exit the non-validated phase (7661:4.4-6).
        self.phase = Phase::Validated;
        (self.samples, self.round, self.loss) = (None, None, None);
    }

    /// The repair is over: where the window is to stay, if the loss was one of the non-validated phase.
    fn on_recovered(&mut self, mss: u32) -> Option<u32> {
        let loss = self.loss;
        //= https://www.rfc-editor.org/rfc/rfc7661#section-4.4.1
        //# After completing the loss recovery phase, the sender MUST re-initialise the pipeACK variable to the "undefined" value (7661:4.4.1-4).
        self.reset();
        //= https://www.rfc-editor.org/rfc/rfc7661#section-4.4.1
        //# At the end of the recovery phase, the TCP sender MUST reset the cwnd using the method below: cwnd = (Max(pipeACK,LossFlightSize) - R)/2 (7661:4.4.1-2).
        //= https://www.rfc-editor.org/rfc/rfc7661#section-4.4.1
        //# The calculated cwnd value MUST NOT be reduced below 1 TCP Maximum Segment Size (MSS) (7661:4.4.1-3).
        loss.map(|loss| (loss.used.saturating_sub(loss.repaired) / 2).max(mss))
    }

    /// The loss was none.
    fn on_undo(&mut self) {
        if let Some(loss) = self.loss.take() {
            self.phase = Phase::NonValidated { since: loss.since };
        }
    }

    /// Window and threshold for each non-validated period that is over; none: they stay.
    fn lapse(&mut self, now: Instant, [window, threshold, initial]: [u32; 3]) -> Option<(u32, u32)> {
        let Phase::NonValidated { since } = &mut self.phase else { return None };
        let (mut lower, mut higher) = (window, threshold);
        let first = now.since(*since) >= self.period;
        while now.since(*since) >= self.period {
            *since += self.period;
            //= https://www.rfc-editor.org/rfc/rfc7661#section-4.4.3
            //# If the sender exits the non-validated phase after this period, it MUST update the ssthresh: ssthresh = max(ssthresh, 3*cwnd/4) (7661:4.4.3-1).
            higher = higher.max(lower - lower / 4);
            //= https://www.rfc-editor.org/rfc/rfc7661#section-4.4.3
            //# The sender MUST then update cwnd to be not greater than: cwnd = max((1/2)*cwnd, IW) (7661:4.4.3-2).
            lower = lower.min((lower / 2).max(initial));
            if lower <= initial {
                *since = now;
            }
        }
        first.then_some((lower, higher))
    }
}

impl Open {
    /// The smoothed round trip.
    fn trip(&self) -> Duration {
        self.rtt.smoothed().unwrap_or_default()
    }

    /// Whether nothing leads the window down.
    fn is_calm(&self) -> bool {
        self.recovery.repair == Repair::None && self.ecn.leading().is_none()
    }

    /// Whether an ACK may widen the window.
    pub(super) fn earns_growth(&self) -> bool {
        let (window, usage) = (self.congestion.window(), &self.snd.usage);
        let by_use = usage.earns_growth(window, window < self.congestion.threshold());
        match self.snd.validation.as_ref().map(|validation| validation.phase) {
            //= https://www.rfc-editor.org/rfc/rfc7661#section-4.4
            //# A sender that is not cwnd-limited MUST NOT increase the cwnd when ACK packets are received in this phase (7661:4.4-4).
            Some(Phase::NonValidated { .. }) => usage.limited(),
            Some(Phase::Validated) | None => by_use,
        }
    }

    /// SND.UNA has moved by `advanced`: what that tells of the use of the window.
    pub(super) fn validate(&mut self, now: Instant, advanced: u32) {
        //= https://www.rfc-editor.org/rfc/rfc7661#section-4.2
        //# The pipeACK variable MUST NOT be updated during TCP Fast Recovery (7661:4.2-8).
        if advanced == 0 || !self.is_calm() {
            return;
        }
        let (trip, window, full) = (self.trip(), self.congestion.window(), self.snd.usage.limited());
        let (una, nxt) = (self.snd.flight.una(), self.snd.flight.position(self.snd.nxt));
        let Some(validation) = &mut self.snd.validation else { return };
        validation.on_ack(now, trip, [una.saturating_sub(u64::from(advanced)), una, nxt]);
        validation.judge(now, trip, window, full);
    }

    /// Something is about to be sent: a window that was not used for long is worth less.
    pub(super) fn revalidate(&mut self, now: Instant) {
        let (trip, window, threshold) = (self.trip(), self.congestion.window(), self.congestion.threshold());
        let full = self.snd.outstanding() > 0 && self.snd.usage.limited();
        let calm = self.is_calm();
        let Some(validation) = self.snd.validation.as_mut().filter(|_| calm) else { return };
        validation.judge(now, trip, window, full);
        let initial = initial_window(self.snd.mss, validation.initial);
        if let Some((window, threshold)) = validation.lapse(now, [window, threshold, initial]) {
            self.congestion.set_threshold(threshold);
            self.congestion.set_window(window);
        }
    }

    /// Whether a pause leaves the window as it is. Where nothing is known of its use, RFC 5681 holds.
    pub(super) fn keeps_window(&self) -> bool {
        self.snd.validation.as_ref().is_some_and(|validation| validation.samples.is_some())
    }

    /// A loss or a mark was told with `flight` bytes outstanding.
    pub(super) fn reduce(&mut self, now: Instant, flight: u32) {
        let trip = self.trip();
        self.congestion.on_congestion(now, flight);
        self.ecn.on_reduction();
        let safe = self.snd.validation.as_mut().and_then(|validation| validation.on_loss(now, trip, flight));
        if let Some(safe) = safe {
            self.congestion.set_threshold(safe);
        }
    }

    /// So much of what is being repaired has arrived.
    pub(super) fn repaired(&mut self, bytes: u32) {
        if let Some(validation) = &mut self.snd.validation {
            validation.on_repaired(bytes);
        }
    }

    /// What was lost is repaired.
    pub(super) fn restored(&mut self, now: Instant) {
        let mss = self.snd.mss;
        let settled = self.snd.validation.as_mut().and_then(|validation| validation.on_recovered(mss));
        //= https://www.rfc-editor.org/rfc/rfc7661#section-4.4.1
        //# The ssthresh is adjusted using the standard TCP method (7661:4.4.1-5).
        if let Some(settled) = settled {
            self.congestion.set_threshold(settled);
        }
        self.congestion.on_recovered(now);
    }

    /// The reduction was for nothing.
    pub(super) fn reinstated(&mut self, now: Instant) {
        if let Some(validation) = &mut self.snd.validation {
            validation.on_undo();
        }
        self.congestion.on_undo(now);
    }

    /// Nothing is known of the use of the window any more: a retransmission timeout.
    pub(super) fn unvalidate(&mut self) {
        if let Some(validation) = &mut self.snd.validation {
            validation.reset();
        }
    }
}

packed!(Sample { at, bytes });
packed!(Round { from, end });
packed!(Loss { used, repaired, since });
packed!(Validation { samples, round, phase, loss, period, initial });

impl Pack for Box<Validation> {
    fn pack(&self, to: &mut Packer) {
        (**self).pack(to);
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        Self::new(Pack::unpack(from))
    }
}

impl Pack for Phase {
    fn pack(&self, to: &mut Packer) {
        let since = match self {
            Self::Validated => None,
            Self::NonValidated { since } => Some(*since),
        };
        since.pack(to);
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        Option::unpack(from).map_or(Self::Validated, |since| Self::NonValidated { since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIP: Duration = Duration::from_millis(100);
    const START: Instant = Instant::from_millis(5000);

    fn validation() -> Box<Validation> {
        let config = TcpConfig { cwnd_validation: CwndValidation::PipeAck, ..TcpConfig::default() };
        Validation::new(&config, 10).expect("one")
    }

    const fn at(millis: u64) -> Instant {
        Instant::from_millis(5000 + millis)
    }

    //= https://www.rfc-editor.org/rfc/rfc7661#section-4.2
    //= type=test
    //# SHOULD perform a pipeACK sample at least once per RTT when it has sent unacknowledged segments (7661:4.2-3).
    #[test]
    fn a_sample_is_what_was_in_flight_when_its_first_ack_came() {
        let mut validation = validation();
        assert_eq!(validation.pipe_ack(START, TRIP), None);
        validation.on_ack(START, TRIP, [0, 2000, 10_000]);
        assert_eq!(validation.pipe_ack(START, TRIP), None);
        validation.on_ack(START, TRIP, [2000, 10_000, 14_000]);
        assert_eq!(validation.pipe_ack(START, TRIP), Some(10_000));
        validation.on_ack(START, TRIP, [10_000, 14_000, 25_000]);
        validation.on_ack(START, TRIP, [14_000, 25_000, 25_000]);
        assert_eq!(validation.pipe_ack(START, TRIP), Some(15_000));
        assert!(validation.round.is_none(), "nothing is in flight");
    }

    //= https://www.rfc-editor.org/rfc/rfc7661#section-4.2
    //= type=test
    //# The pipeACK variable MAY consider multiple pipeACK samples over the pipeACK Sampling Period (7661:4.2-4).
    //= https://www.rfc-editor.org/rfc/rfc7661#section-4.2
    //= type=test
    //# The value of the pipeACK variable MUST NOT exceed the maximum (highest value) within the pipeACK Sampling Period (7661:4.2-5).
    //= https://www.rfc-editor.org/rfc/rfc7661#section-4.2
    //= type=test
    //# This specification defines the pipeACK Sampling Period as Max(3*RTT, 1 second) (7661:4.2-6).
    #[test]
    fn the_largest_sample_of_the_period_counts() {
        for (trip, period) in [(100, 1000), (500, 1500)] {
            let (mut validation, trip) = (validation(), Duration::from_millis(trip));
            for (time, bytes) in [(0, 5), (period / 5 + 1, 3), (period / 5 + 2, 4), (period * 4 / 5, 2)] {
                validation.sample(at(time), trip, bytes);
                assert_eq!(validation.pipe_ack(at(time), trip), Some(5));
            }
            let told = [period, period + 1, period * 6 / 5 + 2, period * 9 / 5 + 1];
            let told = told.map(|time| validation.pipe_ack(at(time), trip));
            assert_eq!(told, [5, 4, 2, 0].map(Some), "{trip:?}");
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc7661#section-4.3
    //= type=test
    //# Validated phase: pipeACK >=(1/2)*cwnd, or pipeACK is undefined (7661:4.3-1).
    #[test]
    fn half_of_the_window_validates_it() {
        let mut validation = validation();
        validation.judge(START, TRIP, u32::MAX, false);
        assert_eq!(validation.phase, Phase::Validated, "undefined");
        validation.sample(START, TRIP, 5000);
        validation.judge(START, TRIP, 10_000, false);
        assert_eq!(validation.phase, Phase::Validated);
        validation.judge(START, TRIP, 12_000, true);
        assert_eq!(validation.phase, Phase::Validated, "all of it is in use");
        validation.judge(START, TRIP, 12_000, false);
        assert_eq!(validation.phase, Phase::NonValidated { since: START });
        validation.judge(START, TRIP, 10_000, false);
        assert_eq!(validation.phase, Phase::NonValidated { since: START }, "half is not more than half");
        validation.judge(START, TRIP, 9000, false);
        assert_eq!(validation.phase, Phase::Validated);
    }

    #[test]
    fn the_phase_begins_when_the_last_sample_grows_too_old() {
        let mut validation = validation();
        validation.sample(START, TRIP, 5000);
        validation.judge(at(400_000), TRIP, 10_000, false);
        assert_eq!(validation.phase, Phase::NonValidated { since: at(1000) });
    }
}
