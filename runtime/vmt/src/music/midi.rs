//! Standard MIDI files: the notes of one, and one of notes. Bytes in, bytes out.

use std::collections::HashMap;

use midly::num::{u15, u28};
use midly::{Format, Header, MetaMessage, MidiMessage, Smf, Timing, TrackEvent, TrackEventKind};

use super::bars::{BarLines, Conductor, Marker};
use super::conditions::{Beat, Key};
use super::event::STEPS_PER_SECOND;
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
    /// It holds them until it is released or the key is struck again, exactly as in Magenta (note_seq's
    /// `apply_sustain_control_changes`).
    Apply,
    /// Nothing: a note ends when its key comes up.
    Ignore,
}

/// The notes of a file, as pretty_midi pairs them; drums are left out. An instrument is a program of a channel of a track.
///
/// The file may be wrapped in RIFF (`.rmi`) or have other bytes before it, real-time bytes may stand between and within
/// events, a track may end before or after the length it states, and running status goes on after meta and system
/// events. The tracks of format 2 start together at the tempi of the first, as in pretty_midi.
///
/// # Errors
///
/// [`Error::Midi`] for bytes without a header or any track, a track that is cut short or has an event that cannot be understood, and a
/// division of time or a tempo that makes no time pass.
pub fn read(bytes: &[u8], sustain: Sustain) -> Result<Vec<PerformedNote>> {
    Ok(read_with_warnings(bytes, sustain)?.0)
}

/// [`read`], and what was lost, each in a line for the user: missing or surplus tracks, and notes without an end.
///
/// # Errors
///
/// As [`read`].
pub fn read_with_warnings(bytes: &[u8], sustain: Sustain) -> Result<(Vec<PerformedNote>, Vec<String>)> {
    let File { format, division, tracks, mut warnings } = parse(bytes)?;
    let clock = Clock::new(division, if format == 2 { &tracks[..tracks.len().min(1)] } else { &tracks })?;
    let mut music = Music::default();
    tracks.iter().for_each(|track| music.add(track));
    if music.endless > 0 {
        warnings.push(format!("{} of its notes never end and are left out", music.endless));
    }
    let end = music.end();
    let mut performed = Vec::new();
    for instrument in music.instruments.into_iter().filter(|instrument| !instrument.drums) {
        let notes = match sustain {
            Sustain::Apply => sustained(&instrument.notes, &music.pedals[instrument.pedal], end),
            Sustain::Ignore => instrument.notes,
        };
        performed.extend(notes.iter().map(|note| PerformedNote {
            start: clock.seconds(note.start),
            end: clock.seconds(note.end),
            pitch: note.pitch,
            velocity: note.velocity,
        }));
    }
    Ok((performed, warnings))
}

/// The most beats of a [`conductor`], so that memory does not grow with what a file says of its length.
const MAX_BEATS: usize = 1 << 18;

/// The tempo map of a file as beats, its first key signature, and its markers: what [`write_parts`] is told. Beats are quarter notes,
/// counted from each time signature, and go on to the first behind the last event, or until there are 262,144; without a
/// time signature there are four in a bar. A file that names no tempo, or counts time without one (SMPTE), has no beats.
///
/// # Errors
///
/// As [`read`].
pub fn conductor(bytes: &[u8]) -> Result<Conductor> {
    let File { format, division, tracks, .. } = parse(bytes)?;
    let tracks = if format == 2 { &tracks[..tracks.len().min(1)] } else { &tracks };
    let clock = Clock::new(division, tracks)?;
    let step = |tick| clock.seconds(tick) * f64::from(STEPS_PER_SECOND);
    let messages = || tracks.iter().flatten();
    let mut conductor = Conductor::default();
    let (mut signatures, mut has_tempo) = (vec![(0, 4, 2)], division[0] < 0x80);
    has_tempo &= messages().any(|(_, message)| matches!(message, Message::Tempo(_)));
    for &(tick, message) in messages() {
        match message {
            Message::TimeSignature(numerator, power) => signatures.push((tick, numerator, power)),
            Message::Key(key) => _ = conductor.key.get_or_insert(key),
            Message::Marker(text) => {
                let text = String::from_utf8_lossy(text).into_owned();
                conductor.markers.push(Marker { step: step(tick), text });
            }
            _ => {}
        }
    }
    signatures.sort_by_key(|&(tick, ..)| tick);
    let quarter = usize::from(u16::from_be_bytes(division).max(1));
    let last = messages().map(|&(tick, _)| tick).max().unwrap_or(0);
    let ends = signatures.iter().skip(1).map(|&(tick, ..)| tick).chain([last.saturating_add(1 + quarter as u64)]);
    for (&(begin, numerator, power), end) in signatures.iter().zip(ends).filter(|_| has_tempo) {
        // A bar that is no whole number of quarters is counted in no bar.
        let quarters = (4 * u32::from(numerator)) >> power.min(16);
        let per_bar = if quarters << power.min(16) == 4 * u32::from(numerator) { quarters as u8 } else { 0 };
        for (number, tick) in (begin..end).step_by(quarter).take(MAX_BEATS - conductor.beats.len()).enumerate() {
            let in_bar = if per_bar == 0 { 0 } else { (number % usize::from(per_bar)) as u8 + 1 };
            conductor.beats.push(Beat { step: step(tick), in_bar, per_bar });
        }
    }
    // Two at one moment: a signature ends the bar before it.
    conductor.beats.dedup_by(|next, before| {
        next.step <= before.step && {
            *before = *next;
            true
        }
    });
    Ok(conductor)
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
    let begin = vec![(0, TrackEventKind::Meta(MetaMessage::Tempo(tempo.micros().into())))];
    let end = tempo.tick(score.duration().as_nanos());
    let track = play(begin, score, end, |step| tempo.tick_of(step));
    file(Format::SingleTrack, tempo.ticks(), vec![track])
}

