//! One run: a cell, a pairing, a seed.

use super::cells::Cell;
use super::host::{Host, Place, Stream};
use super::wire::{Report, Wire};
use super::{Pairing, Result};
use crate::load::{Cores, Load};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes of one call of a sending program.
const WRITE: usize = 128 << 10;

/// Bytes of one call of a receiving program.
const READ: usize = 256 << 10;

/// Longest that a run by bytes may last.
const PATIENCE: Duration = Duration::from_secs(60);

/// When a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// So long after the programs began to send.
    Time(Duration),
    /// When the receivers have so many bytes together.
    Bytes(u64),
}

/// What came of a run.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Bits a second that receiving programs got, from when the programs of all flows began to send, after every handshake.
    pub(super) goodput: f64,
    /// The same of each flow.
    pub(super) flows: Vec<f64>,
    /// Segments that the sender sent again.
    pub(super) retransmissions: u64,
    /// The sender's congestion control.
    pub(super) controller: String,
    pub(super) cores: Cores,
    pub(super) wire: Report,
    pub(super) took: Duration,
    /// What the machine did not allow to be set.
    pub(super) complaints: Vec<String>,
    /// What both tell of themselves, for whoever looks for causes.
    pub(super) told: String,
}

/// Runs it. A stack of ours writes what it sees to a file in `captures`, if that is given.
pub(super) fn run(
    cell: &Cell,
    pairing: Pairing,
    seed: u64,
    until: Until,
    captures: Option<&Path>,
) -> Result<Sample> {
    let capture =
        |place| captures.map(|folder| folder.join(format!("{cell}.{pairing}.{seed:016x}.{place}.pcapng")));
    let (buffer, at) = (cell.buffer(), (Place::Sender, Place::Receiver));
    let (sender, left) = Host::open(pairing.sender, at.0, buffer, capture("sender"))?;
    let (receiver, right) = Host::open(pairing.receiver, at.1, buffer, capture("receiver"))?;
    let wire = Wire::start([left, right], cell.impairment(), seed)?;
    let listener = receiver.listen()?;
    let (sending, receiving) = open(&sender, &listener, cell.flows)?;
    let controller = sending.first().map_or_else(|| Ok(String::new()), Stream::controller);
    let measured = measure(&sending, &receiving, until);
    let told = measured.as_ref().map_or("", |measured| &measured.told);
    let retransmissions = sender.retransmissions();
    listener.end();
    let wire = wire.stop()?;
    let hosts = sender.told().and_then(|sender| {
        let receiver = receiver.told()?;
        Ok(format!("    sender: {told}{sender}\n    receiver: {receiver}"))
    });
    let complaints = [&sender.complaints[..], &receiver.complaints[..]].concat();
    sender.close();
    receiver.close();
    let Measured { flows, took, cores, .. } = measured?;
    let rate = |bytes: u64| bytes as f64 * 8.0 / took.as_secs_f64();
    let flows: Vec<f64> = flows.into_iter().map(rate).collect();
    Ok(Sample {
        goodput: flows.iter().sum(),
        flows,
        retransmissions: retransmissions?,
        controller: controller?,
        cores,
        wire,
        took,
        complaints,
        told: hosts?,
    })
}

/// Opens all connections at once: sender's ends and receiver's, in no common order.
fn open(sender: &Host, listener: &Stream, flows: usize) -> Result<(Vec<Stream>, Vec<Stream>)> {
    thread::scope(|scope| {
        let opening: Vec<_> = (0..flows).map(|_| scope.spawn(|| sender.connect())).collect();
        let receiving = (0..flows).map(|_| listener.accept()).collect::<Result<Vec<_>>>();
        let connect = |thread: thread::ScopedJoinHandle<'_, Result<Stream>>| {
            thread.join().map_err(|_| "a connecting thread has panicked")?
        };
        let sending = opening.into_iter().map(connect).collect::<Result<Vec<_>>>();
        Ok((sending?, receiving?))
    })
}

struct Measured {
    /// Bytes that the program of each flow got.
    flows: Vec<u64>,
    took: Duration,
    cores: Cores,
    told: String,
}

/// What the receiving programs say to whoever waits for the end.
enum News {
    /// All bytes that were asked for are there.
    Enough,
    /// A connection is at its end.
    Ended,
}

/// Lets the programs run, a thread for each end of each flow.
fn measure(sending: &[Stream], receiving: &[Stream], until: Until) -> Result<Measured> {
    let counts: Vec<AtomicU64> = receiving.iter().map(|_| AtomicU64::new(0)).collect();
    let enough = match until {
        Until::Time(_) => u64::MAX,
        Until::Bytes(bytes) => bytes,
    };
    let (all, start) = (AtomicU64::new(0), Barrier::new(sending.len() + 1));
    let (tell, news) = mpsc::channel();
    thread::scope(|scope| {
        for stream in sending {
            let start = &start;
            scope.spawn(move || {
                let bytes = vec![0x55; WRITE];
                start.wait();
                while stream.send(&bytes) > 0 {}
            });
        }
        for (stream, count) in receiving.iter().zip(&counts) {
            let (all, tell) = (&all, tell.clone());
            scope.spawn(move || {
                let mut bytes = vec![0; READ];
                loop {
                    let length = stream.recv(&mut bytes) as u64;
                    count.fetch_add(length, Ordering::Relaxed);
                    let before = all.fetch_add(length, Ordering::Relaxed);
                    // Nobody listens any more once the run is over.
                    if length == 0 {
                        let _ = tell.send(News::Ended);
                        break;
                    }
                    if before < enough && before + length >= enough {
                        let _ = tell.send(News::Enough);
                    }
                }
            });
        }
        let load = Load::now();
        start.wait();
        let begun = Instant::now();
        let heard = news.recv_timeout(match until {
            Until::Time(time) => time,
            Until::Bytes(_) => PATIENCE,
        });
        let took = begun.elapsed();
        let flows = counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let cores = load.and_then(|load| load.since());
        let told = sending.first().map(Stream::told).unwrap_or_default();
        sending.iter().chain(receiving).for_each(Stream::end);
        match (until, heard) {
            (_, Ok(News::Ended)) => Err("a connection has ended in the middle of a run".into()),
            (Until::Bytes(_), Err(_)) => Err(format!("no end within {} s", PATIENCE.as_secs()).into()),
            (Until::Time(_), _) | (Until::Bytes(_), Ok(News::Enough)) => {
                Ok(Measured { flows, took, cores: cores?, told })
            }
        }
    })
}
