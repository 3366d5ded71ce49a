//! CUBIC (RFC 9438): after a loss the window comes back to where it was along a cubic curve of time, whatever the round trip.
//!
//! ```text
//!  W_max  . . . . . . . . ___---- . . . .   convex: slowly, then faster, towards what is not known
//!                   _--
//!                 /      concave: fast, then slower, the nearer it is to where the loss was
//!  cwnd_epoch   /
//!               0         K         t
//! ```
//! It counts in segments, and in ACKs as Linux does: what is decided is how many segments have to be acknowledged for one more of window.

use super::window::Window;
use super::{Acked, Controller, CurveFigures, Figures, Region};
use crate::config::TcpConfig;
use crate::pack::{Pack, Packer, packed};
use crate::time::{Duration, Instant};

/// While the window stays, the curve is looked at no more often, as in Linux: it is flat over so short a time. On a path shorter than this it is
/// looked at once a round trip: where losses come every few milliseconds the window would never grow between them.
const LOOK: Duration = Duration::from_micros(31_250);
/// Before any loss has said how far the window may go, it grows by a twentieth a round trip at least, as in Linux.
const UNTOLD: f64 = 20.0;
/// A segment for two at the fastest: by half a window a round trip.
const FASTEST: f64 = 2.0;

/// The controller of RFC 9438.
#[derive(Debug)]
pub struct Cubic {
    window: Window,
    curve: Curve,
    /// The curve before the last reduction.
    before: Option<Curve>,
    /// Segments acknowledged towards the next one of window.
    credit: f64,
    /// The last ACK in congestion avoidance.
    heard: Instant,
    constants: Constants,
}

/// What a loss changes but for the window itself. Windows in segments.
#[derive(Clone, Copy, Debug, Default)]
struct Curve {
    /// W_max; none before the first loss and after a timeout.
    most: Option<f64>,
    /// cwnd_prior.
    prior: f64,
    stage: Option<Stage>,
}

/// A stage of congestion avoidance, from one reduction to the next.
#[derive(Clone, Copy, Debug)]
struct Stage {
    /// When it began; later by the time in which the window was not used.
    began: Instant,
    /// Where the curve is flat.
    origin: f64,
    /// K, seconds.
    k: f64,
    /// W_est: the window that Reno would have.
    estimate: f64,
    /// Segments acknowledged that W_est has not grown by yet.
    counted: f64,
    /// Segments to be acknowledged for one more of window.
    every: f64,
    /// When that was found, and the window for which.
    looked: Option<(Instant, u32)>,
}

#[derive(Clone, Copy, Debug)]
struct Constants {
    /// C, segments per second cubed.
    scale: f64,
    /// beta_cubic in thousandths.
    beta: u32,
    fast_convergence: bool,
}

impl Constants {
    fn beta(&self) -> f64 {
        f64::from(self.beta) / 1000.0
    }

    //= https://www.rfc-editor.org/rfc/rfc9438#section-4.3
    //# alpha_cubic SHOULD be 3 * (1 - beta_cubic) / (1 + beta_cubic) until W_est reaches cwnd_prior and 1 from there on (9438:4.3-2).
    fn alpha(&self) -> f64 {
        3.0 * (1.0 - self.beta()) / (1.0 + self.beta())
    }
}

impl Curve {
    /// The same in segments of which `ratio` are one of the old.
    fn scaled(self, ratio: f64) -> Self {
        Self {
            most: self.most.map(|most| most * ratio),
            prior: self.prior * ratio,
            stage: self.stage.map(|stage| Stage {
                origin: stage.origin * ratio,
                k: stage.k * libm::cbrt(ratio),
                estimate: stage.estimate * ratio,
                ..stage
            }),
        }
    }
}

impl Stage {
    fn begin(now: Instant, window: f64, most: Option<f64>, scale: f64) -> Self {
        let most = most.filter(|most| *most > window);
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.2
        //# K MUST be the cube root of (W_max - cwnd_epoch) / C with cwnd_epoch the window at the start of the stage (9438:4.2-2).
        let k = most.map_or(0.0, |most| libm::cbrt((most - window) / scale));
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.8
        //# The first stage of congestion avoidance after a time-out SHOULD begin with K of 0 and W_max of cwnd_epoch (9438:4.8-2).
        let origin = most.unwrap_or(window);
        Self { began: now, origin, k, estimate: window, counted: 0.0, every: f64::INFINITY, looked: None }
    }

    /// W_cubic(t), t in seconds.
    fn curve(&self, t: f64, scale: f64) -> f64 {
        let from = t - self.k;
        scale * from * from * from + self.origin
    }

