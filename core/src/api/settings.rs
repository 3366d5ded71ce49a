//! What a socket is set to that only its callers need: time-outs, the non-blocking flag, how long close lingers.

use super::Wait;
use crate::engine::{Clock, Patience};
use crate::error::Errno;
use crate::sync::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use crate::time::Duration;

/// The settings of one socket.
#[derive(Debug, Default)]
pub(super) struct Settings {
    nonblocking: AtomicBool,
    /// Nanoseconds; 0: none.
    receive_timeout: AtomicU64,
    send_timeout: AtomicU64,
    /// Seconds that close sleeps for; 0: it does not.
    linger: AtomicU32,
    /// What is told with datagrams: bits in the order of [`Told`].
    told: AtomicU32,
}

/// What a program wants to be told with each datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// IP_PKTINFO, IPV6_RECVPKTINFO.
    pub(super) address: bool,
    /// IP_RECVTTL, IPV6_RECVHOPLIMIT.
    pub(super) hops: bool,
    /// IP_RECVTOS, IPV6_RECVTCLASS.
    pub(super) class: bool,
}

impl Settings {
    /// What an accepted connection has of its listener's settings: all but the non-blocking flag, as in Linux.
    pub(super) fn inherited(&self) -> Self {
        let settings = Self::default();
        let (receive, send) = self.timeouts();
        settings.set_timeouts(receive, send);
        settings.linger.store(self.linger.load(Ordering::Relaxed), Ordering::Relaxed);
        settings
    }

    /// How long recv and accept sleep.
    pub(super) fn receive_patience(&self, clock: &Clock, wait: Wait) -> Patience {
        self.patience(clock, wait, &self.receive_timeout)
    }

    /// How long send and connect sleep.
    pub(super) fn send_patience(&self, clock: &Clock, wait: Wait) -> Patience {
        self.patience(clock, wait, &self.send_timeout)
    }

    fn patience(&self, clock: &Clock, wait: Wait, timeout: &AtomicU64) -> Patience {
        match wait {
            Wait::Never => Patience::Never,
            Wait::AtMost(time) => Patience::at_most(clock, time),
            Wait::Forever => Patience::Forever,
            Wait::AsSet if self.nonblocking() => Patience::Never,
            Wait::AsSet => load(timeout).map_or(Patience::Forever, |time| Patience::at_most(clock, time)),
        }
    }

    pub(super) fn nonblocking(&self) -> bool {
        self.nonblocking.load(Ordering::Relaxed)
    }

    pub(super) fn set_nonblocking(&self, on: bool) {
        self.nonblocking.store(on, Ordering::Relaxed);
    }

    pub(super) fn timeouts(&self) -> (Option<Duration>, Option<Duration>) {
        (load(&self.receive_timeout), load(&self.send_timeout))
    }

    pub(super) fn set_timeouts(&self, receive: Option<Duration>, send: Option<Duration>) {
        store(&self.receive_timeout, receive);
        store(&self.send_timeout, send);
    }

    /// How long close sleeps for what is queued.
    pub(super) fn linger(&self) -> Option<Duration> {
        let seconds = self.linger.load(Ordering::Relaxed);
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
    }

    /// Sets an option that the stack need not know; false if it is not one of those. EINVAL for a wrong length, EDOM for a wrong time.
    pub(super) fn set(&self, level: i32, name: i32, value: &[u8]) -> Result<bool, Errno> {
        let Some(timeout) = self.timeout(level, name) else {
            return Ok(false);
        };
        let value: &[u8; 16] = value.first_chunk().ok_or(Errno::EINVAL)?;
        let (seconds, micros) = value.split_at(8);
        let seconds = i64::from_ne_bytes(seconds.try_into().map_err(|_| Errno::EINVAL)?);
        let micros = i64::from_ne_bytes(micros.try_into().map_err(|_| Errno::EINVAL)?);
        if !(0..1_000_000).contains(&micros) {
            return Err(Errno(libc::EDOM));
        }
        // Linux takes a negative time for no patience at all; what it does then is not to sleep.
        let time = u64::try_from(seconds).map_or(Duration::from_nanos(1), Duration::from_secs);
        store(timeout, Some(time.saturating_add(Duration::from_micros(micros.unsigned_abs()))));
        Ok(true)
    }

    /// Reads an option that [`Settings::set`] sets.
    pub(super) fn read(&self, level: i32, name: i32) -> Option<Vec<u8>> {
        let time = load(self.timeout(level, name)?).unwrap_or_default();
        let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let micros = i64::from(time.subsec_micros());
        Some([seconds.to_ne_bytes(), micros.to_ne_bytes()].concat())
    }

    /// What datagrams are told with.
    pub(super) fn told(&self) -> Told {
        let bits = self.told.load(Ordering::Relaxed);
        Told { address: bits & 1 != 0, hops: bits & 2 != 0, class: bits & 4 != 0 }
    }

