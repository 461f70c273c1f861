//! Grouped bars with intervals, for print.

use std::path::Path;

use kuva::plot::{BarPlot, LegendPosition};
use kuva::render::layout::Layout;
use kuva::render::plots::Plot;
use kuva::render::render::{Scene, render_multiple};

use super::{HEIGHT, PlotError, WIDTH, png_of, save, svg_of};

/// One bar with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// Height.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// Bars side by side, one group per category, one bar per series in each.
#[derive(Clone, Debug, Default)]
pub struct BarFigure {
    /// First line above the axes.
    pub title: String,
    /// Second line, smaller; may be empty.
    pub subtitle: String,
    /// With its unit.
    pub y_label: String,
    /// Name and colour (`#rrggbb`, see [`crate::colour`]) of each series.
    pub series: Vec<(String, String)>,
    /// Name and bars of each group; a group has as many bars as there are series.
    pub groups: Vec<(String, Vec<Bar>)>,
}

impl BarFigure {
    /// The figure as an SVG document.
    pub fn svg(&self) -> String {
        svg_of(&self.scene())
    }

    /// The figure as a PNG image.
    ///
    /// # Errors
    /// When the rasteriser fails.
    pub fn png(&self) -> Result<Vec<u8>, PlotError> {
        png_of(&self.scene())
    }

    /// Writes the figure in the format that the name of the file asks for.
    ///
    /// # Errors
    /// When the name ends in neither `.svg` nor `.png`, or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), PlotError> {
        save(&self.scene(), path)
    }

    fn scene(&self) -> Scene {
        let mut bars = BarPlot::new().with_width(0.8);
        for (label, group) in &self.groups {
            let coloured = group.iter().zip(&self.series);
            let values = coloured.map(|(bar, (_, colour))| (bar.value, colour.clone()));
            bars = bars.with_group(label.clone(), values);
        }
        let all = || {
            let shown = self.groups.iter();
            shown.flat_map(|(_, group)| group.iter().take(self.series.len()))
        };
        let whiskers = all().map(|bar| (bar.value - bar.low, bar.high - bar.value));
        bars = bars
            .with_asymmetric_error(whiskers.collect::<Vec<_>>())
            .with_error_color(crate::colour::INK);
        if self.series.len() > 1 {
            bars = bars.with_legend(self.series.iter().map(|(name, _)| name.as_str()).collect());
        }
        let plots = vec![Plot::Bar(bars)];
        let mut layout = Layout::auto_from_plots(&plots)
            .with_width(WIDTH)
            .with_height(HEIGHT)
            .with_legend_position(LegendPosition::OutsideRightTop)
            .with_title(self.title.clone())
            .with_title_size(17)
            .with_y_label(self.y_label.clone())
            .with_label_size(14)
            .with_tick_size(12)
            .with_y_axis_min(0.0);
        if !self.subtitle.is_empty() {
            layout = layout
                .with_subtitle(self.subtitle.clone())
                .with_subtitle_size(12);
        }
        render_multiple(plots, layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_carry_their_names_and_the_same_bytes_each_time() {
        let bar = |value: f64| Bar {
            value,
            low: value - 2.0,
            high: value + 3.0,
        };
        let figure = BarFigure {
            title: "Accuracy by policy".to_owned(),
            subtitle: "intervals: 95 %".to_owned(),
            y_label: "Top-1 accuracy [%]".to_owned(),
            series: vec![
                ("1 MHz".to_owned(), crate::colour::CATEGORIES[0].to_owned()),
                ("3 MHz".to_owned(), crate::colour::CATEGORIES[1].to_owned()),
            ],
            groups: vec![
                ("enachi".to_owned(), vec![bar(70.0), bar(75.0)]),
                ("edge-only".to_owned(), vec![bar(40.0), bar(60.0)]),
            ],
        };
        let svg = figure.svg();
        for part in [
            "enachi",
            "edge-only",
            "1 MHz",
            "3 MHz",
            "Top-1 accuracy [%]",
            "#0072b2",
        ] {
            assert!(svg.contains(part), "{part} is missing");
        }
        assert!(!svg.contains("NaN"), "{svg}");
        assert_eq!(figure.svg(), svg);
        let png = figure.png().expect("drawn");
        assert!(png.starts_with(b"\x89PNG"));
    }
}
