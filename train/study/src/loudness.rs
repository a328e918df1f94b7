//! Loudness as listeners have it (ITU-R BS.1770), and sounds that are made here.

use std::f64::consts::TAU;

use anyhow::Result;
use ebur128::{EbuR128, Mode};
use vmt_video::SAMPLE_RATE;

/// Left and right.
pub type Sound = Vec<[f32; 2]>;

/// The highest true peak, in dBTP: what is encoded and decoded again may be a little higher (EBU R 128).
pub const PEAK: f64 = -1.0;

/// How loud a sound is.
#[derive(Clone, Copy, Debug)]
pub struct Loudness {
    /// Integrated loudness in LUFS; `None` for silence, which is gated away.
    pub lufs: Option<f64>,
    /// True peak in dBTP.
    pub peak: f64,
}

impl Loudness {
    /// Of a sound.
    ///
    /// # Errors
    /// Where the meter fails.
    pub fn of(sound: &[[f32; 2]]) -> Result<Self> {
        let mut meter = EbuR128::new(2, SAMPLE_RATE, Mode::I | Mode::TRUE_PEAK)?;
        meter.add_frames_f32(sound.as_flattened())?;
        // A block is 400 ms: of less than that nothing is known.
        let lufs = Some(meter.loudness_global()?).filter(|lufs| lufs.is_finite());
        let peak = meter.true_peak(0)?.max(meter.true_peak(1)?);
        Ok(Self { lufs, peak: 20.0 * peak.log10() })
    }

    /// The loudness that this can be brought to without a true peak above [`PEAK`]; infinite for silence.
    fn most(self) -> f64 {
        self.lufs.map_or(f64::INFINITY, |lufs| lufs + PEAK - self.peak)
    }
}

/// Brings sounds that are compared to one loudness: `wanted` in LUFS, or as much as the peak of each allows. Silence stays. Returns it.
///
/// # Errors
/// Where the meter fails.
pub fn equalise(sounds: &mut [Sound], wanted: f64) -> Result<f64> {
    let loudness = sounds.iter().map(|sound| Loudness::of(sound)).collect::<Result<Vec<_>>>()?;
    let reached = loudness.iter().map(|loudness| loudness.most()).fold(wanted, f64::min);
    for (sound, Loudness { lufs, .. }) in sounds.iter_mut().zip(loudness) {
        let gain = lufs.map_or(1.0, |lufs| 10_f64.powf((reached - lufs) / 20.0)) as f32;
        sound.as_flattened_mut().iter_mut().for_each(|sample| *sample *= gain);
    }
    Ok(reached)
}

/// Cuts `sound` to this many seconds, with a fade of 20 ms where it is cut, or lets silence follow.
pub fn fit(mut sound: Sound, seconds: f64) -> Sound {
    let length = (seconds * f64::from(SAMPLE_RATE)).round() as usize;
    if sound.len() > length {
        sound.truncate(length);
        let fade = (SAMPLE_RATE as usize / 50).min(length);
        for (index, frame) in sound.iter_mut().rev().take(fade).enumerate() {
            *frame = frame.map(|sample| sample * index as f32 / fade as f32);
        }
    }
    sound.resize(length, [0.0; 2]);
    sound
}

