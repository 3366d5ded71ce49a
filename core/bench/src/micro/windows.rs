//! The same operation with little and with much in flight, or unread.

use super::growth::Named;
use super::segments::{Acknowledged, InOrder};
use super::world::{Link, SEGMENT};

/// Windows of so many bytes.
pub(super) fn scenes(size: usize) -> Vec<Named> {
    let mut scenes: Vec<Named> = Vec::new();
    let sending = Acknowledged::new(Link::Plain, size.min(SEGMENT), size);
    scenes.push(("ACK in and segment out", Box::new(sending)));
    if size > 8 * SEGMENT {
        let receiving = InOrder::new(Link::Plain, SEGMENT, 1, size, size / 2);
        scenes.push(("segment in, half of the window unread", Box::new(receiving)));
    }
    scenes
}
