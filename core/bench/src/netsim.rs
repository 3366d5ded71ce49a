//! Pictures and numbers of simulated paths: the whole grid, or one run over time.

pub mod grid;
pub mod numbers;
pub mod over_time;

use plotters::style::RGBColor;

/// Anything that can go wrong here ends the program with a sentence.
pub type Failure = Box<dyn std::error::Error>;

/// Colours of lines and marks, on white.
const BLACK: RGBColor = RGBColor(40, 40, 40);
const GREY: RGBColor = RGBColor(205, 205, 205);
const BLUE: RGBColor = RGBColor(31, 90, 180);
const ORANGE: RGBColor = RGBColor(225, 120, 0);
const GREEN: RGBColor = RGBColor(20, 140, 60);
const RED: RGBColor = RGBColor(205, 30, 40);
