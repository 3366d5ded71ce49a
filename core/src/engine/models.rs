//! Loom's models of sleeping on a cell: publish, sleep, close, in every order.

use super::*;
use crate::buffer::{Cell, Interest, Life, Marks};
use crate::stack::socket::{self, Take};
use crate::sync::Arc;
use bytes::Bytes;
use loom::thread;

fn connected() -> Arc<Cell> {
    let cell = Cell::new(Marks { send: 4096, ..Marks::default() });
    cell.lock().life = Life::Connected;
    cell
}

/// What the holder does at the end of a turn that brought `bytes`.
fn publish(cell: &Cell, bytes: &'static [u8]) {
    let mut wakers = Vec::new();
    let mut state = cell.lock();
    state.inbox.push_back(Bytes::from_static(bytes));
    state.inbox_len += bytes.len();
    state.take_wakers(Interest::Read, &mut wakers);
    drop(state);
    wakers.into_iter().for_each(Waker::wake);
}

fn close(cell: &Cell) {
    let mut wakers = Vec::new();
    assert!(socket::close(cell, &mut wakers));
    wakers.into_iter().for_each(Waker::wake);
}

fn receive(engine: &Engine, cell: &Cell) -> Result<usize, Errno> {
    let attempt = |waker: Option<&Waker>| socket::recv(cell, 100, Take::Consume, waker);
    let received =
        block(engine, Place::Device, Patience::Forever, attempt, |waker| cell.lock().unregister(waker));
    received.map(|(slices, _)| slices.iter().map(Bytes::len).sum())
}

fn model(check: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(check);
}

#[test]
fn loom_what_is_published_reaches_a_sleeper() {
    model(|| {
        let shared = Arc::new((bare::engine(None), connected()));
        let reader = {
            let shared = shared.clone();
            thread::spawn(move || {
                let first = receive(&shared.0, &shared.1)?;
                if first == 5 {
                    Ok(first)
                } else {
                    receive(&shared.0, &shared.1).map(|second| first + second)
                }
            })
        };
        publish(&shared.1, b"ab");
        publish(&shared.1, b"cde");
        assert_eq!(reader.join().expect("the reader"), Ok(5));
    });
}

#[test]
fn loom_close_wakes_whoever_sleeps() {
    model(|| {
        let shared = Arc::new((bare::engine(None), connected()));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || receive(&shared.0, &shared.1))
            })
            .collect();
        close(&shared.1);
        for reader in readers {
            let answer = reader.join().expect("a reader");
            assert!(matches!(answer, Err(Errno::ECANCELED | Errno::EBADF)), "{answer:?}");
        }
    });
}

#[test]
fn loom_who_began_before_they_are_called_off_is_not_left_behind() {
    model(|| {
        let shared = Arc::new((bare::engine(None), connected()));
        let began = shared.1.calls();
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let shared = shared.clone();
                thread::spawn(move || {
                    let (engine, cell) = &*shared;
                    let attempt = |waker: Option<&Waker>| socket::recv(cell, 100, Take::Consume, waker);
                    let attempt = unless_called_off(cell, began, attempt);
                    let forget = |waker: &Waker| cell.lock().unregister(waker);
                    block(engine, Place::Device, Patience::Forever, attempt, forget).map(|_| ())
                })
            })
            .collect();
        let mut wakers = Vec::new();
        shared.1.call_off(&mut wakers);
        wakers.into_iter().for_each(Waker::wake);
        for reader in readers {
            assert_eq!(reader.join().expect("a reader"), Err(Errno::ECANCELED));
        }
        assert_eq!(shared.1.lock().life, Life::Connected);
    });
}

#[test]
fn loom_data_and_close_race_for_a_sleeper() {
    model(|| {
        let shared = Arc::new((bare::engine(None), connected()));
        let reader = {
            let shared = shared.clone();
            thread::spawn(move || receive(&shared.0, &shared.1))
        };
        let publisher = {
            let shared = shared.clone();
            thread::spawn(move || publish(&shared.1, b"x"))
        };
        close(&shared.1);
        publisher.join().expect("the publisher");
        let answer = reader.join().expect("the reader");
        assert!(matches!(answer, Ok(1) | Err(Errno::ECANCELED | Errno::EBADF)), "{answer:?}");
    });
}

#[test]
fn loom_the_end_of_a_stack_wakes_whoever_sleeps() {
    model(|| {
        let shared = Arc::new((bare::engine(None), connected()));
        let reader = {
            let shared = shared.clone();
            thread::spawn(move || receive(&shared.0, &shared.1))
        };
        shared.0.advance(Phase::Poisoned);
        assert_eq!(reader.join().expect("the reader"), Err(Errno::ENOTRECOVERABLE));
    });
}
