//! A scenario: bulk data over a number of connections through one bottleneck, on virtual time, as a function of its settings and seed.
//!
//! ```text
//!  Host 0 --pipe-- [ queue, rate, loss, delay, ... ] --pipe-- Host 1      data one way, acknowledgements the other,
//!  client          [        and the same back      ]          server      every flow through the same queue
//! ```
//! The link stands between the hosts as a real one does between two machines: what a host sends is cut into packets of the wire before anything happens
//! to it, and either way has the same settings, its own queue and its own random numbers. A scenario is written as text, `rate=10M rtt=50ms loss=1%
//! flows=2 seed=7`, and what came of it is a [`Report`] of whole numbers.

mod arrivals;
mod flow;
mod report;
mod run;
mod text;
mod wire;

pub use report::{FlowReport, Report, Sample};
pub use run::Trouble;
pub use text::SETTINGS;

use super::Host;
use crate::config::Config;
use crate::error::{Errno, Error};
use crate::link::Device;
use crate::link::impair::Impairment;
use crate::time::Duration;

/// Least length of a queue, packets, whatever the bandwidth-delay product.
const QUEUE_MIN: f64 = 4.0;

/// Which host sends the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The one that connects.
    Client,
    /// The one that accepts.
    Server,
}

/// How long a scenario runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So long from the first flow's start.
    Time(Duration),
    /// Until each flow has delivered so many bytes.
    Bytes(u64),
}

/// When the figures of the flows are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// Never.
    Off,
    /// Whenever one has changed.
    Changes,
    /// At this interval.
    Every(Duration),
}

/// The settings of a run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Bits a second, headers of IP counted; 0: no limit.
    pub rate: u64,
    /// Round-trip time without queueing: half of it each way.
    pub rtt: Duration,
    /// Probability that a packet is lost.
    pub loss: f64,
    /// Mean number of packets that are lost in a row; 1: each by itself. `loss` is the share of packets lost in either case.
    pub burst: u32,
    /// Length of the queue in bandwidth-delay products, at least four packets.
    pub queue: f64,
    /// Probability that a packet is late, and so overtaken.
    pub reorder: f64,
    /// By how much, in round-trip times.
    pub late: f64,
    /// Bits a second that a policer lets pass, its bucket as deep as the queue; 0: there is none.
    pub police: u64,
    /// Added to the delay each way, uniformly random from zero to this; order is kept.
    pub jitter: Duration,
    /// Bytes of the largest packet.
    pub mtu: u16,
    /// Connections.
    pub flows: usize,
    /// Time from the start of one flow to that of the next; `None`: the flows start within one round trip.
    pub stagger: Option<Duration>,
    /// Who sends.
    pub sender: Sender,
    /// How long; `None`: 100 round trips or 5 s, whichever is longer, but no more than what carries [`Scenario::DATA`] bytes.
    pub length: Option<Length>,
    /// Receive and send buffer of each socket, bytes; `None`: twice what the path holds, at least what the settings say.
    pub buffer: Option<usize>,
    /// The seed.
    pub seed: u64,
    /// Settings of both hosts, whose addresses, secret and MTU are the scenario's.
    pub config: Config,
    /// What is recorded while it runs.
    pub sampling: Sampling,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            rate: 10_000_000,
            rtt: Duration::from_millis(50),
            loss: 0.0,
            burst: 1,
            queue: 1.0,
            reorder: 0.0,
            late: 0.25,
            police: 0,
            jitter: Duration::ZERO,
            mtu: 1500,
            flows: 1,
            stagger: None,
            sender: Sender::Client,
            length: None,
            buffer: None,
            seed: 1,
            config: Config::default(),
            sampling: Sampling::Off,
        }
    }
}

impl Scenario {
    /// Bytes that a scenario of no given length carries at most: what bounds the time that running it takes.
    pub const DATA: u64 = 80_000_000;

    /// Runs it.
    pub fn run(&self) -> Result<Report, Trouble> {
        self.run_on(Host::new)
    }

    /// Runs it on hosts that `make` makes, the client's first, each of its settings and device: to tap them, for instance.
    pub fn run_on(
        &self,
        make: impl FnMut(Config, Box<dyn Device>) -> Result<Host, Error>,
    ) -> Result<Report, Trouble> {
        self.validate().map_err(Trouble::Refused)?;
        run::run(self, make)
    }

