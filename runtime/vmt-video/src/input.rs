//! The packets of a file. Rust opens and reads it, FFmpeg asks for its bytes: so a path may hold any bytes, and an error
//! of reading is known as one, which demuxers take for the end.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, Once, PoisonError};

use ffmpeg_next::format::context::StreamIo;
use ffmpeg_next::util::error::{EAGAIN, register_all};
use ffmpeg_next::{Dictionary, Packet, format, log};
use video_rs::{Location, Reader};

use crate::error::Error;

/// The program that writes films, and the reasons of errors.
const FFMPEG: &str = "ffmpeg";

/// FFmpeg's own set-up: its error texts, and no log on standard error.
static SET_UP: Once = Once::new();

/// So many errors in a row are the end of a file. Each packet that is missing behind the end of one that is cut off
/// gives one, and a day has ten million.
const LASTING: usize = 1 << 24;

/// And of a pipe, where seeking in vain gives them for ever.
const LASTING_IN_PIPE: usize = 1 << 10;

pub struct Input {
    path: PathBuf,
    pub reader: Reader,
    failure: Failure,
    seekable: bool,
}

/// The first error of reading.
type Failure = Arc<Mutex<Option<io::Error>>>;

struct Source {
    file: File,
    failure: Failure,
}

impl Read for Source {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.file.read(bytes).map_err(|error| {
            let kept = io::Error::from(error.kind());
            if error.kind() != io::ErrorKind::Interrupted {
                self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
            kept
        })
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl Input {
    /// Opens a file. This turns FFmpeg's log off in the whole process.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let io = |error| Error::Io { path: path.to_owned(), error };
        let unreadable = |reason: &str| Error::Unreadable { path: path.to_owned(), reason: reason.to_owned() };
        let found = fs::metadata(path).map_err(io)?;
        if found.is_dir() {
            return Err(io(io::ErrorKind::IsADirectory.into()));
        }
        if found.is_file() && found.len() == 0 {
            return Err(unreadable("it is empty"));
        }
        SET_UP.call_once(|| {
            register_all();
            log::set_level(log::Level::Quiet);
        });

        let mut file = File::open(path).map_err(io)?;
        let seekable = file.stream_position().is_ok();
        let failure = Failure::default();
        let source = Source { file, failure: failure.clone() };
        let stream = if seekable { StreamIo::from_read_seek(source) } else { StreamIo::from_read(source) };
        // A playlist refers to files only. Presentation times that a container leaves out follow from the others.
        let options = [("protocol_whitelist", "file"), ("fflags", "+genpts")];
        let options: Dictionary = options.into_iter().collect();
        // FFmpeg guesses the format from the name too.
        let name = format!("file:{}", path.display());
        let context = stream.and_then(|stream| format::input_from_stream(stream, Some(&name), Some(options)));
        let context = context.map_err(|error| {
            if let Some(error) = taken(&failure) {
                return io(error);
            }
            let reason = if found.is_file() { reason(path) } else { None };
            let reason = reason.map_or_else(|| error.to_string(), |reason| format!("{reason} ({error})"));
            unreadable(&format!("FFmpeg says: {reason}"))
        })?;
        let reader = Reader { source: Location::File(path.to_owned()), input: context };
        Ok(Self { path: path.to_owned(), reader, failure, seekable })
    }

    /// The next packet of any stream; none at the end. Damage that FFmpeg finds its way behind is passed over.
    pub fn packet(&mut self) -> Result<Option<Packet>, Error> {
        let lasting = if self.seekable { LASTING } else { LASTING_IN_PIPE };
        let mut errors = 0;
        loop {
            let mut packet = Packet::empty();
            let error = match packet.read(&mut self.reader.input) {
                Ok(()) => return Ok(Some(packet)),
                Err(error) => error,
            };
            if let Some(error) = taken(&self.failure) {
                return Err(Error::Io { path: self.path.clone(), error });
            }
            errors += 1;
            match error {
                ffmpeg_next::Error::Eof => return Ok(None),
                ffmpeg_next::Error::InvalidData | ffmpeg_next::Error::Other { errno: EAGAIN } if errors < lasting => {}
                error => {
                    let pipe =
                        ", and a pipe cannot be read again: where the film's index is at its end, save it to a file";
                    let reason = format!("FFmpeg says: {error}{}", if self.seekable { "" } else { pipe });
                    return Err(Error::Unreadable { path: self.path.clone(), reason });
                }
            }
        }
    }

    /// Whether it can be read from any place, and again: it is no pipe.
    pub fn is_seekable(&self) -> bool {
        self.seekable
    }
}

fn taken(failure: &Failure) -> Option<io::Error> {
    failure.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// What FFmpeg logs where it cannot open a file. Its library's log cannot be caught in safe Rust, so the program tells,
/// if it is there.
fn reason(path: &Path) -> Option<String> {
    let log = ffmpeg().args(["-protocol_whitelist", "file", "-i"]).arg(url(path)).output().ok()?.stderr;
    // `[mov,mp4 @ 0x55d] moov atom not found`
    let log = String::from_utf8_lossy(&log);
    Some(log.lines().find_map(|line| line.strip_prefix('[')?.split_once("] "))?.1.to_owned())
}

/// The program, which says errors alone.
pub fn ffmpeg() -> Command {
    let mut command = Command::new(FFMPEG);
    command.args(["-v", "error", "-nostdin", "-y"]).stdin(Stdio::null());
    command
}

/// A path as a URL, so that it is never taken for another protocol.
pub fn url(path: &Path) -> OsString {
    let mut url = OsString::from("file:");
    url.push(path);
    url
}
