//! An alignment of a score to a film: how alike they are, the warping path, and how sure each section is.

use std::fmt::Write;

use base64::{Engine, prelude::BASE64_STANDARD};
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

use crate::roll::{CARD, CLOSING, LABELS, OCTAVES, PHRASES, SECONDS, rasterise};
use crate::{Error, Result, lettering};

const LEFT: f64 = 64.0;
const RIGHT: f64 = 30.0;
const TOP: f64 = 24.0;
/// Width of the film's axis and the most height of the score's.
const WIDTH: f64 = 1000.0;
const TALLEST: f64 = 1000.0;
/// For the film's seconds.
const AXIS: f64 = 34.0;
/// Height of the strengths.
const STRENGTHS: f64 = 90.0;
const BOTTOM: f64 = 24.0;

/// An alignment, in seconds.
#[derive(Clone, Debug)]
pub struct Warping {
    /// Length of the film.
    pub film: f64,
    /// Length of the score.
    pub score: f64,
    /// How alike film and score are, -1..1: row by row of equal parts of the score, the first its beginning, each of `columns`
    /// equal parts of the film.
    pub similarity: Vec<f32>,
    /// How many parts of the film there are.
    pub columns: usize,
    /// The parts of the score that are in the film, in the order of the film.
    pub sections: Vec<WarpingSection>,
    /// The strength that a section needs.
    pub believed: f64,
}

/// A part of the score that is in the film.
#[derive(Clone, Debug)]
pub struct WarpingSection {
    /// Rising moments of film and score.
    pub path: Vec<(f64, f64)>,
    /// How sure it is, 0..1.
    pub strength: f64,
}

/// Draws an alignment as SVG: the film from left to right and the score upwards, bright where they are alike, with the
/// path of each section in a colour of its own; below, each section's strength over the film, and a dashed line at the strength
/// that it needs.
///
/// # Errors
/// Where the picture of the similarity cannot be encoded.
pub fn warping_svg(warping: &Warping) -> Result<String> {
    let (_, parts) = draw(warping)?;
    Ok(parts.concat())
}

/// [`warping_svg`] as PNG, two pixels to a unit.
///
/// # Errors
/// As [`warping_svg`], and where the picture cannot be drawn.
pub fn warping_png(warping: &Warping) -> Result<Vec<u8>> {
    let (size, parts) = draw(warping)?;
    rasterise(size, [parts.concat()])
}

