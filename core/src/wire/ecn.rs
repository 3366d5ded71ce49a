//! The ECN field of an IP header (RFC 3168 section 5).

/// What the two low bits of a type of service or traffic class say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Codepoint {
    /// Routers may drop the packet, not mark it.
    #[default]
    NotEct = 0,
    /// They may mark it.
    Ect1 = 1,
    /// They may mark it.
    Ect0 = 2,
    /// One has marked it: congestion was experienced.
    Ce = 3,
}

impl Codepoint {
    /// The bits of a traffic class that are the field.
    pub const MASK: u8 = 3;

    /// What a traffic class says.
    #[must_use]
    pub const fn of(traffic_class: u8) -> Self {
        match traffic_class & Self::MASK {
            0 => Self::NotEct,
            1 => Self::Ect1,
            2 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// A traffic class that says this.
    #[must_use]
    pub const fn on(self, traffic_class: u8) -> u8 {
        traffic_class & !Self::MASK | self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::Codepoint;

    #[test]
    fn the_field_is_two_bits_of_eight() {
        for class in 0..=u8::MAX {
            let codepoint = Codepoint::of(class);
            assert_eq!(codepoint.on(class), class);
            assert_eq!(Codepoint::of(codepoint.on(0xfc)), codepoint);
        }
        assert_eq!(Codepoint::Ect0.on(0xb9), 0xba);
        assert_eq!(Codepoint::Ce.on(0), 3);
    }
}
