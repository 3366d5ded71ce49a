//! The wire: a thread that carries packets between two TUN devices in real time, and does to them what a cell says.

use super::Result;
use crate::{load, priority};
use bytes::{Bytes, BytesMut};
use smallvec::smallvec;
use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use usertcp_core::device;
use usertcp_core::error::Errno;
use usertcp_core::link::impair::{Impairment, Packet, Path, Statistics};
use usertcp_core::link::segment::{from_frame, segment};
use usertcp_core::link::{Device, DeviceError, Sent, SentChecksum, Transmit};
use usertcp_core::rng::Rng;
use usertcp_core::time::{Duration, Instant};
use usertcp_core::{clock, sys};

/// Most frames read from one side before what is due is delivered: a super-frame is up to 45 packets.
const FRAMES_PER_TURN: usize = 16;

/// Shortest sleep. Packets that are due within it arrive together, as a network card's interrupts have it; without it a link of 1 Gbit/s would wake the
/// thread for every packet, and each wake-up costs more than the packet.
const GRAIN: Duration = Duration::from_micros(50);

/// Room for a page of super-frames.
const PAGE: usize = 256 << 10;

/// A running wire.
pub(super) struct Wire {
    ends: Arc<Ends>,
    thread: JoinHandle<Result<Report>>,
}

struct Ends {
    over: AtomicBool,
    bell: OwnedFd,
}

/// What became of the packets, and how well the wire kept time.
#[derive(Clone, Debug, Default)]
pub(super) struct Report {
    /// From the sender to the receiver.
    pub(super) there: Statistics,
    /// From the receiver to the sender.
    pub(super) back: Statistics,
    /// CPU time of the thread, the kernel's work for the packets that it wrote included.
    pub(super) cpu: Duration,
    /// Packets that a device refused.
    pub(super) refused: u64,
    /// Turns that delivered something, by how late the first of it was: the index is the number of binary digits of the microseconds.
    pub(super) late: [u64; 24],
}

impl Report {
    /// Microseconds that so great a share of the turns that delivered something were not later than, rounded up to a power of two.
    pub(super) fn lateness(&self, share: f64) -> u64 {
        let all = self.late.iter().sum::<u64>() as f64;
        let mut seen = 0;
        for (digits, count) in self.late.iter().enumerate() {
            seen += count;
            if seen as f64 >= all * share {
                return 1 << digits;
            }
        }
        1 << self.late.len()
    }
}

impl Wire {
    /// Joins the two devices by descriptors of TUNs; each direction has its own random numbers, made from `seed`.
    pub(super) fn start(devices: [OwnedFd; 2], impairment: Impairment, seed: u64) -> Result<Self> {
        let rng = Rng::from_seed(seed);
        let [left, right] = devices;
        let left = Side::new(left, Path::new(impairment, rng.fork("back"))?)?;
        let right = Side::new(right, Path::new(impairment, rng.fork("there"))?)?;
        let ends = Arc::new(Ends { over: AtomicBool::new(false), bell: sys::eventfd()? });
        let seen = ends.clone();
        let builder = thread::Builder::new().name("wire".to_owned());
        let thread = builder.spawn(move || Loop { sides: [left, right], cut: VecDeque::new() }.run(&seen))?;
        Ok(Self { ends, thread })
    }

    /// Ends it.
    pub(super) fn stop(self) -> Result<Report> {
        self.ends.over.store(true, Ordering::Release);
        sys::eventfd_ring(self.ends.bell.as_fd());
        self.thread.join().map_err(|_| "the wire's thread has panicked")?
    }
}

/// A device, and the path that leads to it.
struct Side {
    device: Box<dyn Device>,
    page: BytesMut,
    path: Path,
    refused: u64,
}

impl Side {
    fn new(fd: OwnedFd, path: Path) -> Result<Self> {
        let (device, _) = device::from_descriptor(fd, 1500, |_| None)?;
        Ok(Self { device, page: BytesMut::with_capacity(PAGE), path, refused: 0 })
    }

