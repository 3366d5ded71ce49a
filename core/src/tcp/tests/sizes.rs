//! What a connection takes, so that nobody makes it grow without seeing it.

use crate::tcp::connection::{Common, Open};
use crate::tcp::{Buffers, Connection, Options};

#[test]
fn a_connection_is_as_small_as_it_was() {
    let table = [
        ("Connection", size_of::<Connection>(), 848),
        ("Common", size_of::<Common>(), 536),
        ("Open", size_of::<Open>(), 1520),
        ("Buffers", size_of::<Buffers>(), 216),
        ("Options", size_of::<Options>(), 104),
    ];
    for (name, bytes, most) in table {
        assert!(bytes <= most, "{name}: {bytes} bytes, {most} before");
    }
}
