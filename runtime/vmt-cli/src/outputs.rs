//! What `vmt compose -o` can write, chosen by extension: everything is rendered before anything is renamed.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::builder::{OsStringValueParser, TypedValueParser};
use vmt::{Clip, Conditions, Conductor, Geometry, Score, Tempo, Window, midi};
use vmt_files::Drafts;
use vmt_render::{Film, Provenance, Record, SoundFont};

use crate::{image_sequence, paths, usage};

/// The files to write, and how the music is rendered in them
#[derive(Clone, clap::Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// The file to write: .mid, .wav or .mp3, .mp4, .mkv or .mov (the film with its music), .png or .svg (a piano
    /// roll), .musicxml or .mxl, or .json; may be given several times. Existing files are replaced, but never an input. - writes
    /// MIDI to standard output; for a folder of films, it is a folder
    #[arg(short, long, value_name = "FILE", required_unless_present_any = ["events", "plan"])]
    #[arg(value_parser = OsStringValueParser::new().try_map(Output::new))]
    output: Vec<Output>,
    /// What to write for each film of a folder [default: mid]
    #[arg(long, value_name = "EXTENSION", value_delimiter = ',', value_parser = Kind::ALL.map(|(extension, _)| extension))]
    format: Vec<String>,
    /// Print each event as it is decoded: one line of JSON, with its time in seconds
    #[arg(long, conflicts_with = "takes")]
    pub events: bool,
    /// Compose N takes side by side, 1-1024, and keep the best
    #[arg(long, value_name = "N", default_value = "1", value_parser = usage::count(vmt::MAX_TAKES))]
    pub takes: NonZeroUsize,
    /// Rank takes last that copy: whose melody shares more than 10 notes in a row, in any key and tempo, with a MIDI file in this
    /// folder, such as the songs that the model learned from. Says which
    #[arg(long, value_name = "DIR")]
    pub songs: Option<PathBuf>,
    /// Keep the other takes too, from the second best: FILE.2.mid, FILE.3.mid, ...
    #[arg(long)]
    keep_takes: bool,
    /// Beats per minute of --tempo or the click track.
    #[arg(skip)]
    pub tempo: Option<f64>,
    /// Print the click track (tempi, hit points and how far beats miss them) without composing
    #[arg(long, conflicts_with_all = ["output", "events", "takes", "snap"])]
    pub plan: bool,
    /// Move each note to the nearest sixteenth of --tempo
    #[arg(long)]
    pub snap: bool,
    /// Write the right and the left hand as two tracks of .mid, and beside .wav each of them alone: FILE.right.wav and
    /// FILE.left.wav, as loud as in the whole
    #[arg(long)]
    hands: bool,
    /// The piano of .wav, .mp4, .mkv and .mov [default: the soundfont inside this program]
    #[arg(long, value_name = "FILE.sf2")]
    soundfont: Option<PathBuf>,
    /// Volume of the film's own sound under the music in .mp4, .mkv and .mov, 0-1
    #[arg(long, value_name = "X")]
    original_volume: Option<f32>,
    /// Show frames of the film along the time axis of .png and .svg
    #[arg(long)]
    thumbnails: bool,
    /// Say nothing but what is wrong
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more: libraries, threads and all options of the decoding
    #[arg(short, long)]
    pub verbose: bool,
}

/// A file to write.
#[derive(Clone, Debug, PartialEq)]
struct Output {
    path: PathBuf,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Midi,
    Wav,
    /// One of the two hands as sound: 0 is the right one.
    Stem(usize),
    Mp3,
    Film,
    Png,
    Svg,
    MusicXml,
    Mxl,
    Json,
    Folder,
}

impl Kind {
    const ALL: [(&str, Self); 13] = [
        ("mid", Self::Midi),
        ("midi", Self::Midi),
        ("wav", Self::Wav),
        ("mp3", Self::Mp3),
        ("mp4", Self::Film),
        ("mkv", Self::Film),
        ("mov", Self::Film),
        ("png", Self::Png),
        ("svg", Self::Svg),
        ("musicxml", Self::MusicXml),
        ("xml", Self::MusicXml),
        ("mxl", Self::Mxl),
        ("json", Self::Json),
    ];

    /// Whether it holds the music as sound.
    fn has_sound(self) -> bool {
        matches!(self, Self::Wav | Self::Mp3 | Self::Film)
    }
}

