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
}

/// What has come.
#[derive(Debug)]
pub struct Received {
    /// Bytes of the packet.
    pub length: usize,
    /// What goes to the stack now, in order.
    pub frames: ArrayVec<Frame, 2>,
}

/// Bytes that a header has displaced.
type Displaced = ArrayVec<u8, HEAD_MAX>;

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

    /// The next packet from the link, which `read` appends to the page that it is given and tells about, if there is one.
    ///
    /// # Errors
    ///
    /// What `read` says.
    pub fn receive<E>(
        &mut self,
        read: impl FnOnce(&mut BytesMut) -> Result<Option<FrameMeta>, E>,
    ) -> Result<Option<Received>, E> {
        let (at, displaced) = self.displace();
        let outcome = read(&mut self.page);
        let Ok(Some(meta)) = outcome else {
            self.page.truncate(at);
            self.page.extend_from_slice(&displaced);
            return outcome.map(|_| None);
        };
        Ok(Some(self.sort(at, &displaced, meta)))
    }

    /// What waits for another packet.
    pub fn take(&mut self) -> Option<Frame> {
        let train = self.train.take()?;
        Some(train.whole(self.page.split()))
    }

    /// Where the next packet is read to, and what lay there of the train.
    fn displace(&mut self) -> (usize, Displaced) {
        let mut displaced = Displaced::new();
        let wanted = self.train.as_ref().map_or(0, Train::displaced);
        let at = self.page.len() - wanted.min(self.page.len());
        let _ = displaced.try_extend_from_slice(self.page.get(at..).unwrap_or_default());
        self.page.truncate(at);
        (at, displaced)
    }

    /// Decides about the packet that begins at `at`.
    fn sort(&mut self, at: usize, displaced: &Displaced, meta: FrameMeta) -> Received {
        let (own, packet) = self.page.split_at(at);
        let next = self.train.as_ref().and_then(|train| train.next(own, packet, meta));
        let (length, head) = (packet.len(), next.or_else(|| Head::of(packet, meta)));
        let mut frames = ArrayVec::new();
        let mut advances = false;
        if let (Some(train), Some(head)) = (&mut self.train, &head) {
            advances = next.is_none() && train.is_overtaken(own, head, packet);
            if advances && train.advances {
                (train.head, train.packets) = (*head, train.packets + 1);
                self.page.copy_within(at.., 0);
                self.page.truncate(length);
                return Received { length, frames };
            }
            if next.is_some() || train.goes_on(own, head, packet) {
                train.count(own, head);
                let ends = head.push || head.payload < train.head.payload;
                self.close_gap(at, displaced, head);
                if ends {
                    frames.extend(self.take());
                }
                return Received { length, frames };
            }
        }
        if let Some(train) = self.train.take() {
            self.page.extend_from_slice(displaced);
            self.page.get_mut(at..).unwrap_or_default().rotate_right(displaced.len());
            frames.push(train.whole(self.page.split_to(at + displaced.len())));
        }
        match head.filter(|head| !head.push) {
            Some(head) => self.train = Some(Train { advances, ..Train::of(head) }),
            None => {
                // The sum of what has a head has been checked.
                let meta = if head.is_some() { VALID } else { meta };
                frames.push(Frame { bytes: self.page.split().freeze(), meta });
            }
        }
        Received { length, frames }
    }

    /// Leaves of the packet at `at` the payload behind the train, and of its header the PSH.
    fn close_gap(&mut self, at: usize, displaced: &Displaced, head: &Head) {
        match self.page.get_mut(at..at + displaced.len()) {
            Some(place) if !displaced.is_empty() => place.copy_from_slice(displaced),
            _ => {
                self.page.copy_within(at + head.payload_at.., at);
                self.page.truncate(at + head.payload);
            }
        }
        if head.push
            && let Some(flags) = self.page.get_mut(head.layout.start + FLAGS)
        {
            *flags |= Flags::PSH.0;
        }
    }
}

impl Train {
    fn of(head: Head) -> Self {
        let next = head.seq.wrapping_add(head.payload as u32);
        Self { head, next, packets: 1, advances: false, common: None }
    }

    /// The head of `packet` if [`Train::goes_on`] is true of it, or nothing: it is found out in a third of the time, for the packets in the middle of a
    /// train differ in little from those before.
    fn next(&self, own: &[u8], packet: &[u8], meta: FrameMeta) -> Option<Head> {
        let common = self.common.as_ref()?;
        let layout = &self.head.layout;
        let payload = packet.len().checked_sub(self.head.payload_at)?;
        let (mine, theirs) = (own.get(..self.head.payload_at)?, packet.get(..self.head.payload_at)?);
        let pairs = mine.iter().zip(theirs).zip(common.mask);
        let differing = pairs.fold(0, |all, ((mine, theirs), mask)| all | (mine ^ theirs) & mask);
        let seq = u32::from_be_bytes(*theirs.get(layout.start + SEQ..)?.first_chunk()?);
        let goes_on = differing == 0
            && meta.gso_size == 0
            && (1..=self.head.payload).contains(&payload)
            && seq == self.next
            && self.length() + payload <= SUPER_FRAME_MAX
            && common.is_sound(layout, packet, meta);
        let push = Flags(*theirs.get(layout.start + FLAGS)?).has(Flags::PSH);
        let head = goes_on.then_some(Head { payload, seq, push, ..self.head });
        debug_assert!(
            head.is_none() || Head::of(packet, meta).is_some_and(|head| self.goes_on(own, &head, packet))
        );
        head
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
