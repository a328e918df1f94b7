//! Piano rolls, as in the paper's figure 4: SVG, and PNG drawn from that.

use std::fmt::Write;
use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use image::{ExtendedColorType, ImageEncoder, codecs::jpeg::JpegEncoder};
use resvg::{tiny_skia, usvg};
use vmt::{BarLines, Clip, Conductor, Marker, Note, STEPS_PER_SECOND, Score};

use crate::phrases::{Extent, Phrase, extent, phrases};
use crate::{Error, Result, lettering};

/// A colour for each phrase; they can be told apart with colour blindness too (after Okabe and Ito).
pub const PHRASES: [&str; 6] = ["#ffb347", "#56c8f0", "#ff7d95", "#3fd6a3", "#c79bff", "#ece06a"];
/// Notes of no phrase.
const NOTE: &str = "#9db0d3";
pub const CARD: &str = "#12161f";
const BLACK_KEYS: &str = "#0d1018";
pub const SECONDS: &str = "#1f2634";
pub const OCTAVES: &str = "#364158";
const BARS: &str = "#4f6285";
pub const MARKERS: &str = "#ffffff";
pub const LABELS: &str = "#93a0b8";

/// A semitone's height.
pub const ROW: f64 = 7.0;
pub const LEFT: f64 = 46.0;
const RIGHT: f64 = 30.0;
pub const TOP: f64 = 20.0;
/// Under the roll, for the seconds.
pub const AXIS: f64 = 32.0;
/// Between two bar lines, at least.
const BAR_ROOM: f64 = 8.0;
/// The height of the film strip.
const STRIP: f64 = 72.0;
const BOTTOM: f64 = 16.0;
/// PNG pixels in a unit of SVG, for sharp screens ...
const SCALE: f32 = 2.0;
/// ... up to this width of the picture, so that memory does not grow with the music.
const SHARP: f32 = 4096.0;

/// How many thumbnails with the aspect ratio `aspect` (width over height) fit under the piano roll of a film.
pub fn thumbnails(duration: Duration, aspect: f64) -> usize {
    ((Layout::width(duration) / (STRIP * aspect.clamp(0.2, 5.0))).round() as usize).max(1)
}

/// Draws `score` as SVG: velocity as shade, octave lines from C2 to C7 or as far as there are notes, repeated phrases
/// in boxes of one colour each.
///
/// `film` is shown along the time axis: pictures that stand for equal shares of the time, such as [`thumbnails`] many. Of a
/// `conductor` there are bar lines, and a dashed line at each marker with its text as a title.
pub fn piano_roll_svg(score: &Score, film: Option<&Clip>, conductor: Option<&Conductor>) -> Result<String> {
    let Drawing { opening, parts, .. } = Drawing::new(score, film, conductor)?;
    Ok([opening, parts.concat(), CLOSING.to_owned()].concat())
}

/// [`piano_roll_svg`] as PNG, two pixels to a unit, or fewer for long music.
///
/// # Errors
/// Where a thumbnail cannot be encoded, or the picture cannot be drawn.
pub fn piano_roll_png(score: &Score, film: Option<&Clip>, conductor: Option<&Conductor>) -> Result<Vec<u8>> {
    let Drawing { size, opening, parts } = Drawing::new(score, film, conductor)?;
    rasterise(size, parts.iter().map(|part| [&opening, part, CLOSING].concat()))
}

/// An SVG document that draws with paths alone, such as one with [`text`](crate::text), as PNG: two pixels to a unit.
///
/// # Errors
/// Where it cannot be drawn.
pub fn png(svg: &str) -> Result<Vec<u8>> {
    let tree =
        usvg::Tree::from_str(svg, &usvg::Options::default()).map_err(|error| Error::Picture(error.to_string()))?;
    rasterise([tree.size().width(), tree.size().height()].map(f64::from), [svg.to_owned()])
}

