//! `_usertcp.Network` and `_usertcp.Signal`: simulated networks.
//!
//! Signals of the system reach a program all the same: the network asks the main task's thread now and then, in steps or, while another thread runs, in real time.

use crate::failure::os_error;
use crate::log::Log;
use crate::names::names_from;
use crate::settings;
use crate::socket::control;
use crate::stack::{Stack, impairment_from, parsed, trace_sink};
use crate::wait::{Patience, Sleep, released, until_done};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use usertcp_core::api::{self, Config, Errno, Error, HostOptions, Impairment, LinkCounters};

thread_local! {
    /// What a signal handler raised where the network asked.
    static RAISED: RefCell<Option<PyErr>> = const { RefCell::new(None) };
}

/// Raises what a signal handler raised while this thread slept in a simulated network.
pub(crate) fn interruption() -> PyResult<()> {
    RAISED.take().map_or(Ok(()), Err)
}

/// Asked by the network: whether the main task is to go on sleeping.
fn goes_on() -> bool {
    Python::attach(|py| match py.check_signals() {
        Ok(()) => true,
        Err(error) => {
            RAISED.set(Some(error));
            false
        }
    })
}

/// The exception for a call that nothing could ever have ended: `usertcp.sim` makes it, as it knows the tasks.
pub(crate) fn deadlock(network: api::Network) -> PyErr {
    Python::attach(|py| {
        let made =
            py.import("usertcp.sim").and_then(|sim| sim.getattr("_deadlock")?.call1((Network { network },)));
        match made {
            Ok(exception) => PyErr::from_value(exception),
            Err(_) => os_error(&Error::new(
                Errno::EDEADLK,
                "every task of the simulated network waits, and nothing is left that could happen",
            )),
        }
    })
}

/// A simulated network. Use `usertcp.sim.Network`.
#[pyclass(frozen, weakref, module = "usertcp._usertcp")]
pub(crate) struct Network {
    network: api::Network,
}

#[pymethods]
impl Network {
    /// A network without nodes.
    #[new]
    fn new(seed: u64) -> Self {
        let network = api::Network::new(seed);
        network.set_interrupt(Arc::new(goes_on));
        Self { network }
    }

    /// Adds a host: its number as a node, and its stack.
    #[pyo3(signature = (*, name, addresses, settings, mtu = 1500, routes = Vec::new(), pcap = None, pcap_ring = 0, log = None, trace = None, names = None))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn host(
        &self,
        py: Python<'_>,
        name: String,
        addresses: Vec<String>,
        settings: &Bound<'_, PyDict>,
        mtu: u16,
        routes: Vec<String>,
        pcap: Option<PathBuf>,
        pcap_ring: usize,
        log: Option<&Bound<'_, Log>>,
        trace: Option<i32>,
        names: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<(usize, Stack)> {
        let (addresses, routes) = (parsed(&addresses)?, parsed(&routes)?);
        let config = Config { addresses, routes, mtu, ..settings::configured(settings)? };
        let options = HostOptions {
            name,
            config,
            pcap,
            pcap_ring,
            log: log.map(|log| log.get().sink()),
            trace: trace.map(trace_sink).transpose()?,
            names: names.map(names_from).transpose()?.unwrap_or_default(),
        };
        let (node, stack) = control(py, || self.network.host(options))?;
        Ok((node, Stack::of(stack)))
    }

    /// Adds a router: its number as a node.
    fn router(&self, py: Python<'_>) -> PyResult<usize> {
        control(py, || self.network.router())
    }

    /// Joins two nodes: the link's number. None is a way that nothing happens on.
    fn link(
        &self,
        py: Python<'_>,
        a: usize,
        b: usize,
        forward: Option<&Bound<'_, PyAny>>,
        back: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let (there, back) = (faults(forward)?, faults(back)?);
        control(py, || self.network.link(a, b, there, back))
    }

    /// Changes what happens to packets that enter a link from now on.
    fn set_link(
        &self,
        py: Python<'_>,
        link: usize,
        forward: Option<&Bound<'_, PyAny>>,
        back: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        let (there, back) = (faults(forward)?, faults(back)?);
        control(py, || self.network.set_link(link, Some(there), Some(back)))
    }

