//! A range that was sent, and what is told of it.

use crate::pack::packed;
use crate::tcp::SeqNum;
use crate::time::{Duration, Instant};

/// A place in the order of sending: later, or as late and further behind in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
//= https://www.rfc-editor.org/rfc/rfc8985#section-6.2
//# If Segment.xmit_ts equals RACK.xmit_ts (e.g., due to clock granularity limits), then compare Segment.end_seq and RACK.end_seq to break the tie when deciding whether to update the RACK.segment's associated state (8985:6.2-6).
pub(in crate::tcp) struct Mark {
    /// When it was sent last.
    pub(in crate::tcp) sent_at: Instant,
    /// Position behind its last byte.
    pub(in crate::tcp) end: u64,
}

/// A range that was sent in one go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) start: u64,
    pub(super) end: u64,
    /// When it was sent last.
    pub(super) sent_at: Instant,
    /// The peer holds it, as a block has told.
    pub(super) held: bool,
    /// It is taken for lost.
    pub(super) lost: bool,
    /// Sent again, and that copy is in flight.
    pub(super) again: bool,
    /// Sent more than once.
    pub(super) ever: bool,
    /// A probe of the path's MTU: its loss is no congestion.
    pub(super) probe: bool,
    /// Neighbours in order of sending; only of what may yet turn out lost.
    pub(super) earlier: u32,
    pub(super) later: u32,
}

impl Record {
    pub(super) const fn len(&self) -> u64 {
        self.end - self.start
    }

    pub(super) const fn mark(&self) -> Mark {
        Mark { sent_at: self.sent_at, end: self.end }
    }

    /// Whether it is in the network, as far as is known.
    pub(super) const fn waits(&self) -> bool {
        !self.held && (!self.lost || self.again)
    }
}

/// What one segment told to have arrived.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct News {
    now: Instant,
    /// A copy sent again less than this ago cannot have been acknowledged yet: the ACK is of an earlier one (RFC 8985 6.2 step 2).
    least: Duration,
    /// The millisecond of this side's clock, as timestamps count it, at which that was sent whose timestamp the segment echoes.
    echo: Option<u32>,
    /// Where a repair ends; positions behind tell nothing of the timeout that began it.
    pub(super) recover: SeqNum,
    /// RACK.fack before the segment: what it tells of is no disorder in itself, whatever the order of its blocks.
    highest: u64,
    /// Bytes that were not known to have arrived.
    pub(in crate::tcp) bytes: u32,
    /// Of these, bytes that blocks told of.
    pub(in crate::tcp) sacked: u32,
    /// The latest sent of them.
    pub(in crate::tcp) latest: Option<Mark>,
    /// When the last of them in the stream was sent; what SND.UNA has passed counts rather than what blocks told of.
    pub(in crate::tcp) rear: Option<Instant>,
    passed: bool,
    /// When the first and the last of them were sent that were sent once only.
    pub(in crate::tcp) once: Option<(Instant, Instant)>,
    /// Something below `recover` arrived that was sent once only.
    pub(in crate::tcp) original: bool,
    /// Something of it was sent more than once.
    pub(in crate::tcp) resent: bool,
    /// Bytes of it that were.
    pub(in crate::tcp) copied: u32,
    /// Bytes by which something sent once was overtaken.
    pub(in crate::tcp) overtaken: Option<u32>,
    /// A probe of the path's MTU arrived.
    pub(in crate::tcp) probe: bool,
}

impl News {
    pub(super) const fn new(now: Instant, least: Duration, recover: SeqNum, highest: u64) -> Self {
        Self {
            now,
            least,
            echo: None,
            recover,
            highest,
            bytes: 0,
            sacked: 0,
            latest: None,
            rear: None,
            passed: false,
            once: None,
            original: false,
            resent: false,
            copied: 0,
            overtaken: None,
            probe: false,
        }
    }

    /// Of a segment that echoes the timestamp of what was sent in that millisecond.
    pub(in crate::tcp) const fn echoing(mut self, echo: Option<u32>) -> Self {
        self.echo = echo;
        self
    }

    pub(super) fn take(&mut self, record: &Record, recover: u64, passed: bool) {
        self.bytes = self.bytes.saturating_add(super::clip(record.len()));
        self.probe |= record.probe;
        self.resent |= record.ever;
        self.copied = self.copied.saturating_add(if record.ever { super::clip(record.len()) } else { 0 });
        if !record.ever {
            let at = record.sent_at;
            self.once = Some(self.once.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
            self.original |= record.end <= recover;
            if record.start < self.highest {
                let by = super::clip(self.highest - record.start);
                self.overtaken = Some(self.overtaken.map_or(by, |before| before.max(by)));
            }
        }
        //= https://www.rfc-editor.org/rfc/rfc8985#section-6.2
        //# To avoid spurious inferences, ignore a segment as invalid if any of its sequence range has been retransmitted before and if either of two conditions is true (8985:6.2-2).
        //= https://www.rfc-editor.org/rfc/rfc8985#section-6.2
        //# The segment was last retransmitted less than RACK.min_rtt ago (8985:6.2-4).
        if !record.ever || record.sent_at + self.least <= self.now && !(passed && self.is_of_earlier(record))
        {
            self.latest = self.latest.max(Some(record.mark()));
            if passed || !self.passed {
                (self.rear, self.passed) = (Some(record.sent_at), passed);
            }
        }
    }

    /// Whether the segment answers an earlier copy of `record` than the last. Only what moves SND.UNA has the echo of what it answers.
    //= https://www.rfc-editor.org/rfc/rfc8985#section-6.2
    //# The Timestamp Echo Reply field (TSecr) of the ACK's timestamp option [RFC7323], if available, indicates the ACK was not acknowledging the last retransmission of the segment. (8985:6.2-3)
    fn is_of_earlier(&self, record: &Record) -> bool {
        self.echo.is_some_and(|echo| (echo.wrapping_sub(record.sent_at.as_millis() as u32) as i32) < 0)
    }
}

/// What told of a loss; the names are qlog's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tcp) enum Cause {
    /// Something sent well after it has arrived (RACK).
    Time,
    /// Duplicate ACKs.
    Reordering,
    /// The retransmission timer.
    Timeout,
    /// Nothing: it is to be sent again for another reason, the path being narrower than was believed.
    GoBack,
}

impl Cause {
    /// Its name in a trace.
    pub(in crate::tcp) const fn name(self) -> &'static str {
        match self {
            Self::Time => "time_threshold",
            Self::Reordering => "reordering_threshold",
            Self::Timeout => "pto_expired",
            Self::GoBack => "go_back",
        }
    }
}

/// A range that was taken for lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tcp) struct Loss {
    /// Its first number.
    pub(in crate::tcp) from: SeqNum,
    /// Numbers from there on.
    pub(in crate::tcp) length: u32,
    /// What told of it.
    pub(in crate::tcp) cause: Cause,
}

/// What a look at the clock told to be lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::tcp) struct Losses {
    /// Bytes newly taken for lost.
    pub(in crate::tcp) bytes: u32,
    /// Among them is what was sent again before.
    pub(in crate::tcp) again: bool,
    /// Among them is a probe of the path's MTU.
    pub(in crate::tcp) probe: bool,
    /// Among them is something else than such a probe.
    pub(in crate::tcp) data: bool,
    /// When to look again, from now.
    pub(in crate::tcp) wait: Option<Duration>,
}

packed!(Mark { sent_at, end });
