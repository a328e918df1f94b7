//! `vmt-train study make`: films and systems become a folder with one page, and a key.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use vmt::{Note, Pitch, Score};
use vmt_files::Drafts;
use vmt_statistics::random::Stream;

use crate::call::{check_output, ensure, wrong};
use crate::design::Design;
use crate::formats::{FILMS, FORMAT, HIGHEST, Key, KeyFilm, KeyPiece, Page, PageFilm};
use crate::loudness::{Loudness, Sound, beeps, equalise};
use crate::sources::{Film, System, SystemArg, font, play};

/// The page, but for what it shows.
const TEMPLATE: &str = include_str!("page.html");
/// Where the study is put into it.
const PLACE: &str = "{\"study\": \"here\"}";
/// Beeps in the training example.
const TRAINING_BEEPS: u8 = 3;

/// Makes a listening study: a folder with one page
///
/// For each film, raters hear one piece of each system under the same pictures, equally loud, in hidden and balanced order, and rate
/// each from 0 to 5 for smoothness and relevance, as in the paper's section 4.2. The folder holds index.html and media/*.mp4. It works
/// from a disk, from any web server, and from `study serve`, which also collects the answers. Names of files tell nothing of
/// systems: which piece is whose is in the key, which stays with you.
///
///   vmt-train study make films/ --system original --system VMT=onnx/vmt-small --system SEQ2SEQ=onnx/seq2seq-small -o study
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct MakeArgs {
    /// Films, or folders of films
    #[arg(required = true, value_name = "FILM")]
    films: Vec<PathBuf>,
    /// A system, 2 to 8 of them. `original` is the film's own sound. NAME=DIR is a bundle, which composes as `vmt compose` does, or a
    /// folder with a MIDI or sound file for each film, named like it: films/rain.mp4, DIR/rain.mid
    #[arg(long = "system", value_name = "NAME=DIR|original", value_parser = SystemArg::parse, required = true)]
    systems: Vec<SystemArg>,
    /// The folder to write; it must be new
    #[arg(short, long, value_name = "DIR")]
    out: PathBuf,
    /// The key to write, outside of the folder [default: DIR.key.json]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Each rater hears so many of the films; all of them are heard equally often [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    per_rater: Option<u16>,
    /// Only the beginning of each film, 1-600
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=600))]
    seconds: u16,
    /// Attention checks in each session, 0-5: pieces with one to five beeps, to be rated with their number, so that who does not
    /// listen is found out. Who fails half of them is left out by `score`
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=5))]
    checks: u8,
    /// The film of the training example and of the checks [default: the first film]
    #[arg(long, value_name = "FILM")]
    training: Option<PathBuf>,
    /// Loudness of all pieces in LUFS (ITU-R BS.1770), -40 to -12. Where a true peak of a film's pieces would be above -1 dBTP, all of
    /// that film's are softer
    #[arg(long, value_name = "LUFS", default_value_t = -20.0, allow_hyphen_values = true)]
    loudness: f64,
    /// The piano for MIDI and bundles [default: the soundfont inside this program]
    #[arg(long, value_name = "FILE.sf2")]
    soundfont: Option<PathBuf>,
    /// The page's heading
    #[arg(long, value_name = "TEXT", default_value = "Music for film: a listening study")]
    title: String,
    /// A text file with what you say to raters on the first page: who you are, what becomes of the answers, whom to ask. Paragraphs
    /// are separated by empty lines
    #[arg(long, value_name = "FILE.txt")]
    intro: Option<PathBuf>,
    /// Seed of ids, orders, checks and music; the same seed gives the same study
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

