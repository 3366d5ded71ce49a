//! Options of SOL_SOCKET.

use super::number::{int, seconds, to_int};
use super::{IPPROTO_TCP, Settings};
use crate::error::Errno;
use crate::time::Duration;

/// Names of the options under [`SOL_SOCKET`](super::SOL_SOCKET).
pub mod sol {
    #![allow(missing_docs, reason = "the names are those of <asm-generic/socket.h>")]
    pub const SO_REUSEADDR: i32 = 2;
    pub const SO_TYPE: i32 = 3;
    pub const SO_ERROR: i32 = 4;
    pub const SO_SNDBUF: i32 = 7;
    pub const SO_RCVBUF: i32 = 8;
    pub const SO_KEEPALIVE: i32 = 9;
    pub const SO_OOBINLINE: i32 = 10;
    pub const SO_LINGER: i32 = 13;
    pub const SO_REUSEPORT: i32 = 15;
    pub const SO_RCVLOWAT: i32 = 18;
    pub const SO_SNDLOWAT: i32 = 19;
    pub const SO_ACCEPTCONN: i32 = 30;
    pub const SO_SNDBUFFORCE: i32 = 32;
    pub const SO_RCVBUFFORCE: i32 = 33;
    pub const SO_PROTOCOL: i32 = 38;
    pub const SO_DOMAIN: i32 = 39;
}

/// Least and most bytes of a socket buffer.
const BUFFER_MIN: i32 = 2048;
const BUFFER_MAX: i32 = 1 << 30;

pub(super) fn set(settings: &mut Settings, name: i32, value: &[u8]) -> Result<(), Errno> {
    // As Linux: whatever the name, a shorter value is wrong.
    int(value)?;
    match name {
        sol::SO_REUSEADDR => settings.reuse_address = int(value)? != 0,
        sol::SO_REUSEPORT => settings.reuse_port = int(value)? != 0,
        sol::SO_KEEPALIVE => settings.protocol.keep_alive = int(value)? != 0,
        sol::SO_OOBINLINE => settings.urgent_inline = int(value)? != 0,
        sol::SO_RCVBUF => {
            settings.fix_receive(buffer(value)?);
            settings.receive_low = low(settings.receive_low, settings.receive);
        }
        sol::SO_SNDBUF => {
            settings.send = buffer(value)?;
            settings.send_max = settings.send;
        }
        // They lift a limit that there is not; programs go on with SO_RCVBUF and SO_SNDBUF, as they do where they are not root.
        sol::SO_SNDBUFFORCE | sol::SO_RCVBUFFORCE => return int(value).and(Err(Errno::EPERM)),
        sol::SO_LINGER => settings.linger = linger(value)?,
        sol::SO_RCVLOWAT => {
            let wanted = usize::try_from(int(value)?).unwrap_or(usize::MAX);
            settings.receive_low = low(wanted, settings.protocol.receive_max);
            // As in Linux, what is waited for fits twice.
            settings.receive = settings.receive.max(settings.receive_low.saturating_mul(2));
        }
        _ => return Err(Errno::ENOPROTOOPT),
    }
    Ok(())
}

pub(super) fn value(settings: &Settings, name: i32) -> Result<Vec<u8>, Errno> {
    let number = match name {
        sol::SO_TYPE | sol::SO_SNDLOWAT => 1,
        sol::SO_PROTOCOL => IPPROTO_TCP,
        sol::SO_REUSEADDR => i32::from(settings.reuse_address),
        sol::SO_REUSEPORT => i32::from(settings.reuse_port),
        sol::SO_KEEPALIVE => i32::from(settings.protocol.keep_alive),
        sol::SO_OOBINLINE => i32::from(settings.urgent_inline),
        sol::SO_RCVBUF => to_int(settings.receive),
        sol::SO_SNDBUF => to_int(settings.send),
        sol::SO_RCVLOWAT => to_int(settings.receive_low),
        sol::SO_LINGER => return Ok(linger_bytes(settings.linger)),
        _ => return Err(Errno::ENOPROTOOPT),
    };
    Ok(number.to_ne_bytes().to_vec())
}

/// Sizes out of range are brought into it, as Linux does.
fn buffer(value: &[u8]) -> Result<usize, Errno> {
    Ok(int(value)?.clamp(BUFFER_MIN, BUFFER_MAX).unsigned_abs() as usize)
}

/// More than half a buffer is never waited for: the window might close before it is there.
fn low(wanted: usize, receive: usize) -> usize {
    wanted.clamp(1, receive / 2)
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
