//! Loaded models.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::PyDict;
use vmt::{Backend, Bundle};

use crate::composition::Composition;
use crate::error::Failure;
use crate::film::Film;
use crate::options::Wanted;
use crate::running;
use crate::stream::Stream;

/// A model that is ready to compose.
pub struct Model {
    pub composer: vmt::Composer,
    pub name: vmt_render::Model,
    /// Whether it is told beats, key and intensity.
    pub conditioned: bool,
}

impl Model {
    fn load(bundle: Option<PathBuf>, engine: &str, threads: Option<usize>) -> Result<Self, Failure> {
        let backend = match engine {
            "auto" => Backend::Auto,
            "tract" => Backend::Tract,
            "ort" => Backend::Ort,
            "cuda" => Backend::Cuda,
            other => {
                return Err(Failure::value(format!("engine must be auto, tract, ort or cuda, but is {other}")));
            }
        };
        let most = Backend::max_threads();
        let wanted = threads.unwrap_or(1);
        let threads = NonZeroUsize::new(wanted).filter(|threads| threads.get() <= most);
        let threads = threads.ok_or_else(|| Failure::value(format!("threads must be 1-{most}, but is {wanted}")))?;
        let bundle = bundle.map_or_else(built_in, |path| Ok(Bundle::open(path)?))?;
        Ok(Self {
            composer: vmt::Composer::new(&bundle, backend, Some(threads))?,
            name: (&bundle).into(),
            conditioned: bundle.manifest().decoder.conditions.is_some(),
        })
    }
}

#[cfg(feature = "built-in")]
fn built_in() -> Result<Bundle, Failure> {
    Ok(Bundle::built_in()?)
}

#[cfg(not(feature = "built-in"))]
fn built_in() -> Result<Bundle, Failure> {
    Err(Failure::value("bundle must be the path of one: this package was built without its own"))
}

/// The library in the package onnxruntime, which is not imported, is as good as any.
#[cfg(feature = "ort")]
fn look_for_onnxruntime(py: Python<'_>) -> Result<(), Failure> {
    let found = py.import("importlib.util")?.call_method1("find_spec", ("onnxruntime",))?;
    if !found.is_none() {
        for folder in found.getattr("submodule_search_locations")?.try_iter()? {
            vmt::ort::look_in(folder?.extract::<PathBuf>()?.join("capi"));
        }
    }
    Ok(())
}

/// A model that is ready to compose, for many films and from many threads at once.
///
/// bundle: a folder; the default is the model inside. engine: "auto" is ONNX Runtime where its library is found, else "tract".
/// threads: 1; more pay for large models and many takes only.
#[pyclass(frozen, module = "vmt")]
pub struct Composer(Arc<Model>);

impl Composer {
    fn model(&self) -> Arc<Model> {
        self.0.clone()
    }
}

/// What is to be composed, and for which film; the options are checked before the film is looked at.
#[expect(clippy::too_many_arguments, reason = "they are one call's")]
fn prepare(
    py: Python<'_>,
    model: &Model,
    takes: usize,
    film: Option<&Bound<'_, PyAny>>,
    times: Option<&Bound<'_, PyAny>>,
    fps: Option<f64>,
    duration: Option<f64>,
    options: Option<&Bound<'_, PyDict>>,
) -> Result<(Film, Wanted), Failure> {
    let wanted = Wanted::parse(takes, options, model)?;
    Ok((Film::read(py, film, times, fps, duration, model, wanted.part())?, wanted))
}

#[pymethods]
impl Composer {
    #[new]
    #[pyo3(signature = (bundle=None, engine="auto", threads=None))]
    fn new(py: Python<'_>, bundle: Option<PathBuf>, engine: &str, threads: Option<usize>) -> Result<Self, Failure> {
        #[cfg(feature = "ort")]
        look_for_onnxruntime(py)?;
        py.detach(|| Ok(Self(Arc::new(Model::load(bundle, engine, threads)?))))
    }

