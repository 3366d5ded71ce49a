//! The queue of the device, shared by the connections that near peers send to.
//!
//! Packets of a kernel on the same machine go straight into the queue, which drops what it cannot take and tells nobody: only the windows hold their
//! senders back. On a far path the path takes a window, and the queue only what comes while the stack does not run.
//!
//! A connection that receives much may be offered an equal part, and no more than the others leave. A window that was offered is never taken back, so it
//! is counted until it is used up or nothing has come for a while.

use crate::link::Capabilities;
use crate::pack::packed;
use crate::time::Instant;

/// Who shares it.
#[derive(Debug, Default)]
pub(super) struct QueueShare {
    /// Packets that it takes; `None`: as many as come.
    slots: Option<u32>,
    /// Whether a slot takes a super-frame.
    whole: bool,
    /// Largest segment on the link, bytes.
    segment: u32,
    /// The present period.
    period: u64,
    /// What was counted in it last, and what was counted last in the one before.
    now: Count,
    before: Count,
}

/// Connections that receive much, and the slots that their windows may fill.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    connections: u32,
    slots: u32,
}

/// What a connection has received of late.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recent {
    /// The period of its last arrival, and the bytes that have come in it.
    period: u64,
    bytes: u64,
    /// The period that it is counted in, and with how many slots.
    counted: u64,
    slots: u32,
}

/// What is known of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receiving {
    /// Bytes of its segments at most.
    pub(super) mss: u32,
    /// Bytes that have come now.
    pub(super) bytes: usize,
    /// What is left of the window offered, bytes.
    pub(super) window: u32,
    /// Bytes that its buffer holds.
    pub(super) limit: usize,
    /// More may come.
    pub(super) open: bool,
}

/// Microseconds. A connection that has received little for two of these takes nothing from others.
const PERIOD: u64 = 100_000;
/// Segments in a period beyond which a connection receives much: a request is less, the first flight of much data (RFC 6928) is more.
const LITTLE: u64 = 4;
/// Least slots of a connection: four segments, and one that the end of the window cuts.
const LEAST: u32 = 5;
/// Parts that there are at least for a connection that has received little: so many may begin at once.
const BEGINNERS: u32 = 32;
/// Most slots of single packets: what waits behind more of them has left the caches when it is read (docs/decisions/0008).
const SINGLE_MOST: u32 = 6000;
/// Bytes of a super-frame in the queue: of the 64 KiB that one has at most, half, since senders make shorter ones at the end of a window.
const SUPER_FRAME: u32 = 32 << 10;
/// Headers of a packet, bytes.
const HEADERS: u16 = 40;

impl QueueShare {
    pub(super) fn new(link: &Capabilities) -> Self {
        let whole = link.tso4 || link.tso6;
        // A tenth is for what no window holds back: acknowledgements, datagrams, requests.
        let most = if whole { u32::MAX } else { SINGLE_MOST };
        let slots = link.queue.map(|packets| most.min(packets - packets.div_ceil(10)));
        let segment = u32::from(link.mtu.saturating_sub(HEADERS));
        Self { slots, whole, segment, ..Self::default() }
    }

    /// Whether windows depend on it.
    pub(super) const fn is_bounded(&self) -> bool {
        self.slots.is_some()
    }

    /// Bytes of the largest segment on the link.
    pub(super) const fn segment(&self) -> u32 {
        self.segment
    }

    /// Most bytes to offer to a peer of which nothing has come.
    pub(super) fn first(&self) -> Option<usize> {
        Some(self.bytes((self.slots? / BEGINNERS).max(LEAST), self.segment))
    }