/// A file of format 1 whose first track is the [conductor's](Conductor): tempo map, time and key signatures, and markers. Each
/// of `parts`, which should be equally long, is a track with its name; a score has no name if it is the only one.
///
/// A step that stands for a sixteenth of the beats is exactly there, or a tick off where it would be read as another step.
/// So all steps are read back as they are, and a hit that falls on a beat is off by 0.13 ms at most.
///
/// # Errors
///
/// As [`write()`].
pub fn write_parts(parts: &[(&str, &Score)], conductor: &Conductor) -> Result<Vec<u8>> {
    let bars = BarLines::new(&conductor.beats);
    let map = TempoMap::new(&bars);
    let last = parts.iter().flat_map(|(_, score)| score.notes()).map(|note| map.tick_of(note.end)).max();
    let duration = parts.iter().map(|(_, score)| score.duration()).max().unwrap_or_default();
    let end = map.tick(duration.as_secs_f64() * f64::from(STEPS_PER_SECOND)).max(last.unwrap_or(0));

    let mut meta: Vec<(u64, MetaMessage<'_>)> = Vec::new();
    if let Some(key) = conductor.key {
        meta.push((0, MetaMessage::KeySignature(key.fifths(), key.minor)));
    }
    let mut before = None;
    for bar in bars.bars().windows(2) {
        let signature = Some(time_signature(bar[1] - bar[0])).filter(|signature| before != Some(*signature));
        let Some((numerator, power)) = signature else { continue };
        before = signature;
        meta.push((u64::from(bar[0]) * SIXTEENTH, MetaMessage::TimeSignature(numerator, power, 24, 8)));
    }
    meta.extend(map.tempi().map(|(tick, micros)| (tick, MetaMessage::Tempo(micros.into()))));
    meta.extend(
        conductor.markers.iter().map(|Marker { step, text }| (map.tick(*step), MetaMessage::Marker(text.as_bytes()))),
    );
    meta.sort_by_key(|&(tick, _)| tick);
    // Beats may go on behind the music.
    meta.retain(|&(tick, _)| tick <= end);
    let meta = meta.into_iter().map(|(tick, message)| (tick, TrackEventKind::Meta(message)));
    let mut tracks = vec![events(meta.chain([(end, TrackEventKind::Meta(MetaMessage::EndOfTrack))]))];
    for (name, score) in parts {
        let name = (!name.is_empty()).then_some((0, TrackEventKind::Meta(MetaMessage::TrackName(name.as_bytes()))));
        tracks.push(play(name.into_iter().collect(), score, end, |step| map.tick_of(step)));
    }
    file(Format::Parallel, (4 * SIXTEENTH) as u16, tracks)
}

/// Ticks of a sixteenth in [`write_parts`].
const SIXTEENTH: u64 = 240;

/// Numerator, and the denominator as a power of two.
fn time_signature(sixteenths: u32) -> (u8, u8) {
    let power = if sixteenths.is_multiple_of(4) { 2 } else { 4 - u8::from(sixteenths.is_multiple_of(2)) };
    (u8::try_from(sixteenths >> (4 - power)).unwrap_or(u8::MAX), power)
}

/// Ticks and moments, where the tempo changes.
struct TempoMap<'b> {
    bars: &'b BarLines,
    /// A tick, its moment in microseconds, and the microseconds in a beat from there on.
    tempi: Vec<(u64, f64, u32)>,
}

