//! Which hand plays which note, as one voice of chords for each hand.

use vmt::{Note, STEPS_PER_SECOND, Score};

/// Sixteenths in a quarter, which MusicXML calls divisions.
pub const QUARTER: u32 = 4;

/// Middle C: notes near it go to the nearer hand, lower ones to the left, higher ones to the right.
const MIDDLE: u8 = 60;
const EITHER_HAND: std::ops::RangeInclusive<u8> = 55..=64;

/// Notes that one hand plays at once; times in sixteenths.
pub struct Chord {
    pub start: u32,
    pub end: u32,
    /// MIDI note numbers, rising, and their velocities.
    pub notes: Vec<(u8, u8)>,
}

/// The chords of the right hand and of the left, in order; within a hand, no two overlap.
///
/// `sixteenth` is the one nearest to a step.
pub fn staves(score: &Score, sixteenth: impl Fn(u32) -> u32) -> [Vec<Chord>; 2] {
    let mut staves: [Vec<Chord>; 2] = [const { Vec::new() }; 2];
    let mut last: [Option<Note>; 2] = [None; 2];
    for note in score.notes() {
        let (start, pitch) = (sixteenth(note.start), (note.pitch.get(), note.velocity));
        let mut simultaneous = staves.iter().filter_map(|staff| staff.last()).filter(|chord| chord.start == start);
        // Two notes of one pitch within a sixteenth are written as one.
        if simultaneous.any(|chord| chord.notes.iter().any(|(other, _)| *other == pitch.0)) {
            continue;
        }
        let staff = hand(note, &last);
        last[staff] = Some(*note);
        let end = sixteenth(note.end).max(start + 1);
        match staves[staff].last_mut().filter(|chord| chord.start == start) {
            Some(chord) => {
                chord.notes.push(pitch);
                chord.end = chord.end.max(end);
            }
            None => staves[staff].push(Chord { start, end, notes: vec![pitch] }),
        }
    }
    for staff in &mut staves {
        for index in 1..staff.len() {
            let next = staff[index].start;
            let chord = &mut staff[index - 1];
            // A rest of a sixteenth is hard to read and not heard.
            if chord.end + 1 >= next {
                chord.end = next;
            }
        }
        staff.iter_mut().for_each(|chord| chord.notes.sort());
    }
    staves
}

/// The notes of the right hand and of the left, as [`musicxml`](crate::musicxml) divides them.
///
/// # Errors
/// As [`Score::new`], which has none to tell of the notes of a score.
pub fn hands(score: &Score) -> vmt::Result<[Score; 2]> {
    let mut hands: [Vec<Note>; 2] = [const { Vec::new() }; 2];
    let mut last: [Option<Note>; 2] = [None; 2];
    for note in score.notes() {
        let played_by = hand(note, &last);
        last[played_by] = Some(*note);
        hands[played_by].push(*note);
    }
    let [right, left] = hands;
    Ok([Score::new(right, score.duration())?, Score::new(left, score.duration())?])
}

/// 0 for the right hand, 1 for the left. Around middle C it is the hand whose last note is nearer in pitch or, if that
/// was over two seconds ago, whose usual position is.
fn hand(note: &Note, last: &[Option<Note>; 2]) -> usize {
    const MEMORY: u32 = 2 * STEPS_PER_SECOND;
    const REST: [u8; 2] = [67, 52];
    let pitch = note.pitch.get();
    if !EITHER_HAND.contains(&pitch) {
        return usize::from(pitch < MIDDLE);
    }
    let [right, left] = [0, 1].map(|hand| {
        let recent = last[hand].filter(|last| note.start.saturating_sub(last.start) <= MEMORY);
        pitch.abs_diff(recent.map_or(REST[hand], |last| last.pitch.get()))
    });
    usize::from(left < right)
}
