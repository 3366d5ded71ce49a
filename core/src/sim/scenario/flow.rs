//! One connection of a scenario: a program that writes whenever it may, one that reads whatever comes, and what they have come to.

use super::Sender;
use super::arrivals::Arrivals;
use super::report::Sample;
use crate::error::Errno;
use crate::sim::{Endpoint, Network};
use crate::time::Instant;
use bytes::Bytes;

/// Bytes after which the data repeats itself: a prime, so that no segment or window does at the same place.
const PERIOD: usize = 65_521;

/// Most bytes of one write.
const WRITE: usize = 64 << 10;

/// The data of every flow: byte n of a stream is that of n modulo the period, and any `WRITE` bytes of it are a slice.
#[derive(Debug)]
pub(super) struct Pattern(Bytes);

impl Pattern {
    pub(super) fn new() -> Self {
        let byte = |n: usize| (n as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0];
        Self((0..PERIOD + WRITE).map(|n| byte(n % PERIOD)).collect())
    }

    fn at(&self, position: u64, length: usize) -> Bytes {
        let start = (position % PERIOD as u64) as usize;
        self.0.slice(start..start + length.min(WRITE))
    }

    /// Whether `bytes` are those of the stream from `position` on.
    fn agrees(&self, position: u64, bytes: &[u8]) -> bool {
        let mut position = position;
        bytes.chunks(WRITE).all(|chunk| {
            let same = self.at(position, chunk.len()) == chunk;
            position += chunk.len() as u64;
            same
        })
    }
}

/// A flow that has started.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) started: Instant,
    pub(super) client: Endpoint,
    /// Port of the client, by which its packets are known.
    pub(super) port: u16,
    /// Once the server has accepted it.
    pub(super) server: Option<Endpoint>,
    written: u64,
    pub(super) received: u64,
    /// What had been received when half of the time was over.
    pub(super) received_early: u64,
    pub(super) finished: Option<Instant>,
    pub(super) arrivals: Arrivals,
    pub(super) last: Option<Sample>,
}

/// What a look at a flow came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing to write or to read.
    Idle,
    /// Bytes were written or read.
    Moved,
    /// The receiver was given other bytes than were sent.
    Changed,
    /// The connection is over.
    Ended(Errno),
}

impl Flow {
    pub(super) fn new(started: Instant, client: Endpoint, port: u16) -> Self {
        Self {
            started,
            client,
            port,
            server: None,
            written: 0,
            received: 0,
            received_early: 0,
            finished: None,
            arrivals: Arrivals::default(),
            last: None,
        }
    }

    /// The end that sends.
    pub(super) fn source(&self, sender: Sender) -> Option<&Endpoint> {
        match sender {
            Sender::Client => Some(&self.client),
            Sender::Server => self.server.as_ref(),
        }
    }

    /// Writes as much as there is room for, up to `most` bytes in all, and reads what has come.
    pub(super) fn look(&mut self, net: &mut Network, sender: Sender, pattern: &Pattern, most: u64) -> Look {
        let mut look = Look::Idle;
        let (client, server) = (Some(&self.client), self.server.as_ref());
        let (source, sink) = match sender {
            Sender::Client => (client, server),
            Sender::Server => (server, client),
        };
        while let Some(source) = source.filter(|_| self.written < most) {
            let want = usize::try_from(most - self.written).unwrap_or(usize::MAX).min(WRITE);
            match net.send_shared(source, &pattern.at(self.written, want)) {
                Ok(count) => self.written += count as u64,
                Err(Errno::EAGAIN) => break,
                Err(errno) => return Look::Ended(errno),
            }
            look = Look::Moved;
        }
        let Some(sink) = sink else { return look };
        loop {
            let slices = match net.recv_shared(sink, usize::MAX) {
                Ok(slices) if slices.is_empty() => return Look::Ended(Errno::EPIPE),
                Ok(slices) => slices,
                Err(Errno::EAGAIN) => return look,
                Err(errno) => return Look::Ended(errno),
            };
            for slice in slices {
                if !pattern.agrees(self.received, &slice) {
                    return Look::Changed;
                }
                self.received += slice.len() as u64;
            }
            look = Look::Moved;
        }
    }
}
