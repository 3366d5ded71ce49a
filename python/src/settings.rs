//! `Config` by the names of its fields, such as `tcp.rto_min`: seconds for times, None for none.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::time::Duration;
use usertcp_core::api::{
    self, BufferConfig, Config, Congestion, CwndValidation, Ecn, IpConfig, MtuProbing, OfferedWindow,
    OptionLayout, Personality, SlowStart, SynCookies, TcpConfig, UdpConfig,
};

/// The setting that decides the defaults of the others.
const PERSONALITY: &str = "personality";

macro_rules! settings {
    ($($section:ident: $kind:ident { $($name:ident,)* })* [$($own:ident,)*]) => {
        /// Every name, in the order of the fields.
        const NAMES: &[&str] = &[
            $($(concat!(stringify!($section), ".", stringify!($name)),)*)* $(stringify!($own),)*
        ];

        fn set(config: &mut Config, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
            $($(
                if name == concat!(stringify!($section), ".", stringify!($name)) {
                    config.$section.$name = Setting::read(value)?;
                    return Ok(());
                }
            )*)*
            $(
                if name == stringify!($own) {
                    config.$own = Setting::read(value)?;
                    return Ok(());
                }
            )*
            Err(unknown(name))
        }

        fn show(config: &Config, all: &Bound<'_, PyDict>) -> PyResult<()> {
            $(
                let $kind { $($name,)* } = &config.$section;
                $(all.set_item(concat!(stringify!($section), ".", stringify!($name)), $name.show(all.py())?)?;)*
            )*
            $(all.set_item(stringify!($own), config.$own.show(all.py())?)?;)*
            all.set_item(PERSONALITY, config.personality.show(all.py())?)
        }
    };
}

settings! {
    ip: IpConfig {
        hop_limit, traffic_class, flow_label, bind_v6_only, answer_echo, icmp_rate, icmp_error_rate, icmp_error_burst, reassembly_timeout_v4, reassembly_timeout_v6, reassembly_bytes, reassembly_packets,
        reassembly_fragments, path_mtu_min, path_mtu_lifetime, path_mtus, path_mtu_base, path_mtu_step, path_mtu_probes, path_mtu_probe_timeout,
    }
    tcp: TcpConfig {
        rto_initial, rto_min, rto_min_short, rto_max, rto_slop, clock_granularity, min_rtt_window, tail_loss_probe, frto, syn_plain_after, ecn, ecn_retries, syn_retries, syn_ack_retries, advice_retries, mtu_probing, mtu_timeouts, data_retries, orphan_retries, orphans_max, msl, fin_wait_2,
        delayed_ack, quick_acks, ack_any_second, cork, initial_window, slow_start_step, slow_start_after_idle, cwnd_validation, cwnd_preserved,
        congestion, slow_start, cubic_scale, cubic_beta, cubic_fast_convergence, hystart_divisor, hystart_rise_min, hystart_rise_max, hystart_samples,
        hystart_css_divisor, hystart_css_rounds, hystart_window, hystart_ack_gap, challenge_acks,
        challenge_acks_stack, challenge_interval, time_wait_ignores_reset, soft_errors_end_opening, hard_errors_end_opening, hard_errors_refuse,
        reset_in_close_wait_is_epipe, wary_acks, fin_with_acks, old_segments_acknowledge, drop_syn_fin, push_super_frames, urgent_pointer_last, window_scaling, window_scale_for, offered_window,
        receive_whole_segments, empty_probes, option_layout, keep_syn_data, timestamps, sack, sack_ranges, nagle, mss, keepalive_idle,
        keepalive_interval, keepalive_probes, user_timeout, port_first, port_last, backlog_max, syn_queue_extra,
        syn_cookies, syn_cookie_step, abort_on_overflow, intercept_queue, intercept_timeout,
        reassembly_segments,
    }
    udp: UdpConfig { receive, send, port_first, port_last, }
    buffers: BufferConfig { receive, receive_initial, send, send_initial, total, page, pool_pages, awake_connections, }
    [max_sockets, spin,]
}

/// Every setting of a stack by its name, with its default.
#[pyfunction]
pub(crate) fn default_settings(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let all = PyDict::new(py);
    show(&Config::default(), &all)?;
    Ok(all)
}

/// The defaults of the personality that `settings` names, changed by whatever else it names.
pub(crate) fn configured(settings: &Bound<'_, PyDict>) -> PyResult<Config> {
    let mut config = match settings.get_item(PERSONALITY)? {
        Some(value) => {
            let named = Setting::read(&value).map_err(|error| naming(PERSONALITY, error, settings.py()));
            Config::of(named?)
        }
        None => Config::default(),
    };
    for (name, value) in settings {
        let name = name.cast::<PyString>().map_err(|_| PyTypeError::new_err("names of settings are str"))?;
        let name = name.to_str()?;
        if name != PERSONALITY {
            set(&mut config, name, &value).map_err(|error| naming(name, error, settings.py()))?;
        }
    }
    Ok(config)
}

fn unknown(name: &str) -> PyErr {
    PyTypeError::new_err(format!("unknown setting '{name}': there are {}", NAMES.join(", ")))
}

/// Puts the setting's name before what is wrong with its value.
fn naming(name: &str, error: PyErr, py: Python<'_>) -> PyErr {
    let text = error.value(py).to_string();
    if text.contains(name) {
        return error;
    }
    if error.is_instance_of::<PyTypeError>(py) {
        return PyTypeError::new_err(format!("setting '{name}': {text}"));
    }
    PyValueError::new_err(format!("setting '{name}': {text}"))
}

/// A kind of value that a setting has.
trait Setting: Sized {
    fn read(value: &Bound<'_, PyAny>) -> PyResult<Self>;
    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>>;
}

macro_rules! plain {
    ($($kind:ty)*) => { $(
        impl Setting for $kind {
            fn read(value: &Bound<'_, PyAny>) -> PyResult<Self> {
                value.extract()
            }
            fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                self.into_bound_py_any(py)
            }
        }
    )* };
}

use pyo3::IntoPyObjectExt;
plain! { bool u8 u16 u32 usize }

impl Setting for Duration {
    fn read(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        let seconds: f64 = value.extract()?;
        Self::try_from_secs_f64(seconds).map_err(|_| PyValueError::new_err("seconds, not negative"))
    }
    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.as_secs_f64().into_bound_py_any(py)
    }
}

macro_rules! named {
    ($($kind:ty)*) => { $(
        impl Setting for $kind {
            fn read(value: &Bound<'_, PyAny>) -> PyResult<Self> {
                let name: String = value.extract()?;
                name.parse().map_err(|error: api::Error| PyValueError::new_err(error.to_string()))
            }
            fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                self.to_string().into_bound_py_any(py)
            }
        }
    )* };
}

named! { Congestion CwndValidation Ecn MtuProbing SlowStart SynCookies Personality OptionLayout OfferedWindow }

impl<T: Setting> Setting for Option<T> {
    fn read(value: &Bound<'_, PyAny>) -> PyResult<Self> {
        if value.is_none() { Ok(None) } else { T::read(value).map(Some) }
    }
    fn show<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self {
            Some(value) => value.show(py),
            None => Ok(py.None().into_bound(py)),
        }
    }
}
