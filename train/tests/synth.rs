//! Video from music: each channel shows its quantity and nothing else does, and what is written is what is drawn.

use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use ndarray::{Array1, Array2, ArrayView1, ArrayView3, Axis};
use vmt::{Geometry, PerformedNote, Score, midi};
use vmt_train::data::{Augment, Fragments, targets};
use vmt_train::music::{Mode, Song};
use vmt_train::prepare;
use vmt_train::prepared::{Prepared, Share, Split};
use vmt_train::random::Stream;
use vmt_train::synth::{Channels, Options, Scene, write_pairs};
use vmt_video::Video;

/// Large enough to see a dancer, small enough for hundreds of clips.
const SMALL: Geometry = Geometry { height: 64, width: 64, ..Geometry::PAPER };

/// Numbers that look random, `0.0..1.0`.
fn units(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A minute of chance music: every 10 s another density, loudness and register, each from its own dice; in the middle
/// another mode, and now and then a silence of two beats.
fn song(seed: u64) -> Song {
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

fn songs(count: u64) -> Vec<Song> {
    (0..count).map(song).collect()
}

/// Turns a channel on.
type Turn = fn(&mut Channels);

/// A channel alone.
fn only(channel: Turn) -> Channels {
    let mut channels = Channels::none();
    channel(&mut channels);
    channels
}

/// `[height, width]`, 0 to 255.
fn light(picture: ArrayView3<u8>) -> Array2<f64> {
    let (_, height, width) = picture.dim();
    Array2::from_shape_fn((height, width), |(y, x)| {
        (0..3).map(|channel| f64::from(picture[[channel, y, x]])).sum::<f64>() / 3.0
    })
}

fn change(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    (a - b).mapv(f64::abs).mean().unwrap()
}

/// What moves in a picture.
struct Motion {
    /// How much of it there is.
    amount: f64,
    /// Its middle, 0 to 1.
    x: f64,
    /// Its middle, 0 to 1; downwards.
    y: f64,
    /// The part of the picture that it takes, 0 to 1.
    share: f64,
}

/// One of the numbers of a [`Motion`].
type Get = fn(&Motion) -> f64;

/// What moves in pictures of one shot.
fn moving(pictures: &[Array2<f64>]) -> Vec<Motion> {
    let (height, width) = pictures[0].dim();
    let ground = Array2::from_shape_fn((height, width), |place| {
        let mut values: Vec<f64> = pictures.iter().map(|picture| picture[place]).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    });
    let one = |picture: &Array2<f64>| {
        let (mut sum, mut sum_x, mut sum_y, mut count) = (1e-9, 0.0, 0.0, 0.0);
        for ((y, x), value) in (picture - &ground).indexed_iter() {
            // Noise is small, a dancer is not.
            let weight = (value.abs() - 12.0).max(0.0);
            count += f64::from(value.abs() > 12.0);
            (sum, sum_x, sum_y) = (sum + weight, sum_x + weight * x as f64, sum_y + weight * y as f64);
        }
        let pixels = (height * width) as f64;
        let (x, y) = (sum_x / sum / width as f64, sum_y / sum / height as f64);
        Motion { amount: sum / pixels, x, y, share: count / pixels }
    };
    pictures.iter().map(one).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len().max(1) as f64).sqrt()
}

/// Mean over its standard error.
fn certainty(values: &[f64]) -> f64 {
    mean(values) / (deviation(values) / (values.len() as f64).sqrt()).max(1e-9)
}

/// Simple numbers about a clip; what one would look at first.
fn statistics(scene: &Scene, start: f64) -> Vec<f64> {
    let clip = scene.clip(start, &SMALL);
    let pixels = clip.pixels();
    let pictures: Vec<Array2<f64>> = pixels.outer_iter().map(light).collect();
    let changes: Vec<f64> = pictures.windows(2).map(|pair| change(&pair[0], &pair[1])).collect();
    let mut sorted = changes.clone();
    sorted.sort_by(f64::total_cmp);
    let median = sorted[sorted.len() / 2];
    let cut = |change: f64| change > 2.5 * median + 4.0;

    let mut numbers: Vec<f64> =
        (0..3).map(|channel| pixels.index_axis(Axis(1), channel).mapv(f64::from).mean().unwrap()).collect();
    let lights: Vec<f64> = pictures.iter().map(|picture| picture.mean().unwrap()).collect();
    let darkest = lights.iter().copied().fold(f64::INFINITY, f64::min);
    let spread: Vec<f64> = pictures.iter().map(|picture| picture.std(0.0)).collect();
    numbers.extend([deviation(&lights), darkest, darkest / mean(&lights), mean(&spread), deviation(&spread)]);
    numbers.extend([median, median.ln(), median / mean(&spread), mean(&changes), sorted[4], sorted[34]]);
    numbers.push(changes.iter().filter(|&&change| cut(change)).count() as f64);

    let mut figure = Vec::new();
    let mut shot = vec![pictures[0].clone()];
    for (picture, &change) in pictures[1..].iter().zip(&changes) {
        if cut(change) {
            figure.extend(moving(&shot));
            shot.clear();
        }
        shot.push(picture.clone());
    }
    figure.extend(moving(&shot));
    let columns: [Get; 4] = [|m| m.amount, |m| m.x, |m| m.y, |m| m.share];
    for column in columns {
        let values: Vec<f64> = figure.iter().map(column).collect();
        let steps: Vec<f64> = values.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
        numbers.extend([mean(&values), deviation(&values), mean(&steps)]);
    }
    let amounts: Vec<f64> = figure.iter().map(|m| m.amount).collect();
    numbers.push(mean(&amounts) / mean(&spread));
    numbers
}

/// What is asked of a clip's music.
const QUANTITIES: [&str; 7] = ["onset", "density", "loudness", "register", "mode", "silence", "phrase"];

/// [Onsets/s, notes/s, velocity, pitch, share of major, share of silence, bars] in 10 s from `start` on.
fn quantities(song: &Song, start: f64) -> [f64; 7] {
    let score = song.fragment(start, 10.0);
    let notes = &score.notes;
    let mut onsets = notes.iter().map(|note| note.start / 4).collect::<Vec<_>>();
    onsets.dedup();
    let times = (0..100).map(|index| start + index as f64 * 0.1);
    let major = |time: f64| {
        let mode = song.modes.iter().rev().find(|(begin, _)| *begin <= time).unwrap_or(&song.modes[0]);
        f64::from(mode.1 == Mode::Major)
    };
    let silent =
        |time: f64| f64::from(!song.notes.iter().any(|note| note.start <= time + 0.4 && time - 0.4 < note.end));
    let bars = song.downbeats.iter().filter(|&&time| time >= start && time < start + 10.0).count();
    [
        onsets.len() as f64 / 10.0,
        notes.len() as f64 / 10.0,
        mean(&notes.iter().map(|note| f64::from(note.velocity)).collect::<Vec<_>>()),
        mean(&notes.iter().map(|note| f64::from(note.pitch.get())).collect::<Vec<_>>()),
        mean(&times.clone().map(major).collect::<Vec<_>>()),
        mean(&times.map(silent).collect::<Vec<_>>()),
        bars as f64,
    ]
}

/// Share of the variance of each quantity that a linear read-out of statistics explains in songs that it was not
/// fitted to.
fn read_out(songs: &[Song], channels: Channels) -> [f64; 7] {
    let mut rows = Vec::new();
    for (index, song) in songs.iter().enumerate() {
        let scene = Scene::new(song, index as u64, channels);
        let clips = ((song.duration() / 10.0) as usize).min(6);
        for clip in 0..clips {
            let start = 10.0 * clip as f64;
            if song.fragment(start, 10.0).notes.is_empty() {
                continue;
            }
            rows.push((3 * index < 2 * songs.len(), statistics(&scene, start), quantities(song, start)));
        }
    }
    let columns = rows[0].1.len();
    let fitted: Vec<_> = rows.iter().filter(|row| row.0).collect();
    let column = |index: usize| fitted.iter().map(|row| row.1[index]).collect::<Vec<_>>();
    let scales: Vec<(f64, f64)> =
        (0..columns).map(|index| (mean(&column(index)), deviation(&column(index)).max(1e-9))).collect();
    let scaled = |row: &[f64]| -> Array1<f64> {
        row.iter()
            .zip(&scales)
            .map(|(value, (mean, deviation))| ((value - mean) / deviation).clamp(-4.0, 4.0))
            .collect()
    };
    let mut gram = Array2::<f64>::eye(columns) * (0.3 * fitted.len() as f64);
    for row in &fitted {
        let x = scaled(&row.1);
        gram += &x.view().insert_axis(Axis(1)).dot(&x.view().insert_axis(Axis(0)));
    }
    std::array::from_fn(|quantity| {
        let centre = mean(&fitted.iter().map(|row| row.2[quantity]).collect::<Vec<_>>());
        let mut moments = Array1::zeros(columns);
        for row in &fitted {
            moments += &(scaled(&row.1) * (row.2[quantity] - centre));
        }
        let weights = solve(gram.clone(), moments.view());
        let (mut missed, mut all) = (0.0, 0.0);
        for row in rows.iter().filter(|row| !row.0) {
            let guess = centre + scaled(&row.1).dot(&weights);
            missed += (row.2[quantity] - guess).powi(2);
            all += (row.2[quantity] - centre).powi(2);
        }
        1.0 - missed / f64::max(all, 1e-9)
    })
}

/// Solves `matrix x = right` for a positive definite matrix.
fn solve(mut matrix: Array2<f64>, right: ArrayView1<f64>) -> Array1<f64> {
    let size = right.len();
    let mut x = right.to_owned();
    for pivot in 0..size {
        for row in pivot + 1..size {
            let factor = matrix[[row, pivot]] / matrix[[pivot, pivot]];
            for column in pivot..size {
                matrix[[row, column]] -= factor * matrix[[pivot, column]];
            }
            x[row] -= factor * x[pivot];
        }
    }
    for pivot in (0..size).rev() {
        let known: f64 = (pivot + 1..size).map(|column| matrix[[pivot, column]] * x[column]).sum();
        x[pivot] = (x[pivot] - known) / matrix[[pivot, pivot]];
    }
    x
}

/// The read-out of each quantity with all channels and with none.
fn compare(songs: &[Song]) -> [[f64; 7]; 2] {
    let results = [Channels::all(), Channels::none()].map(|channels| read_out(songs, channels));
    for (index, name) in QUANTITIES.iter().enumerate() {
        println!("{name:9} on {:6.2}  off {:6.2}", results[0][index], results[1][index]);
    }
    results
}

#[test]
fn a_linear_read_out_sees_the_channels_and_nothing_else() {
    let [on, off] = compare(&songs(48));
    for (index, at_least) in [(1, 0.15), (2, 0.3), (3, 0.4), (4, 0.7), (5, 0.4)] {
        assert!(on[index] > at_least, "{}: {}", QUANTITIES[index], on[index]);
    }
    assert!(off.iter().all(|&share| share < 0.1), "{off:?}");
}

/// ```sh
/// VMT_MIDI=~/music cargo test --release -- --ignored --nocapture read_out_of_a_folder
/// ```
#[test]
#[ignore = "wants a folder of MIDI files in VMT_MIDI"]
fn read_out_of_a_folder() {
    let folder = env::var("VMT_MIDI").expect("VMT_MIDI");
    let files = Song::folder(Path::new(&folder)).unwrap();
    let step = files.len().div_ceil(200);
    let songs: Vec<Song> = files.iter().step_by(step).map(|file| Song::read(file).unwrap()).collect();
    compare(&songs);
    let all: [(&str, Turn, Sight); 9] = [
        ("onset", |c| c.onset = true, onset),
        ("density", |c| c.density = true, density),
        ("loudness", |c| c.loudness = true, loudness),
        ("register", |c| c.register = true, register),
        ("mode", |c| c.mode = true, mode),
        ("beat", |c| c.beat = true, beat),
        ("bar", |c| c.bar = true, bar),
        ("phrase", |c| c.phrase = true, phrase),
        ("silence", |c| c.silence = true, silence),
    ];
    for (name, channel, sight) in all {
        let [on, off] =
            [only(channel), Channels::none()].map(|channels| seen(&songs[..songs.len().min(60)], channels, sight));
        println!(
            "{name:9} on {:6.2} (z {:5.1})  off {:6.2} (z {:5.1})",
            mean(&on),
            certainty(&on),
            mean(&off),
            certainty(&off)
        );
    }
}

/// Numbers that are positive where a picture follows its music, and around 0 where it does not.
type Sight = fn(&Song, &Scene) -> Vec<f64>;

fn seen(songs: &[Song], channels: Channels, sight: Sight) -> Vec<f64> {
    let of = |(seed, song)| sight(song, &Scene::new(song, seed, channels));
    (0..).zip(songs).flat_map(of).collect()
}

#[track_caller]
fn check(channel: Turn, sight: Sight) {
    let songs = songs(30);
    let [on, off] = [only(channel), Channels::none()].map(|channels| certainty(&seen(&songs, channels, sight)));
    println!("on {on:.1} off {off:.1} standard errors");
    assert!(on > 5.0, "with the channel only {on} standard errors from 0");
    assert!(off.abs() < 4.0, "without the channel {off} standard errors from 0");
}

fn look(scene: &Scene, time: f64) -> Array2<f64> {
    light(scene.picture(time, SMALL.height, SMALL.width).view())
}

/// One number for a song: how what is heard and what is seen go together over `times`.
fn together(times: &[f64], heard: impl Fn(f64) -> f64, shown: impl Fn(f64) -> f64) -> Vec<f64> {
    let (heard, shown): (Vec<f64>, Vec<f64>) = times.iter().map(|&time| (heard(time), shown(time))).unzip();
    let (heard_mean, shown_mean) = (mean(&heard), mean(&shown));
    let product: Vec<f64> = heard.iter().zip(&shown).map(|(a, b)| (a - heard_mean) * (b - shown_mean)).collect();
    let scale = deviation(&heard) * deviation(&shown);
    if scale > 1e-9 { vec![mean(&product) / scale] } else { vec![] }
}

/// Every `seconds` of a minute.
fn every(seconds: f64) -> Vec<f64> {
    (1..(58.0 / seconds) as usize).map(|index| index as f64 * seconds).collect()
}

fn notes_between(song: &Song, from: f64, to: f64) -> impl Iterator<Item = &PerformedNote> {
    song.notes.iter().filter(move |note| (from..to).contains(&note.start))
}

/// What moves around `time`, in pictures of 2 s.
fn moving_around(scene: &Scene, time: f64, get: Get) -> f64 {
    let pictures: Vec<_> = (0..9).map(|index| look(scene, time + 0.25 * (f64::from(index) - 4.0))).collect();
    mean(&moving(&pictures).iter().map(get).collect::<Vec<_>>())
}

/// Light after an onset that follows a pause, less the light before it.
fn onset(song: &Song, scene: &Scene) -> Vec<f64> {
    let alone = song.notes.windows(2).filter(|pair| pair[1].start - pair[0].start > 0.3).map(|pair| pair[1].start);
    let flash = |time: f64| look(scene, time + 0.06).mean().unwrap() - look(scene, time - 0.06).mean().unwrap();
    // Cuts change the light far more than flashes do.
    alone.take(20).map(|time| flash(time).clamp(-4.0, 4.0)).collect()
}

#[test]
fn light_flashes_with_onsets() {
    check(|c| c.onset = true, onset);
}

fn density(song: &Song, scene: &Scene) -> Vec<f64> {
    let heard = |time| notes_between(song, time - 0.25, time + 0.25).count() as f64;
    together(&every(1.3), heard, |time| change(&look(scene, time + 0.04), &look(scene, time)).min(4.0))
}

#[test]
fn things_move_faster_where_there_are_more_notes() {
    check(|c| c.density = true, density);
}

fn loudness(song: &Song, scene: &Scene) -> Vec<f64> {
    let heard =
        |time| mean(&notes_between(song, time - 1.0, time + 1.0).map(|n| n.velocity.into()).collect::<Vec<_>>());
    together(&every(3.1), heard, |time| moving_around(scene, time, |m| m.amount))
}

#[test]
fn the_dancer_grows_with_loudness() {
    check(|c| c.loudness = true, loudness);
}

fn register(song: &Song, scene: &Scene) -> Vec<f64> {
    let heard = |time| mean(&notes_between(song, time - 1.0, time + 1.0).map(|n| n.pitch.into()).collect::<Vec<_>>());
    together(&every(3.1), heard, |time| -moving_around(scene, time, |m| m.y))
}

#[test]
fn the_dancer_rises_with_pitch() {
    check(|c| c.register = true, register);
}

fn mode(song: &Song, scene: &Scene) -> Vec<f64> {
    let heard = |time: f64| {
        let mode = song.modes.iter().rev().find(|(begin, _)| *begin <= time).unwrap_or(&song.modes[0]);
        f64::from(mode.1 == Mode::Major)
    };
    together(&every(2.3), heard, |time| {
        let picture = scene.picture(time, 16, 16).mapv(f64::from);
        picture.index_axis(Axis(0), 0).mean().unwrap() - picture.index_axis(Axis(0), 2).mean().unwrap()
    })
}

#[test]
fn major_is_warm_and_minor_is_cold() {
    check(|c| c.mode = true, mode);
}

/// What moves, at two places in each of the pairs of `times`: first minus second.
fn between(scene: &Scene, times: &[f64], places: [f64; 2], get: Get) -> Vec<f64> {
    times
        .windows(5)
        .step_by(4)
        .map(|times| {
            let at = |place: f64| {
                times.windows(2).map(move |pair| pair[0] + place * (pair[1] - pair[0])).map(|time| look(scene, time))
            };
            let pictures: Vec<_> = at(places[0]).chain(at(places[1])).collect();
            let places: Vec<f64> = moving(&pictures).iter().map(get).collect();
            let (first, second) = places.split_at(places.len() / 2);
            mean(first) - mean(second)
        })
        .collect()
}

/// `y` points down.
fn beat(song: &Song, scene: &Scene) -> Vec<f64> {
    let fast = song.beats[1] - song.beats[0] < 1.0 / 1.8;
    let beats: Vec<f64> = song.beats.iter().copied().step_by(if fast { 2 } else { 1 }).take(41).collect();
    between(scene, &beats, [0.0, 0.5], |m| m.y)
}

#[test]
fn the_dancer_is_down_on_the_beat() {
    check(|c| c.beat = true, beat);
}

/// The side is the scene's own, so the numbers of a scene are compared with its first one.
fn bar(song: &Song, scene: &Scene) -> Vec<f64> {
    let sways = between(scene, &song.downbeats, [0.25, 0.75], |m| m.x);
    sways.iter().skip(1).map(|sway| sway * sways[0].signum()).collect()
}

#[test]
fn the_dancer_sways_with_the_bar() {
    check(|c| c.bar = true, bar);
}

/// Change at the beginnings of phrases, less the change half a beat later.
fn phrase(song: &Song, scene: &Scene) -> Vec<f64> {
    let cut = |time: f64| change(&look(scene, time - 0.16), &look(scene, time + 0.06)).min(30.0);
    song.downbeats.iter().skip(4).step_by(4).map(|&time| cut(time) - cut(time + 0.45)).collect()
}

#[test]
fn phrases_begin_with_cuts() {
    check(|c| c.phrase = true, phrase);
}

/// Light before a silence, less the light in it, as a share of both.
fn silence(song: &Song, scene: &Scene) -> Vec<f64> {
    let mut end = f64::INFINITY;
    let mut silences = Vec::new();
    for note in &song.notes {
        if note.start > end + 0.9 {
            silences.push((end, note.start));
        }
        end = if end.is_finite() { end.max(note.end) } else { note.end };
    }
    let drop = |&(from, to): &(f64, f64)| {
        let (before, within) = (look(scene, from - 0.3).mean().unwrap(), look(scene, to - 0.3).mean().unwrap());
        (before - within) / (before + within)
    };
    silences.iter().map(drop).collect()
}

#[test]
fn silence_is_dim() {
    check(|c| c.silence = true, silence);
}

#[test]
fn in_a_silence_nothing_moves() {
    let mut silent = Song::new("two notes", vec![note(0.0, 60), note(8.0, 62)]).unwrap();
    (silent.beats, silent.downbeats) = (vec![], vec![]);
    for seed in 0..8 {
        let scene = Scene::new(&silent, seed, Channels::all());
        let moved = change(&look(&scene, 4.3), &look(&scene, 4.4));
        // What is left: the drift of the camera, and grain.
        let noise = change(&look(&scene, 4.3), &look(&scene, 4.301));
        assert!(moved < noise + 1.0, "{moved} {noise}");
    }
}

fn note(start: f64, pitch: u8) -> PerformedNote {
    PerformedNote { start, end: start + 0.5, pitch, velocity: 80 }
}

#[test]
fn the_same_dice_draw_the_same_pictures() {
    let (song, other) = (song(1), song(2));
    let clip = |song, seed, start| Scene::new(song, seed, Channels::drawn(seed)).clip(start, &SMALL);
    assert_eq!(clip(&song, 1, 12.5), clip(&song, 1, 12.5));
    assert_ne!(clip(&song, 1, 12.5), clip(&song, 2, 12.5));
    assert_ne!(clip(&song, 1, 12.5), clip(&song, 1, 13.5));
    assert_ne!(clip(&song, 1, 12.5), clip(&other, 1, 12.5));
}

#[test]
fn a_clip_is_made_of_pictures() {
    let song = song(3);
    let scene = Scene::new(&song, 5, Channels::all());
    let wide = Geometry { height: 48, width: 64, ..Geometry::PAPER };
    for geometry in [SMALL, Geometry::PAPER, wide] {
        let clip = scene.clip(7.3, &geometry);
        assert_eq!(clip.frames(), geometry.frames);
        for frame in [0, 17, 39] {
            let time = 7.3 + geometry.time(frame).as_secs_f64();
            assert_eq!(clip.pixels().index_axis(Axis(0), frame), scene.picture(time, geometry.height, geometry.width));
        }
    }
}

#[test]
fn size_changes_nothing_but_detail() {
    let song = song(4);
    let plain = (0..40).map(|seed| Scene::new(&song, seed, Channels::all()));
    for scene in plain {
        let [small, large] = [64, 128].map(|side| light(scene.picture(20.0, side, side).view()));
        let halved = Array2::from_shape_fn((64, 64), |(y, x)| {
            large.slice(ndarray::s![2 * y..2 * y + 2, 2 * x..2 * x + 2]).mean().unwrap()
        });
        assert!(change(&small, &halved) < 8.0, "{}", change(&small, &halved));
    }
}

#[test]
fn any_time_has_a_picture() {
    let song = Song::new("one note", vec![note(3.0, 60)]).unwrap();
    let scene = Scene::new(&song, 1, Channels::all());
    for time in [-100.0, 0.0, 3.0, 1e6] {
        assert_eq!(scene.picture(time, 8, 8).dim(), (3, 8, 8));
    }
}

#[test]
fn a_channel_is_dropped_now_and_then() {
    let drawn: Vec<Channels> = (0..2000).map(Channels::drawn).collect();
    let share = |count: usize| count as f64 / drawn.len() as f64;
    assert!((share(drawn.iter().filter(|c| **c == Channels::none()).count()) - 0.1).abs() < 0.02);
    assert!((share(drawn.iter().filter(|c| c.beat).count()) - 0.9 * 0.75).abs() < 0.03);
    assert!((share(drawn.iter().filter(|c| c.silence).count()) - 0.9 * 0.75).abs() < 0.03);
}

#[test]
fn channels_have_names() {
    assert_eq!("all".parse::<Channels>().unwrap(), Channels::all());
    assert_eq!("none".parse::<Channels>().unwrap(), Channels::none());
    let some = Channels { beat: true, silence: true, ..Channels::none() };
    assert_eq!("beat,silence".parse::<Channels>().unwrap(), some);
    assert!("beat, bar".parse::<Channels>().unwrap_err().to_string().contains("there is ` bar`"));
}

/// A folder with a song for each name, 12 s long.
fn folder_of(names: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (seed, name) in (10..).zip(names) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, midi::write(&song(seed).fragment(0.0, 12.0))).unwrap();
    }
    folder
}

