//! The tables of socket semantics: calls and readiness per state of the cell.

use super::options::{
    self, Effect, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP, IPV6_V6ONLY, SOL_SOCKET, Settings, sol, tcp,
};
use super::*;
use crate::buffer::{Accepted, Cell, CellState, Life, Marks, SocketId};
use crate::config::{Config, TcpConfig};
use crate::error::{EndReason, Errno};
use crate::sync::Arc;
use crate::time::Duration;
use bytes::Bytes;
use std::task::{Wake, Waker};

const LIMIT: usize = 10_000;

fn cell(set: impl FnOnce(&mut CellState)) -> Arc<Cell> {
    let cell = Cell::new(Marks { send: LIMIT, ..Marks::default() });
    set(&mut cell.lock());
    cell
}

fn life(life: Life) -> Arc<Cell> {
    cell(|state| state.life = life)
}

fn feed(state: &mut CellState, bytes: &'static [u8]) {
    state.inbox.push_back(Bytes::from_static(bytes));
    state.inbox_len += bytes.len();
}

fn text(result: Result<(crate::buffer::Slices, Kick), Errno>) -> Result<String, Errno> {
    result.map(|(slices, _)| String::from_utf8(slices.concat()).expect("text"))
}

struct Count(crate::sync::AtomicUsize);
impl Wake for Count {
    fn wake(self: std::sync::Arc<Self>) {
        self.0.fetch_add(1, crate::sync::Ordering::SeqCst);
    }
}

fn waker() -> (std::sync::Arc<Count>, Waker) {
    let count = std::sync::Arc::new(Count(crate::sync::AtomicUsize::new(0)));
    (std::sync::Arc::clone(&count), Waker::from(count))
}

#[test]
fn a_piece_of_a_long_write_ends_with_a_super_frame() {
    let cell = cell(|state| (state.life, state.write_step) = (Life::Connected, 1000));
    assert_eq!(reserve_piece(&cell, 2500, None), Ok(2000));
    cell.lock().unsent = 300;
    assert_eq!(reserve_piece(&cell, 2500, None), Ok(1700), "up to 4000 bytes that wait to be sent");
    cell.lock().unsent = 900;
    assert_eq!(reserve_piece(&cell, 300, None), Ok(300), "what does not reach that far goes as it is");
    assert_eq!(reserve_piece(&cell, 9000, None), Ok(5100));
    cell.lock().write_step = 0;
    assert_eq!(reserve_piece(&cell, 9000, None), Ok(900), "all the room there is");
    assert_eq!(reserve_piece(&cell, 9000, None), Err(Errno::EAGAIN));
}

#[test]
fn calls_per_life() {
    use Errno as E;
    let table = [
        (Life::Idle, E::ENOTCONN, E::EPIPE, E::EINVAL, Err(E::ENOTCONN)),
        (Life::Connecting, E::EAGAIN, E::EAGAIN, E::EINVAL, Err(E::EAGAIN)),
        (Life::Listening, E::ENOTCONN, E::EPIPE, E::EAGAIN, Err(E::EINVAL)),
        (Life::Closed, E::EBADF, E::EBADF, E::EBADF, Err(E::EBADF)),
    ];
    for (state, receive, send, take, outcome) in table {
        let cell = life(state);
        assert_eq!(text(recv(&cell, 1, Take::Consume, None)), Err(receive), "{state:?}");
        assert_eq!(reserve(&cell, 1, None), Err(send), "{state:?}");
        assert_eq!(
            send_small(&cell, b"x", More::No, Urgency::None, None).map(|(n, _)| n),
            Err(send),
            "{state:?}"
        );
        assert_eq!(accept(&cell, None).map(|_| ()), Err(take), "{state:?}");
        assert_eq!(connected(&cell, None), outcome, "{state:?}");
    }
    assert_eq!(connected(&life(Life::Connected), None), Ok(()));
    assert_eq!(connected(&life(Life::Ended), None), Err(E::ECONNABORTED));
    assert_eq!(accept(&life(Life::Connected), None).map(|_| ()), Err(E::EINVAL));
}

