//! Choosing the library that runs the graphs.

use std::num::NonZeroUsize;

use super::bundle::Bundle;
use super::engine::Engine;
use crate::error::{Error, Result};

/// Which library runs the graphs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Backend {
    /// ONNX Runtime on the CPU where a fitting library is found, else tract.
    #[default]
    Auto,
    /// tract, on the CPU: pure Rust.
    Tract,
    /// ONNX Runtime on the CPU.
    Ort,
    /// ONNX Runtime on an NVIDIA GPU; never falls back to the CPU.
    Cuda,
}

impl Backend {
    /// The most threads that make sense: four for each core that this process may use, more only wait for each other.
    pub fn max_threads() -> usize {
        4 * std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
    }

    /// Loads `bundle`, to run on `threads` threads (one where `None`: a step of a small model is too little work to share, and
    /// threads that wait for each other are slow on a busy machine).
    ///
    /// # Errors
    ///
    /// [`Error::Engine`] where this backend is not built in, its library is not found, or the bundle does not fit its
    /// manifest. tract panics on some broken graphs; that is caught and is an error too, but not in a program that is built
    /// with `panic = "abort"`, which it ends.
    pub fn load(self, bundle: &Bundle, threads: Option<NonZeroUsize>) -> Result<Box<dyn Engine>> {
        self.found().load_on(bundle, threads, None)
    }

    /// The same for programs that compose many pieces at once, each on a thread of its own, as servers do: the decoder takes
    /// their steps together, at most `lanes` lanes at once (a take is a lane, and one more for each [guidance](crate::Options::guidance)
    /// that is not 1), and sessions wait for room. See [`Scheduler`](crate::Scheduler). A lane of the built-in model keeps
    /// 6 KiB a token, so 2 MiB for a window of 340.
    ///
    /// # Errors
    ///
    /// As [`load`](Self::load).
    pub fn load_batched(
        self,
        bundle: &Bundle,
        threads: Option<NonZeroUsize>,
        lanes: NonZeroUsize,
    ) -> Result<Box<dyn Engine>> {
        self.found().load_on(bundle, threads, Some(lanes.get()))
    }

    /// The one that is meant by [`Auto`](Self::Auto).
    fn found(self) -> Self {
        match self {
            #[cfg(feature = "ort")]
            Self::Auto if super::ort::library().is_ok() => Self::Ort,
            Self::Auto => Self::Tract,
            named => named,
        }
    }

    #[cfg_attr(not(any(feature = "tract", feature = "ort")), expect(unused_variables))]
    fn load_on(self, bundle: &Bundle, threads: Option<NonZeroUsize>, lanes: Option<usize>) -> Result<Box<dyn Engine>> {
        let threads = threads.map_or(1, NonZeroUsize::get);
        match self {
            #[cfg(feature = "tract")]
            Self::Tract => super::tract::load(bundle, threads, lanes),
            #[cfg(feature = "ort")]
            Self::Ort => super::ort::load(bundle, super::ort::Device::Cpu, threads, lanes),
            #[cfg(feature = "cuda")]
            Self::Cuda => super::ort::load(bundle, super::ort::Device::Cuda, threads, lanes),
            #[allow(unreachable_patterns)]
            _ => {
                let reason = "not in this program; build it with vmt's feature of this name".into();
                Err(Error::Engine { engine: self.name(), reason })
            }
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Tract => "tract",
            Self::Ort => "ort",
            Self::Cuda => "cuda",
        }
    }
}
