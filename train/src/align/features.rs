//! What film and score are compared by: for each pitch class, how much of it sounds (chroma) and how much of it begins
//! (onsets), after Ewert, Müller and Grosche 2009, "High resolution audio synchronization using chroma onset features".

use std::f32::consts::TAU;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};
use vmt::PerformedNote;

/// Samples a second of the sound.
pub const RATE: u32 = 16_000;
/// Frames a second of the features.
pub const FRAMES: usize = 100;
/// Frames a second for finding sections.
pub const COARSE: usize = 10;

const HOP: usize = RATE as usize / FRAMES;
/// The lowest pitch and how many there are: C2..E7.
const LOWEST: u8 = 36;
const PITCHES: usize = 65;
/// From this pitch on, a window of half the length tells semitones apart, and says better when they begin.
const SHORT_FROM: u8 = 67;
const LONG: usize = 4096;
const SHORT: usize = 2048;
/// A frame's value for each pitch class.
pub type Chroma = [f32; 12];
/// Sounding pitch classes, then onsets; each part of length 1 or less.
pub type Frame = [f32; 24];

/// Features of a film or a score.
#[derive(Clone, Debug)]
pub struct Features {
    /// Onsets of each pitch class, `0.0..=1.0`, at [`FRAMES`] a second; none for a score.
    pub onsets: Vec<Chroma>,
    /// At [`COARSE`] a second.
    pub coarse: Vec<Frame>,
}

impl Features {
    /// Of a film's sound, mono at [`RATE`].
    pub fn of_sound(samples: &[f32]) -> Self {
        let levels = levels(samples);
        let mut sounding = vec![[0.0; 12]; levels.len()];
        let mut onsets = vec![[0.0; 12]; levels.len()];
        for (frame, level) in levels.iter().enumerate() {
            let near = |by: i64| &levels[(frame as i64 + by).clamp(0, levels.len() as i64 - 1) as usize];
            let (before, after) = ([near(-3), near(-1)], [near(1), near(3)]);
            let rise: [f32; PITCHES] = std::array::from_fn(|pitch| {
                (after[0][pitch] + after[1][pitch] - before[0][pitch] - before[1][pitch]).max(0.0)
            });
            fold(&contrast(level, 4), &mut sounding[frame]);
            fold(&contrast(&rise, 6), &mut onsets[frame]);
        }
        normalise_locally(&mut onsets);
        let coarse_onsets =
            binned(&onsets, |bin, frame| std::array::from_fn(|class| f32::max(bin[class], frame[class])));
        let coarse_sounding =
            smoothed(&sounding, FRAMES / 4).into_iter().skip(FRAMES / COARSE / 2).step_by(FRAMES / COARSE).collect();
        let coarse = coarse(coarse_sounding, decaying(coarse_onsets));
        Self { onsets, coarse }
    }

    /// Of a score's notes, as a piano would sound that plays them so many times slower.
    pub fn of_notes(notes: &[PerformedNote], slower: f64) -> Self {
        let end = notes.iter().map(|note| note.end).fold(0.0, f64::max) * slower;
        let rate = 4 * COARSE;
        let mut sounding = vec![[0.0_f32; 12]; (end * rate as f64) as usize + 1];
        let mut onsets = vec![[0.0_f32; 12]; (end * COARSE as f64) as usize + 1];
        for note in notes {
            let loudness = f32::from(note.velocity) / 127.0;
            let first = (note.start * slower * rate as f64) as usize;
            let last = ((note.end * slower * rate as f64) as usize).clamp(first, end_of(&sounding));
            for (age, frame) in sounding[first..=last].iter_mut().enumerate() {
                let level = loudness * (-(age as f32) / (1.2 * rate as f32)).exp();
                // Harmonics: the third is a fifth above, the fifth a major third.
                for (interval, share) in [(0, 1.0), (7, 0.25), (4, 0.1)] {
                    frame[usize::from(note.pitch + interval) % 12] += level * share;
                }
            }
            let frame = ((note.start * slower * COARSE as f64) as usize).min(end_of(&onsets));
            let onset = &mut onsets[frame][usize::from(note.pitch) % 12];
            *onset = onset.max(loudness.sqrt());
        }
        for frame in &mut sounding {
            frame.iter_mut().for_each(|value| *value = value.sqrt());
        }
        let sounding = smoothed(&sounding, rate / 4);
        let count = onsets.len();
        let sounding = sounding
            .into_iter()
            .skip(rate / COARSE / 2)
            .step_by(rate / COARSE)
            .chain(std::iter::repeat([0.0; 12]))
            .take(count)
            .collect();
        Self { onsets: Vec::new(), coarse: coarse(sounding, decaying(onsets)) }
    }
}