    /// Something has come for a connection: the most bytes to offer to its peer.
    pub(super) fn take(&mut self, now: Instant, recent: &mut Recent, receiving: &Receiving) -> Option<usize> {
        let slots = self.slots?;
        let Receiving { mss, bytes, window, limit, open } = *receiving;
        self.turn(now.as_micros() / PERIOD + 1);
        if recent.period != self.period {
            (recent.period, recent.bytes) = (self.period, 0);
        }
        recent.bytes = recent.bytes.saturating_add(bytes as u64);
        let much = recent.bytes > LITTLE * u64::from(mss);
        let mine = self.counted(recent);
        let others = self.now.connections + self.before.connections - u32::from(mine > 0);
        let held = self.now.slots.saturating_add(self.before.slots).saturating_sub(mine);
        let parts = if much || mine > 0 { others + 1 } else { (others + 1).max(BEGINNERS) };
        let part = (slots / parts).min(slots.saturating_sub(held)).max(LEAST);
        if much {
            self.forget(recent);
            if open {
                let most = part.min(self.slots_for(limit, mss));
                recent.slots = most.max(self.slots_for(window as usize, mss));
                recent.counted = self.period;
                self.now.connections += 1;
                self.now.slots = self.now.slots.saturating_add(recent.slots);
            }
        }
        Some(self.bytes(part, mss))
    }

    /// The connection is over, or counted anew.
    pub(super) fn forget(&mut self, recent: &mut Recent) {
        let slots = self.counted(recent);
        recent.slots = 0;
        if slots > 0 {
            let count = if recent.counted == self.period { &mut self.now } else { &mut self.before };
            count.connections = count.connections.saturating_sub(1);
            count.slots = count.slots.saturating_sub(slots);
        }
    }

    /// Slots that are counted for a connection.
    const fn counted(&self, recent: &Recent) -> u32 {
        if recent.counted + 1 >= self.period { recent.slots } else { 0 }
    }

    const fn turn(&mut self, period: u64) {
        if period > self.period {
            let none = Count { connections: 0, slots: 0 };
            self.before = if period == self.period + 1 { self.now } else { none };
            (self.period, self.now) = (period, none);
        }
    }

    /// Bytes that fill so many slots, where the end of the window cuts a segment.
    fn bytes(&self, slots: u32, mss: u32) -> usize {
        (slots.saturating_sub(1) as usize).saturating_mul(self.slot(mss) as usize)
    }

    fn slots_for(&self, bytes: usize, mss: u32) -> u32 {
        u32::try_from(bytes.div_ceil(self.slot(mss) as usize).saturating_add(1)).unwrap_or(u32::MAX)
    }

    fn slot(&self, mss: u32) -> u32 {
        if self.whole { SUPER_FRAME } else { mss.max(1) }
    }
}

