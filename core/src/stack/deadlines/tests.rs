//! The lazy heap against what a plain list would answer.

use super::super::Domain;
use super::super::socket::options::Settings;
use super::super::table::{Entry, Kind, Table};
use super::Deadlines;
use crate::buffer::{Cell, Marks, SocketId};
use crate::config::Config;
use crate::sync::Arc;
use crate::time::Instant;

fn add(table: &mut Table) -> SocketId {
    let settings = Arc::new(Settings::new(&Config::default()));
    let entry = Entry {
        cell: Cell::new(Marks::default()),
        domain: Domain::V4,
        kind: Kind::Idle,
        settings,
        bound: None,
        local: None,
        peer: None,
        hold: None,
        orphan: false,
        handed_over: false,
        dirty: false,
        pending: false,
        listed: false,
        touched: false,
        armed: None,
    };
    table.insert(entry).expect("a slot")
}

const fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

#[test]
fn the_earliest_comes_first_and_each_once() {
    let (mut table, mut deadlines) = (Table::new(0), Deadlines::default());
    let ids = [add(&mut table), add(&mut table), add(&mut table)];
    for (id, millis) in ids.into_iter().zip([30, 10, 20]) {
        deadlines.arm(&mut table, id, at(millis));
    }
    assert_eq!(deadlines.next(), Some(at(10)));
    assert_eq!(deadlines.pop(&mut table, at(9)), None);
    let due: Vec<_> = std::iter::from_fn(|| deadlines.pop(&mut table, at(25))).collect();
    assert_eq!(due, [ids[1], ids[2]]);
    assert_eq!(deadlines.next(), Some(at(30)));
}

#[test]
fn a_later_deadline_waits_for_the_earlier_one_and_an_earlier_one_replaces_it() {
    let (mut table, mut deadlines) = (Table::new(0), Deadlines::default());
    let id = add(&mut table);
    deadlines.arm(&mut table, id, at(20));
    deadlines.arm(&mut table, id, at(50));
    assert_eq!(deadlines.next(), Some(at(20)), "lazily");
    deadlines.arm(&mut table, id, at(5));
    assert_eq!(deadlines.pop(&mut table, at(5)), Some(id));
    assert_eq!(deadlines.pop(&mut table, at(100)), None, "the entry at 20 is stale");
}

#[test]
fn sockets_that_are_gone_have_no_deadline_even_when_their_slot_is_used_again() {
    let (mut table, mut deadlines) = (Table::new(0), Deadlines::default());
    let old = add(&mut table);
    deadlines.arm(&mut table, old, at(5));
    table.remove(old);
    let new = add(&mut table);
    assert_eq!((old.index, table.len()), (new.index, 1));
    assert_eq!(deadlines.pop(&mut table, at(5)), None);
    assert!(table.get(old).is_none() && table.remove(old).is_none());
}

#[test]
fn stale_entries_do_not_pile_up() {
    let (mut table, mut deadlines) = (Table::new(0), Deadlines::default());
    let id = add(&mut table);
    for round in 0..10_000u64 {
        // A far deadline, such as keep-alive, with a near one before it again and again.
        deadlines.arm(&mut table, id, at(7_200_000 + round));
        deadlines.arm(&mut table, id, at(round));
        assert_eq!(deadlines.pop(&mut table, at(round)), Some(id));
    }
    assert!(deadlines.heap.len() <= 4 + 64, "{} entries", deadlines.heap.len());
}
