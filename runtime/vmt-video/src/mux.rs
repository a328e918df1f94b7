//! Films with another soundtrack, written by the program `ffmpeg`: with its libraries it would take hundreds of lines
//! and unsafe code. Which packet is shown when is decided here, packet by packet, and not by `ffmpeg`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use ffmpeg_next::codec::Id;
use ffmpeg_next::{Rational, Rescale};
use tempfile::TempPath;
use vmt_files::Drafts;

use crate::error::Error;
use crate::index::{Cut, Index, sounds};
use crate::input::{Input, ffmpeg, url};
use crate::video::Video;

/// The containers that [`mux`] writes, by extension.
pub const CONTAINERS: [&str; 3] = ["mp4", "mkv", "mov"];

/// Checks, before any work, that [`mux`] can copy `film` from `start` on to `out`, a file with one of the extensions
/// [`CONTAINERS`], and with an `original_volume` above 0 its sound. Reads all packets of the film, and lets `ffmpeg` write
/// its first picture to a hidden folder beside `out`. Returns what the user should know.
///
/// # Errors
/// Where `ffmpeg` is missing or the film cannot be read; [`Error::Unfit`] where it cannot be read again, where the container
/// cannot hold its pictures or would lose their times, rotation, shape or colours, or where no sound can be decoded.
pub fn check_mux(film: &Path, start: Duration, out: &Path, original_volume: f32) -> Result<Option<String>, Error> {
    ffmpeg().arg("-version").stdout(Stdio::null()).status().map_err(|error| missing(out, &error))?;
    let unfit = |reason: String| Error::Unfit { path: film.to_owned(), reason };
    if !can_be_read_again(film) {
        return Err(unfit(
            "must be read twice for its pictures, and a pipe cannot: save it to a file first".to_owned(),
        ));
    }
    let index = Index::of(film)?;
    let container = container(out);
    if let Err(reason) = index.fits(film, start, out, &container)? {
        let mut others = CONTAINERS.iter().filter(|other| **other != container);
        let other = others.find(|other| index.fits(film, start, out, other).is_ok_and(|fits| fits.is_ok()));
        let instead = other.map_or_else(
            || format!("encode it first: ffmpeg -i {} FILM.mp4", film.display()),
            |other| format!("write .{other}"),
        );
        return Err(unfit(format!("cannot be copied into .{container}, which {reason}; {instead}")));
    }
    if original_volume == 0.0 {
        return Ok(None);
    }
    let sounds = sounds(film)?;
    Ok(match (sounds.first(), sound(film)?) {
        (Some(first), Some(sound)) if sound != *first => {
            Some(format!("{}: its first sound cannot be decoded; stream {sound} is taken", film.display()))
        }
        (Some(_), None) => {
            return Err(unfit("has no sound that FFmpeg can decode: give no volume for it".to_owned()));
        }
        _ => None,
    })
}

/// Whether a film can be read more than once: it is no pipe.
pub fn can_be_read_again(film: &Path) -> bool {
    // What is missing or not allowed is found when it is opened.
    !film.metadata().is_ok_and(|file| !file.is_file())
}

/// Writes `film` from `start` on (a time from the first frame) to `out`, a file with one of the extensions [`CONTAINERS`],
/// with the sound file `music` as its soundtrack: AAC. Pictures and sound begin together and end with `music`.
///
/// The pictures are copied, not encoded again, and each is shown when [`Video`] says. The film's own sound is left out or,
/// with an `original_volume` above 0 (1 is unchanged), mixed under the music. `out` is written in place, and removed
/// where that fails: name a draft where something must stay until the film is complete.
///
/// Packets can be copied only from a key frame on. So an .mp4 or .mov holds frames before the part too, which its edit list
/// hides; an .mkv has no edit list, and is refused where the part does not begin with the film. Frames behind the
/// end that others before it need are shown in the last ticks.
///
/// # Errors
/// Where `film` or `music` cannot be read, or `ffmpeg` is missing or fails; [`Error::Unfit`] as for [`check_mux`].
pub fn mux(film: &Path, start: Duration, music: &Path, out: &Path, original_volume: f32) -> Result<(), Error> {
    let index = Index::of(film)?;
    let length = u64::try_from(Input::open(music)?.reader.input.duration()).unwrap_or(0);
    let cut = index.cut(start, Duration::from_micros(length));
    let zero = index.zero.saturating_add(index.ticks(start));
    let container = container(out);
    if cut.has_lead && !has_edit_list(&container) {
        let reason = format!("cannot begin there in .{container}: write .mp4");
        return Err(Error::Unfit { path: film.to_owned(), reason });
    }

    // Copied with the pictures, not encoded beside them: `ffmpeg` gives filters of packets other units when it has to wait for
    // an encoder.
    let sound = soundtrack(film, &index, zero, music, out, original_volume)?;
    let mut command = copying(film);
    command.args(["-protocol_whitelist", "file", "-i"]).arg(url(&sound));
    command.args(["-map", &format!("0:{}", index.stream), "-map", "1:a:0", "-c:a", "copy"]);
    copy_pictures(&mut command, film, &index, &cut, zero, &container)?;
    command.args(["-metadata", &format!("{COMPOSER}={OURS} {}", env!("CARGO_PKG_VERSION"))]);
    // Otherwise an .mkv has random identifiers.
    command.args(["-fflags", "+bitexact"]);
    if has_edit_list(&container) {
        // So that it plays while it loads.
        command.args(["-movflags", "+faststart"]);
    }
    // ffmpeg leaves what it has begun, or nothing where it could not begin.
    run(command, out, out).inspect_err(|_| drop(std::fs::remove_file(out)))
}

