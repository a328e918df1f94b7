//! Films, frame by frame.

use std::mem::offset_of;
use std::ptr;
use std::time::Duration;

use vmt::pictures::{Film, Picture};

use crate::composer::vmt_composer;
use crate::pointers;
use crate::status::{Failure, guard, vmt_status};

/// A picture of a film, and when it is on screen.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct vmt_frame {
    /// The size of this struct.
    pub struct_size: usize,
    /// 8-bit RGB, row by row from the top, 3 bytes to a pixel. Read during the call only.
    pub pixels: *const u8,
    /// How many bytes there are, at least stride * (height - 1) + 3 * width.
    pub pixels_size: usize,
    /// Pixels in a row, 1-16384.
    pub width: u32,
    /// Rows, 1-16384.
    pub height: u32,
    /// Bytes from the beginning of a row to that of the next; 0: 3 * width.
    pub stride: usize,
    /// When it appears, in nanoseconds from the film's beginning; frames come in the order of their times.
    pub time_ns: u64,
    /// How long it stays, in nanoseconds. The next frame ends it anyway; the last frame's duration ends the film.
    pub duration_ns: u64,
}

/// The size of the first version.
const OLDEST: usize = offset_of!(vmt_frame, duration_ns) + size_of::<u64>();

const DEFAULT: vmt_frame = vmt_frame {
    struct_size: size_of::<vmt_frame>(),
    pixels: ptr::null(),
    pixels_size: 0,
    width: 0,
    height: 0,
    stride: 0,
    time_ns: 0,
    duration_ns: 0,
};

/// A frame to fill in: all but its size is 0.
#[unsafe(no_mangle)]
pub extern "C" fn vmt_frame_default() -> vmt_frame {
    DEFAULT
}

/// A film, as far as composing needs it: of a minute some megabytes are kept, whatever the size of its frames.
pub struct vmt_film(pub Film);

/// An empty film for a composer, or for others with the same bundle.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_film_new(composer: *const vmt_composer, out: *mut *mut vmt_film) -> vmt_status {
    guard(|| {
        // SAFETY: the header's contract.
        let (out, composer) = unsafe { (pointers::out(out)?, pointers::get(composer, "composer")?) };
        let film = Film::new(composer.composer.engine().geometry(), composer.conditioned);
        *out = pointers::give(vmt_film(film));
        Ok(())
    })
}

/// Adds the next frame, scaled to the model's size. VMT_INVALID: size, stride and bytes do not agree, or the time is not behind that
/// of the frame before; the film is as it was then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_film_push(film: *mut vmt_film, frame: *const vmt_frame) -> vmt_status {
    guard(|| {
        // SAFETY: the header's contract.
        let vmt_film(film) = unsafe { pointers::get_mut(film, "film")? };
        // SAFETY: the header's contract; the struct is `repr(C)`, and all numbers and pointers.
        let frame = unsafe { pointers::sized(frame, OLDEST, DEFAULT, "vmt_frame")? };
        // SAFETY: the header's contract.
        let bytes = unsafe { pointers::bytes(frame.pixels, frame.pixels_size, "pixels")? };
        let stride = if frame.stride == 0 { 3 * frame.width as usize } else { frame.stride };
        let [time, duration] = [frame.time_ns, frame.duration_ns].map(Duration::from_nanos);
        let picture = Picture { bytes, width: frame.width, height: frame.height, stride };
        Ok(film.push(time, duration, &picture)?)
    })
}

/// Adds a whole array of frames: pixels is `[frames, height, width, 3]`, 8-bit RGB, and there are fps frames a second, 0.001-1000. They
/// follow what the film has. VMT_INVALID: as vmt_film_push(); the film may have some of them then.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_film_push_array(
    film: *mut vmt_film,
    pixels: *const u8,
    pixels_size: usize,
    frames: usize,
    height: u32,
    width: u32,
    fps: f64,
) -> vmt_status {
    guard(|| {
        // SAFETY: the header's contract.
        let (vmt_film(film), bytes) =
            unsafe { (pointers::get_mut(film, "film")?, pointers::bytes(pixels, pixels_size, "pixels")?) };
        if !(0.001..=1000.0).contains(&fps) {
            return Err(Failure::invalid(format!("fps must be 0.001-1000, but is {fps}")));
        }
        let [rows, columns] = [height, width].map(|side| side as usize);
        let picture = rows.saturating_mul(columns).saturating_mul(3);
        if frames.checked_mul(picture) != Some(bytes.len()) || picture == 0 {
            let want = format!("{frames} x {height} x {width} x 3 bytes, none of them 0");
            return Err(Failure::invalid(format!("pixels must be {want}, but are {} bytes", bytes.len())));
        }
        let begin = film.duration();
        let moment = |index: usize| begin.saturating_add(Duration::from_secs_f64(index as f64 / fps));
        for (index, bytes) in bytes.chunks_exact(picture).enumerate() {
            let (time, next) = (moment(index), moment(index + 1));
            film.push(time, next - time, &Picture { bytes, width, height, stride: 3 * columns })?;
        }
        Ok(())
    })
}

/// Frees a film.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_film_free(film: *mut *mut vmt_film) {
    // SAFETY: the header's contract.
    unsafe { pointers::free(film) }
}
