//! Urgent data (RFC 9293 3.8.5, RFC 6093): the point in either stream where it ends.

use super::SeqNum;
use crate::pack::packed;

/// Where the urgent data of the peer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UrgentMark {
    /// Stream position of its last byte.
    pub position: u64,
    /// That byte, once everything up to it has come.
    pub byte: Option<u8>,
}

/// Urgent data in both directions.
#[derive(Debug, Default)]
pub(super) struct Urgent {
    received: Option<UrgentMark>,
    /// SND.UP: the number behind our last urgent byte, until it is acknowledged.
    up: Option<SeqNum>,
    /// The peer has not been told of it.
    due: bool,
}

impl Urgent {
    /// The peer's urgent data ends with the byte at `position`. The pointer never goes back.
    pub(super) fn on_pointer(&mut self, position: u64) {
        if self.received.is_none_or(|mark| mark.position < position) {
            self.received = Some(UrgentMark { position, byte: None });
        }
    }

    /// Bytes came in order, the first of them at `start`.
    pub(super) fn on_data(&mut self, start: u64, bytes: &[u8]) {
        let Some(mark) = &mut self.received else { return };
        let offset = mark.position.checked_sub(start).and_then(|offset| usize::try_from(offset).ok());
        if let Some(byte) = offset.and_then(|offset| bytes.get(offset)) {
            mark.byte = Some(*byte);
        }
    }

    /// The stream ends at `end`: a pointer beyond it points at nothing.
    pub(super) fn on_end(&mut self, end: u64) {
        self.received = self.received.filter(|mark| mark.position < end);
    }

    /// Where the peer's urgent data ends; also after it has been read.
    pub(super) const fn received(&self) -> Option<UrgentMark> {
        self.received
    }

    /// Our urgent data ends before `up`, from now on.
    pub(super) const fn send(&mut self, up: SeqNum) {
        self.up = Some(up);
        self.due = true;
    }

    /// Everything before `una` is acknowledged.
    pub(super) fn on_ack(&mut self, una: SeqNum) {
        self.up = self.up.filter(|up| up.after(una));
        self.due = self.due && self.up.is_some();
    }

    /// Whether there is urgent data that the peer has not acknowledged.
    pub(super) const fn sending(&self) -> bool {
        self.up.is_some()
    }

    /// Whether the peer has to be told, with data or without.
    pub(super) const fn due(&self) -> bool {
        self.due
    }

    /// The urgent pointer of a segment at `seq`, everything sent so far ending at `nxt`. What lies further ahead than the field reaches shows as
    /// its largest value, as long as that is beyond all that was sent, so that the peer takes no byte for urgent that is not.
    ///
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.5
    //# The urgent pointer MUST point to the sequence number of the octet following the urgent data (MUST-62).
    pub(super) fn pointer(&mut self, seq: SeqNum, nxt: SeqNum) -> Option<u16> {
        self.due = false;
        let up = self.up.filter(|up| up.after(seq))?;
        let most = seq + u32::from(u16::MAX);
        match u16::try_from(up.since(seq)) {
            Ok(pointer) => Some(pointer),
            //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.5
            //# A TCP implementation MUST support a sequence of urgent data of any length (MUST-31)
            //= https://www.rfc-editor.org/rfc/rfc7323#appendix-A
            //# If it does overflow, than a value of 65535 should be inserted into the Urgent Pointer (7323:A-1).
            Err(_) if most.after(nxt) => Some(u16::MAX),
            Err(_) => None,
        }
    }
}

packed!(UrgentMark { position, byte });
packed!(Urgent { received, up, due });
