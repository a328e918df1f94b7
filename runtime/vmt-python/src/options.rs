//! How to compose: the options of `vmt compose` by their names.

use std::num::NonZeroUsize;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pyo3::conversion::FromPyObjectOwned;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use vmt::click::{Choice, Click, FrameRate, Hit, HitKind, TempoChoice, Timeline, read_markers};
use vmt::{Conditions, Controls, Geometry, Key, Options, Pitch, Sampling, Score, Tempo, Token, intensity_curve, midi};

use crate::composer::Model;
use crate::error::Failure;
use crate::film::Film;

/// What is to be composed, checked as far as it can be without the film.
pub struct Wanted {
    pub takes: NonZeroUsize,
    pub choice: Choice,
    /// But for beats, hits and what follows the film.
    options: Options,
    downbeats: Vec<f64>,
    markers: Markers,
    quantize: bool,
    /// Notes of the finished piece are moved to sixteenths.
    pub snap: bool,
    /// The part of a file, in seconds.
    pub start: f64,
    pub end: Option<f64>,
}

/// The first second that is too late: 1000 hours.
const END: f64 = 3_600_000.0;

/// The marks of an editor.
enum Markers {
    None,
    /// A list's file, and what it holds.
    File(PathBuf, Vec<u8>),
    /// Seconds, and what each is called.
    Points(Vec<(f64, String)>),
}

