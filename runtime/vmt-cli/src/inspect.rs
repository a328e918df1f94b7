//! `vmt inspect`: a bundle's manifest.

use std::path::PathBuf;

use anyhow::Result;
use vmt::Bundle;
use vmt_files::print;

/// Prints what a bundle's manifest says, after checking the bundle's files against it
#[derive(clap::Args)]
pub struct InspectArgs {
    /// The bundle's folder [default: the model inside this program]
    bundle: Option<PathBuf>,
}

impl InspectArgs {
    pub fn run(self) -> Result<()> {
        let bundle = self.bundle.map_or_else(Bundle::built_in, Bundle::open)?;
        let (manifest, [encoder, decoder]) = (bundle.manifest(), bundle.sizes());
        let geometry = manifest.geometry;
        let (frames, height, width, frame_ms) =
            (geometry.frames(), geometry.height(), geometry.width(), geometry.frame_ms());
        print(format_args!("name         {}", manifest.name))?;
        print(format_args!("description  {}", manifest.description))?;
        print(format_args!("licence      {}", manifest.license))?;
        print(format_args!("frames       {frames} of {width} x {height}, one every {frame_ms} ms"))?;
        print(format_args!("vocabulary   {}, at most {} events a window", manifest.vocabulary, manifest.max_tokens))?;
        print(format_args!("encoder      {} ({:.1} MB)", manifest.encoder.file, encoder as f64 / 1e6))?;
        print(format_args!("decoder      {} ({:.1} MB)", manifest.decoder.file, decoder as f64 / 1e6))?;
        print(format_args!("context      {} tensors", manifest.context.len()))?;
        print(format_args!("state        {} tensors", manifest.state.len()))?;
        for (engine, parity) in &manifest.parity {
            let vmt::manifest::Parity { encoder, logits, tokens, .. } = parity;
            print(format_args!(
                "{engine:12} when exported: encoder to {encoder:e}, logits to {logits:e} over {tokens} events"
            ))?;
        }
        Ok(())
    }
}
