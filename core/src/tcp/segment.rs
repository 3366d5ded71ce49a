//! An incoming segment, as input cuts it to the window; and the answer to one that belongs nowhere.

use super::sack::BLOCKS;
use super::window::WindowScale;
use super::{Outgoing, Segment, SeqNum};
use crate::buffer::Slices;
use crate::wire::Codepoint;
use crate::wire::tcp::{Flags, TcpHeader, TcpOptions};
use arrayvec::ArrayVec;
use bytes::{Buf, Bytes};
use std::ops::Range;

/// A RST in answer to a segment, the connection staying as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// The number that the segment acknowledged.
    seq: SeqNum,
    /// TSval of the segment.
    stamp: Option<u32>,
}

impl Reply {
    /// <SEQ=SEG.ACK><CTL=RST>.
    pub(super) fn outgoing(self) -> Outgoing {
        let mut reset = bare(self.seq, None, Flags::RST);
        //= https://www.rfc-editor.org/rfc/rfc7323#section-5.2
        //# it is now RECOMMENDED that when generating an <RST>, if the segment causing the <RST> to be generated contains a Timestamps option, the <RST> should also contain a Timestamps option (7323:5.2-2).
        reset.options.timestamps = echoed(self.stamp);
        reset
    }
}

/// The timestamps of a RST in answer to a segment with this TSval.
fn echoed(tsval: Option<u32>) -> Option<(u32, u32)> {
    //= https://www.rfc-editor.org/rfc/rfc7323#section-5.2
    //# In the <RST> segment, SEG.TSecr SHOULD be set to SEG.TSval from the incoming segment and SEG.TSval SHOULD be set to zero (7323:5.2-3).
    tsval.map(|tsval| (0, tsval))
}

/// A received segment in sequence space.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) seq: SeqNum,
    pub(super) ack: Option<SeqNum>,
    pub(super) flags: Flags,
    /// The field as it came.
    window: u16,
    /// Whether the field counts in steps of the scale.
    scaled: bool,
    pub(super) timestamps: Option<(u32, u32)>,
    /// SACK blocks.
    pub(super) sack: ArrayVec<(u32, u32), BLOCKS>,
    /// SEG.SEQ+SEG.UP.
    pub(super) urgent: Option<SeqNum>,
    pub(super) payload: Bytes,
    /// Segments that the link merged into this one.
    pub(super) segments: u32,
    /// Acknowledgements that this one stands for, itself included.
    pub(super) acks: u32,
    /// What its IP header says of congestion; nothing, where it carries no data.
    pub(super) ecn: Codepoint,
    /// The peer is to be told that part of it had come before.
    pub(super) reported: bool,
}

impl Arrival {
    pub(super) fn new(segment: Segment) -> Self {
        let header = &segment.header;
        Self {
            seq: SeqNum(header.seq),
            ack: header.flags.has(Flags::ACK).then_some(SeqNum(header.ack)),
            flags: header.flags,
            window: header.window,
            //= https://www.rfc-editor.org/rfc/rfc7323#section-2.2
            //# The window field in a segment where the SYN bit is set (i.e., a <SYN> or <SYN,ACK>) MUST NOT be scaled (7323:2.2-6).
            scaled: !header.flags.has(Flags::SYN),
            //= https://www.rfc-editor.org/rfc/rfc7323#section-2.2
            //# A Window Scale option in a segment without a SYN bit MUST be ignored (7323:2.2-5).
            timestamps: header.options.timestamps,
            sack: header.options.sack.clone(),
            //= https://www.rfc-editor.org/rfc/rfc6093#section-2.1
            //# The URG control flag indicates that the "Urgent Pointer" field is meaningful and must be added to the segment sequence number to yield the urgent pointer (6093:2.1-2).
            urgent: header.flags.has(Flags::URG).then(|| SeqNum(header.seq) + u32::from(header.urgent)),
            segments: merged(&segment),
            acks: if segment.payload.is_empty() { u32::from(segment.gso_size).max(1) } else { 1 },
            //= https://www.rfc-editor.org/rfc/rfc3168#section-6.1.4
            //# pure acknowledgement packets (e.g., packets that do not contain any accompanying data) MUST be sent with the not-ECT codepoint (3168:6.1.4-1).
            ecn: if segment.payload.is_empty() { Codepoint::NotEct } else { segment.ecn },
            payload: segment.payload,
            reported: false,
        }
    }

    /// The RST that answers this segment's ACK of what was never sent.
    pub(super) fn reply(&self, ack: SeqNum) -> Reply {
        Reply { seq: ack, stamp: self.timestamps.map(|(tsval, _)| tsval) }
    }