#[test]
fn data_then_error_then_end() {
    let cell = cell(|state| {
        state.life = Life::Ended;
        state.error = Some(Errno::ECONNRESET);
        feed(state, b"last words");
    });
    assert_eq!(text(recv(&cell, 4, Take::Peek, None)), Ok("last".into()));
    assert_eq!(text(recv(&cell, 4, Take::Consume, None)), Ok("last".into()));
    assert_eq!(text(recv(&cell, 100, Take::Consume, None)), Ok(" words".into()));
    assert_eq!(text(recv(&cell, 100, Take::Consume, None)), Err(Errno::ECONNRESET));
    assert_eq!(text(recv(&cell, 100, Take::Consume, None)), Ok(String::new()));
}

#[test]
fn a_pending_error_is_told_once_to_a_sender_and_then_it_is_a_broken_pipe() {
    let cell = cell(|state| {
        state.life = Life::Ended;
        state.error = Some(Errno::ECONNRESET);
    });
    assert_eq!(reserve(&cell, 5, None), Err(Errno::ECONNRESET));
    assert_eq!(reserve(&cell, 5, None), Err(Errno::EPIPE));
    assert_eq!(take_error(&cell), None);
}

#[test]
fn an_error_that_was_not_told_comes_again() {
    let cell = cell(|state| {
        state.life = Life::Ended;
        state.error = Some(Errno::ECONNRESET);
    });
    let error = reserve(&cell, 5, None).expect_err("the error");
    untold(&cell, error);
    assert_eq!(reserve(&cell, 5, None), Err(Errno::ECONNRESET));
    untold(&cell, Errno::EAGAIN);
    assert_eq!(reserve(&cell, 5, None), Err(Errno::EPIPE));
}

#[test]
fn the_end_of_the_stream_goes_before_an_error() {
    let cell = cell(|state| {
        state.life = Life::Ended;
        state.recv_end = true;
        state.error = Some(Errno::EPIPE);
    });
    assert_eq!(text(recv(&cell, 9, Take::Consume, None)), Ok(String::new()));
    assert_eq!(take_error(&cell), Some(Errno::EPIPE));
}

#[test]
fn shut_for_reading_still_gives_what_is_there() {
    let cell = cell(|state| {
        state.life = Life::Connected;
        state.recv_shut = true;
        feed(state, b"ab");
    });
    assert_eq!(text(recv(&cell, 9, Take::Consume, None)), Ok("ab".into()));
    assert_eq!(text(recv(&cell, 9, Take::Consume, None)), Ok(String::new()));
}

#[test]
fn slices_are_cut_where_asked_and_counted() {
    let cell = cell(|state| {
        state.life = Life::Connected;
        state.consumed_edge = 5;
        feed(state, b"abc");
        feed(state, b"defg");
    });
    let (slices, kick) = recv(&cell, 4, Take::Consume, None).expect("data");
    assert_eq!((slices.len(), slices.concat(), kick), (2, b"abcd".to_vec(), Kick::No));
    let (slices, kick) = recv(&cell, 1, Take::Consume, None).expect("data");
    assert_eq!((slices.concat(), kick), (b"e".to_vec(), Kick::Yes));
    let (_, kick) = recv(&cell, 9, Take::Consume, None).expect("data");
    assert_eq!(kick, Kick::No, "a kick is on its way");
    let state = cell.lock();
    assert_eq!((state.inbox_len, state.consumed), (0, 7));
}

#[test]
fn nothing_wanted_is_nothing_got() {
    let cell = life(Life::Connected);
    assert_eq!(text(recv(&cell, 0, Take::Consume, None)), Ok(String::new()));
    assert_eq!(reserve(&cell, 0, None), Ok(0));
    assert_eq!(send_small(&cell, b"", More::No, Urgency::None, None), Ok((0, Kick::No)));
}

