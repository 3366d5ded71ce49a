//! What the workers of one stack share: which of them keeps a connection, the ports, and the letters that they leave each other.
//!
//! A connection lives with the worker that a keyed hash of its four-tuple names, which everybody works out alone. Only what the hash cannot know is
//! written down: connections of sockets that a program bound to a port, which stay with the worker that the socket was made in, and those that
//! another socket could come to have the four-tuple of. Nothing is called under a lock but, under that of the ports, a look at what is written down.

use super::budget::{Budget, Shares};
use super::datagram::Receivers;
use super::demux::{FourTuple, KEPT, KeyedState, SPARSE};
use super::ports::Ports;
use super::workers::{Foreign, Letter};
use crate::buffer::SocketId;
use crate::config::Config;
use crate::ip::{Flows, Fragment};
use crate::rng::Rng;
use crate::sync::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering, lock};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::BuildHasher;
use std::net::IpAddr;

/// Something of the whole stack: the only worker's own, or one that all workers use.
#[derive(Debug)]
pub(super) enum Common<T> {
    Own(T),
    Shared(Arc<Mutex<T>>),
}

impl<T> Common<T> {
    /// Looks at it.
    pub(super) fn read<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        match self {
            Self::Own(own) => look(own),
            Self::Shared(shared) => look(&lock(shared)),
        }
    }

    /// Changes it.
    pub(super) fn with<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> R {
        match self {
            Self::Own(own) => change(own),
            Self::Shared(shared) => change(&mut lock(shared)),
        }
    }
}

/// What a stack has one of, however many workers it has.
#[derive(Debug)]
pub(super) struct Commons {
    pub ports: Common<Ports>,
    pub datagram_ports: Common<Ports>,
    pub receivers: Common<Receivers>,
    /// For messages of ICMP.
    pub icmp: Common<Budget>,
    /// For ICMP errors, by destination.
    pub icmp_errors: Common<Shares>,
    /// Connections, listeners and datagram sockets whose own address is none of the stack's.
    pub foreign: Tally,
}

impl Commons {
    /// Those of an only worker.
    pub(super) fn own(config: &Config, rng: &Rng) -> Self {
        let (icmp, icmp_errors) = budgets(config, rng);
        let mut datagrams = rng.fork("datagrams");
        Self {
            ports: Common::Own(Ports::new(&mut rng.clone())),
            receivers: Common::Own(Receivers::new(&mut datagrams)),
            datagram_ports: Common::Own(Ports::new(&mut datagrams)),
            icmp: Common::Own(icmp),
            icmp_errors: Common::Own(icmp_errors),
            foreign: Tally::default(),
        }
    }
}

fn budgets(config: &Config, rng: &Rng) -> (Budget, Shares) {
    let ip = &config.ip;
    let share = Budget::new(ip.icmp_error_rate, ip.icmp_error_burst);
    (Budget::new(ip.icmp_rate, ip.icmp_rate), Shares::new(share, rng))
}

/// All workers of a stack.
#[derive(Debug)]
pub(super) struct Crew {
    ports: Arc<Mutex<Ports>>,
    datagram_ports: Arc<Mutex<Ports>>,
    receivers: Arc<Mutex<Receivers>>,
    icmp: Arc<Mutex<Budget>>,
    icmp_errors: Arc<Mutex<Shares>>,
    foreign: Tally,
    keyed: KeyedState,
    workers: u32,
    /// Who keeps the connections that are written down.
    written: Mutex<HashMap<FourTuple, u32, KeyedState>>,
    /// How many those are, and how many of them live elsewhere than the hash says.
    count: AtomicUsize,
    away: AtomicUsize,
    /// Handles that programs hold or may get from a listener, of all workers.
    open: AtomicUsize,
    /// Names packets that may be cut on their way: no two workers may give the same.
    flows: Mutex<Flows>,
    mail: Vec<Mailbox>,
}

/// A number of connections of all workers.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(Arc<AtomicUsize>);

impl Tally {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    /// One more.
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// So many less.
    pub(super) fn take(&self, count: usize) {
        self.0.fetch_sub(count, Ordering::AcqRel);
    }
}

