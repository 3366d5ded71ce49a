//! What the path carries, found out by what arrives (RFC 4821): segments that vanish for their size, and probes of more.
//!
//! The search itself belongs to all connections to one destination, and is kept by the stack. A connection is told the size to try next, sends a
//! probe of it when that costs least, and tells what became of it. Sizes are bytes of data and options in a segment.

use super::connection::{Common, Open};
use super::flight::Losses;
use super::output::{Reason, Wish};
use super::pace::Hold;
use super::recovery::Repair;
use super::sending::Sending;
use super::timestamps::OPTION_LEN;
use super::{Buffers, Context, Outgoing, SeqNum};
use crate::counters::Counters;
use crate::pack::{Pack, Packer, Unpacker, packed};
use crate::time::{Duration, Instant};
use std::ops::Range;

/// How what a path carries is found out, as the stack tells a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MtuSearch {
    /// What a path that swallows larger segments is expected to carry.
    pub base: u16,
    /// The least that it is ever taken to carry.
    pub floor: u16,
    /// The size to probe next.
    pub probe: Option<u16>,
}

/// What a connection has found out about its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathNews {
    /// Segments vanish, and nobody says why: from now on this size.
    BlackHole(u16),
    /// The smallest vanished as well, and something passes again: it was none of their size.
    NotSize,
    /// A probe has been sent.
    Probing,
    /// A probe of this size has arrived.
    Passed(u16),
    /// A probe of this size was lost, and nothing else.
    Failed(u16),
    /// A probe was lost among other segments: that tells nothing.
    Inconclusive,
}

/// A probe in flight.
#[derive(Clone, Copy, Debug)]
struct Flying {
    size: u16,
    start: SeqNum,
    end: SeqNum,
}

/// A connection's part in finding out what its path carries.
#[derive(Debug, Default)]
pub(super) struct MtuProbe {
    search: Option<MtuSearch>,
    /// The size to probe as soon as it can be.
    next: Option<u16>,
    flying: Option<Flying>,
    /// No probe before this, after one that was lost.
    resumes: Option<Instant>,
    news: Option<PathNews>,
    doubt: Doubt,
}

/// What the present row of timeouts tells of the path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Doubt {
    #[default]
    None,
    /// Segments have been made smaller.
    Shrunk,
    /// In vain.
    Futile,
}

/// What a probe must fit into, in bytes of data.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Data that was never sent.
    pub(super) unsent: u32,
    /// What the peer's window leaves.
    pub(super) usable: u32,
    /// The congestion window.
    pub(super) window: u32,
    /// What it leaves.
    pub(super) room: u32,
    /// Data in a full segment.
    pub(super) mss: u32,
}

/// Whether a probe goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not now: whatever else is to be sent goes on.
    No,
    /// As soon as acknowledgements have made room; meanwhile nothing else takes it.
    Gather,
    /// Now.
    Send,
}

/// Segments behind a probe by which its loss is told (Tcprexmtthresh of RFC 4821 7.4).
const FOLLOWERS: u32 = 3;

impl MtuProbe {
    /// What the stack says now.
    pub(super) fn told(&mut self, now: Instant, search: Option<MtuSearch>) {
        self.search = search;
        //= https://www.rfc-editor.org/rfc/rfc4821#section-7.4
        //# Before sending a probe, the flow MUST meet at least the following conditions: o It has no outstanding probes or losses. (4821:7.4-1)
        //= https://www.rfc-editor.org/rfc/rfc4821#section-7.4
        //# If the last probe failed or was inconclusive, then the probe timeout has expired (4821:7.4-2)
        let rests = self.flying.is_some() || self.resumes.is_some_and(|at| at > now);
        self.next = search.and_then(|search| search.probe).filter(|_| !rests);
    }

    /// What has been found out since this was asked last.
    pub(super) const fn take_news(&mut self) -> Option<PathNews> {
        self.news.take()
    }

