//! A router: packets go from port to port by their destination, each port with a link of its own behind it.

use crate::config::Prefix;
use crate::link::impair::{Packet, Path};
use crate::link::segment::{from_frame, segment};
use crate::link::{Device, Sent, Transmit};
use crate::time::Instant;
use crate::wire::quote;
use bytes::BytesMut;
use std::collections::VecDeque;
use std::net::IpAddr;

/// Frames taken from a port in one turn, so that one sender cannot keep the others waiting.
const FRAMES_PER_TURN: usize = 64;

/// Joins networks: many senders share one bottleneck, links of different MTUs lie behind one another. It takes no time of its own and leaves hop limits
/// as they are.
///
/// ```text
///   host ---- device [port 0: path] \
///   host ---- device [port 1: path]  > by destination
///   host ---- device [port 2: path] /
/// ```
/// A port's path is what packets pass that leave the router by it; what enters comes straight from the device.
#[derive(Debug, Default)]
pub struct Router {
    ports: Vec<Port>,
    page: BytesMut,
    cut: VecDeque<Transmit>,
    /// Packets whose destination no port leads to.
    pub unroutable: u64,
}

/// One link of a router.
struct Port {
    device: Box<dyn Device>,
    /// What packets pass on their way out.
    path: Path,
    /// What lies behind it.
    networks: Vec<Prefix>,
    /// A packet that the device would not take.
    kept: Option<Transmit>,
}

impl Router {
    /// A router without ports.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a port that leads to `networks`; the first port that fits a destination takes it. Returns the port's index.
    pub fn attach(&mut self, device: Box<dyn Device>, path: Path, networks: Vec<Prefix>) -> usize {
        self.ports.push(Port { device, path, networks, kept: None });
        self.ports.len() - 1
    }

    /// What packets pass that leave by a port, to read its statistics and to change its settings.
    pub fn path(&mut self, port: usize) -> Option<&mut Path> {
        self.ports.get_mut(port).map(|port| &mut port.path)
    }

    /// Takes in what its ports have received and hands out what has arrived. Whether anything moved.
    pub fn turn(&mut self, now: Instant) -> bool {
        let mut any = false;
        for index in 0..self.ports.len() {
            any |= self.take_in(now, index);
        }
        self.ports.iter_mut().fold(any, |any, port| port.hand_out(now) || any)
    }

    /// When the next turn is due.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        let ports = self.ports.iter();
        ports
            .flat_map(|port| {
                let arrival = port.path.next().filter(|_| port.kept.is_none());
                [arrival, port.device.poll_timeout()]
            })
            .flatten()
            .min()
    }

    fn take_in(&mut self, now: Instant, index: usize) -> bool {
        let mut any = false;
        for _ in 0..FRAMES_PER_TURN {
            let Some(port) = self.ports.get_mut(index) else { break };
            self.page.reserve(port.device.spare());
            let Ok(Some(frame)) = port.device.recv(now, &mut self.page) else { break };
            any = true;
            let mut cut = std::mem::take(&mut self.cut);
            segment(&from_frame(&frame), &mut cut);
            for transmit in cut.drain(..) {
                self.forward(now, Packet::from(&transmit));
            }
            self.cut = cut;
        }
        any
    }

    /// Puts a packet on its way, and what its source is told of it.
    fn forward(&mut self, now: Instant, packet: Packet) {
        let Some(port) = self.toward(&packet) else { return };
        if let Some(report) = port.path.offer(now, packet)
            && let Some(back) = self.toward(&report)
        {
            back.path.offer(now, report);
        }
    }

    fn toward(&mut self, packet: &Packet) -> Option<&mut Port> {
        let destination = quote::addresses(&packet.bytes).map(|(_, destination)| destination);
        let leads = |port: &&mut Port| destination.is_some_and(|address| port.leads_to(address));
        let port = self.ports.iter_mut().find(leads);
        if port.is_none() {
            self.unroutable += 1;
        }
        port
    }
}

impl Port {
    fn leads_to(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(address))
    }

    fn hand_out(&mut self, now: Instant) -> bool {
        let mut any = false;
        while let Some(transmit) = self.kept.take().or_else(|| self.path.due(now).map(Transmit::from)) {
            match self.device.send(now, &transmit) {
                Ok(Sent::Taken) => any = true,
                Ok(Sent::WouldBlock) => {
                    self.kept = Some(transmit);
                    break;
                }
                Err(_) => {}
            }
        }
        any
    }
}

impl std::fmt::Debug for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Port").field("path", self.path.statistics()).finish_non_exhaustive()
    }
}
