//! Reads video files for [`vmt`] by presentation time, and writes films with another soundtrack; the only crate that
//! uses FFmpeg.
//!
//! video-rs opens the file and reads its packets. Decoding and colour go through ffmpeg-next, since video-rs converts
//! every frame, knows no colour matrix but BT.601, and ignores rotation.

mod error;
mod mp3;
mod mux;
mod pixels;
mod timestamps;
mod video;

pub use error::Error;
pub use mp3::{check_mp3, encode_mp3};
pub use mux::{check_mux, mux};
pub use video::Video;
