//! The judge on every simulated host: whatever a test is about, what the host sends keeps to the RFCs.

use bytes::Bytes;
use std::cell::RefCell;
use std::fmt::Write;
use std::path::PathBuf;
use usertcp_core::config::Config;
use usertcp_core::link::segment::from_frame;
use usertcp_core::link::{Device, Frame, pcap};
use usertcp_core::sim::{Host, Way};
use usertcp_core::time::{Duration, Instant};
use usertcp_tracecheck::{Checker, Direction, Options, Whom};

thread_local! {
    /// Where the captures of this thread's hosts go.
    static FOLDER: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
}

/// From here on this thread's hosts leave captures in `folder`, as they do in that of USERTCP_CAPTURE.
pub fn capture_into(folder: Option<PathBuf>) {
    FOLDER.set(folder);
}

fn folder() -> Option<PathBuf> {
    FOLDER.with_borrow(Clone::clone).or_else(|| std::env::var_os("USERTCP_CAPTURE").map(PathBuf::from))
}

/// A host whose every packet is judged when the test is over.
pub fn host(config: Config, device: Box<dyn Device>) -> Host {
    judged(config, device, |_| {})
}

/// The same with a judge who knows of something unusual.
pub fn judged(config: Config, device: Box<dyn Device>, change: impl FnOnce(&mut Options)) -> Host {
    let mut options = options(&config, device.as_ref());
    change(&mut options);
    let name = config.addresses.first().map(|prefix| prefix.address.to_string()).unwrap_or_default();
    let mut judge = Judge { checker: Some(Checker::new(options)), name, kept: None };
    if folder().is_some() {
        let mut bytes = Vec::new();
        pcap::begin(&mut bytes, &judge.name);
        judge.kept = Some(bytes);
    }
    let mut host = Host::new(config, device).expect("a host");
    host.tap = Some(Box::new(move |now, way, packet| judge.see(now, way, packet)));
    host
}

fn options(config: &Config, device: &dyn Device) -> Options {
    let tcp = &config.tcp;
    Options {
        whom: Whom::Capturing,
        super_frames: Some(device.capabilities().tso4),
        initial_window: tcp.initial_window,
        batch: Some(1 << 16),
        // The clock is virtual, and timers have a grain of a millisecond.
        slack: Duration::from_millis(1),
        rto_initial: tcp.rto_initial,
        rto_max: tcp.rto_max,
        // What programs may ask for at least.
        keep_alive: Duration::from_secs(1),
        keep_alive_interval: Duration::from_secs(1),
        ..Options::default()
    }
}

/// Looks at what passes one host, and speaks when the host is gone.
struct Judge {
    checker: Option<Checker>,
    name: String,
    /// The capture, if it is to be kept.
    kept: Option<Vec<u8>>,
}

impl Judge {
    fn see(&mut self, now: Instant, way: Way, packet: &[u8]) {
        let direction = if way == Way::In { Direction::In } else { Direction::Out };
        if let Some(checker) = &mut self.checker {
            checker.packet(now.as_nanos(), direction, packet);
        }
        let Some(bytes) = &mut self.kept else { return };
        let frame = Frame { bytes: Bytes::copy_from_slice(packet), ..Frame::default() };
        match way {
            Way::In => pcap::received(bytes, now.as_nanos(), &frame),
            Way::Out => pcap::sent(bytes, now.as_nanos(), &from_frame(&frame)),
        }
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        let Some(report) = self.checker.take().map(Checker::finish) else { return };
        if std::thread::panicking() && self.kept.is_none()
            || report.violations.is_empty() && self.kept.is_none()
        {
            return;
        }
        let mut text = format!("{}: {}", self.name, report.summary());
        for violation in report.violations.iter().take(20) {
            let _ = write!(text, "\n  {violation}");
        }
        if let (Some(bytes), Some(folder)) = (&self.kept, folder()) {
            let test = std::thread::current().name().unwrap_or("test").replace(':', "_");
            let path = folder.join(format!("{test}-{}.pcapng", self.name));
            std::fs::write(&path, bytes).expect("a capture");
            let _ = write!(text, "\n  the capture is {}", path.display());
        }
        if report.violations.is_empty() || std::thread::panicking() {
            println!("{text}");
        } else {
            panic!("{text}");
        }
    }
}
