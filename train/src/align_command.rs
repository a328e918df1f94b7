//! `vmt-train align`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::error::ErrorKind;
use vmt::midi;
use vmt_files::{Drafts, is_same, place, print, warn};
use vmt_render::{SoundFont, Warping, WarpingSection};
use vmt_train::align::{AlignOptions, Alignment, Piece, RATE, SECTION_BELIEVED, align, clock};
use vmt_train::data::prepare::pairs;
use vmt_video::{CONTAINERS, check_mux, mux, read_sound};

/// Puts a piano version of a song where the song is in a film's sound
///
/// Finds the parts of SCORE.mid in the sound of FILM, whatever their tempo and key, with an intro, parts left out or
/// repeated, and speech or silence between, and writes the notes as they are to be played with the film. Beats keep
/// their order within a part, so the rhythm stays; where SCORE.mid names no tempo, its beats are estimated. Prints for each
/// part where it is in film and score, its tempo (seconds of the score in a second of film), how many of its notes begin with an
/// onset in the sound, and how many would by chance. What has no counterpart is marked in the file, and `prepare` leaves it out.
///
/// A score that does not match is refused with exit code 1. Where the wrong places are found, say one that you hear:
/// `--anchor 83.5=70` puts second 70 of the score at second 83.5 of the film.
///
/// FILM may be a folder of pairs, NAME.mp4 (or .mkv, .mov, .webm) and NAME.mid; then -o is a folder, which gets
/// NAME.mid for each that matches, for `prepare FOLDER --scores DIR`. The exit code is 1 only if none does.
///
/// Needs the command `ffmpeg`, and about 15 MB for each minute of film.
#[derive(clap::Args)]
pub struct AlignArgs {
    /// The film, or a folder of pairs
    film: PathBuf,
    /// The piano version of the music in the film
    #[arg(value_name = "SCORE.mid")]
    score: Option<PathBuf>,
    /// The MIDI file to write; for a folder, the folder
    #[arg(short, long, value_name = "ALIGNED.mid")]
    out: PathBuf,
    /// Draw how alike film and score are, the path through both, and how sure each part is (dashed: what it needs), as
    /// .png or .svg
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write the film with the piano mixed under its sound, as .mp4, .mkv or .mov: listen whether they agree
    #[arg(long, value_name = "FILE")]
    audition: Option<PathBuf>,
    /// Beats per minute of the music in the film, 20-400, where the tempo is not found
    #[arg(long, value_parser = bpm)]
    bpm: Option<f64>,
    /// A moment of the film and one of the score that belong together, in seconds or as 1:23.5; may be given several times
    #[arg(long, value_name = "FILM=SCORE", value_parser = anchor)]
    anchor: Vec<(f64, f64)>,
}

fn bpm(text: &str) -> Result<f64, String> {
    let bpm = text.parse().ok().filter(|bpm| (20.0..=400.0).contains(bpm));
    bpm.ok_or_else(|| "must be 20-400 beats a minute".to_owned())
}

fn anchor(text: &str) -> Result<(f64, f64), String> {
    let moments = text.split_once('=').and_then(|(film, score)| Some((moment(film)?, moment(score)?)));
    moments.ok_or_else(|| "must be FILM=SCORE in seconds, such as 83.5=70 or 1:23.5=1:10".to_owned())
}

fn moment(text: &str) -> Option<f64> {
    let (minutes, seconds) =
        text.split_once(':').map_or((0, text), |(minutes, rest)| (minutes.parse().unwrap_or(u32::MAX), rest));
    let seconds: f64 = seconds.parse().ok()?;
    let moment = f64::from(minutes) * 60.0 + seconds;
    (seconds >= 0.0 && moment < 86_400.0 && !(minutes > 0 && seconds >= 60.0)).then_some(moment)
}

/// Ends the program: the call is wrong.
fn usage(message: &str) -> ! {
    clap::Error::raw(ErrorKind::ValueValidation, format!("{message}\n\nFor more information, try '--help'.\n")).exit()
}

/// Whether a path ends in one of the extensions.
fn ends_in(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|end| extensions.iter().any(|known| end.eq_ignore_ascii_case(known)))
}

impl AlignArgs {
    pub fn run(self) -> Result<ExitCode> {
        let Some(score) = &self.score else {
            if !self.film.is_dir() {
                usage(&format!("{}: is no folder of pairs, so SCORE.mid must be given", self.film.display()));
            }
            if self.report.is_some() || self.audition.is_some() || self.bpm.is_some() || !self.anchor.is_empty() {
                usage("--report, --audition, --bpm and --anchor are for one film: name FILM and SCORE.mid");
            }
            return self.folder();
        };
        self.check(score);
        let piece = Piece::read(score)?;
        if let Some(told) = self.audition.as_ref().map(|file| check_mux(&self.film, Duration::ZERO, file, 1.0)) {
            told?.iter().for_each(|told| warn(format_args!("{told}")));
        }
        let options = AlignOptions { bpm: self.bpm, anchors: self.anchor.clone() };
        let alignment = of(&self.film, score, &piece, &options)?;

        let mut drafts = Drafts::default();
        let mut draft = |path: &Path| drafts.of(path).with_context(|| path.display().to_string());
        fs::write(draft(&self.out)?, bytes(&alignment)?).with_context(|| self.out.display().to_string())?;
        if let Some(path) = &self.report {
            fs::write(draft(path)?, report(&alignment, ends_in(path, &["png"]))?)
                .with_context(|| path.display().to_string())?;
        }
        if let Some(path) = &self.audition {
            let film = draft(path)?;
            let [sound, scratch] = ["wav", "played"].map(|extension| drafts.scratch(path, extension));
            let (sound, scratch) = (sound?, scratch?);
            let scratch = File::options().read(true).write(true).create_new(true).open(scratch)?;
            let music = std::io::BufWriter::new(File::create(&sound)?);
            vmt_render::wav(&alignment.score(), &SoundFont::piano(), scratch, music)?;
            mux(&self.film, Duration::ZERO, &sound, &film, 1.0)?;
        }
        drafts.finish()?;
        print(format_args!("{}", alignment.to_string().trim_end()))?;
        Ok(ExitCode::SUCCESS)
    }

