//! Real film in drawn scenes: each channel changes it, what is held out is never shown, and a bad folder is refused.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use ndarray::{Array2, Array4};
use vmt::{Clip, Geometry, PerformedNote, midi};
use vmt_train::data::song::{Mode, Song};
use vmt_train::data::{Augment, Fragments, Split, Splits};
use vmt_train::random::Stream;
use vmt_train::synth::{Channels, Footage, Scene, Songs};

const SMALL: Geometry = Geometry::PAPER.with_size(32, 32).unwrap();
const SCENES: u64 = 24;

/// Half a minute of one note again and again, in bars of 2 s; without cuts if they come with phrases.
fn music(notes_per_second: f64, velocity: u8, pitch: u8) -> Song {
    let note = |index: usize| {
        let start = index as f64 / notes_per_second;
        PerformedNote { start, end: start + 1.0 / notes_per_second, pitch, velocity }
    };
    let mut song = Song::new("notes", (0..(30.0 * notes_per_second) as usize).map(note).collect()).unwrap();
    song.beats = (0..60).map(|beat| f64::from(beat) / 2.0).collect();
    song.downbeats = vec![];
    song
}

/// Films of one kind, `[pictures, 3, 48, 48]`: all channels of a pixel are the same.
fn films(count: usize, pictures: usize, light: impl Fn(usize, usize, usize, usize) -> u8) -> Arc<Footage> {
    let film = |film| {
        let pixel = |(picture, _, y, x)| light(film, picture, y, x);
        (format!("film {film}"), Array4::from_shape_fn((pictures, 3, 48, 48), pixel))
    };
    Arc::new(Footage::new((0..count).map(film).collect(), 1.0).unwrap())
}

