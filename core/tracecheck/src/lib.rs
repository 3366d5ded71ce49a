//! A judge of captures: it follows both ends of every TCP connection and reports what the RFCs do not allow, as tcpanaly did (RFC 2398).
//!
//! It shares nothing with the stack of this project, so that a misreading of an RFC does not excuse itself. What can be wrong is
//! [`Kind`]; each has a test that plants it.
//!
//! ```
//! use usertcp_tracecheck::{Checker, Direction, Options};
//! let mut checker = Checker::new(Options::default());
//! let nonsense = [0x45, 0, 0, 40];
//! checker.packet(0, Direction::Out, &nonsense);
//! assert_eq!(checker.finish().violations.len(), 1);
//! ```
//!
//! # Where the capture was made
//!
//! What a host has sent and what has reached it is known only on that host. So the end at which packets are marked as outgoing is
//! judged by every rule; the other one only by those that loss, delay and other order on the way cannot break: what it sent twice has
//! to be the same twice, whenever it comes. Packets without a direction, as in most captures of other tools, are judged by these too,
//! unless [`Whom::Hosts`] says where the capture was made.
//!
//! # What is taken for granted
//!
//! The capture shows every packet that the host sent and received. A connection that was open before it is judged by what does not
//! depend on its beginning.

mod capture;
mod checker;
mod connection;
mod kind;
mod network;
mod options;
mod packet;
mod pieces;
mod report;
mod rules;
mod space;

pub use capture::{Error, check_capture};
pub use checker::Checker;
pub use kind::Kind;
pub use report::{Direction, Flow, Options, Report, Violation, Whom};
