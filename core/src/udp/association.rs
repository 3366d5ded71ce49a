//! Where a datagram socket stands: its own address, and its peer's if it has one.

use std::net::{IpAddr, SocketAddr};

/// The addresses of a socket. "Connected" is a filter and a default, known to this side only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Association {
    /// What bind asked for, its port resolved.
    bound: Option<SocketAddr>,
    /// Where datagrams come to; the unspecified address stands for every one of the host.
    local: Option<SocketAddr>,
    /// Whom it hears, and sends to.
    peer: Option<SocketAddr>,
}

impl Association {
    /// Own address.
    #[must_use]
    pub const fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    /// The peer's.
    #[must_use]
    pub const fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// The address to send from, where the program has chosen one.
    #[must_use]
    pub fn source(&self) -> Option<IpAddr> {
        self.local.map(|local| local.ip()).filter(|ip| !ip.is_unspecified())
    }

    /// The same as bind alone has it, for a connect that may choose anew.
    #[must_use]
    pub fn bound_source(&self) -> Option<IpAddr> {
        self.bound.map(|bound| bound.ip()).filter(|ip| !ip.is_unspecified())
    }

    /// bind gives it an address.
    pub const fn bind(&mut self, local: SocketAddr) {
        self.bound = Some(local);
        self.local = Some(local);
    }

    /// It sends before it was bound: `local` is its address until it is dissolved.
    pub const fn settle(&mut self, local: SocketAddr) {
        self.local = Some(local);
    }

    /// From now on it hears `peer` alone, at `source`. Its port must be known.
    pub fn connect(&mut self, source: IpAddr, peer: SocketAddr) {
        if let Some(local) = &mut self.local {
            //= https://www.rfc-editor.org/rfc/rfc1122#section-4.1.3.5
            //# There SHOULD be a way to communicate the chosen source address up to the application layer (1122:4.1.3.5-3)
            local.set_ip(source);
        }
        self.peer = Some(peer);
    }

    /// It hears everybody again, at the address that bind gave it. Whether it lost a port that it had found by itself.
    pub const fn dissolve(&mut self) -> bool {
        let lost = self.bound.is_none() && self.local.is_some();
        self.peer = None;
        self.local = self.bound;
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn what_bind_gave_comes_back() {
        let mut one = Association::default();
        one.bind(at("0.0.0.0:53"));
        assert_eq!((one.source(), one.local()), (None, Some(at("0.0.0.0:53"))));
        one.connect(at("192.0.2.1:0").ip(), at("192.0.2.9:9"));
        assert_eq!((one.local(), one.peer()), (Some(at("192.0.2.1:53")), Some(at("192.0.2.9:9"))));
        assert_eq!((one.source(), one.bound_source()), (Some(at("192.0.2.1:0").ip()), None));
        assert!(!one.dissolve());
        assert_eq!((one.local(), one.peer()), (Some(at("0.0.0.0:53")), None));
    }

    #[test]
    fn a_port_that_it_found_by_itself_is_lost() {
        let mut one = Association::default();
        assert!(!one.dissolve());
        one.settle(at("[::]:40000"));
        one.connect(at("[2001:db8::1]:0").ip(), at("[2001:db8::9]:9"));
        assert_eq!(one.local(), Some(at("[2001:db8::1]:40000")));
        assert!(one.dissolve());
        assert_eq!(one, Association::default());
    }
}
