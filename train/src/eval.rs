//! Trained models beside each other, on songs that none has learned from: `vmt-train eval`.

mod held;
pub mod report;
pub mod statistics;

use std::collections::{BTreeMap, BTreeSet};
use std::iter::zip;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use vmt::decode::{Generator, Grammar, Guidance, Lane, LogitsProcessor, Unconstrained};
use vmt::{Clip, Decoded, Geometry, STEPS_PER_SECOND, Sampling, Score, Token};

use crate::data::{Batch, Fragment};
use crate::prepared::Share;
use crate::random::Stream;
use crate::recipe::MAX_TOKENS;
use crate::synth::Channels;
use crate::train::on_threads;
use crate::{BurnEngine, Model};
pub use held::Held;
use report::{Metric, Report, Unit, Value};
use statistics::{Sample, bootstrap, mean, mismatch, quantile, spearman};

/// Clips of other songs that each fragment's music is held against.
const SWAPS: u64 = 3;
/// Wrong pairings that a correlation is compared with.
const PAIRINGS: u64 = 1000;
/// Views of a fragment that go through a model at once: what memory has room for at the paper's size.
const VIEWS: usize = 7;
/// Pieces that are decoded side by side. The seed's music depends on it.
const LANES: usize = 8;

/// A model that takes part.
pub struct Candidate {
    /// What to call it.
    pub name: String,
    /// The model.
    pub model: Model,
    /// The clips it sees.
    pub geometry: Geometry,
    /// It is shown no video, as it learned.
    pub blind: bool,
}

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whose songs the fragments are of.
    pub share: Share,
    /// Fragments, spread evenly; all if there are fewer.
    pub fragments: usize,
    /// Fragments among them that each model writes music for.
    pub pieces: usize,
    /// How closely what models write follows the film ([`vmt::decode::Guidance`]); 1 is the model itself.
    pub guidance: f32,
    /// Decides over pictures, swaps, music and intervals.
    pub seed: u64,
    /// Threads that share the work. They change no number.
    pub threads: usize,
}

/// A piece of music, to listen to.
pub struct Piece {
    /// `SONG-SECONDS.WHO`: whose fragment it is, and who wrote it. What was written without grammar ends in `.raw`.
    pub name: String,
    /// The music.
    pub score: Score,
}

/// Compares `candidates` (at least one) on fragments of `held`. `progress` is told what is done, how much of it is, and
/// how much there is.
pub fn evaluate(
    held: &Held,
    candidates: &[Candidate],
    options: &Options,
    progress: &(dyn Fn(&str, usize, usize) + Sync),
) -> Result<(Report, Vec<Piece>)> {
    ensure!(options.fragments > 0 && options.pieces > 0, "there must be at least one fragment and one piece");
    let guidance = options.guidance;
    ensure!((0.0..=10.0).contains(&guidance), "guidance: must be within 0-10, but is {guidance}");
    let fragments = spread(held.count(), options.fragments);
    let mut songs = BTreeMap::new();
    let song = |&index: &usize| {
        let next = songs.len();
        *songs.entry(held.place(index).0).or_insert(next)
    };
    let songs: Vec<usize> = fragments.iter().map(song).collect();
    let swap = |number| mismatch(&songs, &mut Stream::new(options.seed, "swap", &[number]));
    let swaps = (0..SWAPS).map(swap).collect::<Option<_>>().context(
        "fragments are compared with those of other songs, so no song may have more than half of them; \
         take more songs",
    )?;
    let window = candidates[0].geometry.window();
    let decoded = |index: &usize| Score::decode(held.music(*index), window);
    let originals = fragments.iter().map(decoded).collect();
    let pieces = spread(fragments.len(), options.pieces);
    let evaluation =
        Evaluation { held, candidates, options, window, fragments, songs, swaps, originals, pieces, progress };
    let outcomes: Vec<_> = candidates.iter().map(|one| evaluation.outcome(one)).collect::<Result<_>>()?;
    Ok((evaluation.report(&outcomes), evaluation.to_listen_to(&outcomes)))
}

