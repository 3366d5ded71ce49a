//! The send half: what is acknowledged, in flight, and to be sent.

use super::SeqNum;
use super::flight::Flight;
use super::push::PushMarks;
use super::validation::Validation;
use super::window::WindowScale;
use crate::pack::packed;
use crate::time::Instant;

/// Sequence space of the sender.
///
/// ```text
///      una                             nxt             una + wnd
///       |-------------------------------|-------------------|
///        in flight, held, or lost         new, may be sent
/// ```
/// `cursor` is `nxt`, or the number before it, which a window probe carried and which goes again with the first data that the window takes.
#[derive(Debug)]
pub(super) struct Sender {
    /// ISS.
    pub(super) iss: SeqNum,
    /// SND.UNA.
    pub(super) una: SeqNum,
    /// SND.NXT: behind everything ever sent.
    pub(super) nxt: SeqNum,
    /// Where sending goes on.
    pub(super) cursor: SeqNum,
    /// Everything sent and not acknowledged.
    pub(super) flight: Flight,
    /// Both sides agreed on SACK.
    pub(super) selective: bool,
    /// SND.WND, bytes.
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.1
    //# It is RECOMMENDED that implementations will reserve 32-bit fields for the send and receive window sizes in the connection record and do all window computations with 32 bits (REC-1).
    pub(super) wnd: u32,
    /// SND.WL1: SEG.SEQ of the last window update.
    pub(super) wl1: SeqNum,
    /// SND.WL2: SEG.ACK of the last window update.
    pub(super) wl2: SeqNum,
    /// MAX.SND.WND (RFC 5961).
    pub(super) wnd_max: u32,
    /// Scale of the windows that the peer offers.
    pub(super) scale: WindowScale,
    /// Effective send MSS, options subtracted: what the path carries now.
    pub(super) mss: u32,
    /// The most it may be: what was negotiated.
    pub(super) mss_most: u32,
    /// What was sent before this went again when the path turned out smaller; until it is acknowledged.
    pub(super) cut_again: Option<SeqNum>,
    /// Number of our FIN, once sent.
    pub(super) fin: Option<SeqNum>,
    /// End of the last segment below the MSS (Minshall's variant of Nagle).
    pub(super) small: Option<SeqNum>,
    /// Where PSH belongs within what is not sent yet.
    pub(super) marks: PushMarks,
    /// A segment sent once, and when: its acknowledgement is a measurement (Karn).
    pub(super) timed: Option<(SeqNum, Instant)>,
    /// SND.NXT at the last measurement: one within the same flight would tell the same again.
    pub(super) measured: Option<SeqNum>,
    /// How much of the congestion window is used.
    pub(super) usage: Usage,
    /// What was used of it (RFC 7661), where that is wanted.
    pub(super) validation: Option<Box<Validation>>,
    /// Number of the byte that a window probe carried.
    pub(super) probe: Option<SeqNum>,
    /// When the retransmission timer last expired.
    pub(super) timed_out_at: Option<Instant>,
    /// Retransmission timeouts since SND.UNA moved.
    pub(super) retries: u32,
    /// Window probes sent since the window was open.
    pub(super) probes: u32,
    /// Window probes sent since the peer was heard.
    pub(super) probes_unanswered: u32,
    /// Since when the peer acknowledges nothing of what waits for it (RFC 5482).
    pub(super) stalled_since: Option<Instant>,
    /// When data was last sent.
    pub(super) last_sent: Instant,
}

impl Sender {
    pub(super) const fn new(now: Instant, iss: SeqNum) -> Self {
        Self {
            iss,
            una: iss,
            nxt: iss,
            cursor: iss,
            flight: Flight::new(iss, 0),
            selective: false,
            wnd: 0,
            wl1: SeqNum(0),
            wl2: SeqNum(0),
            wnd_max: 0,
            scale: WindowScale::from_wire(0),
            mss: 536,
            mss_most: 536,
            cut_again: None,
            fin: None,
            small: None,
            marks: PushMarks::new(SeqNum(iss.0.wrapping_add(1))),
            timed: None,
            measured: None,
            validation: None,
            usage: Usage { limited: false, most: 0, until: None },
            probe: None,
            timed_out_at: None,
            retries: 0,
            probes: 0,
            probes_unanswered: 0,
            stalled_since: None,
            last_sent: now,
        }
    }

    /// Bytes sent and not acknowledged.
    pub(super) const fn outstanding(&self) -> u32 {
        self.nxt.since(self.una)
    }

    /// Bytes that the peer's window leaves for new data.
    pub(super) const fn usable(&self) -> u32 {
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6
        //# a sending TCP peer MUST be robust against window shrinking, which may cause the "usable window" (see Section 3.8.6.2.1) to become negative (MUST-34).
        //= https://www.rfc-editor.org/rfc/rfc7323#section-2.4
        //# The initial transmission MUST be within the window announced by the most recent <ACK> (7323:2.4-4).
        self.wnd.saturating_sub(self.cursor.since(self.una))
    }

