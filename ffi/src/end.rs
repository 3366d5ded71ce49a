//! Chapter: Why a connection ended.

use crate::args::{self, Prefixed};
use crate::socket::{find, usertcp_socket_t};
use libc::ssize_t;
use std::ffi::{c_char, c_int};
use std::mem::size_of;
use std::net::IpAddr;
use usertcp_core::api::{EndReason, Errno, Error};

/// Both sides have sent FIN and both are acknowledged.
pub const USERTCP_END_FINISHED: u32 = 1;
/// The peer reset it; `error` is ECONNREFUSED while connecting, EPIPE once the peer had sent its FIN, else
/// ECONNRESET. `rst_seq` is set.
pub const USERTCP_END_RESET: u32 = 2;
/// The peer did not answer SYN.
pub const USERTCP_END_HANDSHAKE_TIMEOUT: u32 = 3;
/// The peer did not acknowledge what was sent.
pub const USERTCP_END_RETRANSMISSION_TIMEOUT: u32 = 4;
/// The peer did not answer probes of its closed window.
pub const USERTCP_END_PROBE_TIMEOUT: u32 = 5;
/// TCP_USER_TIMEOUT was over.
pub const USERTCP_END_USER_TIMEOUT: u32 = 6;
/// The peer did not answer keep-alive probes.
pub const USERTCP_END_KEEP_ALIVE_TIMEOUT: u32 = 7;
/// The peer did not finish after this side had closed.
pub const USERTCP_END_FIN_WAIT_2_TIMEOUT: u32 = 8;
/// The network returned a segment of the handshake. `icmp_type` and what follows it is set; it is after a
/// timeout too, if the network had returned what went unanswered.
pub const USERTCP_END_UNREACHABLE: u32 = 9;
/// The program aborted it: usertcp_abort(), SO_LINGER with a time of 0, a connect that was given up.
pub const USERTCP_END_ABORTED: u32 = 10;
/// The program closed it with data unread, or data came after it had closed.
pub const USERTCP_END_UNREAD: u32 = 11;
/// The stack had to let go of it: it was at its limits.
pub const USERTCP_END_LIMIT: u32 = 12;
/// The link is gone.
pub const USERTCP_END_LINK_GONE: u32 = 13;
/// The stack was closed before the connection was.
pub const USERTCP_END_STACK_CLOSED: u32 = 14;

/// Why a connection is over. Begin with USERTCP_END_REASON_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct usertcp_end_reason_t {
    /// sizeof(usertcp_end_reason_t).
    pub size: u32,
    /// USERTCP_END_FINISHED and so on.
    pub kind: u32,
    /// The error that belongs to it, a positive number of <errno.h>; 0 for an orderly end.
    pub error: i32,
    /// Sequence number of the RST.
    pub rst_seq: u32,
    /// AF_INET or AF_INET6 if the network returned a segment, else 0.
    pub icmp_family: u32,
    /// Type of the ICMP or ICMPv6 message.
    pub icmp_type: u8,
    /// Its code.
    pub icmp_code: u8,
    /// 0.
    pub reserved: u16,
    /// Who sent it: a struct in_addr or in6_addr.
    pub icmp_from: [u8; 16],
}

// SAFETY: repr(C), `size` first, no padding, and zeroes are a value of every field.
unsafe impl Prefixed for usertcp_end_reason_t {
    const NAME: &'static str = "usertcp_end_reason_t";
    const FIRST: usize = 40;
}

/// Fills `*reason` with why the connection is over. That may be asked as often as wanted and does not depend
/// on the error having been told.
/// -EAGAIN: it is not over, or there never was one. -EINVAL, -E2BIG: `size` is wrong.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_end_reason(
    socket: usertcp_socket_t,
    reason: *mut usertcp_end_reason_t,
) -> c_int {
    guard!({
        let translated = translate(&ended(socket)?);
        // SAFETY: the program promises a usertcp_end_reason_t of the size that it states.
        unsafe { args::write_struct(reason, &translated) }?;
        Ok(0)
    })
}

