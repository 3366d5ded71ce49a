//! Priority, so that other programs of the machine do not show in what is measured.
//!
//! With an ordinary priority a thread that wakes waits for up to 3 ms until whoever has the processor has used his slice, and on two cores that is
//! several round trips of some cells.

use crate::Result;
use std::fs;
use std::process::Command;

/// What programs and stacks run at.
const ENDS: u32 = 1;

/// Niceness of what is measured where real-time priority would change it: the kernel keeps a twentieth of each processor from such threads, and its own
/// threads wait for them.
const NICENESS: i32 = -10;

/// Where the policy of a thread's own real-time priority stands behind the name in /proc/thread-self/stat.
const COLUMN: usize = 37;

/// Gives real-time priority to the calling thread and those that it starts; says so where that is not allowed.
pub fn take() -> Result<()> {
    set(ENDS)
}

/// Puts this process, and those that it starts, ahead of others by niceness; says so where that is not allowed.
pub fn ahead() -> Result<()> {
    Ok(rustix::process::setpriority_process(None, NICENESS)?)
}

/// In the thread of the wire: above the ends, if they have one. A wire does not wait for computers.
pub(crate) fn take_more() -> Result<()> {
    let text = fs::read_to_string("/proc/thread-self/stat")?;
    match own(&text) {
        Some(0) | None => Ok(()),
        Some(level) => set(level + 1),
    }
}

fn set(level: u32) -> Result<()> {
    let thread = rustix::thread::gettid().as_raw_nonzero().to_string();
    let output = Command::new("chrt").args(["--rr", "--pid", &level.to_string(), &thread]).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned().into())
}

fn own(text: &str) -> Option<u32> {
    let (_, rest) = text.rsplit_once(')')?;
    rest.split_whitespace().nth(COLUMN)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_thread_stays_one() {
        let stat =
            "5 (a b) S 1 5 5 0 -1 0 0 0 0 0 0 0 0 0 -3 0 1 0 9 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 17 1 2 1 0 0";
        assert_eq!(own(stat), Some(2));
        let text = fs::read_to_string("/proc/thread-self/stat").expect("stat");
        assert!(own(&text).is_some());
        take_more().expect("nothing to do, or allowed");
    }
}
