//! The options of `vmt compose` for tempo, metre and hit points, and the click track that they and a film give.

use std::fs;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use vmt::Tempo;
use vmt::click::{
    self, Choice, Click, FilmHits, FrameRate, Hit, HitKind, STEADY_BPM, TempoChoice, Timeline, read_markers,
};
use vmt_render::Film;

use crate::input::InputArgs;
use crate::{moment, usage};

/// Beats and hit points
#[derive(clap::Args)]
#[command(next_help_heading = "Click track")]
pub struct ClickArgs {
    /// auto: tempo and beats such that the film's cuts and --hit and --hits fall on beats, and its end on a downbeat; the
    /// whole film is read first. BPM, 20-400: steady beats from the film's beginning, stretched by at most 5 % where --hit or
    /// --hits want it. off: no beats. A model that was not trained with conditions does not play to beats: there BPM is
    /// only how .mid and .musicxml count [default: auto, or 120 for such a model]
    #[arg(long, value_name = "auto|BPM|off", value_parser = tempo)]
    tempo: Option<TempoChoice>,
    /// Beats in a bar: 4/4 or 3/4 [default: 4/4; with --tempo auto, 3/4 where that meets clearly more]
    #[arg(long, value_name = "4/4|3/4", value_parser = ["4/4", "3/4"])]
    meter: Option<String>,
    /// Begin a bar at this time of the music, and strike a note there; may be given several times
    #[arg(long = "hit", value_name = "TIME", value_parser = hit, conflicts_with = "unconstrained")]
    downbeats: Vec<f64>,
    /// Strike a note at each marker of this list, on a beat if any tempo allows it: seconds or m:s, a line each; Audacity
    /// labels; an EDL with markers (Resolve, Avid); the marker lists of Premiere and Reaper. Times are the film's
    #[arg(long, value_name = "FILE", conflicts_with = "unconstrained")]
    hits: Option<PathBuf>,
}

impl ClickArgs {
    /// Checks what can be known before the film is: whether the model is `conditioned`, and the music is to be snapped.
    pub fn check(&self, conditioned: bool, snap: bool) -> Result<()> {
        let needs = |option| {
            format!("{option}: this model plays to no beats; take one with conditions, such as --bundle onnx/vmt-beat")
        };
        let beats = !matches!(self.tempo, Some(TempoChoice::Auto | TempoChoice::Off));
        usage::ensure(conditioned || beats, needs("--tempo auto and off"))?;
        usage::ensure(conditioned || self.meter.is_none(), needs("--meter"))?;
        let off = self.tempo == Some(TempoChoice::Off);
        usage::ensure(!off || self.meter.is_none(), "--meter: there are no beats with --tempo off")?;
        let steady = matches!(self.tempo, Some(TempoChoice::Bpm(_))) && !self.has_hits();
        let want = "--snap: needs steady beats, --tempo BPM without --hit and --hits; other beats the music keeps to";
        usage::ensure(!conditioned || steady || !snap, want)?;
        if conditioned && self.has_hits() {
            self.choice(false).options().validate().context("--tempo with --hit or --hits")?;
        }
        Ok(())
    }

    /// The file that is read.
    pub fn inputs(&self) -> Option<&PathBuf> {
        self.hits.as_ref()
    }

    /// Whether there are beats for a conditioned model.
    pub fn has_beats(&self) -> bool {
        self.tempo != Some(TempoChoice::Off)
    }

    /// Beats a minute, if the call says how many.
    pub fn bpm(&self) -> Option<f64> {
        match self.tempo {
            Some(TempoChoice::Bpm(bpm)) => Some(bpm),
            _ => None,
        }
    }

    fn has_hits(&self) -> bool {
        !self.downbeats.is_empty() || self.hits.is_some()
    }

    fn beats_per_bar(&self) -> Option<u8> {
        self.meter.as_ref().map(|meter| if meter == "3/4" { 3 } else { 4 })
    }

    fn choice(&self, follow_film: bool) -> Choice {
        Choice { tempo: self.tempo.unwrap_or_default(), beats_per_bar: self.beats_per_bar(), follow_film }
    }