impl Output {
    fn new(path: OsString) -> Result<Self, String> {
        let names_folder = path.as_encoded_bytes().ends_with(b"/");
        let path = PathBuf::from(path);
        let several =
            path.to_str().is_some_and(|path| path.split(',').filter(|name| known(name.as_ref()).is_some()).count() > 1);
        if several {
            return Err("each file has a -o of its own, as in -o a.mid -o b.wav".to_owned());
        }
        let kind = match known(&path) {
            _ if paths::is_standard(&path) => Kind::Midi,
            _ if names_folder => Kind::Folder,
            Some(kind) => kind,
            None if path.extension().is_none() || path.is_dir() => Kind::Folder,
            None => return Err(must_end()),
        };
        Ok(Self { path, kind })
    }

    /// Where the take of this number goes; the best is number 1.
    fn numbered(&self, number: usize) -> Self {
        let extension = self.path.extension().unwrap_or_default().to_string_lossy();
        let path =
            if number == 1 { self.path.clone() } else { self.path.with_extension(format!("{number}.{extension}")) };
        Self { path, kind: self.kind }
    }
}

/// The kind of file that the extension of `path` stands for.
fn known(path: &Path) -> Option<Kind> {
    let extension = path.extension()?;
    Kind::ALL.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known)).map(|(_, kind)| *kind)
}

/// Whether `path` is, by its name, a file that we write.
#[cfg(feature = "video")]
pub fn is_output(path: &Path) -> bool {
    known(path).is_some()
}

fn must_end() -> String {
    format!("must end in one of {}", Kind::ALL.map(|(extension, _)| format!(".{extension}")).join(", "))
}

