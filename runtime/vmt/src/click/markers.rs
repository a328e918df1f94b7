//! Hit points that an editor set: readers of marker lists.
//!
//! Read are plain seconds, Audacity's labels, DaVinci Resolve's marker EDL and `* LOC:` comments (CMX 3600, Avid), Premiere's
//! marker CSV and Reaper's region and marker CSV. Which one it is shows in the text.

use std::time::Duration;

use super::{Hit, HitKind};
use crate::error::{Error, Result};

/// Pictures a second, as a ratio: 30000 / 1001 is 29.97.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRate {
    numerator: u32,
    denominator: u32,
}

impl FrameRate {
    /// `numerator / denominator` pictures a second.
    ///
    /// # Errors
    ///
    /// [`Error::Option`] unless it is within 1-1000.
    pub fn new(numerator: u32, denominator: u32) -> Result<Self> {
        let rate = f64::from(numerator) / f64::from(denominator);
        if !(1.0..=1000.0).contains(&rate) {
            let got = format!("{numerator}/{denominator}");
            return Err(Error::Option { option: "frame rate", want: "1-1000 pictures a second", got });
        }
        Ok(Self { numerator, denominator })
    }

    /// Pictures that timecode counts in a second: 30 at 29.97.
    fn nominal(self) -> u64 {
        (f64::from(self.numerator) / f64::from(self.denominator)).round() as u64
    }

    /// Picture numbers that drop-frame timecode leaves out at each minute but the tenth; `None` where there is no such
    /// timecode: it is for 29.97 and 59.94.
    fn dropped(self) -> Option<u64> {
        let rate = f64::from(self.numerator) / f64::from(self.denominator);
        let fractional = (rate * 1.001 - self.nominal() as f64).abs() < 1e-3;
        (fractional && self.nominal().is_multiple_of(30)).then(|| self.nominal() / 15)
    }

    fn time(self, frames: u64) -> Duration {
        Duration::from_secs_f64(frames as f64 * f64::from(self.denominator) / f64::from(self.numerator))
    }
}

/// What times in a list are counted by.
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    /// The film's pictures a second: what timecode counts.
    pub rate: FrameRate,
    /// How long the film is.
    pub duration: Duration,
    /// The timecode of its first picture, such as `01:00:00:00`. `None`: 0, or as many whole hours as all timecodes of the
    /// list have at least, where one of them would be beyond the film otherwise.
    pub start: Option<String>,
}

/// A marker of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Marker {
    /// When it is; its kind is [`HitKind::Marker`].
    pub hit: Hit,
    /// What the editor wrote.
    pub label: String,
}

/// What a list holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Markers {
    /// In the order of the list.
    pub markers: Vec<Marker>,
    /// Whole hours that were subtracted from all timecodes.
    pub hours_subtracted: u64,
}

/// Reads a list of markers; text is UTF-8, or UTF-16 with its byte order mark. An empty list is none.
///
/// - Plain: a line each, seconds or `[h:]m:s` and, behind a space, a label; `#` begins a comment.
/// - Audacity: start, end and label, separated by tabs; the start counts.
/// - EDL: an event of Resolve whose next line has `|M:name`, by its record in; `* LOC: timecode COLOUR name`.
/// - Premiere: seven columns with tabs and a head line in any language; "In" counts. Drop-frame timecode has `;`.
/// - Reaper: `#,Name,Start,End,Length`; start in seconds, `[h:]m:s` or timecode.
///
/// ```
/// use std::time::Duration;
/// use vmt::click::{FrameRate, Timeline, read_markers};
///
/// let timeline = Timeline { rate: FrameRate::new(25, 1)?, duration: Duration::from_secs(60), start: None };
/// let list = read_markers(b"# hits\n4.5 the door\n0:12.25\n", &timeline)?;
/// assert_eq!(list.markers[0].label, "the door");
/// assert_eq!(list.markers[1].hit.time, Duration::from_millis(12_250));
/// # Ok::<_, vmt::Error>(())
/// ```
///
/// # Errors
///
/// [`Error::Markers`], with the line, for what cannot be read, timecode that the rate does not have, bars and beats, and a
/// time beyond the film or before its start.
pub fn read_markers(bytes: &[u8], timeline: &Timeline) -> Result<Markers> {
    let text = decode(bytes);
    let lines: Vec<Line> = text.lines().enumerate().map(|(index, text)| Line { number: index + 1, text }).collect();
    let found = match format(&lines) {
        Format::Plain => lines.iter().filter_map(Line::plain).collect::<Result<_>>()?,
        Format::Audacity => lines.iter().filter_map(Line::audacity).collect::<Result<_>>()?,
        Format::Edl => edl(&lines, timeline.rate)?,
        Format::Premiere => {
            lines.iter().skip(1).filter_map(|line| line.premiere(timeline.rate)).collect::<Result<Vec<_>>>()?
        }
        Format::Reaper => lines.iter().skip(1).filter_map(|line| line.reaper(timeline.rate)).collect::<Result<_>>()?,
    };
    in_film(found, timeline)
}

