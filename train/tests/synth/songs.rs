//! Songs that chance writes.

use vmt::{Geometry, PerformedNote};
use vmt_train::data::song::{Mode, Song};

/// Large enough to see a dancer, small enough for hundreds of clips.
pub const SMALL: Geometry = Geometry::PAPER.with_size(64, 64).unwrap();

/// Numbers that look random, `0.0..1.0`.
pub fn units(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A minute of chance music: every 10 s another density, loudness and register, each drawn for itself; in the middle
/// another mode, and now and then a silence of two beats.
pub fn song(seed: u64) -> Song {
    let mut unit = units(seed + 1);
    let beat = 0.4 + 0.5 * unit();
    let count = (60.0 / beat) as usize;
    let major = unit() < 0.5;
    let mut notes = Vec::new();
    let (mut rate, mut velocity, mut pitch) = (0.0, 0.0, 0.0);
    for sixteenth in 0..4 * count {
        let start = sixteenth as f64 * beat / 4.0;
        if sixteenth == 0 || (start / 10.0) as usize > ((start - beat / 4.0) / 10.0) as usize {
            (rate, velocity, pitch) = (2.0 + 10.0 * unit(), 68.0 + 34.0 * unit(), 57.0 + 12.0 * unit());
        }
        if sixteenth % 64 >= 56 {
            continue;
        }
        for _ in 0..3 {
            if unit() < rate * beat / 12.0 {
                notes.push(PerformedNote {
                    start,
                    end: start + beat / 2.0,
                    pitch: (pitch + 16.0 * (unit() - 0.5)) as u8,
                    velocity: (velocity + 10.0 * (unit() - 0.5)) as u8,
                });
            }
        }
    }
    let mut song = Song::new(&format!("chance {seed}"), notes).unwrap();
    song.beats = (0..count).map(|index| index as f64 * beat).collect();
    song.downbeats = song.beats.iter().copied().step_by(4).collect();
    let modes = if major { [Mode::Major, Mode::Minor] } else { [Mode::Minor, Mode::Major] };
    song.modes = vec![(0.0, modes[0]), (30.0, modes[1])];
    song
}

pub fn songs(count: u64) -> Vec<Song> {
    (0..count).map(song).collect()
}

pub fn note(start: f64, pitch: u8) -> PerformedNote {
    PerformedNote { start, end: start + 0.5, pitch, velocity: 80 }
}
