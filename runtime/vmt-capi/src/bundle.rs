//! Models.

use std::ffi::c_char;
use std::str;

use vmt::Bundle;

use crate::pointers;
use crate::status::{Failure, guard, vmt_status};

/// A model: a manifest and two ONNX graphs.
pub struct vmt_bundle(pub Bundle);

/// Reads the bundle in a folder and checks it. VMT_IO: a file cannot be read. VMT_BUNDLE: it is not as it must be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_bundle_open(path: *const c_char, out: *mut *mut vmt_bundle) -> vmt_status {
    guard(|| {
        // SAFETY: the header's contract.
        let (out, path) = unsafe { (pointers::out(out)?, pointers::text(path, "path")?) };
        *out = pointers::give(vmt_bundle(Bundle::open(path)?));
        Ok(())
    })
}

/// A bundle from memory: the bytes of its files manifest.yaml, encoder.onnx and decoder.onnx, which are copied. VMT_BUNDLE: it is
/// not as it must be.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_bundle_from_memory(
    manifest: *const u8,
    manifest_size: usize,
    encoder: *const u8,
    encoder_size: usize,
    decoder: *const u8,
    decoder_size: usize,
    out: *mut *mut vmt_bundle,
) -> vmt_status {
    guard(|| {
        // SAFETY: the header's contract.
        let (out, manifest, encoder, decoder) = unsafe {
            (
                pointers::out(out)?,
                pointers::bytes(manifest, manifest_size, "manifest")?,
                pointers::bytes(encoder, encoder_size, "encoder")?,
                pointers::bytes(decoder, decoder_size, "decoder")?,
            )
        };
        let manifest = str::from_utf8(manifest).map_err(|_| Failure::invalid("manifest must be UTF-8"))?;
        *out = pointers::give(vmt_bundle(Bundle::from_memory(manifest, encoder.to_vec(), decoder.to_vec())?));
        Ok(())
    })
}

/// The bundle inside the library. VMT_UNSUPPORTED: there is none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_bundle_built_in(out: *mut *mut vmt_bundle) -> vmt_status {
    guard(|| {
        // SAFETY: the header's contract.
        let out = unsafe { pointers::out(out)? };
        #[cfg(feature = "built-in")]
        {
            *out = pointers::give(vmt_bundle(Bundle::built_in()?));
            Ok(())
        }
        #[cfg(not(feature = "built-in"))]
        {
            let _ = out;
            let reason = "this library was built without a bundle: its feature `built-in` is off";
            Err(Failure::new(vmt_status::VMT_UNSUPPORTED, reason))
        }
    })
}

/// Frees a bundle. Composers that were made with it go on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_bundle_free(bundle: *mut *mut vmt_bundle) {
    // SAFETY: the header's contract.
    unsafe { pointers::free(bundle) }
}
