//! Fuzz targets. Each module has a function `run`, which takes any bytes and panics where what is read has not the
//! properties that it must have; `seeds`, inputs that are right or nearly; and `words`, what those are made of.
//!
//! The programs in `src/bin` give each to libFuzzer, the test below runs each on its seeds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc, reason = "a panic is a finding")]

pub mod frames;
pub mod graph;
pub mod images;
pub mod manifest;
pub mod markers;
pub mod midi;
pub mod options;
pub mod record;
pub mod soundfont;
pub mod tokens;

/// The program that fuzzes a module. Where `SEEDS` is in the environment, it writes its seeds to that folder and its
/// dictionary beside it, and ends.
#[cfg(feature = "libfuzzer")]
#[macro_export]
macro_rules! fuzz {
    ($target:ident) => {
        libfuzzer_sys::fuzz_target!(
            init: if let Some(folder) = std::env::var_os("SEEDS") {
                $crate::write(folder.as_ref(), $crate::$target::seeds(), $crate::$target::words());
                std::process::exit(0)
            },
            |bytes: &[u8]| $crate::$target::run(bytes)
        );
    };
}

/// Writes `seeds` to `folder`, and `words` as libFuzzer's dictionary to `folder.dict`.
#[cfg(feature = "libfuzzer")]
pub fn write(folder: &std::path::Path, seeds: Vec<Vec<u8>>, words: Vec<Vec<u8>>) {
    use std::fs;

    fs::create_dir_all(folder).unwrap();
    for (number, seed) in seeds.into_iter().enumerate() {
        fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
    }
    let line =
        |word: Vec<u8>| format!("\"{}\"\n", word.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>());
    fs::write(folder.with_added_extension("dict"), words.into_iter().map(line).collect::<String>()).unwrap();
}

fn words(words: &[&str]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.as_bytes().to_vec()).collect()
}

/// For panics that the code catches, which may not end the process.
fn silence_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|_| ())));
}

#[cfg(test)]
mod tests {
    type Target = (fn(&[u8]), fn() -> Vec<Vec<u8>>, fn() -> Vec<Vec<u8>>);

    /// Also where seeds are cut short, or have a bit changed.
    #[test]
    fn targets_run_on_their_seeds() {
        macro_rules! targets {
            ($($name:ident),*) => { [$((crate::$name::run, crate::$name::seeds, crate::$name::words)),*] };
        }
        let targets: [Target; 10] =
            targets![midi, tokens, markers, record, manifest, options, frames, images, soundfont, graph];
        // Whether outputs can be written is tried where they would be.
        let place = tempfile::tempdir().unwrap();
        std::env::set_current_dir(place.path()).unwrap();
        for (run, seeds, words) in targets {
            assert!(words().iter().all(|word| !word.is_empty()));
            assert!(!seeds().is_empty());
            for seed in seeds() {
                println!("{:?}", String::from_utf8_lossy(&seed[..seed.len().min(60)]));
                run(&seed);
                for place in (0..seed.len()).step_by(1 + seed.len() / 20) {
                    run(&seed[..place]);
                    let mut changed = seed.clone();
                    changed[place] ^= 1 << (place % 8);
                    run(&changed);
                }
            }
        }
    }
}
