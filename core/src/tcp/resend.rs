//! What is sent again, and how much may be in flight meanwhile: NextSeg() of RFC 6675, and the segment at SND.UNA without it.

use super::connection::Open;
use super::output::{Reason, Sending};
use super::recovery::Repair;
use super::scoreboard::Scoreboard;
use super::timer::Timer;
use super::{Limits, Outgoing};
use crate::wire::tcp::Flags;

impl Open {
    /// What the peer lacks and is lost, in fast recovery; or, when that is not `certain`, what it lacks below something that it has.
    //= https://www.rfc-editor.org/rfc/rfc5681#section-4.3
    //# We RECOMMEND that TCP implementors employ some form of advanced loss recovery that can cope with multiple losses in a window of data (5681:4.3-5).
    pub(super) fn hole_wanted(&self, limits: &Limits, certain: bool) -> Option<Reason> {
        let (board, room) = self.recovering()?;
        let hole = board.next_hole(certain, self.snd.mss)?;
        let each = self.segment_size();
        //= https://www.rfc-editor.org/rfc/rfc7323#section-2.4
        //# Subsequent retransmissions MAY only be sent if they are within the window announced by the most recent <ACK> (7323:2.4-6).
        let takes = hole.end.min(self.snd.wnd).checked_sub(hole.start).filter(|bytes| *bytes > 0)?;
        let most = if certain { room.min(self.super_frame(limits)) } else { each };
        let bytes = if takes <= most { takes } else { most - most % each };
        (bytes > 0).then_some(Reason::Hole { from: hole.start, bytes })
    }

    //= https://www.rfc-editor.org/rfc/rfc6675#section-4
    //# If HighACK is greater than RescueRxt (or RescueRxt is undefined), then one segment of up to SMSS octets that MUST include the highest outstanding unSACKed sequence number SHOULD be returned, and RescueRxt set to RecoveryPoint (6675:4-10).
    pub(super) fn rescue_wanted(&self) -> Option<Reason> {
        let (board, _) = self.recovering()?;
        let hole = board.last_hole(self.snd.outstanding().min(self.snd.wnd));
        let from = hole.start.max(hole.end.saturating_sub(self.segment_size()));
        //= https://www.rfc-editor.org/rfc/rfc6675#section-4
        //# If the conditions for each of (1), (2), (3), and (4) are not met, then NextSeg () MUST indicate failure, and no segment is returned (6675:4-12).
        let wanted = from < hole.end && self.recovery.may_rescue(self.snd.una);
        wanted.then_some(Reason::Rescue { from, bytes: hole.end - from })
    }

    /// The scoreboard in fast recovery, and what the congestion window leaves, if that is a segment.
    //= https://www.rfc-editor.org/rfc/rfc6675#section-5
    //# Once a TCP is in the loss recovery phase, the following procedure MUST be used for each arriving ACK (6675:5-11).
    fn recovering(&self) -> Option<(&Scoreboard, u32)> {
        let fast = matches!(self.recovery.repair(), Repair::Fast { .. });
        let board = self.snd.scoreboard.as_ref().filter(|_| fast)?;
        let room = self.room();
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5
        //# If cwnd - pipe >= 1 SMSS, the sender SHOULD transmit one or more segments (6675:5-15).
        (room >= self.snd.mss).then_some((board, room))
    }

    /// What the congestion window leaves.
    pub(super) fn room(&self) -> u32 {
        let window = self.congestion.window();
        let Some(board) = &self.snd.scoreboard else {
            //= https://www.rfc-editor.org/rfc/rfc5681#section-3.2
            //# When previously unsent data is available and the new value of cwnd and the receiver's advertised window allow, a TCP SHOULD send 1*SMSS bytes of previously unsent data (5681:3.2-11).
            //= https://www.rfc-editor.org/rfc/rfc6582#section-3.2
            //# Send a new segment if permitted by the new value of cwnd (6582:3.2-10).
            return window.saturating_add(self.recovery.inflation()).saturating_sub(self.snd.flight());
        };
        let mss = self.snd.mss;
        match self.recovery.repair() {
            Repair::Timeout => window.saturating_sub(board.resent_unsacked()),
            //= https://www.rfc-editor.org/rfc/rfc6675#section-5
            //# The TCP MAY transmit previously unsent data segments as per Limited Transmit [RFC5681], except that the number of octets which may be sent is governed by pipe and cwnd (6675:5-6).
            Repair::None => window.saturating_sub(board.pipe(self.snd.flight(), mss)),
            // Less than a segment is no room, or the end of the queue would overtake what is lost.
            Repair::Fast { .. } => {
                //= https://www.rfc-editor.org/rfc/rfc5681#section-4.3
                //# until all lost segments in the window of data in question are repaired, the number of segments transmitted in each RTT MUST be no more than half the number of outstanding segments when the loss was detected (5681:4.3-2).
                let room = window.saturating_sub(board.pipe(self.snd.flight(), mss));
                if room < mss { 0 } else { room }
            }
        }
    }

