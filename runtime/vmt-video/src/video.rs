//! A video file, read frame by frame.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, iter};

use ffmpeg_next::codec::{self, decoder};
use ffmpeg_next::format::context;
use ffmpeg_next::format::stream::{Disposition, Stream};
use ffmpeg_next::packet::side_data;
use ffmpeg_next::util::error::EAGAIN;
use ffmpeg_next::{Packet, Rational, Rescale, color, frame};
use vmt::click::{self, Thumbnail};
use vmt::{Frame, Geometry, Window};

use crate::error::Error;
use crate::input::Input;
use crate::matroska;
use crate::pixels::Pixels;
use crate::timestamps::Clock;

/// The largest frame that is decoded has twice the pixels of 8K. FFmpeg holds a dozen frames or more at a time.
const MAX_PIXELS: u32 = 1 << 26;

/// How far before the end by the header the last frame may end: headers round, and some are a little wrong.
const SHORTFALL: Duration = Duration::from_secs(1);

/// A video file, to be read once from beginning to end.
///
/// Frames are scaled to the model's size without regard to their aspect ratio, rotated by the display matrix (quarter
/// turns), and converted to RGB by the colour matrix and range that the file names, or else by BT.601, limited range.
/// High dynamic range is not tone-mapped: such a video looks flat.
///
/// Time begins with the first frame, and a frame stays until the next. The last stays as long as its packet says, or until
/// the end by the header of a file that is whole. A clock that jumps, as in recordings that were joined, goes on from
/// the end of the last frame. [`mux`](crate::mux) writes films by the same rule.
pub struct Video {
    path: PathBuf,
    pub(crate) input: Input,
    pub(crate) stream: usize,
    pub(crate) tick: Rational,
    pub(crate) decoder: decoder::Video,
    clock: Clock,
    /// How far the presentation time of the last packet was wrong.
    error: i64,
    /// How many packets of the stream were read.
    packets: usize,
    /// Whether the last packet of the file is there in part only.
    is_torn: bool,
    header: Header,
    /// Row by row.
    pub(crate) display_matrix: Option<[i32; 9]>,
    /// The error of the last packet that could not be decoded.
    damage: Option<ffmpeg_next::Error>,
    /// The first frame's timestamp, once there was a frame.
    zero: Option<i64>,
    /// A frame that was decoded, with its time in ticks: the next one says how long it stays.
    held: Option<(i64, frame::Video)>,
    /// The latest end of a frame by the duration of its packet, in ticks.
    end: i64,
}

/// What the header says of the end.
#[derive(Clone, Copy)]
pub(crate) struct Header {
    /// As a timestamp.
    end: Option<i64>,
    /// The number of packets, if it has it.
    packets: usize,
    container: Container,
}

#[derive(Clone, Copy, PartialEq)]
enum Container {
    /// MP4 and MOV: with an index of all packets and their durations.
    Mov,
    /// Matroska and WebM: without durations, but the size and the end are in the header.
    Matroska,
    Other,
}