    /// Bytes that it leaves from where sending goes on: at what is lost, or behind everything sent.
    pub(super) fn reach(&self) -> u32 {
        let next = self.flight.first_hole().unwrap_or(self.cursor);
        self.wnd.saturating_sub(next.since(self.una))
    }

    /// Bytes below SND.NXT that a window probe carried and that go again with the next data.
    pub(super) const fn resending(&self) -> u32 {
        self.nxt.since(self.cursor)
    }

    /// The number for a segment without data: SND.NXT, or the edge of a window that the peer has taken back, so that it is looked at.
    pub(super) fn acceptable(&self) -> SeqNum {
        if self.wnd < self.outstanding() { self.una + self.wnd } else { self.nxt }
    }

    /// Position of the cursor in the send queue, the SYN not counted.
    pub(super) const fn offset(&self) -> usize {
        self.cursor.since(self.una) as usize
    }

    /// Bytes of the send queue, `queued` long, from the cursor on.
    pub(super) fn unsent(&self, queued: usize) -> u32 {
        u32::try_from(queued.saturating_sub(self.offset())).unwrap_or(u32::MAX)
    }

    /// Whether a FIN sent by us is acknowledged.
    pub(super) fn fin_acked(&self) -> bool {
        self.fin.is_some_and(|fin| self.una.after(fin))
    }

    /// Takes the window of a segment if it is the newest word on it (RFC 9293 3.10.7.4).
    pub(super) fn update_window(&mut self, seq: SeqNum, ack: SeqNum, bytes: u32) {
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
        //# If (SND.WL1 < SEG.SEQ or (SND.WL1 = SEG.SEQ and SND.WL2 =< SEG.ACK)), set SND.WND <- SEG.WND (SM-12)
        //
        // Beyond that, an ACK of more than before is newer whatever its number: the peer sends old data again with new windows, and SND.UNA must
        // not move under an old one.
        let same = self.wl1 == seq && self.wl2.at_or_before(ack);
        let newer = self.wl2.before(ack) || self.wl1.before(seq) || same;
        if newer {
            self.set_window(seq, ack, bytes);
        }
    }

    /// Bytes that a write adds below TCP_NOTSENT_LOWAT: what a super-frame of Linux holds.
    pub(super) fn write_step(&self) -> u32 {
        let most = (self.wnd_max / 2).min(WRITE_STEP_MAX).max(self.mss);
        most - most % self.mss
    }

    /// Takes the window of a segment.
    pub(super) fn set_window(&mut self, seq: SeqNum, ack: SeqNum, bytes: u32) {
        self.wnd = bytes;
        //= https://www.rfc-editor.org/rfc/rfc5961#section-5.2
        //# A new state variable MAX.SND.WND is defined as the largest window that the local sender has ever received from its peer (5961:5.2-4).
        self.wnd_max = self.wnd_max.max(bytes);
        self.wl1 = seq;
        self.wl2 = ack;
    }
}

/// Most bytes of a super-frame.
const WRITE_STEP_MAX: u32 = 64 << 10;

/// How much of the congestion window was used in the present round trip: growth is earned by that (RFC 7661 section 4.3, in the form of Linux).
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// It was full.
    limited: bool,
    /// Most bytes in flight while it was not.
    most: u32,
    /// SND.NXT when this was found: what is acknowledged up to there was sent under it.
    until: Option<SeqNum>,
}

impl Usage {
    /// Data was sent, or would have been if the congestion window were not full (`limited`): `una` and `nxt` are as they are now.
    pub(super) fn note(&mut self, una: SeqNum, nxt: SeqNum, limited: bool) {
        let most = nxt.since(una);
        let over = self.until.is_none_or(|until| una.at_or_after(until));
        if over || limited || (!self.limited && most > self.most) {
            *self = Self { limited, most, until: Some(nxt) };
        }
    }

    /// Whether it was full.
    pub(super) const fn limited(&self) -> bool {
        self.limited
    }

    /// Whether a congestion window of `window` bytes may grow. In slow start it may as long as half of it is used, as it is soon too small then.
    //= https://www.rfc-editor.org/rfc/rfc7661#section-4.4
    //# A sender that is cwnd-limited MAY use the standard TCP method to increase cwnd (7661:4.4-3).
    //= https://www.rfc-editor.org/rfc/rfc7661#section-4.4
    //# A sender that is not cwnd-limited MUST NOT increase the cwnd when ACK packets are received in this phase (7661:4.4-4).
    pub(super) const fn earns_growth(&self, window: u32, slow_start: bool) -> bool {
        self.limited || (slow_start && window < self.most.saturating_mul(2))
    }
}

packed!(Usage { limited, most, until });
// Numbers of one direction next to each other.
packed!(Sender {
    iss,
    una,
    nxt,
    cursor,
    flight,
    wl2,
    cut_again,
    fin,
    small,
    marks,
    timed,
    measured,
    usage,
    probe,
    selective,
    wnd,
    wnd_max,
    scale,
    mss,
    mss_most,
    validation,
    timed_out_at,
    retries,
    probes,
    probes_unanswered,
    stalled_since,
    last_sent,
    wl1
});
