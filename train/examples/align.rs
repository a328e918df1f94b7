//! How well `vmt_train::align` finds the notes of POP909 in films whose sound is known to the millisecond.
//!
//! ```sh
//! cargo run --release --workspace --example align -- POP909 PIANO.sf2 500-549
//! ```
//!
//! Each song is rendered with a soundfont (best another than the program's own, such as Debian's `timgm6mb-soundfont`), with one difficulty
//! at a time, with all of them, and with more than that. The score that is aligned is the song's MIDI file. For each note
//! of the score that is in the film, the error is the distance to the moment at which the same note was aligned; where it was not, the
//! error is infinite. `extra` are aligned notes that are not in the film within 60 ms. A song counts as good with 95 % of
//! its notes within 60 ms. The sound of each film is compared with the score of another song too, which should be refused.

use std::fs::File;
use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use vmt::{PerformedNote, Score};
use vmt_render::SoundFont;
use vmt_train::align::{AlignOptions, Piece, RATE, align};
use vmt_train::data::Song;
use vmt_train::random::Stream;

/// What makes a film hard.
#[derive(Clone, Copy, Default)]
struct Difficulty {
    name: &'static str,
    /// Voice-like and drum-like noise, at this signal-to-noise ratio in dB.
    noise: Option<f32>,
    /// Another tempo, 0.85-1.15.
    tempo: bool,
    /// A tempo that drifts by 5 %.
    drift: bool,
    /// Eight seconds of another song before.
    intro: bool,
    /// A part left out and one repeated.
    parts: bool,
    /// Two semitones higher than the score.
    key: bool,
    /// Played faster by 2.3 %, and so 40 cents higher.
    detuned: bool,
    /// Another arrangement: 35 % of the notes left out, 30 % an octave off, 30 % more notes, moved by 12 ms (standard deviation).
    arrangement: bool,
    /// Only so much of the song, since it is rendered for this alone.
    seconds: Option<f64>,
}

const NONE: Difficulty = Difficulty {
    name: "none",
    noise: None,
    tempo: false,
    drift: false,
    intro: false,
    parts: false,
    key: false,
    detuned: false,
    arrangement: false,
    seconds: None,
};
const ALL: Difficulty = Difficulty {
    name: "all of them",
    noise: Some(10.0),
    tempo: true,
    drift: true,
    intro: true,
    parts: true,
    key: true,
    ..NONE
};
const DIFFICULTIES: [Difficulty; 10] = [
    NONE,
    Difficulty { name: "noise, 10 dB", noise: Some(10.0), ..NONE },
    Difficulty { name: "tempo x 0.85-1.15 (90 s)", tempo: true, seconds: Some(90.0), ..NONE },
    Difficulty { name: "drift by 5 % (90 s)", drift: true, seconds: Some(90.0), ..NONE },
    Difficulty { name: "intro of 8 s", intro: true, ..NONE },
    Difficulty { name: "left out, repeated", parts: true, ..NONE },
    Difficulty { name: "transposed by 2", key: true, ..NONE },
    Difficulty { name: "detuned by 40 cents", detuned: true, ..NONE },
    ALL,
    Difficulty { name: "all, 0 dB, rearranged", noise: Some(0.0), arrangement: true, ..ALL },
];