#[test]
fn room_is_what_is_neither_queued_nor_promised_nor_in_flight() {
    let cell = cell(|state| {
        state.life = Life::Connected;
        state.unacked = LIMIT - 5000;
    });
    assert_eq!(reserve(&cell, 4000, None), Ok(4000));
    assert_eq!(reserve(&cell, 4000, None), Ok(1000));
    assert_eq!(reserve(&cell, 1, None), Err(Errno::EAGAIN));
    let (count, sleeper) = waker();
    assert_eq!(reserve(&cell, 1, Some(&sleeper)), Err(Errno::EAGAIN));
    let mut wakers = Vec::new();
    cancel(&cell, 1000, &mut wakers);
    wakers.into_iter().for_each(Waker::wake);
    assert_eq!(count.0.load(crate::sync::Ordering::SeqCst), 1);
    assert_eq!(send_small(&cell, &[7; 1500], More::No, Urgency::None, None), Ok((1000, Kick::Yes)));
    assert_eq!(commit(&cell, Bytes::from(vec![8; 4000]), More::No, Urgency::None), Ok(Kick::No));
    let state = cell.lock();
    assert_eq!(state.outbox_len, 5000);
    assert_eq!(state.outbox.iter().map(Bytes::len).collect::<Vec<_>>(), [1000, 4000], "in the order written");
    assert!(state.outbox_tail.is_empty());
}

#[test]
fn small_writes_gather_in_order() {
    let cell = life(Life::Connected);
    let mut expected = Vec::new();
    for n in 0..200u8 {
        let piece = vec![n; usize::from(n) % 40 + 1];
        assert_eq!(
            send_small(&cell, &piece, More::No, Urgency::None, None).map(|(count, _)| count),
            Ok(piece.len())
        );
        expected.extend(piece);
    }
    let state = cell.lock();
    let mut written = state.outbox.iter().flatten().copied().collect::<Vec<_>>();
    written.extend_from_slice(&state.outbox_tail);
    assert_eq!(written, expected);
    assert_eq!(state.outbox_len, expected.len());
}

#[test]
fn what_is_committed_after_the_end_is_lost_without_trace() {
    let cell = life(Life::Connected);
    assert_eq!(reserve(&cell, 3000, None), Ok(3000));
    cell.lock().life = Life::Ended;
    assert_eq!(commit(&cell, Bytes::from(vec![1; 3000]), More::No, Urgency::None), Ok(Kick::No));
    assert_eq!(cell.lock().outbox_len, 0);
}

#[test]
fn who_commits_after_another_has_shut_down_or_closed_hears_of_it() {
    let cell = life(Life::Connected);
    assert_eq!(reserve(&cell, 3000, None), Ok(3000));
    let late = |count| commit(&cell, Bytes::from(vec![1; count]), More::No, Urgency::None);
    cell.lock().send_shut = true;
    assert_eq!(late(500), Err(Errno::EPIPE));
    cell.lock().life = Life::Ended;
    assert_eq!(late(500), Err(Errno::EPIPE), "and all was acknowledged since");
    let mut moved = cell.lock().move_out(&mut Vec::new());
    assert_eq!((moved.outbox_len, moved.outbox.pop_front()), (0, None));
    assert_eq!(late(2000), Err(Errno::EBADF));
    assert_eq!(cell.lock().outbox_len, 0);
}

#[test]
fn accept_takes_the_oldest_and_kicks_only_a_full_listener() {
    let child = |index| Accepted {
        socket: SocketId { index, generation: 0 },
        cell: Cell::new(Marks::default()),
        local: "192.0.2.1:80".parse().expect("address"),
        peer: "192.0.2.2:1".parse().expect("address"),
    };
    let cell = cell(|state| {
        state.life = Life::Listening;
        state.accept.extend([child(1), child(2)]);
    });
    let (first, kick) = accept(&cell, None).expect("a connection");
    assert_eq!((first.socket.index, kick), (1, Kick::No));
    cell.lock().consumed_edge = 1;
    let (second, kick) = accept(&cell, None).expect("a connection");
    assert_eq!((second.socket.index, kick), (2, Kick::Yes));
    assert_eq!(accept(&cell, None).map(|_| ()), Err(Errno::EAGAIN));
}

#[test]
fn accept_leaves_the_error_of_a_connection_alone() {
    let cell = cell(|state| {
        state.life = Life::Ended;
        state.end = Some(EndReason::LinkGone);
        state.error = Some(Errno::ENETDOWN);
    });
    assert_eq!(accept(&cell, None).map(|_| ()), Err(Errno::EINVAL));
    assert_eq!(cell.lock().error, Some(Errno::ENETDOWN));
    let listener = self::cell(|state| {
        state.life = Life::Ended;
        state.error = Some(Errno::ENETDOWN);
    });
    assert_eq!(accept(&listener, None).map(|_| ()), Err(Errno::ENETDOWN));
}

