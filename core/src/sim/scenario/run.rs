//! The run of a scenario: everything moves until nothing does, then the clock goes to the next instant that anything waits for.

use super::flow::{Flow, Look, Pattern};
use super::report::{FlowReport, Report, Sample};
use super::wire::Wire;
use super::{Length, Sampling, Scenario, Sender};
use crate::config::{Config, Prefix};
use crate::error::{Errno, Error};
use crate::link::Device;
use crate::sim::{Endpoint, Host, Network};
use crate::stack::TcpInfo;
use crate::time::{Duration, Instant};
use crate::wire::{ipv4, tcp};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What the secret of each host is forked by.
pub(super) const NAMES: [&str; 2] = ["client", "server"];

/// When the clock starts.
const START: Instant = Instant::from_millis(1_000_000);

/// Where the server listens.
const PORT: u16 = 5001;

/// Rounds without time passing, after which it never will.
const ROUNDS_MAX: usize = 1_000_000;

/// How long a run of a number of bytes may take.
const PATIENCE: Duration = Duration::from_secs(24 * 3600);

/// Why a run came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The settings make no sense.
    Refused(Error),
    /// A call of a program failed that should not.
    Call(Errno),
    /// The connection of this flow is over before its data.
    Ended {
        /// Which flow.
        flow: usize,
        /// What its program was told.
        errno: Errno,
    },
    /// The receiver of this flow was given bytes that were not sent.
    Changed {
        /// Which flow.
        flow: usize,
    },
    /// Something moves for ever, and no time passes.
    Livelock,
    /// Nobody waits for anything, and not everything has come; or a day has passed.
    Stalled,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => write!(f, "{error}"),
            Self::Call(errno) => write!(f, "a call failed with {errno:?}"),
            Self::Ended { flow, errno } => write!(f, "flow {flow} ended with {errno:?}"),
            Self::Changed { flow } => write!(f, "flow {flow} delivered other bytes than were sent"),
            Self::Livelock => write!(f, "something moves for ever"),
            Self::Stalled => write!(f, "nobody waits for anything, and not everything has come"),
        }
    }
}

impl std::error::Error for Trouble {}

/// Address and network of the host `index`.
pub(super) fn address(index: usize) -> Option<Prefix> {
    let address = IpAddr::V4(Ipv4Addr::new(192, 0, 2, if index == 0 { 1 } else { 2 }));
    Some(Prefix { address, length: 24 })
}

/// Runs `scenario`.
pub(super) fn run(
    scenario: &Scenario,
    make: impl FnMut(Config, Box<dyn Device>) -> Result<Host, Error>,
) -> Result<Report, Trouble> {
    let mut run = Run::new(scenario, make)?;
    run.all()?;
    Ok(run.report())
}

struct Run<'a> {
    scenario: &'a Scenario,
    net: Network,
    wire: Wire,
    listener: Endpoint,
    /// Started ones.
    flows: Vec<Flow>,
    pattern: Pattern,
    length: Length,
    /// Which hosts may have something to do at this instant.
    awake: [bool; 2],
    sample_at: Option<Instant>,
    samples: Vec<Sample>,
}

