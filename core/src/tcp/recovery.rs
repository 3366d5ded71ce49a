//! The repair of a loss: when it begins, what an ACK means meanwhile, when it ends or turns out to have been for nothing.
//!
//! What is lost is told by RACK (RFC 8985) where the peer acknowledges selectively, else by duplicate ACKs (NewReno, RFC 6582); by the retransmission
//! timer at last. How the window is led down is PRR's (RFC 6937), how far the controller's.
//!
//! Without SACK, of the two variants of RFC 6582 3.2 this is the impatient one, which the RFC recommends: only the first partial ACK restarts the
//! retransmission timer, so that a window with many losses falls back to slow start instead of repairing one segment a round trip.

use super::SeqNum;
use super::connection::Open;
use super::flight::{Cause, Losses};
use super::prr::{Prr, Told};
use super::rack::{DUP_THRESH, Path};
use super::timer::Timer;
use super::undo::Undo;
use crate::counters::Counters;
use crate::pack::packed;
use crate::time::{Duration, Instant};
use std::ops::Range;

/// Where the sender is in repairing a loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repair {
    /// Nothing is to be repaired.
    None,
    /// Fast recovery until everything below the mark is acknowledged.
    Fast,
    /// The retransmission timer expired; everything below the mark that had time to arrive is taken for lost.
    Timeout,
}

/// What is done to find out whether a timeout was spurious (RFC 5682).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frto {
    /// Nothing.
    Off,
    /// Step 1: the first segment is sent again, the first ACK is waited for.
    Waiting,
    /// Step 2b: new data is sent instead of what is lost.
    New,
}

/// A tail loss probe under way (RFC 8985 section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Probe {
    /// TLP.end_seq: SND.NXT when it was sent.
    pub(super) end: SeqNum,
    /// TLP.is_retrans: it carried nothing new.
    pub(super) again: bool,
}

/// The state of repairing.
#[derive(Debug)]
pub(super) struct Recovery {
    pub(super) repair: Repair,
    /// RecoveryPoint of RFC 6675, `recover` of RFC 6582, exclusive: SND.NXT when the last repair began.
    pub(super) recover: SeqNum,
    /// ACKs without progress, or with news in their blocks, since SND.UNA moved.
    pub(super) duplicates: u32,
    /// FlightSize when the first of them came: what was sent since is limited transmit.
    before: u32,
    /// Without SACK: bytes that duplicate ACKs tell to have left the network.
    pub(super) heard: u32,
    /// A partial ACK came in this fast recovery.
    pub(super) partial_seen: bool,
    pub(super) prr: Option<Prr>,
    pub(super) undo: Undo,
    pub(super) frto: Frto,
    pub(super) probe: Option<Probe>,
    /// A round trip was measured since the last probe, or since the beginning.
    pub(super) measured: bool,
}

/// What one segment told of what was sent.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    /// SND.UNA has moved by so many bytes.
    pub(super) advanced: u32,
    /// Acknowledgements that it stands for.
    pub(super) acks: u32,
    /// Bytes that were not known to have arrived.
    pub(super) delivered: u32,
    /// Of these, told by blocks.
    pub(super) sacked: u32,
    /// Something below the mark arrived that was sent once only.
    pub(super) original: bool,
    /// Of these, bytes that were sent more than once.
    pub(super) copied: u32,
    /// An ACK without progress, with none of what would explain that.
    pub(super) duplicate: bool,
    /// What the peer received twice.
    pub(super) twice: Option<Range<SeqNum>>,
    /// The echoed timestamp.
    pub(super) echo: Option<u32>,
    /// It has ECE: a router has marked what was sent.
    pub(super) echo_of_mark: bool,
}

impl Recovery {
    pub(super) const fn new(iss: SeqNum) -> Self {
        Self {
            repair: Repair::None,
            //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
            //# When the TCP protocol control block is initialized, recover is set to the initial send sequence number (6582:3.2-1).
            recover: iss,
            duplicates: 0,
            before: 0,
            heard: 0,
            partial_seen: false,
            prr: None,
            undo: Undo::NONE,
            frto: Frto::Off,
            probe: None,
            measured: true,
        }
    }

