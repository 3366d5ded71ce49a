//! One direction of an impaired link: what becomes of each packet, and when it arrives.

use super::mark::mark;
use super::mtu::{Passage, passage};
use super::settings::{Impairment, Statistics};
use crate::error::Error;
use crate::link::{HEAD_MAX, SentChecksum, Transmit};
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use bytes::Bytes;
use smallvec::SmallVec;
use std::collections::{BTreeMap, VecDeque};

/// Packets that wait in the queue when the settings name no number.
const QUEUE_DEFAULT: usize = 1000;

/// Bytes of packets under way when the settings name no number.
const MEMORY_DEFAULT: usize = 128 << 20;

/// What a packet under way is counted with beside its bytes.
const OVERHEAD: usize = 128;

/// A packet of the wire, IP header first, copied out of whatever page it came in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packet {
    /// The packet, every checksum complete.
    pub bytes: Vec<u8>,
    /// Bytes of IP and transport header at its front, where whoever takes it out wants them apart; else 0.
    pub head: usize,
}

impl From<Vec<u8>> for Packet {
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, head: 0 }
    }
}

impl From<&Transmit> for Packet {
    /// A copy of a packet of the wire: super-frames are cut before, by [`segment`](crate::link::segment::segment).
    fn from(transmit: &Transmit) -> Self {
        let mut bytes = Vec::with_capacity(transmit.len());
        bytes.extend_from_slice(&transmit.head);
        transmit.payload.iter().for_each(|slice| bytes.extend_from_slice(slice));
        Self { bytes, head: transmit.head.len() }
    }
}

impl From<Packet> for Transmit {
    fn from(packet: Packet) -> Self {
        let mut payload = SmallVec::new();
        let mut bytes = Bytes::from(packet.bytes);
        let head = if packet.head == 0 { HEAD_MAX } else { packet.head };
        let head = bytes.split_to(head.min(bytes.len()));
        if !bytes.is_empty() {
            payload.push(bytes);
        }
        let head = head.iter().copied().take(HEAD_MAX).collect();
        Self { head, payload, gso_size: 0, checksum: SentChecksum::Complete }
    }
}

/// One direction of a link: packets go in by [`Path::offer`] and come out by [`Path::due`] when their time has come.
///
/// It is a function of its settings, its random numbers, and the packets with their times: it asks for no clock, so the same object stands in a simulation
/// and between two devices in real time. `now` may never go back.
#[derive(Debug)]
pub struct Path {
    settings: Impairment,
    /// Settings to come, the earliest first.
    plan: VecDeque<(Instant, Impairment)>,
    rng: Rng,
    /// When the policer's bucket is full if nothing more comes.
    full_at: Instant,
    /// When the link has sent all that it has taken.
    idle_at: Instant,
    /// When each packet leaves the queue, and its bytes.
    departures: VecDeque<(Instant, usize)>,
    queued_bytes: usize,
    /// In the bad state of Gilbert and Elliott.
    in_burst: bool,
    /// Packets that keep their order, each no earlier than the one before.
    in_order: VecDeque<(Instant, u64, Packet)>,
    /// Packets held back.
    late: BTreeMap<(Instant, u64), Packet>,
    memory: usize,
    /// When the last packet arrives that was not held back.
    last_arrival: Instant,
    serial: u64,
    pub(super) statistics: Statistics,
}

impl Path {
    /// An empty path. EINVAL with a sentence for settings that make no sense.
    pub fn new(settings: Impairment, rng: Rng) -> Result<Self, Error> {
        settings.validate()?;
        Ok(Self {
            settings,
            plan: VecDeque::new(),
            rng,
            full_at: Instant::ZERO,
            idle_at: Instant::ZERO,
            departures: VecDeque::new(),
            queued_bytes: 0,
            in_burst: false,
            in_order: VecDeque::new(),
            late: BTreeMap::new(),
            memory: 0,
            last_arrival: Instant::ZERO,
            serial: 0,
            statistics: Statistics::default(),
        })
    }