    /// Refuses settings that make no sense, naming the field and its range.
    pub fn validate(&self) -> Result<(), Error> {
        let refuse = |text: String| Err(Error::new(Errno::EINVAL, text));
        if !(1..=1024).contains(&self.flows) {
            return refuse(format!("{} flows: 1 to 1024 are possible", self.flows));
        }
        for (name, value) in [("queue", self.queue), ("late", self.late)] {
            if !(0.0..=1000.0).contains(&value) {
                return refuse(format!("{name} {value}: 0 to 1000 is possible"));
            }
        }
        if self.burst == 0 || self.burst > 1 && self.loss >= 0.5 {
            return refuse("burst is a number of packets from 1, above 1 with a loss below 50% only".into());
        }
        match self.length {
            Some(Length::Bytes(0)) => return refuse("bytes must be above zero".into()),
            Some(Length::Time(Duration::ZERO)) => return refuse("time must be above zero".into()),
            _ => {}
        }
        self.impairment().validate()
    }

    /// Bytes that are on their way when the link is busy and its queue empty.
    #[must_use]
    pub fn product(&self) -> u64 {
        let nanos = u64::try_from(self.rtt.as_nanos()).unwrap_or(u64::MAX);
        let bytes = u128::from(self.rate) * u128::from(nanos) / 8_000_000_000;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// What happens to packets each way.
    #[must_use]
    pub fn impairment(&self) -> Impairment {
        let queue = self.queue_packets();
        let police = Impairment {
            police_rate: self.police,
            police_burst: if self.police > 0 { queue * usize::from(self.mtu) } else { 0 },
            ..self.lossy()
        };
        Impairment {
            rate: self.rate,
            delay: self.rtt / 2,
            jitter: self.jitter,
            reorder: self.reorder,
            reorder_delay: self.rtt.mul_f64(if self.reorder > 0.0 { self.late } else { 0.0 }),
            queue,
            ..police
        }
    }

    /// Loss as it is asked for: a burst of `burst` packets on average that are all lost, so often that the share is `loss`.
    fn lossy(&self) -> Impairment {
        if self.burst <= 1 || self.loss <= 0.0 {
            return Impairment { loss: self.loss, ..Impairment::default() };
        }
        let leave = 1.0 / f64::from(self.burst);
        Impairment {
            burst_enter: leave * self.loss / (1.0 - self.loss),
            burst_leave: leave,
            burst_loss: 1.0,
            ..Impairment::default()
        }
    }

    fn queue_packets(&self) -> usize {
        let rate = if self.police > 0 { self.police } else { self.rate };
        let product = Self { rate, ..self.clone() }.product();
        let packets = product as f64 * self.queue / f64::from(self.mtu.max(1));
        packets.ceil().max(QUEUE_MIN) as usize
    }

    /// How long it runs.
    #[must_use]
    pub fn length(&self) -> Length {
        self.length.unwrap_or_else(|| {
            let rate = if self.police > 0 { self.rate.min(self.police) } else { self.rate };
            let nanos = u128::from(Self::DATA) * 8_000_000_000 / u128::from(rate.max(1));
            let most = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            match rate {
                0 => Length::Bytes(Self::DATA / self.flows as u64),
                _ => Length::Time((self.rtt * 100).max(Duration::from_secs(5)).min(most)),
            }
        })
    }

    /// Which part of the payload that link or policer could carry `goodput` is, in ten-thousandths; `None` without a limit.
    #[must_use]
    pub fn use_of(&self, goodput: u64) -> Option<u64> {
        let narrowest = [self.rate, self.police].into_iter().filter(|rate| *rate > 0).min()?;
        // Headers of IP and TCP, and timestamps.
        let headers = 20 + 20 + 12;
        let payload = u64::from(self.mtu).saturating_sub(headers);
        Some(Report::share(goodput, narrowest / u64::from(self.mtu) * payload))
    }

    /// When flow number `index` starts, from the start of the first.
    fn start(&self, index: usize) -> Duration {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        match self.stagger {
            Some(stagger) => stagger.saturating_mul(index),
            None => self.rtt * index / u32::try_from(self.flows.max(1)).unwrap_or(u32::MAX),
        }
    }

    /// Settings of the host `index`.
    fn host(&self, index: usize) -> Config {
        let mut config = self.config.clone();
        let queue = (self.queue_packets() * usize::from(self.mtu)) as u64;
        let enough = usize::try_from((self.product() + queue) * 2).unwrap_or(usize::MAX);
        let sizes = &mut config.buffers;
        sizes.receive = self.buffer.unwrap_or_else(|| sizes.receive.max(enough));
        sizes.send = self.buffer.unwrap_or_else(|| sizes.send.max(enough));
        config.mtu = self.mtu;
        config.addresses = run::address(index).into_iter().collect();
        config.routes.clear();
        config.secret = crate::rng::Rng::from_seed(self.seed).fork(run::NAMES[index & 1]).next_key();
        config
    }
}

#[cfg(test)]
mod tests;