impl<'b> TempoMap<'b> {
    fn new(bars: &'b BarLines) -> Self {
        let mut tempi: Vec<(u64, f64, u32)> = Vec::new();
        for (sixteenth, micros) in bars.tempi() {
            let tick = u64::from(sixteenth) * SIXTEENTH;
            let moment = tempi.last().map_or(0.0, |&last| moment(last, tick));
            tempi.push((tick, moment, micros));
        }
        Self { bars, tempi }
    }

    fn tempi(&self) -> impl Iterator<Item = (u64, u32)> {
        self.tempi.iter().map(|&(tick, _, micros)| (tick, micros))
    }

    /// The tick nearest to a moment in steps.
    fn tick(&self, step: f64) -> u64 {
        let micros = step * 10_000.0;
        let from = self.tempi.partition_point(|&(_, moment, _)| moment <= micros).saturating_sub(1);
        let (tick, moment, beat) = self.tempi[from];
        tick + ((micros - moment).max(0.0) * 4.0 * SIXTEENTH as f64 / f64::from(beat)).round() as u64
    }

    /// The step that a tick is read as, before it is rounded.
    fn step(&self, tick: u64) -> f64 {
        let from = self.tempi.partition_point(|&(first, ..)| first <= tick).saturating_sub(1);
        moment(self.tempi[from], tick) / 10_000.0
    }

    fn tick_of(&self, step: u32) -> u64 {
        let sixteenth = self.bars.sixteenth(step);
        let exact = u64::from(sixteenth) * SIXTEENTH;
        let stands_for = self.bars.step(sixteenth).round() == f64::from(step);
        let read_back = |tick: &u64| (self.step(*tick) - f64::from(step)).abs() < 0.499;
        let near = [exact, exact + 1, exact.saturating_sub(1)].into_iter().filter(|_| stands_for).find(read_back);
        near.unwrap_or_else(|| self.tick(step.into()))
    }
}

/// The moment of a tick in microseconds, from the last change of tempo before.
fn moment((first, moment, micros): (u64, f64, u32), tick: u64) -> f64 {
    moment + (tick - first) as f64 * f64::from(micros) / (4 * SIXTEENTH) as f64
}

/// A track of `begin`, then the notes of `score`.
fn play<'t>(
    begin: Vec<(u64, TrackEventKind<'t>)>,
    score: &Score,
    end: u64,
    tick: impl Fn(u32) -> u64,
) -> Vec<TrackEvent<'t>> {
    let mut strokes = Vec::new();
    for note in score.notes() {
        let (key, vel) = (note.pitch.get().into(), note.velocity.clamp(1, 127).into());
        strokes.push((tick(note.end), false, MidiMessage::NoteOff { key, vel: 64.into() }));
        strokes.push((tick(note.start), true, MidiMessage::NoteOn { key, vel }));
    }
    strokes.sort_by_key(|&(tick, on, _)| (tick, on));
    let end = strokes.last().map_or(end, |&(tick, ..)| end.max(tick));
    let midi = |message| TrackEventKind::Midi { channel: 0.into(), message };
    let program = (0, midi(MidiMessage::ProgramChange { program: 0.into() }));
    let strokes = strokes.into_iter().map(|(tick, _, message)| (tick, midi(message)));
    let end = (end, TrackEventKind::Meta(MetaMessage::EndOfTrack));
    events(begin.into_iter().chain([program]).chain(strokes).chain([end]))
}

/// A track of what happens at rising ticks.
fn events<'t>(at: impl Iterator<Item = (u64, TrackEventKind<'t>)>) -> Vec<TrackEvent<'t>> {
    let mut clock = 0;
    let event = |(tick, kind)| {
        // A pause of more than 74 hours does not fit.
        let delta = u32::try_from(tick - clock).ok().and_then(u28::try_from).unwrap_or(u28::max_value());
        clock = tick;
        TrackEvent { delta, kind }
    };
    at.map(event).collect()
}

