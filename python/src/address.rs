//! Addresses as Python's sockets write them: (host, port), and (host, port, flowinfo, scope_id) for IPv6.

use crate::failure::{gaierror, os_error};
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use usertcp_core::api::{self, Domain};

/// AF_INET and AF_INET6 as Linux numbers them.
const AF_INET: i32 = 2;
const AF_INET6: i32 = 10;
/// What getaddrinfo says of a name it cannot resolve, and of one that has no address of the family.
const EAI_NONAME: i32 = -2;
const EAI_ADDRFAMILY: i32 = -9;

/// The largest flow label, of 20 bits.
const MOST_FLOW: u32 = 0xf_ffff;

/// The number of an address family.
pub(crate) const fn family(domain: Domain) -> i32 {
    match domain {
        Domain::V4 => AF_INET,
        Domain::V6 => AF_INET6,
    }
}

/// The address family with this number.
pub(crate) const fn domain(family: i32) -> Option<Domain> {
    match family {
        AF_INET => Some(Domain::V4),
        AF_INET6 => Some(Domain::V6),
        _ => None,
    }
}

/// The address family of a numeric host.
#[pyfunction]
pub(crate) fn family_of(host: &str) -> PyResult<i32> {
    Ok(if numeric(scoped(host)?.0)?.is_ipv4() { AF_INET } else { AF_INET6 })
}

/// Reads an address of `domain`.
pub(crate) fn from_python(domain: Domain, address: &Bound<'_, PyAny>) -> PyResult<SocketAddr> {
    let name = match domain {
        Domain::V4 => "AF_INET",
        Domain::V6 => "AF_INET6",
    };
    let tuple = address.cast::<PyTuple>().map_err(|_| {
        let kind = address.get_type().name().map_or_else(|_| "?".into(), |name| name.to_string());
        PyTypeError::new_err(format!("{name} address must be tuple, not {kind}"))
    })?;
    let most = if domain == Domain::V4 { 2 } else { 4 };
    if tuple.len() < 2 || tuple.len() > most {
        let form = if domain == Domain::V4 { "(host, port)" } else { "(host, port[, flowinfo[, scope_id]])" };
        return Err(PyTypeError::new_err(format!("{name} address must be a tuple {form}")));
    }
    let host = tuple.get_item(0)?;
    let Ok(text) = host.cast::<PyString>() else {
        let kind = host.get_type().name()?;
        return Err(PyTypeError::new_err(format!("str, bytes or bytearray expected, not {kind}")));
    };
    let host = text.to_str()?;
    let port = port(&tuple.get_item(1)?)?;
    let number = |index| if index < tuple.len() { tuple.get_item(index)?.extract() } else { Ok(0_u32) };
    let flow = number(2)?;
    if flow > MOST_FLOW {
        return Err(PyOverflowError::new_err("flowinfo must be 0-1048575."));
    }
    let (host, link) = if domain == Domain::V6 { scoped(host)? } else { (host, 0) };
    Ok(match (domain, host) {
        (Domain::V4, "") => (Ipv4Addr::UNSPECIFIED, port).into(),
        (Domain::V6, "") => SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, flow, number(3)?).into(),
        (_, host) => match (domain, numeric(host)?) {
            (Domain::V4, IpAddr::V4(ip)) => (ip, port).into(),
            (Domain::V6, IpAddr::V6(ip)) => {
                let scope = if link == 0 { number(3)? } else { link };
                SocketAddrV6::new(ip, port, flow, scope).into()
            }
            _ => {
                let text = format!("'{host}' is not an address of the socket's family {name}");
                return Err(gaierror::new_err((EAI_ADDRFAMILY, text)));
            }
        },
    })
}

/// Writes an address of a socket of `domain`; one of the other family is shown mapped into it (RFC 4291 2.5.5.2).
pub(crate) fn to_python<'py>(
    py: Python<'py>,
    domain: Domain,
    address: SocketAddr,
) -> PyResult<Bound<'py, PyTuple>> {
    let (port, ip) = (address.port(), address.ip());
    match (domain, address) {
        (Domain::V4, _) => (ip.to_string(), port).into_pyobject(py),
        (Domain::V6, SocketAddr::V6(v6)) => {
            (ip.to_string(), port, v6.flowinfo(), v6.scope_id()).into_pyobject(py)
        }
        (Domain::V6, SocketAddr::V4(v4)) => {
            (v4.ip().to_ipv6_mapped().to_string(), port, 0_u32, 0_u32).into_pyobject(py)
        }
    }
}

/// An address, and perhaps none.
type Name<'py> = Option<Bound<'py, PyTuple>>;

/// Own address and the peer's of the connection or listener that a descriptor stands for which `export_fd` returned, or which was accepted there, in whatever
/// process; None where it has none.
#[pyfunction]
pub(crate) fn exported_addresses(py: Python<'_>, fd: i32) -> PyResult<(Name<'_>, Name<'_>)> {
    let (own, peer) = api::exported_addresses(fd).map_err(|error| os_error(&error))?;
    let told =
        |address: SocketAddr| to_python(py, if address.is_ipv4() { Domain::V4 } else { Domain::V6 }, address);
    Ok((own.map(told).transpose()?, peer.map(told).transpose()?))
}

/// An address and the number of its link, as in `fe80::1%1`; 0 where it names none.
fn scoped(host: &str) -> PyResult<(&str, u32)> {
    let Some((host, link)) = host.split_once('%') else { return Ok((host, 0)) };
    let link = link.parse().map_err(|_| {
        gaierror::new_err((EAI_NONAME, format!("'{link}' is no number of a link: a stack has one, number 1")))
    })?;
    Ok((host, link))
}

fn numeric(host: &str) -> PyResult<IpAddr> {
    host.parse().map_err(|_| {
        let remedy = "resolve names first, for example with socket.getaddrinfo(), and pass the number";
        gaierror::new_err((EAI_NONAME, format!("'{host}' is not a numeric address: {remedy}")))
    })
}

fn port(port: &Bound<'_, PyAny>) -> PyResult<u16> {
    let wide: Result<i64, PyErr> = port.extract();
    match wide {
        Err(error) if !error.is_instance_of::<PyOverflowError>(port.py()) => Err(error),
        wide => wide
            .ok()
            .and_then(|number| u16::try_from(number).ok())
            .ok_or_else(|| PyOverflowError::new_err("port must be 0-65535.")),
    }
}
