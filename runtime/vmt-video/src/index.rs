//! All packets of a film's pictures, and which of them make a part of it.

use std::path::Path;
use std::time::Duration;

use ffmpeg_next::format::stream::Stream;
use ffmpeg_next::media::Type;
use ffmpeg_next::{Rational, Rescale};

use crate::error::Error;
use crate::input::Input;
use crate::timestamps::Clock;
use crate::video::Video;

/// The packets of the pictures, in the order of decoding.
pub struct Index {
    /// The number of the stream.
    pub stream: usize,
    /// Seconds in a tick.
    pub tick: Rational,
    /// The timestamp of the first frame.
    pub zero: i64,
    pub counts: Vec<Count>,
    packets: Vec<Packet>,
    /// Packets whose presentation time is wrong, and by how much.
    wrong: Vec<(usize, i64)>,
    /// The end of the film.
    pub end: i64,
}

struct Packet {
    /// In ticks from the first frame: when it is shown, and when it is decoded, if that is known.
    time: i64,
    decoding: Option<i64>,
    is_key: bool,
}

/// Packets in a row whose clock does not jump.
pub struct Count {
    /// The number of its first packet.
    pub first: usize,
    /// What is added to its timestamps.
    pub offset: i64,
    /// Its first and last timestamp, as in the file.
    pub span: (i64, i64),
}

/// The packets of a part of a film, all in ticks.
pub struct Cut {
    /// The numbers of the first packet and of the last.
    pub first: usize,
    pub last: usize,
    /// Whether pictures come before the part's, to decode it.
    pub has_lead: bool,
    /// Packets that are shown at another time, and by how much: the picture that is shown when the part begins, at its
    /// beginning, and those that are needed for decoding but come behind the end, in the last moments.
    pub moved: Vec<(usize, i64)>,
    /// How long some packets last.
    pub durations: Vec<(usize, i64)>,
    /// Packets between the first and the last to leave out: they cannot be decoded.
    pub left_out: Vec<usize>,
}

impl Index {
    /// Reads all of the film's packets, and decodes its first frame.
    pub fn of(film: &Path) -> Result<Self, Error> {
        let zero = Video::open(film)?.zero()?;
        let mut video = Video::open(film)?;
        let (mut packets, mut wrong, mut counts) = (Vec::new(), Vec::new(), Vec::<Count>::new());
        while let Some(packet) = video.packet()? {
            let (Some(time), offset) = (packet.pts(), video.offset()) else {
                let reason = format!(
                    "does not say when its pictures are shown, so they cannot be copied; encode it first: ffmpeg -i {} \
                     FILM.mp4",
                    film.display()
                );
                return Err(Error::Unfit { path: film.to_owned(), reason });
            };
            let (raw, number) = (time.saturating_sub(offset), packets.len());
            match counts.last_mut() {
                Some(count) if count.offset == offset => count.span = (count.span.0.min(raw), count.span.1.max(raw)),
                _ => counts.push(Count { first: number, offset, span: (raw, raw) }),
            }
            if video.error() != 0 {
                wrong.push((number, video.error()));
            }
            let decoding = packet.dts().map(|decoding| decoding.saturating_sub(zero));
            packets.push(Packet { time: time.saturating_sub(zero), decoding, is_key: packet.is_key() });
        }
        // Frames that are not shown have the times of others, but are decoded later.
        let mut times: Vec<_> = packets.iter().map(|packet| (packet.time, packet.decoding)).collect();
        times.retain(|(time, _)| *time >= 0);
        times.sort_unstable();
        let is_hidden = |pair: &[(i64, Option<i64>)]| pair[0].0 == pair[1].0 && pair[0].1 < pair[1].1;
        if video.has_edit_list() && times.windows(2).any(is_hidden) {
            let reason = format!(
                "has an edit list that leaves pictures out in its middle, so they cannot be copied; encode it first: \
                 ffmpeg -i {} FILM.mp4",
                film.display()
            );
            return Err(Error::Unfit { path: film.to_owned(), reason });
        }
        let end = video.end_of_packets(zero);
        Ok(Self { stream: video.stream, tick: video.tick, zero, counts, packets, wrong, end })
    }

