//! Socket options in the byte form of Linux, between programs and plain settings.
//!
//! Numbers are a C `int` of four bytes unless stated otherwise. Buffer sizes are what was set, not doubled as Linux has it. SO_RCVTIMEO and
//! SO_SNDTIMEO belong to whoever sleeps and are not known here.

use super::ip;
use crate::error::Errno;
use crate::stack::ports::Reuse;
use crate::tcp::Options;
use crate::time::Duration;

pub use super::ip::{IPPROTO_IP, IPPROTO_IPV6};

/// Levels.
pub const SOL_SOCKET: i32 = 1;
/// Level of TCP options.
pub const IPPROTO_TCP: i32 = 6;

/// Names of the options under [`SOL_SOCKET`].
pub mod sol {
    #![allow(missing_docs, reason = "the names are those of <asm-generic/socket.h>")]
    pub const SO_REUSEADDR: i32 = 2;
    pub const SO_TYPE: i32 = 3;
    pub const SO_ERROR: i32 = 4;
    pub const SO_SNDBUF: i32 = 7;
    pub const SO_RCVBUF: i32 = 8;
    pub const SO_KEEPALIVE: i32 = 9;
    pub const SO_LINGER: i32 = 13;
    pub const SO_REUSEPORT: i32 = 15;
    pub const SO_ACCEPTCONN: i32 = 30;
    pub const SO_PROTOCOL: i32 = 38;
    pub const SO_DOMAIN: i32 = 39;
}

/// Names of the options under [`IPPROTO_TCP`].
pub mod tcp {
    #![allow(missing_docs, reason = "the names are those of <netinet/tcp.h>")]
    pub const TCP_NODELAY: i32 = 1;
    pub const TCP_MAXSEG: i32 = 2;
    pub const TCP_KEEPIDLE: i32 = 4;
    pub const TCP_KEEPINTVL: i32 = 5;
    pub const TCP_KEEPCNT: i32 = 6;
    pub const TCP_INFO: i32 = 11;
    pub const TCP_USER_TIMEOUT: i32 = 18;
}

/// Name of the option under [`IPPROTO_IPV6`]: whether a socket of AF_INET6 keeps away from IPv4. Whether it may be set, and where, is for the
/// stack to say.
pub const IPV6_V6ONLY: i32 = 26;

/// Least and most bytes of a socket buffer.
const BUFFER_MIN: i32 = 2048;
const BUFFER_MAX: i32 = 1 << 30;

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
    /// SO_RCVBUF, bytes.
    pub receive: usize,
    /// SO_SNDBUF, bytes.
    pub send: usize,
    /// SO_LINGER: how long close may sleep; `Some(ZERO)`: close resets.
    pub linger: Option<Duration>,
}

impl Settings {
    /// With whom the socket shares its port.
    pub(in crate::stack) const fn reuse(&self) -> Reuse {
        Reuse { address: self.reuse_address, port: self.reuse_port }
    }
}

/// Sets an option. ENOPROTOOPT for what is not known or is read-only, EINVAL for a wrong length or value.
pub fn set(settings: &mut Settings, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    match level {
        SOL_SOCKET => set_socket(settings, name, value),
        IPPROTO_TCP => set_tcp(&mut settings.protocol, name, value),
        IPPROTO_IPV6 if name == IPV6_V6ONLY => {
            settings.v6_only = int(value)? != 0;
            Ok(())
        }
        IPPROTO_IP | IPPROTO_IPV6 => settings.ip.set(level, name, value),
        _ => Err(Errno::ENOPROTOOPT),
    }
}

