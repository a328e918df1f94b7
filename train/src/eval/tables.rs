//! The metrics of a report, from what was measured.

use std::collections::BTreeSet;
use std::f64::consts::LN_2;
use std::iter::zip;

use vmt::{Corpus, Decoded, STEPS_PER_SECOND, Score};

use super::evaluation::{Candidate, Evaluation, SWAPS};
use super::features;
use super::likelihood::Likelihood;
use super::report::{Metric, Report, Unit, Value};
use super::statistics::{Sample, bootstrap, mean, mismatch, quantile, spearman};
use crate::data::MAX_TOKENS;
use crate::random::Stream;
use crate::synth::Channels;

/// Random pairings that a correlation is compared with.
const PAIRINGS: u64 = 1000;

/// What was measured of a model.
pub struct Outcome {
    /// Of each fragment.
    pub likelihoods: Vec<Likelihood>,
    /// Its music for each piece, generated without grammar.
    pub raw: Vec<Decoded>,
    /// And with it.
    pub constrained: Vec<Decoded>,
    /// Its music for the beginnings of songs.
    pub excerpts: Vec<Score>,
    /// Its pieces for each real film.
    pub films: Vec<Vec<Score>>,
}

impl Evaluation<'_> {
    /// All metrics, by section.
    pub fn report(&self, outcomes: &[Outcome], corpus: Option<&Corpus>) -> Report {
        let mut table = Table { section: "", metrics: Vec::new() };
        self.likelihoods(outcomes, &mut table);
        self.swap_test(outcomes, &mut table);
        table.section = "Free generation without grammar";
        self.free(outcomes, &mut table, "raw", |outcome| &outcome.raw);
        table.section = "Free generation with grammar";
        self.free(outcomes, &mut table, "grammar", |outcome| &outcome.constrained);
        table.section = "Rhythm, without grammar: the model alone";
        self.rhythm(outcomes, &mut table, "raw.", |outcome| &outcome.raw);
        table.section = "Rhythm, with grammar: as `vmt compose` does it";
        self.rhythm(outcomes, &mut table, "", |outcome| &outcome.constrained);
        self.music(outcomes, &mut table);
        self.following(outcomes, &mut table);
        if !self.excerpts.is_empty() {
            table.section = "Long pieces: the beginnings of songs, with grammar";
            self.long_pieces(outcomes, &mut table);
        }
        table.section = "Does the music follow real film?";
        self.real_films(outcomes, &mut table);
        table.section = "Near copies of songs for training, with grammar";
        let near_copies = corpus.map_or(Vec::new(), |corpus| self.near_copies(corpus, outcomes, &mut table));

        let names = |keep: fn(&&Candidate) -> bool| self.candidates.iter().filter(keep).map(|one| one.name.clone());
        let drawn = (!self.held_out.rendered()).then(|| {
            "what each channel is worth, and long pieces, since only pictures that are drawn can be drawn without a \
             channel, and for a whole song."
                .to_owned()
        });
        let films = self.films.is_empty().then(|| "music for real film, for want of footage.".to_owned());
        let copies = corpus.is_none().then(|| "near copies, for want of songs for training in the data.".to_owned());
        Report {
            split: self.options.split,
            songs: self.songs.iter().collect::<BTreeSet<_>>().len(),
            fragments: self.fragments.len(),
            seconds: self.seconds(),
            pieces: self.pieces.len(),
            temperature: self.options.sampling.temperature,
            top_p: self.options.sampling.top_p,
            guidance: self.options.guidance,
            told: self.what_models_are_told(),
            seed: self.options.seed,
            columns: names(|_| true).chain(["original".into()]).collect(),
            blind: names(|one| one.blind).collect(),
            left_out: drawn.into_iter().chain(copies).chain(films).collect(),
            metrics: table.metrics,
            near_copies,
        }
    }

    /// What models with conditions know, and which models have none.
    fn what_models_are_told(&self) -> Vec<String> {
        let names = |told: bool| -> Option<String> {
            let names = self.candidates.iter().filter(|one| one.model.has_conditions() == told);
            let names: Vec<_> = names.map(|one| one.name.as_str()).collect();
            (!names.is_empty()).then(|| names.join(", "))
        };
        let known = self.held_out.rendered();
        let scored = if known { "the song's beats, bars, key and end" } else { "nothing" };
        let composing = match self.options.tempo {
            Some(tempo) => {
                let bpm = (6e9 / f64::from(tempo.micros())).round() / 100.0;
                format!("steady beats, {bpm} a minute in 4/4, and the end of the piece")
            }
            None if known => "the song's beats, bars and key, hit points, and the end of the piece".to_owned(),
            None => "the end of the piece".to_owned(),
        };
        let films = match (self.films.is_empty(), self.options.tempo) {
            (true, _) => "",
            (false, None) => {
                "; for real films, a click track that meets their cuts, and how much their pictures change"
            }
            (false, Some(_)) => "; for real films, also how much their pictures change",
        };
        let beats = known || self.options.tempo.is_some();
        let grid = if beats && self.options.quantize { ". With grammar, notes begin on sixteenths" } else { "" };
        let conditioned = names(true).map(|names| {
            format!("{names}: told {scored} where likelihoods are measured; composing, told {composing}{films}{grid}.")
        });
        let others = names(false).map(|names| format!("{names}: told nothing, for want of conditions."));
        conditioned.into_iter().chain(others).collect()
    }

    /// A mean over fragments with its interval; `None` without any. All models' intervals draw the same songs.
    pub fn interval(&self, samples: impl Iterator<Item = Sample>) -> Option<Value> {
        let samples: Vec<_> = samples.filter(|sample| sample.weight > 0.0).collect();
        let (value, range) = (!samples.is_empty())
            .then(|| bootstrap(&samples, &mut Stream::new(self.options.seed, "bootstrap", &[])))?;
        Some(Value { range: Some(range), ..value.into() })
    }

    fn likelihoods(&self, outcomes: &[Outcome], table: &mut Table) {
        table.section = "Likelihood";
        let mut add_per = |id, unit, doc: &str, weight: &dyn Fn(usize, &Likelihood) -> f64, sum: Sum| {
            let value = |outcome: &Outcome| {
                let sample = |(place, of): (usize, &Likelihood)| {
                    Some(Sample { song: of.song, sum: sum(outcome, place)?, weight: weight(place, of) })
                };
                self.interval(outcome.likelihoods.iter().enumerate().filter_map(sample))
            };
            table.add(id, unit, doc, outcomes.iter().map(value), None);
        };
        add_per(
            "nll.note",
            Unit::Nats,
            "The negative log-likelihood of a fragment over its notes: comparable between encodings of music.",
            &|place, _| self.originals[place].score.notes().len() as f64,
            &|outcome, place| Some(outcome.likelihoods[place].own),
        );
        add_per(
            "nll.second",
            Unit::Bits,
            "The same in bits, over the seconds of the fragment.",
            &|_, _| self.seconds(),
            &|outcome, place| Some(outcome.likelihoods[place].own / LN_2),
        );
        let mut add = |id, unit, doc: &str, sum: Sum| add_per(id, unit, doc, &|_, of| of.events as f64, sum);
        add(
            "nll.event",
            Unit::Nats,
            "Negative log-likelihood of an event after all those before it: the training loss (paper section 4.1).",
            &|outcome, place| Some(outcome.likelihoods[place].own),
        );
        add("nll.event.no_video", Unit::Nats, "The same where the model is shown no video.", &|outcome, place| {
            Some(outcome.likelihoods[place].no_video)
        });
        add(
            "nll.event.nothing_known",
            Unit::Nats,
            "The same where a model with conditions is shown the video, but told nothing.",
            &|outcome, place| outcome.likelihoods[place].nothing_known,
        );
        let first = &outcomes[0];
        add(
            "nll.event.above_first",
            Unit::Nats,
            "`nll.event` less that of the first model, event by event: above 0, the first model is better.",
            &|outcome, place| {
                let other = !std::ptr::eq(first, outcome);
                other.then(|| outcome.likelihoods[place].own - first.likelihoods[place].own)
            },
        );
        add(
            "accuracy.event",
            Unit::Share,
            "Events that are the most likely ones under the model, each after all those before it.",
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
        if self.held_out.rendered() {
            for (index, (channel, _)) in Channels::all_but_one().into_iter().enumerate() {
                add(
                    &format!("swap.gain_lost.{channel}"),
                    Unit::Nats,
                    "How much less is gained where the fragment's own video is drawn without this channel: the \
                     negative log-likelihood then less that with all channels, per event; mean over fragments.",
                    &|of| Some((of.without.get(index)? - of.own) / of.events as f64),
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
            &|piece| features::onset_repetition(&piece.score),
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
            let written: Vec<_> = outcomes.iter().map(|outcome| values(&outcome.constrained)).collect();
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
            zip(&outcome.constrained, &self.pieces).filter_map(both).collect();
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

/// What a fragment adds to a sum of a model's.
type Sum<'a> = &'a dyn Fn(&Outcome, usize) -> Option<f64>;

/// What the fragment's own video gains an event; `None` for a blind model.
fn swap_gain(of: &Likelihood) -> Option<f64> {
    (!of.swapped.is_empty()).then(|| (mean(of.swapped.iter().copied()) - of.own) / of.events as f64)
}

type Statistic = (&'static str, Unit, &'static str, fn(&Score) -> f64);

/// Features of music: the mean of what is generated should lie where most originals do.
const STATISTICS: [Statistic; 5] = [
    (
        "pitch_class_entropy",
        Unit::Bits,
        "Entropy of the twelve pitch classes' shares of the notes (Wu and Yang 2020; MusPy, Dong et al. 2020).",
        features::pitch_class_entropy,
    ),
    ("notes_per_second", Unit::NotesPerSecond, "Notes that begin, over the fragment.", features::notes_per_second),
    (
        "polyphony.10ms",
        Unit::Number,
        "Notes at once, a mean over the steps of 10 ms in which any sounds (Mogren 2016; MusPy).",
        features::polyphony,
    ),
    (
        "scale_consistency",
        Unit::Share,
        "Notes that lie in the best fitting of 24 major and natural minor scales (Mogren 2016; MusPy).",
        features::scale_consistency,
    ),
    (
        "longest_silence",
        Unit::Seconds,
        "The longest time without a sound, beginning and end included.",
        features::longest_silence,
    ),
];

type Followed = fn(&Score) -> Option<f64>;

/// What rendered video shows of its music, and what is generated for it can be compared by.
const FOLLOWED: [(&str, Followed); 3] = [
    ("density", |score| Some(features::notes_per_second(score))),
    ("loudness", features::loudness),
    ("register", features::register),
];

/// Metrics in order; those without any value are left out.
pub struct Table {
    pub section: &'static str,
    metrics: Vec<Metric>,
}

impl Table {
    pub fn add(
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
    use std::time::Duration;

    use vmt::{Conditions, Geometry, Note, Pitch, midi};

    use super::super::evaluation::{EvalOptions, spread};
    use super::super::held_out::HeldOut;
    use super::super::report::NearCopy;
    use super::*;
    use crate::ModelConfig;
    use crate::data::{Split, Splits};

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

    /// The report on models with these outcomes.
    fn report(outcomes: &[Outcome]) -> Report {
        report_with(outcomes, &[], None)
    }

    fn report_with(outcomes: &[Outcome], candidates: &[Candidate], corpus: Option<&Corpus>) -> Report {
        let folder = tempfile::tempdir().unwrap();
        for index in 0..4 {
            fs::write(folder.path().join(format!("{index}.mid")), midi::write(&song(index)).unwrap()).unwrap();
        }
        let splits = Splits::Listed((0..4).map(|index| (index.to_string(), Split::Test)).collect());
        let held_out = HeldOut::open(folder.path(), Split::Test, &splits, &[Geometry::PAPER]).unwrap();
        assert_eq!(held_out.count(), 4);
        let options = EvalOptions { fragments: 4, pieces: 4, ..EvalOptions::fragments_of(Split::Test) };
        let evaluation = Evaluation {
            held_out: &held_out,
            candidates,
            options: &options,
            window: Duration::from_secs(10),
            fragments: spread(4, 9),
            songs: vec![0, 1, 2, 3],
            swaps: Vec::new(),
            originals: (0..4).map(|index| Score::decode(held_out.music(index), Duration::from_secs(10))).collect(),
            annotated: vec![Conditions::default(); 4],
            told: vec![Conditions::default(); 4],
            pieces: spread(4, 4),
            excerpts: Vec::new(),
            films: &[],
            progress: &|_, _, _| {},
        };
        evaluation.report(outcomes, corpus)
    }

    /// Of a model that is shown no video.
    fn likelihood(song: usize) -> Likelihood {
        Likelihood {
            song,
            events: 1,
            hits: 0,
            own: 1.0,
            no_video: 1.0,
            nothing_known: None,
            swapped: Vec::new(),
            without: Vec::new(),
        }
    }

    fn outcome(likelihood: impl Fn(usize) -> Likelihood, raw: Vec<Decoded>, constrained: Vec<Decoded>) -> Outcome {
        Outcome {
            likelihoods: (0..4).map(likelihood).collect(),
            raw,
            constrained,
            excerpts: Vec::new(),
            films: Vec::new(),
        }
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
            own: 20.0,
            no_video: 25.0,
            nothing_known: Some(40.0),
            swapped: if song < 3 { vec![22.0, 23.0, 27.0] } else { vec![18.0, 18.0, 18.0] },
            without: (0..9).map(|channel| if channel == 1 { 21.0 } else { 20.0 }).collect(),
        };
        let blind = |song| Likelihood { events: 10, own: 30.0, no_video: 30.0, ..likelihood(song) };
        let silent = || (0..4).map(|_| decoded(notes([], 60, 64))).collect::<Vec<_>>();
        let report = report(&[outcome(seeing, silent(), silent()), outcome(blind, silent(), silent())]);
        check(&report, "nll.event", &[Some(2.0), Some(3.0), None]);
        check(&report, "nll.event.no_video", &[Some(2.5), Some(3.0), None]);
        check(&report, "nll.event.nothing_known", &[Some(4.0), None, None]);
        // 13 + 12 + 11 + 10 notes, 10 s each.
        check(&report, "nll.note", &[Some(80.0 / 46.0), Some(120.0 / 46.0), None]);
        check(&report, "nll.second", &[Some(2.0 / LN_2), Some(3.0 / LN_2), None]);
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
    fn near_copies_are_listed() {
        let tune = |semitones: u8| {
            let note = |(place, above): (usize, u8)| Note {
                start: 40 * place as u32,
                end: 40 * place as u32 + 20,
                pitch: Pitch::new(50 + semitones + above).unwrap(),
                velocity: 64,
            };
            let notes = [0, 7, 3, 12, 5, 1, 9, 4, 20, 2, 15, 6].into_iter().enumerate().map(note).collect();
            Score::new(notes, Duration::from_secs(10)).unwrap()
        };
        let corpus = Corpus::new([("some song".into(), 20.0, tune(0))]);
        let other = || decoded(notes([0, 100, 200], 60, 64));
        let pieces = vec![other(), other(), decoded(tune(9)), other()];
        let candidate = Candidate {
            name: "thief".into(),
            model: ModelConfig::load(concat!(env!("CARGO_MANIFEST_DIR"), "/configs/tiny-vmt.yaml"))
                .unwrap()
                .init(1, &burn::tensor::Device::flex()),
            geometry: Geometry::PAPER,
            blind: false,
        };
        let report = report_with(&[outcome(likelihood, vec![other(); 4], pieces)], &[candidate], Some(&corpus));
        // Eleven of twelve notes have one before them.
        check(&report, "copies.notes.10s", &[Some(11.0 / 4.0), Some(0.0)]);
        check(&report, "copies.above.10s", &[Some(0.25), Some(0.0)]);
        let want =
            NearCopy { piece: "2-000s.thief".into(), at: 0.4, notes: 11, song: "some song".into(), song_at: 20.4 };
        let [found] = &report.near_copies[..] else { panic!("{:?}", report.near_copies) };
        assert_eq!((&found.piece, found.notes, &found.song), (&want.piece, want.notes, &want.song));
        assert!((found.at - want.at).abs() < 1e-5 && (found.song_at - want.song_at).abs() < 1e-5, "{found:?}");
    }

    #[test]
    fn generation_by_hand() {
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
