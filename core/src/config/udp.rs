//! The settings of UDP.

use crate::error::{Errno, Error};

/// UDP settings.
#[derive(Clone, Debug)]
pub struct UdpConfig {
    /// Receive buffer of a new datagram socket, bytes, each datagram counted with 128 more. SO_RCVBUF. Default 1 MiB. More are dropped.
    pub receive: usize,
    /// Send buffer of a new datagram socket, bytes, counted alike. SO_SNDBUF. Default 256 KiB.
    pub send: usize,
    /// First port of the ephemeral range. Default 32768, as in Linux (RFC 6056 recommends a wide range).
    pub port_first: u16,
    /// Last port of the ephemeral range, inclusive. Default 60999.
    pub port_last: u16,
}

impl Default for UdpConfig {
    fn default() -> Self {
        Self { receive: 1 << 20, send: 256 << 10, port_first: 32_768, port_last: 60_999 }
    }
}

impl UdpConfig {
    /// Refuses settings that no stack can work with, naming the field and its range.
    pub(super) fn validate(&self) -> Result<(), Error> {
        let refuse = |text: &str| Err(Error::new(Errno::EINVAL, text));
        super::validate_ports(self.port_first, self.port_last)?;
        if self.receive < 2048 || self.send < 2048 {
            return refuse("receive and send buffers must be at least 2048 bytes");
        }
        Ok(())
    }
}
