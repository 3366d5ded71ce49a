//! What joins hosts that are run from outside: nodes, links with faults between them, and the way of each packet.
//!
//! ```text
//!   Port ---- host 0 ====== router 2 ====== host 1 ---- Port
//!                     link 0         link 1
//! ```
//! A host is where packets for its addresses end; only routers pass them on. Each link has two ways, each a `Path` of its own. What nothing is to happen to passes whole, be
//! it a super-frame, and at once.

mod port;
mod way;

pub use port::Port;
pub use way::LinkCounters;

use crate::config::Prefix;
use crate::error::{Errno, Error};
use crate::link::Frame;
use crate::link::impair::{Impairment, no_route};
use crate::link::segment::{from_frame, segment, to_frame};
use crate::rng::Rng;
use crate::time::Instant;
use crate::wire::quote;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use way::Way;

/// Nodes and links. It asks for no clock: `now` may never go back.
#[derive(Debug)]
pub struct Fabric {
    rng: Rng,
    nodes: Vec<Node>,
    /// Link `n` has the ways `2 n`, from its first end to its second, and `2 n + 1`.
    ways: Vec<Way>,
    owners: BTreeMap<IpAddr, usize>,
    /// Networks that lie behind a node.
    behind: Vec<(Prefix, usize)>,
    /// For each node that packets have been sent to, the way that each other node takes towards it.
    hops: BTreeMap<usize, Vec<Option<usize>>>,
    /// When something arrives by a way.
    arrivals: BTreeSet<(Instant, usize)>,
    outlet: Sender<(usize, Frame)>,
    sent: Receiver<(usize, Frame)>,
    /// Packets that no path leads anywhere for.
    unroutable: u64,
}

#[derive(Debug)]
struct Node {
    /// Where a host's packets go; `None`: a router, or a host that has ended.
    port: Option<Sender<Frame>>,
    router: bool,
    /// The ways that begin here, in the order in which their links were made.
    ways: Vec<usize>,
}

/// Where a packet goes from a node.
enum Hop {
    Here,
    By(usize),
    Nowhere,
}

impl Fabric {
    /// Nothing yet. All that is left to chance comes from `rng`.
    #[must_use]
    pub fn new(rng: Rng) -> Self {
        let (outlet, sent) = unbounded();
        Self {
            rng,
            nodes: Vec::new(),
            ways: Vec::new(),
            owners: BTreeMap::new(),
            behind: Vec::new(),
            hops: BTreeMap::new(),
            arrivals: BTreeSet::new(),
            outlet,
            sent,
            unroutable: 0,
        }
    }

    /// Adds a host, and the device that its stack is to be on; its number. EADDRINUSE: another host has one of the addresses.
    pub fn host(&mut self, addresses: &[Prefix], mtu: u16) -> Result<(usize, Port), Error> {
        for prefix in addresses {
            if let Some(owner) = self.owners.get(&prefix.address) {
                let text = format!("{} is the address of node {owner} already", prefix.address);
                return Err(Error::new(Errno::EADDRINUSE, text));
            }
        }
        let node = self.nodes.len();
        let (port, sender) = Port::new(node, mtu, self.outlet.clone());
        self.owners.extend(addresses.iter().map(|prefix| (prefix.address, node)));
        self.nodes.push(Node { port: Some(sender), router: false, ways: Vec::new() });
        Ok((node, port))
    }

    /// Adds a router; its number.
    pub fn router(&mut self) -> usize {
        self.nodes.push(Node { port: None, router: true, ways: Vec::new() });
        self.nodes.len() - 1
    }

    /// Takes a host's addresses away, which another may have then. Its links stay.
    pub fn vacate(&mut self, node: usize) {
        self.owners.retain(|_, owner| *owner != node);
        self.behind.retain(|(_, owner)| *owner != node);
        if let Some(node) = self.nodes.get_mut(node) {
            node.port = None;
        }
    }

    /// Has packets for a network go to a host where no host has the very address: the longest prefix counts. EINVAL: there is no such host.
    pub fn lead(&mut self, network: Prefix, node: usize) -> Result<(), Error> {
        self.check_node(node)?;
        if self.nodes.get(node).is_none_or(|node| node.router) {
            let text = format!("node {node} is a router: networks lie behind hosts, and routers find them");
            return Err(Error::new(Errno::EINVAL, text));
        }
        self.behind.push((network.network(), node));
        // Stable: of equals the first counts.
        self.behind.sort_by_key(|(network, _)| std::cmp::Reverse(network.length));
        Ok(())
    }

