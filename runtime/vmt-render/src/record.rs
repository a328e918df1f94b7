//! A score and how it was made, as JSON, from which the same files can be rendered again.

use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vmt::click::{Click, Hit, HitKind};
use vmt::{
    Beat, Bundle, Conditions, Conductor, Marker, Note, Options, Pitch, STEPS_PER_SECOND, Score, Tempo, Token, midi,
};

use crate::{Error, Result, musicxml, musicxml_with};

/// The version of this file format.
const FORMAT: u32 = 2;

/// The most seconds of music in a record: a day.
const LONGEST: u32 = 24 * 3600;

/// A score and how it was made. Unknown fields are an error.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    format: u32,
    /// How it was made.
    pub provenance: Provenance,
    /// The duration of the music.
    seconds: f64,
    /// The notes, in seconds.
    notes: Vec<NoteRecord>,
    /// [`Score::tokens`], the ids of the 310 events.
    events: Vec<u16>,
}

/// All that decides which notes are composed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The version of vmt.
    pub vmt: String,
    /// The model.
    pub model: Model,
    /// The engine: [`Engine::name`](vmt::Engine::name).
    pub engine: String,
    /// The film.
    pub film: Film,
    /// The first second of the film that counts.
    pub start: f64,
    /// The last, if that is not the film's end.
    pub end: Option<f64>,
    /// The seed and all other options.
    pub options: Options,
    /// Takes that were composed side by side.
    pub takes: usize,
    /// Which of them this is, from 0.
    pub take: usize,
    /// Beats per minute.
    pub tempo: f64,
    /// Whether the notes were moved to its sixteenths.
    pub snapped: bool,
    /// The film's hit points, rising.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hits: Vec<HitPoint>,
}

/// A moment of the film that the music is to mark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HitPoint {
    /// In seconds from the beginning of the music.
    pub time: f64,
    /// What it is.
    pub kind: HitKind,
    /// What an editor called it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Milliseconds from it to the nearest beat or eighth, positive where that is late; `None` where beats were not chosen
    /// for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beat_miss_ms: Option<f64>,
}

impl HitPoint {
    /// A hit that a beat misses by so many milliseconds, which are rounded to thousandths.
    pub fn new(hit: Hit, label: String, miss_ms: Option<f64>) -> Self {
        let beat_miss_ms = miss_ms.map(|miss| (miss * 1000.0).round() / 1000.0);
        Self { time: hit.time.as_secs_f64(), kind: hit.kind, label, beat_miss_ms }
    }

    /// Those of a click track.
    pub fn all(click: &Click) -> Vec<Self> {
        click.hits.iter().map(|(hit, label, miss_ms)| Self::new(*hit, label.clone(), *miss_ms)).collect()
    }
}

impl Provenance {
    /// The part of the film that the music is for.
    pub fn range(&self) -> Range<Duration> {
        let moment = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        moment(self.start)..self.end.map_or(Duration::MAX, moment)
    }

    /// The bars, key and hit points of the music; `None` where it was composed without beats.
    pub fn conductor(&self) -> Option<Conductor> {
        let Conditions { beats, keys, .. } = &self.options.conditions;
        let marker = |HitPoint { time, kind, label, .. }: &HitPoint| Marker {
            step: time * f64::from(STEPS_PER_SECOND),
            text: if label.is_empty() { kind.to_string() } else { label.clone() },
        };
        (beats.len() > 1).then(|| Conductor {
            beats: beats.clone(),
            key: keys.first().and_then(|&(_, key)| key),
            markers: self.hits.iter().map(marker).collect(),
        })
    }

    /// A MIDI file of the music: with bars, key and hit points, or, where it was composed without beats, counting by the
    /// [`tempo`](Self::tempo).
    ///
    /// # Errors
    /// As [`vmt::midi::write_parts`], and for a tempo that is out of range.
    pub fn midi(&self, score: &Score) -> vmt::Result<Vec<u8>> {
        if let Some(conductor) = self.conductor() {
            return midi::write_parts(&[("", score)], &conductor);
        }
        let tempo = Tempo::new(self.tempo)?;
        midi::write_at(score, if self.snapped { tempo.snapped() } else { tempo })
    }

    /// A score for two hands, in the same way.
    pub fn musicxml(&self, score: &Score) -> String {
        match self.conductor() {
            Some(conductor) => musicxml_with(score, &conductor),
            None => musicxml(score, self.tempo),
        }
    }

