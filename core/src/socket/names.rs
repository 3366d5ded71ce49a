//! What the descriptors that stand for connections and listeners are called in the system: the addresses of what they stand for.
//!
//! A socket of AF_UNIX has a name that its peer can ask for, in any process that it has been handed to. So the library's end of a connection is bound to a
//! name that is no file, and a listener to a file that is gone at once:
//! ```text
//!  \0 utcp 5f0c3a91 192.0.2.1 80 198.51.100.7 40123        /proc/self/fd/9/utcp 5f0c3a91 192.0.2.1 80
//! ```
//! The number makes it the only one of its name.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// Longest name: that of an AF_UNIX socket, less a byte before it and one behind it.
const LONGEST: usize = 106;

/// The name of a connection, or of a listener, which has no peer.
pub(super) fn name(number: u32, own: Option<SocketAddr>, peer: Option<SocketAddr>) -> String {
    let mut name = format!("utcp {number:08x}");
    for address in [own, peer] {
        let _ = match address {
            Some(SocketAddr::V6(v6)) if v6.scope_id() != 0 => {
                write!(name, " {}%{} {}", v6.ip(), v6.scope_id(), v6.port())
            }
            Some(address) => write!(name, " {} {}", address.ip(), address.port()),
            None => write!(name, " - 0"),
        };
    }
    debug_assert!(name.len() <= LONGEST, "{name}");
    name
}

/// Own address and the peer's, as far as they are known, of what is called so; `None`: it is none of those names.
pub(super) fn addresses(name: &[u8]) -> Option<(Option<SocketAddr>, Option<SocketAddr>)> {
    let name = std::str::from_utf8(name).ok()?;
    let name = name.rsplit(['/', '\0']).next()?;
    let words: Vec<_> = name.split(' ').collect();
    let ["utcp", _, own, own_port, peer, peer_port] = words[..] else { return None };
    Some((address(own, own_port)?, address(peer, peer_port)?))
}

/// `None`: it is no address; `Some(None)`: it says that there is none.
fn address(host: &str, port: &str) -> Option<Option<SocketAddr>> {
    if host == "-" {
        return Some(None);
    }
    let port = port.parse().ok()?;
    if let Some((host, scope)) = host.split_once('%') {
        return Some(Some(SocketAddrV6::new(host.parse().ok()?, port, 0, scope.parse().ok()?).into()));
    }
    Some(Some(SocketAddr::new(host.parse::<IpAddr>().ok()?, port)))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_addresses_that_they_were_made_of() {
        let longest = "[2001:db8:1111:2222:3333:4444:5555:6666]:65535";
        let table = [
            ("192.0.2.1:80", Some("198.51.100.7:40123")),
            ("[2001:db8::1]:80", Some("[2001:db8::2]:1")),
            ("[::ffff:192.0.2.1]:80", Some("[::ffff:198.51.100.7]:40123")),
            ("[fe80::1111:2222:3333:4444%1]:80", Some("[fe80::2%1]:443")),
            ("0.0.0.0:80", None),
            (longest, Some(longest)),
        ];
        for (own, peer) in table {
            let parsed = |text: &str| -> SocketAddr { text.parse().expect("an address") };
            let told = (Some(parsed(own)), peer.map(parsed));
            let name = name(u32::MAX, told.0, told.1);
            assert!(name.len() <= LONGEST, "{name}");
            assert_eq!(addresses(format!("\0{name}").as_bytes()), Some(told));
            assert_eq!(addresses(format!("/proc/self/fd/9/{name}").as_bytes()), Some(told));
        }
    }

    #[test]
    fn other_names_tell_nothing() {
        for name in ["", "\0", "/run/x", "utcp", "utcp 0 - 0", "utcp 0 - 0 x 1", "utcp 0 1.2.3.4 65536 - 0"] {
            assert_eq!(addresses(name.as_bytes()), None, "{name}");
        }
        assert_eq!(addresses(&[0xff; 20]), None);
        assert_eq!(addresses(b"utcp 0 - 0 - 0"), Some((None, None)));
    }
}
