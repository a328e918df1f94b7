//! Video made from music, to train on where no video of its own exists.
//!
//! A [`Scene`] shows a song as a dancer on a set. Each [channel](Channels) shows one quantity of the music that a real
//! video carries, too; which notes are played is never shown. Everything else is random (domain randomisation), so that a model
//! learns from motion, cuts and colours and not from the style of the renderer.
//!
//! | channel | music | picture |
//! |---|---|---|
//! | onset | notes begin | limbs are thrown, light flashes; fades in 0.30 s, stronger with velocity |
//! | density | notes in 0.5 s, 2 to 12 a second | limbs and particles move 2 to 14 units in 0.25 s |
//! | loudness | mean velocity, 68 to 102 | size 0.7 to 1.25, contrast, width of movements |
//! | register | mean pitch, 57 to 69 | `y` 90 to 40, smaller particles; melody lifts a hand, bass spreads feet |
//! | mode | minor or major | cold and dark, or warm and bright, in 1 s |
//! | beat | beats, every other one above 1.8 Hz | bounce of 4 to 6 units |
//! | bar | bars | sway of 8 to 12 units |
//! | phrase | every fourth downbeat (0.8), others at a film's own pace | cuts, up to 0.1 s early, 15 % elsewhere |
//! | silence | nothing sounds for 0.8 s | stillness and dim light |
//!
//! Given [`Footage`], a share of scenes shows real film, as the scene itself or behind the dancer:
//!
//! | channel | footage |
//! |---|---|
//! | onset | flashes, and is zoomed by 3 % |
//! | density | plays 0.2 to 2.8 times as fast |
//! | loudness | zoom 0.8 to 1.2, contrast 0.7 to 1.2, light 0.85 to 1.1; segments in which more moves |
//! | register | is cropped so that what moves is at the dancer's height |
//! | mode | graded warm and saturated, or cold, dark and grey |
//! | beat, bar | the picture bounces and sways where there is no dancer |
//! | phrase | cut to another segment of the clip or of another one |
//! | silence | stands still, dim |
//!
//! In all scenes of a renderer with footage, loudness is also how far the camera shakes and how likely a downbeat is a
//! cut (0.05 to 0.95): in 748 music videos, motion and cutting rate go with loudness (rank correlation 0.20 and 0.25,
//! chance 0.07), with note density not at all. Density remains speed, which is a choice (Di et al. 2021).
//!
//! Units are 1/128 of the picture's height. What grounds the choice: dance and cuts follow onsets; motion and density
//! (Di et al. 2021); loudness is size rather than brightness (Whiteford et al. 2018); pitch is height and inverse size
//! (Spence 2011); colour is mode (Palmer et al. 2013); bounce is the beat, sway the bar (Burger et al. 2013); cuts are
//! phrases (Prétet et al. 2021).

mod canvas;
mod channels;
mod curves;
mod figure;
mod film;
mod footage;
mod look;
mod montage;
mod rng;
mod scene;
mod songs;

pub use channels::Channels;
pub use film::{PairOptions, Progress, write_pairs};
pub use footage::{Footage, RATE as FOOTAGE_RATE};
pub use scene::Scene;
pub use songs::Songs;