#[test]
fn pairs_are_what_the_scene_shows() {
    let (songs, out) = (folder_of(&["a/a.mid"]), tempfile::tempdir().unwrap());
    // Four pictures a second are those of the clip; the codec is given large ones, which blur less when shrunk.
    let options = Options { rate: 4, side: 128, channels: Some(Channels::all()), ..Options::default() };
    write_pairs(songs.path(), out.path(), &options, |_| {}).unwrap();

    let song = Song::read(&songs.path().join("a/a.mid")).unwrap();
    let written = midi::read(&fs::read(out.path().join("a.mid")).unwrap(), true).unwrap();
    let length = Duration::from_secs(20);
    assert_eq!(Score::quantise(&written, length).notes, Score::quantise(&song.notes, length).notes);

    let windows: Vec<_> =
        Video::open(out.path().join("a.mp4")).unwrap().windows(Geometry::PAPER).collect::<Result<_, _>>().unwrap();
    assert_eq!(windows[0].clip.frames(), 40);
    assert!(windows.len() <= 2);
    let film = windows[0].clip.pixels();
    // How far the film is from a scene.
    let distance = |seed| {
        let clip = Scene::new(&song, seed, Channels::all()).clip(0.0, &Geometry::PAPER);
        let pairs = clip
            .pixels()
            .outer_iter()
            .zip(film.outer_iter())
            .map(|(a, b)| change(&light(a), &light(b)))
            .collect::<Vec<_>>();
        mean(&pairs)
    };
    assert!(distance(options.seed_of("a")) < 6.0, "{}", distance(options.seed_of("a")));
    assert!(distance(99) > 12.0);
}

