//! Prints the windows of the videos that are named on the command line.

use std::time::Instant;

use vmt::Geometry;
use vmt_video::{Error, Video};

fn main() {
    for path in std::env::args().skip(1) {
        if let Err(error) = print(&path) {
            eprintln!("{error}");
        }
    }
}

fn print(path: &str) -> Result<(), Error> {
    let begin = Instant::now();
    let mut length = 0.0;
    for window in Video::open(path)?.windows(Geometry::PAPER) {
        let window = window?;
        length = (window.start + window.duration).as_secs_f64();
        println!("{:?} + {:?}: {} pictures", window.start, window.duration, window.clip.frames());
    }
    println!("{path}: {length:.6} s, {:.0} times as fast as it plays", length / begin.elapsed().as_secs_f64());
    Ok(())
}
