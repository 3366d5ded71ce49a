//! Who used the processors: the measurement itself, or others.

use super::Result;
use std::fs;
use std::time::{Duration, Instant};

/// Ticks of the kernel's statistics a second.
const TICKS: f64 = 100.0;

/// Sums since boot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    at: Instant,
    /// Ticks in programs and in the kernel for them.
    busy: u64,
    /// Ticks that the host gave to other guests.
    stolen: u64,
    /// Ticks of this process.
    own: u64,
}

/// Cores in use on average.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cores {
    /// By this process.
    pub(super) own: f64,
    /// By other programs, and taken by the host.
    pub(super) others: f64,
}

impl Load {
    /// The sums now.
    pub(super) fn now() -> Result<Self> {
        let (all, own) = (fs::read_to_string("/proc/stat")?, fs::read_to_string("/proc/self/stat")?);
        let (busy, stolen) = machine(&all).ok_or("/proc/stat has no line of all processors")?;
        let own = process(&own).ok_or("/proc/self/stat has no times")?;
        Ok(Self { at: Instant::now(), busy, stolen, own })
    }

    /// What was used since.
    pub(super) fn since(&self) -> Result<Cores> {
        let now = Self::now()?;
        let ticks = now.at.duration_since(self.at).as_secs_f64() * TICKS;
        let own = now.own.saturating_sub(self.own);
        let others = (now.busy - self.busy).saturating_sub(own) + now.stolen.saturating_sub(self.stolen);
        Ok(Cores { own: own as f64 / ticks, others: others as f64 / ticks })
    }
}

/// CPU time of the calling thread.
pub(super) fn thread_time() -> Result<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split(' ').next().ok_or("no times in schedstat")?;
    Ok(Duration::from_nanos(nanos.parse()?))
}

/// Of the first line of /proc/stat: user, nice and system together, and steal. Interrupts are left out: they are mostly packets of the measurement.
fn machine(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().find(|line| line.starts_with("cpu "))?;
    let columns: Vec<u64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    let [user, nice, system, _idle, _iowait, _irq, _softirq, steal, ..] = columns[..] else { return None };
    Some((user + nice + system, steal))
}

/// Of /proc/self/stat: user and system time of all threads. The name in brackets may have spaces.
fn process(text: &str) -> Option<u64> {
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
        assert_eq!(process(own), Some(11 + 12));
    }

    #[test]
    fn what_the_process_uses_is_its_own() {
        let load = Load::now().expect("the kernel's statistics");
        let cores = load.since().expect("the kernel's statistics");
        assert!(cores.own >= 0.0 && cores.others >= 0.0);
        assert!(thread_time().expect("schedstat") > Duration::ZERO);
    }
}