#[test]
fn what_is_drawn_can_be_prepared() {
    let (songs, out, data) =
        (folder_of(&["x.mid", "y.mid"]), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let options = Options { rate: 8, side: 64, ..Options::default() };
    write_pairs(songs.path(), out.path(), &options, |_| {}).unwrap();
    let how = prepare::Options { geometry: SMALL, split: Split::ByName([1, 0, 0]), sustain: true, tolerance: 10.0 };
    let report = prepare::prepare(out.path(), data.path(), &how, |_, _, _| {}).unwrap();
    assert_eq!((report.skipped.len(), report.dataset.songs.len()), (0, 2));

    let prepared = Prepared::open(data.path(), Share::Train, Augment::NONE).unwrap();
    assert_eq!(prepared.count(), 2);
    for (index, name) in ["x", "y"].iter().enumerate() {
        let song = Song::read(&songs.path().join(format!("{name}.mid"))).unwrap();
        let fragment = prepared.fragment(index, &mut Stream::new(1, "test", &[])).unwrap();
        assert_eq!(fragment.tokens, targets(&song.fragment(0.0, 10.0)), "{name}");
    }
}

#[test]
fn finished_pairs_are_left_alone() {
    let (songs, out) = (folder_of(&["b/b.mid", "c.midi", "d/e.MID", "d/notes.txt"]), tempfile::tempdir().unwrap());
    let options = Options { rate: 5, side: 32, seconds: Some(1.0), jobs: 2, ..Options::default() };
    let run = || {
        let mut told = Vec::new();
        write_pairs(songs.path(), out.path(), &options, |p| told.push((p.name.to_owned(), p.skipped, p.done, p.total)))
            .unwrap();
        told
    };
    let mut first = run();
    assert_eq!(
        first.iter().map(|told| (told.1, told.2, told.3)).collect::<Vec<_>>(),
        [(false, 1, 3), (false, 2, 3), (false, 3, 3)]
    );
    first.sort();
    assert_eq!(first.iter().map(|told| told.0.as_str()).collect::<Vec<_>>(), ["b", "c", "d-e"]);
    fs::remove_file(out.path().join("c.mp4")).unwrap();
    let mut second: Vec<_> = run().into_iter().map(|told| (told.0, told.1)).collect();
    second.sort();
    assert_eq!(second, [("b".to_owned(), true), ("c".to_owned(), false), ("d-e".to_owned(), true)]);
    let mut files: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["b.mid", "b.mp4", "c.mid", "c.mp4", "d-e.mid", "d-e.mp4"]);
}

#[test]
fn what_cannot_be_written_is_named() {
    let out = tempfile::tempdir().unwrap();
    let refused = |songs: &Path, options: Options, said: &str| {
        let error = format!("{:#}", write_pairs(songs, out.path(), &options, |_| {}).unwrap_err());
        assert!(error.contains(said), "{error}");
    };
    let songs = folder_of(&["x/y.mid", "x-y.mid"]);
    refused(songs.path(), Options::default(), "would both be written as x-y.mid");
    refused(out.path(), Options::default(), "there is no MIDI file below it");
    refused(songs.path(), Options { side: 33, ..Options::default() }, "must be even and at least 2, but is 33");
    refused(songs.path(), Options { rate: 0, ..Options::default() }, "must be at least 1 picture a second, but is 0");
    refused(songs.path(), Options { seconds: Some(-1.0), ..Options::default() }, "must be above 0 s, but is -1");
    fs::write(songs.path().join("x-y.mid"), "ID3").unwrap();
    fs::remove_dir_all(songs.path().join("x")).unwrap();
    refused(songs.path(), Options::default(), "x-y.mid: not a readable MIDI file: it has no header");
}