/// Looks random, `0..=255`.
fn noise(number: usize) -> u8 {
    (((number as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20).wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 56) as u8
}

/// Films of checks that move sideways, each faster than the one before.
fn moving() -> Arc<Footage> {
    films(6, 120, |film, picture, y, x| if ((x + film * picture / 3) / 6 + y / 6).is_multiple_of(2) { 60 } else { 190 })
}

/// Clips of 10 s from second 4 on, one for each seed.
fn clips(song: &Song, channels: Channels, footage: &Arc<Footage>) -> Vec<Clip> {
    (0..SCENES).map(|seed| Scene::with_footage(song, seed, channels, Some(footage)).clip(4.0, &SMALL)).collect()
}

/// The light of each picture of a clip, `[height, width]`.
fn lights(clip: &Clip) -> Vec<Array2<f64>> {
    let light = |picture: ndarray::ArrayView3<u8>| picture.mapv(f64::from).mean_axis(ndarray::Axis(0)).unwrap();
    clip.pixels().outer_iter().map(light).collect()
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values.into_iter().fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

/// Mean change from picture to picture.
fn motion(clip: &Clip) -> f64 {
    let lights = lights(clip);
    mean(lights.windows(2).map(|pair| (&pair[1] - &pair[0]).mapv(f64::abs).mean().unwrap()))
}

fn only(turn: fn(&mut Channels)) -> Channels {
    let mut channels = Channels { phrase: true, ..Channels::none() };
    turn(&mut channels);
    channels
}

#[test]
fn more_notes_play_faster() {
    // Gets lighter in each picture, so that light tells the time.
    let footage = films(1, 1000, |_, picture, _, _| (picture / 4) as u8);
    let (slow, fast) = (music(4.0, 80, 60), music(6.0, 80, 60));
    let light = |song: &Song, channels, seed, time| {
        let picture = Scene::with_footage(song, seed, channels, Some(&footage)).picture(time, 16, 16);
        picture.mapv(f64::from).mean().unwrap()
    };
    let moved = |song: &Song, channels, time: f64| {
        mean((0..SCENES).map(|seed| (light(song, channels, seed, 2.0 + time) - light(song, channels, seed, 2.0)).abs()))
    };
    let shown = only(|channels| channels.density = true);
    let ratio = moved(&fast, shown, 8.0) / moved(&slow, shown, 8.0);
    // 2 of the range of 10 notes a second.
    let want = 14_f64.powf(0.2);
    assert!((0.85..1.15).contains(&(ratio / want)), "{ratio}");
    assert_eq!(moved(&fast, only(|_| {}), 8.0), moved(&slow, only(|_| {}), 8.0));
}

#[test]
fn loud_music_moves_more() {
    let footage = moving();
    let (soft, loud) = (music(4.0, 66, 60), music(4.0, 104, 60));
    let moved = |song, channels| mean(clips(song, channels, &footage).iter().map(motion));
    let shown = only(|channels| channels.loudness = true);
    assert!(moved(&loud, shown) > 1.5 * moved(&soft, shown), "{} {}", moved(&loud, shown), moved(&soft, shown));
    assert_eq!(clips(&loud, only(|_| {}), &footage), clips(&soft, only(|_| {}), &footage));
}

#[test]
fn loud_music_is_larger_lighter_and_has_more_contrast() {
    let footage = films(1, 12, |_, _, y, x| if (20..28).contains(&x) && (20..28).contains(&y) { 220 } else { 90 });
    let look = |velocity| {
        let channels = only(|channels| channels.loudness = true);
        let clips = clips(&music(4.0, velocity, 60), channels, &footage);
        let pictures: Vec<Array2<f64>> = clips.iter().flat_map(lights).collect();
        let spread = mean(pictures.iter().map(|picture| picture.std(0.0)));
        (mean(pictures.iter().map(|picture| picture.mean().unwrap())), spread)
    };
    let (soft, loud) = (look(66), look(104));
    assert!(loud.0 > 1.1 * soft.0 && loud.1 > 1.3 * soft.1, "{soft:?} {loud:?}");
}

/// Pictures in which another film is shown.
fn cuts(song: &Song, channels: Channels) -> f64 {
    // Each is of one shade, which is most of the picture, whatever moves before it.
    let footage = films(8, 2, |film, _, _, _| 30 + 25 * film as u8);
    let shade = |picture: &Array2<f64>| {
        let mut values: Vec<f64> = picture.iter().copied().collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let count = |clip: &Clip| {
        let shades: Vec<f64> = lights(clip).iter().map(shade).collect();
        shades.windows(2).filter(|pair| (pair[1] - pair[0]).abs() > 10.0).count() as f64
    };
    mean(clips(song, channels, &footage).iter().map(count))
}

#[test]
fn phrases_are_cuts_and_more_so_in_loud_music() {
    let bars = |velocity| {
        let mut song = music(4.0, velocity, 60);
        song.downbeats = (0..15).map(|bar| 2.0 * f64::from(bar)).collect();
        song
    };
    assert_eq!(cuts(&music(4.0, 80, 60), only(|_| {})), 0.0);
    let shown = only(|channels| channels.loudness = true);
    let (soft, loud) = (cuts(&bars(66), shown), cuts(&bars(104), shown));
    assert!(soft > 0.5 && loud > 2.0 * soft, "{soft} {loud}");
}

#[test]
fn what_moves_is_higher_where_pitches_are() {
    let footage = films(
        3,
        60,
        |film, picture, y, x| {
            if (20..28).contains(&y) { noise(1000 * film + 100 * (x / 4) + picture) } else { 128 }
        },
    );
    let height = |pitch| {
        let channels = only(|channels| channels.register = true);
        let height = |clip: &Clip| {
            let lights = lights(clip);
            let (mut sum, mut high) = (0.0, 0.0);
            for pair in lights.windows(2) {
                for ((y, _), change) in (&pair[1] - &pair[0]).indexed_iter() {
                    let change = (change.abs() - 15.0).max(0.0);
                    (sum, high) = (sum + change, high + change * y as f64 / 32.0);
                }
            }
            high / sum
        };
        mean(clips(&music(4.0, 80, pitch), channels, &footage).iter().map(height))
    };
    let (low, high) = (height(57), height(69));
    assert!(low - high > 0.15, "{low} {high}");
}

#[test]
fn minor_is_cold_and_dark() {
    let footage = films(3, 12, |film, _, y, _| (60 + 40 * film + y) as u8);
    let colours = |mode| {
        let mut song = music(4.0, 80, 60);
        song.modes = vec![(0.0, mode)];
        let clips = clips(&song, only(|channels| channels.mode = true), &footage);
        let channel = |channel| {
            mean(
                clips
                    .iter()
                    .map(|clip| clip.pixels().index_axis(ndarray::Axis(1), channel).mapv(f64::from).mean().unwrap()),
            )
        };
        [channel(0), channel(1), channel(2)]
    };
    let (major, minor) = (colours(Mode::Major), colours(Mode::Minor));
    assert!(major[0] > 1.2 * major[2] && minor[2] > 1.2 * minor[0], "{major:?} {minor:?}");
    assert!(major.iter().sum::<f64>() > 1.1 * minor.iter().sum::<f64>(), "{major:?} {minor:?}");
}

#[test]
fn silence_is_still_and_dim() {
    let footage = moving();
    let mut song = music(4.0, 80, 60);
    song.notes.retain(|note| !(8.0..12.0).contains(&note.start));
    let channels = only(|channels| channels.silence = true);
    for seed in 0..SCENES {
        let scene = Scene::with_footage(&song, seed, channels, Some(&footage));
        let look = |time| scene.picture(time, 32, 32).mapv(f64::from);
        let change = |from, to| (look(to) - look(from)).mapv(f64::abs).mean().unwrap();
        // What is left: the drift of the camera, and grain.
        assert!(change(9.5, 9.75) < change(9.5, 9.501) + 5.0, "{seed}: {}", change(9.5, 9.75));
        assert!(look(10.0).mean().unwrap() < 0.6 * look(7.0).mean().unwrap());
    }
}

#[test]
fn each_channel_is_seen() {
    let footage = moving();
    let mut song = music(4.0, 80, 60);
    song.notes.retain(|note| !(8.0..10.0).contains(&note.start));
    song.downbeats = (0..15).map(|bar| 2.0 * f64::from(bar)).collect();
    song.modes = vec![(0.0, Mode::Minor)];
    for (name, channels) in Channels::all_but_one() {
        let [all, without] = [Channels::all(), channels].map(|channels| clips(&song, channels, &footage));
        assert!(std::iter::zip(&all, &without).all(|(all, without)| all != without), "{name}");
    }
    // Nothing of another song is seen where no channel is on, but when it is over.
    assert_eq!(clips(&song, Channels::none(), &footage), clips(&music(9.0, 100, 50), Channels::none(), &footage));
}

#[test]
fn so_many_scenes_show_it_and_all_are_repeated() {
    let song = music(4.0, 80, 60);
    let shade = || vec![("grey".to_owned(), Array4::from_elem((2, 3, 8, 8), 128))];
    let pictures = |probability| -> Vec<_> {
        let footage = Arc::new(Footage::new(shade(), probability).unwrap());
        let picture = |seed| Scene::with_footage(&song, seed, Channels::all(), Some(&footage)).picture(5.0, 16, 16);
        (0..200).map(picture).collect()
    };
    let (none, half, all) = (pictures(0.0), pictures(0.5), pictures(1.0));
    let as_in = |other: &[_]| std::iter::zip(&half, other).filter(|(a, b)| a == b).count();
    assert_eq!(as_in(&none) + as_in(&all), 200);
    assert!((70..130).contains(&as_in(&all)), "{}", as_in(&all));
    assert_eq!(half, pictures(0.5));
    assert!(Footage::new(shade(), 1.1).is_err());
}

/// What training showed before there was footage, it still shows.
#[test]
fn without_footage_nothing_changes() {
    let mut song = music(5.0, 84, 62);
    song.downbeats = (0..15).map(|bar| 2.0 * f64::from(bar)).collect();
    song.modes = vec![(0.0, Mode::Major)];
    let light = |seed| {
        let clip = Scene::new(&song, seed, Channels::all()).clip(4.0, &SMALL);
        assert_eq!(clip, Scene::with_footage(&song, seed, Channels::all(), None).clip(4.0, &SMALL));
        clip.pixels().mapv(f64::from).mean().unwrap()
    };
    for (seed, want) in (0..).zip([166.8615, 160.1883, 144.9180, 160.6284, 178.6844, 149.1900]) {
        // Mathematical functions may differ in their last bit from system to system.
        assert!((light(seed) - want).abs() < 0.01, "{seed}: {}", light(seed));
    }
}

/// A folder of films of one colour each.
fn folder(films: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut table = "name\tsource\tlicence\n".to_owned();
    for (name, colour) in films {
        table += &format!("{name}\tmade here\tCC0\n");
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", &format!("color={colour}:size=64x48:rate=12:duration=2")])
            .args(["-c:v", "libx264", "-pix_fmt", "yuv420p"])
            .arg(folder.path().join(format!("{name}.mp4")))
            .status();
        assert!(made.unwrap().success());
    }
    fs::write(folder.path().join("footage.tsv"), table).unwrap();
    folder
}

#[test]
fn what_is_held_out_is_never_shown() {
    let films = [("a", "red"), ("b", "lime"), ("c", "red"), ("d", "lime"), ("e", "red")];
    let (folder, songs) = (folder(&films), tempfile::tempdir().unwrap());
    fs::write(songs.path().join("song.mid"), midi::write(&music(4.0, 80, 60).fragment(0.0, 30.0)).unwrap()).unwrap();
    let list = songs.path().join("split.yaml");
    fs::write(&list, "train: [a, c, e]\ntest: [b, d]").unwrap();
    let splits = Splits::load(&list).unwrap();
    for (split, want, redder) in [(Split::Train, "ace", true), (Split::Test, "bd", false)] {
        let footage = Footage::open(folder.path(), split, &splits, 16, 1.0).unwrap();
        assert_eq!(footage.names().collect::<String>(), want);
        let seconds = footage.seconds() / want.len() as f64;
        assert!((1.9..2.2).contains(&seconds), "{seconds}");
        let all = Splits::Hashed([1, 0, 0]);
        let augment = Augment { semitones: 5, tempo: 0.1 };
        let songs = Songs::open(songs.path(), Split::Train, &all, SMALL, augment).unwrap();
        let songs = songs.with_footage(Some(Arc::new(footage)));
        for number in 0..40 {
            let fragment = songs.fragment(0, &mut Stream::new(1, "test", &[number])).unwrap();
            let clip = fragment.clip.unwrap();
            let level = |channel| clip.pixels().index_axis(ndarray::Axis(1), channel).mapv(f64::from).mean().unwrap();
            assert_eq!(level(0) > level(1), redder, "{split:?} {number}: {} {}", level(0), level(1));
        }
    }
}

#[test]
fn the_split_holds_out_a_fifth() {
    let splits = Splits::load(concat!(env!("CARGO_MANIFEST_DIR"), "/splits/footage.yaml")).unwrap();
    let Splits::Listed(splits) = splits else { panic!("it is a list") };
    let held_out = splits.values().filter(|&&split| split != Split::Train).count();
    assert_eq!((splits.len(), held_out), (56, 12));
}

#[test]
fn a_bad_folder_is_refused() {
    let one = Splits::Hashed([1, 0, 0]);
    let refused = |folder: &Path, said: &[&str]| {
        let error = Footage::open(folder, Split::Train, &one, 16, 1.0).err().expect("refused");
        let error = format!("{error:#}");
        assert!(said.iter().all(|said| error.contains(said)), "{error}");
    };
    let folder = folder(&[("a", "red")]);
    let table = folder.path().join("footage.tsv");
    let none = Footage::open(folder.path(), Split::Test, &one, 16, 1.0).err().unwrap();
    assert!(none.to_string().contains("must hold clips for Test, but has none"));
    fs::write(&table, "name\tlicence\na\tCC0\nb\tCC0").unwrap();
    refused(folder.path(), &["b.mp4: No such file"]);
    fs::write(folder.path().join("b.mp4"), "no film").unwrap();
    refused(folder.path(), &["b.mp4: must be a video that FFmpeg can read"]);
    fs::write(&table, "name\tlicence\na\t").unwrap();
    refused(folder.path(), &["footage.tsv: `a\t`: must name a clip and its licence"]);
    fs::write(&table, "name\na").unwrap();
    refused(folder.path(), &["footage.tsv: must have a column `licence`"]);
    fs::write(&table, "name\tlicence\n").unwrap();
    refused(folder.path(), &["must hold clips for Train, but has none"]);
    fs::remove_file(&table).unwrap();
    refused(folder.path(), &["footage.tsv: No such file"]);

    // Before a run leaves anything behind.
    let run = folder.path().join("run");
    let recipe = concat!(env!("CARGO_MANIFEST_DIR"), "/recipes/tiny-vmt.yaml");
    let output = Command::new(env!("CARGO_BIN_EXE_vmt-train"))
        .args(["run", recipe, "-o"])
        .arg(&run)
        .args([Path::new("--data"), folder.path(), Path::new("--footage"), folder.path()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("footage.tsv: No such file") && !run.exists(), "{said}");
}
