//! Costs grow no faster than a logarithm: instructions of the same operation, counted one by one, with few and with many connections, with little and
//! much in flight, and with few and many holes. Counts do not depend on what else the machine does.

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::thread::{CpuSet, sched_getcpu, sched_setaffinity};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use usertcp_bench::micro::{Axis, COUNTED};

/// One process is counted at a time: each step is two switches between two processes.
static TURN: Mutex<()> = Mutex::new(());

/// From little to much an operation may come to take so many times the instructions: a logarithm of a hundred times as much or more is twice to four
/// times as large, and is only a part of an operation.
const MOST: u64 = 3;

/// The sender keeps the order of what is in flight in an array of four bytes a range, and moves up to half of it for a range that is new in the middle.
/// That is linear, and a step counts a byte where the processor moves them in one instruction: less than a microsecond for 10,000 holes.
const MOVES_AN_ARRAY: (&str, u64) = ("SACK in of a segment in between", 8);

/// Instructions of each operation on `axis` with so many of it, the median of [`COUNTED`] times, for once in a while an allocator tidies up; `None` where nobody may count them.
fn counts(axis: Axis, size: usize) -> Option<BTreeMap<String, u64>> {
    // Both on one processor: waking the other one takes ten times as long as a step.
    let mut here = CpuSet::new();
    here.set(sched_getcpu());
    sched_setaffinity(None, &here).expect("a processor");
    let mut child = Command::new(env!("CARGO_BIN_EXE_micro"))
        .args(["steps", axis.name(), &size.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program to count");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process"));
    if let Err(error) = ptrace::seize(pid, Options::PTRACE_O_EXITKILL) {
        assert_eq!(error, Errno::EPERM, "why it cannot be counted");
        println!("skipped: no process may be traced here");
        child.kill().and_then(|()| child.wait()).expect("its end");
        return None;
    }
    child.stdin.take().expect("its input").write_all(b"\n").expect("that it waits");
    let counted = count(pid);
    let names = names(&mut child);
    assert_eq!(counted.len(), COUNTED * names.len(), "{names:?}");
    let medians = counted.chunks(COUNTED).map(|counts| {
        let mut counts = counts.to_vec();
        counts.sort_unstable();
        counts[COUNTED / 2]
    });
    Some(names.into_iter().zip(medians).collect())
}

/// Instructions between each two signals, until the process ends.
fn count(pid: Pid) -> Vec<u64> {
    let (mut counted, mut counting) = (Vec::new(), None);
    loop {
        match waitpid(pid, None).expect("the process") {
            WaitStatus::Stopped(_, Signal::SIGUSR1) => match counting.take() {
                None => counting = Some(0),
                Some(count) => counted.push(count),
            },
            WaitStatus::Stopped(_, Signal::SIGTRAP) => counting = counting.map(|count: u64| count + 1),
            WaitStatus::Exited(_, 0) => return counted,
            other => panic!("{other:?} after {} operations", counted.len()),
        }
        let go = if counting.is_some() { ptrace::step(pid, None) } else { ptrace::cont(pid, None) };
        go.expect("a process that stands");
    }
}

fn names(child: &mut Child) -> Vec<String> {
    let mut text = String::new();
    child.stdout.take().expect("its output").read_to_string(&mut text).expect("names");
    text.lines().map(str::to_owned).collect()
}

/// Asserts that no operation takes much longer with much than with little of it.
fn grows_slowly(axis: Axis, little: usize, much: usize) {
    let _turn = TURN.lock();
    let Some((few, many)) = counts(axis, little).zip(counts(axis, much)) else { return };
    let both: Vec<_> = few.iter().filter_map(|(name, few)| Some((name, *few, *many.get(name)?))).collect();
    for (name, few, many) in &both {
        println!("{name}: {few} instructions with {little} {}, {many} with {much}", axis.name());
    }
    assert!(!both.is_empty(), "nothing is done with {little} and with {much}");
    let most = |name: &str| if name == MOVES_AN_ARRAY.0 { MOVES_AN_ARRAY.1 } else { MOST };
    let fast: Vec<_> = both.iter().filter(|(name, few, many)| *many > most(name) * few).collect();
    assert!(fast.is_empty(), "from {little} to {much} {}: {fast:?}", axis.name());
}

#[test]
fn with_connections() {
    grows_slowly(Axis::Connections, 1, 100_000);
}

#[test]
fn with_connections_asleep() {
    grows_slowly(Axis::Asleep, 1, 100_000);
}

#[test]
fn with_connections_to_one_server() {
    grows_slowly(Axis::Outgoing, 1, 20_000);
}

#[test]
fn with_bytes_in_flight_or_unread() {
    grows_slowly(Axis::Windows, 100, 16 << 20);
    grows_slowly(Axis::Windows, 20_000, 1 << 20);
}

#[test]
fn with_holes() {
    grows_slowly(Axis::Holes, 100, 10_000);
}