impl<'a> Run<'a> {
    fn new(
        scenario: &'a Scenario,
        mut make: impl FnMut(Config, Box<dyn Device>) -> Result<Host, Error>,
    ) -> Result<Self, Trouble> {
        let impairment = scenario.impairment();
        let (wire, devices) = Wire::new(impairment, scenario.mtu, scenario.seed).map_err(Trouble::Refused)?;
        let mut hosts = Vec::new();
        for (index, device) in devices.into_iter().enumerate() {
            hosts.push(make(scenario.host(index), Box::new(device)).map_err(Trouble::Refused)?);
        }
        let mut net = Network::new(START, hosts);
        let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT);
        let backlog = u32::try_from(scenario.flows).unwrap_or(u32::MAX);
        let listener = net.listen(1, local, backlog).map_err(Trouble::Call)?;
        Ok(Self {
            scenario,
            net,
            wire,
            listener,
            flows: Vec::new(),
            pattern: Pattern::new(),
            length: scenario.length(),
            awake: [true; 2],
            sample_at: match scenario.sampling {
                Sampling::Every(_) => Some(START),
                Sampling::Off | Sampling::Changes => None,
            },
            samples: Vec::new(),
        })
    }

    fn all(&mut self) -> Result<(), Trouble> {
        let half = match self.length {
            Length::Time(time) => Some(START + time / 2),
            Length::Bytes(_) => None,
        };
        let end = match self.length {
            Length::Time(time) => START + time,
            Length::Bytes(_) => START + PATIENCE,
        };
        let mut early = half;
        loop {
            self.settle()?;
            self.sample();
            if self.is_over() {
                return Ok(());
            }
            let now = self.net.now;
            let start = self.next_start();
            let hosts = self.net.hosts.iter().filter_map(Host::next).min();
            let moves = [self.wire.next(), hosts, start].into_iter().flatten().min();
            let Some(moves) = moves else {
                return if early.is_none() && half.is_some() { Ok(()) } else { Err(Trouble::Stalled) };
            };
            let next = [Some(moves), early, self.sample_at].into_iter().flatten().min().unwrap_or(moves);
            if next >= end {
                self.net.now = end;
                return if half.is_some() { Ok(()) } else { Err(Trouble::Stalled) };
            }
            self.net.now = next.max(now);
            if early.is_some_and(|early| self.net.now >= early) {
                early = None;
                self.flows.iter_mut().for_each(|flow| flow.received_early = flow.received);
            }
        }
    }

    /// Lets everything move that can without time passing.
    fn settle(&mut self) -> Result<(), Trouble> {
        let now = self.net.now;
        for host in 0..2 {
            self.awake[host] |= self.net.hosts[host].next().is_some_and(|next| next <= now);
        }
        for _ in 0..ROUNDS_MAX {
            self.start()?;
            for to in 0..2 {
                self.deliver(to);
            }
            if self.awake == [false; 2] {
                return Ok(());
            }
            for host in 0..2 {
                if self.awake[host] {
                    self.awake[host] = self.net.hosts[host].turn(now);
                    self.wire.take(now, host);
                }
            }
            self.accept()?;
            self.programs()?;
        }
        Err(Trouble::Livelock)
    }

    /// Hands a host what has arrived for it, and counts the data.
    fn deliver(&mut self, to: usize) {
        let from_client = to == 1;
        let carries_data = from_client == (self.scenario.sender == Sender::Client);
        let flows = &mut self.flows;
        let given = self.wire.give(self.net.now, to, |packet| {
            if carries_data {
                count(packet, from_client, flows);
            }
        });
        self.awake[to] |= given;
    }

    fn next_start(&self) -> Option<Instant> {
        let index = self.flows.len();
        (index < self.scenario.flows).then(|| START + self.scenario.start(index))
    }

    /// Starts the flows whose time has come.
    fn start(&mut self) -> Result<(), Trouble> {
        let Some(server) = address(1) else { return Ok(()) };
        while let Some(at) = self.next_start().filter(|at| *at <= self.net.now) {
            let peer = SocketAddr::new(server.address, PORT);
            let client = self.net.connect(0, peer).map_err(Trouble::Call)?;
            let local = self.net.hosts[0].stack.local_address(client.id).map_err(Trouble::Call)?;
            self.flows.push(Flow::new(at, client, local.port()));
            self.awake[0] = true;
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<(), Trouble> {
        loop {
            match self.net.accept(&self.listener) {
                Ok(server) => {
                    let peer = self.net.hosts[1].stack.peer_address(server.id).map_err(Trouble::Call)?;
                    let flow = self.flows.iter_mut().find(|flow| flow.port == peer.port());
                    if let Some(flow) = flow {
                        flow.server = Some(server);
                    }
                }
                Err(Errno::EAGAIN) => return Ok(()),
                Err(errno) => return Err(Trouble::Call(errno)),
            }
        }
    }

    /// Lets every flow's programs write and read.
    fn programs(&mut self) -> Result<(), Trouble> {
        let most = match self.length {
            Length::Time(_) => u64::MAX,
            Length::Bytes(bytes) => bytes,
        };
        for (index, flow) in self.flows.iter_mut().enumerate() {
            match flow.look(&mut self.net, self.scenario.sender, &self.pattern, most) {
                Look::Idle => {}
                Look::Moved => self.awake = [true; 2],
                Look::Changed => return Err(Trouble::Changed { flow: index }),
                Look::Ended(errno) => return Err(Trouble::Ended { flow: index, errno }),
            }
            if flow.received >= most && flow.finished.is_none() {
                flow.finished = Some(self.net.now);
            }
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.flows.len() == self.scenario.flows && self.flows.iter().all(|flow| flow.finished.is_some())
    }

    fn sample(&mut self) {
        let now = self.net.now;
        let changes = match self.scenario.sampling {
            Sampling::Off => return,
            Sampling::Changes => true,
            Sampling::Every(interval) => {
                let Some(at) = self.sample_at.filter(|at| *at <= now) else { return };
                self.sample_at = Some(at + interval.max(Duration::from_micros(1)));
                false
            }
        };
        for index in 0..self.flows.len() {
            let Some(info) = self.info(&self.flows[index]) else { continue };
            let sample = Sample::of(now.since(START), index, &info);
            if changes && self.flows[index].last.is_some_and(|last| !sample.differs(&last)) {
                continue;
            }
            self.flows[index].last = Some(sample);
            self.samples.push(sample);
        }
    }

    /// The figures of a flow's sender.
    fn info(&self, flow: &Flow) -> Option<TcpInfo> {
        let source = flow.source(self.scenario.sender)?;
        self.net.hosts[source.host].stack.tcp_info(self.net.now, source.id).ok()
    }

    fn report(self) -> Report {
        let now = self.net.now;
        let timed = matches!(self.length, Length::Time(_));
        let flows = self.flows.iter().map(|flow| {
            let info = self.info(flow).unwrap_or_default();
            FlowReport {
                started: flow.started.since(START),
                took: flow.finished.unwrap_or(now).since(flow.started),
                received: flow.received,
                received_late: if timed { flow.received - flow.received_early } else { 0 },
                sent: u64::from(info.data_segs_out),
                retransmitted: u64::from(info.total_retrans),
                twice: flow.arrivals.twice,
                arrived: flow.arrivals.segments,
                timeouts: u64::from(info.total_rto),
            }
        });
        let data = usize::from(self.scenario.sender == Sender::Server);
        Report {
            took: now.since(START),
            flows: flows.collect(),
            data_way: self.wire.statistics(data),
            ack_way: self.wire.statistics(1 - data),
            counters: [0, 1].map(|host: usize| self.net.hosts[host].stack.counters().clone()),
            samples: self.samples,
        }
    }
}

/// Counts a packet with data for the flow whose it is.
fn count(packet: &[u8], from_client: bool, flows: &mut [Flow]) {
    let Ok((ip, start)) = ipv4::parse(packet) else { return };
    let rest = packet.get(start..usize::from(ip.total_length)).unwrap_or_default();
    let (source, destination) = (IpAddr::V4(ip.source), IpAddr::V4(ip.destination));
    let Ok((header, data)) = tcp::parse(source, destination, rest, false) else { return };
    let port = if from_client { header.source } else { header.destination };
    let Some(flow) = flows.iter_mut().find(|flow| flow.port == port) else { return };
    let length = u32::try_from(rest.len().saturating_sub(data)).unwrap_or(u32::MAX);
    if header.flags.has(tcp::Flags::SYN) {
        flow.arrivals.syn(header.seq);
    } else if length > 0 {
        flow.arrivals.data(header.seq, length);
    }
}