/// A film's sound and what is in it.
struct Film {
    sound: Vec<f32>,
    /// Indices of notes of the score, and when each is in the film.
    truth: Vec<(usize, f64)>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, font, songs] = &arguments[..] else {
        anyhow::bail!("usage: align POP909 PIANO.sf2 SONGS, such as 7 or 500-549 or 1-9,11,20-30");
    };
    let font = SoundFont::read(File::open(font).with_context(|| font.clone())?)?;
    let mut numbers: Vec<u32> = Vec::new();
    for range in songs.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        numbers.extend(first.parse::<u32>()?..=last.parse()?);
    }
    ensure!(numbers.iter().all(|number| (1..=909).contains(number)), "songs are 1-909");

    let begin = Instant::now();
    let mut errors = vec![Vec::new(); DIFFICULTIES.len()];
    let mut counts = vec![(0, 0, 0, 0.0_f64); DIFFICULTIES.len()];
    let mut refused = vec![0; DIFFICULTIES.len()];
    let mut right = vec![0; DIFFICULTIES.len()];
    let mut aligning = Duration::ZERO;
    let mut sound_seconds = 0.0;
    for &number in &numbers {
        let path = |number: u32| Path::new(folder).join(format!("{number:03}/{number:03}.mid"));
        let (song, piece) = (Song::read(&path(number))?, Piece::read(&path(number))?);
        let other = Piece::read(&path(number % 909 + 1))?;
        // Neither the one before nor that of the intro.
        let wrong = Piece::read(&path((number + 6) % 909 + 1))?;
        let plain = render(&song.notes, song.duration() + 1.0, &font)?;
        for (index, difficulty) in DIFFICULTIES.iter().enumerate() {
            let film = film(&song, &other, &plain, difficulty, &font, u64::from(number))?;
            let mut piece = piece.clone();
            if difficulty.key {
                piece.notes.iter_mut().for_each(|note| note.pitch -= 2);
            }
            let start = Instant::now();
            let found = align(&film.sound, &piece, &AlignOptions::default());
            aligning += start.elapsed();
            sound_seconds += film.sound.len() as f64 / f64::from(RATE);
            let mut aligned: Vec<Vec<f64>> = vec![Vec::new(); piece.notes.len()];
            for section in found.iter().flat_map(|alignment| &alignment.sections) {
                for (note, times) in piece.notes.iter().zip(&mut aligned) {
                    let time = section.to_film(note.start);
                    if (section.film.0..section.film.1).contains(&time) {
                        times.push(time);
                    }
                }
            }
            let nearest =
                |times: &[f64], time: f64| times.iter().map(|other| (other - time).abs()).fold(f64::INFINITY, f64::min);
            let own: Vec<f64> = film.truth.iter().map(|&(note, time)| nearest(&aligned[note], time)).collect();
            let mut truth: Vec<Vec<f64>> = vec![Vec::new(); piece.notes.len()];
            film.truth.iter().for_each(|&(note, time)| truth[note].push(time));
            let is_extra = |(note, time): (usize, &f64)| nearest(&truth[note], *time) > 0.06;
            let all =
                || aligned.iter().enumerate().flat_map(|(note, times)| times.iter().map(move |time| (note, time)));
            let within = own.iter().filter(|error| **error <= 0.06).count() as f64 / own.len() as f64;
            let (extra, missing, notes, worst) = &mut counts[index];
            // Another arrangement has other notes.
            *extra += if difficulty.arrangement { 0 } else { all().filter(|&pair| is_extra(pair)).count() };
            *missing += own.iter().filter(|error| error.is_infinite()).count();
            *notes += all().count();
            *worst = worst.max(1.0 - within);
            right[index] += u32::from(within >= 0.95);
            if within < 0.95 {
                println!(
                    "{number}, {}: {:.1} % within 60 ms {}",
                    difficulty.name,
                    100.0 * within,
                    found.err().map(|error| error.to_string()).unwrap_or_default()
                );
            }
            errors[index].extend(own);
            if index == 0 || difficulty.name == ALL.name {
                let found = align(&film.sound, &wrong, &AlignOptions::default());
                refused[index] += u32::from(found.is_err());
                if let Ok(alignment) = found {
                    println!("{number}, {}: the wrong song is not refused\n{alignment}", difficulty.name);
                }
            }
        }
    }

    let songs = numbers.len();
    println!(
        "| difficulty | median error [ms] | 95 % of notes within [ms] | within 60 ms [%] | not found [%] | extra [%] | good songs | worst song, within 60 ms [%] | wrong song refused |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (index, difficulty) in DIFFICULTIES.iter().enumerate() {
        let errors = &mut errors[index];
        errors.sort_by(f64::total_cmp);
        let quantile = |share: f64| 1000.0 * errors[((errors.len() - 1) as f64 * share) as usize];
        let share = |count: usize, all: usize| 100.0 * count as f64 / all.max(1) as f64;
        let (extra, missing, notes, worst) = counts[index];
        let within = share(errors.iter().filter(|error| **error <= 0.06).count(), errors.len());
        let refused = if index == 0 || difficulty.name == ALL.name {
            format!("{} of {songs}", refused[index])
        } else {
            String::new()
        };
        let extra = if difficulty.arrangement { String::new() } else { format!("{:.2}", share(extra, notes)) };
        println!(
            "| {} | {:.1} | {:.1} | {within:.2} | {:.2} | {extra} | {} of {songs} | {:.1} | {refused} |",
            difficulty.name,
            quantile(0.5),
            quantile(0.95),
            share(missing, errors.len()),
            right[index],
            100.0 * (1.0 - worst),
        );
    }
    println!(
        "aligning took {:.2} s for a minute of film; all of it {:.0} s",
        60.0 * aligning.as_secs_f64() / sound_seconds,
        begin.elapsed().as_secs_f64()
    );
    Ok(())
}