impl MakeArgs {
    /// Makes it.
    ///
    /// # Errors
    /// [`clap::Error`] for a wrong call; where a film or a system cannot be read, or the folder cannot be written.
    pub fn run(self) -> Result<()> {
        let key_path = self.key.clone().unwrap_or_else(|| self.out.with_added_extension("key.json"));
        self.check(&key_path)?;
        let longest = Duration::from_secs(self.seconds.into());
        let films = Film::find(&self.films, longest)?;
        let many = films.len();
        ensure(many <= FILMS, format!("there must be at most {FILMS} films, but there are {many}"))?;
        let per_rater = self.per_rater.map_or(many, usize::from);
        ensure(per_rater <= many, format!("--per-rater: must be at most the {many} films, but is {per_rater}"))?;
        let training = self.training.as_ref().map_or(Ok(films[0].clone()), |path| Film::open(path, longest))?;
        let font = font(self.soundfont.as_deref())?;
        let intro =
            self.intro.as_ref().map(|path| fs::read_to_string(path).with_context(|| path.display().to_string()));
        let intro = intro.transpose()?.unwrap_or_default();
        let paragraphs = intro.replace("\r\n", "\n");
        let paragraphs = paragraphs.split("\n\n").map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let systems = self.systems.iter().map(|arg| System::open(arg, &films)).collect::<Result<Vec<_>>>()?;

        let design = Design::new(many, systems.len(), self.seed);
        let mut ids = Ids::new(&self, &films);
        let study = ids.next();
        let bar = indicatif::ProgressBar::new(many as u64 + 1);
        let mut studio = Studio { drafts: Drafts::default(), out: self.out.clone(), media: PathBuf::new() };
        let folder = studio.drafts.of(&self.out).with_context(|| self.out.display().to_string())?;
        studio.media = folder.join("media");
        fs::create_dir_all(&studio.media).with_context(|| self.out.display().to_string())?;

        bar.set_message("training example");
        let [shown, pictures] = [&training, &training].map(|film| film.length.as_secs_f64());
        let example = example(training.length)?;
        let mut sounds = vec![crate::loudness::fit(play(&example, &font)?, shown), beeps(TRAINING_BEEPS, pictures)];
        let mut numbers: Vec<u8> = (1..=HIGHEST).collect();
        Stream::new(self.seed, "checks", &[]).shuffle(&mut numbers);
        numbers.truncate(self.checks.into());
        sounds.extend(numbers.iter().map(|&count| beeps(count, shown)));
        let names: Vec<String> = sounds.iter().map(|_| ids.next()).collect();
        equalise(&mut sounds, self.loudness)?;
        studio.write(&training, &names, &sounds)?;
        bar.inc(1);
        let (examples, checks) = names.split_at(2);

        let mut page_films = Vec::new();
        let mut key_films = Vec::new();
        for (number, film) in films.iter().enumerate() {
            bar.set_message(film.name.clone());
            let sound = |system: &System| system.sound(film, &font, self.seed, &folder);
            let mut sounds = systems.iter().map(sound).collect::<Result<Vec<_>>>()?;
            let reached = equalise(&mut sounds, self.loudness)?;
            if reached < self.loudness - 0.5 {
                let peak = "so that no true peak is above -1 dBTP";
                vmt_files::warn(format_args!("{}: its pieces have {reached:.1} LUFS, {peak}", film.name));
            }
            let id = ids.next();
            let names: Vec<String> = sounds.iter().map(|_| ids.next()).collect();
            // In the order of their ids, files tell nothing by their times either.
            let mut order: Vec<usize> = (0..names.len()).collect();
            order.sort_by_key(|&system| &names[system]);
            let sorted = |system: &usize| (names[*system].clone(), sounds[*system].clone());
            let (sorted_names, sorted_sounds): (Vec<_>, Vec<_>) = order.iter().map(sorted).unzip();
            studio.write(film, &sorted_names, &sorted_sounds)?;
            let mut pieces = BTreeMap::new();
            for (system, (name, sound)) in names.iter().zip(&sounds).enumerate() {
                let lufs = Loudness::of(sound)?.lufs.map(|lufs| (lufs * 100.0).round() / 100.0);
                if lufs.is_none() {
                    let who = &self.systems[system].name;
                    vmt_files::warn(format_args!("{}: the piece of {who} is silent", film.name));
                }
                pieces.insert(name.clone(), KeyPiece { system, lufs });
            }
            let place = |system: &usize| order.iter().position(|other| other == system).unwrap_or_default();
            let orders = design.systems[number].iter().map(|order| order.iter().map(place).collect()).collect();
            let seconds = film.length.as_secs_f64();
            page_films.push(PageFilm { id: id.clone(), seconds, pieces: sorted_names, orders });
            key_films.push(KeyFilm { id, name: film.name.clone(), pieces });
            bar.inc(1);
        }
        bar.finish_and_clear();

        let page = Page {
            format: FORMAT,
            study: study.clone(),
            title: self.title.clone(),
            intro: paragraphs.collect(),
            per_rater,
            films: page_films,
            orders: design.films,
            training: examples.to_vec(),
            checks: checks.to_vec(),
        };
        let key = Key {
            format: FORMAT,
            study,
            title: self.title.clone(),
            seed: self.seed,
            systems: self.systems.iter().map(|system| system.name.clone()).collect(),
            per_rater,
            films: key_films,
            checks: checks.iter().cloned().zip(numbers).collect(),
        };
        fs::write(folder.join("index.html"), html(&page)?).with_context(|| self.out.display().to_string())?;
        let Studio { mut drafts, .. } = studio;
        let draft = drafts.of(&key_path).with_context(|| key_path.display().to_string())?;
        fs::write(draft, serde_json::to_string_pretty(&key)? + "\n").with_context(|| key_path.display().to_string())?;
        drafts.finish()?;
        let pieces = many * self.systems.len();
        vmt_files::print(format_args!(
            "{}: {many} films with {pieces} pieces; open {} or run: vmt-train study serve {}\n{}: the key, which `study score` \
             needs; keep it to yourself",
            self.out.display(),
            self.out.join("index.html").display(),
            self.out.display(),
            key_path.display()
        ))?;
        Ok(())
    }