impl Wanted {
    /// Reads the options of a call.
    pub fn parse(takes: usize, options: Option<&Bound<'_, PyDict>>, model: &Model) -> Result<Self, Failure> {
        let mut named = Named { options, known: Vec::new() };
        let number = "a number";
        let seed = named.get("seed", "a whole number, 0-18446744073709551615")?.unwrap_or(0);
        let usual = Sampling::default();
        let sampling = Sampling::default()
            .with_seed(seed)
            .with_temperature(named.get("temperature", number)?.unwrap_or(usual.temperature))
            .with_top_p(named.get("top_p", number)?.unwrap_or(usual.top_p))
            .with_top_k(named.count("top_k", vmt::VOCABULARY)?);
        let unconstrained = named.get("unconstrained", "True or False")?.unwrap_or(false);
        let quantize = named.get("quantize", "True or False")?.unwrap_or(true);
        let strike_hits = named.get("strike_hits", "True or False")?.unwrap_or(true);
        let guidance = named.get("guidance", number)?.unwrap_or(1.0);

        let bpm = "\"auto\", beats a minute or \"off\"";
        let tempo = named.get::<Word<f64>>("tempo", bpm)?;
        let meter = named.get::<String>("meter", "\"4/4\" or \"3/4\"")?;
        let key = named.get::<String>("key", "\"auto\", \"off\" or a note")?;
        let scale = named.get::<String>("scale", "the name of a scale")?;
        let curve = named.get::<Word<Points>>("intensity", "\"auto\", \"off\" or points of seconds and 0-1")?;
        let intensity_guidance = named.get("intensity_guidance", number)?;
        let downbeats = named.get::<OneOrMore>("hit", "seconds, or a list of seconds")?.map_or(Vec::new(), |hit| hit.0);
        let markers = named.get("hits", "a file of markers, or a list of seconds, or of seconds and names")?;
        let markers = markers.map_or(Ok(Markers::None), Marked::read)?;
        let pitches = named.get::<Ends<PitchName>>("pitch_range", "(LOW, HIGH): 21-108 or A0-C8")?;
        let velocities = named.get::<Ends<u8>>("velocity_range", "(LOW, HIGH) within 1-127")?;
        let polyphony = named.count("max_polyphony", 88)?;
        let density = named.get("density", number)?;
        let primer = named.get::<PathBuf>("primer", "the path of a MIDI file")?;
        let snap = named.get("snap", "True or False")?.unwrap_or(false);
        let start = named.get("start", "seconds")?.unwrap_or(0.0);
        let end: Option<f64> = named.get("end", "seconds")?;
        named.finish()?;

        let takes = NonZeroUsize::new(takes).filter(|takes| takes.get() <= vmt::MAX_TAKES).ok_or_else(|| {
            Failure::value(format!("the number of takes must be 1-{}, but is {takes}", vmt::MAX_TAKES))
        })?;
        let tempo = tempo.map(|tempo| match tempo {
            Word::Auto => Ok(TempoChoice::Auto),
            Word::Off => Ok(TempoChoice::Off),
            Word::Other(bpm) => Tempo::new(bpm).map(|_| TempoChoice::Bpm(bpm)),
        });
        let tempo = tempo.transpose()?;
        let told = [
            ("tempo", matches!(tempo, Some(TempoChoice::Auto | TempoChoice::Off))),
            ("meter", meter.is_some()),
            ("key", key.as_deref() == Some("auto")),
            ("intensity", matches!(curve, Some(Word::Auto | Word::Other(_)))),
            ("intensity_guidance", intensity_guidance.is_some()),
        ];
        if let Some((name, _)) = told.iter().find(|(_, asked)| *asked && !model.conditioned) {
            let why = "this model is told no beats, key and intensity; take one with conditions, such as vmt-beat";
            return Err(Failure::value(format!("{name}: {why}")));
        }
        let beats_per_bar = meter.map(|meter| match meter.as_str() {
            "4/4" => Ok(4),
            "3/4" => Ok(3),
            other => Err(Failure::value(format!("meter must be 4/4 or 3/4, but is {other}"))),
        });
        let ranks = match &curve {
            Some(Word::Other(Points(points))) => intensity_curve(points)?,
            _ => Vec::new(),
        };
        let choice = Choice {
            tempo: tempo.unwrap_or_default(),
            beats_per_bar: beats_per_bar.transpose()?,
            follow_film: matches!(curve, None | Some(Word::Auto)),
        };
        ensure(
            !(intensity_guidance.is_some() && matches!(curve, Some(Word::Off))),
            "intensity_guidance: there is no intensity to keep to",
        )?;
        let sets_hits = !downbeats.is_empty() || !matches!(markers, Markers::None);
        ensure(!(sets_hits && unconstrained), "hit and hits need the grammar: unconstrained must be False")?;
        ensure(
            choice.tempo != TempoChoice::Off || choice.beats_per_bar.is_none(),
            "meter: there are no beats with tempo=\"off\"",
        )?;
        let steady = choice.bpm().is_some() && !sets_hits;
        ensure(
            !snap || !model.conditioned || steady,
            "snap: needs steady beats, a tempo in beats a minute without hit and hits; other beats the music keeps to",
        )?;
        for (name, time) in [("start", Some(start)), ("end", end)] {
            let right = time.is_none_or(|time| (0.0..END).contains(&time));
            ensure(
                right,
                format!("{name} must be seconds, from 0 on and below {END}, but is {}", time.unwrap_or(0.0)),
            )?;
        }
        ensure(
            end.is_none_or(|end| start < end),
            format!("start must be before end, but {start} is not before {}", end.unwrap_or(0.0)),
        )?;
        if model.conditioned && sets_hits {
            choice.options().validate()?;
        }
        let tonic = key.as_deref().filter(|key| !["auto", "off"].contains(key));
        ensure(tonic.is_some() || scale.is_none(), "scale needs a tonic, such as key=\"C\"")?;
        let scale = tonic.map(|key| format!("{key} {}", scale.as_deref().unwrap_or("major")).parse()).transpose()?;
        let controls = Controls::default()
            .with_pitches(pitches.map(|Ends(low, high)| low.0..=high.0))
            .with_velocities(velocities.map(|Ends(low, high)| RangeInclusive::new(low, high)))
            .with_polyphony(polyphony.or((!unconstrained).then_some(Controls::USUAL_POLYPHONY)))
            .with_scale(scale)
            .with_density(density);

        let geometry = model.composer.engine().geometry();
        let primer = primer.as_ref().map(|file| beginning(file, geometry)).transpose()?.unwrap_or_default();
        let key = match (&key, scale) {
            _ if !model.conditioned => None,
            (_, Some(scale)) => scale.key(),
            (Some(off), None) if off == "off" => None,
            _ => {
                let beginning = Score::decode(primer.iter().copied(), geometry.window()).score;
                Some(Key::of_beginning(&beginning, seed))
            }
        };
        let conditions = Conditions {
            keys: key.map(|key| (0, Some(key))).into_iter().collect(),
            density: ranks.clone(),
            loudness: ranks,
            ..Conditions::default()
        };
        let usual_guidance = match curve {
            Some(Word::Other(_)) => Options::BY_HAND_INTENSITY_GUIDANCE,
            _ => 1.0,
        };
        let options = Options::default()
            .with_sampling(sampling)
            .with_guidance(guidance)
            .with_intensity_guidance(intensity_guidance.unwrap_or(usual_guidance))
            .with_unconstrained(unconstrained)
            .with_strike_hits(strike_hits)
            .with_conditions(conditions)
            .with_controls(controls)
            .with_primer(primer);
        options.validate(geometry)?;
        Ok(Self { takes, choice, options, downbeats, markers, quantize, snap, start, end })
    }

