//! The bundle inside the program.

use anyhow::{Context, Result};
use vmt::Bundle;

/// `onnx/vmt-beat`, as it was when the program was built.
pub fn bundle() -> Result<Bundle> {
    macro_rules! file {
        ($include:ident, $name:literal) => {
            $include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../onnx/vmt-beat/", $name))
        };
    }
    let bundle = Bundle::from_memory(
        file!(include_str, "manifest.yaml"),
        file!(include_bytes, "encoder.onnx"),
        file!(include_bytes, "decoder.onnx"),
    );
    bundle.context("the bundle inside this program is damaged")
}