/// Letters to one worker.
#[derive(Debug, Default)]
struct Mailbox {
    waiting: AtomicBool,
    letters: Mutex<Vec<Letter>>,
}

impl Crew {
    /// `workers` of them; `rng` is that of the whole stack.
    pub(super) fn new(config: &Config, workers: u32, rng: &Rng) -> Arc<Self> {
        let mut keys = rng.fork("workers");
        let mut datagrams = rng.fork("datagrams");
        let (icmp, icmp_errors) = budgets(config, rng);
        Arc::new(Self {
            ports: Arc::new(Mutex::new(Ports::new(&mut keys))),
            receivers: Arc::new(Mutex::new(Receivers::new(&mut datagrams))),
            datagram_ports: Arc::new(Mutex::new(Ports::new(&mut datagrams))),
            icmp: Arc::new(Mutex::new(icmp)),
            icmp_errors: Arc::new(Mutex::new(icmp_errors)),
            foreign: Tally::default(),
            keyed: KeyedState::new(&mut keys),
            workers,
            written: Mutex::new(HashMap::with_hasher(KeyedState::new(&mut keys))),
            count: AtomicUsize::new(0),
            away: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            flows: Mutex::new(Flows::new(rng)),
            mail: (0..workers).map(|_| Mailbox::default()).collect(),
        })
    }

    /// What they have in common, for one of them.
    pub(super) fn commons(&self) -> Commons {
        Commons {
            ports: Common::Shared(Arc::clone(&self.ports)),
            datagram_ports: Common::Shared(Arc::clone(&self.datagram_ports)),
            receivers: Common::Shared(Arc::clone(&self.receivers)),
            icmp: Common::Shared(Arc::clone(&self.icmp)),
            icmp_errors: Common::Shared(Arc::clone(&self.icmp_errors)),
            foreign: self.foreign.clone(),
        }
    }

    fn place(&self, hash: u64) -> u32 {
        ((hash >> 32).wrapping_mul(u64::from(self.workers)) >> 32) as u32
    }
}

/// One worker's place among the others.
#[derive(Debug)]
pub(super) struct Seat {
    crew: Arc<Crew>,
    worker: u32,
    /// Workers that were left something since they were last called, a bit each.
    called: u64,
    /// Packets for others.
    pub foreign: VecDeque<Foreign>,
    /// Stand-ins here for the listeners of others.
    pub stand_ins: BTreeMap<SocketId, SocketId>,
}

impl Seat {
    pub(super) const fn new(crew: Arc<Crew>, worker: u32) -> Self {
        Self { crew, worker, called: 0, foreign: VecDeque::new(), stand_ins: BTreeMap::new() }
    }

    /// The number of this worker.
    pub(super) const fn worker(&self) -> u32 {
        self.worker
    }

    /// How many workers there are.
    pub(super) fn workers(&self) -> u32 {
        self.crew.workers
    }

    /// The worker that the hash of a connection names.
    pub(super) fn owner(&self, tuple: &FourTuple) -> u32 {
        self.crew.place(self.crew.keyed.hash_one(tuple))
    }

    /// The worker that puts a packet together from its fragments.
    pub(super) fn gatherer(&self, fragment: &Fragment) -> u32 {
        self.crew.place(fragment.hash_of_packet(&self.crew.keyed))
    }

    /// Who keeps a connection that this worker does not have: itself if there is none. `has` says whether it has it.
    pub(super) fn keeper(&self, tuple: &FourTuple, has: impl FnOnce() -> bool) -> u32 {
        let owner = self.owner(tuple);
        let some_away = self.crew.away.load(Ordering::Acquire) > 0;
        if owner == self.worker && !some_away || has() {
            return self.worker;
        }
        let written = if some_away { lock(&self.crew.written).get(tuple).copied() } else { None };
        written.unwrap_or(owner)
    }

    /// Whether a connection that begins here of itself may have this four-tuple.
    pub(super) fn may_begin(&self, tuple: &FourTuple) -> bool {
        self.owner(tuple) == self.worker
            && (self.crew.count.load(Ordering::Acquire) == 0 || !lock(&self.crew.written).contains_key(tuple))
    }

