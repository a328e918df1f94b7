//! Models whose every logit is scripted, and films for them.

use std::{sync::Arc, time::Duration};

use ndarray::{Array1, Array2, Array3, ArrayD, ArrayView2};
use vmt::{
    Clip, Composer, Composition, Engine, Frame, Geometry, Options, Progress, Result, Sampling, Score, Session, Token,
    VOCABULARY, Window, midi, windows,
};

use crate::support::{milliseconds, noise, parse};

/// Windows of 10 s.
pub const DOT: Geometry = Geometry::PAPER.with_size(1, 1).unwrap();

/// What stands for the colour of a clip without video.
pub const UNSEEN: u8 = 255;

/// The logits after `step` tokens (from 0) of the lane whose clip is of this `colour`.
pub type Script = Arc<dyn Fn(u8, usize) -> Result<Array1<f32>> + Send + Sync>;

/// An engine that says what its script says, whatever it is fed.
pub struct Scripted(pub Script, pub Geometry);

/// Also checks that it is fed what the loop promises.
struct ScriptedSession<'e> {
    script: &'e Script,
    colours: Vec<u8>,
    step: usize,
    logits: Array2<f32>,
}

impl Engine for Scripted {
    fn name(&self) -> String {
        "scripted".into()
    }

    fn geometry(&self) -> Geometry {
        self.1
    }

    fn open(&self, clips: &[Clip]) -> Result<Box<dyn Session + '_>> {
        // The last picture is the newest: windows overlap.
        let colour = |clip: &Clip| clip.frames().checked_sub(1).map_or(UNSEEN, |last| clip.pixels()[[last, 0, 0, 0]]);
        let colours: Vec<u8> = clips.iter().map(colour).collect();
        let logits = Array2::zeros((clips.len(), VOCABULARY));
        Ok(Box::new(ScriptedSession { script: &self.0, colours, step: 0, logits }))
    }

    fn context(&self, _: &[Clip]) -> Result<Vec<ArrayD<f32>>> {
        Ok(Vec::new())
    }
}

impl Session for ScriptedSession<'_> {
    fn lanes(&self) -> usize {
        self.colours.len()
    }

    fn feed(&mut self, tokens: &[&[Token]]) -> Result<ArrayView2<'_, f32>> {
        let first = self.step == 0;
        assert!(tokens.len() == self.lanes() && tokens.iter().all(|row| row.len() == 1 || first));
        assert!(!first || tokens.iter().all(|row| row[0] == Token::PAD), "the first token fed is PAD");
        let seen = self.colours.iter().take_while(|&&colour| colour != UNSEEN).count();
        assert!(seen == 0 || seen == tokens.len() || tokens[..seen] == tokens[seen..], "twins are fed the same");
        for (mut row, &colour) in self.logits.rows_mut().into_iter().zip(&self.colours) {
            row.assign(&(self.script)(colour, self.step)?);
        }
        self.step += 1;
        Ok(self.logits.view())
    }
}

pub fn scripted(script: impl Fn(u8, usize) -> Result<Array1<f32>> + Send + Sync + 'static) -> Scripted {
    Scripted(Arc::new(script), DOT)
}

/// Logits in `-spread..spread`.
pub fn random(seed: u64, spread: f32) -> Scripted {
    scripted(move |colour, step| {
        let mut noise = noise(seed ^ (u64::from(colour) << 32) ^ ((step as u64) << 40));
        let unit = |bits: u64| (bits >> 40) as f32 / (1 << 24) as f32;
        Ok(Array1::from_shape_simple_fn(VOCABULARY, || (2.0 * unit(noise()) - 1.0) * spread))
    })
}

/// Logits that leave no doubt: the script's events (that of the clip's colour), the last of them again and again.
pub fn says(scripts: &[&str]) -> Scripted {
    let scripts: Vec<_> = scripts.iter().map(|events| parse(events)).collect();
    scripted(move |colour, step| {
        let script = &scripts[usize::from(colour)];
        let mut logits = Array1::from_elem(VOCABULARY, -1000.0);
        logits[script[step.min(script.len() - 1)].index()] = 1000.0;
        Ok(logits)
    })
}

/// A clip of this colour alone.
pub fn clip(colour: u8) -> Clip {
    window(0, 250, colour).clip
}