/// The song as a film with a difficulty. `plain` is its sound without any.
fn film(
    song: &Song,
    other: &Piece,
    plain: &[f32],
    difficulty: &Difficulty,
    font: &SoundFont,
    seed: u64,
) -> Result<Film> {
    let mut random = Stream::new(1, "film", &[seed]);
    let end = difficulty.seconds.unwrap_or(f64::INFINITY).min(song.duration());
    let bars: Vec<f64> = song.downbeats.iter().copied().filter(|bar| *bar < end).collect();
    let mut parts = vec![(0.0, end)];
    if difficulty.parts && bars.len() > 24 {
        let (count, length) = (bars.len(), (bars.len() / 8).clamp(4, 8));
        let left_out = count / 5 + random.below(count / 8);
        let repeated = count * 11 / 20 + random.below(count / 8);
        parts = vec![(0.0, bars[left_out]), (bars[left_out + length], bars[repeated + length]), (bars[repeated], end)];
    }
    let tempo = if difficulty.tempo { 0.85 + 0.3 * random.unit() } else { 1.0 };
    let (phase, period) = (std::f64::consts::TAU * random.unit(), 40.0 + 40.0 * random.unit());
    let turn = std::f64::consts::TAU / period;
    // Its derivative is 1 +- 0.05.
    let drift =
        |time: f64| if difficulty.drift { 0.05 / turn * ((turn * time + phase).sin() - phase.sin()) } else { 0.0 };
    let intro = if difficulty.intro { 8.0 } else { 0.0 };
    let warp = |time: f64| intro + (time + drift(time)) / tempo;

    let (mut truth, mut played, mut before) = (Vec::new(), Vec::new(), 0.0);
    for &(from, to) in &parts {
        let inside = song.notes.iter().enumerate().filter(|(_, note)| (from..to).contains(&note.start));
        for (index, note) in inside {
            let moment = |time: f64| warp(before + time.min(to) - from);
            let (start, end) = (moment(note.start), moment(note.end));
            if !difficulty.arrangement {
                truth.push((index, start));
                played.push(PerformedNote { start, end, ..*note });
                continue;
            }
            if random.unit() < 0.35 {
                continue;
            }
            truth.push((index, start));
            let by = 0.012 * normal(&mut random);
            let octave = [-12, 12].get((random.unit() / 0.15) as usize).copied().unwrap_or(0);
            let pitch = note.pitch.saturating_add_signed(octave);
            played.push(PerformedNote { start: (start + by).max(0.0), end: end + by, pitch, ..*note });
            if random.unit() < 0.3 {
                let (start, pitch) =
                    (start + 0.125 * random.below(3) as f64, pitch + [3, 4, 5, 7, 12][random.below(5)]);
                played.push(PerformedNote { start, end: end + 0.3, pitch, ..*note });
            }
        }
        before += to - from;
    }
    let seconds = warp(before) + 1.0;
    let samples = |seconds: f64| (seconds * f64::from(RATE)).round() as usize;
    let mut sound = if !(difficulty.tempo || difficulty.drift || difficulty.arrangement) {
        // Cut as films are.
        let cut = parts.iter().map(|&(from, to)| &plain[samples(from)..samples(to).min(plain.len())]);
        [vec![0.0; samples(intro)], cut.collect::<Vec<_>>().concat()].concat()
    } else {
        render(&played, seconds, font)?
    };
    if difficulty.intro {
        let shifted = other.notes.iter().filter(|note| (20.0..27.8).contains(&note.start));
        let shifted = shifted.map(|note| PerformedNote { start: note.start - 20.0, end: note.end - 20.0, ..*note });
        let music = render(&shifted.collect::<Vec<_>>(), intro, font)?;
        sound.iter_mut().zip(music).for_each(|(sound, music)| *sound += music);
    }
    if difficulty.detuned {
        let faster = (40.0_f64 / 1200.0).exp2();
        let between = |index: usize| {
            let at = index as f64 * faster;
            let (from, share) = (at as usize, at.fract() as f32);
            sound[from] + share * (sound[from + 1] - sound[from])
        };
        sound = (0..((sound.len() - 2) as f64 / faster) as usize).map(between).collect();
        truth.iter_mut().for_each(|(_, time)| *time /= faster);
    }
    if let Some(ratio) = difficulty.noise {
        let noise = noise(sound.len(), &mut random);
        let gain = level(&sound) / level(&noise) * 10_f32.powf(-ratio / 20.0);
        sound.iter_mut().zip(noise).for_each(|(sound, noise)| *sound += gain * noise);
    }
    Ok(Film { sound, truth })
}