#[test]
fn close_wakes_everybody_and_happens_once() {
    let cell = life(Life::Connected);
    let (count, sleeper) = waker();
    assert_eq!(text(recv(&cell, 1, Take::Consume, Some(&sleeper))), Err(Errno::EAGAIN));
    let mut wakers = Vec::new();
    assert!(close(&cell, &mut wakers));
    assert!(!close(&cell, &mut wakers));
    wakers.into_iter().for_each(Waker::wake);
    assert_eq!(count.0.load(crate::sync::Ordering::SeqCst), 1);
    assert_eq!(readiness(&cell, Readiness::IN, None), Readiness::NVAL);
}

#[test]
fn readiness_per_state_is_that_of_linux() {
    let (none, input, output) = (Readiness::default(), Readiness::IN, Readiness::OUT);
    let (err, hup, rdhup) = (Readiness::ERR, Readiness::HUP, Readiness::RDHUP);
    type Setter = fn(&mut CellState);
    let table: [(&str, Life, Setter, Readiness); 15] = [
        ("idle", Life::Idle, |_| {}, output | hup),
        ("connecting", Life::Connecting, |_| {}, none),
        ("listening", Life::Listening, |_| {}, none),
        ("connected", Life::Connected, |_| {}, output),
        ("data", Life::Connected, |s| feed(s, b"x"), input | output),
        ("a third is free", Life::Connected, |s| s.unacked = LIMIT * 2 / 3, output),
        ("less than a third is free", Life::Connected, |s| s.outbox_len = LIMIT * 2 / 3 + 2, none),
        ("no room", Life::Connected, |s| s.unacked = LIMIT, none),
        ("peer's FIN", Life::Connected, |s| s.recv_end = true, input | output | rdhup),
        ("shut for reading", Life::Connected, |s| s.recv_shut = true, input | output | rdhup),
        ("shut for writing", Life::Connected, |s| (s.send_shut, s.unacked) = (true, LIMIT), output),
        (
            "both shut",
            Life::Connected,
            |s| (s.send_shut, s.recv_end) = (true, true),
            input | output | rdhup | hup,
        ),
        ("reset", Life::Ended, |s| s.error = Some(Errno::ECONNRESET), input | output | rdhup | hup | err),
        ("over", Life::Ended, |_| {}, input | output | rdhup | hup),
        ("soft error", Life::Connected, |s| s.error = Some(Errno::ENETDOWN), output | err),
    ];
    for (name, life, set, expected) in table {
        let cell = cell(|state| {
            state.life = life;
            set(state);
        });
        assert_eq!(readiness(&cell, none, None), expected, "{name}");
    }
}

#[test]
fn a_poller_registers_for_what_it_waits_for() {
    use crate::buffer::Interest;
    let table = [
        (Readiness::IN, 1, 0),
        (Readiness::OUT, 0, 1),
        (Readiness::IN | Readiness::OUT, 1, 1),
        (Readiness::RDHUP, 1, 0),
        (Readiness::default(), 1, 0),
    ];
    for (interest, readers, writers) in table {
        let cell = life(Life::Connecting);
        let (_, sleeper) = waker();
        assert_eq!(readiness(&cell, interest, Some(&sleeper)), Readiness::default());
        let (mut read, mut write) = (Vec::new(), Vec::new());
        cell.lock().take_wakers(Interest::Read, &mut read);
        cell.lock().take_wakers(Interest::Write, &mut write);
        assert_eq!((read.len(), write.len()), (readers, writers), "{interest:?}");
    }
    let cell = life(Life::Ended);
    let (_, sleeper) = waker();
    let _ = readiness(&cell, Readiness::IN, Some(&sleeper));
    let mut taken = Vec::new();
    assert!(close(&cell, &mut taken));
    assert!(taken.is_empty(), "what is met registers nothing");
}

fn settings() -> Settings {
    Settings::new(&Config::default())
}

fn set(settings: &mut Settings, level: i32, name: i32, value: &[u8]) -> Result<Effect, Errno> {
    options::set(settings, &TcpConfig::default(), level, name, value)
}

