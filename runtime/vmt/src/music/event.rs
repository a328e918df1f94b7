//! The vocabulary: 310 events in a fixed order, which is a file format (performance encoding, Oore et al. 2018; Magenta).

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Number of tokens in the vocabulary.
pub const VOCABULARY: usize = 310;

/// Steps of the clock in a second: one step is 10 ms.
pub const STEPS_PER_SECOND: u32 = 100;

/// The moment of a step.
pub(crate) fn time(step: u32) -> Duration {
    Duration::from_secs(step.into()) / STEPS_PER_SECOND
}

/// The step nearest to a moment of the film; halves go up.
pub fn steps(time: Duration) -> u32 {
    let half = Duration::from_secs(1) / STEPS_PER_SECOND / 2;
    (time.saturating_add(half).as_millis() * u128::from(STEPS_PER_SECOND) / 1000).try_into().unwrap_or(u32::MAX)
}

/// Declares a number that cannot leave its range.
macro_rules! bounded {
    ($(#[$doc:meta])* $name:ident in $low:literal ..= $high:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u8);

        impl $name {
            /// The smallest value.
            pub const MIN: Self = Self($low);
            /// The largest value.
            pub const MAX: Self = Self($high);

            /// How many values there are.
            pub const COUNT: usize = $high - $low + 1;

            /// `None` outside the range.
            pub const fn new(value: u8) -> Option<Self> {
                if value >= $low && value <= $high { Some(Self(value)) } else { None }
            }

            /// The value as a number.
            pub const fn get(self) -> u8 {
                self.0
            }

            /// Every value, in order.
            pub fn all() -> impl DoubleEndedIterator<Item = Self> {
                ($low..=$high).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

bounded! {
    /// A key of the piano as a MIDI note number, A0 to C8.
    Pitch in 21..=108
}

impl Pitch {
    /// Its place among all pitches, `0..Pitch::COUNT`.
    pub const fn index(self) -> usize {
        (self.0 - Self::MIN.0) as usize
    }
}

bounded! {
    /// A pause in steps of 10 ms.
    Shift in 1..=100
}
impl Shift {
    /// The fewest pauses that last `steps` together: the longest first.
    pub fn over(steps: u32) -> impl Iterator<Item = Self> {
        let (long, rest) = (steps / u32::from(Self::MAX.0), (steps % u32::from(Self::MAX.0)) as u8);
        (0..long).map(|_| Self::MAX).chain(Self::new(rest))
    }
}

bounded! {
    /// A loudness class of four MIDI velocities.
    VelocityBin in 1..=32
}

impl VelocityBin {
    /// The class that holds MIDI velocity `velocity`; a velocity outside `1..=127` counts as the nearest one.
    pub fn of(velocity: u8) -> Self {
        Self((velocity.clamp(1, 127) - 1) / 4 + 1)
    }

    /// The lowest MIDI velocity of the class, which is the one that is played.
    pub fn velocity(self) -> u8 {
        1 + 4 * (self.0 - 1)
    }
}

/// What a token stands for. The vocabulary is a file format, so there are no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// Fills short rows of a batch; also what a model is fed before the first event.
    Pad,
    /// The piece ends here.
    End,
    /// A key goes down.
    NoteOn(Pitch),
    /// A key comes up.
    NoteOff(Pitch),
    /// Time passes.
    TimeShift(Shift),
    /// The keys that follow are struck this hard.
    Velocity(VelocityBin),
}

/// An event's number, `0..310`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Token(u16);

impl Token {
    /// [`Event::Pad`]; the start token too.
    pub const PAD: Self = Self(0);
    /// [`Event::End`].
    pub const END: Self = Self(1);

    /// `None` outside the vocabulary.
    pub fn new(id: u16) -> Option<Self> {
        (usize::from(id) < VOCABULARY).then_some(Self(id))
    }

    /// The number.
    pub fn id(self) -> u16 {
        self.0
    }

    /// The number as an index into logits.
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// Steps of 10 ms that pass with this token: 0 but for a [`Event::TimeShift`].
    pub fn steps(self) -> u32 {
        match self.into() {
            Event::TimeShift(shift) => shift.get().into(),
            _ => 0,
        }
    }

    /// Every token, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..VOCABULARY as u16).map(Self)
    }
}

impl TryFrom<u16> for Token {
    type Error = Error;

    fn try_from(id: u16) -> Result<Self> {
        Self::new(id).ok_or_else(|| Error::Option { option: "token", want: "0-309", got: id.to_string() })
    }
}

impl From<Token> for u16 {
    fn from(token: Token) -> Self {
        token.0
    }
}

// First id of each class, in vocabulary order.
const NOTE_ON: u16 = 2;
const NOTE_OFF: u16 = 90;
const TIME_SHIFT: u16 = 178;
const VELOCITY: u16 = 278;

impl From<Event> for Token {
    fn from(event: Event) -> Self {
        Self(match event {
            Event::Pad => 0,
            Event::End => 1,
            Event::NoteOn(pitch) => NOTE_ON + u16::from(pitch.0 - Pitch::MIN.0),
            Event::NoteOff(pitch) => NOTE_OFF + u16::from(pitch.0 - Pitch::MIN.0),
            Event::TimeShift(shift) => TIME_SHIFT + u16::from(shift.0 - Shift::MIN.0),
            Event::Velocity(bin) => VELOCITY + u16::from(bin.0 - VelocityBin::MIN.0),
        })
    }
}

impl From<Token> for Event {
    fn from(Token(id): Token) -> Self {
        // Every offset is smaller than its class, so it fits in a byte.
        let offset = |first: u16, low: u8| (id - first) as u8 + low;
        match id {
            0 => Self::Pad,
            1 => Self::End,
            NOTE_ON..NOTE_OFF => Self::NoteOn(Pitch(offset(NOTE_ON, Pitch::MIN.0))),
            NOTE_OFF..TIME_SHIFT => Self::NoteOff(Pitch(offset(NOTE_OFF, Pitch::MIN.0))),
            TIME_SHIFT..VELOCITY => Self::TimeShift(Shift(offset(TIME_SHIFT, Shift::MIN.0))),
            _ => Self::Velocity(VelocityBin(offset(VELOCITY, VelocityBin::MIN.0))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_the_file_format() {
        let id = |event| Token::from(event).id();
        assert_eq!(id(Event::Pad), 0);
        assert_eq!(id(Event::End), 1);
        assert_eq!((id(Event::NoteOn(Pitch::MIN)), id(Event::NoteOn(Pitch::MAX))), (2, 89));
        assert_eq!((id(Event::NoteOff(Pitch::MIN)), id(Event::NoteOff(Pitch::MAX))), (90, 177));
        assert_eq!((id(Event::TimeShift(Shift::MIN)), id(Event::TimeShift(Shift::MAX))), (178, 277));
        assert_eq!((id(Event::Velocity(VelocityBin::MIN)), id(Event::Velocity(VelocityBin::MAX))), (278, 309));
    }

    #[test]
    fn every_token_is_one_event() {
        for token in Token::all() {
            assert_eq!(Token::from(Event::from(token)), token);
        }
        assert_eq!(Token::all().count(), VOCABULARY);
        assert_eq!(Token::all().map(Token::steps).sum::<u32>(), 5050);
        assert_eq!(Token::new(310), None);
    }

    #[test]
    fn velocity_bins_hold_four_velocities() {
        for velocity in 1..=127 {
            let low = VelocityBin::of(velocity).velocity();
            assert!((low..low + 4).contains(&velocity));
        }
    }
}
