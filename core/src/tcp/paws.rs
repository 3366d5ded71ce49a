//! PAWS and TS.Recent: whether what arrives is an old duplicate, and which of its timestamps is kept (RFC 7323 sections 4 and 5).

use super::input::{Flow, Step};
use super::segment::Arrival;
use super::timestamps::Timestamps;
use super::{SeqNum, State};
use crate::counters::Drop;
use crate::time::Duration;

impl Step<'_, '_> {
    /// RFC 7323 3.2 and 5.3; `None` lets the segment pass.
    pub(super) fn timestamps(&mut self, arrival: &Arrival) -> Option<Flow> {
        //= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
        //# If a TSopt is received on a connection where TSopt was not negotiated in the initial three-way handshake, the TSopt MUST be ignored and the packet processed normally (7323:3.2-11).
        let stamps = self.open.timestamps.as_ref()?;
        //= https://www.rfc-editor.org/rfc/rfc7323#section-5.2
        //# When an <RST> segment is received, it MUST NOT be subjected to the PAWS check by verifying an acceptable value in SEG.TSval (7323:5.2-5).
        if arrival.rst() {
            return None;
        }
        let Some((tsval, _)) = arrival.timestamps else {
            //= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
            //# If a non-<RST> segment is received without a TSopt, a TCP SHOULD silently drop the segment (7323:3.2-9).
            //= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
            //# A TCP MUST NOT abort a TCP connection because any segment lacks an expected TSopt (7323:3.2-10).
            return Some(self.drop(Drop::TcpNoTimestamp));
        };
        //= https://www.rfc-editor.org/rfc/rfc7323#section-5.3
        //# treat the arriving segment as not acceptable: Send an acknowledgment in reply as specified in Section 3.9 of [RFC0793], page 69, and drop the segment (7323:5.3-3).
        if stamps.is_old(self.now, tsval) {
            let age = stamps.age(tsval);
            if age <= self.lateness() || self.overtaken(arrival, age) {
                return None;
            }
            self.answer_unacceptable(arrival);
            return Some(self.drop(Drop::TcpPaws));
        }
        None
    }

    /// By how much a segment may be older than TS.Recent: a round trip, for as long after a gap was filled. What fills it moves TS.Recent on, and what was sent
    /// just before and is late would have to be sent again behind it, as a loss that was none. Nothing of an earlier turn of the sequence numbers can be so
    /// young, which is what PAWS is for: a round trip carries a window at most, a quarter of the numbers. A clock that ticks too slowly to tell gets nothing.
    /// Linux bears with a millisecond at any time.
    fn lateness(&self) -> Duration {
        let trip = self.open.rtt.smoothed().unwrap_or_default();
        let filled = self.open.rcv.filled.is_some_and(|at| self.now.since(at) < trip);
        let fine = self.open.timestamps.as_ref().is_some_and(Timestamps::is_fine);
        if filled && fine { trip } else { Duration::ZERO }
    }

    /// A pure ACK that another of the same round trip has overtaken: it can move nothing, so it cannot do harm as what PAWS is for does, and its blocks may be
    /// the only word of what has arrived, or of what was sent for nothing. Linux lets it pass as well. `age`: by how much it is older than TS.Recent.
    fn overtaken(&self, arrival: &Arrival, age: Duration) -> bool {
        let (snd, next) = (&self.open.snd, self.open.rcv.nxt);
        let bare = arrival.payload.is_empty() && !arrival.syn() && !arrival.fin() && arrival.seq == next;
        let moves = arrival.ack.is_none_or(|ack| ack.after(snd.una))
            || arrival.ack == Some(snd.una) && arrival.window_bytes(snd.scale) != snd.wnd;
        bare && !moves && age <= self.open.rto()
    }

    /// TS.Recent, before anything is cut off or refused (RFC 7323 appendix D): a segment sent again because its ACK was lost has a new timestamp, and
    /// the old one in its ACK would measure the whole time of the loss. A forger would have to hit both windows: what acknowledges nothing that was
    /// ever sent is not believed, as in Linux.
    pub(super) fn keep_timestamp(&mut self, arrival: &Arrival) {
        let (last_ack, snd) = (self.open.rcv.last_ack, &self.open.snd);
        let reaches = arrival.end().at_or_after(last_ack);
        let near = last_ack.since(arrival.seq) as usize <= self.buffers.recv_limit;
        let known = |ack: SeqNum| ack.at_or_after(snd.una - snd.wnd_max) && ack.at_or_before(snd.nxt);
        let answers = arrival.ack.map_or(self.open.state() == State::SynReceived, known);
        //= https://www.rfc-editor.org/rfc/rfc7323#section-5.2
        //# information from the Timestamps option MUST NOT be used to update connection state information (7323:5.2-6).
        let trusted = !arrival.rst() && answers && (reaches || near);
        let stamps = self.open.timestamps.as_mut().zip(arrival.timestamps).filter(|_| trusted);
        if let Some((stamps, (tsval, _))) = stamps {
            //= https://www.rfc-editor.org/rfc/rfc7323#section-4.3
            //# the timestamp from the latest segment (which filled the hole) MUST be echoed (7323:4.3-4).
            stamps.accept(self.now, tsval, arrival.seq, last_ack);
        }
    }
}
