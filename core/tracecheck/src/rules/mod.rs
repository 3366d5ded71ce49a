//! The rules of TCP, by what they are about. Each looks at one segment and at what is known of both ends before it.

mod acks;
mod closing;
mod duties;
mod header;
mod marks;
mod reset;
mod stream;
mod timing;

pub(crate) use acks::{acks, selective};
pub(crate) use closing::{Reader, closing};
pub(crate) use duties::{Owed, overdue, owe, serve};
pub(crate) use header::{flags, header, length, urgent};
pub(crate) use marks::{Marks, marked, marks};
pub(crate) use reset::{end, heard, repetition, reset};
pub(crate) use stream::stream;
pub(crate) use timing::{Series, timing};

/// Where a segment lies, in positions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Its sequence number.
    pub(crate) at: i64,
    /// Its first byte of data, behind a SYN.
    pub(crate) data: i64,
    /// Behind all of it.
    pub(crate) end: i64,
    /// What it acknowledges.
    pub(crate) ack: Option<i64>,
}
