//! How much pieces share with the songs that models were trained on, beside what held-out songs do.

use std::path::Path;

use anyhow::Result;
use vmt::{Corpus, Score};

use super::evaluation::Evaluation;
use super::report::{NearCopy, Unit, Value};
use super::statistics::{Sample, quantile};
use super::tables::{Outcome, Table};
use crate::data::prepared::{DATASET, Prepared};
use crate::data::song::Song;
use crate::data::{Augment, Fragments as _, Split, Splits};

/// What shares more with a song than this share of the fragments of held-out songs do is listed.
const RARE: f64 = 0.99;

/// A piece, and its longest run of notes that a song for training has too.
struct Shared {
    /// Number of the song that the piece is for.
    song: usize,
    /// Of no notes if there is none.
    run: NearCopy,
}

type Row<'a> = &'a dyn Fn(&[Shared]) -> Option<Value>;

impl Evaluation<'_> {
    /// The rows, and what shares more with a song than nearly all held-out fragments do: pieces of models, and fragments of a
    /// held-out song that is among the songs for training by another name.
    pub fn near_copies(&self, corpus: &Corpus, outcomes: &[Outcome], table: &mut Table) -> Vec<NearCopy> {
        let mut columns: Vec<Vec<Shared>> = Vec::new();
        for (candidate, outcome) in self.candidates.iter().zip(outcomes) {
            let piece = |(&place, piece): (&usize, &vmt::Decoded)| Shared {
                song: self.songs[place],
                run: shared(corpus, self.piece_name(self.fragments[place], &candidate.name), &piece.score),
            };
            columns.push(self.pieces.iter().zip(&outcome.constrained).map(piece).collect());
        }
        // All of the split, so that one in a hundred is some.
        let mut songs: Vec<&str> = Vec::new();
        let fragment = |index: usize| {
            let (song, _) = self.held_out.place(index);
            if songs.last() != Some(&song) {
                songs.push(song);
            }
            let score = Score::decode(self.held_out.music(index), self.window).score;
            Shared { song: songs.len(), run: shared(corpus, self.piece_name(index, "original"), &score) }
        };
        let original: Vec<Shared> = (0..self.held_out.count()).map(fragment).collect();
        let percentile =
            |pieces: &[Shared]| quantile(&pieces.iter().map(|piece| piece.run.notes as f64).collect::<Vec<_>>(), RARE);
        let most = percentile(&original);

        let window = self.seconds();
        let mean = |pieces: &[Shared], value: fn(f64, f64) -> f64| {
            let sample =
                |piece: &Shared| Sample { song: piece.song, sum: value(piece.run.notes as f64, most), weight: 1.0 };
            self.interval(pieces.iter().map(sample))
        };
        let mut add = |id: &str, unit, doc: &str, value: Row| {
            let models = columns.iter().map(|pieces| value(pieces));
            table.add(&format!("{id}.{window}s"), unit, doc, models, value(&original));
        };
        add(
            "copies.notes",
            Unit::Number,
            "Notes of the longest run of the melody (the highest note of each onset) that is in a song for training too, with \
             the same intervals, and the same ratios of durations to half an octave: in any key and tempo. The original's are of \
             all fragments of the split.",
            &|pieces| mean(pieces, |notes, _| notes),
        );
        add("copies.notes.p99", Unit::Number, "The 99th percentile of the same.", &|pieces| {
            Some(percentile(pieces).into())
        });
        add(
            "copies.above",
            Unit::Share,
            "Pieces whose run is longer than the original's 99th percentile. They are listed below, the original's too: a song \
             whose fragments are there again and again is among those for training by another name.",
            &|pieces| mean(pieces, |notes, most| f64::from(notes > most)),
        );

        columns.push(original);
        let runs = columns.into_iter().flatten().map(|piece| piece.run);
        let mut above: Vec<NearCopy> = runs.filter(|run| run.notes as f64 > most).collect();
        above.sort_by_key(|run| std::cmp::Reverse(run.notes));
        above
    }
}

/// The songs for training of `data`, which is what `vmt-train run` takes; `None` if there are none.
///
/// # Errors
///
/// If the data cannot be read.
pub fn songs_for_training(data: &Path, splits: &Splits) -> Result<Option<Corpus>> {
    let corpus = if data.join(DATASET).exists() {
        let prepared = Prepared::open(data, Split::Train, Augment::NONE)?;
        Corpus::new((0..prepared.count()).map(|index| {
            let (name, start) = prepared.place(index);
            (name.to_owned(), start, Score::decode(prepared.music(index).iter().copied(), prepared.window()).score)
        }))
    } else {
        let mut songs = Vec::new();
        for path in Song::folder(data)? {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            if splits.split(&name) != Some(Split::Train) {
                continue;
            }
            match Song::score(&path) {
                Ok(score) => songs.push((name, score)),
                Err(error) => vmt_files::warn(format_args!("skipped: {error:#}")),
            }
        }
        Corpus::new(songs.into_iter().map(|(name, score)| (name, 0.0, score)))
    };
    Ok(Some(corpus).filter(|corpus| !corpus.is_empty()))
}

/// The longest run that a piece shares with any song.
fn shared(corpus: &Corpus, piece: String, score: &Score) -> NearCopy {
    let run = corpus.longest(score).unwrap_or_default();
    NearCopy { piece, at: run.at.into(), notes: run.notes, song: run.song.to_owned(), song_at: run.song_at.into() }
}