enum Format {
    Plain,
    Audacity,
    Edl,
    Premiere,
    Reaper,
}

fn format(lines: &[Line]) -> Format {
    let text = || lines.iter().map(|line| line.text).filter(|text| !text.trim().is_empty() && !text.starts_with('\\'));
    let head = text().next().unwrap_or_default();
    let edl = |text: &str| text.starts_with("TITLE:") || text.starts_with("FCM:") || text.starts_with("* LOC:");
    if head.starts_with("#,") {
        Format::Reaper
    } else if head.matches('\t').count() >= 4 {
        Format::Premiere
    } else if text().any(edl) {
        Format::Edl
    } else if head.contains('\t') {
        Format::Audacity
    } else {
        Format::Plain
    }
}

fn decode(bytes: &[u8]) -> String {
    let units = |read: fn([u8; 2]) -> u16| -> Vec<u16> {
        bytes[2..].chunks_exact(2).map(|pair| read([pair[0], pair[1]])).collect()
    };
    match bytes {
        [0xff, 0xfe, ..] => String::from_utf16_lossy(&units(u16::from_le_bytes)),
        [0xfe, 0xff, ..] => String::from_utf16_lossy(&units(u16::from_be_bytes)),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// A moment as a list says it.
enum Moment {
    Time(Duration),
    Code(Code),
}

/// Timecode, in frames from 0.
#[derive(Clone, Copy)]
struct Code {
    frames: u64,
    hours: u64,
    /// Frames in an hour.
    hour: u64,
}

/// A moment, its line and label.
struct Found<'a> {
    moment: Moment,
    line: Line<'a>,
    label: String,
}

#[derive(Clone, Copy)]
struct Line<'a> {
    number: usize,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn refuse<T>(&self, want: &'static str, got: &str) -> Result<T> {
        Err(Error::Markers { line: self.number, want, got: got.trim().chars().take(60).collect() })
    }

    fn found(self, moment: Moment, label: &str) -> Found<'a> {
        Found { moment, line: self, label: label.trim().to_owned() }
    }

    fn plain(&self) -> Option<Result<Found<'a>>> {
        let text = self.text.split('#').next().unwrap_or_default().trim();
        let (time, label) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        (!text.is_empty()).then(|| Ok(self.found(Moment::Time(self.clock(time)?), label)))
    }

    fn audacity(&self) -> Option<Result<Found<'a>>> {
        let mut fields = self.text.splitn(3, '\t');
        let (start, label) = (fields.next().unwrap_or_default(), fields.nth(1).unwrap_or_default());
        let skipped = self.text.trim().is_empty() || self.text.starts_with('\\');
        (!skipped).then(|| Ok(self.found(Moment::Time(self.clock(start)?), label)))
    }

    fn premiere(&self, rate: FrameRate) -> Option<Result<Found<'a>>> {
        let fields: Vec<&str> = self.text.split('\t').collect();
        let [label, _, start, ..] = fields[..] else {
            return (!self.text.trim().is_empty())
                .then(|| self.refuse("a marker's name, description and in, separated by tabs", self.text));
        };
        Some(self.code(start, rate, false).map(|code| self.found(Moment::Code(code), label)))
    }

    fn reaper(&self, rate: FrameRate) -> Option<Result<Found<'a>>> {
        let fields = csv(self.text);
        let [_, label, start, ..] = &fields[..] else {
            return (!self.text.trim().is_empty())
                .then(|| self.refuse("a number, name and start, separated by commas", self.text));
        };
        let moment = if start.matches([':', ';']).count() == 3 {
            self.code(start, rate, false).map(Moment::Code)
        } else if !start.contains('.') || start.matches('.').count() > 1 {
            self.refuse("a start in seconds, minutes and seconds, or timecode, not in bars, samples or frames", start)
        } else {
            self.clock(start).map(Moment::Time)
        };
        Some(moment.map(|moment| self.found(moment, label)))
    }

    /// `[[h:]m:]s`, seconds with or without a fraction.
    fn clock(&self, text: &str) -> Result<Duration> {
        let want = "a time in seconds, or hours, minutes and seconds with colons between";
        let parts: Vec<&str> = text.trim().split(':').collect();
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let (seconds, whole) = parts.split_last().expect("a split has a part");
        let number = |part: &str| part.parse::<f64>().ok();
        let decimal = seconds.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if whole.len() > 2 || !whole.iter().all(|part| digits(part)) || !decimal {
            return self.refuse(want, text);
        }
        let minutes = whole.iter().fold(0.0, |sum, part| 60.0 * sum + number(part).unwrap_or(f64::INFINITY));
        let time = number(seconds).and_then(|seconds| Duration::try_from_secs_f64(60.0 * minutes + seconds).ok());
        time.map_or_else(|| self.refuse(want, text), Ok)
    }

    /// `hh:mm:ss:ff`, with a `;` where it drops frames, or where the list says so.
    fn code(&self, text: &str, rate: FrameRate, drops: bool) -> Result<Code> {
        let parts: Vec<&str> = text.trim().split([':', ';']).collect();
        let number = |part: &&str| if part.len() <= 3 { part.parse::<u64>().ok() } else { None };
        let parts: Option<Vec<u64>> = parts.iter().map(number).collect();
        let Some(&[hours, minutes, seconds, frames]) = parts.as_deref() else {
            return self.refuse("timecode such as 01:00:05:12", text);
        };
        if minutes > 59 || seconds > 59 || frames >= rate.nominal() {
            return self.refuse("timecode with fewer frames than the film has in a second", text);
        }
        let by = match rate.dropped() {
            _ if !drops && !text.contains(';') => 0,
            None => return self.refuse("timecode that drops no frames, which only 29.97 and 59.94 do", text),
            Some(by) if frames < by && seconds == 0 && !minutes.is_multiple_of(10) => {
                return self.refuse("timecode of a frame that is not dropped", text);
            }
            Some(by) => by,
        };
        let hour = 3600 * rate.nominal() - 54 * by;
        let frames = (60 * minutes + seconds) * rate.nominal() + frames - by * (minutes - minutes / 10);
        Ok(Code { frames: hours * hour + frames, hours, hour })
    }
}