    /// Joins two nodes; the link's number. `there` is for what goes from `a` to `b`. EINVAL: there are no such nodes, they are one, or settings make no sense.
    pub fn link(&mut self, a: usize, b: usize, there: Impairment, back: Impairment) -> Result<usize, Error> {
        self.check_node(a)?;
        self.check_node(b)?;
        if a == b {
            return Err(Error::new(
                Errno::EINVAL,
                format!("a link joins two nodes, not node {a} with itself"),
            ));
        }
        let link = self.ways.len() / 2;
        let rng = |way: &str| self.rng.fork(&format!("link {link} {way}"));
        let there = Way::new(a, b, there, rng("there"))?;
        let back = Way::new(b, a, back, rng("back"))?;
        self.ways.extend([there, back]);
        for (node, way) in [(a, 2 * link), (b, 2 * link + 1)] {
            self.nodes.get_mut(node).into_iter().for_each(|node| node.ways.push(way));
        }
        self.hops.clear();
        Ok(link)
    }

    /// Changes what happens to packets that are sent from now on; `None` leaves that way as it is. EINVAL.
    pub fn set_link(
        &mut self,
        link: usize,
        there: Option<Impairment>,
        back: Option<Impairment>,
    ) -> Result<(), Error> {
        self.check_link(link)?;
        for settings in [there, back].iter().flatten() {
            settings.validate()?;
        }
        for (way, settings) in [(2 * link, there), (2 * link + 1, back)] {
            if let (Some(way), Some(settings)) = (self.ways.get_mut(way), settings) {
                way.path.change(settings)?;
            }
        }
        Ok(())
    }

    /// Cuts a link, or heals it. What is sent into one that is cut vanishes, and so does what would arrive meanwhile; nobody is told. EINVAL.
    pub fn cut(&mut self, link: usize, cut: bool) -> Result<(), Error> {
        self.check_link(link)?;
        for way in self.ways.iter_mut().skip(2 * link).take(2) {
            way.cut = cut;
        }
        Ok(())
    }

    /// What was done to the packets of a link, each way. EINVAL.
    pub fn counters(&self, link: usize) -> Result<(LinkCounters, LinkCounters), Error> {
        self.check_link(link)?;
        let counters = |way: usize| self.ways.get(way).map(Way::counters).unwrap_or_default();
        Ok((counters(2 * link), counters(2 * link + 1)))
    }

    /// Packets that had no path to where they were sent.
    #[must_use]
    pub const fn unroutable(&self) -> u64 {
        self.unroutable
    }

    /// Moves all that can move now. The hosts that something has come for are added to `called`. Whether anything moved.
    pub fn turn(&mut self, now: Instant, called: &mut BTreeSet<usize>) -> bool {
        let mut moved = false;
        while let Ok((node, frame)) = self.sent.try_recv() {
            self.forward(now, node, frame, called);
            moved = true;
        }
        while let Some((at, way)) = self.arrivals.first().copied().filter(|(at, _)| *at <= now) {
            self.arrivals.remove(&(at, way));
            self.arrive(now, way, called);
            moved = true;
        }
        moved
    }

