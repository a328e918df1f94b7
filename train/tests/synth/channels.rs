//! Each channel shows its quantity, and nothing else does.

use std::env;
use std::path::Path;

use ndarray::Axis;
use vmt::PerformedNote;
use vmt_train::data::song::{Mode, Song};
use vmt_train::synth::{Channels, Scene};

use crate::linear_probe::compare;
use crate::pictures::{Get, certainty, change, deviation, look, mean, moving};
use crate::songs::{note, songs};

/// Turns a channel on.
type Turn = fn(&mut Channels);

/// A channel alone.
fn only(channel: Turn) -> Channels {
    let mut channels = Channels::none();
    channel(&mut channels);
    channels
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
