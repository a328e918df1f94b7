//! Stopping from another thread.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::pointers;
use crate::status::{guard, vmt_status};

/// Stops composing from any thread.
#[derive(Default)]
pub struct vmt_cancellation(AtomicBool);

impl vmt_cancellation {
    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Makes a cancellation, for vmt_options. It can be named in the options of several calls, and stops all of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_cancellation_new(out: *mut *mut vmt_cancellation) -> vmt_status {
    guard(|| {
        // SAFETY: the header's contract.
        let out = unsafe { pointers::out(out)? };
        *out = pointers::give(vmt_cancellation::default());
        Ok(())
    })
}

/// Stops the calls of vmt_compose() that have it in their options, those to come too, before their next step. Any thread may call
/// this.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_cancellation_cancel(cancellation: *const vmt_cancellation) -> vmt_status {
    guard(|| {
        // SAFETY: the header's contract.
        let cancellation = unsafe { pointers::get(cancellation, "cancellation")? };
        cancellation.0.store(true, Ordering::Relaxed);
        Ok(())
    })
}

/// Frees a cancellation, which must not be in use.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn vmt_cancellation_free(cancellation: *mut *mut vmt_cancellation) {
    // SAFETY: the header's contract.
    unsafe { pointers::free(cancellation) }
}
