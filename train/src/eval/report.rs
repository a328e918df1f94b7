//! The results of an evaluation, as JSON and as Markdown.

use std::collections::HashSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::data::Split;

/// The results of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The split that the songs are of.
    #[serde(alias = "share")]
    pub split: Split,
    /// Songs that the fragments are of.
    pub songs: usize,
    /// Fragments that likelihoods and the original's statistics are of.
    pub fragments: usize,
    /// Length of a fragment, in seconds.
    pub seconds: f64,
    /// Fragments that each model generated music for.
    pub pieces: usize,
    /// Of all that is random.
    pub seed: u64,
    /// Softmax temperature of the pieces with grammar.
    #[serde(default = "one")]
    pub temperature: f32,
    /// Nucleus sampling of the pieces with grammar.
    #[serde(default = "one")]
    pub top_p: f32,
    /// Scale of classifier-free guidance ([`vmt::decode::Guidance`]) in generation.
    pub guidance: f32,
    /// What the models are told of the music.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<String>,
    /// What was measured: the models, as they were named, and last the original music.
    pub columns: Vec<String>,
    /// The models that were shown no video.
    pub blind: Vec<String>,
    /// What was left out, and why.
    pub left_out: Vec<String>,
    /// By section.
    pub metrics: Vec<Metric>,
    /// Pieces and fragments that share more with a song for training than nearly all fragments of held-out songs do, the most
    /// first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub near_copies: Vec<NearCopy>,
}

/// A run of notes that a piece shares with a song that models were trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NearCopy {
    /// What the piece is called.
    pub piece: String,
    /// When the run begins in it, in seconds.
    pub at: f64,
    /// How many notes it has.
    pub notes: usize,
    /// The song.
    pub song: String,
    /// When the run begins there, in seconds.
    pub song_at: f64,
}

/// One number for each column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// The heading that it stands under.
    pub section: String,
    /// What it is called, with its variant (window, grid, ...).
    pub id: String,
    /// What it counts in.
    pub unit: Unit,
    /// What it is, and where it is from.
    pub doc: String,
    /// One for each column; `None` where there is nothing to measure.
    pub values: Vec<Option<Value>>,
}

/// What a number counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unit {
    /// Natural logarithms of a probability.
    #[serde(rename = "nats")]
    Nats,
    /// Of 1; percent in a table.
    #[serde(rename = "share")]
    Share,
    /// Time.
    #[serde(rename = "s")]
    Seconds,
    /// Information.
    #[serde(rename = "bits")]
    Bits,
    /// Notes in a second.
    #[serde(rename = "notes/s")]
    NotesPerSecond,
    /// Anything else.
    #[serde(rename = "number")]
    Number,
}

/// A number, and how far it can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Value {
    /// The number.
    pub value: f64,
    /// A 95 % bootstrap interval over songs; the original's 5th and 95th percentile where models may lie inside of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
    /// Whether it lies within the original's range, where that is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<bool>,
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self { value, range: None, inside: None }
    }
}

/// JSON through burn, which brings serde_json.
impl burn::config::Config for Report {}

impl Report {
    /// The report as JSON.
    pub fn json(&self) -> String {
        burn::config::config_to_json(self) + "\n"
    }
}

impl Unit {
    fn show(self, number: f64) -> String {
        let (factor, decimals, sign) = match self {
            Self::Share => (100.0, 1, " %"),
            Self::Nats => (1.0, 4, ""),
            Self::Number => (1.0, 3, ""),
            Self::Seconds | Self::Bits | Self::NotesPerSecond => (1.0, 2, ""),
        };
        let scale = 10f64.powi(decimals);
        // A zero has no sign.
        let rounded = (factor * number * scale).round() / scale + 0.0;
        format!("{rounded:.*}{sign}", decimals as usize)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Nats => " (nats)",
            Self::Seconds => " (s)",
            Self::Bits => " (bits)",
            Self::NotesPerSecond => " (notes/s)",
            Self::Share | Self::Number => "",
        }
    }
}

/// Temperature and top-p of reports that do not say.
fn one() -> f32 {
    1.0
}

