//! The timestamps option on one connection: RTTM and PAWS (RFC 7323 sections 3 to 5).

use super::SeqNum;
use crate::pack::packed;
use crate::time::{Duration, Instant};

/// Negotiated timestamps.
#[derive(Debug)]
pub(super) struct Timestamps {
    offset: u32,
    /// TS.Recent.
    recent: u32,
    recent_at: Instant,
    /// TS.Recent of the handshake, and when it came.
    first: (u32, Instant),
}

/// Age at which TS.Recent says nothing any more.
//= https://www.rfc-editor.org/rfc/rfc7323#section-5.5
//# We therefore require that an implementation of PAWS include a mechanism to "invalidate" the TS.Recent value when a connection is idle for more than 24 days (7323:5.5-1).
const RECENT_VALID: Duration = Duration::from_secs(24 * 24 * 3600);

/// Bytes of the option in a header, padding included.
pub(super) const OPTION_LEN: u16 = 12;

/// TSval at `now`: milliseconds and an offset of this connection.
pub(super) fn value(now: Instant, offset: u32) -> u32 {
    //= https://www.rfc-editor.org/rfc/rfc7323#section-4.1
    //# Values of this clock MUST be at least approximately proportional to real time, in order to measure actual RTT (7323:4.1-1).
    //= https://www.rfc-editor.org/rfc/rfc7323#section-5.4
    //# It MUST tick at least once for each 2^31 bytes sent (7323:5.4-1).
    //= https://www.rfc-editor.org/rfc/rfc7323#section-5.4
    //# the clock SHOULD tick at least once per window's worth of data (7323:5.4-2).
    //= https://www.rfc-editor.org/rfc/rfc7323#section-5.4
    //# The recycling time of the timestamp clock MUST be greater than MSL seconds (7323:5.4-3).
    //= https://www.rfc-editor.org/rfc/rfc7323#section-5.4
    //# The PAWS mechanism also puts a strong monotonicity requirement on the sender's timestamp clock (7323:5.4-4).
    (now.as_millis() as u32).wrapping_add(offset)
}

impl Timestamps {
    /// Both SYNs carried the option; `recent` came with the peer's.
    pub(super) const fn new(now: Instant, offset: u32, recent: u32) -> Self {
        Self { offset, recent, recent_at: now, first: (recent, now) }
    }

    /// TS.Recent.
    pub(super) const fn recent(&self) -> u32 {
        self.recent
    }

    /// The option to send.
    pub(super) fn option(&self, now: Instant) -> (u32, u32) {
        //= https://www.rfc-editor.org/rfc/rfc7323#section-3.2
        //# When the ACK bit is set in an outgoing segment, the sender MUST echo a recently received TSval sent by the remote TCP in the TSval field of a Timestamps option (7323:3.2-2).
        (value(now, self.offset), self.recent)
    }

    /// PAWS: whether `tsval` is older than what has been seen (RFC 7323 5.3 R1).
    pub(super) const fn is_old(&self, now: Instant, tsval: u32) -> bool {
        let older = (tsval.wrapping_sub(self.recent) as i32) < 0;
        older && now.since(self.recent_at).as_secs() < RECENT_VALID.as_secs()
    }

    /// Whether the peer's clock has ticked every other millisecond at least, so that its ticks tell how old something is.
    pub(super) fn is_fine(&self) -> bool {
        let (first, at) = self.first;
        u128::from(self.recent.wrapping_sub(first)) >= self.recent_at.since(at).as_millis() / 2
    }

    /// By how much `tsval` is older than TS.Recent, taken for milliseconds as this side's own.
    pub(super) fn age(&self, tsval: u32) -> Duration {
        Duration::from_millis(u64::from(self.recent.wrapping_sub(tsval)))
    }

    /// Keeps the timestamp of an acceptable segment.
    //= https://www.rfc-editor.org/rfc/rfc7323#section-4.3
    //# If: SEG.TSval >= TS.Recent and SEG.SEQ <= Last.ACK.sent then SEG.TSval is copied to TS.Recent; otherwise, it is ignored (7323:4.3-5).
    pub(super) const fn accept(&mut self, now: Instant, tsval: u32, seq: SeqNum, last_ack_sent: SeqNum) {
        //= https://www.rfc-editor.org/rfc/rfc7323#section-4.3
        //# when delayed ACKs are in use, the receiver SHOULD reply with the TSval field from the earliest unacknowledged segment (7323:4.3-2).
        //= https://www.rfc-editor.org/rfc/rfc7323#section-4.3
        //# An <ACK> for an out-of-order segment SHOULD, therefore, contain the timestamp from the most recent segment that advanced RCV.NXT (7323:4.3-3).
        //= https://www.rfc-editor.org/rfc/rfc7323#section-5.2
        //# The choice of incoming timestamps to be saved for this comparison MUST guarantee a value that is monotonically non-decreasing (7323:5.2-1).
        if !self.is_old(now, tsval) && seq.at_or_before(last_ack_sent) {
            self.recent = tsval;
            //= https://www.rfc-editor.org/rfc/rfc7323#section-5.5
            //# the TCP MAY update a clock or timestamp value associated with the connection whenever TS.Recent is updated (7323:5.5-2).
            self.recent_at = now;
        }
    }

    /// The millisecond of this side's clock at which what is echoed was sent.
    pub(super) const fn sent_at(&self, tsecr: u32) -> u32 {
        tsecr.wrapping_sub(self.offset)
    }

    /// The round trip that an echoed timestamp tells, unless it cannot be one of ours, or is from before the retransmission timer expired at
    /// `since`: then the wait for the timer is in it, as in the samples that Karn's algorithm leaves out (RFC 6298 section 3).
    pub(super) fn round_trip(&self, now: Instant, tsecr: u32, since: Option<Instant>) -> Option<Duration> {
        let ticks = value(now, self.offset).wrapping_sub(tsecr);
        let ambiguous = since.is_some_and(|since| u128::from(ticks) > now.since(since).as_millis() + 1);
        let plausible = ticks < 1 << 20;
        (plausible && !ambiguous).then(|| Duration::from_millis(u64::from(ticks.max(1))))
    }
}

packed!(Timestamps { offset, recent, recent_at, first });
