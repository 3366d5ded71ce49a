//! Chapter: Sockets of a stack.
//!
//! All sockets of a stack at one moment, as ss(8) shows those of the system: also the ones that no program
//! holds, half open, or closed and not over. With usertcp_config_t.control_path other programs
//! of the same user can ask too: `usertcp ss PATH` does.

use crate::address;
use crate::args::{self, Prefixed};
use crate::handle::table;
use crate::info::{translate, usertcp_tcp_info_t};
use crate::stack::usertcp_stack_t;
use libc::{sockaddr_storage, ssize_t};
use std::ffi::c_char;
use std::mem::{offset_of, size_of, zeroed};
use std::net::SocketAddr;
use usertcp_core::api::{SNAPSHOT_HEADER, Snapshot, Stack};

/// A socket as it is at one moment. Begin with USERTCP_SOCKET_INFO_INIT.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct usertcp_socket_info_t {
    /// sizeof(usertcp_socket_info_t).
    pub size: u32,
    /// SOCK_STREAM or SOCK_DGRAM.
    pub kind: u32,
    /// State by the numbers of <netinet/tcp.h>; a datagram socket is TCP_ESTABLISHED when it is connected, else
    /// TCP_CLOSE.
    pub state: u32,
    /// 1: a program has it, or may take it from a listener's queue. 0: it is half open, or closed and not over.
    pub held: u32,
    /// Bytes that wait to be read; of a listening socket connections that wait to be accepted.
    pub receive_queue: u64,
    /// Bytes that the peer has not acknowledged, sent or not; of a listening socket the most connections that
    /// may wait.
    pub send_queue: u64,
    /// Its own address; the family is 0 as long as it has none.
    pub local: sockaddr_storage,
    /// The peer's; the family is 0 as long as there is none.
    pub remote: sockaddr_storage,
    /// Name of the congestion control of a stream, ended by NUL.
    pub congestion: [c_char; 16],
    /// 0.
    pub reserved: [u64; 4],
    /// Its figures, the last ones once the connection is over; all 0 but the size where there never was
    /// one.
    pub info: usertcp_tcp_info_t,
}

// SAFETY: repr(C), `size` first, no padding, and zeroes are a value of every field.
unsafe impl Prefixed for usertcp_socket_info_t {
    const NAME: &'static str = "usertcp_socket_info_t";
    const FIRST: usize = offset_of!(Self, info);
}

/// Stores what each socket of a stack is doing in `infos[0]`, `infos[1]` and so on, at most `count` of them;
/// `infos` may be NULL if `count` is 0. Every entry must have been set to USERTCP_SOCKET_INFO_INIT. Returns how
/// many sockets there are, which may be more than `count`: sockets come and go. Where there are many the
/// stack works meanwhile, so that each is as it was at some moment of the call.
///
/// -EINVAL, -E2BIG: the `size` of an entry is wrong. Entries lie one behind the other, each as long as its `size` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_stack_sockets(
    stack: usertcp_stack_t,
    infos: *mut usertcp_socket_info_t,
    count: usize,
) -> ssize_t {
    guard!({
        let stack = table()?.find::<Stack>(stack)?;
        if infos.is_null() && count != 0 {
            return Err(args::null("the entries"));
        }
        let mut place = infos.cast::<u8>();
        for _ in 0..count {
            // SAFETY: the program promises `count` entries one behind the other, each of the size that it states.
            unsafe { place = place.add(args::struct_size(place.cast::<usertcp_socket_info_t>())?) };
        }
        let sockets = stack.sockets()?;
        let mut place = infos.cast::<u8>();
        for snapshot in sockets.iter().take(count) {
            // SAFETY: the program promises `count` entries one behind the other, each of the size that it states.
            unsafe {
                let entry = place.cast::<usertcp_socket_info_t>();
                let size = if entry.is_null() { 0 } else { entry.cast::<u32>().read_unaligned() as usize };
                let mut info = describe(snapshot);
                // What an older program has of the figures.
                let figures = size.saturating_sub(offset_of!(usertcp_socket_info_t, info));
                info.info.size = info.info.size.min(u32::try_from(figures).unwrap_or(u32::MAX));
                args::write_struct(entry, &info)?;
                place = place.add(size);
            }
        }
        Ok(ssize_t::try_from(sockets.len()).unwrap_or(ssize_t::MAX))
    })
}

/// Writes the same as text, a line or two for each socket, as `ss -tiun` does. Copies at most `size` bytes,
/// always terminated by NUL unless `size` is 0; returns the length of the whole text without the NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn usertcp_stack_sockets_text(
    stack: usertcp_stack_t,
    buffer: *mut c_char,
    size: usize,
) -> ssize_t {
    guard!({
        let sockets = table()?.find::<Stack>(stack)?.sockets()?;
        let lines: String = sockets.iter().map(Snapshot::to_string).collect();
        let text = format!("{SNAPSHOT_HEADER}{lines}");
        // SAFETY: the program promises `size` writable bytes.
        let length = unsafe { args::copy_text(&text, buffer, size) };
        Ok(ssize_t::try_from(length).unwrap_or(ssize_t::MAX))
    })
}

fn describe(snapshot: &Snapshot) -> usertcp_socket_info_t {
    // SAFETY: zeroes are a value of every field.
    let mut info: usertcp_socket_info_t = unsafe { zeroed() };
    info.kind = if snapshot.stream { libc::SOCK_STREAM } else { libc::SOCK_DGRAM } as u32;
    info.state = snapshot.state.into();
    info.held = snapshot.held.into();
    info.receive_queue = snapshot.receive_queue as u64;
    info.send_queue = snapshot.send_queue as u64;
    info.local = stored(snapshot.local);
    info.remote = stored(snapshot.remote);
    if snapshot.stream {
        let name = snapshot.congestion.to_string();
        let room = info.congestion.len() - 1;
        for (place, byte) in info.congestion.iter_mut().take(room).zip(name.bytes()) {
            *place = byte as c_char;
        }
    }
    info.info.size = size_of::<usertcp_tcp_info_t>() as u32;
    if let Some(figures) = &snapshot.info {
        info.info = translate(figures);
    }
    info
}

fn stored(address: Option<SocketAddr>) -> sockaddr_storage {
    // SAFETY: zeroes are a value of every field: the family says that there is no address.
    address.map_or_else(|| unsafe { zeroed() }, |address| address::encode(address).0)
}
