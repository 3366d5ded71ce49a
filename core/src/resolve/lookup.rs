//! The lookup of one name, for one family or both.

use super::cache::{Cache, Known};
use super::message::{Kind, Said};
use super::quest::{Exchange, Quest, Shared, Transmit};
use super::{Failure, Name, Settings};
use crate::error::Errno;
use crate::rng::Rng;
use crate::sync::Arc;
use crate::time::Instant;
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    /// IPv4 and IPv6.
    Both,
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Families {
    /// Whether `address` is of these.
    #[must_use]
    pub const fn hold(self, address: IpAddr) -> bool {
        matches!((self, address), (Self::Both, _) | (Self::V4, IpAddr::V4(_)) | (Self::V6, IpAddr::V6(_)))
    }

    const fn kinds(self) -> &'static [Kind] {
        match self {
            // AAAA first, as RFC 8305 section 3 has it.
            Self::Both => &[Kind::V6, Kind::V4],
            Self::V4 => &[Kind::V4],
            Self::V6 => &[Kind::V6],
        }
    }
}

/// What is known of `name` without asking anybody: an address in digits, what the hosts file has, and the names that RFC 6761 and RFC 7686 set apart. `None`:
/// a server has to be asked. EINVAL: nothing that could be a name.
#[must_use]
pub fn at_once(settings: &Settings, name: &str, families: Families) -> Option<Result<Vec<IpAddr>, AtOnce>> {
    let within = |all: &[IpAddr]| -> Vec<IpAddr> {
        all.iter().copied().filter(|address| families.hold(*address)).collect()
    };
    let found = |all: &[IpAddr]| match within(all) {
        none if none.is_empty() => Err(AtOnce::Failure(Failure::NoData)),
        some => Ok(some),
    };
    if let Some(address) = super::hosts::address(name) {
        return Some(found(&[address]));
    }
    let listed = within(settings.hosts.find(name));
    if !listed.is_empty() {
        return Some(Ok(listed));
    }
    let Some(parsed) = Name::parse(name) else { return Some(Err(AtOnce::NotAName)) };
    if parsed.is_in("localhost") {
        return Some(found(&[Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]));
    }
    (parsed.is_in("invalid") || parsed.is_in("onion")).then_some(Err(AtOnce::Failure(Failure::NoName)))
}

/// Why there is no address, if nobody was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AtOnce {
    /// As a server would say.
    Failure(Failure),
    /// It can be no host's name.
    NotAName,
}

/// The lookup.
#[derive(Debug)]
pub struct Lookup {
    settings: Arc<Settings>,
    rng: Rng,
    families: Families,
    /// Names still to be tried.
    candidates: VecDeque<Name>,
    quests: Vec<Quest>,
    out: VecDeque<Transmit>,
    exchanges: Exchange,
    plain: Vec<bool>,
    /// What names before had to say that is worth more than "no such name".
    worst: Option<Failure>,
    outcome: Option<Result<(), Failure>>,
}

impl Lookup {
    /// Begins to look `name` up, which [`at_once`] had nothing to say of.
    #[must_use]
    pub fn start(
        now: Instant,
        cache: &mut Cache,
        settings: Arc<Settings>,
        rng: Rng,
        name: &str,
        families: Families,
    ) -> Self {
        let candidates = candidates(&settings, name);
        let plain = vec![false; settings.servers.len()];
        let (quests, out) = (Vec::new(), VecDeque::new());
        let mut lookup = Self {
            settings,
            rng,
            families,
            candidates,
            quests,
            out,
            exchanges: 0,
            plain,
            worst: None,
            outcome: None,
        };
        if lookup.settings.servers.is_empty() {
            let text = "no name server is known: neither the program nor the system names one";
            lookup.outcome = Some(Err(Failure::Servers(text.to_owned())));
        } else {
            lookup.next_candidate(now, cache);
        }
        lookup
    }

