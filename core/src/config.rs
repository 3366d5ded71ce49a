//! Every constant of the protocols as a field, with its default, unit and source.

mod buffers;
mod congestion;
mod ip;
mod named;
mod personality;
mod prefix;
mod route;
mod tcp;
mod udp;

pub use buffers::BufferConfig;
pub use congestion::{Congestion, CwndValidation, SlowStart};
pub use ip::IpConfig;
pub use personality::{OfferedWindow, OptionLayout, Personality};
pub use prefix::{Domain, Prefix};
pub use route::Route;
pub use tcp::{Ecn, MtuProbing, SynCookies, TcpConfig};
pub use udp::UdpConfig;

use crate::error::{Errno, Error};
use crate::time::Duration;

/// The settings of one stack. `Config::default()` behaves like a Linux host, `Config::of` like another.
#[derive(Clone, Debug)]
pub struct Config {
    /// Whose defaults the other fields began with; the stack itself reads only those.
    pub personality: Personality,
    /// The stack's own addresses, any number of either family. At least one is needed to talk to a link.
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.1.6
    //# The following information MUST be configurable: (1) IP address(es). (2) Address mask(s). (1122:3.3.1.6-1)
    pub addresses: Vec<Prefix>,
    /// The networks that the link leads to beside those of `addresses`. Default none: it leads everywhere. With any, whatever is in none of them is
    /// ENETUNREACH; the longest prefix decides.
    pub routes: Vec<Route>,
    /// Largest IP packet that the link carries, bytes: 576 to 65535 (1280 at least with IPv6). RFC 791, 8200.
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.3.3
    //# The MTU of each physical interface MUST be configurable. (1122:3.3.3-6)
    pub mtu: u16,
    /// Secret that keys hashes, initial sequence numbers and ports; the stack's only source of randomness.
    pub secret: [u8; 16],
    /// IP settings.
    pub ip: IpConfig,
    /// TCP settings.
    pub tcp: TcpConfig,
    /// UDP settings.
    pub udp: UdpConfig,
    /// Buffer limits.
    pub buffers: BufferConfig,
    /// Most sockets of a stack at once, of any kind. Default 1048576, as fs.nr_open of Linux: what sockets hold is bounded by `buffers.total`.
    pub max_sockets: usize,
    /// For how long a call that waits looks at the device again and again before it sleeps, at most 10 ms. It spares waking the thread, 25 to 50 us where CPUs
    /// halt, and costs a CPU meanwhile; it pays only where the peer answers within that time and runs on another CPU. Where it does not pay it is tried
    /// ever more rarely. One thread of a stack does it at a time, and only in the I/O thread's place, that is while no other thread waits too. Default 0: not at all.
    pub spin: Duration,
}

/// What takes longer is worth a sleep.
const SPIN_MAX: Duration = Duration::from_millis(10);

impl Default for Config {
    fn default() -> Self {
        Self {
            personality: Personality::Linux,
            addresses: Vec::new(),
            routes: Vec::new(),
            mtu: 1500,
            secret: [0; 16],
            ip: IpConfig::default(),
            tcp: TcpConfig::default(),
            udp: UdpConfig::default(),
            buffers: BufferConfig::default(),
            max_sockets: 1_048_576,
            spin: Duration::ZERO,
        }
    }
}

impl Config {
    /// Refuses settings that no stack can work with, naming the field and its range.
    pub fn validate(&self) -> Result<(), Error> {
        let refuse = |text: String| Err(Error::new(Errno::EINVAL, text));
        let has_v6 = self.addresses.iter().any(|p| p.address.is_ipv6());
        //= https://www.rfc-editor.org/rfc/rfc8200#section-5
        //# Links that have a configurable MTU (for example, PPP links [RFC1661]) must be configured to have an MTU of at least 1280 octets (8200:5-2)
        let least = if has_v6 { 1280 } else { 576 };
        if self.mtu < least {
            return refuse(format!("mtu {} is too small: at least {least} here", self.mtu));
        }
        for prefix in &self.addresses {
            //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.3
            //# (c) { -1, -1 } Limited broadcast. It MUST NOT be used as a source address. (1122:3.2.1.3-3)
            //= https://www.rfc-editor.org/rfc/rfc6724#section-4
            //# multicast addresses and the unspecified address MUST NOT be included in a candidate set. (6724:4-2)
            if !prefix.names_a_host() {
                return refuse(format!("{prefix} cannot be a host's own address"));
            }
        }
        self.routes.iter().try_for_each(|route| route.validate(&self.addresses))?;
        if self.spin > SPIN_MAX {
            return refuse(format!("spin {:?} is too long: at most {SPIN_MAX:?}", self.spin));
        }
        //= https://www.rfc-editor.org/rfc/rfc8200#section-5
        //# A node must be able to accept a fragmented packet that, after reassembly, is as large as 1500 octets. (8200:5-5)
        if self.ip.reassembly_bytes < 65_536 {
            return refuse("reassembly_bytes must be at least 65536".into());
        }
        if self.ip.hop_limit == 0 {
            return refuse("hop_limit must be at least 1".into());
        }
        if self.ip.path_mtu_min < 68 || self.ip.path_mtus == 0 {
            return refuse("path_mtu_min must be at least 68, path_mtus at least 1".into());
        }
        if self.ip.path_mtu_base < 68 || self.ip.path_mtu_probes == 0 {
            return refuse("path_mtu_base must be at least 68, path_mtu_probes at least 1".into());
        }
        if self.ip.path_mtu_probe_timeout < Duration::from_secs(1) {
            return refuse("path_mtu_probe_timeout must be at least 1 s".into());
        }
        self.tcp.validate()?;
        self.udp.validate()?;
        self.buffers.validate()
    }
}