    /// Moves the cursor over what the peer holds, while everything is sent again.
    pub(super) fn skip_held(&mut self) {
        let (snd, repair) = (&mut self.snd, self.recovery.repair());
        let Some(board) = snd.scoreboard.as_mut().filter(|_| repair == Repair::Timeout) else { return };
        //= https://www.rfc-editor.org/rfc/rfc6675#section-5.1
        //# a SACK TCP sender SHOULD utilize all SACK information made available during the loss recovery following an RTO (6675:5.1-3).
        let offset = board.hole(snd.cursor.since(snd.una), snd.nxt.since(snd.una)).start;
        snd.cursor = snd.una + offset;
        board.resent(offset);
    }

    /// Most bytes of a super-frame.
    pub(super) fn super_frame(&self, limits: &Limits) -> u32 {
        let (most, each) = (u32::try_from(limits.super_frame).unwrap_or(u32::MAX), self.segment_size());
        // Two of them at least are in flight, and in the peer's window, so that the next is made while one is on its way.
        let most = most.min(self.congestion.window() / 2).min(self.snd.wnd_max / 2);
        // Each segment of a super-frame would have the same urgent pointer.
        if self.urgent.sending() { each } else { (most / each).max(1) * each }
    }
}

impl Sending<'_, '_> {
    /// The segment at SND.UNA once more.
    pub(super) fn head(&mut self) -> Outgoing {
        let open = &mut *self.open;
        open.pending.head = false;
        let outstanding = open.snd.outstanding();
        let hole = open.snd.scoreboard.as_ref().map(|board| board.hole(0, outstanding));
        let lacking = hole.filter(|hole| hole.start == 0).map_or(outstanding, |hole| hole.end);
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6
        //# If this happens, the sender SHOULD NOT send new data (SHLD-15), but SHOULD retransmit normally the old unacknowledged data between SND.UNA and SND.UNA+SND.WND (SHLD-16).
        let bytes = lacking.min(open.segment_size()).min(open.snd.wnd.max(1));
        let end = open.snd.una + bytes;
        let segment = self.hole(0, bytes);
        self.open.recovery.head_sent(end);
        segment
    }

    /// Sends again what the peer lacks; HighRxt moves.
    pub(super) fn hole(&mut self, from: u32, bytes: u32) -> Outgoing {
        let segment = self.again(from, bytes);
        let taken: usize = segment.payload.iter().map(bytes::Bytes::len).sum();
        let end = from + taken as u32 + u32::from(segment.flags.has(Flags::FIN));
        if let Some(board) = &mut self.open.snd.scoreboard {
            //= https://www.rfc-editor.org/rfc/rfc6675#section-5
            //# If any of the data octets sent in (C.1) are below HighData, HighRxt MUST be set to the highest sequence number of the retransmitted segment unless NextSeg () rule (4) was invoked for this retransmission (6675:5-17).
            board.resent(end);
        }
        segment
    }

    /// Sends `bytes` at `from` once more, with the FIN if it follows.
    pub(super) fn again(&mut self, from: u32, bytes: u32) -> Outgoing {
        let (una, fin) = (self.open.snd.una, self.open.snd.fin);
        let queued = (self.open.queued(self.buffers) as u32).saturating_sub(from);
        let each = self.open.segment_size();
        let (payload, taken) = self.payload(from as usize, bytes.min(queued));
        let fin = fin == Some(una + from + taken);
        self.count_retransmission(taken);
        let flags = self.flags(taken, queued, fin);
        let mut segment = self.segment(una + from, flags);
        segment.gso_size = if taken > each { u16::try_from(each).unwrap_or(u16::MAX) } else { 0 };
        segment.payload = payload;
        self.open.snd.last_sent = self.now;
        if !self.open.timers.is_set(Timer::Retransmit) {
            self.open.timers.set(Timer::Retransmit, self.now + self.open.rtt.rto());
        }
        segment
    }

    pub(super) fn count_retransmission(&mut self, bytes: u32) {
        let segments = bytes.div_ceil(self.open.segment_size()).max(1);
        self.cx.counters.tcp_retransmits += u64::from(segments);
        self.common.stats.sent_again(segments, bytes);
    }
}
