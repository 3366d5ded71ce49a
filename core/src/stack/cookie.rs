//! SYN cookies (RFC 4987 section 3.6): what a listener would have to remember of a SYN travels in its answer, and comes back in the ACK.
//!
//! ```text
//!  sequence number  hash(addresses) + SEG.SEQ + (count mod 2^8) * 2^24 + (hash(addresses, count, SEG.SEQ, size) mod 2^21) * 2^3 + size
//!  timestamp        clock, its lowest six bits replaced:  E S W W W W   E: ECN, S: SACK permitted, W: window scale, 15 for none
//! ```
//!
//! `count` is the time in steps, `size` stands for the MSS that the SYN offered. What it and SEG.SEQ are is hashed as well, so that the number next to a
//! cookie is none, nor a cookie one for the sequence number behind.

use crate::tcp::SeqNum;
use crate::time::{Duration, Instant};
use siphasher::sip::SipHasher24;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;

/// Segment sizes that a cookie can tell, of links that are common; 0 is kept for a SYN that offers none.
const SIZES: [u16; 7] = [64, 256, 536, 1220, 1440, 1460, 8960];

/// Steps in which a cookie is good: that of its making and the next.
pub(super) const GOOD: u32 = 2;

const COUNT_SHIFT: u32 = 24;
const LOW: u32 = (1 << COUNT_SHIFT) - 1;
const SIZE_BITS: u32 = 3;

/// Bits of the timestamp that tell of options.
const STAMP_BITS: u32 = 6;
const NO_SCALE: u32 = 15;
const SACK: u32 = 16;
const ECN: u32 = 32;

/// What makes and judges the cookies of one pair of addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cookies<'a> {
    pub secret: &'a [u8; 16],
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// The time in steps.
    pub count: u32,
}

/// The time in steps of `step`.
pub(super) fn count(now: Instant, step: Duration) -> u32 {
    let step = u64::try_from(step.as_micros()).unwrap_or(u64::MAX);
    (now.as_micros() / step.max(1)) as u32
}

impl Cookies<'_> {
    /// The sequence number of the answer to a SYN that has number `seq` and offers segments of `mss`.
    pub(super) fn sequence(&self, seq: SeqNum, mss: Option<u16>) -> SeqNum {
        self.base(seq) + (self.count << COUNT_SHIFT) + self.low(self.count, seq, size(mss))
    }

    /// The MSS that the SYN offered, if `cookie` is the number of an answer to a SYN with `seq`, and not too old.
    pub(super) fn recall(&self, seq: SeqNum, cookie: SeqNum) -> Option<Option<u16>> {
        let rest = cookie.since(self.base(seq));
        let age = (SeqNum(self.count) - (rest >> COUNT_SHIFT)).0 & 0xff;
        //= https://www.rfc-editor.org/rfc/rfc4987#section-3.6
        //# to prevent replay, some time-dependent random bits must be embedded in the sequence number (4987:3.6-3).
        if age >= GOOD {
            return None;
        }
        let then = (SeqNum(self.count) - age).0;
        let size = rest & ((1 << SIZE_BITS) - 1);
        if rest & LOW != self.low(then, seq, size) {
            return None;
        }
        Some(SIZES.iter().zip(1..).find(|(_, place)| *place == size).map(|(mss, _)| *mss))
    }

    fn base(&self, seq: SeqNum) -> SeqNum {
        SeqNum(self.hash("cookie base", ())) + seq.0
    }

    fn low(&self, count: u32, seq: SeqNum, size: u32) -> u32 {
        (self.hash("cookie", (count, seq.0, size)) << SIZE_BITS | size) & LOW
    }

    fn hash(&self, purpose: &str, what: impl Hash) -> u32 {
        let mut hasher = SipHasher24::new_with_key(self.secret);
        (purpose, self.local.ip(), self.local.port()).hash(&mut hasher);
        (self.remote.ip(), self.remote.port(), what).hash(&mut hasher);
        hasher.finish() as u32
    }
}

/// The largest size that is not above what the SYN offers, so that no segment is too large for the peer; and none below the least.
fn size(mss: Option<u16>) -> u32 {
    let Some(mss) = mss else { return 0 };
    let fitting = SIZES.iter().filter(|size| **size <= mss).count();
    fitting.max(1) as u32
}

/// Options that the timestamp tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub window_scale: Option<u8>,
    pub sack_permitted: bool,
    pub ecn: bool,
}

/// The TSval that tells of options: the latest one not after `tsval`, so that the connection's own are never before it.
//= https://www.rfc-editor.org/rfc/rfc4987#section-3.6
//# Using the Timestamp bits, it is possible to explicitly store state bits for things like send and receive window scales, SACK-allowed (4987:3.6-5).
pub(super) fn stamp(tsval: u32, offset: u32, told: Told) -> u32 {
    let clock = SeqNum(tsval).since(SeqNum(offset));
    let scale = told.window_scale.map_or(NO_SCALE, |scale| u32::from(scale.min(14)));
    let bits = scale | if told.sack_permitted { SACK } else { 0 } | if told.ecn { ECN } else { 0 };
    let stamped = SeqNum(clock >> STAMP_BITS << STAMP_BITS) + bits;
    let stamped = if stamped.after(SeqNum(clock)) { stamped - (1 << STAMP_BITS) } else { stamped };
    (stamped + offset).0
}

