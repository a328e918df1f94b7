//! Standard MIDI files: the notes of one, and one of notes. Bytes in, bytes out.

use std::collections::HashMap;

use midly::num::{u15, u28};
use midly::{EventIter, Format, Header, MetaMessage, MidiMessage, Smf, Timing, TrackEvent, TrackEventKind};

use super::note::PerformedNote;
use super::score::Score;
use super::tempo::Tempo;
use crate::error::{Error, Result};

/// The channel of drums (10, counted from 1).
const DRUMS: u8 = 9;
/// The controller of the sustain pedal.
const PEDAL: u8 = 64;

/// What the sustain pedal (controller 64) does to the notes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sustain {
    /// It holds them until it is released or the key is struck again, as in Magenta.
    Apply,
    /// Nothing: a note ends when its key comes up.
    Ignore,
}

/// The notes of a file, as pretty_midi pairs them; drums are left out. An instrument is a channel of a track.
///
/// # Errors
///
/// [`Error::Midi`] for bytes that are no Standard MIDI File of format 0 or 1.
pub fn read(bytes: &[u8], sustain: Sustain) -> Result<Vec<PerformedNote>> {
    let (division, tracks) = parse(bytes)?;
    let clock = Clock::new(division, &tracks)?;
    let instruments: Vec<Instrument> = tracks.iter().flat_map(instruments).collect();
    let end = instruments.iter().map(Instrument::end).max().unwrap_or(0);
    let mut performed = Vec::new();
    for instrument in instruments {
        let notes = match sustain {
            Sustain::Apply => instrument.sustained(end),
            Sustain::Ignore => instrument.notes,
        };
        performed.extend(notes.iter().map(|note| PerformedNote {
            start: clock.seconds(note.start),
            end: clock.seconds(note.end),
            pitch: note.pitch,
            velocity: note.velocity,
        }));
    }
    Ok(performed)
}

/// A file of one track: 120 bpm, one tick a millisecond, an acoustic grand; it ends when the piece does.
///
/// At a moment when a key comes up and is struck again, it comes up first, so that it sounds again.
///
/// # Errors
///
/// [`Error::Option`] for a score of more notes than fit into the 4 GB of a track.
pub fn write(score: &Score) -> Result<Vec<u8>> {
    write_at(score, Tempo::default())
}

/// The same at another tempo, which changes the count of beats and not the music: a moment is off by at most half a tick,
/// under 0.2 ms, and by nothing where a step of 10 ms can be a whole number of ticks.
///
/// # Errors
///
/// As [`write()`].
pub fn write_at(score: &Score, tempo: Tempo) -> Result<Vec<u8>> {
    let tick = |step| tempo.tick_of(step);
    let mut strokes = Vec::new();
    for note in score.notes() {
        let (key, vel) = (note.pitch.get().into(), note.velocity.clamp(1, 127).into());
        strokes.push((tick(note.end), false, MidiMessage::NoteOff { key, vel: 64.into() }));
        strokes.push((tick(note.start), true, MidiMessage::NoteOn { key, vel }));
    }
    strokes.sort_by_key(|&(tick, on, _)| (tick, on));

    let mut clock = 0;
    let mut event = |tick: u64, kind| {
        // A pause of more than 74 hours does not fit.
        let delta = u32::try_from(tick - clock).ok().and_then(u28::try_from).unwrap_or(u28::max_value());
        clock = tick;
        TrackEvent { delta, kind }
    };
    let midi = |message| TrackEventKind::Midi { channel: 0.into(), message };
    let end = tempo.tick(score.duration().as_nanos());
    let end = strokes.last().map_or(end, |&(tick, ..)| end.max(tick));
    let mut track = vec![
        event(0, TrackEventKind::Meta(MetaMessage::Tempo(tempo.micros().into()))),
        event(0, midi(MidiMessage::ProgramChange { program: 0.into() })),
    ];
    track.extend(strokes.into_iter().map(|(tick, _, message)| event(tick, midi(message))));
    track.push(event(end, TrackEventKind::Meta(MetaMessage::EndOfTrack)));

    let header = Header::new(Format::SingleTrack, Timing::Metrical(u15::new(tempo.ticks())));
    let mut bytes = Vec::new();
    Smf { header, tracks: vec![track] }.write(&mut bytes).map_err(|_| Error::Option {
        option: "a MIDI track",
        want: "smaller than 4 GB",
        got: format!("of {} notes", score.notes().len()),
    })?;
    Ok(bytes)
}