/// A window of pictures of this colour, from `start` ms for `length` ms.
pub fn window(start: u64, length: u64, colour: u8) -> Window {
    let pixels = Array3::from_elem((3, 1, 1), colour);
    let film = Frame { time: Duration::ZERO, duration: Duration::from_millis(length), picture: () };
    let window = windows([Ok(film)], DOT, DOT.frames(), |()| Ok::<_, vmt::Error>(pixels.clone())).next();
    Window { start: Duration::from_millis(start), ..window.unwrap().unwrap() }
}

/// A film of `ms` milliseconds, whose pictures are of colour 0 for as long as a window, then of colour 1, ...
pub fn film(ms: u64, geometry: Geometry, hop: usize) -> Vec<Result<Window>> {
    let each = u64::try_from(geometry.window().as_millis()).unwrap();
    let frame = |colour: u64| {
        let length = each.min(ms - colour * each);
        let [time, duration] = [colour * each, length].map(Duration::from_millis);
        Ok(Frame { time, duration, picture: colour as u8 })
    };
    let frames = (0..ms.div_ceil(each)).map(frame);
    windows(frames, geometry, hop, |&colour| Ok(Array3::from_elem((3, 1, 1), colour))).collect()
}

/// The windows of no film.
pub fn unseen(ms: u64, hop: usize) -> Vec<Result<Window>> {
    Window::without_video(Duration::from_millis(ms), DOT, hop).collect()
}

/// Composes for `windows`; wants progress to go one way only.
pub fn compose_for(
    model: Scripted,
    max_tokens: usize,
    windows: Vec<Result<Window>>,
    options: &Options,
) -> Result<Composition> {
    let length = windows.iter().flatten().map(|window| window.start + window.duration).max().unwrap_or_default();
    let mut last: Option<Progress> = None;
    let composition = Composer::with_engine(Box::new(model), max_tokens).compose(windows, options, |progress| {
        let (time, events) = last.map_or((Duration::ZERO, 0), |last| (last.time, last.events));
        assert!(progress.time >= time && progress.events == events + 1, "{progress:?} after {last:?}");
        assert!(progress.time <= length, "{progress:?} of {length:?}");
        last = Some(progress);
    })?;
    assert_eq!(last.map_or(0, |last| last.events), composition.events);
    Ok(composition)
}

/// Composes for a film of `ms` milliseconds.
pub fn compose(model: Scripted, max_tokens: usize, ms: u64, options: &Options) -> Result<Composition> {
    let windows = film(ms, model.1, options.hop(&model.1));
    compose_for(model, max_tokens, windows, options)
}

pub fn with_seed(seed: u64) -> Options {
    Options::default().with_sampling(Sampling::default().with_seed(seed))
}

pub fn greedy() -> Sampling {
    Sampling::default().with_temperature(0.0)
}

/// The step nearest to `ms` milliseconds; halves go up.
fn step(ms: u64) -> u32 {
    ((ms + 5) / 10) as u32
}

/// What the grammar promises of any model, for a film of `ms` milliseconds.
#[track_caller]
pub fn check_playable(composition: &Composition, ms: u64, max_tokens: usize) {
    let Composition { score, windows, events, unmatched_offs, unclosed, length_error, .. } = composition;
    assert_eq!((*windows, *unmatched_offs, *unclosed), (ms.div_ceil(10_000) as usize, 0, 0));
    assert_eq!(*length_error, Duration::ZERO);
    // What was left to a window is beyond its budget: of each key a pause and an off, and three pauses.
    let overlapping = 1 + ms.saturating_sub(10_000).div_ceil(2_500) as usize;
    assert!(*events >= 1 && *events <= overlapping * (max_tokens + 2 * 88 + 3));
    assert_eq!(score.duration(), Duration::from_millis(ms));
    let end = midi_end(score);
    assert!(u64::from(end).abs_diff(ms) <= 5, "{end} ms of MIDI for a film of {ms} ms");

    // Every note lies within the film, and no key is struck while it is down.
    for (index, note) in score.notes().iter().enumerate() {
        assert!(note.start < note.end && note.end <= step(ms), "{note:?} in a film of {ms} ms");
        let next = score.notes()[index + 1..].iter().find(|next| next.pitch == note.pitch);
        assert!(next.is_none_or(|next| next.start >= note.end), "{note:?} and {next:?}");
    }
}

pub fn midi_end(score: &Score) -> u32 {
    milliseconds(&midi::write(score).unwrap())
}