    fn check(&self) -> Result<(), String> {
        /// Steps in a beat: 20 a minute and 400, and as much again for a stretch.
        const BEAT: RangeInclusive<f64> = 7.5..=600.0;
        const DAY: f64 = (LONGEST * STEPS_PER_SECOND) as f64;
        let Conditions { beats, hits, .. } = &self.options.conditions;
        if let Some(pair) = beats.windows(2).find(|pair| !BEAT.contains(&(pair[1].step - pair[0].step))) {
            return Err(format!("{:?} and {:?} are no neighbouring beats", pair[0], pair[1]));
        }
        let in_day = |step: f64| (-*BEAT.end()..=DAY + *BEAT.end()).contains(&step);
        let numbered = |beat: &&Beat| beat.in_bar <= beat.per_bar && beat.per_bar <= 8 && in_day(beat.step);
        if let Some(beat) = beats.iter().find(|beat| !numbered(beat)) {
            return Err(format!("{beat:?} is no beat within a day"));
        }
        if !hits.iter().flatten().is_sorted() {
            return Err("its hits are not in order".to_owned());
        }
        if let Some(hit) = self.hits.iter().find(|hit| !(0.0..=f64::from(LONGEST)).contains(&hit.time)) {
            return Err(format!("{hit:?} is not within a day"));
        }

        let range = self.range();
        if self.start < 0.0 || range.is_empty() {
            let end = self.end.map_or("its end".to_owned(), |end| format!("second {end}"));
            return Err(format!("there is no film from second {} to {end}", self.start));
        }
        Tempo::new(self.tempo).map(|_| ()).map_err(|error| error.to_string())
    }
}

impl Film {
    /// The file, or the folder of images.
    pub fn path(&self) -> &Path {
        match self {
            Self::Video(path) | Self::Frames { folder: path, .. } => path,
        }
    }
}

/// Identifies a bundle to the byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// [`Manifest::name`](vmt::manifest::Manifest::name).
    pub name: String,
    /// The encoder's SHA-256 in lower-case hexadecimal.
    pub encoder_sha256: String,
    /// The decoder's SHA-256 in lower-case hexadecimal.
    pub decoder_sha256: String,
}

impl From<&Bundle> for Model {
    fn from(bundle: &Bundle) -> Self {
        let manifest = bundle.manifest();
        Self {
            name: manifest.name.clone(),
            encoder_sha256: manifest.encoder.sha256.clone(),
            decoder_sha256: manifest.decoder.sha256.clone(),
        }
    }
}

/// Where the frames come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
pub enum Film {
    /// A video file.
    Video(#[serde(with = "path")] PathBuf),
    /// A folder of images.
    Frames {
        /// The folder.
        #[serde(with = "path")]
        folder: PathBuf,
        /// Frames per second.
        fps: f64,
    },
}

/// Paths as text, or as an array of bytes where they are not UTF-8, which file names on Unix need not be.
mod path {
    use std::ffi::OsString;
    use std::path::{Path, PathBuf};

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Name {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = || Name::Bytes(path.as_os_str().as_encoded_bytes().to_owned());
        path.to_str().map_or_else(bytes, |path| Name::Text(path.to_owned())).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        Ok(match Name::deserialize(deserializer)? {
            Name::Text(path) => path.into(),
            Name::Bytes(bytes) => from_bytes(bytes).into(),
        })
    }

    #[cfg(unix)]
    fn from_bytes(bytes: Vec<u8>) -> OsString {
        std::os::unix::ffi::OsStringExt::from_vec(bytes)
    }

    #[cfg(not(unix))]
    fn from_bytes(bytes: Vec<u8>) -> OsString {
        String::from_utf8_lossy(&bytes).into_owned().into()
    }
}

/// A note, its times in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoteRecord {
    start: f64,
    end: f64,
    pitch: u8,
    velocity: u8,
}

impl Record {
    /// Records `score`.
    pub fn new(score: &Score, provenance: Provenance) -> Self {
        let seconds = |step: u32| f64::from(step) / f64::from(STEPS_PER_SECOND);
        let record = |note: &Note| NoteRecord {
            start: seconds(note.start),
            end: seconds(note.end),
            pitch: note.pitch.get(),
            velocity: note.velocity,
        };
        Self {
            format: FORMAT,
            provenance,
            seconds: score.duration().as_secs_f64(),
            notes: score.notes().iter().map(record).collect(),
            events: score.tokens().into_iter().map(Token::id).collect(),
        }
    }