/// The fields of a line; a field in quotes may hold commas, and quotes by two.
fn csv(text: &str) -> Vec<String> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let field = fields.last_mut().expect("there is a field");
        match character {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => field.push(character),
        }
    }
    fields
}

fn edl<'a>(lines: &[Line<'a>], rate: FrameRate) -> Result<Vec<Found<'a>>> {
    let mut drops = false;
    let mut event: Option<Line> = None;
    let mut found = Vec::new();
    for line in lines {
        let text = line.text.trim();
        if let Some(mode) = text.strip_prefix("FCM:") {
            drops = mode.trim() == "DROP FRAME";
        } else if let Some(comment) = text.strip_prefix("* LOC:") {
            let mut words = comment.trim().splitn(3, char::is_whitespace);
            let code = line.code(words.next().unwrap_or_default(), rate, drops)?;
            found.push(line.found(Moment::Code(code), words.nth(1).unwrap_or_default()));
        } else if text.split('|').any(|part| part.starts_with("M:")) {
            let name = text.split('|').find_map(|part| part.strip_prefix("M:")).unwrap_or_default();
            let Some(event) = event.take() else {
                return line.refuse("behind an event, whose time the marker has", text);
            };
            // Number, reel, track and edit, then source in and out, record in and out.
            let Some(start) = event.text.split_whitespace().rev().nth(1) else {
                return event.refuse("an event with a record in and out", event.text);
            };
            found.push(event.found(Moment::Code(event.code(start, rate, drops)?), name));
        } else if text.starts_with(|first: char| first.is_ascii_digit()) {
            event = Some(*line);
        }
    }
    Ok(found)
}