pub const FORM: &str = "aformat=sample_rates=48000:channel_layouts=stereo";

/// The metadata that names us in the films that we write, and our name.
const COMPOSER: &str = "composer";
const OURS: &str = "vmt";

/// Sound before the pictures, in seconds, that a scratch file can hold.
const AHEAD: i64 = 3600;

impl Video {
    /// Whether [`mux`] wrote this film: then its metadata names `vmt` as the composer.
    pub fn has_our_music(&self) -> bool {
        let metadata = self.input.reader.input.metadata();
        metadata.get(COMPOSER).is_some_and(|composer| composer.split(' ').next() == Some(OURS))
    }
}

impl Index {
    /// What a container cannot keep of the film from `start` on, if anything.
    fn fits(&self, film: &Path, start: Duration, out: &Path, container: &str) -> Result<Result<(), String>, Error> {
        let cut = self.cut(start, Duration::from_secs(1));
        if cut.has_lead && !has_edit_list(container) {
            return Ok(Err("would show what comes before its beginning".to_owned()));
        }
        let (last, average) = self.last_and_average();
        if container == "mkv" && last > Duration::from_millis(100).max(average * 2) {
            return Ok(Err(format!("does not store that its last picture stays for {last:.2?}")));
        }

        // In a hidden folder, which the next run removes if this one is killed.
        let mut drafts = Drafts::default();
        let one = drafts.scratch(out, container).map_err(|error| Error::Io { path: out.to_owned(), error })?;
        let mut command = copying(film);
        command.args(["-map", &format!("0:{}", self.stream), "-frames:v", "1"]);
        copy_pictures(&mut command, film, self, &cut, self.zero, container)?;
        let done = command.arg(url(&one)).output().map_err(|error| missing(out, &error))?;
        if !done.status.success() {
            let said = said(&done, &one);
            return Ok(Err(format!("cannot hold its pictures: {}", said.split("; ").next().unwrap_or_default())));
        }
        let film = Video::open(film)?;
        let Ok(copy) = Video::open(&one) else { return Ok(Err("cannot hold its pictures".to_owned())) };
        let keeps = |what: &str, is_kept: bool| if is_kept { Ok(()) } else { Err(format!("loses its {what}")) };
        Ok(keeps("rotation", film.turn() == copy.turn())
            .and_then(|()| keeps("shape", (film.aspect() / copy.aspect() - 1.0).abs() < 0.01))
            .and_then(|()| keeps("colours", film.colours() == copy.colours())))
    }
}

/// The program, reading `film` with the timestamps that are in it.
fn copying(film: &Path) -> Command {
    let mut command = ffmpeg();
    command.arg("-copyts");
    command.args(["-protocol_whitelist", "file", "-fflags", "+genpts", "-i"]).arg(url(&real(film)));
    command
}

/// The film as `ffmpeg` finds it, whose `/dev/stdin` is another file.
pub fn real(film: &Path) -> PathBuf {
    film.canonicalize().unwrap_or_else(|_| film.to_owned())
}