/// Refuses a range of ports that has none.
fn validate_ports(first: u16, last: u16) -> Result<(), Error> {
    if first == 0 || first > last {
        let text = format!("ephemeral ports {first} to {last}: the first must be 1 to the last");
        return Err(Error::new(Errno::EINVAL, text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    //= https://www.rfc-editor.org/rfc/rfc8200#section-5
    //= type=test
    //# Links that have a configurable MTU (for example, PPP links [RFC1661]) must be configured to have an MTU of at least 1280 octets (8200:5-2)
    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        type Change = fn(&mut Config);
        let refused: &[(&str, Change)] = &[
            ("mtu", |c| c.mtu = 575),
            ("mtu", |c| {
                c.mtu = 1279;
                c.addresses = vec!["2001:db8::1/64".parse().unwrap()];
            }),
            //= https://www.rfc-editor.org/rfc/rfc6724#section-4
            //= type=test
            //# multicast addresses and the unspecified address MUST NOT be included in a candidate set. (6724:4-2)
            ("224.0.0.1", |c| c.addresses = vec!["224.0.0.1/4".parse().unwrap()]),
            ("::ffff:192.0.2.1", |c| c.addresses = vec!["::ffff:192.0.2.1/128".parse().unwrap()]),
            ("neighbour", |c| c.routes = vec!["::/0 via 2001:db8::9".parse().unwrap()]),
            ("hop_limit", |c| c.ip.hop_limit = 0),
            ("spin", |c| c.spin = Duration::from_micros(10_001)),
            //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.3
            //= type=test
            //# (c) { -1, -1 } Limited broadcast. It MUST NOT be used as a source address. (1122:3.2.1.3-3)
            ("192.0.2.255/24", |c| c.addresses = vec!["192.0.2.255/24".parse().unwrap()]),
            ("255.255.255.255", |c| c.addresses = vec!["255.255.255.255/32".parse().unwrap()]),
            ("0.1.2.3", |c| c.addresses = vec!["0.1.2.3/8".parse().unwrap()]),
            ("127.0.0.1", |c| c.addresses = vec!["127.0.0.1/8".parse().unwrap()]),
            ("::1", |c| c.addresses = vec!["::1/128".parse().unwrap()]),
            ("path_mtu_min", |c| c.ip.path_mtu_min = 67),
            ("reassembly_bytes", |c| c.ip.reassembly_bytes = 65_535),
            ("path_mtus", |c| c.ip.path_mtus = 0),
            ("path_mtu_base", |c| c.ip.path_mtu_base = 67),
            ("path_mtu_probes", |c| c.ip.path_mtu_probes = 0),
            ("path_mtu_probe_timeout", |c| c.ip.path_mtu_probe_timeout = Duration::from_millis(999)),
            ("mtu_timeouts", |c| c.tcp.mtu_timeouts = 0),
            ("ports", |c| c.tcp.port_first = 0),
            ("ports", |c| c.tcp.port_last = c.tcp.port_first - 1),
            ("ports", |c| c.udp.port_first = c.udp.port_last + 1),
            ("buffers", |c| c.udp.send = 2047),
            ("rto_min", |c| c.tcp.rto_min = Duration::ZERO),
            ("syn_cookie_step", |c| c.tcp.syn_cookie_step = Duration::ZERO),
            ("intercept_timeout", |c| c.tcp.intercept_timeout = Duration::ZERO),
            ("keepalive_interval", |c| c.tcp.keepalive_interval = Duration::ZERO),
            ("delayed_ack", |c| c.tcp.delayed_ack = Duration::from_millis(500)),
            ("challenge_interval", |c| c.tcp.challenge_interval = Duration::ZERO),
            ("rto_initial", |c| c.tcp.rto_initial = Duration::ZERO),
            ("mss", |c| c.tcp.mss = Some(63)),
            ("buffers", |c| c.buffers.receive = 2047),
            ("buffers", |c| c.buffers.send_initial = 2047),
            ("window", |c| c.buffers.receive = (1 << 30) + 1),
            ("total", |c| c.buffers.total = 65_535),
            ("page", |c| c.buffers.page = 65_536),
        ];
        assert!(Config::default().validate().is_ok());
        for &(name, spoil) in refused {
            let mut config = Config::default();
            spoil(&mut config);
            let error = config.validate().expect_err(name);
            assert!(error.errno() == Errno::EINVAL && error.to_string().contains(name), "{name}: {error}");
        }
    }
}
