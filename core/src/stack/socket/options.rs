//! Socket options in the byte form of Linux, between programs and plain settings.
//!
//! Numbers are a C `int` of four bytes unless stated otherwise. What is not known, and what would have no effect here, is ENOPROTOOPT: an option
//! that is accepted is obeyed. Buffer sizes are what was set: Linux doubles them, to account for its own overhead, and tells the double; here the
//! overhead is not counted. SO_RCVTIMEO and SO_SNDTIMEO belong to whoever sleeps and are not known here.

mod number;
mod socket_level;
mod tcp_level;

pub use socket_level::sol;
pub use tcp_level::tcp;

use super::ip;
use crate::buffer::Marks;
use crate::config::{Config, TcpConfig};
use crate::error::Errno;
use crate::stack::ports::Reuse;
use crate::tcp::{Buffers, Options};
use crate::time::Duration;
use crate::trace::Sink;

pub(in crate::stack) use number::{int, within};

pub use super::ip::{IPPROTO_IP, IPPROTO_IPV6};

/// Levels.
pub const SOL_SOCKET: i32 = 1;
/// Level of TCP options.
pub const IPPROTO_TCP: i32 = 6;

/// Name of the option under [`IPPROTO_IPV6`]: whether a socket of AF_INET6 keeps away from IPv4. Whether it may be set, and where, is for the
/// stack to say.
pub const IPV6_V6ONLY: i32 = 26;

/// What a socket remembers beside the options that the protocol obeys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What the protocol obeys.
    pub protocol: Options,
    /// What the packets' IP headers say.
    pub ip: ip::Settings,
    /// SO_REUSEADDR.
    pub reuse_address: bool,
    /// SO_REUSEPORT.
    pub reuse_port: bool,
    /// IPV6_V6ONLY.
    pub v6_only: bool,
    /// SO_OOBINLINE: urgent data is read in line, as RFC 6093 recommends; on, unlike in Linux.
    pub urgent_inline: bool,
    /// SO_RCVBUF, bytes; that of a connection may have grown.
    pub receive: usize,
    /// SO_SNDBUF, bytes; that of a connection may have grown.
    pub send: usize,
    /// Up to where the send buffer grows; `send` once SO_SNDBUF is set. `protocol.receive_max` is the same for receiving.
    pub send_max: usize,
    /// SO_RCVLOWAT, bytes: at least 1, at most half of the receive buffer.
    pub receive_low: usize,
    /// TCP_NOTSENT_LOWAT, bytes; 0: none.
    pub unsent_low: u32,
    /// TCP_WINDOW_CLAMP, bytes: most that the window offers; 0: what the buffer allows.
    pub window_clamp: u32,
    /// SO_LINGER: how long close may sleep; `Some(ZERO)`: close resets.
    pub linger: Option<Duration>,
    /// Where the events of its connection go, if not where those of the stack do.
    pub trace: Option<Sink>,
}

/// What setting an option does at once, beside what it says for later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// What is queued goes out, held back or not.
    Push,
    /// Another congestion controller takes over.
    Congestion,
    /// The ACK that is owed goes out, and so do those of the next segments; or they are delayed.
    Acks(Acks),
}

/// What TCP_QUICKACK says of acknowledgements to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// At once, for a while.
    Quick,
    /// Delayed.
    Delayed,
}

impl Settings {
    /// Settings of a new socket.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            protocol: Options { receive_max: config.buffers.receive, ..Options::new(&config.tcp) },
            ip: ip::Settings::new(config.ip.hop_limit, config.ip.traffic_class),
            reuse_address: false,
            reuse_port: false,
            v6_only: config.ip.bind_v6_only,
            urgent_inline: true,
            receive: config.buffers.receive_initial.min(config.buffers.receive),
            send: config.buffers.send_initial.min(config.buffers.send),
            send_max: config.buffers.send,
            receive_low: 1,
            unsent_low: 0,
            window_clamp: 0,
            linger: None,
            trace: None,
        }
    }

    /// With whom the socket shares its port.
    pub(in crate::stack) const fn reuse(&self) -> Reuse {
        Reuse { address: self.reuse_address, port: self.reuse_port }
    }

    /// What the socket's cell has to know.
    pub(in crate::stack) fn marks(&self) -> Marks {
        let unsent = if self.unsent_low == 0 { usize::MAX } else { self.unsent_low as usize };
        // A window that is clamped may close before the mark is reached.
        let receive_low = self.receive_low.min(self.receive_limit() / 2).max(1);
        Marks { send: self.send, receive_low, unsent }
    }

    /// Most bytes that the window offers, to begin with.
    #[must_use]
    pub fn receive_limit(&self) -> usize {
        self.clamp(self.receive)
    }

    /// Most bytes that it may come to offer.
    #[must_use]
    pub fn receive_most(&self) -> usize {
        self.clamp(self.protocol.receive_max)
    }

    fn clamp(&self, size: usize) -> usize {
        if self.window_clamp == 0 { size } else { size.min(self.window_clamp as usize) }
    }

    /// Fixes the size of the receive buffer.
    pub(in crate::stack) const fn fix_receive(&mut self, size: usize) {
        (self.receive, self.protocol.receive_max) = (size, size);
    }

    /// The buffers of a connection with these settings.
    pub(in crate::stack) fn buffers(&self) -> Buffers {
        Buffers { recv_limit: self.receive_limit(), recv_most: self.receive_most(), ..Buffers::default() }
    }

    /// A connection's limit of what it receives under changed settings: what has grown by itself stays.
    pub(in crate::stack) fn resized(&self, grown: usize) -> usize {
        let grows = self.protocol.receive_max > self.receive;
        self.clamp(if grows { self.receive.max(grown) } else { self.receive })
    }
}

/// Sets an option; 0 stands for what `config` says where Linux has it so. ENOPROTOOPT for what is not known or is read-only, EINVAL for a wrong length
/// or value, EPERM for what Linux grants to root only, ENOENT for a congestion control that there is not.
pub fn set(
    settings: &mut Settings,
    config: &TcpConfig,
    level: i32,
    name: i32,
    value: &[u8],
) -> Result<Effect, Errno> {
    match level {
        SOL_SOCKET => socket_level::set(settings, name, value).map(|()| Effect::None),
        IPPROTO_TCP => tcp_level::set(settings, config, name, value),
        IPPROTO_IPV6 if name == IPV6_V6ONLY => {
            settings.v6_only = int(value)? != 0;
            Ok(Effect::None)
        }
        IPPROTO_IP | IPPROTO_IPV6 => settings.ip.set(level, name, value).map(|()| Effect::None),
        _ => Err(Errno::ENOPROTOOPT),
    }
}

/// Reads an option that the settings alone answer. ENOPROTOOPT for the others.
pub fn value(settings: &Settings, level: i32, name: i32) -> Result<Vec<u8>, Errno> {
    match level {
        SOL_SOCKET => socket_level::value(settings, name),
        IPPROTO_TCP => tcp_level::value(settings, name),
        IPPROTO_IPV6 if name == IPV6_V6ONLY => Ok(i32::from(settings.v6_only).to_ne_bytes().to_vec()),
        IPPROTO_IP | IPPROTO_IPV6 => {
            settings.ip.value(level, name).map(|number| number.to_ne_bytes().to_vec())
        }
        _ => Err(Errno::ENOPROTOOPT),
    }
}
