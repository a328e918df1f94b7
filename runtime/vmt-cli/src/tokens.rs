//! `vmt tokens`: MIDI to the model's events and back.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use vmt::{STEPS_PER_SECOND, Score, Token, midi};

use crate::output;

/// Turns MIDI into the events that the model learns from, and back
#[derive(clap::Subcommand)]
pub enum Command {
    Encode(Encode),
    Decode(Decode),
}

/// Prints a MIDI file's beginning as event ids: {"ids": [...]}
#[derive(clap::Args)]
pub struct Encode {
    /// The MIDI file
    file: PathBuf,
    /// Leave the sustain pedal out: notes end where the key comes up
    #[arg(long)]
    no_sustain: bool,
    /// How much of the file to take; the model's window is 10 s
    #[arg(long, value_name = "N", default_value_t = 10.0)]
    seconds: f64,
}

/// Writes event ids as a MIDI file, and says what was wrong with them
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
        let window = Duration::try_from_secs_f64(self.seconds)
            .ok()
            .filter(|window| !window.is_zero() && *window <= Duration::from_secs(24 * 3600))
            .with_context(|| format!("--seconds must be above 0 and at most 86400, but is {}", self.seconds))?;
        let name = || self.file.display().to_string();
        let bytes = fs::read(&self.file).with_context(name)?;
        let score = Score::quantise(&midi::read(&bytes, !self.no_sustain).with_context(name)?, window);
        let ids = score.tokens().into_iter().map(Token::id).collect();
        println!("{}", serde_json::to_string(&Ids { ids })?);
        Ok(())
    }
}

impl Decode {
    fn run(self) -> Result<()> {
        output::check(&self.output)?;
        let name = || self.file.display().to_string();
        let json = fs::read_to_string(&self.file).with_context(name)?;
        let Ids { ids } = serde_json::from_str(&json).with_context(name)?;
        let token = |(place, &id): (usize, &u16)| {
            Token::new(id).with_context(|| format!("{}: ids[{place}] must be 0..=309, but is {id}", name()))
        };
        let tokens: Vec<Token> = ids.iter().enumerate().map(token).collect::<Result<_>>()?;
        let mut decoded = Score::decode(tokens, Duration::ZERO);
        decoded.score.duration = Duration::from_secs(decoded.end_step.into()) / STEPS_PER_SECOND;
        output::write(&self.output, &midi::write(&decoded.score))?;
        println!("wrote     {}", self.output.display());
        println!("notes     {} in {:.2} s", decoded.score.notes.len(), decoded.score.duration.as_secs_f64());
        println!("unmatched {} note-offs of keys that were not down, ignored", decoded.unmatched_offs);
        println!("unclosed  {} notes still open at the end, closed there", decoded.unclosed);
        if !decoded.ended {
            println!("no end    the ids stop without END (1)");
        }
        Ok(())
    }
}
