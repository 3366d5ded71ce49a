//! Round trips: a byte there, a byte back, one after the other.

use super::super::order::Order;
use super::super::tally::Latencies;
use super::bulk;
use crate::Result;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Instant;

/// On one connection, for ever.
pub(super) fn run(order: &Order, streams: &[TcpStream]) -> Result<()> {
    let mut stream = streams.first().ok_or("no connection")?;
    let mut latencies = Latencies::start(order);
    let mut byte = [0x55];
    loop {
        let began = Instant::now();
        stream.write_all(&byte)?;
        stream.read_exact(&mut byte)?;
        latencies.add(began)?;
    }
}

/// On the first connection, while another thread sends on the second.
pub(super) fn beside(order: &Order, streams: &[TcpStream]) -> Result<()> {
    let second = streams.get(1..2).ok_or("no second connection")?;
    thread::scope(|scope| {
        scope.spawn(|| bulk::send(second));
        run(order, streams)
    })
}
