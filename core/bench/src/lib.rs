//! Measurements of the stack, by programs in `src/bin`.

mod aligned;
pub mod compare;
pub mod contest;
pub mod idle;
mod load;
pub mod micro;
pub mod netsim;
pub mod priority;
mod statistics;

/// Errors end a measurement; they are for people.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;
