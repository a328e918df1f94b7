//! From frames at any times to windows of pictures at regular ones.

use std::collections::VecDeque;
use std::iter::{Fuse, Peekable};
use std::ops::Range;
use std::time::Duration;

use ndarray::{Array3, Axis};

use super::clip::Clip;
use super::geometry::Geometry;
use crate::error::{Error, Result};

/// A picture and when it is on screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<P> {
    /// When it appears, counted from the first frame's presentation.
    pub time: Duration,
    /// How long it stays. The next frame ends it anyway, so only the last frame's counts: it ends the video.
    pub duration: Duration,
    /// The picture in any form, such as a decoder's own.
    pub picture: P,
}

/// A part of a film that a model sees at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Where it begins in the film.
    pub start: Duration,
    /// How long it is: [`Geometry::window`], but for the last, which ends with the film.
    pub duration: Duration,
    /// What is to be seen, or no video.
    pub clip: Clip,
}

impl Window {
    /// The [`windows`] of music of this `duration` that is for no video.
    pub fn without_video(duration: Duration, geometry: Geometry, hop: usize) -> impl Iterator<Item = Result<Self>> {
        let film = Frame { time: Duration::ZERO, duration, picture: () };
        Windows::new([Ok(film)], geometry, hop, |()| Ok(None))
    }
}

/// Cuts a film, given as frames in the order of their times, into windows of [`Geometry::frames`] pictures, each beginning
/// `hop` pictures behind the one before: with a hop as long as a window side by side, with a shorter one overlapping.
/// [`Options::hop`](crate::Options::hop) is the one that a [`Composer`](crate::Composer) wants.
///
/// Picture k of the film is the frame that is on screen in the middle of its share of time, at [`Geometry::time`], so a
/// variable frame rate needs no care. `pixels` turns a chosen frame into RGB, `[3, height, width]`; the others, most of a
/// film, cost nothing. The last window is the first that holds the film's last picture. Only a window and one picture more
/// are held, however long the film. An error ends the iteration, and a film without frames has no windows.
///
/// # Errors
///
/// Those of `frames` and `pixels`, [`Error::ClipShape`] for pictures of another size than the geometry's, and
/// [`Error::Option`] for a hop that is 0 or longer than a window.
///
/// ```
/// use std::time::Duration;
/// use vmt::ndarray::Array3;
/// use vmt::{Frame, Geometry, windows};
///
/// // Fifteen seconds at 25 frames a second, of RGB pictures that are as large as the model's.
/// let each = Duration::from_millis(40);
/// let frames = (0..375).map(|index| {
///     let picture = Array3::from_elem((3, 128, 128), index as u8);
///     Ok::<_, vmt::Error>(Frame { time: each * index, duration: each, picture })
/// });
/// // A picture is a quarter of a second, and so is a hop of ten 2.5 s.
/// let windows: Vec<_> = windows(frames, Geometry::PAPER, 10, |picture| Ok(picture.clone())).collect::<Result<_, _>>()?;
/// assert_eq!(windows.iter().map(|window| window.start.as_secs_f64()).collect::<Vec<_>>(), [0.0, 2.5, 5.0]);
/// assert!(windows.iter().all(|window| window.clip.frames() == 40));
/// # Ok::<_, vmt::Error>(())
/// ```
pub fn windows<P, E: From<Error>>(
    frames: impl IntoIterator<Item = Result<Frame<P>, E>>,
    geometry: Geometry,
    hop: usize,
    mut pixels: impl FnMut(&P) -> Result<Array3<u8>, E>,
) -> impl Iterator<Item = Result<Window, E>> {
    Windows::new(frames, geometry, hop, move |picture| pixels(picture).map(Some))
}

