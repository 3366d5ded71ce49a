//! A host name.

use domain::base::Name as Wire;
use domain::base::name::ToName;
use std::fmt;

/// A complete domain name of letters, digits, hyphens and underscores; upper and lower case are the same.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name(Wire<Vec<u8>>);

impl Name {
    /// Reads a name with or without the dot that ends it. `None`: an empty label or one of more than 63 bytes, more than 253 bytes, another character.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let label = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(is_host_byte);
        if text.len() > 253 || !text.split('.').all(label) {
            return None;
        }
        Wire::vec_from_str(&text.to_ascii_lowercase()).ok().map(Self)
    }

    /// A name from a message. `None`: no host can have it.
    pub(super) fn of_message(name: &impl ToName) -> Option<Self> {
        let labels: Vec<String> = name
            .iter_labels()
            .filter(|label| !label.is_root())
            .map(|label| String::from_utf8(label.as_slice().to_vec()).ok())
            .collect::<Option<_>>()?;
        Self::parse(&labels.join("."))
    }

    pub(super) const fn wire(&self) -> &Wire<Vec<u8>> {
        &self.0
    }

    /// This name with `suffix` behind it; `None`: too long.
    pub(super) fn within(&self, suffix: &Self) -> Option<Self> {
        Self::parse(&format!("{self}.{suffix}"))
    }

    /// Whether it is `parent`, or below.
    pub(super) fn is_in(&self, parent: &str) -> bool {
        let text = self.to_string();
        text.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

const fn is_host_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_letters_digits_and_dots_within_limits() {
        for good in ["a", "example.com", "example.com.", "_x.A-b.example", "xn--bcher-kva.example"] {
            let name = Name::parse(good).expect(good);
            assert_eq!(name.to_string(), good.trim_end_matches('.').to_ascii_lowercase());
        }
        let long = vec!["a".repeat(63); 4].join(".");
        for bad in
            ["", ".", "a..b", ".a", "a..", "a b", "a\0b", "b\u{fc}cher.example", "a\\.b", "[::1]", &long]
        {
            assert_eq!(Name::parse(bad), None, "{bad}");
        }
        assert!(Name::parse(&long[..253]).is_some());
        assert!(Name::parse(&"a".repeat(64)).is_none());
        assert_eq!(Name::parse("Example.COM"), Name::parse("example.com"));
    }

    #[test]
    fn a_name_is_in_its_parents_and_in_no_others() {
        let name = Name::parse("a.localhost").expect("a name");
        assert!(name.is_in("localhost") && !name.is_in("host") && !name.is_in("b.localhost"));
        assert!(Name::parse("localhost").is_some_and(|name| name.is_in("localhost")));
    }
}
