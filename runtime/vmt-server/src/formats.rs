//! Kinds of files that are answered, and how a client chooses one.

use axum::http::{HeaderMap, header};

use crate::problem::Problem;

/// Extensions of the files that a take can be rendered as, and their media types; the first is for clients that do not mind.
pub const FORMATS: [(&str, &str); 11] = [
    ("mid", "audio/midi"),
    ("wav", "audio/wav"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("mkv", "video/x-matroska"),
    ("mov", "video/quicktime"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("musicxml", "application/vnd.recordare.musicxml+xml"),
    ("mxl", "application/vnd.recordare.musicxml"),
    ("json", "application/json"),
];

/// Those of films, for which the film itself is copied: raw frames are none.
pub const COPIES: [&str; 3] = ["mp4", "mkv", "mov"];

/// The media type of an extension.
pub fn media_type(extension: &str) -> Option<&'static str> {
    FORMATS.iter().find(|(known, _)| *known == extension).map(|(_, media)| *media)
}

/// The extension that the header `Accept` prefers (RFC 9110, section 12.5.1).
pub fn accepted(headers: &HeaderMap) -> Result<&'static str, Problem> {
    let ranges: Vec<(String, f32)> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(range)
        .collect();
    if ranges.is_empty() {
        return Ok(FORMATS[0].0);
    }
    // The most specific range that fits decides on a media type's quality.
    let quality = |media: &str| {
        let kind = media.split_once('/').map_or(media, |(kind, _)| kind);
        let exact = |wanted: &str| ranges.iter().find(|(range, _)| range == wanted).map(|(_, quality)| *quality);
        exact(media).or_else(|| exact(&format!("{kind}/*"))).or_else(|| exact("*/*")).unwrap_or(0.0)
    };
    // The first of the best.
    let best = FORMATS.iter().rev().max_by(|(_, a), (_, b)| quality(a).total_cmp(&quality(b)));
    best.filter(|(_, media)| quality(media) > 0.0).map(|(extension, _)| *extension).ok_or_else(|| {
        let known: Vec<_> = FORMATS.iter().map(|(_, media)| *media).collect();
        Problem::not_acceptable(format!("Accept must name one of {}", known.join(", ")))
    })
}

/// A media range in lower case with its quality.
fn range(text: &str) -> Option<(String, f32)> {
    let mut parts = text.split(';').map(str::trim);
    let media = parts.next().filter(|media| media.contains('/'))?.to_ascii_lowercase();
    let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let quality = quality.map_or(Some(1.0), |quality| quality.parse().ok().filter(|it| (0.0..=1.0).contains(it)))?;
    Some((media.replace("audio/x-midi", "audio/midi").replace("audio/x-wav", "audio/wav"), quality))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(accept: &str) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        accepted(&headers).ok()
    }

    #[test]
    fn the_client_chooses() {
        assert_eq!(accepted(&HeaderMap::new()).unwrap(), "mid");
        for (accept, want) in [
            ("*/*", Some("mid")),
            ("audio/*", Some("mid")),
            ("image/*, audio/wav;q=0.5", Some("png")),
            ("audio/wav;q=0.5, video/mp4;q=0.6", Some("mp4")),
            ("audio/*;q=0.5, audio/midi;q=0", Some("wav")),
            ("text/html, */*;q=0.1", Some("mid")),
            ("Application/JSON", Some("json")),
            ("audio/x-midi", Some("mid")),
            ("text/html", None),
            ("*/*;q=0", None),
        ] {
            assert_eq!(choice(accept), want, "{accept}");
        }
    }
}
