//! What ONNX Runtime's CUDA execution provider needs, found out before a session is made: its own error names one missing library
//! alone, and cuDNN only when a graph runs.

use std::{env, path::Path};

use ort::ep::{CUDA, ExecutionProvider, cuda::CUDNN_DYLIBS};
use ort::util::preload_dylib;

use super::dylib::{beginning, loader_says};

/// What is missing here, a line each with what to do about it: a build of `library`, ONNX Runtime's, with CUDA, the provider's
/// files beside it, NVIDIA's driver, CUDA's libraries, cuDNN. Libraries that are there stay loaded. `oldest` is the oldest version of
/// ONNX Runtime that is understood.
pub(super) fn lacks(library: &Path, oldest: &str) -> ort::Result<Vec<String>> {
    let package = format!("is in PyPI's package onnxruntime-gpu ({oldest} to 1.28)");
    if !CUDA::is_available()? {
        return Ok(vec![format!("{} is built without CUDA; a library with it {package}", library.display())]);
    }
    let [cuda, shared] = ["cuda", "shared"].map(|name| {
        let (prefix, suffix) = (env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
        library.with_file_name(format!("{prefix}onnxruntime_providers_{name}{suffix}"))
    });
    let gone: Vec<_> = [&cuda, &shared].into_iter().filter(|file| !file.exists()).collect();
    if !gone.is_empty() {
        return Ok(gone.iter().map(|file| format!("{} is missing; it {package}", file.display())).collect());
    }
    // A file that cannot be read is ONNX Runtime's to complain of. cuDNN it loads when it first needs it.
    let beginning = beginning(&cuda).unwrap_or_default();
    let wanted = linked(&beginning).chain(CUDNN_DYLIBS.first().copied());
    let missing: Vec<_> =
        wanted.filter_map(|name| Some((Part::of(name), loader_says(&preload_dylib(name).err()?)))).collect();
    let line = |part: Part| {
        let of_part = missing.iter().filter(|(of, _)| *of == part);
        let missing: Vec<&str> = of_part.map(|(_, why)| why.as_str()).collect();
        let (what, cure) = part.cure();
        (!missing.is_empty()).then(|| format!("{} needs {what}: {cure} ({})", cuda.display(), missing.join(", ")))
    };
    Ok([Part::Driver, Part::Cuda, Part::Cudnn].into_iter().filter_map(line).collect())
}

/// What is installed as one.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Driver,
    Cuda,
    Cudnn,
}

impl Part {
    /// What this library belongs to.
    fn of(library: &str) -> Self {
        match library {
            _ if library.starts_with("libcuda.") => Self::Driver,
            _ if library.contains("cudnn") => Self::Cudnn,
            _ => Self::Cuda,
        }
    }

    /// Its name, and what to do where it is missing.
    fn cure(self) -> (&'static str, &'static str) {
        match self {
            Self::Driver => ("NVIDIA's driver", "install it, or give the container its GPU (docker run --gpus all)"),
            Self::Cuda => ("CUDA", "install NVIDIA's CUDA of this version, and name the folder in LD_LIBRARY_PATH"),
            Self::Cudnn => ("cuDNN", "install NVIDIA's cuDNN 9 for this CUDA, and name the folder in LD_LIBRARY_PATH"),
        }
    }
}

/// NVIDIA's libraries that a provider is linked with, from the strings near its beginning.
fn linked(beginning: &[u8]) -> impl Iterator<Item = &str> {
    let strings = beginning.split(|&byte| byte == 0).filter_map(|string| str::from_utf8(string).ok());
    strings.filter(|name| name.starts_with("libcu") && name.contains(".so."))
}

#[cfg(test)]
mod tests {
    use super::{Part, linked};

    #[test]
    fn a_providers_libraries_are_told_apart() {
        let names = b"\x7fELF\0\xff\0libcublasLt.so.13\0libcurand.so.10\0libm.so.6\0libcuda.so.1\0libcudnn.so.9\0cu";
        let parts: Vec<_> = linked(names).map(|name| (name, Part::of(name))).collect();
        let want = [
            ("libcublasLt.so.13", Part::Cuda),
            ("libcurand.so.10", Part::Cuda),
            ("libcuda.so.1", Part::Driver),
            ("libcudnn.so.9", Part::Cudnn),
        ];
        assert_eq!(parts, want);
    }
}
