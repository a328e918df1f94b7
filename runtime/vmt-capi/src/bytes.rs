//! Bytes that the library made.

use std::ptr;

use crate::pointers;

/// Bytes, such as those of a file.
pub struct vmt_bytes(pub Vec<u8>);

/// Where the bytes are, until they are freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_bytes_data(bytes: *const vmt_bytes) -> *const u8 {
    // SAFETY: the header's contract.
    unsafe { bytes.as_ref() }.map_or(ptr::null(), |bytes| bytes.0.as_ptr())
}

/// How many there are; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_bytes_size(bytes: *const vmt_bytes) -> usize {
    // SAFETY: the header's contract.
    unsafe { bytes.as_ref() }.map_or(0, |bytes| bytes.0.len())
}

/// Frees bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_bytes_free(bytes: *mut *mut vmt_bytes) {
    // SAFETY: the header's contract.
    unsafe { pointers::free(bytes) }
}
