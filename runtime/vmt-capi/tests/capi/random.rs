//! Calls in any order, with nulls, wrong sizes and handles that were freed.

use std::ffi::CString;
use std::ptr;

use proptest::prelude::*;
use vmt_capi::*;

use crate::support::file;

/// Sequences, and calls in each: 10,000 calls.
const SEQUENCES: u32 = 50;
const CALLS: usize = 200;

/// Two handles of each kind: null before they are made and after they were freed.
struct Handles {
    bundles: [*mut vmt_bundle; 2],
    composers: [*mut vmt_composer; 2],
    films: [*mut vmt_film; 2],
    compositions: [*mut vmt_composition; 2],
    bytes: [*mut vmt_bytes; 2],
    cancellations: [*mut vmt_cancellation; 2],
}

impl Drop for Handles {
    fn drop(&mut self) {
        let Self { bundles, composers, films, compositions, bytes, cancellations } = self;
        // SAFETY: all are live or null.
        unsafe {
            bundles.iter_mut().for_each(|handle| vmt_bundle_free(handle));
            composers.iter_mut().for_each(|handle| vmt_composer_free(handle));
            films.iter_mut().for_each(|handle| vmt_film_free(handle));
            compositions.iter_mut().for_each(|handle| vmt_composition_free(handle));
            bytes.iter_mut().for_each(|handle| vmt_bytes_free(handle));
            cancellations.iter_mut().for_each(|handle| vmt_cancellation_free(handle));
        }
    }
}

/// A call: which, which of the two handles, and numbers for what else it wants.
#[derive(Clone, Debug)]
struct Call {
    kind: u8,
    handles: [usize; 2],
    /// Which arguments are null.
    null: [bool; 3],
    number: u64,
    odd: f64,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    // No film is long: it would be composed for.
    let null = prop::bool::weighted(0.1);
    let odd = prop_oneof![Just(f64::NAN), Just(-1.0), Just(0.0), 5.0..200.0, 1e3..1e9];
    let number = prop_oneof![0..8_u64, any::<u64>()];
    let call = (0..24_u8, [0..2_usize, 0..2], [null, null, null], number, odd);
    let call = call.prop_map(|(kind, handles, null, number, odd)| Call { kind, handles, null, number, odd });
    prop::collection::vec(call, CALLS)
}

fn or_null<T>(null: bool, pointer: *const T) -> *const T {
    if null { ptr::null() } else { pointer }
}

fn or_null_mut<T>(null: bool, pointer: *mut T) -> *mut T {
    if null { ptr::null_mut() } else { pointer }
}

/// Makes a new handle; the one before is freed where that succeeds.
unsafe fn renew<T>(
    handle: &mut *mut T,
    free: unsafe extern "C" fn(*mut *mut T),
    make: impl FnOnce(&mut *mut T) -> vmt_status,
) -> i32 {
    let mut new = ptr::null_mut();
    let status = make(&mut new);
    let made = [vmt_status::VMT_OK, vmt_status::VMT_CANCELLED].contains(&status);
    assert_eq!(made, !new.is_null(), "{status:?}");
    if made {
        // SAFETY: it is live or null.
        unsafe { free(handle) };
        *handle = new;
    }
    status as i32
}

