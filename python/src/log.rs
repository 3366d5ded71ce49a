//! `_usertcp.Log`: a queue of log records between a stack's I/O thread, which never waits for the interpreter, and the Python thread that delivers them.

use crate::wait::released;
use pyo3::prelude::*;
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use usertcp_core::api::{Level, LogSink, Record};

/// Records kept until Python takes them; newer ones are dropped and counted.
const CAPACITY: usize = 4096;

/// Log records of one stack on their way to `logging`.
#[pyclass(frozen, module = "usertcp._usertcp")]
pub(crate) struct Log {
    level: Level,
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    records: VecDeque<Record>,
    lost: u64,
    closed: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn push(&self, record: &Record) {
        let mut state = self.lock();
        if state.records.len() < CAPACITY {
            state.records.push_back(record.clone());
        } else {
            state.lost = state.lost.saturating_add(1);
        }
        drop(state);
        self.changed.notify_one();
    }

    fn pop(&self) -> Option<(u32, String)> {
        let idle = |state: &mut State| state.records.is_empty() && state.lost == 0 && !state.closed;
        let mut state =
            self.changed.wait_while(self.lock(), idle).unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(record) = state.records.pop_front() {
            return Some((record.level as u32, record.text));
        }
        let lost = std::mem::take(&mut state.lost);
        (lost > 0).then(|| (Level::Warn as u32, format!("{lost} log records were lost: they came too fast")))
    }
}

impl Log {
    /// The function that the stack gives its records to.
    pub(crate) fn sink(&self) -> LogSink {
        let queue = Arc::clone(&self.queue);
        LogSink { level: self.level, deliver: Arc::new(move |record| queue.push(record)) }
    }
}

#[pymethods]
impl Log {
    /// A queue for records up to and including `level`: 1 error, 2 warning, 3 info, 4 debug, 5 trace.
    #[new]
    fn new(level: u32) -> Self {
        let level = match level {
            0 | 1 => Level::Error,
            2 => Level::Warn,
            3 => Level::Info,
            4 => Level::Debug,
            _ => Level::Trace,
        };
        Self { level, queue: Arc::default() }
    }

    /// Sleeps until there is a record; returns its level and text, or None when the queue is closed and empty.
    fn pop(&self, py: Python<'_>) -> Option<(u32, String)> {
        released(py, || self.queue.pop())
    }

    /// No more records will come.
    fn close(&self) {
        self.queue.lock().closed = true;
        self.queue.changed.notify_all();
    }
}
