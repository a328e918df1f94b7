//! Pieces as text, so that no change of the music goes unseen.
//!
//! A file of `tests/data` that a change is meant to change is deleted and written anew by the next run, which fails once.

use std::{fs, time::Duration};

use ndarray::{Array2, Array4, ArrayD, ArrayView2};
use vmt::click::{self, ClickTrack, Hit, HitKind};
use vmt::{
    BarLines, Clip, Composer, Conductor, Engine, Geometry, Key, Marker, Note, Options, Pitch, Result, Sampling, Score,
    Session, Token, Window, midi,
};

use crate::support::{BUNDLES, TINY, burn, file, midi_text, noise, ort, parse, tract};

#[track_caller]
fn check(name: &str, text: &str) {
    let path = file("tests/data").join(name);
    match fs::read_to_string(&path) {
        Ok(want) => assert_eq!(text, want, "{}", path.display()),
        Err(_) => {
            fs::write(&path, text).unwrap();
            panic!("{} was not there: look at what is there now", path.display());
        }
    }
}

#[test]
fn midi_of_a_few_notes() {
    let tokens = parse("v20 +60 +64 >50 -60 v32 +60 >75 -64 -60 >10 v1 +108 +21 >1 -21 -108 end");
    let score = Score::decode(tokens, Duration::from_micros(2_000_499)).score;
    check("few-notes.txt", &midi_text(&midi::write(&score).unwrap()));
}

/// A film of 12 s with a cut and a downbeat that was asked for, and a few notes on its click track.
fn click_track() -> (Score, Conductor) {
    let hit = |seconds, kind| Hit::new(Duration::from_secs_f64(seconds), kind);
    let hits = [hit(4.55, HitKind::Cut), hit(7.31, HitKind::Downbeat)];
    let track = ClickTrack::fit(&hits, Duration::from_secs(12), &click::Options::default()).unwrap();
    let step = |sixteenth: u32| BarLines::new(&track.beats).step(sixteenth).round() as u32;
    let note = |place: u32, length: u32, pitch| {
        let pitch = Pitch::new(pitch).unwrap();
        Note { start: step(place), end: step(place + length), pitch, velocity: 80 }
    };
    let notes =
        (0..12).flat_map(|beat| [note(4 * beat, 5, 45 + beat as u8), note(4 * beat, 2, 72), note(4 * beat + 3, 1, 76)]);
    let mut notes: Vec<Note> = notes.filter(|note| note.end <= 1200).collect();
    notes.sort_by_key(|note| (note.start, note.pitch));
    let marker = |text: &str, step| Marker { step, text: text.to_owned() };
    let conductor = Conductor {
        beats: track.beats.clone(),
        key: Some(Key { tonic: 9, minor: true }),
        markers: vec![marker("cut", 455.0), marker("the door", 731.0)],
    };
    (Score::new(notes, Duration::from_secs(12)).unwrap(), conductor)
}

#[test]
fn midi_of_a_click_track() {
    let (score, conductor) = click_track();
    let bytes = midi::write_parts(&[("", &score)], &conductor).unwrap();
    check("click-track.txt", &midi_text(&bytes));
}

#[test]
fn midi_of_silence() {
    check("silence.txt", &midi_text(&midi::write(&Score::new(Vec::new(), Duration::from_secs(25)).unwrap()).unwrap()));
}

/// Adds noise to what another engine says, a hundred times the differences that engines and processors make.
struct Shaken(Box<dyn Engine>, u64);

struct ShakenSession<'e>(Box<dyn Session + 'e>, u64, Array2<f32>);

impl Engine for Shaken {
    fn name(&self) -> String {
        format!("{}, shaken", self.0.name())
    }

    fn geometry(&self) -> Geometry {
        self.0.geometry()
    }

    fn open(&self, clips: &[Clip]) -> Result<Box<dyn Session + '_>> {
        Ok(Box::new(ShakenSession(self.0.open(clips)?, self.1, Array2::default((0, 0)))))
    }

    fn context(&self, clips: &[Clip]) -> Result<Vec<ArrayD<f32>>> {
        self.0.context(clips)
    }
}

impl Session for ShakenSession<'_> {
    fn lanes(&self) -> usize {
        self.0.lanes()
    }

    fn feed(&mut self, tokens: &[&[Token]]) -> Result<ArrayView2<'_, f32>> {
        self.2 = self.0.feed(tokens)?.to_owned();
        let mut noise = noise(self.1);
        self.2.mapv_inplace(|logit| logit + ((noise() >> 40) as f32 / (1 << 23) as f32 - 1.0) * 1e-4);
        self.1 = noise();
        Ok(self.2.view())
    }
}

/// A bright bar that wanders over a gradient, in two windows: the first 3 s, and all 4.5 s.
fn film() -> [Result<Window>; 2] {
    [12, 18].map(|frames| {
        let pixel = |(frame, channel, y, x): (usize, usize, usize, usize)| {
            if x / 4 == frame % 8 { 255 } else { (y * 5 + channel * 40) as u8 }
        };
        let clip = Clip::new(Array4::from_shape_fn((frames, 3, TINY.height(), TINY.width()), pixel), &TINY)?;
        Ok(Window { start: Duration::ZERO, duration: Duration::from_millis(TINY.frame_ms() * frames as u64), clip })
    })
}

/// The same windows, and nothing to be seen.
fn unseen() -> [Result<Window>; 2] {
    film().map(|window| Ok(Window { clip: Clip::without_video(&TINY), ..window? }))
}

/// The line from pictures to notes, on every engine. The piece is one whose draws are far from close, so that the last
/// bits of the logits decide nothing: noise of 1e-4 does not change it.
#[track_caller]
fn on_every_engine(film: fn() -> [Result<Window>; 2], seed: u64, guidance: f32, golden: &str) {
    let sampling = Sampling::default().with_temperature(0.9).with_top_p(0.95).with_seed(seed);
    let options = Options::default().with_sampling(sampling).with_guidance(guidance);
    for bundle in BUNDLES {
        let mut engines = vec![burn(bundle), tract(bundle), ort(bundle)];
        engines.extend((0..8).map(|seed| Box::new(Shaken(tract(bundle), seed)) as Box<dyn Engine>));
        for engine in engines {
            let name = engine.name();
            let composition = Composer::with_engine(engine, 60).compose(film(), &options, |_| {}).unwrap();
            println!("{bundle} on {name}: {} events", composition.events);
            check(&format!("{bundle}{golden}.txt"), &composition.score.to_string());
        }
    }
}

#[test]
fn a_film_has_its_piece() {
    on_every_engine(film, 2, 1.0, "");
}

#[test]
fn no_film_has_its_piece() {
    on_every_engine(unseen, 2, 1.0, "-unseen");
}

/// Also where the model is guided: not at all by the film, or more than it is by itself.
#[test]
fn guidance_has_its_piece() {
    on_every_engine(film, 2, 0.0, "-unseen");
    on_every_engine(film, 2, 4.0, "-guided");
}