    /// Sets what is told with the datagrams of a socket of this family; false if it is not one of those options. EINVAL.
    pub(super) fn set_told(&self, six: bool, level: i32, name: i32, value: &[u8]) -> Result<bool, Errno> {
        let Some(bit) = told_bit(six, level, name) else { return Ok(false) };
        let number = match (value, six) {
            ([byte] | [byte, _] | [byte, _, _], false) => i32::from(*byte),
            _ => i32::from_ne_bytes(*value.first_chunk().ok_or(Errno::EINVAL)?),
        };
        if number == 0 {
            self.told.fetch_and(!bit, Ordering::Relaxed);
        } else {
            self.told.fetch_or(bit, Ordering::Relaxed);
        }
        Ok(true)
    }

    /// Reads an option that [`Settings::set_told`] sets.
    pub(super) fn read_told(&self, six: bool, level: i32, name: i32) -> Option<Vec<u8>> {
        let bit = told_bit(six, level, name)?;
        let on = self.told.load(Ordering::Relaxed) & bit != 0;
        Some(i32::from(on).to_ne_bytes().to_vec())
    }

    /// Notes what the stack has accepted and close needs to know.
    pub(super) fn observe(&self, level: i32, name: i32, value: &[u8]) {
        if (level, name) != (libc::SOL_SOCKET, libc::SO_LINGER) {
            return;
        }
        let number = |at: usize| {
            value.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |b| i32::from_ne_bytes(*b))
        };
        let seconds = if number(0) == 0 { 0 } else { u32::try_from(number(4)).unwrap_or(0) };
        self.linger.store(seconds, Ordering::Relaxed);
    }

    fn timeout(&self, level: i32, name: i32) -> Option<&AtomicU64> {
        match (level, name) {
            (libc::SOL_SOCKET, libc::SO_RCVTIMEO) => Some(&self.receive_timeout),
            (libc::SOL_SOCKET, libc::SO_SNDTIMEO) => Some(&self.send_timeout),
            _ => None,
        }
    }
}

fn told_bit(six: bool, level: i32, name: i32) -> Option<u32> {
    Some(match (six, level, name) {
        (false, libc::IPPROTO_IP, libc::IP_PKTINFO) | (true, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO) => 1,
        (false, libc::IPPROTO_IP, libc::IP_RECVTTL) | (true, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT) => {
            2
        }
        (false, libc::IPPROTO_IP, libc::IP_RECVTOS) | (true, libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS) => 4,
        _ => return None,
    })
}

fn load(timeout: &AtomicU64) -> Option<Duration> {
    let nanos = timeout.load(Ordering::Relaxed);
    (nanos > 0).then(|| Duration::from_nanos(nanos))
}

fn store(timeout: &AtomicU64, time: Option<Duration>) {
    let nanos = time.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    timeout.store(nanos, Ordering::Relaxed);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn timeval(seconds: i64, micros: i64) -> Vec<u8> {
        [seconds.to_ne_bytes(), micros.to_ne_bytes()].concat()
    }

    #[test]
    fn time_outs_are_timevals() {
        let settings = Settings::default();
        assert_eq!(settings.set(libc::SOL_SOCKET, libc::SO_RCVTIMEO, &timeval(2, 500_000)), Ok(true));
        assert_eq!(settings.timeouts(), (Some(Duration::from_millis(2500)), None));
        assert_eq!(settings.read(libc::SOL_SOCKET, libc::SO_RCVTIMEO), Some(timeval(2, 500_000)));
        assert_eq!(settings.read(libc::SOL_SOCKET, libc::SO_SNDTIMEO), Some(timeval(0, 0)));
        assert_eq!(
            settings.set(libc::SOL_SOCKET, libc::SO_SNDTIMEO, &timeval(0, 1_000_000)),
            Err(Errno(libc::EDOM))
        );
        assert_eq!(settings.set(libc::SOL_SOCKET, libc::SO_SNDTIMEO, &[0; 8]), Err(Errno::EINVAL));
        assert_eq!(settings.set(libc::SOL_SOCKET, libc::SO_REUSEADDR, &[0; 4]), Ok(false));
        assert_eq!(settings.set(libc::SOL_SOCKET, libc::SO_RCVTIMEO, &timeval(0, 0)), Ok(true));
        assert_eq!(settings.timeouts(), (None, None));
    }

    #[test]
    fn close_lingers_only_for_a_time_above_zero() {
        let settings = Settings::default();
        let linger = |on: i32, seconds: i32| [on.to_ne_bytes(), seconds.to_ne_bytes()].concat();
        settings.observe(libc::SOL_SOCKET, libc::SO_LINGER, &linger(1, 3));
        assert_eq!(settings.linger(), Some(Duration::from_secs(3)));
        assert_eq!(settings.inherited().linger(), Some(Duration::from_secs(3)));
        settings.observe(libc::SOL_SOCKET, libc::SO_LINGER, &linger(1, 0));
        assert_eq!(settings.linger(), None);
        settings.observe(libc::SOL_SOCKET, libc::SO_LINGER, &linger(0, 3));
        assert_eq!(settings.linger(), None);
    }
}
