//! Whether a reduction was for nothing: the original arrived after all (RFC 4015, 3522), or every copy was needless (RFC 3708).

use super::SeqNum;
use crate::pack::packed;

/// What is remembered of the reduction that may be undone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Undo {
    /// SND.UNA when it began; none: there is nothing to undo.
    marker: Option<SeqNum>,
    /// Bytes of copies that no D-SACK has told to be needless; none: nothing was sent again yet.
    copies: Option<u32>,
    /// TSval of the first copy in flight when the reduction began, or of the first since; none: there are no timestamps.
    first_copy: Option<u32>,
    /// Whatever turns out needless, the window stays as it is: a router has marked what was sent.
    kept: bool,
}

/// What told that a reduction was for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needless {
    /// D-SACK blocks: every copy was needless (RFC 3708).
    Copies,
    /// A timestamp: the original arrived (RFC 3522).
    Echo,
    /// An ACK after a timeout, of what was not sent again (RFC 5682).
    Timeout,
}

impl Needless {
    /// The copies were, or else the original has arrived.
    pub(super) const fn of(copies: bool) -> Self {
        if copies { Self::Copies } else { Self::Echo }
    }

    /// Its name in a trace.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Copies => "dsack",
            Self::Echo => "timestamp",
            Self::Timeout => "f_rto",
        }
    }
}

impl Undo {
    /// Nothing was reduced.
    pub(super) const NONE: Self = Self { marker: None, copies: None, first_copy: None, kept: false };

    /// A reduction begins at `una` with `again` bytes of copies in flight.
    //= https://www.rfc-editor.org/rfc/rfc4015#section-3.1
    //# the following steps MUST be taken by the TCP sender, but only upon initiation of a timeout-based loss recovery (4015:3.1-2).
    //= https://www.rfc-editor.org/rfc/rfc3522#section-3.2
    //# If the Eifel detection algorithm is used, the following steps MUST be taken by a TCP sender, but only upon initiation of loss recovery, i.e., when either the timeout-based retransmit or the fast retransmit is sent (3522:3.2-2).
    pub(super) const fn begin(&mut self, una: SeqNum, again: u32) {
        self.marker = Some(una);
        self.kept = false;
        self.copies = if again > 0 { Some(again) } else { None };
        if again == 0 {
            self.first_copy = None;
        }
    }

    /// The reduction stays, whatever it was for.
    pub(super) const fn keep(&mut self) {
        self.kept = true;
    }

    /// Whether it does.
    pub(super) const fn is_kept(&self) -> bool {
        self.kept
    }

    /// A copy of `bytes` is sent with the timestamp `stamp`; `anew`: no other is in flight, and nothing is being repaired.
    pub(super) const fn on_copy(&mut self, bytes: u32, stamp: Option<u32>, anew: bool) {
        //= https://www.rfc-editor.org/rfc/rfc3522#section-3.2
        //# Set a "RetransmitTS" variable to the value of the Timestamp Value field of the Timestamps option included in the retransmit sent when loss recovery is initiated (3522:3.2-4).
        if self.first_copy.is_none() || anew {
            self.first_copy = stamp;
        }
        if self.marker.is_some() {
            self.copies = Some(match self.copies {
                Some(copies) => copies.saturating_add(bytes),
                None => bytes,
            });
        }
    }

    /// The peer tells that it received `bytes`, ending at `end`, twice.
    //= https://www.rfc-editor.org/rfc/rfc3708#section-3
    //# If the segment was retransmitted exactly one time, mark it as a duplicate (3708:3-4).
    //= https://www.rfc-editor.org/rfc/rfc3708#section-3
    //# an implementation of this algorithm must track all sequence numbers or TSNs that have been acknowledged as duplicates (3708:3-10).
    pub(super) fn on_duplicate(&mut self, end: SeqNum, bytes: u32) {
        if self.marker.is_some_and(|marker| end.after(marker)) {
            self.copies = self.copies.map(|copies| copies.saturating_sub(bytes));
        }
    }

    /// Whether every copy was needless.
    pub(super) const fn all_needless(&self) -> bool {
        self.marker.is_some() && matches!(self.copies, Some(0))
    }

    /// Whether the ACK of what was sent again echoes a timestamp from before the first copy: the original arrived. Equal ones tell nothing, however
    /// coarse the clock.
    pub(super) const fn original_arrived(&self, echo: Option<u32>) -> bool {
        match (self.marker, self.first_copy, echo) {
            (Some(_), Some(copy), Some(echo)) => (echo.wrapping_sub(copy) as i32) < 0,
            _ => false,
        }
    }

    /// There is nothing to undo any more.
    pub(super) const fn end(&mut self) {
        self.marker = None;
        self.copies = None;
    }
}

packed!(Undo { marker, copies, first_copy, kept });
