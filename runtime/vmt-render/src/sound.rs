//! A score as sound: a soundfont's piano, played by rustysynth. The one place that knows it.

use std::f32::consts::PI;
use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use rustysynth::{Synthesizer, SynthesizerSettings};
use vmt::{STEPS_PER_SECOND, Score};

use crate::{Error, Result};

/// The loudest sample: -1 dBFS, so that nothing clips after a conversion to AAC or MP3 either.
const PEAK: f32 = 0.891_251;
/// What is quieter than -100 dBFS is silence, and stays as it is.
const SILENCE: f32 = 1e-5;
/// The end fades over this time, or over a quarter of a short piece.
const FADE: Duration = Duration::from_millis(400);

/// Samples a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SampleRate {
    /// 44,100, as on a CD.
    #[default]
    Hz44100,
    /// 48,000, as in films.
    Hz48000,
}

impl SampleRate {
    /// The number.
    pub fn get(self) -> u32 {
        match self {
            Self::Hz44100 => 44_100,
            Self::Hz48000 => 48_000,
        }
    }
}

/// An instrument to play a score on.
#[derive(Clone, Debug)]
pub struct SoundFont(Arc<rustysynth::SoundFont>);

impl SoundFont {
    /// Reads an SF2 file and checks that every key of it can be struck. Its first program is taken for the piano.
    pub fn read(mut sf2: impl Read) -> Result<Self> {
        guarded(|| {
            let font = rustysynth::SoundFont::new(&mut sf2).map_err(|error| Error::SoundFont(error.to_string()))?;
            let font = Self(Arc::new(font));
            let mut synthesizer = font.synthesizer(SampleRate::Hz44100)?;
            let [mut left, mut right] = [[0.0; 64]; 2];
            for (pitch, velocity) in vmt::Pitch::all().flat_map(|pitch| [1, 64, 127].map(|velocity| (pitch, velocity)))
            {
                synthesizer.note_on(0, pitch.get().into(), velocity);
                synthesizer.render(&mut left, &mut right);
            }
            Ok(font)
        })
    }

    /// The grand piano of Fluid (R3) by Frank Wen and others, MIT licence.
    #[cfg(feature = "piano")]
    pub fn piano() -> Self {
        Self::read(&include_bytes!("../soundfont/piano.sf2")[..]).expect("the tests read it")
    }

    fn synthesizer(&self, rate: SampleRate) -> Result<Synthesizer> {
        let mut settings = SynthesizerSettings::new(rate.get() as i32);
        // Notes begin where a block of samples begins, so blocks must divide a step.
        let step = samples_per_step(rate);
        settings.block_size = (8..=64).rev().find(|size| step.is_multiple_of(*size)).unwrap_or(step);
        // A pedal held for long holds more notes than the default of 64.
        settings.maximum_polyphony = 256;
        Synthesizer::new(&self.0, &settings).map_err(|error| Error::SoundFont(error.to_string()))
    }
}

/// Writes `score` as a WAV file, 16-bit stereo, exactly as long as the piece. Its loudest sample is at -1 dBFS, unless
/// there is silence alone, and its end fades out.
///
/// The music is played twice, once to learn how loud it is: so memory does not grow with its length.
pub fn wav(score: &Score, font: &SoundFont, rate: SampleRate, out: &mut impl Write) -> Result<()> {
    let mut peak = 0.0_f32;
    play(score, font, rate, |samples| {
        peak = samples.iter().fold(peak, |peak, sample| peak.max(sample.abs()));
        Ok(())
    })?;
    let gain = if peak > SILENCE { PEAK / peak } else { 1.0 };
    header(score, rate, out)?;
    play(score, font, rate, |samples| {
        let bytes: Vec<u8> = samples
            .iter()
            .flat_map(|sample| ((sample * gain * f32::from(i16::MAX)).round() as i16).to_le_bytes())
            .collect();
        Ok(out.write_all(&bytes)?)
    })
}