/// So many of `0..count`, evenly spread; all if there are fewer.
fn spread(count: usize, wanted: usize) -> Vec<usize> {
    let wanted = wanted.min(count);
    (0..wanted).map(|i| i * count / wanted).collect()
}

/// What all models are measured on. A fragment's place is its index in `fragments`.
struct Evaluation<'a> {
    held: &'a Held,
    candidates: &'a [Candidate],
    options: &'a Options,
    window: Duration,
    /// Indices in `held`.
    fragments: Vec<usize>,
    /// The song of each.
    songs: Vec<usize>,
    /// Places of fragments of other songs, for each, several times.
    swaps: Vec<Vec<usize>>,
    /// Their music.
    originals: Vec<Decoded>,
    /// Places of the fragments that music is written for.
    pieces: Vec<usize>,
    progress: &'a (dyn Fn(&str, usize, usize) + Sync),
}

/// What was measured of a model.
struct Outcome {
    /// Of each fragment.
    likelihoods: Vec<Likelihood>,
    /// What it wrote for each piece without grammar.
    raw: Vec<Decoded>,
    /// And with it.
    kept: Vec<Decoded>,
}

/// How a model foresees the music of one fragment; negative log-likelihoods in nats, over all its events.
struct Likelihood {
    song: usize,
    events: usize,
    /// Events that were the likeliest.
    hits: usize,
    /// Shown what the model is always shown: the fragment's pictures, unless it is blind.
    right: f64,
    no_video: f64,
    /// Shown pictures of other songs; none for a blind model.
    swapped: Vec<f64>,
    /// Shown pictures without one channel, as in [`Channels::all_but_one`]; none for a blind model.
    without: Vec<f64>,
}

