//! Every call that may sleep: it lets go of the interpreter's lock first, and a signal ends the sleep.
//!
//! A signal handler that runs on the sleeping thread ends the sleep with EINTR. One that runs on another thread, or just before the sleep begins,
//! does not: so the main thread, the only one that Python runs handlers on, never sleeps longer than [`SLICE`] at a time. Where time is simulated the network asks
//! for signals itself, since a slice of its time takes none: see [`crate::network`].

use crate::failure::Failure;
use crate::network::interruption;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::cell::Cell;
use std::sync::OnceLock;
use std::thread::ThreadId;
use std::time::Duration;
use usertcp_core::api::{Errno, Error, Time, Wait};

/// Longest sleep of the main thread between two looks at the pending signals.
const SLICE: Duration = Duration::from_millis(50);

/// The thread that is ending the interpreter, once there is one.
static LEAVING: OnceLock<ThreadId> = OnceLock::new();

/// How long a call may take in all.
#[derive(Clone, Copy)]
pub(crate) enum Patience {
    /// It must answer at once.
    Never,
    /// Until it is so late by the call's time; then `TimeoutError`, or the error of an option such as SO_RCVTIMEO.
    Until(Duration, Option<Errno>),
    /// For ever.
    Forever,
}

/// Whether a long sleep may be divided into slices.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sleep {
    /// The call has no effect until it succeeds: it can be begun again.
    Sliced,
    /// A partial result would be lost or returned early.
    Whole,
}

impl Patience {
    /// At most `limit` from now.
    pub(crate) fn at_most(time: Time<'_>, limit: Duration, expired: Option<Errno>) -> Self {
        time.now().checked_add(limit).map_or(Self::Forever, |end| Self::Until(end, expired))
    }

    /// As Python writes it: seconds, zero for not at all, None for ever.
    pub(crate) fn from_seconds(time: Time<'_>, seconds: Option<f64>) -> PyResult<Self> {
        Ok(match duration(seconds)? {
            None => Self::Forever,
            Some(Duration::ZERO) => Self::Never,
            Some(limit) => Self::at_most(time, limit, None),
        })
    }

    fn wait(self, time: Time<'_>, longest: Duration) -> Wait {
        let left = match self {
            Self::Never => return Wait::Never,
            Self::Forever if longest == Duration::MAX => return Wait::Forever,
            Self::Forever => Duration::MAX,
            Self::Until(end, _) => end.saturating_sub(time.now()),
        };
        Wait::AtMost(left.min(longest))
    }

    fn expired(self, time: Time<'_>, would_block: Error) -> Option<Failure> {
        match self {
            Self::Never => Some(would_block.into()),
            Self::Forever => None,
            Self::Until(end, _) if time.now() < end => None,
            Self::Until(_, Some(errno)) => Some(errno.into()),
            Self::Until(_, None) => Some(Failure::TimedOut),
        }
    }
}

/// Seconds as Python's sockets take them: None, or a number that is not negative.
pub(crate) fn duration(seconds: Option<f64>) -> PyResult<Option<Duration>> {
    let Some(seconds) = seconds else { return Ok(None) };
    if seconds.is_nan() || seconds < 0.0 {
        return Err(PyValueError::new_err("Timeout value out of range"));
    }
    Ok(Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)))
}

/// Runs `call` without the interpreter's lock.
pub(crate) fn released<T: Send>(py: Python<'_>, call: impl FnOnce() -> T + Send) -> T {
    py.detach(|| {
        let answer = call();
        park_if_leaving();
        answer
    })
}

/// Runs `call`, which answers EAGAIN when its wait is over, until it succeeds, fails or `patience` is at its end, by its own `time`.
pub(crate) fn until_done<T: Send>(
    py: Python<'_>,
    time: Time<'_>,
    patience: Patience,
    sleep: Sleep,
    mut call: impl FnMut(Wait) -> Result<T, Error> + Send,
) -> Result<T, Failure> {
    let network = time.network();
    let sliced = sleep == Sleep::Sliced && network.is_none() && on_main_thread(py);
    let longest = if sliced { SLICE } else { Duration::MAX };
    loop {
        let call = &mut call;
        match released(py, move || call(patience.wait(time, longest))) {
            Err(error) if error.errno() == Errno::EINTR => {
                interruption()?;
                py.check_signals()?;
            }
            Err(error) if error.errno() == Errno::EDEADLK && network.is_some() => {
                return Err(network.map_or(error.into(), Failure::Deadlock));
            }
            Err(error) if error.errno() == Errno::EAGAIN => {
                if let Some(failure) = patience.expired(time, error) {
                    return Err(failure);
                }
                py.check_signals()?;
            }
            Err(error) => return Err(error.into()),
            Ok(value) => return Ok(value),
        }
    }
}

/// The interpreter is ending: from now on no thread but this one returns from a call, as CPython has it for daemon threads that want the lock.
/// So the stacks can be closed in order without daemon threads reporting what that did to them.
#[pyfunction(name = "_leave")]
pub(crate) fn leave() {
    let _ = LEAVING.set(std::thread::current().id());
}

fn park_if_leaving() {
    let Some(leaver) = LEAVING.get() else { return };
    while *leaver != std::thread::current().id() {
        std::thread::park();
    }
}

/// Whether Python runs signal handlers on this thread. Asked once a thread.
fn on_main_thread(py: Python<'_>) -> bool {
    thread_local! { static MAIN: Cell<Option<bool>> = const { Cell::new(None) } }
    if let Some(known) = MAIN.get() {
        return known;
    }
    let main = is_main_thread(py).unwrap_or(true);
    MAIN.set(Some(main));
    main
}

fn is_main_thread(py: Python<'_>) -> PyResult<bool> {
    let threading = py.import("threading")?;
    let main = threading.call_method0("main_thread")?.getattr("ident")?;
    main.eq(threading.call_method0("get_ident")?)
}
