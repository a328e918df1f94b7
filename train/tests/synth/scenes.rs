//! Scenes: the same seed, the same pictures, at any size and any time.

use ndarray::{Array2, Axis};
use vmt::Geometry;
use vmt_train::data::song::Song;
use vmt_train::synth::{Channels, Scene};

use crate::pictures::{change, light};
use crate::songs::{SMALL, note, song};

#[test]
fn the_same_seed_draws_the_same_pictures() {
    let (song, other) = (song(1), song(2));
    let clip = |song, seed, start| Scene::new(song, seed, Channels::drawn(seed)).clip(start, &SMALL);
    assert_eq!(clip(&song, 1, 12.5), clip(&song, 1, 12.5));
    assert_ne!(clip(&song, 1, 12.5), clip(&song, 2, 12.5));
    assert_ne!(clip(&song, 1, 12.5), clip(&song, 1, 13.5));
    assert_ne!(clip(&song, 1, 12.5), clip(&other, 1, 12.5));
}

#[test]
fn a_clip_is_made_of_pictures() {
    let song = song(3);
    let scene = Scene::new(&song, 5, Channels::all());
    let wide = Geometry::PAPER.with_size(48, 64).unwrap();
    for geometry in [SMALL, Geometry::PAPER, wide] {
        let clip = scene.clip(7.3, &geometry);
        assert_eq!(clip.frames(), geometry.frames());
        for frame in [0, 17, 39] {
            let time = 7.3 + geometry.time(frame).as_secs_f64();
            assert_eq!(
                clip.pixels().index_axis(Axis(0), frame),
                scene.picture(time, geometry.height(), geometry.width())
            );
        }
    }
}

#[test]
fn size_changes_nothing_but_detail() {
    let song = song(4);
    let plain = (0..40).map(|seed| Scene::new(&song, seed, Channels::all()));
    for scene in plain {
        let [small, large] = [64, 128].map(|side| light(scene.picture(20.0, side, side).view()));
        let halved = Array2::from_shape_fn((64, 64), |(y, x)| {
            large.slice(ndarray::s![2 * y..2 * y + 2, 2 * x..2 * x + 2]).mean().unwrap()
        });
        assert!(change(&small, &halved) < 8.0, "{}", change(&small, &halved));
    }
}

#[test]
fn any_time_has_a_picture() {
    let song = Song::new("one note", vec![note(3.0, 60)]).unwrap();
    let scene = Scene::new(&song, 1, Channels::all());
    for time in [-100.0, 0.0, 3.0, 1e6] {
        let picture = scene.picture(time, 8, 8);
        assert_eq!(picture.dim(), (3, 8, 8));
        assert!(picture.iter().any(|&value| value > 0), "all is black at {time} s");
    }
}

#[test]
fn a_channel_is_dropped_now_and_then() {
    let drawn: Vec<Channels> = (0..2000).map(Channels::drawn).collect();
    let share = |count: usize| count as f64 / drawn.len() as f64;
    assert!((share(drawn.iter().filter(|c| **c == Channels::none()).count()) - 0.1).abs() < 0.02);
    assert!((share(drawn.iter().filter(|c| c.beat).count()) - 0.9 * 0.75).abs() < 0.03);
    assert!((share(drawn.iter().filter(|c| c.silence).count()) - 0.9 * 0.75).abs() < 0.03);
}

#[test]
fn channels_have_names() {
    assert_eq!("all".parse::<Channels>().unwrap(), Channels::all());
    assert_eq!("none".parse::<Channels>().unwrap(), Channels::none());
    let some = Channels { beat: true, silence: true, ..Channels::none() };
    assert_eq!("beat,silence".parse::<Channels>().unwrap(), some);
    assert!("beat, bar".parse::<Channels>().unwrap_err().to_string().contains("there is ` bar`"));
}
