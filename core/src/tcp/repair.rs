//! What an ACK means for the repair of a loss.

use super::flight::Losses;
use super::input::Step;
use super::rack::DUP_THRESH;
use super::recovery::{Frto, Heard, Repair};
use super::undo::Needless;

impl Step<'_, '_> {
    /// Draws the conclusions from what a segment told. `new`: bytes that wait to be sent for the first time; `unspent`: those of them that the window had room for
    /// before the segment. True: the retransmission timer begins anew.
    pub(super) fn repair(&mut self, heard: &Heard, new: u32, unspent: u32) -> bool {
        let now = self.now;
        self.tail_probe_answered(heard);
        self.on_echo(heard);
        let recovered = self.open.snd.una.at_or_after(self.open.recovery.recover);
        let fast = self.open.recovery.repair == Repair::Fast;
        let mut rearm = true;
        match self.open.recovery.repair {
            Repair::None => {
                if heard.advanced > 0 {
                    self.open.recovery.heard = 0;
                    self.open.recovery.keep_mark_near(self.open.snd.una);
                }
                if self.open.recovery.undo.all_needless() {
                    self.late(heard);
                    self.undo(Needless::Copies);
                }
            }
            Repair::Fast => rearm = self.fast(heard, recovered),
            Repair::Timeout => self.timeout(heard, recovered, new > 0),
        }
        let losses = self.losses(heard);
        if losses.bytes > 0 {
            self.open.lost(now, losses, unspent, self.cx.counters);
        }
        // What was lost behind the end of a recovery is the beginning of the next.
        if fast && self.open.recovery.repair == Repair::None && self.open.snd.flight.lost() > 0 {
            self.open.begin(now, 0, self.cx.counters);
        }
        if self.open.recovery.repair == Repair::Fast {
            //= https://www.rfc-editor.org/rfc/rfc6675#section-5
            //# Once a TCP is in the loss recovery phase, the following procedure MUST be used for each arriving ACK (6675:5-11).
            let progress = heard.advanced > 0 && losses.bytes == 0;
            //= https://www.rfc-editor.org/rfc/rfc6675#section-5
            //# Upon receipt of an ACK that does not cover RecoveryPoint, the following actions MUST be taken (6675:5-14).
            self.open.lead_down(heard.delivered, progress);
        }
        self.led_by_mark(heard);
        rearm
    }

    /// An ACK in fast recovery.
    fn fast(&mut self, heard: &Heard, recovered: bool) -> bool {
        let original = self.original_arrived(heard);
        let open = &mut *self.open;
        let undo = &open.recovery.undo;
        if recovered {
            let needless = undo.all_needless();
            if needless || original {
                self.late(heard);
                self.undo(Needless::of(needless));
                return true;
            }
            //= https://www.rfc-editor.org/rfc/rfc6675#section-5
            //# An incoming cumulative ACK for a sequence number greater than RecoveryPoint signals the end of loss recovery, and the loss recovery phase MUST be terminated (6675:5-12).
            //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
            //# Exit the fast recovery procedure (6582:3.2-6).
            open.settle(self.now);
            return true;
        }
        let original = heard.advanced > 0 && original && open.snd.flight.again() == 0;
        //= https://www.rfc-editor.org/rfc/rfc3708#section-3
        //# If all segments or chunks marked as retransmitted have also been marked as acknowledged and duplicated, we conclude that all retransmissions in the previous window of data were spurious and no loss occurred (3708:3-8).
        //= https://www.rfc-editor.org/rfc/rfc3708#section-3
        //# If any segment or chunk is still marked as retransmitted but not marked as duplicate, there are outstanding retransmissions that could indicate loss within this window of data. We can make no conclusions based on this particular DSACK/duplicate TSN notification (3708:3-9).
        let needless = undo.all_needless();
        if needless || original {
            self.late(heard);
            self.undo(Needless::of(needless));
            return true;
        }
        let first = !open.recovery.partial_seen;
        if heard.advanced > 0 {
            //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
            //# Do not exit the fast recovery procedure (6582:3.2-11).
            open.recovery.partial_seen = true;
            //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
            //# If this ACK does *not* acknowledge all of the data up to and including recover, then this is a partial ACK. In this case, retransmit the first unacknowledged segment (6582:3.2-7).
            open.pending.head = !open.selective();
        }
        //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
        //# For the first partial ACK that arrives during fast recovery, also reset the retransmit timer (6582:3.2-12).
        first || open.selective()
    }

