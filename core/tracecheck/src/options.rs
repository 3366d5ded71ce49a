//! The options of a TCP header, walked to their end: unknown ones are passed over, and what does not fit is told.

/// What the options say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TcpOptions {
    pub(crate) mss: Option<u16>,
    pub(crate) scale: Option<u8>,
    pub(crate) sack_permitted: bool,
    /// TSval and TSecr.
    pub(crate) timestamps: Option<(u32, u32)>,
    /// Left and right edges.
    pub(crate) sack: Vec<(u32, u32)>,
    /// Whether the list is not one.
    pub(crate) malformed: bool,
}

impl TcpOptions {
    pub(crate) fn parse(mut rest: &[u8]) -> Self {
        let mut options = Self::default();
        while let [kind, behind @ ..] = rest {
            match kind {
                0 => return options,
                1 => rest = behind,
                _ => {
                    let length = behind.first().map_or(0, |length| usize::from(*length));
                    let Some(value) = rest.get(2..length) else {
                        options.malformed = true;
                        return options;
                    };
                    options.take(*kind, value);
                    rest = &rest[length..];
                }
            }
        }
        options
    }

    fn take(&mut self, kind: u8, value: &[u8]) {
        match (kind, value) {
            (2, [a, b]) => self.mss = Some(u16::from_be_bytes([*a, *b])),
            (3, [shift]) => self.scale = Some(*shift),
            (4, []) => self.sack_permitted = true,
            (5, blocks) if !blocks.is_empty() && blocks.len() % 8 == 0 => {
                self.sack = blocks.chunks_exact(8).map(|b| (word(&b[..4]), word(&b[4..]))).collect();
            }
            (8, both) if both.len() == 8 => self.timestamps = Some((word(&both[..4]), word(&both[4..]))),
            (2..=5 | 8, _) => self.malformed = true,
            _ => {}
        }
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_behind_an_unknown_one_are_read() {
        let bytes = [253, 4, 1, 2, 2, 4, 5, 180, 1, 3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 0, 99];
        let expected = TcpOptions {
            mss: Some(1460),
            scale: Some(7),
            sack_permitted: true,
            timestamps: Some((1, 2)),
            ..TcpOptions::default()
        };
        assert_eq!(TcpOptions::parse(&bytes), expected);
    }

    #[test]
    fn what_does_not_fit_is_malformed() {
        for bytes in
            [&[2][..], &[2, 0], &[2, 1], &[2, 5, 1, 2], &[2, 3, 1, 1], &[5, 9, 1, 2, 3, 4, 5, 6, 7], &[99, 7]]
        {
            assert!(TcpOptions::parse(bytes).malformed, "{bytes:?}");
        }
        assert_eq!(TcpOptions::parse(&[5, 10, 0, 0, 0, 1, 0, 0, 0, 9]).sack, [(1, 9)]);
    }
}