/// Options that copy the packets of a part of the pictures, with times from `zero`, a timestamp in the one count of time.
fn copy_pictures(
    command: &mut Command,
    film: &Path,
    index: &Index,
    cut: &Cut,
    zero: i64,
    container: &str,
) -> Result<(), Error> {
    let left_out: String = cut.left_out.iter().map(|number| format!("+eq(n,{number})")).collect();
    let drop = format!("lt(n,{})+gt(n,{}){left_out}", cut.first, cut.last);
    // As the next filter counts them.
    let place = |number: usize| number - cut.first - cut.left_out.iter().filter(|other| **other < number).count();
    let offsets: Vec<_> = index.counts.iter().map(|count| (count.first, count.offset)).collect();
    let shift = shift(&offsets, cut.first, zero, index.tick);
    let term = |&(number, by): &(usize, i64)| format!("+eq(N,{})*({})/TB", place(number), seconds(by, index.tick));
    let moved: String = cut.moved.iter().map(term).collect();
    let lasts = cut.durations.iter().fold("DURATION".to_owned(), |others, &(number, ticks)| {
        format!("if(eq(N,{}),{}/TB,{others})", place(number), seconds(ticks, index.tick))
    });
    let filters = format!("noise=drop='{drop}',setts=pts='PTS{shift}{moved}':dts='DTS{shift}':duration='{lasts}'");
    command.args(["-c:v", "copy", "-copyinkf", "-time_base:v", &ticks(index.tick, container), "-bsf:v", &filters]);
    let is_hevc =
        Input::open(film)?.reader.input.stream(index.stream).is_some_and(|it| it.parameters().id() == Id::HEVC);
    if is_hevc && has_edit_list(container) {
        // Apple's players refuse the other tag, `hev1`.
        command.args(["-tag:v", "hvc1"]);
    }
    Ok(())
}

/// Terms of an expression for timestamps: the offset of each count of time, from which packet on, less `zero`. Packets
/// are counted from `first`.
fn shift(offsets: &[(usize, i64)], first: usize, zero: i64, tick: Rational) -> String {
    let mut known = 0;
    let mut terms = String::new();
    for &(number, offset) in offsets {
        let by = seconds(offset.saturating_sub(known), tick);
        terms += &match number.checked_sub(first) {
            Some(place) if place > 0 => format!("+gte(N,{place})*({by})/TB"),
            _ => format!("+({by})/TB"),
        };
        known = offset;
    }
    format!("{terms}-({})/TB", seconds(zero, tick))
}

/// The unit of the timestamps that a container stores. `ffmpeg` must be told: filters of packets are given these, but count
/// in what it was told.
fn ticks(tick: Rational, container: &str) -> String {
    if !has_edit_list(container) {
        return "1/1000".to_owned();
    }
    let mut per_second = i64::from(tick.denominator());
    while per_second < 10_000 {
        per_second *= 2;
    }
    format!("1/{per_second}")
}

/// Ticks in seconds.
fn seconds(ticks: i64, tick: Rational) -> String {
    format!("{:.9}", ticks as f64 * f64::from(tick))
}

/// The sound of the film that is to be written to `out`, encoded, in a scratch file beside it.
fn soundtrack(
    film: &Path,
    index: &Index,
    zero: i64,
    music: &Path,
    out: &Path,
    original_volume: f32,
) -> Result<TempPath, Error> {
    let mut command = ffmpeg();
    command.args(["-copyts", "-protocol_whitelist", "file", "-i"]).arg(url(music));
    let stream = if original_volume == 0.0 { None } else { sound(film)? };
    let mut kept = None;
    let filters = match stream {
        None => format!("[0:a:0]{FORM}[sound]"),
        Some(stream) => {
            let (joined, begins) = original(film, index, stream, zero, out)?;
            let (input, stream) =
                kept.insert(joined).as_ref().map_or((real(film), stream), |joined| (joined.to_path_buf(), 0));
            command.args(["-protocol_whitelist", "file", "-i"]).arg(url(&input));
            mixed(&format!("1:{stream}"), &begins, original_volume)
        }
    };
    command.args(["-filter_complex", &filters, "-map", "[sound]", "-c:a", "aac", "-b:a", "192k"]);
    command.args(["-fflags", "+bitexact"]);
    let scratch = scratch(out, ".m4a")?;
    run(command, &scratch, out)?;
    Ok(scratch)
}