impl fmt::Debug for Video {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Video").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Video {
    /// Opens a file. This turns FFmpeg's log off in the whole process.
    ///
    /// # Errors
    /// Where the file cannot be read, has no video stream, or has none that FFmpeg decodes.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let unreadable = |reason: &str| Error::Unreadable { path: path.to_owned(), reason: reason.to_owned() };
        let input = Input::open(path)?;
        let cover = |stream: &Stream| stream.disposition().contains(Disposition::ATTACHED_PIC);
        let stream = input.reader.best_video_stream_index().ok().and_then(|index| input.reader.input.stream(index));
        let stream = stream.filter(|stream| !cover(stream)).ok_or_else(|| unreadable("it has no video stream"))?;
        let decoder = decoder(&stream).map_err(|error| {
            unreadable(&format!("no decoder takes it, or its frames have over {MAX_PIXELS} pixels: {error}"))
        })?;
        let format = input.reader.input.format();
        Ok(Self {
            path: path.to_owned(),
            stream: stream.index(),
            tick: stream.time_base(),
            decoder,
            clock: Clock::new(stream.time_base(), stream.avg_frame_rate(), format.name()),
            error: 0,
            packets: 0,
            is_torn: false,
            header: Header::of(&stream, &input.reader.input),
            display_matrix: display_matrix(&stream),
            damage: None,
            zero: None,
            held: None,
            end: 0,
            input,
        })
    }

    /// The duration in the file's header, if it has one: good enough for a progress bar, but not always right.
    pub fn claimed_duration(&self) -> Option<Duration> {
        // In microseconds, negative where unknown.
        u64::try_from(self.input.reader.input.duration()).ok().filter(|&length| length > 0).map(Duration::from_micros)
    }

    /// Width and height of the frames as they are stored, by the header.
    pub fn size(&self) -> (u32, u32) {
        (self.decoder.width(), self.decoder.height())
    }

    /// Width over height of the frames as they are shown: rotated, with square pixels.
    pub fn aspect(&self) -> f64 {
        let (width, height) = (f64::from(self.decoder.width()), f64::from(self.decoder.height()));
        let pixel = self.decoder.aspect_ratio();
        let pixel = if pixel.numerator() > 0 && pixel.denominator() > 0 { f64::from(pixel) } else { 1.0 };
        let stored = width * pixel / height;
        let turned = self.display_matrix.is_some_and(|[a, b, ..]| a.abs() < b.abs());
        if turned { 1.0 / stored } else { stored }
    }

    /// The quarter turns and mirrors of the display matrix.
    pub(crate) fn turn(&self) -> [i32; 4] {
        self.display_matrix.map_or([1, 0, 0, 1], |[a, b, _, c, d, ..]| [a, b, c, d].map(i32::signum))
    }

    pub(crate) fn colours(&self) -> (color::Space, color::Range, color::Primaries, color::TransferCharacteristic) {
        let from = &self.decoder;
        (from.color_space(), from.color_range(), from.color_primaries(), from.color_transfer_characteristic())
    }

    /// The video as the input of a model of this `geometry`, in windows side by side, decoded on demand.
    ///
    /// A packet that cannot be decoded is skipped, as players do: the frame before it lasts longer.
    ///
    /// # Errors
    /// Items are errors if the file cannot be read on, if no frame can be decoded, or if the file is cut off: it ends over
    /// a second before its header says.
    pub fn windows(self, geometry: Geometry) -> impl Iterator<Item = Result<Window, Error>> {
        self.windows_between(Duration::ZERO..Duration::MAX, geometry, geometry.frames())
    }

    /// The same for a part of it, which may be empty ([`vmt::excerpt`]), in windows that each begin `hop` frames after
    /// the one before ([`vmt::windows`]). Frames before the part are decoded too, because only that tells exactly which
    /// frame is shown when; frames after it are not read.
    ///
    /// # Errors
    /// As [`Self::windows`].
    pub fn windows_between(
        self,
        range: Range<Duration>,
        geometry: Geometry,
        hop: usize,
    ) -> impl Iterator<Item = Result<Window, Error>> {
        let (path, mut pixels) = (self.path.clone(), Pixels::new(geometry, self.display_matrix));
        vmt::windows(self.excerpt(range), geometry, hop, move |picture| {
            pixels.of(picture).map_err(|error| unconverted(&path, error))
        })
    }

    /// The same, and in the same pass every frame of [`Self::thumbnails`], for `each`, whose errors are the windows' too.
    ///
    /// # Errors
    /// As [`Self::windows`], and those of `each`.
    pub fn windows_and_thumbnails<E: From<Error> + From<vmt::Error>>(
        self,
        range: Range<Duration>,
        geometry: Geometry,
        hop: usize,
        mut each: impl FnMut(&Frame<Thumbnail>) -> Result<(), E>,
    ) -> impl Iterator<Item = Result<Window, E>> {
        let (path, mut pixels) = (self.path.clone(), Pixels::new(geometry, self.display_matrix));
        let mut thumbnail = self.thumbnail();
        let frames = self.excerpt(range).map(move |frame| {
            let frame = frame?;
            each(&thumbnail(&frame)?)?;
            Ok(frame)
        });
        vmt::windows(frames, geometry, hop, move |picture| {
            Ok(pixels.of(picture).map_err(|error| unconverted(&path, error))?)
        })
    }

    /// Every frame of a part of it, squeezed to the size at which [`vmt::click::find_hits`] looks for cuts.
    ///
    /// # Errors
    /// As [`Self::windows`].
    pub fn thumbnails(self, range: Range<Duration>) -> impl Iterator<Item = Result<Frame<Thumbnail>, Error>> {
        let mut thumbnail = self.thumbnail();
        self.excerpt(range).map(move |frame| thumbnail(&frame?))
    }

    /// Squeezes frames.
    fn thumbnail(&self) -> impl FnMut(&Frame<frame::Video>) -> Result<Frame<Thumbnail>, Error> + use<> {
        let path = self.path.clone();
        let geometry = Geometry::PAPER.with_size(click::HEIGHT, click::WIDTH);
        let mut pixels = geometry.map(|geometry| Pixels::new(geometry, self.display_matrix));
        move |&Frame { time, duration, ref picture }| {
            let mut thumbnail: Thumbnail = [0; _];
            // Frames before the part are not shown.
            if let Some(pixels) = pixels.as_mut().filter(|_| !duration.is_zero()) {
                let rgb = pixels.of(picture).map_err(|error| unconverted(&path, error))?;
                thumbnail.iter_mut().zip(&rgb).for_each(|(to, &from)| *to = from);
            }
            Ok(Frame { time, duration, picture: thumbnail })
        }
    }

    fn excerpt(mut self, range: Range<Duration>) -> impl Iterator<Item = Result<Frame<frame::Video>, Error>> {
        vmt::excerpt(iter::from_fn(move || self.frame().transpose()), range)
    }

    /// Frames a second on the average, as a ratio, if the file's header tells: 30000 / 1001 for 29.97.
    pub fn frame_rate(&self) -> Option<(u32, u32)> {
        let rate = self.input.reader.input.stream(self.stream)?.avg_frame_rate();
        let [numerator, denominator] = [rate.numerator(), rate.denominator()].map(|part| u32::try_from(part).ok());
        numerator.zip(denominator).filter(|&(numerator, denominator)| numerator > 0 && denominator > 0)
    }

    pub(crate) fn frame(&mut self) -> Result<Option<Frame<frame::Video>>, Error> {
        loop {
            let next = self.decode()?;
            let until = match &next {
                Some((time, _)) => *time,
                None => self.end(self.held.as_ref().map_or(0, |(time, _)| *time))?,
            };
            if let Some((time, picture)) = std::mem::replace(&mut self.held, next) {
                let (time, until) = (self.seconds(time), self.seconds(until.max(time + 1)));
                return Ok(Some(Frame { time, duration: until - time, picture }));
            }
            if self.held.is_none() {
                return Ok(None);
            }
        }
    }

    /// The next frame in the order of presentation, and its time in ticks.
    fn decode(&mut self) -> Result<Option<(i64, frame::Video)>, Error> {
        loop {
            let mut picture = frame::Video::empty();
            match self.decoder.receive_frame(&mut picture) {
                Ok(()) => {
                    // The presentation time, or the decoding time where a file has no other.
                    let timestamp = picture.timestamp();
                    let zero = *self.zero.get_or_insert(timestamp.unwrap_or(0));
                    let shown = self.held.as_ref().map_or(0, |(time, _)| *time);
                    let time = timestamp.map_or(self.end, |timestamp| timestamp.saturating_sub(zero)).max(shown);
                    let duration = picture.packet().duration;
                    let duration = if duration > 0 { duration } else { self.clock.usual() };
                    self.end = time.saturating_add(duration);
                    return Ok(Some((time, picture)));
                }
                Err(ffmpeg_next::Error::Eof) => return Ok(None),
                Err(ffmpeg_next::Error::Other { errno: EAGAIN }) => {
                    let sent = match self.packet()? {
                        Some(packet) => self.decoder.send_packet(&packet),
                        None => self.decoder.send_eof(),
                    };
                    self.damage = sent.err().or(self.damage);
                }
                Err(damage) => self.damage = Some(damage),
            }
        }
    }

    /// The next packet of the stream, with timestamps in the one count of time.
    pub(crate) fn packet(&mut self) -> Result<Option<Packet>, Error> {
        while let Some(mut packet) = self.input.packet()? {
            self.is_torn = packet.is_corrupt();
            if packet.stream() == self.stream {
                let decoding = packet.dts();
                self.error = self.clock.error(packet.pts(), decoding);
                let presentation = packet.pts().map(|time| time.saturating_sub(self.error));
                let offset = self.clock.offset(presentation, decoding, packet.duration());
                packet.set_pts(presentation.map(|time| time.saturating_add(offset)));
                packet.set_dts(decoding.map(|time| time.saturating_add(offset)));
                self.packets += 1;
                return Ok(Some(packet));
            }
        }
        Ok(None)
    }

    /// The end of the film in ticks, when all of it has been read and the last frame begins at `last`.
    fn end(&self, last: i64) -> Result<i64, Error> {
        let Some(zero) = self.zero else {
            let why = self.damage.map_or("it ends before the first".to_owned(), |damage| damage.to_string());
            let reason = format!("not one frame of it can be decoded: {why}");
            return Err(Error::Unreadable { path: self.path.clone(), reason });
        };
        let Some(header) = self.header.end.filter(|_| !self.clock.has_jumped()) else { return Ok(self.end) };
        let header = header.saturating_sub(zero);
        let falls_short = self.seconds(header) > self.seconds(self.end) + SHORTFALL;
        let is_whole = match self.header.container {
            Container::Mov => self.header.packets > 0 && self.packets >= self.header.packets,
            Container::Matroska => self.input.is_seekable() && matroska::is_whole(&self.path),
            Container::Other => !self.is_torn,
        };
        match (falls_short, is_whole) {
            (true, false) => {
                let (promised, got) = (self.seconds(header), self.seconds(self.end));
                Err(Error::CutOff { path: self.path.clone(), promised, got })
            }
            (true, true) => Ok(header),
            // FFmpeg invents the durations of packets.
            (false, true) if self.header.container == Container::Matroska && header > last => Ok(header),
            (false, _) => Ok(self.end),
        }
    }

    /// The timestamp of the first frame.
    pub(crate) fn zero(mut self) -> Result<i64, Error> {
        self.frame()?;
        Ok(self.zero.unwrap_or(0))
    }

    /// Whether it is in a container that has edit lists.
    pub(crate) fn has_edit_list(&self) -> bool {
        self.header.container == Container::Mov
    }

    /// How far the presentation time of the last packet was wrong.
    pub(crate) fn error(&self) -> i64 {
        self.error
    }

    /// What was added to the timestamps of the last packet.
    pub(crate) fn offset(&self) -> i64 {
        self.clock.current_offset()
    }

    /// The end of the film in ticks by its packets alone, when all of them have been read and the first frame's timestamp
    /// is `zero`.
    pub(crate) fn end_of_packets(&mut self, zero: i64) -> i64 {
        self.zero = Some(zero);
        self.end = self.clock.end().saturating_sub(zero);
        self.end(self.end).unwrap_or(self.end)
    }

    /// Zero if negative or too large.
    pub(crate) fn seconds(&self, ticks: i64) -> Duration {
        Duration::from_nanos(ticks.rescale(self.tick, (1, 1_000_000_000)).try_into().unwrap_or(0))
    }
}

