//! A running stack.

use super::control::Control;
use super::names::{Beside, Names};
use super::options::create;
use super::settings::Settings;
use super::{DeviceOptions, LogSink, Offload, Socket, StackOptions, TraceSink};
use crate::config::Config;
use crate::counters::Counters;
use crate::device;
use crate::engine::{CaptureFile, Clock, Deliver, Host, Outlets, Parts, Running, Traces, Turn, not_written};
use crate::error::{Errno, Error, Result};
use crate::link::Device;
use crate::link::impair::{Impaired, Impairment};
use crate::rng::Rng;
use crate::sandbox;
use crate::stack::{self, Domain};
use crate::sync::Arc;
use crate::time::Duration;
use crate::trace::Log;
use std::fs::File;

/// A stack with its I/O thread. Clones are the same stack; dropping the last clone and the last socket aborts it.
#[derive(Clone, Debug)]
pub struct Stack {
    pub(super) running: Arc<Running>,
    pub(super) names: Arc<Names>,
    device_name: Arc<String>,
    offloaded: bool,
    /// Where packets go that its capture keeps.
    ring: Option<CaptureFile>,
    control: Option<Arc<Served>>,
}

/// A stack that has been opened and is to run.
pub(super) struct Plan {
    pub(super) config: Config,
    pub(super) names: Names,
    pub(super) capture: Option<File>,
    /// Bytes that the capture keeps; 0: it writes everything.
    pub(super) ring: usize,
    pub(super) log: Option<LogSink>,
    pub(super) trace: Option<File>,
    /// One for each worker.
    pub(super) devices: Vec<Box<dyn Device>>,
    /// Name of the device.
    pub(super) name: String,
    /// Where it stands in a simulated network, if it does.
    pub(super) host: Option<Host>,
}

/// The control socket of a stack; it goes with the last clone.
#[derive(Debug)]
struct Served {
    control: Control,
    running: Arc<Running>,
}

impl Drop for Served {
    fn drop(&mut self) {
        if !self.running.is_forked() {
            self.control.close();
        }
    }
}

impl Stack {
    /// Opens the device and starts the I/O threads. EINVAL names the setting, EPERM the ways to get at a TUN device.
    pub fn open(options: StackOptions) -> Result<Self> {
        let StackOptions {
            mut config,
            seed,
            device,
            workers,
            impairment,
            impairment_in,
            pcap,
            pcap_ring,
            log,
            trace,
            control,
            names,
        } = options;
        config.validate()?;
        check_ring(pcap_ring, workers, pcap.is_some())?;
        check_workers(workers, &device, impairment.or(impairment_in).is_some())?;
        if config.secret == [0; 16] {
            config.secret = secret(seed)?;
        }
        let names = Names::open(names, config.secret, Beside::System)?;
        let capture = pcap.as_deref().map(|path| create("capture", path)).transpose()?;
        let trace = trace.map(TraceSink::open).transpose()?;
        let impaired = impairment.or(impairment_in).is_some();
        let (mut devices, name) = open_devices(device, &config, impaired, workers)?;
        if let Some(incoming) = impairment_in.or(impairment) {
            let seed = Rng::from_key(config.secret).fork("impairment").next_u64();
            let impair =
                |device| Impaired::asymmetric(device, impairment.unwrap_or_default(), incoming, seed);
            devices = devices
                .into_iter()
                .map(|device| Ok(Box::new(impair(device)?) as _))
                .collect::<Result<_>>()?;
        }
        let plan = Plan { config, names, capture, ring: pcap_ring, log, trace, devices, name, host: None };
        let mut stack = Self::run(plan)?;
        if let Some(path) = control {
            let control = Control::open(&path, stack.running.engines().cloned().collect())?;
            stack.control = Some(Arc::new(Served { control, running: stack.running.clone() }));
        }
        Ok(stack)
    }

    /// Starts what has been opened.
    pub(super) fn run(plan: Plan) -> Result<Self> {
        let Plan { config, names, capture, ring, log, trace, devices, name, host } = plan;
        let workers = devices.len();
        let capabilities = devices.first().ok_or(Errno::EINVAL)?.capabilities();
        let level = log.as_ref().map(|sink| sink.level);
        let (buffers, spin) = (config.buffers.clone(), config.spin);
        let stacks = stack::Stack::workers(&config, workers, capabilities, || Log::new(level))?;
        let log = log.map(|LogSink { deliver, .. }| if workers > 1 { in_turn(deliver) } else { deliver });
        let capture = capture.map(CaptureFile::new);
        let kept = capture.clone().filter(|_| ring > 0);
        let clock = host.as_ref().map_or(Clock::SYSTEM, |host| Clock::of(host.network.clone()));
        let outlets = Outlets { capture, log, traces: Traces::default(), name: String::new(), clock };
        let workers = stacks.into_iter().zip(devices).collect();
        let parts = Parts { workers, buffers, spin, outlets, ring, name: name.clone(), trace, host };
        let running = Running::start(parts)?;
        let offloaded = capabilities.tso4 || capabilities.tso6;
        let (names, device_name) = (Arc::new(names), Arc::new(name));
        Ok(Self { running, names, device_name, offloaded, ring: kept, control: None })
    }