/// So many beeps, evenly spread over these seconds.
pub fn beeps(count: u8, seconds: f64) -> Sound {
    const PITCH: f64 = 880.0;
    let rate = f64::from(SAMPLE_RATE);
    let apart = seconds / (f64::from(count) + 1.0);
    let (apart, lasts) = (apart.min(1.5), (apart / 2.0).min(0.3));
    let begin = (seconds - apart * f64::from(count - 1)) / 2.0;
    let sample = |index: usize| {
        let time = index as f64 / rate - begin;
        let number = (time / apart).floor();
        let within = time - number * apart;
        if !(0.0..f64::from(count)).contains(&number) || within > lasts {
            return [0.0; 2];
        }
        // Raised cosines at both ends, so that nothing clicks.
        let edge = (within.min(lasts - within) / 0.02).min(1.0);
        let level = (0.5 - 0.5 * (edge * TAU / 2.0).cos()) * 0.4;
        [(level * (TAU * PITCH * within).sin()) as f32; 2]
    };
    (0..(seconds * rate).round() as usize).map(sample).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tone(level: f32, seconds: f64) -> Sound {
        let sample = |index: usize| [level * (TAU * 997.0 * index as f64 / f64::from(SAMPLE_RATE)).sin() as f32; 2];
        (0..(seconds * f64::from(SAMPLE_RATE)) as usize).map(sample).collect()
    }

    /// EBU Tech 3341: a sine of 1 kHz at -23 dBFS in both channels has -23 LUFS.
    #[test]
    fn loudness_of_a_tone() {
        let Loudness { lufs, peak } = Loudness::of(&tone(10_f32.powf(-23.0 / 20.0), 5.0)).unwrap();
        assert!((lufs.unwrap() + 23.0).abs() < 0.1, "{lufs:?}");
        assert!((peak + 23.0).abs() < 0.1, "{peak}");
        assert_eq!(Loudness::of(&vec![[0.0; 2]; 96_000]).unwrap().lufs, None);
        assert_eq!(Loudness::of(&tone(0.5, 0.1)).unwrap().lufs, None, "shorter than a block");
    }

    #[test]
    fn all_are_as_loud_as_the_one_with_the_highest_peak_allows() {
        let loudness = |sounds: &[Sound]| sounds.iter().map(|sound| Loudness::of(sound).unwrap()).collect::<Vec<_>>();
        // A tone with a click, which cannot be made as loud.
        let mut click = tone(0.01, 3.0);
        click[70_000] = [0.5, 0.5];
        let mut sounds = [tone(0.5, 3.0), tone(0.001, 3.0), click, vec![[0.0; 2]; 144_000]];
        let reached = equalise(&mut sounds, -20.0).unwrap();
        assert!(reached < -25.0, "{reached}");
        for Loudness { lufs, peak } in &loudness(&sounds)[..3] {
            assert!((lufs.unwrap() - reached).abs() < 0.01 && *peak <= PEAK + 0.01, "{lufs:?} {peak}");
        }
        assert!(sounds[3].iter().all(|frame| *frame == [0.0; 2]), "silence stays");
        let mut sounds = [tone(0.5, 3.0), tone(0.001, 3.0)];
        assert_eq!(equalise(&mut sounds, -20.0).unwrap(), -20.0);
        assert!(loudness(&sounds).iter().all(|it| (it.lufs.unwrap() + 20.0).abs() < 0.01));
    }

    #[test]
    fn exactly_as_long_as_asked() {
        let long = fit(vec![[1.0; 2]; 96_000], 1.5);
        assert_eq!((long.len(), long[0], long[71_999]), (72_000, [1.0; 2], [0.0; 2]));
        let short = fit(vec![[1.0; 2]; 10], 0.001);
        assert_eq!((short.len(), short[9], short[10]), (48, [1.0; 2], [0.0; 2]));
    }

    proptest! {
        /// As many as asked, whatever the film's length.
        #[test]
        fn beeps_can_be_counted(count in 1_u8..=5, seconds in 1.0..30.0_f64) {
            let sound = beeps(count, seconds);
            prop_assert_eq!(sound.len(), (seconds * f64::from(SAMPLE_RATE)).round() as usize);
            // Loud or silent, in spans of 10 ms.
            let loud: Vec<bool> = sound.chunks(480).map(|span| span.iter().any(|frame| frame[0].abs() > 0.05)).collect();
            let begins = loud.windows(2).filter(|pair| !pair[0] && pair[1]).count() + usize::from(loud[0]);
            prop_assert_eq!(begins, usize::from(count));
        }
    }
}
