//! Consecutive packets of one TCP connection merged into a super-frame, where the link does not do so: receive offload in software.
//!
//! Merged is what a sender's offload has cut: equal headers but for numbers and checksums, one behind the other, all of the first one's size but for the
//! last, which may be shorter or have PSH. So what comes out could be cut into the very packets that went in.
//!
//! Of acknowledgements that carry nothing else the last stands for those before it, if it acknowledges more than they and its options are the same: all of
//! them would be heard before anything is sent. It tells how many they were, since slow start counts them. What may be a duplicate is heard: one that does not
//! acknowledge more than the one before it, as far as that has come just now. And one that leaps is heard beside those before it, since it may acknowledge
//! what was never sent.

mod head;

use super::{Frame, FrameMeta, HEAD_MAX, ReceivedChecksum};
use crate::wire::tcp;
use crate::wire::tcp::Flags;
use arrayvec::ArrayVec;
use bytes::BytesMut;
use head::{Common, FLAGS, Head, SEQ};

/// Bytes of the largest IP packet.
pub const SUPER_FRAME_MAX: usize = 65_535;

/// Merges what is received, and gives back in order whatever cannot be merged any further. What it holds is to be taken before time passes.
///
/// ```text
///   the page      first header | payload | payload ...... | (end of the train)
///   a read begins                           here: | header | payload
/// ```
///
/// A packet that is likely to go on with the train is read to where its payload will lie, so that nothing is copied: its header takes for a moment the
/// place of the train's last bytes.
#[derive(Debug, Default)]
pub struct Coalescer {
    train: Option<Train>,
    /// What is read into; the train is at its beginning.
    page: BytesMut,
    /// Bytes that a header has displaced.
    displaced: ArrayVec<u8, HEAD_MAX>,
    /// What is merged as far as it can be.
    ready: ArrayVec<Frame, 2>,
}

/// Packets that the next may be merged with.
#[derive(Debug)]
struct Train {
    /// The first one's head.
    head: Head,
    /// The sequence number that the next begins with.
    next: u32,
    /// How many there are.
    packets: usize,
    /// It acknowledges more than one that came before it, and another may stand for it.
    advances: bool,
    /// What the next ones have in common, once there are two.
    common: Option<Common>,
}

impl Coalescer {
    /// Whether there is no room for another packet of `spare` bytes and what may be merged with it, so that a page is wanted.
    #[must_use]
    pub fn wants_page(&self, spare: usize) -> bool {
        let least = if self.train.is_some() { spare } else { SUPER_FRAME_MAX + spare };
        self.page.capacity() - self.page.len() < least
    }

    /// Goes back to the beginning of the page, of `size` bytes, if nobody holds any of it: what is read there is in the caches still.
    pub fn rewind(&mut self, size: usize) {
        if self.page.is_empty() {
            let _ = self.page.try_reclaim(size);
        }
    }

    /// Reads into `page` from now on; returns the last one, and what waited in it.
    pub fn replace_page(&mut self, page: BytesMut) -> (BytesMut, Option<Frame>) {
        let frame = self.take();
        (std::mem::replace(&mut self.page, page), frame)
    }

    /// The next packet from the link, which `read` appends to the page that it is given and tells about, if there is one: its length. Before the next one
    /// [`Coalescer::ready`] is to be asked.
    ///
    /// # Errors
    ///
    /// What `read` says.
    pub fn receive<E>(
        &mut self,
        read: impl FnOnce(&mut BytesMut) -> Result<Option<FrameMeta>, E>,
    ) -> Result<Option<usize>, E> {
        let at = self.displace();
        match read(&mut self.page) {
            Ok(Some(meta)) => {
                let length = self.page.len() - at;
                if !self.goes_on(at, meta) {
                    self.sort(at, meta);
                }
                Ok(Some(length))
            }
            outcome => {
                self.page.truncate(at);
                self.page.extend_from_slice(&self.displaced);
                outcome.map(|_| None)
            }
        }
    }

    /// The next of what goes to the stack now, in order.
    #[inline]
    pub fn ready(&mut self) -> Option<Frame> {
        if self.ready.is_empty() { None } else { self.ready.pop_at(0) }
    }

