//! Fuzz targets as plain functions; libFuzzer wrappers and the replay test call them.
//!
//! Each takes bytes and panics when something that must hold does not. `corpus/<target>/` holds inputs worth keeping: a finding is
//! added there with its fix. `seeds` makes the first of them.

mod input;
mod names;
mod packet;
mod parse;
mod peer;
mod queues;
pub mod seeds;
mod stack;

pub use names::names;
pub use parse::{ip_ingress, parse_packet, tcp_options};
pub use queues::queues;
pub use stack::{reached, stack};

/// A fuzz target.
pub type Target = fn(&[u8]);

/// Every target by the name of its corpus.
pub const TARGETS: [(&str, Target); 6] = [
    ("ip_ingress", ip_ingress),
    ("names", names),
    ("parse_packet", parse_packet),
    ("queues", queues),
    ("stack", stack),
    ("tcp_options", tcp_options),
];
