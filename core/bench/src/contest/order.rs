//! What a contender or the peer is to do: words of the form `name=value`.

use crate::Result;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

/// First port of the peer.
pub(crate) const PORT: u16 = 5001;

/// Addresses that a contender may use.
pub(crate) const ADDRESSES: u8 = 32;

/// Prefix length of the network of contender and peer.
pub(crate) const PREFIX: u8 = 24;

/// Bytes of the buffer that a program receives into or sends from.
pub(crate) const BUFFER: usize = 128 << 10;

/// The peer's address.
pub(crate) const PEER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 254);

/// Address number `index` of a contender.
pub(crate) const fn own_address(index: u8) -> Ipv4Addr {
    Ipv4Addr::new(198, 51, 100, index + 1)
}

/// What the contender does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Receives on all connections.
    Receive,
    /// Sends on all connections.
    Send,
    /// Sends back what comes.
    Echo,
    /// Sends back what comes on the first connection while it receives on the second.
    Beside,
    /// Opens and closes.
    Churn,
    /// Opens, and keeps.
    Idle,
    /// Waits until a read times out.
    TimeOut,
}

const ROLES: [(Role, &str); 7] = [
    (Role::Receive, "receive"),
    (Role::Send, "send"),
    (Role::Echo, "echo"),
    (Role::Beside, "beside"),
    (Role::Churn, "churn"),
    (Role::Idle, "idle"),
    (Role::TimeOut, "time-out"),
];

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = ROLES.iter().find(|(role, _)| role == self).map_or("", |(_, name)| name);
        f.pad(name)
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = ROLES.iter().find(|(_, name)| *name == text).map(|(role, _)| *role);
        found.ok_or_else(|| format!("role={text}: no such role"))
    }
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// Name of the contender.
    pub(crate) who: String,
    pub(crate) role: Role,
    pub(crate) connections: usize,
    /// How many ports the peer listens at.
    pub(crate) ports: u16,
    /// Of the TUN.
    pub(crate) mtu: u16,
    /// Whether the TUN has a header of ten bytes before each packet, and super-frames.
    pub(crate) offload: bool,
    /// From when all connections are open to the beginning of the window.
    pub(crate) warm: Duration,
    /// For how long it is counted.
    pub(crate) window: Duration,
    /// How long to look for packets before sleeping.
    pub(crate) spin: Duration,
    /// The processor that the thread which calls moves to once its stack is open; the threads of the stack stay.
    pub(crate) caller: Option<usize>,
}

impl Order {
    /// From words.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self> {
        let mut order = Self {
            who: String::new(),
            role: Role::Receive,
            connections: 1,
            ports: 1,
            mtu: 1500,
            offload: false,
            warm: Duration::ZERO,
            window: Duration::ZERO,
            spin: Duration::ZERO,
            caller: None,
        };
        for word in words {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("'{word}' has no ="))?;
            let number = || value.parse::<u64>().map_err(|_| format!("{word}: not a number"));
            match name {
                "who" => order.who = value.to_owned(),
                "role" => order.role = value.parse()?,
                "connections" => order.connections = usize::try_from(number()?)?,
                "ports" => order.ports = u16::try_from(number()?)?.max(1),
                "mtu" => order.mtu = u16::try_from(number()?)?,
                "offload" => order.offload = number()? != 0,
                "warm" => order.warm = Duration::from_millis(number()?),
                "window" => order.window = Duration::from_millis(number()?),
                "spin" => order.spin = Duration::from_micros(number()?),
                "caller" => order.caller = Some(usize::try_from(number()?)?),
                _ => return Err(format!("{word}: no such word").into()),
            }
        }
        Ok(order)
    }

    /// As words.
    pub(crate) fn words(&self) -> Vec<String> {
        let Self { who, role, connections, ports, mtu, offload, warm, window, spin, caller } = self;
        let mut words = vec![
            format!("who={who}"),
            format!("role={role}"),
            format!("connections={connections}"),
            format!("ports={ports}"),
            format!("mtu={mtu}"),
            format!("offload={}", u8::from(*offload)),
            format!("warm={}", warm.as_millis()),
            format!("window={}", window.as_millis()),
            format!("spin={}", spin.as_micros()),
        ];
        words.extend(caller.map(|caller| format!("caller={caller}")));
        words
    }

    /// Port of the peer for connection number `index`.
    pub(crate) fn port(&self, index: usize) -> u16 {
        PORT + (index % usize::from(self.ports)) as u16
    }

    /// Where connection number `index` goes.
    pub(crate) fn peer(&self, index: usize) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(PEER), self.port(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_say_all_of_it() {
        let order = Order {
            who: "null+copy".to_owned(),
            role: Role::Beside,
            connections: 256,
            ports: 8,
            mtu: 65535,
            offload: true,
            warm: Duration::from_millis(150),
            window: Duration::from_millis(600),
            spin: Duration::from_micros(50),
            caller: Some(3),
        };
        assert_eq!(Order::parse(order.words().into_iter()).ok(), Some(order.clone()));
        let anywhere = Order { caller: None, ..order.clone() };
        assert_eq!(Order::parse(anywhere.words().into_iter()).ok(), Some(anywhere));
        assert_eq!((order.port(0), order.port(7), order.port(8)), (5001, 5008, 5001));
        assert_eq!(order.peer(1).to_string(), "198.51.100.254:5002");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for word in ["connections", "connections=x", "role=nothing", "mtu=70000", "colour=red"] {
            assert!(Order::parse([word.to_owned()].into_iter()).is_err(), "{word}");
        }
    }
}