    /// Cuts a link, or heals it.
    fn cut(&self, py: Python<'_>, link: usize, cut: bool) -> PyResult<()> {
        control(py, || self.network.cut(link, cut))
    }

    /// What was done to the packets of a link, each way, by name.
    fn link_counters<'py>(
        &self,
        py: Python<'py>,
        link: usize,
    ) -> PyResult<(Bound<'py, PyDict>, Bound<'py, PyDict>)> {
        let (there, back) = control(py, || self.network.link_counters(link))?;
        Ok((counted(py, &there)?, counted(py, &back)?))
    }

    /// Packets that had no path to where they were sent.
    fn unroutable(&self, py: Python<'_>) -> PyResult<u64> {
        control(py, || self.network.unroutable())
    }

    /// Has packets for a network come to a host where no other has the very address.
    fn lead(&self, py: Python<'_>, network: String, node: usize) -> PyResult<()> {
        let prefixes = parsed(&[network])?;
        control(py, || prefixes.iter().try_for_each(|prefix| self.network.lead(*prefix, node)))
    }

    /// Nanoseconds since the network began.
    fn now(&self) -> u64 {
        u64::try_from(self.network.now().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Sleeps until so many nanoseconds since the network began; None: until it is closed.
    fn sleep(&self, py: Python<'_>, until: Option<u64>) -> PyResult<()> {
        let until = until.map(Duration::from_nanos);
        self.patiently(py, || self.network.sleep(until))
    }

    /// Lets everything happen that can happen without time passing.
    fn settle(&self, py: Python<'_>) -> PyResult<()> {
        control(py, || self.network.settle())
    }

    /// Registers a task: its number.
    fn task(&self, py: Python<'_>) -> PyResult<usize> {
        control(py, || self.network.task())
    }

    /// Makes this thread a task, and waits for its turn.
    fn enter(&self, py: Python<'_>, task: usize) -> PyResult<()> {
        control(py, || self.network.enter(task))
    }

    /// Ends this thread's task, or one that no thread has begun as.
    #[pyo3(signature = (task = None))]
    fn leave(&self, py: Python<'_>, task: Option<usize>) -> PyResult<()> {
        control(py, || self.network.leave(task))
    }

    /// Ends the network.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        control(py, || self.network.close())
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.network.is(&other.network)
    }

    fn __hash__(&self) -> u64 {
        self.network.id() as u64
    }
}

impl Network {
    /// Runs a call that sleeps.
    fn patiently<T: Send>(
        &self,
        py: Python<'_>,
        mut call: impl FnMut() -> api::Result<T> + Send,
    ) -> PyResult<T> {
        Ok(until_done(py, self.network.time(), Patience::Forever, Sleep::Whole, |_| call())?)
    }
}

/// What tasks wait for beside sockets.
#[pyclass(frozen, weakref, module = "usertcp._usertcp")]
pub(crate) struct Signal {
    pub(crate) signal: api::Signal,
    network: Py<Network>,
}

#[pymethods]
impl Signal {
    /// One that is not set.
    #[new]
    fn new(network: Py<Network>) -> Self {
        Self { signal: api::Signal::new(&network.get().network), network }
    }

    /// Sets it, and wakes who waits for it.
    fn set(&self, py: Python<'_>) {
        released(py, || self.signal.set());
    }

    /// Takes it back.
    fn clear(&self, py: Python<'_>) {
        released(py, || self.signal.clear());
    }

    /// Whether it is set.
    fn is_set(&self, py: Python<'_>) -> bool {
        released(py, || self.signal.is_set())
    }

    /// Sleeps until it is set, or until so many nanoseconds since the network began: whether it is set.
    fn wait(&self, py: Python<'_>, until: Option<u64>) -> PyResult<bool> {
        let until = until.map(Duration::from_nanos);
        self.network.get().patiently(py, || self.signal.wait(until))
    }
}

/// A `usertcp.Impairment`, or none.
fn faults(object: Option<&Bound<'_, PyAny>>) -> PyResult<Impairment> {
    object.map_or_else(|| Ok(Impairment::default()), impairment_from)
}

fn counted<'py>(py: Python<'py>, counters: &LinkCounters) -> PyResult<Bound<'py, PyDict>> {
    let all = PyDict::new(py);
    for (name, value) in counters.iter() {
        all.set_item(name, value)?;
    }
    Ok(all)
}