    /// Whether the film's hits are wanted: for a model that is `conditioned`, and whose density and loudness are to `follow` how
    /// much the picture changes.
    pub fn wants_hits(&self, conditioned: bool, follow: bool) -> bool {
        conditioned && (follow || self.choice(follow).fits(self.has_hits()))
    }

    /// The click track of `film`, whose hits are those of `found`; `length` is that of the part in `range`, as far as its header
    /// tells. `conditioned` and `follow` are those of [`Self::wants_hits`].
    pub fn click(
        &self,
        input: &InputArgs,
        film: &Film,
        range: &Range<Duration>,
        (length, found): (Option<Duration>, Option<FilmHits>),
        conditioned: bool,
        follow: bool,
    ) -> Result<Click> {
        let choice = self.choice(follow);
        let wanted = conditioned && choice.fits(self.has_hits());
        let follow = conditioned && follow;
        let length = found.as_ref().map(|found| found.duration).or(length);
        let hits = self.set_hits(input, film, range, length)?;
        if (wanted || follow) && found.as_ref().is_none_or(|found| found.duration > click::MAX_END) {
            let steady = format!("its beats are steady, {} a minute", self.bpm().unwrap_or(STEADY_BPM));
            let level = "its density and loudness do not follow the picture".to_owned();
            let so: Vec<String> = wanted.then_some(steady).into_iter().chain(follow.then_some(level)).collect();
            let (name, so) = (film.path().display(), so.join(", and "));
            vmt_files::warn(format_args!("vmt: {name}: can be read once only or is longer than a day, so {so}"));
        }
        Ok(choice.click(found, hits, length, conditioned)?)
    }

    /// The hits of --hit and --hits with their labels, in order; times count from the beginning of the film's part.
    fn set_hits(
        &self,
        input: &InputArgs,
        film: &Film,
        range: &Range<Duration>,
        length: Option<Duration>,
    ) -> Result<Vec<(Hit, String)>> {
        let downbeat = |&time| (Hit::new(Duration::from_secs_f64(time), HitKind::Downbeat), String::new());
        let mut hits: Vec<(Hit, String)> = self.downbeats.iter().map(downbeat).collect();
        if let Some(file) = &self.hits {
            let name = || file.display().to_string();
            let (numerator, denominator) = input.frame_rate(film)?;
            let rate = FrameRate::new(numerator, denominator)?;
            let part = length.map_or(Duration::MAX, |length| range.start.saturating_add(length));
            // Behind the part there may be more of the film.
            let duration = if range.end == Duration::MAX { part } else { Duration::MAX };
            let list = read_markers(&fs::read(file).with_context(name)?, &Timeline { rate, duration, start: None });
            let list = list.with_context(name)?;
            if list.hours_subtracted > 0 {
                let hour = list.hours_subtracted;
                vmt_files::warn(format_args!("vmt: {}: its timecode begins at hour {hour}", name()));
            }
            let inside =
                list.markers.into_iter().filter(|marker| marker.hit.time >= range.start && marker.hit.time <= part);
            let before = hits.len();
            hits.extend(
                inside.map(|marker| {
                    (Hit { time: marker.hit.time.saturating_sub(range.start), ..marker.hit }, marker.label)
                }),
            );
            ensure!(hits.len() > before, "{}: must have a marker in the film, but has none", name());
        }
        hits.sort_by_key(|(hit, _)| hit.time);
        Ok(hits)
    }
}

fn tempo(text: &str) -> Result<TempoChoice> {
    Ok(match text {
        "auto" => TempoChoice::Auto,
        "off" => TempoChoice::Off,
        _ => {
            let bpm = text.parse().ok().context("it must be auto, beats a minute or off")?;
            Tempo::new(bpm)?;
            TempoChoice::Bpm(bpm)
        }
    })
}

/// A moment at most a day from the beginning.
fn hit(text: &str) -> Result<f64> {
    let seconds = moment::seconds(text)?;
    ensure!(seconds <= 86400.0, "it must be within a day");
    Ok(seconds)
}
