//! `_usertcp.Stack`: a running stack.

use crate::address;
use crate::failure::os_error;
use crate::foreign::lent_descriptor;
use crate::intercept;
use crate::log::Log;
use crate::names::{connect_error, lookup_error, names_from};
use crate::network::{deadlock, interruption};
use crate::settings;
use crate::snapshot::SocketInfo;
use crate::socket::{IPPROTO_TCP, IPPROTO_UDP, SOCK_DGRAM, SOCK_STREAM, Socket, control};
use crate::wait::{duration, released};
use pyo3::exceptions::{PyTimeoutError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use usertcp_core::api::{
    self, Config, DeviceOptions, Domain, Errno, Error, Impairment, Offload, Patient, StackOptions, Time,
    TraceSink,
};

/// A running stack. Use `usertcp.Stack`.
#[pyclass(frozen, module = "usertcp._usertcp")]
pub(crate) struct Stack {
    stack: api::Stack,
}

impl Stack {
    pub(crate) const fn of(stack: api::Stack) -> Self {
        Self { stack }
    }
}

#[pymethods]
impl Stack {
    /// Opens the link and starts the stack. `fds` are lent: the stack takes duplicates.
    #[new]
    #[pyo3(signature = (*, addresses, routes, mtu, tun, host_addresses, fds, workers, offload, seed, pcap, impairment, impairment_in, log, trace, control_path, pcap_ring, names, config))]
    #[allow(clippy::too_many_arguments, reason = "keyword arguments of Python")]
    fn new(
        py: Python<'_>,
        addresses: Vec<String>,
        routes: Vec<String>,
        mtu: u16,
        tun: Option<String>,
        host_addresses: Vec<String>,
        fds: Option<Vec<i32>>,
        workers: usize,
        offload: &str,
        seed: Option<u64>,
        pcap: Option<PathBuf>,
        impairment: Option<&Bound<'_, PyAny>>,
        impairment_in: Option<&Bound<'_, PyAny>>,
        log: Option<&Bound<'_, Log>>,
        trace: Option<i32>,
        control_path: Option<PathBuf>,
        pcap_ring: usize,
        names: Option<&Bound<'_, PyAny>>,
        config: &Bound<'_, PyDict>,
    ) -> PyResult<Self> {
        let (addresses, routes) = (parsed(&addresses)?, parsed(&routes)?);
        let settings = Config { addresses, routes, mtu, ..settings::configured(config)? };
        let offload = offload_named(offload)?;
        if fds.is_some() && (!host_addresses.is_empty() || offload != Offload::Auto) {
            let text = "host_addresses and offload do not go with fd: a descriptor is used as it is";
            return Err(PyTypeError::new_err(text));
        }
        let device = match fds.as_deref() {
            Some([fd]) if workers == 1 => DeviceOptions::Descriptor(duplicate(*fd)?),
            Some(fds) => DeviceOptions::Queues(fds.iter().map(|fd| duplicate(*fd)).collect::<PyResult<_>>()?),
            None => {
                let host_addresses = parsed(&host_addresses)?;
                DeviceOptions::Tun { name: tun, host_addresses, offload }
            }
        };
        let impairment = impairment.map(impairment_from).transpose()?;
        let impairment_in = impairment_in.map(impairment_from).transpose()?;
        let log = log.map(|log| log.get().sink());
        let trace = trace.map(trace_sink).transpose()?;
        let options = StackOptions {
            config: settings,
            seed,
            device,
            workers,
            impairment,
            impairment_in,
            pcap,
            pcap_ring,
            log,
            trace,
            control: control_path,
            names: names.map(names_from).transpose()?.unwrap_or_default(),
        };
        Ok(Self { stack: control(py, || api::Stack::open(options))? })
    }

    /// Ends the stack; False when it was closed before.
    fn close(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<bool> {
        let timeout = duration(timeout)?;
        let mut interrupted = None;
        let patient = || match Python::attach(signals) {
            Ok(()) => true,
            Err(error) => {
                interrupted = Some(error);
                false
            }
        };
        let answer = released(py, || self.stack.close_while(timeout, patient));
        if let Some(error) = interrupted {
            return Err(error);
        }
        match answer {
            Ok(()) => Ok(true),
            Err(error) if error.errno() == Errno::EBADF => Ok(false),
            Err(error) => Err(os_error(&error)),
        }
    }

    /// A new socket.
    fn socket(&self, py: Python<'_>, family: i32, kind: i32, proto: i32) -> PyResult<Socket> {
        let domain = address::domain(family).ok_or_else(|| {
            os_error(&Error::new(Errno::EAFNOSUPPORT, "the address family must be AF_INET or AF_INET6"))
        })?;
        let own = match kind {
            SOCK_STREAM => IPPROTO_TCP,
            SOCK_DGRAM => IPPROTO_UDP,
            _ => {
                let text = "the type must be SOCK_STREAM or SOCK_DGRAM";
                return Err(os_error(&Error::new(Errno::ESOCKTNOSUPPORT, text)));
            }
        };
        if proto != 0 && proto != own {
            let text = "the protocol must be IPPROTO_TCP of a stream, IPPROTO_UDP of datagrams";
            return Err(os_error(&Error::new(Errno::EPROTONOSUPPORT, text)));
        }
        let made = control(py, || match kind {
            SOCK_DGRAM => self.stack.datagram_socket(domain),
            _ => self.stack.socket(domain),
        });
        Ok(Socket::new(made?, domain))
    }

    /// The addresses of a host, best first, each with its family. `family` 0 is both. gaierror.
    fn resolve(&self, py: Python<'_>, host: &str, family: i32) -> PyResult<Vec<(i32, String)>> {
        let family = address::domain(family);
        let look_up = |patient: Patient<'_>| self.stack.resolve(host, 0, family, None, Some(patient));
        let found = patiently(py, look_up, self.stack.time())?.map_err(|error| lookup_error(&error))?;
        let number = |ip: IpAddr| address::family(if ip.is_ipv4() { Domain::V4 } else { Domain::V6 });
        Ok(found.into_iter().map(|end| (number(end.ip()), end.ip().to_string())).collect())
    }

    /// A connection to a host by name, within `timeout` seconds. gaierror, or why the last address was none.
    fn connect_to(&self, py: Python<'_>, host: &str, port: u16, timeout: Option<f64>) -> PyResult<Socket> {
        let limit = duration(timeout)?;
        let target = format!("[{host}]:{port}");
        let connect = |patient: Patient<'_>| self.stack.connect_to(&target, limit, Some(patient));
        let socket = match patiently(py, connect, self.stack.time())? {
            Ok(socket) => socket,
            Err(error) if error.errno() == Errno::ETIMEDOUT && limit.is_some() => {
                return Err(PyTimeoutError::new_err("timed out"));
            }
            Err(error) => return Err(connect_error(&error)),
        };
        let v4 = socket.local_address().is_ok_and(|address| address.is_ipv4());
        Ok(Socket::new(socket, if v4 { Domain::V4 } else { Domain::V6 }))
    }

    /// A socket that connection requests come to.
    fn intercept(
        &self,
        py: Python<'_>,
        prefix: &str,
        ports: (i64, i64),
        queue: Option<i64>,
        timeout: Option<f64>,
    ) -> PyResult<Socket> {
        let what = intercept::what(prefix, ports, queue, timeout)?;
        let domain = Domain::of(what.prefix.address);
        Ok(Socket::new(control(py, || self.stack.intercept(&what))?, domain))
    }

    /// Traces every connection to a duplicate of the descriptor, or to none any more.
    fn trace(&self, py: Python<'_>, fd: Option<i32>) -> PyResult<()> {
        let sink = fd.map(trace_sink).transpose()?;
        control(py, || self.stack.trace(sink))
    }

    /// Totals by name.
    fn counters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let totals = control(py, || self.stack.counters())?;
        let all = PyDict::new(py);
        for (name, value, _) in totals.iter() {
            all.set_item(name, value)?;
        }
        Ok(all)
    }

    /// Every socket.
    fn sockets(&self, py: Python<'_>) -> PyResult<Vec<SocketInfo>> {
        let sockets = control(py, || self.stack.sockets())?;
        sockets.iter().map(|snapshot| SocketInfo::new(py, snapshot)).collect()
    }

    /// Other faults from now on.
    fn impair(
        &self,
        py: Python<'_>,
        outgoing: &Bound<'_, PyAny>,
        incoming: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let (outgoing, incoming) = (impairment_from(outgoing)?, impairment_from(incoming)?);
        control(py, || self.stack.impair(outgoing, incoming))
    }

    /// Has the packets that are kept written.
    fn dump_capture(&self, py: Python<'_>) -> PyResult<()> {
        control(py, || self.stack.dump_capture())
    }

    /// Name of the device, empty for a descriptor that has none.
    #[getter]
    fn device_name(&self, py: Python<'_>) -> String {
        released(py, || self.stack.device_name())
    }

    /// Whether the device takes super-frames.
    #[getter]
    fn offloaded(&self, py: Python<'_>) -> bool {
        released(py, || self.stack.offloaded())
    }
}

/// Runs a call that may take long without the interpreter's lock, and looks now and then whether a signal handler has something to say.
fn patiently<T: Send>(
    py: Python<'_>,
    call: impl FnOnce(Patient<'_>) -> Result<T, Error> + Send,
    time: Time<'_>,
) -> PyResult<Result<T, Error>> {
    let mut interrupted = None;
    let mut patient = || match Python::attach(signals) {
        Ok(()) => true,
        Err(error) => {
            interrupted = Some(error);
            false
        }
    };
    let answer = released(py, || call(&mut patient));
    if let Some(error) = interrupted {
        return Err(error);
    }
    match (answer, time.network()) {
        (Err(error), Some(network)) if error.errno() == Errno::EDEADLK => Err(deadlock(network)),
        (answer, _) => Ok(answer),
    }
}

/// What a signal handler has to say, be it that a simulated network has asked already.
fn signals(py: Python<'_>) -> PyResult<()> {
    interruption()?;
    py.check_signals()
}

/// A duplicate of a descriptor, for an event trace.
pub(crate) fn trace_sink(fd: i32) -> PyResult<TraceSink> {
    if fd < 0 {
        return Err(os_error(&Error::new(Errno::EBADF, format!("descriptor {fd} is none"))));
    }
    Ok(TraceSink::Descriptor(duplicate(fd)?))
}

/// A descriptor of our own for what the program's descriptor means.
fn duplicate(fd: i32) -> PyResult<OwnedFd> {
    lent_descriptor(fd).try_clone_to_owned().map_err(|error| {
        let errno = Errno(error.raw_os_error().unwrap_or(Errno::EBADF.0));
        os_error(&Error::new(errno, format!("descriptor {fd}: {errno}")))
    })
}

/// Reads interface addresses such as `192.0.2.2/24`, or routes.
pub(crate) fn parsed<T: FromStr<Err = Error>>(texts: &[String]) -> PyResult<Vec<T>> {
    let parsed = texts.iter().map(|text| text.parse());
    parsed.collect::<Result<_, Error>>().map_err(|error| PyValueError::new_err(error.to_string()))
}

fn offload_named(name: &str) -> PyResult<Offload> {
    match name {
        "auto" => Ok(Offload::Auto),
        "off" => Ok(Offload::Off),
        "required" => Ok(Offload::Required),
        _ => Err(PyValueError::new_err(format!("offload must be 'auto', 'off' or 'required', not '{name}'"))),
    }
}

/// Reads a `usertcp.Impairment`.
pub(crate) fn impairment_from(object: &Bound<'_, PyAny>) -> PyResult<Impairment> {
    let seconds = |name: &str| -> PyResult<Duration> {
        let seconds: f64 = object.getattr(name)?.extract()?;
        Duration::try_from_secs_f64(seconds)
            .map_err(|_| PyValueError::new_err(format!("{name} must be seconds, not negative")))
    };
    let probability = |name: &str| -> PyResult<f64> {
        let value: f64 = object.getattr(name)?.extract()?;
        if (0.0..=1.0).contains(&value) {
            return Ok(value);
        }
        Err(PyValueError::new_err(format!("{name} must be a probability, 0.0 to 1.0")))
    };
    let bytes = |name: &str| -> PyResult<usize> { object.getattr(name)?.extract() };
    Ok(Impairment {
        rate: object.getattr("rate")?.extract()?,
        delay: seconds("delay")?,
        jitter: seconds("jitter")?,
        loss: probability("loss")?,
        duplicate: probability("duplicate")?,
        reorder: probability("reorder")?,
        reorder_delay: seconds("reorder_delay")?,
        corrupt: probability("corrupt")?,
        queue: object.getattr("queue")?.extract()?,
        queue_bytes: bytes("queue_bytes")?,
        mark: bytes("mark")?,
        reorder_jitter: seconds("reorder_jitter")?,
        burst_enter: probability("burst_enter")?,
        burst_leave: probability("burst_leave")?,
        burst_loss: probability("burst_loss")?,
        police_rate: object.getattr("police_rate")?.extract()?,
        police_burst: bytes("police_burst")?,
        mtu: object.getattr("mtu")?.extract()?,
        mtu_told: object.getattr("mtu_told")?.extract()?,
        memory: bytes("memory")?,
    })
}