    /// What waits for another packet.
    pub fn take(&mut self) -> Option<Frame> {
        let train = self.train.take()?;
        Some(train.whole(self.page.split()))
    }

    /// Where the next packet is read to; what lay there of the train is kept.
    fn displace(&mut self) -> usize {
        let wanted = self.train.as_ref().map_or(0, Train::displaced);
        let at = self.page.len() - wanted.min(self.page.len());
        self.displaced.clear();
        let _ = self.displaced.try_extend_from_slice(self.page.get(at..).unwrap_or_default());
        self.page.truncate(at);
        at
    }

    /// Leaves the packet that begins at `at` behind the train, if it is like those before it, as most are: [`Coalescer::sort`] would do the same, and asks
    /// three times as much.
    fn goes_on(&mut self, at: usize, meta: FrameMeta) -> bool {
        let Some(train) = &mut self.train else { return false };
        let (own, packet) = self.page.split_at(at);
        let Some((payload, push)) = train.next(own, packet, meta) else { return false };
        train.next = train.next.wrapping_add(payload as u32);
        train.packets += 1;
        let (head, layout) = (train.head.payload_at, train.head.layout.start);
        let ends = push || payload < train.head.payload;
        self.close_gap(at, head, payload, push.then_some(layout));
        if ends {
            let whole = self.take();
            self.ready.extend(whole);
        }
        true
    }

    /// Decides about the packet that begins at `at`.
    fn sort(&mut self, at: usize, meta: FrameMeta) {
        let (own, packet) = self.page.split_at(at);
        let (length, head) = (packet.len(), Head::of(packet, meta));
        let mut advances = false;
        if let (Some(train), Some(head)) = (&mut self.train, &head) {
            advances = train.is_overtaken(own, head, packet);
            if advances && train.advances {
                (train.head, train.packets) = (*head, train.packets + 1);
                self.page.copy_within(at.., 0);
                self.page.truncate(length);
                return;
            }
            if train.goes_on(own, head, packet) {
                train.count(own, head);
                let ends = head.push || head.payload < train.head.payload;
                self.close_gap(at, head.payload_at, head.payload, head.push.then_some(head.layout.start));
                if ends {
                    let whole = self.take();
                    self.ready.extend(whole);
                }
                return;
            }
        }
        if let Some(train) = self.train.take() {
            let behind = at + self.displaced.len();
            self.page.extend_from_slice(&self.displaced);
            self.page.get_mut(at..).unwrap_or_default().rotate_right(self.displaced.len());
            self.ready.push(train.whole(self.page.split_to(behind)));
        }
        match head.filter(|head| !head.push) {
            Some(head) => self.train = Some(Train { advances, ..Train::of(head) }),
            None => {
                // The sum of what has a head has been checked.
                let meta = if head.is_some() { VALID } else { meta };
                self.ready.push(Frame { bytes: self.page.split().freeze(), meta });
            }
        }
    }

    /// Leaves of the packet at `at`, whose payload of so many bytes begins at `payload_at`, that payload behind the train, and of its header the PSH in the TCP
    /// header at `push`.
    fn close_gap(&mut self, at: usize, payload_at: usize, payload: usize, push: Option<usize>) {
        match self.page.get_mut(at..at + self.displaced.len()) {
            Some(place) if !self.displaced.is_empty() => place.copy_from_slice(&self.displaced),
            _ => {
                self.page.copy_within(at + payload_at.., at);
                self.page.truncate(at + payload);
            }
        }
        if let Some(flags) = push.and_then(|start| self.page.get_mut(start + FLAGS)) {
            *flags |= Flags::PSH.0;
        }
    }
}

impl Train {
    fn of(head: Head) -> Self {
        let next = head.seq.wrapping_add(head.payload as u32);
        Self { head, next, packets: 1, advances: false, common: None }
    }

