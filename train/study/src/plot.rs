//! Scores as a picture: a dot for each mean, and its interval.

use std::fmt::Write;

use vmt_render::{text, text_width};

use crate::analysis::Report;
use crate::formats::HIGHEST;
use crate::report::headings;

/// Colours that can be told apart with colour blindness (Okabe and Ito), dark enough on white.
const COLOURS: [&str; 8] = ["#0072b2", "#d55e00", "#00785a", "#a34a80", "#8a6d00", "#3f6f9f", "#5a5a5a", "#1f1f1f"];
const TEXT: &str = "#1c2128";
const SOFT: &str = "#59626f";
const LINES: &str = "#d7d9dc";

const ROW: f64 = 34.0;
const PANEL: f64 = 360.0;
const GAP: f64 = 44.0;
const TOP: f64 = 52.0;
const BOTTOM: f64 = 52.0;
const EDGE: f64 = 24.0;

/// Two panels side by side, a row for each system.
pub fn svg(report: &Report) -> String {
    let names = report.systems.iter().map(|system| text_width(&system.system)).fold(0.0, f64::max);
    let left = EDGE + names + 16.0;
    let rows = report.systems.len() as f64 * ROW;
    let (width, height) = (left + 2.0 * PANEL + GAP + EDGE, TOP + rows + BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.1} {height:.1}\" \
         role=\"img\">\n<title>Mean smoothness and relevance with 95 % intervals</title>\n\
         <rect width=\"{width:.1}\" height=\"{height:.1}\" fill=\"#ffffff\"/>\n"
    );
    // Writing to a string cannot fail.
    let mut draw = || -> std::fmt::Result {
        for (row, system) in report.systems.iter().enumerate() {
            let y = TOP + (row as f64 + 0.5) * ROW;
            let x = left - 16.0 - text_width(&system.system);
            svg.push_str(&text(&system.system, x, y - 5.0, TEXT));
        }
        for (measure, heading) in headings().iter().enumerate() {
            let begin = left + measure as f64 * (PANEL + GAP);
            let x = |score: f64| begin + PANEL * score / f64::from(HIGHEST);
            svg.push_str(&text(heading, begin, 20.0, TEXT));
            for score in 0..=HIGHEST {
                let at = x(score.into());
                writeln!(svg, r#"<path d="M{at:.1} {TOP}v{rows}" stroke="{LINES}"/>"#)?;
                let label = score.to_string();
                svg.push_str(&text(&label, at - text_width(&label) / 2.0, TOP + rows + 12.0, SOFT));
            }
            for (row, system) in report.systems.iter().enumerate() {
                let score = &system.scores[measure];
                let (y, colour) = (TOP + (row as f64 + 0.5) * ROW, COLOURS[row % COLOURS.len()]);
                if let Some([low, high]) = score.interval {
                    let [low, high] = [x(low), x(high)];
                    let path =
                        format!("M{low:.1} {y}H{high:.1}M{low:.1} {:.1}v10M{high:.1} {:.1}v10", y - 5.0, y - 5.0);
                    writeln!(svg, r#"<path d="{path}" stroke="{colour}" stroke-width="2" fill="none"/>"#)?;
                }
                writeln!(svg, r#"<circle cx="{:.1}" cy="{y}" r="5" fill="{colour}"/>"#, x(score.mean))?;
                let label = format!("{:.2}", score.mean);
                svg.push_str(&text(&label, x(score.mean) - text_width(&label) / 2.0, y - 17.0, colour));
            }
        }
        let note = format!("{} people, {} films; bars: 95 % intervals", report.people, report.films);
        svg.push_str(&text(&note, left, TOP + rows + 32.0, SOFT));
        Ok(())
    };
    let _ = draw();
    svg + "</svg>\n"
}