/// SVG documents of one size, one upon the other, as PNG.
pub fn rasterise([width, height]: [f64; 2], documents: impl IntoIterator<Item = String>) -> Result<Vec<u8>> {
    let broken = |reason: &dyn ToString| Error::Picture(reason.to_string());
    let scale = (SHARP / width as f32).clamp(1.0, SCALE);
    let size = usvg::Size::from_wh(width as f32, height as f32).and_then(|size| size.to_int_size().scale_by(scale));
    let size = size.ok_or_else(|| broken(&"it has no size"))?;
    let mut picture = tiny_skia::Pixmap::new(size.width(), size.height()).ok_or_else(|| broken(&"it is too large"))?;
    for svg in documents {
        let tree = usvg::Tree::from_str(&svg, &usvg::Options::default()).map_err(|error| broken(&error))?;
        resvg::render(&tree, tiny_skia::Transform::from_scale(scale, scale), &mut picture.as_mut());
    }
    picture.encode_png().map_err(|error| broken(&error))
}

pub const CLOSING: &str = "</svg>\n";

/// Notes in a part of a drawing: each takes 2 kB while it becomes pixels.
const PART: usize = 10_000;

/// An SVG document in parts that can be drawn one upon the other.
struct Drawing {
    /// Width and height.
    size: [f64; 2],
    opening: String,
    parts: Vec<String>,
}