fn bad<T>(reason: impl Into<String>) -> Result<T> {
    Err(Error::Midi(reason.into()))
}

/// Events, each with its tick from the start.
type Track<'a> = Vec<(u64, TrackEventKind<'a>)>;

/// The division of time, and the tracks.
///
/// midly reads the events only: there are headers that make it panic.
fn parse(bytes: &[u8]) -> Result<([u8; 2], Vec<Track<'_>>)> {
    let mut rest = bytes;
    let Some((b"MThd", &[format_high, format_low, count_high, count_low, high, low, ..])) = chunk(&mut rest) else {
        return bad("it has no header");
    };
    let format = u16::from_be_bytes([format_high, format_low]);
    if format > 1 {
        return bad(format!("its format must be 0 or 1, but is {format}"));
    }
    let count = u16::from_be_bytes([count_high, count_low]);
    let mut tracks = Vec::new();
    for number in 1..=count {
        let mut track = Vec::new();
        let mut tick = 0;
        for event in EventIter::new(track_chunk(&mut rest, number, count)?) {
            let event = event.or_else(|error| {
                bad(format!("track {number} of {count} after tick {tick}: {}", error.kind().message()))
            })?;
            tick += u64::from(event.delta.as_int());
            track.push((tick, event.kind));
        }
        tracks.push(track);
    }
    Ok(([high, low], tracks))
}

/// The next track's bytes; chunks of other kinds are passed over.
fn track_chunk<'a>(rest: &mut &'a [u8], number: u16, count: u16) -> Result<&'a [u8]> {
    loop {
        match chunk(rest) {
            Some((b"MTrk", data)) => return Ok(data),
            Some(_) => {}
            None => return bad(format!("track {number} of {count} is missing or cut short")),
        }
    }
}

