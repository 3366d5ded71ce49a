//! Signals that come while a caller works on the seat.

use super::*;
use crate::engine::is_inside_any;

/// A device that gives callers one packet after the other, for nobody. Within the read of one of them, which is for others, a signal comes; the last one is for
/// the reader.
struct Noise {
    readable: TaskArc<EventFd>,
    flows: TaskArc<AtomicBool>,
    signal: i32,
    reads: u32,
}

/// The reads within which those two come.
const SIGNALLED: u32 = 1000;
const ANSWERED: u32 = 3000;

impl Device for Noise {
    fn capabilities(&self) -> Capabilities {
        Capabilities::plain(1500)
    }

    fn recv(&mut self, _now: Instant, _page: &mut BytesMut) -> Result<Option<Frame>, DeviceError> {
        if is_inside_any() || !self.flows.load(Ordering::Acquire) {
            return Ok(None);
        }
        self.reads += 1;
        if self.reads == SIGNALLED {
            sys::raise(self.signal);
        }
        let bytes = match self.reads {
            SIGNALLED => datagram(2),
            ANSWERED => datagram(1),
            _ => vec![0],
        };
        Ok(Some(Frame { bytes: Bytes::from(bytes), meta: FrameMeta::default() }))
    }

    fn send(&mut self, _now: Instant, _transmit: &Transmit) -> Result<Sent, DeviceError> {
        Ok(Sent::Taken)
    }

    fn descriptor(&self) -> Option<i32> {
        Some(self.readable.descriptor())
    }
}

/// Which signals this thread keeps out.
fn mask() -> String {
    let status = std::fs::read_to_string("/proc/thread-self/status").expect("Linux");
    status.lines().find(|line| line.starts_with("SigBlk:")).expect("a mask").to_owned()
}

/// What becomes of a call within which `signal` comes, beside others who wait.
fn receive(signal: i32, patience: Patience, spin: Duration, others: usize) -> Result<(), Errno> {
    let readable = TaskArc::new(EventFd::new().expect("an eventfd"));
    let flows = TaskArc::new(AtomicBool::new(false));
    let device = Noise { readable: readable.clone(), flows: flows.clone(), signal, reads: 0 };
    let (_, far) = sys::socketpair(libc::SOCK_SEQPACKET).expect("a socket pair");
    let bench = Bench::on(Box::new(device), far, spin);
    let cell = &bench.sockets[0].1;
    thread::scope(|scope| {
        for _ in 0..others {
            scope.spawn(|| {
                let cell = &bench.sockets[1].1;
                let attempt = |waker: Option<&Waker>| recv_from(cell, Take::Consume, waker).map(|_| ());
                let forget = |waker: &Waker| cell.lock().unregister(waker);
                block(bench.engine(), Place::Cell, Patience::Forever, attempt, forget)
            });
        }
        until(|| others == 0 || bench.sockets[1].1.lock().waits(Interest::Read));
        let reader = scope.spawn(|| {
            let attempt = |waker: Option<&Waker>| recv_from(cell, Take::Consume, waker).map(|_| ());
            let before = mask();
            let forget = |waker: &Waker| cell.lock().unregister(waker);
            let received = block(bench.engine(), Place::Device, patience, attempt, forget);
            assert_eq!(mask(), before);
            received
        });
        until(|| bench.engine().watch.is_taken());
        flows.store(true, Ordering::Release);
        readable.signal();
        let received = reader.join().expect("the reader");
        bench.running.close(None, || true).expect("nothing to wait for");
        received
    })
}

/// Packets come without a pause, and the thread is hardly ever asleep when a signal comes.
#[test]
fn a_signal_in_a_callers_turn_ends_the_call_as_it_ends_a_sleep() {
    let some_time = || Patience::at_most(&Clock::SYSTEM, Duration::from_secs(30));
    for spin in [Duration::ZERO, Duration::from_millis(10)] {
        sys::handle_signal(libc::SIGUSR1, 0);
        assert_eq!(receive(libc::SIGUSR1, Patience::Forever, spin, 0), Err(Errno::EINTR));
        assert_eq!(receive(libc::SIGUSR1, some_time(), spin, 0), Err(Errno::EINTR));
        assert_eq!(
            receive(libc::SIGUSR1, Patience::Forever, spin, 2),
            Err(Errno::EINTR),
            "a turn that closes the seat"
        );
        assert_eq!(receive(libc::SIGCHLD, some_time(), spin, 0), Ok(()), "no handler ran");
        sys::handle_signal(libc::SIGUSR1, libc::SA_RESTART);
        assert_eq!(receive(libc::SIGUSR1, Patience::Forever, spin, 0), Ok(()));
        assert_eq!(receive(libc::SIGUSR1, some_time(), spin, 0), Err(Errno::EINTR));
    }
}