#[test]
fn options_read_back_as_they_were_set() {
    let int = |n: i32| n.to_ne_bytes().to_vec();
    let table = [
        (SOL_SOCKET, sol::SO_REUSEADDR, 1, 1),
        (SOL_SOCKET, sol::SO_KEEPALIVE, 7, 1),
        (SOL_SOCKET, sol::SO_RCVBUF, 100_000, 100_000),
        (SOL_SOCKET, sol::SO_RCVBUF, 1, 2048),
        (SOL_SOCKET, sol::SO_SNDBUF, -1, 2048),
        (IPPROTO_TCP, tcp::TCP_NODELAY, 1, 1),
        (IPPROTO_TCP, tcp::TCP_MAXSEG, 1000, 1000),
        (IPPROTO_TCP, tcp::TCP_KEEPIDLE, 5, 5),
        (IPPROTO_TCP, tcp::TCP_KEEPINTVL, 6, 6),
        (IPPROTO_TCP, tcp::TCP_KEEPCNT, 7, 7),
        (IPPROTO_TCP, tcp::TCP_USER_TIMEOUT, 1500, 1500),
        (IPPROTO_TCP, tcp::TCP_USER_TIMEOUT, 0, 0),
        (SOL_SOCKET, sol::SO_REUSEPORT, 3, 1),
        (IPPROTO_IPV6, IPV6_V6ONLY, 1, 1),
        (IPPROTO_IP, super::ip::v4::IP_TOS, 0x10, 0x10),
        (IPPROTO_IPV6, super::ip::v6::IPV6_TCLASS, 0x20, 0x20),
        (IPPROTO_IPV6, IPV6_V6ONLY, 0, 0),
    ];
    for (level, name, value, expected) in table {
        let mut settings = settings();
        let effect =
            if (level, name) == (IPPROTO_TCP, tcp::TCP_NODELAY) { Effect::Push } else { Effect::None };
        assert_eq!(set(&mut settings, level, name, &int(value)), Ok(effect), "{level} {name}");
        assert_eq!(options::value(&settings, level, name), Ok(int(expected)), "{level} {name}");
    }
    let mut settings = settings();
    let linger = [int(1), int(3)].concat();
    assert_eq!(set(&mut settings, SOL_SOCKET, sol::SO_LINGER, &linger), Ok(Effect::None));
    assert_eq!(settings.linger, Some(Duration::from_secs(3)));
    assert_eq!(options::value(&settings, SOL_SOCKET, sol::SO_LINGER), Ok(linger));
}

#[test]
fn options_refuse_what_they_cannot_take() {
    let int = |n: i32| n.to_ne_bytes().to_vec();
    let table = [
        (SOL_SOCKET, sol::SO_REUSEADDR, vec![1], Errno::EINVAL),
        (SOL_SOCKET, sol::SO_LINGER, int(1), Errno::EINVAL),
        (SOL_SOCKET, sol::SO_ERROR, int(1), Errno::ENOPROTOOPT),
        (SOL_SOCKET, 9999, int(1), Errno::ENOPROTOOPT),
        (IPPROTO_TCP, tcp::TCP_MAXSEG, int(5), Errno::EINVAL),
        (IPPROTO_TCP, tcp::TCP_KEEPIDLE, int(0), Errno::EINVAL),
        (IPPROTO_TCP, tcp::TCP_KEEPCNT, int(128), Errno::EINVAL),
        (IPPROTO_TCP, tcp::TCP_USER_TIMEOUT, int(-1), Errno::EINVAL),
        (IPPROTO_TCP, tcp::TCP_INFO, int(1), Errno::ENOPROTOOPT),
        (IPPROTO_IPV6, IPV6_V6ONLY, vec![], Errno::EINVAL),
        (IPPROTO_IPV6, 9999, int(1), Errno::ENOPROTOOPT),
        (77, 1, int(0), Errno::ENOPROTOOPT),
    ];
    for (level, name, value, errno) in table {
        let mut settings = settings();
        let before = settings.clone();
        assert_eq!(set(&mut settings, level, name, &value), Err(errno), "{level} {name}");
        assert_eq!(settings, before);
    }
}