fn draw(warping: &Warping) -> Result<([f64; 2], [String; 3])> {
    let Warping { film, score, sections, believed, .. } = warping;
    let height = (WIDTH * score / film.max(1e-3)).clamp(200.0, TALLEST).round();
    let size = [LEFT + WIDTH + RIGHT, TOP + height + AXIS + STRENGTHS + BOTTOM];
    let [full_width, full_height] = size;
    let x = |seconds: f64| LEFT + WIDTH * (seconds / film.max(1e-3)).clamp(0.0, 1.0);
    let y = |seconds: f64| TOP + height * (1.0 - (seconds / score.max(1e-3)).clamp(0.0, 1.0));
    let (bottom, base) = (TOP + height, TOP + height + AXIS + STRENGTHS);
    let rises = |strength: f64| STRENGTHS * strength.clamp(0.0, 1.0);
    let size_attributes = format!(r#"width="{full_width}" height="{full_height}""#);
    let opening = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" xmlns:xlink=\"http://www.w3.org/1999/xlink\" {size_attributes} \
         viewBox=\"0 0 {full_width} {full_height}\" role=\"img\">\n"
    );
    let picture = similarity(warping)?;
    let mut body = String::new();
    // `write!` returns a result, but writing to a string cannot fail.
    let mut write = || -> std::fmt::Result {
        writeln!(body, "<title>{film:.1} s of film, {score:.1} s of score, {} sections</title>", sections.len())?;
        writeln!(body, r#"<rect {size_attributes} rx="14" fill="{CARD}"/>"#)?;
        let place = format!(r#"x="{LEFT}" y="{TOP}" width="{WIDTH}" height="{height}" preserveAspectRatio="none""#);
        writeln!(body, r#"<image {place} xlink:href="data:image/png;base64,{picture}"/>"#)?;

        let mut lines = String::new();
        let mut labels = String::new();
        for seconds in ticks(*film, WIDTH) {
            write!(lines, "M{:.1} {TOP}V{bottom}M{:.1} {}V{base}", x(seconds), x(seconds), bottom + AXIS)?;
            let text = clock(seconds);
            lettering::write(&mut labels, &text, x(seconds) - lettering::width(&text) / 2.0, bottom + 12.0);
        }
        for seconds in ticks(*score, height) {
            write!(lines, "M{LEFT} {:.1}H{}", y(seconds), LEFT + WIDTH)?;
            let text = clock(seconds);
            let top = y(seconds) - lettering::HEIGHT / 2.0;
            lettering::write(&mut labels, &text, LEFT - 10.0 - lettering::width(&text), top);
        }
        writeln!(body, r#"<path d="{lines}" stroke="{OCTAVES}" stroke-opacity="0.5"/>"#)?;
        let round = r#"stroke-width="1.3" stroke-linecap="round" stroke-linejoin="round""#;
        writeln!(body, "<g fill=\"none\" stroke=\"{LABELS}\" {round}>\n{labels}</g>")?;

        writeln!(
            body,
            r#"<rect x="{LEFT}" y="{}" width="{WIDTH}" height="{STRENGTHS}" fill="{SECONDS}"/>"#,
            bottom + AXIS
        )?;
        for (index, section) in sections.iter().enumerate() {
            let colour = PHRASES[index % PHRASES.len()];
            let (Some(first), Some(last)) = (section.path.first(), section.path.last()) else { continue };
            let points: String =
                section.path.iter().map(|&(film, score)| format!("{:.1},{:.1} ", x(film), y(score))).collect();
            let line = r##"fill="none" stroke-linejoin="round""##;
            writeln!(
                body,
                r##"<polyline points="{points}" {line} stroke="#000000" stroke-width="5" stroke-opacity="0.55"/>"##
            )?;
            writeln!(body, r#"<polyline points="{points}" {line} stroke="{colour}" stroke-width="2.2"/>"#)?;
            let (left, width, rise) = (x(first.0), (x(last.0) - x(first.0) - 1.0).max(1.0), rises(section.strength));
            let top = base - rise;
            writeln!(
                body,
                r#"<rect x="{left:.1}" y="{top:.1}" width="{width:.1}" height="{rise:.1}" fill="{colour}"/>"#
            )?;
        }
        let needed = base - rises(*believed);
        let end = LEFT + WIDTH;
        writeln!(body, r#"<path d="M{LEFT} {needed:.1}H{end}" stroke="{LABELS}" stroke-dasharray="5 4"/>"#)
    };
    write().map_err(|error| Error::Picture(error.to_string()))?;
    Ok((size, [opening, body, CLOSING.to_owned()]))
}

/// The similarity as a PNG in base64, the score's beginning below.
fn similarity(warping: &Warping) -> Result<String> {
    let columns = warping.columns.max(1);
    let rows = warping.similarity.chunks_exact(columns);
    let (width, height) = (columns as u32, rows.len() as u32);
    // From the ground's colour to white; what is not alike at all is as dark as what is opposite.
    let colour = |&value: &f32| {
        let share = value.clamp(0.0, 1.0);
        [18.0, 22.0, 31.0].map(|ground: f32| (ground + (235.0 - ground) * share) as u8)
    };
    let pixels: Vec<u8> = rows.rev().flatten().flat_map(colour).collect();
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(&pixels, width, height, ExtendedColorType::Rgb8)
        .map_err(|error| Error::Picture(error.to_string()))?;
    Ok(BASE64_STANDARD.encode(png))
}

/// Seconds at which to draw a line, on an axis of that length.
fn ticks(seconds: f64, length: f64) -> impl Iterator<Item = f64> {
    let room = |tick: &f64| length * tick / seconds.max(1e-3) >= 60.0;
    let tick = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0].into_iter().find(room).unwrap_or(1800.0);
    (0..).map(move |index| f64::from(index) * tick).take_while(move |time| *time <= seconds)
}

fn clock(seconds: f64) -> String {
    format!("{}:{:02}", seconds as u64 / 60, seconds as u64 % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warping() -> Warping {
        let section = |path: &[(f64, f64)], strength| WarpingSection { path: path.to_vec(), strength };
        Warping {
            film: 100.0,
            score: 50.0,
            similarity: (0..60).map(|index| index as f32 / 60.0).collect(),
            columns: 10,
            sections: vec![section(&[(10.0, 0.0), (40.0, 25.0)], 0.6), section(&[(50.0, 20.0), (90.0, 50.0)], 0.3)],
            believed: 0.28,
        }
    }

    #[test]
    fn sections_are_where_they_are() {
        let svg = warping_svg(&warping()).unwrap();
        // 10 units a second to the right; 500 units for 50 s upwards.
        assert!(svg.contains(r#"points="164.0,524.0 464.0,274.0 ""#), "{svg}");
        assert!(svg.contains(r#"points="564.0,324.0 964.0,24.0 ""#), "{svg}");
        let tree = resvg::usvg::Tree::from_str(&svg, &resvg::usvg::Options::default()).unwrap();
        assert_eq!((tree.size().width(), tree.size().height()), (1094.0, 672.0));
    }

    #[test]
    fn a_png_shows_it() {
        let picture = image::load_from_memory(&warping_png(&warping()).unwrap()).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), (2188, 1344));
        // Dark below, where the score begins, and bright above.
        let [below, above] = [1040, 60].map(|y| picture.get_pixel(2 * 1050, y).0[0]);
        assert!(below < 60 && above > 200, "{below} {above}");
        assert!(
            warping_png(&Warping {
                film: 0.0,
                score: 0.0,
                similarity: vec![0.0],
                columns: 1,
                sections: vec![],
                believed: 0.0
            })
            .is_ok()
        );
    }
}
