//! What every engine can do. Weights are shared and never change; what changes while decoding belongs to one session.

use std::iter;
use std::num::NonZeroUsize;

use ndarray::{ArrayD, ArrayView2};

use crate::{Bundle, Clip, Error, Geometry, Result, Token};

/// A model that is ready to run.
pub trait Engine: Send + Sync {
    /// `tract`, `ort (CPU)`, ... for people to read.
    fn name(&self) -> String;

    /// The clips that the model expects.
    fn geometry(&self) -> Geometry;

    /// Encodes `clips` (one per lane; they may differ in length, or have [no video](Clip::without_video)) and opens a
    /// session that decodes them side by side.
    fn open(&self, clips: &[Clip]) -> Result<Box<dyn Session + '_>>;

    /// The same with `takes` lanes for each clip, those of the first clip first; engines that can encode a clip only once.
    fn open_takes(&self, clips: &[Clip], takes: usize) -> Result<Box<dyn Session + '_>> {
        self.open(&clips.iter().flat_map(|clip| iter::repeat_n(clip.clone(), takes)).collect::<Vec<_>>())
    }

    /// What the encoder gives for `clips`, in the manifest's order, for comparing engines.
    fn context(&self, clips: &[Clip]) -> Result<Vec<ArrayD<f32>>>;
}

/// A batch of pieces being decoded, and the memory of each.
pub trait Session: Send {
    /// Number of pieces decoded side by side.
    fn lanes(&self) -> usize;

    /// Feeds at least one token to each lane (a start token, a primer, ...; lanes may differ in number) and returns the
    /// logits `[lanes, 310]` of what follows the last token of each.
    fn feed(&mut self, tokens: &[&[Token]]) -> Result<ArrayView2<'_, f32>>;

    /// Feeds one token to each lane.
    fn step(&mut self, tokens: &[Token]) -> Result<ArrayView2<'_, f32>> {
        self.feed(&tokens.iter().map(std::slice::from_ref).collect::<Vec<_>>())
    }
}

/// Which library runs the graphs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    /// Loads `bundle`, to run on `threads` threads (all that the machine offers this process where `None`).
    ///
    /// Fails where this backend is not built in, its library is not found, or the bundle does not fit its manifest.
    pub fn load(self, bundle: &Bundle, threads: Option<NonZeroUsize>) -> Result<Box<dyn Engine>> {
        let threads = threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
        match self {
            #[cfg(feature = "ort")]
            Self::Auto if crate::ort::library().is_ok() => Self::Ort.load_on(bundle, threads),
            Self::Auto => Self::Tract.load_on(bundle, threads),
            named => named.load_on(bundle, threads),
        }
    }

    #[cfg_attr(not(any(feature = "tract", feature = "ort")), expect(unused_variables))]
    fn load_on(self, bundle: &Bundle, threads: usize) -> Result<Box<dyn Engine>> {
        match self {
            #[cfg(feature = "tract")]
            Self::Tract => crate::tract::load(bundle, threads),
            #[cfg(feature = "ort")]
            Self::Ort => crate::ort::load(bundle, crate::ort::Device::Cpu, threads),
            #[cfg(feature = "cuda")]
            Self::Cuda => crate::ort::load(bundle, crate::ort::Device::Cuda, threads),
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
