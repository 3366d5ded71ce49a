//! What servers have said, for as long as it holds.

use super::Name;
use super::message::{Kind, Said};
use crate::time::{Duration, Instant};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Most names and kinds that are kept.
const ENTRIES_MAX: usize = 512;

/// Longest time that an answer is kept: a day; and that a name is taken not to exist: five minutes.
const KEPT_MAX: u32 = 86_400;
const DENIED_MAX: u32 = 300;

/// Answers by name and kind.
#[derive(Debug, Default)]
pub struct Cache(BTreeMap<(Name, Kind), (Instant, Known)>);

/// An answer without its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Addresses(Vec<IpAddr>),
    NoData,
    NoName,
}

impl Cache {
    /// An empty cache.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn find(&self, now: Instant, name: &Name, kind: Kind) -> Option<&Known> {
        let (until, known) = self.0.get(&(name.clone(), kind))?;
        (now < *until).then_some(known)
    }

    /// Keeps what a server said, unless it holds for no time.
    pub(super) fn keep(&mut self, now: Instant, name: &Name, kind: Kind, said: &Said) {
        let (known, seconds) = match said {
            Said::Addresses(addresses, ttl) => (Known::Addresses(addresses.clone()), (*ttl).min(KEPT_MAX)),
            Said::NoData(ttl) => (Known::NoData, (*ttl).min(DENIED_MAX)),
            Said::NoName(ttl) => (Known::NoName, (*ttl).min(DENIED_MAX)),
            Said::Alias(..) => return,
        };
        if seconds == 0 {
            return;
        }
        if self.0.len() >= ENTRIES_MAX {
            self.0.retain(|_, (until, _)| now < *until);
        }
        if self.0.len() >= ENTRIES_MAX {
            let soonest = self.0.iter().min_by_key(|(_, (until, _))| *until).map(|(key, _)| key.clone());
            soonest.map(|key| self.0.remove(&key));
        }
        self.0.insert((name.clone(), kind), (now + Duration::from_secs(seconds.into()), known));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_for_its_time_and_no_longer() {
        let (mut cache, name) = (Cache::new(), Name::parse("a.example").unwrap());
        let addresses = vec!["192.0.2.1".parse().unwrap()];
        cache.keep(Instant::ZERO, &name, Kind::V4, &Said::Addresses(addresses.clone(), 10));
        cache.keep(Instant::ZERO, &name, Kind::V6, &Said::NoData(100_000));
        let at = |cache: &Cache, seconds: u64, kind| {
            cache.find(Instant::from_millis(seconds * 1000), &name, kind).cloned()
        };
        assert_eq!(at(&cache, 9, Kind::V4), Some(Known::Addresses(addresses)));
        assert_eq!(at(&cache, 10, Kind::V4), None);
        assert_eq!(at(&cache, 299, Kind::V6), Some(Known::NoData));
        assert_eq!(at(&cache, 300, Kind::V6), None);
        cache.keep(Instant::ZERO, &Name::parse("b.example").unwrap(), Kind::V4, &Said::NoName(0));
        assert_eq!(cache.0.len(), 2);
    }

    #[test]
    fn the_cache_is_bounded() {
        let mut cache = Cache::new();
        for number in 0..2000u32 {
            let name = Name::parse(&format!("n{number}.example")).unwrap();
            cache.keep(Instant::ZERO, &name, Kind::V4, &Said::NoName(1 + number % 200));
            assert!(cache.0.len() <= ENTRIES_MAX);
            assert!(cache.find(Instant::ZERO, &name, Kind::V4).is_some());
        }
    }
}
