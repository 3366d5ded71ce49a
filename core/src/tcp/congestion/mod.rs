//! How much may be in flight. What is lost is decided in `recovery`; the two are separate cuts.

pub mod reno;

use crate::time::Instant;
use std::fmt::Debug;

/// An acknowledgement of new data, as a controller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acked {
    /// Bytes newly acknowledged.
    pub bytes: u32,
    /// Whether the window was what held the sender back: growth is earned only then.
    pub window_limited: bool,
    /// Whether the sender is still repairing a retransmission timeout: such an ACK may cover far more than has just left the network.
    pub after_timeout: bool,
}

/// The names that TCP_CONGESTION takes; the first is that of new sockets.
pub const NAMES: &[&str] = &["reno"];

/// A congestion controller. Called inside the turn, with nothing but the values passed to it.
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.2
//# A TCP endpoint MUST implement the basic congestion control algorithms slow start, congestion avoidance, and exponential backoff of RTO to avoid creating congestion collapse conditions (MUST-19).
pub trait Controller: Debug + Send {
    /// Its name, as TCP_CONGESTION tells it.
    fn name(&self) -> &'static str;

    /// The congestion window, bytes; at least one segment.
    fn window(&self) -> u32;

    /// The slow start threshold, bytes.
    fn threshold(&self) -> u32;

    /// New data was acknowledged outside of fast recovery.
    fn on_ack(&mut self, now: Instant, acked: Acked);

    /// Fast recovery begins with `flight` bytes outstanding.
    fn on_loss(&mut self, now: Instant, flight: u32);

    /// Fast recovery is over with `flight` bytes outstanding.
    fn on_recovered(&mut self, now: Instant, flight: u32);

    /// The retransmission timer expired with `flight` bytes outstanding; `again`: for the same data as before.
    fn on_timeout(&mut self, now: Instant, flight: u32, again: bool);

    /// Nothing was sent for a retransmission timeout (RFC 5681 4.1).
    fn on_idle(&mut self, now: Instant);

    /// Segments carry `mss` bytes from now on: the path has turned out smaller than it was, or is so no longer.
    fn on_segment_size(&mut self, mss: u32);
}