    /// The next message to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.pop_front()
    }

    /// When `on_timeout` wants to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.quests.iter().filter_map(Quest::poll_timeout).min()
    }

    /// Whether an exchange may still be answered; its socket can be closed when not.
    #[must_use]
    pub fn is_open(&self, exchange: Exchange) -> bool {
        self.quests.iter().any(|quest| quest.is_open(exchange))
    }

    /// Time has passed.
    pub fn on_timeout(&mut self, now: Instant, cache: &mut Cache) {
        self.each(now, cache, |quest, shared| quest.on_timeout(now, shared));
    }

    /// A message has come from `from`.
    pub fn on_message(
        &mut self,
        now: Instant,
        cache: &mut Cache,
        exchange: Exchange,
        from: SocketAddr,
        bytes: &[u8],
    ) {
        self.each(now, cache, |quest, shared| quest.on_message(now, shared, exchange, from, bytes));
    }

    /// An exchange cannot be answered any more.
    pub fn on_failure(&mut self, now: Instant, cache: &mut Cache, exchange: Exchange, errno: Errno) {
        let partner = self.quests.iter().find_map(|quest| quest.partner(exchange));
        // That nobody is there is told only so often: what was asked there of the other family need not wait for it.
        let nobody = errno == Errno::ECONNREFUSED;
        self.each(now, cache, |quest, shared| {
            quest.on_failure(now, shared, errno, |own, with| {
                own == exchange || nobody && Some(with) == partner
            });
        });
    }

    /// How it has ended; `Ok`: [`Lookup::addresses`] has some. `None`: it has not.
    #[must_use]
    pub const fn outcome(&self) -> Option<&Result<(), Failure>> {
        self.outcome.as_ref()
    }

    /// The addresses known so far.
    pub fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.quests.iter().flat_map(|quest| match &quest.outcome {
            Some(Ok(Said::Addresses(addresses, _))) => addresses.iter().copied(),
            _ => [].iter().copied(),
        })
    }

    /// Whether what there is of a kind is known.
    #[must_use]
    pub fn knows(&self, kind: Kind) -> bool {
        self.outcome.is_some()
            || self.quests.iter().all(|quest| quest.kind != kind || quest.outcome.is_some())
    }

    fn each(&mut self, now: Instant, cache: &mut Cache, mut work: impl FnMut(&mut Quest, &mut Shared<'_>)) {
        if self.outcome.is_some() {
            return;
        }
        let mut shared = Shared {
            settings: &self.settings,
            rng: &mut self.rng,
            exchanges: &mut self.exchanges,
            out: &mut self.out,
            plain: &mut self.plain,
        };
        for quest in self.quests.iter_mut().filter(|quest| quest.outcome.is_none()) {
            work(quest, &mut shared);
            if let Some(Ok(said)) = &quest.outcome {
                cache.keep(now, &quest.asked, quest.kind, said);
            }
        }
        self.conclude(now, cache);
    }

    /// Looks whether all that was asked of a name is answered.
    fn conclude(&mut self, now: Instant, cache: &mut Cache) {
        if self.quests.iter().any(|quest| quest.outcome.is_none()) {
            return;
        }
        if self.addresses().next().is_some() {
            self.outcome = Some(Ok(()));
            return;
        }
        for quest in &self.quests {
            let failure = match &quest.outcome {
                Some(Ok(Said::NoName(_))) => continue,
                Some(Err(failure)) => failure.clone(),
                _ => Failure::NoData,
            };
            let graver = self.worst.as_ref().is_none_or(|worst| weight(&failure) > weight(worst));
            if graver {
                self.worst = Some(failure);
            }
        }
        // Whoever does not answer does not answer for the next name either.
        if matches!(self.worst, Some(Failure::Silence)) {
            self.candidates.clear();
        }
        self.next_candidate(now, cache);
    }

    fn next_candidate(&mut self, now: Instant, cache: &mut Cache) {
        let Some(name) = self.candidates.pop_front() else {
            self.quests.clear();
            self.outcome = Some(Err(self.worst.take().unwrap_or(Failure::NoName)));
            return;
        };
        let mut shared = Shared {
            settings: &self.settings,
            rng: &mut self.rng,
            exchanges: &mut self.exchanges,
            out: &mut self.out,
            plain: &mut self.plain,
        };
        let kinds = self.families.kinds().iter();
        self.quests = kinds
            .map(|kind| match cache.find(now, &name, *kind) {
                Some(known) => Quest::answered(name.clone(), *kind, name.clone(), said(known)),
                None => Quest::start(now, &mut shared, name.clone(), *kind),
            })
            .collect();
        self.conclude(now, cache);
    }
}

fn said(known: &Known) -> Said {
    match known {
        Known::Addresses(addresses) => Said::Addresses(addresses.clone(), 0),
        Known::NoData => Said::NoData(0),
        Known::NoName => Said::NoName(0),
    }
}

/// What the caller is told of several failures: that nobody answered, then that a server could not, then that there is no address.
const fn weight(failure: &Failure) -> u8 {
    match failure {
        Failure::NoName => 0,
        Failure::NoData => 1,
        Failure::Servers(_) => 2,
        Failure::Silence => 3,
    }
}

/// The names that `name` may stand for, in the order in which they are tried: as resolv.conf(5) has it.
fn candidates(settings: &Settings, name: &str) -> VecDeque<Name> {
    let Some(as_is) = Name::parse(name) else { return VecDeque::new() };
    if name.ends_with('.') {
        return VecDeque::from([as_is]);
    }
    let dots = name.bytes().filter(|byte| *byte == b'.').count();
    let mut all: VecDeque<Name> = settings.search.iter().filter_map(|suffix| as_is.within(suffix)).collect();
    if dots >= usize::from(settings.ndots) {
        all.push_front(as_is);
    } else {
        all.push_back(as_is);
    }
    all
}
