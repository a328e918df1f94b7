//! How well `vmt_train::align` finds the notes of POP909 in films whose sound is known to the millisecond.
//!
//! ```sh
//! cargo run --release --workspace --example align -- POP909 PIANO.sf2 500-549
//! ```
//!
//! Each song is rendered with a soundfont (best another than the program's own, such as Debian's `timgm6mb-soundfont`),
//! with one difficulty at a time, with all of them, and with more than that. The score that is aligned is the song's MIDI
//! file. For each note of the score that is in the film, the error is the distance to the moment at which the same note was
//! aligned; where it was not, the error is infinite. `extra` are aligned notes that are not in the film within 60 ms. A
//! song counts as good with 95 % of its notes within 60 ms. The sound of two films of each song is compared with the
//! score of another song too, which should be refused.

use std::fs::File;
use std::io::Cursor;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
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
    /// Another arrangement: 35 % of the notes are left out, 30 % are an octave off, all are moved by 12 ms (standard
    /// deviation), and there are 30 % more.
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
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        let work = || {
            while let Some(&number) = numbers.get(next.fetch_add(1, Ordering::Relaxed)) {
                let result = song(Path::new(folder), number, &font);
                results.lock().expect("no thread panics").push(result);
            }
        };
        let threads = thread::available_parallelism().map_or(1, usize::from);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    let songs = results.into_inner().expect("no thread panics").into_iter().collect::<Result<Vec<_>>>()?;
    println!(
        "| difficulty | median error [ms] | 95 % of notes within [ms] | within 60 ms [%] | not found [%] | extra [%] | \
         good songs | worst song, within 60 ms [%] | wrong song refused |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (index, difficulty) in DIFFICULTIES.iter().enumerate() {
        let rows = || songs.iter().map(|rows| &rows[index]);
        let mut errors: Vec<f64> = rows().flat_map(|row| &row.errors).copied().collect();
        errors.sort_by(f64::total_cmp);
        let quantile = |share: f64| 1000.0 * errors[((errors.len() - 1) as f64 * share) as usize];
        let refused = rows().filter_map(|row| row.refuses_wrong).filter(|refused| *refused).count();
        let has_wrong = rows().any(|row| row.refuses_wrong.is_some());
        let [extra, aligned] = [rows().map(|row| row.extra).sum::<usize>(), rows().map(|row| row.aligned).sum()];
        println!(
            "| {} | {:.1} | {:.1} | {:.2} | {:.2} | {} | {} of {} | {:.1} | {} |",
            difficulty.name,
            quantile(0.5),
            quantile(0.95),
            100.0 * within(&errors),
            100.0 * errors.iter().filter(|error| error.is_infinite()).count() as f64 / errors.len() as f64,
            // Another arrangement has other notes.
            if difficulty.arrangement {
                String::new()
            } else {
                format!("{:.2}", 100.0 * extra as f64 / aligned as f64)
            },
            rows().filter(|row| within(&row.errors) >= 0.95).count(),
            songs.len(),
            100.0 * rows().map(|row| within(&row.errors)).fold(1.0, f64::min),
            if has_wrong { format!("{refused} of {}", songs.len()) } else { String::new() },
        );
    }
    let rows = || songs.iter().flatten();
    let (took, film) = (rows().map(|row| row.took).sum::<f64>(), rows().map(|row| row.seconds).sum::<f64>());
    let all = begin.elapsed().as_secs_f64();
    println!("aligning took {:.2} s for a minute of film; all of it {all:.0} s", 60.0 * took / film);
    Ok(())
}

/// What came of a song with a difficulty.
struct Row {
    /// In seconds, of each note that is in the film.
    errors: Vec<f64>,
    /// How many notes were aligned, and how many of them are not in the film.
    aligned: usize,
    extra: usize,
    /// Whether the score of another song was refused, where that was tried.
    refuses_wrong: Option<bool>,
    /// Seconds that it took, and of the film.
    took: f64,
    seconds: f64,
}

/// The share of notes within 60 ms.
fn within(errors: &[f64]) -> f64 {
    errors.iter().filter(|error| **error <= 0.06).count() as f64 / errors.len() as f64
}

/// A row for each difficulty.
fn song(folder: &Path, number: u32, font: &SoundFont) -> Result<Vec<Row>> {
    let path = |number: u32| folder.join(format!("{number:03}/{number:03}.mid"));
    let (song, piece) = (Song::read(&path(number))?, Piece::read(&path(number))?);
    let intro = Piece::read(&path(number % 909 + 1))?;
    let wrong = Piece::read(&path((number + 6) % 909 + 1))?;
    let plain = render(&song.notes, song.duration() + 1.0, font)?;
    let mut rows = Vec::new();
    for difficulty in &DIFFICULTIES {
        let film = film(&song, &intro, &plain, difficulty, font, u64::from(number))?;
        let mut piece = piece.clone();
        if difficulty.key {
            piece.notes.iter_mut().for_each(|note| note.pitch -= 2);
        }
        let start = Instant::now();
        let found = align(&film.sound, &piece, &AlignOptions::default());
        let took = start.elapsed().as_secs_f64();

        // When each note of the score is in the film, and when it was aligned.
        let [mut truth, mut aligned] = [(); 2].map(|()| vec![Vec::new(); piece.notes.len()]);
        film.truth.iter().for_each(|&(note, time)| truth[note].push(time));
        for section in found.iter().flat_map(|alignment| &alignment.sections) {
            for (note, times) in piece.notes.iter().zip(&mut aligned) {
                let time = section.to_film(note.start);
                times.extend((section.film.0..section.film.1).contains(&time).then_some(time));
            }
        }
        let distances = |from: &[Vec<f64>], to: &[Vec<f64>]| -> Vec<f64> {
            let nearest =
                |time: f64, to: &[f64]| to.iter().map(|other| (other - time).abs()).fold(f64::INFINITY, f64::min);
            from.iter().zip(to).flat_map(|(from, to)| from.iter().map(|&time| nearest(time, to))).collect()
        };
        let (errors, back) = (distances(&truth, &aligned), distances(&aligned, &truth));
        if within(&errors) < 0.95 {
            let why = found.as_ref().err().map(ToString::to_string).unwrap_or_default();
            println!("{number}, {}: {:.1} % within 60 ms {why}", difficulty.name, 100.0 * within(&errors));
        }
        let refuses_wrong = [NONE.name, ALL.name].contains(&difficulty.name).then(|| {
            let found = align(&film.sound, &wrong, &AlignOptions::default());
            if let Ok(alignment) = &found {
                println!("{number}, {}: the wrong song is not refused\n{alignment}", difficulty.name);
            }
            found.is_err()
        });
        let extra = back.iter().filter(|error| **error > 0.06).count();
        let seconds = film.sound.len() as f64 / f64::from(RATE);
        rows.push(Row { errors, aligned: back.len(), extra, refuses_wrong, took, seconds });
    }
    Ok(rows)
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
