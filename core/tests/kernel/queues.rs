//! The queue of a TUN, which drops what the kernel sends beyond it and tells nobody.

use super::lab::*;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::sync::Barrier;
use std::thread;
use usertcp_core::api::*;

/// Packets that the queue of a TUN holds where nobody has asked for more.
const DEFAULT: &str = "500";
const LENGTH: usize = 64 << 20;

/// What a program in the sandbox writes; `None` if it is not there.
fn run(sandbox: &Sandbox, argv: &[&str]) -> Option<String> {
    let null = File::open("/dev/null").expect("/dev/null");
    let (mut reader, writer) = io::pipe().expect("a pipe");
    let streams = [null.as_fd(), writer.as_fd(), null.as_fd()];
    let path = ["PATH=/usr/sbin:/sbin:/usr/bin:/bin"];
    let child = match sandbox.spawn(argv, Some(&path), streams) {
        Err(error) if error.errno() == Errno::ENOENT => return None,
        child => child.expect("a program"),
    };
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("text");
    assert_eq!(child.wait(true).expect("an end"), Some(0), "{argv:?}");
    Some(text)
}

/// Packets that the TUN has passed on to the stack, and those that its queue had no room for.
fn passed_and_dropped(lab: &Lab) -> (u64, u64) {
    let text = run(&lab.sandbox, &["cat", "/proc/self/net/dev"]).expect("cat");
    let name = format!("{}:", lab.sandbox.device_name());
    let line = text.lines().find_map(|line| line.trim().strip_prefix(&name)).expect("the TUN");
    let numbers: Vec<u64> = line.split_whitespace().map(|word| word.parse().expect("a number")).collect();
    (numbers[9], numbers[11])
}

/// Bulk data over `count` connections that the kernel opens and that begin to send together.
fn bulk(lab: &Lab, count: usize) {
    let pairs: Vec<(Socket, TcpStream)> = (0..count).map(|_| lab.connect_in(Domain::V4)).collect();
    let bytes = pattern(31, LENGTH / count);
    let ready = Barrier::new(count);
    thread::scope(|scope| {
        for (socket, kernel) in &pairs {
            let (bytes, ready) = (&bytes, &ready);
            scope.spawn(move || {
                ready.wait();
                let mut kernel = kernel;
                kernel.write_all(bytes).expect("write");
                kernel.shutdown(Shutdown::Write).expect("shutdown");
            });
            scope.spawn(move || assert!(read_to_end(socket) == *bytes, "what the kernel sent"));
        }
    });
}

/// Runs that lose packets, at which it is over: on a busy machine the stack's thread may get no turn for long, and then the queue is too short whatever it offered.
/// After one such run most have to be clean: who offers too much loses packets again and again.
const BAD_MOST: usize = 3;

#[test]
fn a_short_queue_drops_nothing_of_what_the_kernel_sends() {
    for (offload, count) in [(false, 1), (false, 16), (true, 1), (true, 16)] {
        let (mut clean, mut seen) = (0, Vec::new());
        while clean <= seen.len() {
            let Some(sandbox) = sandbox(offload) else { return };
            let device = sandbox.device_name();
            if run(&sandbox, &["ip", "link", "set", "dev", device, "txqueuelen", DEFAULT]).is_none() {
                println!("skipped: iproute2 is not installed");
                return;
            }
            let lab = Lab::within(sandbox, offload, |_| {});
            bulk(&lab, count);
            let (passed, dropped) = passed_and_dropped(&lab);
            // Of many connections what begins at the same moment may be a few too many.
            let borne = if count == 1 { 0 } else { passed / 1000 };
            if dropped <= borne {
                clean += 1;
                continue;
            }
            seen.push((passed, dropped));
            assert!(
                seen.len() < BAD_MOST,
                "offload {offload}, {count} connections: passed, dropped {seen:?}"
            );
        }
    }
}