/// A part of a video, to be cut into [`windows`]: exactly from `range.start`, where a new count of time begins, to
/// `range.end`, or to the video's end where that comes first.
///
/// What is before is read and passed over; what is after is not read. Frames outside have no duration, and no window
/// shows them but the one that stays on screen at the start.
pub fn excerpt<P, E>(
    frames: impl IntoIterator<Item = Result<Frame<P>, E>>,
    range: Range<Duration>,
) -> impl Iterator<Item = Result<Frame<P>, E>> {
    let mut over = false;
    let within = move |moment: Duration| moment.min(range.end).saturating_sub(range.start);
    frames.into_iter().map_while(move |frame| {
        if over {
            return None;
        }
        Some(frame.map(|Frame { time, duration, picture }| {
            over = time >= range.end;
            let (time, end) = (within(time), within(time.saturating_add(duration)));
            Frame { time, duration: end - time, picture }
        }))
    })
}

/// RGB `[3, height, width]`; `None` where there is no video.
type Picture = Option<Array3<u8>>;

struct Windows<P, I: Iterator, F> {
    frames: Peekable<Fuse<I>>,
    geometry: Geometry,
    hop: usize,
    pixels: F,
    /// The number of the next window's first picture.
    start: usize,
    /// The next window's pictures, as far as they were sampled: one more than a window at most, so that the last is known.
    ring: VecDeque<Picture>,
    /// The frame on screen, and its pixels once they were asked for.
    shown: Option<(Frame<P>, Option<Picture>)>,
    over: bool,
}

impl<P, E, I, F> Iterator for Windows<P, I, F>
where
    E: From<Error>,
    I: Iterator<Item = Result<Frame<P>, E>>,
    F: FnMut(&P) -> Result<Picture, E>,
{
    type Item = Result<Window, E>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let window = self.window().transpose();
        self.over |= !matches!(window, Some(Ok(_)));
        window
    }
}

