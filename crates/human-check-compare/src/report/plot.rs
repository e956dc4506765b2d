use plotters::prelude::*;

/// How a plot is introduced to those who do not see it.
pub(super) struct Words<'a> {
    pub(super) id: String,
    pub(super) title: &'a str,
    pub(super) description: String,
}

/// Bars with names below, as SVG without a size of its own: the page gives it one.
///
/// `plotters`, since it is the one plotting crate that is widely kept and draws SVG without a
/// browser, a system font or a script: its SVG alone pulls in four small crates. Its colours are
/// attributes, which the page's style overrules, so that one plot serves light and dark.
///
/// `None` where it cannot be drawn; the tables carry the same numbers.
pub(super) fn bars(
    words: &Words<'_>,
    labels: &[String],
    values: &[f64],
    axis: &str,
) -> Option<String> {
    let mut svg = String::new();
    draw(&mut svg, labels, values, axis).ok()?;
    let inner = svg.split_once('>')?.1;
    Some(format!(
        r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{id}-t {id}-d"><title id="{id}-t">{title}</title><desc id="{id}-d">{description}</desc>{inner}"#,
        id = words.id,
        title = super::html::escaped(words.title),
        description = super::html::escaped(&words.description),
    ))
}

const WIDTH: u32 = 640;
const HEIGHT: u32 = 240;

fn draw(
    svg: &mut String,
    labels: &[String],
    values: &[f64],
    axis: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, (WIDTH, HEIGHT)).into_drawing_area();
    let most = values.iter().copied().fold(0.0, f64::max);
    let top = if most > 0.0 { most * 1.1 } else { 1.0 };
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
    // The library would choose which names to leave out.
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
