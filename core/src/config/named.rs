//! Settings that are one of a few, and that programs write by name.

/// Reads and shows the variants of an enum by their names.
macro_rules! named {
    ($($kind:ident { $($variant:ident: $name:literal),+ })+) => { $(
        impl $kind {
            /// Every one, by its name.
            pub const NAMES: &[(Self, &str)] = &[$((Self::$variant, $name)),+];

            /// Its name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }

        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $kind {
            type Err = crate::error::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::config::named::find(Self::NAMES, text)
            }
        }
    )+ };
}

pub(super) use named;

use crate::error::{Errno, Error};

/// The one of this name. EINVAL, with all the names.
pub(super) fn find<T: Copy>(all: &[(T, &str)], text: &str) -> Result<T, Error> {
    let found = all.iter().find(|(_, name)| *name == text).map(|(kind, _)| *kind);
    found.ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|(_, name)| *name).collect();
        let (last, others) = names.split_last().unwrap_or((&"", &[]));
        Error::new(Errno::EINVAL, format!("'{text}' is none of {} and {last}", others.join(", ")))
    })
}
