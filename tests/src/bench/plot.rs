//! What was found, as pictures.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use plotters::prelude::*;

/// A curve: its name and its points, in the order of x.
pub type Curves = BTreeMap<String, Vec<(f64, f64)>>;

/// What a picture is called and shows.
pub struct Picture<'a> {
    /// Above it.
    pub title: &'a str,
    /// Along the x axis.
    pub x: &'a str,
    /// Along the y axis.
    pub y: &'a str,
}

const SIZE: (u32, u32) = (900, 560);
/// Told apart by eyes that tell red from green badly, too (Okabe and Ito).
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(213, 94, 0),
    RGBColor(204, 121, 167),
    RGBColor(0, 0, 0),
    RGBColor(0, 158, 115),
    RGBColor(86, 180, 233),
];

/// Draws curves on two logarithmic axes.
///
/// # Errors
/// The file cannot be written.
pub fn log_log(file: &Path, picture: &Picture<'_>, curves: &Curves) -> Result<(), Box<dyn Error>> {
    let points = || curves.values().flatten();
    let range = |of: fn(&(f64, f64)) -> f64| {
        let low = points().map(of).fold(f64::INFINITY, f64::min);
        let high = points().map(of).fold(0.0, f64::max);
        (low, high)
    };
    let ((x_low, x_high), (y_low, y_high)) = (range(|point| point.0), range(|point| point.1));
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(picture.title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(
            (x_low * 0.9..x_high * 1.15).log_scale(),
            (y_low * 0.8..y_high * 1.3).log_scale(),
        )?;
    let label = |value: &f64| super::table::number(*value);
    chart
        .configure_mesh()
        .x_desc(picture.x)
        .y_desc(picture.y)
        .x_label_formatter(&label)
        .y_label_formatter(&label)
        .light_line_style(RGBColor(238, 238, 238))
        .bold_line_style(RGBColor(210, 210, 210))
        .label_style(("sans-serif", 13))
        .draw()?;
    for ((name, curve), colour) in curves.iter().zip(COLOURS.iter().cycle()) {
        chart
            .draw_series(
                LineSeries::new(curve.iter().copied(), colour.stroke_width(2)).point_size(3),
            )?
            .label(name)
            .legend(|(x, y)| PathElement::new([(x, y), (x + 22, y)], colour.stroke_width(3)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.85))
        .border_style(RGBColor(180, 180, 180))
        .label_font(("sans-serif", 13))
        .draw()?;
    root.present()?;
    Ok(())
}
