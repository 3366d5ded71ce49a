//! What came through in a window of time, told line by line by whoever saw it.

use super::order::Order;
use crate::Result;
use crate::statistics::quantile;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Says a line on standard output.
pub(crate) fn say(line: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// A window: it begins some time after it was made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    state: State,
    length: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Before { begins: Instant },
    Within { begun: Instant },
    After,
}

/// What a look at the clock has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    None,
    /// From now on it counts.
    Begins,
    /// It is over after so long.
    Ends(Duration),
}

impl Window {
    pub(crate) fn new(order: &Order, now: Instant) -> Self {
        Self { state: State::Before { begins: now + order.warm }, length: order.window }
    }

    /// To be called often.
    pub(crate) fn look(&mut self, now: Instant) -> Edge {
        match self.state {
            State::Before { begins } if now >= begins => {
                self.state = State::Within { begun: now };
                Edge::Begins
            }
            State::Within { begun } if now >= begun + self.length => {
                self.state = State::After;
                Edge::Ends(now - begun)
            }
            _ => Edge::None,
        }
    }

    /// Whether what happens now counts.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, State::Within { .. })
    }
}

/// Bytes, or whatever else, of each connection.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    window: Window,
    counts: Vec<u64>,
}

impl Tally {
    /// The clock starts.
    pub(crate) fn start(order: &Order, connections: usize) -> Self {
        Self { window: Window::new(order, Instant::now()), counts: vec![0; connections] }
    }

    /// Counts for one connection.
    #[inline]
    pub(crate) fn add(&mut self, connection: usize, amount: u64) {
        if let Some(count) = self.counts.get_mut(connection) {
            *count += amount;
        }
    }

    /// To be called once per turn: says `begin` and `end` when it is time.
    pub(crate) fn look(&mut self) -> Result<()> {
        match self.window.look(Instant::now()) {
            Edge::None => Ok(()),
            Edge::Begins => {
                self.counts.fill(0);
                say("begin")
            }
            Edge::Ends(took) => say(&end(took, self.counts.iter().copied())),
        }
    }
}

/// Times of round trips.
#[derive(Clone, Debug)]
pub(crate) struct Latencies {
    window: Window,
    nanos: Vec<u32>,
}

impl Latencies {
    /// The clock starts.
    pub(crate) fn start(order: &Order) -> Self {
        Self { window: Window::new(order, Instant::now()), nanos: Vec::with_capacity(1 << 18) }
    }

    /// Counts a round trip that ends now. The last line has the median, the 99th and 99.9th per cent in nanoseconds, and how many there were.
    pub(crate) fn add(&mut self, began: Instant) -> Result<()> {
        let now = Instant::now();
        if self.window.is_open() {
            self.nanos.push(u32::try_from((now - began).as_nanos()).unwrap_or(u32::MAX));
        }
        match self.window.look(now) {
            Edge::None => Ok(()),
            Edge::Begins => say("begin"),
            Edge::Ends(took) => {
                self.nanos.sort_unstable();
                let of = |share| u64::from(quantile(&self.nanos, share));
                say(&end(took, [of(0.5), of(0.99), of(0.999), self.nanos.len() as u64].into_iter()))
            }
        }
    }
}

fn end(took: Duration, numbers: impl Iterator<Item = u64>) -> String {
    numbers.fold(format!("end {}", took.as_nanos()), |line, number| format!("{line} {number}"))
}

/// What an `end` line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) took: Duration,
    pub(crate) numbers: Vec<u64>,
}

impl Told {
    /// Of another line `None`.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix("end ")?.split_whitespace().map(str::parse);
        let took = Duration::from_nanos(words.next()?.ok()?);
        Some(Self { took, numbers: words.collect::<Result<_, _>>().ok()? })
    }

    /// All numbers together a second.
    pub(crate) fn rate(&self) -> f64 {
        self.numbers.iter().sum::<u64>() as f64 / self.took.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Result<Order> {
        Order::parse(["warm=10".to_owned(), "window=100".to_owned()].into_iter())
    }

    #[test]
    fn a_window_has_two_edges() {
        let (order, begin) = (order().expect("words"), Instant::now());
        let mut window = Window::new(&order, begin);
        let mut at = |millis| {
            let edge = window.look(begin + Duration::from_millis(millis));
            (edge, window.is_open())
        };
        assert_eq!(at(9), (Edge::None, false));
        assert_eq!(at(12), (Edge::Begins, true));
        assert_eq!(at(111), (Edge::None, true));
        assert_eq!(at(113), (Edge::Ends(Duration::from_millis(101)), false));
        assert_eq!(at(500), (Edge::None, false));
    }

    #[test]
    fn the_last_line_is_understood() {
        let line = end(Duration::from_millis(500), [100, 0, 200].into_iter());
        let told = Told::parse(&line).expect("an end");
        assert_eq!(told.numbers, [100, 0, 200]);
        assert!((told.rate() - 600.0).abs() < 1e-9);
        assert_eq!(Told::parse("begin"), None);
        assert_eq!(Told::parse("end 1 x"), None);
    }
}
