//! Whether a Matroska or WebM file is all there: FFmpeg does not tell.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

/// The identifiers of the header and of the segment, which holds the rest (RFC 8794 and 9559).
const HEADER: u64 = 0x1A45_DFA3;
const SEGMENT: u64 = 0x1853_8067;

/// Whether the segment's size is known, and that of the file is no less.
pub fn is_whole(path: &Path) -> bool {
    File::open(path).and_then(holds_segment).unwrap_or(false)
}

fn holds_segment(mut file: impl Read + Seek) -> io::Result<bool> {
    let mut element = |want: u64| -> io::Result<(u64, u64, u64)> {
        let (id, _) = number(&mut file, true)?;
        let (size, is_known) = number(&mut file, false)?;
        if id != want || !is_known {
            return Err(ErrorKind::InvalidData.into());
        }
        let end = file.stream_position()?.saturating_add(size);
        Ok((end, file.seek(SeekFrom::End(0))?, file.seek(SeekFrom::Start(end))?))
    };
    element(HEADER)?;
    let (end, length, _) = element(SEGMENT)?;
    Ok(end <= length)
}

/// A number whose first byte says how many follow; with that `mark`, or without it and whether it is known.
fn number(file: &mut impl Read, mark: bool) -> io::Result<(u64, bool)> {
    let mut bytes = [0; 8];
    file.read_exact(&mut bytes[..1])?;
    let more = bytes[0].leading_zeros() as usize;
    if more > 7 {
        return Err(ErrorKind::InvalidData.into());
    }
    file.read_exact(&mut bytes[1..=more])?;
    let bits = 7 * (more + 1);
    let marked = u64::from_be_bytes(bytes) >> (8 * (7 - more));
    let value = marked & ((1 << bits) - 1);
    Ok((if mark { marked } else { value }, value != (1 << bits) - 1))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn sizes() {
        let film = |size: &[u8], content: usize| {
            let header = [0x1A, 0x45, 0xDF, 0xA3, 0x82, 7, 7, 0x18, 0x53, 0x80, 0x67];
            let bytes = [&header, size, &vec![0; content]].concat();
            holds_segment(Cursor::new(bytes)).unwrap_or(false)
        };
        assert!(film(&[0x8A], 10) && film(&[0x8A], 11) && film(&[0x40, 10], 10));
        assert!(film(&[1, 0, 0, 0, 0, 0, 0, 10], 10));
        assert!(!film(&[0x8A], 9) && !film(&[1, 0, 0, 0, 0, 0, 1, 10], 10));
        assert!(!film(&[0xFF], 500) && !film(&[1, 255, 255, 255, 255, 255, 255, 255], 10), "no size is known");
        assert!(!film(&[0], 10) && !film(&[], 0));
        assert!(!holds_segment(Cursor::new([0x18; 20])).unwrap_or(false));
    }
}