    /// When the next packet arrives somewhere; at once if one is to be sent.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        if !self.sent.is_empty() {
            return Some(Instant::ZERO);
        }
        self.arrivals.first().map(|(at, _)| *at)
    }

    fn arrive(&mut self, now: Instant, index: usize, called: &mut BTreeSet<usize>) {
        while let Some(way) = self.ways.get_mut(index)
            && let Some(packet) = way.path.due(now)
        {
            let to = way.to;
            if way.lets_out(packet.bytes.len()) {
                let bytes = packet.bytes.into();
                self.forward(now, to, Frame { bytes, ..Frame::default() }, called);
            }
        }
        self.note_arrival(index);
    }

    /// Brings what is known of a way's next arrival up to date.
    fn note_arrival(&mut self, index: usize) {
        let Some(way) = self.ways.get_mut(index) else { return };
        let next = way.path.next();
        let before = std::mem::replace(&mut way.arrival, next);
        if let Some(before) = before.filter(|_| before != next) {
            self.arrivals.remove(&(before, index));
        }
        self.arrivals.extend(next.map(|at| (at, index)));
    }

    /// Takes a packet that is at a node as far as it gets at once.
    fn forward(&mut self, now: Instant, node: usize, mut frame: Frame, called: &mut BTreeSet<usize>) {
        let mut at = node;
        // A path visits no node twice.
        for _ in 0..=self.nodes.len() {
            match self.hop(at, &frame) {
                Hop::Here => return self.deliver(at, frame, called),
                Hop::Nowhere => return self.refuse(now, at, &frame, called),
                Hop::By(way) => match self.pass(now, way, frame, called) {
                    Some((to, passed)) => (at, frame) = (to, passed),
                    None => return,
                },
            }
        }
    }

    fn deliver(&mut self, node: usize, frame: Frame, called: &mut BTreeSet<usize>) {
        let Some(port) = self.nodes.get(node).and_then(|node| node.port.as_ref()) else { return };
        // A host that is ending takes no more.
        if port.send(frame).is_ok() {
            called.insert(node);
        }
    }

    /// Sends a packet by a way; what passes at once, and where it is then.
    fn pass(
        &mut self,
        now: Instant,
        index: usize,
        frame: Frame,
        called: &mut BTreeSet<usize>,
    ) -> Option<(usize, Frame)> {
        let way = self.ways.get_mut(index)?;
        if !way.lets_in(&frame) {
            return None;
        }
        if way.is_clear() {
            way.count_clear(&frame);
            return Some((way.to, frame));
        }
        let (mut cut, mut reports) = (VecDeque::new(), Vec::new());
        segment(&from_frame(&frame), &mut cut);
        let from = way.from;
        reports.extend(cut.iter().filter_map(|packet| way.path.offer(now, packet.into())));
        self.note_arrival(index);
        for report in reports {
            let frame = Frame { bytes: report.bytes.into(), ..Frame::default() };
            self.forward(now, from, frame, called);
        }
        None
    }

    /// Tells the source of a packet without a path that there is none, as far as it may be told.
    fn refuse(&mut self, now: Instant, node: usize, frame: &Frame, called: &mut BTreeSet<usize>) {
        self.unroutable += 1;
        let mut cut = VecDeque::new();
        segment(&from_frame(frame), &mut cut);
        let first = cut.front().map(|packet| to_frame(packet).bytes);
        if let Some(report) = first.and_then(|packet| no_route(&packet)) {
            // Nobody is told of a report.
            self.forward(now, node, Frame { bytes: report.into(), ..Frame::default() }, called);
        }
    }

    fn hop(&mut self, at: usize, frame: &Frame) -> Hop {
        let destination = quote::addresses(&frame.bytes).map(|(_, destination)| destination);
        let Some(to) = destination.and_then(|address| self.owner(address)) else { return Hop::Nowhere };
        if to == at {
            return Hop::Here;
        }
        if !self.hops.contains_key(&to) {
            let hops = self.paths(to);
            self.hops.insert(to, hops);
        }
        let way = self.hops.get(&to).and_then(|hops| hops.get(at).copied().flatten());
        way.map_or(Hop::Nowhere, Hop::By)
    }

    fn owner(&self, address: IpAddr) -> Option<usize> {
        let behind = || self.behind.iter().find(|(network, _)| network.contains(address));
        self.owners.get(&address).copied().or_else(|| behind().map(|(_, node)| *node))
    }

    /// The first way of a shortest path from every node to one; of several the one whose link was made first.
    fn paths(&self, to: usize) -> Vec<Option<usize>> {
        let passes = |node: usize| node == to || self.nodes.get(node).is_some_and(|node| node.router);
        let mut distances = vec![usize::MAX; self.nodes.len()];
        let mut queue = VecDeque::from([(to, 0)]);
        while let Some((node, distance)) = queue.pop_front() {
            let Some(known) = distances.get_mut(node).filter(|known| **known == usize::MAX) else { continue };
            *known = distance;
            if passes(node) {
                let ways = self.nodes.get(node).into_iter().flat_map(|node| &node.ways);
                queue.extend(ways.filter_map(|way| self.ways.get(*way)).map(|way| (way.to, distance + 1)));
            }
        }
        let distance = |node: usize| distances.get(node).copied().unwrap_or(usize::MAX);
        let nearer = |own: usize, way: usize| {
            let next = self.ways.get(way).map(|way| way.to).filter(|next| passes(*next));
            next.is_some_and(|next| distance(next) < own)
        };
        let first = |(node, own): (&Node, usize)| node.ways.iter().copied().find(|way| nearer(own, *way));
        let all = self.nodes.iter().enumerate().map(|(index, node)| (node, distance(index)));
        all.map(|(node, own)| if own == usize::MAX { None } else { first((node, own)) }).collect()
    }

    fn check_node(&self, node: usize) -> Result<(), Error> {
        if node < self.nodes.len() {
            return Ok(());
        }
        Err(Error::new(Errno::EINVAL, format!("there is no node {node}: there are {}", self.nodes.len())))
    }

    fn check_link(&self, link: usize) -> Result<(), Error> {
        if link < self.ways.len() / 2 {
            return Ok(());
        }
        Err(Error::new(Errno::EINVAL, format!("there is no link {link}: there are {}", self.ways.len() / 2)))
    }
}

#[cfg(test)]
mod tests;
