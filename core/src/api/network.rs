//! Simulated networks: hosts, links with faults, and one virtual clock.

mod signal;

pub use signal::Signal;

use super::names::{Beside, Names};
use super::options::create;
use super::stack::{Plan, check_ring};
use super::{LogSink, NameOptions, PollSet, Socket, Stack, TraceSink};
use crate::clock;
use crate::config::{Config, Prefix};
use crate::engine::{Clock, Conductor, Host, START, with_sleeper};
use crate::error::{Errno, Error, Result};
use crate::link::impair::Impairment;
use crate::rng::Rng;
use crate::sim::LinkCounters;
use crate::socket::Woke;
use crate::sync::Arc;
use crate::time::{Duration, Instant};
use std::path::PathBuf;

/// A simulated network. Its hosts are [`Stack`]s as any other, but they have no I/O thread, and all times are the network's: a call that would sleep has everything
/// happen that happens meanwhile, at once. Clones are the same network, and so is what its stacks and sockets hold.
///
/// A network is a function of its seed and of what its programs do: the same program has the same packets at the same times. Where several threads are its programs that
/// holds if each is a task ([`Network::task`]): one of them runs at a time, and hands on in a fixed order where it would sleep; time passes when none can go on. A thread that
/// is no task may call all the same; the first one that sleeps is the main task. Others sleep and wake beside the tasks, in no particular order.
///
/// Where all tasks sleep without a time-out and nothing is left that could happen, the main task's call fails with EDEADLK; if it has ended, that of the task with the lowest
/// number. The others sleep until the network is closed.
#[derive(Clone, Debug)]
pub struct Network {
    conductor: Arc<Conductor>,
    /// Its time.
    clock: Clock,
}

/// What the time-outs of a socket or a stack go by: the system's time, or a network's.
#[derive(Clone, Copy, Debug)]
pub struct Time<'a>(Option<&'a Arc<Conductor>>);

impl Time<'_> {
    /// The system's.
    pub const SYSTEM: Time<'static> = Time(None);

    /// The time since a beginning that stays the same.
    #[must_use]
    pub fn now(self) -> Duration {
        self.0.map_or_else(clock::now, |conductor| conductor.now()).since(Instant::ZERO)
    }

    /// The network whose time it is; `None`: it is the system's.
    #[must_use]
    pub fn network(self) -> Option<Network> {
        self.0.map(|conductor| Network::of(conductor.clone()))
    }
}

impl Stack {
    /// What its time-outs go by.
    #[must_use]
    pub fn time(&self) -> Time<'_> {
        Time(self.clock().conductor())
    }
}

impl Socket {
    /// What its time-outs go by.
    #[must_use]
    pub fn time(&self) -> Time<'_> {
        Time(self.clock().conductor())
    }
}

impl PollSet {
    /// What its time-outs go by: as its sockets'.
    #[must_use]
    pub fn time(&self) -> Time<'_> {
        Time(self.clock().conductor())
    }
}

/// What a host of a network is to be.
#[derive(Debug, Default)]
pub struct HostOptions {
    /// What it is called in traces and captures.
    pub name: String,
    /// The protocols' settings. A `secret` of all zeroes is replaced by one that the network's seed makes.
    pub config: Config,
    /// As in [`StackOptions`](super::StackOptions); times are those of the network.
    pub pcap: Option<PathBuf>,
    /// As in [`StackOptions`](super::StackOptions).
    pub pcap_ring: usize,
    /// As in [`StackOptions`](super::StackOptions). The function runs on whatever thread has the time pass.
    pub log: Option<LogSink>,
    /// As in [`StackOptions`](super::StackOptions).
    pub trace: Option<TraceSink>,
    /// How names are looked up. Nothing of it comes from the system: what is `None` is none.
    pub names: NameOptions,
}

/// Asked now and then while the main task of a network sleeps: false ends its call with EINTR. It may call anything but what sleeps.
pub type Interrupt = std::sync::Arc<dyn Fn() -> bool + Send + Sync>;

