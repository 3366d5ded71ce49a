//! Starting and ending a running stack.

use super::bell::Bell;
use super::bridges::Adoptions;
use super::capture::Capture;
use super::gate::Gate;
use super::io::{self, Outlets};
use super::watch::Watch;
use super::{Engine, Phase, inside};
use crate::buffer::PagePool;
use crate::clock;
use crate::config::BufferConfig;
use crate::engine::Turn;
use crate::error::{Errno, Error, Result};
use crate::link::Device;
use crate::socket::EventFd;
use crate::stack::Stack;
use crate::sync::{Arc, AtomicU32, Mutex, lock};
use crate::sys;
use crate::time::Duration;
use std::fs::File;
use std::thread::{Builder, JoinHandle};

/// What a running stack is made of.
pub(crate) struct Parts {
    pub(crate) stack: Stack,
    pub(crate) device: Box<dyn Device>,
    pub(crate) buffers: BufferConfig,
    /// As in `Config`.
    pub(crate) spin: Duration,
    pub(crate) outlets: Outlets,
    /// Name of the device.
    pub(crate) name: String,
    /// Where the events of every connection go.
    pub(crate) trace: Option<File>,
}

/// The owner of a running stack: when the last stack and socket of a program let go of it, the I/O thread ends.
#[derive(Debug)]
pub(crate) struct Running {
    engine: Arc<Engine>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// How often whoever closes is asked whether it still wants to wait.
const PATIENCE_ASKED_EVERY: Duration = Duration::from_millis(50);

impl Running {
    /// Starts the I/O thread.
    pub(crate) fn start(parts: Parts) -> Result<Arc<Self>> {
        let (commands, receiver) = crossbeam_channel::unbounded();
        let pool = || PagePool::new(parts.buffers.page, parts.buffers.pool_pages);
        let capture = parts.outlets.capture.is_some().then(|| Capture::new(&parts.name));
        let watch = Watch::new(parts.device.descriptor(), EventFd::new()?, parts.spin);
        let mut turn = Turn::new(parts.stack, parts.device, pool(), receiver, capture);
        turn.begin(clock::now(), &parts.name);
        if let Some(file) = parts.trace {
            turn.trace(clock::now(), Some(file));
        }
        let engine = Arc::new(Engine {
            gate: Gate::default(),
            turn: Mutex::new(Some(turn)),
            bell: Bell::new()?,
            watch,
            commands,
            phase: AtomicU32::new(Phase::Open as u32),
            home: sys::Home::new()?,
            sleepers: Mutex::new(Vec::new()),
            descriptors: Mutex::default(),
            adoptions: Adoptions::default(),
            pages: pool(),
        });
        let (worker, mut outlets) = (engine.clone(), parts.outlets);
        outlets.name = parts.name;
        let builder = Builder::new().name(io::THREAD_NAME.to_owned());
        let spawned = sys::with_signals_blocked(|| builder.spawn(move || io::run(&worker, outlets)));
        let thread = spawned.map_err(|error| {
            let errno = Errno(error.raw_os_error().unwrap_or(Errno::EAGAIN.0));
            Error::new(errno, format!("the I/O thread cannot be started: {error}"))
        })?;
        Ok(Arc::new(Self { engine, thread: Mutex::new(Some(thread)) }))
    }

    /// What callers and the I/O thread share.
    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Closes gracefully: see `api::Stack::close_while`.
    pub(crate) fn close(
        &self,
        timeout: Option<Duration>,
        mut patient: impl FnMut() -> bool,
    ) -> Result<(), Errno> {
        self.engine.check()?;
        if !self.engine.advance(Phase::Closing) {
            return Err(Errno::EBADF);
        }
        let until = timeout.map(|timeout| clock::now() + timeout);
        let mut begun = false;
        let mut look = |turn: &mut Turn, now| {
            if !begun {
                begun = true;
                turn.stack.close_all(now);
            }
            (turn.stack.live_connections() == 0).then_some(())
        };
        let finished = loop {
            let pause = clock::now() + PATIENCE_ASKED_EVERY;
            let finished = self.engine.watch(Some(until.map_or(pause, |until| until.min(pause))), &mut look);
            let over = until.is_some_and(|until| clock::now() >= until);
            if finished.is_some() || over || !patient() || self.engine.is_poisoned() {
                break finished;
            }
        };
        self.engine.advance(Phase::Ending);
        self.join();
        if self.engine.is_poisoned() {
            return Err(Errno::ENOTRECOVERABLE);
        }
        finished.ok_or(Errno::ETIMEDOUT)
    }

    /// Whether this is a child by fork: it has no I/O thread, and locks may be held by threads that it does not have.
    pub(crate) fn is_forked(&self) -> bool {
        !self.engine.is_home()
    }

    fn join(&self) {
        if inside::is_inside(&self.engine) {
            return;
        }
        if let Some(thread) = lock(&self.thread).take() {
            // It ends with a value: what panics inside it is caught.
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_forked() {
            self.engine.advance(Phase::Ending);
        }
    }
}
