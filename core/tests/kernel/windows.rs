//! Readers that pause: windows close, and open again.

use super::lab::*;
use crate::events::{asleep, until};
use std::io::Read;
use std::net::TcpStream;
use std::thread;
use usertcp_core::api::*;

const SHORT: Duration = Duration::from_millis(300);

#[test]
fn a_kernel_reader_that_pauses() {
    with_and_without_offload(|lab| {
        let (listener, address) = lab.kernel_listener(Domain::V4, 1);
        listener.set_recv_buffer_size(20_000).expect("SO_RCVBUF");
        let socket = lab.stack.socket(Domain::V4).expect("a socket");
        socket.connect(address, WAIT).expect("connect");
        let (kernel, _) = listener.accept().expect("accept");
        kernel.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        let mut kernel = TcpStream::from(kernel);
        let bytes = pattern(41, 6 << 20);
        let queued = socket.send(&bytes, NONE, Wait::AtMost(SHORT)).expect("some of it");
        assert!(queued < bytes.len());
        thread::scope(|scope| {
            scope.spawn(|| send_all(&socket, &bytes[queued..]));
            let mut read = vec![0; bytes.len()];
            // The kernel's window is zero by now; after each piece it opens and closes again.
            let (pieces, rest) = read.split_at_mut(300_000);
            for piece in pieces.chunks_mut(100_000) {
                kernel.read_exact(piece).expect("read");
                until("the window is shut again", || stalled(&socket));
            }
            kernel.read_exact(rest).expect("read");
            assert_eq!(kernel.read(&mut [0]).expect("the end"), 0);
            assert!(read == bytes);
        });
    });
}

#[test]
fn a_window_that_stays_shut_is_probed() {
    let Some(lab) = Lab::open(true, |_| {}) else { return };
    let (listener, address) = lab.kernel_listener(Domain::V6, 1);
    listener.set_recv_buffer_size(5000).expect("SO_RCVBUF");
    let socket = lab.stack.socket(Domain::V6).expect("a socket");
    socket.connect(address, WAIT).expect("connect");
    let (kernel, _) = listener.accept().expect("accept");
    let bytes = pattern(42, 1_000_000);
    assert_eq!(socket.send(&bytes, NONE, WAIT).expect("send"), bytes.len());
    socket.shutdown(Shutdown::Write).expect("shutdown");
    until("a probe", || lab.stack.counters().expect("counters").tcp_probes > 0);
    assert!(kernel_read_to_end(&kernel.into()) == bytes);
}

#[test]
fn a_reader_on_the_stack_that_pauses() {
    let change = |options: &mut StackOptions| options.config.buffers.receive = 30_000;
    for offload in [true, false] {
        let Some(lab) = Lab::open(offload, change) else { return };
        let (socket, kernel) = lab.connect_in(Domain::V4);
        let bytes = pattern(43, 9 << 20);
        thread::scope(|scope| {
            asleep(scope, || kernel_send_all(&kernel, &bytes));
            let mut first = vec![0; 100_000];
            let count = socket.recv(&mut first, MessageFlags::WAITALL, WAIT).expect("recv");
            assert_eq!(count, first.len());
            until("the window is shut again", || shut(&socket));
            let rest = read_to_end(&socket);
            assert!([first, rest].concat() == bytes);
        });
    }
}

/// The peer's window has no room for what is queued, and everything sent is acknowledged.
fn stalled(socket: &Socket) -> bool {
    let info = socket.tcp_info().expect("figures");
    info.unacked == 0 && info.notsent_bytes > 0
}

/// The socket's own window has no room for a full segment.
fn shut(socket: &Socket) -> bool {
    let info = socket.tcp_info().expect("figures");
    info.rcv_wnd < info.rcv_mss
}
