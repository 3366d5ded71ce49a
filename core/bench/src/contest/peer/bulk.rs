//! Bulk data, by sockets of the kernel: on one connection by calls that block, on more of them by epoll in one thread.

use super::super::order::{BUFFER, Order};
use super::super::tally::Tally;
use crate::Result;
use crate::aligned::Aligned;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;

/// Sends on all connections, for ever.
pub(super) fn send(streams: &[TcpStream]) -> Result<()> {
    let bytes = Aligned::zeroed(BUFFER);
    match streams {
        [stream] => loop {
            let mut stream = stream;
            let _ = stream.write(&bytes)?;
        },
        _ => each(streams, EventFlags::OUT, |_, mut stream| stream.write(&bytes)),
    }
}

/// Receives on all connections, for ever, and counts.
pub(super) fn receive(order: &Order, streams: &[TcpStream]) -> Result<()> {
    let mut tally = Tally::start(order, streams.len());
    let mut bytes = Aligned::zeroed(BUFFER);
    let mut take = |index: usize, mut stream: &TcpStream| -> std::io::Result<usize> {
        let length = stream.read(&mut bytes)?;
        tally.add(index, length as u64);
        tally.look().map_err(std::io::Error::other)?;
        Ok(length)
    };
    match streams {
        [stream] => loop {
            if take(0, stream)? == 0 {
                return Err("a connection has ended".into());
            }
        },
        _ => each(streams, EventFlags::IN, take),
    }
}

/// Does something with each connection that is ready for it, for ever; it tells how many bytes it has moved, and 0 is the end.
fn each(
    streams: &[TcpStream],
    ready: EventFlags,
    mut work: impl FnMut(usize, &TcpStream) -> std::io::Result<usize>,
) -> Result<()> {
    let set: OwnedFd = epoll::create(CreateFlags::CLOEXEC)?;
    for (index, stream) in streams.iter().enumerate() {
        stream.set_nonblocking(true)?;
        epoll::add(&set, stream, EventData::new_u64(index as u64), ready)?;
    }
    let mut events: Vec<Event> = Vec::with_capacity(streams.len());
    loop {
        events.clear();
        match epoll::wait(&set, spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let index = usize::try_from(event.data.u64())?;
            match work(index, &streams[index]) {
                Ok(0) => return Err("a connection has ended".into()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