    /// The score.
    ///
    /// # Errors
    /// Where a note is not one of a piano within a day, notes are not in order, or the events are not those of the
    /// notes.
    pub fn score(&self) -> Result<Score> {
        let broken = |what: String| Error::Record(what);
        let step = |seconds: f64| (seconds * f64::from(STEPS_PER_SECOND)).round() as u32;
        let note = |record: &NoteRecord| {
            let (start, end) = (step(record.start), step(record.end));
            let timely = start < end && end <= LONGEST * STEPS_PER_SECOND;
            let pitch = Pitch::new(record.pitch).filter(|_| timely && (1..=127).contains(&record.velocity));
            let pitch = pitch.ok_or_else(|| broken(format!("{record:?} is no note of a piano within a day")))?;
            Ok(Note { start, end, pitch, velocity: record.velocity })
        };
        let duration = Duration::try_from_secs_f64(self.seconds).ok();
        let duration = duration.filter(|duration| *duration <= Duration::from_secs(LONGEST.into()));
        let duration = duration.ok_or_else(|| broken(format!("{} seconds are not 0 to a day", self.seconds)))?;
        let score = Score::new(self.notes.iter().map(note).collect::<Result<_>>()?, duration)
            .map_err(|_| broken("its notes are not in order".to_owned()))?;
        if !score.tokens().into_iter().map(Token::id).eq(self.events.iter().copied()) {
            return Err(broken("its events are not those of its notes".to_owned()));
        }
        Ok(score)
    }

