//! Who used the processors: the measurement itself, or others.

use crate::Result;
use std::fs;
use std::time::{Duration, Instant};

/// Ticks of the kernel's statistics a second.
const TICKS: f64 = 100.0;

/// Sums since boot.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    at: Instant,
    /// Processes that belong to the measurement beside this one.
    others: Vec<i32>,
    /// Ticks in programs and in the kernel for them.
    busy: u64,
    /// Ticks that the host gave to other guests.
    stolen: u64,
    /// Ticks of the measurement.
    own: u64,
}

/// Cores in use on average.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Cores {
    /// By the measurement.
    pub(crate) own: f64,
    /// By other programs, and taken by the host.
    pub(crate) others: f64,
}

impl Load {
    /// The sums now, of a measurement that is this process.
    pub(crate) fn now() -> Result<Self> {
        Self::of(&[])
    }

    /// The sums now, of a measurement that is this process and others by their ids.
    pub(crate) fn of(others: &[i32]) -> Result<Self> {
        let all = fs::read_to_string("/proc/stat")?;
        let (busy, stolen) = machine(&all).ok_or("/proc/stat has no line of all processors")?;
        let mut own = ticks("self")?;
        for id in others {
            own += ticks(&id.to_string())?;
        }
        Ok(Self { at: Instant::now(), others: others.to_vec(), busy, stolen, own })
    }

    /// What was used since.
    pub(crate) fn since(&self) -> Result<Cores> {
        let now = Self::of(&self.others)?;
        let ticks = now.at.duration_since(self.at).as_secs_f64() * TICKS;
        let own = now.own.saturating_sub(self.own);
        let others = (now.busy - self.busy).saturating_sub(own) + now.stolen.saturating_sub(self.stolen);
        Ok(Cores { own: own as f64 / ticks, others: others as f64 / ticks })
    }
}

/// CPU time of the calling thread.
pub(crate) fn thread_time() -> Result<Duration> {
    scheduled(&fs::read_to_string("/proc/thread-self/schedstat")?)
}

/// CPU time of the threads that a process has now, to the nanosecond.
pub(crate) fn process_time(id: i32) -> Result<Duration> {
    let mut time = Duration::ZERO;
    for thread in fs::read_dir(format!("/proc/{id}/task"))? {
        match fs::read_to_string(thread?.path().join("schedstat")) {
            Ok(text) => time += scheduled(&text)?,
            Err(error) if has_ended(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(time)
}

/// Whether a thread is no more that was there when they were listed.
fn has_ended(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// Of a schedstat: the time on a processor.
fn scheduled(text: &str) -> Result<Duration> {
    let nanos = text.split(' ').next().ok_or("no times in schedstat")?;
    Ok(Duration::from_nanos(nanos.parse()?))
}

fn ticks(process: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/stat"))?;
    Ok(used(&text).ok_or("/proc has no times of a process")?)
}

/// Of the first line of /proc/stat: user, nice and system together, and steal. Interrupts are left out: they are mostly packets of the measurement.
fn machine(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().find(|line| line.starts_with("cpu "))?;
    let columns: Vec<u64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    let [user, nice, system, _idle, _iowait, _irq, _softirq, steal, ..] = columns[..] else { return None };
    Some((user + nice + system, steal))
}

/// Of /proc/self/stat: user and system time of all threads. The name in brackets may have spaces.
fn used(text: &str) -> Option<u64> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut columns = rest.split_whitespace().skip(11);
    let (user, system): (u64, u64) = (columns.next()?.parse().ok()?, columns.next()?.parse().ok()?);
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_among_the_columns() {
        let all = "cpu  100 20 30 4000 5 6 7 8 9 10\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        assert_eq!(machine(all), Some((150, 8)));
        assert_eq!(machine("intr 1\n"), None);
        let own = "12 (a ) b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14\n";
        assert_eq!(used(own), Some(11 + 12));
        assert_eq!(scheduled("1500 20 3\n").ok(), Some(Duration::from_nanos(1500)));
    }

    #[test]
    fn what_the_measurement_uses_is_its_own() {
        let id = std::process::id().cast_signed();
        for others in [&[][..], &[id]] {
            let load = Load::of(others).expect("the kernel's statistics");
            let cores = load.since().expect("the kernel's statistics");
            assert!(cores.own >= 0.0 && cores.others >= 0.0);
        }
        assert!(thread_time().expect("schedstat") > Duration::ZERO);
        assert!(process_time(id).expect("schedstat") > Duration::ZERO);
    }
}