    /// The bytes of the payload of `packet`, and whether it has PSH, if [`Train::goes_on`] is true of it; or nothing: it is found out in a third of the time,
    /// for the packets in the middle of a train differ in little from those before.
    fn next(&self, own: &[u8], packet: &[u8], meta: FrameMeta) -> Option<(usize, bool)> {
        let common = self.common.as_ref()?;
        let layout = &self.head.layout;
        let payload = packet.len().checked_sub(self.head.payload_at)?;
        let (mine, theirs) = (own.get(..self.head.payload_at)?, packet.get(..self.head.payload_at)?);
        let seq = u32::from_be_bytes(*theirs.get(layout.start + SEQ..)?.first_chunk()?);
        let goes_on = seq == self.next
            && (1..=self.head.payload).contains(&payload)
            && meta.gso_size == 0
            && self.length() + payload <= SUPER_FRAME_MAX
            && common.are_alike(mine, theirs)
            && common.is_sound(layout, packet, meta);
        let push = Flags(*theirs.get(layout.start + FLAGS)?).has(Flags::PSH);
        debug_assert!(
            !goes_on || Head::of(packet, meta).is_some_and(|head| self.goes_on(own, &head, packet))
        );
        goes_on.then_some((payload, push))
    }

    /// How many bytes at its end the header of a next packet would take the place of; none where it would reach the header of the first.
    const fn displaced(&self) -> usize {
        if self.head.payload >= self.head.payload_at { self.head.payload_at } else { 0 }
    }

    /// Bytes of all.
    const fn length(&self) -> usize {
        self.head.payload_at + self.next.wrapping_sub(self.head.seq) as usize
    }

    /// Whether this is an acknowledgement, and `packet` one of more.
    fn is_overtaken(&self, own: &[u8], head: &Head, packet: &[u8]) -> bool {
        self.head.payload == 0
            && head.payload == 0
            && head.seq == self.head.seq
            && (1..=LEAP_MOST).contains(&head.ack.wrapping_sub(self.head.ack))
            && packet
                .get(head.layout.start + tcp::HEADER..head.payload_at)
                .is_some_and(|options| options.is_empty() || stamps_only(options))
            && self.head.is_like(own, head, packet)
    }

    /// Whether `packet` begins where the last has ended.
    fn goes_on(&self, own: &[u8], head: &Head, packet: &[u8]) -> bool {
        head.payload > 0
            && head.payload <= self.head.payload
            && head.seq == self.next
            && (head.ack, head.window) == (self.head.ack, self.head.window)
            && self.length() + head.payload <= SUPER_FRAME_MAX
            && self.head.is_like(own, head, packet)
    }

    fn count(&mut self, own: &[u8], head: &Head) {
        self.next = self.next.wrapping_add(head.payload as u32);
        self.packets += 1;
        if self.common.is_none() {
            self.common = Common::of(&self.head.layout, own);
        }
    }

    /// The super-frame in `bytes`, or the last acknowledgement, or the packet if it is alone.
    fn whole(&self, mut bytes: BytesMut) -> Frame {
        if self.packets == 1 {
            return Frame { bytes: bytes.freeze(), meta: VALID };
        }
        if self.head.payload == 0 {
            let gso_size = u16::try_from(self.packets).unwrap_or(u16::MAX);
            return Frame { bytes: bytes.freeze(), meta: FrameMeta { gso_size, ..VALID } };
        }
        let layout = &self.head.layout;
        let length = bytes.len() - layout.start;
        layout.rewrite_ip(&mut bytes, length);
        let gso_size = u16::try_from(self.head.payload).unwrap_or(u16::MAX);
        Frame { bytes: bytes.freeze(), meta: FrameMeta { gso_size, ..VALID } }
    }
}

/// What is known of a single packet whose checksum is sound.
const VALID: FrameMeta = FrameMeta { checksum: ReceivedChecksum::Valid, gso_size: 0 };

/// Bytes by which an acknowledgement may be ahead of one that it stands for: what a receiver's own offload has merged. Whoever forges one that is not
/// believed has to guess that too, beside the sequence number and the timestamps, for a true one to be lost.
const LEAP_MOST: u32 = 1 << 16;

/// Whether these options are timestamps and nothing else, as everybody writes them (RFC 7323 appendix A).
fn stamps_only(options: &[u8]) -> bool {
    options.len() == 12 && options.starts_with(&[1, 1, 8, 10])
}

#[cfg(test)]
mod tests;
