//! Options of IPPROTO_TCP.

use super::number::{int, seconds, to_int, within};
use super::{Acks, Effect, Settings};
use crate::config::{Congestion, TcpConfig};
use crate::error::Errno;
use crate::time::Duration;

/// Names of the options under [`IPPROTO_TCP`](super::IPPROTO_TCP).
pub mod tcp {
    #![allow(missing_docs, reason = "the names are those of <netinet/tcp.h>")]
    pub const TCP_NODELAY: i32 = 1;
    pub const TCP_MAXSEG: i32 = 2;
    pub const TCP_CORK: i32 = 3;
    pub const TCP_KEEPIDLE: i32 = 4;
    pub const TCP_KEEPINTVL: i32 = 5;
    pub const TCP_KEEPCNT: i32 = 6;
    pub const TCP_SYNCNT: i32 = 7;
    pub const TCP_DEFER_ACCEPT: i32 = 9;
    pub const TCP_LINGER2: i32 = 8;
    pub const TCP_WINDOW_CLAMP: i32 = 10;
    pub const TCP_INFO: i32 = 11;
    pub const TCP_QUICKACK: i32 = 12;
    pub const TCP_CONGESTION: i32 = 13;
    pub const TCP_USER_TIMEOUT: i32 = 18;
    pub const TCP_NOTSENT_LOWAT: i32 = 25;
}

/// Longest time in FIN-WAIT-2 that TCP_LINGER2 takes, seconds; more is this much, as in Linux.
const LINGER2_MOST: i32 = 120;
/// Least window that TCP_WINDOW_CLAMP allows, bytes.
const CLAMP_MIN: i32 = 1024;
/// Bytes of the name of a congestion control, its NUL included.
const NAME_MAX: usize = 16;

pub(super) fn set(
    settings: &mut Settings,
    config: &TcpConfig,
    name: i32,
    value: &[u8],
) -> Result<Effect, Errno> {
    if name != tcp::TCP_CONGESTION {
        // As Linux: whatever the name, a shorter value is wrong.
        int(value)?;
    }
    let options = &mut settings.protocol;
    match name {
        tcp::TCP_NODELAY => {
            options.no_delay = int(value)? != 0;
            // Linux has it push what is queued even where TCP_CORK holds it.
            return Ok(if options.no_delay { Effect::Push } else { Effect::None });
        }
        tcp::TCP_CORK => options.cork = int(value)? != 0,
        tcp::TCP_QUICKACK => {
            let number = int(value)?;
            options.quick_ack = number != 0;
            return Ok(Effect::Acks(if number == 0 { Acks::Delayed } else { Acks::Quick }));
        }
        tcp::TCP_MAXSEG if int(value)? == 0 => options.max_segment = None,
        tcp::TCP_MAXSEG => options.max_segment = Some(within(value, 88, 32_767)? as u16),
        tcp::TCP_KEEPIDLE => options.keep_idle = seconds(within(value, 1, 32_767)?),
        tcp::TCP_KEEPINTVL => options.keep_interval = seconds(within(value, 1, 32_767)?),
        tcp::TCP_KEEPCNT => options.keep_probes = within(value, 1, 127)? as u8,
        tcp::TCP_DEFER_ACCEPT => options.defer_accept = seconds(int(value)?.max(0)),
        tcp::TCP_SYNCNT => options.syn_retries = within(value, 1, 127)? as u8,
        tcp::TCP_LINGER2 => options.fin_wait_2 = fin_wait_2(int(value)?, config.fin_wait_2),
        tcp::TCP_USER_TIMEOUT => {
            let millis = within(value, 0, i32::MAX)?;
            let timeout = Duration::from_millis(u64::from(millis.unsigned_abs()));
            options.user_timeout = (millis > 0).then_some(timeout);
        }
        tcp::TCP_WINDOW_CLAMP => {
            let clamp = int(value)?;
            settings.window_clamp = if clamp == 0 { 0 } else { clamp.max(CLAMP_MIN).unsigned_abs() };
        }
        tcp::TCP_NOTSENT_LOWAT => settings.unsent_low = int(value)?.cast_unsigned(),
        tcp::TCP_CONGESTION => {
            options.congestion = congestion(value)?;
            return Ok(Effect::Congestion);
        }
        _ => return Err(Errno::ENOPROTOOPT),
    }
    Ok(Effect::None)
}

pub(super) fn value(settings: &Settings, name: i32) -> Result<Vec<u8>, Errno> {
    let options = &settings.protocol;
    let number = match name {
        tcp::TCP_NODELAY => i32::from(options.no_delay),
        tcp::TCP_CORK => i32::from(options.cork),
        tcp::TCP_QUICKACK => i32::from(options.quick_ack),
        tcp::TCP_MAXSEG => options.max_segment.map_or(0, i32::from),
        tcp::TCP_KEEPIDLE => to_int(options.keep_idle.as_secs()),
        tcp::TCP_KEEPINTVL => to_int(options.keep_interval.as_secs()),
        tcp::TCP_KEEPCNT => i32::from(options.keep_probes),
        tcp::TCP_SYNCNT => i32::from(options.syn_retries),
        tcp::TCP_LINGER2 => options.fin_wait_2.map_or(-1, |time| to_int(time.as_secs())),
        tcp::TCP_USER_TIMEOUT => to_int(options.user_timeout.unwrap_or_default().as_millis()),
        tcp::TCP_WINDOW_CLAMP => settings.window_clamp.cast_signed(),
        tcp::TCP_NOTSENT_LOWAT => settings.unsent_low.cast_signed(),
        tcp::TCP_CONGESTION => {
            let mut bytes = options.congestion.name().as_bytes().to_vec();
            bytes.resize(NAME_MAX, 0);
            return Ok(bytes);
        }
        _ => return Err(Errno::ENOPROTOOPT),
    };
    Ok(number.to_ne_bytes().to_vec())
}

/// TCP_LINGER2: negative is not at all, 0 what the stack is set to.
fn fin_wait_2(number: i32, default: Duration) -> Option<Duration> {
    match number {
        ..0 => None,
        0 => Some(default),
        some => Some(seconds(some.min(LINGER2_MOST))),
    }
}

/// The congestion control of this name, up to its NUL or the end.
fn congestion(value: &[u8]) -> Result<Congestion, Errno> {
    if value.is_empty() {
        return Err(Errno::EINVAL);
    }
    let text = value.get(..NAME_MAX - 1).unwrap_or(value);
    let name = text.split(|byte| *byte == 0).next().unwrap_or_default();
    let known = Congestion::NAMES.iter().find(|(_, known)| known.as_bytes() == name);
    known.map(|(kind, _)| *kind).ok_or(Errno::ENOENT)
}
