//! The workers of one stack beside each other: packets and calls from one to another.

use super::bell::Bell;
use crate::stack::{Foreign, Stack};
use crate::sync::{Arc, AtomicBool, AtomicU32, Ordering};
use crate::time::Instant;
use crossbeam_channel::{Receiver, Sender};

/// Packets that may wait for a worker; what others would hand to it beyond that is dropped and counted.
const FOREIGN_MAX: usize = 1024;

/// What the workers of one stack share outside of their stacks.
#[derive(Debug)]
pub(super) struct Crew {
    bells: Box<[Arc<Bell>]>,
    /// What is for a worker.
    foreign: Box<[Sender<Foreign>]>,
    /// A panic has ended one of them, which is the end of all.
    poisoned: AtomicBool,
    /// How often a connection of one of them was cut off.
    cuts: AtomicU32,
}

impl Crew {
    /// Those whose bells these are, and what each hears the others by.
    pub(super) fn new(bells: Box<[Arc<Bell>]>) -> (Arc<Self>, Vec<Receiver<Foreign>>) {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            bells.iter().map(|_| crossbeam_channel::bounded(FOREIGN_MAX)).unzip();
        let foreign = senders.into();
        let (poisoned, cuts) = (AtomicBool::new(false), AtomicU32::new(0));
        (Arc::new(Self { bells, foreign, poisoned, cuts }), receivers)
    }

    /// Ends all workers, since a panic has ended one.
    pub(super) fn poison(&self) {
        if !self.poisoned.swap(true, Ordering::AcqRel) {
            self.bells.iter().for_each(|bell| bell.ring());
        }
    }

    /// Whether a panic has ended one of them.
    pub(super) fn is_poisoned(&self) -> bool {
        self.poisoned.load(Ordering::Acquire)
    }
}

/// One worker's way to the others.
#[derive(Debug)]
pub(super) struct Mates {
    crew: Arc<Crew>,
    incoming: Receiver<Foreign>,
    /// The cuts that it knows of.
    cuts: u32,
}

impl Mates {
    pub(super) const fn new(crew: Arc<Crew>, incoming: Receiver<Foreign>) -> Self {
        Self { crew, incoming, cuts: 0 }
    }

    /// Whether a connection of any worker was cut off since this was last asked. `own`: one of this worker's was, which the others are told and woken for.
    pub(super) fn is_cut(&mut self, own: bool) -> bool {
        if own {
            self.crew.cuts.fetch_add(1, Ordering::AcqRel);
            self.crew.bells.iter().for_each(|bell| bell.ring());
        }
        let cuts = self.crew.cuts.load(Ordering::Acquire);
        std::mem::replace(&mut self.cuts, cuts) != cuts
    }

    /// The next packet that another worker has received.
    pub(super) fn take(&self) -> Option<Foreign> {
        self.incoming.try_recv().ok()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.incoming.is_empty()
    }

    /// Hands to the others what `stack` has for them, and wakes them.
    pub(super) fn hand_out(&self, now: Instant, stack: &mut Stack) {
        let mut called = 0_u64;
        while let Some(foreign) = stack.poll_foreign() {
            let worker = foreign.worker();
            let Some(sender) = self.crew.foreign.get(worker) else { continue };
            match sender.try_send(foreign) {
                Ok(()) => called |= 1 << worker,
                Err(lost) => stack.lose_foreign(now, &lost.into_inner()),
            }
        }
        while let Some(worker) = stack.poll_call() {
            called |= 1 << worker;
        }
        let all = self.crew.bells.iter().enumerate();
        all.filter(|(worker, _)| called >> worker & 1 != 0).for_each(|(_, bell)| bell.ring());
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::ip::{self, Envelope};
    use crate::link::Capabilities;
    use crate::trace::Log;
    use crate::wire::tcp::{Flags, TcpHeader};

    #[test]
    fn a_connection_that_is_cut_off_is_heard_of_once_by_every_worker() {
        let bell = || Arc::new(Bell::new().expect("a bell"));
        let (crew, receivers) = Crew::new(Box::new([bell(), bell(), bell()]));
        let mut mates: Vec<_> = receivers.into_iter().map(|heard| Mates::new(crew.clone(), heard)).collect();
        assert!(!mates.iter_mut().any(|mate| mate.is_cut(false)));
        for round in 0..2 {
            assert!(mates[round].is_cut(true));
            assert!(mates[2].is_cut(false) && mates[1 - round].is_cut(false));
            assert!(!mates.iter_mut().any(|mate| mate.is_cut(false)));
        }
    }

    /// Two workers, and a SYN for each of many connections, all of which have come to the first.
    #[test]
    fn no_more_than_the_bound_waits_for_a_worker() {
        let link = Capabilities::plain(1500);
        let config =
            Config { addresses: vec!["192.0.2.2/24".parse().expect("a prefix")], ..Config::default() };
        let mut stacks = Stack::workers(&config, 2, link, || Log::new(None)).expect("workers");
        let bell = || Arc::new(Bell::new().expect("a bell"));
        let (crew, receivers) = Crew::new(Box::new([bell(), bell()]));
        let mates: Vec<_> = receivers.into_iter().map(|heard| Mates::new(crew.clone(), heard)).collect();
        let ends = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().expect("an address"));
        for source in 1..=4000 {
            let envelope = Envelope::new(ends[0], ends[1]);
            let header =
                TcpHeader { source, destination: 80, flags: Flags::SYN, window: 500, ..TcpHeader::default() };
            let syn = ip::tcp_transmit(&envelope, &header, ip::Payload::new(), 0, &link);
            stacks[0].handle_frame(Instant::ZERO, ip::to_frame(&syn));
            mates[0].hand_out(Instant::ZERO, &mut stacks[0]);
        }
        let counters = stacks[0].counters().clone();
        assert_eq!(counters.packets_forwarded, FOREIGN_MAX as u64 + counters.drop_worker_queue);
        assert!(counters.drop_worker_queue > 500);
        let mut taken = 0;
        while let Some(foreign) = mates[1].take() {
            stacks[1].handle_foreign(Instant::ZERO, foreign);
            taken += 1;
        }
        assert!(mates[1].is_empty() && mates[0].is_empty());
        assert_eq!((taken, stacks[1].counters().drop_tcp_no_socket), (FOREIGN_MAX, FOREIGN_MAX as u64));
    }
}
