//! ONNX Runtime, loaded at run time from a library that is found or given.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
};

use ort::environment::Environment;
use ort::memory::AllocationDevice;

use super::bundle::Bundle;
use super::dylib::{beginning, loader_says};
use super::engine::Engine;
use super::onnx::OnnxEngine;
use super::ort_device::DeviceGraph;
pub(crate) use super::ort_graph::Device;
use super::ort_graph::{OrtGraph, builder, failed};
use super::scheduler::Scheduler;
use crate::error::{Error, Result};

/// The oldest version that is understood: its C interface is fixed when this crate is built.
pub const OLDEST: &str = "1.24";

/// Names the library's file; wins over every other place.
pub const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// From this version on, ONNX Runtime's official builds for Linux have telemetry: creating the environment writes a device
/// id into the home directory and looks up a server of Microsoft's, unless [`TELEMETRY_VARIABLE`] is 1 by then. The
/// switch in its interface comes too late for that.
const TELEMETRY_SINCE: (u32, u32) = (1, 29);

/// ONNX Runtime's own variable against its telemetry; without it, [`library`] refuses versions that have telemetry.
pub const TELEMETRY_VARIABLE: &str = "ORT_DISABLE_TELEMETRY";

/// ONNX Runtime's library: its path and its own words about its version.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Library {
    /// The file, or the bare name where the system's loader found it.
    pub path: PathBuf,
    /// Build information.
    pub build: &'static str,
}

static LIBRARY: OnceLock<(Library, Environment)> = OnceLock::new();

/// Finds and loads ONNX Runtime's library, once a process.
///
/// Looks at `ORT_DYLIB_PATH` alone where it is set; else in the folders of [`look_in`], beside the program, in `../lib` from
/// there, and where the system's loader looks.
///
/// # Errors
///
/// [`Error::Engine`] with all places that were tried and what was wrong with them: there is none, or none but versions from
/// 1.29 on, whose telemetry `ORT_DISABLE_TELEMETRY=1` must turn off before. The variable must be set outside, or before any
/// other thread starts: this library cannot do it safely.
pub fn library() -> Result<Library> {
    Ok(loaded()?.0.clone())
}

/// Folders of [`look_in`].
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Has [`library`] look in `folder` too, if it did not find a library before: a program that is not where its libraries are, such
/// as an interpreter, knows where they are.
pub fn look_in(folder: PathBuf) {
    let mut folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner);
    if !folders.contains(&folder) {
        folders.push(folder);
    }
}

fn loaded() -> Result<&'static (Library, Environment)> {
    static LOADING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = LOADING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(loaded) = LIBRARY.get() {
        return Ok(loaded);
    }
    let mut found = Vec::new();
    for path in candidates() {
        // Before it is loaded: a process can load one library only.
        if let Some(reason) = version(&path).and_then(|version| telemetry(&path, Some(version))) {
            found.push(reason);
            continue;
        }
        match ort::init_from(&path) {
            Ok(builder) => {
                // Loading is harmless; creating the environment is not.
                if let Some(reason) = telemetry(&path, version(&path).or_else(|| version(&mapped()?))) {
                    found.push(reason);
                    break;
                }
                let environment = builder.with_name("vmt").with_telemetry(false).build().map_err(failed("ort"))?;
                environment.set_log_level(ort::logging::LogLevel::Error);
                return Ok(LIBRARY.get_or_init(|| (Library { path, build: ort::info() }, environment)));
            }
            Err(ort::LoadDynamicError::Dlopen { error, .. }) => {
                found.push(format!("{}: {}", path.display(), loader_says(&error)));
            }
            Err(error) => found.push(error.to_string()),
        }
    }
    let tried =
        if found.is_empty() { "nothing, for the program's own path is unknown".into() } else { found.join("; ") };
    let reason =
        format!("ONNX Runtime {OLDEST} or newer is needed; set {LIBRARY_VARIABLE} to its library. Tried: {tried}");
    Err(Error::Engine { engine: "ort", reason })
}

/// Why the library at `path` is refused, if it has telemetry, or may have, and that is not turned off.
fn telemetry(path: &Path, version: Option<(u32, u32)>) -> Option<String> {
    let off = env::var_os(TELEMETRY_VARIABLE).is_some_and(|value| value == "1");
    if off || version.is_some_and(|version| version < TELEMETRY_SINCE) {
        return None;
    }
    let version = version.map_or("of unknown version".to_owned(), |(major, minor)| format!("{major}.{minor}"));
    let since = format!("{}.{}", TELEMETRY_SINCE.0, TELEMETRY_SINCE.1);
    Some(format!(
        "{}: ONNX Runtime {version} is refused, because versions from {since} on send telemetry; take an older one, or set \
         {TELEMETRY_VARIABLE}=1 in the environment",
        path.display()
    ))
}

/// Major and minor version of a library file, from the name of its symbols' version, which lies near its beginning: its
/// interface says it to unsafe code alone.
fn version(path: &Path) -> Option<(u32, u32)> {
    const MARK: &[u8] = b"VERS_";
    if !path.is_absolute() {
        return None;
    }
    let beginning = beginning(path).ok()?;
    let parse = |at: usize| {
        let name = beginning[at + MARK.len()..].split(|&byte| byte == 0).next()?;
        let mut numbers = str::from_utf8(name).ok()?.split('.').map(str::parse);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    let marks = beginning.windows(MARK.len()).enumerate().filter(|(_, bytes)| *bytes == MARK);
    marks.map(|(at, _)| at).find_map(parse)
}

/// The file that the system's loader found, where Linux says it.
fn mapped() -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps.lines().filter_map(|line| Some(&line[line.find('/')?..]));
    path.map(Path::new).find(|path| path.file_name().is_some_and(is_library)).map(Path::to_owned)
}

