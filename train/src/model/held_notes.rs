//! Which notes sound: a multi-hot input of the decoder, which would else have to find each note-on among hundreds of events. Not
//! in the paper.

use burn::tensor::{Int, Tensor, TensorData};
use vmt::{Event, Pitch, Token};

/// How each of `tokens` `[batch, new]` changes which notes sound, `[batch, new, 88]`: 1 for a note-on, -1 for a note-off. The sum
/// over a piece is 1 for each note that sounds.
pub fn note_changes(tokens: Tensor<2, Int>) -> Tensor<3> {
    let ([batch, new], device) = (tokens.dims(), tokens.device());
    let table = TensorData::new(note_change_table(), [vmt::VOCABULARY, Pitch::COUNT]);
    Tensor::<2>::from_data(table, &device).select(0, tokens.reshape([batch * new])).reshape([batch, new, Pitch::COUNT])
}

/// How each token of the vocabulary changes which notes sound, `[310, 88]` row by row.
pub fn note_change_table() -> Vec<f32> {
    let row = |token: Token| {
        let mut row = [0.0; Pitch::COUNT];
        match Event::from(token) {
            Event::NoteOn(pitch) => row[pitch.index()] = 1.0,
            Event::NoteOff(pitch) => row[pitch.index()] = -1.0,
            _ => {}
        }
        row
    };
    Token::all().flat_map(row).collect()
}