    /// A connection begins here; false: it is another worker's already. `shares`: other sockets may come to have its port.
    pub(super) fn write(&self, tuple: FourTuple, shares: bool) -> bool {
        let away = self.owner(&tuple) != self.worker;
        if !away && !shares && self.crew.away.load(Ordering::Acquire) == 0 {
            return true;
        }
        let mut written = lock(&self.crew.written);
        if let Some(keeper) = written.get(&tuple) {
            return *keeper == self.worker;
        }
        if away || shares {
            written.insert(tuple, self.worker);
            self.crew.count.fetch_add(1, Ordering::AcqRel);
            self.crew.away.fetch_add(usize::from(away), Ordering::AcqRel);
        }
        true
    }

    /// A connection is over here.
    pub(super) fn erase(&self, tuple: &FourTuple) {
        if self.crew.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let away = self.owner(tuple) != self.worker;
        let mut written = lock(&self.crew.written);
        if written.get(tuple) == Some(&self.worker) {
            written.remove(tuple);
            self.crew.count.fetch_sub(1, Ordering::AcqRel);
            self.crew.away.fetch_sub(usize::from(away), Ordering::AcqRel);
            let (len, capacity) = (written.len(), written.capacity());
            if capacity > KEPT && len < capacity / SPARSE {
                written.shrink_to(2 * len);
            }
        }
    }