    /// Takes a packet in: it waits for its turn on the link, then it may be lost, and what is left of it arrives after the delay.
    /// Returns what its source is to be told by ICMP where it is too big: a packet for the opposite direction.
    pub fn offer(&mut self, now: Instant, packet: Packet) -> Option<Packet> {
        self.statistics.packets += 1;
        while let Some((_, settings)) = self.plan.pop_front_if(|(at, _)| *at <= now) {
            self.settings = settings;
        }
        if !self.conforms(now, packet.bytes.len()) {
            self.statistics.policed += 1;
            return None;
        }
        let Impairment { mtu, mtu_told, .. } = self.settings;
        if mtu == 0 || packet.bytes.len() <= usize::from(mtu) {
            self.enqueue(now, packet);
            return None;
        }
        match passage(&packet.bytes, mtu) {
            Passage::Fragments(pieces) => {
                self.statistics.fragments += (pieces.len() as u64).saturating_sub(1);
                pieces.into_iter().for_each(|piece| self.enqueue(now, piece.into()));
                None
            }
            Passage::Stopped(report) => {
                self.statistics.too_big += 1;
                let report = report.filter(|_| mtu_told)?;
                self.statistics.told += 1;
                Some(report.into())
            }
        }
    }

    /// The next packet that has arrived by `now`.
    pub fn due(&mut self, now: Instant) -> Option<Packet> {
        let (at, serial) = self.front()?;
        if at > now {
            return None;
        }
        let packet = match self.late.remove(&(at, serial)) {
            Some(packet) => packet,
            None => self.in_order.pop_front()?.2,
        };
        self.memory = self.memory.saturating_sub(packet.bytes.len() + OVERHEAD);
        self.statistics.delivered += 1;
        Some(packet)
    }