    /// SEG.WND, when the peer scales by `scale`.
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.1
    //# The window size MUST be treated as an unsigned number, or else large window sizes will appear like negative windows and TCP will not work (MUST-1).
    pub(super) fn window_bytes(&self, scale: WindowScale) -> u32 {
        //= https://www.rfc-editor.org/rfc/rfc7323#section-2.3
        //# The window field (SEG.WND) in the header of every incoming segment, with the exception of <SYN> segments, MUST be left-shifted by Snd.Wind.Shift bits before updating SND.WND (7323:2.3-5).
        if self.scaled { scale.bytes(self.window) } else { u32::from(self.window) }
    }

    pub(super) const fn syn(&self) -> bool {
        self.flags.has(Flags::SYN)
    }

    pub(super) const fn fin(&self) -> bool {
        self.flags.has(Flags::FIN)
    }

    pub(super) const fn rst(&self) -> bool {
        self.flags.has(Flags::RST)
    }

    /// SEG.LEN: payload, SYN and FIN.
    pub(super) fn len(&self) -> u32 {
        self.payload.len() as u32 + u32::from(self.syn()) + u32::from(self.fin())
    }

    /// The number behind the segment's last.
    pub(super) fn end(&self) -> SeqNum {
        self.seq + self.len()
    }

    /// Whether it is an acknowledgement, with or without text, that lies before `nxt`.
    pub(super) fn is_old(&self, nxt: SeqNum) -> bool {
        !self.syn() && self.ack.is_some() && self.seq.before(nxt) && self.end().at_or_before(nxt)
    }

    /// Takes the SYN off, and what its flags asked for.
    pub(super) fn strip_syn(&mut self) {
        if self.syn() {
            self.flags = Flags(self.flags.0 & !(Flags::SYN.0 | Flags::ECE.0 | Flags::CWR.0));
            self.seq += 1;
        }
    }

    /// Cuts off what lies before `nxt`; the segment reaches at least up to it. Returns the data that did.
    pub(super) fn cut_front(&mut self, nxt: SeqNum) -> Option<Range<SeqNum>> {
        if !self.seq.before(nxt) {
            return None;
        }
        self.strip_syn();
        let old = self.seq..nxt;
        if !self.seq.before(nxt) {
            return None;
        }
        let behind = (nxt.since(self.seq) as usize).min(self.payload.len());
        self.payload.advance(behind);
        self.seq = nxt;
        self.reported = behind > 0;
        self.reported.then_some(old)
    }

    /// Cuts off what lies at or behind `edge`; returns whether anything did.
    pub(super) fn cut_back(&mut self, edge: SeqNum) -> bool {
        if self.end().at_or_before(edge) {
            return false;
        }
        self.flags = Flags(self.flags.0 & !Flags::FIN.0);
        let room = if edge.after(self.seq) { edge.since(self.seq) } else { 0 };
        self.payload.truncate((room as usize).saturating_sub(usize::from(self.syn())));
        true
    }
}

/// Segments that the link merged into this one, itself included.
pub(super) fn merged(segment: &Segment) -> u32 {
    match u32::from(segment.gso_size) {
        0 => 1,
        each => (segment.payload.len() as u32).div_ceil(each).max(1),
    }
}

/// The RST for a segment that belongs to no connection (RFC 9293 3.10.7.1); none for a RST.
#[must_use]
pub fn reset_for(header: &TcpHeader, payload_len: usize) -> Option<Outgoing> {
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.1
    //# An incoming segment containing a RST is discarded. An incoming segment not containing a RST causes a RST to be sent in response (SM-1).
    if header.flags.has(Flags::RST) {
        return None;
    }
    let control = u32::from(header.flags.has(Flags::SYN)) + u32::from(header.flags.has(Flags::FIN));
    let end = SeqNum(header.seq) + (payload_len as u32).wrapping_add(control);
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.1
    //# If the ACK bit is off, sequence number zero is used, <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK> If the ACK bit is on, <SEQ=SEG.ACK><CTL=RST> (SM-1)
    let (seq, ack) =
        if header.flags.has(Flags::ACK) { (SeqNum(header.ack), None) } else { (SeqNum(0), Some(end)) };
    let mut reset = bare(seq, ack, Flags::RST);
    reset.options.timestamps = echoed(header.options.timestamps.map(|(tsval, _)| tsval));
    Some(reset)
}

/// A segment without window, options and payload.
pub(super) fn bare(seq: SeqNum, ack: Option<SeqNum>, flags: Flags) -> Outgoing {
    Outgoing {
        seq,
        ack,
        flags,
        window: 0,
        urgent: 0,
        options: TcpOptions::default(),
        payload: Slices::new(),
        gso_size: 0,
        ecn: Codepoint::NotEct,
    }
}
