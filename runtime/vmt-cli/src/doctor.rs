//! `vmt doctor`: what this machine offers.

use std::{num::NonZeroUsize, time::Instant};

use anyhow::{Result, ensure};
use ndarray::Array4;
use vmt::{Backend, Bundle, Clip, Token};
use vmt_files::print;

use crate::nvidia;

/// Lists engines, libraries, threads and NVIDIA's GPUs, and tries each engine; fails if none works
#[derive(clap::Args)]
pub struct DoctorArgs {}

impl DoctorArgs {
    pub fn run(self) -> Result<()> {
        print(format_args!("vmt      {}", env!("CARGO_PKG_VERSION")))?;
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        print(format_args!("threads  {threads}"))?;
        print(format_args!(
            "video    {}",
            if cfg!(feature = "video") { "files through FFmpeg, and folders of images" } else { "folders of images" }
        ))?;
        #[cfg(feature = "ort")]
        if let Ok(library) = vmt::ort::library() {
            print(format_args!("library  {} ({})", library.path.display(), library.build))?;
        }
        match nvidia::driver() {
            Some(version) => {
                print(format_args!("driver   NVIDIA {version}"))?;
                let gpus = nvidia::gpus();
                let none = gpus.is_empty().then(|| "none that the driver shows".to_owned());
                for gpu in gpus.into_iter().chain(none) {
                    print(format_args!("GPU      {gpu}"))?;
                }
            }
            None => print("GPU      none: NVIDIA's driver is not loaded")?,
        }
        let bundle = Bundle::built_in()?;
        let mut works = false;
        for (name, backend) in [("tract", Backend::Tract), ("ort", Backend::Ort), ("cuda", Backend::Cuda)] {
            match try_out(&bundle, backend) {
                Ok(what) => {
                    works = true;
                    print(format_args!("{name:8} works: {what}"))?;
                }
                // The error begins with the engine's name; what CUDA lacks is a line each.
                Err(error) => print(format!("no engine {error}").replace('\n', "\n         "))?,
            }
        }
        ensure!(works, "at least one engine must work, but none does");
        Ok(())
    }
}

fn try_out(bundle: &Bundle, backend: Backend) -> vmt::Result<String> {
    let began = Instant::now();
    let engine = backend.load(bundle, None)?;
    let loaded = began.elapsed();
    let geometry = engine.geometry();
    let (frames, height, width) = (geometry.frames(), geometry.height(), geometry.width());
    let clip = Clip::new(Array4::zeros((frames, 3, height, width)), &geometry)?;
    let began = Instant::now();
    engine.open(std::slice::from_ref(&clip))?.step(&[Token::PAD])?;
    Ok(format!("the built-in bundle loads in {loaded:.1?}; one window and one event take {:.1?}", began.elapsed()))
}
