//! Piano rolls of several pieces for one film side by side, as in the paper's figure 4.

use std::fmt::Write;
use std::time::Duration;

use vmt::{Pitch, STEPS_PER_SECOND, Score};

use crate::lettering::{text, width};
use crate::roll::{AXIS, CARD, CLOSING, LABELS, LEFT, Layout, MARKERS, ROW, TOP, rasterise};
use crate::{Error, Result};

/// What is wrong with a piece.
const WRONG: &str = "#ff6b5e";
/// Pixels to a second.
const SECOND: f64 = 48.0;
const LINE: f64 = 20.0;
/// Above the rolls, for their titles.
const TITLE: f64 = 34.0;
const EDGE: f64 = 16.0;

/// A piece.
#[derive(Clone, Debug)]
pub struct Column<'a> {
    /// Whose it is.
    pub title: String,
    /// The music, which may go beyond the film's end.
    pub score: &'a Score,
    /// Notes that were never closed, by index; they are drawn up to the end.
    pub unclosed: Vec<usize>,
    /// Where a note was closed that was not open: step and key.
    pub unmatched: Vec<(u32, Pitch)>,
    /// Lines below it.
    pub lines: Vec<String>,
}

/// Draws pieces for a film of this `duration` side by side as SVG: C2 to C7, or as far as there are notes, over seconds, with a dashed
/// line at the end of the film and repeated phrases in boxes of one colour each. Notes that are never closed have a red outline, and a
/// red cross is where a note was closed that was not open.
///
/// # Errors
/// Where there is no piece.
pub fn case_study(columns: &[Column], duration: Duration) -> Result<String> {
    Ok(Figure::new(columns, duration)?.svg)
}

/// [`case_study`] as PNG, two pixels to a unit.
///
/// # Errors
/// As [`case_study`], and where the picture cannot be drawn.
pub fn case_study_png(columns: &[Column], duration: Duration) -> Result<Vec<u8>> {
    let Figure { size, svg } = Figure::new(columns, duration)?;
    rasterise(size, [svg])
}

struct Figure {
    /// Width and height.
    size: [f64; 2],
    svg: String,
}