    /// Counts an ACK that tells of something beyond a hole; `flight` bytes are outstanding.
    pub(super) fn count(&mut self, flight: u32) {
        if self.duplicates == 0 {
            self.before = flight;
        }
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5
        //# the TCP MUST increase DupAcks by one and take the following steps (6675:5-3).
        self.duplicates = self.duplicates.saturating_add(1);
    }

    /// FlightSize when a loss is told, `outstanding` bytes being so now.
    //= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
    //# When [RFC3042] is in use, additional data sent in limited transmit MUST NOT be included in this calculation (5681:3.2-8).
    const fn flight_size(&self, outstanding: u32) -> u32 {
        if self.duplicates > 0 && self.before < outstanding { self.before } else { outstanding }
    }

    /// A mark left 2^30 bytes behind would turn into the future when the numbers wrap.
    pub(super) fn keep_mark_near(&mut self, una: SeqNum) {
        const FAR: u32 = 1 << 30;
        if una.since(self.recover) > FAR && una.at_or_after(self.recover) {
            self.recover = una - FAR;
        }
    }
}

impl Open {
    /// Whether the peer acknowledges selectively.
    pub(super) const fn selective(&self) -> bool {
        self.snd.selective
    }

    /// Bytes in the network, as far as is known.
    //= https://www.rfc-editor.org/rfc/rfc6675#section-4
    //# MUST set the "pipe" variable to an estimate of the number of octets that are currently in transit between the TCP sender and the TCP receiver (6675:4-5).
    pub(super) fn pipe(&self) -> u32 {
        self.snd.flight.pipe().saturating_sub(self.recovery.heard)
    }

    /// What RACK's patience depends on.
    fn path(&self) -> Path {
        let (mss, held) = (self.snd.mss, self.snd.flight.held());
        //= https://www.rfc-editor.org/rfc/rfc6675#section-4
        //# The routine returns true when either DupThresh discontiguous SACKed sequences have arrived above 'SeqNum' or more than (DupThresh - 1) * SMSS bytes with sequence numbers greater than 'SeqNum' have been SACKed (6675:4-4).
        let enough = self.recovery.duplicates >= DUP_THRESH
            || self.snd.flight.held_ranges() >= DUP_THRESH as usize
            || held > mss.saturating_mul(DUP_THRESH - 1);
        Path {
            least: self.rtt.least().unwrap_or_default(),
            smoothed: self.rtt.smoothed().unwrap_or_default(),
            //= https://www.rfc-editor.org/rfc/rfc8985#section-3.3.2
            //# The reordering window SHOULD be set to zero if no reordering has been observed on the connection so far, and either (a) three segments have been SACKed since the last recovery or (b) the sender is already in fast or RTO recovery (8985:3.3.2-1).
            eager: enough || self.recovery.repair != Repair::None,
        }
    }

    /// Age up to which something sent is left alone by a retransmission timeout.
    pub(super) fn patience(&self) -> Duration {
        if !self.selective() {
            return Duration::ZERO;
        }
        self.rack.reach(self.path()).map_or(Duration::ZERO, |(_, window)| window)
    }

    /// Looks for losses; sets the timer for what may turn out lost.
    pub(super) fn look_for_losses(&mut self, now: Instant, timer: bool) -> Losses {
        let path = self.path();
        let reach = if timer { self.rack.reach(path) } else { self.rack.look(path) };
        let Some((latest, window)) = reach else { return Losses::default() };
        let losses = self.snd.flight.detect(now, latest, window);
        match losses.wait {
            //= https://www.rfc-editor.org/rfc/rfc8985#section-6.2
            //# it is RECOMMENDED that the sender install a reordering timer. This timer expires at the earliest moment when RACK would conclude that all the unacknowledged segments within the reordering window were lost (8985:6.2-14).
            Some(wait) => {
                self.timers.set(Timer::Reorder, now + wait.max(TICK));
                self.stop_tail();
            }
            None => self.timers.clear(Timer::Reorder),
        }
        losses
    }

    /// RACK's timer has expired: what was given time to arrive may be lost.
    pub(super) fn reorder_timeout(&mut self, now: Instant, counters: &mut Counters) {
        let losses = self.look_for_losses(now, true);
        if losses.bytes > 0 {
            self.lost(now, losses, 0, counters);
            // As if the ACK of one segment had told it, as in Linux.
            self.lead_down(self.snd.mss, false);
        }
    }