impl OutputArgs {
    /// The files to be written: for each take that is kept, the best first.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.numbered().flatten().map(|output| output.path).collect()
    }

    fn numbered(&self) -> impl DoubleEndedIterator<Item = Vec<Output>> {
        let kept = if self.keep_takes { self.takes.get() } else { 1 };
        (1..=kept).map(|number| {
            let outputs = self.output.iter().map(|output| output.numbered(number));
            outputs.flat_map(|output| [output.clone()].into_iter().chain(self.stems(&output))).collect()
        })
    }

    /// The sound of each hand alone, beside a WAV file.
    fn stems(&self, output: &Output) -> impl Iterator<Item = Output> + use<> {
        let path = (self.hands && output.kind == Kind::Wav).then(|| output.path.clone());
        let stem = |path: PathBuf| {
            ["right", "left"].map(|hand| path.with_extension(format!("{hand}.wav"))).into_iter().enumerate()
        };
        path.into_iter().flat_map(stem).map(|(hand, path)| Output { path, kind: Kind::Stem(hand) })
    }

    /// The folder that -o names for a folder of films.
    #[cfg(feature = "video")]
    pub fn folder(&self) -> Result<&Path> {
        match self.output.as_slice() {
            [Output { path, kind: Kind::Folder }] if !self.events => Ok(path),
            _ => Err(usage::wrong("a folder of films needs one folder to write to: -o FOLDER/").into()),
        }
    }

    /// The same for one film of a folder.
    #[cfg(feature = "video")]
    pub fn of(&self, film: &Path, folder: &Path) -> Self {
        let name = folder.join(film.file_stem().unwrap_or_default());
        let mid = || [Kind::ALL[0].0.to_owned()].to_vec();
        let formats = if self.format.is_empty() { mid() } else { self.format.clone() };
        let output = |format: &String| {
            let path = name.with_added_extension(format);
            Output { kind: known(&path).unwrap_or(Kind::Midi), path }
        };
        Self { output: formats.iter().map(output).collect(), format: Vec::new(), ..self.clone() }
    }

    /// Beats per minute.
    pub fn bpm(&self) -> f64 {
        self.tempo.unwrap_or(120.0)
    }

    /// The same, with this tempo.
    pub fn with_tempo(&self, tempo: Option<f64>) -> Self {
        Self { tempo, ..self.clone() }
    }

    /// How beats are counted.
    pub fn tempo(&self) -> Result<Tempo> {
        let tempo = Tempo::new(self.bpm())?;
        Ok(if self.snap { tempo.snapped() } else { tempo })
    }

    /// Whether standard output is for something else than the summary.
    pub fn piped(&self) -> bool {
        self.events || self.output.iter().any(|output| paths::is_standard(&output.path))
    }

    /// Prints a line of the summary where standard output is not for something else.
    pub fn say(&self) -> impl Fn(String) -> Result<()> + use<> {
        let (piped, quiet) = (self.piped(), self.quiet);
        move |line| {
            if quiet {
                return Ok(());
            }
            if piped {
                vmt_files::warn(line);
                return Ok(());
            }
            Ok(vmt_files::print(line)?)
        }
    }

    /// Finds what would go wrong after minutes of work, before it. The music is for the film from `start` on; `inputs` are
    /// the files besides the film and the soundfont that no output may replace.
    pub fn check(&self, film: &Film, start: Duration, inputs: &[PathBuf]) -> Result<Prepared> {
        let prepared = self.check_call(film, start, inputs)?;
        #[cfg(feature = "video")]
        for Output { path, .. } in self.output.iter().filter(|output| output.kind == Kind::Film) {
            check_mux(film.path(), start, path, self.original_volume.unwrap_or(0.0))?;
        }
        Ok(prepared)
    }

    /// The same but for what lies in the film itself.
    pub fn check_call(&self, film: &Film, start: Duration, inputs: &[PathBuf]) -> Result<Prepared> {
        self.tempo()?;
        let source = film.path();
        let named = self.soundfont.iter().chain(inputs).cloned();
        let inputs: Vec<_> = [source.to_owned()].into_iter().chain(named).collect();
        let streamed = matches!(film, Film::Frames { folder, .. } if paths::is_standard(folder));
        #[cfg(feature = "video")]
        let streamed = streamed || matches!(film, Film::Video(video) if !vmt_video::can_be_read_again(video));
        usage::ensure(self.format.is_empty(), "--format is for a folder of films")?;
        let pipes = self.output.iter().filter(|output| paths::is_standard(&output.path)).count();
        let one = pipes + usize::from(self.events) <= 1 && (pipes == 0 || !self.keep_takes);
        usage::ensure(one, "standard output takes one thing: --events, or the best take's MIDI")?;
        let mut places = HashSet::new();
        for path in self.paths().iter().filter(|path| !paths::is_standard(path)) {
            paths::check(path, &inputs)?;
            let is_new = places.insert(vmt_files::place(path)?);
            usage::ensure(is_new, format!("{}: is to be written twice", path.display()))?;
        }
        for Output { path, kind } in &self.output {
            let path_is = |problem: &str| format!("{}: {problem}", path.display());
            usage::ensure(*kind != Kind::Folder, path_is(&must_end()))?;
            let is_frame = *kind == Kind::Png && vmt_files::is_same(source, vmt_files::parent(path));
            usage::ensure(!is_frame, path_is("would be one of the --frames of the next call; choose another folder"))?;
            #[cfg(feature = "video")]
            if *kind == Kind::Mp3 {
                vmt_video::check_mp3(path).map_err(usage::wrong)?;
            }
            if *kind == Kind::Film {
                let is_video = matches!(film, Film::Video(_));
                usage::ensure(is_video, path_is("needs a video to copy, not --frames"))?;
                let begins = start.is_zero() || path.extension().is_some_and(|kind| !kind.eq_ignore_ascii_case("mkv"));
                usage::ensure(begins, path_is("only an .mp4 can begin at any frame; give no --start, or write .mp4"))?;
            }
        }
        let wants = |kinds: &[Kind]| self.output.iter().any(|output| kinds.contains(&output.kind));
        let sound = self.output.iter().any(|output| output.kind.has_sound());
        usage::ensure(sound || self.soundfont.is_none(), "--soundfont: there is no sound or film to write")?;
        let copies = wants(&[Kind::Film]);
        usage::ensure(
            copies || self.original_volume.is_none(),
            "--original-volume: there is no .mp4, .mkv or .mov to write",
        )?;
        let volume = self.original_volume.unwrap_or(0.0);
        usage::ensure((0.0..=1.0).contains(&volume), format!("--original-volume: must be 0 to 1, but is {volume}"))?;
        let midi = wants(&[Kind::Midi]);
        usage::ensure(midi || wants(&[Kind::Wav]) || !self.hands, "--hands: there is no .mid or .wav to write")?;
        let roll = wants(&[Kind::Png, Kind::Svg]);
        usage::ensure(roll || !self.thumbnails, "--thumbnails: there is no .png or .svg to write")?;
        let again = "--thumbnails: the film must be read twice, and a pipe cannot: save it to a file first";
        usage::ensure(!(streamed && self.thumbnails), again)?;
        Ok(Prepared { font: sound.then(|| self.font()).transpose()? })
    }

    /// Whether the film itself is needed, besides its music.
    pub fn show_film(&self) -> bool {
        self.thumbnails || self.output.iter().any(|output| output.kind == Kind::Film)
    }

    fn font(&self) -> Result<SoundFont> {
        let Some(path) = &self.soundfont else { return Ok(SoundFont::piano()) };
        let at = || path.display().to_string();
        SoundFont::read(BufReader::new(File::open(path).with_context(at)?)).with_context(at)
    }

    /// Writes all files of the takes, the best of which is the first: each appears under its name, complete, after all
    /// of them have been rendered. Those of the best come last: once they are there, all are.
    pub fn write(&self, prepared: &Prepared, takes: &[(&Score, Provenance)]) -> Result<()> {
        let thumbnails = match (self.thumbnails, takes) {
            (true, [(score, provenance), ..]) => Some(thumbnails(provenance, score.duration())?),
            _ => None,
        };
        let mut drafts = Drafts::default();
        // A file that cannot be written does not take the others with it.
        let (mut written, mut failed) = (Vec::new(), Vec::new());
        for (mut outputs, (score, provenance)) in self.numbered().zip(takes) {
            outputs.retain(|output| !paths::is_standard(&output.path));
            let mut sound = Sound::default();
            // One soundtrack for all that have it.
            if let Some(Output { path, .. }) = outputs.iter().find(|output| output.kind.has_sound()) {
                let made = drafts.scratch(path, "wav").map_err(anyhow::Error::from);
                match made.and_then(|sound| prepared.sound(score, sound)).with_context(|| path.display().to_string()) {
                    Ok(made) => sound = made,
                    Err(error) => {
                        failed.push(error);
                        outputs.retain(|output| !output.kind.has_sound() && !matches!(output.kind, Kind::Stem(_)));
                    }
                }
            }
            let material = Material {
                score,
                provenance,
                sound: &sound,
                font: prepared.font.as_ref(),
                thumbnails: thumbnails.as_ref(),
            };
            for Output { path, kind } in outputs {
                let draft = drafts.of(&path).map_err(anyhow::Error::from);
                let rendered = draft
                    .and_then(|draft| self.render(kind, &material, &draft).inspect_err(|_| drafts.abandon(&draft)));
                match rendered.with_context(|| path.display().to_string()) {
                    Ok(()) => written.push(path),
                    Err(error) => failed.push(error),
                }
            }
        }
        drafts.finish()?;
        if let (true, false, [(score, provenance), ..]) = (self.piped(), self.events, takes) {
            vmt_files::print_bytes(&self.midi(score, provenance)?)?;
        }
        let written = written.iter().map(|path| format!("{} was written", path.display()));
        let problems: Vec<_> = failed.iter().map(|error| format!("{error:#}")).chain(written).collect();
        ensure!(failed.is_empty(), "{}", problems.join("; "));
        Ok(())
    }

    /// Renders one file of a take.
    fn render(&self, kind: Kind, material: &Material, draft: &Path) -> Result<()> {
        let Material { score, provenance, sound, font, thumbnails } = *material;
        let conductor = provenance.conductor();
        let conductor = conductor.as_ref();
        let bytes = match kind {
            Kind::Midi => self.midi(score, provenance)?,
            Kind::Png => vmt_render::piano_roll_png(score, thumbnails, conductor)?,
            Kind::Svg => vmt_render::piano_roll_svg(score, thumbnails, conductor)?.into(),
            Kind::MusicXml | Kind::Mxl => {
                let document = provenance.musicxml(score);
                if kind == Kind::Mxl { vmt_render::mxl(&document)? } else { document.into() }
            }
            Kind::Json => Record::new(score, provenance.clone()).to_json()?.into(),
            Kind::Wav => return Ok(fs::copy(&sound.path, draft).map(|_| ())?),
            Kind::Stem(hand) => {
                let font = font.context("no soundfont was read")?;
                let mut file = BufWriter::new(File::create(draft)?);
                vmt_render::stem(&vmt_render::hands(score)?[hand], font, sound.gain, &mut file)?;
                return Ok(file.flush()?);
            }
            Kind::Mp3 => return mp3(&sound.path, draft),
            Kind::Film => return self.film(draft, &sound.path, provenance),
            Kind::Folder => anyhow::bail!("is a folder"),
        };
        Ok(fs::write(draft, bytes)?)
    }

    /// With bars, key and hit points where the music was composed to beats.
    fn midi(&self, score: &Score, provenance: &Provenance) -> Result<Vec<u8>> {
        if !self.hands {
            return Ok(provenance.midi(score)?);
        }
        let tempo = self.tempo()?;
        let steady =
            || Conductor { beats: Conditions::steady_beats(tempo, 4, score.duration()), ..Conductor::default() };
        let [right, left] = vmt_render::hands(score)?;
        let conductor = provenance.conductor().unwrap_or_else(steady);
        Ok(midi::write_parts(&[("Right hand", &right), ("Left hand", &left)], &conductor)?)
    }

    #[cfg(feature = "video")]
    fn film(&self, draft: &Path, sound: &Path, provenance: &Provenance) -> Result<()> {
        let Film::Video(video) = &provenance.film else { anyhow::bail!("there is no video to copy") };
        let volume = self.original_volume.unwrap_or(0.0);
        vmt_video::mux(video, provenance.range().start, sound, draft, volume).map_err(of_draft)
    }

    #[cfg(not(feature = "video"))]
    fn film(&self, _: &Path, _: &Path, _: &Provenance) -> Result<()> {
        anyhow::bail!("this program was built without FFmpeg")
    }
}

