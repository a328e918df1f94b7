//! The sound of films that the `ffmpeg` command makes, by the clock of their pictures.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use vmt_video::{Error, read_sound};

const RATE: u32 = 8000;
const PICTURES: &str = "-f lavfi -i testsrc2=s=64x48:r=25:d=4";

fn film(folder: &TempDir, arguments: &str) -> PathBuf {
    let status = Command::new("ffmpeg").args(["-v", "error"]).args(arguments.split(' ')).current_dir(folder).status();
    assert!(status.expect("these tests need `ffmpeg`").success(), "{arguments}");
    folder.path().join(arguments.rsplit(' ').next().unwrap())
}

/// Tenths of a second that are loud.
fn loud(sound: &[f32]) -> Vec<usize> {
    let tenths = sound.chunks(RATE as usize / 10).enumerate();
    let level = |tenth: &[f32]| tenth.iter().map(|sample| sample * sample).sum::<f32>() / tenth.len() as f32;
    tenths.filter(|(_, tenth)| level(tenth) > 0.01).map(|(index, _)| index).collect()
}

#[test]
fn sound_is_where_the_pictures_are() {
    let folder = tempfile::tempdir().unwrap();
    // Loud from 2 to 2.5 s.
    let burst = "-f lavfi -i sine=440:d=3,volume=4*between(t\\,2\\,2.5):eval=frame -pix_fmt yuv420p";
    // Pictures that begin a second later begin at 0; sound that ends before the pictures is followed by silence.
    for (arguments, first) in [
        (format!("{PICTURES} {burst} -c:a pcm_s16le plain.mkv"), 20),
        (format!("{PICTURES} {burst} -c:a aac plain.mp4"), 20),
        (format!("-itsoffset 1 {PICTURES} {burst} -c:a pcm_s16le late.mkv"), 10),
        (format!("{PICTURES} {burst} -c:a mp2 -output_ts_offset 30 later.ts"), 20),
    ] {
        let film = film(&folder, &arguments);
        let sound = read_sound(&film, RATE).unwrap();
        let length = vmt_video::duration(&film).unwrap().as_secs_f64();
        assert!(
            (sound.len() as f64 / f64::from(RATE) - length).abs() < 1e-3 && (length - 4.0).abs() < 0.05,
            "{arguments}"
        );
        let (loud, want) = (loud(&sound), first..first + 5);
        // Codecs smear sound a little.
        assert!(want.clone().all(|tenth| loud.contains(&tenth)) && loud.len() <= 7, "{arguments}: {loud:?}");
    }
}

#[test]
fn a_film_without_sound() {
    let folder = tempfile::tempdir().unwrap();
    let film = film(&folder, &format!("{PICTURES} -pix_fmt yuv420p mute.mp4"));
    let Err(Error::Unfit { reason, .. }) = read_sound(&film, RATE) else { panic!("it has no sound") };
    assert_eq!(reason, "has no sound that FFmpeg can decode");
}