    /// Something turned out lost; `unspent` bytes could have been sent before that was known.
    pub(super) fn lost(&mut self, now: Instant, losses: Losses, unspent: u32, counters: &mut Counters) {
        if losses.probe {
            self.probe_lost(now, &losses, counters);
        }
        match self.recovery.repair {
            //= https://www.rfc-editor.org/rfc/rfc8985#section-6.2
            //# the sender also enters fast recovery when there are any number of SACKed segments, as long as the reorder window has passed for some non-SACKed segments (8985:6.2-12).
            //= https://www.rfc-editor.org/rfc/rfc6675#section-5
            //# If DupAcks < DupThresh but IsLost (HighACK + 1) returns true (6675:5-5).
            Repair::None if losses.data => self.begin(now, unspent, counters),
            //= https://www.rfc-editor.org/rfc/rfc5681#section-4.3
            //# Loss in two successive windows of data, or the loss of a retransmission, should be taken as two indications of congestion and, therefore, cwnd (and ssthresh) MUST be lowered twice in this case (5681:4.3-4).
            Repair::Timeout if losses.again => self.begin(now, 0, counters),
            //= https://www.rfc-editor.org/rfc/rfc6675#section-5.1
            //# a new recovery phase (as described in Section 5) MUST NOT be initiated until HighACK is greater than or equal to the new value of RecoveryPoint (6675:5.1-6).
            Repair::None | Repair::Fast | Repair::Timeout => {}
        }
    }

    /// Fast recovery begins; `unspent` bytes could have been sent before.
    //= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
    //# The TCP sender SHOULD use the "fast retransmit" algorithm to detect and repair loss, based on incoming duplicate ACKs (5681:3.2-3).
    pub(super) fn begin(&mut self, now: Instant, unspent: u32, counters: &mut Counters) {
        let outstanding = self.snd.outstanding();
        // After a timeout most of what is outstanding is lost, and not in flight.
        let most = if self.recovery.repair == Repair::Timeout { self.congestion.window() } else { u32::MAX };
        let flight = self.recovery.flight_size(outstanding.saturating_add(unspent)).min(most);
        let recovery = &mut self.recovery;
        recovery.repair = Repair::Fast;
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5
        //# RecoveryPoint = HighData (6675:5-7).
        //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
        //# If so, the value of recover is incremented to the value of the highest sequence number transmitted by the TCP so far (6582:3.2-3).
        // A mark has begun the reduction already, and ends it: what is lost behind that is another.
        let led = self.ecn.hand_over();
        recovery.recover = led.unwrap_or(self.snd.nxt);
        recovery.partial_seen = false;
        recovery.frto = Frto::Off;
        //= https://www.rfc-editor.org/rfc/rfc8985#section-7.1
        //# Reset TLP.is_retrans and TLP.end_seq when initiating a connection, fast recovery, or RTO recovery (8985:7.1-1).
        recovery.probe = None;
        //= https://www.rfc-editor.org/rfc/rfc6937#section-3
        //# At the beginning of recovery, initialize PRR state (6937:3-1).
        recovery.prr = recovery.prr.filter(|_| led.is_some()).or(Some(Prr::new(outstanding, unspent)));
        recovery.undo.begin(self.snd.una, self.snd.flight.again());
        //= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
        //# When the third duplicate ACK is received, a TCP MUST set ssthresh to no more than the value given in equation (4) (5681:3.2-7).
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5
        //# The congestion window (cwnd) and slow start threshold (ssthresh) are reduced to half of FlightSize per [RFC5681] (6675:5-8).
        if led.is_some() {
            recovery.undo.keep();
        } else {
            self.reduce(now, flight);
        }
        self.lead_down(0, false);
        self.snd.timed = None;
        self.stop_tail();
        self.timers.set(Timer::Retransmit, now + self.rto());
        counters.tcp_fast_retransmits += 1;
        counters.tcp_sack_recoveries += u64::from(self.selective());
    }

    /// The window on its way down to ssthresh.
    pub(super) fn lead_down(&mut self, delivered: u32, progress: bool) {
        let (pipe, mss) = (self.pipe(), self.snd.mss);
        let threshold = self.congestion.threshold();
        let Some(prr) = &mut self.recovery.prr else { return };
        let window = prr.on_ack(Told { delivered, pipe, threshold, mss, progress });
        self.congestion.set_window(window.max(mss));
    }

