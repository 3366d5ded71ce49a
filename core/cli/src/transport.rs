//! ureq over sockets of a stack: where the downloads' bytes pass.

use std::io;
use std::net::SocketAddr;
use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};
use usertcp_core::api::{self, Domain, Errno, MessageFlags, Readiness, Socket, Stack, Wait};

/// Opens connections of a stack.
#[derive(Debug)]
pub(crate) struct StackConnector {
    pub(crate) stack: Stack,
    /// Tells of each connection, on standard error.
    pub(crate) verbose: bool,
}

impl Connector<()> for StackConnector {
    type Out = StackTransport;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<StackTransport>, Error> {
        let mut failure = Error::HostNotFound;
        for address in &details.addrs {
            match self.open(*address, details.timeout) {
                Ok(socket) => {
                    let config = details.config;
                    let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
                    return Ok(Some(StackTransport { socket, buffers, verbose: self.verbose }));
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

impl StackConnector {
    fn open(&self, address: SocketAddr, timeout: NextTimeout) -> Result<Socket, Error> {
        let domain = if address.is_ipv4() { Domain::V4 } else { Domain::V6 };
        let open = || {
            let socket = self.stack.socket(domain)?;
            socket.connect(address, wait(timeout))?;
            Ok(socket)
        };
        let socket = open().map_err(|error| failed(error, timeout))?;
        if self.verbose {
            eprintln!("connected to {address}");
        }
        Ok(socket)
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct StackTransport {
    socket: Socket,
    buffers: LazyBuffers,
    verbose: bool,
}

const NONE: MessageFlags = MessageFlags(0);

impl Transport for StackTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let mut rest = self.buffers.output().get(..amount).unwrap_or_default();
        while !rest.is_empty() {
            let sent = self.socket.send(rest, NONE, wait(timeout)).map_err(|error| failed(error, timeout))?;
            rest = rest.get(sent..).unwrap_or_default();
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let space = self.buffers.input_append_buf();
        let received =
            self.socket.recv(space, NONE, wait(timeout)).map_err(|error| failed(error, timeout))?;
        self.buffers.input_appended(received);
        Ok(received > 0)
    }

    fn is_open(&mut self) -> bool {
        self.socket.readiness().0 & Readiness::IN.0 == 0
    }
}

impl Drop for StackTransport {
    fn drop(&mut self) {
        if self.verbose
            && let Ok(info) = self.socket.tcp_info()
        {
            eprintln!(
                "{} bytes in, {} out, {} retransmitted, round trip {} ms",
                info.bytes_received,
                info.bytes_sent,
                info.bytes_retrans,
                f64::from(info.rtt) / 1000.0
            );
        }
    }
}

/// How long a call may sleep.
fn wait(timeout: NextTimeout) -> Wait {
    timeout.not_zero().map_or(Wait::Forever, |left| Wait::AtMost(*left))
}

/// The stack's error as ureq has them.
pub(crate) fn failed(error: api::Error, timeout: NextTimeout) -> Error {
    match error.errno() {
        Errno::EAGAIN | Errno::EINPROGRESS => Error::Timeout(timeout.reason),
        errno => Error::Io(io::Error::new(io::Error::from_raw_os_error(errno.0).kind(), error.to_string())),
    }
}
