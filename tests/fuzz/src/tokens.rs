//! Event ids: `vmt tokens decode`.

use std::time::Duration;

use vmt::{Score, Tempo, Token};

use crate::midi;

/// Ids of two bytes each, the low one first, are a score.
pub fn run(bytes: &[u8]) {
    let ids = bytes.chunks_exact(2).map(|id| u16::from_le_bytes([id[0], id[1]]));
    let tokens: Vec<Token> = ids.filter_map(Token::new).take(3600).collect();
    let decoded = Score::decode(tokens.iter().copied(), Duration::ZERO);
    let duration = Duration::from_secs(decoded.end_step.into()) / vmt::STEPS_PER_SECOND;
    let mut score = decoded.score.with_duration(duration);
    midi::check(&score, Tempo::default());
    let tempo = Tempo::new(20.0 + (bytes.len() % 381) as f64).unwrap();
    score.snap(tempo);
    midi::check(&score, tempo);
    let steps = score.beginning(500).iter().map(|token| token.steps()).sum::<u32>();
    assert_eq!(steps, 500, "the beginning of a piece must be as long as was asked for");
}

/// The tokens of the MIDI files, and all tokens in their order.
pub fn seeds() -> Vec<Vec<u8>> {
    let bytes = |tokens: &[Token]| tokens.iter().flat_map(|token| token.id().to_le_bytes()).collect::<Vec<u8>>();
    let read = |file: Vec<u8>| vmt::midi::read(&file, vmt::midi::Sustain::Apply).ok();
    let notes = midi::seeds().into_iter().filter_map(read);
    let mut seeds: Vec<_> =
        notes.map(|notes| bytes(&Score::quantise(&notes, Duration::from_secs(60)).tokens())).collect();
    seeds.push((0..310_u16).rev().flat_map(u16::to_le_bytes).collect());
    seeds
}

/// A token of each kind.
pub fn words() -> Vec<Vec<u8>> {
    [0_u16, 1, 40, 128, 227, 228, 300, 309].map(|id| id.to_le_bytes().to_vec()).to_vec()
}
