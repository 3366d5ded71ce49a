//! Fragments, put together: the rules see whole segments.

use crate::Direction;
use crate::packet::{Packet, Piece};
use etherparse::defrag::IpDefragBuf;
use std::collections::HashMap;
use std::net::IpAddr;

/// Datagrams that lack pieces and are kept; each may take 64 KiB.
const KEPT: usize = 256;

/// Nanoseconds for which pieces are kept: longer than any host does (RFC 1122 3.3.2).
const LIFETIME: u64 = 120_000_000_000;

/// Which datagram a piece belongs to; the same may be seen leaving and coming.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Identity {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    identification: u32,
    sent: bool,
}

/// The pieces of datagrams that are not complete, and when the first of each came.
#[derive(Debug, Default)]
pub(crate) struct Pieces(HashMap<Identity, (u64, IpDefragBuf)>);

impl Pieces {
    /// Takes a piece; what the datagram carries, if that is all of it.
    pub(crate) fn add(
        &mut self,
        now: u64,
        direction: Direction,
        packet: &Packet<'_>,
        piece: &Piece<'_>,
    ) -> Option<Vec<u8>> {
        if self.0.len() >= KEPT {
            self.0.retain(|_, (since, _)| now - *since < LIFETIME);
        }
        if self.0.len() >= KEPT {
            self.0.clear();
        }
        let identity = Identity {
            source: packet.source,
            destination: packet.destination,
            protocol: packet.protocol,
            identification: piece.identification,
            sent: direction == Direction::Out,
        };
        let fresh = || (now, IpDefragBuf::new(packet.protocol.into(), Vec::new(), Vec::new()));
        let (since, buffer) = self.0.entry(identity).or_insert_with(fresh);
        if now - *since >= LIFETIME {
            (*since, *buffer) = fresh();
        }
        // What contradicts the other pieces is nobody's datagram.
        if buffer.add(piece.offset, piece.more, piece.bytes).is_err() {
            self.0.remove(&identity);
            return None;
        }
        if !buffer.is_complete() {
            return None;
        }
        self.0.remove(&identity).map(|(_, buffer)| buffer.take_bufs().0)
    }
}
