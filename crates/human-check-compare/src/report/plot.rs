use plotters::prelude::*;

use super::escaped::escaped;

/// The title and the description of a plot, for screen readers.
pub(super) struct PlotText<'a> {
    /// An id that no other plot of the page has.
    pub(super) id: String,
    pub(super) title: &'a str,
    pub(super) description: String,
}

/// Draws bars with labels below, as SVG without a size of its own: the page's style sets the size.
///
/// It uses `plotters`, which is maintained and draws SVG without a browser, a system font or a
/// script. Its SVG backend adds four small crates. Its colours are attributes, which the page's
/// style overrides, so that one plot fits light and dark.
///
/// `None` if it cannot be drawn. The tables have the same numbers.
pub(super) fn bars(
    text: &PlotText<'_>,
    labels: &[String],
    values: &[f64],
    axis: &str,
) -> Option<String> {
    let mut svg = String::new();
    draw(&mut svg, labels, values, axis).ok()?;
    let inner = svg.split_once('>')?.1;
    Some(format!(
        r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{id}-t {id}-d"><title id="{id}-t">{title}</title><desc id="{id}-d">{description}</desc>{inner}"#,
        id = text.id,
        title = escaped(text.title),
        description = escaped(&text.description),
    ))
}

const WIDTH: u32 = 640;
const HEIGHT: u32 = 240;

/// Draws the bars into `svg`.
fn draw(
    svg: &mut String,
    labels: &[String],
    values: &[f64],
    axis: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, (WIDTH, HEIGHT)).into_drawing_area();
    let max = values.iter().copied().fold(0.0, f64::max);
    let top = if max > 0.0 { max * 1.1 } else { 1.0 };
    let count = i32::try_from(labels.len())?;
    let right = f64::from(count);
    let mut chart = ChartBuilder::on(&root)
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(60)
        .build_cartesian_2d(0.0..right, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .y_labels(5)
        .y_desc(axis)
        .draw()?;
    for (nth, value) in (0..count).map(f64::from).zip(values) {
        let bar = Rectangle::new([(nth + 0.1, 0.0), (nth + 0.9, *value)], BLUE.filled());
        chart.draw_series([bar])?;
    }
    // The labels are drawn here, because the library would leave some of them out.
    let plane = chart.plotting_area().get_pixel_range();
    let wide = f64::from(plane.0.end - plane.0.start) / right.max(1.0);
    let style =
        ("sans-serif", 12)
            .into_font()
            .color(&BLACK)
            .pos(plotters::style::text_anchor::Pos::new(
                plotters::style::text_anchor::HPos::Center,
                plotters::style::text_anchor::VPos::Top,
            ));
    for (nth, label) in (0..count).map(f64::from).zip(labels) {
        #[allow(clippy::cast_possible_truncation)]
        let x = plane.0.start + ((nth + 0.5) * wide) as i32;
        root.draw(&Text::new(
            label.as_str(),
            (x, plane.1.end + 8),
            style.clone(),
        ))?;
    }
    root.present()?;
    drop(chart);
    Ok(())
}