/// The header of a WAV file of two channels of 16 bits.
fn header(score: &Score, rate: SampleRate, out: &mut impl Write) -> Result<()> {
    const HEADER: u32 = 36;
    const FRAME: u32 = 4;
    let size = frames(score.duration, rate).checked_mul(FRAME.into()).and_then(|size| u32::try_from(size).ok());
    let size = size.filter(|size| *size <= u32::MAX - HEADER).ok_or(Error::TooLong { got: score.duration })?;
    let rate = rate.get();
    let (pcm, channels, bits) = (1_u16, 2_u16, 16_u16);
    out.write_all(b"RIFF")?;
    out.write_all(&(HEADER + size).to_le_bytes())?;
    out.write_all(b"WAVEfmt ")?;
    out.write_all(&16_u32.to_le_bytes())?;
    out.write_all(&[pcm, channels].map(u16::to_le_bytes).concat())?;
    out.write_all(&[rate, rate * FRAME].map(u32::to_le_bytes).concat())?;
    out.write_all(&[FRAME as u16, bits].map(u16::to_le_bytes).concat())?;
    out.write_all(b"data")?;
    Ok(out.write_all(&size.to_le_bytes())?)
}

/// Plays `score` step by step; `each` takes a step's samples, left and right in turn, the end faded.
fn play(score: &Score, font: &SoundFont, rate: SampleRate, mut each: impl FnMut(&[f32]) -> Result<()>) -> Result<()> {
    let starts = score.notes.iter().map(|note| (note.start, true, note));
    let ends = score.notes.iter().map(|note| (note.end, false, note));
    let mut strokes: Vec<_> = starts.chain(ends).collect();
    // A key that is struck again comes up first.
    strokes.sort_by_key(|&(step, on, _)| (step, on));
    let mut strokes = strokes.into_iter().peekable();

    guarded(|| {
        let mut synthesizer = font.synthesizer(rate)?;
        let frames = frames(score.duration, rate);
        let fade = (self::frames(FADE, rate)).min(frames / 4).max(1);
        let [mut left, mut right] = [(); 2].map(|()| vec![0.0; samples_per_step(rate)]);
        let mut played = 0;
        for step in 0.. {
            let count = (frames - played).min(left.len() as u64) as usize;
            if count == 0 {
                break;
            }
            while let Some((_, on, note)) = strokes.next_if(|&(at, ..)| at <= step) {
                let key = note.pitch.get().into();
                match on {
                    true => synthesizer.note_on(0, key, note.velocity.clamp(1, 127).into()),
                    false => synthesizer.note_off(0, key),
                }
            }
            synthesizer.render(&mut left[..count], &mut right[..count]);
            let faded = |(index, (left, right)): (usize, (&f32, &f32))| {
                let left_to_play = frames - 1 - (played + index as u64);
                let gain = 0.5 - 0.5 * (PI * left_to_play.min(fade) as f32 / fade as f32).cos();
                [left * gain, right * gain]
            };
            let samples: Vec<f32> = left[..count].iter().zip(&right).enumerate().flat_map(faded).collect();
            each(&samples)?;
            played += count as u64;
        }
        Ok(())
    })
}

fn samples_per_step(rate: SampleRate) -> usize {
    (rate.get() / STEPS_PER_SECOND) as usize
}

/// The number of samples a channel, to the nearest.
fn frames(duration: Duration, rate: SampleRate) -> u64 {
    let second = Duration::from_secs(1).as_nanos();
    ((duration.as_nanos() * u128::from(rate.get()) + second / 2) / second).try_into().unwrap_or(u64::MAX)
}

/// rustysynth panics on some broken soundfonts.
fn guarded<T>(play: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|_| Err(Error::SoundFont("it is damaged".to_owned())))
}

#[cfg(all(test, feature = "piano"))]
mod tests {
    use std::sync::LazyLock;

    use vmt::{Note, Pitch};

    use super::*;

    static PIANO: LazyLock<SoundFont> = LazyLock::new(SoundFont::piano);

