//! Connections that live for a byte each way, one after the other.

use super::super::order::Order;
use super::super::tally::Tally;
use super::accept;
use crate::Result;
use std::io::{Read, Write};
use std::net::TcpListener;

/// Accepts, answers, and waits for the end, for ever.
pub(super) fn run(order: &Order, listener: &TcpListener) -> Result<()> {
    let mut tally: Option<Tally> = None;
    loop {
        let mut stream = accept(listener)?;
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        stream.write_all(&byte)?;
        if stream.read(&mut byte)? != 0 {
            return Err("more than a byte has come".into());
        }
        drop(stream);
        // The clock starts with the first connection.
        let tally = tally.get_or_insert_with(|| Tally::start(order, 1));
        tally.add(0, 1);
        tally.look()?;
    }
}
