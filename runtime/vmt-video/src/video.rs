//! A video file, read frame by frame.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::time::Duration;
use std::{fmt, fs, io, iter};

use ffmpeg_next::codec::{self, decoder};
use ffmpeg_next::format::stream::{Disposition, Stream};
use ffmpeg_next::packet::side_data;
use ffmpeg_next::util::error::{EAGAIN, register_all};
use ffmpeg_next::{Rescale, frame, log};
use video_rs::{Options, Reader, ReaderBuilder};
use vmt::click::{self, Thumbnail};
use vmt::{Frame, Geometry, Window};

use crate::error::Error;
use crate::pixels::Pixels;
use crate::timestamps::Timestamps;

/// The largest frame that is decoded has twice the pixels of 8K. FFmpeg holds a dozen frames or more at a time.
const MAX_PIXELS: u32 = 1 << 26;

/// How far before the end by the header the last frame may end: headers round, and some are a little wrong.
const SHORTFALL: Duration = Duration::from_secs(1);

/// FFmpeg's own set-up: its error texts, and no log on standard error.
static FFMPEG: Once = Once::new();

/// A video file, to be read once from beginning to end.
///
/// Frames are scaled to the model's size without regard to their aspect ratio, rotated by the display matrix (quarter
/// turns), and converted to RGB by the colour matrix and range that the file names, or else by BT.601, limited range.
/// High dynamic range is not tone-mapped: such a video looks flat.
pub struct Video {
    path: PathBuf,
    pub(crate) reader: Reader,
    pub(crate) stream: usize,
    decoder: decoder::Video,
    pub(crate) timestamps: Timestamps,
    /// The end of the video by the header, as a timestamp.
    header_end: Option<i64>,
    /// Row by row.
    display_matrix: Option<[i32; 9]>,
    /// The error of the last packet that could not be decoded.
    damage: Option<ffmpeg_next::Error>,
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
        let io = |error| Error::Io { path: path.to_owned(), error };
        let unreadable = |reason: &str| Error::Unreadable { path: path.to_owned(), reason: reason.to_owned() };

        let file = fs::metadata(path).map_err(io)?;
        if file.is_dir() {
            return Err(io(io::ErrorKind::IsADirectory.into()));
        }
        if file.is_file() && file.len() == 0 {
            return Err(unreadable("it is empty"));
        }
        let name = path.to_str().ok_or_else(|| unreadable("its path is not UTF-8"))?;

        FFMPEG.call_once(|| {
            register_all();
            log::set_level(log::Level::Quiet);
        });
        // A path is never a URL, and a playlist refers to files only.
        let files_only = Options::from(HashMap::from([("protocol_whitelist".to_owned(), "file".to_owned())]));
        let reader = ReaderBuilder::new(PathBuf::from(format!("file:{name}"))).with_options(&files_only).build();
        let reader = reader.map_err(|error| unreadable(&format!("FFmpeg says: {error}")))?;
        let stream = reader.best_video_stream_index().ok().and_then(|index| reader.input.stream(index));
        let cover = |stream: &Stream| stream.disposition().contains(Disposition::ATTACHED_PIC);
        let stream = stream.filter(|stream| !cover(stream)).ok_or_else(|| unreadable("it has no video stream"))?;

