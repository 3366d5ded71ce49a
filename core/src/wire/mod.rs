//! Bytes to plain structs and back, over etherparse; checksums; frame metadata.

mod meta;
pub mod tcp;

pub use meta::{FrameMeta, ReceivedChecksum, SentChecksum};
