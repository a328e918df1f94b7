//! How calls fail: a status, and words for people.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

/// How a call went. Newer versions may have more.
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum vmt_status {
    /// Done.
    VMT_OK = 0,
    /// A pointer is NULL that must not be, a struct has the wrong size, or a value is out of its range.
    VMT_INVALID = 1,
    /// A file could not be read.
    VMT_IO = 2,
    /// The bundle is damaged, or for another version of vmt.
    VMT_BUNDLE = 3,
    /// The engine (tract, ONNX Runtime) could not be started, or failed while it ran.
    VMT_ENGINE = 4,
    /// The library was built without it.
    VMT_UNSUPPORTED = 5,
    /// The caller stopped it.
    VMT_CANCELLED = 6,
    /// A fault of the library. What the call had in hand is in no certain state: free it.
    VMT_INTERNAL = 7,
}

use vmt_status::{VMT_BUNDLE, VMT_CANCELLED, VMT_ENGINE, VMT_INTERNAL, VMT_INVALID, VMT_IO, VMT_OK, VMT_UNSUPPORTED};

/// Why a call failed.
#[derive(Debug)]
pub struct Failure {
    status: vmt_status,
    message: String,
}

impl Failure {
    pub fn new(status: vmt_status, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(VMT_INVALID, message)
    }
}

impl From<vmt::Error> for Failure {
    fn from(error: vmt::Error) -> Self {
        use vmt::Error;
        let status = match &error {
            Error::Io { .. } => VMT_IO,
            Error::Bundle { .. } => VMT_BUNDLE,
            Error::Engine { .. } | Error::Logits { .. } | Error::LogitsShape { .. } | Error::NoToken { .. } => {
                VMT_ENGINE
            }
            Error::ClipShape { .. } | Error::Option { .. } => VMT_INVALID,
            _ => VMT_INTERNAL,
        };
        Self::new(status, error.to_string())
    }
}

impl From<vmt_render::Error> for Failure {
    fn from(error: vmt_render::Error) -> Self {
        let status = if matches!(error, vmt_render::Error::TooLong { .. }) { VMT_INVALID } else { VMT_INTERNAL };
        Self::new(status, error.to_string())
    }
}

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
    /// Calls under way on this thread; a callback may make more.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// What the panic hook heard.
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs a call: a failure becomes its status and the last error, and so does a panic, which must not cross into C.
#[doc(hidden)]
pub fn guard(call: impl FnOnce() -> Result<(), Failure>) -> vmt_status {
    quiet_panics();
    DEPTH.set(DEPTH.get() + 1);
    let done = catch_unwind(AssertUnwindSafe(call));
    DEPTH.set(DEPTH.get() - 1);
    let failure = match done {
        Ok(Ok(())) => return VMT_OK,
        Ok(Err(failure)) => failure,
        Err(_) => Failure::new(VMT_INTERNAL, format!("a fault of vmt: {}", PANIC.take())),
    };
    // Zero bytes end text in C.
    let message = CString::new(failure.message.replace('\0', "\u{fffd}")).unwrap_or_default();
    LAST.set(message);
    failure.status
}

/// Rust's panic hook prints. Inside of calls it notes what it hears instead; elsewhere it stays as it is.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = take_hook();
        set_hook(Box::new(move |panic| {
            if DEPTH.try_with(Cell::get).is_ok_and(|depth| depth > 0) {
                PANIC.set(panic.to_string());
            } else {
                usual(panic);
            }
        }));
    });
}

/// What was wrong with the last call of this thread that failed; empty if none did. It holds until the next call of this
/// thread fails.
#[unsafe(no_mangle)]
pub extern "C" fn vmt_last_error() -> *const c_char {
    LAST.with_borrow(|message| message.as_ptr())
}

/// The name of a status, such as "VMT_INVALID", and "?" for a number that is none.
#[unsafe(no_mangle)]
pub extern "C" fn vmt_status_name(status: i32) -> *const c_char {
    const NAMES: [(vmt_status, &CStr); 8] = [
        (VMT_OK, c"VMT_OK"),
        (VMT_INVALID, c"VMT_INVALID"),
        (VMT_IO, c"VMT_IO"),
        (VMT_BUNDLE, c"VMT_BUNDLE"),
        (VMT_ENGINE, c"VMT_ENGINE"),
        (VMT_UNSUPPORTED, c"VMT_UNSUPPORTED"),
        (VMT_CANCELLED, c"VMT_CANCELLED"),
        (VMT_INTERNAL, c"VMT_INTERNAL"),
    ];
    NAMES.iter().find(|(known, _)| *known as i32 == status).map_or(c"?", |(_, name)| name).as_ptr()
}
