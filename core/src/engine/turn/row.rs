//! Packets that are made in a row and sent then. Their places are used again: a packet is large, and none is moved.

use crate::link::Transmit;

/// Packets in order.
#[derive(Debug, Default)]
pub(super) struct Row {
    /// Those there are, and behind them places for more.
    places: Vec<Transmit>,
    made: usize,
}

impl Row {
    pub(super) const fn len(&self) -> usize {
        self.made
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.made == 0
    }

    /// Bytes of all.
    pub(super) fn bytes(&self) -> usize {
        self.packets().iter().map(Transmit::len).sum()
    }

    pub(super) fn packets(&self) -> &[Transmit] {
        self.places.get(..self.made).unwrap_or_default()
    }

    /// Adds what `make` puts into the place that it is given, if it says that it did: its bytes.
    pub(super) fn add(&mut self, make: impl FnOnce(&mut Transmit) -> bool) -> Option<usize> {
        if self.made == self.places.len() {
            self.places.push(Transmit::empty());
        }
        let place = self.places.get_mut(self.made)?;
        if !make(place) {
            place.payload.clear();
            return None;
        }
        self.made += 1;
        Some(place.len())
    }

    /// The first so many are sent, and hold no pages any more.
    pub(super) fn sent(&mut self, count: usize) {
        let Some(packets) = self.places.get_mut(..self.made) else { return };
        let count = count.min(packets.len());
        packets.iter_mut().take(count).for_each(|packet| packet.payload.clear());
        packets.rotate_left(count);
        self.made -= count;
    }

    /// All are sent, or lost.
    pub(super) fn clear(&mut self) {
        self.sent(self.made);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn add(row: &mut Row, byte: u8) -> Option<usize> {
        row.add(|place| {
            place.payload.push(Bytes::from(vec![byte; usize::from(byte)]));
            true
        })
    }

    fn lengths(row: &Row) -> Vec<usize> {
        row.packets().iter().map(Transmit::len).collect()
    }

    #[test]
    fn what_is_not_sent_stays_in_order_and_places_are_used_again() {
        let mut row = Row::default();
        assert_eq!((1..=4).filter_map(|byte| add(&mut row, byte)).sum::<usize>(), 10);
        assert_eq!(row.add(|_| false), None);
        assert_eq!((row.len(), row.bytes()), (4, 10));
        row.sent(3);
        assert_eq!(lengths(&row), [4]);
        assert_eq!((add(&mut row, 5), add(&mut row, 6)), (Some(5), Some(6)));
        assert_eq!(lengths(&row), [4, 5, 6]);
        assert_eq!(row.places.len(), 5, "one that was asked for in vain, and four");
        row.clear();
        assert!(row.is_empty() && row.places.iter().all(|place| place.payload.is_empty()));
    }
}