/// What the files of a take are made of.
struct Material<'a> {
    score: &'a Score,
    provenance: &'a Provenance,
    /// The soundtrack, where a file needs one.
    sound: &'a Sound,
    font: Option<&'a SoundFont>,
    thumbnails: Option<&'a Clip>,
}

#[cfg(feature = "video")]
fn mp3(sound: &Path, draft: &Path) -> Result<()> {
    vmt_video::encode_mp3(sound, draft).map_err(of_draft)
}

#[cfg(not(feature = "video"))]
fn mp3(_: &Path, _: &Path) -> Result<()> {
    anyhow::bail!("this program was built without FFmpeg")
}

/// An error without the draft's name, which the user did not choose.
#[cfg(feature = "video")]
fn of_draft(error: vmt_video::Error) -> anyhow::Error {
    match error {
        vmt_video::Error::Mux { reason, .. } => anyhow::anyhow!("cannot be written: {reason}"),
        error => error.into(),
    }
}

/// A wrong call where the film cannot be copied to `out`.
#[cfg(feature = "video")]
fn check_mux(film: &Path, start: Duration, out: &Path, volume: f32) -> Result<()> {
    match vmt_video::check_mux(film, start, out, volume) {
        Ok(remark) => {
            if let Some(remark) = remark {
                vmt_files::warn(remark);
            }
            Ok(())
        }
        Err(error @ vmt_video::Error::Unfit { .. }) => Err(usage::wrong(error).into()),
        Err(error) => Err(error.into()),
    }
}

