//! A model on disk: a manifest and two graphs, checked before use. The one place that reads files.

use std::{borrow::Cow, fs, iter, ops::RangeInclusive, path::Path};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::manifest::{FORMAT, First, MANIFEST, Manifest, OLDEST_FORMAT, PERFORMANCE_310};
use crate::error::{Error, Result};

/// How many features of a picture an encoder may have.
const FEATURES: RangeInclusive<usize> = 1..=1 << 20;

/// A model, read and checked, that an engine can load.
#[derive(Clone, Debug)]
pub struct Bundle {
    pub(crate) manifest: Manifest,
    pub(crate) encoder: Cow<'static, [u8]>,
    pub(crate) decoder: Cow<'static, [u8]>,
}

impl Bundle {
    /// Reads the bundle in folder `dir` and checks its format and hashes.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] for a file that cannot be read, and [`Error::Bundle`] for a manifest that is none, or a graph that is
    /// not the one the manifest was written for.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        let path = dir.join(MANIFEST);
        let yaml = fs::read_to_string(&path).map_err(|error| Error::Io { path: path.clone(), error })?;
        let manifest = parse(&yaml, &path)?;
        let read = |name: &str| {
            // A manifest must not reach outside its folder.
            if Path::new(name).file_name() != Some(name.as_ref()) {
                return Err(bundle(&path, format!("`file` must be a name in this folder, but is `{name}`")));
            }
            let file = dir.join(name);
            fs::read(&file).map(Cow::Owned).map_err(|error| Error::Io { path: file, error })
        };
        let (encoder, decoder) = (read(&manifest.encoder.file)?, read(&manifest.decoder.file)?);
        Self::checked(manifest, encoder, decoder, dir)
    }

    /// A bundle from memory: the manifest's text, and the bytes of the encoder's and the decoder's graph, as a program that
    /// carries them inside has them (`include_str!`, `include_bytes!`), or as read from anywhere.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), but for [`Error::Io`].
    pub fn from_memory(
        manifest: &str,
        encoder: impl Into<Cow<'static, [u8]>>,
        decoder: impl Into<Cow<'static, [u8]>>,
    ) -> Result<Self> {
        let place = Path::new("bundle in memory");
        Self::checked(parse(manifest, place)?, encoder.into(), decoder.into(), place)
    }

    /// `onnx/vmt-beat`, as it was when the program was built.
    ///
    /// # Errors
    ///
    /// [`Error::Bundle`] where the program is damaged.
    #[cfg(feature = "built-in")]
    pub fn built_in() -> Result<Self> {
        macro_rules! file {
            ($include:ident, $name:literal) => {
                $include!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../onnx/vmt-beat/", $name))
            };
        }
        Self::from_memory(
            file!(include_str, "manifest.yaml"),
            file!(include_bytes, "encoder.onnx"),
            file!(include_bytes, "decoder.onnx"),
        )
    }

    fn checked(
        manifest: Manifest,
        encoder: Cow<'static, [u8]>,
        decoder: Cow<'static, [u8]>,
        place: &Path,
    ) -> Result<Self> {
        let Manifest { encoder: e, decoder: d, .. } = &manifest;
        for (file, want, bytes) in [(&e.file, &e.sha256, &encoder), (&d.file, &d.sha256, &decoder)] {
            let got = sha256(bytes);
            if got != *want {
                let reason =
                    format!("SHA-256 must be {want}, but is {got}: not the file that the bundle was made with");
                return Err(bundle(&place.join(file), reason));
            }
        }
        Ok(Self { manifest, encoder, decoder })
    }

    /// The manifest, which describes the bundle.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Bytes of the encoder's and of the decoder's graph.
    pub fn sizes(&self) -> [usize; 2] {
        [self.encoder.len(), self.decoder.len()]
    }
}

/// SHA-256 of `bytes` in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bundle(path: &Path, reason: String) -> Error {
    Error::Bundle { path: path.to_owned(), reason }
}