fn file(format: Format, ticks: u16, tracks: Vec<Vec<TrackEvent<'_>>>) -> Result<Vec<u8>> {
    let events = tracks.iter().map(Vec::len).sum::<usize>();
    let header = Header::new(format, Timing::Metrical(u15::new(ticks)));
    let mut bytes = Vec::new();
    Smf { header, tracks }.write(&mut bytes).map_err(|_| Error::Option {
        option: "a MIDI track",
        want: "smaller than 4 GB",
        got: format!("of {events} events"),
    })?;
    Ok(bytes)
}

fn bad<T>(reason: impl Into<String>) -> Result<T> {
    Err(Error::Midi(reason.into()))
}

/// What the notes of a file depend on, and what a [`Conductor`] says.
#[derive(Clone, Copy, PartialEq)]
enum Message<'b> {
    /// The status and two bytes of data, of which some kinds have one.
    Channel(u8, u8, u8),
    /// Microseconds in a quarter note.
    Tempo(u32),
    /// Numerator, and the denominator as a power of two.
    TimeSignature(u8, u8),
    Key(Key),
    Marker(&'b [u8]),
    EndOfTrack,
    Other,
}

/// Messages, each with its tick from the start.
type Track<'b> = Vec<(u64, Message<'b>)>;

struct File<'b> {
    format: u16,
    division: [u8; 2],
    tracks: Vec<Track<'b>>,
    warnings: Vec<String>,
}

fn parse(bytes: &[u8]) -> Result<File<'_>> {
    let Some(mut rest) = after(bytes, b"MThd") else { return bad("it has no header") };
    let Ok([_, _, _, _, format_high, format_low, count_high, count_low, division @ ..]) = take_array::<10>(&mut rest)
    else {
        return bad("its header is cut short");
    };
    let format = u16::from_be_bytes([format_high, format_low]);
    if format > 2 {
        return bad(format!("its format must be 0, 1 or 2, but is {format}"));
    }
    let count = u16::from_be_bytes([count_high, count_low]);
    let (mut tracks, mut warnings) = (Vec::new(), Vec::new());
    while tracks.len() < count.into() {
        // Whatever stands between tracks is passed over: chunks of other kinds, and padding.
        let Some(chunk) = after(rest, b"MTrk") else { break };
        rest = chunk;
        let number = tracks.len() + 1;
        tracks.push(track(&mut rest).or_else(|reason| bad(format!("track {number} of {count} {reason}")))?);
    }
    let read = tracks.len();
    if read == 0 && count > 0 {
        return bad("it has no tracks");
    }
    if read < count.into() {
        warnings.push(format!("{} of its {count} tracks are missing", usize::from(count) - read));
    } else if after(rest, b"MTrk").is_some() {
        warnings.push(format!("it has more tracks than the {count} of its header; they are left out"));
    }
    Ok(File { format, division, tracks, warnings })
}

/// What follows the first `name`.
fn after<'a>(bytes: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    bytes.windows(4).position(|window| window == name).map(|start| &bytes[start + 4..])
}

const CUT: &str = "is cut short";

/// Takes the length and the events of a track from the front of `rest`.
///
/// As mido, it reads on after an end of track that comes before the stated length. Where that length cannot be right,
/// the end of track counts.
fn track<'b>(rest: &mut &'b [u8]) -> Result<Track<'b>, String> {
    let length = u32::from_be_bytes(take_array(rest)?) as usize;
    let available = rest.len();
    let (mut track, mut tick, mut status, mut ended) = (Track::new(), 0, None, false);
    loop {
        let taken = available - rest.len();
        let chunk_follows = rest.is_empty() || rest.starts_with(b"MTrk");
        let done = if ended { chunk_follows || length > available } else { chunk_follows && taken >= length };
        if done || (ended && taken >= length) {
            return Ok(track);
        }
        let within = if ended { &rest[..length - taken] } else { *rest };
        let mut left = within;
        match event(&mut left, &mut status) {
            Ok((delta, message)) => {
                tick += u64::from(delta);
                track.push((tick, message));
                ended |= message == Message::EndOfTrack;
                *rest = &rest[within.len() - left.len()..];
            }
            // What follows an end of track need not be events.
            Err(_) if ended => return Ok(track),
            Err(reason) => return Err(format!("{reason} after tick {tick}")),
        }
    }
}