    /// The part from `start` on of this `length`.
    pub fn cut(&self, start: Duration, length: Duration) -> Cut {
        let (start, length) = (self.ticks(start), self.ticks(length));
        let end = start.saturating_add(length);
        let numbered = || self.packets.iter().enumerate();
        // The first of those that are shown at the same time.
        let shown = |moment: i64| {
            let before = numbered().filter(|(_, packet)| packet.time <= moment);
            before.rev().max_by_key(|(_, packet)| packet.time).map_or(0, |(number, _)| number)
        };
        let begins = shown(start);
        let time = |number: usize| self.packets.get(number).map_or(0, |packet| packet.time);
        let keys = numbered().take(begins + 1).rev();
        let first = keys.clone().find(|(_, packet)| packet.is_key && packet.time <= time(begins));
        let first = first.map_or(0, |(number, _)| number);
        let last = numbered().skip(first).filter(|(_, packet)| packet.time < end).map(|(number, _)| number).max();
        let last = last.unwrap_or(begins).max(begins);
        let part = || numbered().take(last + 1).skip(first);

        // Pictures before the film's first that are decoded after it: the decoder leaves them out.
        let left_out: Vec<usize> = if start == 0 && first == begins {
            part().filter(|(_, packet)| packet.time < 0).map(|(number, _)| number).collect()
        } else {
            Vec::new()
        };
        let has_lead = left_out.is_empty() && part().any(|(_, packet)| packet.time < time(begins));

        let ends = part().filter(|(_, packet)| packet.time < end).max_by_key(|(_, packet)| packet.time);
        let ends = ends.map_or(begins, |(number, _)| number);
        let behind: Vec<usize> = part().filter(|(_, packet)| packet.time >= end).map(|(number, _)| number).collect();
        let within = self.wrong.iter().filter(|(number, _)| (first..=last).contains(number));
        let mut moved: Vec<_> = within.map(|&(number, by)| (number, -by)).collect();
        moved.push((begins, start - time(begins)));
        let mut durations = Vec::new();
        // The shortest time that every container can store.
        let moment = self.ticks(Duration::from_millis(1)).max(1);
        for (place, &number) in behind.iter().enumerate() {
            moved.push((number, end - (behind.len() - place) as i64 * moment - time(number)));
            durations.push((number, moment));
        }
        let ends_at = time(ends).max(start);
        durations.push((ends, (end - behind.len() as i64 * moment).saturating_sub(ends_at).max(1)));
        moved.retain(|(_, by)| *by != 0);
        Cut { first, last, has_lead, moved, durations, left_out }
    }

    /// How long the last picture stays, and how long the others do on the average.
    pub fn last_and_average(&self) -> (Duration, Duration) {
        let times = || self.packets.iter().map(|packet| packet.time);
        let (first, last) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
        let others = i64::try_from(self.packets.len()).unwrap_or(i64::MAX).saturating_sub(1).max(1);
        (self.duration(self.end.saturating_sub(last)), self.duration(last.saturating_sub(first) / others))
    }

    pub fn duration(&self, ticks: i64) -> Duration {
        Duration::from_nanos(ticks.rescale(self.tick, (1, 1_000_000_000)).try_into().unwrap_or(0))
    }

    pub fn ticks(&self, time: Duration) -> i64 {
        i64::try_from(time.as_nanos()).unwrap_or(i64::MAX).rescale((1, 1_000_000_000), self.tick)
    }

    /// What is added to the timestamps of a stream of sound, from which packet on: its clock jumps where that of the
    /// pictures does. In the stream's own ticks.
    pub fn sound(&self, film: &Path, stream: usize) -> Result<Vec<(usize, i64)>, Error> {
        let mut input = Input::open(film)?;
        let Some(sound) = input.reader.input.stream(stream) else { return Ok(Vec::new()) };
        let tick = Stream::time_base(&sound);
        let mut clock = Clock::new(tick, Rational(0, 1), input.reader.input.format().name());
        let in_ticks = |ticks: i64| ticks.rescale(self.tick, tick);
        let (mut at, mut own) = (0, 0);
        let mut offsets = vec![(0, self.counts.first().map_or(0, |count| in_ticks(count.offset)))];
        let mut number = 0;
        while let Some(packet) = input.packet()? {
            if packet.stream() != stream {
                continue;
            }
            let offset = clock.offset(packet.pts(), packet.dts(), packet.duration());
            if offset != own {
                own = offset;
                let now = packet.pts().or(packet.dts()).unwrap_or(0);
                let near = in_ticks(self.ticks(Duration::from_secs(1)));
                let holds =
                    |count: &Count| (in_ticks(count.span.0) - near..in_ticks(count.span.1) + near).contains(&now);
                let next = (at + 1..self.counts.len()).find(|&next| holds(&self.counts[next]));
                at = next.unwrap_or(at + 1).min(self.counts.len().saturating_sub(1));
                offsets.push((number, self.counts.get(at).map_or(0, |count| in_ticks(count.offset))));
            }
            number += 1;
        }
        Ok(offsets)
    }
}

/// How long a film is, as [`Video`] shows it: its packets are read, but only its first frames decoded.
///
/// # Errors
/// As those of [`Video::windows`].
pub fn duration(film: &Path) -> Result<Duration, Error> {
    let zero = Video::open(film)?.zero()?;
    let mut video = Video::open(film)?;
    while video.packet()?.is_some() {}
    let end = video.end_of_packets(zero);
    Ok(video.seconds(end))
}

/// The streams of sound in a file.
pub fn sounds(film: &Path) -> Result<Vec<usize>, Error> {
    let input = Input::open(film)?;
    let is_sound = |stream: &Stream| stream.parameters().medium() == Type::Audio;
    Ok(input.reader.input.streams().filter(is_sound).map(|stream| stream.index()).collect())
}
