//! A picture of one run: for each flow congestion window, slow start threshold and what is in flight, and the round-trip times of all of them.

use super::{BLACK, BLUE, Failure, GREEN, GREY, ORANGE, RED};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::time::Duration;
use usertcp_core::sim::scenario::Sample;

const WIDTH: u32 = 1200;
/// Height of the panel of a flow, and of that of the round-trip times.
const PANEL: u32 = 260;
const TITLE: u32 = 36;

/// Points of a line across the picture: more would lie upon each other.
const COLUMNS: usize = 1400;

/// Recovery and loss of `tcpi_ca_state`, which are shown by a tint.
const RECOVERY: u8 = 3;
const LOSS: u8 = 4;

type Points = Vec<(f64, f64)>;

/// The picture as SVG.
pub fn picture(title: &str, samples: &[Sample], took: Duration) -> Result<String, Failure> {
    let flows = samples.iter().map(|sample| sample.flow + 1).max().unwrap_or(0);
    let mut text = String::new();
    {
        let panels = u32::try_from(flows)? + 1;
        let size = (WIDTH, TITLE + panels * PANEL);
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        root.fill(&WHITE)?;
        let root = root.titled(title, ("sans-serif", 18).into_font().color(&BLACK))?;
        let areas = root.split_evenly((panels as usize, 1));
        for (flow, area) in areas.iter().take(flows).enumerate() {
            let own: Vec<_> = samples.iter().filter(|sample| sample.flow == flow).copied().collect();
            windows(area, flow, &own, took)?;
        }
        if let Some(area) = areas.last() {
            round_trips(area, flows, samples, took)?;
        }
        root.present()?;
    }
    Ok(text)
}

fn windows(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    flow: usize,
    samples: &[Sample],
    took: Duration,
) -> Result<(), Failure> {
    let line = |figure: fn(&Sample) -> Option<u32>| -> Points {
        let points = samples.iter().filter_map(|s| Some((s.at.as_secs_f64(), f64::from(figure(s)?))));
        thinned(points.collect(), took)
    };
    let cwnd = line(|sample| Some(sample.cwnd));
    let in_flight = line(|sample| Some(sample.in_flight));
    let threshold = line(|sample| sample.ssthresh);
    let top = cwnd.iter().chain(&in_flight).map(|point| point.1).fold(10.0, f64::max) * 1.05;
    let end = took.as_secs_f64().max(1e-9);
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..end, 0.0..top)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GREY.mix(0.5))
        .y_desc(format!("flow {flow}: segments"))
        .y_label_formatter(&|segments| format!("{segments:.0}"))
        .draw()?;
    for (state, colour) in [(RECOVERY, ORANGE), (LOSS, RED)] {
        let spans = spans(samples, state, end);
        let boxes = spans
            .into_iter()
            .map(|(from, to)| Rectangle::new([(from, 0.0), (to, top)], colour.mix(0.15).filled()));
        let name = if state == LOSS { "after a timeout" } else { "recovery" };
        chart.draw_series(boxes)?.label(name).legend(move |at| key(at, colour.mix(0.3)));
    }
    for (points, colour, name) in
        [(in_flight, GREEN, "in flight"), (threshold, ORANGE, "ssthresh"), (cwnd, BLUE, "cwnd")]
    {
        let points = points.into_iter().filter(|point| point.1 <= top);
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(1)))?
            .label(name)
            .legend(move |at| key(at, colour.mix(1.0)));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(GREY).draw()?;
    Ok(())
}

fn round_trips(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    flows: usize,
    samples: &[Sample],
    took: Duration,
) -> Result<(), Failure> {
    let top = samples.iter().map(|sample| millis(sample.srtt)).fold(0.001, f64::max) * 1.05;
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d(0.0..took.as_secs_f64().max(1e-9), 0.0..top)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GREY.mix(0.5))
        .y_desc("smoothed round-trip time, ms")
        .x_desc("seconds")
        .draw()?;
    for flow in 0..flows {
        let own = samples.iter().filter(|sample| sample.flow == flow && sample.srtt > 0);
        let points = own.map(|sample| (sample.at.as_secs_f64(), millis(sample.srtt))).collect();
        let colour = Palette99::pick(flow).to_rgba();
        chart
            .draw_series(LineSeries::new(thinned(points, took), colour.stroke_width(1)))?
            .label(format!("flow {flow}"))
            .legend(move |at| key(at, colour));
    }
    chart.configure_series_labels().background_style(WHITE.mix(0.8)).border_style(GREY).draw()?;
    Ok(())
}

fn key(at: (i32, i32), colour: RGBAColor) -> Rectangle<(i32, i32)> {
    Rectangle::new([(at.0, at.1 - 3), (at.0 + 16, at.1 + 3)], colour.filled())
}

fn millis(micros: u32) -> f64 {
    f64::from(micros) / 1000.0
}

/// From when to when the flow was in `state`, the last of it until `end`.
fn spans(samples: &[Sample], state: u8, end: f64) -> Points {
    let mut spans = Points::new();
    let mut since = None;
    for sample in samples {
        let at = sample.at.as_secs_f64();
        match (sample.state == state, since) {
            (true, None) => since = Some(at),
            (false, Some(from)) => {
                spans.push((from, at));
                since = None;
            }
            _ => {}
        }
    }
    spans.extend(since.map(|from| (from, end)));
    spans
}

/// A line as steps, of which no more is left than can be seen: the first, the least, the greatest and the last value of each column.
fn thinned(points: Points, took: Duration) -> Points {
    let column = |at: f64| (at / took.as_secs_f64().max(1e-9) * COLUMNS as f64) as usize;
    let mut kept = Points::new();
    for group in points.chunk_by(|a, b| column(a.0) == column(b.0)) {
        let (first, last) = (group[0], group[group.len() - 1]);
        let least = group.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(first);
        let most = group.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(first);
        if let Some((_, before)) = kept.last().copied() {
            kept.push((first.0, before));
        }
        let mut few = vec![first, least, most, last];
        few.sort_by(|a, b| a.0.total_cmp(&b.0));
        few.dedup();
        kept.extend(few);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use usertcp_core::sim::scenario::{Sampling, Scenario};

    #[test]
    fn thinning_keeps_what_can_be_seen() {
        let points: Points = (0..100_000).map(|n| (f64::from(n) / 1e5, f64::from(n % 1000))).collect();
        let kept = thinned(points, Duration::from_secs(1));
        assert!(kept.len() <= COLUMNS * 5 && kept.len() > COLUMNS, "{}", kept.len());
        assert!(
            kept.iter().any(|point| point.1 == 999.0) && kept.windows(2).all(|pair| pair[0].0 <= pair[1].0)
        );
        assert_eq!(
            thinned(vec![(0.0, 1.0), (0.5, 2.0)], Duration::from_secs(1)),
            [(0.0, 1.0), (0.5, 1.0), (0.5, 2.0)]
        );
    }

    #[test]
    fn a_run_becomes_a_picture_with_a_panel_for_each_flow() {
        let scenario: Scenario = "rate=10M rtt=20ms loss=2% flows=2 bytes=300K".parse().expect("settings");
        let scenario = Scenario { sampling: Sampling::Changes, ..scenario };
        let report = scenario.run().expect("a run");
        let svg = picture("a title", &report.samples, report.took).expect("a picture");
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for word in
            ["a title", "flow 0: segments", "flow 1: segments", "cwnd", "ssthresh", "in flight", "round-trip"]
        {
            assert!(svg.contains(word), "{word}");
        }
        assert!(picture("nothing", &[], Duration::ZERO).is_ok());
    }
}