impl<P, E, I, F> Windows<P, I, F>
where
    E: From<Error>,
    I: Iterator<Item = Result<Frame<P>, E>>,
    F: FnMut(&P) -> Result<Picture, E>,
{
    fn new(frames: impl IntoIterator<IntoIter = I>, geometry: Geometry, hop: usize, pixels: F) -> Self {
        let frames = frames.into_iter().fuse().peekable();
        Self { frames, geometry, hop, pixels, start: 0, ring: VecDeque::new(), shown: None, over: false }
    }

    fn window(&mut self) -> Result<Option<Window>, E> {
        let length = self.geometry.frames();
        if !(1..=length).contains(&self.hop) {
            let (want, got) = ("at least 1 picture and at most a window", self.hop.to_string());
            return Err(Error::Option { option: "hop", want, got }.into());
        }
        while self.ring.len() <= length {
            let Some(picture) = self.sample(self.start + self.ring.len())? else { break };
            self.ring.push_back(picture);
        }
        if self.ring.is_empty() {
            return Ok(None);
        }
        let clip = self.clip(self.ring.len().min(length))?;
        let start = self.geometry.lasts(self.start);
        self.over = self.ring.len() <= length;
        let duration = if self.over { self.end().saturating_sub(start) } else { self.geometry.window() };
        if !self.over {
            self.ring.drain(..self.hop);
            self.start += self.hop;
        }
        Ok(Some(Window { start, duration, clip }))
    }

    /// The next `length` pictures.
    fn clip(&self, length: usize) -> Result<Clip> {
        let views: Option<Vec<_>> =
            self.ring.iter().take(length).map(|picture| Some(picture.as_ref()?.view())).collect();
        let Some(views) = views else { return Ok(Clip::without_video(&self.geometry)) };
        let wrong = || self.geometry.refuse(&[&[length], views[0].shape()].concat());
        Clip::new(ndarray::stack(Axis(0), &views).map_err(|_| wrong())?, &self.geometry)
    }

    /// Picture `index` of the film, or `None` if the film ends before.
    fn sample(&mut self, index: usize) -> Result<Option<Picture>, E> {
        let moment = self.geometry.time(index);
        let over = self.advance(moment)?;
        // However little a film is longer than so many whole windows, there is a picture of that.
        let needed = if index.is_multiple_of(self.geometry.frames()) { self.geometry.lasts(index) } else { moment };
        if over && self.end() <= needed { Ok(None) } else { self.picture() }
    }

    /// Shows the last frame that appears by `moment`, or the first of all; returns whether none follows.
    fn advance(&mut self, moment: Duration) -> Result<bool, E> {
        loop {
            match self.frames.peek() {
                None => return Ok(true),
                Some(Ok(next)) if self.shown.is_some() && next.time > moment => return Ok(false),
                Some(_) => self.shown = self.frames.next().transpose()?.map(|frame| (frame, None)),
            }
        }
    }

    /// The film's end, if the frame on screen is its last.
    fn end(&self) -> Duration {
        self.shown.as_ref().map_or(Duration::ZERO, |(frame, _)| frame.time.saturating_add(frame.duration))
    }

    /// The pixels of the frame on screen, made once even if it stays for hours.
    fn picture(&mut self) -> Result<Option<Picture>, E> {
        let Some((frame, pixels)) = &mut self.shown else { return Ok(None) };
        if pixels.is_none() {
            *pixels = Some((self.pixels)(&frame.picture)?);
        }
        Ok(pixels.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tiny pictures, so that a failing test can be read.
    const TINY: Geometry = Geometry::PAPER.with_size(1, 1).unwrap();

    fn at(ms: u64, duration: u64, picture: u8) -> Result<Frame<u8>> {
        Ok(Frame { time: Duration::from_millis(ms), duration: Duration::from_millis(duration), picture })
    }

    fn gray(&picture: &u8) -> Result<Array3<u8>> {
        Ok(Array3::from_elem((3, 1, 1), picture))
    }

    /// Each window as (start, duration, the pictures' numbers), in milliseconds.
    fn cut(frames: impl IntoIterator<Item = Result<Frame<u8>>>) -> Vec<(u128, u128, Vec<u8>)> {
        cut_by(40, frames)
    }

    fn cut_by(hop: usize, frames: impl IntoIterator<Item = Result<Frame<u8>>>) -> Vec<(u128, u128, Vec<u8>)> {
        windows(frames, TINY, hop, gray)
            .map(|window| {
                let Window { start, duration, clip } = window.unwrap();
                let pictures = clip.pixels().outer_iter().map(|picture| picture[[0, 0, 0]]).collect();
                (start.as_millis(), duration.as_millis(), pictures)
            })
            .collect()
    }

    /// Frames of 4 ms for `ms` milliseconds, numbered by the quarter second that they lie in.
    fn steady(ms: u64) -> impl Iterator<Item = Result<Frame<u8>>> {
        (0..ms / 4).map(|index| at(index * 4, 4, (index * 4 / 250) as u8))
    }

    fn numbers(range: std::ops::Range<u8>) -> Vec<u8> {
        range.collect()
    }

    #[test]
    fn whole_windows() {
        assert_eq!(cut(steady(10_000)), [(0, 10_000, numbers(0..40))]);
        assert_eq!(cut(steady(20_000)), [(0, 10_000, numbers(0..40)), (10_000, 10_000, numbers(40..80))]);
    }

    #[test]
    fn the_last_window_is_as_long_as_the_video() {
        assert_eq!(cut(steady(10_004)), [(0, 10_000, numbers(0..40)), (10_000, 4, vec![40])]);
        assert_eq!(cut(steady(12_000)), [(0, 10_000, numbers(0..40)), (10_000, 2_000, numbers(40..48))]);
        // The fortieth moment is 9.875 s.
        assert_eq!(cut(steady(9_876)), [(0, 9_876, numbers(0..40))]);
        assert_eq!(cut(steady(9_872)), [(0, 9_872, numbers(0..39))]);
    }

    #[test]
    fn windows_without_video_are_as_long_as_those_of_a_video() {
        for ms in [4, 124, 128, 372, 376, 5_124, 5_128, 9_872, 9_876, 10_000, 10_004, 12_000, 20_000] {
            for hop in [1, 10, 40] {
                let seen = windows(steady(ms), TINY, hop, gray).map(|window| window.unwrap());
                let unseen = Window::without_video(Duration::from_millis(ms), TINY, hop).map(|window| window.unwrap());
                let blind = |window: Window| Window { clip: Clip::without_video(&TINY), ..window };
                assert!(unseen.eq(seen.map(blind)), "{ms} ms by {hop}");
            }
        }
        assert_eq!(Window::without_video(Duration::ZERO, TINY, 10).count(), 0);
    }

    #[test]
    fn windows_overlap() {
        assert_eq!(cut_by(10, steady(10_000)), [(0, 10_000, numbers(0..40))]);
        assert_eq!(
            cut_by(10, steady(15_000)),
            [(0, 10_000, numbers(0..40)), (2_500, 10_000, numbers(10..50)), (5_000, 10_000, numbers(20..60))]
        );
        // The last window is the first that holds the last picture, and lasts to the film's end: here a bit longer than a
        // full one, for a picture in the middle of the next quarter second would be beyond it.
        assert_eq!(cut_by(10, steady(12_600)), [(0, 10_000, numbers(0..40)), (2_500, 10_100, numbers(10..50))]);
        let [.., last] = &cut_by(10, steady(12_700))[..] else { panic!() };
        assert_eq!(*last, (5_000, 7_700, numbers(20..51)));
        assert_eq!(cut_by(10, steady(10_004)), [(0, 10_000, numbers(0..40)), (2_500, 7_504, numbers(10..41))]);
    }

    #[test]
    fn windows_are_as_many_as_the_hops_to_the_last_picture() {
        for hop in [1, 3, 10, 39, 40] {
            for pictures in [1_u64, 39, 40, 41, 60, 80, 83] {
                let got = cut_by(hop, steady(250 * pictures));
                assert_eq!(got.len(), 1 + (pictures as usize).saturating_sub(40).div_ceil(hop), "{pictures} by {hop}");
                for (index, (start, _, window)) in got.iter().enumerate() {
                    assert_eq!(*start, (index * hop * 250) as u128);
                    assert_eq!(*window, numbers((index * hop) as u8..(index * hop + 40).min(pictures as usize) as u8));
                }
            }
        }
    }

    #[test]
    fn windows_go_on_as_long_as_the_film_does() {
        let slow = Geometry::new(4, 1, 1, 86_400_000).unwrap();
        let windows = Window::without_video(Duration::MAX, slow, 1).map(|window| window.unwrap());
        let starts: Vec<_> = windows.take(3).map(|window| window.start.as_secs()).collect();
        assert_eq!(starts, [0, 86_400, 172_800]);
        let last = Window::without_video(Duration::from_secs(u64::MAX), Geometry::PAPER, 40).next().unwrap().unwrap();
        assert_eq!(last.duration, Duration::from_secs(10));
    }

    #[test]
    fn hops_lie_within_a_window() {
        for hop in [0, 41, usize::MAX] {
            let cut: Vec<_> = windows(steady(15_000), TINY, hop, gray).collect();
            let want = format!("hop must be at least 1 picture and at most a window, but is {hop}");
            assert!(matches!(&cut[..], [Err(error)] if error.to_string() == want), "{cut:?}");
        }
    }

    #[test]
    fn a_short_video_has_one_picture() {
        assert_eq!(cut([at(0, 100, 7)]), [(0, 100, vec![7])]);
    }

    #[test]
    fn no_frames_no_windows() {
        assert_eq!(cut([]), []);
        assert_eq!(cut([at(0, 0, 7)]), []);
    }

    #[test]
    fn frames_are_chosen_by_time_not_by_index() {
        // Moments: 125, 375, 625, 875 ms. A frame that appears exactly then is shown.
        let frames = [at(0, 9, 1), at(125, 9, 2), at(130, 9, 3), at(376, 9, 4), at(800, 9, 5), at(870, 130, 6)];
        assert_eq!(cut(frames), [(0, 1_000, vec![2, 3, 4, 6])]);
    }

    #[test]
    fn a_frame_stays_until_the_next() {
        assert_eq!(
            cut([at(0, 4, 1), at(20_000, 500, 2)]),
            [(0, 10_000, vec![1; 40]), (10_000, 10_000, vec![1; 40]), (20_000, 500, vec![2; 2])]
        );
        assert_eq!(cut([at(300, 200, 1)]), [(0, 500, vec![1; 2])], "the first is there from the start");
    }

    fn cut_between(
        frames: impl IntoIterator<Item = Result<Frame<u8>>>,
        range: Range<u64>,
    ) -> Vec<(u128, u128, Vec<u8>)> {
        cut(excerpt(frames, Duration::from_millis(range.start)..Duration::from_millis(range.end)))
    }

    #[test]
    fn an_excerpt_is_exact() {
        assert_eq!(cut_between(steady(20_000), 0..30_000), cut(steady(20_000)));
        assert_eq!(cut_between(steady(20_000), 2_000..4_000), [(0, 2_000, numbers(8..16))]);
        assert_eq!(
            cut_between(steady(20_000), 5_000..16_001),
            [(0, 10_000, numbers(20..60)), (10_000, 1_001, numbers(60..64))]
        );
        // The moments are counted from the start: 2001 + 125 ms, ...
        assert_eq!(cut_between(steady(20_000), 2_001..2_901), [(0, 900, numbers(8..12))]);
        assert_eq!(cut_between(steady(3_000), 2_000..9_000), [(0, 1_000, numbers(8..12))], "the video is over");
    }

    #[test]
    fn an_excerpt_may_lie_within_a_frame() {
        let frames = || [at(0, 40, 1), at(4_000, 40, 2), at(9_000, 40, 3)];
        assert_eq!(cut_between(frames(), 5_000..5_600), [(0, 600, vec![2, 2])]);
        assert_eq!(cut_between(frames(), 5_000..8_999), [(0, 3_999, vec![2; 16])]);
        assert_eq!(cut_between(frames(), 3_800..4_300), [(0, 500, vec![1, 2])]);
        assert_eq!(cut_between(frames(), 9_020..9_500), [(0, 20, vec![3])]);
    }

    #[test]
    fn outside_of_the_video_is_nothing() {
        assert_eq!(cut_between(steady(3_000), 3_000..4_000), []);
        assert_eq!(cut_between(steady(3_000), 9_000..10_000), []);
        assert_eq!(cut_between(steady(3_000), 1_000..1_000), []);
    }

    #[test]
    fn what_follows_an_excerpt_is_not_read() {
        let frames = steady(1_000).chain([Err(Error::Midi("read".into()))]);
        assert_eq!(cut_between(frames, 250..996), [(0, 746, numbers(1..4))]);
    }

    #[test]
    fn each_chosen_frame_is_converted_once() {
        let mut converted = Vec::new();
        let frames = steady(1_000).chain([at(1_000, 20_000, 9)]);
        let count = windows(frames, TINY, 10, |picture| {
            converted.push(*picture);
            gray(picture)
        })
        .count();
        assert_eq!((count, converted), (6, vec![0, 1, 2, 3, 9]));
    }

    #[test]
    fn an_error_passes_through_and_ends_the_windows() {
        #[derive(Debug, PartialEq)]
        enum Broken {
            Frame,
            Pixels,
            Clip,
        }
        impl From<Error> for Broken {
            fn from(_: Error) -> Self {
                Self::Clip
            }
        }
        let check = |bad: u64, pixels: fn(&u8) -> Result<Array3<u8>, Broken>, want| {
            let frames = (0..200).map(|index| match index {
                _ if index == bad => Err(Broken::Frame),
                _ => Ok(at(index * 100, 100, index as u8).unwrap()),
            });
            let got: Vec<_> =
                windows(frames, TINY, 40, pixels).map(|window| window.map(|window| window.start)).collect();
            assert_eq!(got, want);
        };
        let fine: fn(&u8) -> _ = |picture| Ok(gray(picture).unwrap());
        check(150, fine, vec![Ok(Duration::ZERO), Err(Broken::Frame)]);
        check(0, fine, vec![Err(Broken::Frame)]);
        check(999, |_| Err(Broken::Pixels), vec![Err(Broken::Pixels)]);
        check(999, |_| Ok(Array3::zeros((3, 2, 2))), vec![Err(Broken::Clip)]);
        check(999, |picture| Ok(Array3::zeros((3, 1, usize::from(*picture)))), vec![Err(Broken::Clip)]);
    }
}