    /// Brings W_est up to the present.
    fn estimate(&mut self, window: f64, prior: f64, alpha: f64) {
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.3
        //# W_est MUST begin at cwnd_epoch and grow by alpha_cubic * segments_acked / cwnd with each ACK (9438:4.3-1).
        let trips = std::mem::take(&mut self.counted) / window;
        let slower = ((prior - self.estimate) / alpha).clamp(0.0, trips);
        self.estimate += slower * alpha + (trips - slower);
    }
}

impl Cubic {
    /// A controller that begins with `window`.
    #[must_use]
    pub fn new(window: Window, config: &TcpConfig) -> Self {
        let constants = Constants {
            scale: f64::from(config.cubic_scale) / 1000.0,
            beta: u32::from(config.cubic_beta),
            fast_convergence: config.cubic_fast_convergence,
        };
        let (curve, before) = (Curve::default(), None);
        Self { window, curve, before, credit: 0.0, heard: Instant::ZERO, constants }
    }

    fn segments(&self, bytes: u32) -> f64 {
        f64::from(bytes) / f64::from(self.window.mss)
    }

    /// Congestion avoidance: `acked` segments with a round trip of `trip`.
    fn avoid(&mut self, now: Instant, acked: f64, trip: Duration) {
        let window = self.segments(self.window.bytes);
        let (most, scale) = (self.curve.most, self.constants.scale);
        let stage = self.curve.stage.get_or_insert_with(|| Stage::begin(now, window, most, scale));
        stage.counted += acked;
        let bytes = self.window.bytes;
        if stage.looked.is_none_or(|(at, of)| of != bytes || now.since(at) > LOOK.min(trip)) {
            stage.looked = Some((now, bytes));
            self.look(now, window, trip);
        }
        let every = self.curve.stage.map_or(f64::INFINITY, |stage| stage.every);
        let mut more = 0.0;
        // What was counted at a slower pace is worth no more than one segment at a faster.
        if self.credit >= every {
            (self.credit, more) = (0.0, 1.0);
        }
        self.credit += acked;
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.4
        //# Outside of the region of Reno cwnd MUST grow by (target - cwnd) / cwnd with each segment acknowledged, below W_max (9438:4.4-1).
        let earned = (self.credit / every).floor();
        if earned >= 1.0 {
            self.credit -= earned * every;
            more += earned;
        }
        self.window.grow(more as u32);
    }

    /// How many segments one more of window has to be earned by.
    fn look(&mut self, now: Instant, window: f64, trip: Duration) {
        let (scale, alpha) = (self.constants.scale, self.constants.alpha());
        let Curve { most, prior, stage: Some(stage) } = &mut self.curve else { return };
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.2
        //# In congestion avoidance the target SHOULD be W_cubic(t + RTT) = C * (t + RTT - K)^3 + W_max with C of 0.4 (9438:4.2-1).
        let t = now.since(stage.began).saturating_add(trip).as_secs_f64();
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.2
        //# The target MUST NOT be below cwnd nor above 1.5 * cwnd (9438:4.2-3).
        let target = stage.curve(t, scale).clamp(window, 1.5 * window);
        let mut every = window / (target - window);
        if most.is_none() {
            every = every.min(UNTOLD);
        }
        stage.estimate(window, *prior, alpha);
        // In whole segments, as the window is.
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.3
        //# Where W_cubic(t) is below W_est, cwnd SHOULD be W_est (9438:4.3-3).
        let reno = stage.estimate.floor();
        if reno > window {
            every = every.min(window / (reno - window));
        }
        stage.every = every.max(FASTEST);
    }

    //= https://www.rfc-editor.org/rfc/rfc9438#section-4.6
    //# cwnd MAY be used in place of the flight size if growth stops where the application limits (9438:4.6-4).
    fn reduce(&mut self) {
        self.before = Some(self.curve);
        let window = self.segments(self.window.bytes);
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.7
        //# Where cwnd is below W_max at congestion, W_max SHOULD be cwnd * (1 + beta_cubic) / 2 for fast convergence, and cwnd otherwise (9438:4.7-1).
        let yields = self.constants.fast_convergence && self.curve.most.is_some_and(|most| window < most);
        let most = if yields { window * (1.0 + self.constants.beta()) / 2.0 } else { window };
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.6
        //# cwnd_prior MUST be cwnd as it was before it was reduced (9438:4.6-3).
        self.curve = Curve { most: Some(most), prior: window, stage: None };
        self.credit = 0.0;
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.6
        //# On congestion ssthresh MUST be beta_cubic of the flight size or of the window, and at least two segments (9438:4.6-1).
        let least = u64::from(self.window.bytes) * u64::from(self.constants.beta) / 1000;
        let least = u32::try_from(least).unwrap_or(u32::MAX);
        self.window.reduce(least - least % self.window.mss);
    }

