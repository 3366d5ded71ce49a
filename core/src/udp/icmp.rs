//! What an ICMP error means to the socket whose datagram it is about.

use crate::error::Errno;

/// The error that a connected socket is told for an ICMP error of this type and code that stands for `errno`: those that will not pass by themselves, as
/// in Linux. Whether the datagram was too big is not asked here.
#[must_use]
pub fn told(six: bool, kind: u8, code: u8, errno: Errno) -> Option<Errno> {
    let lasting = match (six, kind, code) {
        // Network and host unreachable, source route failed, and the two for a type of service.
        (false, 3, 0 | 1 | 5 | 11 | 12) => false,
        (false, 3, 2..=15) | (false, 12, _) => true,
        // No route, beyond scope, address unreachable; time exceeded.
        (true, 1, 0 | 2 | 3) | (true, 3, _) => false,
        (true, ..) => true,
        (false, ..) => false,
    };
    lasting.then_some(errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_by_itself_is_not_told() {
        let errno = Errno::ECONNREFUSED;
        let hard =
            |six, kind, codes: &[u8]| codes.iter().all(|code| told(six, kind, *code, errno) == Some(errno));
        let soft = |six, kind, codes: &[u8]| codes.iter().all(|code| told(six, kind, *code, errno).is_none());
        assert!(hard(false, 3, &[2, 3, 6, 7, 8, 9, 10, 13, 14, 15]) && hard(false, 12, &[0, 1]));
        assert!(soft(false, 3, &[0, 1, 5, 11, 12, 16]) && soft(false, 11, &[0, 1]) && soft(false, 4, &[0]));
        assert!(hard(true, 1, &[1, 4, 5, 6]) && hard(true, 4, &[0, 1, 2]));
        assert!(soft(true, 1, &[0, 2, 3]) && soft(true, 3, &[0, 1]));
    }
}
