//! What comes out.

use std::fs::File;
use std::io::{BufWriter, Cursor, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use pyo3::exceptions::{PyFileExistsError, PyImportError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use vmt::{STEPS_PER_SECOND, midi};
use vmt_files::Drafts;
use vmt_render::{Provenance, Record, SoundFont};

use crate::error::Failure;
use crate::numpy;
use crate::signals::Heeding;

/// Music for a film, and how it was made.
#[pyclass(frozen, module = "vmt")]
#[derive(Clone)]
pub struct Composition {
    music: vmt::Composition,
    provenance: Provenance,
}

/// The nearest number: 1.84 for 1.84 s.
pub fn seconds(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e9
}

/// So many steps in seconds.
pub fn step_seconds(steps: u32) -> f64 {
    f64::from(steps) / f64::from(STEPS_PER_SECOND)
}

/// Minutes of sound that a notebook carries at most: 11.5 MB each.
const HEARD_MINUTES: u64 = 5;

/// The widest piano roll, in columns: a gigabyte.
const MAX_COLUMNS: usize = 1 << 20;

impl Composition {
    pub fn new(music: vmt::Composition, provenance: &Provenance) -> Self {
        let provenance = Provenance { take: music.take, ..provenance.clone() };
        Self { music, provenance }
    }

    fn render(&self, kind: Kind) -> Result<Vec<u8>, Failure> {
        let (score, provenance) = (&self.music.score, &self.provenance);
        let conductor = provenance.conductor();
        let conductor = conductor.as_ref();
        Ok(match kind {
            Kind::Midi => provenance.midi(score)?,
            Kind::MusicXml => provenance.musicxml(score).into(),
            Kind::Mxl => vmt_render::mxl(&provenance.musicxml(score))?,
            Kind::Svg => vmt_render::piano_roll_svg(score, None, conductor)?.into(),
            Kind::Png => vmt_render::piano_roll_png(score, None, conductor)?,
            Kind::Json => Record::new(score, provenance.clone()).to_json()?.into(),
            Kind::Wav => {
                let mut wav = Vec::new();
                self.play(None, Cursor::new(Vec::new()), &mut wav)?;
                wav
            }
        })
    }

    /// Writes the sound of `soundfont`, or the piano inside, to `out`.
    fn play(
        &self,
        soundfont: Option<&Path>,
        scratch: impl Read + Write + Seek,
        out: impl Write,
    ) -> Result<(), Failure> {
        let font = match soundfont {
            Some(path) => {
                let file = File::open(path).map_err(|error| Failure::io(path, &error))?;
                let named = |error| Failure::other(format!("{}: {error}", path.display()));
                SoundFont::read(file).map_err(named)?
            }
            None => piano()?,
        };
        vmt_render::wav(&self.music.score, &font, Heeding::new(scratch), Heeding::new(out))?;
        Ok(())
    }

    /// Writes a file of `kind` to `draft`.
    fn write(&self, kind: Kind, soundfont: Option<&Path>, draft: &Path) -> Result<(), Failure> {
        let at = |error| Failure::io(draft, &error);
        if kind != Kind::Wav {
            return std::fs::write(draft, self.render(kind)?).map_err(at);
        }
        let scratch = tempfile::tempfile_in(vmt_files::parent(draft)).map_err(at)?;
        let mut file = BufWriter::new(File::create(draft).map_err(at)?);
        self.play(soundfont, scratch, &mut file)?;
        file.flush().map_err(at)
    }
}

/// Read once: to try each of its notes takes a while.
#[cfg(feature = "piano")]
fn piano() -> Result<SoundFont, Failure> {
    static PIANO: std::sync::LazyLock<SoundFont> = std::sync::LazyLock::new(SoundFont::piano);
    Ok(PIANO.clone())
}

#[cfg(not(feature = "piano"))]
fn piano() -> Result<SoundFont, Failure> {
    Err(Failure::value("soundfont must be the path of one: this package was built without its piano"))
}

/// What music can be written as.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Midi,
    Wav,
    MusicXml,
    Mxl,
    Png,
    Svg,
    Json,
}

impl Kind {
    const ALL: [(&str, Self); 9] = [
        ("mid", Self::Midi),
        ("midi", Self::Midi),
        ("wav", Self::Wav),
        ("musicxml", Self::MusicXml),
        ("xml", Self::MusicXml),
        ("mxl", Self::Mxl),
        ("png", Self::Png),
        ("svg", Self::Svg),
        ("json", Self::Json),
    ];

    fn of(path: &Path) -> Result<Self, Failure> {
        let extension = path.extension().unwrap_or_default();
        let known = Self::ALL.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known));
        known.map(|(_, kind)| *kind).ok_or_else(|| {
            let all = Self::ALL.map(|(extension, _)| format!(".{extension}")).join(", ");
            Failure::value(format!("{}: must end in one of {all}", path.display()))
        })
    }
}