fn end_of<T>(items: &[T]) -> usize {
    items.len() - 1
}

/// Logarithmic energies of each pitch, [`FRAMES`] a second.
fn levels(samples: &[f32]) -> Vec<[f32; PITCHES]> {
    let count = samples.len() / HOP + 1;
    let tuning = tuning(samples);
    let mut levels = vec![[0.0; PITCHES]; count];
    for (size, range) in [(LONG, LOWEST..SHORT_FROM), (SHORT, SHORT_FROM..LOWEST + PITCHES as u8)] {
        let mut spectrum = Spectrum::new(size);
        let filters: Vec<_> = range.map(|pitch| filter(pitch, tuning, size)).collect();
        for (frame, level) in levels.iter_mut().enumerate() {
            let power = spectrum.at(samples, frame * HOP);
            for (pitch, first, weights) in &filters {
                let energy: f32 = weights.iter().zip(&power[*first..]).map(|(weight, power)| weight * power).sum();
                level[usize::from(pitch - LOWEST)] = energy;
            }
        }
    }
    // Relative to the mean, so that loudness is of no concern.
    let mean = levels.as_flattened().iter().map(|&energy| f64::from(energy)).sum::<f64>() / (count * PITCHES) as f64;
    let scale = (30.0 / mean.max(1e-20)) as f32;
    levels.as_flattened_mut().iter_mut().for_each(|energy| *energy = (1.0 + *energy * scale).ln());
    levels
}

/// Power spectra.
struct Spectrum {
    transform: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    input: Vec<f32>,
    output: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
    power: Vec<f32>,
}

impl Spectrum {
    fn new(size: usize) -> Self {
        let transform = RealFftPlanner::new().plan_fft_forward(size);
        let hann = |index| (0.5 - 0.5 * (TAU * index as f32 / size as f32).cos()) * 2.0 / size as f32;
        let (input, output) = (transform.make_input_vec(), transform.make_output_vec());
        let (scratch, power) = (transform.make_scratch_vec(), vec![0.0; output.len()]);
        Self { transform, window: (0..size).map(hann).collect(), input, output, scratch, power }
    }

    /// Around a sample.
    fn at(&mut self, samples: &[f32], centre: usize) -> &[f32] {
        let half = self.window.len() / 2;
        for (index, (value, weight)) in self.input.iter_mut().zip(&self.window).enumerate() {
            let sample = (centre + index).checked_sub(half).and_then(|at| samples.get(at));
            *value = sample.map_or(0.0, |sample| sample * weight);
        }
        // It fails for buffers of other lengths only.
        let _ = self.transform.process_with_scratch(&mut self.input, &mut self.output, &mut self.scratch);
        self.power.iter_mut().zip(&self.output).for_each(|(power, bin)| *power = bin.norm_sqr());
        &self.power
    }
}

/// How much higher than a' = 440 Hz the sound is tuned, in semitones, -0.5..0.5: the circular mean over the peaks of spectra.
fn tuning(samples: &[f32]) -> f64 {
    let mut spectrum = Spectrum::new(LONG);
    let (mut east, mut north) = (0.0, 0.0);
    for frame in (0..samples.len()).step_by(RATE as usize / COARSE) {
        let power = spectrum.at(samples, frame);
        // 250 to 2000 Hz: lower peaks are too broad.
        for bin in LONG * 250 / RATE as usize..LONG * 2000 / RATE as usize {
            let [below, here, above] = [bin - 1, bin, bin + 1].map(|bin| f64::from(power[bin]).max(1e-20).ln());
            if here <= below || here < above {
                continue;
            }
            // The vertex of a parabola through the three.
            let peak = bin as f64 + 0.5 * (below - above) / (below - 2.0 * here + above);
            let semitone = 12.0 * (peak * f64::from(RATE) / LONG as f64 / 440.0).log2();
            let weight = f64::from(power[bin]).sqrt();
            let (sine, cosine) = (std::f64::consts::TAU * semitone).sin_cos();
            (east, north) = (east + weight * cosine, north + weight * sine);
        }
    }
    north.atan2(east) / std::f64::consts::TAU
}

