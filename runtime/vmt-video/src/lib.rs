//! Reads video files for [`vmt`] by presentation time, and writes films with another soundtrack; the only crate that
//! uses FFmpeg.
//!
//! video-rs holds the file and finds its pictures. Bytes, packets, decoding and colour go through ffmpeg-next, since
//! video-rs opens no path that is not UTF-8, tells no error of reading from the end, converts every frame, knows no colour
//! matrix but BT.601, and ignores rotation.

mod error;
mod excerpt;
mod index;
mod input;
mod matroska;
mod mp3;
mod mux;
mod pixels;
mod sound;
mod timestamps;
mod video;

pub use error::Error;
pub use excerpt::{check_excerpt, encode_excerpt, encode_pictures};
pub use index::duration;
pub use mp3::{check_mp3, encode_mp3};
pub use mux::{CONTAINERS, can_be_read_again, check_mux, mux};
pub use sound::{SAMPLE_RATE, check_sound, film_sound, read_sound, sound};
pub use video::Video;