    /// Notes as (start, end, pitch, velocity), in steps; the length in milliseconds.
    fn score(notes: &[(u32, u32, u8, u8)], ms: u64) -> Score {
        let note = |&(start, end, pitch, velocity)| Note { start, end, pitch: Pitch::new(pitch).unwrap(), velocity };
        Score { notes: notes.iter().map(note).collect(), duration: Duration::from_millis(ms) }
    }

    /// The samples of the file, left and right.
    fn render(score: &Score, rate: SampleRate) -> Vec<[i16; 2]> {
        let mut bytes = Vec::new();
        wav(score, &PIANO, rate, &mut bytes).unwrap();
        let (header, samples) = bytes.split_at(44);
        let number = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
        assert_eq!((number(4) as usize, number(40) as usize), (bytes.len() - 8, samples.len()));
        assert_eq!((number(24), number(28)), (rate.get(), rate.get() * 4));
        samples.as_chunks().0.iter().map(|&[a, b, c, d]| [[a, b], [c, d]].map(i16::from_le_bytes)).collect()
    }

    fn peak(samples: &[[i16; 2]]) -> f64 {
        let peak = samples.as_flattened().iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
        20.0 * (f64::from(peak) / 32768.0).log10()
    }

    #[test]
    fn exactly_as_long_as_the_music() {
        for (ms, at_44100, at_48000) in
            [(1000, 44_100, 48_000), (500, 22_050, 24_000), (1234, 54_419, 59_232), (1, 44, 48)]
        {
            let score = score(&[(0, 50, 60, 80)], ms);
            assert_eq!(render(&score, SampleRate::Hz44100).len(), at_44100);
            assert_eq!(render(&score, SampleRate::Hz48000).len(), at_48000);
        }
        assert!(render(&score(&[], 0), SampleRate::Hz44100).is_empty());
    }

    #[test]
    fn as_loud_as_it_may_be_however_it_is_played() {
        let chord: Vec<_> = (0..40).map(|key| (10, 90, 30 + key, 127)).collect();
        for notes in [&[(0, 100, 60, 100)][..], &[(0, 100, 60, 30)], &chord] {
            let peak = peak(&render(&score(notes, 1000), SampleRate::Hz44100));
            assert!((-1.05..=-0.95).contains(&peak), "{peak} dBFS");
        }
    }

    #[test]
    fn silence_stays_silence() {
        assert!(render(&score(&[], 700), SampleRate::Hz48000).iter().all(|sample| *sample == [0, 0]));
        let samples = render(&score(&[(50, 90, 60, 100)], 1000), SampleRate::Hz44100);
        assert!(samples[..22_050].iter().all(|sample| *sample == [0, 0]), "before the first note");
        assert!(samples[22_050..22_950].iter().any(|sample| *sample != [0, 0]), "within 20 ms of its start");
    }

    #[test]
    fn the_end_fades() {
        let samples = render(&score(&[(0, 400, 48, 110)], 4000), SampleRate::Hz44100);
        let level = |range: std::ops::Range<usize>| peak(&samples[range]);
        assert_eq!(samples.last(), Some(&[0, 0]));
        assert!(level(4 * 44_100 - 441..4 * 44_100) < level(150_000..154_410) - 20.0);
        // Nothing has faded before the last 400 ms.
        let longer = render(&score(&[(0, 400, 48, 110)], 8000), SampleRate::Hz44100);
        assert_eq!(samples[..36 * 4410], longer[..36 * 4410]);
    }

    #[test]
    fn a_file_that_is_no_soundfont_is_refused() {
        let refused = |bytes: &[u8]| match SoundFont::read(bytes) {
            Err(Error::SoundFont(reason)) => reason,
            other => panic!("{other:?}"),
        };
        let piano = include_bytes!("../soundfont/piano.sf2");
        refused(b"");
        refused(b"no soundfont at all");
        refused(&piano[..piano.len() / 2]);
        refused(&piano[..piano.len() - 500]);
    }
}
