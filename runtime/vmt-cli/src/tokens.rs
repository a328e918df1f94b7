//! `vmt tokens`: MIDI to the model's events and back.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use vmt::{STEPS_PER_SECOND, Score, Token, midi};
use vmt_files::print;

use crate::{midi_file, moment, paths, usage};

/// Converts MIDI to the model's event ids, and back
#[derive(clap::Subcommand)]
pub enum Command {
    Encode(Encode),
    Decode(Decode),
}

/// Prints the event ids of the beginning of a MIDI file: {"ids": [...]}
#[derive(clap::Args)]
pub struct Encode {
    /// The MIDI file
    file: PathBuf,
    /// Ignore the sustain pedal: each note ends with its note-off
    #[arg(long)]
    no_sustain: bool,
    /// How much of the file, at most a day; the model's window is 10 s
    #[arg(long, value_name = "TIME", default_value = "10", value_parser = moment::seconds)]
    seconds: f64,
}

/// Writes event ids as a MIDI file, and counts what was wrong with them
#[derive(clap::Args)]
pub struct Decode {
    /// A JSON file: {"ids": [...]}
    file: PathBuf,
    /// The MIDI file to write
    #[arg(short, long, value_name = "OUT.mid")]
    output: PathBuf,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ids {
    ids: Vec<u16>,
}

impl Command {
    pub fn run(self) -> Result<()> {
        match self {
            Self::Encode(args) => args.run(),
            Self::Decode(args) => args.run(),
        }
    }
}

impl Encode {
    fn run(self) -> Result<()> {
        let in_range = self.seconds > 0.0 && self.seconds <= 86400.0;
        usage::ensure(in_range, format!("--seconds must be above 0 and at most 86400, but is {}", self.seconds))?;
        let window = Duration::from_secs_f64(self.seconds);
        let sustain = if self.no_sustain { midi::Sustain::Ignore } else { midi::Sustain::Apply };
        let score = midi_file::read(&self.file, sustain, window)?;
        let ids = score.tokens().into_iter().map(Token::id).collect();
        print(serde_json::to_string(&Ids { ids })?)?;
        Ok(())
    }
}

impl Decode {
    fn run(self) -> Result<()> {
        paths::check(&self.output, std::slice::from_ref(&self.file))?;
        let name = || self.file.display().to_string();
        let json = fs::read_to_string(&self.file).with_context(name)?;
        let Ids { ids } = serde_json::from_str(&json).with_context(name)?;
        let token = |(place, &id): (usize, &u16)| {
            Token::new(id).with_context(|| format!("{}: ids[{place}] must be 0..=309, but is {id}", name()))
        };
        let tokens: Vec<Token> = ids.iter().enumerate().map(token).collect::<Result<_>>()?;
        let decoded = Score::decode(tokens, Duration::ZERO);
        let duration = Duration::from_secs(decoded.end_step.into()) / STEPS_PER_SECOND;
        vmt_files::write(&self.output, &midi::write(&decoded.score.clone().with_duration(duration))?)?;
        print(format_args!("wrote     {}", self.output.display()))?;
        print(format_args!(
            "notes     {} in {:.2} s",
            decoded.score.notes().len(),
            decoded.score.duration().as_secs_f64()
        ))?;
        print(format_args!("unmatched {} note-offs without a note, ignored", decoded.unmatched_offs))?;
        print(format_args!("unclosed  {} notes still open at the end, closed there", decoded.unclosed))?;
        if !decoded.ended {
            print("no end    the ids end without END (1)")?;
        }
        Ok(())
    }
}