    /// What can be known before anything is read.
    fn check(&self, key: &Path) -> Result<()> {
        let count = self.systems.len();
        ensure((2..=8).contains(&count), format!("--system: there must be 2 to 8, but there are {count}"))?;
        for (index, system) in self.systems.iter().enumerate() {
            if self.systems[..index].iter().any(|other| other.name == system.name) {
                let problem = format!("--system: each must have a name of its own, but two are called {}", system.name);
                return Err(wrong(problem).into());
            }
        }
        let loudness = self.loudness;
        ensure((-40.0..=-12.0).contains(&loudness), format!("--loudness: must be -40 to -12, but is {loudness}"))?;
        for path in [&self.out, key] {
            let there = path.symlink_metadata().is_ok();
            ensure(!there, format!("{}: must be new, but is there already; name another", path.display()))?;
            check_output(path, &[])?;
        }
        let [out, place] = [&self.out, key].map(vmt_files::place);
        let inside = matches!((out, place), (Ok(out), Ok(place)) if place.starts_with(&out));
        ensure(!inside, format!("--key: must be outside of {}, which raters get", self.out.display()))?;
        vmt_video::check_excerpt(&self.out.with_added_extension("mp4")).map_err(wrong)?;
        Ok(())
    }
}

/// The study as a page.
///
/// # Errors
/// Where it cannot be written as JSON.
pub fn html(page: &Page) -> Result<String> {
    // Nothing ends the element that it stands in.
    let json = serde_json::to_string(page)?.replace('<', "\\u003c");
    Ok(TEMPLATE.replacen(PLACE, &json, 1))
}

/// The study that a page holds.
///
/// # Errors
/// Where it holds none of this version.
pub fn read_page(html: &str) -> Result<Page> {
    let json = html.split_once("<script id=\"study\" type=\"application/json\">");
    let json = json.and_then(|(_, rest)| rest.split_once("</script>")).context("it holds no study")?.0;
    let page: Page = serde_json::from_str(json).context("its study is not of this version")?;
    anyhow::ensure!(page.format == FORMAT, "its study must have format {FORMAT}, but has {}", page.format);
    Ok(page)
}

/// Random ids of files, by the seed and by what the study is of.
struct Ids(Stream);

impl Ids {
    fn new(args: &MakeArgs, films: &[Film]) -> Self {
        let names: Vec<&str> =
            films.iter().map(|film| &film.name[..]).chain(args.systems.iter().map(|it| &it.name[..])).collect();
        let what = format!("ids of {}: {}", args.title, names.join("/"));
        Self(Stream::new(args.seed, &what, &[args.checks.into(), args.per_rater.unwrap_or(0).into()]))
    }

    fn next(&mut self) -> String {
        format!("{:012x}", self.0.number() >> 16)
    }
}

struct Studio {
    drafts: Drafts,
    /// Beside which scratch files are.
    out: PathBuf,
    media: PathBuf,
}

impl Studio {
    /// Writes `film` once for each of the `sounds`.
    fn write(&mut self, film: &Film, names: &[String], sounds: &[Sound]) -> Result<()> {
        let pictures = self.drafts.scratch(&self.out, "mp4")?;
        vmt_video::encode_pictures(&film.path, film.length, &pictures)?;
        for (name, sound) in names.iter().zip(sounds) {
            vmt_video::encode_excerpt(&pictures, sound, &self.media.join(name).with_extension("mp4"))?;
        }
        fs::remove_file(&pictures)?;
        Ok(())
    }
}

/// Piano music for the training example, at most ten seconds: a phrase, and repeated low notes, which listeners of the paper's study
/// took for drums.
fn example(length: Duration) -> Result<Score> {
    let steps = vmt::steps(length).min(1000);
    let phrase =
        [67, 69, 71, 74, 72, 71, 69, 67].iter().enumerate().map(|(at, &pitch)| (at as u32 * 25, 40, pitch, 80));
    let drums = (0..16).map(|at| (at * 12 + 6, 10, if at % 4 == 0 { 36 } else { 43 }, 95));
    let of = |begin: u32, notes: Vec<(u32, u32, u8, u8)>| {
        notes.into_iter().map(move |(at, lasts, pitch, velocity)| (begin + at, lasts, pitch, velocity))
    };
    let parts = [phrase.clone().collect::<Vec<_>>(), drums.collect(), phrase.collect(), Vec::new()];
    let notes = parts.into_iter().enumerate().flat_map(|(number, notes)| of(number as u32 * 220, notes));
    let mut notes: Vec<Note> = notes
        .filter(|(start, ..)| start + 1 < steps)
        .filter_map(|(start, lasts, pitch, velocity)| {
            Some(Note { start, end: (start + lasts).min(steps), pitch: Pitch::new(pitch)?, velocity })
        })
        .collect();
    notes.sort_by_key(|note| (note.start, note.pitch));
    Ok(Score::new(notes, length)?)
}
