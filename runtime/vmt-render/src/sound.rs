//! A score as sound: a soundfont's piano, played by rustysynth.

use std::f32::consts::PI;
use std::io::{BufReader, BufWriter, Read, Seek, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use rustysynth::{Synthesizer, SynthesizerSettings};
use vmt::{STEPS_PER_SECOND, Score};

use crate::{Error, Result};

/// The loudest sample: -1 dBFS, so that nothing clips after a conversion to AAC or MP3 either.
const PEAK: f32 = 0.891_251;
/// -100 dBFS; quieter sound is silence, which is not amplified.
const SILENCE: f32 = 1e-5;
/// Duration of the fade-out, at most a quarter of the piece.
const FADE: Duration = Duration::from_millis(400);

/// Samples a second, as in films.
const SAMPLE_RATE: u32 = 48_000;
const SAMPLES_PER_STEP: usize = (SAMPLE_RATE / STEPS_PER_SECOND) as usize;
/// Notes begin with a block of samples, so blocks must divide a step.
const BLOCK: usize = 60;
const _: () = assert!(SAMPLES_PER_STEP.is_multiple_of(BLOCK));

/// An instrument.
#[derive(Clone, Debug)]
pub struct SoundFont(Arc<rustysynth::SoundFont>);

impl SoundFont {
    /// Reads an SF2 file and checks that it plays every note. Its first program is the piano.
    ///
    /// # Errors
    /// Where the file is damaged or no SF2.
    pub fn read(sf2: impl Read) -> Result<Self> {
        let mut bytes = Vec::new();
        sf2.take(u32::MAX.into()).read_to_end(&mut bytes)?;
        check_chunks(&bytes)?;
        guarded(|| {
            let font =
                rustysynth::SoundFont::new(&mut &bytes[..]).map_err(|error| Error::SoundFont(error.to_string()))?;
            let font = Self(Arc::new(font));
            let mut synthesizer = font.synthesizer()?;
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
        Self::read(&include_bytes!("../soundfont/piano.sf2")[..]).expect("the tests read this file")
    }

    fn synthesizer(&self) -> Result<Synthesizer> {
        let mut settings = SynthesizerSettings::new(SAMPLE_RATE as i32);
        settings.block_size = BLOCK;
        // A pedal held for long holds more notes than the default of 64.
        settings.maximum_polyphony = 256;
        Synthesizer::new(&self.0, &settings).map_err(|error| Error::SoundFont(error.to_string()))
    }
}

/// An error for a chunk that is longer than the file: rustysynth allocates as much as chunks say, up to 4 GB.
fn check_chunks(sf2: &[u8]) -> Result<()> {
    // Behind the head of the file there are lists, a head and chunks each, without padding; `shdr` is the last chunk.
    let mut rest = sf2.get(12..).unwrap_or_default();
    while let Some(([name @ .., a, b, c, d], content)) = rest.split_first_chunk::<8>() {
        let length = if name == b"LIST" { 4 } else { u32::from_le_bytes([*a, *b, *c, *d]) as usize };
        let cut = || Error::SoundFont(format!("its chunk `{}` is cut short", name.escape_ascii()));
        rest = content.get(length..).ok_or_else(cut)?;
        if name == b"shdr" {
            break;
        }
    }
    Ok(())
}

/// Writes `score` as a WAV file, 16-bit stereo at 48 kHz, exactly as long as the piece. The peak is at -1 dBFS, unless
/// all is silence, and the end fades out.
///
/// The peak is known only when all of the music was played; until then it is kept in `scratch`, an empty file that
/// takes 23 MB for each minute, so that memory does not grow with the music. Returns the gain that brought the peak there.
///
/// # Errors
/// Where the music is longer than a WAV file can be (4 GB, 6 hours), or a file cannot be written.
pub fn wav(score: &Score, font: &SoundFont, mut scratch: impl Read + Write + Seek, mut out: impl Write) -> Result<f32> {
    let header = header(score.duration())?;
    let mut peak = 0.0_f32;
    let mut played = BufWriter::new(&mut scratch);
    play(score, font, |sample| {
        peak = peak.max(sample.abs());
        Ok(played.write_all(&sample.to_le_bytes())?)
    })?;
    played.flush()?;
    drop(played);
    scratch.rewind()?;

    let gain = if peak > SILENCE { PEAK / peak } else { 1.0 };
    out.write_all(&header)?;
    let mut played = BufReader::new(scratch);
    let mut sample = [0; 4];
    for _ in 0..2 * frames(score.duration()) {
        played.read_exact(&mut sample)?;
        out.write_all(&pcm(f32::from_le_bytes(sample) * gain))?;
    }
    Ok(gain)
}

/// Writes a part of a piece, such as one of its [`hands`](crate::hands), in the same way, but with the `gain` of the whole: the
/// parts add up to it.
///
/// # Errors
/// As [`wav`].
pub fn stem(part: &Score, font: &SoundFont, gain: f32, mut out: impl Write) -> Result<()> {
    out.write_all(&header(part.duration())?)?;
    play(part, font, |sample| Ok(out.write_all(&pcm(sample * gain))?))
}

/// A sample as 16 bits.
fn pcm(sample: f32) -> [u8; 2] {
    ((sample * f32::from(i16::MAX)).round() as i16).to_le_bytes()
}

/// The header of a WAV file of two channels of 16 bits.
fn header(duration: Duration) -> Result<Vec<u8>> {
    const HEADER: u32 = 36;
    const FRAME: u32 = 4;
    let size = frames(duration).checked_mul(FRAME.into()).and_then(|size| u32::try_from(size).ok());
    let size = size.filter(|size| *size <= u32::MAX - HEADER).ok_or(Error::TooLong { got: duration })?;
    let (pcm, channels, bits) = (1_u16, 2_u16, 16_u16);
    let parts: [&[u8]; 8] = [
        b"RIFF",
        &(HEADER + size).to_le_bytes(),
        b"WAVEfmt ",
        &16_u32.to_le_bytes(),
        &[pcm, channels].map(u16::to_le_bytes).concat(),
        &[SAMPLE_RATE, SAMPLE_RATE * FRAME].map(u32::to_le_bytes).concat(),
        &[FRAME as u16, bits].map(u16::to_le_bytes).concat(),
        b"data",
    ];
    Ok([&parts.concat()[..], &size.to_le_bytes()].concat())
}

/// Plays `score`; `each` gets the samples, left and right in turn, with the fade at the end.
fn play(score: &Score, font: &SoundFont, mut each: impl FnMut(f32) -> Result<()>) -> Result<()> {
    let starts = score.notes().iter().map(|note| (note.start, true, note));
    let ends = score.notes().iter().map(|note| (note.end, false, note));
    let mut events: Vec<_> = starts.chain(ends).collect();
    // At one moment, a note ends before the next one of its pitch begins.
    events.sort_by_key(|&(step, on, _)| (step, on));
    let mut events = events.into_iter().peekable();

    guarded(|| {
        let mut synthesizer = font.synthesizer()?;
        let frames = frames(score.duration());
        let fade = self::frames(FADE).min(frames / 4).max(1);
        let [mut left, mut right] = [[0.0; SAMPLES_PER_STEP]; 2];
        let mut played = 0;
        for step in 0.. {
            let count = (frames - played).min(left.len() as u64) as usize;
            if count == 0 {
                break;
            }
            while let Some((_, on, note)) = events.next_if(|&(at, ..)| at <= step) {
                let key = note.pitch.get().into();
                match on {
                    true => synthesizer.note_on(0, key, note.velocity.clamp(1, 127).into()),
                    false => synthesizer.note_off(0, key),
                }
            }
            synthesizer.render(&mut left[..count], &mut right[..count]);
            for (index, (left, right)) in left[..count].iter().zip(&right).enumerate() {
                let left_to_play = frames - 1 - (played + index as u64);
                let gain = 0.5 - 0.5 * (PI * left_to_play.min(fade) as f32 / fade as f32).cos();
                each(left * gain)?;
                each(right * gain)?;
            }
            played += count as u64;
        }
        Ok(())
    })
}

/// The number of samples of a channel, rounded.
fn frames(duration: Duration) -> u64 {
    let second = Duration::from_secs(1).as_nanos();
    ((duration.as_nanos() * u128::from(SAMPLE_RATE) + second / 2) / second).try_into().unwrap_or(u64::MAX)
}

/// rustysynth panics on some broken soundfonts.
fn guarded<T>(play: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|_| Err(Error::SoundFont("it is damaged".to_owned())))
}

#[cfg(all(test, feature = "piano"))]
mod tests {
    use std::io::Cursor;
    use std::sync::LazyLock;

    use vmt::{Note, Pitch};

    use super::*;

    static PIANO: LazyLock<SoundFont> = LazyLock::new(SoundFont::piano);

    /// Notes as (start, end, pitch, velocity), in steps; the length in milliseconds.
    fn score(notes: &[(u32, u32, u8, u8)], ms: u64) -> Score {
        let note = |&(start, end, pitch, velocity)| Note { start, end, pitch: Pitch::new(pitch).unwrap(), velocity };
        Score::new(notes.iter().map(note).collect(), Duration::from_millis(ms)).unwrap()
    }

    /// The samples of the file, left and right.
    fn render(score: &Score) -> Vec<[i16; 2]> {
        let mut bytes = Vec::new();
        wav(score, &PIANO, Cursor::new(Vec::new()), &mut bytes).unwrap();
        samples(&bytes)
    }

    fn samples(bytes: &[u8]) -> Vec<[i16; 2]> {
        let (header, samples) = bytes.split_at(44);
        let number = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().unwrap());
        assert_eq!((number(4) as usize, number(40) as usize), (bytes.len() - 8, samples.len()));
        assert_eq!((number(24), number(28)), (48_000, 4 * 48_000));
        samples.as_chunks().0.iter().map(|&[a, b, c, d]| [[a, b], [c, d]].map(i16::from_le_bytes)).collect()
    }

    fn peak(samples: &[[i16; 2]]) -> f64 {
        let peak = samples.as_flattened().iter().map(|sample| sample.unsigned_abs()).max().unwrap_or(0);
        20.0 * (f64::from(peak) / 32768.0).log10()
    }

    /// Each with the gain of the whole, the parts add up to it but for rounding.
    #[test]
    fn stems_add_up() {
        let notes = [(0, 80, 72, 90), (10, 60, 40, 70), (50, 120, 76, 100), (60, 130, 45, 80)];
        let (high, low): (Vec<_>, Vec<_>) = notes.into_iter().partition(|&(_, _, pitch, _)| pitch > 60);
        let mut whole = Vec::new();
        let gain = wav(&score(&notes, 1500), &PIANO, Cursor::new(Vec::new()), &mut whole).unwrap();
        let part = |notes: &[_]| {
            let mut bytes = Vec::new();
            stem(&score(notes, 1500), &PIANO, gain, &mut bytes).unwrap();
            samples(&bytes)
        };
        let (high, low, whole) = (part(&high), part(&low), samples(&whole));
        let sums = high.as_flattened().iter().zip(low.as_flattened()).map(|(a, b)| i32::from(*a) + i32::from(*b));
        let off = sums.zip(whole.as_flattened()).map(|(sum, &whole)| sum.abs_diff(whole.into())).max().unwrap();
        assert!(off <= 2 && high != whole && low != whole, "{off}");
    }

    #[test]
    fn exactly_as_long_as_the_music() {
        for (ms, samples) in [(1000, 48_000), (500, 24_000), (1234, 59_232), (1, 48)] {
            assert_eq!(render(&score(&[(0, 50, 60, 80)], ms)).len(), samples);
        }
        assert!(render(&score(&[], 0)).is_empty());
    }

    #[test]
    fn what_no_wav_file_holds_is_not_even_played() {
        let mut bytes = Vec::new();
        let error = wav(&score(&[], 7 * 3_600_000), &PIANO, Cursor::new(Vec::new()), &mut bytes).unwrap_err();
        assert_eq!(error.to_string(), "a WAV file holds 6 hours at most, but the music is 25200.0s long");
        assert!(bytes.is_empty());
    }

    #[test]
    fn as_loud_as_it_may_be_however_it_is_played() {
        let chord: Vec<_> = (0..40).map(|key| (10, 90, 30 + key, 127)).collect();
        for notes in [&[(0, 100, 60, 100)][..], &[(0, 100, 60, 30)], &chord] {
            let peak = peak(&render(&score(notes, 1000)));
            assert!((-1.05..=-0.95).contains(&peak), "{peak} dBFS");
        }
    }

    #[test]
    fn silence_stays_silence() {
        assert!(render(&score(&[], 700)).iter().all(|sample| *sample == [0, 0]));
        let samples = render(&score(&[(50, 90, 60, 100)], 1000));
        assert!(samples[..24_000].iter().all(|sample| *sample == [0, 0]), "before the first note");
        assert!(samples[24_000..24_960].iter().any(|sample| *sample != [0, 0]), "within 20 ms of its start");
    }

    #[test]
    fn the_end_fades() {
        let samples = render(&score(&[(0, 400, 48, 110)], 4000));
        let level = |range: std::ops::Range<usize>| peak(&samples[range]);
        assert_eq!(samples.last(), Some(&[0, 0]));
        assert!(level(4 * 48_000 - 480..4 * 48_000) < level(163_000..167_800) - 20.0);
        // Nothing has faded before the last 400 ms.
        let longer = render(&score(&[(0, 400, 48, 110)], 8000));
        assert_eq!(samples[..36 * 4800], longer[..36 * 4800]);
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
        // Chunks that are said to be of 4 GB.
        for name in [b"INAM", b"smpl", b"pmod", b"shdr"] {
            let mut piano = piano.to_vec();
            let place = piano.windows(4).position(|window| window == name).unwrap();
            piano[place + 4..place + 8].copy_from_slice(&u32::MAX.to_le_bytes());
            assert_eq!(refused(&piano), format!("its chunk `{}` is cut short", name.escape_ascii()));
        }
    }
}