    /// Everything was repaired, or nothing was to be.
    pub(super) fn settle(&mut self, now: Instant) {
        let repair = self.recovery.repair;
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5
        //# Any information contained in the scoreboard for sequence numbers greater than the new value of HighACK SHOULD NOT be cleared when leaving the loss recovery phase (6675:5-13).
        self.recovery.repair = Repair::None;
        self.recovery.frto = Frto::Off;
        self.recovery.prr = None;
        self.recovery.heard = 0;
        if repair != Repair::None {
            self.rack.on_recovered();
        }
        if repair == Repair::Fast {
            //= https://www.rfc-editor.org/rfc/rfc5681#section-4.3
            //# after all loss in the given window of segments has been successfully retransmitted, cwnd MUST be set to no more than ssthresh and congestion avoidance MUST be used to further increase cwnd (5681:4.3-3).
            //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
            //# Set cwnd to either (1) min (ssthresh, max(FlightSize, SMSS) + SMSS) or (2) ssthresh (6582:3.2-4).
            self.restored(now);
        }
    }

    /// The reduction was for nothing: cwnd and ssthresh are as before, and nothing is lost.
    pub(super) fn undo(&mut self, now: Instant, counters: &mut Counters) {
        let fast = self.recovery.repair == Repair::Fast;
        self.recovery.repair = Repair::None;
        self.recovery.frto = Frto::Off;
        self.recovery.prr = None;
        let kept = self.recovery.undo.is_kept();
        self.recovery.undo.end();
        //= https://www.rfc-editor.org/rfc/rfc5682#section-3.1
        //# If the algorithm exits with SpuriousRecovery set to SPUR_TO, "RecoveryPoint" is set to SND.UNA, thus allowing fast recovery on incoming duplicate acknowledgments (5682:3.1-16).
        //= https://www.rfc-editor.org/rfc/rfc5682#section-2.1
        //# If the acknowledgment advances the window (i.e., if it acknowledges data that was not retransmitted after the timeout), declare the timeout spurious, set SpuriousRecovery to SPUR_TO, and set the value of the "recover" variable to SND.UNA (the oldest unacknowledged sequence number [Pos81]) (5682:2.1-13).
        self.recovery.recover = self.snd.una - 1;
        //= https://www.rfc-editor.org/rfc/rfc4015#section-3.1
        //# ssthresh <- pipe_prev (4015:3.1-9).
        if kept {
            self.unvalidate();
        } else {
            self.reinstated(now);
            self.ecn.on_undo();
        }
        //= https://www.rfc-editor.org/rfc/rfc4015#section-3.1
        //# Resume the transmission with previously unsent data: Set SND.NXT <- SND.MAX (4015:3.1-6).
        //= https://www.rfc-editor.org/rfc/rfc5682#section-4
        //# When the retransmission timeout is detected to be spurious, the TCP sender should not continue retransmitting based on the timeout (5682:4-1).
        self.snd.flight.find_all();
        //= https://www.rfc-editor.org/rfc/rfc5682#section-3.1
        //# If there are unacknowledged holes between the received SACK information, those segments are retransmitted similarly to the conventional SACK recovery algorithm [BAFW03] (5682:3.1-15).
        self.rack.look_again();
        self.pending.head = false;
        self.snd.retries = 0;
        if fast {
            self.rack.on_recovered();
        }
        counters.tcp_undos += 1;
    }

