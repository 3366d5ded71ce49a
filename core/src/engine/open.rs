//! Starting and ending a running stack.

use super::bell::Bell;
use super::bridges::Adoptions;
use super::capture::Capture;
use super::crew::{Crew, Mates};
use super::gate::Gate;
use super::io::{self, Outlets, not_written};
use super::watch::Watch;
use super::{Conductor, Engine, Phase, inside};
use crate::buffer::{PagePool, SocketId};
use crate::config::BufferConfig;
use crate::engine::Turn;
use crate::error::{Errno, Error, Result};
use crate::link::Device;
use crate::stack::Stack;
use crate::sync::{Arc, AtomicU32, AtomicUsize, Mutex, Ordering, lock};
use crate::sys;
use crate::time::{Duration, Instant};
use std::fs::File;
use std::thread::{Builder, JoinHandle};

/// What a running stack is made of.
pub(crate) struct Parts {
    /// Its workers: each has a queue of the device. There is one at least.
    pub(crate) workers: Vec<(Stack, Box<dyn Device>)>,
    pub(crate) buffers: BufferConfig,
    /// As in `Config`.
    pub(crate) spin: Duration,
    pub(crate) outlets: Outlets,
    /// Bytes of packets that a capture keeps until a connection is cut off; 0: it writes all of them.
    pub(crate) ring: usize,
    /// Name of the device.
    pub(crate) name: String,
    /// Where the events of every connection go.
    pub(crate) trace: Option<File>,
    /// Where it stands in a simulated network, if it does: it has one worker then, and no I/O thread.
    pub(crate) host: Option<Host>,
}

/// A place in a simulated network.
pub(crate) struct Host {
    pub(crate) network: Arc<Conductor>,
    pub(crate) node: usize,
}

impl Host {
    fn bell(&self) -> Arc<Bell> {
        Arc::new(Bell::calling(self.network.calls().clone(), self.node))
    }
}

/// The owner of a running stack: when the last stack and socket of a program let go of it, the I/O threads end.
#[derive(Debug)]
pub(crate) struct Running {
    first: Arc<Engine>,
    /// The other workers.
    others: Box<[Arc<Engine>]>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Where the next socket is made, of several workers.
    turn: AtomicUsize,
}

/// How often whoever closes is asked whether it still wants to wait.
const PATIENCE_ASKED_EVERY: Duration = Duration::from_millis(50);

impl Running {
    /// Starts the I/O threads.
    pub(crate) fn start(parts: Parts) -> Result<Arc<Self>> {
        let Parts { workers, buffers, spin, mut outlets, ring, name, mut trace, host } = parts;
        outlets.name.clone_from(&name);
        let clock = outlets.clock.clone();
        let bell = |_| host.as_ref().map_or_else(|| Bell::new().map(Arc::new), |host| Ok(host.bell()));
        let bells = workers.iter().map(bell).collect::<Result<Box<[_]>>>()?;
        let alone = bells.len() == 1;
        let (crew, heard) = Crew::new(bells.clone());
        let captured = outlets.capture.as_ref();
        captured
            .map_or(Ok(()), |file| file.write(&Capture::header(&name)))
            .map_err(|error| not_written(&error))?;
        // Each worker keeps an equal part.
        let ring = ring / bells.len().max(1);
        let mut engines = Vec::new();
        let mut traced = None;
        for ((number, (stack, device)), (bell, heard)) in (0..).zip(workers).zip(bells.iter().zip(heard)) {
            let (commands, receiver) = crossbeam_channel::unbounded();
            let pool = || PagePool::new(buffers.page, buffers.pool_pages);
            let capture = outlets.capture.as_ref().map(|_| Capture::new(ring, clock.epoch()));
            let watch = Watch::new(device.descriptor(), spin)?;
            let mut turn = Turn::new(stack, device, pool(), receiver, capture);
            if !alone {
                turn.join(Mates::new(crew.clone(), heard), number);
            }
            if number == 0 {
                turn.begin(clock.now(), &name);
            }
            match trace.take() {
                Some(file) => traced = turn.trace(clock.now(), Some(file)),
                None if traced.is_some() => turn.trace_to(clock.now(), traced.clone()),
                None => {}
            }
            engines.push(Arc::new(Engine {
                gate: Gate::default(),
                turn: Mutex::new(Some(turn)),
                bell: bell.clone(),
                crew: (!alone).then(|| crew.clone()),
                watch,
                commands,
                phase: AtomicU32::new(Phase::Open as u32),
                home: sys::Home::new()?,
                sleepers: Mutex::new(Vec::new()),
                descriptors: Mutex::default(),
                adoptions: Adoptions::default(),
                pages: pool(),
                clock: clock.clone(),
            }));
        }
        let mut engines = engines.into_iter();
        let first = engines.next().ok_or(Errno::EINVAL)?;
        let (threads, turn) = (Mutex::new(Vec::new()), AtomicUsize::new(0));
        let running = Arc::new(Self { first, others: engines.collect(), threads, turn });
        if let Some(Host { network, node }) = host {
            network.adopt(node, running.first.clone(), outlets);
            return Ok(running);
        }
        for engine in running.engines() {
            let (engine, outlets) = (engine.clone(), outlets.clone());
            let builder = Builder::new().name(io::THREAD_NAME.to_owned());
            let spawned = sys::with_signals_blocked(|| builder.spawn(move || io::run(&engine, outlets)));
            let thread = spawned.map_err(|error| {
                let errno = Errno(error.raw_os_error().unwrap_or(Errno::EAGAIN.0));
                Error::new(errno, format!("the I/O thread cannot be started: {error}"))
            })?;
            lock(&running.threads).push(thread);
        }
        Ok(running)
    }