    /// When the next packet arrives; `None`: nothing is under way.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.front().map(|(at, _)| at)
    }

    /// Other settings for the packets offered from here on. What was taken before leaves the queue and arrives as it would have, and order is kept
    /// across the change: where the delay shrinks, later packets wait for earlier ones. Errors as [`Path::new`], and nothing changes then.
    pub fn change(&mut self, settings: Impairment) -> Result<(), Error> {
        settings.validate()?;
        self.settings = settings;
        Ok(())
    }

    /// [`Path::change`] for the packets offered from the instant `at` on.
    pub fn change_at(&mut self, at: Instant, settings: Impairment) -> Result<(), Error> {
        settings.validate()?;
        let place = self.plan.partition_point(|(other, _)| *other <= at);
        self.plan.insert(place, (at, settings));
        Ok(())
    }

    /// The settings that hold.
    #[must_use]
    pub const fn settings(&self) -> &Impairment {
        &self.settings
    }

    /// What was done to its packets.
    #[must_use]
    pub const fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Packets that are in the queue or under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.in_order.len() + self.late.len()
    }

    /// Those packets, in no order of use.
    pub fn contents(&self) -> impl Iterator<Item = &Packet> {
        self.in_order.iter().map(|(_, _, packet)| packet).chain(self.late.values())
    }

    /// Arrival and serial number of the packet that arrives first.
    fn front(&self) -> Option<(Instant, u64)> {
        let in_order = self.in_order.front().map(|(at, serial, _)| (*at, *serial));
        let late = self.late.first_key_value().map(|(key, _)| *key);
        [in_order, late].into_iter().flatten().min()
    }

    /// Whether the policer lets a packet pass, which then takes its tokens.
    fn conforms(&mut self, now: Instant, length: usize) -> bool {
        let Impairment { police_rate, police_burst, .. } = self.settings;
        if police_rate == 0 {
            return true;
        }
        let full_at = self.full_at.max(now) + time_at(police_rate, length);
        let passes = full_at <= now + time_at(police_rate, police_burst);
        if passes {
            self.full_at = full_at;
        }
        passes
    }

    /// Gives a packet its place in the queue and decides what becomes of it behind.
    fn enqueue(&mut self, now: Instant, mut packet: Packet) {
        while let Some((_, bytes)) = self.departures.pop_front_if(|(departure, _)| *departure <= now) {
            self.queued_bytes -= bytes;
        }
        let length = packet.bytes.len();
        if self.is_full(length) {
            self.statistics.dropped += 1;
            return;
        }
        // Beside the one that is being sent.
        let long = self.settings.mark > 0 && self.departures.len() > self.settings.mark;
        if long && mark(&mut packet.bytes) {
            self.statistics.marked += 1;
        }
        let mut departure = self.idle_at.max(now);
        if self.settings.rate > 0 {
            departure += time_at(self.settings.rate, length);
            self.idle_at = departure;
            self.departures.push_back((departure, length));
            self.queued_bytes += length;
        }
        if self.loses() {
            return;
        }
        if self.rng.chance(self.settings.duplicate) {
            self.statistics.duplicated += 1;
            self.launch(departure, packet.clone());
        }
        self.launch(departure, packet);
    }

    fn is_full(&self, length: usize) -> bool {
        let Some((_, sending)) = self.departures.front() else { return false };
        let Impairment { queue, queue_bytes, .. } = self.settings;
        let most = match (queue, queue_bytes) {
            (0, 0) => QUEUE_DEFAULT,
            (0, _) => usize::MAX,
            _ => queue,
        };
        let waiting = self.queued_bytes - sending;
        self.departures.len() > most || (queue_bytes > 0 && waiting + length > queue_bytes)
    }

    fn loses(&mut self) -> bool {
        let Impairment { loss, burst_enter, burst_leave, burst_loss, .. } = self.settings;
        if burst_enter > 0.0 {
            self.in_burst ^= self.rng.chance(if self.in_burst { burst_leave } else { burst_enter });
        }
        let in_burst = self.in_burst && burst_enter > 0.0;
        let lost = self.rng.chance(if in_burst { burst_loss } else { loss });
        match in_burst {
            true => self.statistics.burst_lost += u64::from(lost),
            false => self.statistics.lost += u64::from(lost),
        }
        lost
    }

    fn launch(&mut self, departure: Instant, mut packet: Packet) {
        let memory = self.memory + packet.bytes.len() + OVERHEAD;
        let most = if self.settings.memory == 0 { MEMORY_DEFAULT } else { self.settings.memory };
        if memory > most {
            self.statistics.overflowed += 1;
            return;
        }
        self.memory = memory;
        if self.rng.chance(self.settings.corrupt) {
            self.flip_one_bit(&mut packet.bytes);
        }
        let jitter = self.uniform(self.settings.jitter);
        let arrival = (departure + self.settings.delay + jitter).max(self.last_arrival);
        let serial = self.serial;
        self.serial += 1;
        if self.rng.chance(self.settings.reorder) {
            self.statistics.reordered += 1;
            let held = self.settings.reorder_delay + self.uniform(self.settings.reorder_jitter);
            self.late.insert((arrival + held, serial), packet);
        } else {
            self.last_arrival = arrival;
            self.in_order.push_back((arrival, serial, packet));
        }
    }

    fn flip_one_bit(&mut self, bytes: &mut [u8]) {
        let bits = u32::try_from(bytes.len() * 8).unwrap_or(u32::MAX);
        let bit = self.rng.below(bits);
        if let Some(byte) = bytes.get_mut(bit as usize / 8) {
            *byte ^= 1 << (bit % 8);
            self.statistics.corrupted += 1;
        }
    }

    /// A duration from zero to `most`.
    fn uniform(&mut self, most: Duration) -> Duration {
        if most.is_zero() {
            return most;
        }
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        let scaled = u128::from(self.rng.next_u64()) * (u128::from(nanos) + 1);
        Duration::from_nanos((scaled >> 64) as u64)
    }
}

/// What so many bytes take at so many bits a second, which are not zero.
fn time_at(rate: u64, bytes: usize) -> Duration {
    let nanos = u128::from(bytes as u64) * 8_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