    /// Ends the stack: blocked callers wake with ECANCELED, queued data and FINs go out, and whatever is not done after `timeout` is reset.
    /// ETIMEDOUT when something had to be reset, EBADF when it was closed before. `None` waits as long as the protocol does.
    pub fn close(&self, timeout: Option<Duration>) -> Result<()> {
        self.close_while(timeout, || true)
    }

    /// [`Stack::close`] for a caller who may lose patience: `patient` is asked every 50 ms, and `false` resets what is not done.
    pub fn close_while(&self, timeout: Option<Duration>, patient: impl FnMut() -> bool) -> Result<()> {
        let outcome = self.running.close(timeout, patient);
        let closed = !matches!(outcome, Err(Errno::EDEADLK | Errno::ECHILD));
        if let Some(served) = self.control.as_ref().filter(|_| closed) {
            served.control.close();
        }
        Ok(outcome?)
    }

    /// A new TCP socket, blocking, without time-outs. EMFILE, EAFNOSUPPORT, EBADF (closed), ENOTRECOVERABLE (poisoned).
    pub fn socket(&self, domain: Domain) -> Result<Socket> {
        let (id, cell) = self.make(|turn| turn.stack.socket(domain))?;
        Ok(Socket::new(self.running.clone(), id, cell, Settings::default()))
    }

    /// A new UDP socket, blocking, without time-outs. Errors as [`Stack::socket`].
    pub fn datagram_socket(&self, domain: Domain) -> Result<Socket> {
        let (id, cell) = self.make(|turn| turn.stack.datagram_socket(domain))?;
        Ok(Socket::new(self.running.clone(), id, cell, Settings::default()))
    }

    /// What its time-outs go by.
    pub(super) fn clock(&self) -> &Clock {
        self.running.engine().clock()
    }

    pub(super) const fn running(&self) -> &Arc<Running> {
        &self.running
    }

    fn make<T>(&self, make: impl Fn(&mut Turn) -> Result<T, Errno>) -> Result<T, Errno> {
        let engine = self.running.next_engine();
        let made = engine.control(|turn, _| make(turn));
        if matches!(made, Err(Errno::EMFILE)) && self.running.settle() {
            return engine.control(|turn, _| make(turn));
        }
        made
    }

    /// Totals.
    pub fn counters(&self) -> Result<Counters> {
        let mut totals = Counters::default();
        for engine in self.running.engines() {
            totals.add(&engine.control(|turn, _| Ok(turn.counters()))?);
        }
        Ok(totals)
    }

