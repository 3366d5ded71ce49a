//! Names to addresses: a stub resolver that is told messages and the time, and is asked for messages and deadlines.
//!
//! ```text
//! settings, hosts   what /etc/resolv.conf and /etc/hosts say, or the program in their place
//! lookup            one name, through the search list, for one family or both
//!   quest           one name and one type: servers in turn, UDP and then TCP, aliases
//!     message       one question and what answers it
//! cache             what servers said, for as long as they said
//! select            the order in which addresses are tried (RFC 6724)
//! race              connecting to several addresses (RFC 8305)
//! ```
//!
//! Nobody here opens a socket or knows a clock. A server that lies, loops or floods is bounded everywhere: strangers' messages per exchange, exchanges per
//! question, aliases per name, addresses per answer, and entries of the cache.

mod cache;
mod hosts;
mod lookup;
mod message;
mod name;
mod quest;
mod race;
mod select;
mod settings;
#[cfg(all(test, not(loom)))]
mod tests;

pub use cache::Cache;
pub use hosts::Hosts;
pub use lookup::{AtOnce, Families, Lookup, at_once};
pub use message::{ADDRESSES_MAX, Kind};
pub use name::Name;
pub use quest::{Exchange, Transmit, Transport};
pub use race::Race;
pub use select::order;
pub use settings::{SERVERS_MAX, Settings};

use crate::error::{Errno, Error};

/// Why a name has no addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is no such name (NXDOMAIN).
    NoName,
    /// There is, without an address of the families asked for.
    NoData,
    /// The servers answered that they cannot, or nonsense, or cannot be reached: in words.
    Servers(String),
    /// No server has answered in time.
    Silence,
}

impl Failure {
    /// ENOENT, ENODATA, EREMOTEIO, ETIMEDOUT.
    #[must_use]
    pub const fn errno(&self) -> Errno {
        match self {
            Self::NoName => Errno::ENOENT,
            Self::NoData => Errno::ENODATA,
            Self::Servers(_) => Errno::EREMOTEIO,
            Self::Silence => Errno::ETIMEDOUT,
        }
    }

    /// The error for whoever asked for `name`.
    #[must_use]
    pub fn error(&self, name: &str) -> Error {
        let text = match self {
            Self::NoName => format!("there is no host {name}"),
            Self::NoData => format!("host {name} has no address of the family asked for"),
            Self::Servers(what) => format!("host {name} cannot be looked up: {what}"),
            Self::Silence => format!("host {name} cannot be looked up: no name server answers in time"),
        };
        Error::new(self.errno(), text)
    }
}