impl Network {
    /// A network without nodes. Everything that is left to chance comes from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::of(Conductor::new(Rng::from_seed(seed).fork("network")))
    }

    fn of(conductor: Arc<Conductor>) -> Self {
        Self { clock: Clock::of(conductor.clone()), conductor }
    }

    /// Adds a host; its number as a node, and its stack. EINVAL names the setting; EADDRINUSE: another host has one of the addresses; ECANCELED: the network is closed.
    pub fn host(&self, options: HostOptions) -> Result<(usize, Stack)> {
        let HostOptions { name, mut config, pcap, pcap_ring, log, trace, names } = options;
        self.check_open()?;
        config.validate()?;
        check_ring(pcap_ring, 1, pcap.is_some())?;
        let capture = pcap.as_deref().map(|path| create("capture", path)).transpose()?;
        let trace = trace.map(TraceSink::open).transpose()?;
        let (addresses, mtu) = (config.addresses.clone(), config.mtu);
        let (mut stack, network) = (None, self.conductor.clone());
        let node = self.conductor.host(&addresses, mtu, |node, port| {
            if config.secret == [0; 16] {
                config.secret = self.conductor.rng().fork(&format!("host {node}")).next_key();
            }
            let names = Names::open(names, config.secret, Beside::Nothing)?;
            let host = Some(Host { network, node });
            let devices: Vec<Box<dyn crate::link::Device>> = vec![Box::new(port)];
            let plan = Plan { config, names, capture, ring: pcap_ring, log, trace, devices, name, host };
            stack = Some(Stack::run(plan)?);
            Ok(())
        })?;
        Ok((node, stack.ok_or(Errno::EINVAL)?))
    }

    /// Adds a router; its number as a node. Packets pass it without taking time; the links that they leave by have the queues.
    pub fn router(&self) -> Result<usize> {
        self.conductor.with_fabric(|fabric| Ok(fabric.router()))
    }

    /// Joins two nodes; the link's number. `there` happens to what goes from `a` to `b`, `back` to the rest. Packets take the path of fewest links, of several the one whose first link
    /// was made first; hosts pass none on. Who has none is told by ICMP: "network unreachable". EINVAL.
    pub fn link(&self, a: usize, b: usize, there: Impairment, back: Impairment) -> Result<usize> {
        self.conductor.with_fabric(|fabric| fabric.link(a, b, there, back))
    }

    /// Changes what happens to packets that enter a link from now on; `None`: as it is. EINVAL.
    pub fn set_link(&self, link: usize, there: Option<Impairment>, back: Option<Impairment>) -> Result<()> {
        self.conductor.with_fabric(|fabric| fabric.set_link(link, there, back))
    }

    /// Cuts a link, or heals it. A cut link swallows what enters it, and what would leave it, and tells nobody. EINVAL.
    pub fn cut(&self, link: usize, cut: bool) -> Result<()> {
        self.conductor.with_fabric(|fabric| fabric.cut(link, cut))
    }

    /// What was done to packets of a link: there, back. EINVAL.
    pub fn link_counters(&self, link: usize) -> Result<(LinkCounters, LinkCounters)> {
        self.conductor.with_fabric(|fabric| fabric.counters(link))
    }

    /// Packets that had no path to where they were sent.
    pub fn unroutable(&self) -> Result<u64> {
        self.conductor.with_fabric(|fabric| Ok(fabric.unroutable()))
    }

    /// Has packets for a network come to a host where no other has the very address, as for [`Stack::intercept`]. The longest prefix counts. EINVAL.
    pub fn lead(&self, network: Prefix, node: usize) -> Result<()> {
        self.conductor.with_fabric(|fabric| fabric.lead(network, node))
    }

    /// The time since the network began.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.conductor.now().since(START)
    }

    /// Sleeps until `until` since the network began; at once if that has passed, but others go on first. `None`: until the network is closed. ECANCELED: it is closed; EDEADLK,
    /// EINTR.
    pub fn sleep(&self, until: Option<Duration>) -> Result<()> {
        if until.is_some_and(|until| until <= self.now()) {
            self.settle()?;
        }
        match with_sleeper(|sleeper, _| self.conductor.sleep(sleeper, until.map(at)))? {
            Woke::Interrupted => Err(Errno::EINTR.into()),
            Woke::Woken | Woke::TimedOut => Ok(()),
        }
    }

    /// Lets everything happen that can happen without time passing. EDEADLK from a callback of one of the stacks.
    pub fn settle(&self) -> Result<()> {
        Ok(self.conductor.settle()?)
    }

    /// Registers a task, in the order in which tasks take their turns; its number. A thread is to [`Network::enter`] for it, which the others wait for. ECANCELED: the network
    /// is closed.
    pub fn task(&self) -> Result<usize> {
        Ok(self.conductor.baton().register()?)
    }

    /// Makes the calling thread a task, and waits for its turn. EINVAL: there is no such task, or the thread is one; ECANCELED: the network is closed.
    pub fn enter(&self, task: usize) -> Result<()> {
        let entered = self.conductor.baton().enter(&self.conductor, task);
        entered.map_err(|errno| match errno {
            Errno::EINVAL => {
                let text =
                    format!("task {task} is not one that a thread can begin as, or this thread is a task");
                Error::new(errno, text)
            }
            errno => errno.into(),
        })
    }

    /// Ends the task that the calling thread is, or `task`, which no thread has begun as. Others go on. EINVAL: it is none.
    pub fn leave(&self, task: Option<usize>) -> Result<()> {
        let left = self.conductor.baton().leave(&self.conductor, task);
        left.map_err(|errno| Error::new(errno, "this thread is no task of the network"))
    }

    /// Has `interrupt` asked now and then, on the main task's thread, while that sleeps: false ends its call with EINTR.
    pub fn set_interrupt(&self, interrupt: Interrupt) {
        self.conductor.baton().set_interrupt(interrupt);
    }

    /// Ends the network: its stacks are closed, connections reset, and who sleeps returns ECANCELED. Threads do not wait for each other any more. EDEADLK from a callback.
    pub fn close(&self) -> Result<()> {
        Ok(self.conductor.close()?)
    }

    /// Its time, since a beginning of its own.
    #[must_use]
    pub fn time(&self) -> Time<'_> {
        Time(Some(&self.conductor))
    }

    /// Whether two are the same.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.conductor, &other.conductor)
    }

    /// A number that no other network has at the same time.
    #[must_use]
    pub fn id(&self) -> usize {
        Arc::as_ptr(&self.conductor).addr()
    }

    fn check_open(&self) -> Result<()> {
        if self.conductor.is_closed() {
            return Err(Error::new(Errno::ECANCELED, "the network is closed"));
        }
        Ok(())
    }
}

/// The instant so long after the beginning.
fn at(since: Duration) -> Instant {
    START + since
}
