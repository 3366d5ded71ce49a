//! Measurements of the stack, by programs in `src/bin`.

pub mod compare;
pub mod netsim;
