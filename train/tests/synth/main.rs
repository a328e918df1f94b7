//! Video from music: each channel shows its quantity and nothing else does, and what is written is what is drawn.

mod channels;
mod linear_probe;
mod pairs;
mod pictures;
mod scenes;
mod songs;