/// The markers, counted from the film's start.
fn in_film(found: Vec<Found>, timeline: &Timeline) -> Result<Markers> {
    let Timeline { rate, duration, start } = timeline;
    let codes = || {
        found.iter().filter_map(|found| match found.moment {
            Moment::Code(code) => Some(code),
            Moment::Time(_) => None,
        })
    };
    let mut hours_subtracted = 0;
    let start = if let Some(start) = start {
        let code = Line { number: 0, text: start }.code(start, *rate, false);
        let want = "timecode of the film's rate, such as 01:00:00:00";
        code.map_err(|_| Error::Option { option: "start", want, got: start.clone() })?.frames
    } else {
        if codes().any(|code| rate.time(code.frames) > *duration) {
            hours_subtracted = codes().map(|code| code.hours).min().unwrap_or(0);
        }
        codes().map(|code| hours_subtracted * code.hour).next().unwrap_or(0)
    };
    let marker = |Found { moment, line, label }: Found| {
        let time = match moment {
            Moment::Time(time) => Some(time),
            Moment::Code(code) => code.frames.checked_sub(start).map(|frames| rate.time(frames)),
        };
        match time.filter(|time| time <= duration) {
            Some(time) => Ok(Marker { hit: Hit::new(time, HitKind::Marker), label }),
            None => line.refuse("within the film", line.text),
        }
    };
    Ok(Markers { markers: found.into_iter().map(marker).collect::<Result<_>>()?, hours_subtracted })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NTSC: (u32, u32) = (30_000, 1001);

    fn read_at((numerator, denominator): (u32, u32), seconds: u64, bytes: &[u8]) -> Result<Markers> {
        let rate = FrameRate::new(numerator, denominator).unwrap();
        read_markers(bytes, &Timeline { rate, duration: Duration::from_secs(seconds), start: None })
    }

    #[track_caller]
    fn check(rate: (u32, u32), seconds: u64, list: &str, want: &[(f64, &str)]) -> u64 {
        let list = read_at(rate, seconds, list.as_bytes()).unwrap();
        let labels: Vec<_> = list.markers.iter().map(|marker| &*marker.label).collect();
        assert_eq!(labels, want.iter().map(|want| want.1).collect::<Vec<_>>());
        for (marker, want) in list.markers.iter().zip(want) {
            assert!((marker.hit.time.as_secs_f64() - want.0).abs() < 1e-6, "{marker:?} is not at {}", want.0);
        }
        list.hours_subtracted
    }

    #[test]
    fn plain_seconds() {
        check(
            (25, 1),
            4000,
            "\u{feff}# hits\n\n4.5 the door # loud\r\n 12\n1:02.5\n1:00:00\tend\n",
            &[(4.5, "the door"), (12.0, ""), (62.5, ""), (3600.0, "end")],
        );
        check((25, 1), 60, "", &[]);
    }

    #[test]
    fn audacity_labels() {
        let list = "1.500000\t1.500000\tdoor slam\n\\\t100.0\t200.0\n20.25\t22.0\t\n";
        check((25, 1), 60, list, &[(1.5, "door slam"), (20.25, "")]);
    }

    #[test]
    fn edl() {
        let resolve = "TITLE: Film\nFCM: NON-DROP FRAME\n\n001  001      V     C        01:00:05:12 01:00:05:13 01:00:05:12 \
                       01:00:05:13  \n |C:ResolveColorBlue |M:Door slam |D:1\n";
        assert_eq!(check((24, 1), 60, resolve, &[(5.5, "Door slam")]), 1);
        assert_eq!(check((25, 1), 60, "TITLE: x\n* LOC: 00:00:01:10 RED     DOOR SLAM\n", &[(1.4, "DOOR SLAM")]), 0);
        // 107892 frames are an hour of drop-frame timecode.
        let drops = "FCM: DROP FRAME\n* LOC: 01:01:00:02 RED\n* LOC: 01:10:00:00 RED x y\n";
        let frame = 1001.0 / 30_000.0;
        assert_eq!(check(NTSC, 700, drops, &[(1800.0 * frame, ""), (17_982.0 * frame, "x y")]), 1);
    }

    #[test]
    fn premiere() {
        let list =
            "Nom\tDescription\tEntr\u{e9}e\tSortie\tDur\u{e9}e\tType\nporte\t\t00;01;00;02\t00;01;00;02\t0\tComment\n";
        let want = [(60.06, "porte")];
        check(NTSC, 70, list, &want);
        for (mark, bytes) in [([0xff, 0xfe], u16::to_le_bytes as fn(u16) -> [u8; 2]), ([0xfe, 0xff], u16::to_be_bytes)]
        {
            let bytes: Vec<u8> = mark.into_iter().chain(list.encode_utf16().flat_map(bytes)).collect();
            let read = read_at(NTSC, 70, &bytes).unwrap();
            assert_eq!(read.markers[0].label, "porte");
        }
    }

    #[test]
    fn reaper() {
        let list = "#,Name,Start,End,Length\nM1,\"a, \"\"b\"\"\",0:05.250,,\nR1,,7.500,9.0,1.5\nM2,c,00:00:08:12,,\n";
        check((24, 1), 60, list, &[(5.25, "a, \"b\""), (7.5, ""), (8.5, "c")]);
    }

    #[test]
    fn a_start_that_is_given() {
        let rate = FrameRate::new(25, 1).unwrap();
        let list = |start: &str| {
            let timeline = Timeline { rate, duration: Duration::from_secs(60), start: Some(start.into()) };
            read_markers(b"* LOC: 10:00:05:00 RED\n", &timeline)
        };
        assert_eq!(list("09:59:59:00").unwrap().markers[0].hit.time, Duration::from_secs(6));
        let want = "start must be timecode of the film's rate, such as 01:00:00:00, but is 10:00";
        assert_eq!(list("10:00").unwrap_err().to_string(), want);
    }

    #[test]
    fn errors_name_the_line() {
        for (list, want) in [
            (
                "1\n-2\n",
                "line 2: must be a time in seconds, or hours, minutes and seconds with colons between, but is \"-2\"",
            ),
            ("1e9", "must be a time in seconds"),
            ("nan", "must be a time in seconds"),
            ("3\n61 late\n", "line 2: must be within the film, but is \"61 late\""),
            (
                "* LOC: 00:00:01:30 RED",
                "must be timecode with fewer frames than the film has in a second, but is \"00:00:01:30\"",
            ),
            ("* LOC: 00:01:00;01 RED", "must be timecode of a frame that is not dropped, but is \"00:01:00;01\""),
            ("FCM:\n |M:x |D:1", "line 2: must be behind an event, whose time the marker has, but is \"|M:x |D:1\""),
            (
                "#,Name,Start\nM1,x,5.1.00",
                "line 2: must be a start in seconds, minutes and seconds, or timecode, not in bars",
            ),
            ("#,Name,Start\nM1,x,220500", "line 2: must be a start in seconds"),
            (
                "a\tb\tc\td\te\tf\nx\ty",
                "line 2: must be a marker's name, description and in, separated by tabs, but is \"x\\ty\"",
            ),
        ] {
            let error = read_at(NTSC, 60, list.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(want), "{list:?}: {error}");
        }
        let error = read_at((25, 1), 60, b"* LOC: 00:00:01;01 RED").unwrap_err().to_string();
        assert!(error.contains("timecode that drops no frames, which only 29.97 and 59.94 do"), "{error}");
        for (numerator, denominator) in [(0, 1), (1, 0), (0, 0), (2000, 1)] {
            assert!(FrameRate::new(numerator, denominator).is_err());
        }
    }

    proptest! {
        #[test]
        fn drop_frame_codes_count_every_frame(frame in 0..500_000_u64) {
            // SMPTE ST 12-1: the first two numbers of each minute but the tenth are left out.
            let (tens, rest) = (frame / 17_982, frame % 17_982);
            let number = frame + 18 * tens + if rest < 2 { 0 } else { 2 * ((rest - 2) / 1798) };
            let [hours, minutes, seconds, frames] = [number / 108_000, number / 1800 % 60, number / 30 % 60, number % 30];
            let text = format!("{hours:02}:{minutes:02}:{seconds:02};{frames:02}");
            let code = Line { number: 1, text: "" }.code(&text, FrameRate::new(30_000, 1001).unwrap(), false).unwrap();
            prop_assert_eq!(code.frames, frame, "{}", text);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, head in 0..6_usize, text in "[-0-9:;.,|#\"\tM \n]{0,80}") {
            let head = ["", "#,Name\n", "TITLE: x\n", "a\tb\tc\td\te\n", "0\t0\t\n", "\u{feff}"][head];
            let _ = read_at((25, 1), 60, &bytes);
            let _ = read_at(NTSC, 60, &[head.as_bytes(), text.as_bytes(), &bytes].concat());
            let _ = read_at(NTSC, 60, &[&[0xff, 0xfe][..], &bytes].concat());
        }
    }
}