/// What every format has.
#[derive(Deserialize)]
struct Versioned {
    format: u32,
}

fn parse(yaml: &str, path: &Path) -> Result<Manifest> {
    let refused = |error: serde_yaml::Error| bundle(path, error.to_string());
    // Alone at first: another format may have other fields.
    let Versioned { format } = serde_yaml::from_str(yaml).map_err(refused)?;
    if !(OLDEST_FORMAT..=FORMAT).contains(&format) {
        let newer = if format > FORMAT { ": this bundle needs a newer version of vmt" } else { "" };
        let reason = format!("`format` must be {OLDEST_FORMAT} to {FORMAT}, but is {format}{newer}");
        return Err(bundle(path, reason));
    }
    let manifest: Manifest = serde_yaml::from_str(yaml).map_err(refused)?;
    let wrong = if format < 3 && manifest.decoder.conditions.is_some() {
        format!("`conditions` need format 3 at least, but `format` is {format}")
    } else if (format < 4) != manifest.encoder.features.is_none() {
        format!("`features` of the encoder must be there from format 4 on, and only there, but `format` is {format}")
    } else if let Some(size) =
        manifest.encoder.features.as_ref().map(|it| it.size).filter(|size| !FEATURES.contains(size))
    {
        format!("`size` of the encoder's `features` must be {} to {}, but is {size}", FEATURES.start(), FEATURES.end())
    } else if let Some(reason) = unfit_state(&manifest) {
        reason
    } else if manifest.vocabulary != PERFORMANCE_310 {
        format!("`vocabulary` must be {PERFORMANCE_310}, but is {}", manifest.vocabulary)
    } else if manifest.max_tokens < 2 {
        format!("`max_tokens` must be at least 2, but is {}", manifest.max_tokens)
    } else if let Some((graph, name)) = named_twice(&manifest) {
        format!("each tensor has one role, but the {graph} has two for `{name}`")
    } else {
        return Ok(manifest);
    };
    Err(bundle(path, wrong))
}

/// What is wrong with states that [append](super::manifest::State::append).
fn unfit_state(manifest: &Manifest) -> Option<String> {
    let Manifest { format, state, decoder, .. } = manifest;
    let appended = state.iter().find(|state| state.append)?;
    let grows =
        |first: &First| matches!(first, First::Empty(axes) if axes.iter().filter(|&&axis| axis == 0).count() == 1);
    if *format < 3 {
        return Some(format!("`append` needs format 3 at least, but `format` is {format}"));
    }
    if decoder.token_mask.is_none() {
        return Some(format!("`append` needs a `token_mask`, but there is none, and `{}` appends", appended.to));
    }
    let unfit = state.iter().find(|state| state.append != grows(&state.first))?;
    Some(format!(
        "`append` must be true for every state that is empty along one axis at first, and for no other, but is {} for `{}`",
        unfit.append, unfit.to
    ))
}

/// An input or output that a graph has twice: tract panics on some, and ONNX Runtime overlooks the first.
fn named_twice(manifest: &Manifest) -> Option<(&'static str, &str)> {
    let Manifest { encoder: e, decoder: d, context, state, .. } = manifest;
    let first = state.iter().filter_map(|state| match &state.first {
        First::Encoder(from) => Some(from),
        First::Empty(_) => None,
    });
    let new = e.features.iter().map(|features| &features.new);
    let roles: [(_, Vec<&String>); 4] = [
        ("encoder", e.inputs().collect()),
        ("encoder", context.iter().map(|context| &context.from).chain(first).chain(new).collect()),
        (
            "decoder",
            d.inputs()
                .chain(context.iter().map(|context| &context.to))
                .chain(state.iter().map(|state| &state.to))
                .collect(),
        ),
        ("decoder", iter::once(&d.logits).chain(state.iter().map(|state| &state.from)).collect()),
    ];
    roles.into_iter().find_map(|(graph, names)| {
        let twice = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name));
        twice.map(|(_, name)| (graph, name.as_str()))
    })
}