/// Takes a chunk's name and bytes from the front of `bytes`.
fn chunk<'a>(bytes: &mut &'a [u8]) -> Option<(&'a [u8; 4], &'a [u8])> {
    let (name, rest) = bytes.split_first_chunk()?;
    let (length, rest) = rest.split_first_chunk()?;
    let (data, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    *bytes = rest;
    Some((name, data))
}

/// Seconds from ticks: stretches of constant tempo as (first tick, its time in seconds, seconds per tick).
struct Clock(Vec<(u64, f64, f64)>);

impl Clock {
    fn new([high, low]: [u8; 2], tracks: &[Track]) -> Result<Self> {
        let resolution = f64::from(u16::from_be_bytes([high, low]));
        if resolution == 0.0 {
            return bad("it has no ticks in a quarter note");
        }
        if high >= 0x80 {
            // SMPTE time, which knows no tempo: minus the frames in a second, then the ticks in a frame.
            let frames = match high.wrapping_neg() {
                frames @ (24 | 25 | 30) => f64::from(frames),
                29 => 30.0 / 1.001,
                frames => return bad(format!("its frames per second must be 24, 25, 29 or 30, but are {frames}")),
            };
            if low == 0 {
                return bad("it has no ticks in a frame");
            }
            return Ok(Self(vec![(0, 0.0, 1.0 / (frames * f64::from(low)))]));
        }
        let mut tempi: Vec<(u64, u32)> = vec![(0, 500_000)];
        for (tick, kind) in tracks.iter().flatten() {
            if let TrackEventKind::Meta(MetaMessage::Tempo(micros)) = kind {
                tempi.push((*tick, micros.as_int()));
            }
        }
        tempi.sort_by_key(|&(tick, _)| tick);
        let mut clock = Self(Vec::new());
        for (tick, micros) in tempi {
            if micros == 0 {
                return bad(format!("a quarter note lasts no time from tick {tick}"));
            }
            // The order in which pretty_midi computes it: the last bit may decide between two steps of the grid.
            let seconds_per_tick = 60.0 / (6e7 / f64::from(micros) * resolution);
            if clock.0.last().is_none_or(|&(.., last)| last != seconds_per_tick) {
                clock.0.push((tick, clock.seconds(tick), seconds_per_tick));
            }
        }
        Ok(clock)
    }

    fn seconds(&self, tick: u64) -> f64 {
        let later = self.0.partition_point(|&(first, ..)| first <= tick);
        self.0[..later].last().map_or(0.0, |&(first, time, per_tick)| time + (tick - first) as f64 * per_tick)
    }
}

/// What one channel of a track plays, in ticks.
#[derive(Default)]
struct Instrument {
    /// In the order in which they end.
    notes: Vec<Stroke>,
    /// When the pedal goes down (true) or up.
    pedal: Vec<(u64, bool)>,
}

#[derive(Clone, Copy)]
struct Stroke {
    start: u64,
    end: u64,
    pitch: u8,
    velocity: u8,
}

/// The instruments of a track that play notes.
fn instruments(track: &Track) -> impl Iterator<Item = Instrument> {
    let mut channels: [Instrument; 16] = Default::default();
    let mut open: HashMap<(u8, u8), Vec<(u64, u8)>> = HashMap::new();
    for &(tick, kind) in track {
        let TrackEventKind::Midi { channel, message } = kind else { continue };
        let channel = channel.as_int();
        let instrument = &mut channels[usize::from(channel)];
        match message {
            MidiMessage::NoteOn { key, vel } if vel > 0 => {
                open.entry((channel, key.as_int())).or_default().push((tick, vel.as_int()));
            }
            MidiMessage::NoteOn { key, .. } | MidiMessage::NoteOff { key, .. } => {
                let pitch = key.as_int();
                let struck = open.remove(&(channel, pitch)).unwrap_or_default();
                let (earlier, now): (Vec<_>, Vec<_>) = struck.into_iter().partition(|&(start, _)| start < tick);
                // A key that comes up and goes down at one tick stays down, in whichever order the file says so.
                if !earlier.is_empty() {
                    open.insert((channel, pitch), now);
                }
                let ended = |(start, velocity)| Stroke { start, end: tick, pitch, velocity };
                instrument.notes.extend(earlier.into_iter().map(ended));
            }
            MidiMessage::Controller { controller, value } if controller == PEDAL => {
                instrument.pedal.push((tick, value >= 64));
            }
            _ => {}
        }
    }
    channels[usize::from(DRUMS)] = Instrument::default();
    channels.into_iter().filter(|instrument| !instrument.notes.is_empty())
}

/// What happens to an instrument, in the order in which it happens at one tick. Numbers are indices of notes.
enum Change {
    Down(usize),
    Up(usize),
    Pedal(bool),
}

impl Instrument {
    /// The last tick at which something happens.
    fn end(&self) -> u64 {
        let pedal = self.pedal.last().map_or(0, |&(tick, _)| tick);
        self.notes.last().map_or(0, |note| note.end.max(pedal))
    }

    /// The notes as the pedal holds them; a pedal that is never released holds them to `end`.
    fn sustained(&self, end: u64) -> Vec<Stroke> {
        let indexed = || self.notes.iter().enumerate();
        let mut changes: Vec<(u64, Change)> =
            indexed().map(|(index, note)| (note.start, Change::Down(index))).collect();
        changes.extend(indexed().map(|(index, note)| (note.end, Change::Up(index))));
        changes.extend(self.pedal.iter().map(|&(tick, down)| (tick, Change::Pedal(down))));
        changes.sort_by_key(|&(tick, _)| tick);

        let mut ends: Vec<Option<u64>> = vec![None; self.notes.len()];
        let mut struck: [Vec<usize>; 128] = std::array::from_fn(|_| Vec::new());
        let mut held = Vec::new();
        let mut pedal = false;
        for (tick, change) in changes {
            match change {
                Change::Down(index) => {
                    let same_key = &mut struck[usize::from(self.notes[index].pitch)];
                    if pedal {
                        for earlier in same_key.drain(..) {
                            ends[earlier].get_or_insert(tick);
                        }
                    }
                    same_key.push(index);
                }
                Change::Up(index) if pedal => held.push(index),
                Change::Up(index) => {
                    ends[index].get_or_insert(tick);
                }
                Change::Pedal(down) => {
                    pedal = down;
                    if !down {
                        for index in held.drain(..) {
                            ends[index].get_or_insert(tick);
                        }
                    }
                }
            }
        }
        let lengthened = self.notes.iter().zip(ends).map(|(note, until)| Stroke { end: until.unwrap_or(end), ..*note });
        // Of two strokes of a key at one tick, one is left.
        lengthened.filter(|note| note.start < note.end).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::music::score::tests::normal_scores;

    /// A file of format 0 with one track of `events`.
    fn file(division: [u8; 2], events: &[u8]) -> Vec<u8> {
        let mut bytes = b"MThd\0\0\0\x06\0\0\0\x01".to_vec();
        bytes.extend(division);
        bytes.extend(b"MTrk");
        bytes.extend((events.len() as u32).to_be_bytes());
        bytes.extend(events);
        bytes
    }

    #[track_caller]
    fn check(division: [u8; 2], events: &[u8], notes: &str) {
        let performed = read(&file(division, events), Sustain::Apply).unwrap();
        assert_eq!(Score::quantise(&performed, Duration::from_secs(100)).to_string(), notes);
    }

    /// 500 ticks in a quarter note; 120 bpm unless told otherwise.
    const MILLISECONDS: [u8; 2] = 500_u16.to_be_bytes();

    #[test]
    fn smpte_time_counts_frames() {
        // 25 frames of 40 ticks: a tick is a millisecond, and tempo says nothing.
        check([25_u8.wrapping_neg(), 40], b"\0\xff\x51\x03\x01\0\0\0\x90\x3c\x40\x64\x80\x3c\0", "0-10 60@64\n");
        check([29_u8.wrapping_neg(), 100], b"\0\x90\x3c\x40\x97\x35\x80\x3c\0", "0-100 60@64\n");
    }

    #[test]
    fn a_key_that_comes_up_and_goes_down_at_once_stays_down() {
        check(MILLISECONDS, b"\0\x90\x3c\x40\x64\x3c\x40\0\x80\x3c\0\x64\x80\x3c\0", "0-10 60@64\n10-20 60@64\n");
        check(MILLISECONDS, b"\0\x90\x3c\x40\x64\x80\x3c\0\0\x90\x3c\x40\x64\x80\x3c\0", "0-10 60@64\n10-20 60@64\n");
    }

    #[test]
    fn a_note_that_ends_as_the_pedal_does_ends_there() {
        let pedal = b"\0\xb0\x40\x7f\0\x90\x3c\x40\x64\xb0\x40\0\0\x80\x3c\0\x64\x90\x3e\x40\x64\x80\x3e\0";
        check(MILLISECONDS, pedal, "0-10 60@64\n20-30 62@64\n");
    }

    #[test]
    fn notes_without_an_end_are_no_notes() {
        check(MILLISECONDS, b"\0\x90\x3c\x40\x64\x80\x3d\0", "");
    }

    #[track_caller]
    fn refused(bytes: &[u8], reason: &str) {
        assert_eq!(read(bytes, Sustain::Apply).unwrap_err().to_string(), format!("not a readable MIDI file: {reason}"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        refused(b"", "it has no header");
        refused(b"ID3 an MP3 file, by the look of it", "it has no header");
        refused(&file([0, 0], b""), "it has no ticks in a quarter note");
        refused(&file([0x80, 40], b""), "its frames per second must be 24, 25, 29 or 30, but are 128");
        refused(&file([0xe7, 0], b""), "it has no ticks in a frame");
        refused(&file(MILLISECONDS, b"\x05\xff\x51\x03\0\0\0"), "a quarter note lasts no time from tick 5");
        refused(&file(MILLISECONDS, b"\x05\x90\x3c\x40\0\xf8"), "track 1 of 1 after tick 5: malformed event");
        let mut two = file(MILLISECONDS, b"");
        two[11] = 2;
        refused(&two, "track 2 of 2 is missing or cut short");
        two[9] = 2;
        refused(&two, "its format must be 0 or 1, but is 2");
    }

    #[test]
    fn a_file_ends_with_its_piece_and_not_before_its_last_note() {
        let length = |score: &Score| {
            let bytes = write(score).unwrap();
            let smf = Smf::parse(&bytes).unwrap();
            assert_eq!(smf.tracks[0].last().unwrap().kind, TrackEventKind::Meta(MetaMessage::EndOfTrack));
            smf.tracks[0].iter().map(|event| event.delta.as_int()).sum::<u32>()
        };
        let silence = |duration| Score::new(Vec::new(), duration).unwrap();
        assert_eq!(length(&silence(Duration::from_micros(10_000_500))), 10_001);
        let crossing = PerformedNote { start: 9.999, end: 12.0, pitch: 60, velocity: 64 };
        assert_eq!(length(&Score::quantise(&[crossing], Duration::from_secs(10))), 10_010);
        assert!(length(&silence(Duration::MAX)) > 10_010);
    }

    /// Wants notes of a piano that last, or an error that says what is wrong.
    fn check_read(bytes: &[u8]) -> Result<(), TestCaseError> {
        for sustain in [Sustain::Ignore, Sustain::Apply] {
            match read(bytes, sustain) {
                Ok(notes) => {
                    for note in notes {
                        prop_assert!(note.start < note.end && note.end.is_finite(), "{note:?}");
                        prop_assert!(note.pitch < 128 && (1..128).contains(&note.velocity), "{note:?}");
                    }
                }
                Err(error) => {
                    let error = error.to_string();
                    let known = ["header", "format", "ticks", "track", "quarter note", "frames per second"];
                    prop_assert!(known.iter().any(|known| error.contains(known)), "{}", error);
                }
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(score in normal_scores(1500)) {
            let bytes = write(&score).unwrap();
            for sustain in [Sustain::Ignore, Sustain::Apply] {
                prop_assert_eq!(&Score::quantise(&read(&bytes, sustain).unwrap(), score.duration()), &score);
            }
            let ticks: u32 = Smf::parse(&bytes).unwrap().tracks[0].iter().map(|event| event.delta.as_int()).sum();
            prop_assert_eq!(Duration::from_millis(ticks.into()), score.duration());
        }

        #[test]
        fn a_tempo_changes_no_time(score in normal_scores(1500), bpm in 20.0..=400.0_f64) {
            let bytes = write_at(&score, Tempo::new(bpm).unwrap()).unwrap();
            prop_assert_eq!(&Score::quantise(&read(&bytes, Sustain::Apply).unwrap(), score.duration()), &score);
        }

        #[test]
        fn snapped_notes_are_on_sixteenths(mut score in normal_scores(1500), bpm in 20.0..=400.0_f64) {
            let tempo = Tempo::new(bpm).unwrap().snapped();
            // A sixteenth just between two steps may be read as either: seconds are not exact.
            let between = |number: u64| number * u64::from(tempo.micros()) % 40_000 == 20_000;
            prop_assume!(!(0..1500).any(between));
            score.snap(tempo);
            for (index, note) in score.notes().iter().enumerate() {
                prop_assert!(note.start < note.end && note.end <= 1500);
                prop_assert!(score.notes()[index + 1..].iter().all(|next| next.pitch != note.pitch || next.start >= note.end));
            }
            let bytes = write_at(&score, tempo).unwrap();
            prop_assert_eq!(&Score::quantise(&read(&bytes, Sustain::Apply).unwrap(), score.duration()), &score);
            let mut tick = 0;
            for event in &Smf::parse(&bytes).unwrap().tracks[0] {
                tick += event.delta.as_int();
                if let TrackEventKind::Midi { message: MidiMessage::NoteOn { .. }, .. } = event.kind {
                    prop_assert_eq!(tick * 4 % u32::from(tempo.ticks()), 0);
                }
            }
        }

        /// Any bytes behind a header that is right, and any header before events that are right.
        #[test]
        fn no_bytes_make_it_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
            division: [u8; 2],
            flips in proptest::collection::vec((0..22_usize, any::<u8>()), 1..4),
        ) {
            check_read(&file(MILLISECONDS, &bytes))?;
            check_read(&file(division, b"\0\x90\x3c\x40\x64\x80\x3c\0"))?;
            let mut flipped = file(MILLISECONDS, b"\0\x90\x3c\x40\x64\x80\x3c\0");
            flips.into_iter().for_each(|(at, byte)| flipped[at] = byte);
            check_read(&flipped)?;
        }

        #[test]
        fn no_events_make_it_panic(
            events in proptest::collection::vec((0..4_u8, 0x8c..0xc0_u8, 58..66_u8, 0..128_u8), 0..200)
        ) {
            let events: Vec<u8> = events.into_iter().flat_map(|(delta, status, a, b)| [delta, status, a, b]).collect();
            for sustain in [Sustain::Ignore, Sustain::Apply] {
                let performed = read(&file(MILLISECONDS, &events), sustain).unwrap();
                prop_assert!(performed.iter().all(|note| note.start < note.end));
            }
        }

        #[test]
        fn no_cut_makes_it_panic(score in normal_scores(1500), cut: prop::sample::Index) {
            let bytes = write(&score).unwrap();
            prop_assert!(read(&bytes[..cut.index(bytes.len())], Sustain::Apply).is_err());
        }
    }
}
