//! One direction of an impaired link: what becomes of each packet, and when it arrives.

use super::{Impairment, Statistics};
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use std::collections::{BTreeMap, VecDeque};

/// Most packets under way at once, whatever the delay: the bound on memory. More are dropped as by a full queue.
const UNDER_WAY_MAX: usize = 65_536;

/// Packets that wait in the queue when the settings name no number.
const QUEUE_DEFAULT: usize = 1000;

/// A packet of the wire, copied out of whatever page it came in.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) bytes: Vec<u8>,
    /// Bytes of headers at its front.
    pub(super) head: usize,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Path {
    settings: Impairment,
    rng: Rng,
    /// When the link has sent all that it has taken.
    idle_at: Instant,
    /// When each packet leaves the queue.
    departures: VecDeque<Instant>,
    /// When the last packet arrives that was not held back.
    last_arrival: Instant,
    under_way: BTreeMap<(Instant, u64), Packet>,
    serial: u64,
    pub(super) statistics: Statistics,
}

impl Path {
    pub(super) fn new(settings: Impairment, rng: Rng) -> Self {
        Self {
            settings,
            rng,
            idle_at: Instant::ZERO,
            departures: VecDeque::new(),
            last_arrival: Instant::ZERO,
            under_way: BTreeMap::new(),
            serial: 0,
            statistics: Statistics::default(),
        }
    }

    /// Takes a packet in: it waits for its turn on the link, then it may be lost, and what is left of it arrives after the delay.
    pub(super) fn offer(&mut self, now: Instant, packet: Packet) {
        self.statistics.packets += 1;
        while self.departures.front().is_some_and(|departure| *departure <= now) {
            self.departures.pop_front();
        }
        if self.departures.len() > self.queue() || self.under_way.len() >= UNDER_WAY_MAX {
            self.statistics.dropped += 1;
            return;
        }
        let departure = self.idle_at.max(now) + self.time_on_link(packet.bytes.len());
        if self.settings.rate > 0 {
            self.idle_at = departure;
            self.departures.push_back(departure);
        }
        if self.rng.chance(self.settings.loss) {
            self.statistics.lost += 1;
            return;
        }
        if self.rng.chance(self.settings.duplicate) {
            self.statistics.duplicated += 1;
            self.launch(departure, packet.clone());
        }
        self.launch(departure, packet);
    }

    /// The next packet that has arrived by `now`.
    pub(super) fn due(&mut self, now: Instant) -> Option<Packet> {
        let entry = self.under_way.first_entry().filter(|entry| entry.key().0 <= now)?;
        self.statistics.delivered += 1;
        Some(entry.remove())
    }

    /// When the next packet arrives.
    pub(super) fn next(&self) -> Option<Instant> {
        self.under_way.first_key_value().map(|((arrival, _), _)| *arrival)
    }

    fn launch(&mut self, departure: Instant, mut packet: Packet) {
        if self.rng.chance(self.settings.corrupt) {
            self.flip_one_bit(&mut packet.bytes);
        }
        let jitter = self.uniform(self.settings.jitter);
        let in_order = (departure + self.settings.delay + jitter).max(self.last_arrival);
        let arrival = if self.rng.chance(self.settings.reorder) {
            self.statistics.reordered += 1;
            in_order + self.settings.reorder_delay
        } else {
            self.last_arrival = in_order;
            in_order
        };
        self.under_way.insert((arrival, self.serial), packet);
        self.serial += 1;
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

    fn time_on_link(&self, bytes: usize) -> Duration {
        match self.settings.rate {
            0 => Duration::ZERO,
            rate => Duration::from_nanos((bytes as u64).saturating_mul(8_000_000_000) / rate),
        }
    }

    const fn queue(&self) -> usize {
        match self.settings.queue {
            0 => QUEUE_DEFAULT,
            queue => queue,
        }
    }
}