#[pymethods]
impl Composition {
    /// The notes.
    #[getter]
    fn notes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let seconds = |step| step_seconds(step).to_le_bytes();
        let mut bytes = Vec::new();
        for note in self.music.score.notes() {
            bytes.extend(seconds(note.start));
            bytes.extend(seconds(note.end));
            bytes.extend([note.pitch.get(), note.velocity]);
        }
        numpy::array(py, &bytes, [("start", "<f8"), ("end", "<f8"), ("pitch", "u1"), ("velocity", "u1")])
    }

    /// Seconds.
    #[getter]
    fn duration(&self) -> f64 {
        seconds(self.music.score.duration())
    }

    /// Beats a minute.
    #[getter]
    fn bpm(&self) -> f64 {
        self.provenance.tempo
    }

    /// Which of the takes.
    #[getter]
    fn take(&self) -> usize {
        self.music.take
    }

    /// Whether the film's end was reached.
    #[getter]
    fn complete(&self) -> bool {
        self.music.complete
    }

    /// Per event.
    #[getter]
    fn log_probability(&self) -> f64 {
        self.music.log_probability
    }

    /// What takes are sorted by.
    #[getter]
    fn rank(&self) -> f64 {
        self.music.rank.total()
    }

    /// A MIDI file, with bars, key and hit points of the click track where there is one.
    fn midi<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyBytes>, Failure> {
        Ok(PyBytes::new(py, &self.render(Kind::Midi)?))
    }

    /// A grand piano, 16-bit stereo at 48 kHz, or that of an SF2 file; at most 6 hours.
    #[pyo3(signature = (soundfont=None))]
    fn wav<'py>(&self, py: Python<'py>, soundfont: Option<PathBuf>) -> Result<Bound<'py, PyBytes>, Failure> {
        let mut wav = Vec::new();
        py.detach(|| self.play(soundfont.as_deref(), Cursor::new(Vec::new()), &mut wav))?;
        Ok(PyBytes::new(py, &wav))
    }

    /// A score for two hands.
    fn musicxml(&self) -> String {
        self.provenance.musicxml(&self.music.score)
    }

    /// A piano roll.
    fn svg(&self, py: Python<'_>) -> Result<String, Failure> {
        let svg = py.detach(|| self.render(Kind::Svg))?;
        Ok(String::from_utf8_lossy(&svg).into_owned())
    }

    /// A piano roll.
    fn png<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyBytes>, Failure> {
        let png = py.detach(|| self.render(Kind::Png))?;
        Ok(PyBytes::new(py, &png))
    }

    /// A record of how the music was made, which `vmt compose --from` renders again.
    fn json(&self) -> Result<String, Failure> {
        Ok(String::from_utf8_lossy(&self.render(Kind::Json)?).into_owned())
    }

    /// How the music was made, as a dictionary.
    fn record<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>, Failure> {
        Ok(py.import("json")?.call_method1("loads", (self.json()?,))?)
    }

    /// Sums of velocities, [128, columns], fs columns a second, up to the end of the last note: pretty_midi's of the MIDI file.
    #[pyo3(signature = (fs=100.0))]
    fn piano_roll<'py>(&self, py: Python<'py>, fs: f64) -> Result<Bound<'py, PyAny>, Failure> {
        let notes = midi::read(&self.render(Kind::Midi)?, midi::Sustain::Ignore)?;
        // 113.999999999 is 114, which floating point missed.
        let column = |seconds: f64| (seconds * fs + 1e-6) as usize;
        let columns = notes.iter().map(|note| column(note.end)).max().unwrap_or(0);
        if !(fs.is_finite() && fs > 0.0 && columns <= MAX_COLUMNS) {
            let problem = format!("fs must be columns a second, above 0, of {MAX_COLUMNS} in all, but is {fs}");
            return Err(Failure::value(problem));
        }
        let mut roll = vec![0.0_f64; 128 * columns];
        for note in &notes {
            let row = columns * usize::from(note.pitch);
            for cell in &mut roll[row + column(note.start)..row + column(note.end)] {
                *cell += f64::from(note.velocity);
            }
        }
        let bytes: Vec<u8> = roll.into_iter().flat_map(f64::to_le_bytes).collect();
        Ok(numpy::array(py, &bytes, "<f8")?.call_method1("reshape", (128, columns))?)
    }

    /// A pretty_midi.PrettyMIDI.
    fn to_pretty_midi<'py>(&self, py: Python<'py>) -> Result<Bound<'py, PyAny>, Failure> {
        let pretty_midi = py.import("pretty_midi").map_err(|error| {
            let missing = PyImportError::new_err("to_pretty_midi needs pretty_midi: pip install pretty_midi");
            missing.set_cause(py, Some(error));
            missing
        })?;
        let file = py.import("io")?.call_method1("BytesIO", (self.midi(py)?,))?;
        Ok(pretty_midi.call_method1("PrettyMIDI", (file,))?)
    }

    /// Writes a file by its extension: .mid, .midi, .wav, .musicxml, .xml, .mxl, .png, .svg or .json.
    #[pyo3(signature = (path, *, overwrite=false, soundfont=None))]
    fn save(&self, py: Python<'_>, path: PathBuf, overwrite: bool, soundfont: Option<PathBuf>) -> Result<(), Failure> {
        let kind = Kind::of(&path)?;
        if soundfont.is_some() && kind != Kind::Wav {
            return Err(Failure::value("soundfont is for .wav"));
        }
        if vmt_files::is_same(&path, self.provenance.film.path()) {
            return Err(Failure::value(format!("{}: is the film, which must stay", path.display())));
        }
        if !overwrite && path.symlink_metadata().is_ok() {
            let problem = format!("{}: exists; overwrite=True replaces it", path.display());
            return Err(PyFileExistsError::new_err(problem).into());
        }
        py.detach(|| {
            let mut drafts = Drafts::default();
            let draft = drafts.of(&path).map_err(|error| Failure::io(&path, &error))?;
            self.write(kind, soundfont.as_deref(), &draft)?;
            Ok(drafts.finish()?)
        })
    }

    fn __repr__(&self) -> String {
        let (notes, model) = (self.music.score.notes().len(), &self.provenance.model.name);
        let stopped = if self.music.complete { "" } else { ", stopped" };
        format!("<vmt.Composition: {notes} notes in {:.2} s by {model}{stopped}>", self.duration())
    }

    fn _repr_html_(&self, py: Python<'_>) -> Result<String, Failure> {
        py.detach(|| {
            let heard = cfg!(feature = "piano") && self.music.score.duration().as_secs() < 60 * HEARD_MINUTES;
            let sound = if heard {
                let wav = BASE64_STANDARD.encode(self.render(Kind::Wav)?);
                format!("<audio controls style=\"width: 100%\" src=\"data:audio/wav;base64,{wav}\"></audio>")
            } else {
                String::new()
            };
            let roll = BASE64_STANDARD.encode(self.render(Kind::Svg)?);
            let roll =
                format!("<img style=\"width: 100%\" alt=\"piano roll\" src=\"data:image/svg+xml;base64,{roll}\">");
            Ok(format!("<div>{roll}{sound}</div>"))
        })
    }
}