/// Takes the ticks since the event before and an event from the front of `rest`; `running` is the last channel status.
fn event<'b>(rest: &mut &'b [u8], running: &mut Option<u8>) -> Result<(u32, Message<'b>), &'static str> {
    let delta = number(rest)?;
    let status = match rest.first() {
        Some(0x80..) => take_array::<1>(rest)?[0],
        Some(_) => running.ok_or("has an event without a status")?,
        None => return Err(CUT),
    };
    let message = match status {
        0x80..0xf0 => {
            *running = Some(status);
            let first = data(rest)?;
            Message::Channel(status, first, if matches!(status, 0xc0..0xe0) { 0 } else { data(rest)? })
        }
        0xf0 | 0xf7 => {
            text(rest)?;
            Message::Other
        }
        0xff => {
            let [kind] = take_array(rest)?;
            match (kind, text(rest)?) {
                (0x2f, _) => Message::EndOfTrack,
                (0x51, &[high, middle, low, ..]) => Message::Tempo(u32::from_be_bytes([0, high, middle, low])),
                (0x51, _) => return Err("has a tempo of less than three bytes"),
                (0x58, &[numerator, power, ..]) if numerator > 0 => Message::TimeSignature(numerator, power),
                (0x59, &[fifths, minor, ..]) => Message::Key(Key::of_fifths(fifths as i8, minor == 1)),
                (0x06, text) => Message::Marker(text),
                _ => Message::Other,
            }
        }
        // System common and real-time messages, which only a stream should have.
        0xf1 | 0xf3 => data(rest).map(|_| Message::Other)?,
        0xf2 => data(rest).and_then(|_| data(rest)).map(|_| Message::Other)?,
        0xf6 | 0xf8.. => Message::Other,
        _ => return Err("has an event of an undefined status"),
    };
    Ok((delta, message))
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], &'static str> {
    let (array, left) = rest.split_first_chunk().ok_or(CUT)?;
    *rest = left;
    Ok(*array)
}

/// A byte of data. Real-time bytes may come before it (MIDI 1.0 lets them stand within other messages).
fn data(rest: &mut &[u8]) -> Result<u8, &'static str> {
    loop {
        match take_array(rest)? {
            [byte @ ..0x80] => return Ok(byte),
            [0xf8..=0xfe] => {}
            _ => return Err("has an event that lacks data"),
        }
    }
}

/// A number of variable length, at most 28 bits.
fn number(rest: &mut &[u8]) -> Result<u32, &'static str> {
    let mut number = 0;
    loop {
        let [byte] = take_array(rest)?;
        number = number << 7 | u32::from(byte & 0x7f);
        if number >> 28 != 0 {
            return Err("has a number of more than 28 bits");
        }
        if byte < 0x80 {
            return Ok(number);
        }
    }
}

