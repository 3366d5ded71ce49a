//! Initial sequence numbers and timestamp offsets: functions of the addresses that nobody without the secret can guess.

use super::SeqNum;
use crate::time::Instant;
use siphasher::sip::SipHasher24;
use std::hash::{Hash, Hasher};
use std::net::SocketAddr;

/// The initial sequence number of RFC 6528: a 4 microsecond clock and a keyed hash of the four-tuple.
#[must_use]
pub fn initial(secret: &[u8; 16], now: Instant, local: SocketAddr, remote: SocketAddr) -> SeqNum {
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.4.1
    //# ISN = M + F(localip, localport, remoteip, remoteport, secretkey) (SHLD-1)
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.4.1
    //# A TCP implementation MUST use the above type of "clock" for clock-driven selection of initial sequence numbers (MUST-8)
    let clock = (now.as_micros() / 4) as u32;
    SeqNum(keyed(secret, "isn", local, remote)) + clock
}

/// What is added to the clock to make TSval, so that timestamps tell nothing about uptime (RFC 7323 5.4).
#[must_use]
//= https://www.rfc-editor.org/rfc/rfc7323#section-7
//# It is therefore RECOMMENDED to generate a random, per-connection offset to be used with the clock source when generating the Timestamps option value (7323:7-1).
pub fn timestamp_offset(secret: &[u8; 16], local: SocketAddr, remote: SocketAddr) -> u32 {
    keyed(secret, "timestamp", local, remote)
}

//= https://www.rfc-editor.org/rfc/rfc6528#section-3
//# the secret key should be of a reasonable length. Key lengths of 128 bits should be adequate (6528:3-3).
fn keyed(secret: &[u8; 16], purpose: &str, local: SocketAddr, remote: SocketAddr) -> u32 {
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.4.1
    //# F() MUST NOT be computable from the outside (MUST-9)
    //= https://www.rfc-editor.org/rfc/rfc9293#section-3.4.1
    //# where M is the 4 microsecond timer, and F() is a pseudorandom function (PRF) of the connection's identifying parameters ("localip, localport, remoteip, remoteport") and a secret key ("secretkey") (SHLD-1).
    //= https://www.rfc-editor.org/rfc/rfc6528#section-3
    //# implementations should consider the trade-offs involved in using functions with stronger security properties, and employ them if it is deemed appropriate (6528:3-4).
    let mut hasher = SipHasher24::new_with_key(secret);
    purpose.hash(&mut hasher);
    (local.ip(), local.port(), remote.ip(), remote.port()).hash(&mut hasher);
    hasher.finish() as u32
}
