//! How a thread sleeps on a socket: wakers made of a futex word.

mod sleeper;
mod word;

pub use sleeper::{Sleeper, Woke};
