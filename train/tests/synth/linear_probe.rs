//! A linear probe: what simple statistics of a clip say of its music, by ridge regression.

use ndarray::{Array1, Array2, ArrayView1, Axis};
use vmt_train::data::song::{Mode, Song};
use vmt_train::synth::{Channels, Scene};

use crate::pictures::{Get, change, deviation, light, mean, moving};
use crate::songs::{SMALL, songs};

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
    let notes = score.notes();
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
            if song.fragment(start, 10.0).notes().is_empty() {
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
pub fn compare(songs: &[Song]) -> [[f64; 7]; 2] {
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
