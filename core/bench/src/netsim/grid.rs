//! A picture of the grid: a row for each cell with a bar for the use of the link, coloured by it, and the numbers beside it.

use super::{BLACK, Failure, GREY};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use usertcp_core::sim::grid::Cell;
use usertcp_core::sim::scenario::{Report, Trouble};

const ROW: i32 = 18;
const TOP: i32 = 56;
const WIDTH: i32 = 1000;
/// Where name, bar and numbers begin.
const NAME: i32 = 12;
const BAR: i32 = 250;
const BAR_WIDTH: i32 = 400;
const NUMBERS: [(i32, &str); 5] =
    [(725, "Mbit/s"), (790, "fairness"), (850, "again %"), (910, "in vain %"), (970, "timeouts")];

/// What came of a cell.
pub type Outcome = Result<Report, Trouble>;

/// The picture as SVG.
pub fn picture(title: &str, results: &[(Cell, Outcome)]) -> Result<String, Failure> {
    let mut text = String::new();
    {
        let height = TOP + ROW * i32::try_from(results.len())? + 12;
        let size = (u32::try_from(WIDTH)?, u32::try_from(height)?);
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        root.fill(&WHITE)?;
        let write = |words: &str, at: (i32, i32), size: i32, side: HPos| {
            let style = ("sans-serif", size).into_font().color(&BLACK).pos(Pos::new(side, VPos::Center));
            root.draw(&Text::new(words.to_owned(), at, style))
        };
        write(title, (NAME, 18), 16, HPos::Left)?;
        write("share of what the link could carry", (BAR, 40), 11, HPos::Left)?;
        for (right, name) in NUMBERS {
            write(name, (right, 40), 11, HPos::Right)?;
        }
        for (row, (cell, outcome)) in (0..).zip(results) {
            let middle = TOP + ROW * row + ROW / 2;
            write(&cell.name, (NAME, middle), 12, HPos::Left)?;
            let report = match outcome {
                Ok(report) => report,
                Err(trouble) => {
                    write(&trouble.to_string(), (BAR, middle), 12, HPos::Left)?;
                    continue;
                }
            };
            let share = cell.scenario.use_of(report.goodput()).map(|share| share.min(10_000));
            let parts = i32::try_from(share.unwrap_or(0))?;
            let (top, bottom) = (middle - ROW / 2 + 2, middle + ROW / 2 - 2);
            let frame = [(BAR, top), (BAR + BAR_WIDTH, bottom)];
            root.draw(&Rectangle::new(frame, GREY.mix(0.3).filled()))?;
            let bar = [(BAR, top), (BAR + BAR_WIDTH * parts / 10_000, bottom)];
            root.draw(&Rectangle::new(bar, colour(parts).filled()))?;
            if let Some(share) = share {
                write(&format!("{}%", share / 100), (BAR + 6, middle), 11, HPos::Left)?;
            }
            for ((right, _), number) in NUMBERS.iter().zip(numbers(report)) {
                write(&number, (*right, middle), 12, HPos::Right)?;
            }
        }
        root.present()?;
    }
    Ok(text)
}

fn numbers(report: &Report) -> [String; 5] {
    let sent = report.sum(|flow| flow.sent);
    let percent = |part| format!("{:.2}", Report::share(part, sent) as f64 / 100.0);
    let fairness = match report.flows.len() {
        1 => String::new(),
        _ => format!("{:.3}", report.late_fairness() as f64 / 10_000.0),
    };
    [
        format!("{:.2}", report.goodput() as f64 / 1e6),
        fairness,
        percent(report.sum(|flow| flow.retransmitted)),
        percent(report.sum(|flow| flow.twice)),
        report.sum(|flow| flow.timeouts).to_string(),
    ]
}

/// From red at nothing over yellow to green at everything.
fn colour(parts: i32) -> RGBColor {
    let part = f64::from(parts.clamp(0, 10_000)) / 10_000.0;
    let mix = |from: f64, to: f64, share: f64| (from + (to - from) * share).round() as u8;
    if part < 0.5 {
        let share = part * 2.0;
        RGBColor(mix(226.0, 240.0, share), mix(88.0, 200.0, share), mix(80.0, 90.0, share))
    } else {
        let share = part * 2.0 - 1.0;
        RGBColor(mix(240.0, 92.0, share), mix(200.0, 176.0, share), mix(90.0, 96.0, share))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use usertcp_core::sim::grid::cells;

    #[test]
    fn every_cell_has_a_row_and_trouble_is_told() {
        let text =
            "one: rate=10M rtt=10ms bytes=50K\ntwo: rate=10M rtt=10ms flows=2 bytes=50K\nthree: rate=1M";
        let mut results: Vec<_> = Vec::new();
        for cell in cells(text).expect("cells") {
            let outcome = if cell.name == "three" { Err(Trouble::Livelock) } else { cell.scenario.run() };
            results.push((cell, outcome));
        }
        let svg = picture("a grid", &results).expect("a picture");
        for word in ["a grid", "one", "two", "three", "moves for ever", "fairness"] {
            assert!(svg.contains(word), "{word}");
        }
        assert_eq!((colour(0), colour(10_000)), (RGBColor(226, 88, 80), RGBColor(92, 176, 96)));
    }
}
