//! Types and codes of ICMP by the names that scripts have for them.

/// What a message says: type, code, and the second word of its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) code: u8,
    pub(super) rest: [u8; 4],
}

/// Name, number, and the names of the codes with theirs.
type Kind = (&'static str, u8, &'static [(&'static str, u8)]);

const V4: [Kind; 13] = [
    ("echo_reply", 0, &[]),
    (
        "unreachable",
        3,
        &[
            ("net_unreachable", 0),
            ("host_unreachable", 1),
            ("protocol_unreachable", 2),
            ("port_unreachable", 3),
            ("frag_needed", 4),
            ("source_route_failed", 5),
            ("net_unknown", 6),
            ("host_unknown", 7),
            ("source_host_isolated", 8),
            ("net_prohibited", 9),
            ("host_prohibited", 10),
            ("net_unreachable_for_tos", 11),
            ("host_unreachable_for_tos", 12),
            ("packet_filtered", 13),
            ("precedence_violation", 14),
            ("precedence_cutoff", 15),
        ],
    ),
    ("source_quench", 4, &[]),
    ("redirect", 5, &[]),
    (
        "time_exceeded",
        11,
        &[
            ("exceeded_ttl", 0),
            ("ttl_exceeded_in_transit", 0),
            ("exceeded_frag_time", 1),
            ("fragment_reassembly_time_exceeded", 1),
        ],
    ),
    ("parameter_problem", 12, &[]),
    ("echo_request", 8, &[]),
    ("timestamp_request", 13, &[]),
    ("timestamp_reply", 14, &[]),
    ("information_request", 15, &[]),
    ("information_reply", 16, &[]),
    ("address_mask_request", 17, &[]),
    ("address_mask_reply", 18, &[]),
];

const V6: [Kind; 6] = [
    (
        "unreachable",
        1,
        &[
            ("no_route", 0),
            ("net_unreachable", 0),
            ("admin_prohibited", 1),
            ("not_neighbour", 2),
            ("address_unreachable", 3),
            ("port_unreachable", 4),
        ],
    ),
    ("packet_too_big", 2, &[]),
    (
        "time_exceeded",
        3,
        &[("exceeded_hop_limit", 0), ("hop_limit_exceeded_in_transit", 0), ("exceeded_frag_time", 1)],
    ),
    ("parameter_problem", 4, &[("header_field", 0), ("unknown_next_header", 1), ("unknown_option", 2)]),
    ("echo_request", 128, &[]),
    ("echo_reply", 129, &[]),
];

/// What a line says, over IPv6 or IPv4. A sentence about a name that is none.
pub(super) fn message(
    six: bool,
    kind: &str,
    code: Option<&str>,
    mtu: Option<u32>,
) -> Result<Message, String> {
    let kinds: &[Kind] = if six { &V6 } else { &V4 };
    let known = kinds.iter().find(|(name, ..)| *name == kind);
    let number = known.map(|(_, number, _)| *number).or_else(|| decimal(kind, "type_"));
    let number = number.ok_or_else(|| format!("no type of ICMP is called {kind}"))?;
    let code = match code {
        None => 0,
        Some(code) => {
            let codes = known.map_or(&[][..], |(.., codes)| codes);
            let named = codes.iter().find(|(name, _)| *name == code).map(|(_, number)| *number);
            named
                .or_else(|| decimal(code, "code_"))
                .ok_or_else(|| format!("no code of {kind} is called {code}"))?
        }
    };
    let mtu = mtu.unwrap_or(0);
    // ICMP has 16 bits for an MTU, ICMPv6 has 32.
    let rest = if six { mtu.to_be_bytes() } else { (mtu & 0xffff).to_be_bytes() };
    Ok(Message { kind: number, code, rest })
}

/// The words for a message of the stack's.
pub(super) fn words(six: bool, kind: u8, code: u8) -> String {
    let kinds: &[Kind] = if six { &V6 } else { &V4 };
    let Some((name, _, codes)) = kinds.iter().find(|(_, number, _)| *number == kind) else {
        return format!("icmp {kind} {code}");
    };
    match codes.iter().find(|(_, number)| *number == code) {
        Some((code, _)) => format!("icmp {name} {code}"),
        None if code == 0 => format!("icmp {name}"),
        None => format!("icmp {name} {code}"),
    }
}

/// `3`, `type_3`.
fn decimal(text: &str, prefix: &str) -> Option<u8> {
    text.strip_prefix(prefix).unwrap_or(text).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_the_family_has_them_for() {
        let of = |six, kind, code, mtu| message(six, kind, code, mtu);
        let frag = of(false, "unreachable", Some("frag_needed"), Some(1400)).unwrap();
        assert_eq!(frag, Message { kind: 3, code: 4, rest: [0, 0, 5, 120] });
        let big = of(true, "packet_too_big", None, Some(1300)).unwrap();
        assert_eq!(big, Message { kind: 2, code: 0, rest: [0, 0, 5, 20] });
        assert_eq!(of(true, "unreachable", Some("port_unreachable"), None).unwrap().code, 4);
        assert!(of(true, "unreachable", Some("frag_needed"), None).is_err());
        assert_eq!(of(false, "type_3", Some("code_9"), None).unwrap().code, 9);
        assert_eq!(words(false, 3, 13), "icmp unreachable packet_filtered");
        assert_eq!(words(true, 2, 0), "icmp packet_too_big");
    }
}
