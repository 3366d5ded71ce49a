//! Hosts and links on a virtual clock: whole stacks talk to each other, and a run is a function of its seed.
//!
//! ```text
//!  Network { now }
//!    Host 0: Stack + Device ----pipe, impaired or not---- Device + Stack: Host 1
//!    Host n: Stack + Device ---- Router ---- ...
//! ```
//! Nothing here sleeps: [`Network::step`] runs every host until none moves, then sets the clock to the earliest instant anybody waits for.

mod calls;
pub mod crowd;
mod fabric;
pub mod grid;
mod host;
mod narrow;
mod network;
pub mod responder;
mod router;
pub mod scenario;

pub use calls::Endpoint;
pub use fabric::{Fabric, LinkCounters, Port};
pub use host::{Host, Tap, Way};
pub use narrow::Narrow;
pub use network::{Network, Outcome, Seen, Settled, Step, Watch};
pub use router::Router;