    /// Writes what happens to every connection to `sink` from now on, those that live already included, and what the stack drops; `None`: no more.
    /// Lines of JSON in the structure of qlog, which `docs/trace.md` describes. The sink before is closed once everything is in it.
    pub fn trace(&self, sink: Option<TraceSink>) -> Result<()> {
        let file = sink.map(TraceSink::open).transpose()?;
        let mut engines = self.running.engines();
        let Some(first) = engines.next() else { return Ok(()) };
        let sink = first.control(|turn, now| Ok(turn.trace(now, file)))?;
        for engine in engines {
            engine.control(|turn, now| {
                turn.trace_to(now, sink.clone());
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Other faults between stack and link for what is sent and what is received from here on; packets under way arrive as they would have, in order. EINVAL: settings
    /// that make no sense, and nothing has changed, or the stack was opened without impairments; EBADF (closed).
    pub fn impair(&self, outgoing: Impairment, incoming: Impairment) -> Result<()> {
        for engine in self.running.engines() {
            engine.control(|turn, _| Ok(turn.impair(outgoing, incoming)))??;
        }
        Ok(())
    }

    /// Writes to the capture file what `StackOptions::pcap_ring` has kept, as when a connection is cut off; it is written when the call returns. EINVAL: there is
    /// no such ring; EBADF (closed); the error of writing.
    pub fn dump_capture(&self) -> Result<()> {
        let Some(ring) = &self.ring else {
            let text = "no packets are kept: open the stack with pcap and pcap_ring";
            return Err(Error::new(Errno::EINVAL, text));
        };
        for engine in self.running.engines() {
            let kept = engine.control(|turn, _| Ok(turn.take_captured()))?;
            ring.write(&kept).map_err(|error| not_written(&error))?;
        }
        Ok(())
    }

    /// Name of the device, empty for a descriptor that has none.
    #[must_use]
    pub fn device_name(&self) -> String {
        self.device_name.to_string()
    }

    /// Whether the device takes super-frames.
    #[must_use]
    pub fn offloaded(&self) -> bool {
        self.offloaded
    }
}

/// Refuses what several workers cannot work with.
fn check_workers(workers: usize, device: &DeviceOptions, impaired: bool) -> Result<()> {
    let refuse = |text: String| Err(Error::new(Errno::EINVAL, text));
    if !(1..=stack::WORKERS_MAX).contains(&workers) {
        return refuse(format!("workers must be from 1 to {}, not {workers}", stack::WORKERS_MAX));
    }
    match device {
        DeviceOptions::Queues(queues) if queues.len() != workers => {
            let count = queues.len();
            return refuse(format!(
                "workers is {workers}, and so must be the queues of the device: {count} given"
            ));
        }
        DeviceOptions::Descriptor(_) if workers > 1 => {
            return refuse(format!(
                "{workers} workers need as many queues of the device, and a descriptor is one: give all queues of a TUN that was \
                 opened with IFF_MULTI_QUEUE, or open it by name, or have one worker"
            ));
        }
        _ => {}
    }
    if workers > 1 && impaired {
        let text = "impairments act on one queue of packets: a stack that has them has one worker";
        return refuse(text.to_owned());
    }
    Ok(())
}

/// Refuses a ring that no packet fits into, or that nothing is written from.
pub(super) fn check_ring(ring: usize, workers: usize, captured: bool) -> Result<()> {
    match ring / workers.max(1) {
        _ if ring == 0 => Ok(()),
        _ if !captured => {
            Err(Error::new(Errno::EINVAL, "pcap_ring keeps packets for a capture file: set pcap as well"))
        }
        0..RING_LEAST => {
            let text =
                format!("pcap_ring is {ring}: it holds {RING_LEAST} bytes for each worker at least, or 0");
            Err(Error::new(Errno::EINVAL, text))
        }
        _ => Ok(()),
    }
}

/// Bytes of the smallest ring of packets: each half holds a super-frame.
const RING_LEAST: usize = 128 << 10;

/// Has a function called by one thread at a time.
fn in_turn(deliver: Deliver) -> Deliver {
    let turn = std::sync::Mutex::new(());
    std::sync::Arc::new(move |record| {
        let _turn = turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        deliver(record);
    })
}

/// The queues of the link: one, unless there are more `workers`.
fn open_devices(
    options: DeviceOptions,
    config: &Config,
    impaired: bool,
    workers: usize,
) -> Result<(Vec<Box<dyn Device>>, String)> {
    match options {
        DeviceOptions::Tun { name, host_addresses, offload } => {
            let offload = match (offload, impaired) {
                (Offload::Off, _) | (Offload::Auto, true) => Some(false),
                (Offload::Auto, false) => None,
                (Offload::Required, false) => Some(true),
                (Offload::Required, true) => return Err(impaired_offload()),
            };
            device::open_tun(name.as_deref(), &host_addresses, config.mtu, offload, workers)
        }
        DeviceOptions::Descriptor(fd) => {
            let (device, name) = device::from_descriptor(fd, config.mtu, sandbox::queue_length)?;
            let capabilities = device.capabilities();
            if impaired && (capabilities.checksum || capabilities.tso4 || capabilities.tso6) {
                return Err(impaired_offload());
            }
            Ok((vec![device], name))
        }
        DeviceOptions::Queues(queues) => device::from_queues(queues, config.mtu, sandbox::queue_length),
    }
}

fn impaired_offload() -> Error {
    Error::new(
        Errno::EINVAL,
        "impairments act on packets, not on super-frames: open the device without offload",
    )
}

/// The key of everything random: from the seed, or from the system.
fn secret(seed: Option<u64>) -> Result<[u8; 16]> {
    if let Some(seed) = seed {
        return Ok(Rng::from_seed(seed).fork("secret").next_key());
    }
    let mut secret = [0; 16];
    //= https://www.rfc-editor.org/rfc/rfc6528#section-4
    //# If random numbers are used as the sole source of the secret, they MUST be chosen in accordance with the recommendations given in [RFC4086] (6528:4-1).
    getrandom::fill(&mut secret)
        .map_err(|error| Error::new(Errno::EIO, format!("the system gives no random bytes: {error}")))?;
    Ok(secret)
}