/// Every handle is live or null here, as the header wants; nothing else is certain.
unsafe fn run(call: &Call, handles: &mut Handles, path: &CString, parts: &[Vec<u8>; 3]) {
    let Call { kind, handles: [a, b], null, number, odd } = *call;
    let Handles { bundles, composers, films, compositions, bytes, cancellations } = handles;
    let (small, size) = (number as u8, number as usize);
    let _ = unsafe {
        match kind {
            0 => renew(&mut bundles[a], vmt_bundle_free, |out| {
                vmt_bundle_open(or_null(null[0], path.as_ptr()), or_null_mut(null[1], out))
            }),
            1 => renew(&mut bundles[a], vmt_bundle_free, |out| {
                let [manifest, encoder, decoder] = parts;
                vmt_bundle_from_memory(
                    or_null(null[0], manifest.as_ptr()),
                    manifest.len(),
                    or_null(null[1], encoder.as_ptr()),
                    encoder.len().min(size),
                    decoder.as_ptr(),
                    decoder.len(),
                    or_null_mut(null[2], out),
                )
            }),
            2 | 3 => renew(&mut composers[a], vmt_composer_free, |out| {
                let mut options = vmt_composer_options_default();
                options.engine = if kind == 2 { 1 } else { 3 + u32::from(small) };
                // Loading takes longest.
                options.struct_size = if kind == 2 && number == 0 { options.struct_size } else { size };
                let options = or_null(null[2] && number == 1, &options);
                vmt_composer_new(or_null(null[0], bundles[b]), options, or_null_mut(null[1], out))
            }),
            4 | 5 => renew(&mut films[a], vmt_film_free, |out| {
                vmt_film_new(or_null(null[0], composers[b]), or_null_mut(null[1], out))
            }),
            6..=8 => {
                let pixels = [small; 300];
                let frame = vmt_frame {
                    pixels: or_null(null[0], pixels.as_ptr()),
                    pixels_size: if kind == 8 { size.min(300) } else { 300 },
                    width: 10,
                    height: if kind == 8 { number as u32 } else { 10 },
                    stride: if kind == 8 { size } else { 0 },
                    time_ns: number % 16 * 100_000_000,
                    duration_ns: (odd.min(200.0) * 1e6) as u64,
                    struct_size: if null[2] { size } else { vmt_frame_default().struct_size },
                };
                vmt_film_push(or_null_mut(null[1], films[a]), &frame) as i32
            }
            9 => {
                let pixels = [small; 300];
                let film = or_null_mut(null[1], films[a]);
                let frames = size % 3;
                vmt_film_push_array(film, or_null(null[0], pixels.as_ptr()), 150 * frames, frames, 5, 10, odd) as i32
            }
            10 => vmt_film_push_array(films[a], ptr::null(), 0, size, number as u32, 1, odd) as i32,
            11..=14 => renew(&mut compositions[a], vmt_composition_free, |out| {
                let mut options = vmt_options_default();
                options.duration_ns = number % 300_000_000;
                options.seed = number;
                options.cancellation = or_null(null[0], cancellations[b]);
                match kind {
                    11 => (options.takes, options.pitch_low, options.bpm) = (u32::from(small), small, odd),
                    12 => (options.struct_size, options.top_p) = (size, odd as f32),
                    13 => (options.density, options.unconstrained, options.max_polyphony) = (odd, small, 0),
                    _ => {}
                }
                options.takes = options.takes.min(3);
                // Long films take long.
                let film = or_null(null[1] || number > 20, films[b]);
                let options = or_null(null[2], &options);
                vmt_compose(composers[b], film, options, out)
            }),
            15 => renew(&mut bytes[a], vmt_bytes_free, |out| {
                // Formats of pictures and sound take longer, and have tests of their own.
                let format = if small.is_multiple_of(2) { 0 } else { 6 + number as u32 % 9 };
                let out = or_null_mut(null[1], out);
                vmt_composition_render(or_null(null[0], compositions[b]), size % 4, format, out)
            }),
            16 => {
                let mut info = vmt_info { struct_size: size % 80, ..vmt_info_default() };
                let info = or_null_mut(null[1], &mut info);
                vmt_composition_info(or_null(null[0], compositions[a]), size % 4, info) as i32
            }
            17 => {
                let (mut notes, mut count) = (ptr::null(), 0);
                let status = vmt_composition_notes(
                    compositions[a],
                    size % 4,
                    or_null_mut(null[0], &mut notes),
                    or_null_mut(null[1], &mut count),
                );
                if status == vmt_status::VMT_OK && count > 0 {
                    assert!(std::slice::from_raw_parts(notes, count).iter().all(|note| note.start < note.end));
                }
                status as i32
            }
            18 => renew(&mut cancellations[a], vmt_cancellation_free, |out| {
                vmt_cancellation_new(or_null_mut(null[0], out))
            }),
            19 => vmt_cancellation_cancel(or_null(null[0], cancellations[a])) as i32,
            20 => {
                let size = vmt_bytes_size(bytes[a]);
                assert_eq!(size > 0, !vmt_bytes_data(bytes[a]).is_null());
                i32::from(vmt_composer_engine(composers[a]).is_null()) + vmt_composition_takes(compositions[a]) as i32
            }
            21 => {
                i32::from(vmt_status_name(number as i32).is_null() || vmt_last_error().is_null())
                    + vmt_has(number as u32)
            }
            // Twice: the second finds null.
            22 => {
                for _ in 0..2 {
                    match number % 8 {
                        0 => vmt_bundle_free(&mut bundles[a]),
                        1 => vmt_composer_free(&mut composers[1]),
                        2 => vmt_film_free(&mut films[a]),
                        3 => vmt_composition_free(&mut compositions[a]),
                        4 => vmt_bytes_free(&mut bytes[a]),
                        _ => vmt_cancellation_free(&mut cancellations[a]),
                    }
                }
                0
            }
            _ => {
                vmt_bundle_free(ptr::null_mut());
                vmt_composer_free(ptr::null_mut());
                vmt_film_free(ptr::null_mut());
                vmt_composition_free(ptr::null_mut());
                vmt_bytes_free(ptr::null_mut());
                vmt_cancellation_free(ptr::null_mut());
                0
            }
        }
    };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: SEQUENCES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_calls_crashes(calls in calls()) {
        let path = CString::new(file("onnx/tiny-vmt").to_str().unwrap()).unwrap();
        let names = ["manifest.yaml", "encoder.onnx", "decoder.onnx"];
        let parts = names.map(|name| std::fs::read(file("onnx/tiny-vmt").join(name)).unwrap());
        let mut handles = Handles {
            bundles: [ptr::null_mut(); 2],
            composers: [ptr::null_mut(); 2],
            films: [ptr::null_mut(); 2],
            compositions: [ptr::null_mut(); 2],
            bytes: [ptr::null_mut(); 2],
            cancellations: [ptr::null_mut(); 2],
        };
        // A model and a film to begin with, so that the calls behind are not all refused.
        let begin = [0, 2, 4].map(|kind| Call { kind, handles: [0; 2], null: [false; 3], number: 0, odd: 0.0 });
        for call in begin.iter().chain(&calls) {
            // SAFETY: handles are live or null.
            unsafe { run(call, &mut handles, &path, &parts) };
        }
    }
}
