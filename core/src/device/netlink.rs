//! Route netlink: the messages that configure an interface, written by hand.

use crate::config::Prefix;
use crate::error::{Errno, Result};
use crate::sys;
use core::time::Duration;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_REPLACE: u16 = 0x100;
const NLM_F_CREATE: u16 = 0x400;
const HEADER: usize = 16;
/// The kernel answers requests before it returns from sendmsg; this only guards against a socket that is none.
const REPLY_WITHIN: Duration = Duration::from_secs(5);

/// State of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkStatus {
    /// Interface index.
    pub(crate) index: u32,
    /// `IFF_UP`, `IFF_RUNNING` ...
    pub(crate) flags: u32,
    /// MTU in bytes.
    pub(crate) mtu: u32,
    /// Packets that its queue holds.
    pub(crate) queue_length: u32,
}

/// A NETLINK_ROUTE socket. It configures the namespace that it was made in, wherever its owner is now.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    /// A socket for this thread's network namespace.
    pub(crate) fn open() -> Result<Self, Errno> {
        let socket = sys::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?;
        Self::from_socket(socket)
    }

    /// Uses a socket that was made in the namespace in question.
    pub(crate) fn from_socket(socket: OwnedFd) -> Result<Self, Errno> {
        sys::bind_netlink(socket.as_fd())?;
        Ok(Self { socket, sequence: 0 })
    }

    /// RTM_GETLINK of the interface called `name`.
    pub(crate) fn link(&mut self, name: &str) -> Result<LinkStatus, Errno> {
        let mut message = Message::new(libc::RTM_GETLINK, 0, &link_header(0, 0, 0));
        message.attribute(libc::IFLA_IFNAME, &[name.as_bytes(), &[0]].concat());
        let reply = self.exchange(message)?;
        let body = reply.get(HEADER..).ok_or(Errno::EBADFD)?;
        let mut status = LinkStatus { index: word(body, 4)?, flags: word(body, 8)?, mtu: 0, queue_length: 0 };
        for (kind, value) in Attributes(body.get(16..).ok_or(Errno::EBADFD)?) {
            match kind {
                libc::IFLA_MTU => status.mtu = word(value, 0)?,
                libc::IFLA_TXQLEN => status.queue_length = word(value, 0)?,
                _ => {}
            }
        }
        Ok(status)
    }

    /// RTM_NEWLINK of an interface that exists: IFF_UP set or cleared, MTU and queue length where given.
    pub(crate) fn set_link(
        &mut self,
        index: u32,
        up: bool,
        mtu: Option<u32>,
        queue_length: Option<u32>,
    ) -> Result<(), Errno> {
        let up_flag = libc::IFF_UP.cast_unsigned();
        let header = link_header(index, if up { up_flag } else { 0 }, up_flag);
        let mut message = Message::new(libc::RTM_NEWLINK, NLM_F_ACK, &header);
        for (kind, value) in [(libc::IFLA_MTU, mtu), (libc::IFLA_TXQLEN, queue_length)] {
            if let Some(value) = value {
                message.attribute(kind, &value.to_ne_bytes());
            }
        }
        self.exchange(message).map(|_| ())
    }

    /// RTM_DELLINK.
    pub(crate) fn delete_link(&mut self, index: u32) -> Result<(), Errno> {
        self.exchange(Message::new(libc::RTM_DELLINK, NLM_F_ACK, &link_header(index, 0, 0))).map(|_| ())
    }

    /// RTM_NEWADDR; an IPv6 address is usable at once, without duplicate address detection. One that is there already stays.
    pub(crate) fn add_address(&mut self, index: u32, prefix: Prefix) -> Result<(), Errno> {
        let nodad = libc::IFA_F_NODAD as u8;
        let [i0, i1, i2, i3] = index.to_ne_bytes();
        let header = [family(prefix.address), prefix.length, nodad, 0, i0, i1, i2, i3];
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        let mut message = Message::new(libc::RTM_NEWADDR, flags, &header);
        let address = octets(prefix.address);
        message.attribute(libc::IFA_LOCAL, &address);
        message.attribute(libc::IFA_ADDRESS, &address);
        self.exchange(message).map(|_| ())
    }

    /// RTM_NEWROUTE to `destination` by `gateway`, or by the interface itself.
    pub(crate) fn add_route(
        &mut self,
        index: u32,
        destination: Prefix,
        gateway: Option<IpAddr>,
    ) -> Result<(), Errno> {
        const RT_TABLE_MAIN: u8 = 254;
        const RTPROT_BOOT: u8 = 3;
        const RT_SCOPE_UNIVERSE: u8 = 0;
        const RT_SCOPE_LINK: u8 = 253;
        const RTN_UNICAST: u8 = 1;
        let scope = if gateway.is_some() { RT_SCOPE_UNIVERSE } else { RT_SCOPE_LINK };
        let to = destination.address;
        let family = family(to);
        let header =
            [family, destination.length, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, scope, RTN_UNICAST, 0, 0, 0, 0];
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        let mut message = Message::new(libc::RTM_NEWROUTE, flags, &header);
        message.attribute(libc::RTA_DST, &octets(to));
        message.attribute(libc::RTA_OIF, &index.to_ne_bytes());
        if let Some(gateway) = gateway {
            message.attribute(libc::RTA_GATEWAY, &octets(gateway));
        }
        self.exchange(message).map(|_| ())
    }

    /// RTM_GETROUTE: whether packets to `address` are delivered to the host itself.
    pub(crate) fn is_local(&mut self, address: IpAddr) -> Result<bool, Errno> {
        const RTN_LOCAL: u8 = 2;
        let octets = octets(address);
        let bits = (octets.len() * 8) as u8;
        let mut message =
            Message::new(libc::RTM_GETROUTE, 0, &[family(address), bits, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        message.attribute(libc::RTA_DST, &octets);
        match self.exchange(message) {
            Ok(reply) => Ok(reply.get(HEADER + 7) == Some(&RTN_LOCAL)),
            Err(Errno::ENETUNREACH | Errno::EHOSTUNREACH) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Sends one request and returns the message that answers it; an error message is its errno.
    fn exchange(&mut self, message: Message) -> Result<Vec<u8>, Errno> {
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        sys::send(self.socket.as_fd(), &message.finish(sequence), 0)?;
        let mut reply = vec![0; 32 << 10];
        loop {
            let length = self.receive(&mut reply)?;
            if length < HEADER || word(&reply, 8)? != sequence {
                continue;
            }
            let kind = u16::from_ne_bytes([reply[4], reply[5]]);
            reply.truncate(length);
            if i32::from(kind) != libc::NLMSG_ERROR {
                return Ok(reply);
            }
            let code = word(&reply, HEADER)?.cast_signed();
            return if code == 0 { Ok(reply) } else { Err(Errno(code.saturating_neg())) };
        }
    }

    fn receive(&self, reply: &mut [u8]) -> Result<usize, Errno> {
        loop {
            match sys::recv(self.socket.as_fd(), reply, libc::MSG_DONTWAIT) {
                Err(Errno::EAGAIN) => {}
                Err(Errno::EINTR) => continue,
                result => return result,
            }
            let mut entries = [sys::PollFd { fd: self.socket.as_raw_fd(), events: libc::POLLIN, revents: 0 }];
            match sys::poll(&mut entries, Some(REPLY_WITHIN)) {
                Ok(0) => return Err(Errno::ETIMEDOUT),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// A request being written.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16, body: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        bytes.extend_from_slice(body);
        Self(bytes)
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0[0..4].copy_from_slice(&length.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }
}

/// The attributes of a reply, as kind and value.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header = self.0.get(..4)?;
        let length = usize::from(u16::from_ne_bytes([header[0], header[1]]));
        let kind = u16::from_ne_bytes([header[2], header[3]]);
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, value))
    }
}

/// An ifinfomsg.
fn link_header(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&change.to_ne_bytes());
    header
}

fn word(bytes: &[u8], at: usize) -> Result<u32, Errno> {
    let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or(Errno::EBADFD)?;
    Ok(u32::from_ne_bytes(*bytes))
}

fn family(address: IpAddr) -> u8 {
    (if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }) as u8
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}
