//! Which library this is, and what was built into it.

use std::ffi::{CStr, c_char};

/// The version of the interface; see VERSIONING.md.
const ABI: u32 = 1;

/// The version of the interface: 1. It changes where a program that was built with an older header would go wrong.
#[unsafe(no_mangle)]
pub extern "C" fn vmt_abi_version() -> u32 {
    ABI
}

/// The version of vmt, such as "0.1.0".
#[unsafe(no_mangle)]
pub extern "C" fn vmt_version() -> *const c_char {
    const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"",
    };
    VERSION.as_ptr()
}

/// What can be built into the library.
#[repr(u32)]
#[derive(Clone, Copy, Debug)]
pub enum vmt_capability {
    /// The engine tract.
    VMT_HAS_TRACT = 1,
    /// The engine ONNX Runtime. Its library is looked for when a composer is made.
    VMT_HAS_ORT = 2,
    /// ONNX Runtime on an NVIDIA GPU.
    VMT_HAS_CUDA = 3,
    /// vmt_bundle_built_in().
    VMT_HAS_BUILT_IN = 4,
    /// A piano, for VMT_FORMAT_WAV.
    VMT_HAS_PIANO = 5,
}

/// 1 if a vmt_capability is built in, else 0; 0 for numbers that are none.
#[unsafe(no_mangle)]
pub extern "C" fn vmt_has(capability: u32) -> i32 {
    use vmt_capability::{VMT_HAS_BUILT_IN, VMT_HAS_CUDA, VMT_HAS_ORT, VMT_HAS_PIANO, VMT_HAS_TRACT};
    let all = [
        (VMT_HAS_TRACT, cfg!(feature = "tract")),
        (VMT_HAS_ORT, cfg!(feature = "ort")),
        (VMT_HAS_CUDA, cfg!(feature = "cuda")),
        (VMT_HAS_BUILT_IN, cfg!(feature = "built-in")),
        (VMT_HAS_PIANO, cfg!(feature = "piano")),
    ];
    all.iter().any(|&(known, built_in)| known as u32 == capability && built_in).into()
}