    /// A probe with `bytes` of data is to go next; `quiet`: nothing is lost.
    pub(super) fn weigh(bytes: u32, room: &Room, quiet: bool) -> Verdict {
        let behind = room.mss.saturating_mul(FOLLOWERS);
        let all = bytes.saturating_add(behind);
        //= https://www.rfc-editor.org/rfc/rfc4821#section-7.4
        //# the sender SHOULD have enough data queued and sufficient receiver window to send the probe plus at least Tcprexmtthresh [RFC2760] additional segments. (4821:7.4-5)
        //= https://www.rfc-editor.org/rfc/rfc4821#section-7.4
        //# enough data is available to send the probe. (4821:7.4-4)
        if !quiet || bytes <= room.mss || room.unsent < all || room.usable < all || room.window < all {
            return Verdict::No;
        }
        //= https://www.rfc-editor.org/rfc/rfc4821#section-7.4
        //# The available window is greater than the probe size. (4821:7.4-3)
        if room.room < bytes {
            //= https://www.rfc-editor.org/rfc/rfc4821#section-7.4
            //# Protocols MAY delay sending non-probes in order to accumulate enough data to meet the pre-conditions for probing. (4821:7.4-6)
            //= https://www.rfc-editor.org/rfc/rfc4821#section-7.4
            //# The delayed sending algorithm SHOULD use some self-scaling technique to appropriately limit the time that the data is delayed. (4821:7.4-7)
            return Verdict::Gather;
        }
        Verdict::Send
    }

    /// A probe of `size` goes, its data from `start` to `end`.
    pub(super) const fn sent(&mut self, size: u16, start: SeqNum, end: SeqNum) {
        self.flying = Some(Flying { size, start, end });
        self.news = Some(PathNews::Probing);
    }

    /// The probe in flight has arrived.
    pub(super) fn arrived(&mut self) {
        if let Some(probe) = self.flying.take() {
            self.resumes = None;
            self.news = Some(PathNews::Passed(probe.size));
        }
    }

    /// The probe in flight is lost; `alone`: nothing else is. Whether that is no congestion; then no other goes for `pause`.
    pub(super) fn lost(&mut self, now: Instant, alone: bool, pause: Duration) -> bool {
        let Some(probe) = self.flying.take() else { return false };
        //= https://www.rfc-editor.org/rfc/rfc4821#section-7.6.4
        //# the state variables eff_pmtu, search_low, and search_high SHOULD NOT be updated, and the same-sized probe SHOULD be attempted again as soon as the probing preconditions are met (4821:7.6.4-1)
        self.news = Some(PathNews::Inconclusive);
        if alone {
            self.news = Some(PathNews::Failed(probe.size));
            self.resumes = Some(now + pause);
        }
        alone
    }

    /// The retransmission timer expired, with `una` still to be acknowledged; whether that was the probe.
    pub(super) fn timed_out(&mut self, now: Instant, una: SeqNum, pause: Duration) -> bool {
        // Before the probe is something else that is lost.
        let first = self.flying.is_some_and(|probe| probe.start == una);
        //= https://www.rfc-editor.org/rfc/rfc4821#section-7.6.3
        //# A time interval that is five times the non-timeout failure case (Section 7.6.2) is RECOMMENDED. (4821:7.6.3-1)
        self.lost(now, first, pause.saturating_mul(5))
    }

    /// A router has returned the segment that began at `seq`: what the probe was, if it was one. The stack knows what the router says.
    pub(super) fn returned(&mut self, seq: SeqNum) -> Option<Range<SeqNum>> {
        self.flying.take_if(|probe| probe.start == seq).map(|probe| probe.start..probe.end)
    }