/// The second at which the pictures begin, `zero`, as `ffmpeg` counts in a stream of the film's sound; or in a scratch file
/// beside `out` with nothing but that, where the film's clock jumps.
pub fn original(
    film: &Path,
    index: &Index,
    stream: usize,
    zero: i64,
    out: &Path,
) -> Result<(Option<TempPath>, String), Error> {
    let begins = seconds(zero, index.tick);
    let offsets = index.sound(film, stream)?;
    if let [(_, offset)] = offsets[..] {
        return Ok((None, format!("{begins}-({})", seconds(offset, sound_tick(film, stream)?))));
    }
    Ok((Some(joined_sound(film, stream, &offsets, out)?), format!("{begins}+{AHEAD}")))
}

/// The film's sound in one count of time, in a scratch file beside `out`, where it comes [`AHEAD`] seconds later.
fn joined_sound(film: &Path, stream: usize, offsets: &[(usize, i64)], out: &Path) -> Result<TempPath, Error> {
    let tick = sound_tick(film, stream)?;
    let shift = shift(offsets, 0, (-AHEAD).rescale((1, 1), tick), tick);
    let mut command = copying(film);
    command.args(["-map", &format!("0:{stream}"), "-c", "copy", "-time_base:a", "1/1000", "-bsf:a"]);
    command.arg(format!("setts=pts='PTS{shift}':dts='DTS{shift}'"));
    let scratch = scratch(out, ".mka")?;
    run(command, &scratch, out)?;
    Ok(scratch)
}

/// A file beside `out` that is removed in the end.
pub fn scratch(out: &Path, extension: &str) -> Result<TempPath, Error> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = tempfile::Builder::new().prefix(".").suffix(extension).tempfile_in(folder);
    Ok(file.map_err(|error| Error::Mux { path: out.to_owned(), reason: error.to_string() })?.into_temp_path())
}

/// Lets `ffmpeg` write `file`, on the way to `out`.
pub fn run(mut command: Command, file: &Path, out: &Path) -> Result<(), Error> {
    let done = command.arg(url(file)).output().map_err(|error| missing(out, &error))?;
    if done.status.success() {
        return Ok(());
    }
    Err(Error::Mux { path: out.to_owned(), reason: format!("ffmpeg says: {}", said(&done, file)) })
}

fn sound_tick(film: &Path, stream: usize) -> Result<Rational, Error> {
    Ok(Input::open(film)?.reader.input.stream(stream).map_or(Rational(1, 1), |stream| stream.time_base()))
}

/// The filter graph from the music and the film's `sound`, whose pictures begin at the second `begins`, to `[sound]`.
fn mixed(sound: &str, begins: &str, volume: f32) -> String {
    // aresample fills gaps with silence; the limiter keeps the sum from clipping.
    format!(
        "[{sound}]asetpts=PTS-({begins})/TB,atrim=start=0,aresample=async=1:first_pts=0,{FORM},volume={volume}[film];\
         [0:a:0]{FORM}[music];[music][film]amix=duration=first:normalize=0,alimiter=limit=0.9:attack=1:level=0[sound]"
    )
}

/// The first stream of sound that `ffmpeg` can decode, if there is one.
pub fn sound(film: &Path) -> Result<Option<usize>, Error> {
    Ok(sounds(film)?.into_iter().find(|stream| {
        let mut command = copying(film);
        command.args(["-map", &format!("0:{stream}"), "-frames:a", "1", "-f", "framecrc", "-"]);
        let done = command.output();
        // A line for each frame, after comments.
        done.is_ok_and(|done| done.stdout.split(|byte| *byte == b'\n').any(|line| line.starts_with(b"0,")))
    }))
}

/// What ffmpeg has logged, without its own addresses and the name of the file that it was to write.
pub fn said(done: &Output, out: &Path) -> String {
    let log = String::from_utf8_lossy(&done.stderr);
    let own = |line: &str| {
        let line = line.strip_prefix('[').and_then(|line| line.split_once("] ")).map_or(line, |(_, line)| line);
        line.replace(&format!("file:{}", out.display()), "").trim_start_matches([':', ' ']).trim().to_owned()
    };
    log.lines().map(own).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

fn has_edit_list(container: &str) -> bool {
    container != "mkv"
}

/// The extension, in lower case.
fn container(out: &Path) -> String {
    out.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

pub fn missing(path: &Path, error: &std::io::Error) -> Error {
    let reason = format!("the program `ffmpeg` must be installed, but: {error}");
    Error::Mux { path: path.to_owned(), reason }
}