/// Weights of the bins around a pitch, from which bin on.
fn filter(pitch: u8, tuning: f64, size: usize) -> (u8, usize, Vec<f32>) {
    let bin = |pitch: f64| 440.0 * ((pitch + tuning - 69.0) / 12.0).exp2() * size as f64 / f64::from(RATE);
    let centre = bin(pitch.into());
    let half = (bin(f64::from(pitch) + 0.75) - centre).max(1.0);
    let first = (centre - half).ceil() as usize;
    let weights =
        (first..=(centre + half) as usize).map(|at| (1.0 - (at as f64 - centre).abs() / half).max(0.0) as f32);
    (pitch, first, weights.collect())
}

/// What stands out from the pitches nearby: drums and speech are in all of them.
fn contrast(values: &[f32; PITCHES], reach: usize) -> [f32; PITCHES] {
    std::array::from_fn(|pitch| {
        let near = &values[pitch.saturating_sub(reach)..(pitch + reach + 1).min(PITCHES)];
        (values[pitch] - near.iter().sum::<f32>() / near.len() as f32).max(0.0)
    })
}

fn fold(values: &[f32; PITCHES], chroma: &mut Chroma) {
    for (value, pitch) in values.iter().zip(usize::from(LOWEST)..) {
        chroma[pitch % 12] += value;
    }
}

fn length(values: &[f32]) -> f32 {
    values.iter().map(|value| value * value).sum::<f32>().sqrt()
}

/// Divides by the largest value within half a second.
fn normalise_locally(onsets: &mut [Chroma]) {
    let largest: Vec<f32> = onsets.iter().map(|frame| frame.iter().copied().fold(0.0, f32::max)).collect();
    let mean = largest.iter().sum::<f32>() / largest.len().max(1) as f32;
    let reach = FRAMES / 2;
    for (index, frame) in onsets.iter_mut().enumerate() {
        let near = &largest[index.saturating_sub(reach)..(index + reach + 1).min(largest.len())];
        let norm = near.iter().copied().fold(0.3 * mean, f32::max).max(1e-9);
        frame.iter_mut().for_each(|value| *value /= norm);
    }
}

/// The mean over `reach` frames on both sides.
fn smoothed(frames: &[Chroma], reach: usize) -> Vec<Chroma> {
    let mut sums = vec![[0.0_f64; 12]];
    for frame in frames {
        let last = sums[sums.len() - 1];
        sums.push(std::array::from_fn(|class| last[class] + f64::from(frame[class])));
    }
    let mean = |index: usize| {
        let (from, to) = (index.saturating_sub(reach), (index + reach + 1).min(frames.len()));
        std::array::from_fn(|class| ((sums[to][class] - sums[from][class]) / (to - from) as f64) as f32)
    };
    (0..frames.len()).map(mean).collect()
}

fn binned(frames: &[Chroma], join: impl Fn(Chroma, &Chroma) -> Chroma) -> Vec<Chroma> {
    frames.chunks(FRAMES / COARSE).map(|bin| bin.iter().fold([0.0; 12], &join)).collect()
}

/// Lets each onset die away, so that one a little early or late is met too.
fn decaying(mut onsets: Vec<Chroma>) -> Vec<Chroma> {
    let mut before = [0.0; 12];
    for frame in &mut onsets {
        frame.iter_mut().zip(before).for_each(|(value, before)| *value = f32::max(*value, 0.7 * before));
        before = *frame;
    }
    onsets
}

/// Less the mean over all frames, which is the key; of length 1, or less where little sounds.
fn centred(mut frames: Vec<Chroma>) -> Vec<Chroma> {
    let count = frames.len().max(1) as f32;
    let quiet = (0.3 * frames.iter().map(|frame| length(frame)).sum::<f32>() / count).max(1e-9);
    let shares: Vec<f32> = frames.iter().map(|frame| (length(frame) / quiet).min(1.0)).collect();
    for frame in &mut frames {
        let norm = length(frame).max(quiet);
        frame.iter_mut().for_each(|value| *value /= norm);
    }
    let mean: Chroma = std::array::from_fn(|class| frames.iter().map(|frame| frame[class]).sum::<f32>() / count);
    for (frame, share) in frames.iter_mut().zip(shares) {
        frame.iter_mut().zip(mean).for_each(|(value, mean)| *value -= mean);
        let norm = length(frame).max(0.3);
        frame.iter_mut().for_each(|value| *value *= share / norm);
    }
    frames
}