    /// The retransmission timer expired; `again`: without progress since it did before.
    pub(super) fn begin_timeout(&mut self, now: Instant, again: bool, frto: bool) {
        let reneged = self.snd.flight.has_reneged();
        if reneged {
            self.snd.flight.renege(now);
        }
        let recovery = &mut self.recovery;
        //= https://www.rfc-editor.org/rfc/rfc4015#section-3.1
        //# The algorithm MUST NOT be reinitiated after a timeout-based loss recovery has already been started but not completed (4015:3.1-3).
        //= https://www.rfc-editor.org/rfc/rfc3522#section-3.2
        //# The Eifel detection algorithm MUST NOT be reinitiated after loss recovery has already started (3522:3.2-3).
        if recovery.repair != Repair::Timeout {
            recovery.undo.begin(self.snd.una, self.snd.flight.again());
        }
        //= https://www.rfc-editor.org/rfc/rfc5682#section-3.1
        //# This algorithm SHOULD NOT be applied if the TCP sender is already in loss recovery when a retransmission timeout occurs (5682:3.1-3).
        //= https://www.rfc-editor.org/rfc/rfc5682#section-3.1
        //# If "RecoveryPoint" is larger than or equal to SND.UNA, do not enter step 2 of this algorithm (5682:3.1-6).
        let anew = recovery.repair == Repair::None || (again && recovery.frto != Frto::Off);
        let wondering = frto && !reneged && anew;
        //= https://www.rfc-editor.org/rfc/rfc5682#section-2.1
        //# If the retransmission timer expires again during the execution of the F-RTO algorithm, the TCP sender MUST re-start the algorithm processing from step 1 (5682:2.1-2).
        //= https://www.rfc-editor.org/rfc/rfc5682#section-2.1
        //# When the retransmission timer expires, retransmit the first unacknowledged segment and set SpuriousRecovery to FALSE (5682:2.1-5).
        recovery.frto = if wondering { Frto::Waiting } else { Frto::Off };
        // In fast recovery the window may still be on its way down.
        let most = if recovery.repair == Repair::Fast { self.congestion.threshold() } else { u32::MAX };
        //= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.2
        //# In addition, the TCP source should not decrease the slow-start threshold, ssthresh, if it has been decreased within the last round trip time (3168:6.1.2-9).
        let led = self.ecn.hand_over().is_some();
        if led {
            recovery.undo.keep();
        }
        self.unvalidate();
        self.congestion.on_timeout(now, self.snd.outstanding().min(most), again || led);
        self.ecn.on_reduction();
        //= https://www.rfc-editor.org/rfc/rfc8985#section-6.3
        //# for all the other segments, RACK only marks the segment as lost if the time elapsed since the segment was transmitted is at least the sum of the recent RTT and the reordering window (8985:6.3-2).
        let patience = if reneged { Duration::ZERO } else { self.patience() };
        self.lose_flight(now, patience, Cause::Timeout);
        //= https://www.rfc-editor.org/rfc/rfc2018#section-5
        //# The data sender MUST retransmit the segment at the left edge of the window after a retransmit timeout, whether or not the SACKed bit is on for that segment (2018:5-3).
        //= https://www.rfc-editor.org/rfc/rfc6298#section-5
        //# Retransmit the earliest segment that has not been acknowledged by the TCP receiver (6298:5-5).
        //= https://www.rfc-editor.org/rfc/rfc8985#section-6.3
        //# Upon RTO timer expiration, RACK marks the first outstanding segment as lost (since it was sent an RTO ago) (8985:6.3-1).
        self.pending.head = true;
    }

    /// Everything in flight is to be sent again, but what had no time to arrive.
    pub(super) fn lose_flight(&mut self, now: Instant, patience: Duration, cause: Cause) {
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5.1
        //# a SACK TCP sender SHOULD utilize all SACK information made available during the loss recovery following an RTO (6675:5.1-3).
        self.snd.flight.lose_all(now, patience, cause);
        let recovery = &mut self.recovery;
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5.1
        //# the new value of RecoveryPoint MUST be preserved and the loss recovery algorithm outlined in this document MUST be terminated (6675:5.1-5).
        //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
        //# After a retransmit timeout, record the highest sequence number transmitted in the variable recover, and exit the fast recovery procedure if applicable (6582:3.2-13).
        recovery.repair = Repair::Timeout;
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5.1
        //# If an RTO occurs during loss recovery as specified in this document, RecoveryPoint MUST be set to HighData (6675:5.1-4).
        recovery.recover = self.snd.nxt;
        recovery.duplicates = 0;
        recovery.heard = 0;
        recovery.prr = None;
        recovery.probe = None;
        self.timers.clear(Timer::Reorder);
        self.stop_tail();
    }
}

/// The timer is not set shorter than this, so that a clock that stands still is not asked for ever.
const TICK: Duration = Duration::from_micros(1);

packed!(
    enum Repair {
        None,
        Fast,
        Timeout,
    }
);
packed!(
    enum Frto {
        Off,
        Waiting,
        New,
    }
);
packed!(Probe { end, again });
packed!(Recovery {
    repair,
    recover,
    duplicates,
    before,
    heard,
    partial_seen,
    prr,
    undo,
    frto,
    probe,
    measured
});