/// Bytes after their number.
fn text<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], &'static str> {
    let length = number(rest)? as usize;
    let (text, left) = rest.split_at_checked(length).ok_or(CUT)?;
    *rest = left;
    Ok(text)
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
        for &(tick, message) in tracks.iter().flatten() {
            if let Message::Tempo(micros) = message {
                tempi.push((tick, micros));
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

/// What the tracks play, in ticks.
#[derive(Default)]
struct Music {
    instruments: Vec<Instrument>,
    /// When pedals go down (true) or up.
    pedals: Vec<Vec<(u64, bool)>>,
    /// How many notes have no end; drums are not counted.
    endless: usize,
}

/// What a program of a channel of a track plays.
struct Instrument {
    drums: bool,
    /// In the order in which they end.
    notes: Vec<Stroke>,
    /// The index of its pedal; instruments of a channel may share one.
    pedal: usize,
}

#[derive(Clone, Copy)]
struct Stroke {
    start: u64,
    end: u64,
    pitch: u8,
    velocity: u8,
}

impl Music {
    fn add(&mut self, track: &Track) {
        let mut struck: HashMap<(u8, u8), Vec<(u64, u8)>> = HashMap::new();
        // Indices of instruments by channel and program.
        let mut known: HashMap<(u8, u8), usize> = HashMap::new();
        let mut programs = [0; 16];
        // The pedal of what a channel says before the first note of a program ends, as in pretty_midi.
        let mut early: [Option<usize>; 16] = [None; 16];
        for &(tick, message) in track {
            let Message::Channel(status, first, second) = message else { continue };
            let channel = status & 0x0f;
            let program: &mut u8 = &mut programs[usize::from(channel)];
            let early = &mut early[usize::from(channel)];
            let pedal = || {
                self.pedals.push(Vec::new());
                self.pedals.len() - 1
            };
            match (status & 0xf0, second) {
                (0x90, 1..) => struck.entry((channel, first)).or_default().push((tick, second)),
                (0x80 | 0x90, _) => {
                    let strokes = struck.remove(&(channel, first)).unwrap_or_default();
                    let (earlier, now): (Vec<_>, Vec<_>) = strokes.into_iter().partition(|&(start, _)| start < tick);
                    if earlier.is_empty() {
                        continue;
                    }
                    // A key that comes up and goes down at one tick stays down, in whichever order the file says so.
                    struck.insert((channel, first), now);
                    let index = *known.entry((channel, *program)).or_insert_with(|| {
                        let pedal = early.unwrap_or_else(pedal);
                        self.instruments.push(Instrument { drums: channel == DRUMS, notes: Vec::new(), pedal });
                        self.instruments.len() - 1
                    });
                    let ended = |(start, velocity)| Stroke { start, end: tick, pitch: first, velocity };
                    self.instruments[index].notes.extend(earlier.into_iter().map(ended));
                }
                // Controllers and pitch bend.
                (0xb0 | 0xe0, _) => {
                    let known = known.get(&(channel, *program)).map(|&index| self.instruments[index].pedal);
                    let pedal = known.unwrap_or_else(|| *early.get_or_insert_with(pedal));
                    if status & 0xf0 == 0xb0 && first == PEDAL {
                        self.pedals[pedal].push((tick, second >= 64));
                    }
                }
                (0xc0, _) => *program = first,
                _ => {}
            }
        }
        self.endless += struck
            .iter()
            .filter(|((channel, _), _)| *channel != DRUMS)
            .map(|(_, strokes)| strokes.len())
            .sum::<usize>();
    }

    /// The last tick at which a note ends or a pedal moves. As in Magenta, the pedal of drums counts and they do not.
    fn end(&self) -> u64 {
        let last = |instrument: &Instrument| {
            let note = instrument.notes.last().filter(|_| !instrument.drums).map_or(0, |note| note.end);
            self.pedals[instrument.pedal].last().map_or(0, |&(tick, _)| tick).max(note)
        };
        self.instruments.iter().map(last).max().unwrap_or(0)
    }
}

/// What happens to an instrument. Numbers are indices of notes.
enum Change {
    Pedal(bool),
    Down(usize),
    Up(usize),
}

impl Change {
    /// The order at one tick (note_seq's `_SUSTAIN_ON`, `_SUSTAIN_OFF`, `_NOTE_ON`, `_NOTE_OFF`).
    fn order(&self) -> u8 {
        match self {
            Self::Pedal(true) => 0,
            Self::Pedal(false) => 1,
            Self::Down(_) => 2,
            Self::Up(_) => 3,
        }
    }
}

/// `notes` as `pedal` holds them; one that is never released holds them to `end`.
fn sustained(notes: &[Stroke], pedal: &[(u64, bool)], end: u64) -> Vec<Stroke> {
    let indexed = || notes.iter().enumerate();
    let mut changes: Vec<(u64, Change)> = pedal.iter().map(|&(tick, down)| (tick, Change::Pedal(down))).collect();
    changes.extend(indexed().map(|(index, note)| (note.start, Change::Down(index))));
    changes.extend(indexed().map(|(index, note)| (note.end, Change::Up(index))));
    changes.sort_by_key(|(tick, change)| (*tick, change.order()));

    let mut ends: Vec<Option<u64>> = vec![None; notes.len()];
    let mut struck: [Vec<usize>; 128] = std::array::from_fn(|_| Vec::new());
    let mut held: Vec<usize> = Vec::new();
    let mut pedal = false;
    for (tick, change) in changes {
        match change {
            Change::Pedal(down) => {
                pedal = down;
                if !down {
                    for index in held.drain(..) {
                        ends[index].get_or_insert(tick);
                    }
                }
            }
            Change::Down(index) => {
                let same_key = &mut struck[usize::from(notes[index].pitch)];
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
        }
    }
    let lengthened = notes.iter().zip(ends).map(|(note, until)| Stroke { end: until.unwrap_or(end), ..*note });
    // Of two strokes of a key at one tick, one is left.
    lengthened.filter(|note| note.start < note.end).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::music::score::tests::normal_scores;

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

        #[test]
        fn no_cut_makes_it_panic(score in normal_scores(1500), cut: prop::sample::Index) {
            let bytes = write(&score).unwrap();
            prop_assert!(read(&bytes[..cut.index(bytes.len())], Sustain::Apply).is_err());
        }
    }
}
