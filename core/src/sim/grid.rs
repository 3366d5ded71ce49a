//! A grid: named scenarios from a file, and a table with a row for each.

use super::scenario::{FlowReport, Report, Scenario, Trouble};
use crate::error::{Errno, Error};
use std::fmt::Write;

/// A scenario with a name.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Its name, which no other has.
    pub name: String,
    /// Its settings.
    pub scenario: Scenario,
}

/// The cells of a file: `name: settings` a line, empty lines and those that begin with `#` apart. Errors name the line.
pub fn cells(text: &str) -> Result<Vec<Cell>, Error> {
    let mut cells: Vec<Cell> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let refuse = |what: String| Error::new(Errno::EINVAL, format!("line {}: {what}", index + 1));
        let (name, settings) =
            line.split_once(':').ok_or_else(|| refuse("a cell is `name: settings`".into()))?;
        let scenario = settings.parse().map_err(|error: Error| refuse(error.to_string()))?;
        if cells.iter().any(|cell| cell.name == name) {
            return Err(refuse(format!("there is a cell `{name}` already")));
        }
        cells.push(Cell { name: name.into(), scenario });
    }
    Ok(cells)
}

/// What stands above the rows.
pub const HEADER: &str = "\
# goodput: Mbit/s of payload that the programs received, all flows together, handshakes and slow start included.
# use: that as a percentage of the payload that the link, or the policer, could have carried in the time.
# fair, late: Jain's index of the flows' goodput, and of what they received in the second half of the run.
# sent: segments with data. again: those sent again. vain: segments that arrived and brought nothing new, and their percentage of those sent.
# rto: retransmission timeouts. lost, full: packets with data that the link lost, and that queue or policer had no room for.
";

/// The table of what came of the cells, header and all.
#[must_use]
pub fn table<'a>(results: impl IntoIterator<Item = (&'a Cell, &'a Result<Report, Trouble>)>) -> String {
    let mut text = HEADER.to_owned();
    let _ = writeln!(
        text,
        "{:<28}{:>10}{:>7}{:>8}{:>8}{:>8}{:>7}{:>6}{:>7}{:>5}{:>6}{:>6}  settings",
        "cell", "goodput", "use %", "fair", "late", "sent", "again", "vain", "%", "rto", "lost", "full"
    );
    results.into_iter().for_each(|(cell, result)| {
        text.push_str(&row(cell, result));
        text.push('\n');
    });
    text
}

/// One row.
#[must_use]
pub fn row(cell: &Cell, result: &Result<Report, Trouble>) -> String {
    let Cell { name, scenario } = cell;
    let report = match result {
        Ok(report) => report,
        Err(trouble) => return format!("{name:<28}{trouble}  {scenario}"),
    };
    let several = report.flows.len() > 1;
    let index = |value: u64| if several { points(value, 4) } else { "-".into() };
    let (sent, vain) = (report.sum(|flow| flow.sent), report.sum(|flow| flow.twice));
    let way = &report.data_way;
    format!(
        "{name:<28}{:>10}{:>7}{:>8}{:>8}{sent:>8}{:>7}{vain:>6}{:>7}{:>5}{:>6}{:>6}  {scenario}",
        points(report.goodput() / 1000, 3),
        scenario.use_of(report.goodput()).map_or_else(|| "-".into(), |share| points(share / 10, 1)),
        index(report.fairness()),
        index(report.late_fairness()),
        report.sum(|flow| flow.retransmitted),
        points(Report::share(vain, sent), 2),
        report.sum(|flow: &FlowReport| flow.timeouts),
        way.lost + way.burst_lost,
        way.dropped + way.policed,
    )
}

/// `value` with its last `places` digits behind the point.
fn points(value: u64, places: u32) -> String {
    let unit = 10u64.pow(places);
    format!("{}.{:0width$}", value / unit, value % unit, width = places as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_names_of_their_own_and_settings_that_make_sense() {
        let good = cells("# comment\n\na: rate=1M rtt=1ms\n  b: rate=2M seed=4\n").expect("cells");
        assert_eq!(good.iter().map(|cell| cell.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!((good[0].scenario.rate, good[1].scenario.seed), (1_000_000, 4));
        for (text, line) in
            [("a: rate=1M\na: rate=2M", "line 2"), ("a", "line 1"), ("\na: speed=1", "line 2")]
        {
            let error = cells(text).expect_err(text).to_string();
            assert!(error.starts_with(line), "{error}");
        }
    }

    #[test]
    fn rows_stand_below_their_header() {
        let cell = cells("a: rate=10M rtt=10ms bytes=100K").expect("a cell").remove(0);
        let report = cell.scenario.run();
        let table = table([(&cell, &report), (&cell, &Err(Trouble::Livelock))]);
        let lines: Vec<_> = table.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines.len(), 3, "{table}");
        let end = |line: &str, word: &str| line.find(word).map(|at| at + word.len());
        let sent = format!(" {} ", report.as_ref().map_or(0, |report| report.flows[0].sent));
        assert_eq!(end(lines[0], "sent "), end(lines[1], &sent), "{table}");
        assert!(lines[1].ends_with("rate=10M rtt=10ms bytes=100K seed=1"), "{table}");
        assert!(lines[2].contains("moves for ever"), "{table}");
        assert_eq!([points(12_345, 3), points(7, 2)], ["12.345", "0.07"]);
    }
}