    /// What callers and the I/O thread share, of the first worker, or the only one.
    pub(crate) fn engine(&self) -> &Engine {
        &self.first
    }

    /// What callers and the I/O thread share, of the worker that has a socket.
    pub(crate) fn engine_of(&self, id: SocketId) -> &Arc<Engine> {
        match id.worker() {
            0 => &self.first,
            worker => self.others.get(worker - 1).unwrap_or(&self.first),
        }
    }

    /// The same of the worker that is to have the next socket.
    pub(crate) fn next_engine(&self) -> &Engine {
        if self.others.is_empty() {
            return &self.first;
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % (self.others.len() + 1);
        if turn == 0 { &self.first } else { self.others.get(turn - 1).unwrap_or(&self.first) }
    }

    /// Has every worker do what calls have left to be done, since what one holds another may ask for; false: there is only one, which does so in any case.
    pub(crate) fn settle(&self) -> bool {
        let several = !self.others.is_empty();
        if several {
            self.engines().for_each(|engine| {
                // A stack that has ended tells those who call it.
                let _ = engine.control(|_, _| Ok(()));
            });
        }
        several
    }

    /// The same of all workers.
    pub(crate) fn engines(&self) -> impl Iterator<Item = &Arc<Engine>> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Closes gracefully: see `api::Stack::close_while`.
    pub(crate) fn close(
        &self,
        timeout: Option<Duration>,
        mut patient: impl FnMut() -> bool,
    ) -> Result<(), Errno> {
        self.first.check()?;
        if !self.first.advance(Phase::Closing) {
            return Err(Errno::EBADF);
        }
        for engine in &self.others {
            engine.advance(Phase::Closing);
        }
        let until = timeout.map(|timeout| self.first.clock.now() + timeout);
        for engine in self.engines() {
            // After a panic there is nothing to wait for, which is seen below.
            let _ = engine.hold(|turn, now| {
                turn.stack.close_all(now);
                Ok(())
            });
        }
        let finished = self.engines().all(|engine| finishes(engine, until, &mut patient));
        self.end();
        self.join();
        if self.engines().any(|engine| engine.is_poisoned()) {
            return Err(Errno::ENOTRECOVERABLE);
        }
        if finished { Ok(()) } else { Err(Errno::ETIMEDOUT) }
    }

    /// Whether this is a child by fork: it has no I/O thread, and locks may be held by threads that it does not have.
    pub(crate) fn is_forked(&self) -> bool {
        !self.first.is_home()
    }

    fn end(&self) {
        self.engines().for_each(|engine| {
            engine.advance(Phase::Ending);
        });
        if let Some(network) = self.first.clock.conductor() {
            network.finish();
        }
    }

    fn join(&self) {
        if inside::is_inside_stack(&self.first) {
            return;
        }
        if let Some(network) = self.first.clock.conductor() {
            // It has no thread that would do it.
            let _ = network.settle();
        }
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            // It ends with a value: what panics inside it is caught.
            let _ = thread.join();
        }
    }
}

/// Waits until the connections of a worker have nothing more to say; false if that is not to be waited for any longer.
fn finishes(engine: &Engine, until: Option<Instant>, patient: &mut impl FnMut() -> bool) -> bool {
    let look = |turn: &mut Turn, _: Instant| (turn.stack.live_connections() == 0).then_some(());
    loop {
        let pause = engine.clock.now() + PATIENCE_ASKED_EVERY;
        let pause = until.map_or(pause, |until| until.min(pause));
        if engine.watch(Some(pause), look).is_some() {
            return true;
        }
        let over = until.is_some_and(|until| engine.clock.now() >= until);
        // Who steps a network cannot sleep in it: its time stands still.
        let ends = |network: &Arc<Conductor>| network.is_closed() || network.baton().is_stepping();
        let closed = engine.clock.conductor().is_some_and(ends);
        if over || closed || !patient() || engine.is_poisoned() {
            return false;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_forked() {
            self.end();
        }
    }
}
