//! The bars: what is to be reached, as ratios within one run.

use super::contender::Who;
use super::measure::{Link, Measure, Quantity};
use super::order::Role;
use super::placement::Placement;

/// Which side of a number is good.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Bound {
    pub(crate) fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

/// A bar: what one has, or what it has to what another has in the same round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Bar {
    pub(crate) measure: Measure,
    pub(crate) quantity: Quantity,
    pub(crate) who: Who,
    pub(crate) to: Option<Who>,
    pub(crate) bound: Bound,
}

/// All bars.
pub(crate) fn bars() -> Vec<Bar> {
    use Bound::{AtLeast, AtMost};
    use Quantity::{Cost, Elapsed, Median, Memory, Opened, Rate};
    let bar = |measure, quantity, to, bound| Bar { measure, quantity, who: Who::Ours, to, bound };
    let bulk = Measure::bulk;
    let mut all = Vec::new();
    for role in [Role::Receive, Role::Send] {
        let measure = bulk(role, Link::Vnet, 1);
        all.push(bar(measure, Rate, Some(Who::NullCopy), AtLeast(0.75)));
        all.push(bar(measure, Cost, Some(Who::Null), AtMost(2.2)));
        all.push(bar(measure, Rate, Some(Who::Smoltcp), AtLeast(1.2)));
    }
    let plain = bulk(Role::Receive, Link::Plain, 1);
    all.push(bar(plain, Rate, Some(Who::Null), AtLeast(0.75)));
    all.push(bar(plain, Rate, Some(Who::Smoltcp), AtLeast(1.2)));
    all.push(bar(bulk(Role::Send, Link::Plain, 1), Rate, Some(Who::Null), AtLeast(0.9)));
    for link in [Link::Vnet, Link::Plain] {
        for role in [Role::Receive, Role::Send] {
            all.push(bar(bulk(role, link, 16), Rate, Some(Who::Null), AtLeast(0.9)));
        }
    }
    let together = Measure::round_trips(Placement::Together);
    all.push(bar(together, Median, Some(Who::Null), AtMost(1.15)));
    let apart = Measure::round_trips(Placement::Apart);
    all.push(bar(apart, Median, Some(Who::Null), AtMost(1.1)));
    let spinning = bar(apart, Median, Some(Who::NullSpin), AtMost(1.5));
    all.push(Bar { who: Who::OursSpin, ..spinning });
    all.push(bar(Measure::CHURN, Opened, Some(Who::Smoltcp), AtLeast(1.2)));
    all.push(bar(Measure::idle(100_000), Memory, None, AtMost(1500.0)));
    all.push(bar(Measure::MILLION, Memory, None, AtMost(2147.0)));
    for role in [Role::Receive, Role::Send] {
        let measure = bulk(role, Link::Vnet, 1);
        let python = bar(measure, Rate, Some(Who::Ours), AtLeast(0.7));
        all.push(Bar { who: Who::OursPython, ..python });
        let streams = bar(measure, Rate, Some(Who::KernelAsyncio), AtLeast(0.9));
        all.push(Bar { who: Who::OursAsyncio, ..streams });
    }
    let pair = bar(Measure::alone(Role::Receive, Link::Pair), Rate, Some(Who::PyTcp), AtLeast(20.0));
    all.push(Bar { who: Who::OursPython, ..pair });
    // 100 MB/s.
    let simulated = bar(Measure::alone(Role::Receive, Link::Virtual), Rate, None, AtLeast(0.8));
    all.push(Bar { who: Who::OursPython, ..simulated });
    let patience = bar(Measure::alone(Role::TimeOut, Link::Virtual), Elapsed, None, AtMost(50.0));
    all.push(Bar { who: Who::OursPython, ..patience });
    all
}

/// Whether a bar is about what this one does in this measure.
pub(crate) fn is_in_a_bar(who: Who, measure: &Measure) -> bool {
    bars().iter().any(|bar| bar.measure == *measure && (bar.who == who || bar.to == Some(who)))
}

#[cfg(test)]
mod tests {
    use super::super::measure::cells;
    use super::*;

    #[test]
    fn what_a_bar_compares_is_measured() {
        let cells = cells();
        for bar in bars() {
            let cell = cells.iter().find(|cell| cell.measure == bar.measure).expect("a measure");
            assert!(cell.who.contains(&bar.who), "{bar:?}");
            assert!(bar.to.is_none_or(|to| cell.who.contains(&to)), "{bar:?}");
        }
    }

    #[test]
    fn a_bar_has_a_good_side() {
        assert!(Bound::AtLeast(0.75).is_met(0.75) && !Bound::AtLeast(0.75).is_met(0.74));
        assert!(Bound::AtMost(2.2).is_met(2.2) && !Bound::AtMost(2.2).is_met(2.3));
    }
}
