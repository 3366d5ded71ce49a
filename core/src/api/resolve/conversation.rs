//! One exchange with a name server: a socket, from a port of its own.

use crate::api::{Domain, MessageFlags, Readiness, Socket, SocketKind, Stack, Wait};
use crate::error::{Errno, Result};
use crate::resolve::{Exchange, Transmit, Transport};
use std::net::SocketAddr;

/// The exchange.
pub(super) struct Conversation {
    pub(super) exchange: Exchange,
    pub(super) server: SocketAddr,
    pub(super) socket: Socket,
    /// What is still to be sent.
    unsent: Vec<u8>,
    /// What has come of the answer, its length in front.
    received: Vec<u8>,
}

/// What has come of it.
pub(super) enum Progress {
    /// Nothing yet.
    Waits,
    /// A message.
    Heard(Vec<u8>),
    /// Its end.
    Failed(Errno),
}

impl Conversation {
    /// Sends the question, or begins to.
    pub(super) fn begin(stack: &Stack, transmit: Transmit) -> Result<Self> {
        let Transmit { exchange, transport, server, mut message } = transmit;
        let domain = if server.is_ipv4() { Domain::V4 } else { Domain::V6 };
        // Connected: nothing from elsewhere gets in, and that nobody is there is told.
        let socket = match transport {
            Transport::Udp => {
                let socket = stack.datagram_socket(domain)?;
                socket.connect(server, Wait::Never)?;
                socket.send(&message, MessageFlags::default(), Wait::Never)?;
                message.clear();
                socket
            }
            Transport::Tcp => {
                let socket = stack.socket(domain)?;
                match socket.connect(server, Wait::Never) {
                    Err(error) if error.errno() != Errno::EINPROGRESS => return Err(error),
                    _ => {}
                }
                let length = u16::try_from(message.len()).map_err(|_| Errno::EMSGSIZE)?;
                message.splice(..0, length.to_be_bytes());
                socket
            }
        };
        Ok(Self { exchange, server, socket, unsent: message, received: Vec::new() })
    }

    /// What it waits for.
    pub(super) const fn interest(&self) -> Readiness {
        if self.unsent.is_empty() { Readiness::IN } else { Readiness::OUT }
    }

    /// Goes on as far as it can without sleeping.
    pub(super) fn advance(&mut self) -> Progress {
        let done = match self.socket.kind() {
            SocketKind::Datagram => self.hear_datagram(),
            SocketKind::Stream => self.hear_stream(),
        };
        match done {
            Ok(message) => Progress::Heard(message),
            Err(Errno::EAGAIN) => Progress::Waits,
            Err(errno) => Progress::Failed(errno),
        }
    }

    fn hear_datagram(&self) -> Result<Vec<u8>, Errno> {
        let heard = self.socket.recv_datagram(MessageFlags::default(), Wait::Never);
        let heard = heard.map_err(|error| error.errno())?;
        heard.map(|datagram| datagram.bytes.to_vec()).ok_or(Errno::ECONNRESET)
    }

    fn hear_stream(&mut self) -> Result<Vec<u8>, Errno> {
        if let Some(errno) = self.socket.take_error().map_err(|error| error.errno())? {
            return Err(errno);
        }
        while !self.unsent.is_empty() {
            let sent = self.socket.send(&self.unsent, MessageFlags::default(), Wait::Never);
            let sent = sent.map_err(|error| error.errno())?;
            self.unsent.drain(..sent);
        }
        loop {
            let length = self.received.first_chunk().map(|bytes| usize::from(u16::from_be_bytes(*bytes)));
            let whole = length.map_or(2, |length| 2 + length);
            if length.is_some() && self.received.len() >= whole {
                return Ok(self.received.split_off(2));
            }
            let mut bytes = vec![0; whole - self.received.len()];
            let count = self.socket.recv(&mut bytes, MessageFlags::default(), Wait::Never);
            match count.map_err(|error| error.errno())? {
                0 => return Err(Errno::ECONNRESET),
                count => self.received.extend_from_slice(&bytes[..count]),
            }
        }
    }
}