    /// One more handle; false: all workers together have as many as `most` already.
    pub(super) fn open_one(&self, most: usize) -> bool {
        let more = |open: usize| (open < most).then_some(open + 1);
        self.crew.open.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    /// One handle less.
    pub(super) fn close_one(&self) {
        self.crew.open.fetch_sub(1, Ordering::AcqRel);
    }

    /// Names for `count` packets in a row.
    pub(super) fn identify(&self, path: (IpAddr, IpAddr), protocol: u8, count: u32) -> u32 {
        lock(&self.crew.flows).identify(path.0, path.1, protocol, count)
    }

    /// Leaves a letter for another worker.
    pub(super) fn post(&mut self, worker: u32, letter: Letter) {
        let Some(mailbox) = self.crew.mail.get(worker as usize) else { return };
        let mut letters = lock(&mailbox.letters);
        letters.push(letter);
        mailbox.waiting.store(true, Ordering::Release);
        drop(letters);
        self.call(worker);
    }

    /// Has another worker called: there is something for it.
    pub(super) const fn call(&mut self, worker: u32) {
        self.called |= 1 << (worker % u64::BITS);
    }

    /// The next worker to call.
    pub(super) fn poll_call(&mut self) -> Option<u32> {
        let worker = self.called.trailing_zeros();
        self.called &= self.called.wrapping_sub(1);
        (worker < u64::BITS).then_some(worker)
    }

    /// Whether there are letters.
    pub(super) fn has_mail(&self) -> bool {
        self.mailbox().is_some_and(|mailbox| mailbox.waiting.load(Ordering::Acquire))
    }

    /// Takes them.
    pub(super) fn take_mail(&self) -> Vec<Letter> {
        let Some(mailbox) = self.mailbox() else { return Vec::new() };
        let mut letters = lock(&mailbox.letters);
        mailbox.waiting.store(false, Ordering::Release);
        std::mem::take(&mut *letters)
    }

    fn mailbox(&self) -> Option<&Mailbox> {
        self.crew.mail.get(self.worker as usize)
    }
}

/// Names for `count` packets in a row of `protocol`, which may be cut on their way from one address to the other.
pub(super) fn identify(
    seat: Option<&Seat>,
    own: &mut Flows,
    path: (IpAddr, IpAddr),
    protocol: u8,
    count: u32,
) -> u32 {
    match seat {
        None => own.identify(path.0, path.1, protocol, count),
        Some(seat) => seat.identify(path, protocol, count),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn crew(workers: u32) -> Vec<Seat> {
        let crew = Crew::new(&Config::default(), workers, &Rng::from_seed(1));
        (0..workers).map(|worker| Seat::new(crew.clone(), worker)).collect()
    }

    fn tuple(port: u16) -> FourTuple {
        let at =
            |text: &str, port: u16| -> SocketAddr { format!("{text}:{port}").parse().expect("an address") };
        FourTuple::new(at("192.0.2.2", port), at("192.0.2.1", 80))
    }

    #[test]
    fn everybody_names_the_same_owner_and_owners_share_alike() {
        for workers in [1, 2, 4, 7] {
            let seats = crew(workers);
            let mut owned = vec![0; workers as usize];
            for port in 1..=2000 {
                let owner = seats[0].owner(&tuple(port));
                assert!(seats.iter().all(|seat| seat.owner(&tuple(port)) == owner));
                owned[owner as usize] += 1;
            }
            let fair = 2000 / workers;
            assert!(owned.iter().all(|count| (fair * 3 / 4..=fair * 5 / 4 + 1).contains(count)), "{owned:?}");
        }
    }

    #[test]
    fn a_connection_away_from_its_owner_is_found_until_it_is_over() {
        let seats = crew(4);
        let port = (1..).find(|port| seats[0].owner(&tuple(*port)) == 2).expect("a port");
        let tuple = tuple(port);
        let keepers = || seats.iter().map(|seat| seat.keeper(&tuple, || false)).collect::<Vec<_>>();
        assert_eq!(keepers(), [2; 4]);
        assert!(seats[1].write(tuple, false));
        assert_eq!(keepers(), [1; 4]);
        assert!(!seats[2].write(tuple, false), "it is another's");
        assert!(!seats[2].may_begin(&tuple) && !seats[1].may_begin(&tuple));
        seats[2].erase(&tuple);
        assert_eq!(keepers(), [1; 4], "only who keeps it forgets it");
        seats[1].erase(&tuple);
        assert_eq!(keepers(), [2; 4]);
        assert!(seats[2].may_begin(&tuple));
        assert_eq!(
            (seats[0].crew.count.load(Ordering::Relaxed), seats[0].crew.away.load(Ordering::Relaxed)),
            (0, 0)
        );
    }

    #[test]
    fn at_home_only_what_others_may_come_to_have_is_written_down() {
        let seats = crew(2);
        let port = (1..).find(|port| seats[0].owner(&tuple(*port)) == 0).expect("a port");
        assert!(seats[0].write(tuple(port), false));
        assert_eq!(seats[0].crew.count.load(Ordering::Relaxed), 0);
        assert!(seats[0].write(tuple(port), true) && seats[0].write(tuple(port), true));
        assert_eq!(seats[0].crew.count.load(Ordering::Relaxed), 1);
        assert!(!seats[1].write(tuple(port), true), "it is there");
    }

    #[test]
    fn what_was_written_down_for_a_crowd_takes_no_room_when_it_has_gone() {
        let seats = crew(2);
        let all = (1..=60_000).map(tuple);
        all.clone().for_each(|tuple| assert!(seats[1].write(tuple, true)));
        let capacity = || lock(&seats[0].crew.written).capacity();
        assert!(capacity() >= 60_000);
        all.clone().skip(10).for_each(|tuple| seats[1].erase(&tuple));
        assert!(capacity() <= KEPT, "{}", capacity());
        assert!(all.take(10).all(|tuple| !seats[0].write(tuple, true)), "who lives is there still");
    }

    #[test]
    fn calls_are_made_once_each() {
        let mut seats = crew(4);
        let seat = &mut seats[0];
        for worker in [3, 1, 3] {
            seat.call(worker);
        }
        assert_eq!([seat.poll_call(), seat.poll_call(), seat.poll_call()], [Some(1), Some(3), None]);
        let mut seats = crew(64);
        seats[0].call(63);
        assert_eq!([seats[0].poll_call(), seats[0].poll_call()], [Some(63), None]);
    }
}

#[cfg(all(test, loom))]
mod models {
    use super::*;
    use loom::thread;

    #[test]
    fn loom_workers_make_as_many_sockets_as_allowed() {
        loom::model(|| {
            let crew = Crew::new(&Config::default(), 2, &Rng::from_seed(1));
            let (one, other) = (Seat::new(crew.clone(), 0), Seat::new(crew, 1));
            let maker = thread::spawn(move || one.open_one(1));
            let made = other.open_one(1);
            assert_ne!(made, maker.join().expect("a worker"), "the one that is allowed");
        });
    }
}
