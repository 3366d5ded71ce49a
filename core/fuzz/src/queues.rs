//! The queues against a plain vector of bytes.

use crate::input::Input;
use crate::peer::pattern;
use bytes::Bytes;
use std::collections::VecDeque;
use usertcp_core::buffer::{RecvQueue, SendQueue, Slices};

/// Pushes, releases, looks and drains in any order.
pub fn queues(data: &[u8]) {
    let mut input = Input::new(data);
    let (mut send, mut model, mut written) = (SendQueue::default(), VecDeque::new(), 0u32);
    let (mut recv, mut arrived, mut shown) = (RecvQueue::default(), Vec::new(), VecDeque::new());
    while !input.is_empty() {
        let (op, size) = (input.u8(), usize::from(input.u16() >> 2));
        match op % 5 {
            0 => {
                let bytes: Vec<u8> = (0..size as u32).map(|i| pattern(written.wrapping_add(i))).collect();
                written = written.wrapping_add(size as u32);
                model.extend(bytes.iter().copied());
                send.push(Bytes::from(bytes));
            }
            1 => {
                let released = send.release(size);
                assert_eq!(released, size.min(model.len()));
                model.drain(..released);
            }
            2 => look(&send, &model, size, usize::from(input.u16()), usize::from(input.u8() % 8)),
            3 => {
                let bytes: Vec<u8> = (0..size as u32).map(pattern).collect();
                arrived.extend_from_slice(&bytes);
                recv.push(Bytes::from(bytes));
            }
            _ => recv.drain_into(&mut shown),
        }
        assert_eq!(send.len(), model.len());
        assert_eq!(send.is_empty(), model.is_empty());
        let visible: usize = shown.iter().map(Bytes::len).sum();
        assert_eq!(visible + recv.len(), arrived.len());
        if arrived.len() > 4 << 20 || model.len() > 4 << 20 {
            break;
        }
    }
    recv.drain_into(&mut shown);
    assert!(shown.iter().flatten().eq(arrived.iter()), "received bytes changed");
}

fn look(send: &SendQueue, model: &VecDeque<u8>, offset: usize, most: usize, slices: usize) {
    if offset > model.len() {
        return;
    }
    let mut out = Slices::new();
    let count = send.peek(offset, most, slices, &mut out);
    assert!(out.len() <= slices, "more slices than asked for");
    assert_eq!(count, out.iter().map(Bytes::len).sum::<usize>());
    assert!(count <= most);
    if slices > 0 && most > 0 && offset < model.len() {
        assert!(count > 0, "nothing shown of what is there");
    }
    assert!(out.iter().flatten().eq(model.iter().skip(offset).take(count)), "queued bytes changed");
}
