//! How costs grow: the same operations with few and with many connections, bytes in flight, and holes.

use super::many::Rest;
use super::scene::{Effort, Scene, Take};
use super::{holes, many, windows};

/// What there may be much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axis {
    /// Connections.
    Connections,
    /// Connections that are packed whenever they are at rest.
    Asleep,
    /// Connections from this side to one and the same address and port, of whose ports there are no more.
    Outgoing,
    /// Bytes in flight, or unread.
    Windows,
    /// Holes in what has arrived.
    Holes,
}

/// All of them.
pub const AXES: [Axis; 5] = [Axis::Connections, Axis::Asleep, Axis::Outgoing, Axis::Windows, Axis::Holes];

/// A scene and its name.
pub type Named = (&'static str, Box<dyn Scene>);

impl Axis {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Asleep => "connections asleep",
            Self::Outgoing => "outgoing",
            Self::Windows => "bytes of window",
            Self::Holes => "holes",
        }
    }

    /// How much of it is measured, ascending.
    #[must_use]
    pub const fn sizes(self) -> &'static [usize] {
        match self {
            Self::Connections => &[1, 10, 1000, 10_000, 100_000, 1_000_000],
            Self::Asleep => &[1, 100_000],
            Self::Outgoing => &[1, 1000, 20_000],
            Self::Windows => &[100, 10_000, 1 << 20, 16 << 20],
            Self::Holes => &[0, 100, 10_000],
        }
    }

    /// The scenes with so much of it.
    #[must_use]
    pub fn scenes(self, size: usize) -> Vec<Named> {
        match self {
            Self::Connections => many::scenes(size, Rest::Awake),
            Self::Asleep => many::scenes(size, Rest::Asleep),
            Self::Outgoing => many::outgoing(size),
            Self::Windows => windows::scenes(size),
            Self::Holes => holes::scenes(size),
        }
    }

    /// Operations of one round.
    const fn batch(self) -> usize {
        match self {
            Self::Connections | Self::Asleep | Self::Outgoing => 32,
            Self::Windows => 16,
            Self::Holes => 8,
        }
    }
}

pub(super) fn run(effort: Effort, take: Take<'_>) {
    for axis in AXES {
        let countable = |size: &&usize| axis == Axis::Windows || **size <= effort.most;
        for size in axis.sizes().iter().filter(countable) {
            for (name, mut scene) in axis.scenes(*size) {
                let figures = effort.measure(axis.batch(), &mut *scene);
                take(&format!("{name}, {size} {}", axis.name()), "ours", figures);
            }
        }
    }
}
