//! Films and systems: where the pieces of a study come from.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Cursor};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use vmt::{Score, midi};
use vmt_render::SoundFont;
use vmt_statistics::random::Stream;

use crate::call::{ensure, wrong};
use crate::loudness::{Sound, fit};
use crate::model::Model;

/// The system that is the film's own sound.
pub const ORIGINAL: &str = "original";

const FILMS: [&str; 6] = ["mp4", "mkv", "mov", "webm", "avi", "m4v"];
const SCORES: [&str; 2] = ["mid", "midi"];
const SOUNDS: [&str; 8] = ["wav", "flac", "mp3", "m4a", "aac", "ogg", "opus", "aiff"];

/// A film to be heard with each system.
#[derive(Clone, Debug)]
pub struct Film {
    /// The name of its file, without the extension.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// How much of it is shown.
    pub length: Duration,
}

impl Film {
    /// The films that `paths` name, those in a folder by its name, in the order of their names; at most the first `longest`
    /// of each.
    ///
    /// # Errors
    /// Where one cannot be read, is shorter than a second, or has the name of another.
    pub fn find(paths: &[PathBuf], longest: Duration) -> Result<Vec<Self>> {
        let mut films = BTreeMap::new();
        for path in paths {
            let at = || path.display().to_string();
            let found = if path.is_dir() {
                let found = files(path)?.into_iter().filter(|file| has_extension(file, &FILMS)).collect::<Vec<_>>();
                ensure(!found.is_empty(), format!("{}: must hold films ({}), but has none", at(), FILMS.join(", ")))?;
                found
            } else {
                vec![path.clone()]
            };
            for path in found {
                let film = Self::open(&path, longest)?;
                if let Some(other) = films.insert(film.name.clone(), film) {
                    let problem = format!("must have a name of its own, but {} has it too", other.path.display());
                    return Err(wrong(format!("{}: {problem}", path.display())).into());
                }
            }
        }
        Ok(films.into_values().collect())
    }

    /// A film of at least a second, and at most the first `longest` of it.
    ///
    /// # Errors
    /// Where it cannot be read or is too short.
    pub fn open(path: &Path, longest: Duration) -> Result<Self> {
        let length = vmt_video::duration(path)?;
        let short = format!("{}: must be at least a second long, but is {length:.2?}", path.display());
        ensure(length >= Duration::from_secs(1), short)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { name, path: path.to_owned(), length: length.min(longest) })
    }
}

/// A system as a call names it.
#[derive(Clone, Debug, PartialEq)]
pub struct SystemArg {
    /// What it is called.
    pub name: String,
    /// `None` is the film's own sound.
    pub source: Option<PathBuf>,
}

impl SystemArg {
    /// `NAME=PATH`, or `original`.
    ///
    /// # Errors
    /// What is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == ORIGINAL {
            return Ok(Self { name: text.into(), source: None });
        }
        let (name, path) = text
            .split_once('=')
            .ok_or("must be NAME=PATH, such as VMT=onnx/vmt-small, or `original`, but has no `=`")?;
        let fits = |letter: char| letter.is_ascii_alphanumeric() || "-_ .+".contains(letter);
        if name.trim().is_empty() || !name.chars().all(fits) || name.len() > 24 {
            return Err(format!("NAME must be up to 24 letters, digits, spaces and `-_.+`, but is `{name}`"));
        }
        Ok(Self { name: name.into(), source: Some(path.into()) })
    }
}

/// A system whose pieces for all films are known to be there.
pub enum System {
    /// The films' own sound.
    Original,
    /// A bundle that composes.
    Bundle(Box<Model>),
    /// A file of music for each film, by its name.
    Files(BTreeMap<String, PathBuf>),
}

impl System {
    /// Loads a bundle, or finds a file for each of the `films`.
    ///
    /// # Errors
    /// Where the bundle cannot be loaded, or a film has no file.
    pub fn open(arg: &SystemArg, films: &[Film]) -> Result<Self> {
        let Some(path) = &arg.source else {
            films.iter().try_for_each(|film| vmt_video::check_sound(&film.path))?;
            return Ok(Self::Original);
        };
        let at = || format!("{}: {}", arg.name, path.display());
        ensure(path.is_dir(), format!("{}: must be a bundle, or a folder of MIDI or sound files", at()))?;
        if path.join("manifest.yaml").exists() {
            return Ok(Self::Bundle(Box::new(Model::load(path)?)));
        }
        let there = files(path)?;
        let mut found = BTreeMap::new();
        let mut missing = Vec::new();
        for Film { name, .. } in films {
            let is_it = |file: &&PathBuf| {
                file.file_stem().is_some_and(|stem| stem.to_string_lossy() == *name)
                    && (has_extension(file, &SCORES) || has_extension(file, &SOUNDS))
            };
            match there.iter().filter(is_it).collect::<Vec<_>>()[..] {
                [] => missing.push(name.as_str()),
                [file] => drop(found.insert(name.clone(), file.clone())),
                [one, other, ..] => {
                    let both = format!("{} and {}", one.display(), other.display());
                    return Err(wrong(format!("{}: must have one file for {name}, but has {both}", at())).into());
                }
            }
        }
        let kinds = [&SCORES[..], &SOUNDS].concat().join(", ");
        let missing = missing.join(", ");
        ensure(
            missing.is_empty(),
            format!("{}: must have a file (NAME.{{{kinds}}}) for each film, but has none for {missing}", at()),
        )?;
        // Before the work for any of them.
        for file in found.values() {
            if has_extension(file, &SCORES) {
                read_score(file, Duration::MAX)?;
            } else {
                vmt_video::check_sound(file)?;
            }
        }
        Ok(Self::Files(found))
    }