/// Mono, [`RATE`] samples a second.
fn render(notes: &[PerformedNote], seconds: f64, font: &SoundFont) -> Result<Vec<f32>> {
    let score = Score::quantise(notes, Duration::from_secs_f64(seconds));
    let mut wav = Vec::new();
    vmt_render::wav(&score, font, Cursor::new(Vec::new()), &mut wav)?;
    // Behind the header, three stereo samples of 48 kHz make one.
    let (samples, _) = wav[44..].as_chunks::<12>();
    let mean = |six: &[u8; 12]| {
        let (samples, _) = six.as_chunks();
        samples.iter().map(|&sample| f32::from(i16::from_le_bytes(sample))).sum::<f32>() / (6.0 * 32768.0)
    };
    Ok(samples.iter().map(mean).collect())
}

fn level(sound: &[f32]) -> f32 {
    (sound.iter().map(|sample| sample * sample).sum::<f32>() / sound.len() as f32).sqrt().max(1e-9)
}

/// About normal.
fn normal(random: &mut Stream) -> f64 {
    (0..12).map(|_| random.unit()).sum::<f64>() - 6.0
}

/// Syllables of gliding harmonics under two formants, and drums at a tempo of their own, both of no relation to the music.
fn noise(samples: usize, random: &mut Stream) -> Vec<f32> {
    use std::f64::consts::{PI, TAU};
    let rate = f64::from(RATE);
    let mut sound = vec![0.0_f32; samples];
    let (mut begin, mut phase) = (0, 0.0);
    while begin < samples {
        let length = (rate * (0.12 + 0.25 * random.unit())) as usize;
        let from = 110.0 + 120.0 * random.unit();
        let to = from * (0.8 + 0.4 * random.unit());
        let formants = [300.0 + 500.0 * random.unit(), 900.0 + 1300.0 * random.unit()];
        let voiced = random.unit() < 0.8;
        for (index, sample) in sound[begin..].iter_mut().take(length).enumerate() {
            let share = index as f64 / length as f64;
            let pitch = from + (to - from) * share;
            phase += pitch / rate;
            let harmonics = (1..=20).map(f64::from).take_while(|number| pitch * number < 4000.0);
            let weight = |number: f64| {
                formants.iter().map(|formant| (-((pitch * number - formant) / 180.0).powi(2)).exp()).sum::<f64>() + 0.03
            };
            let value: f64 = if voiced {
                harmonics.map(|number| weight(number) * (TAU * phase * number).sin()).sum()
            } else {
                0.15 * normal(random)
            };
            *sample += (0.3 * (PI * share).sin() * value) as f32;
        }
        begin += length + if random.unit() < 0.15 { (0.5 * rate * random.unit()) as usize } else { 0 };
    }
    let eighth = rate * 30.0 / (80.0 + 60.0 * random.unit());
    for number in 0..(samples as f64 / eighth) as usize {
        let begin = (number as f64 * eighth) as usize;
        // Bass drum, hi-hat, snare drum, hi-hat.
        let (length, decay) = [(0.2, 18.0), (0.05, 90.0), (0.2, 25.0), (0.05, 90.0)][number % 4];
        for (index, sample) in sound[begin..].iter_mut().take((length * rate) as usize).enumerate() {
            let time = index as f64 / rate;
            let value = match number % 4 {
                0 => 0.9 * (TAU * (60.0 * time + 2.0 * (1.0 - (-20.0 * time).exp()))).sin(),
                2 => 0.25 * normal(random),
                _ => 0.08 * normal(random),
            };
            *sample += (value * (-decay * time).exp()) as f32;
        }
    }
    sound
}
