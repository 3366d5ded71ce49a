//! `Limit`: how long the calls of a socket may take.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A time limit that any thread may change: nanoseconds.
pub(crate) struct Limit(AtomicU64);

impl Limit {
    const NONE: u64 = u64::MAX;

    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(Self::NONE))
    }

    pub(crate) fn load(&self) -> Option<Duration> {
        match self.0.load(Ordering::Relaxed) {
            Self::NONE => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    pub(crate) fn store(&self, limit: Option<Duration>) {
        let nanos = limit.map_or(Self::NONE, |limit| u64::try_from(limit.as_nanos()).unwrap_or(Self::NONE));
        self.0.store(nanos, Ordering::Relaxed);
    }
}
