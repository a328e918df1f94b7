//! Windows of a film as bytes: for another process, or to wait until the whole film is known.
//!
//! Each is a line with its [`Header`], and the pixels of those pictures that are not in the window before.

use std::io::{BufRead, Write};
use std::time::Duration;
use std::{iter, mem};

use anyhow::{Context, Result, bail};
use ndarray::{Array4, s};
use serde::{Deserialize, Serialize};
use vmt::{Clip, Geometry, Window};

/// What stands before the pixels of a window.
#[derive(Serialize, Deserialize)]
struct Header {
    start: Duration,
    duration: Duration,
    frames: usize,
}

/// Writes windows that begin `hop` pictures apart; `check` is told where each ends.
pub fn write(
    windows: impl Iterator<Item = Result<Window>>,
    hop: usize,
    mut out: impl Write,
    mut check: impl FnMut(Duration) -> Result<()>,
) -> Result<()> {
    let mut written = 0;
    for window in windows {
        let Window { start, duration, clip, .. } = window?;
        check(start + duration)?;
        let frames = clip.frames();
        let header = serde_json::to_string(&Header { start, duration, frames })? + "\n";
        let pixels = clip.pixels();
        let new = pixels.slice(s![written.., .., .., ..]);
        let new = new.to_slice().context("its pixels lie apart")?;
        let mut put = || {
            out.write_all(header.as_bytes())?;
            out.write_all(new)?;
            out.flush()
        };
        put()
            .context("the film's pictures cannot be kept meanwhile, in memory or in the folder for temporary files")?;
        written = frames.saturating_sub(hop);
    }
    Ok(())
}

/// Reads what [`write`] has written. `end` is called when nothing more comes, and may know why that is too early.
pub fn read(
    mut from: impl BufRead,
    geometry: Geometry,
    hop: usize,
    end: impl FnOnce() -> Result<()>,
) -> impl Iterator<Item = Result<Window>> {
    let picture = 3 * geometry.height() * geometry.width();
    let (mut line, mut end) = (String::new(), Some(end));
    // The pictures that are also in the next window.
    let mut shared = Vec::new();
    let mut next = move || -> Result<Option<Window>> {
        let mut ended = || end.take().map_or(Ok(()), |end| end());
        line.clear();
        from.read_line(&mut line)?;
        if line.is_empty() {
            return ended().map(|()| None);
        }
        let Header { start, duration, frames } = serde_json::from_str(&line)?;
        let shape = (frames.min(geometry.frames()), 3, geometry.height(), geometry.width());
        let mut pixels = mem::take(&mut shared);
        let known = pixels.len();
        pixels.resize(shape.0 * picture, 0);
        let new = pixels.get_mut(known..).context("what reads the film names too few pictures")?;
        if from.read_exact(new).is_err() {
            ended()?;
            bail!("what reads the film gives too few pictures");
        }
        shared.extend(pixels.iter().skip(hop * picture));
        let clip = Clip::new(Array4::from_shape_vec(shape, pixels)?, &geometry)?;
        Ok(Some(Window { start, duration, clip }))
    };
    let mut is_over = false;
    iter::from_fn(move || {
        if is_over {
            return None;
        }
        let window = next().transpose();
        is_over = !matches!(window, Some(Ok(_)));
        window
    })
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;
    use vmt::{Frame, windows};

    use super::*;

    fn film(geometry: Geometry, hop: usize) -> impl Iterator<Item = Result<Window>> {
        let frame = |number: u32| {
            Ok(Frame {
                time: number * Duration::from_millis(250),
                duration: Duration::from_millis(250),
                picture: number as u8,
            })
        };
        windows((0..107).map(frame), geometry, hop, move |&number| {
            anyhow::Ok(Array3::from_elem((3, geometry.height(), geometry.width()), number))
        })
    }

    #[test]
    fn what_is_written_is_read() {
        let geometry = Geometry::new(40, 8, 8, 250).unwrap();
        for hop in [1, 10, 39, 40] {
            let (mut bytes, mut last) = (Vec::new(), Duration::ZERO);
            write(film(geometry, hop), hop, &mut bytes, |end| {
                last = end;
                Ok(())
            })
            .unwrap();
            assert_eq!(last, Duration::from_millis(107 * 250));
            let read = read(bytes.as_slice(), geometry, hop, || Ok(()));
            assert!(read.map(Result::unwrap).eq(film(geometry, hop).map(Result::unwrap)), "{hop}");
        }
    }

    #[test]
    fn what_is_cut_off_is_no_film() {
        let geometry = Geometry::new(40, 8, 8, 250).unwrap();
        let mut bytes = Vec::new();
        write(film(geometry, 10), 10, &mut bytes, |_| Ok(())).unwrap();
        bytes.pop();
        let error = |end: fn() -> Result<()>| {
            let mut read = read(bytes.as_slice(), geometry, 10, end);
            let error = read.find_map(Result::err).unwrap().to_string();
            assert!(read.next().is_none());
            error
        };
        assert_eq!(error(|| Ok(())), "what reads the film gives too few pictures");
        assert_eq!(error(|| bail!("it was ended")), "it was ended");
    }
}