fn coarse(sounding: Vec<Chroma>, onsets: Vec<Chroma>) -> Vec<Frame> {
    let join = |(sounding, onsets): (Chroma, Chroma)| {
        std::array::from_fn(|index| if index < 12 { sounding[index] } else { onsets[index - 12] })
    };
    centred(sounding).into_iter().zip(centred(onsets)).map(join).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tone with harmonics, of so many semitones above a' = 440 Hz, from `start` on.
    fn tone(sound: &mut [f32], start: f64, semitones: f64) {
        let rate = f64::from(RATE);
        let hertz = 440.0 * (semitones / 12.0).exp2();
        for (age, sample) in sound.iter_mut().skip((start * rate) as usize).enumerate() {
            let time = age as f64 / rate;
            let wave: f64 = (1..4).map(f64::from).map(|n| (std::f64::consts::TAU * n * hertz * time).sin() / n).sum();
            *sample += (0.2 * (-3.0 * time).exp() * wave) as f32;
        }
    }

    #[test]
    fn an_onset_is_where_a_tone_begins() {
        for (start, pitch) in [(1.0, 60), (1.234, 69), (2.5, 76)] {
            let mut sound = vec![0.0; 4 * RATE as usize];
            tone(&mut sound, 0.2, -2.0);
            tone(&mut sound, start, f64::from(pitch) - 69.0);
            let onsets = Features::of_sound(&sound).onsets;
            let class = pitch as usize % 12;
            let from = FRAMES / 2;
            let peak = (from..onsets.len()).max_by(|&a, &b| onsets[a][class].total_cmp(&onsets[b][class])).unwrap();
            let peak = peak as f64 / FRAMES as f64;
            // In silence, half a window hears it first.
            assert!((-0.05..0.01).contains(&(peak - start)), "{peak} for {start}");
        }
    }

    #[test]
    fn tuning_is_found() {
        for cents in [-40.0, -10.0, 0.0, 25.0, 45.0] {
            let mut sound = vec![0.0; 3 * RATE as usize];
            for (index, semitones) in [-9.0, -5.0, -2.0, 3.0].into_iter().enumerate() {
                tone(&mut sound, 0.5 * index as f64, semitones + cents / 100.0);
            }
            let found = 100.0 * tuning(&sound);
            assert!((found - cents).abs() < 5.0, "{found} for {cents}");
        }
    }

    #[test]
    fn a_score_looks_as_it_sounds() {
        let note = |start, pitch| PerformedNote { start, end: start + 0.9, pitch, velocity: 90 };
        let notes: Vec<_> =
            [57, 64, 60, 65, 62, 67].into_iter().zip(0..).map(|(pitch, at)| note(f64::from(at), pitch)).collect();
        let mut sound = vec![0.0; 6 * RATE as usize];
        notes.iter().for_each(|note| {
            let mut one = vec![0.0; (note.end * f64::from(RATE)) as usize];
            tone(&mut one, note.start, f64::from(note.pitch) - 69.0);
            sound.iter_mut().zip(one).for_each(|(sound, one)| *sound += one);
        });
        let (film, score) = (Features::of_sound(&sound).coarse, Features::of_notes(&notes, 1.0).coarse);
        let alike = |shift: usize| {
            let pairs = film.iter().zip(score.iter().cycle().skip(shift)).take(50);
            pairs.map(|(film, score)| super::super::coarse::alike(film, score)).sum::<f32>() / 50.0
        };
        assert!(alike(0) > 0.5 && (10..50).step_by(10).all(|shift| alike(shift) < 0.2), "{}", alike(0));
        // Silence is like nothing.
        let silence = Features::of_sound(&[0.0; RATE as usize]);
        assert!(silence.coarse.as_flattened().iter().all(|value| *value == 0.0));
    }
}
