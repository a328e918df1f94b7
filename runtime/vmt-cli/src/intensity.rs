//! `--intensity`: how dense and loud the music is to be, as a curve over time.

use std::fs;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use vmt::intensity_curve;

/// What the curve is: how much the film's picture changes, nothing, or points in the call or in a file.
#[derive(Clone, Debug, PartialEq)]
pub enum Intensity {
    Auto,
    Off,
    Points(Vec<(f64, f64)>),
    File(PathBuf),
}

impl FromStr for Intensity {
    type Err = anyhow::Error;

    /// `auto`, `off` or `0:0.2,10:0.9`; what does not begin with a time and a colon is a file's name.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "auto" => return Ok(Self::Auto),
            "off" => return Ok(Self::Off),
            _ => {}
        }
        if text.split(':').next().is_none_or(|time| text.len() == time.len() || time.parse::<f64>().is_err()) {
            return Ok(Self::File(text.into()));
        }
        let point = |text: &str| point(text, text.split_once(':')).context("it must be SECONDS:VALUE,...");
        Ok(Self::Points(rising(text.split(',').map(point).collect::<Result<_>>()?)?))
    }
}

/// Whether a value is no file's name.
#[cfg(feature = "server")]
pub fn is_text(value: &str) -> bool {
    !matches!(value.parse(), Ok(Intensity::File(_)))
}

impl Intensity {
    /// The file that is read.
    pub fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::File(path) => Some(path),
            _ => None,
        }
    }

    /// The ranks from each step on, such as [`Conditions::density`](vmt::Conditions) has them: values lie on straight lines
    /// between the points, and stay as they are before the first and behind the last. None where there are no points.
    pub fn ranks(&self) -> Result<Vec<(i64, u8)>> {
        let points = match self {
            Self::Auto | Self::Off => return Ok(Vec::new()),
            Self::Points(points) => points.clone(),
            Self::File(path) => {
                let name = || path.display().to_string();
                read(&fs::read_to_string(path).with_context(name)?).with_context(name)?
            }
        };
        Ok(intensity_curve(&points)?)
    }
}

/// A time and a value a line, with a comma, semicolon, tab or spaces between; `#` begins a comment.
fn read(text: &str) -> Result<Vec<(f64, f64)>> {
    let mut points = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let text = line.split('#').next().unwrap_or_default().trim().trim_start_matches('\u{feff}');
        let parts = text.split_once([',', ';', '\t', ' ']);
        if !text.is_empty() {
            points.push(point(line, parts).with_context(|| format!("line {}", index + 1))?);
        }
    }
    ensure!(!points.is_empty(), "must have lines of seconds and a value, but has none");
    rising(points)
}

fn point(text: &str, parts: Option<(&str, &str)>) -> Result<(f64, f64)> {
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let point = parts.and_then(|(time, value)| Some((number(time)?, number(value)?)));
    let point = point.filter(|(time, value)| (0.0..=86400.0).contains(time) && (0.0..=1.0).contains(value));
    point.with_context(|| format!("must be seconds, 0-86400, and a value, 0-1, but is {:?}", text.trim()))
}

fn rising(points: Vec<(f64, f64)>) -> Result<Vec<(f64, f64)>> {
    let fall = points.windows(2).find(|pair| pair[1].0 <= pair[0].0);
    ensure!(
        fall.is_none(),
        "times must rise, but {:?} follows {:?}",
        fall.map(|pair| pair[1].0),
        fall.map(|pair| pair[0].0)
    );
    Ok(points)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranks(text: &str) -> Vec<(i64, u8)> {
        text.parse::<Intensity>().unwrap().ranks().unwrap()
    }

    #[test]
    fn curves_become_ranks() {
        assert_eq!([ranks("auto"), ranks("off")], [[], []]);
        assert_eq!(ranks("0:0"), [(0, 1)]);
        assert_eq!(ranks("5:1"), [(0, 16)]);
        assert_eq!(ranks("0:0.5"), [(0, 9)]);
        assert_eq!(ranks("0:0,0.5:0,1:1"), [(0, 1), (75, 9), (100, 16)]);
        let slow = ranks("2:0.2,10:0.9");
        assert_eq!((slow[0], slow[1].1, slow[slow.len() - 1]), ((0, 4), 5, (975, 15)));
        assert!(slow.is_sorted_by(|a, b| a.0 < b.0 && a.1 + 1 == b.1), "{slow:?}");
    }

    #[test]
    fn curves_in_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curve.csv");
        let curve = |text: &str| {
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().parse::<Intensity>().unwrap().ranks().map_err(|error| format!("{error:#}"))
        };
        for text in ["\u{feff}# soft\n0,0\n\n 0.5 0 # still\n1;1\n", "0\t0\n0.5\t0\n1, 1\n"] {
            assert_eq!(curve(text).unwrap(), ranks("0:0,0.5:0,1:1"));
        }
        for (text, want) in [
            ("", "curve.csv: must have lines of seconds and a value, but has none"),
            ("0,0\n1,1.5", "curve.csv: line 2: must be seconds, 0-86400, and a value, 0-1, but is \"1,1.5\""),
            ("0,0\n1", "line 2: must be seconds"),
            ("-1,0", "line 1: must be seconds"),
            ("1,NaN", "line 1: must be seconds"),
            ("3,0\n2,0", "times must rise, but Some(2.0) follows Some(3.0)"),
        ] {
            let error = curve(text).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
        for bad in ["0:2", "0:0.5,x", "3:0,2:0", "0:"] {
            assert!(bad.parse::<Intensity>().is_err(), "{bad}");
        }
    }
}
