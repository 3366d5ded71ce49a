//! Links that lose, go down, or go away.

use super::lab::*;
use crate::events::{asleep, measure, this_thread, until};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use usertcp_core::api::*;

#[test]
fn one_percent_of_loss_and_twenty_milliseconds() {
    let change = |options: &mut StackOptions| {
        let delay = Duration::from_millis(10);
        options.seed = Some(3);
        options.impairment = Some(Impairment { loss: 0.01, delay, ..Impairment::default() });
    };
    let Some(lab) = Lab::open(false, change) else { return };
    for domain in DOMAINS {
        let (socket, kernel) = lab.connect_out(domain);
        let (out, back) = (pattern(51, 1_000_000), pattern(52, 1_000_000));
        thread::scope(|scope| {
            scope.spawn(|| send_all(&socket, &out));
            scope.spawn(|| kernel_send_all(&kernel, &back));
            let arrived = scope.spawn(|| kernel_read_to_end(&kernel) == out);
            assert!(read_to_end(&socket) == back, "what the kernel sent");
            assert!(arrived.join().expect("the kernel's reader"), "what the stack sent");
        });
        assert!(socket.tcp_info().expect("figures").rtt >= 20_000);
    }
    assert!(lab.stack.counters().expect("counters").tcp_retransmits > 0);
}

#[test]
fn impairments_need_a_device_without_offload() {
    let Some(lab) = Lab::open(true, |_| {}) else { return };
    let device = DeviceOptions::Descriptor(lab.sandbox.tun().expect("the TUN"));
    let addresses = vec!["192.0.2.2/24".parse().expect("a prefix")];
    let config = Config { addresses, ..Config::default() };
    let impairment = Some(Impairment { loss: 0.1, ..Impairment::default() });
    let options = StackOptions { config, device, impairment, ..StackOptions::default() };
    assert_eq!(errno(Stack::open(options)), Errno::EINVAL);
}

#[test]
fn a_device_that_is_deleted() {
    for offload in [true, false] {
        let io_thread = IoThread::default();
        let Some(lab) = Lab::open(offload, |options| io_thread.watch(options)) else { return };
        let (socket, _kernel) = lab.connect_out(Domain::V4);
        let (listener, _) = lab.listener(Domain::V6, 4);
        thread::scope(|scope| {
            let reader = asleep(scope, || socket.recv(&mut [0], NONE, Wait::Forever));
            let acceptor = asleep(scope, || listener.accept(Wait::Forever).map(|_| 0));
            lab.sandbox.delete_link().expect("delete");
            assert_eq!(errno(reader.join().expect("the reader")), Errno::ENETDOWN);
            assert_eq!(errno(acceptor.join().expect("the acceptor")), Errno::ENETDOWN);
        });
        assert_eq!(errno(lab.stack.socket(Domain::V4)), Errno::ENETDOWN);
        io_thread.is_quiet();
    }
}

#[test]
fn a_link_that_goes_down_and_comes_back() {
    for offload in [true, false] {
        let io_thread = IoThread::default();
        let Some(lab) = Lab::open(offload, |options| io_thread.watch(options)) else { return };
        let (socket, kernel) = lab.connect_out(Domain::V4);
        lab.sandbox.set_link_up(false).expect("down");
        socket.send(b"held back", NONE, WAIT).expect("send");
        until("the stack notices", || {
            let late = lab.stack.socket(Domain::V4).expect("a socket");
            errno(late.connect(kernel_address(Domain::V4, 9), Wait::Never)) == Errno::ENETDOWN
        });
        io_thread.is_quiet();
        lab.sandbox.set_link_up(true).expect("up");
        socket.shutdown(Shutdown::Write).expect("shutdown");
        assert_eq!(kernel_read_to_end(&kernel), b"held back");
    }
}

/// A log that remembers which thread it ran on: the stack's I/O thread.
#[derive(Clone, Default)]
struct IoThread(Arc<Mutex<Option<PathBuf>>>);

impl IoThread {
    fn watch(&self, options: &mut StackOptions) {
        let slot = self.0.clone();
        let deliver = move |_: &Record| {
            *slot.lock().expect("the slot") = Some(this_thread());
        };
        options.log = Some(LogSink { level: Level::Warn, deliver: Arc::new(deliver) });
    }

    /// It sleeps: half a second costs it less than a tenth of that.
    fn is_quiet(&self) {
        until("something is logged", || self.0.lock().expect("the slot").is_some());
        let path = self.0.lock().expect("the slot").take().expect("a thread").join("stat");
        let before = ticks(&path);
        measure(Duration::from_millis(500));
        let used = ticks(&path) - before;
        assert!(used < 5, "{used} ticks of 10 ms in 500 ms");
    }
}

/// Processor time of a thread, user's and system's, in ticks.
fn ticks(stat: &Path) -> u64 {
    let text = std::fs::read_to_string(stat).expect("a living thread");
    let (_, fields) = text.rsplit_once(") ").expect("a name");
    fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}
