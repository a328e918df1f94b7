//! Moments and durations on the command line.

use anyhow::{Result, ensure};

/// The first second that is too late: 1000 hours.
const END: f64 = 3_600_000.0;

/// Seconds (`83.5`), or minutes or hours too (`1:23.5`, `1:02:03`).
pub fn seconds(text: &str) -> Result<f64> {
    let want = "it must be a time from 0 on, below 1000 hours, such as 83.5 or 1:23.5 or 1:02:03";
    let parts: Vec<&str> = text.split(':').collect();
    let mut seconds = 0.0;
    for (place, part) in parts.iter().enumerate() {
        let is_last = place + 1 == parts.len();
        let is_number = part.starts_with(|first: char| first.is_ascii_digit() || first == '.');
        let value = part.parse::<f64>().ok().filter(|value| is_number && (is_last || value.fract() == 0.0));
        let most = if place == 0 { END } else { 60.0 };
        let Some(value) = value.filter(|value| (0.0..most).contains(value)) else { anyhow::bail!(want) };
        seconds = seconds * 60.0 + value;
    }
    ensure!(parts.len() <= 3 && seconds < END, want);
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_write_them() {
        for (text, want) in [
            ("0", 0.0),
            ("83.5", 83.5),
            (".5", 0.5),
            ("1:23.5", 83.5),
            ("0:05", 5.0),
            ("90:00", 5400.0),
            ("1:02:03.25", 3723.25),
            ("3599999", 3_599_999.0),
        ] {
            assert_eq!(seconds(text).unwrap(), want, "{text}");
        }
        for text in [
            "",
            "-1",
            "+1",
            "1:",
            ":1",
            "1:60",
            "1:60:00",
            "1:2:3:4",
            "1.5:00",
            "NaN",
            "inf",
            "1e30",
            "3600000",
            "1000:00:00",
            "1:-1",
            "a",
            "1:2a",
            "1,5",
        ] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