        let decoder = decoder(&stream).map_err(|error| {
            unreadable(&format!("no decoder takes it, or its frames have over {MAX_PIXELS} pixels: {error}"))
        })?;
        Ok(Self {
            path: path.to_owned(),
            stream: stream.index(),
            decoder,
            timestamps: Timestamps::new(stream.time_base(), stream.avg_frame_rate()),
            header_end: header_end(&stream),
            display_matrix: display_matrix(&stream),
            damage: None,
            reader,
        })
    }

    /// The duration in the file's header, if it has one: good enough for a progress bar, but not always right.
    pub fn claimed_duration(&self) -> Option<Duration> {
        // In microseconds, negative where unknown.
        u64::try_from(self.reader.input.duration()).ok().filter(|&length| length > 0).map(Duration::from_micros)
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

    /// The video as the input of a model of this `geometry`, in windows side by side, decoded on demand.
    ///
    /// A packet that cannot be decoded is skipped, as players do: the frame before it lasts longer.
    ///
    /// # Errors
    /// Items are errors if no frame can be decoded, or if the file ends over a second before its header says.
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
        mut self,
        range: Range<Duration>,
        geometry: Geometry,
        hop: usize,
    ) -> impl Iterator<Item = Result<Window, Error>> {
        let path = self.path.clone();
        let mut pixels = Pixels::new(geometry, self.display_matrix);
        let frames = iter::from_fn(move || self.frame().transpose());
        vmt::windows(vmt::excerpt(frames, range), geometry, hop, move |picture| {
            pixels.of(picture).map_err(|error| unconverted(&path, error))
        })
    }

    /// Every frame of a part of it, squeezed to the size at which [`vmt::click::find_hits`] looks for cuts.
    ///
    /// # Errors
    /// As [`Self::windows`].
    pub fn thumbnails(mut self, range: Range<Duration>) -> impl Iterator<Item = Result<Frame<Thumbnail>, Error>> {
        let path = self.path.clone();
        let geometry = Geometry::PAPER.with_size(click::HEIGHT, click::WIDTH);
        let mut pixels = geometry.map(|geometry| Pixels::new(geometry, self.display_matrix));
        let frames = iter::from_fn(move || self.frame().transpose());
        vmt::excerpt(frames, range).map(move |frame| {
            let Frame { time, duration, picture } = frame?;
            let mut thumbnail: Thumbnail = [0; _];
            // Frames before the part are not shown.
            if let Some(pixels) = pixels.as_mut().filter(|_| !duration.is_zero()) {
                let rgb = pixels.of(&picture).map_err(|error| unconverted(&path, error))?;
                thumbnail.iter_mut().zip(&rgb).for_each(|(to, &from)| *to = from);
            }
            Ok(Frame { time, duration, picture: thumbnail })
        })
    }

    /// Frames a second on the average, as a ratio, if the file's header tells: 30000 / 1001 for 29.97.
    pub fn frame_rate(&self) -> Option<(u32, u32)> {
        let rate = self.reader.input.stream(self.stream)?.avg_frame_rate();
        let [numerator, denominator] = [rate.numerator(), rate.denominator()].map(|part| u32::try_from(part).ok());
        numerator.zip(denominator).filter(|&(numerator, denominator)| numerator > 0 && denominator > 0)
    }

    pub(crate) fn frame(&mut self) -> Result<Option<Frame<frame::Video>>, Error> {
        if let Some(picture) = self.decode() {
            // The presentation time, or the decoding time where a file has no other.
            let (time, duration) = self.timestamps.frame(picture.timestamp(), picture.packet().duration);
            return Ok(Some(Frame { time, duration, picture }));
        }
        let Some(first) = self.timestamps.first() else {
            let why = self.damage.map_or("it ends before the first".to_owned(), |damage| damage.to_string());
            let reason = format!("not one frame of it can be decoded: {why}");
            return Err(Error::Unreadable { path: self.path.clone(), reason });
        };
        let got = self.timestamps.end();
        let header = self.header_end.map_or(got, |end| self.timestamps.seconds(end.saturating_sub(first)));
        if header > got + SHORTFALL {
            return Err(Error::CutOff { path: self.path.clone(), promised: header, got });
        }
        Ok(None)
    }

    /// The next frame in the order of presentation.
    fn decode(&mut self) -> Option<frame::Video> {
        loop {
            let mut picture = frame::Video::empty();
            match self.decoder.receive_frame(&mut picture) {
                Ok(()) => return Some(picture),
                Err(ffmpeg_next::Error::Eof) => return None,
                Err(ffmpeg_next::Error::Other { errno: EAGAIN }) => match self.reader.read(self.stream) {
                    Ok(packet) => self.damage = self.decoder.send_packet(&packet.into_inner()).err().or(self.damage),
                    Err(_) => self.decoder.send_eof().ok()?,
                },
                Err(damage) => self.damage = Some(damage),
            }
        }
    }
}

fn unconverted(path: &Path, error: ffmpeg_next::Error) -> Error {
    Error::Unreadable { path: path.to_owned(), reason: format!("a frame cannot be converted to RGB: {error}") }
}

fn decoder(stream: &Stream) -> Result<decoder::Video, ffmpeg_next::Error> {
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
