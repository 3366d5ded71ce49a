//! What is lost, as far as cumulative acknowledgements tell: NewReno (RFC 6582), limited transmit (RFC 3042), go-back-N after a timeout.
//!
//! Of the two variants of RFC 6582 3.2 this is the impatient one, which the RFC recommends: only the first partial ACK restarts the
//! retransmission timer, so that a window with many losses falls back to slow start instead of repairing one segment a round trip.

use super::SeqNum;

/// Where the sender is in repairing a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repair {
    /// Nothing is known to be lost.
    None,
    /// Fast recovery until everything below the mark is acknowledged.
    Fast { partial_seen: bool },
    /// The retransmission timer expired; everything below the mark is sent again in order.
    Timeout,
}

/// The loss detector.
#[derive(Debug)]
pub(super) struct Recovery {
    repair: Repair,
    /// `recover` of RFC 6582, exclusive: SND.NXT when the last repair began.
    recover: SeqNum,
    duplicates: u32,
    /// Window inflation by segments that have left the network, bytes.
    inflation: u32,
}

/// Duplicate ACKs that tell a loss.
const THRESHOLD: u32 = 3;

/// What a duplicate ACK means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnDuplicate {
    /// Not yet a loss, or part of a repair under way.
    Nothing,
    /// A segment is lost: retransmit it, fast recovery begins.
    Retransmit,
}

/// What an ACK of new data means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnAck {
    /// No repair is under way.
    Clean,
    /// A repair after a timeout is under way or just over.
    AfterTimeout,
    /// Fast recovery goes on: the next hole is at SND.UNA. `first`: restart the retransmission timer.
    Partial { first: bool },
    /// Fast recovery is over.
    Full,
}

impl Recovery {
    pub(super) const fn new(iss: SeqNum) -> Self {
        Self { repair: Repair::None, recover: iss, duplicates: 0, inflation: 0 }
    }

    /// Counts a duplicate ACK for `una`; `nxt` is SND.NXT.
    pub(super) fn on_duplicate(&mut self, una: SeqNum, nxt: SeqNum, mss: u32) -> OnDuplicate {
        self.duplicates = self.duplicates.saturating_add(1);
        match self.repair {
            Repair::Fast { .. } => {
                self.inflation = self.inflation.saturating_add(mss);
                return OnDuplicate::Nothing;
            }
            Repair::Timeout => return OnDuplicate::Nothing,
            Repair::None => {}
        }
        //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
        //# When the third duplicate ACK is received, the TCP sender first checks the value of recover to see if the Cumulative Acknowledgment field covers more than recover.
        if self.duplicates < THRESHOLD || !una.after(self.recover) {
            //= https://www.rfc-editor.org/rfc/rfc3042#section-2
            //# The amount of outstanding data would remain less than or equal to the congestion window plus 2 segments.
            self.inflation = mss.saturating_mul(self.duplicates.min(THRESHOLD - 1));
            return OnDuplicate::Nothing;
        }
        self.repair = Repair::Fast { partial_seen: false };
        self.recover = nxt;
        self.inflation = mss.saturating_mul(THRESHOLD);
        OnDuplicate::Retransmit
    }

    /// SND.UNA has moved to `una` by `bytes`.
    pub(super) fn on_ack(&mut self, una: SeqNum, bytes: u32, mss: u32) -> OnAck {
        self.duplicates = 0;
        match self.repair {
            Repair::None => {
                self.inflation = 0;
                self.keep_mark_near(una);
                OnAck::Clean
            }
            Repair::Timeout => {
                self.inflation = 0;
                if una.at_or_after(self.recover) {
                    self.repair = Repair::None;
                }
                OnAck::AfterTimeout
            }
            Repair::Fast { .. } if una.at_or_after(self.recover) => {
                self.inflation = 0;
                self.repair = Repair::None;
                OnAck::Full
            }
            Repair::Fast { partial_seen } => {
                //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
                //# Deflate the congestion window by the amount of new data acknowledged by the Cumulative Acknowledgment field.
                self.inflation = self.inflation.saturating_sub(bytes);
                if bytes >= mss {
                    self.inflation = self.inflation.saturating_add(mss);
                }
                self.repair = Repair::Fast { partial_seen: true };
                OnAck::Partial { first: !partial_seen }
            }
        }
    }

    /// The retransmission timer has expired; `nxt` is SND.NXT.
    pub(super) const fn on_timeout(&mut self, nxt: SeqNum) {
        self.repair = Repair::Timeout;
        self.recover = nxt;
        self.duplicates = 0;
        self.inflation = 0;
    }

    /// Bytes beyond the congestion window that may be in flight.
    pub(super) const fn inflation(&self) -> u32 {
        self.inflation
    }

    /// Where the sender is.
    pub(super) const fn repair(&self) -> Repair {
        self.repair
    }

    /// Duplicate ACKs in a row.
    pub(super) const fn duplicates(&self) -> u32 {
        self.duplicates
    }

    /// A mark left 2^30 bytes behind would turn into the future when the numbers wrap.
    fn keep_mark_near(&mut self, una: SeqNum) {
        const FAR: u32 = 1 << 30;
        if una.since(self.recover) > FAR {
            self.recover = una - FAR;
        }
    }
}
