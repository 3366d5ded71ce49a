//! Whom to ask, and how: what resolv.conf(5) says.

use super::Name;
use super::hosts::{Hosts, address};
use crate::time::Duration;
use std::net::SocketAddr;

/// Most name servers that are asked, as in resolv.conf(5).
pub const SERVERS_MAX: usize = 3;

/// Most suffixes of the search list.
const SEARCH_MAX: usize = 16;

/// Port of name servers.
const PORT: u16 = 53;

/// The settings of a resolver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Servers to ask, in order; at most [`SERVERS_MAX`].
    pub servers: Vec<SocketAddr>,
    /// Suffixes to try behind names that are not complete.
    pub search: Vec<Name>,
    /// Dots from which on a name is first tried as it is. Default 1.
    pub ndots: u8,
    /// How long one server may take before the next is asked. Default 5 s.
    pub timeout: Duration,
    /// How often all servers are asked. Default 2.
    pub attempts: u8,
    /// Names that need no server.
    pub hosts: Hosts,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(5),
            attempts: 2,
            hosts: Hosts::default(),
        }
    }
}

impl Settings {
    /// Reads the text of a resolv.conf: `nameserver`, `search` and `domain`, of which the last counts, and of `options` ndots, timeout and attempts, within
    /// the limits that the C library has. Whatever else it says is passed over.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut settings = Self::default();
        for line in text.lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let server = words.next().and_then(address);
                    settings.servers.extend(server.map(|ip| SocketAddr::new(ip, PORT)));
                }
                Some("search") => settings.search = words.filter_map(Name::parse).take(SEARCH_MAX).collect(),
                Some("domain") => settings.search = words.take(1).filter_map(Name::parse).collect(),
                Some("options") => words.for_each(|word| settings.option(word)),
                _ => {}
            }
        }
        settings.servers.truncate(SERVERS_MAX);
        settings
    }

    fn option(&mut self, word: &str) {
        let Some((name, value)) = word.split_once(':') else { return };
        let Ok(value) = value.parse::<u8>() else { return };
        match name {
            "ndots" => self.ndots = value.min(15),
            "timeout" => self.timeout = Duration::from_secs(value.clamp(1, 30).into()),
            "attempts" => self.attempts = value.clamp(1, 5),
            _ => {}
        }
    }

    /// A server as a program writes it: an address with or without a port, an IPv6 address with a port in brackets.
    #[must_use]
    pub fn server(text: &str) -> Option<SocketAddr> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        text.parse().ok().or_else(|| address(bare).map(|ip| SocketAddr::new(ip, PORT)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_file_is_understood() {
        let text = "# comment\nnameserver 192.0.2.1 ; the first\nnameserver fe80::1%eth0\nnameserver nonsense\nnameserver 192.0.2.2\nnameserver 192.0.2.3\n\
                    domain old.example\nsearch example.com a..b sub.example.com\noptions ndots:3 timeout:90 attempts:0 rotate edns0\n";
        let settings = Settings::parse(text);
        let servers: Vec<_> = settings.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[fe80::1]:53", "192.0.2.2:53"]);
        let search: Vec<_> = settings.search.iter().map(ToString::to_string).collect();
        assert_eq!(search, ["example.com", "sub.example.com"]);
        assert_eq!((settings.ndots, settings.timeout, settings.attempts), (3, Duration::from_secs(30), 1));
        assert_eq!(
            Settings::parse("search a\ndomain b.example c\n").search,
            [Name::parse("b.example").unwrap()]
        );
        assert_eq!(Settings::parse(""), Settings::default());
    }

    #[test]
    fn servers_are_written_with_or_without_a_port() {
        let server = |text: &str| Settings::server(text).map(|server| server.to_string());
        assert_eq!(server("192.0.2.1").as_deref(), Some("192.0.2.1:53"));
        assert_eq!(server("192.0.2.1:5353").as_deref(), Some("192.0.2.1:5353"));
        assert_eq!(server("2001:db8::1").as_deref(), Some("[2001:db8::1]:53"));
        assert_eq!(server("[2001:db8::1]").as_deref(), Some("[2001:db8::1]:53"));
        assert_eq!(server("[2001:db8::1]:5353").as_deref(), Some("[2001:db8::1]:5353"));
        assert_eq!(server("dns.example"), None);
    }
}
