//! The calls of programs on simulated hosts: each is answered at once, EAGAIN for "would block".

use super::{Network, Seen};
use crate::buffer::{Cell, SMALL, Slices, SocketId};
use crate::error::Errno;
use crate::stack::socket::{self, Kick, More, Queued, Readiness, Take, Urgency};
use crate::stack::{Domain, Shutdown};
use crate::sync::Arc;
use bytes::Bytes;
use std::net::SocketAddr;

/// A socket of a simulated host, as a program holds it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Index of its host.
    pub host: usize,
    /// Its name in the host's stack.
    pub id: SocketId,
    /// Its cell.
    pub cell: Arc<Cell>,
}

impl Network {
    /// A new socket.
    pub fn socket(&mut self, host: usize, domain: Domain) -> Result<Endpoint, Errno> {
        let (id, cell) = self.hosts[host].stack.socket(domain)?;
        Ok(Endpoint { host, id, cell })
    }

    /// A listening socket.
    pub fn listen(&mut self, host: usize, local: SocketAddr, backlog: u32) -> Result<Endpoint, Errno> {
        let endpoint = self.socket(host, Domain::of(local.ip()))?;
        let now = self.now;
        let stack = &mut self.hosts[host].stack;
        let done = stack.bind(endpoint.id, local).and_then(|()| stack.listen(now, endpoint.id, backlog));
        done.map(|()| endpoint.clone()).inspect_err(|_| self.close(&endpoint))
    }

    /// A socket that has begun to connect.
    pub fn connect(&mut self, host: usize, peer: SocketAddr) -> Result<Endpoint, Errno> {
        let endpoint = self.socket(host, Domain::of(peer.ip()))?;
        let now = self.now;
        let done = self.hosts[host].stack.connect(now, endpoint.id, peer);
        done.map(|()| endpoint.clone()).inspect_err(|_| self.close(&endpoint))
    }

    /// The next connection of a listener.
    pub fn accept(&mut self, listener: &Endpoint) -> Result<Endpoint, Errno> {
        let (accepted, kick) = socket::accept(&listener.cell, None)?;
        self.kick(listener, kick);
        Ok(Endpoint { host: listener.host, id: accepted.socket, cell: accepted.cell })
    }

    /// A datagram socket bound to `local`.
    pub fn datagram_socket(&mut self, host: usize, local: SocketAddr) -> Result<Endpoint, Errno> {
        let stack = &mut self.hosts[host].stack;
        let (id, cell) = stack.datagram_socket(Domain::of(local.ip()))?;
        let endpoint = Endpoint { host, id, cell };
        let bound = self.hosts[host].stack.bind(id, local);
        bound.map(|()| endpoint.clone()).inspect_err(|_| self.close(&endpoint))
    }

    /// Sends a datagram, asking the stack where the cell cannot answer.
    pub fn send_to(
        &mut self,
        endpoint: &Endpoint,
        bytes: &[u8],
        destination: Option<SocketAddr>,
    ) -> Result<(), Errno> {
        let payload = Bytes::copy_from_slice(bytes);
        match socket::send_to(&endpoint.cell, &payload, destination, None)? {
            Queued::Done(kick) => {
                self.kick(endpoint, kick);
                Ok(())
            }
            Queued::Ask => {
                let now = self.now;
                let stack = &mut self.hosts[endpoint.host].stack;
                stack.send_datagram(now, endpoint.id, &payload, destination, None)
            }
        }
    }

    /// The oldest datagram and whom it came from; `None` is the end that SHUT_RD made.
    pub fn recv_from(&mut self, endpoint: &Endpoint) -> Result<Option<(Vec<u8>, SocketAddr)>, Errno> {
        let datagram = socket::recv_from(&endpoint.cell, Take::Consume, None)?;
        Ok(datagram.map(|datagram| (datagram.payload.to_vec(), datagram.peer)))
    }

    /// Sends as much of `bytes` as there is room for.
    pub fn send(&mut self, endpoint: &Endpoint, bytes: &[u8]) -> Result<usize, Errno> {
        self.send_more(endpoint, bytes, More::No)
    }

    /// [`Network::send`] with or without MSG_MORE.
    pub fn send_more(&mut self, endpoint: &Endpoint, bytes: &[u8], more: More) -> Result<usize, Errno> {
        let (count, kick) = if bytes.len() < SMALL {
            socket::send_small(&endpoint.cell, bytes, more, Urgency::None, None)?
        } else {
            let count = socket::reserve(&endpoint.cell, bytes.len(), None)?;
            let bytes = Bytes::copy_from_slice(&bytes[..count]);
            (count, socket::commit(&endpoint.cell, bytes, more, Urgency::None)?)
        };
        self.show(Seen::Written(endpoint, bytes.get(..count).unwrap_or_default()));
        self.kick(endpoint, kick);
        Ok(count)
    }

    /// Up to `most` bytes; none is the end of the stream.
    pub fn recv(&mut self, endpoint: &Endpoint, most: usize) -> Result<Vec<u8>, Errno> {
        let (slices, kick) = socket::recv(&endpoint.cell, most, Take::Consume, None)?;
        let bytes = slices.concat();
        self.show(Seen::Read(endpoint, &bytes));
        self.kick(endpoint, kick);
        Ok(bytes)
    }

    /// Sends as much of `bytes` as there is room for, sharing the memory.
    pub fn send_shared(&mut self, endpoint: &Endpoint, bytes: &Bytes) -> Result<usize, Errno> {
        let count = socket::reserve(&endpoint.cell, bytes.len(), None)?;
        let kick = socket::commit(&endpoint.cell, bytes.slice(..count), More::No, Urgency::None)?;
        self.show(Seen::Written(endpoint, bytes.get(..count).unwrap_or_default()));
        self.kick(endpoint, kick);
        Ok(count)
    }

    /// [`Network::recv`] without copying.
    pub fn recv_shared(&mut self, endpoint: &Endpoint, most: usize) -> Result<Slices, Errno> {
        let (slices, kick) = socket::recv(&endpoint.cell, most, Take::Consume, None)?;
        slices.iter().for_each(|slice| self.show(Seen::Read(endpoint, slice)));
        self.kick(endpoint, kick);
        Ok(slices)
    }

    /// Shuts down one or both halves.
    pub fn shutdown(&mut self, endpoint: &Endpoint, how: Shutdown) -> Result<(), Errno> {
        let now = self.now;
        self.hosts[endpoint.host].stack.shutdown(now, endpoint.id, how)
    }

    /// Closes a socket.
    pub fn close(&mut self, endpoint: &Endpoint) {
        let mut wakers = Vec::new();
        if socket::close(&endpoint.cell, &mut wakers) {
            let now = self.now;
            self.hosts[endpoint.host].stack.close(now, endpoint.id);
        }
        wakers.into_iter().for_each(std::task::Waker::wake);
    }

    /// What a socket is ready for.
    #[must_use]
    pub fn readiness(&self, endpoint: &Endpoint) -> Readiness {
        socket::readiness(&endpoint.cell, Readiness::default(), None)
    }

    fn kick(&mut self, endpoint: &Endpoint, kick: Kick) {
        if kick == Kick::Yes {
            let now = self.now;
            self.hosts[endpoint.host].stack.handle_kick(now, endpoint.id);
        }
    }
}