    /// Whether the ACK is of what was sent first, and not of the copy: the Eifel detection (RFC 3522 3.2, steps 4 and 5).
    //= https://www.rfc-editor.org/rfc/rfc3522#section-3.2
    //# If the value of the Timestamp Echo Reply field of the acceptable ACK's Timestamps option is smaller than the value of RetransmitTS, then proceed to step (5) (3522:3.2-6).
    //= https://www.rfc-editor.org/rfc/rfc3522#section-3.2
    //# If the acceptable ACK carries a DSACK option [RFC2883], then proceed to step (DONE) (3522:3.2-7).
    //= https://www.rfc-editor.org/rfc/rfc3522#section-3.2
    //# if during the lifetime of the TCP connection the TCP sender has previously received an ACK with a DSACK option, or the acceptable ACK does not acknowledge all outstanding data, then proceed to step (6) (3522:3.2-8).
    fn original_arrived(&self, heard: &Heard) -> bool {
        let open = &*self.open;
        // A peer that answers a duplicate echoes the time of what came in order before it; if all its ACKs were lost, that is no sign of haste.
        let told = self.common.stats.dsack_dups > 0 || open.snd.outstanding() > 0;
        open.recovery.undo.original_arrived(heard.echo) && heard.twice.is_none() && told
    }

    /// An ACK after a timeout (RFC 5682 section 2.1, 3.1).
    fn timeout(&mut self, heard: &Heard, recovered: bool, can_send_new: bool) {
        let original = self.original_arrived(heard);
        let open = &mut *self.open;
        let undo = &open.recovery.undo;
        //= https://www.rfc-editor.org/rfc/rfc3522#section-3.2
        //# If the loss recovery has been initiated with a timeout-based retransmit, then set SpuriousRecovery <- SPUR_TO (equal 1) (3522:3.2-9).
        let needless = undo.all_needless();
        if heard.advanced > 0 && (needless || original) {
            self.undo(Needless::of(needless));
            return;
        }
        //= https://www.rfc-editor.org/rfc/rfc5682#section-2.1
        //# The TCP sender SHOULD ignore such segments and wait for a segment that either acknowledges new data or is a duplicate acknowledgment (5682:2.1-4).
        //= https://www.rfc-editor.org/rfc/rfc5682#section-3.1
        //# Either a duplicate ACK or a new cumulative ACK (advancing the window) applies in this step. Other types of ACKs are ignored without any action (5682:3.1-11).
        if open.recovery.frto != Frto::Off {
            //= https://www.rfc-editor.org/rfc/rfc5682#section-3.1
            //# If the Cumulative Acknowledgment field covers "RecoveryPoint" but not more than "RecoveryPoint", revert to the conventional RTO recovery (5682:3.1-8).
            if heard.original && !recovered {
                //= https://www.rfc-editor.org/rfc/rfc5682#section-3.1
                //# If the Cumulative Acknowledgment field or a SACK information in the ACK does not cover more than "RecoveryPoint" AND it acknowledges data that was not acknowledged earlier (either with cumulative acknowledgment or using SACK information), declare the timeout spurious and set SpuriousRecovery to SPUR_TO (5682:3.1-14).
                self.cx.counters.tcp_spurious_timeouts += 1;
                self.undo(Needless::Timeout);
                return;
            }
            //= https://www.rfc-editor.org/rfc/rfc5682#section-2.1
            //# When the first acknowledgment after the RTO retransmission arrives at the TCP sender, store the highest sequence number transmitted so far in variable "recover" (5682:2.1-7).
            let sent_new = open.snd.nxt.after(open.recovery.recover);
            if sent_new && (heard.sacked > 0 || heard.duplicate) {
                //= https://www.rfc-editor.org/rfc/rfc5682#section-3.1
                //# If the Cumulative Acknowledgment field or the SACK information covers more than "RecoveryPoint", set the congestion window to no more than 3 * MSS and proceed with the conventional RTO recovery, retransmitting unacknowledged segments (5682:3.1-12).
                //= https://www.rfc-editor.org/rfc/rfc5682#section-3.1
                //# Take this branch also when the acknowledgment is a duplicate ACK and it does not acknowledge any new, previously unacknowledged data below "RecoveryPoint" in the SACK information (5682:3.1-13).
                open.recovery.frto = Frto::Off;
            } else if !sent_new && heard.advanced > 0 && !recovered {
                //= https://www.rfc-editor.org/rfc/rfc5682#section-3.1
                //# if the Cumulative Acknowledgment field does not cover "RecoveryPoint" but is larger than SND.UNA, transmit up to two new (previously unsent) segments and proceed to step 3 (5682:3.1-9).
                //= https://www.rfc-editor.org/rfc/rfc5682#section-3.1
                //# If the TCP sender is not able to transmit any previously unsent data -- either due to receiver window limitation or because it does not have any new data to send -- the recommended action is to refrain from entering step 3 of this algorithm (5682:3.1-10).
                open.recovery.frto = if can_send_new { Frto::New } else { Frto::Off };
            }
        }
        if recovered {
            open.settle(self.now);
        } else if heard.advanced > 0 {
            open.recovery.heard = 0;
        }
    }

