//! What the network says of a connection's segments (RFC 9293 3.9.2.2, RFC 5461, RFC 5927). `ip` reads the message; here it is a value.

use super::connection::{Connection, Phase};
use super::open::MSS_MIN;
use super::timestamps::OPTION_LEN;
use super::{EndReason, SeqNum, State};
use crate::error::Errno;
use crate::time::Instant;

/// An ICMP error about a segment of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpError {
    /// The packet did not fit the path: segments may carry this many bytes, options included (RFC 1191, RFC 8201).
    TooBig {
        /// Path MTU less IP and TCP headers.
        mss: u16,
    },
    /// The destination cannot be reached, or refuses: the error that a program is told whose connection is still being opened, as Linux does
    /// (RFC 5461 section 4.1). Once open it is a soft error.
    Unreachable(Errno),
}

impl Connection {
    /// The network returned the segment that began at `seq`. Errors about segments that are not in flight are not believed (RFC 5927 4.1).
    pub fn on_icmp(&mut self, now: Instant, error: IcmpError, seq: SeqNum) {
        self.stir(now);
        match error {
            IcmpError::TooBig { mss } => self.shrink(mss, seq),
            IcmpError::Unreachable(errno) => self.unreachable(errno, seq),
        }
    }

    fn shrink(&mut self, mss: u16, seq: SeqNum) {
        let Phase::Open(open) = &mut self.phase else { return };
        let options = if open.timestamps.is_some() { OPTION_LEN } else { 0 };
        let mss = u32::from(mss.max(MSS_MIN) - options);
        let snd = &mut open.snd;
        let in_flight = seq.at_or_after(snd.una) && seq.before(snd.nxt);
        if open.state() == State::SynReceived || !in_flight || mss >= open.snd.mss {
            return;
        }
        open.snd.mss = mss;
        // Whatever is in flight was cut to the old size and is gone; duplicate ACKs for it tell of no further loss.
        open.recovery.on_timeout(open.snd.nxt);
        open.snd.cursor = open.snd.una;
        open.snd.timed = None;
        open.pending.head = false;
    }

    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2.2
    //# Since these Unreachable messages indicate soft error conditions, a TCP implementation MUST NOT abort the connection (MUST-56)
    fn unreachable(&mut self, errno: Errno, seq: SeqNum) {
        let iss = match &self.phase {
            Phase::Opening(opening) if opening.sent > 0 => opening.iss,
            Phase::Open(open) if open.state() == State::SynReceived => open.snd.iss,
            _ => return,
        };
        if seq == iss {
            self.end(EndReason::TimedOut, Some(errno));
        }
    }
}
