//! A Turn on a device that takes as many packets as it is told to.

use super::*;
use crate::config::Config;
use crate::link::{Capabilities, Frame, Sent, Transmit};
use crate::stack::Domain;
use crate::stack::socket::send_to;
use crate::sync::{Arc, AtomicUsize, Mutex, Ordering, lock};
use crate::time::Duration;
use crate::trace::Log;
use bytes::Bytes;
use std::net::SocketAddr;

#[derive(Clone, Default)]
struct Narrow {
    room: Arc<AtomicUsize>,
    taken: Arc<Mutex<Vec<u8>>>,
    down: Arc<AtomicUsize>,
    mtu: Arc<AtomicUsize>,
    ripens: Arc<Mutex<Option<Instant>>>,
}

impl Device for Narrow {
    fn capabilities(&self) -> Capabilities {
        Capabilities::plain(self.mtu.load(Ordering::Relaxed).max(1500) as u16)
    }

    fn recv(&mut self, _now: Instant, _page: &mut BytesMut) -> Result<Option<Frame>, DeviceError> {
        Ok(None)
    }

    fn send(&mut self, _now: Instant, transmit: &Transmit) -> Result<Sent, DeviceError> {
        if lock(&self.taken).len() == self.down.load(Ordering::Relaxed) {
            return Err(DeviceError::Down);
        }
        let room = self.room.load(Ordering::Relaxed);
        if room == 0 {
            return Ok(Sent::WouldBlock);
        }
        self.room.store(room - 1, Ordering::Relaxed);
        lock(&self.taken).extend(transmit.payload.concat().first());
        Ok(Sent::Taken)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        *lock(&self.ripens)
    }
}

const NOW: Instant = Instant::from_millis(1_000_000);

/// A Turn with datagrams to send that are numbered from 0, by a byte.
fn turn(device: &Narrow, datagrams: usize) -> Turn {
    let addresses = vec!["192.0.2.2/24".parse().expect("a prefix")];
    let config = Config { addresses, mtu: device.capabilities().mtu, ..Config::default() };
    let mut stack = Stack::new(config, device.capabilities(), Log::new(None)).expect("a stack");
    let (id, cell) = stack.datagram_socket(Domain::V4).expect("a socket");
    let peer = SocketAddr::from(([192, 0, 2, 1], 7));
    stack.send_datagram(NOW, id, &Bytes::from_static(&[0]), Some(peer), None).expect("room");
    for number in 1..datagrams {
        let _ = send_to(&cell, &Bytes::copy_from_slice(&[number as u8]), Some(peer), None).expect("room");
    }
    stack.handle_kick(NOW, id);
    let (_, commands) = crossbeam_channel::unbounded();
    Turn::new(stack, Box::new(device.clone()), PagePool::new(4096, 1), commands, None)
}

/// A Turn with that many datagrams of `bytes` to send, each by a socket of its own.
fn loaded(device: &Narrow, datagrams: usize, bytes: usize) -> Turn {
    let mut turn = turn(device, 1);
    let peer = SocketAddr::from(([192, 0, 2, 1], 7));
    for _ in 1..datagrams {
        let (id, _cell) = turn.stack.datagram_socket(Domain::V4).expect("a socket");
        turn.stack.send_datagram(NOW, id, &Bytes::from(vec![7; bytes]), Some(peer), None).expect("room");
    }
    turn
}

fn narrow(room: usize, down: usize) -> Narrow {
    let device = Narrow::default();
    device.room.store(room, Ordering::Relaxed);
    device.down.store(down, Ordering::Relaxed);
    device
}

#[test]
fn what_a_full_device_leaves_of_a_row_goes_first_when_there_is_room() {
    let device = narrow(5, usize::MAX);
    let mut turn = turn(&device, ROW + 44);
    let Next::Sleep(sleep) = turn.run(NOW, Called::Otherwise) else { panic!("a full device is slept on") };
    assert!(sleep.writable);
    assert_eq!(lock(&device.taken).len(), 5);
    for room in [1, 0, 130, 1000] {
        device.room.store(room, Ordering::Relaxed);
        let _ = turn.run(NOW, Called::ByDevice);
    }
    assert_eq!(*lock(&device.taken), (0..ROW + 44).map(|number| number as u8).collect::<Vec<u8>>());
    assert!(matches!(turn.run(NOW, Called::Otherwise), Next::Sleep(sleep) if !sleep.writable));
}

#[test]
fn what_is_left_of_a_row_goes_with_the_link() {
    let device = narrow(1000, 5);
    let mut turn = turn(&device, 100);
    assert!(matches!(turn.run(NOW, Called::Otherwise), Next::Sleep(sleep) if sleep.writable));
    device.down.store(usize::MAX, Ordering::Relaxed);
    let _ = turn.run(NOW, Called::ByDevice);
    assert_eq!(*lock(&device.taken), [0, 1, 2, 3, 4]);
}

/// What the I/O thread sleeps for may have passed: callers who run turns see to timers, and it sleeps on.
#[test]
fn what_the_device_has_by_itself_rings_however_early_the_io_thread_would_have_woken() {
    let device = narrow(1000, usize::MAX);
    let mut turn = turn(&device, 1);
    let Next::Sleep(sleep) = turn.run(NOW, Called::Otherwise) else { panic!("there is nothing to do") };
    turn.sleeps = Some(Sleep { until: Some(NOW), ..sleep });
    let later = NOW + Duration::from_millis(5);
    assert!(!turn.serve(later).ring);
    *lock(&device.ripens) = Some(later + Duration::from_millis(1));
    assert!(turn.serve(later).ring);
}

/// Who writes would hear of room only when everything is sent, and have written nothing meanwhile.
#[test]
fn a_turn_ends_after_a_mebibyte_whatever_is_left_to_be_sent() {
    let device = narrow(1000, usize::MAX);
    device.mtu.store(usize::from(u16::MAX), Ordering::Relaxed);
    let mut turn = loaded(&device, 50, 60_000);
    let sent = |turn: &mut Turn| {
        let before = lock(&device.taken).len();
        let next = turn.run(NOW, Called::Otherwise);
        (lock(&device.taken).len() - before, matches!(next, Next::Again))
    };
    let share = (1 << 20) / 60_028 + 1;
    assert_eq!(sent(&mut turn), (share + 1, true), "the first is short");
    assert_eq!(sent(&mut turn), (share, true));
    assert_eq!(sent(&mut turn), (49 - 2 * share, false));
}