/// Library files to try, best first.
fn candidates() -> Vec<PathBuf> {
    if let Some(path) = env::var_os(LIBRARY_VARIABLE).filter(|path| !path.is_empty()) {
        return vec![env::current_dir().unwrap_or_default().join(path)];
    }
    let folders = FOLDERS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // ort would panic on a bare name.
    let Ok(program) = env::current_exe() else { return folders.iter().flat_map(|dir| libraries(dir)).collect() };
    let program = program.canonicalize().ok().and_then(|program| Some(program.parent()?.to_owned()));
    let beside = program.iter().flat_map(|dir| [dir.clone(), dir.join("../lib")]);
    let mut paths: Vec<PathBuf> = folders.into_iter().chain(beside).flat_map(|dir| libraries(&dir)).collect();
    paths.push(name().into());
    paths
}

/// What the library's file is called here, but for a version behind it.
fn name() -> String {
    format!("{}onnxruntime{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX)
}

fn is_library(file: &OsStr) -> bool {
    file.to_string_lossy().starts_with(&name())
}

/// The library files in `dir`.
fn libraries(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = files.filter(|file| is_library(&file.file_name())).map(|file| file.path()).collect();
    paths.sort();
    paths
}

/// Loads `bundle` into ONNX Runtime, to run on `threads` threads, with up to `lanes` lanes of all sessions in one batch.
pub(crate) fn load(bundle: &Bundle, device: Device, threads: usize, lanes: Option<usize>) -> Result<Box<dyn Engine>> {
    let loaded = loaded().map_err(|error| match error {
        Error::Engine { reason, .. } => Error::Engine { engine: device.name(), reason },
        other => other,
    })?;
    let place = match device {
        Device::Cpu => None,
        #[cfg(feature = "cuda")]
        Device::Cuda => {
            let Library { path, .. } = &loaded.0;
            let path = if path.is_absolute() { Some(path.clone()) } else { mapped() };
            let lacks = super::cuda::lacks(&path.unwrap_or_default(), OLDEST).map_err(failed("cuda"))?;
            if !lacks.is_empty() {
                return Err(Error::Engine { engine: "cuda", reason: lacks.join("\n") });
            }
            Some(AllocationDevice::CUDA)
        }
    };
    load_into(bundle, &loaded.1, device, place, threads, lanes)
}

/// The same, with values that stay at `place` between runs if it is given.
fn load_into(
    bundle: &Bundle,
    environment: &'static Environment,
    device: Device,
    place: Option<AllocationDevice<'static>>,
    threads: usize,
    lanes: Option<usize>,
) -> Result<Box<dyn Engine>> {
    let load = |bytes: &[u8], inputs: &[&str], outputs: &[&str]| {
        let session = builder(environment, device, threads).and_then(|mut builder| builder.commit_from_memory(bytes));
        let session = session.map_err(failed(device.name()))?;
        for (want, have) in [(inputs, session.inputs()), (outputs, session.outputs())] {
            if let Some(name) = want.iter().find(|&&name| have.iter().all(|outlet| outlet.name() != name)) {
                let names: Vec<&str> = have.iter().map(|outlet| outlet.name()).collect();
                let reason = format!("the graph must have `{name}`, but has {names:?}");
                return Err(Error::Engine { engine: device.name(), reason });
            }
        }
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        let (session, inputs, outputs) = (session.into(), owned(inputs), owned(outputs));
        Ok(OrtGraph { device, session, inputs, outputs })
    };
    let name = device.name();
    let Some(place) = place else { return Ok(Scheduler::over(OnnxEngine::load(bundle, name, load)?, lanes)) };
    let load = |bytes: &[u8], inputs: &[&str], outputs: &[&str]| {
        Ok(DeviceGraph::new(load(bytes, inputs, outputs)?, place.clone(), environment))
    };
    Ok(Scheduler::over(OnnxEngine::load(bundle, name, load)?, lanes))
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, ArrayView2};

    use super::*;
    use crate::music::Token;
    use crate::video::Clip;

    /// The host's own memory as a device's, where each machine has it: lanes of several lengths, which grow, rest, join and leave.
    #[test]
    fn values_that_stay_on_a_device_are_those_of_the_host() {
        let bundle = Bundle::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../../onnx/tiny-vmt")).unwrap();
        let logits = |place| -> Vec<Array2<f32>> {
            let environment = &loaded().unwrap().1;
            let engine = load_into(&bundle, environment, Device::Cpu, place, 1, Some(4)).unwrap();
            let clip = Clip::without_video(&engine.geometry());
            let tokens: Vec<Token> = Token::all().skip(100).take(90).collect();
            let kept = |logits: ArrayView2<'_, f32>| logits.to_owned();
            let mut all = Vec::new();
            let mut stays = engine.open_takes(std::slice::from_ref(&clip), 2).unwrap();
            all.push(kept(stays.feed(&[&tokens[..60], &tokens[..3]]).unwrap()));
            for step in tokens.windows(2).take(5) {
                all.push(kept(stays.step(step).unwrap()));
            }
            let mut other = engine.open(&[clip]).unwrap();
            all.push(kept(other.feed(&[&tokens[..80]]).unwrap()));
            // Whichever is fed first waits for the other no longer than a step takes, and then goes on alone.
            all.push(kept(stays.step(&tokens[5..7]).unwrap()));
            all.push(kept(other.step(&tokens[7..8]).unwrap()));
            drop(stays);
            all.push(kept(other.step(&tokens[8..9]).unwrap()));
            all
        };
        assert!(logits(None) == logits(Some(AllocationDevice::CPU)), "other logits");
    }
}
