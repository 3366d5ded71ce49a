//! When a loss is told and when it is repaired: by the scoreboard's word (RFC 6675), or as far as cumulative acknowledgements tell (NewReno, RFC 6582);
//! limited transmit (RFC 3042), go-back-N after a timeout.
//!
//! Without SACK, of the two variants of RFC 6582 3.2 this is the impatient one, which the RFC recommends: only the first partial ACK restarts the
//! retransmission timer, so that a window with many losses falls back to slow start instead of repairing one segment a round trip.

use super::SeqNum;
use super::scoreboard::DUP_THRESH;

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
    /// `recover` of RFC 6582, RecoveryPoint of RFC 6675, exclusive: SND.NXT when the last repair began.
    recover: SeqNum,
    duplicates: u32,
    /// SND.NXT when the first of them came: what was sent since is limited transmit.
    before: SeqNum,
    /// RescueRxt of RFC 6675, exclusive.
    rescue: SeqNum,
    /// Window inflation by segments that have left the network, bytes.
    inflation: u32,
}

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
        //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
        //# When the TCP protocol control block is initialized, recover is set to the initial send sequence number (6582:3.2-1).
        Self { repair: Repair::None, recover: iss, duplicates: 0, before: iss, rescue: iss, inflation: 0 }
    }

    /// Counts a duplicate ACK for `una`; `nxt` is SND.NXT.
    pub(super) fn on_duplicate(&mut self, una: SeqNum, nxt: SeqNum, mss: u32) -> OnDuplicate {
        self.count(nxt);
        match self.repair {
            Repair::Fast { .. } => {
                //= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
                //# For each additional duplicate ACK received (after the third), cwnd MUST be incremented by SMSS (5681:3.2-10).
                self.inflation = self.inflation.saturating_add(mss);
                return OnDuplicate::Nothing;
            }
            Repair::Timeout => return OnDuplicate::Nothing,
            Repair::None => {}
        }
        //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
        //# When the third duplicate ACK is received, the TCP sender first checks the value of recover to see if the Cumulative Acknowledgment field covers more than recover (6582:3.2-2).
        if self.duplicates < DUP_THRESH || !una.after(self.recover) {
            //= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
            //# On the first and second duplicate ACKs received at a sender, a TCP SHOULD send a segment of previously unsent data per [RFC3042] (5681:3.2-4).
            //= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
            //# the TCP sender MUST NOT change cwnd to reflect these two segments (5681:3.2-5).
            //= https://www.rfc-editor.org/rfc/rfc3042#section-2
            //# The amount of outstanding data would remain less than or equal to the congestion window plus 2 segments (3042:2-3).
            self.inflation = mss.saturating_mul(self.duplicates.min(DUP_THRESH - 1));
            return OnDuplicate::Nothing;
        }
        self.repair = Repair::Fast { partial_seen: false };
        //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
        //# If so, the value of recover is incremented to the value of the highest sequence number transmitted by the TCP so far (6582:3.2-3).
        self.recover = nxt;
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
        //# The lost segment starting at SND.UNA MUST be retransmitted and cwnd set to ssthresh plus 3*SMSS (5681:3.2-9).
        self.inflation = mss.saturating_mul(DUP_THRESH);
        OnDuplicate::Retransmit
    }

    /// Counts a segment with SACK blocks that told something new; `lost`: the scoreboard says that the byte at SND.UNA is lost.
    pub(super) fn on_sack(&mut self, nxt: SeqNum, lost: bool) -> OnDuplicate {
        self.count(nxt);
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5
        //# If DupAcks >= DupThresh, go to step (4) (6675:5-4).
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5
        //# If DupAcks < DupThresh but IsLost (HighACK + 1) returns true (6675:5-5).
        let enough = self.duplicates >= DUP_THRESH || lost;
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5.1
        //# a new recovery phase (as described in Section 5) MUST NOT be initiated until HighACK is greater than or equal to the new value of RecoveryPoint (6675:5.1-6).
        if self.repair != Repair::None || !enough {
            return OnDuplicate::Nothing;
        }
        self.repair = Repair::Fast { partial_seen: false };
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5
        //# RecoveryPoint = HighData (6675:5-7).
        self.recover = nxt;
        OnDuplicate::Retransmit
    }

    fn count(&mut self, nxt: SeqNum) {
        if self.duplicates == 0 {
            self.before = nxt;
        }
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5
        //# the TCP MUST increase DupAcks by one and take the following steps (6675:5-3).
        self.duplicates = self.duplicates.saturating_add(1);
    }

    /// FlightSize when a loss is told; `una` is SND.UNA.
    //= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
    //# When [RFC3042] is in use, additional data sent in limited transmit MUST NOT be included in this calculation (5681:3.2-8).
    pub(super) const fn flight_size(&self, una: SeqNum) -> u32 {
        self.before.since(una)
    }

    /// The first segment of fast recovery has been sent, up to `end`.
    //= https://www.rfc-editor.org/rfc/rfc6675#section-5
    //# To prevent repeated retransmission of the same data or a premature rescue retransmission, set both HighRxt and RescueRxt to the highest sequence number in the retransmitted segment (6675:5-10).
    pub(super) const fn head_sent(&mut self, end: SeqNum) {
        self.rescue = end;
    }

    /// Whether the end of what is in flight may be sent again, once in a recovery (rule 4 of NextSeg()).
    pub(super) fn may_rescue(&self, una: SeqNum) -> bool {
        una.after(self.rescue)
    }

    /// It has been sent.
    pub(super) const fn rescued(&mut self) {
        self.rescue = self.recover;
    }

    /// SND.UNA has moved to `una` by `bytes`.
    pub(super) fn on_ack(&mut self, una: SeqNum, bytes: u32, mss: u32) -> OnAck {
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5
        //# If the incoming ACK is a cumulative acknowledgment, the TCP MUST reset DupAcks to zero (6675:5-2).
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
            //= https://www.rfc-editor.org/rfc/rfc6675#section-5
            //# An incoming cumulative ACK for a sequence number greater than RecoveryPoint signals the end of loss recovery, and the loss recovery phase MUST be terminated (6675:5-12).
            //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
            //# Exit the fast recovery procedure (6582:3.2-6).
            Repair::Fast { .. } if una.at_or_after(self.recover) => {
                self.inflation = 0;
                self.repair = Repair::None;
                OnAck::Full
            }
            Repair::Fast { partial_seen } => {
                //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
                //# Deflate the congestion window by the amount of new data acknowledged by the Cumulative Acknowledgment field (6582:3.2-8).
                self.inflation = self.inflation.saturating_sub(bytes);
                //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
                //# If the partial ACK acknowledges at least one SMSS of new data, then add back SMSS bytes to the congestion window (6582:3.2-9).
                if bytes >= mss {
                    self.inflation = self.inflation.saturating_add(mss);
                }
                //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
                //# Do not exit the fast recovery procedure (6582:3.2-11).
                self.repair = Repair::Fast { partial_seen: true };
                OnAck::Partial { first: !partial_seen }
            }
        }
    }

    /// The retransmission timer has expired; `nxt` is SND.NXT.
    pub(super) const fn on_timeout(&mut self, nxt: SeqNum) {
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5.1
        //# the new value of RecoveryPoint MUST be preserved and the loss recovery algorithm outlined in this document MUST be terminated (6675:5.1-5).
        //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
        //# After a retransmit timeout, record the highest sequence number transmitted in the variable recover, and exit the fast recovery procedure if applicable (6582:3.2-13).
        self.repair = Repair::Timeout;
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5.1
        //# If an RTO occurs during loss recovery as specified in this document, RecoveryPoint MUST be set to HighData (6675:5.1-4).
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
