//! The annotations of POP909 (Wang et al. 2020): text files of times and labels.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use vmt::Key;

/// The rows of a text file of at least three columns; `None` if there is no such file, or nothing in it.
pub fn rows<T>(path: &Path, row: impl Fn([&str; 3]) -> Result<T>) -> Result<Option<Vec<T>>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let parse = |(index, line): (usize, &str)| {
        let mut columns = line.split_whitespace();
        let three = [columns.next(), columns.next(), columns.next()];
        let [Some(a), Some(b), Some(c)] = three else {
            bail!("{}, line {}: it has no three columns", path.display(), index + 1)
        };
        row([a, b, c]).with_context(|| format!("{}, line {}", path.display(), index + 1))
    };
    let rows: Vec<T> =
        text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(parse).collect::<Result<_>>()?;
    Ok(Some(rows).filter(|rows| !rows.is_empty()))
}

pub fn number(text: &str) -> Result<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite()).with_context(|| format!("`{text}` is no number"))
}

/// A key such as `Gb:maj` or `C#:min`.
pub fn key(label: &str) -> Result<Key> {
    let parse = || {
        let (tonic, mode) = label.split_once(':')?;
        let mut letters = tonic.chars();
        let natural = "C D EF G A B".find(letters.next().filter(char::is_ascii_uppercase)?)? as i8;
        let accidental = match letters.as_str() {
            "" => 0,
            "#" => 1,
            "b" => -1,
            _ => return None,
        };
        let minor = match mode {
            "maj" => false,
            "min" => true,
            _ => return None,
        };
        Some(Key { tonic: (natural + accidental).rem_euclid(12) as u8, minor })
    };
    parse().with_context(|| format!("`{label}` must be a key such as `Gb:maj` or `C:min`"))
}

/// 1 for a key or chord that sounds major, -1 for minor, 0 for neither.
pub fn majority(label: &str) -> f64 {
    match label.split_once(':').map_or("", |(_, quality)| quality) {
        quality if ["min", "dim", "hdim"].iter().any(|dark| quality.starts_with(dark)) => -1.0,
        quality if ["maj", "7", "9", "aug"].iter().any(|bright| quality.starts_with(bright)) => 1.0,
        _ => 0.0,
    }
}
