//! Pulse, metre and hit points of what models compose, beside the original music.

use vmt::{Conditions, Score};

use super::evaluation::Evaluation;
use super::report::Unit;
use super::statistics::Sample;
use super::tables::{Outcome, Table};
use super::{hit_points, metre, pulse};
use crate::random::Stream;

/// Distances within which a hit point is met, in steps: a frame, what viewers do not notice (0.12 s), and what EMSYNC counts.
const WITHIN: [(&str, u32); 3] = [("40ms", 4), ("120ms", 12), ("1s", 100)];

/// A piece, and the beats and hit points that it was to keep to.
struct Heard<'a> {
    score: &'a Score,
    click: &'a Conditions,
    /// The place of its fragment.
    place: usize,
}

/// What a piece adds to a mean, and its weight there, which may be 0.
type Part = Option<(f64, f64)>;

impl Evaluation<'_> {
    /// Rows whose ids begin with `how`.
    pub fn rhythm(&self, outcomes: &[Outcome], table: &mut Table, how: &str, of: fn(&Outcome) -> &Vec<vmt::Decoded>) {
        let window = self.seconds();
        let mut add = |id: String, unit, doc: &str, part: &dyn Fn(&Heard) -> Part| {
            let sample = |heard: Heard| {
                let (sum, weight) = part(&heard)?;
                Some(Sample { song: self.songs[heard.place], sum, weight })
            };
            let written = outcomes.iter().map(|outcome| {
                let heard = of(outcome).iter().zip(&self.pieces);
                self.interval(heard.filter_map(|(decoded, &place)| {
                    sample(Heard { score: &decoded.score, click: &self.told[place], place })
                }))
            });
            let written: Vec<_> = written.collect();
            let originals = self.originals.iter().enumerate();
            let original = self.interval(originals.filter_map(|(place, decoded)| {
                sample(Heard { score: &decoded.score, click: &self.annotated[place], place })
            }));
            let original = original.filter(|_| written.iter().any(Option::is_some));
            table.add(&format!("{how}{id}"), unit, doc, written.into_iter(), original);
        };

        let pulses = |heard: &Heard, which: usize| {
            let mut random = Stream::new(self.options.seed, "pulse", &[heard.place as u64]);
            let pulses = pulse::pulses(heard.score, &mut random);
            let sum = pulses.iter().map(|[pulse, chance]| [*pulse, *chance, pulse - chance][which]).sum();
            Some((sum, pulses.len() as f64))
        };
        let docs = [
            (
                "pulse",
                "How well onsets lie on one steady grid: the mean resultant length (Mardia 1972) of the times of onsets (a \
                 note and all that begin up to 35 ms after it) over the period within 0.10-0.36 s that suits them best; of \
                 windows of 10 s with at least 8 onsets.",
            ),
            ("pulse.chance", "The same of as many onsets at random moments, more than 35 ms apart."),
            ("pulse.excess", "The pulse less that of chance."),
        ];
        for (which, (id, doc)) in docs.into_iter().enumerate() {
            add(format!("{id}.{window}s"), Unit::Number, doc, &|heard| pulses(heard, which));
        }

        let on_grid = |heard: &Heard| metre::on_sixteenths(heard.score, &heard.click.beats);
        add(
            "sixteenths.25ms".into(),
            Unit::Share,
            "Onsets within 25 ms of a sixteenth of the beats that models with conditions were told, whether the model was or \
             not; of the original's own beats.",
            &|heard| on_grid(heard).map(|found| (found.near, found.onsets)),
        );
        add(
            "sixteenths.chance.25ms".into(),
            Unit::Share,
            "The share of the time at those onsets that is within 25 ms of a sixteenth.",
            &|heard| on_grid(heard).map(|found| (found.by_chance, found.onsets)),
        );
        add(
            "downbeats.30ms".into(),
            Unit::Number,
            "How much downbeats are stressed: the velocities of all notes within 30 ms of a beat, summed; the mean over \
             downbeats over that over other beats of the piece. 1 is not at all.",
            &|heard| metre::stress(heard.score, &heard.click.beats).map(|[down, other]| (down, other)),
        );

        for (name, within) in WITHIN {
            let hits = |heard: &Heard, move_them: bool| {
                let hits = hit_points::inside(heard.score, heard.click.hits.as_ref()?);
                let count = hits.len() as f64;
                let hits = if move_them { hit_points::shifted(heard.score, &hits) } else { hits };
                Some((hit_points::met(heard.score, &hits, within), count))
            };
            add(
                format!("hits.{name}"),
                Unit::Share,
                "Hit points with a note that begins so near. They are stressed notes of the original on its beats, so it \
                 meets them, but for some at its very beginning. With grammar, a note is struck at each that a model is told.",
                &|heard| hits(heard, false),
            );
            add(
                format!("hits.shifted.{name}"),
                Unit::Share,
                "The same where hit points are later by half their mean distance: what is met by chance.",
                &|heard| hits(heard, true),
            );
        }
    }
}
