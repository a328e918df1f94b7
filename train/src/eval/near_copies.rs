//! How much pieces share with the songs that models were trained on, beside what held-out songs do.

use vmt::{Decoded, Score};

use super::corpus::Corpus;
use super::evaluation::Evaluation;
use super::melody::Melody;
use super::report::{NearCopy, Unit, Value};
use super::statistics::{Sample, quantile};
use super::tables::{Outcome, Table};

/// Pieces that share more than this share of the fragments of held-out songs do are listed.
const RARE: f64 = 0.99;

/// The song that a piece is for, and how many notes the piece shares with songs for training.
type Shared = (usize, f64);
type Row<'a> = &'a dyn Fn(&[Shared]) -> Option<Value>;

impl Evaluation<'_> {
    /// The rows, and the pieces that share more with a song than nearly all held-out fragments do.
    pub fn near_copies(&self, corpus: &Corpus, outcomes: &[Outcome], table: &mut Table) -> Vec<NearCopy> {
        let notes = |score: &Score| corpus.longest(&Melody::of(score)).map_or(0, |run| run.notes) as f64;
        // All of the split, so that one in a hundred is some.
        let mut songs: Vec<&str> = Vec::new();
        let held_out = (0..self.held_out.count()).map(|index| {
            let (song, _) = self.held_out.place(index);
            if songs.last() != Some(&song) {
                songs.push(song);
            }
            (songs.len(), notes(&Score::decode(self.held_out.music(index), self.window).score))
        });
        let original: Vec<Shared> = held_out.collect();
        let of = |pieces: &[Decoded]| -> Vec<Shared> {
            self.pieces.iter().zip(pieces).map(|(&place, piece)| (self.songs[place], notes(&piece.score))).collect()
        };
        let written: Vec<Vec<Shared>> = outcomes.iter().map(|outcome| of(&outcome.constrained)).collect();
        let percentile = |notes: &[Shared]| quantile(&notes.iter().map(|one| one.1).collect::<Vec<_>>(), RARE);
        let most = percentile(&original);

        let window = self.seconds();
        let mean = |notes: &[Shared], value: &dyn Fn(f64) -> f64| {
            self.interval(notes.iter().map(|&(song, notes)| Sample { song, sum: value(notes), weight: 1.0 }))
        };
        let mut add = |id: &str, unit, doc: &str, value: Row| {
            let models = written.iter().map(|notes| value(notes));
            table.add(&format!("{id}.{window}s"), unit, doc, models, value(&original));
        };
        add(
            "copies.notes",
            Unit::Number,
            "Notes of the longest run of the melody (the highest note of each onset) that is in a song for training too, with \
             the same intervals, and the same ratios of durations to half an octave: in any key and tempo. The original's are of \
             all fragments of the split.",
            &|notes| mean(notes, &|notes| notes),
        );
        add("copies.notes.p99", Unit::Number, "The 99th percentile of the same.", &|notes| {
            Some(percentile(notes).into())
        });
        add(
            "copies.above",
            Unit::Share,
            "Pieces whose run is longer than the original's 99th percentile; those of models are listed below.",
            &|notes| mean(notes, &|notes| f64::from(notes > most)),
        );

        let mut found = Vec::new();
        for (candidate, outcome) in self.candidates.iter().zip(outcomes) {
            for (number, piece) in outcome.constrained.iter().enumerate() {
                let run = corpus.longest(&Melody::of(&piece.score)).filter(|run| run.notes as f64 > most);
                found.extend(run.map(|run| NearCopy {
                    piece: self.piece_name(number, &candidate.name),
                    at: run.at.into(),
                    notes: run.notes,
                    song: run.song.to_owned(),
                    song_at: run.song_at.into(),
                }));
            }
        }
        found.sort_by_key(|copy| std::cmp::Reverse(copy.notes));
        found
    }
}
