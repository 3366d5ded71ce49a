//! Seeded randomness: SipHash-2-4 in counter mode. No call of this crate's pure half draws from anywhere else.

use siphasher::sip::SipHasher24;
use std::hash::Hasher;

/// A deterministic stream of random numbers; unpredictable to whoever does not know the key.
#[derive(Clone, Debug)]
pub struct Rng {
    key: [u8; 16],
    counter: u64,
}

impl Rng {
    /// The stream of a 128-bit key.
    #[must_use]
    pub const fn from_key(key: [u8; 16]) -> Self {
        Self { key, counter: 0 }
    }

    /// The stream of a small seed, for tests and simulations.
    #[must_use]
    pub fn from_seed(seed: u64) -> Self {
        let mut key = [0x5a; 16];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        Self::from_key(key)
    }

    /// An independent stream that is a function of this one's key and `purpose` only.
    #[must_use]
    pub fn fork(&self, purpose: &str) -> Self {
        let mut key = [0; 16];
        for (half, chunk) in key.chunks_exact_mut(8).enumerate() {
            let mut hasher = SipHasher24::new_with_key(&self.key);
            hasher.write(purpose.as_bytes());
            hasher.write_u8(u8::try_from(half).unwrap_or(0));
            chunk.copy_from_slice(&hasher.finish().to_le_bytes());
        }
        Self::from_key(key)
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write_u64(self.counter);
        self.counter = self.counter.wrapping_add(1);
        hasher.finish()
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }

    /// A number below `bound`, uniform to within 2^-32; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        ((u64::from(self.next_u32()) * u64::from(bound)) >> 32) as u32
    }

    /// True with probability `p` (0.0 to 1.0).
    pub fn chance(&mut self, p: f64) -> bool {
        p > 0.0 && ((self.next_u64() >> 11) as f64) < p * (1u64 << 53) as f64
    }

    /// The next 16 random bytes, as a key for another stream or hash.
    pub fn next_key(&mut self) -> [u8; 16] {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.next_u64().to_le_bytes());
        key[8..].copy_from_slice(&self.next_u64().to_le_bytes());
        key
    }
}
