//! What a script asks for by its options and its packets.

use super::{Settings, number};
use crate::script::{Action, Body, Options, Packet, Script, Segment, TcpOption};

/// Options that change nothing for a stack on a clock of its own, or that the runner reads itself.
const HARMLESS: [&str; 33] = [
    "ip_version",
    "bind_port",
    "connect_port",
    "local_ip",
    "remote_ip",
    "netmask_ip",
    "gateway_ip",
    "linklocal_ip",
    "tolerance_usecs",
    "tolerance_percent",
    "tcp_ts_tick_usecs",
    "tcp_ts_ecr_scaled",
    "strict_segments",
    "non_fatal",
    "define",
    "mtu",
    "speed",
    "mss",
    "init_scripts",
    "code_command",
    "code_format",
    "code_sockopt",
    "dry_run",
    "verbose",
    "debug",
    "send_omit_free",
    "is_anyip",
    "fuzz_seed",
    "persistent_tun_dev",
    "no_cleanup",
    "tun_dev",
    "no_checksum_verification",
    "use_expect",
];

impl Settings {
    pub(super) fn option(&mut self, name: &str, value: &str) {
        match name {
            "mtu" => match number(value) {
                Some(mtu) => self.config.mtu = mtu,
                None => self.miss(0, format!("--mtu={value}")),
            },
            "udp_encapsulation" => self.miss(0, format!("TCP in UDP (--udp_encapsulation={value})")),
            name if HARMLESS.contains(&name) => {}
            name => self.miss(0, format!("--{name}")),
        }
    }

    /// Whether a packet shows something that no setting asks for by name.
    pub(super) fn look_through(&mut self, script: &Script) {
        for event in &script.events {
            let Action::Outbound(packet) = &event.action else { continue };
            if let Some(what) = outbound(packet)
                && !self.missing.iter().any(|missing| missing.what.starts_with(what))
            {
                self.miss(event.line, format!("{what} (as its packets show)"));
            }
        }
    }
}

/// What the stack would have to send.
fn outbound(packet: &Packet) -> Option<&'static str> {
    let Body::Tcp(segment) = &packet.body else { return None };
    if segment.flags.contains(|c: char| c == 'A' || c.is_ascii_digit()) {
        return Some("AccECN");
    }
    option(segment)
}

fn option(segment: &Segment) -> Option<&'static str> {
    let Options::List(list) = &segment.options else { return None };
    list.iter().find_map(|option| match option {
        TcpOption::Other(name, _) => match name.as_str() {
            "FO" | "FOEXP" => Some("Fast Open"),
            "md5" => Some("MD5 signatures"),
            "ECN" => Some("AccECN"),
            _ => None,
        },
        _ => None,
    })
}
