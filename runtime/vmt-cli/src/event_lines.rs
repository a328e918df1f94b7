//! `--events`: what is decoded, as JSON lines for other programs.

use anyhow::Result;
use serde::Serialize;
use vmt::{Event, Played, STEPS_PER_SECOND};

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line {
    NoteOn { time: f64, pitch: u8 },
    NoteOff { time: f64, pitch: u8 },
    TimeShift { time: f64, seconds: f64 },
    Velocity { time: f64, velocity: u8 },
    Pad { time: f64 },
    End { time: f64 },
}

/// Prints an event on standard output.
pub fn print(played: &Played) -> Result<()> {
    let time = played.time.as_secs_f64();
    let line = match played.event {
        Event::NoteOn(pitch) => Line::NoteOn { time, pitch: pitch.get() },
        Event::NoteOff(pitch) => Line::NoteOff { time, pitch: pitch.get() },
        Event::TimeShift(shift) => {
            Line::TimeShift { time, seconds: f64::from(shift.get()) / f64::from(STEPS_PER_SECOND) }
        }
        Event::Velocity(bin) => Line::Velocity { time, velocity: bin.velocity() },
        Event::Pad => Line::Pad { time },
        Event::End => Line::End { time },
    };
    Ok(vmt_files::print(serde_json::to_string(&line)?)?)
}
