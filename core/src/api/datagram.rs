//! Datagrams of a socket: whole in, whole out.

use super::{MessageFlags, Socket, SocketKind, Wait};
use crate::engine::Place;
use crate::error::Result;
use crate::stack::socket::{self, Queued, Take};
use bytes::Bytes;
use std::net::{IpAddr, SocketAddr};
use std::task::Waker;

/// A received datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// All that it carries.
    pub bytes: Bytes,
    /// Whom it came from. Port 0: it wants no answer.
    pub from: SocketAddr,
    /// Which of the stack's addresses it came to.
    pub to: IpAddr,
}

impl Socket {
    /// Sends a datagram to `destination`, or to the peer; sleeps while the send buffer is full, unless it may not. A stream knows its peer, and ignores
    /// `destination`.
    ///
    /// EOPNOTSUPP (MSG_OOB, MSG_MORE), EDESTADDRREQ, EMSGSIZE (more than UDP can carry, or than the path where nothing is to be cut), EINVAL (port 0, a loopback source towards the link),
    /// EAFNOSUPPORT, EACCES (broadcast without SO_BROADCAST), ENETUNREACH, ENETDOWN, EPIPE, EAGAIN, or what an ICMP error has told of an earlier one.
    pub fn send_to(
        &self,
        bytes: &[u8],
        destination: Option<SocketAddr>,
        flags: MessageFlags,
        wait: Wait,
    ) -> Result<usize> {
        if self.kind() == SocketKind::Stream {
            return self.send(bytes, flags, wait);
        }
        let wait = flags.for_send_to()?.limit(wait);
        let most = u16::MAX.into();
        // What is longer is refused for its length: it need not be copied for that.
        let payload = Bytes::copy_from_slice(bytes.get(..most).unwrap_or(bytes));
        let engine = self.engine();
        self.block("send", Place::Cell, self.settings.send_patience(wait), |waker| {
            match socket::send_to(&self.cell, &payload, destination, waker)? {
                Queued::Done(kick) => {
                    engine.kick(self.id, kick);
                    Ok(())
                }
                Queued::Ask => engine.control(|turn, now| {
                    turn.stack.send_datagram(now, self.id, &payload, destination, waker)
                }),
            }
        })?;
        Ok(bytes.len())
    }

    /// Receives into `bytes`; returns how many came, and from whom. What does not fit is lost; with MSG_TRUNC the number is the datagram's length all the same. No
    /// address: a stream, or the end that SHUT_RD made.
    pub fn recv_from(
        &self,
        bytes: &mut [u8],
        flags: MessageFlags,
        wait: Wait,
    ) -> Result<(usize, Option<SocketAddr>)> {
        if self.kind() == SocketKind::Stream {
            return Ok((self.recv(bytes, flags, wait)?, None));
        }
        let Some(datagram) = self.recv_datagram(flags, wait)? else { return Ok((0, None)) };
        let length = datagram.bytes.len();
        let count = length.min(bytes.len());
        bytes[..count].copy_from_slice(&datagram.bytes[..count]);
        let told = if flags.contains(MessageFlags::TRUNC) { length } else { count };
        Ok((told, Some(datagram.from)))
    }

    /// The oldest datagram as it is; `None` is the end that SHUT_RD made. EOPNOTSUPP for a stream.
    pub fn recv_datagram(&self, flags: MessageFlags, wait: Wait) -> Result<Option<Received>> {
        let wait = flags.for_recv()?.limit(wait);
        let take = if flags.contains(MessageFlags::PEEK) { Take::Peek } else { Take::Consume };
        let patience = self.settings.receive_patience(wait);
        let received = |waker: Option<&Waker>| socket::recv_from(&self.cell, take, waker);
        let datagram = self.block("recv", Place::Device, patience, received)?;
        Ok(datagram.map(|datagram| Received {
            bytes: datagram.payload,
            from: datagram.peer,
            to: datagram.local,
        }))
    }

    /// Takes the peer of a datagram socket away, as connect(2) to AF_UNSPEC does. EOPNOTSUPP for a stream.
    pub fn dissolve(&self) -> Result<()> {
        self.control(|turn, _| turn.stack.dissolve(self.id))
    }
}
