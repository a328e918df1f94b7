//! Pointers that came from C, checked for what can be checked.

use std::ffi::{CStr, c_char};
use std::{ptr, slice};

use crate::status::Failure;

/// What `pointer` points to.
///
/// # Safety
///
/// `pointer` is null, or points to a `T` that lives for `'a` and that nobody changes meanwhile.
pub unsafe fn get<'a, T>(pointer: *const T, name: &str) -> Result<&'a T, Failure> {
    // SAFETY: as above.
    unsafe { pointer.as_ref() }.ok_or_else(|| null(name))
}

/// The same, to be changed.
///
/// # Safety
///
/// `pointer` is null, or points to a `T` that lives for `'a` and that nobody else uses meanwhile.
pub unsafe fn get_mut<'a, T>(pointer: *mut T, name: &str) -> Result<&'a mut T, Failure> {
    // SAFETY: as above.
    unsafe { pointer.as_mut() }.ok_or_else(|| null(name))
}

/// Where a new handle goes: set to null for now.
///
/// # Safety
///
/// `pointer` is null, or points to memory for a pointer that nobody else uses for `'a`.
pub unsafe fn out<'a, T>(pointer: *mut *mut T) -> Result<&'a mut *mut T, Failure> {
    // SAFETY: as above; whatever was in the memory, a pointer may have any bits.
    let out = unsafe { get_mut(pointer, "out")? };
    *out = ptr::null_mut();
    Ok(out)
}

/// Hands a value over to the caller.
pub fn give<T>(value: T) -> *mut T {
    Box::into_raw(Box::new(value))
}

/// Takes back what [`give`] gave, and sets the caller's pointer to null.
///
/// # Safety
///
/// `handle` is null, or points to a pointer that is null or came from [`give`] and was not taken back.
pub unsafe fn free<T>(handle: *mut *mut T) {
    // SAFETY: as above.
    let Some(handle) = (unsafe { handle.as_mut() }) else { return };
    let value = std::mem::replace(handle, ptr::null_mut());
    if !value.is_null() {
        // SAFETY: as above.
        drop(unsafe { Box::from_raw(value) });
    }
}

/// The bytes at `pointer`, which may be null where there are none.
///
/// # Safety
///
/// `pointer` is null, or points to `size` bytes that live for `'a` and that nobody changes meanwhile.
pub unsafe fn bytes<'a>(pointer: *const u8, size: usize, name: &str) -> Result<&'a [u8], Failure> {
    if size == 0 {
        return Ok(&[]);
    }
    if pointer.is_null() {
        return Err(null(name));
    }
    if isize::try_from(size).is_err() {
        return Err(Failure::invalid(format!("the size of {name} must be possible, but is {size}")));
    }
    // SAFETY: as above.
    Ok(unsafe { slice::from_raw_parts(pointer, size) })
}

/// The text at `pointer`.
///
/// # Safety
///
/// `pointer` is null, or points to bytes up to a zero that live for `'a` and that nobody changes meanwhile.
pub unsafe fn text<'a>(pointer: *const c_char, name: &str) -> Result<&'a str, Failure> {
    if pointer.is_null() {
        return Err(null(name));
    }
    // SAFETY: as above.
    let text = unsafe { CStr::from_ptr(pointer) };
    text.to_str().map_err(|_| Failure::invalid(format!("{name} must be UTF-8, but is {text:?}")))
}

/// A struct that begins with its size: as much of it as the caller knows, and the rest from `default`.
///
/// # Safety
///
/// `T` is `repr(C)`, its first field is a `size_t`, and any bits of it are a `T`. `pointer` is null, or points to as many bytes as
/// that field says.
pub unsafe fn sized<T>(pointer: *const T, oldest: usize, mut default: T, name: &str) -> Result<T, Failure> {
    // SAFETY: as above.
    let size = unsafe { size(pointer, oldest, name)? };
    // SAFETY: both have so many bytes.
    unsafe { ptr::copy_nonoverlapping(pointer.cast::<u8>(), (&raw mut default).cast(), size) };
    Ok(default)
}

/// How much of a struct the caller knows.
///
/// # Safety
///
/// `pointer` is null, or points to a `size_t`, which the struct begins with.
pub unsafe fn size<T>(pointer: *const T, oldest: usize, name: &str) -> Result<usize, Failure> {
    if pointer.is_null() {
        return Err(null(name));
    }
    // SAFETY: as above.
    let size = unsafe { pointer.cast::<usize>().read() };
    if !(oldest..=size_of::<T>()).contains(&size) {
        let newest = size_of::<T>();
        return Err(Failure::invalid(format!(
            "struct_size of {name} must be {oldest} to {newest}, as its _default function sets it, but is {size}"
        )));
    }
    Ok(size)
}

fn null(name: &str) -> Failure {
    Failure::invalid(format!("{name} must not be NULL"))
}
