//! What several modules need: bundles, engines, clips and tokens.

use std::{fmt::Write, path::PathBuf};

use burn::tensor::Device;
use ndarray::Array4;
use vmt::{
    Backend, Bundle, Clip, Engine, Error, Event, Geometry, Pitch, Result, Shift, Token, VOCABULARY, VelocityBin,
};
use vmt_train::{BurnEngine, Model, ModelConfig};

/// The committed bundles, of a transformer and a recurrent model.
pub const BUNDLES: [&str; 2] = ["tiny-vmt", "tiny-seq2seq"];

/// What both are made for.
pub const TINY: Geometry = Geometry::PAPER.with_size(32, 32).unwrap();

/// A file of this repository.
pub fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", name].iter().collect()
}

pub fn folder(bundle: &str) -> PathBuf {
    file("onnx").join(bundle)
}

pub fn open(bundle: &str) -> Bundle {
    Bundle::open(folder(bundle)).unwrap()
}

/// Loads a bundle, well or badly made; panics only where ONNX Runtime itself is missing.
pub fn load(bundle: &Bundle, backend: Backend) -> Result<Box<dyn Engine>> {
    if backend == Backend::Ort
        && let Err(error) = vmt::ort::library()
    {
        panic!("these tests need ONNX Runtime: run `make setup`, which fetches it. {error}");
    }
    backend.load(bundle, None)
}

pub fn tract(bundle: &str) -> Box<dyn Engine> {
    load(&open(bundle), Backend::Tract).unwrap()
}

pub fn ort(bundle: &str) -> Box<dyn Engine> {
    load(&open(bundle), Backend::Ort).unwrap()
}

/// Steps of all sessions at once in one batch.
pub fn batched(bundle: &str, backend: Backend) -> Box<dyn Engine> {
    backend.load_batched(&open(bundle), None, 8.try_into().unwrap()).unwrap()
}

pub fn batched_tract(bundle: &str) -> Box<dyn Engine> {
    batched(bundle, Backend::Tract)
}

pub fn batched_ort(bundle: &str) -> Box<dyn Engine> {
    batched(bundle, Backend::Ort)
}

pub fn rten(bundle: &str) -> Box<dyn Engine> {
    crate::rten::load(&open(bundle)).unwrap()
}

pub fn burn(bundle: &str) -> Box<dyn Engine> {
    Box::new(BurnEngine::new(model(bundle).1, TINY))
}

/// Computes everything anew at each step: what the others are held to.
pub fn uncached(bundle: &str) -> Box<dyn Engine> {
    Box::new(BurnEngine::uncached(model(bundle).1, TINY))
}

/// The model that the committed bundle was made from.
pub fn model(bundle: &str) -> (ModelConfig, Model) {
    let config = ModelConfig::load(file("train/configs").join(bundle).with_extension("yaml")).unwrap();
    let model = config.init(1, &Device::flex());
    (config, model)
}

/// Numbers that look random (Steele et al. 2014, SplitMix64).
pub fn noise(mut seed: u64) -> impl FnMut() -> u64 {
    move || {
        seed = seed.wrapping_add(0x9E3779B97F4A7C15);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58476D1CE4E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D049BB133111EB);
        mixed ^ (mixed >> 31)
    }
}

/// A clip of noise.
pub fn clip(geometry: Geometry, frames: usize, seed: u64) -> Clip {
    let mut noise = noise(seed);
    let shape = (frames, 3, geometry.height(), geometry.width());
    Clip::new(Array4::from_shape_simple_fn(shape, || noise() as u8), &geometry).unwrap()
}

/// Any tokens.
pub fn tokens(count: usize, seed: u64) -> Vec<Token> {
    let mut noise = noise(seed);
    (0..count).map(|_| Token::new((noise() % VOCABULARY as u64) as u16).unwrap()).collect()
}

/// `v20` velocity bin, `+60` note on, `-60` note off, `>50` time shift, `end`, `pad`.
#[track_caller]
pub fn parse(events: &str) -> Vec<Token> {
    let event = |word: &str| {
        let number = || word[1..].parse().unwrap();
        Token::from(match word {
            "pad" => Event::Pad,
            "end" => Event::End,
            _ if word.starts_with('+') => Event::NoteOn(Pitch::new(number()).unwrap()),
            _ if word.starts_with('-') => Event::NoteOff(Pitch::new(number()).unwrap()),
            _ if word.starts_with('>') => Event::TimeShift(Shift::new(number()).unwrap()),
            _ => Event::Velocity(VelocityBin::new(number()).unwrap()),
        })
    };
    events.split_whitespace().map(event).collect()
}

/// What a MIDI file says, line by line.
pub fn midi_text(bytes: &[u8]) -> String {
    let smf = midly::Smf::parse(bytes).unwrap();
    let mut text = format!("{:?}\n", smf.header);
    for track in &smf.tracks {
        let mut tick = 0;
        for event in track {
            tick += event.delta.as_int();
            writeln!(text, "{tick} {:?}", event.kind).unwrap();
        }
    }
    text
}

/// The moment of the last tick of a MIDI file of ours, whose tempi are in its first track, in milliseconds.
pub fn milliseconds(midi: &[u8]) -> u32 {
    let smf = midly::Smf::parse(midi).unwrap();
    let midly::Timing::Metrical(ticks) = smf.header.timing else { panic!("{:?}", smf.header) };
    let (mut micros, mut beat) = (0.0, 500_000.0);
    for event in &smf.tracks[0] {
        micros += f64::from(event.delta.as_int()) * beat / f64::from(ticks.as_int());
        if let midly::TrackEventKind::Meta(midly::MetaMessage::Tempo(tempo)) = event.kind {
            beat = f64::from(tempo.as_int());
        }
    }
    let last = |track: &midly::Track| track.iter().map(|event| event.delta.as_int()).sum::<u32>();
    assert!(smf.tracks.iter().all(|track| last(track) == last(&smf.tracks[0])), "all tracks end together");
    (micros / 1000.0_f64).round() as u32
}

/// The text of an error, which must be one.
#[track_caller]
pub fn text<T>(result: Result<T, Error>) -> String {
    result.err().expect("an error").to_string()
}
