//! What connections are born with, from the room that defines it.

use crate::tcp::{Outgoing, SeqNum};
use crate::time::Instant;
use crate::wire::tcp::TcpHeader;
use std::net::SocketAddr;

pub(super) fn initial(_secret: &[u8; 16], _now: Instant, _local: SocketAddr, _remote: SocketAddr) -> SeqNum {
    unimplemented!()
}

pub(super) fn timestamp_offset(_secret: &[u8; 16], _local: SocketAddr, _remote: SocketAddr) -> u32 {
    unimplemented!()
}

pub(super) fn reset_for(_header: &TcpHeader, _payload: usize) -> Option<Outgoing> {
    unimplemented!()
}
