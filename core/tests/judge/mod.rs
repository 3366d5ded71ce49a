//! The judge over captures of real stacks: whatever a test is about, what the stack sends keeps to the RFCs.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use usertcp_core::api::{Duration, StackOptions};
use usertcp_tracecheck::{Kind, Options, Whom, check_capture};

/// A capture that is judged and removed when it is dropped, unless the test has failed by itself.
pub(crate) struct Judged {
    path: PathBuf,
    pub(crate) options: Options,
}

impl Judged {
    /// Has the stack captured. `None` where the test does that itself, and for a stack with several workers: its capture has the packets of each in order,
    /// and not those of all.
    pub(crate) fn new(options: &mut StackOptions) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if options.pcap.is_some() || options.workers > 1 {
            return None;
        }
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("usertcp-{}-{number}.pcapng", std::process::id()));
        options.pcap = Some(path.clone());
        let tcp = &options.config.tcp;
        let options = Options {
            whom: Whom::Capturing,
            initial_window: tcp.initial_window,
            rto_initial: tcp.rto_initial,
            rto_max: tcp.rto_max,
            // What programs may ask for at least.
            keep_alive: Duration::from_secs(1),
            keep_alive_interval: Duration::from_secs(1),
            // Threads of a busy machine wait for their turn.
            slack: Duration::from_millis(500),
            // Programs may let routers cut.
            allowed: vec![Kind::MayFragment],
            ..Options::default()
        };
        Some(Self { path, options })
    }

    /// Removes the capture of a stack that nobody will drop.
    #[allow(dead_code, reason = "each test program uses its part")]
    pub(crate) fn discard(&self) {
        fs::remove_file(&self.path).expect("the capture is removed");
    }
}

impl Drop for Judged {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the capture is {}", self.path.display());
            return;
        }
        let file = File::open(&self.path).expect("the capture");
        if file.metadata().is_ok_and(|file| file.len() == 0) {
            // The stack is gone before it wrote anything.
            let _ = fs::remove_file(&self.path);
            return;
        }
        let report = check_capture(file, self.options.clone()).expect("a capture");
        let listed: Vec<String> = report.violations.iter().take(20).map(ToString::to_string).collect();
        let path = self.path.display();
        assert!(listed.is_empty(), "{}, in {path}\n  {}", report.summary(), listed.join("\n  "));
        fs::remove_file(&self.path).expect("the capture is removed");
    }
}
