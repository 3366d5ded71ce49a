//! How much may be in flight. What is lost is decided in `recovery`; the two are separate cuts.

pub mod cubic;
pub mod reno;
mod slow_start;
pub mod window;

use crate::config::{Congestion, TcpConfig};
use crate::pack::{Pack, Packer, Unpacker, packed};
use crate::time::{Duration, Instant};
use std::fmt::Debug;

/// An acknowledgement of new data, as a controller sees it, outside of fast recovery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acked {
    /// Bytes newly delivered, as far as nothing told of them before.
    pub bytes: u32,
    /// Acknowledgements that came one after the other and are heard as this one; 0 is one as well.
    pub acks: u32,
    /// Stream position of SND.UNA, this acknowledgement counted.
    pub una: u64,
    /// Stream position of SND.NXT: a round trip is over when SND.UNA has come to where this was at its beginning.
    pub nxt: u64,
    /// The round trip that this acknowledgement has measured, never of a retransmission.
    pub rtt: Option<Duration>,
    /// The smoothed round trip.
    pub srtt: Option<Duration>,
    /// The least round trip of the connection.
    pub least_rtt: Option<Duration>,
    /// Whether the window was what held the sender back: growth is earned only then.
    pub window_limited: bool,
    /// Whether the sender is still repairing a retransmission timeout: such an acknowledgement may cover far more than has just left the network.
    pub after_timeout: bool,
}

/// What a controller goes by, for the trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Slow start goes at the slower pace of RFC 9406.
    pub conservative: bool,
    /// What ended the first slow start, if neither a loss nor the threshold did.
    pub left: Option<Left>,
    /// CUBIC's curve, once there is one.
    pub curve: Option<CurveFigures>,
}

/// What ended slow start before a loss did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Round trips had become longer (HyStart).
    Delay,
    /// The ACKs of a round came over more than the time one way (HyStart).
    Train,
    /// Round trips stayed longer for some rounds (HyStart++).
    Rounds,
}

impl Left {
    /// Its name in a trace.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delay => "rtt_increase",
            Self::Train => "ack_train",
            Self::Rounds => "rtt_increase_confirmed",
        }
    }
}

/// The curve of CUBIC (RFC 9438). Windows in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurveFigures {
    /// W_max: where the curve is flat. None after a timeout, until congestion avoidance begins.
    pub most: Option<u32>,
    /// cwnd_prior: the window before the last reduction.
    pub prior: Option<u32>,
    /// K: from the beginning of congestion avoidance to where the curve is flat.
    pub k: Option<Duration>,
    /// W_est: the window that Reno would have.
    pub estimate: Option<u32>,
    /// Which part of it leads the window; none outside of congestion avoidance.
    pub region: Option<Region>,
}

/// What leads the window (RFC 9438 4.3 to 4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Region {
    /// The window that Reno would have: it is larger than the curve.
    Reno,
    /// The curve up to W_max.
    Concave,
    /// The curve beyond.
    Convex,
}

impl Region {
    /// Its name in a trace.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reno => "reno_friendly",
            Self::Concave => "concave",
            Self::Convex => "convex",
        }
    }
}

/// A congestion controller. Called inside the turn, with nothing but the values passed to it.
///
/// A reduction is [`on_congestion`](Self::on_congestion), then [`set_window`](Self::set_window) as often as whoever leads the window down wants, then
/// [`on_recovered`](Self::on_recovered); or [`on_timeout`](Self::on_timeout). Until the next one [`on_undo`](Self::on_undo) takes it back.
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.2
//# A TCP endpoint MUST implement the basic congestion control algorithms slow start, congestion avoidance, and exponential backoff of RTO to avoid creating congestion collapse conditions (MUST-19).
pub trait Controller: Debug + Send {
    /// Its name, as TCP_CONGESTION tells it.
    fn name(&self) -> &'static str;

    /// The congestion window, bytes; at least one segment.
    fn window(&self) -> u32;

    /// The slow start threshold, bytes.
    fn threshold(&self) -> u32;

    /// What it goes by, for the trace.
    fn figures(&self, now: Instant) -> Figures;

    /// New data was acknowledged outside of fast recovery.
    fn on_ack(&mut self, now: Instant, acked: Acked);

    /// A loss was told with `flight` bytes in flight: the threshold is lowered, the window stays for the caller to lead there.
    fn on_congestion(&mut self, now: Instant, flight: u32);

    /// The retransmission timer expired with `flight` bytes in flight; `again`: for the same data as before, so that the threshold is held. The window is one segment.
    fn on_timeout(&mut self, now: Instant, flight: u32, again: bool);

    /// The window is `bytes` now, a segment at least: recovery leads it.
    fn set_window(&mut self, bytes: u32);

    /// The threshold is `bytes` now, a segment at least: what was in use of a window that was not validated decides (RFC 7661). Lower than
    /// [`on_congestion`](Self::on_congestion) has left it, it is half of what the path carried.
    fn set_threshold(&mut self, bytes: u32);

    /// What was lost is repaired: the window is the threshold, unless the reduction was taken back.
    fn on_recovered(&mut self, now: Instant);

    /// The last reduction was for nothing: window and threshold are what they were before it, or stay if they are larger by now.
    fn on_undo(&mut self, now: Instant);

    /// Sending begins again: nothing was in flight, and nothing sent for `idle`. The retransmission timeout is `rto`; a longer pause is one of RFC 5681 4.1.
    fn on_idle(&mut self, now: Instant, idle: Duration, rto: Duration);

    /// Segments carry `mss` bytes from now on: the path has turned out smaller than it was, or is so no longer.
    fn on_segment_size(&mut self, mss: u32);

    /// Writes its state, for a connection at rest.
    fn store(&self, to: &mut Packer);
}

impl Pack for Box<dyn Controller> {
    fn pack(&self, to: &mut Packer) {
        to.byte(u8::from(self.name() == Congestion::Reno.name()));
        self.store(to);
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        match from.byte() {
            0 => Box::new(cubic::Cubic::unpack(from)),
            _ => Box::new(reno::Reno::unpack(from)),
        }
    }
}

/// The controller of a connection that begins with `segments` of `mss` bytes.
#[must_use]
pub fn controller(kind: Congestion, mss: u32, segments: u32, config: &TcpConfig) -> Box<dyn Controller> {
    with(kind, window::Window::new(mss, segments, config), config)
}

/// A controller in place of another, in the middle of a connection with segments of `mss` bytes: window and threshold stay.
#[must_use]
pub fn successor(kind: Congestion, of: &dyn Controller, mss: u32, config: &TcpConfig) -> Box<dyn Controller> {
    let window = window::Window::new(mss, config.initial_window, config);
    with(kind, window.take_over(of.window(), of.threshold()), config)
}

fn with(kind: Congestion, window: window::Window, config: &TcpConfig) -> Box<dyn Controller> {
    match kind {
        Congestion::Cubic => Box::new(cubic::Cubic::new(window, config)),
        Congestion::Reno => Box::new(reno::Reno::new(window)),
    }
}

packed!(
    enum Left {
        Delay,
        Train,
        Rounds,
    }
);
