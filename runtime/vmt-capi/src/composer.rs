//! Loaded models.

use std::ffi::{CString, c_char};
use std::mem::offset_of;
use std::num::NonZeroUsize;
use std::ptr;

use vmt::{Backend, Composer};
use vmt_render::Model;

use crate::bundle::vmt_bundle;
use crate::pointers;
use crate::status::{Failure, guard, vmt_status};

/// What runs the model.
#[repr(u32)]
#[derive(Clone, Copy, Debug)]
pub enum vmt_engine {
    /// ONNX Runtime where its library is found, else tract.
    VMT_ENGINE_AUTO = 0,
    /// tract, on the CPU: inside the library.
    VMT_ENGINE_TRACT = 1,
    /// ONNX Runtime on the CPU.
    VMT_ENGINE_ORT = 2,
    /// ONNX Runtime on an NVIDIA GPU.
    VMT_ENGINE_CUDA = 3,
}

/// How to load a model.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct vmt_composer_options {
    /// The size of this struct.
    pub struct_size: usize,
    /// A vmt_engine: VMT_ENGINE_AUTO.
    pub engine: u32,
    /// Threads for the model, at most four for each core: 1. More pay for large models and many takes only; the music does not depend on them.
    pub threads: u32,
}

/// The size of the first version.
const OLDEST: usize = offset_of!(vmt_composer_options, threads) + size_of::<u32>();

const DEFAULT: vmt_composer_options = vmt_composer_options {
    struct_size: size_of::<vmt_composer_options>(),
    engine: vmt_engine::VMT_ENGINE_AUTO as u32,
    threads: 1,
};

/// The defaults, which the fields' comments give.
#[unsafe(no_mangle)]
pub extern "C" fn vmt_composer_options_default() -> vmt_composer_options {
    DEFAULT
}

/// A model that is ready to compose.
pub struct vmt_composer {
    pub(crate) composer: Composer,
    pub(crate) model: Model,
    /// Whether it is told beats, key and intensity.
    pub(crate) conditioned: bool,
    engine: CString,
}

/// Loads a bundle; NULL options are the defaults. VMT_UNSUPPORTED: the engine is not built in. VMT_ENGINE: it cannot be started,
/// or the bundle's graphs are damaged.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_composer_new(
    bundle: *const vmt_bundle,
    options: *const vmt_composer_options,
    out: *mut *mut vmt_composer,
) -> vmt_status {
    guard(|| {
        // SAFETY: the header's contract.
        let (out, vmt_bundle(bundle)) = unsafe { (pointers::out(out)?, pointers::get(bundle, "bundle")?) };
        let options = if options.is_null() {
            DEFAULT
        } else {
            // SAFETY: the header's contract; the struct is `repr(C)` and all numbers.
            unsafe { pointers::sized(options, OLDEST, DEFAULT, "vmt_composer_options")? }
        };
        let (backend, built_in, name) = match options.engine {
            0 => (Backend::Auto, cfg!(any(feature = "tract", feature = "ort")), "an engine"),
            1 => (Backend::Tract, cfg!(feature = "tract"), "tract"),
            2 => (Backend::Ort, cfg!(feature = "ort"), "ort"),
            3 => (Backend::Cuda, cfg!(feature = "cuda"), "cuda"),
            other => return Err(Failure::invalid(format!("engine must be a vmt_engine, 0-3, but is {other}"))),
        };
        if !built_in {
            let reason = format!("this library was built without {name}: its feature of this name is off");
            return Err(Failure::new(vmt_status::VMT_UNSUPPORTED, reason));
        }
        let most = Backend::max_threads();
        let threads = NonZeroUsize::new(options.threads as usize).filter(|threads| threads.get() <= most);
        let threads = threads
            .ok_or_else(|| Failure::invalid(format!("threads must be 1-{most}, but are {}", options.threads)))?;
        let composer = Composer::new(bundle, backend, Some(threads))?;
        *out = pointers::give(vmt_composer {
            model: bundle.into(),
            conditioned: bundle.manifest().decoder.conditions.is_some(),
            engine: CString::new(composer.engine().name()).unwrap_or_default(),
            composer,
        });
        Ok(())
    })
}

/// The engine at work, such as "tract" or "ort", until the composer is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_composer_engine(composer: *const vmt_composer) -> *const c_char {
    // SAFETY: the header's contract.
    unsafe { composer.as_ref() }.map_or(ptr::null(), |composer| composer.engine.as_ptr())
}

/// Frees a composer. Films and compositions that were made with it stay.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_composer_free(composer: *mut *mut vmt_composer) {
    // SAFETY: the header's contract.
    unsafe { pointers::free(composer) }
}
