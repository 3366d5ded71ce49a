//! Which acknowledgements are owed (RFC 9293 3.8.6.3, RFC 5681 4.2).

use crate::pack::packed;

/// How urgent an acknowledgement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Owed {
    /// None is owed.
    No,
    /// One is owed when the timer expires or more data comes.
    Later,
    /// One is owed at once.
    Now,
}

/// Why one is sent that carries nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// It completes the handshake.
    Handshake,
    /// The timer of delayed acknowledgements has expired.
    Delayed,
    /// Two full segments came since the last.
    Second,
    /// None is delayed for now.
    Quick,
    /// A gap was filled, in whole or in part.
    Gap,
    /// A FIN came.
    Fin,
    /// A segment came whose numbers are not those expected: it was received before, or asks whether we are here.
    Unexpected,
    /// What came was not taken, or not all of it.
    Refused,
    /// The window has opened.
    Window,
    /// The peer is to say whether it meant what came (RFC 5961).
    Challenge,
    /// The peer is to hear of urgent data.
    Urgent,
}

impl Cause {
    /// Its name in a trace.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake_ack",
            Self::Delayed => "delayed_ack",
            Self::Second => "second_segment_ack",
            Self::Quick => "quick_ack",
            Self::Gap => "gap_filled_ack",
            Self::Fin => "fin_ack",
            Self::Unexpected => "unexpected_segment_ack",
            Self::Refused => "refused_segment_ack",
            Self::Window => "window_update",
            Self::Challenge => "challenge_ack",
            Self::Urgent => "urgent_ack",
        }
    }
}

/// The account of acknowledgements.
#[derive(Debug)]
pub(super) struct Acks {
    owed: Owed,
    /// Why it is owed now.
    cause: Cause,
    /// Segments still acknowledged at once, at the start of the connection.
    quick: u8,
    /// The second segment is acknowledged at once, of whatever size it is.
    any_second: bool,
    /// Bytes received in order since the last ACK.
    unacked: u32,
    /// ACKs owed one for each segment out of order: the peer counts them.
    duplicates: u32,
}

/// Duplicates kept at most; beyond that they tell the peer nothing new.
const DUPLICATES_MAX: u32 = 64;

impl Acks {
    pub(super) const fn new(quick: u8, any_second: bool) -> Self {
        Self { owed: Owed::No, cause: Cause::Delayed, quick, any_second, unacked: 0, duplicates: 0 }
    }

    /// Data came in order; `mss` is what the peer's segments hold.
    pub(super) fn on_data(&mut self, bytes: u32, mss: u32) {
        self.unacked = self.unacked.saturating_add(bytes);
        //= https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.3
        //# An ACK SHOULD be generated for at least every second full-sized segment or 2*RMSS bytes of new data (where RMSS is the MSS specified by the TCP endpoint receiving the segments to be acknowledged, or the default value if not specified) (SHLD-19).
        let follows = self.any_second && self.owed == Owed::Later;
        let second = self.unacked >= mss.saturating_mul(2) || follows;
        if second {
            self.owe_now(Cause::Second);
        } else if self.quick > 0 {
            self.owe_now(Cause::Quick);
        } else {
            self.owe_later();
        }
    }

    /// The next `count` ACKs go at once, beginning with what is owed now; none: they are delayed.
    pub(super) fn quick(&mut self, count: u8) {
        self.quick = count;
        if count > 0 && self.owed == Owed::Later {
            self.owe_now(Cause::Quick);
        }
    }

    /// At least the next `count` ACKs go at once.
    pub(super) fn hasten(&mut self, count: u8) {
        self.quick = self.quick.max(count);
    }

    /// Whether the next segment is acknowledged at once.
    pub(super) const fn is_quick(&self) -> bool {
        self.quick > 0
    }

    /// Something that has to be acknowledged, but may wait.
    pub(super) fn owe_later(&mut self) {
        self.owed = self.owed.max(Owed::Later);
    }

    /// Something that has to be acknowledged at once. The first cause is the one that counts.
    pub(super) fn owe_now(&mut self, cause: Cause) {
        if self.owed != Owed::Now {
            (self.owed, self.cause) = (Owed::Now, cause);
        }
    }

    /// `segments` came out of order: each is answered by an ACK of its own.
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
    //# A TCP implementation MAY send an ACK segment acknowledging RCV.NXT when a valid segment arrives that is in the window but not at the left window edge (MAY-13).
    //= https://www.rfc-editor.org/rfc/rfc5681#section-4.2
    //# A TCP receiver MUST NOT generate more than one ACK for every incoming segment, other than to update the offered window as the receiving application consumes new data (5681:4.2-9).
    pub(super) fn on_out_of_order(&mut self, segments: u32) {
        self.duplicates = self.duplicates.saturating_add(segments).min(DUPLICATES_MAX);
    }

    /// What is owed.
    pub(super) const fn owed(&self) -> Owed {
        self.owed
    }

    /// Whether an ACK has to be sent now.
    pub(super) fn due(&self) -> bool {
        self.owed == Owed::Now
    }

    /// Why.
    pub(super) fn cause(&self) -> Option<Cause> {
        self.due().then_some(self.cause)
    }

    /// Whether a duplicate has to be sent. It goes alone: with data it would not count as one (RFC 5681 section 2).
    pub(super) const fn duplicate_due(&self) -> bool {
        self.duplicates > 0
    }

    /// A duplicate is being sent.
    pub(super) const fn duplicate_sent(&mut self) {
        self.duplicates = self.duplicates.saturating_sub(1);
    }

    /// A segment with ACK has been sent: it serves what was owed.
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
    //# the processing of received segments MUST be implemented to aggregate ACK segments whenever possible (MUST-58)
    pub(super) fn sent(&mut self) {
        if self.owed == Owed::Now && self.unacked > 0 {
            self.quick = self.quick.saturating_sub(1);
        }
        self.owed = Owed::No;
        self.unacked = 0;
    }

    /// RCV.NXT has moved: an ACK for it says more than the duplicates for what was before.
    pub(super) fn forget_duplicates(&mut self) {
        self.duplicates = 0;
    }
}

packed!(
    enum Owed {
        No,
        Later,
        Now,
    }
);
packed!(
    enum Cause {
        Delayed,
        Handshake,
        Second,
        Quick,
        Gap,
        Fin,
        Unexpected,
        Refused,
        Window,
        Challenge,
        Urgent,
    }
);
packed!(Acks { owed, cause, quick, any_second, unacked, duplicates });
