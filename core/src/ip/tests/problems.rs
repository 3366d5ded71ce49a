//! What is wrong with options and extension headers, by its place.

use super::*;
use crate::config::IpConfig;
use crate::counters::{Counters, Drop};
use crate::time::Instant;

#[test]
fn what_is_wrong_with_an_ipv4_option_is_told_by_its_place() {
    let wrong = |options: &[u8]| {
        let length = options.len().next_multiple_of(4);
        let mut bytes = packet(false);
        bytes.splice(20..20, options.iter().copied().chain([0; 3]).take(length));
        (bytes[0], bytes[3]) = (0x45 + (length / 4) as u8, bytes[3] + length as u8);
        bytes[10..12].fill(0);
        let sum = checksum(&bytes[..20 + length]).to_be_bytes();
        bytes[10..12].copy_from_slice(&sum);
        match arrival(&frame(bytes)) {
            Ok(_) => None,
            Err(Refused { reason: Drop::IpOptions, fault: Some(Fault::ParameterProblem { pointer }) }) => {
                Some(pointer)
            }
            other => panic!("{other:?}"),
        }
    };
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.8
    //= type=test
    //# The IP layer must not crash as the result of an option length that is outside the possible range. (1122:3.2.1.8-4)
    assert_eq!(wrong(&[7, 0]), Some(20), "no length");
    assert_eq!(wrong(&[1, 1, 7, 9]), Some(22), "beyond the header");
    //= https://www.rfc-editor.org/rfc/rfc791#section-3.1
    //= type=test
    //# The pointer is relative to this option, and the smallest legal value for the pointer is 4. (791:3.1-11)
    //= https://www.rfc-editor.org/rfc/rfc791#section-3.1
    //= type=test
    //# If there is some room but not enough room for a full address to be inserted, the original datagram is considered to be in error and is discarded. (791:3.1-14)
    // Record route.
    assert_eq!(wrong(&[7, 2]), Some(21));
    assert_eq!(wrong(&[7, 7, 3, 0, 0, 0, 0]), Some(22), "a pointer into the option's own fields");
    assert_eq!(wrong(&[1, 7, 7, 5, 0, 0, 0, 0]), Some(23), "room for a part of an address");
    assert_eq!(wrong(&[7, 7, 4, 0, 0, 0, 0]), None);
    assert_eq!(wrong(&[7, 7, 8, 9, 9, 9, 9]), None, "full");
    assert_eq!(wrong(&[7, 3, 4]), None, "no room from the beginning");
    //= https://www.rfc-editor.org/rfc/rfc791#section-3.1
    //= type=test
    //# The smallest legal value is 5. (791:3.1-15)
    //= https://www.rfc-editor.org/rfc/rfc791#section-3.1
    //= type=test
    //# If there is some room but not enough room for a full timestamp to be inserted, or the overflow count itself overflows, the original datagram is considered to be in error and is discarded. (791:3.1-18)
    // Timestamps.
    assert_eq!(wrong(&[68, 3, 5]), Some(21));
    assert_eq!(wrong(&[68, 8, 4, 0, 0, 0, 0, 0]), Some(22));
    assert_eq!(wrong(&[68, 8, 5, 0, 0, 0, 0, 0]), None, "times only");
    assert_eq!(wrong(&[68, 8, 5, 1, 0, 0, 0, 0]), Some(22), "no room for address and time");
    assert_eq!(wrong(&[68, 12, 5, 1, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    assert_eq!(wrong(&[68, 12, 5, 3, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    assert_eq!(wrong(&[68, 12, 5, 2, 0, 0, 0, 0, 0, 0, 0, 0]), Some(23), "flags that nobody knows");
    assert_eq!(wrong(&[68, 8, 9, 0xe0, 0, 0, 0, 0]), None, "full");
    assert_eq!(wrong(&[68, 8, 9, 0xf0, 0, 0, 0, 0]), Some(23), "and too many to count");
    assert_eq!(wrong(&[148, 4, 0, 0]), None, "router alert");
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.8
    //= type=test
    //# (b) Stream Identifier Option This option is obsolete; it SHOULD NOT be sent, and it MUST be silently ignored if received. (1122:3.2.1.8-5)
    assert_eq!(wrong(&[136, 4, 0, 0]), None, "stream identifier");
    //= https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.8
    //= type=test
    //# The IP and transport layer MUST each interpret those IP options that they understand and silently ignore the others. (1122:3.2.1.8-3)
    assert_eq!(wrong(&[30, 2]), None, "unknown");
}

#[test]
fn what_is_wrong_with_an_extension_header_is_told_as_rfc_8200_says() {
    let wrong = |extensions: &[(u8, &[u8])]| {
        let mut bytes = packet(true);
        let mut chain = Vec::new();
        let next = extensions.iter().skip(1).map(|(number, _)| *number).chain([6]);
        for ((_, body), next) in extensions.iter().zip(next) {
            chain.push(next);
            chain.extend_from_slice(body);
        }
        (bytes[6], bytes[5]) = (extensions[0].0, bytes[5] + chain.len() as u8);
        bytes.splice(40..40, chain);
        arrival(&frame(bytes)).map(|_| ()).map_err(|refused| (refused.reason, refused.fault))
    };
    use Drop::*;
    let pad: &[u8] = &[0, 1, 4, 0, 0, 0, 0];
    let option = |pointer, groups| Err((IpOptionUnknown, Some(Fault::UnknownOption { pointer, groups })));
    //= https://www.rfc-editor.org/rfc/rfc8200#section-4.2
    //= type=test
    //# The Option Type identifiers are internally encoded such that their highest-order 2 bits specify the action that must be taken if the processing IPv6 node does not recognize the Option Type (8200:4.2-2)
    for header in [0, 60] {
        assert_eq!(wrong(&[(header, &[0, 0x3e, 4, 0, 0, 0, 0])]), Ok(()), "00: skipped");
        assert_eq!(
            wrong(&[(header, &[0, 0x7e, 4, 0, 0, 0, 0])]),
            Err((IpOptionUnknown, None)),
            "01: dropped"
        );
        assert_eq!(
            wrong(&[(header, &[0, 0xbe, 4, 0, 0, 0, 0])]),
            option(42, true),
            "10: told, even of groups"
        );
        assert_eq!(wrong(&[(header, &[0, 0xfe, 4, 0, 0, 0, 0])]), option(42, false), "11: told");
    }
    assert_eq!(wrong(&[(60, &[0, 0, 1, 0, 0x80, 0, 0])]), option(45, true), "behind padding");
    assert_eq!(wrong(&[(0, pad), (60, &[0, 0xc1, 4, 0, 0, 0, 0])]), option(50, false));
    //= https://www.rfc-editor.org/rfc/rfc8200#section-4.2
    //= type=test
    //# The sequence of options within a header must be processed strictly in the order they appear in the header (8200:4.2-1)
    // Two faults: the first that is come to is told.
    assert_eq!(
        wrong(&[(60, &[0, 0xc1, 0, 0x81, 0, 1, 0])]),
        option(42, false),
        "an option in front of another"
    );
    let (unknown, routed): (&[u8], &[u8]) = (&[0, 0xc1, 4, 0, 0, 0, 0], &[0, 9, 1, 0, 0, 0, 0]);
    //= https://www.rfc-editor.org/rfc/rfc8200#section-4
    //= type=test
    //# extension headers must be processed strictly in the order they appear in the packet (8200:4-2)
    assert_eq!(wrong(&[(60, unknown), (43, routed)]), option(42, false), "a header in front of another");
    assert_eq!(
        wrong(&[(43, routed), (60, unknown)]),
        Err((IpSourceRoute, Some(Fault::ParameterProblem { pointer: 42 })))
    );
    //= https://www.rfc-editor.org/rfc/rfc8504#section-5.3
    //= type=test
    //# a host may place limits on the number and sizes of extension headers and options it is willing to process. (8504:5.3-1)
    //= https://www.rfc-editor.org/rfc/rfc8504#section-5.3
    //= type=test
    //# If a packet is received and the number of destination or hop-by-hop options exceeds the limit, then the packet SHOULD be silently discarded. (8504:5.3-5)
    let many: Vec<u8> = [2].into_iter().chain([0x1e, 0].repeat(9)).chain([1, 2, 0, 0]).collect();
    assert_eq!(wrong(&[(60, &many)]), Err((IpOptions, None)), "more options than anybody needs");
    //= https://www.rfc-editor.org/rfc/rfc8504#section-5.3
    //= type=test
    //# the default value SHOULD be set to 8. (8504:5.3-4)
    let eight: Vec<u8> = [2].into_iter().chain([0x1e, 0].repeat(8)).chain([1, 4, 0, 0, 0, 0]).collect();
    assert_eq!(wrong(&[(60, &eight)]), Ok(()));
    //= https://www.rfc-editor.org/rfc/rfc8200#section-4
    //= type=test
    //# The same action should be taken if a node encounters a Next Header value of zero in any header other than an IPv6 header. (8200:4-4)
    let next = |pointer| Err((IpOptions, Some(Fault::ProtocolUnreachable { pointer })));
    assert_eq!(wrong(&[(60, pad), (0, pad)]), next(40));
    assert_eq!(wrong(&[(0, pad), (60, pad), (0, pad)]), next(48));
    //= https://www.rfc-editor.org/rfc/rfc8200#section-4.4
    //= type=test
    //# If Segments Left is non-zero, the node must discard the packet and send an ICMP Parameter Problem, Code 0, message to the packet's Source Address, pointing to the unrecognized Routing Type. (8200:4.4-2)
    let routing = |pointer| Err((IpSourceRoute, Some(Fault::ParameterProblem { pointer })));
    //= https://www.rfc-editor.org/rfc/rfc5095#section-3
    //= type=test
    //# MUST NOT execute the algorithm specified in the latter part of Section 4.4 of [RFC2460] for RH0. (5095:3-1)
    for kind in [0, 2, 3, 4, 253] {
        assert_eq!(wrong(&[(43, &[0, kind, 1, 0, 0, 0, 0])]), routing(42), "type {kind}");
        assert_eq!(wrong(&[(60, pad), (43, &[0, kind, 9, 0, 0, 0, 0])]), routing(50));
        //= https://www.rfc-editor.org/rfc/rfc8200#section-4.4
        //= type=test
        //# If Segments Left is zero, the node must ignore the Routing header and proceed to process the next header in the packet, whose type is identified by the Next Header field in the Routing header. (8200:4.4-1)
        assert_eq!(wrong(&[(43, &[0, kind, 0, 0, 0, 0, 0])]), Ok(()), "at its end");
    }
    let field = |pointer| Err((IpOptions, Some(Fault::ParameterProblem { pointer })));
    assert_eq!(wrong(&[(0, &[200, 1, 4, 0, 0, 0, 0])]), field(41), "a header beyond the packet");
    assert_eq!(wrong(&[(43, &[99, 0, 0, 0, 0, 0, 0])]), field(41));
    assert_eq!(wrong(&[(60, pad), (60, &[200, 1, 4, 0, 0, 0, 0])]), field(49));
    assert_eq!(wrong(&[(60, &[0, 1, 5, 0, 0, 0, 0])]), field(43), "an option beyond the header");
    assert_eq!(wrong(&[(60, &[0, 0, 0, 0, 0, 0, 7])]), field(47), "one without a length");
    assert_eq!(wrong(&[(60, pad), (59, pad)]), Err((IpProtocol, None)), "no next header");
}

/// The fragmentable part is named by the Fragment header, which stands in front of it.
#[test]
fn a_first_fragment_that_begins_with_hop_by_hop_options_is_told_where_that_is_said() {
    let mut bytes = packet(true);
    let chain = [[0, 0, 0, 1, 0, 0, 0, 9], [6, 0, 1, 4, 0, 0, 0, 0]].concat();
    (bytes[6], bytes[5]) = (44, bytes[5] + chain.len() as u8);
    bytes.splice(40..40, chain);
    let length = (bytes.len() - 40) / 8 * 8;
    bytes.truncate(40 + length);
    bytes[5] = length as u8;
    let Ok(Arrival::Part(fragment)) = arrival(&frame(bytes)) else { panic!("a fragment") };
    let mut fragments = Reassembly::new(&IpConfig::default());
    let refused = fragments.add(Instant::ZERO, fragment, &mut Counters::default()).unwrap_err();
    assert_eq!(
        (refused.reason, refused.fault),
        (Drop::IpOptions, Some(Fault::ProtocolUnreachable { pointer: 40 }))
    );
}