    /// Timeouts in a row have come, as many as it takes, for a segment of `size`: the size to go on with, if the path may be to blame.
    pub(super) fn black_hole(&mut self, size: u16) -> Option<u16> {
        let MtuSearch { base, floor, .. } = self.search?;
        //= https://www.rfc-editor.org/rfc/rfc4821#section-7.7
        //# If eff_pmtu is larger than search_low, set eff_pmtu to search_low. Otherwise, set both eff_pmtu and search_low to the initial value for search_low. (4821:7.7-3)
        // Everything acknowledged before makes search_low the size in use, as a rule.
        //= https://www.rfc-editor.org/rfc/rfc4821#section-7.7
        //# Upon additional successive timeouts, search_low and eff_pmtu SHOULD be halved (4821:7.7-4)
        let smaller = if size > base { base } else { (size / 2).max(floor) };
        if smaller >= size {
            if self.doubt == Doubt::Shrunk {
                self.doubt = Doubt::Futile;
            }
            return None;
        }
        self.doubt = Doubt::Shrunk;
        self.news = Some(PathNews::BlackHole(smaller));
        Some(smaller)
    }

    /// Something is acknowledged: the row of timeouts is over.
    // RFC 4821 7.7 leaves open when a size taken for want of another reason is given up: where it did not help, waiting for probes would only make a
    // path that was interrupted slow.
    pub(super) fn passes_again(&mut self) {
        if std::mem::take(&mut self.doubt) == Doubt::Futile {
            self.news = Some(PathNews::NotSize);
        }
    }
}

impl Open {
    /// A probe, or room for one, before any other new data.
    pub(super) fn mtu_probe_wanted(&self, buffers: &Buffers) -> Option<Wish> {
        let wanted = self.mtu.next?;
        //= https://www.rfc-editor.org/rfc/rfc4821#section-5.1
        //# When conducting a probe, the Packetization Layer MUST determine the probe packet's final size including IP headers. (4821:5.1-1)
        let full = self.carried(wanted).min(self.snd.mss_most);
        let size = u16::try_from(full).unwrap_or(u16::MAX).saturating_add(self.options_len());
        let bytes = full.saturating_sub(self.snd.mss - self.segment_size());
        let flight = &self.snd.flight;
        let quiet = self.recovery.repair == Repair::None
            && self.recovery.duplicates == 0
            && (flight.held(), flight.lost()) == (0, 0)
            && !self.urgent.sending();
        let room = Room {
            unsent: self.snd.unsent(self.queued(buffers)),
            usable: self.snd.usable(),
            window: self.congestion.window(),
            room: self.room(),
            mss: self.segment_size(),
        };
        match MtuProbe::weigh(bytes, &room, quiet) {
            Verdict::No => None,
            Verdict::Gather => Some(Wish::Wait(Hold::Congestion)),
            Verdict::Send => Some(Wish::Send(Reason::MtuProbe { size, bytes })),
        }
    }

    /// Bytes of options in every segment.
    fn options_len(&self) -> u16 {
        if self.timestamps.is_some() { OPTION_LEN } else { 0 }
    }

    fn headway(&self) -> Duration {
        let trip = self.rtt.smoothed().unwrap_or_else(|| self.rto());
        headway(trip, self.congestion.window().div_ceil(self.snd.mss.max(1)))
    }

    /// Something is lost, the probe among it.
    //= https://www.rfc-editor.org/rfc/rfc4821#section-6.1
    //# timeouts SHOULD NOT be used as the primary mechanism for loss indication unless there are no other alternatives. (4821:6.1-1)
    //= https://www.rfc-editor.org/rfc/rfc4821#section-10.1
    //# Data in the probe gap will need to be retransmitted with multiple smaller segments. (4821:10.1-1)
    pub(super) fn probe_lost(&mut self, now: Instant, losses: &Losses, counters: &mut Counters) {
        let pause = self.headway();
        //= https://www.rfc-editor.org/rfc/rfc4821#section-4
        //# Normal congestion control algorithms MUST remain in effect under all conditions except when only an isolated probe packet is detected as lost. In this case alone, the normal congestion (window or data rate) reduction SHOULD be suppressed. If any other data loss is detected, standard congestion control MUST take place. (4821:4-3)
        let alone = losses.probe && !losses.data && self.recovery.repair == Repair::None;
        counters.tcp_mtu_probes_lost += u64::from(self.mtu.lost(now, alone, pause));
    }

