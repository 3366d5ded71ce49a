//! How a thread sleeps on a socket, by wakers made of a futex word, and how a socket shows its readiness to the system's own ways to wait.

mod bridge;
mod pair;
mod readiness;
mod sleeper;
mod word;

pub use bridge::{Bridge, Pumped, Request};
pub use readiness::{Descriptor, Stream, try_descriptors};
pub use sleeper::{Sleeper, Woke};
