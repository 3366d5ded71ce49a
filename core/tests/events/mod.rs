//! What tests wait for: a condition, or a thread that has gone to sleep; never a mere while.
#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` holds; a test that waits in vain fails, saying `what`.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        thread::park_timeout(Duration::from_millis(1));
    }
}

/// Lets `time` pass, for what is measured over a time.
pub fn measure(time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time {
        thread::park_timeout(time.saturating_sub(start.elapsed()));
    }
}

/// Starts `sleeper` in a thread and returns once the kernel has that thread asleep.
pub fn asleep<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    sleeper: impl FnOnce() -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    let (sender, receiver) = mpsc::channel();
    let thread = scope.spawn(move || {
        sender.send(this_thread()).expect("the starting thread waits");
        sleeper()
    });
    let stat = receiver.recv().expect("the thread's directory").join("stat");
    until("a thread asleep", || {
        // A thread that is over needs no more waiting for.
        let Ok(text) = std::fs::read_to_string(&stat) else { return true };
        text.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('S'))
    });
    thread
}

/// How often the thread of that directory has gone to sleep.
pub fn sleeps(directory: &Path) -> u64 {
    let status = std::fs::read_to_string(directory.join("status")).expect("a live thread");
    let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count.and_then(|count| count.trim().parse().ok()).expect("a count")
}

/// The directory under /proc of the calling thread.
pub fn this_thread() -> PathBuf {
    std::fs::canonicalize("/proc/thread-self").expect("/proc")
}