    /// What was sent again had only been overtaken.
    fn late(&mut self, heard: &Heard) {
        let open = &mut *self.open;
        let by = open.snd.flight.highest() - open.snd.flight.una() + u64::from(heard.advanced);
        open.rack.on_overtaken(u32::try_from(by).unwrap_or(u32::MAX), open.snd.mss);
    }

    fn undo(&mut self, needless: Needless) {
        self.common.undone(self.now, needless);
        self.open.undo(self.now, self.cx.counters);
    }

    /// What turned out lost.
    fn losses(&mut self, heard: &Heard) -> Losses {
        let open = &mut *self.open;
        if open.selective() {
            //= https://www.rfc-editor.org/rfc/rfc8985#section-4
            //# The connection MUST use selective acknowledgment (SACK) options [RFC2018] (8985:4-1).
            return open.look_for_losses(self.now, false);
        }
        let recovery = &open.recovery;
        //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
        //# When the third duplicate ACK is received, the TCP sender first checks the value of recover to see if the Cumulative Acknowledgment field covers more than recover (6582:3.2-2).
        let third = recovery.duplicates >= DUP_THRESH && open.snd.una.after(recovery.recover);
        let lost = match recovery.repair {
            Repair::None => third,
            Repair::Fast => heard.advanced > 0,
            Repair::Timeout => false,
        };
        let bytes = open.first_lost();
        if lost { open.snd.flight.lose_first(bytes) } else { Losses::default() }
    }

    /// What an ACK says of a tail loss probe (RFC 8985 7.4.2).
    fn tail_probe_answered(&mut self, heard: &Heard) {
        let open = &mut *self.open;
        let Some(probe) = open.recovery.probe else { return };
        let una = open.snd.una;
        if una.before(probe.end) {
            return;
        }
        let unmoved = heard.advanced == 0 && heard.delivered == 0;
        //= https://www.rfc-editor.org/rfc/rfc8985#section-7.4.2
        //# If the sender receives an ACK matching either case, then the sender estimates that the receiver received both the original data segment and the TLP probe retransmission (8985:7.4.2-2).
        if probe.again && heard.twice.is_none() && una == probe.end && !unmoved {
            // Original or probe: the next ACK will tell.
            return;
        }
        open.recovery.probe = None;
        if probe.again
            && heard.twice.is_none()
            && una.after(probe.end)
            && open.recovery.repair == Repair::None
            && open.ecn.leading().is_none()
        {
            //= https://www.rfc-editor.org/rfc/rfc8985#section-7.4.2
            //# If the TLP sender does not receive such an indication, then it MUST assume that the original data segment, the TLP retransmission, or a corresponding ACK was lost for congestion control purposes (8985:7.4.2-1).
            //= https://www.rfc-editor.org/rfc/rfc8985#section-7.4.2
            //# The sender then SHOULD invoke a congestion control response equivalent to a fast recovery (8985:7.4.2-4).
            // The probe has repaired a loss that nothing else told of.
            open.reduce(self.now, open.snd.outstanding().saturating_add(heard.advanced));
            open.repaired(heard.copied);
            open.restored(self.now);
            self.cx.counters.tcp_tail_losses += 1;
        }
    }
}
