//! The stack, its clock and its link: what it sends is kept with the time at which it was sent.

use super::outbound::describe;
use super::wire::Wire;
use bytes::Bytes;
use std::collections::VecDeque;
use usertcp_core::buffer::SocketId;
use usertcp_core::config::{Config, Personality};
use usertcp_core::link::segment::{segment, to_frame};
use usertcp_core::link::{Capabilities, Frame};
use usertcp_core::stack::Stack;
use usertcp_core::stack::socket::Kick;
use usertcp_core::time::{Duration, Instant};
use usertcp_core::trace::{Drained, Log, Sink};
use usertcp_tracecheck::{Checker, Direction};

/// Where the clock stands when a script begins: not at its origin, and short of the wrap of 32 bits of milliseconds.
pub const START: Instant = Instant::from_millis(0xffff_f000);

/// Turns without time passing after which the stack is taken to go on for ever.
const TURNS_MAX: usize = 10_000;

/// What a stack must never do.
#[derive(Clone, Debug)]
pub(super) enum Broken {
    /// It sent a packet that is not sound, for this reason.
    Unsound(String),
    /// It goes on without end and without time passing.
    Endless,
}

/// What a test does to the packets that the stack sends.
pub type Spoil = fn(&mut Vec<u8>);

/// A stack on a link that nothing but the script is on.
pub(super) struct World {
    pub(super) stack: Stack,
    pub(super) now: Instant,
    /// What was sent and no line has expected yet.
    pub(super) sent: VecDeque<Wire>,
    /// Everything sent and received, in words, if it was asked for.
    pub(super) packets: Option<Vec<String>>,
    /// The events of its trace, if they were asked for.
    pub(super) told: Option<Drained>,
    pub(super) spoil: Option<Spoil>,
    /// Looks at every packet, if it was asked for.
    pub(super) judge: Option<Checker>,
    turns: usize,
}

impl World {
    /// A stack with `config`; what is wrong with it.
    pub(super) fn new(config: Config) -> Result<Self, String> {
        // Linux always makes super-frames, whatever its link takes; where it ends them shows.
        let whole = config.personality == Personality::Linux;
        let capabilities =
            Capabilities { mtu: config.mtu, checksum: whole, tso4: whole, tso6: whole, queue: None };
        let stack = Stack::new(config, capabilities, Log::new(None)).map_err(|error| error.to_string())?;
        let sent = VecDeque::new();
        Ok(Self { stack, now: START, sent, packets: None, told: None, spoil: None, judge: None, turns: 0 })
    }

    /// Keeps the events of every connection, and of the stack.
    pub(super) fn trace(&mut self) {
        self.told = Some(Drained::default());
        self.stack.trace(self.now, Some(Sink::new(0)));
    }

    /// Takes what the stack has told since it was last asked.
    pub(super) fn collect(&mut self) {
        let Some(told) = &mut self.told else { return };
        let mut new = Drained::default();
        self.stack.events().drain(&mut new);
        told.events.append(&mut new.events);
        told.missed += new.missed;
    }

    /// Time since the script began.
    pub(super) fn elapsed(&self) -> Duration {
        since_start(self.now)
    }

    /// The instant this long after the script's beginning.
    pub(super) fn at(&self, time: Duration) -> Instant {
        START + time
    }

    /// One turn, as the engine runs it: timers, transmit, publish. Whether anything moved.
    pub(super) fn turn(&mut self) -> Result<bool, Broken> {
        self.turns += 1;
        if self.turns > TURNS_MAX {
            return Err(Broken::Endless);
        }
        let now = self.now;
        self.stack.handle_timeout(now);
        let sent = self.transmit()?;
        let news = self.stack.has_news();
        let mut wakers = Vec::new();
        self.stack.publish(now, &mut wakers);
        wakers.into_iter().for_each(std::task::Waker::wake);
        self.collect();
        Ok(sent || news)
    }

    /// However many events a script has at one instant, each has its own turns.
    pub(super) fn begin_event(&mut self) {
        self.turns = 0;
    }

    /// Turns until nothing moves.
    pub(super) fn settle(&mut self) -> Result<(), Broken> {
        while self.turn()? {}
        Ok(())
    }

    /// When the stack has something to do next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.stack.poll_timeout().map(|next| next.max(self.now))
    }

    /// Moves the clock.
    pub(super) fn set_clock(&mut self, now: Instant) {
        if now > self.now {
            self.now = now;
            self.turns = 0;
        }
    }

    /// A packet arrives.
    pub(super) fn inject(&mut self, bytes: Vec<u8>) {
        if let Some(judge) = &mut self.judge {
            judge.packet(self.now.as_nanos(), Direction::In, &bytes);
        }
        let frame = Frame { bytes: Bytes::from(bytes), ..Frame::default() };
        self.stack.handle_frame(self.now, frame);
    }

    /// A call on a socket's cell may have asked for attention.
    pub(super) fn kick(&mut self, id: SocketId, kick: Kick) {
        if kick == Kick::Yes {
            self.stack.handle_kick(self.now, id);
        }
    }

    /// What happens, in words.
    pub(super) fn note(&mut self, text: impl FnOnce() -> String) {
        let elapsed = self.elapsed();
        if let Some(packets) = &mut self.packets {
            packets.push(format!("{:10.6} {}", elapsed.as_secs_f64(), text()));
        }
    }

    fn transmit(&mut self) -> Result<bool, Broken> {
        let mut any = false;
        while let Some(transmit) = self.stack.poll_transmit(self.now) {
            any = true;
            let mut cut = VecDeque::new();
            segment(&transmit, &mut cut);
            for transmit in &cut {
                let mut bytes = to_frame(transmit).bytes.to_vec();
                if let Some(spoil) = self.spoil {
                    spoil(&mut bytes);
                }
                self.note(|| format!("> {}", describe(&bytes)));
                if let Some(judge) = &mut self.judge {
                    judge.packet(self.now.as_nanos(), Direction::Out, &bytes);
                }
                let wire = Wire::parse(self.now, bytes.into()).map_err(Broken::Unsound)?;
                self.sent.push_back(wire);
            }
        }
        Ok(any)
    }
}

/// Time from the script's beginning to `instant`.
pub(super) fn since_start(instant: Instant) -> Duration {
    instant.since(START)
}
