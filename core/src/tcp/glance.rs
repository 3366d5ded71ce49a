//! What invariants of a simulated run look at: a connection's own idea of what is under way, and what it waits for.

use super::connection::{Connection, Phase};
use super::{Buffers, State};
use crate::time::{Duration, Instant};

/// A connection at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// Its state.
    pub state: State,
    /// ISS.
    pub iss: u32,
    /// SND.UNA.
    pub una: u32,
    /// SND.NXT: behind everything ever sent.
    pub nxt: u32,
    /// Bytes that the sender takes to be in the network.
    pub in_flight: u32,
    /// Bytes that it takes for lost.
    pub lost: u32,
    /// Bytes sent again that it does not know to have arrived.
    pub resent: u32,
    /// Effective send MSS, bytes.
    pub mss: u32,
    /// Bytes of the send queue that are not acknowledged.
    pub queued: usize,
    /// When it wants to be called next.
    pub deadline: Option<Instant>,
    /// The most that a retransmission timeout may be.
    pub ceiling: Duration,
}

impl Connection {
    /// What there is to see; `None` once it is closed.
    #[doc(hidden)]
    #[must_use]
    pub fn glance(&self, now: Instant, buffers: &Buffers) -> Option<Glance> {
        let info = self.info(now, buffers);
        let mss = info.snd_mss.max(1);
        let in_flight = (info.unacked + info.retrans).saturating_sub(info.sacked + info.lost);
        let (iss, una, nxt, rtt) = match &self.phase {
            Phase::Opening(opening) => (opening.iss, opening.iss, opening.iss + 1, &opening.rtt),
            Phase::Open(open) => (open.snd.iss, open.snd.una, open.snd.nxt, &open.rtt),
            Phase::Closed(_) => return None,
        };
        Some(Glance {
            state: self.state(),
            iss: iss.0,
            una: una.0,
            nxt: nxt.0,
            in_flight: in_flight.saturating_mul(mss),
            lost: info.lost.saturating_mul(mss),
            resent: info.retrans.saturating_mul(mss),
            mss,
            queued: buffers.send.len(),
            deadline: self.poll_timeout(),
            ceiling: rtt.ceiling(),
        })
    }
}