    /// The sound for a film, as long as that. Scratch files are made beside `near`.
    ///
    /// # Errors
    /// Where it cannot be read, composed or played.
    pub fn sound(&self, film: &Film, font: &SoundFont, seed: u64, near: &Path) -> Result<Sound> {
        let sound = match self {
            Self::Original => vmt_video::film_sound(&film.path, near)?,
            Self::Bundle(model) => {
                let seed = Stream::new(seed, "music", &[]).number() ^ Stream::new(seed, &film.name, &[]).number();
                let range = Duration::ZERO..film.length;
                let (composition, _) =
                    model.compose(&film.path, range, seed, false).with_context(|| film.path.display().to_string())?;
                play(&composition.score, font)?
            }
            Self::Files(files) => {
                let path = files.get(&film.name).context("a file was found for each film")?;
                if has_extension(path, &SCORES) {
                    play(&read_score(path, film.length)?, font)?
                } else {
                    vmt_video::sound(path)?
                }
            }
        };
        Ok(fit(sound, film.length.as_secs_f64()))
    }
}

/// The first `length` of a MIDI file.
///
/// # Errors
/// Where it cannot be read.
pub fn read_score(path: &Path, length: Duration) -> Result<Score> {
    let at = || path.display().to_string();
    let bytes = fs::read(path).with_context(at)?;
    let notes = midi::read(&bytes, midi::Sustain::Apply).with_context(at)?;
    Ok(Score::quantise(&notes, length))
}

/// The piano in a file, or the one inside the program.
///
/// # Errors
/// Where the file is no soundfont.
pub fn font(path: Option<&Path>) -> Result<SoundFont> {
    let Some(path) = path else { return Ok(SoundFont::piano()) };
    let at = || path.display().to_string();
    SoundFont::read(BufReader::new(File::open(path).with_context(at)?)).with_context(at)
}

/// A score on a piano.
///
/// # Errors
/// Where the soundfont cannot be played.
pub fn play(score: &Score, font: &SoundFont) -> Result<Sound> {
    let mut wav = Vec::new();
    vmt_render::wav(score, font, Cursor::new(Vec::new()), &mut wav)?;
    // Behind the header there are 16-bit samples, left and right.
    let frames = wav.get(44..).unwrap_or_default().as_chunks::<4>().0.iter();
    let sample = |bytes: [u8; 2]| f32::from(i16::from_le_bytes(bytes)) / 32768.0;
    Ok(frames.map(|&[a, b, c, d]| [sample([a, b]), sample([c, d])]).collect())
}

/// The files in a folder, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let at = || folder.display().to_string();
    let entries = fs::read_dir(folder).with_context(at)?.collect::<Result<Vec<_>, _>>().with_context(at)?;
    let mut files: Vec<_> = entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|known| extensions.iter().any(|extension| known.eq_ignore_ascii_case(extension)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_systems() {
        let named = |name: &str, path: &str| Ok(SystemArg { name: name.into(), source: Some(path.into()) });
        assert_eq!(SystemArg::parse("VMT=a=b"), named("VMT", "a=b"));
        assert_eq!(SystemArg::parse("original"), Ok(SystemArg { name: "original".into(), source: None }));
        for wrong in ["VMT", "=a", " =a", "<b>=a", "a name that is far too long to be shown=a"] {
            assert!(SystemArg::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_for_each_film() {
        let folder = tempfile::tempdir().unwrap();
        let music = midi::write(&Score::default()).unwrap();
        for name in ["one.mid", "two.MIDI", "two.txt", "three.mid", "three.mp3"] {
            fs::write(folder.path().join(name), &music).unwrap();
        }
        fs::write(folder.path().join("four.mid"), "no music").unwrap();
        let film = |name: &str| Film { name: name.into(), path: name.into(), length: Duration::from_secs(1) };
        let open = |names: &[&str]| {
            let films: Vec<_> = names.iter().map(|name| film(name)).collect();
            let arg = SystemArg { name: "A".into(), source: Some(folder.path().into()) };
            System::open(&arg, &films).map_err(|error| error.to_string())
        };
        let Ok(System::Files(found)) = open(&["one", "two"]) else { panic!("both are there") };
        assert_eq!(found["two"], folder.path().join("two.MIDI"));
        let error = open(&["one", "five", "six"]).err().unwrap();
        assert!(error.contains("has none for five, six"), "{error}");
        let error = open(&["one", "four"]).err().unwrap();
        assert!(error.contains("four.mid"), "{error}");
        let error = open(&["three"]).err().unwrap();
        assert!(error.contains("must have one file for three"), "{error}");
    }
}