fn unconverted(path: &Path, error: ffmpeg_next::Error) -> Error {
    Error::Unreadable { path: path.to_owned(), reason: format!("a frame cannot be converted to RGB: {error}") }
}

impl Header {
    fn of(stream: &Stream, file: &context::Input) -> Self {
        let format = file.format();
        let container = match format.name() {
            name if name.contains("mp4") => Container::Mov,
            name if name.contains("matroska") => Container::Matroska,
            _ => Container::Other,
        };
        // Matroska's tag may have been copied from a longer film.
        let longest = (container == Container::Matroska && file.duration() > 0)
            .then(|| file.duration().rescale((1, 1_000_000), stream.time_base()));
        let end = if container == Container::Mov && stream.duration() > 0 {
            // It includes what comes before the first frame.
            Some(stream.duration())
        } else {
            header_end(stream).map(|end| longest.map_or(end, |longest| end.min(longest)))
        };
        Self { end, packets: stream.frames().try_into().unwrap_or(0), container }
    }
}

pub(crate) fn decoder(stream: &Stream) -> Result<decoder::Video, ffmpeg_next::Error> {
    let mut decoder = codec::Context::from_parameters(stream.parameters())?.decoder();
    decoder.set_packet_time_base(stream.time_base());
    let codec = decoder::find(decoder.id()).ok_or(ffmpeg_next::Error::DecoderNotFound)?;
    let options = [("threads", "auto"), ("max_pixels", &MAX_PIXELS.to_string())];
    decoder.open_as_with(codec, options.into_iter().collect())?.video()
}

fn header_end(stream: &Stream) -> Option<i64> {
    if stream.duration() > 0 {
        return stream.start_time().checked_add(stream.duration());
    }
    // Matroska and WebM: a tag, `hours:minutes:seconds`.
    let tags = stream.metadata();
    let mut parts = tags.get("DURATION")?.split(':').map(str::parse::<f64>);
    let seconds = parts.try_fold(0.0, |sum, part| Some(sum * 60.0 + part.ok()?))?;
    Some(((seconds * 1000.0) as i64).rescale((1, 1000), stream.time_base()))
}

fn display_matrix(stream: &Stream) -> Option<[i32; 9]> {
    let matrix = stream.side_data().find(|data| data.kind() == side_data::Type::DisplayMatrix)?;
    let numbers: Vec<_> = matrix.data().as_chunks().0.iter().map(|&bytes| i32::from_ne_bytes(bytes)).collect();
    numbers.try_into().ok()
}