    /// The part of a file.
    pub fn part(&self) -> Range<Duration> {
        Duration::from_secs_f64(self.start)..self.end.map_or(Duration::MAX, Duration::from_secs_f64)
    }

    /// Whether what is found in the film decides anything.
    pub fn reads_film(&self, conditioned: bool) -> bool {
        let sets = !self.downbeats.is_empty() || !matches!(self.markers, Markers::None);
        conditioned && (self.choice.fits(sets) || self.choice.follow_film)
    }

    /// The hits that were set, in order.
    pub fn hits(&self, film: &Film, length: Option<Duration>) -> Result<Vec<(Hit, String)>, Failure> {
        let downbeats = self.downbeats.iter().map(|&time| Ok((hit(time, HitKind::Downbeat)?, String::new())));
        let mut hits = downbeats.collect::<Result<Vec<_>, Failure>>()?;
        match &self.markers {
            Markers::None => {}
            Markers::Points(points) => {
                for (time, label) in points {
                    hits.push((hit(*time, HitKind::Marker)?, label.clone()));
                }
            }
            Markers::File(path, bytes) => {
                let (numerator, denominator) = film.frame_rate()?;
                let Range { start, end } = self.part();
                let part = length.map_or(Duration::MAX, |length| start.saturating_add(length));
                // Behind the part there may be more of the film.
                let duration = if end == Duration::MAX { part } else { Duration::MAX };
                let timeline = Timeline { rate: FrameRate::new(numerator, denominator)?, duration, start: None };
                let name = path.display();
                let list =
                    read_markers(bytes, &timeline).map_err(|error| Failure::value(format!("{name}: {error}")))?;
                let inside =
                    list.markers.into_iter().filter(|marker| marker.hit.time >= start && marker.hit.time <= part);
                let before = hits.len();
                hits.extend(inside.map(|marker| (Hit { time: marker.hit.time - start, ..marker.hit }, marker.label)));
                ensure(hits.len() > before, format!("{name}: must have a marker in the film, but has none"))?;
            }
        }
        hits.sort_by_key(|(hit, _)| hit.time);
        Ok(hits)
    }

    /// All of them, with a click track.
    pub fn options(&self, click: &Click, conditioned: bool) -> Options {
        let mut options = self.options.clone();
        let Conditions { beats, hits, end, density, loudness, .. } = click.conditions.clone();
        options.conditions = Conditions { beats, hits, end, ..options.conditions };
        if self.choice.follow_film {
            (options.conditions.density, options.conditions.loudness) = (density, loudness);
        }
        let beats = conditioned && self.choice.tempo != TempoChoice::Off;
        options.quantize = beats && self.quantize && !options.unconstrained;
        options.cadence = !options.conditions.beats.is_empty() && !options.unconstrained;
        options
    }
}

fn ensure(is_right: bool, problem: impl Into<String>) -> Result<(), Failure> {
    if is_right { Ok(()) } else { Err(Failure::value(problem)) }
}

/// A moment at most a day from the beginning.
fn hit(seconds: f64, kind: HitKind) -> Result<Hit, Failure> {
    ensure((0.0..=86400.0).contains(&seconds), format!("hit must be seconds within a day, but is {seconds}"))?;
    Ok(Hit::new(Duration::from_secs_f64(seconds), kind))
}

/// The beginning of a MIDI file, of at most half a window.
fn beginning(file: &Path, geometry: Geometry) -> Result<Vec<Token>, Failure> {
    let bytes = std::fs::read(file).map_err(|error| Failure::io(file, &error))?;
    let named = |error: vmt::Error| Failure::value(format!("{}: {error}", file.display()));
    let notes = midi::read(&bytes, midi::Sustain::Apply).map_err(named)?;
    let score = Score::quantise(&notes, Duration::from_secs(24 * 3600));
    geometry.primer(&score).map_err(named)
}

/// The keywords of a call.
struct Named<'a, 'py> {
    options: Option<&'a Bound<'py, PyDict>>,
    /// Those that were asked for.
    known: Vec<&'static str>,
}