packed!(Recent { period, bytes, counted, slots });

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MSS: u32 = 1460;

    fn share(queue: Option<u32>) -> QueueShare {
        QueueShare::new(&Capabilities { queue, ..Capabilities::plain(1500) })
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(1_000_000 + millis)
    }

    fn much(window: u32) -> Receiving {
        Receiving { mss: MSS, bytes: 14_600, window, limit: 4 << 20, open: true }
    }

    fn segments(bytes: Option<usize>) -> usize {
        bytes.expect("a queue") / MSS as usize
    }

    #[test]
    fn a_queue_that_holds_its_sender_back_bounds_nothing() {
        let mut queue = share(None);
        assert!(!queue.is_bounded());
        assert_eq!(queue.first(), None);
        assert_eq!(queue.take(at(0), &mut Recent::default(), &much(0)), None);
    }

    #[test]
    fn one_connection_may_fill_nine_tenths_of_the_queue() {
        let mut queue = share(Some(500));
        let mut one = Recent::default();
        assert_eq!(segments(queue.first()), 13, "a part of thirty-two");
        let request = Receiving { bytes: 100, ..much(0) };
        assert_eq!(segments(queue.take(at(0), &mut one, &request)), 13);
        assert_eq!(segments(queue.take(at(0), &mut one, &much(0))), 449, "and a segment that is cut");
    }

    #[test]
    fn no_more_single_packets_wait_than_the_caches_hold() {
        let link = Capabilities { tso4: true, tso6: true, queue: Some(10_000), ..Capabilities::plain(1500) };
        let whole = QueueShare::new(&link).take(at(0), &mut Recent::default(), &much(0));
        let single = share(Some(10_000)).take(at(0), &mut Recent::default(), &much(0));
        assert_eq!((whole, segments(single)), (Some(8999 << 15), 5999));
    }

    #[test]
    fn a_slot_takes_a_super_frame_where_the_link_cuts() {
        let link = Capabilities { tso4: true, tso6: true, queue: Some(500), ..Capabilities::plain(1500) };
        assert_eq!(QueueShare::new(&link).take(at(0), &mut Recent::default(), &much(0)), Some(449 << 15));
    }

    #[test]
    fn what_was_offered_is_counted_until_it_is_used() {
        let mut queue = share(Some(500));
        let (mut one, mut other) = (Recent::default(), Recent::default());
        queue.take(at(0), &mut one, &much(0));
        assert_eq!(segments(queue.take(at(0), &mut other, &much(0))), LEAST as usize - 1);
        assert_eq!(segments(queue.take(at(1), &mut one, &much(400 * MSS))), 224, "half of it from now on");
        assert_eq!(segments(queue.take(at(1), &mut other, &much(4 * MSS))), 48, "what is left");
        queue.take(at(2), &mut one, &much(224 * MSS));
        assert_eq!(segments(queue.take(at(2), &mut other, &much(4 * MSS))), 224);
    }

    #[test]
    fn who_is_over_or_receives_no_more_leaves_its_part_to_others() {
        for over in [true, false] {
            let mut queue = share(Some(500));
            let (mut one, mut other) = (Recent::default(), Recent::default());
            queue.take(at(0), &mut one, &much(0));
            if over {
                queue.forget(&mut one);
                queue.forget(&mut one);
            } else {
                queue.take(at(0), &mut one, &Receiving { open: false, ..much(0) });
            }
            assert_eq!(segments(queue.take(at(0), &mut other, &much(0))), 449);
        }
        let mut queue = share(Some(500));
        let (mut one, mut other) = (Recent::default(), Recent::default());
        queue.take(at(0), &mut one, &much(0));
        assert_eq!(segments(queue.take(at(150), &mut other, &much(0))), 4);
        assert_eq!(segments(queue.take(at(200), &mut other, &much(0))), 449, "two periods later");
    }

    #[test]
    fn requests_take_no_part() {
        let mut queue = share(Some(500));
        for _ in 0..1000 {
            queue.take(at(0), &mut Recent::default(), &Receiving { bytes: 500, ..much(0) });
        }
        assert_eq!(segments(queue.take(at(0), &mut Recent::default(), &much(0))), 449);
    }

    proptest! {
        /// Whoever comes and goes, in whatever order: what may be on its way fits, but for the least windows.
        #[test]
        fn the_queue_is_never_promised_twice(
            steps in prop::collection::vec((0usize..20, 0u32..100_000, 0u64..3), 1..400)
        ) {
            let mut queue = share(Some(500));
            let mut all = [(Recent::default(), 0u32); 20];
            let mut now = 0;
            for (who, bytes, pause) in steps {
                now += pause;
                // Whoever is offered something uses it before it is forgotten.
                let (recent, window) = &mut all[who];
                let come = bytes.min(*window).max(14_600);
                *window = window.saturating_sub(come);
                let receiving = Receiving { bytes: come as usize, ..much(*window) };
                let most = queue.take(at(now % 100), recent, &receiving).expect("a queue");
                *window = (*window).max(u32::try_from(most).expect("a window"));
                let promised: u32 = all.iter().map(|(_, window)| window.div_ceil(MSS) + u32::from(*window > 0)).sum();
                prop_assert!(promised <= 450 + 20 * LEAST, "{promised} slots");
            }
        }
    }
}