    /// The engine at work, such as "tract" or "ort".
    #[getter]
    fn engine(&self) -> String {
        self.0.composer.engine().name()
    }

    /// The model's name.
    #[getter]
    fn model_name(&self) -> &str {
        &self.0.name.name
    }

    fn __repr__(&self) -> String {
        format!("<vmt.Composer: {} on {}>", self.model_name(), self.engine())
    }

    /// Composes for a film: a path, an array of pictures (uint8 [frames, height, width, 3]), or an iterable of pictures.
    ///
    /// Pictures need fps, or the times at which they appear, in seconds; with these, the film ends at duration, or when the last
    /// picture has been on screen as long as the one before. Without a film, music of duration seconds is composed for none.
    ///
    /// Options have the names of `vmt compose`: seed, temperature, top_p, top_k, guidance, unconstrained, tempo, meter, key, scale,
    /// hit, hits, intensity, intensity_guidance, density, pitch_range, velocity_range, max_polyphony, quantize, strike_hits, primer, snap, and of files start and end.
    #[pyo3(signature = (film=None, *, times=None, fps=None, duration=None, **options))]
    fn compose(
        &self,
        py: Python<'_>,
        film: Option<&Bound<'_, PyAny>>,
        times: Option<&Bound<'_, PyAny>>,
        fps: Option<f64>,
        duration: Option<f64>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> Result<Composition, Failure> {
        let (film, wanted) = prepare(py, &self.0, 1, film, times, fps, duration, options)?;
        let takes = running::compose(py, self.model(), film, &wanted)?;
        takes.into_iter().next().ok_or_else(|| Failure::other("there is no music"))
    }

    /// Composes n pieces side by side, 1-1024, as `compose` does one; the best comes first.
    #[pyo3(signature = (n, film=None, *, times=None, fps=None, duration=None, **options))]
    #[expect(clippy::too_many_arguments, reason = "as `compose`")]
    fn takes(
        &self,
        py: Python<'_>,
        n: usize,
        film: Option<&Bound<'_, PyAny>>,
        times: Option<&Bound<'_, PyAny>>,
        fps: Option<f64>,
        duration: Option<f64>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> Result<Vec<Composition>, Failure> {
        let (film, wanted) = prepare(py, &self.0, n, film, times, fps, duration, options)?;
        running::compose(py, self.model(), film, &wanted)
    }

    /// Composes as `compose` does, event by event.
    #[pyo3(signature = (film=None, *, times=None, fps=None, duration=None, **options))]
    fn stream(
        &self,
        py: Python<'_>,
        film: Option<&Bound<'_, PyAny>>,
        times: Option<&Bound<'_, PyAny>>,
        fps: Option<f64>,
        duration: Option<f64>,
        options: Option<&Bound<'_, PyDict>>,
    ) -> Result<Stream, Failure> {
        let (film, wanted) = prepare(py, &self.0, 1, film, times, fps, duration, options)?;
        Stream::new(py, self.model(), film, &wanted)
    }
}

/// Loads a model, as `Composer` does, and composes for one film, as `Composer.compose` does.
#[pyfunction]
#[pyo3(signature = (film=None, *, bundle=None, engine="auto", threads=None, times=None, fps=None, duration=None, **options))]
#[expect(clippy::too_many_arguments, reason = "as `Composer.compose`, and those of a composer")]
pub fn compose(
    py: Python<'_>,
    film: Option<&Bound<'_, PyAny>>,
    bundle: Option<PathBuf>,
    engine: &str,
    threads: Option<usize>,
    times: Option<&Bound<'_, PyAny>>,
    fps: Option<f64>,
    duration: Option<f64>,
    options: Option<&Bound<'_, PyDict>>,
) -> Result<Composition, Failure> {
    Composer::new(py, bundle, engine, threads)?.compose(py, film, times, fps, duration, options)
}
