//! Pictures of a report: throughput and latency, over time and over the offered rate.

use std::fmt::Display;
use std::ops::Range;
use std::path::Path;

use plotters::chart::ChartContext;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::error::BenchError;

const PANEL_WIDTH: u32 = 620;
const PANEL_HEIGHT: u32 = 380;
/// Panels side by side.
const COLUMNS: usize = 2;
/// A latency below this is drawn as this: a logarithm has no zero.
const LOGARITHM_MIN: f64 = 0.001;
/// Dark enough on white, and apart for people who tell red and green badly (Okabe and Ito, 2008).
const COLOURS: [RGBColor; 4] =
    [RGBColor(0, 114, 178), RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(120, 120, 120)];

/// One picture of lines.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    /// What it shows.
    pub(crate) title: String,
    /// What goes to the right.
    pub(crate) right: &'static str,
    /// What goes up.
    pub(crate) up: &'static str,
    /// Whether each step up is ten times as much.
    pub(crate) logarithmic: bool,
    /// The lines, each with its name.
    pub(crate) lines: Vec<(&'static str, Vec<(f64, f64)>)>,
}

/// Draws panels into a file, two in a row.
pub(super) fn draw(panels: &[Panel], path: &Path) -> Result<(), BenchError> {
    let rows = panels.len().div_ceil(COLUMNS);
    let columns = panels.len().min(COLUMNS);
    let size = |panels: usize, each: u32| u32::try_from(panels).unwrap_or(1) * each;
    let root = SVGBackend::new(path, (size(columns, PANEL_WIDTH), size(rows, PANEL_HEIGHT)));
    let root = root.into_drawing_area();
    let failed = |error: &dyn Display| BenchError::Picture {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    root.fill(&WHITE).map_err(|error| failed(&error))?;
    for (panel, area) in panels.iter().zip(root.split_evenly((rows, columns))) {
        panel.draw(&area).map_err(|error| failed(&error))?;
    }
    root.present().map_err(|error| failed(&error))
}

type Drawn<'a> = Result<(), DrawingAreaErrorKind<<SVGBackend<'a> as DrawingBackend>::ErrorType>>;

impl Panel {
    fn draw<'a>(&self, area: &DrawingArea<SVGBackend<'a>, Shift>) -> Drawn<'a> {
        let mut builder = ChartBuilder::on(area);
        builder
            .caption(&self.title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(76);
        let points = || self.lines.iter().flat_map(|(_, points)| points.iter().copied());
        let right = 0.0..points().map(|(x, _)| x).fold(f64::MIN_POSITIVE, f64::max);
        let top = points().map(|(_, y)| y).fold(LOGARITHM_MIN, f64::max);
        if self.logarithmic {
            let least = points().map(|(_, y)| y).fold(top, f64::min).max(LOGARITHM_MIN);
            let up: Range<f64> = decade(least, f64::floor)..decade(top, f64::ceil);
            self.draw_lines(builder.build_cartesian_2d(right, up.log_scale())?)
        } else {
            self.draw_lines(builder.build_cartesian_2d(right, 0.0..top * 1.05)?)
        }
    }

    fn draw_lines<'a, Y>(
        &self,
        mut chart: ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, Y>>,
    ) -> Drawn<'a>
    where
        Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(RGBColor(225, 225, 225))
            .x_desc(self.right)
            .y_desc(self.up)
            .x_labels(8)
            .y_labels(8)
            .x_label_formatter(&|number| short(*number))
            .y_label_formatter(&|number| short(*number))
            .label_style(("sans-serif", 13))
            .draw()?;
        for ((name, points), colour) in self.lines.iter().zip(COLOURS.into_iter().cycle()) {
            let style = colour.stroke_width(2);
            let drawn = points
                .iter()
                .map(|(x, y)| (*x, if self.logarithmic { y.max(LOGARITHM_MIN) } else { *y }));
            chart
                .draw_series(LineSeries::new(drawn, style))?
                .label(*name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        }
        if self.lines.len() > 1 {
            chart
                .configure_series_labels()
                .position(SeriesLabelPosition::UpperLeft)
                .background_style(WHITE.mix(0.8))
                .label_font(("sans-serif", 13))
                .draw()?;
        }
        Ok(())
    }
}

/// The power of ten next to a number.
fn decade(number: f64, round: fn(f64) -> f64) -> f64 {
    10_f64.powf(round(number.log10()))
}

/// A number beside an axis.
fn short(number: f64) -> String {
    match number.abs() {
        1e6.. => format!("{:.2} M", number / 1e6),
        1e3.. => format!("{:.0} k", number / 1e3),
        10.0.. => format!("{number:.0}"),
        _ => format!("{}", (number * 1000.0).round() / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_its_titles_and_lines() {
        let panel = |title: &str, logarithmic| Panel {
            title: title.to_owned(),
            right: "seconds",
            up: "milliseconds",
            logarithmic,
            lines: vec![("half", vec![(0.0, 0.0), (1.0, 2.0)]), ("most", vec![(0.5, 30.0)])],
        };
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("picture.svg");
        draw(&[panel("first", true), panel("second", false), panel("third", false)], &path)
            .expect("drawn");
        let svg = std::fs::read_to_string(&path).expect("a file");
        assert!(svg.contains("width=\"1240\" height=\"760\""), "{svg}");
        for text in ["first", "second", "third", "milliseconds", "half"] {
            assert!(svg.contains(text), "{text} is missing");
        }
        assert!(draw(&[panel("first", true)], Path::new("/nowhere/picture.svg")).is_err());
    }

    #[test]
    fn numbers_beside_axes() {
        for (number, text) in
            [(0.0, "0"), (0.25, "0.25"), (12.0, "12"), (250_000.0, "250 k"), (1.2e6, "1.20 M")]
        {
            assert_eq!(short(number), text);
        }
    }
}
