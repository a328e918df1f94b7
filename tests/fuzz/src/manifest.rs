//! A bundle's manifest.

use std::path::Path;

use vmt::Bundle;

/// A manifest that is read is written and read again.
pub fn run(bytes: &[u8]) {
    let Some(yaml) = std::str::from_utf8(bytes).ok() else { return };
    let manifest = match Bundle::from_memory(yaml, &[], &[]) {
        Ok(bundle) => bundle.manifest().clone(),
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let written = serde_yaml::to_string(&manifest).expect("what was read must be written");
    let again = Bundle::from_memory(&written, &[], &[]).expect("what was written must be read");
    assert_eq!(serde_yaml::to_string(again.manifest()).unwrap(), written);
}

/// The manifests in the repository, for graphs without a byte.
pub fn seeds() -> Vec<Vec<u8>> {
    let onnx = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../onnx");
    let read = |name: &str| std::fs::read_to_string(onnx.join(name).join("manifest.yaml")).unwrap();
    let hashed = |yaml: String| {
        let line = |line: &str| match line.split_once("sha256: ") {
            Some((indent, _)) => format!("{indent}sha256: {EMPTY}\n"),
            None => format!("{line}\n"),
        };
        yaml.lines().map(line).collect::<String>().into_bytes()
    };
    ["tiny-vmt", "tiny-seq2seq", "vmt-beat"].map(read).map(hashed).to_vec()
}

/// SHA-256 of nothing.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// YAML, and the manifest's keys.
pub fn words() -> Vec<Vec<u8>> {
    crate::words(&[
        EMPTY,
        "&a ",
        "*a",
        "<<: ",
        "!!binary ",
        "!empty",
        "? ",
        "---\n",
        "...\n",
        ".nan",
        ".inf",
        "0x10",
        "~",
        "|\n",
        ">-\n",
        "empty: [4, 0, 8]",
        "encoder: a",
        "conditions:",
        "columns:",
        "format: 3",
        "4097",
        "86400001",
        "\u{85}",
    ])
}
