//! Calling off who waits on a socket. The main thread waits in slices: one that is between two of them does not sleep, and is called off all the same.

use std::sync::atomic::{AtomicU32, Ordering};
use usertcp_core::api::{Errno, Error, Wait};

/// How often the calls of a socket were called off.
#[derive(Default)]
pub(crate) struct Calls(AtomicU32);

impl Calls {
    /// Those that wait now are called off.
    pub(crate) fn call_off(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// How often that was done.
    pub(crate) fn count(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    /// A call that begins now, for `until_done`: ECANCELED once it has waited in vain and is called off.
    pub(crate) fn begun<T>(
        &self,
        call: impl FnMut(Wait) -> Result<T, Error>,
    ) -> impl FnMut(Wait) -> Result<T, Error> {
        self.since(self.count(), call)
    }

    /// The same of one that began when `count` was `began`.
    pub(crate) fn since<T>(
        &self,
        began: u32,
        mut call: impl FnMut(Wait) -> Result<T, Error>,
    ) -> impl FnMut(Wait) -> Result<T, Error> {
        move |wait| {
            let called_off = || wait != Wait::Never && self.count() != began;
            // Before this sleep, by a signal handler or while a part was sent: who begins to sleep again would not hear of it.
            match call(if called_off() { Wait::Never } else { wait }) {
                Err(error) if error.errno() == Errno::EAGAIN && called_off() => Err(Errno::ECANCELED.into()),
                answer => answer,
            }
        }
    }
}