    fn recv(&mut self, now: Instant) -> Result<Option<Transmit>> {
        let spare = self.device.spare();
        if self.page.capacity() - self.page.len() < spare && !self.page.try_reclaim(spare) {
            self.page = BytesMut::with_capacity(PAGE);
        }
        match self.device.recv(now, &mut self.page) {
            Ok(frame) => Ok(frame.as_ref().map(from_frame)),
            Err(DeviceError::Refused(_)) => Ok(None),
            Err(error) => Err(format!("the wire cannot read: {error:?}").into()),
        }
    }

    /// Delivers what has arrived.
    fn deliver(&mut self, now: Instant) -> Result<()> {
        while let Some(packet) = self.path.due(now) {
            let payload = smallvec![Bytes::from(packet.bytes)];
            let head = Default::default();
            let transmit = Transmit { head, payload, gso_size: 0, checksum: SentChecksum::Complete };
            match self.device.send(now, &transmit) {
                Ok(Sent::Taken) => {}
                Ok(Sent::WouldBlock) | Err(DeviceError::Refused(_)) => self.refused += 1,
                Err(error) => return Err(format!("the wire cannot write: {error:?}").into()),
            }
        }
        Ok(())
    }
}

struct Loop {
    sides: [Side; 2],
    cut: VecDeque<Transmit>,
}

impl Loop {
    fn run(mut self, ends: &Ends) -> Result<Report> {
        // Otherwise the kernel takes 50 us of freedom with every time-out.
        rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
        priority::take_more()?;
        let begun = load::thread_time()?;
        let mut report = Report::default();
        while !ends.over.load(Ordering::Acquire) {
            let full = self.carry(0)? | self.carry(1)?;
            let now = clock::now();
            let next = self.next();
            if let Some(next) = next.filter(|next| *next <= now) {
                let micros = u64::try_from(now.since(next).as_micros()).unwrap_or(u64::MAX);
                let digits = (u64::BITS - micros.leading_zeros()) as usize;
                report.late[digits.min(report.late.len() - 1)] += 1;
                self.sides.iter_mut().try_for_each(|side| side.deliver(now))?;
                continue;
            }
            if !full {
                self.sleep(ends, next.map(|next| next.since(now).max(GRAIN)))?;
            }
        }
        let [left, right] = &self.sides;
        (report.there, report.back) = (*right.path.statistics(), *left.path.statistics());
        report.refused = left.refused + right.refused;
        report.cpu = load::thread_time()?.saturating_sub(begun);
        Ok(report)
    }

    /// Takes in what has come from one side; whether there may be more.
    fn carry(&mut self, from: usize) -> Result<bool> {
        for _ in 0..FRAMES_PER_TURN {
            let now = clock::now();
            let Some(transmit) = self.sides[from].recv(now)? else { return Ok(false) };
            segment(&transmit, &mut self.cut);
            drop(transmit);
            let path = &mut self.sides[1 - from].path;
            for transmit in self.cut.drain(..) {
                // What a path has to tell the source comes of an MTU, and no cell has one.
                let _ = path.offer(now, packet(&transmit));
            }
        }
        Ok(true)
    }

    fn next(&self) -> Option<Instant> {
        self.sides.iter().filter_map(|side| side.path.next()).min()
    }

    fn sleep(&self, ends: &Ends, timeout: Option<Duration>) -> Result<()> {
        let entry = |fd| sys::PollFd { fd, events: libc::POLLIN, revents: 0 };
        let [left, right] = &self.sides;
        let descriptor = |side: &Side| side.device.descriptor().unwrap_or(-1);
        let mut entries = [entry(descriptor(left)), entry(descriptor(right)), entry(ends.bell.as_raw_fd())];
        match sys::poll(&mut entries, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

fn packet(transmit: &Transmit) -> Packet {
    let mut bytes = Vec::with_capacity(transmit.len());
    bytes.extend_from_slice(&transmit.head);
    transmit.payload.iter().for_each(|slice| bytes.extend_from_slice(slice));
    Packet::from(bytes)
}