/// Reads an option that the settings alone answer. ENOPROTOOPT for the others.
pub fn value(settings: &Settings, level: i32, name: i32) -> Result<Vec<u8>, Errno> {
    let Settings { protocol, ip, reuse_address, reuse_port, v6_only, receive, send, linger } = settings;
    let Options { no_delay, keep_alive, keep_idle, keep_interval, keep_probes, user_timeout, max_segment } =
        protocol;
    let number = match (level, name) {
        (SOL_SOCKET, sol::SO_TYPE) => 1,
        (SOL_SOCKET, sol::SO_PROTOCOL) => IPPROTO_TCP,
        (SOL_SOCKET, sol::SO_REUSEADDR) => i32::from(*reuse_address),
        (SOL_SOCKET, sol::SO_REUSEPORT) => i32::from(*reuse_port),
        (SOL_SOCKET, sol::SO_KEEPALIVE) => i32::from(*keep_alive),
        (SOL_SOCKET, sol::SO_RCVBUF) => to_int(*receive),
        (SOL_SOCKET, sol::SO_SNDBUF) => to_int(*send),
        (SOL_SOCKET, sol::SO_LINGER) => return Ok(linger_bytes(*linger)),
        (IPPROTO_TCP, tcp::TCP_NODELAY) => i32::from(*no_delay),
        (IPPROTO_TCP, tcp::TCP_MAXSEG) => max_segment.map_or(0, i32::from),
        (IPPROTO_TCP, tcp::TCP_KEEPIDLE) => to_int(keep_idle.as_secs()),
        (IPPROTO_TCP, tcp::TCP_KEEPINTVL) => to_int(keep_interval.as_secs()),
        (IPPROTO_TCP, tcp::TCP_KEEPCNT) => i32::from(*keep_probes),
        (IPPROTO_TCP, tcp::TCP_USER_TIMEOUT) => to_int(user_timeout.unwrap_or_default().as_millis()),
        (IPPROTO_IPV6, IPV6_V6ONLY) => i32::from(*v6_only),
        (IPPROTO_IP | IPPROTO_IPV6, _) => ip.value(level, name)?,
        _ => return Err(Errno::ENOPROTOOPT),
    };
    Ok(number.to_ne_bytes().to_vec())
}

fn set_socket(settings: &mut Settings, name: i32, value: &[u8]) -> Result<(), Errno> {
    match name {
        sol::SO_REUSEADDR => settings.reuse_address = int(value)? != 0,
        sol::SO_REUSEPORT => settings.reuse_port = int(value)? != 0,
        sol::SO_KEEPALIVE => settings.protocol.keep_alive = int(value)? != 0,
        sol::SO_RCVBUF => settings.receive = buffer(value)?,
        sol::SO_SNDBUF => settings.send = buffer(value)?,
        sol::SO_LINGER => settings.linger = linger(value)?,
        _ => return Err(Errno::ENOPROTOOPT),
    }
    Ok(())
}

fn set_tcp(options: &mut Options, name: i32, value: &[u8]) -> Result<(), Errno> {
    match name {
        tcp::TCP_NODELAY => options.no_delay = int(value)? != 0,
        tcp::TCP_MAXSEG => options.max_segment = Some(within(value, 88, 32_767)? as u16),
        tcp::TCP_KEEPIDLE => options.keep_idle = seconds(within(value, 1, 32_767)?),
        tcp::TCP_KEEPINTVL => options.keep_interval = seconds(within(value, 1, 32_767)?),
        tcp::TCP_KEEPCNT => options.keep_probes = within(value, 1, 127)? as u8,
        tcp::TCP_USER_TIMEOUT => {
            let millis = within(value, 0, i32::MAX)?;
            let timeout = Duration::from_millis(u64::from(millis.unsigned_abs()));
            options.user_timeout = (millis > 0).then_some(timeout);
        }
        _ => return Err(Errno::ENOPROTOOPT),
    }
    Ok(())
}

/// A C `int`; longer values are cut as the kernel does, shorter ones are refused.
fn int(value: &[u8]) -> Result<i32, Errno> {
    let (bytes, _) = value.split_first_chunk::<4>().ok_or(Errno::EINVAL)?;
    Ok(i32::from_ne_bytes(*bytes))
}

fn within(value: &[u8], least: i32, most: i32) -> Result<i32, Errno> {
    int(value).and_then(|n| if (least..=most).contains(&n) { Ok(n) } else { Err(Errno::EINVAL) })
}

/// Sizes out of range are brought into it, as Linux does.
fn buffer(value: &[u8]) -> Result<usize, Errno> {
    Ok(int(value)?.clamp(BUFFER_MIN, BUFFER_MAX).unsigned_abs() as usize)
}

/// A `struct linger`: two ints, on or off and seconds.
fn linger(value: &[u8]) -> Result<Option<Duration>, Errno> {
    let (on, rest) = value.split_first_chunk::<4>().ok_or(Errno::EINVAL)?;
    let time = int(rest)?;
    Ok((i32::from_ne_bytes(*on) != 0).then(|| seconds(time.max(0))))
}

fn linger_bytes(linger: Option<Duration>) -> Vec<u8> {
    let on = i32::from(linger.is_some()).to_ne_bytes();
    let time = to_int(linger.unwrap_or_default().as_secs()).to_ne_bytes();
    [on, time].concat()
}

fn seconds(count: i32) -> Duration {
    Duration::from_secs(u64::from(count.unsigned_abs()))
}

fn to_int<T: TryInto<i32>>(number: T) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}
