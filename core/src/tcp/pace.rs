//! When to hold data back: Nagle's algorithm and the avoidance of silly windows (RFC 9293 3.7.4, 3.8.6.2.1).

/// What there is to send and what stands in the way, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    /// Queued from the cursor on.
    pub(super) unsent: u32,
    /// What the peer's window leaves.
    pub(super) usable: u32,
    /// What the congestion window leaves.
    pub(super) room: u32,
    /// Effective send MSS.
    pub(super) mss: u32,
    /// Most of one super-frame: a multiple of `mss`.
    pub(super) most: u32,
    /// The largest window the peer has offered.
    pub(super) wnd_max: u32,
    /// The cursor is behind SND.NXT: this has been sent before.
    pub(super) resending: bool,
    /// Whether a last segment below the MSS has to wait for the one before to be acknowledged.
    pub(super) nagle: Nagle,
    /// The timer that overrides silly window avoidance has expired.
    pub(super) forced: bool,
}

/// Nagle's algorithm in Minshall's variant: a small segment waits only while another small one is unacknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
//= https://www.rfc-editor.org/rfc/rfc9293#section-3.7.4
//# A TCP implementation SHOULD implement the Nagle algorithm to coalesce short segments (SHLD-7).
pub(super) enum Nagle {
    /// A small segment has to wait.
    Hold,
    /// The program holds small segments back, one in flight or not: TCP_CORK, MSG_MORE.
    Cork,
    /// A small segment may go.
    Pass,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send this many bytes.
    Send(u32),
    /// Send none, for this reason.
    Hold(Hold),
}

/// Why nothing is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// There is nothing.
    Empty,
    /// Nagle: an ACK will release it.
    Small,
    /// The program holds it back: more of it, or a timer, will release it.
    Corked,
    /// The congestion window is full: an ACK will open it.
    Congestion,
    /// The peer's window is closed, or too small to be worth it.
    Window,
}

impl Offer {
    /// The algorithm of RFC 9293 3.8.6.2.1, for super-frames: whole segments whenever there are any; a remainder only at the end of the queue.
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.2.1
    //# A TCP implementation MUST include a SWS avoidance algorithm in the sender (MUST-38)
    pub(super) fn decide(&self) -> Verdict {
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.2
        //# However, a TCP implementation SHOULD send a maximum-sized segment whenever possible (SHLD-28) to improve performance (see Section 3.8.6.2.1).
        //= https://www.rfc-editor.org/rfc/rfc5681#section-2
        //# At any given time, a TCP MUST NOT send data with a sequence number higher than the sum of the highest acknowledged sequence number and the minimum of cwnd and rwnd (5681:2-1).
        let count = self.unsent.min(self.usable).min(self.room).min(self.most);
        let tail = count % self.mss;
        let whole = count - tail;
        if self.unsent == 0 {
            return Verdict::Hold(Hold::Empty);
        }
        if count == self.unsent && (tail == 0 || self.tail_may_go()) {
            return Verdict::Send(count);
        }
        if whole > 0 {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.2
            //# The transmitter SHOULD collapse successive bits when it packetizes data, to send the largest possible segment (SHLD-27).
            return Verdict::Send(whole);
        }
        if count == self.unsent {
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.9.1.2
            //# the TCP implementation MAY aggregate the data internally without sending it (MAY-16).
            return Verdict::Hold(if self.nagle == Nagle::Cork { Hold::Corked } else { Hold::Small });
        }
        //= https://www.rfc-editor.org/rfc/rfc3042#section-2
        //# The receiver's advertised window allows the transmission of the segment (3042:2-2).
        if self.usable > self.room {
            return Verdict::Hold(Hold::Congestion);
        }
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.2.1
        //# if at least a fraction Fs of the maximum window can be sent
        let worthwhile = self.resending || self.forced || count >= self.wnd_max / 2;
        if count > 0 && worthwhile { Verdict::Send(count) } else { Verdict::Hold(Hold::Window) }
    }

    /// Whether the congestion window is what bounds this offer.
    pub(super) fn congestion_limited(&self) -> bool {
        self.room < self.unsent.min(self.usable)
    }

    fn tail_may_go(&self) -> bool {
        self.nagle == Nagle::Pass || self.resending || self.forced
    }
}
