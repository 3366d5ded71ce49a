//! How a thread sleeps on a socket, by wakers made of a futex word, and how a socket shows its readiness to the system's own ways to wait.

mod bridge;
mod event;
mod flag;
mod held;
mod names;
mod pair;
mod porter;
mod readiness;
mod sleeper;
mod word;

pub use bridge::{Bridge, Pumped, Request};
pub use event::{EventFd, Timer, poll};
pub use flag::Flag;
pub use held::HeldSignals;
pub use porter::{Brought, Door, Porter, Round, christen, exported_addresses};
pub use readiness::{Descriptor, Stream, try_descriptors};
pub use sleeper::{Sleeper, Watched, Woke};