impl Figure {
    fn new(columns: &[Column], duration: Duration) -> Result<Self> {
        let broken = |reason: &dyn ToString| Error::Picture(reason.to_string());
        let layouts: Vec<Layout> = columns.iter().map(|column| Layout::new(column.score)).collect();
        let steps = columns.iter().flat_map(|column| column.score.notes()).map(|note| note.end).max().unwrap_or(0);
        let length = f64::from(steps) / f64::from(STEPS_PER_SECOND);
        let seconds = length.max(duration.as_secs_f64());
        let low = layouts.iter().map(|layout| layout.low).min().ok_or_else(|| broken(&"there is no piece"))?;
        let high = layouts.iter().map(|layout| layout.high).max().unwrap_or(low);
        let marked = || columns.iter().flat_map(|column| &column.unmatched).map(|(_, pitch)| pitch.get());
        let low = marked().min().map_or(low, |lowest| low.min(lowest / 12 * 12));
        let high = marked().max().map_or(high, |highest| high.max(highest.div_ceil(12) * 12));
        let room = columns.iter().flat_map(|column| &column.lines).map(|line| width(line)).fold(240.0, f64::max);
        let layout = Layout { low, high, seconds, width: (SECOND * seconds).clamp(room, 1500.0).round() };
        let lines = columns.iter().map(|column| column.lines.len()).max().unwrap_or(0);
        let each = layout.right() + EDGE;
        let size =
            [each * columns.len() as f64 + EDGE, TITLE + layout.bottom() + AXIS + 14.0 + LINE * lines as f64 + EDGE];
        let [full, tall] = size;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{full}\" height=\"{tall}\" viewBox=\"0 0 {full} {tall}\" role=\"img\">\n"
        );
        let mut draw = || -> std::result::Result<(), std::fmt::Error> {
            let titles: Vec<&str> = columns.iter().map(|column| &column.title[..]).collect();
            writeln!(svg, "<title>Piano rolls: {}</title>", crate::roll::escape(&titles.join(", ")))?;
            writeln!(svg, r#"<rect width="{full}" height="{tall}" rx="14" fill="{CARD}"/>"#)?;
            for (number, column) in columns.iter().enumerate() {
                let left = each * number as f64;
                svg.push_str(&text(&column.title, left + LEFT, 20.0, MARKERS));
                writeln!(svg, r#"<g transform="translate({left} {TITLE})">"#)?;
                layout.draw_column(&mut svg, column, duration)?;
                let under = layout.bottom() + AXIS + 14.0;
                for (line, said) in column.lines.iter().enumerate() {
                    svg.push_str(&text(said, LEFT, under + LINE * line as f64, LABELS));
                }
                svg.push_str("</g>\n");
            }
            Ok(())
        };
        draw().map_err(|error| broken(&error))?;
        svg.push_str(CLOSING);
        Ok(Self { size, svg })
    }
}

impl Layout {
    fn draw_column(&self, svg: &mut String, column: &Column, duration: Duration) -> std::fmt::Result {
        self.draw_grid(svg)?;
        let (end, bottom) = (self.x(duration.as_secs_f64()), self.bottom());
        writeln!(
            svg,
            r#"<path d="M{end:.1} {TOP}V{bottom}" stroke="{MARKERS}" stroke-width="1.5" stroke-dasharray="4 4"/>"#
        )?;
        let mut parts = Vec::new();
        self.draw_notes(&mut parts, column.score)?;
        parts.iter().for_each(|part| svg.push_str(part));
        writeln!(svg, r#"<g fill="none" stroke="{WRONG}" stroke-width="1.5" stroke-linecap="round">"#)?;
        for note in column.unclosed.iter().filter_map(|&index| column.score.notes().get(index)) {
            let [x, y, width, height] = self.note(note);
            writeln!(svg, r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height}" rx="1.5"/>"#)?;
        }
        for (step, pitch) in &column.unmatched {
            let (x, y) = (self.x_of(*step), self.y(pitch.get()) + ROW / 2.0);
            writeln!(svg, r#"<path d="M{:.1} {:.1}l6 6m0-6l-6 6"/>"#, x - 3.0, y - 3.0)?;
        }
        writeln!(svg, "</g>")
    }
}

#[cfg(test)]
mod tests {
    use vmt::Note;

    use super::*;

    fn note(start: u32, end: u32, pitch: u8) -> Note {
        Note { start, end, pitch: Pitch::new(pitch).unwrap(), velocity: 80 }
    }

    #[test]
    fn a_figure_of_two() {
        let long = Score::new(vec![note(0, 50, 60), note(50, 350, 64)], Duration::from_secs(2)).unwrap();
        let empty = Score::new(Vec::new(), Duration::from_secs(2)).unwrap();
        let columns = [
            Column {
                title: "A & <b>".into(),
                score: &long,
                unclosed: vec![1],
                unmatched: vec![(120, Pitch::new(24).unwrap())],
                lines: vec!["ends 3.50 s".into()],
            },
            Column { title: "B".into(), score: &empty, unclosed: Vec::new(), unmatched: Vec::new(), lines: Vec::new() },
        ];
        let svg = case_study(&columns, Duration::from_secs(2)).unwrap();
        let document = roxmltree::Document::parse(&svg).unwrap();
        let red = document.descendants().find(|it| it.attribute("stroke") == Some(WRONG)).unwrap();
        let marks: Vec<_> = red.children().filter(|it| it.is_element()).map(|it| it.tag_name().name()).collect();
        assert_eq!(marks, ["rect", "path"]);
        // The mark is on the lowest line, an octave below C2.
        let [cross, frame] = [red.children().filter(|it| it.is_element()).nth(1).unwrap(), document.root_element()];
        let y: f64 = cross.attribute("d").unwrap().split([' ', 'l']).nth(1).unwrap().parse().unwrap();
        let tall: f64 = frame.attribute("height").unwrap().parse().unwrap();
        assert!((y - (TOP + 72.5 * ROW - 3.0)).abs() < 0.1 && tall > TITLE + TOP + 73.0 * ROW, "{y} of {tall}");
        // The film's end is where two of the three and a half seconds are over, in both.
        let ends: Vec<_> = document.descendants().filter(|it| it.attribute("stroke-dasharray").is_some()).collect();
        let room = ends[0].attribute("d").unwrap().strip_prefix('M').unwrap().split(' ').next().unwrap();
        let at: f64 = room.parse().unwrap();
        assert!((at - (LEFT + 240.0 * 2.0 / 3.5)).abs() < 0.1 && ends.len() == 2, "{at}");
        assert!(case_study_png(&columns, Duration::from_secs(2)).unwrap().starts_with(b"\x89PNG"));
        assert!(case_study(&[], Duration::from_secs(2)).is_err());
    }
}
