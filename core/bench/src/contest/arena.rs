//! One sample: a sandbox, the peer in it, a contender on its TUN.

use super::contender::{Programs, Who};
use super::measure::{Link, Measure, Quantity};
use super::order::{Order, PEER, PREFIX, Role};
use super::placement::{Placement, Processors, bound};
use super::process::{Process, this_program};
use super::tally::Told;
use crate::Result;
use crate::load::Load;
use std::fs::File;
use std::thread;
use std::time::Duration;
use usertcp_core::api::{Sandbox, SandboxOptions};

/// For how long a sample runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Slow start, and buffers that grow.
    pub(crate) warm: Duration,
    pub(crate) window: Duration,
}

/// Longest that all connections may take to open.
const OPENS_WITHIN: Duration = Duration::from_secs(60);

/// Longest that a million connections may take to open, to say a word and to close, on a slow machine.
const CROWD_WITHIN: Duration = Duration::from_secs(240);

/// How much later than its time a line may come.
const LATE: Duration = Duration::from_secs(10);

/// From when the last connection is open to when memory is looked at: what was put off is done.
const SETTLES: Duration = Duration::from_millis(500);

/// What the kernel is set to in a sandbox.
const SETTINGS: [(&str, &str); 5] = [
    ("net.ipv4.tcp_rmem", "4096 131072 33554432"),
    ("net.ipv4.tcp_wmem", "4096 16384 4194304"),
    ("net.ipv4.tcp_no_metrics_save", "1"),
    ("net.core.somaxconn", "200000"),
    ("net.ipv4.tcp_max_syn_backlog", "200000"),
];

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) values: Vec<(Quantity, f64)>,
    /// Cores that other programs, or the host, used meanwhile.
    pub(crate) others: f64,
    /// What the machine did not allow to be set.
    pub(crate) complaints: Vec<String>,
}

/// Takes it.
pub(crate) fn sample(
    who: Who,
    measure: &Measure,
    pace: Pace,
    programs: &Programs,
    processors: Processors,
) -> Result<Sample> {
    if measure.link == Link::Memory {
        return crowd(measure);
    }
    if matches!(measure.link, Link::Pair | Link::Virtual) {
        return alone(who, measure, pace, programs, processors);
    }
    let device = who.device(measure.link);
    let options = SandboxOptions {
        host_addresses: vec![format!("{PEER}/{PREFIX}").parse()?],
        mtu: device.mtu,
        offload: device.offload,
        queues: who.queues(),
    };
    let sandbox = Sandbox::open(&options)?;
    let set =
        |(name, value): (&str, &str)| sandbox.set_sysctl(name, value).err().map(|error| error.to_string());
    let complaints = SETTINGS.into_iter().filter_map(set).collect();
    let order = Order {
        who: who.to_string(),
        role: measure.role,
        connections: measure.connections,
        ports: measure.ports(),
        mtu: device.mtu,
        offload: device.offload,
        warm: pace.warm,
        window: pace.window,
        spin: who.spin(),
        caller: processors.caller(who.placement(measure)),
    };
    let arguments = this_program("peer", order.words())?;
    let peer = bound(&[processors.peer], || Process::inside("peer", &arguments, &sandbox))?;
    peer.line("ready", OPENS_WITHIN)?;
    let places = processors.contender(who.placement(measure));
    let contender = bound(&places, || who.start(&order, programs, &sandbox))?;
    let (told, used, others) = match measure.role {
        Role::Idle => idle(&contender)?,
        _ => window(measure, &order, &peer, &contender)?,
    };
    Ok(Sample { values: measure.quantities(&told, used), others, complaints })
}

/// What was told of a window, the processor time of the contender and the cores of others meanwhile.
fn window(
    measure: &Measure,
    order: &Order,
    peer: &Process,
    contender: &Process,
) -> Result<(Told, Duration, f64)> {
    contender.line("open", OPENS_WITHIN)?;
    let teller = if measure.told_by_contender() { contender } else { peer };
    teller.line("begin", order.warm + LATE)?;
    let (load, before) = (Load::of(&[peer.id(), contender.id()])?, contender.time()?);
    let line = teller.line("end", order.window + LATE)?;
    let (used, cores) = (contender.time()?.saturating_sub(before), load.since()?);
    let told = Told::parse(&line).ok_or_else(|| format!("'{line}' is not understood"))?;
    if told.numbers.iter().all(|number| *number == 0) {
        return Err("nothing has come through".into());
    }
    Ok((told, used, cores.others))
}

/// Connections over a link in memory, in a process of their own.
fn crowd(measure: &Measure) -> Result<Sample> {
    let arguments = this_program("crowd", [measure.connections.to_string()])?;
    let process = Process::outside("crowd", &arguments, File::open("/dev/null")?.into())?;
    let line = process.line("end", CROWD_WITHIN)?;
    let told = Told::parse(&line).ok_or_else(|| format!("'{line}' is not understood"))?;
    Ok(Sample { values: measure.quantities(&told, Duration::ZERO), others: 0.0, complaints: Vec::new() })
}

/// A contender that has both ends.
fn alone(
    who: Who,
    measure: &Measure,
    pace: Pace,
    programs: &Programs,
    processors: Processors,
) -> Result<Sample> {
    let order = Order {
        who: who.to_string(),
        role: measure.role,
        connections: measure.connections,
        ports: 1,
        mtu: 1500,
        offload: false,
        warm: pace.warm,
        window: pace.window,
        spin: Duration::ZERO,
        caller: None,
    };
    // Two hosts in one process are told by what a processor can do.
    let placement = if measure.link == Link::Virtual { Placement::Apart } else { measure.placement };
    let contender =
        bound(&processors.contender(placement), || who.start_alone(&order, measure.link, programs))?;
    contender.line("begin", OPENS_WITHIN)?;
    let load = Load::of(&[contender.id()])?;
    let line = contender.line("end", order.window + LATE)?;
    // What is told of it counts its children only once they have ended, so that of a pair the other end would be a stranger.
    let others = if measure.link == Link::Virtual { load.since()?.others } else { 0.0 };
    let told = Told::parse(&line).ok_or_else(|| format!("'{line}' is not understood"))?;
    Ok(Sample { values: measure.quantities(&told, Duration::ZERO), others, complaints: Vec::new() })
}

/// The same of connections that are only kept; the number told is how much memory they take. Others do not change that.
fn idle(contender: &Process) -> Result<(Told, Duration, f64)> {
    contender.line("ready", OPENS_WITHIN)?;
    let before = contender.memory()?;
    contender.line("open", OPENS_WITHIN)?;
    thread::sleep(SETTLES);
    let taken = contender.memory()?.saturating_sub(before);
    Ok((Told { took: SETTLES, numbers: vec![taken] }, Duration::ZERO, 0.0))
}