/// A soundtrack as a WAV file, and the gain that it was written with.
#[derive(Default)]
struct Sound {
    path: PathBuf,
    gain: f32,
}

/// What was made ready before the work.
pub struct Prepared {
    font: Option<SoundFont>,
}

impl Prepared {
    /// Writes the soundtrack to `path`, and returns that.
    fn sound(&self, score: &Score, path: PathBuf) -> Result<Sound> {
        let font = self.font.as_ref().context("no soundfont was read")?;
        let scratch = tempfile::tempfile_in(path.parent().context("it has no parent folder")?)?;
        let mut file = BufWriter::new(File::create(&path)?);
        let gain = vmt_render::wav(score, font, scratch, &mut file)?;
        file.flush()?;
        Ok(Sound { path, gain })
    }
}

/// As many frames of the film's part as fit under a piano roll of this `length`; the film is read once more.
fn thumbnails(provenance: &Provenance, length: Duration) -> Result<Clip> {
    const HEIGHT: usize = 144;
    let geometry = |aspect: f64| {
        let frames = vmt_render::thumbnails(length, aspect);
        let width = (HEIGHT as f64 * aspect).round().clamp(16.0, 1024.0) as usize;
        // Rounded up, so that all of it is in one window.
        let frame_ms = (length.as_millis() as u64).div_ceil(frames as u64).max(1);
        Geometry::new(frames, HEIGHT, width, frame_ms).context("the music is too long for --thumbnails")
    };
    let range = provenance.range();
    let first: Option<Result<Window>> = match &provenance.film {
        #[cfg(feature = "video")]
        Film::Video(path) => {
            let video = vmt_video::Video::open(path)?;
            let geometry = geometry(video.aspect())?;
            video.windows_between(range, geometry, geometry.frames()).next().map(|window| Ok(window?))
        }
        #[cfg(not(feature = "video"))]
        Film::Video(_) => None,
        Film::Frames { folder, fps } => {
            let geometry = geometry(image_sequence::aspect(folder)?)?;
            image_sequence::windows(folder, *fps, range, geometry, geometry.frames())?.next()
        }
    };
    Ok(first.context("there is no frame to show")??.clip)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use image::RgbImage;
    use vmt::{Note, Options, Pitch};
    use vmt_render::Model;

    use super::*;

    #[derive(Parser)]
    struct Call {
        #[command(flatten)]
        args: OutputArgs,
    }

    fn parse(call: &str) -> Result<OutputArgs, clap::Error> {
        Call::try_parse_from(call.split_whitespace()).map(|call| call.args)
    }

    /// A folder of red pictures, then blue ones: a second of each.
    fn film(folder: &Path) -> Film {
        for index in 0..8_u8 {
            let colour = if index < 4 { [200, 0, 0] } else { [0, 0, 200] };
            RgbImage::from_pixel(32, 18, colour.into()).save(folder.join(format!("{index}.png"))).unwrap();
        }
        Film::Frames { folder: folder.to_owned(), fps: 4.0 }
    }

    fn provenance(film: Film) -> Provenance {
        let model = Model { name: "none".to_owned(), encoder_sha256: String::new(), decoder_sha256: String::new() };
        Provenance {
            vmt: "0".to_owned(),
            model,
            engine: "none".to_owned(),
            film,
            start: 0.0,
            end: None,
            options: Options::default(),
            takes: 1,
            take: 0,
            tempo: 120.0,
            snapped: false,
            hits: Vec::new(),
        }
    }

    fn score() -> Score {
        let note = |start| Note { start, end: start + 30, pitch: Pitch::new(60).unwrap(), velocity: 80 };
        Score::new(vec![note(0), note(50), note(170)], Duration::from_secs(2)).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_extension_chooses() {
        let kinds = |call| parse(call).map(|args| args.output.iter().map(|output| output.kind).collect::<Vec<_>>());
        assert_eq!(kinds("vmt -o a.mid -o b.WAV -o c.d.json").unwrap(), [Kind::Midi, Kind::Wav, Kind::Json]);
        for bad in ["vmt -o a.flac", "vmt -o a.mid.gz"] {
            let error = kinds(bad).unwrap_err();
            assert!(error.to_string().contains("must end in one of .mid, .midi, .wav, .mp3"), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
        assert_eq!(kinds("vmt").unwrap_err().exit_code(), 2);
    }

    #[test]
    fn what_cannot_work_is_refused_before_the_work() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        fs::write(folder.path().join("film.mp4"), "").unwrap();
        fs::write(folder.path().join("bad.sf2"), "no soundfont").unwrap();
        let check = |film: &Film, call: String, want: &str| {
            let error = match parse(&call).unwrap().check(film, Duration::ZERO, &[]) {
                Ok(_) => panic!("{call}: must be {want}"),
                Err(error) => format!("{error:#}"),
            };
            assert!(error.contains(want), "{error}, not {want}");
        };
        let video = Film::Video(folder.path().join("film.mp4"));
        let frames = Film::Frames { folder: folder.path().to_owned(), fps: 4.0 };
        let (mid, wav, mp4) = (path("a.mid"), path("a.wav"), path("a.mp4"));
        check(&video, "vmt -o mid".into(), "mid: must end in one of .mid, .midi, .wav");
        check(&video, "vmt -o .mid".into(), ".mid: must end in one of .mid, .midi, .wav");
        check(&video, "vmt -o folder.d/".into(), "must end in one of .mid, .midi, .wav");
        check(&video, "vmt -o - --events".into(), "standard output takes one thing");
        check(&video, "vmt -o - -o -".into(), "standard output takes one thing");
        check(&video, "vmt -o - --takes 2 --keep-takes".into(), "standard output takes one thing");
        check(&video, "vmt -o a.mid -o a.2.mid --takes 2 --keep-takes".into(), "a.2.mid: is to be written twice");
        check(&video, "vmt -o a.mid --format wav".into(), "--format is for a folder of films");
        check(&frames, format!("vmt -o {mp4}"), "needs a video to copy, not --frames");
        check(&video, format!("vmt -o {}", path("film.mp4")), "film.mp4: is an input, which must stay");
        check(&video, format!("vmt -o {mid} -o {wav} -o {mid}"), "is to be written twice");
        check(&video, format!("vmt -o {}", path("missing/a.mid")), "No such file");
        check(&video, format!("vmt -o {mid} --soundfont a.sf2"), "--soundfont: there is no sound");
        check(&video, format!("vmt -o {wav} --soundfont {}", path("bad.sf2")), "must be a soundfont");
        check(&video, format!("vmt -o {wav} --original-volume 0.5"), "--original-volume: there is no .mp4");
        check(&video, format!("vmt -o {mp4} --original-volume 1.5"), "must be 0 to 1, but is 1.5");
        check(&video, format!("vmt -o {wav} -o {} --hands", path("a.left.wav")), "is to be written twice");
        check(&video, format!("vmt -o {mp4} --hands"), "--hands: there is no .mid or .wav to write");
        check(&video, format!("vmt -o {mp4} --thumbnails"), "--thumbnails: there is no .png");
    }

    #[test]
    fn all_in_one_call() {
        let pictures = tempfile::tempdir().unwrap();
        let film = film(pictures.path());
        let folder = tempfile::tempdir().unwrap();
        let all = ["a.json", "a.mid", "a.musicxml", "a.png", "a.svg", "a.wav"];
        let outputs = all.map(|name| format!("-o {}", folder.path().join(name).display())).join(" ");
        let args = parse(&format!("vmt {outputs} --thumbnails")).unwrap();
        let prepared = args.check(&film, Duration::ZERO, &[]).unwrap();
        args.write(&prepared, &[(&score(), provenance(film))]).unwrap();
        assert_eq!(names(folder.path()), all);

        let read = |name: &str| fs::read(folder.path().join(name)).unwrap();
        assert_eq!(read("a.mid"), midi::write(&score()).unwrap());
        assert_eq!(read("a.wav").len(), 44 + 2 * 48_000 * 4);
        let text = |name| String::from_utf8(read(name)).unwrap();
        assert_eq!(Record::from_json(&text("a.json")).unwrap().score().unwrap(), score());
        assert_eq!(text("a.svg").matches("<image").count(), 5, "as many thumbnails as fit");
        let roll = image::load_from_memory(&read("a.png")).unwrap().into_rgb8();
        let strip = roll.height() - 2 * 50;
        let [left, right] = [roll.width() / 4, roll.width() * 3 / 4].map(|x| roll.get_pixel(x, strip).0);
        assert!(left[0] > 150 && right[2] > 150, "{left:?} {right:?}");
    }

    #[test]
    fn one_that_fails_leaves_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let film = folder.path().join("film.mkv");
        fs::write(&film, "no film").unwrap();
        let outputs = ["a.mp4", "a.mid", "a.wav"].map(|name| format!("-o {}", folder.path().join(name).display()));
        let args = parse(&format!("vmt {}", outputs.join(" "))).unwrap();
        let prepared = Prepared { font: Some(SoundFont::piano()) };
        let error = args.write(&prepared, &[(&score(), provenance(Film::Video(film)))]).unwrap_err().to_string();
        let at = |name: &str| folder.path().join(name).display().to_string();
        assert!(error.starts_with(&format!("{}: ", at("a.mp4"))), "{error}");
        assert!(error.ends_with(&format!("; {} was written; {} was written", at("a.mid"), at("a.wav"))), "{error}");
        assert_eq!(names(folder.path()), ["a.mid", "a.wav", "film.mkv"]);
    }
}