/// Markdown.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { split, songs, fragments, seconds, pieces, temperature, top_p, guidance, seed, .. } = self;
        let split = format!("{split:?}").to_lowercase();
        writeln!(f, "# Evaluation\n")?;
        writeln!(
            f,
            "{fragments} fragments of {seconds} s of {songs} {split} songs; each model wrote music for {pieces}."
        )?;
        writeln!(
            f,
            "Temperature {temperature}, top-p {top_p} (without grammar 1 and 1), guidance {guidance}, seed {seed}. In brackets: 95 % bootstrap intervals over songs (Efron 1979); where"
        )?;
        writeln!(f, "others may be **outside** of it, the original's 5th and 95th percentile.")?;
        for line in &self.told {
            writeln!(f, "\n{line}")?;
        }
        for name in &self.blind {
            writeln!(f, "\n{name} is shown no video.")?;
        }
        for line in &self.left_out {
            writeln!(f, "\nLeft out: {line}")?;
        }
        for section in self.metrics.chunk_by(|a, b| a.section == b.section) {
            writeln!(f, "\n## {}\n", section[0].section)?;
            writeln!(f, "| | {} |", self.columns.join(" | "))?;
            writeln!(f, "|---|{}", "---|".repeat(self.columns.len()))?;
            for Metric { id, unit, values, .. } in section {
                write!(f, "| `{id}`{} |", unit.name())?;
                for value in values {
                    write!(f, " {} |", value.map_or("-".into(), |value| cell(*unit, value)))?;
                }
                writeln!(f)?;
            }
            writeln!(f)?;
            let mut docs: Vec<_> = section.iter().map(|metric| &metric.doc).collect();
            let mut seen = HashSet::new();
            docs.retain(|&doc| seen.insert(doc));
            for doc in docs {
                let ids = section.iter().filter(|metric| metric.doc == *doc).map(|metric| format!("`{}`", metric.id));
                writeln!(f, "- {}: {doc}", ids.collect::<Vec<_>>().join(", "))?;
            }
        }
        if !self.near_copies.is_empty() {
            writeln!(f, "\n| piece | from (s) | notes | song | from (s) |\n|---|---|---|---|---|")?;
        }
        for NearCopy { piece, at, notes, song, song_at } in &self.near_copies {
            writeln!(f, "| {piece} | {at:.1} | {notes} | {song} | {song_at:.1} |")?;
        }
        Ok(())
    }
}

fn cell(unit: Unit, Value { value, range, inside }: Value) -> String {
    let range = range.map_or(String::new(), |[low, high]| format!(" [{}, {}]", unit.show(low), unit.show(high)));
    let outside = if inside == Some(false) { " **outside**" } else { "" };
    format!("{}{range}{outside}", unit.show(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Report {
        let metric = |section: &str, id: &str, unit, doc: &str, values| Metric {
            section: section.into(),
            id: id.into(),
            unit,
            doc: doc.into(),
            values,
        };
        let range = |value, low, high| Some(Value { range: Some([low, high]), ..Value::from(value) });
        Report {
            split: Split::Test,
            songs: 5,
            fragments: 20,
            seconds: 10.0,
            pieces: 10,
            seed: 1,
            temperature: 1.0,
            top_p: 0.9,
            guidance: 1.0,
            told: vec!["VMT, blind: told nothing.".into()],
            columns: ["VMT", "blind", "original"].map(str::to_owned).to_vec(),
            blind: vec!["blind".into()],
            left_out: vec!["channels; there are none.".into()],
            metrics: vec![
                metric("Likelihood", "nll.event", Unit::Nats, "How much.", vec![range(2.5, 2.25, 2.75), None, None]),
                metric("Likelihood", "accuracy", Unit::Share, "How often.", vec![Some(0.125.into()), None, None]),
                metric(
                    "Likelihood",
                    "nll.less",
                    Unit::Nats,
                    "How much.",
                    vec![range(-0.00001, -0.25, 0.0), None, None],
                ),
                metric(
                    "Music",
                    "silence.10s",
                    Unit::Seconds,
                    "How long.",
                    vec![
                        Some(Value { inside: Some(false), ..9.0.into() }),
                        Some(Value { inside: Some(true), ..1.0.into() }),
                        range(0.5, 0.0, 2.0),
                    ],
                ),
            ],
            near_copies: vec![NearCopy {
                piece: "007-020s.VMT".into(),
                at: 1.25,
                notes: 31,
                song: "003".into(),
                song_at: 62.5,
            }],
        }
    }

    #[test]
    fn markdown() {
        let want = "\
# Evaluation

20 fragments of 10 s of 5 test songs; each model wrote music for 10.
Temperature 1, top-p 0.9 (without grammar 1 and 1), guidance 1, seed 1. In brackets: 95 % bootstrap intervals over songs (Efron 1979); where
others may be **outside** of it, the original's 5th and 95th percentile.

VMT, blind: told nothing.

blind is shown no video.

Left out: channels; there are none.

## Likelihood

| | VMT | blind | original |
|---|---|---|---|
| `nll.event` (nats) | 2.5000 [2.2500, 2.7500] | - | - |
| `accuracy` | 12.5 % | - | - |
| `nll.less` (nats) | 0.0000 [-0.2500, 0.0000] | - | - |

- `nll.event`, `nll.less`: How much.
- `accuracy`: How often.

## Music

| | VMT | blind | original |
|---|---|---|---|
| `silence.10s` (s) | 9.00 **outside** | 1.00 | 0.50 [0.00, 2.00] |

- `silence.10s`: How long.

| piece | from (s) | notes | song | from (s) |
|---|---|---|---|---|
| 007-020s.VMT | 1.2 | 31 | 003 | 62.5 |
";
        assert_eq!(small().to_string(), want);
    }

    #[test]
    fn json_says_all() {
        let report = small();
        assert_eq!(serde_yaml::from_str::<Report>(&report.json()).unwrap(), report);
        assert!(report.json().contains(r#""unit": "nats""#), "{}", report.json());
    }
}
