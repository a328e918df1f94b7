//! What the calls do.

use std::ffi::{CString, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{fs, ptr, thread};

use ndarray::Array3;
use vmt::click::{self, ClickTrack, find_hits};
use vmt::{Backend, Conditions, Conductor, Controls, Frame, Key, Options, Sampling, Score, Tempo, midi as write};
use vmt_capi::*;

use crate::support::*;

const POLYPHONY: Option<std::num::NonZeroUsize> = std::num::NonZeroUsize::new(12);

/// The same frames through the Rust library alone.
fn in_rust(bundle: &vmt::Bundle, backend: Backend, frames: usize, seed: u64) -> (Score, Options) {
    let composer = vmt::Composer::new(bundle, backend, None).unwrap();
    let geometry = composer.engine().geometry();
    let [width, height] = SIZE.map(|side| side as usize);
    let pixels = pictures(frames);
    let each = Duration::from_secs_f64(1.0 / FPS);
    let images: Vec<_> = pixels
        .chunks_exact(3 * width * height)
        .map(|bytes| image(SIZE, bytes))
        .enumerate()
        .map(|(index, picture)| Frame { time: each * index as u32, duration: each, picture })
        .collect();
    let mut options = Options::default()
        .with_sampling(Sampling::default().with_seed(seed))
        .with_controls(Controls::default().with_polyphony(POLYPHONY));
    if bundle.manifest().decoder.conditions.is_some() {
        let small = images.iter().map(|frame| {
            let picture = vmt::pictures::thumbnail(&frame.picture);
            Ok::<_, vmt::Error>(Frame { time: frame.time, duration: frame.duration, picture })
        });
        let found = find_hits(small).unwrap();
        let track = ClickTrack::fit(&found.hits, found.duration, &click::Options::default()).unwrap();
        let (keys, density, loudness) = (vec![(0, Some(Key::drawn(seed)))], found.activity.clone(), found.activity);
        options.conditions = Conditions { keys, density, loudness, ..track.conditions() };
        (options.quantize, options.cadence) = (true, true);
    }
    let seen = vmt::windows(images.into_iter().map(Ok::<_, vmt::Error>), geometry, options.hop(&geometry), |picture| {
        let small = vmt::pictures::pixels(picture, &geometry);
        Ok(Array3::from_shape_vec(small.raw_dim(), small.iter().copied().collect()).unwrap())
    });
    (composer.compose(seen, &options, |_| {}).unwrap().score, options)
}

fn image([width, height]: [u32; 2], bytes: &[u8]) -> vmt::pictures::image::DynamicImage {
    use vmt::pictures::image::{DynamicImage, RgbImage};
    DynamicImage::ImageRgb8(RgbImage::from_raw(width, height, bytes.to_vec()).unwrap())
}

#[test]
fn the_bytes_are_those_of_the_rust_library() {
    let tiny = vmt::Bundle::open(file("onnx/tiny-vmt")).unwrap();
    for (engine, backend) in
        [(vmt_engine::VMT_ENGINE_TRACT, Backend::Tract), (vmt_engine::VMT_ENGINE_ORT, Backend::Ort)]
    {
        let composer = composer(&bundle("tiny-vmt"), engine);
        // SAFETY: it is text.
        let name = unsafe { std::ffi::CStr::from_ptr(vmt_composer_engine(composer.0)) };
        assert_eq!(name.to_str().unwrap(), vmt::Composer::new(&tiny, backend, None).unwrap().engine().name());
        for seed in [0, 7] {
            let options = vmt_options { seed, ..vmt_options_default() };
            let (status, music) = compose(&composer, &film(&composer, 130), &options);
            ok(status);
            let (score, _) = in_rust(&tiny, backend, 130, seed);
            assert!(score.notes().len() > 5);
            assert_eq!(midi(&music), write::write_at(&score, Tempo::default()).unwrap());
            check_notes(&music, &score);
        }
    }
}

fn check_notes(music: &Music, score: &Score) {
    let (mut notes, mut count) = (ptr::null(), 0);
    // SAFETY: all of it is there.
    let notes = unsafe {
        ok(vmt_composition_notes(music.0, 0, &mut notes, &mut count));
        std::slice::from_raw_parts(notes, count)
    };
    let want = score.notes().iter().map(|note| vmt_note {
        start: f64::from(note.start) / 100.0,
        end: f64::from(note.end) / 100.0,
        pitch: note.pitch.get(),
        velocity: note.velocity,
    });
    assert!(notes.iter().copied().eq(want));
    assert_eq!(info(music, 0).duration_ns, score.duration().as_nanos() as u64);
}

#[test]
fn a_model_with_conditions_plays_to_the_films_beats() {
    let mut built_in = Bundle(ptr::null_mut());
    // SAFETY: all of it is there.
    ok(unsafe { vmt_bundle_built_in(&mut built_in.0) });
    let composer = composer(&built_in, vmt_engine::VMT_ENGINE_TRACT);
    let (status, music) = compose(&composer, &film(&composer, 40), &vmt_options_default());
    ok(status);
    let (score, options) = in_rust(&vmt::Bundle::built_in().unwrap(), Backend::Tract, 40, 0);
    check_notes(&music, &score);
    let Conditions { beats, keys, .. } = options.conditions;
    let bytes = midi(&music);
    let conductor = Conductor { beats, key: keys[0].1, ..Conductor::default() };
    // The cut is a marker; all else is the same.
    let without = write::write_parts(&[("", &score)], &conductor).unwrap();
    assert!(bytes.windows(3).any(|text| text == b"cut") && bytes.ends_with(&without[without.len() - 100..]));
}

#[test]
fn frames_one_by_one_are_those_of_an_array() {
    let composer = tiny();
    let pixels = pictures(40);
    let [width, height] = SIZE;
    let row = 3 * width as usize;
    let mut pushed = Film(ptr::null_mut());
    // SAFETY: all of it is there.
    ok(unsafe { vmt_film_new(composer.0, &mut pushed.0) });
    for (index, picture) in pixels.chunks_exact(row * height as usize).enumerate() {
        // With a gap behind each row, but for the last.
        let padded = picture.chunks(row).collect::<Vec<_>>().join(&[9; 5][..]);
        let frame = vmt_frame {
            pixels: padded.as_ptr(),
            pixels_size: padded.len(),
            width,
            height,
            stride: row + 5,
            time_ns: index as u64 * 100_000_000,
            duration_ns: 100_000_000,
            ..vmt_frame_default()
        };
        // SAFETY: all of it is there.
        ok(unsafe { vmt_film_push(pushed.0, &frame) });
    }
    let of = |film: &Film| {
        let (status, music) = compose(&composer, film, &vmt_options_default());
        ok(status);
        midi(&music)
    };
    assert_eq!(of(&pushed), of(&film(&composer, 40)));
}

#[test]
fn every_format_is_rendered() {
    let composer = tiny();
    let options = vmt_options { takes: 3, film_name: c"film.mp4".as_ptr(), ..vmt_options_default() };
    let (status, music) = compose(&composer, &film(&composer, 20), &options);
    ok(status);
    // SAFETY: it is there.
    assert_eq!(unsafe { vmt_composition_takes(music.0) }, 3);
    let infos = [0, 1, 2].map(|take| info(&music, take));
    assert!(infos.iter().all(|info| info.complete == 1 && info.events >= info.notes && info.bpm == 120.0));
    assert!(infos.is_sorted_by(|a, b| a.rank >= b.rank));
    let mut takes = infos.map(|info| info.take);
    takes.sort();
    assert_eq!(takes, [0, 1, 2]);
    assert_ne!(render(&music, 0, vmt_format::VMT_FORMAT_MIDI), render(&music, 1, vmt_format::VMT_FORMAT_MIDI));

    let json = render(&music, 0, vmt_format::VMT_FORMAT_JSON);
    let record = vmt_render::Record::from_json(std::str::from_utf8(&json).unwrap()).unwrap();
    assert_eq!(record.provenance.film.path(), "film.mp4");
    assert_eq!(midi(&music), write::write_at(&record.score().unwrap(), Tempo::default()).unwrap());
    for (format, begin) in [
        (vmt_format::VMT_FORMAT_MUSICXML, &b"<?xml"[..]),
        (vmt_format::VMT_FORMAT_SVG, b"<svg"),
        (vmt_format::VMT_FORMAT_PNG, b"\x89PNG"),
        (vmt_format::VMT_FORMAT_WAV, b"RIFF"),
    ] {
        let bytes = render(&music, 0, format);
        assert!(bytes.starts_with(begin), "{format:?}");
    }
    assert_eq!(render(&music, 0, vmt_format::VMT_FORMAT_WAV).len(), 44 + 2 * 48_000 * 4);
}

#[test]
fn there_is_music_without_a_film() {
    let composer = tiny();
    let options = vmt_options { duration_ns: 3_000_000_000, ..vmt_options_default() };
    let (status, music) = compose(&composer, &Film(ptr::null_mut()), &options);
    ok(status);
    assert_eq!(info(&music, 0).duration_ns, options.duration_ns);
}

unsafe extern "C" fn stop_after(event: *const vmt_event, left: *mut c_void) -> i32 {
    // SAFETY: the event is there during the call, and so is the number.
    let (event, left) = unsafe { (&*event, &mut *left.cast::<usize>()) };
    assert!(event.struct_size == size_of::<vmt_event>() && event.take == 0 && event.kind <= 5);
    *left -= 1;
    (*left == 0).into()
}

#[test]
fn the_callback_stops_it() {
    let composer = tiny();
    let mut left = 20_usize;
    let user = (&raw mut left).cast();
    let options = vmt_options { on_event: Some(stop_after), user, ..vmt_options_default() };
    let (status, music) = compose(&composer, &film(&composer, 300), &options);
    fails(status, vmt_status::VMT_CANCELLED, "the caller stopped composing");
    // The event that it was stopped at is the last: there is no step more.
    let info = info(&music, 0);
    assert_eq!((left, info.events, info.complete), (0, 20, 0));
    assert!(info.duration_ns < 30_000_000_000 && midi(&music).starts_with(b"MThd"));
}

unsafe extern "C" fn count(_: *const vmt_event, events: *mut c_void) -> i32 {
    // SAFETY: the number outlives the call.
    unsafe { &*events.cast::<AtomicUsize>() }.fetch_add(1, Ordering::SeqCst);
    thread::sleep(Duration::from_millis(5));
    0
}

#[test]
fn another_thread_stops_it_within_a_step() {
    let composer = tiny();
    let film = film(&composer, 600);
    let mut cancellation = Cancellation(ptr::null_mut());
    // SAFETY: all of it is there.
    ok(unsafe { vmt_cancellation_new(&mut cancellation.0) });
    let events = AtomicUsize::new(0);
    thread::scope(|scope| {
        let (composer, film, cancellation, events) = (&composer, &film, &cancellation, &events);
        let composing = scope.spawn(move || {
            let options = vmt_options {
                on_event: Some(count),
                user: (&raw const *events).cast_mut().cast(),
                cancellation: cancellation.0,
                ..vmt_options_default()
            };
            let (status, music) = compose(composer, film, &options);
            (status, info(&music, 0).events)
        });
        while events.load(Ordering::SeqCst) < 10 {
            thread::yield_now();
        }
        // SAFETY: it is there.
        ok(unsafe { vmt_cancellation_cancel(cancellation.0) });
        let seen = events.load(Ordering::SeqCst);
        let began = Instant::now();
        let (status, done) = composing.join().unwrap();
        assert_eq!(status, vmt_status::VMT_CANCELLED);
        assert!(done <= seen + 1, "{done} events, {seen} before; {:?}", began.elapsed());
    });
    // It holds for calls to come too.
    let options = vmt_options { cancellation: cancellation.0, ..vmt_options_default() };
    let (status, music) = compose(&composer, &film, &options);
    assert_eq!((status, info(&music, 0).events), (vmt_status::VMT_CANCELLED, 0));
}

#[test]
fn eight_threads_with_one_composer_give_the_bytes_of_one() {
    let composer = tiny();
    let film = film(&composer, 60);
    let of = |seed| {
        let (status, music) = compose(&composer, &film, &vmt_options { seed, ..vmt_options_default() });
        ok(status);
        midi(&music)
    };
    let alone: Vec<_> = (0..8).map(of).collect();
    let together: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|seed| scope.spawn(move || of(seed))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(alone, together);
}

/// What the tiny bundle is made of.
fn parts() -> [Vec<u8>; 3] {
    ["manifest.yaml", "encoder.onnx", "decoder.onnx"].map(|name| fs::read(file("onnx/tiny-vmt").join(name)).unwrap())
}

fn from_memory([manifest, encoder, decoder]: &[Vec<u8>; 3]) -> (vmt_status, Bundle) {
    let mut bundle = Bundle(ptr::null_mut());
    // SAFETY: all of it is there.
    let status = unsafe {
        vmt_bundle_from_memory(
            manifest.as_ptr(),
            manifest.len(),
            encoder.as_ptr(),
            encoder.len(),
            decoder.as_ptr(),
            decoder.len(),
            &mut bundle.0,
        )
    };
    (status, bundle)
}

#[test]
fn a_bundle_comes_from_memory() {
    let mut parts = parts();
    let (status, bundle) = from_memory(&parts);
    ok(status);
    // They were copied.
    parts.iter_mut().for_each(|bytes| bytes.fill(0));
    drop(parts);
    let composer = composer(&bundle, vmt_engine::VMT_ENGINE_TRACT);
    let of = |composer: &Composer| midi(&compose(composer, &film(composer, 20), &vmt_options_default()).1);
    assert_eq!(of(&composer), of(&tiny()));
}

#[test]
fn every_status_is_reached() {
    use vmt_status::*;
    let (mut opened, mut film) = (ptr::null_mut(), ptr::null_mut());
    let dangling = ptr::NonNull::<vmt_bundle>::dangling().as_ptr();
    // SAFETY: what is not null is there.
    unsafe {
        fails(vmt_bundle_open(ptr::null(), &mut opened), VMT_INVALID, "path must not be NULL");
        fails(vmt_bundle_open(c"x".as_ptr(), ptr::null_mut()), VMT_INVALID, "out must not be NULL");
        fails(vmt_bundle_open(c"\xff".as_ptr(), &mut opened), VMT_INVALID, "path must be UTF-8");
        opened = dangling;
        fails(vmt_bundle_open(c"missing".as_ptr(), &mut opened), VMT_IO, "missing/manifest.yaml: No such file");
        assert!(opened.is_null());
        fails(vmt_film_new(ptr::null(), &mut film), VMT_INVALID, "composer must not be NULL");
    }

    let good = parts();
    let mut bad = good.clone();
    bad[1][100] ^= 1;
    fails(from_memory(&bad).0, VMT_BUNDLE, "encoder.onnx: SHA-256 must be");
    bad[0] = vec![0xff];
    fails(from_memory(&bad).0, VMT_INVALID, "manifest must be UTF-8");
    // The encoder in the decoder's place.
    let manifest = String::from_utf8(good[0].clone()).unwrap();
    let hashes: Vec<_> = manifest.lines().filter_map(|line| line.trim().strip_prefix("sha256: ")).collect();
    let swapped = manifest.replace(hashes[0], "X").replace(hashes[1], hashes[0]).replace('X', hashes[1]);
    let (status, swapped) = from_memory(&[swapped.into(), good[2].clone(), good[1].clone()]);
    ok(status);
    let load = |options: vmt_composer_options, bundle: &Bundle| {
        let mut composer = Composer(ptr::null_mut());
        // SAFETY: all of it is there.
        unsafe { vmt_composer_new(bundle.0, &options, &mut composer.0) }
    };
    let default = vmt_composer_options_default();
    let engine = |engine| vmt_composer_options { engine, ..default };
    fails(load(engine(1), &swapped), VMT_ENGINE, "tract: ");
    fails(load(engine(3), &bundle("tiny-vmt")), VMT_UNSUPPORTED, "built without cuda");
    fails(load(engine(4), &swapped), VMT_INVALID, "engine must be a vmt_engine, 0-3, but is 4");
    fails(load(vmt_composer_options { threads: 0, ..default }, &swapped), VMT_INVALID, "threads must be 1-");
    let small = vmt_composer_options { struct_size: 4, ..default };
    fails(load(small, &swapped), VMT_INVALID, "struct_size of vmt_composer_options must be 16 to 16");

    let status = guard(|| panic!("on purpose"));
    fails(status, VMT_INTERNAL, "a fault of vmt: ");
    assert!(last_error().contains("on purpose"));
    // SAFETY: names are text.
    let name = |status| unsafe { std::ffi::CStr::from_ptr(vmt_status_name(status)) }.to_str().unwrap();
    assert_eq!([0, 6, 7, 8, -1].map(name), ["VMT_OK", "VMT_CANCELLED", "VMT_INTERNAL", "?", "?"]);
}

#[test]
fn options_have_ranges() {
    use vmt_status::VMT_INVALID;
    let composer = tiny();
    let (short, empty) = (film(&composer, 5), film(&composer, 0));
    let default = vmt_options_default();
    let check = |film: &Film, options: vmt_options, words| {
        let (status, music) = compose(&composer, film, &options);
        fails(status, VMT_INVALID, words);
        assert!(music.0.is_null());
    };
    check(&empty, default, "there must be a film with frames that last");
    check(&Film(ptr::null_mut()), default, "duration_ns without a film");
    for (options, words) in [
        (vmt_options { struct_size: 0, ..default }, "struct_size of vmt_options must be"),
        (vmt_options { struct_size: usize::MAX, ..default }, "struct_size of vmt_options must be"),
        (vmt_options { temperature: -1.0, ..default }, "temperature must be within 0-100, but is -1"),
        (vmt_options { temperature: f32::NAN, ..default }, "temperature must be"),
        (vmt_options { top_p: 0.0, ..default }, "top_p must be"),
        (vmt_options { guidance: 11.0, ..default }, "guidance must be"),
        (vmt_options { takes: 0, ..default }, "takes must be 1-1024"),
        (vmt_options { takes: 1025, ..default }, "takes must be at most 1024"),
        (vmt_options { pitch_low: 1, ..default }, "pitch range must be"),
        (vmt_options { velocity_low: 9, velocity_high: 5, ..default }, "velocity range must be"),
        (vmt_options { density: f64::NAN, ..default }, "density must be"),
        (vmt_options { unconstrained: 1, ..default }, "unconstrained must be off where there are controls"),
        (vmt_options { bpm: 5.0, ..default }, "tempo must be"),
        (vmt_options { scale: c"H major".as_ptr(), ..default }, "scale must be a key"),
        (vmt_options { film_name: c"\xff".as_ptr(), ..default }, "film_name must be UTF-8"),
    ] {
        check(&short, options, words);
    }
    let (_, music) = compose(&composer, &short, &default);
    let mut bytes = ptr::null_mut();
    // SAFETY: all of it is there.
    unsafe {
        fails(vmt_composition_render(music.0, 1, 0, &mut bytes), VMT_INVALID, "take must be below 1, but is 1");
        fails(vmt_composition_render(music.0, 0, 6, &mut bytes), VMT_INVALID, "format must be a vmt_format, 0-5");
        fails(
            vmt_composition_info(music.0, 0, &mut vmt_info { struct_size: 8, ..vmt_info_default() }),
            VMT_INVALID,
            "vmt_info",
        );
        assert!(vmt_bytes_data(bytes).is_null() && vmt_bytes_size(bytes) == 0);
    }
}

#[test]
fn a_film_is_for_one_shape_of_model() {
    let composer = tiny();
    let mut built_in = Bundle(ptr::null_mut());
    // SAFETY: all of it is there.
    ok(unsafe { vmt_bundle_built_in(&mut built_in.0) });
    let other = crate::support::composer(&built_in, vmt_engine::VMT_ENGINE_TRACT);
    let (status, _) = compose(&composer, &film(&other, 5), &vmt_options_default());
    fails(status, vmt_status::VMT_INVALID, "the film must be made for this composer's bundle");
}

#[test]
fn errors_belong_to_their_thread() {
    let mut bundle = ptr::null_mut();
    // SAFETY: all of it is there.
    fails(unsafe { vmt_bundle_open(c"here".as_ptr(), &mut bundle) }, vmt_status::VMT_IO, "here/");
    thread::spawn(|| assert_eq!(last_error(), "")).join().unwrap();
    // A call that succeeds leaves it.
    drop(crate::support::bundle("tiny-vmt"));
    assert!(last_error().contains("here/"));
}

#[test]
fn the_library_says_what_is_in_it() {
    // SAFETY: it is text.
    assert_eq!(unsafe { std::ffi::CStr::from_ptr(vmt_version()) }.to_str(), Ok(env!("CARGO_PKG_VERSION")));
    assert_eq!(vmt_abi_version(), 1);
    assert_eq!([0, 1, 2, 4, 5, 6].map(|capability| vmt_has(capability)), [0, 1, 1, 1, 1, 0]);
}

/// Layouts that programs were built with.
#[test]
fn structs_stay_as_they_are() {
    let sizes = [
        size_of::<vmt_composer_options>(),
        size_of::<vmt_frame>(),
        size_of::<vmt_options>(),
        size_of::<vmt_event>(),
        size_of::<vmt_info>(),
        size_of::<vmt_note>(),
    ];
    assert_eq!(sizes, [16, 56, 112, 32, 64, 24]);
}

#[test]
fn paths_and_text_are_utf8() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("Übung");
    fs::create_dir(&path).unwrap();
    for name in ["manifest.yaml", "encoder.onnx", "decoder.onnx"] {
        fs::copy(file("onnx/tiny-vmt").join(name), path.join(name)).unwrap();
    }
    let path = CString::new(path.to_str().unwrap()).unwrap();
    let mut bundle = Bundle(ptr::null_mut());
    // SAFETY: all of it is there.
    ok(unsafe { vmt_bundle_open(path.as_ptr(), &mut bundle.0) });
}
