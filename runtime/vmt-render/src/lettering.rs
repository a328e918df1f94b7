//! Labels as paths, so that an SVG needs no font and looks the same everywhere.

use std::fmt::Write;

/// The height of a letter.
pub const HEIGHT: f64 = 10.0;
/// Between two letters.
const SPACE: f64 = 2.2;

/// The letter's width, and its shape as an SVG path with the top left corner at 0, 0.
fn letter(letter: char) -> (f64, &'static str) {
    match letter {
        '0' => (6.0, "M3 0C1 0 0 2 0 5s1 5 3 5 3-2 3-5-1-5-3-5z"),
        '1' => (6.0, "M1 2 3.6 0V10"),
        '2' => (6.0, "M.3 2.6C.4 1 1.5 0 3 0 4.7 0 5.7 1.2 5.7 2.7 5.7 5 .3 7.3.1 10H6"),
        '3' => (
            6.0,
            "M.4 1.6C.9.6 1.8 0 3 0 4.6 0 5.6 1 5.6 2.4 5.6 3.8 4.5 4.7 2.5 4.7 4.7 4.7 6 5.7 6 7.3 6 9 4.7 10 3 10 1.5 10 .5 9.3 0 8.2",
        ),
        '4' => (6.3, "M4.7 10V0L0 7.1H6.3"),
        '5' => (6.0, "M5.4 0H1L.6 4.7C1.2 4 2 3.7 3 3.7 4.8 3.7 6 5 6 6.8 6 8.7 4.7 10 2.9 10 1.5 10 .5 9.4 0 8.4"),
        '6' => (
            6.0,
            "M5.3 1C4.7.3 4 0 3.2 0 1.2 0 0 2.2 0 5.6 0 8.4 1.1 10 3.1 10 4.8 10 6 8.7 6 6.9 6 5.1 4.8 3.9 3.2 3.9 1.7 3.9.4 4.8.1 6.5",
        ),
        '7' => (6.0, "M0 0H6L2.2 10"),
        '8' => (
            6.0,
            "M3 4.7C1.4 4.7.5 3.7.5 2.4.5 1 1.5 0 3 0S5.5 1 5.5 2.4C5.5 3.7 4.6 4.7 3 4.7 1.2 4.7 0 5.7 0 7.3 0 8.9 1.2 10 3 10S6 8.9 6 7.3C6 5.7 4.8 4.7 3 4.7z",
        ),
        '9' => (
            6.0,
            "M.7 9C1.3 9.7 2 10 2.8 10 4.8 10 6 7.8 6 4.4 6 1.6 4.9 0 2.9 0 1.2 0 0 1.3 0 3.1 0 4.9 1.2 6.1 2.8 6.1 4.3 6.1 5.6 5.2 5.9 3.5",
        ),
        'C' => (6.8, "M6.8 2C6.1.7 5 0 3.7 0 1.5 0 0 2 0 5s1.5 5 3.7 5c1.3 0 2.4-.7 3.1-2"),
        's' => (
            4.6,
            "M4.3 5C4 4.1 3.3 3.6 2.4 3.6 1.2 3.6.4 4.2.4 5.2.4 7.4 4.6 6.1 4.6 8.3 4.6 9.4 3.7 10 2.4 10 1.2 10 .3 9.5 0 8.5",
        ),
        ':' => (0.2, "M.1 3.4v.1M.1 9v.1"),
        '.' => (0.2, "M.1 9.9v.1"),
        _ => (2.0, ""),
    }
}

/// The width of `text`: digits, `C`, `s`, `:` and `.`; anything else is a space.
pub fn width(text: &str) -> f64 {
    text.chars().map(|character| letter(character).0 + SPACE).sum::<f64>() - SPACE
}

/// Adds `text` to an SVG, its top left corner at `x`, `y`.
pub fn write(svg: &mut String, text: &str, mut x: f64, y: f64) {
    for character in text.chars() {
        let (width, path) = letter(character);
        if !path.is_empty() {
            writeln!(svg, r#"<path d="{path}" transform="translate({x:.1} {y:.1})"/>"#)
                .expect("writing to a string cannot fail");
        }
        x += width + SPACE;
    }
}
