//! The C interface of [`vmt`]; `include/vmt.h` says how it is used. The only crate of the runtime with `unsafe` code.
//!
//! Every function checks its pointers for null and its structs for their size, and catches panics (`status.rs`).

#![allow(unsafe_code, non_camel_case_types)]
#![warn(clippy::undocumented_unsafe_blocks)]
// What a caller must keep to is said once, in the header.
#![allow(clippy::missing_safety_doc)]

mod bundle;
mod bytes;
mod cancellation;
mod compose;
mod composer;
mod composition;
mod film;
mod options;
mod pointers;
mod status;
mod version;

pub use bundle::{vmt_bundle, vmt_bundle_built_in, vmt_bundle_free, vmt_bundle_from_memory, vmt_bundle_open};
pub use bytes::{vmt_bytes, vmt_bytes_data, vmt_bytes_free, vmt_bytes_size};
pub use cancellation::{vmt_cancellation, vmt_cancellation_cancel, vmt_cancellation_free, vmt_cancellation_new};
pub use compose::{vmt_compose, vmt_event, vmt_event_kind};
pub use composer::{
    vmt_composer, vmt_composer_engine, vmt_composer_free, vmt_composer_new, vmt_composer_options,
    vmt_composer_options_default, vmt_engine,
};
pub use composition::{
    vmt_composition, vmt_composition_free, vmt_composition_info, vmt_composition_notes, vmt_composition_render,
    vmt_composition_takes, vmt_format, vmt_info, vmt_info_default, vmt_note,
};
pub use film::{
    vmt_film, vmt_film_free, vmt_film_new, vmt_film_push, vmt_film_push_array, vmt_frame, vmt_frame_default,
};
pub use options::{VMT_TEMPO_AUTO, VMT_TEMPO_OFF, vmt_event_fn, vmt_options, vmt_options_default};
pub use status::{vmt_last_error, vmt_status, vmt_status_name};
pub use version::{vmt_abi_version, vmt_capability, vmt_has, vmt_version};

/// For tests: a panic inside of a call.
#[doc(hidden)]
pub use status::guard;
