//! Signals that wait while their thread works between two sleeps.

use super::event::poll_under;
use crate::error::Errno;
use crate::sys::{self, Signals};
use crate::time::{Duration, Instant};

/// A handler that runs while a thread works leaves no trace for the sleep that follows. So one that sleeps again and again in one call keeps signals
/// out meanwhile, and lets them in where they are seen: in poll(2).
#[derive(Debug)]
pub struct HeldSignals {
    /// The mask to go back to; none in a model, all of whose threads are one.
    before: Option<Signals>,
}

impl HeldSignals {
    /// Keeps signals out of this thread from now on, until it is dropped there.
    #[must_use]
    pub fn new() -> Self {
        Self { before: if cfg!(loom) { None } else { Some(sys::hold_signals()) } }
    }

    /// Lets in what has come; whether a handler ran that ends a sleep until `until`.
    #[must_use]
    pub fn came(&self, until: Option<Instant>) -> bool {
        let Some(before) = &self.before else { return false };
        poll_under(Some(before), &mut [], Some(Duration::ZERO)) == Err(Errno::EINTR)
            && interrupts(until, before)
    }

    /// The mask under which to sleep.
    pub(super) const fn mask(&self) -> Option<&Signals> {
        self.before.as_ref()
    }
}

impl Default for HeldSignals {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for HeldSignals {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            before.restore();
        }
    }
}

/// Whether a handler that ran under `mask` ends a sleep until `until`. poll(2) is never resumed after one, as a sleep on a word without a time-out is if the
/// handler was installed with SA_RESTART. Which one ran is not told; so it is resumed where all of them were.
pub(super) fn interrupts(until: Option<Instant>, mask: &Signals) -> bool {
    until.is_some() || !sys::handlers_restart(mask)
}