impl Evaluation<'_> {
    fn outcome(&self, candidate: &Candidate) -> Result<Outcome> {
        let name = &candidate.name;
        let likelihood = |place| self.likelihood(candidate, place);
        let likelihoods = self.each(self.fragments.len(), &format!("{name}: likelihoods"), likelihood)?;
        let engine = BurnEngine::new(candidate.model.clone(), candidate.geometry);
        let groups: Vec<_> = self.pieces.chunks(LANES).collect();
        let write = |grammar: bool, what: &str| -> Result<Vec<Decoded>> {
            let write = |group: usize| self.write(&engine, candidate, groups[group], group as u64, grammar);
            let written = self.each(groups.len(), &format!("{name}: music {what} grammar"), write)?;
            Ok(written.into_iter().flatten().collect())
        };
        Ok(Outcome { likelihoods, raw: write(false, "without")?, kept: write(true, "with")? })
    }

    /// Does `work` for each number below `count`, divided among threads.
    fn each<T: Send>(&self, count: usize, what: &str, work: impl Fn(usize) -> Result<T> + Sync) -> Result<Vec<T>> {
        let done = AtomicUsize::new(0);
        let one = |number| {
            let result = work(number)?;
            (self.progress)(what, done.fetch_add(1, Ordering::Relaxed) + 1, count);
            Ok(result)
        };
        let parts = on_threads(count, self.options.threads, |range| range.map(one).collect::<Result<Vec<_>>>());
        Ok(parts.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// The pictures of the fragment at `place`, with the same look whenever they are drawn.
    fn clip(&self, place: usize, channels: Channels, geometry: &Geometry) -> Result<Clip> {
        let index = self.fragments[place];
        let seed = Stream::new(self.options.seed, "scene", &[index as u64]).number();
        self.held.clip(index, seed, channels, geometry)
    }

    fn likelihood(&self, Candidate { name, model, geometry, blind }: &Candidate, place: usize) -> Result<Likelihood> {
        let mut clips = vec![None];
        if !blind {
            let own = |channels| self.clip(place, channels, geometry).map(Some);
            clips.push(own(Channels::all())?);
            for swap in &self.swaps {
                clips.push(Some(self.clip(swap[place], Channels::all(), geometry)?));
            }
            if self.held.draws() {
                for (_, channels) in Channels::all_but_one() {
                    clips.push(own(channels)?);
                }
            }
        }
        let tokens = self.held.music(self.fragments[place]);
        let conditions = self.held.conditions(self.fragments[place]);
        let losses = |clips: &[Option<Clip>]| {
            let row = |clip: &Option<Clip>| Fragment {
                clip: clip.clone(),
                tokens: tokens.clone(),
                conditions: conditions.clone(),
            };
            Batch::new(clips.iter().map(row).collect(), geometry, MAX_TOKENS).by_row(model)
        };
        let losses: Vec<(f64, usize)> = clips.chunks(VIEWS).flat_map(losses).collect();
        if let Some((loss, _)) = losses.iter().find(|(loss, _)| !loss.is_finite()) {
            anyhow::bail!("{name}: the likelihood of a fragment is {loss}; its weights are broken");
        }
        let (no_video, shown) = (losses[0], &losses[1..]);
        let (right, hits) = *shown.first().unwrap_or(&no_video);
        let mut rest = shown.iter().skip(1).map(|&(loss, _)| loss);
        Ok(Likelihood {
            song: self.songs[place],
            events: tokens.len().min(MAX_TOKENS),
            hits,
            right,
            no_video: no_video.0,
            swapped: rest.by_ref().take(self.swaps.len()).collect(),
            without: rest.collect(),
        })
    }

    /// What a model writes for the fragments at `places`, temperature 1 as in the authors' code.
    fn write(
        &self,
        engine: &BurnEngine,
        candidate: &Candidate,
        places: &[usize],
        group: u64,
        grammar: bool,
    ) -> Result<Vec<Decoded>> {
        let clip = |&place: &usize| match candidate.blind {
            true => Ok(Clip::without_video(&candidate.geometry)),
            false => self.clip(place, Channels::all(), &candidate.geometry),
        };
        let clips = places.iter().map(clip).collect::<Result<_>>()?;
        let (session, guidance) = Guidance::open(engine, clips, 1, self.options.guidance)?;
        // As a composer has it for a full window.
        let steps = (self.seconds() * f64::from(STEPS_PER_SECOND)) as u32;
        let lane = |_| {
            let mut processors: Vec<Box<dyn LogitsProcessor>> = Vec::new();
            processors.extend(guidance.map(|guidance| Box::new(guidance) as _));
            processors.push(if grammar {
                Box::new(Grammar::new(steps, MAX_TOKENS)?.max_note_steps(candidate.geometry.max_note_steps()))
            } else {
                Box::new(Unconstrained::new(MAX_TOKENS))
            });
            Ok(Lane::new(Vec::new(), processors))
        };
        let lanes = places.iter().map(lane).collect::<Result<_>>()?;
        let seed = Stream::new(self.options.seed, "music", &[group]).number();
        let mut tokens: Vec<Vec<Token>> = vec![Vec::new(); places.len()];
        for sampled in Generator::new(session, Sampling::default().with_seed(seed), 0, lanes) {
            for (tokens, sampled) in zip(&mut tokens, sampled?) {
                tokens.extend(sampled.map(|sampled| sampled.token));
            }
        }
        Ok(tokens.into_iter().map(|tokens| Score::decode(tokens, self.window)).collect())
    }

    fn seconds(&self) -> f64 {
        self.window.as_secs_f64()
    }

    fn to_listen_to(&self, outcomes: &[Outcome]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (number, &place) in self.pieces.iter().enumerate() {
            let (song, start) = self.held.place(self.fragments[place]);
            let mut add = |who: &str, decoded: &Decoded| {
                pieces.push(Piece { name: format!("{song}-{start:03.0}s.{who}"), score: decoded.score.clone() });
            };
            add("original", &self.originals[place]);
            for (Candidate { name, .. }, Outcome { raw, kept, .. }) in zip(self.candidates, outcomes) {
                add(name, &kept[number]);
                add(&format!("{name}.raw"), &raw[number]);
            }
        }
        pieces
    }

    fn report(&self, outcomes: &[Outcome]) -> Report {
        let mut table = Table { section: "", metrics: Vec::new() };
        self.likelihoods(outcomes, &mut table);
        self.swap_test(outcomes, &mut table);
        table.section = "Free generation without grammar";
        self.free(outcomes, &mut table, "raw", |outcome| &outcome.raw);
        table.section = "Free generation with grammar";
        self.free(outcomes, &mut table, "grammar", |outcome| &outcome.kept);
        self.music(outcomes, &mut table);
        self.following(outcomes, &mut table);

        let names = |keep: fn(&&Candidate) -> bool| self.candidates.iter().filter(keep).map(|one| one.name.clone());
        let left_out = (!self.held.draws()).then(|| {
            "what each channel is worth, since only pictures that are drawn can be drawn without one.".to_owned()
        });
        Report {
            share: self.options.share,
            songs: self.songs.iter().collect::<BTreeSet<_>>().len(),
            fragments: self.fragments.len(),
            seconds: self.seconds(),
            pieces: self.pieces.len(),
            guidance: self.options.guidance,
            seed: self.options.seed,
            columns: names(|_| true).chain(["original".into()]).collect(),
            blind: names(|one| one.blind).collect(),
            left_out: left_out.into_iter().collect(),
            metrics: table.metrics,
        }
    }

    /// A mean over fragments with its interval; `None` without any. All models' intervals draw the same songs.
    fn interval(&self, samples: impl Iterator<Item = Sample>) -> Option<Value> {
        let samples: Vec<_> = samples.collect();
        let (value, range) = (!samples.is_empty())
            .then(|| bootstrap(&samples, &mut Stream::new(self.options.seed, "bootstrap", &[])))?;
        Some(Value { range: Some(range), ..value.into() })
    }

    fn likelihoods(&self, outcomes: &[Outcome], table: &mut Table) {
        table.section = "Likelihood";
        let mut add = |id, unit, doc: &str, sum: &dyn Fn(&Outcome, usize) -> Option<f64>| {
            let value = |outcome: &Outcome| {
                let sample = |(place, of): (usize, &Likelihood)| {
                    Some(Sample { song: of.song, sum: sum(outcome, place)?, weight: of.events as f64 })
                };
                self.interval(outcome.likelihoods.iter().enumerate().filter_map(sample))
            };
            table.add(id, unit, doc, outcomes.iter().map(value), None);
        };
        add(
            "nll.event",
            Unit::Nats,
            "Negative log-likelihood of an event after all those before it: the training loss (paper section 4.1).",
            &|outcome, place| Some(outcome.likelihoods[place].right),
        );
        add("nll.event.no_video", Unit::Nats, "The same where the model is shown no video.", &|outcome, place| {
            Some(outcome.likelihoods[place].no_video)
        });
        let first = &outcomes[0];
        add(
            "nll.event.above_first",
            Unit::Nats,
            "`nll.event` less that of the first model, event by event: above 0, the first model is better.",
            &|outcome, place| {
                let other = !std::ptr::eq(first, outcome);
                other.then(|| outcome.likelihoods[place].right - first.likelihoods[place].right)
            },
        );
        add(
            "accuracy.event",
            Unit::Share,
            "Events that are the model's likeliest, each after all those before it.",
            &|outcome, place| Some(outcome.likelihoods[place].hits as f64),
        );
    }

    fn swap_test(&self, outcomes: &[Outcome], table: &mut Table) {
        table.section = "Swap test: is it this video?";
        let mut add = |id: &str, unit, doc: &str, value: &dyn Fn(&Likelihood) -> Option<f64>| {
            let sample = |of: &Likelihood| Some(Sample { song: of.song, sum: value(of)?, weight: 1.0 });
            let value = |outcome: &Outcome| self.interval(outcome.likelihoods.iter().filter_map(sample));
            table.add(id, unit, doc, outcomes.iter().map(value), None);
        };
        add(
            &format!("swap.gain.k{SWAPS}"),
            Unit::Nats,
            &format!(
                "What the right video gains an event: the fragment's negative log-likelihood with the video of another \
                 song (mean of {SWAPS}) less that with its own, per event; mean over fragments. Asks of a model what \
                 the paper asks of people as relevance (table 2)."
            ),
            &swap_gain,
        );
        add(&format!("swap.win_rate.k{SWAPS}"), Unit::Share, "Fragments whose gain is above 0.", &|of| {
            swap_gain(of).map(|gain| f64::from(gain > 0.0))
        });
        if self.held.draws() {
            for (index, (channel, _)) in Channels::all_but_one().into_iter().enumerate() {
                add(
                    &format!("swap.gain_lost.{channel}"),
                    Unit::Nats,
                    "How much less is gained where the fragment's own video is drawn without this channel: the \
                     negative log-likelihood then less that with all channels, per event; mean over fragments.",
                    &|of| Some((of.without.get(index)? - of.right) / of.events as f64),
                );
            }
        }
    }

    fn free(&self, outcomes: &[Outcome], table: &mut Table, how: &str, of: fn(&Outcome) -> &Vec<Decoded>) {
        let window = self.seconds();
        let mut add = |id: String, unit, doc: &str, value: &dyn Fn(&Decoded) -> Option<f64>| {
            let mean = |pieces: &Vec<Decoded>| {
                let values: Vec<f64> = pieces.iter().filter_map(value).collect();
                (!values.is_empty()).then(|| mean(values).into())
            };
            let written = outcomes.iter().map(|outcome| mean(of(outcome)));
            table.add(&format!("{how}.{id}"), unit, doc, written, mean(&self.originals));
        };
        add(
            format!("ended.{MAX_TOKENS}"),
            Unit::Share,
            &format!("Pieces that end within {MAX_TOKENS} events (paper section 4.3)."),
            &|piece| Some(f64::from(piece.ended)),
        );
        add(
            format!("length_error.{window}s"),
            Unit::Seconds,
            "How far the end is from the video's, either way; where there is none, how far the piece had come \
             (paper section 4.3).",
            &|piece| Some((f64::from(piece.end_step) / f64::from(STEPS_PER_SECOND) - window).abs()),
        );
        add(
            "unmatched".into(),
            Unit::Number,
            "NOTE_OFFs of keys that are not down, per piece (paper section 4.3).",
            &|piece| Some(piece.unmatched_offs as f64),
        );
        add("unclosed".into(), Unit::Number, "Notes that are never closed, per piece (paper section 4.3).", &|piece| {
            Some(piece.unclosed as f64)
        });
        add(
            "repetition.30ms".into(),
            Unit::Share,
            "Onsets that strike just the keys of the onset before, of all but the piece's first; an onset is a note \
             and all that begin less than 30 ms after it (paper section 4.3 finds them with SEQ2SEQ).",
            &|piece| statistics::onset_repetition(&piece.score),
        );
    }

    fn music(&self, outcomes: &[Outcome], table: &mut Table) {
        table.section = "Music, with grammar";
        let window = self.seconds();
        for (id, unit, doc, statistic) in STATISTICS {
            let values = |pieces: &[Decoded]| pieces.iter().map(|piece| statistic(&piece.score)).collect::<Vec<_>>();
            let originals = values(&self.originals);
            let [low, high] = [0.05, 0.95].map(|share| quantile(&originals, share));
            let inside = |value: f64| (low..=high).contains(&value);
            let original = Value { range: Some([low, high]), ..mean(originals.iter().copied()).into() };
            let written: Vec<_> = outcomes.iter().map(|outcome| values(&outcome.kept)).collect();
            let means = written.iter().map(|values| {
                let value = mean(values.iter().copied());
                Some(Value { inside: Some(inside(value)), ..value.into() })
            });
            table.add(&format!("{id}.{window}s"), unit, doc, means, Some(original));

            let share = |values: &Vec<f64>| Some(mean(values.iter().map(|&value| f64::from(inside(value)))).into());
            let doc = "Pieces for which it lies within the original's 5th to 95th percentile.";
            let shares = written.iter().map(share);
            table.add(&format!("{id}.{window}s.inside"), Unit::Share, doc, shares, share(&originals));
        }
    }

    fn following(&self, outcomes: &[Outcome], table: &mut Table) {
        table.section = "Does the music follow the video? With grammar";
        let window = self.seconds();
        for (id, value) in FOLLOWED {
            let followed: Vec<_> = outcomes.iter().map(|outcome| self.followed(outcome, value)).collect();
            let docs = [
                "Rank correlation (Spearman 1904) between the music and the original, which the video shows: of notes \
                 a second (density), mean velocities (loudness) or mean pitches (register); pieces without notes, \
                 which have neither of the last two, are left out there."
                    .to_owned(),
                format!("The same with originals of other songs, mean of {PAIRINGS} pairings of the pieces."),
                "The share of those pairings, the right one counted too, whose correlation is as high (Phipson and \
                 Smyth 2010)."
                    .to_owned(),
            ];
            for (index, (kind, doc)) in zip(["rho", "control", "p"], docs).enumerate() {
                let values = followed.iter().map(|followed| Some(followed.as_ref()?[index].into()));
                table.add(&format!("{id}.{kind}.{window}s"), Unit::Number, &doc, values, None);
            }
        }
    }

    /// The correlation, that of wrong pairings, and how many of those are as high; `None` where there is none.
    fn followed(&self, outcome: &Outcome, value: Followed) -> Option<[f64; 3]> {
        let both = |(piece, &place): (&Decoded, &usize)| {
            Some((value(&piece.score)?, value(&self.originals[place].score)?, self.songs[place]))
        };
        let (written, original, songs): (Vec<_>, Vec<_>, Vec<_>) =
            zip(&outcome.kept, &self.pieces).filter_map(both).collect();
        let rho = spearman(&written, &original)?;
        let wrong = |number| {
            let others = mismatch(&songs, &mut Stream::new(self.options.seed, "pairing", &[number]))?;
            spearman(&written, &others.iter().map(|&other| original[other]).collect::<Vec<_>>())
        };
        let wrong: Vec<f64> = (0..PAIRINGS).map(wrong).collect::<Option<_>>()?;
        // Rounding must not tell equal correlations apart.
        let as_high = wrong.iter().filter(|&&wrong| wrong >= rho - 1e-12).count();
        Some([rho, mean(wrong), (as_high + 1) as f64 / (PAIRINGS + 1) as f64])
    }
}

/// What the right video gains an event; `None` for a blind model.
fn swap_gain(of: &Likelihood) -> Option<f64> {
    (!of.swapped.is_empty()).then(|| (mean(of.swapped.iter().copied()) - of.right) / of.events as f64)
}

type Statistic = (&'static str, Unit, &'static str, fn(&Score) -> f64);

/// What music is like. A piece's mean should lie where most originals do.
const STATISTICS: [Statistic; 5] = [
    (
        "pitch_class_entropy",
        Unit::Bits,
        "Entropy of the twelve pitch classes' shares of the notes (Wu and Yang 2020; MusPy, Dong et al. 2020).",
        statistics::pitch_class_entropy,
    ),
    ("notes_per_second", Unit::NotesPerSecond, "Notes that begin, over the fragment.", statistics::notes_per_second),
    (
        "polyphony.10ms",
        Unit::Number,
        "Notes at once, a mean over the steps of 10 ms in which any sounds (Mogren 2016; MusPy).",
        statistics::polyphony,
    ),
    (
        "scale_consistency",
        Unit::Share,
        "Notes that lie in the best fitting of 24 major and natural minor scales (Mogren 2016; MusPy).",
        statistics::scale_consistency,
    ),
    (
        "longest_silence",
        Unit::Seconds,
        "The longest time without a sound, beginning and end included.",
        statistics::longest_silence,
    ),
];

type Followed = fn(&Score) -> Option<f64>;

/// What the pictures show of the music, and can be compared with what is written for them.
const FOLLOWED: [(&str, Followed); 3] = [
    ("density", |score| Some(statistics::notes_per_second(score))),
    ("loudness", statistics::loudness),
    ("register", statistics::register),
];

/// Metrics, as they come; those that nothing has are left out.
struct Table {
    section: &'static str,
    metrics: Vec<Metric>,
}

impl Table {
    fn add(
        &mut self,
        id: &str,
        unit: Unit,
        doc: &str,
        models: impl Iterator<Item = Option<Value>>,
        original: Option<Value>,
    ) {
        let values: Vec<_> = models.chain([original]).collect();
        if values.iter().any(Option::is_some) {
            let (section, id, doc) = (self.section.to_owned(), id.to_owned(), doc.to_owned());
            self.metrics.push(Metric { section, id, unit, doc, values });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use vmt::{Note, Pitch, midi};

    use super::*;
    use crate::prepared::Split;

    /// A note of half a second on each of `steps`, in a window of 10 s.
    fn notes(steps: impl IntoIterator<Item = u32>, pitch: u8, velocity: u8) -> Score {
        let pitch = Pitch::new(pitch).unwrap();
        let note = |start| Note { start, end: start + 50, pitch, velocity };
        Score::new(steps.into_iter().map(note).collect(), Duration::from_secs(10)).unwrap()
    }

    fn decoded(score: Score) -> Decoded {
        Decoded { score, unmatched_offs: 0, unclosed: 0, end_step: 1000, ended: true }
    }

    /// Song `i` of 4, of one fragment, strikes key `60 + i` at velocity `65 + 4 i`, every `80 + 10 i` steps.
    fn song(index: u8) -> Score {
        notes((0..=950).step_by(80 + 10 * usize::from(index)).chain([950]), 60 + index, 65 + 4 * index)
    }

    /// What the report says of models with these outcomes.
    fn report(outcomes: &[Outcome]) -> Report {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..4 {
            fs::write(folder.path().join(format!("{index}.mid")), midi::write(&song(index)).unwrap()).unwrap();
        }
        let split = Split::Given((0..4).map(|index| (index.to_string(), Share::Test)).collect());
        let held = Held::open(folder.path(), Share::Test, &split, &[Geometry::PAPER]).unwrap();
        assert_eq!(held.count(), 4);
        let options = Options { share: Share::Test, fragments: 4, pieces: 4, guidance: 1.0, seed: 1, threads: 1 };
        let evaluation = Evaluation {
            held: &held,
            candidates: &[],
            options: &options,
            window: Duration::from_secs(10),
            fragments: spread(4, 9),
            songs: vec![0, 1, 2, 3],
            swaps: Vec::new(),
            originals: (0..4).map(|index| Score::decode(held.music(index), Duration::from_secs(10))).collect(),
            pieces: spread(4, 4),
            progress: &|_, _, _| {},
        };
        evaluation.report(outcomes)
    }

    fn outcome(likelihood: impl Fn(usize) -> Likelihood, raw: Vec<Decoded>, kept: Vec<Decoded>) -> Outcome {
        Outcome { likelihoods: (0..4).map(likelihood).collect(), raw, kept }
    }

    #[track_caller]
    fn check(report: &Report, id: &str, want: &[Option<f64>]) {
        let metric = report.metrics.iter().find(|metric| metric.id == id).unwrap();
        assert_eq!(metric.values.len(), want.len());
        for (got, want) in zip(&metric.values, want) {
            let near = match (got, want) {
                (Some(got), Some(want)) => (got.value - want).abs() < 1e-9,
                (got, want) => got.is_none() && want.is_none(),
            };
            assert!(near, "{id}: {got:?}, not {want:?}");
        }
    }

    #[test]
    fn likelihoods_and_swaps_by_hand() {
        // Ten events each; the last fragment loses with its own video. No channel is worth anything but the second.
        let seeing = |song| Likelihood {
            song,
            events: 10,
            hits: song,
            right: 20.0,
            no_video: 25.0,
            swapped: if song < 3 { vec![22.0, 23.0, 27.0] } else { vec![18.0, 18.0, 18.0] },
            without: (0..9).map(|channel| if channel == 1 { 21.0 } else { 20.0 }).collect(),
        };
        let blind = |song| Likelihood {
            song,
            events: 10,
            hits: 0,
            right: 30.0,
            no_video: 30.0,
            swapped: Vec::new(),
            without: Vec::new(),
        };
        let silent = || (0..4).map(|_| decoded(notes([], 60, 64))).collect::<Vec<_>>();
        let report = report(&[outcome(seeing, silent(), silent()), outcome(blind, silent(), silent())]);
        check(&report, "nll.event", &[Some(2.0), Some(3.0), None]);
        check(&report, "nll.event.no_video", &[Some(2.5), Some(3.0), None]);
        check(&report, "nll.event.above_first", &[None, Some(1.0), None]);
        check(&report, "accuracy.event", &[Some(0.15), Some(0.0), None]);
        check(&report, "swap.gain.k3", &[Some((3.0 * 0.4 - 0.2) / 4.0), None, None]);
        check(&report, "swap.win_rate.k3", &[Some(0.75), None, None]);
        check(&report, "swap.gain_lost.onset", &[Some(0.0), None, None]);
        check(&report, "swap.gain_lost.density", &[Some(0.1), None, None]);

        // Three in four fragments win: of four that are drawn, all may win, and one in more than 97.5 % of the draws.
        let win_rate = report.metrics.iter().find(|metric| metric.id == "swap.win_rate.k3").unwrap();
        assert_eq!(win_rate.values[0].unwrap().range, Some([0.25, 1.0]));
        // Silence follows nothing, and is no music.
        assert!(report.metrics.iter().all(|metric| !metric.id.starts_with("density.rho")));
        check(&report, "notes_per_second.10s.inside", &[Some(0.0), Some(0.0), Some(0.5)]);
    }

    #[test]
    fn generation_by_hand() {
        let likelihood = |song| Likelihood {
            song,
            events: 1,
            hits: 0,
            right: 1.0,
            no_video: 1.0,
            swapped: Vec::new(),
            without: Vec::new(),
        };
        let same = || decoded(notes([0, 100, 200], 60, 64));
        let raw = vec![
            Decoded { end_step: 900, unmatched_offs: 3, ..same() },
            Decoded { end_step: 1400, ended: false, unclosed: 2, ..same() },
            same(),
            same(),
        ];
        // As dense and loud as the originals, but the lower the higher they are.
        let lower = |index: u8| {
            let (song, pitch) = (song(index), Pitch::new(80 - index).unwrap());
            let notes = song.notes().iter().map(|note| Note { pitch, ..*note });
            decoded(Score::new(notes.collect(), song.duration()).unwrap())
        };
        let report = report(&[outcome(likelihood, raw, (0..4).map(lower).collect())]);
        check(&report, "raw.ended.1024", &[Some(0.75), Some(1.0)]);
        check(&report, "raw.length_error.10s", &[Some((1.0 + 4.0) / 4.0), Some(0.0)]);
        check(&report, "raw.unmatched", &[Some(0.75), Some(0.0)]);
        check(&report, "raw.unclosed", &[Some(0.5), Some(0.0)]);
        check(&report, "raw.repetition.30ms", &[Some(1.0), Some(1.0)]);
        check(&report, "grammar.length_error.10s", &[Some(0.0), Some(0.0)]);

        check(&report, "density.rho.10s", &[Some(1.0), None]);
        check(&report, "loudness.rho.10s", &[Some(1.0), None]);
        check(&report, "register.rho.10s", &[Some(-1.0), None]);
        let number = |id: &str| report.metrics.iter().find(|metric| metric.id == id).unwrap().values[0].unwrap().value;
        // No wrong pairing is as good as the right one, and each is as good as one that is upside down.
        assert!(number("density.control.10s") < 0.0 && number("register.control.10s") > 0.0);
        assert_eq!(number("density.p.10s"), 1.0 / 1001.0);
        assert_eq!(number("register.p.10s"), 1.0);

        // The statistics of pieces that are as the originals are those of the originals.
        let metric = |id: &str| report.metrics.iter().find(|metric| metric.id == id).unwrap().values.clone();
        let values = metric("notes_per_second.10s");
        assert_eq!(values[0].unwrap().value, values[1].unwrap().value);
        assert_eq!(values[0].unwrap().inside, Some(true));
        check(&report, "polyphony.10ms.10s", &[Some(1.0), Some(1.0)]);
    }
}
