//! What a link does to the packets of one direction, and what it has done.

use crate::error::{Errno, Error};
use crate::time::Duration;

/// The least MTU of a link that carries IPv4 (RFC 791 3.2: "Every internet module must be able to forward a datagram of 68 octets").
const MTU_LEAST: u16 = 68;

/// What happens to packets of one direction. What is zero does not happen.
///
/// A packet meets the causes in this order: policer, MTU, queue, rate, loss, duplication, corruption, delay and jitter, reordering.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Impairment {
    /// Bits a second, headers of IP counted; 0: no limit, and no queue.
    pub rate: u64,
    /// One-way delay.
    pub delay: Duration,
    /// Added to the delay, uniformly random from zero to this; order is kept.
    pub jitter: Duration,
    /// Probability that a packet is lost, 0.0 to 1.0; outside of bursts, where there are such.
    pub loss: f64,
    /// Probability that a packet comes twice.
    pub duplicate: f64,
    /// Probability that a packet is held back, by `reorder_delay` and up to `reorder_jitter` more, and so overtaken.
    pub reorder: f64,
    /// How long an overtaken packet is held back at least.
    pub reorder_delay: Duration,
    /// Added to `reorder_delay`, uniformly random from zero to this.
    pub reorder_jitter: Duration,
    /// Probability that one bit of a packet is flipped.
    pub corrupt: f64,
    /// Packets that may wait for the link while `rate` keeps it busy, beside the one it sends; 0: 1000, or any number if `queue_bytes`
    /// is set. More are dropped.
    pub queue: usize,
    /// Bytes that may wait in that queue; 0: no limit beside `queue`.
    pub queue_bytes: usize,
    /// Packets waiting in that queue from which on one more is marked, if its transport understands it (ECN, RFC 3168); 0: none is.
    pub mark: usize,
    /// Bursts of loss after Gilbert and Elliott: with this probability a packet finds the link gone from its good state, in which `loss` holds, to its
    /// bad one, in which `burst_loss` does. The share of time in the bad state is `burst_enter / (burst_enter + burst_leave)`.
    pub burst_enter: f64,
    /// Probability that a packet finds the bad state over; a burst lasts for `1 / burst_leave` packets on average.
    pub burst_leave: f64,
    /// Probability that a packet is lost in the bad state.
    pub burst_loss: f64,
    /// Policer, a token bucket: bits a second that pass; 0: none. What finds no tokens is dropped at once, never delayed.
    pub police_rate: u64,
    /// Bytes that the bucket of the policer holds: what passes after a pause whatever its rate.
    pub police_burst: usize,
    /// Bytes of the largest packet that passes; 0: any. A larger one of IPv4 is cut into fragments unless it says "don't fragment";
    /// others are dropped.
    pub mtu: u16,
    /// Whether the source of a packet that `mtu` stopped is told, by ICMP "fragmentation needed" or ICMPv6 "packet too big"; if not, the
    /// link is a black hole.
    pub mtu_told: bool,
    /// Bytes of memory for packets under way, each counted with 128 bytes of its own; 0: 128 MiB, which holds twice what 1 Gbit/s has under way in
    /// 400 ms in packets of 1500 bytes. More are dropped.
    pub memory: usize,
}

impl Impairment {
    /// Refuses settings that make no sense, naming the field and its range.
    pub fn validate(&self) -> Result<(), Error> {
        let probabilities = [
            ("loss", self.loss),
            ("duplicate", self.duplicate),
            ("reorder", self.reorder),
            ("corrupt", self.corrupt),
            ("burst_enter", self.burst_enter),
            ("burst_leave", self.burst_leave),
            ("burst_loss", self.burst_loss),
        ];
        for (name, value) in probabilities {
            if !(0.0..=1.0).contains(&value) {
                let text = format!("{name} {value} is not a probability: write a number from 0 to 1");
                return Err(Error::new(Errno::EINVAL, text));
            }
        }
        let refused = |text: &str| Err(Error::new(Errno::EINVAL, text.to_owned()));
        if self.reorder > 0.0 && self.reorder_delay.is_zero() && self.reorder_jitter.is_zero() {
            return refused(
                "reorder needs a reorder_delay or reorder_jitter above zero, or nothing is overtaken",
            );
        }
        if self.burst_enter > 0.0 && (self.burst_leave == 0.0 || self.burst_loss == 0.0) {
            return refused(
                "burst_enter needs burst_leave and burst_loss above zero: how a burst ends, and what it loses",
            );
        }
        if self.police_rate > 0 && self.police_burst == 0 {
            return refused(
                "police_rate needs a police_burst of at least a packet's bytes, or nothing passes",
            );
        }
        if (1..MTU_LEAST).contains(&self.mtu) {
            return refused("mtu is below 68, which every link of IPv4 carries; 0 is no limit");
        }
        Ok(())
    }
}

/// What was done to the packets of one direction; a super-frame counts as the packets it is cut into.
///
/// `packets + fragments + duplicated` came in or were made; all of them are in `delivered`, `lost`, `burst_lost`, `dropped`, `policed`, `too_big`,
/// `overflowed`, or still under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Packets that came in.
    pub packets: u64,
    /// Packets that came out, duplicates counted.
    pub delivered: u64,
    /// Packets lost at random, outside of bursts.
    pub lost: u64,
    /// Packets lost in bursts.
    pub burst_lost: u64,
    /// Packets that found the queue full.
    pub dropped: u64,
    /// Packets that were marked because others waited before them.
    pub marked: u64,
    /// Packets that found the policer's bucket empty.
    pub policed: u64,
    /// Packets that the MTU stopped.
    pub too_big: u64,
    /// Of those, packets whose source was told.
    pub told: u64,
    /// Pieces that packets were cut into because of the MTU, beside the first of each.
    pub fragments: u64,
    /// Packets that found the memory for packets under way used up.
    pub overflowed: u64,
    /// Packets that were doubled.
    pub duplicated: u64,
    /// Packets held back.
    pub reordered: u64,
    /// Packets with a flipped bit.
    pub corrupted: u64,
    /// Packets that the link behind refused.
    pub refused: u64,
}
