//! What the stack tells while it works, queued by the pure half and delivered by whoever drives it: log records in words, and an event trace of
//! connections in figures.
//!
//! | file | noun |
//! |---|---|
//! | `log` | records in words, by level |
//! | `event` | what happens to a connection, in the vocabulary of qlog |
//! | `queue` | events on their way out, and the sinks that they are for |
//! | `qlog` | events as lines of JSON |
//!
//! Nothing is turned into text before it is delivered, and nothing at all is kept where nobody listens.

pub mod event;
mod log;
pub mod qlog;
mod queue;

pub use event::Event;
pub use log::{Level, Log, Record};
pub use queue::{Drained, Queue, Sink};