/// What the echo of such a TSval tells.
pub(super) fn told(tsecr: u32, offset: u32) -> Told {
    let bits = SeqNum(tsecr).since(SeqNum(offset));
    let scale = bits & NO_SCALE;
    let window_scale = (scale != NO_SCALE).then_some(scale as u8);
    Told { window_scale, sack_permitted: bits & SACK != 0, ecn: bits & ECN != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 16] = [7; 16];

    fn cookies(count: u32) -> Cookies<'static> {
        let address = |text: &str| text.parse().expect("an address");
        Cookies { secret: &SECRET, local: address("192.0.2.2:80"), remote: address("192.0.2.1:4000"), count }
    }

    #[test]
    fn a_cookie_tells_the_largest_size_that_is_not_above_the_offer() {
        let table = [
            (None, None),
            (Some(0), Some(64)),
            (Some(64), Some(64)),
            (Some(255), Some(64)),
            (Some(536), Some(536)),
            (Some(1439), Some(1220)),
            (Some(1440), Some(1440)),
            (Some(1460), Some(1460)),
            (Some(8959), Some(1460)),
            (Some(u16::MAX), Some(8960)),
        ];
        for (offered, told) in table {
            for seq in [0, 5, u32::MAX] {
                let cookie = cookies(1000).sequence(SeqNum(seq), offered);
                assert_eq!(cookies(1000).recall(SeqNum(seq), cookie), Some(told), "{offered:?}");
            }
        }
    }

    #[test]
    fn a_cookie_is_good_for_two_steps_and_across_the_wrap_of_the_count() {
        for made in [0, 1, 254, 255, 256, u32::MAX - 1, u32::MAX] {
            let cookie = cookies(made).sequence(SeqNum(9), Some(1460));
            let after = |steps| cookies((SeqNum(made) + steps).0).recall(SeqNum(9), cookie);
            assert_eq!((after(0), after(1)), (Some(Some(1460)), Some(Some(1460))), "{made}");
            assert!((2..256).all(|steps| after(steps).is_none()), "{made}");
            // The same eight bits of the count, but another hash.
            assert_eq!(after(256), None, "{made}");
        }
    }

    #[test]
    fn a_cookie_is_of_one_secret_one_pair_of_addresses_and_one_syn() {
        let good = cookies(77);
        let cookie = good.sequence(SeqNum(9), Some(1460));
        let other = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let others = [
            Cookies { secret: &[8; 16], ..good },
            Cookies { local: other("192.0.2.2:81"), ..good },
            Cookies { local: other("192.0.2.3:80"), ..good },
            Cookies { remote: other("192.0.2.1:4001"), ..good },
            Cookies { remote: other("192.0.2.9:4000"), ..good },
        ];
        assert!(others.iter().all(|other| other.recall(SeqNum(9), cookie).is_none()));
        assert_eq!(good.recall(SeqNum(10), cookie), None);
        assert_eq!(good.recall(SeqNum(9), cookie + 1), None);
        // Of all numbers few are good: eight sizes in two steps.
        let hits = (0..1u32 << 20).filter(|n| good.recall(SeqNum(9), SeqNum(n << 12)).is_some()).count();
        assert!(hits <= 1, "{hits}");
    }

    #[test]
    fn options_come_back_from_the_timestamp_which_never_runs_ahead() {
        for clock in [0, 1, 63, 64, 1000, u32::MAX - 3, u32::MAX] {
            for offset in [0, 12_345, u32::MAX] {
                for window_scale in [None, Some(0), Some(7), Some(14)] {
                    for sack_permitted in [false, true] {
                        let options = Told { window_scale, sack_permitted, ecn: sack_permitted };
                        let tsval = (SeqNum(clock) + offset).0;
                        let stamped = stamp(tsval, offset, options);
                        assert_eq!(told(stamped, offset), options);
                        assert!(SeqNum(tsval).since(SeqNum(stamped)) < 64, "{clock} {options:?}");
                    }
                }
            }
        }
        let scale = Told { window_scale: Some(255), sack_permitted: false, ecn: false };
        assert_eq!(told(stamp(0, 0, scale), 0).window_scale, Some(14), "read as 14 (RFC 7323 2.3)");
    }

    #[test]
    fn the_count_goes_by_steps() {
        let step = Duration::from_secs(64);
        let at = |millis| count(Instant::from_millis(millis), step);
        assert_eq!([at(0), at(63_999), at(64_000), at(640_001)], [0, 0, 1, 10]);
    }
}
