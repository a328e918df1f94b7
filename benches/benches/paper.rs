//! The paper's models with seeded weights, exported once and kept in the target folder.

use std::{
    env,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use ndarray::Array4;
use vmt::{Backend, Bundle, Clip, Engine, Geometry};
use vmt_export::{About, Storage};
use vmt_train::ModelConfig;

/// The folder of the exported bundle of `model`, `vmt` or `seq2seq`.
pub fn bundle(model: &str) -> Result<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let out = root.join("target/bench").join(format!("paper-{model}"));
    if Bundle::open(&out).is_err() {
        let config = ModelConfig::load(root.join(format!("train/configs/paper-{model}.yaml")))?;
        let about = About { name: format!("paper-{model}"), description: "For benches".into(), license: "MIT".into() };
        let weights = config.init(1, &burn::tensor::Device::flex());
        vmt_export::export(&weights, &config, &about, Storage::F32, &out)?;
    }
    Ok(out)
}

/// The bundle in `folder` with weights in four bits.
#[allow(dead_code, reason = "for some of the benches")]
pub fn int4(folder: &Path, name: &str) -> Result<PathBuf> {
    let out = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bench").join(format!("{name}-int4"));
    let (config, weights) = vmt_export::read_back(folder, None, &burn::tensor::Device::flex())?;
    let about = About { name: format!("{name}-int4"), description: "For benches".into(), license: "MIT".into() };
    vmt_export::export(&weights, &config, &about, Storage::Int4, &out)?;
    Ok(out)
}

/// Both engines over the bundle in `folder`, by name, on one thread unless `THREADS` says otherwise.
pub fn engines(folder: &Path) -> Result<Vec<(&'static str, Box<dyn Engine>)>> {
    let bundle = Bundle::open(folder)?;
    let load = |name, backend: Backend| Ok((name, backend.load(&bundle, Some(threads()?))?));
    [("tract", Backend::Tract), ("ort", Backend::Ort)].into_iter().map(|(name, backend)| load(name, backend)).collect()
}

/// `THREADS`, or one.
pub fn threads() -> Result<NonZeroUsize> {
    env::var("THREADS").map_or(Ok(NonZeroUsize::MIN), |threads| threads.parse().context("THREADS must be 1, 2, ..."))
}

/// A full window of stripes.
pub fn clip(geometry: &Geometry) -> Result<Clip> {
    let shape = (geometry.frames(), 3, geometry.height(), geometry.width());
    Ok(Clip::new(
        Array4::from_shape_fn(shape, |(frame, channel, row, column)| (frame * 7 + channel * 50 + row + column) as u8),
        geometry,
    )?)
}