impl<'py> Named<'_, 'py> {
    /// The value of a keyword; `None` if it is not given or None. `want` says what it must be.
    fn get<T: FromPyObjectOwned<'py>>(&mut self, name: &'static str, want: &str) -> Result<Option<T>, Failure> {
        self.known.push(name);
        let Some(value) = self.options.map(|options| options.get_item(name)).transpose()?.flatten() else {
            return Ok(None);
        };
        if value.is_none() {
            return Ok(None);
        }
        let extracted = value.extract::<T>().map_err(Into::<PyErr>::into);
        extracted.map(Some).map_err(|error| {
            let problem = format!("{name} must be {want}, but is {value:?}");
            if error.is_instance_of::<PyTypeError>(value.py()) {
                PyTypeError::new_err(problem).into()
            } else {
                Failure::value(problem)
            }
        })
    }

    /// A whole number from 1 to `most`.
    fn count(&mut self, name: &'static str, most: usize) -> Result<Option<NonZeroUsize>, Failure> {
        let want = format!("a whole number, 1-{most}");
        let Some(count) = self.get::<usize>(name, &want)? else { return Ok(None) };
        let count_or = NonZeroUsize::new(count).filter(|count| count.get() <= most);
        count_or.map(Some).ok_or_else(|| Failure::value(format!("{name} must be {want}, but is {count}")))
    }

    /// An error for a keyword that nobody asked for.
    fn finish(self) -> Result<(), Failure> {
        for name in self.options.map(|options| options.keys()).into_iter().flatten() {
            let name: String = name.extract()?;
            if !self.known.contains(&name.as_str()) {
                let problem = format!("there is no option {name}; there are {}", self.known.join(", "));
                return Err(PyTypeError::new_err(problem).into());
            }
        }
        Ok(())
    }
}

/// "auto", "off", or something else.
enum Word<T> {
    Auto,
    Off,
    Other(T),
}

impl<'a, 'py, T: FromPyObjectOwned<'py>> FromPyObject<'a, 'py> for Word<T> {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        match value.extract::<String>().as_deref() {
            Ok("auto") => Ok(Self::Auto),
            Ok("off") => Ok(Self::Off),
            Ok(other) => Err(Failure::value(other).into()),
            Err(_) => value.extract().map(Self::Other).map_err(Into::into),
        }
    }
}

/// Pairs of seconds and a value, such as rows of an array.
struct Points(Vec<(f64, f64)>);

impl<'a, 'py> FromPyObject<'a, 'py> for Points {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let point = |point: PyResult<Bound<'py, PyAny>>| {
            let Ends(time, value) = point?.extract()?;
            Ok((time, value))
        };
        value.try_iter()?.map(point).collect::<PyResult<_>>().map(Self)
    }
}

/// Two of a kind.
struct Ends<T>(T, T);

impl<'a, 'py, T: FromPyObjectOwned<'py>> FromPyObject<'a, 'py> for Ends<T> {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        let both = value.try_iter()?.map(|end| end?.extract::<T>().map_err(Into::into));
        let both: [T; 2] =
            both.collect::<PyResult<Vec<T>>>()?.try_into().map_err(|_| PyErr::from(Failure::value("two")))?;
        let [low, high] = both;
        Ok(Self(low, high))
    }
}

/// A pitch by its number or name.
struct PitchName(u8);

impl<'a, 'py> FromPyObject<'a, 'py> for PitchName {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(name) = value.extract::<String>() {
            return Ok(Self(name.parse::<Pitch>().map_err(Failure::from)?.get()));
        }
        value.extract().map(Self)
    }
}

/// Seconds, or several of them.
struct OneOrMore(Vec<f64>);

impl<'a, 'py> FromPyObject<'a, 'py> for OneOrMore {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(one) = value.extract::<f64>() {
            return Ok(Self(vec![one]));
        }
        value.try_iter()?.map(|time| time?.extract::<f64>()).collect::<PyResult<_>>().map(Self)
    }
}

/// A list of markers, or where it is.
enum Marked {
    File(PathBuf),
    Points(Vec<(f64, String)>),
}

impl Marked {
    fn read(self) -> Result<Markers, Failure> {
        match self {
            Self::File(path) => {
                let bytes = std::fs::read(&path).map_err(|error| Failure::io(&path, &error))?;
                Ok(Markers::File(path, bytes))
            }
            Self::Points(points) => Ok(Markers::Points(points)),
        }
    }
}

impl<'a, 'py> FromPyObject<'a, 'py> for Marked {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(path) = value.extract::<PathBuf>() {
            return Ok(Self::File(path));
        }
        let point = |point: PyResult<Bound<'py, PyAny>>| {
            let point = point?;
            Ok(match point.extract::<f64>() {
                Ok(time) => (time, String::new()),
                Err(_) => point.extract::<(f64, String)>()?,
            })
        };
        value.try_iter()?.map(point).collect::<PyResult<_>>().map(Self::Points)
    }
}
