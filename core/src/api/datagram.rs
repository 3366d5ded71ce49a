//! Datagrams of a socket: whole in, whole out.

use super::gather::{Gather, Scatter};
use super::{MessageFlags, Socket, SocketKind, Wait};
use crate::buffer::Handling;
use crate::engine::Place;
use crate::error::{Errno, Result};
use crate::stack::socket::{self, Queued, Take};
use bytes::{Bytes, BytesMut};
use std::io::{IoSlice, IoSliceMut};
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
    /// Hops that it had left.
    pub hops: Option<u8>,
    /// Its traffic class.
    pub class: Option<u8>,
}

/// What came with received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Message {
    /// What the call returns: how many bytes came; with MSG_TRUNC, the length of a datagram.
    pub told: usize,
    /// Whom the datagram came from; `None`: a stream, or the end that SHUT_RD made.
    pub from: Option<SocketAddr>,
    /// Which of the stack's addresses it came to, if IP_PKTINFO or IPV6_RECVPKTINFO asks for it.
    pub to: Option<IpAddr>,
    /// Hops that it had left, if IP_RECVTTL or IPV6_RECVHOPLIMIT asks for them.
    pub hops: Option<u8>,
    /// Its traffic class, if IP_RECVTOS or IPV6_RECVTCLASS asks for it.
    pub class: Option<u8>,
    /// There was more of it than there was room for, and that is lost.
    pub truncated: bool,
}

impl Socket {
    /// Sends a datagram to `destination`, or to the peer; sleeps while the send buffer is full, unless it may not. A stream knows its peer, and ignores
    /// `destination`.
    ///
    /// EOPNOTSUPP (MSG_OOB, MSG_MORE), EDESTADDRREQ, EMSGSIZE (more than UDP can carry, or than the path where nothing is to be cut), EINVAL (port 0, a loopback source towards the link),
    /// EAFNOSUPPORT, EADDRNOTAVAIL (it was not bound, and no port is free; EAGAIN in Linux), EACCES (broadcast without SO_BROADCAST), ENETUNREACH, ENETDOWN, EPIPE, EAGAIN, or what an ICMP error has told of an earlier one.
    pub fn send_to(
        &self,
        bytes: &[u8],
        destination: Option<SocketAddr>,
        flags: MessageFlags,
        wait: Wait,
    ) -> Result<usize> {
        self.send_to_vectored(&[IoSlice::new(bytes)], destination, flags, wait)
    }

    /// The same of bytes in several pieces, which make one datagram.
    pub fn send_to_vectored(
        &self,
        pieces: &[IoSlice<'_>],
        destination: Option<SocketAddr>,
        flags: MessageFlags,
        wait: Wait,
    ) -> Result<usize> {
        self.send_message(pieces, destination, Handling::default(), flags, wait)
    }

    /// The same with what is asked for this datagram alone. EINVAL for a stream, if that is anything, and for a source that is not an address of the stack, of
    /// the family that the datagram goes to.
    pub fn send_message(
        &self,
        pieces: &[IoSlice<'_>],
        destination: Option<SocketAddr>,
        handling: Handling,
        flags: MessageFlags,
        wait: Wait,
    ) -> Result<usize> {
        let special = handling != Handling::default();
        if self.kind() == SocketKind::Stream {
            return if special { Err(Errno::EINVAL.into()) } else { self.send_vectored(pieces, flags, wait) };
        }
        let wait = flags.for_send_to()?.limit(wait);
        let bytes = Gather::new(pieces);
        // What is longer is refused for its length: it need not be copied for that.
        let most = bytes.len().min(u16::MAX.into());
        let mut payload = BytesMut::with_capacity(most);
        bytes.up_to(most).for_each(|piece| payload.extend_from_slice(piece));
        let payload = payload.freeze();
        let engine = self.engine();
        self.block("send", Place::Cell, self.settings.send_patience(self.clock(), wait), |waker| {
            let queued = if special {
                Queued::Ask
            } else {
                socket::send_to(&self.cell, &payload, destination, waker)?
            };
            match queued {
                Queued::Done(kick) => {
                    engine.kick(self.id, kick);
                    Ok(())
                }
                Queued::Ask => engine.control(|turn, now| {
                    turn.stack.send_datagram_with(now, self.id, &payload, destination, handling, waker)
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
        let message = self.recv_message(&mut [IoSliceMut::new(bytes)], flags, wait)?;
        Ok((message.told, message.from))
    }

    /// Receives into several pieces, filled one after the other, and tells what recvmsg(2) does. A stream has bytes as [`Socket::recv_vectored`] and nothing else.
    pub fn recv_message(
        &self,
        pieces: &mut [IoSliceMut<'_>],
        flags: MessageFlags,
        wait: Wait,
    ) -> Result<Message> {
        if self.kind() == SocketKind::Stream {
            let told = self.recv_vectored(pieces, flags, wait)?;
            return Ok(Message { told, ..Message::default() });
        }
        let Some(datagram) = self.recv_datagram(flags, wait)? else { return Ok(Message::default()) };
        let length = datagram.bytes.len();
        let count = Scatter::new(pieces).put(&datagram.bytes);
        let told = if flags.contains(MessageFlags::TRUNC) { length } else { count };
        let Received { from, to, hops, class, .. } = datagram;
        let asked = self.settings.told();
        Ok(Message {
            told,
            from: Some(from),
            to: asked.address.then_some(to),
            hops: hops.filter(|_| asked.hops),
            class: class.filter(|_| asked.class),
            truncated: count < length,
        })
    }

    /// The oldest datagram as it is; `None` is the end that SHUT_RD made. EOPNOTSUPP for a stream.
    pub fn recv_datagram(&self, flags: MessageFlags, wait: Wait) -> Result<Option<Received>> {
        let wait = flags.for_recv()?.limit(wait);
        let take = if flags.contains(MessageFlags::PEEK) { Take::Peek } else { Take::Consume };
        let patience = self.settings.receive_patience(self.clock(), wait);
        let received = |waker: Option<&Waker>| socket::recv_from(&self.cell, take, waker);
        let datagram = self.block("recv", Place::Device, patience, received)?;
        Ok(datagram.map(|datagram| Received {
            bytes: datagram.payload,
            from: datagram.peer,
            to: datagram.local,
            hops: datagram.hops,
            class: datagram.class,
        }))
    }

    /// Takes the peer of a datagram socket away, as connect(2) to AF_UNSPEC does. EOPNOTSUPP for a stream.
    pub fn dissolve(&self) -> Result<()> {
        self.control(|turn, _| turn.stack.dissolve(self.id))
    }
}