    fn curve_figures(&self, now: Instant) -> CurveFigures {
        let Curve { most, prior, stage } = self.curve;
        let bytes = |segments: f64| (segments * f64::from(self.window.mss)).round() as u32;
        let region = stage.map(|stage| {
            let t = now.since(stage.began).as_secs_f64();
            // By a segment at least: windows are whole ones.
            if stage.curve(t, self.constants.scale) + 1.0 <= stage.estimate {
                Region::Reno
            } else if self.segments(self.window.bytes) < stage.origin {
                Region::Concave
            } else {
                Region::Convex
            }
        });
        CurveFigures {
            most: stage.map(|stage| stage.origin).or(most).map(bytes),
            prior: Some(prior).filter(|prior| *prior > 0.0).map(bytes),
            k: stage.map(|stage| Duration::from_nanos((stage.k * 1e9) as u64)),
            estimate: stage.map(|stage| bytes(stage.estimate)),
            region,
        }
    }

    /// Time in which the window was not used does not move the curve.
    //= https://www.rfc-editor.org/rfc/rfc9438#section-4.2
    //# t MUST be the time since the stage of congestion avoidance began without the time in which the application limited cwnd (9438:4.2-4).
    fn pause(&mut self, now: Instant, unused: Duration) {
        if let Some(stage) = &mut self.curve.stage {
            stage.began = (stage.began + unused).min(now);
        }
    }
}

impl Controller for Cubic {
    fn name(&self) -> &'static str {
        "cubic"
    }

    fn window(&self) -> u32 {
        self.window.bytes
    }

    fn threshold(&self) -> u32 {
        self.window.threshold
    }

    fn figures(&self, now: Instant) -> Figures {
        let told = self.curve.stage.is_some() || self.curve.prior > 0.0;
        Figures { curve: told.then(|| self.curve_figures(now)), ..self.window.figures() }
    }

    fn on_ack(&mut self, now: Instant, acked: Acked) {
        let heard = std::mem::replace(&mut self.heard, now);
        if !self.window.slow_start(now, &acked) {
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc9438#section-5.8
        //# cwnd MUST NOT grow while the application limits it (9438:5.8-1).
        if !acked.window_limited {
            self.pause(now, now.since(heard));
            return;
        }
        let trip = acked.srtt.or(acked.least_rtt).unwrap_or_default();
        self.avoid(now, self.segments(acked.bytes), trip);
    }

    fn on_congestion(&mut self, _now: Instant, _flight: u32) {
        self.reduce();
    }

    fn on_timeout(&mut self, _now: Instant, _flight: u32, again: bool) {
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.8
        //# At a time-out ssthresh MUST be reduced with beta_cubic and cwnd as in RFC 5681 (9438:4.8-1).
        if !again {
            self.reduce();
        }
        (self.curve.most, self.curve.stage, self.credit) = (None, None, 0.0);
        self.window.set(0);
    }

    fn set_window(&mut self, bytes: u32) {
        self.window.set(bytes);
    }

    fn set_threshold(&mut self, bytes: u32) {
        if bytes < self.window.threshold {
            // The curve leads back to what was in use, not to a window that nothing vouched for.
            let used = 2.0 * self.segments(bytes);
            self.curve.most = self.curve.most.map(|most| most.min(used));
            self.curve.prior = self.curve.prior.min(used);
        }
        self.window.set_threshold(bytes);
    }

    fn on_recovered(&mut self, _now: Instant) {
        self.window.recovered();
    }

    fn on_undo(&mut self, _now: Instant) {
        //= https://www.rfc-editor.org/rfc/rfc9438#section-4.9
        //# A reduction that proves spurious MAY be undone by restoring cwnd, ssthresh, W_max, K, cwnd_prior and the start of the stage (9438:4.9-1).
        if self.window.undo()
            && let Some(before) = self.before.take()
        {
            self.curve = before;
        }
    }

    fn on_idle(&mut self, now: Instant, idle: Duration, rto: Duration) {
        let heard = std::mem::replace(&mut self.heard, now);
        self.pause(now, idle.min(now.since(heard)));
        self.window.restart(idle, rto);
    }

    fn on_segment_size(&mut self, mss: u32) {
        // The curve stays where it is in bytes, as the threshold does.
        let ratio = f64::from(self.window.mss) / f64::from(mss.max(1));
        self.curve = self.curve.scaled(ratio);
        self.before = self.before.map(|before| before.scaled(ratio));
        self.window.resize(mss);
    }

    fn store(&self, to: &mut Packer) {
        self.pack(to);
    }
}

packed!(Stage { began, origin, k, estimate, counted, every, looked });
packed!(Curve { most, prior, stage });
packed!(Constants { scale, beta, fast_convergence });
packed!(Cubic { window, curve, before, credit, heard, constants });
