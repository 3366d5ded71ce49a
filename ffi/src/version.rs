//! Chapter: Version and features.
//!
//! While the major number is 0, a library with the same SONAME only ever gains functions, constants and
//! struct members.

use std::ffi::c_char;

/// First number of the version that this header describes.
pub const USERTCP_VERSION_MAJOR: u32 = 0;
/// Second number.
pub const USERTCP_VERSION_MINOR: u32 = 1;
/// Third number.
pub const USERTCP_VERSION_PATCH: u32 = 0;
/// The three numbers in one, to compare: major * 65536 + minor * 256 + patch.
pub const USERTCP_VERSION_NUMBER: u32 = 0x000100;

/// usertcp_features(): speaks IPv4.
pub const USERTCP_FEATURE_IPV4: u64 = 0x01;
/// usertcp_features(): speaks IPv6.
pub const USERTCP_FEATURE_IPV6: u64 = 0x02;
/// usertcp_features(): opens TUN devices with segmentation and checksum offload.
pub const USERTCP_FEATURE_OFFLOAD: u64 = 0x04;
/// usertcp_features(): writes packet captures.
pub const USERTCP_FEATURE_PCAP: u64 = 0x08;
/// usertcp_features(): impairs its link on request.
pub const USERTCP_FEATURE_IMPAIRMENT: u64 = 0x10;
/// usertcp_features(): makes sandboxes.
pub const USERTCP_FEATURE_SANDBOX: u64 = 0x20;
/// usertcp_features(): looks names of hosts up.
pub const USERTCP_FEATURE_NAMES: u64 = 0x40;
/// usertcp_features(): shows its sockets to other programs.
pub const USERTCP_FEATURE_CONTROL: u64 = 0x80;
/// usertcp_features(): lets the program decide about each SYN for any address of a prefix.
pub const USERTCP_FEATURE_INTERCEPT: u64 = 0x100;

/// Version of the library that the program runs with, such as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_version() -> *const c_char {
    guard!(c"".as_ptr(), { concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast() })
}

/// Version of the library that the program runs with, to compare with USERTCP_VERSION_NUMBER.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_version_number() -> u32 {
    guard!(0, { USERTCP_VERSION_NUMBER })
}

/// What the library that the program runs with can do: USERTCP_FEATURE_ bits.
#[unsafe(no_mangle)]
pub extern "C" fn usertcp_features() -> u64 {
    guard!(0, {
        USERTCP_FEATURE_IPV4
            | USERTCP_FEATURE_IPV6
            | USERTCP_FEATURE_OFFLOAD
            | USERTCP_FEATURE_PCAP
            | USERTCP_FEATURE_IMPAIRMENT
            | USERTCP_FEATURE_SANDBOX
            | USERTCP_FEATURE_NAMES
            | USERTCP_FEATURE_CONTROL
            | USERTCP_FEATURE_INTERCEPT
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_are_those_of_the_package() {
        let numbers = [USERTCP_VERSION_MAJOR, USERTCP_VERSION_MINOR, USERTCP_VERSION_PATCH];
        assert_eq!(numbers.map(|n| n.to_string()).join("."), env!("CARGO_PKG_VERSION"));
        assert_eq!(numbers[0] << 16 | numbers[1] << 8 | numbers[2], USERTCP_VERSION_NUMBER);
    }
}
