//! From frames at any times to windows of pictures at regular ones.

use std::iter::{self, Fuse, Peekable};
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

/// A piece of a video for which the model writes in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Where it begins in the video.
    pub start: Duration,
    /// How long it is: [`Geometry::window`], or less at the video's end.
    pub duration: Duration,
    /// What is to be seen: [`Geometry::pictures`] of them, or no video.
    pub clip: Clip,
}

impl Window {
    /// The windows of music of this `duration` that is for no video.
    pub fn without_video(duration: Duration, geometry: Geometry) -> impl Iterator<Item = Self> {
        let full = geometry.window();
        let starts = iter::successors(Some(Duration::ZERO), move |&start| Some(start + full));
        starts.take_while(move |&start| start < duration).map(move |start| Self {
            start,
            duration: full.min(duration - start),
            clip: Clip::without_video(&geometry),
        })
    }
}

/// Cuts a video, given as frames in the order of their times, into windows.
///
/// Each picture of a clip is the frame that is on screen at that moment, so a variable frame rate needs no care.
/// `pixels` turns a chosen frame into RGB, `[3, height, width]`; the others, most of a film, cost nothing. Only one
/// window and one frame ahead are held, however long the video. An error ends the iteration, and a video without
/// frames has no windows.
///
/// ```
/// use std::time::Duration;
/// use ndarray::Array3;
/// use vmt::{Frame, Geometry, windows};
///
/// // Twelve seconds at 25 frames a second, of RGB pictures that are as large as the model's.
/// let each = Duration::from_millis(40);
/// let frames = (0..300).map(|index| {
///     let picture = Array3::from_elem((3, 128, 128), index as u8);
///     Ok::<_, vmt::Error>(Frame { time: each * index, duration: each, picture })
/// });
/// let windows: Vec<_> = windows(frames, Geometry::PAPER, |picture| Ok(picture.clone())).collect::<Result<_, _>>()?;
/// assert_eq!(windows.iter().map(|window| window.clip.frames()).collect::<Vec<_>>(), [40, 8]);
/// assert_eq!(windows[1].duration, Duration::from_secs(2));
/// # Ok::<_, vmt::Error>(())
/// ```
pub fn windows<P, E: From<Error>>(
    frames: impl IntoIterator<Item = Result<Frame<P>, E>>,
    geometry: Geometry,
    pixels: impl FnMut(&P) -> Result<Array3<u8>, E>,
) -> impl Iterator<Item = Result<Window, E>> {
    let frames = frames.into_iter().fuse().peekable();
    Windows { frames, geometry, pixels, start: Duration::ZERO, shown: None, over: false }
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

struct Windows<P, I: Iterator, F> {
    frames: Peekable<Fuse<I>>,
    geometry: Geometry,
    pixels: F,
    /// Where the next window begins.
    start: Duration,
    /// The frame on screen, and its pixels once they were asked for.
    shown: Option<(Frame<P>, Option<Array3<u8>>)>,
    over: bool,
}

impl<P, E, I, F> Iterator for Windows<P, I, F>
where
    E: From<Error>,
    I: Iterator<Item = Result<Frame<P>, E>>,
    F: FnMut(&P) -> Result<Array3<u8>, E>,
{
    type Item = Result<Window, E>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let window = self.window().transpose();
        self.over = !matches!(window, Some(Ok(_)));
        window
    }
}

impl<P, E, I, F> Windows<P, I, F>
where
    E: From<Error>,
    I: Iterator<Item = Result<Frame<P>, E>>,
    F: FnMut(&P) -> Result<Array3<u8>, E>,
{
    fn window(&mut self) -> Result<Option<Window>, E> {
        let start = self.start;
        let mut pictures = Vec::new();
        for frame in 0..self.geometry.frames {
            let moment = start + self.geometry.time(frame);
            let end = self.advance(moment)?;
            // However short, a window has a first picture.
            let last_chance = if frame == 0 { start } else { moment };
            if end.is_some_and(|end| end <= last_chance) {
                break;
            }
            pictures.extend(self.picture()?);
        }
        if pictures.is_empty() {
            return Ok(None);
        }

        let full = self.geometry.window();
        self.start = start + full;
        let duration = self.advance(self.start)?.map_or(full, |end| full.min(end.saturating_sub(start)));
        let views: Vec<_> = pictures.iter().map(|picture| picture.view()).collect();
        let wrong = self.geometry.refuse(&[&[views.len()], views[0].shape()].concat());
        let clip = Clip::new(ndarray::stack(Axis(0), &views).map_err(|_| wrong)?, &self.geometry)?;
        Ok(Some(Window { start, duration, clip }))
    }

    /// Shows the last frame that appears by `moment`, or the first of all; returns the video's end if none follows.
    fn advance(&mut self, moment: Duration) -> Result<Option<Duration>, E> {
        loop {
            match self.frames.peek() {
                None => {
                    let end = |(frame, _): &(Frame<P>, _)| frame.time.saturating_add(frame.duration);
                    return Ok(Some(self.shown.as_ref().map_or(Duration::ZERO, end)));
                }
                Some(Ok(next)) if self.shown.is_some() && next.time > moment => return Ok(None),
                Some(_) => self.shown = self.frames.next().transpose()?.map(|frame| (frame, None)),
            }
        }
    }

    /// The pixels of the frame on screen, made once even if it stays for hours.
    fn picture(&mut self) -> Result<Option<Array3<u8>>, E> {
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
    const TINY: Geometry = Geometry { height: 1, width: 1, ..Geometry::PAPER };

    fn at(ms: u64, duration: u64, picture: u8) -> Result<Frame<u8>> {
        Ok(Frame { time: Duration::from_millis(ms), duration: Duration::from_millis(duration), picture })
    }

    fn gray(&picture: &u8) -> Result<Array3<u8>> {
        Ok(Array3::from_elem((3, 1, 1), picture))
    }

    /// Each window as (start, duration, the pictures' numbers), in milliseconds.
    fn cut(frames: impl IntoIterator<Item = Result<Frame<u8>>>) -> Vec<(u128, u128, Vec<u8>)> {
        windows(frames, TINY, gray)
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
            let seen = windows(steady(ms), TINY, gray).map(|window| window.unwrap());
            let unseen: Vec<_> = Window::without_video(Duration::from_millis(ms), TINY).collect();
            let spans = |window: &Window| (window.start, window.duration, TINY.pictures(window.duration));
            assert_eq!(
                unseen.iter().map(spans).collect::<Vec<_>>(),
                seen.map(|window| (window.start, window.duration, window.clip.frames())).collect::<Vec<_>>()
            );
            assert!(unseen.iter().all(|window| window.clip.pixels().dim() == (0, 3, 1, 1)));
        }
        assert_eq!(Window::without_video(Duration::ZERO, TINY).count(), 0);
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
        let count = windows(frames, TINY, |picture| {
            converted.push(*picture);
            gray(picture)
        })
        .count();
        assert_eq!((count, converted), (3, vec![0, 1, 2, 3, 9]));
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
            let got: Vec<_> = windows(frames, TINY, pixels).map(|window| window.map(|window| window.start)).collect();
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
