//! Handles that are freed, and bytes of what was composed.

use std::ffi::{CStr, CString};
use std::path::PathBuf;
use std::ptr;

use vmt_capi::*;

/// A file of this repository.
pub fn file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../..", name].iter().collect()
}

pub fn last_error() -> String {
    // SAFETY: it is text until the next call fails.
    unsafe { CStr::from_ptr(vmt_last_error()) }.to_str().unwrap().to_owned()
}

#[track_caller]
pub fn ok(status: vmt_status) {
    assert_eq!(status, vmt_status::VMT_OK, "{}", last_error());
}

/// A call must fail like this.
#[track_caller]
pub fn fails(got: vmt_status, want: vmt_status, words: &str) {
    let error = last_error();
    assert!(got == want && error.contains(words), "{got:?}: {error}");
}

macro_rules! handle {
    ($name:ident, $type:ident, $free:ident) => {
        /// A handle that is freed.
        pub struct $name(pub *mut $type);

        // SAFETY: the header says what threads may do.
        unsafe impl Sync for $name {}

        impl Drop for $name {
            fn drop(&mut self) {
                // SAFETY: nobody else has it.
                unsafe { $free(&mut self.0) };
                assert!(self.0.is_null());
            }
        }
    };
}

handle!(Bundle, vmt_bundle, vmt_bundle_free);
handle!(Composer, vmt_composer, vmt_composer_free);
handle!(Film, vmt_film, vmt_film_free);
handle!(Music, vmt_composition, vmt_composition_free);
handle!(Cancellation, vmt_cancellation, vmt_cancellation_free);

pub fn bundle(name: &str) -> Bundle {
    let path = CString::new(file("onnx").join(name).to_str().unwrap()).unwrap();
    let mut bundle = Bundle(ptr::null_mut());
    // SAFETY: all of it is there.
    ok(unsafe { vmt_bundle_open(path.as_ptr(), &mut bundle.0) });
    bundle
}

pub fn composer(bundle: &Bundle, engine: vmt_engine) -> Composer {
    let options = vmt_composer_options { engine: engine as u32, ..vmt_composer_options_default() };
    let mut composer = Composer(ptr::null_mut());
    // SAFETY: all of it is there.
    ok(unsafe { vmt_composer_new(bundle.0, &options, &mut composer.0) });
    composer
}

pub fn tiny() -> Composer {
    composer(&bundle("tiny-vmt"), vmt_engine::VMT_ENGINE_TRACT)
}

/// Pictures of 48 x 30 at 10 a second, `[frames, 30, 48, 3]`: moving, with a cut in the middle.
pub const SIZE: [u32; 2] = [48, 30];
pub const FPS: f64 = 10.0;

pub fn pictures(frames: usize) -> Vec<u8> {
    let [width, height] = SIZE.map(|side| side as usize);
    let pixel = |index: usize, y: usize, x: usize| {
        let grey = ((x + index) * 5 % 120 + y) as u8;
        if index < frames / 2 { [grey, 0, 40] } else { [200, grey, 90] }
    };
    (0..frames)
        .flat_map(|index| (0..height).flat_map(move |y| (0..width).flat_map(move |x| pixel(index, y, x))))
        .collect()
}

pub fn film(composer: &Composer, frames: usize) -> Film {
    let mut film = Film(ptr::null_mut());
    let pixels = pictures(frames);
    // SAFETY: all of it is there.
    unsafe {
        ok(vmt_film_new(composer.0, &mut film.0));
        ok(vmt_film_push_array(film.0, pixels.as_ptr(), pixels.len(), frames, SIZE[1], SIZE[0], FPS));
    }
    film
}

pub fn compose(composer: &Composer, film: &Film, options: &vmt_options) -> (vmt_status, Music) {
    let mut music = Music(ptr::null_mut());
    // SAFETY: all of it is there.
    let status = unsafe { vmt_compose(composer.0, film.0, options, &mut music.0) };
    (status, music)
}

pub fn render(music: &Music, take: usize, format: vmt_format) -> Vec<u8> {
    let mut bytes = ptr::null_mut();
    // SAFETY: all of it is there.
    unsafe {
        ok(vmt_composition_render(music.0, take, format as u32, &mut bytes));
        let copy = std::slice::from_raw_parts(vmt_bytes_data(bytes), vmt_bytes_size(bytes)).to_vec();
        vmt_bytes_free(&mut bytes);
        assert!(bytes.is_null());
        copy
    }
}

pub fn midi(music: &Music) -> Vec<u8> {
    render(music, 0, vmt_format::VMT_FORMAT_MIDI)
}

pub fn info(music: &Music, take: usize) -> vmt_info {
    let mut info = vmt_info_default();
    // SAFETY: all of it is there.
    ok(unsafe { vmt_composition_info(music.0, take, &mut info) });
    info
}