/// Why the connection is over in a sentence, such as "connection reset by peer: RST with sequence number 7".
/// Copies at most `size` bytes, always terminated by NUL unless `size` is 0; returns the length of the whole
/// sentence without the NUL. -EAGAIN: it is not over, or there never was one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_end_text(
    socket: usertcp_socket_t,
    buffer: *mut c_char,
    size: usize,
) -> ssize_t {
    guard!({
        let text = ended(socket)?.to_string();
        // SAFETY: the program promises `size` writable bytes.
        Ok(unsafe { args::copy_text(&text, buffer, size) } as ssize_t)
    })
}

fn ended(socket: usertcp_socket_t) -> Result<EndReason, Error> {
    let reason = find(socket)?.socket.end_reason();
    reason.ok_or_else(|| Error::new(Errno::EAGAIN, "the connection is not over"))
}

fn translate(reason: &EndReason) -> usertcp_end_reason_t {
    let network = reason.network();
    let mut icmp_from = [0; 16];
    let icmp_family = match network.map(|told| told.from) {
        None => 0,
        Some(IpAddr::V4(v4)) => {
            icmp_from[..4].copy_from_slice(&v4.octets());
            libc::AF_INET as u32
        }
        Some(IpAddr::V6(v6)) => {
            icmp_from = v6.octets();
            libc::AF_INET6 as u32
        }
    };
    usertcp_end_reason_t {
        size: size_of::<usertcp_end_reason_t>() as u32,
        kind: reason.number(),
        error: reason.errno().map_or(0, |errno| errno.0),
        rst_seq: if let EndReason::Reset { seq, .. } = reason { *seq } else { 0 },
        icmp_family,
        icmp_type: network.map_or(0, |told| told.kind),
        icmp_code: network.map_or(0, |told| told.code),
        reserved: 0,
        icmp_from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use usertcp_core::api::{Timeout, Unreachable};

    #[test]
    fn every_reason_has_its_number() {
        let timed_out = |timer| EndReason::TimedOut { timer, network: None };
        let told = Unreachable {
            errno: Errno::EHOSTUNREACH,
            kind: 3,
            code: 1,
            from: IpAddr::from([203, 0, 113, 9]),
        };
        let table = [
            (EndReason::Finished, USERTCP_END_FINISHED),
            (EndReason::Reset { seq: 7, errno: Errno::ECONNRESET }, USERTCP_END_RESET),
            (timed_out(Timeout::Handshake), USERTCP_END_HANDSHAKE_TIMEOUT),
            (timed_out(Timeout::Retransmission), USERTCP_END_RETRANSMISSION_TIMEOUT),
            (timed_out(Timeout::Probe), USERTCP_END_PROBE_TIMEOUT),
            (timed_out(Timeout::User), USERTCP_END_USER_TIMEOUT),
            (timed_out(Timeout::KeepAlive), USERTCP_END_KEEP_ALIVE_TIMEOUT),
            (timed_out(Timeout::FinWait2), USERTCP_END_FIN_WAIT_2_TIMEOUT),
            (EndReason::Unreachable(told), USERTCP_END_UNREACHABLE),
            (EndReason::Aborted, USERTCP_END_ABORTED),
            (EndReason::Unread, USERTCP_END_UNREAD),
            (EndReason::Limit, USERTCP_END_LIMIT),
            (EndReason::LinkGone, USERTCP_END_LINK_GONE),
            (EndReason::StackClosed, USERTCP_END_STACK_CLOSED),
        ];
        for (reason, kind) in table {
            assert_eq!(translate(&reason).kind, kind, "{reason:?}");
        }
        let unreachable = translate(&EndReason::Unreachable(told));
        assert_eq!((unreachable.icmp_type, unreachable.icmp_code, unreachable.icmp_family), (3, 1, 2));
        assert_eq!(unreachable.icmp_from[..5], [203, 0, 113, 9, 0]);
        assert_eq!(translate(&table[1].0).rst_seq, 7);
    }
}
