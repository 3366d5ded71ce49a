//! The hosts file: names that need no server.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// Addresses by name, as `/etc/hosts` has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts(BTreeMap<String, Vec<IpAddr>>);

impl Hosts {
    /// Reads the file's text: an address and names on a line, `#` begins a comment. Lines that say something else are passed over, as hosts(5) has it.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut names = BTreeMap::<String, Vec<IpAddr>>::new();
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let Some(address) = words.next().and_then(address) else { continue };
            for name in words {
                let known = names.entry(plain(name)).or_default();
                if !known.contains(&address) {
                    known.push(address);
                }
            }
        }
        Self(names)
    }

    /// The addresses of `name`, in the file's order.
    #[must_use]
    pub fn find(&self, name: &str) -> &[IpAddr] {
        self.0.get(&plain(name)).map_or(&[], Vec::as_slice)
    }
}

/// A name as it is compared.
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// An address; the link that a link-local one names is the only one there is.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    text.split('%').next().unwrap_or_default().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_all_addresses_that_lines_give_it() {
        let hosts = Hosts::parse(
            "# first\n127.0.0.1\tlocalhost\n192.0.2.1 Gate gate.example # the gate\n\n2001:db8::1 gate\nnonsense here\n192.0.2.1 gate\nfe80::1%eth0 near\n",
        );
        let addresses = |name: &str| hosts.find(name).iter().map(IpAddr::to_string).collect::<Vec<_>>();
        assert_eq!(addresses("gate"), ["192.0.2.1", "2001:db8::1"]);
        assert_eq!(addresses("GATE."), ["192.0.2.1", "2001:db8::1"]);
        assert_eq!(addresses("gate.example"), ["192.0.2.1"]);
        assert_eq!(addresses("near"), ["fe80::1"]);
        assert!(addresses("here").is_empty() && addresses("the").is_empty());
    }
}