impl Drawing {
    fn new(score: &Score, film: Option<&Clip>, conductor: Option<&Conductor>) -> Result<Self> {
        let layout = Layout::new(score);
        let [width, height] = [layout.right() + RIGHT, layout.bottom() + AXIS + BOTTOM + film.map_or(0.0, |_| STRIP)];
        let size = format!(r#"width="{width}" height="{height}""#);
        let view = format!(r#"viewBox="0 0 {width} {height}""#);
        let opening = format!("<svg xmlns=\"http://www.w3.org/2000/svg\" {size} {view} role=\"img\">\n");
        let (notes, seconds) = (score.notes().len(), score.duration().as_secs_f64());
        let mut parts = Vec::new();
        // `write!` returns a result, but writing to a string cannot fail.
        let mut draw = || -> std::result::Result<(), std::fmt::Error> {
            let mut ground = String::new();
            writeln!(ground, "<title>Piano roll: {notes} notes in {seconds:.2} seconds</title>")?;
            writeln!(ground, r#"<rect {size} rx="14" fill="{CARD}"/>"#)?;
            layout.draw_grid(&mut ground)?;
            if let Some(conductor) = conductor {
                layout.draw_bars(&mut ground, conductor)?;
            }
            parts.push(ground);
            layout.draw_notes(&mut parts, score)
        };
        draw().map_err(|error| Error::Picture(error.to_string()))?;
        if let Some(film) = film {
            parts.push(layout.draw_film(film)?);
        }
        Ok(Self { size: [width, height], opening, parts })
    }
}

/// Where things are in the picture.
pub struct Layout {
    /// MIDI note numbers, both of a C.
    pub low: u8,
    pub high: u8,
    pub seconds: f64,
    pub width: f64,
}

impl Layout {
    pub fn new(score: &Score) -> Self {
        let pitches = || score.notes().iter().map(|note| note.pitch.get());
        let low = pitches().min().map_or(36, |low| low / 12 * 12).min(36);
        let high = pitches().max().map_or(96, |high| high.div_ceil(12) * 12).max(96);
        Self { low, high, seconds: score.duration().as_secs_f64(), width: Self::width(score.duration()) }
    }

    /// Of the roll: 100 to a second in a short film, less in a longer one, until an hour is a texture.
    fn width(duration: Duration) -> f64 {
        let seconds = duration.as_secs_f64();
        (100.0 * seconds).clamp(600.0, 1200.0).max((25.0 * seconds).min(6000.0)).round()
    }

    pub fn right(&self) -> f64 {
        LEFT + self.width
    }

    pub fn bottom(&self) -> f64 {
        TOP + f64::from(self.high - self.low + 1) * ROW
    }

    pub fn x(&self, seconds: f64) -> f64 {
        LEFT + self.width * (seconds / self.seconds.max(1e-3)).min(1.0)
    }

    pub fn x_of(&self, step: u32) -> f64 {
        self.x(f64::from(step) / f64::from(STEPS_PER_SECOND))
    }

    /// The top of a pitch's row.
    pub fn y(&self, pitch: u8) -> f64 {
        TOP + f64::from(self.high - pitch) * ROW
    }

    /// Left, top, width and height.
    pub fn note(&self, note: &Note) -> [f64; 4] {
        let [left, right] = [note.start, note.end].map(|step| self.x_of(step));
        // A small gap separates a repeated note from a long one.
        [left, self.y(note.pitch.get()) + 0.5, (right - left - 0.6).max(1.0), ROW - 1.0]
    }

    /// Between two lines of the time axis, in seconds.
    fn tick(&self) -> f64 {
        let room = |tick: &f64| self.width * tick / self.seconds.max(1e-3) >= 70.0;
        [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0].into_iter().find(room).unwrap_or(600.0)
    }

    pub fn draw_grid(&self, svg: &mut String) -> std::fmt::Result {
        let (right, bottom) = (self.right(), self.bottom());
        writeln!(svg, r#"<g fill="{BLACK_KEYS}">"#)?;
        for pitch in (self.low..=self.high).filter(|pitch| [1, 3, 6, 8, 10].contains(&(pitch % 12))) {
            writeln!(svg, r#"<rect x="{LEFT}" y="{}" width="{}" height="{ROW}"/>"#, self.y(pitch), self.width)?;
        }
        writeln!(svg, "</g>")?;

        let tick = self.tick();
        let ticks = (0..).map(|index| f64::from(index) * tick).take_while(|time| *time <= self.seconds + 1e-9);
        let octaves = (self.low..=self.high).step_by(12);
        let bottom_of = |pitch| self.y(pitch) + ROW;
        let path: String = ticks.clone().map(|time| format!("M{:.1} {TOP}V{bottom}", self.x(time))).collect();
        writeln!(svg, r#"<path d="{path}" stroke="{SECONDS}"/>"#)?;
        let path: String = octaves.clone().map(|pitch| format!("M{LEFT} {}H{right}", bottom_of(pitch))).collect();
        writeln!(svg, r#"<path d="{path}" stroke="{OCTAVES}"/>"#)?;

        let round = r#"stroke-width="1.3" stroke-linecap="round" stroke-linejoin="round""#;
        writeln!(svg, r#"<g fill="none" stroke="{LABELS}" {round}>"#)?;
        for pitch in octaves {
            let name = format!("C{}", pitch / 12 - 1);
            let y = bottom_of(pitch) - (ROW + lettering::HEIGHT) / 2.0;
            lettering::write(svg, &name, LEFT - 12.0 - lettering::width(&name), y);
        }
        for time in ticks {
            let label = label(time, tick);
            // The number is centred under its line; the unit follows it.
            let x = self.x(time) - lettering::width(label.trim_end_matches([' ', 's'])) / 2.0;
            lettering::write(svg, &label, x, bottom + 11.0);
        }
        writeln!(svg, "</g>")
    }

    fn draw_bars(&self, svg: &mut String, conductor: &Conductor) -> std::fmt::Result {
        let bottom = self.bottom();
        let inside = |step: &f64| *step <= self.seconds * f64::from(STEPS_PER_SECOND) + 1e-6;
        let x = |step: f64| self.x(step / f64::from(STEPS_PER_SECOND));
        let bars = BarLines::new(&conductor.beats);
        let lines: Vec<f64> = bars.bars().iter().map(|&bar| bars.step(bar)).take_while(inside).collect();
        // In a long film only every so manieth, so that there is room between them.
        let apart = lines.len().div_ceil((self.width / BAR_ROOM) as usize).max(1);
        let path: String = lines.iter().step_by(apart).map(|&step| format!("M{:.1} {TOP}V{bottom}", x(step))).collect();
        writeln!(svg, r#"<path d="{path}" stroke="{BARS}"/>"#)?;
        for Marker { step, text } in conductor.markers.iter().filter(|marker| inside(&marker.step)) {
            let x = x(*step);
            writeln!(svg, r#"<g stroke="{MARKERS}" fill="{MARKERS}"><title>{}</title>"#, escape(text))?;
            writeln!(svg, r#"<path d="M{x:.1} {TOP}V{bottom}" stroke-dasharray="3 4" stroke-opacity=".8"/>"#)?;
            writeln!(svg, r#"<path d="M{:.1} {}h8l-4 8z" stroke="none"/></g>"#, x - 4.0, TOP - 10.0)?;
        }
        Ok(())
    }

    pub fn draw_notes(&self, parts: &mut Vec<String>, score: &Score) -> std::fmt::Result {
        let phrases = phrases(score, PHRASES.len());
        let mut colours = vec![NOTE; score.notes().len()];
        let mut boxes = String::new();
        for (phrase, colour) in phrases.iter().zip(PHRASES) {
            self.draw_boxes(&mut boxes, score, phrase, colour)?;
            phrase.iter().flatten().for_each(|&note| colours[note] = colour);
        }
        parts.push(boxes);
        for (notes, colours) in score.notes().chunks(PART).zip(colours.chunks(PART)) {
            let mut svg = String::new();
            for (note, colour) in notes.iter().zip(colours) {
                let [x, y, width, height] = self.note(note);
                // Pianists seldom leave 30 to 110.
                let loudness = ((f64::from(note.velocity) - 30.0) / 80.0).clamp(0.0, 1.0);
                let opacity = 0.3 + 0.7 * loudness;
                let place = format!(r#"x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height}" rx="1.5""#);
                writeln!(svg, r#"<rect {place} fill="{colour}" fill-opacity="{opacity:.2}"/>"#)?;
            }
            parts.push(svg);
        }
        Ok(())
    }

    fn draw_boxes(&self, svg: &mut String, score: &Score, phrase: &Phrase, colour: &str) -> std::fmt::Result {
        const PADDING: f64 = 3.0;
        writeln!(svg, r#"<g fill="{colour}" fill-opacity=".07" stroke="{colour}" stroke-opacity=".75">"#)?;
        for passage in phrase {
            let Some(Extent { steps, pitches }) = extent(score.notes(), passage) else { continue };
            let [left, right] = [steps.start, steps.end].map(|step| self.x_of(step));
            let [top, bottom] = [self.y(pitches.end().get()), self.y(pitches.start().get()) + ROW];
            let (x, y) = (left - PADDING, top - PADDING);
            let (width, height) = (right + PADDING - x, bottom + PADDING - y);
            writeln!(svg, r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" rx="5"/>"#)?;
        }
        writeln!(svg, "</g>")
    }

    fn draw_film(&self, film: &Clip) -> Result<String> {
        let mut svg = String::new();
        const GAP: f64 = 3.0;
        let slot = self.width / film.frames() as f64;
        let y = self.bottom() + AXIS;
        for (index, picture) in film.pixels().outer_iter().enumerate() {
            let (_, height, width) = picture.dim();
            let rgb: Vec<u8> = picture.permuted_axes([1, 2, 0]).iter().copied().collect();
            let mut jpeg = Vec::new();
            JpegEncoder::new_with_quality(&mut jpeg, 85)
                .write_image(&rgb, width as u32, height as u32, ExtendedColorType::Rgb8)
                .map_err(|error| Error::Picture(error.to_string()))?;
            let x = LEFT + slot * index as f64 + GAP / 2.0;
            let place = format!(r#"x="{x:.1}" y="{y:.1}" width="{:.1}" height="{STRIP}""#, slot - GAP);
            let data = BASE64_STANDARD.encode(jpeg);
            svg.push_str(&format!(
                "<image {place} preserveAspectRatio=\"xMidYMid slice\" href=\"data:image/jpeg;base64,{data}\"/>\n"
            ));
        }
        Ok(svg)
    }
}

/// Text as XML has it; what XML cannot have is left out.
pub fn escape(text: &str) -> String {
    let text: String = text.chars().filter(|character| !character.is_control()).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A moment under the axis, whose lines are `tick` seconds apart.
fn label(time: f64, tick: f64) -> String {
    let whole = time.round() as u64;
    match tick {
        ..1.0 => format!("{time:.1} s"),
        ..15.0 => format!("{whole} s"),
        _ => format!("{}:{:02}", whole / 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;
    use vmt::{Beat, Geometry, Pitch};

    use super::*;

    /// A motive that comes back a third higher, and a soft low note between: two seconds.
    fn score() -> Score {
        let note = |start, end, pitch, velocity| Note { start, end, pitch: Pitch::new(pitch).unwrap(), velocity };
        let motive = |start: u32, pitch: u8| {
            [(0, 0), (20, 4), (40, 2), (60, 7)]
                .map(|(later, higher)| note(start + later, start + later + 18, pitch + higher, 110))
        };
        let notes = [&motive(0, 60)[..], &[note(80, 120, 40, 30)], &motive(120, 63)].concat();
        Score::new(notes, Duration::from_secs(2)).unwrap()
    }

    /// Two pictures, red and blue.
    fn film() -> Clip {
        let colours = [[220, 20, 20], [20, 20, 220]];
        let pictures = Array4::from_shape_fn((2, 3, 30, 40), |(index, channel, ..)| colours[index][channel]);
        Clip::new(pictures, &Geometry::new(2, 30, 40, 1000).unwrap()).unwrap()
    }

    #[test]
    fn a_drawing_is_the_same_every_time() {
        same(&piano_roll_svg(&score(), None, None).unwrap(), "roll.svg");
        let beat = |index: u8| Beat { step: f64::from(index) * 30.0 - 10.0, in_bar: (index + 2) % 4 + 1, per_bar: 4 };
        let marker = |text: &str, step| Marker { step, text: text.to_owned() };
        let conductor = Conductor {
            beats: (0..9).map(beat).collect(),
            key: None,
            markers: vec![marker("cut", 50.0), marker("door & <wall>\u{1}", 170.0), marker("late", 500.0)],
        };
        same(&piano_roll_svg(&score(), None, Some(&conductor)).unwrap(), "roll-bars.svg");
    }

    fn same(svg: &str, name: &str) {
        let golden = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("VMT_BLESS").is_some() {
            std::fs::write(&golden, svg).unwrap();
        }
        let want = std::fs::read_to_string(&golden).unwrap();
        assert!(svg == want, "not {golden}; if it is as it should be, run the tests with VMT_BLESS=1");
        roxmltree::Document::parse(svg).unwrap();
    }

    #[test]
    fn notes_are_where_they_should_be() {
        let (score, film) = (score(), film());
        // Without what comes back there are no boxes, and all that shines is a note.
        let score = Score::new(score.notes()[..5].to_vec(), score.duration()).unwrap();
        let png = piano_roll_png(&score, Some(&film), None).unwrap();
        let picture = image::load_from_memory(&png).unwrap().into_rgba8();
        let layout = Layout::new(&score);
        let (width, height) = (layout.right() + RIGHT, layout.bottom() + AXIS + STRIP + BOTTOM);
        assert_eq!(picture.dimensions(), ((2.0 * width) as u32, (2.0 * height) as u32));

        let at = |x: f64, y: f64| picture.get_pixel((2.0 * x) as u32, (2.0 * y) as u32).0;
        let brightness = |x, y| at(x, y)[..3].iter().map(|&value| u32::from(value)).sum::<u32>();
        assert_eq!(at(1.0, 1.0)[3], 0, "the corners are round");
        let sounding = |step: u32, pitch: u8| {
            score.notes().iter().any(|note| note.pitch.get() == pitch && (note.start..note.end).contains(&step))
        };
        for pitch in 36..=96 {
            for step in (7..200).step_by(10) {
                let shine = brightness(layout.x_of(step), layout.y(pitch) + ROW / 2.0);
                assert_eq!(shine > 180, sounding(step, pitch), "{pitch} at {step}: {shine}");
            }
        }
        let row = |pitch| layout.y(pitch) + ROW / 2.0;
        assert!(brightness(layout.x_of(7), row(60)) > 2 * brightness(layout.x_of(97), row(40)), "loud and soft");
        assert_ne!(at(layout.x_of(7), row(60))[..2], at(layout.x_of(97), row(40))[..2]);

        let strip = layout.bottom() + AXIS + STRIP / 2.0;
        let [red, blue] = [50, 150].map(|step| at(layout.x_of(step), strip));
        assert!(red[0] > 200 && red[2] < 60 && blue[0] < 60 && blue[2] > 200, "{red:?} {blue:?}");
    }

    #[test]
    fn any_length_has_a_picture() {
        for (seconds, width) in
            [(0.0, 600.0), (0.5, 600.0), (10.0, 1000.0), (30.0, 1200.0), (139.0, 3475.0), (3600.0, 6000.0)]
        {
            let score = Score::new(Vec::new(), Duration::from_secs_f64(seconds)).unwrap();
            assert_eq!(Layout::new(&score).width, width);
            piano_roll_png(&score, None, None).unwrap();
        }
        assert_eq!(thumbnails(Duration::from_secs(10), 16.0 / 9.0), 8);
        assert_eq!(thumbnails(Duration::from_secs(1), 100.0), 2);
    }

    #[test]
    fn labels_say_seconds_then_minutes() {
        for (time, tick, want) in
            [(0.5, 0.5, "0.5 s"), (4.0, 2.0, "4 s"), (75.0, 15.0, "1:15"), (3600.0, 300.0, "60:00")]
        {
            assert_eq!(label(time, tick), want);
        }
    }
}