    /// Bytes at SND.UNA that are lost where duplicate ACKs tell that something there is.
    pub(super) fn first_lost(&self) -> u32 {
        let probe = self.mtu.flying.filter(|probe| probe.start == self.snd.una);
        probe.map_or(self.snd.mss, |probe| probe.end.since(probe.start)).min(self.snd.outstanding())
    }

    /// The retransmission timer has expired, as often as counted: perhaps the path swallows what is sent, and it goes again in smaller segments.
    //= https://www.rfc-editor.org/rfc/rfc4821#section-7.7
    //# If there is a full-stop timeout and there was not an ICMP message indicating a reason (PTB, Net unreachable, etc., or the ICMP message was ignored for some reason), the RECOMMENDED first recovery action is to treat this as a detected ICMP black hole (4821:7.7-2)
    pub(super) fn doubt_path(&mut self, now: Instant, common: &Common, cx: &mut Context<'_>) {
        let pause = self.headway();
        cx.counters.tcp_mtu_probes_lost += u64::from(self.mtu.timed_out(now, self.snd.una, pause));
        if self.snd.retries < u32::from(cx.config.mtu_timeouts) || common.soft_error.is_some() {
            return;
        }
        let carried = u16::try_from(self.snd.outstanding().min(self.snd.mss)).unwrap_or(u16::MAX);
        //= https://www.rfc-editor.org/rfc/rfc4821#section-7.1
        //# if an "implicit probe" is lost, it MUST NOT be treated as a probe failure as a true probe would be. (4821:7.1-5)
        if self.mtu.black_hole(carried.saturating_add(self.options_len())).is_some() {
            cx.counters.tcp_black_holes += 1;
        }
    }
}

impl Sending<'_, '_> {
    /// New data in one segment that is longer than others.
    //= https://www.rfc-editor.org/rfc/rfc4821#section-7.5
    //# it creates a probe packet such that its size, including the outermost IP headers, is equal to the probe size. (4821:7.5-1)
    pub(super) fn mtu_probe(&mut self, size: u16, bytes: u32) -> Outgoing {
        let segment = self.data(bytes, false, true);
        let taken: usize = segment.payload.iter().map(bytes::Bytes::len).sum();
        if taken == bytes as usize {
            self.open.mtu.sent(size, segment.seq, segment.seq + bytes);
            self.cx.counters.tcp_mtu_probes += 1;
        }
        segment
    }
}

/// Time without probes after one that was lost: a round trip for each segment of the congestion window, `segments`.
//= https://www.rfc-editor.org/rfc/rfc4821#section-4
//# This SHOULD be enforced by requiring a minimum headway between a suppressed congestion adjustment (due to a failed probe) and the next attempted probe, which is equal to one round-trip time for each packet permitted by the congestion window. (4821:4-5)
pub(super) const fn headway(round_trip: Duration, segments: u32) -> Duration {
    round_trip.saturating_mul(segments)
}

packed!(MtuSearch { base, floor, probe });
packed!(Flying { size, start, end });
packed!(
    enum Doubt {
        None,
        Shrunk,
        Futile,
    }
);
packed!(MtuProbe { search, next, flying, resumes, news, doubt });

impl Pack for PathNews {
    fn pack(&self, to: &mut Packer) {
        let (kind, size) = match *self {
            Self::BlackHole(size) => (0, size),
            Self::NotSize => (1, 0),
            Self::Probing => (2, 0),
            Self::Passed(size) => (3, size),
            Self::Failed(size) => (4, size),
            Self::Inconclusive => (5, 0),
        };
        to.byte(kind);
        size.pack(to);
    }
    fn unpack(from: &mut Unpacker<'_>) -> Self {
        let kind = from.byte();
        let size = u16::unpack(from);
        match kind {
            0 => Self::BlackHole(size),
            1 => Self::NotSize,
            2 => Self::Probing,
            3 => Self::Passed(size),
            4 => Self::Failed(size),
            _ => Self::Inconclusive,
        }
    }
}
