//! A running stack.

use super::{Socket, StackOptions};
use crate::counters::Counters;
use crate::error::Result;
use crate::stack::Domain;
use crate::time::Duration;

/// A stack with its I/O thread. Clones are the same stack; dropping the last clone and the last socket aborts it.
#[derive(Clone, Debug)]
pub struct Stack {}

impl Stack {
    /// Opens the device and starts the I/O thread. EINVAL names the setting, EPERM the ways to get at a TUN device.
    pub fn open(_options: StackOptions) -> Result<Self> {
        unimplemented!()
    }

    /// Ends the stack: blocked callers wake with ECANCELED, queued data and FINs go out, and whatever is not done after `timeout` is reset.
    /// ETIMEDOUT when something had to be reset, EBADF when it was closed before. `None` waits as long as the protocol does.
    pub fn close(&self, _timeout: Option<Duration>) -> Result<()> {
        unimplemented!()
    }

    /// A new TCP socket, blocking, without time-outs. EMFILE, EAFNOSUPPORT, EBADF (closed), ENOTRECOVERABLE (poisoned).
    pub fn socket(&self, _domain: Domain) -> Result<Socket> {
        unimplemented!()
    }

    /// Totals.
    pub fn counters(&self) -> Result<Counters> {
        unimplemented!()
    }

    /// Name of the device, empty for a descriptor that has none.
    #[must_use]
    pub fn device_name(&self) -> String {
        unimplemented!()
    }

    /// Whether the device takes super-frames.
    #[must_use]
    pub fn offloaded(&self) -> bool {
        unimplemented!()
    }
}