    /// The record as JSON, with a line for each note.
    ///
    /// # Errors
    /// Where a number cannot be written as JSON.
    pub fn to_json(&self) -> Result<String> {
        fn lines<T: Serialize>(items: &[T]) -> serde_json::Result<String> {
            let items: Vec<_> = items.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
            Ok(items.join(",\n    "))
        }
        let Self { format, provenance, seconds, notes, events } = self;
        let json = || {
            let provenance = serde_json::to_string_pretty(provenance)?.replace('\n', "\n  ");
            let (seconds, notes, events) =
                (serde_json::to_string(seconds)?, lines(notes)?, serde_json::to_string(events)?);
            Ok(format!(
                r#"{{
  "format": {format},
  "provenance": {provenance},
  "seconds": {seconds},
  "notes": [
    {notes}
  ],
  "events": {events}
}}
"#
            ))
        };
        json().map_err(|error: serde_json::Error| Error::Record(error.to_string()))
    }

    /// Reads what [`Record::to_json`] wrote.
    ///
    /// # Errors
    /// Where `json` is not a record of this format, or its times or tempo are out of range.
    pub fn from_json(json: &str) -> Result<Self> {
        /// The part that all formats share.
        #[derive(Deserialize)]
        struct Any {
            format: u32,
        }
        let broken = |error: serde_json::Error| Error::Record(error.to_string());
        let Any { format } = serde_json::from_str(json).map_err(broken)?;
        if format != FORMAT {
            let reason = format!("its format is {format}, not {FORMAT}: it needs another version of vmt");
            return Err(Error::Record(reason));
        }
        let record: Self = serde_json::from_str(json).map_err(broken)?;
        record.provenance.check().map_err(Error::Record)?;
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use vmt::{Key, Sampling};

    use super::*;

    fn provenance(film: Film) -> Provenance {
        let sha = |digit: &str| digit.repeat(64);
        let sampling = Sampling::default()
            .with_temperature(0.9)
            .with_top_k(std::num::NonZeroUsize::new(40))
            .with_top_p(0.95)
            .with_seed(u64::MAX);
        let controls = vmt::Controls::default()
            .with_pitches(48..=84)
            .with_velocities(1..=100)
            .with_polyphony(std::num::NonZeroUsize::new(4))
            .with_scale("F# dorian".parse::<vmt::Scale>().unwrap())
            .with_density(2.5);
        Provenance {
            vmt: "0.1.0".to_owned(),
            model: Model { name: "tiny".to_owned(), encoder_sha256: sha("a"), decoder_sha256: sha("b") },
            engine: "tract".to_owned(),
            film,
            start: 0.5,
            end: Some(10.25),
            options: Options::default()
                .with_sampling(sampling)
                .with_conditions(conditions())
                .with_guidance(2.7)
                .with_controls(controls)
                .with_primer(Score::default().beginning(25)),
            takes: 4,
            take: 3,
            tempo: 90.0,
            snapped: true,
            hits: vec![HitPoint { time: 0.7, kind: HitKind::Cut, label: String::new(), beat_miss_ms: Some(-0.5) }],
        }
    }

    fn conditions() -> Conditions {
        let beat = |index: u8| Beat { step: f64::from(index) * 70.0, in_bar: index % 4 + 1, per_bar: 4 };
        let (beats, hits) = ((0..9).map(beat).collect(), Some(vec![70]));
        Conditions { beats, hits, keys: vec![(0, Some(Key { tonic: 9, minor: true }))], ..Conditions::default() }
    }

    #[test]
    fn a_record_has_what_a_conductor_needs() {
        let provenance = provenance(video());
        let conductor = provenance.conductor().unwrap();
        assert_eq!((conductor.beats.len(), conductor.key), (9, Some(Key { tonic: 9, minor: true })));
        assert_eq!(conductor.markers, [Marker { step: 70.0, text: "cut".to_owned() }]);
        assert_eq!(Provenance { options: Options::default(), ..provenance }.conductor(), None);
    }

    fn video() -> Film {
        Film::Video("a \"b\"\n.mp4".into())
    }

    fn json() -> String {
        let note = |start, end, pitch| Note { start, end, pitch: Pitch::new(pitch).unwrap(), velocity: 77 };
        let score = Score::new(vec![note(0, 29, 60), note(7, 100, 67)], Duration::from_nanos(1_001_000_001)).unwrap();
        Record::new(&score, provenance(video())).to_json().unwrap()
    }

    #[test]
    fn a_record_is_read_back_as_it_was() {
        let every_step = (1..6000).map(|end| Note { start: end - 1, end, pitch: Pitch::MIN, velocity: 1 });
        let frames = Film::Frames { folder: "pictures".into(), fps: 29.97 };
        for (notes, nanos, film) in [(vec![], 0, video()), (every_step.collect(), 3_600_000_000_007, frames)] {
            let score = Score::new(notes, Duration::from_nanos(nanos)).unwrap();
            let record = Record::new(&score, provenance(film));
            let again = Record::from_json(&record.to_json().unwrap()).unwrap();
            assert_eq!(again, record);
            assert_eq!(again.score().unwrap(), score);
        }
    }

    #[test]
    fn people_can_read_it() {
        let json = json();
        let want = [
            r#""seed": 18446744073709551615"#,
            r#""temperature": 0.9,"#,
            r#""guidance": 2.7,"#,
            r#"    {"start":0.0,"end":0.29,"pitch":60,"velocity":77},"#,
            r#""events": [297,41,"#,
        ];
        want.into_iter().for_each(|want| assert!(json.contains(want), "{json}"));
    }

    #[test]
    fn other_files_are_refused() {
        let refused = |json: &str, want: &str| {
            let error = Record::from_json(json).and_then(|record| record.score()).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        };
        refused("", "must be a record that vmt wrote");
        refused("{}", "missing field `format`");
        refused("{\"format\": 1, \"notes\": 7}", "its format is 1, not 2: it needs another version of vmt");
        let changed = |from: &str, to: &str, want| {
            assert!(json().contains(from), "{from}");
            refused(&json().replacen(from, to, 1), want);
        };
        changed("\"format\": 2", "\"format\": 3", "its format is 3, not 2");
        changed("\"pitch\":60", "\"pitch\":9", "is no note of a piano");
        changed("\"velocity\":77", "\"velocity\":0", "is no note of a piano");
        changed("\"velocity\":77", "\"velocity\":256", "must be a record");
        changed("\"end\":1.0", "\"end\":0.01", "is no note of a piano");
        changed("\"end\":1.0", "\"end\":86400.01", "is no note of a piano within a day");
        changed("\"end\":1.0", "\"end\":1e300", "is no note of a piano within a day");
        changed("\"start\":0.07", "\"start\":-0.07", "its events are not those of its notes");
        changed("\"start\":0.0,", "\"start\":0.08,", "its notes are not in order");
        changed("\"seconds\": 1", "\"seconds\": -1", "seconds are not 0 to a day");
        changed("\"seconds\": 1.001000001", "\"seconds\": 86400.1", "86400.1 seconds are not 0 to a day");
        changed("\"events\": [297", "\"events\": [65535", "its events are not those of its notes");
        changed("\"events\": [297", "\"events\": [-1", "must be a record");
        changed("\"start\": 0.5", "\"start\": -0.5", "there is no film from second -0.5");
        changed("\"end\": 10.25", "\"end\": 0.5", "there is no film from second 0.5 to second 0.5");
        changed("\"step\": 70.0", "\"step\": 1e300", "are no neighbouring beats");
        changed("\"step\": 70.0", "\"step\": 0.0", "are no neighbouring beats");
        changed("\"step\": 0.0", "\"step\": -1e300", "are no neighbouring beats");
        changed("\"in_bar\": 1", "\"in_bar\": 5", "is no beat within a day");
        changed("\"per_bar\": 4", "\"per_bar\": 200", "is no beat within a day");
        changed("\"time\": 0.7", "\"time\": -0.7", "is not within a day");
        changed("\"tempo\": 90.0", "\"tempo\": 1e9", "tempo must be 20-400 beats a minute");
        refused(&json().replace("\"seed\"", "\"sed\""), "unknown field `sed`");
    }
}