    /// All that can be known of the call before the work.
    fn check(&self, score: &Path) {
        let outputs = [Some(&self.out), self.report.as_ref(), self.audition.as_ref()];
        let kinds: [(&str, &[&str]); 3] =
            [("-o", &["mid", "midi"]), ("--report", &["png", "svg"]), ("--audition", &CONTAINERS)];
        let mut places: Vec<PathBuf> = Vec::new();
        for (path, (option, extensions)) in
            outputs.into_iter().zip(kinds).filter_map(|(path, kind)| Some((path?, kind)))
        {
            if !ends_in(path, extensions) {
                usage(&format!("{option} must end in .{}, but is {}", extensions.join(" or ."), path.display()));
            }
            if is_same(path, &self.film) || is_same(path, score) {
                usage(&format!("{option} would replace {}, which is read: choose another name", path.display()));
            }
            match place(path) {
                Ok(place) if places.contains(&place) => usage(&format!("{} is to be written twice", path.display())),
                Ok(place) => places.push(place),
                Err(error) => usage(&format!("{option}: {}: {error}", path.display())),
            }
        }
    }

    fn folder(&self) -> Result<ExitCode> {
        let pairs = pairs(&self.film, &self.film)?;
        fs::create_dir_all(&self.out).with_context(|| self.out.display().to_string())?;
        if is_same(&self.out, &self.film) {
            usage(&format!("-o would replace the MIDI files of {}: choose another folder", self.film.display()));
        }
        let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max(4);
        let (mut aligned, count) = (0, pairs.len());
        print(format_args!(
            "{:<width$}{:>10}{:>15}{:>14}{:>9}{:>11}{:>10}",
            "", "sections", "film", "matched", "tempo", "semitones", "strength"
        ))?;
        for (name, pair) in pairs {
            let aligning = || -> Result<Alignment> {
                let (film, score) = pair?;
                let out = self.out.join(format!("{name}.mid"));
                let is_read = is_same(&out, &score) || is_same(&out, &film);
                ensure!(!is_read, "{} would be replaced, which is read: choose another folder", out.display());
                let alignment = of(&film, &score, &Piece::read(&score)?, &AlignOptions::default())?;
                vmt_files::write(&out, &bytes(&alignment)?)?;
                Ok(alignment)
            };
            let row = match aligning() {
                Ok(alignment) => {
                    aligned += 1;
                    row(&alignment)
                }
                Err(error) => format!("  {error:#}"),
            };
            print(format_args!("{name:<width$}{row}"))?;
        }
        ensure!(aligned > 0, "{}: not one of {count} pairs could be aligned", self.film.display());
        print(format_args!("{aligned} of {count} written to {}", self.out.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A row of a folder's table.
fn row(alignment: &Alignment) -> String {
    let sections = &alignment.sections;
    let seconds = |section: &vmt_train::align::Section| section.film.1 - section.film.0;
    let matched: f64 = sections.iter().map(seconds).sum();
    let mean = |value: &dyn Fn(&vmt_train::align::Section) -> f64| {
        sections.iter().map(|section| seconds(section) * value(section)).sum::<f64>() / matched
    };
    let (count, film, semitones) = (sections.len(), clock(alignment.seconds), alignment.semitones);
    let (tempo, strength) = (mean(&|section| section.tempo()), alignment.strength());
    let matched = format!("{} ({:.0} %)", clock(matched), 100.0 * matched / alignment.seconds);
    format!("{count:>10}{film:>15}{matched:>14}  x {tempo:.3}{semitones:>11}{strength:>10.2}")
}

fn of(film: &Path, score: &Path, piece: &Piece, options: &AlignOptions) -> Result<Alignment> {
    let sound = read_sound(film, RATE)?;
    align(&sound, piece, options).with_context(|| format!("{} and {}", film.display(), score.display()))
}

fn bytes(alignment: &Alignment) -> Result<Vec<u8>> {
    Ok(midi::write_parts(&[("", &alignment.score())], &alignment.conductor())?)
}

fn report(alignment: &Alignment, is_png: bool) -> Result<Vec<u8>> {
    const COLUMNS: usize = 800;
    let score = alignment.score_seconds();
    let rows = ((COLUMNS as f64 * score / alignment.seconds) as usize).clamp(100, COLUMNS);
    let section = |section: &vmt_train::align::Section| {
        let (from, to) = section.film;
        let inside =
            section.beats.iter().map(|&(score, film)| (film, score)).filter(|(film, _)| (from..to).contains(film));
        let ends = [from, to].map(|film| (film, section.to_score(film)));
        let path = [ends[0]].into_iter().chain(inside).chain([ends[1]]).collect();
        WarpingSection { path, strength: section.strength() }
    };
    let warping = Warping {
        film: alignment.seconds,
        score,
        similarity: alignment.similarity(COLUMNS, rows),
        columns: COLUMNS,
        sections: alignment.sections.iter().map(section).collect(),
        believed: SECTION_BELIEVED,
    };
    Ok(if is_png { vmt_render::warping_png(&warping)? } else { vmt_render::warping_svg(&warping)?.into_bytes() })
}
