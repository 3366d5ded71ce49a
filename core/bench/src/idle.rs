//! Idle connections: what each of them takes, and how long it takes to open and to close all of them.

use crate::Result;
use std::fs;
use std::time::{Duration, Instant};
use usertcp_core::error::Error;
use usertcp_core::sim::crowd::Crowd;

/// Who opens the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opener {
    /// The stack that is measured.
    Own,
    /// Its peers.
    Peer,
}

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Idle {
    /// Connections.
    pub connections: usize,
    /// Bytes by which the process has grown for each of them.
    pub bytes: f64,
    /// The same once all are in TIME-WAIT.
    pub time_wait_bytes: f64,
    /// Bytes of the whole process at most.
    pub resident: u64,
    /// Time to open all of them.
    pub open: Duration,
    /// Time to send a byte on each, which is acknowledged.
    pub talk: Duration,
    /// Time to close them, and until TIME-WAIT is over, which is waited for on a clock of its own.
    pub close: Duration,
}

/// Opens `connections` to a peer without memory over a link in memory, sends a byte on each, and closes them. `awake` of them are kept at hand; none: as many as by
/// default.
pub fn idle(connections: usize, opener: Opener, awake: Option<usize>) -> Result<Idle> {
    let before = resident()?;
    let mut crowd = Crowd::new(connections, |config| {
        config.buffers.awake_connections = awake.unwrap_or(config.buffers.awake_connections);
    })?;
    let begun = Instant::now();
    let opened = match opener {
        Opener::Own => crowd.connect(connections),
        Opener::Peer => crowd.accept(connections),
    };
    opened.map_err(Error::from)?;
    let open = begun.elapsed();
    let held = resident()?;
    let begun = Instant::now();
    crowd.talk(b"x");
    let talk = begun.elapsed();
    let begun = Instant::now();
    crowd.close();
    let mut close = begun.elapsed();
    let waiting = resident()?;
    let begun = Instant::now();
    crowd.pass(Duration::from_secs(120));
    close += begun.elapsed();
    if crowd.stack.sockets() > 0 {
        return Err(format!("{} connections are left", crowd.stack.sockets()).into());
    }
    let each = |now: u64| now.saturating_sub(before) as f64 / connections.max(1) as f64;
    let resident = held.max(waiting);
    Ok(Idle { connections, bytes: each(held), time_wait_bytes: each(waiting), resident, open, talk, close })
}

/// Bytes of this process that are in memory.
fn resident() -> Result<u64> {
    let text = fs::read_to_string("/proc/self/statm")?;
    let pages = text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
    let page = rustix::param::page_size() as u64;
    pages.map(|pages| pages * page).ok_or_else(|| format!("statm: {text}").into())
}
