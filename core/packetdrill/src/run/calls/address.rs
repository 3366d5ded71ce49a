//! Socket addresses: those that a script leaves to the tool, and those that it writes.

use super::{Answer, Step, values};
use crate::script::Expression;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use usertcp_core::config::Domain;

/// Which protocol a script runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpVersion {
    /// IPv4 from sockets of AF_INET.
    V4,
    /// IPv6.
    V6,
    /// IPv4 from sockets of AF_INET6.
    Mapped,
}

impl IpVersion {
    /// By the tool's name for it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "ipv4" => Some(Self::V4),
            "ipv6" => Some(Self::V6),
            "ipv4-mapped-ipv6" => Some(Self::Mapped),
            _ => None,
        }
    }

    /// The tool's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
            Self::Mapped => "ipv4-mapped-ipv6",
        }
    }
}

/// Who the stack and its peer are.
#[derive(Clone, Copy, Debug)]
pub(in crate::run) struct Addresses {
    pub(in crate::run) version: IpVersion,
    /// The stack's.
    pub(in crate::run) local: IpAddr,
    /// The peer's.
    pub(in crate::run) remote: IpAddr,
    /// The port that `bind(3, ..., ...)` means.
    pub(in crate::run) bind_port: u16,
    /// The port that `connect(3, ..., ...)` means.
    pub(in crate::run) connect_port: u16,
}

impl Addresses {
    /// The family of sockets that a script leaves open.
    pub(super) fn domain(&self) -> Domain {
        if self.version == IpVersion::V4 { Domain::V4 } else { Domain::V6 }
    }

    /// An address as sockets of AF_INET6 have it, where that is what the script runs on.
    fn shown(&self, address: IpAddr) -> IpAddr {
        match (self.version, address) {
            (IpVersion::Mapped, IpAddr::V4(v4)) => v4.to_ipv6_mapped().into(),
            _ => address,
        }
    }

    /// What `...` means for bind.
    pub(super) fn bound(&self) -> SocketAddr {
        SocketAddr::new(self.shown(self.local), self.bind_port)
    }

    /// What `...` means for connect and sendto.
    pub(super) fn peer(&self) -> SocketAddr {
        SocketAddr::new(self.shown(self.remote), self.connect_port)
    }
}

/// `{sa_family = AF_INET, sin_port = htons(8080), sin_addr = inet_addr("192.0.2.1")}`, and the same of IPv6.
pub(super) fn written(fields: &[Expression]) -> Step<SocketAddr> {
    let either = |four: &str, six: &str| values::field(fields, four).or_else(|| values::field(fields, six));
    let port = match either("sin_port", "sin6_port") {
        None | Some(Expression::Any) => 0,
        Some(port) => u16::try_from(values::number(port)?).map_err(|_| unreadable("port"))?,
    };
    let Some(address) = either("sin_addr", "sin6_addr") else { return Err(unreadable("address")) };
    Ok(SocketAddr::new(ip(address)?, port))
}

fn ip(expression: &Expression) -> Step<IpAddr> {
    match expression {
        Expression::Apply(name, arguments) if name == "inet_addr" || name == "inet_pton" => {
            let text = arguments.iter().find_map(|argument| match argument {
                Expression::Text(text) => std::str::from_utf8(text).ok(),
                _ => None,
            });
            text.and_then(|text| text.parse().ok()).ok_or_else(|| unreadable("address"))
        }
        Expression::Apply(name, arguments) if name == "htonl" => {
            ip(arguments.first().ok_or_else(|| unreadable("address"))?)
        }
        Expression::Name(name) if name == "INADDR_ANY" => Ok(Ipv4Addr::UNSPECIFIED.into()),
        Expression::Name(name) if name == "INADDR_LOOPBACK" => Ok(Ipv4Addr::LOCALHOST.into()),
        Expression::Name(name) if name == "in6addr_any" => Ok(Ipv6Addr::UNSPECIFIED.into()),
        _ => Err(unreadable("address")),
    }
}

fn unreadable(what: &str) -> Answer {
    Answer::Unreadable(format!("the {what} of a socket address"))
}
