//! A score as sheet music: MusicXML 4.0 for two staves, four quarters to a measure, rounded to sixteenths.

use std::collections::HashMap;

use vmt::{Note, STEPS_PER_SECOND, Score};

/// Sixteenths in a quarter, which MusicXML calls divisions.
const QUARTER: u32 = 4;
const MEASURE: u32 = 4 * QUARTER;

/// Middle C: what lies about it goes to the hand that is nearer, what lies further away to its own.
const MIDDLE: u8 = 60;
const EITHER_HAND: std::ops::RangeInclusive<u8> = 55..=64;

/// Writes `score` as a MusicXML document with `tempo` quarters a minute.
///
/// Times are rounded to sixteenths, and each staff has one voice: what is struck together ends together, when the next
/// is struck at the latest. The key is the one that the notes fit best (Krumhansl and Schmuckler).
pub fn musicxml(score: &Score, tempo: f64) -> String {
    let key = Key::of(score);
    let staves = staves(score, tempo);
    let sixteenths = score.duration.as_secs_f64() * tempo / 60.0 * f64::from(QUARTER);
    let last = staves.iter().flatten().map(|chord| chord.end).max().unwrap_or(0);
    // A piece that rounding makes a little longer than whole measures gets no empty one.
    let measures = last.max((sixteenths - 0.5).ceil().max(1.0) as u32).div_ceil(MEASURE);

    let mut xml = String::from(HEAD);
    for measure in 0..measures {
        xml.push_str(&format!("    <measure number=\"{}\">\n", measure + 1));
        if measure == 0 {
            xml.push_str(&attributes(key, tempo));
        }
        for (staff, chords) in staves.iter().enumerate() {
            if staff > 0 {
                xml.push_str(&format!("      <backup><duration>{MEASURE}</duration></backup>\n"));
            }
            Measure { xml: &mut xml, key, staff, accidentals: HashMap::new() }.write(chords, measure * MEASURE);
        }
        if measure + 1 == measures {
            xml.push_str("      <barline location=\"right\"><bar-style>light-heavy</bar-style></barline>\n");
        }
        xml.push_str("    </measure>\n");
    }
    xml.push_str("  </part>\n</score-partwise>\n");
    xml
}

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" "http://www.musicxml.org/dtds/partwise.dtd">
<score-partwise version="4.0">
  <identification>
    <encoding><software>vmt</software></encoding>
  </identification>
  <part-list>
    <score-part id="P1">
      <part-name>Piano</part-name>
      <score-instrument id="P1-I1"><instrument-name>Piano</instrument-name></score-instrument>
      <midi-instrument id="P1-I1"><midi-channel>1</midi-channel><midi-program>1</midi-program></midi-instrument>
    </score-part>
  </part-list>
  <part id="P1">
"#;

fn attributes(key: Key, tempo: f64) -> String {
    format!(
        r#"      <attributes>
        <divisions>{QUARTER}</divisions>
        <key><fifths>{}</fifths><mode>{}</mode></key>
        <time><beats>4</beats><beat-type>4</beat-type></time>
        <staves>2</staves>
        <clef number="1"><sign>G</sign><line>2</line></clef>
        <clef number="2"><sign>F</sign><line>4</line></clef>
      </attributes>
      <direction placement="above">
        <direction-type><metronome><beat-unit>quarter</beat-unit><per-minute>{tempo}</per-minute></metronome></direction-type>
        <staff>1</staff>
        <sound tempo="{tempo}"/>
      </direction>
"#,
        key.fifths,
        if key.minor { "minor" } else { "major" }
    )
}

/// What one hand strikes at once, in sixteenths.
struct Chord {
    start: u32,
    end: u32,
    /// MIDI note numbers, rising, and their velocities.
    notes: Vec<(u8, u8)>,
}

/// The chords of the right hand and of the left, in order, none begun before the one before has ended.
fn staves(score: &Score, tempo: f64) -> [Vec<Chord>; 2] {
    let sixteenth =
        |step: u32| (f64::from(step) / f64::from(STEPS_PER_SECOND) * tempo / 60.0 * f64::from(QUARTER)).round() as u32;
    let mut staves: [Vec<Chord>; 2] = [const { Vec::new() }; 2];
    let mut last: [Option<Note>; 2] = [None; 2];
    for note in &score.notes {
        let (start, pitch) = (sixteenth(note.start), (note.pitch.get(), note.velocity));
        let mut struck = staves.iter().filter_map(|staff| staff.last()).filter(|chord| chord.start == start);
        // A key that is struck twice within a sixteenth is written once.
        if struck.any(|chord| chord.notes.iter().any(|(other, _)| *other == pitch.0)) {
            continue;
        }
        let staff = hand(note, &last);
        last[staff] = Some(*note);
        let end = sixteenth(note.end).max(start + 1);
        match staves[staff].last_mut().filter(|chord| chord.start == start) {
            Some(chord) => {
                chord.notes.push(pitch);
                chord.end = chord.end.max(end);
            }
            None => staves[staff].push(Chord { start, end, notes: vec![pitch] }),
        }
    }
    for staff in &mut staves {
        for index in 1..staff.len() {
            let next = staff[index].start;
            let chord = &mut staff[index - 1];
            // A player reads no rest of a sixteenth, and a listener hears none.
            if chord.end + 1 >= next {
                chord.end = next;
            }
        }
        staff.iter_mut().for_each(|chord| chord.notes.sort());
    }
    staves
}

/// 0 for the right hand, 1 for the left. About middle C it is the one that is nearer, by what it played last or, if that
/// was a while ago, by where it rests.
fn hand(note: &Note, last: &[Option<Note>; 2]) -> usize {
    const MEMORY: u32 = 2 * STEPS_PER_SECOND;
    const REST: [u8; 2] = [67, 52];
    let pitch = note.pitch.get();
    if !EITHER_HAND.contains(&pitch) {
        return usize::from(pitch < MIDDLE);
    }
    let [right, left] = [0, 1].map(|hand| {
        let recent = last[hand].filter(|last| note.start.saturating_sub(last.start) <= MEMORY);
        pitch.abs_diff(recent.map_or(REST[hand], |last| last.pitch.get()))
    });
    usize::from(left < right)
}

/// One staff's share of a measure, being written.
struct Measure<'x> {
    xml: &'x mut String,
    key: Key,
    staff: usize,
    /// What each line of the staff (step and octave) has been altered to.
    accidentals: HashMap<(char, i32), i32>,
}

impl Measure<'_> {
    /// Writes what sounds of `chords` in the measure that begins at `start`, and rests where nothing does.
    fn write(mut self, chords: &[Chord], start: u32) {
        let end = start + MEASURE;
        let mut clock = start;
        let first = chords.partition_point(|chord| chord.end <= start);
        for chord in chords[first..].iter().take_while(|chord| chord.start < end) {
            let (from, to) = (chord.start.max(start), chord.end.min(end));
            self.value(clock - start, from - start, None);
            self.value(from - start, to - start, Some((chord, start)));
            clock = to;
        }
        self.value(clock - start, MEASURE, None);
    }

    /// A chord, or a rest, from one sixteenth of the measure to another, as one note or several tied ones.
    fn value(&mut self, from: u32, to: u32, chord: Option<(&Chord, u32)>) {
        let mut at = from;
        while at < to {
            let length = longest(at, to - at);
            match chord {
                Some((chord, measure)) => self.chord(chord, measure + at, length),
                None => self.note(length, None),
            }
            at += length;
        }
    }

    fn chord(&mut self, chord: &Chord, at: u32, length: u32) {
        let (goes_on, struck) = (at + length < chord.end, at == chord.start);
        for (index, &(pitch, velocity)) in chord.notes.iter().enumerate() {
            let (step, alter, octave) = self.key.spell(pitch);
            let known = self.accidentals.entry((step, octave)).or_insert_with(|| self.key.alter(step));
            // A note that is tied to one before keeps that one's accidental, even from an earlier measure.
            let accidental = struck && std::mem::replace(known, if struck { alter } else { *known }) != alter;
            self.note(
                length,
                Some(Head { step, alter, octave, velocity, accidental, first: index == 0, struck, goes_on }),
            );
        }
    }

    /// A note, or a rest, with its parts in the order of the schema.
    fn note(&mut self, length: u32, head: Option<Head>) {
        let (kind, dotted) = kind(length);
        let mut parts = Vec::new();
        if head.is_some_and(|head| !head.first) {
            parts.push("<chord/>".to_owned());
        }
        parts.push(match head {
            Some(Head { step, alter: 0, octave, .. }) => {
                format!("<pitch><step>{step}</step><octave>{octave}</octave></pitch>")
            }
            Some(Head { step, alter, octave, .. }) => {
                format!("<pitch><step>{step}</step><alter>{alter}</alter><octave>{octave}</octave></pitch>")
            }
            None if length == MEASURE => "<rest measure=\"yes\"/>".to_owned(),
            None => "<rest/>".to_owned(),
        });
        parts.push(format!("<duration>{length}</duration>"));
        let ties = head.map_or([None; 2], |head| [(!head.struck).then_some("stop"), head.goes_on.then_some("start")]);
        let ties = ties.iter().flatten();
        parts.extend(ties.clone().map(|kind| format!("<tie type=\"{kind}\"/>")));
        parts.push(format!("<voice>{}</voice>", 1 + 4 * self.staff));
        parts.push(format!("<type>{kind}</type>"));
        if dotted {
            parts.push("<dot/>".to_owned());
        }
        if let Some(head) = head.filter(|head| head.accidental) {
            parts.push(format!("<accidental>{}</accidental>", accidental(head.alter)));
        }
        parts.push(format!("<staff>{}</staff>", self.staff + 1));
        let tied: String = ties.map(|kind| format!("<tied type=\"{kind}\"/>")).collect();
        if !tied.is_empty() {
            parts.push(format!("<notations>{tied}</notations>"));
        }
        // MusicXML counts loudness in percent of a forte, which is 90.
        let loudness =
            head.map_or(String::new(), |head| format!(" dynamics=\"{:.0}\"", f64::from(head.velocity) / 0.9));
        self.xml.push_str(&format!("      <note{loudness}>\n"));
        parts.iter().for_each(|part| self.xml.push_str(&format!("        {part}\n")));
        self.xml.push_str("      </note>\n");
    }
}

/// A note as it is written.
#[derive(Clone, Copy)]
struct Head {
    step: char,
    alter: i32,
    octave: i32,
    velocity: u8,
    accidental: bool,
    /// The first of its chord.
    first: bool,
    /// Not tied to the one before.
    struck: bool,
    /// Tied to the next.
    goes_on: bool,
}

/// The longest value that may begin at sixteenth `at` of a measure, in which half measures and beats can be seen.
fn longest(at: u32, room: u32) -> u32 {
    let fits = |length| match length {
        16 => at == 0,
        12 => at == 0 || at == 4,
        8 => at.is_multiple_of(4),
        6 => matches!(at % 8, 0 | 2),
        4 => at.is_multiple_of(4) || at % 8 == 2,
        3 => at % 4 < 2,
        2 => at % 4 < 3,
        _ => true,
    };
    [16, 12, 8, 6, 4, 3, 2].into_iter().find(|&length| length <= room && fits(length)).unwrap_or(1)
}

/// The name of a value, and whether it is dotted.
fn kind(length: u32) -> (&'static str, bool) {
    match length {
        16 => ("whole", false),
        12 => ("half", true),
        8 => ("half", false),
        6 => ("quarter", true),
        4 => ("quarter", false),
        3 => ("eighth", true),
        2 => ("eighth", false),
        _ => ("16th", false),
    }
}

fn accidental(alter: i32) -> &'static str {
    match alter {
        -2 => "flat-flat",
        -1 => "flat",
        1 => "sharp",
        2 => "double-sharp",
        _ => "natural",
    }
}

/// The steps by fifths, from F, which is sharpened first, to B, which is flattened first.
const STEPS: [char; 7] = ['F', 'C', 'G', 'D', 'A', 'E', 'B'];

#[derive(Clone, Copy, Debug, PartialEq)]
struct Key {
    /// Sharps, or flats below 0.
    fifths: i32,
    minor: bool,
}

impl Key {
    /// The key whose profile (Krumhansl and Kessler 1982) the pitches of `score` fit best.
    fn of(score: &Score) -> Self {
        const MAJOR: [f64; 12] = [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88];
        const MINOR: [f64; 12] = [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17];
        let mut heard = [0.0; 12];
        for note in &score.notes {
            // What lasts longer says more, up to a second.
            heard[usize::from(note.pitch.get() % 12)] += f64::from((note.end - note.start).min(STEPS_PER_SECOND));
        }
        let fit = |profile: &[f64; 12], tonic: usize| {
            let mean = profile.iter().sum::<f64>() / 12.0;
            let deviation = profile.iter().map(|value| (value - mean).powi(2)).sum::<f64>().sqrt();
            let product: f64 = (0..12).map(|above| heard[(tonic + above) % 12] * (profile[above] - mean)).sum();
            product / deviation
        };
        let mut best = (0.0, Self { fifths: 0, minor: false });
        for (profile, minor) in [(&MAJOR, false), (&MINOR, true)] {
            for tonic in 0..12 {
                let major = if minor { tonic + 3 } else { tonic };
                // -5..=6
                let fifths = (major as i32 * 7 + 5) % 12 - 5;
                let fit = fit(profile, tonic);
                if fit > best.0 {
                    best = (fit, Self { fifths, minor });
                }
            }
        }
        best.1
    }

    /// How the key alters a step by itself.
    fn alter(self, step: char) -> i32 {
        let place = STEPS.iter().position(|other| *other == step).unwrap_or(0) as i32;
        i32::from(place < self.fifths) - i32::from(place >= 7 + self.fifths)
    }

    /// Step, alteration and octave of a MIDI note: as near to the key as it can be on the line of fifths.
    fn spell(self, pitch: u8) -> (char, i32, i32) {
        // In C: from E flat, three fifths below, to G sharp, eight above.
        let lowest = self.fifths - 3;
        let fifths = lowest + (i32::from(pitch) * 7 - lowest).rem_euclid(12);
        let alter = (fifths + 1).div_euclid(7);
        let step = STEPS[(fifths + 1).rem_euclid(7) as usize];
        (step, alter, (i32::from(pitch) - alter).div_euclid(12) - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use roxmltree::{Document, Node, ParsingOptions};
    use vmt::Pitch;

    use super::*;

    /// Notes as (start, end, pitch), in steps.
    fn score(notes: &[(u32, u32, u8)], seconds: f64) -> Score {
        let note = |&(start, end, pitch)| Note { start, end, pitch: Pitch::new(pitch).unwrap(), velocity: 90 };
        let mut notes: Vec<_> = notes.iter().map(note).collect();
        notes.sort_by_key(|note| (note.start, note.pitch));
        Score { notes, duration: Duration::from_secs_f64(seconds) }
    }

    fn text<'d>(node: &Node<'d, '_>, name: &str) -> Option<&'d str> {
        node.descendants().find(|child| child.has_tag_name(name))?.text()
    }

    fn number(node: &Node, name: &str) -> Option<u32> {
        text(node, name)?.parse().ok()
    }

    fn has(node: &Node, name: &str, kind: Option<&str>) -> bool {
        node.children().any(|child| child.has_tag_name(name) && child.attribute("type") == kind)
    }

    /// A note such as `C#4`, `-` in front if it is tied to the one before, `-` behind if to the next.
    fn name(note: &Node) -> String {
        let Some(step) = text(note, "step") else { return "r".to_owned() };
        let alter = match text(note, "alter") {
            None => "",
            Some("1") => "#",
            Some("-1") => "b",
            Some("2") => "##",
            Some(_) => "bb",
        };
        let before = if has(note, "tie", Some("stop")) { "-" } else { "" };
        let behind = if has(note, "tie", Some("start")) { "-" } else { "" };
        format!("{before}{step}{alter}{}{behind}", text(note, "octave").unwrap())
    }

    /// A line a staff: the notes with their lengths, `|` between measures, a chord's notes joined with `+`.
    fn read(score: &Score, tempo: f64) -> [String; 2] {
        let xml = musicxml(score, tempo);
        let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
        let document = Document::parse_with_options(&xml, options).unwrap();
        let mut staves = [String::new(), String::new()];
        for measure in document.descendants().filter(|node| node.has_tag_name("measure")) {
            let mut clocks = [0; 2];
            for note in measure.children().filter(|node| node.has_tag_name("note")) {
                let staff = number(&note, "staff").unwrap() as usize - 1;
                let length = number(&note, "duration").unwrap();
                let dotted = has(&note, "dot", None);
                assert_eq!(text(&note, "type"), Some(kind(length).0));
                assert_eq!((dotted, number(&note, "voice").unwrap()), (kind(length).1, 1 + 4 * staff as u32));
                let line = &mut staves[staff];
                if has(&note, "chord", None) {
                    let digits = line.rfind(':').unwrap();
                    line.insert_str(digits, &format!("+{}", name(&note)));
                } else {
                    line.push_str(&format!("{}:{length} ", name(&note)));
                    clocks[staff] += length;
                }
            }
            let backup = measure.children().find(|node| node.has_tag_name("backup")).unwrap();
            assert_eq!(number(&backup, "duration"), Some(MEASURE));
            assert_eq!(clocks, [MEASURE; 2], "every measure is full on both staves: {xml}");
            staves.iter_mut().for_each(|line| line.push_str("| "));
        }
        staves.map(|line| line.trim_end_matches([' ', '|']).to_owned())
    }

    #[track_caller]
    fn check(notes: &[(u32, u32, u8)], seconds: f64, right: &str, left: &str) {
        assert_eq!(read(&score(notes, seconds), 120.0), [right, left]);
    }

    #[test]
    fn silence() {
        check(&[], 2.0, "r:16", "r:16");
        check(&[], 2.1, "r:16 | r:16", "r:16 | r:16");
        check(&[], 2.05, "r:16", "r:16");
        check(&[], 0.0, "r:16", "r:16");
    }

    #[test]
    fn notes_rests_and_chords() {
        check(&[(0, 50, 60), (50, 100, 64), (100, 150, 67)], 2.0, "C4:4 E4:4 G4:4 r:4", "r:16");
        check(&[(0, 200, 48), (0, 100, 64), (2, 98, 67)], 2.0, "E4+G4:8 r:8", "C3:16");
        check(&[(0, 30, 72), (50, 70, 74)], 2.0, "C5:2 r:2 D5:2 r:2 r:8", "r:16");
        check(&[(0, 1, 72), (26, 27, 74)], 2.0, "C5:2 D5:1 r:1 r:12", "r:16");
    }

    #[test]
    fn ties_over_beats_and_bars() {
        check(&[(150, 250, 72)], 4.0, "r:12 C5-:4 | -C5:4 r:12", "r:16 | r:16");
        check(&[(75, 175, 72)], 2.0, "r:6 C5-:2 -C5:6 r:2", "r:16");
        check(&[(0, 400, 72), (0, 400, 76)], 4.0, "C5-+E5-:16 | -C5+-E5:16", "r:16 | r:16");
    }

    #[test]
    fn a_hand_keeps_its_line_over_middle_c() {
        check(&[(0, 50, 67), (50, 100, 62), (100, 150, 59), (150, 200, 57)], 2.0, "G4:4 D4:4 B3:4 A3:4", "r:16");
        let left = [(0, 50, 48), (50, 100, 55), (100, 150, 60), (150, 200, 52)];
        check(&[&left[..], &[(0, 200, 79)]].concat(), 2.0, "G5:16", "C3:4 G3:4 C4:4 E3:4");
    }

    #[test]
    fn a_key_struck_twice_within_a_sixteenth_is_written_once() {
        check(&[(0, 2, 72), (3, 50, 72)], 2.0, "C5:1 r:3 r:12", "r:16");
        // The hands change in between.
        let notes = [(71, 72, 21), (263, 264, 58), (271, 272, 65), (272, 273, 58)];
        assert_eq!(read(&score(&notes, 4.0), 40.0), ["r:6 r:1 Bb3+F4:1 r:8", "r:2 A0:1 r:1 r:12"]);
    }

    #[test]
    fn spelling() {
        let spell = |fifths, pitch| {
            let (step, alter, octave) = Key { fifths, minor: false }.spell(pitch);
            (step, alter, octave)
        };
        assert_eq!(spell(0, 61), ('C', 1, 4));
        assert_eq!(spell(0, 63), ('E', -1, 4));
        assert_eq!(spell(-4, 61), ('D', -1, 4));
        assert_eq!(spell(6, 60), ('B', 1, 3));
        assert_eq!(spell(-5, 59), ('C', -1, 4));
        for fifths in -6..=6 {
            for pitch in 21..=108 {
                let (step, alter, octave) = spell(fifths, pitch);
                let natural = [5, 0, 7, 2, 9, 4, 11][STEPS.iter().position(|other| *other == step).unwrap()];
                assert_eq!(natural + alter + 12 * (octave + 1), i32::from(pitch));
                assert!(alter.abs() <= 2);
            }
        }
    }

    #[test]
    fn keys() {
        let scale = |tonic: u8, steps: [u8; 7], fifths| {
            let mut notes: Vec<_> =
                (0..7).map(|index| (index * 50, index * 50 + 50, tonic + steps[index as usize])).collect();
            notes.push((350, 450, tonic));
            (Key::of(&score(&notes, 5.0)).fifths, fifths)
        };
        let (major, minor) = ([0, 2, 4, 5, 7, 9, 11], [0, 2, 3, 5, 7, 8, 11]);
        for (got, want) in
            [scale(60, major, 0), scale(62, major, 2), scale(61, major, -5), scale(57, minor, 0), scale(60, minor, -3)]
        {
            assert_eq!(got, want);
        }
    }

    /// Where accidentals stand.
    #[test]
    fn accidentals() {
        let c_major = [(0, 50, 60), (0, 50, 64), (0, 50, 67), (0, 50, 72)];
        let altered = [(100, 110, 66), (150, 160, 66), (200, 210, 66), (250, 260, 65), (375, 425, 66), (450, 460, 66)];
        let xml = musicxml(&score(&[&c_major[..], &altered].concat(), 6.0), 120.0);
        let signs =
            |line: &str| line.trim().strip_prefix("<accidental>")?.strip_suffix("</accidental>").map(str::to_owned);
        let signs: Vec<_> = xml.lines().filter_map(signs).collect();
        // Sharp; not again in its measure; again in the next; natural; sharp, tied over the bar line; again.
        assert_eq!(signs, ["sharp", "sharp", "natural", "sharp", "sharp"]);
    }

    proptest! {
        #[test]
        fn every_measure_is_full(
            notes in proptest::collection::vec((0..1500_u32, 1..500_u32, 21..=108_u8), 0..60),
            tempo in 40.0..240.0_f64,
        ) {
            let notes: Vec<_> = notes.into_iter().map(|(start, length, pitch)| (start, start + length, pitch)).collect();
            let score = score(&notes, 15.0);
            let sixteenth = |step: u32| (f64::from(step) / 100.0 * tempo / 15.0).round() as u32;
            let mut struck: Vec<_> = score.notes.iter().map(|note| (sixteenth(note.start), note.pitch)).collect();
            struck.sort();
            struck.dedup();
            let mut written = 0;
            for staff in read(&score, tempo) {
                let chords: Vec<_> = staff.split_whitespace().filter(|word| *word != "|").collect();
                let names = |chord: &str| chord.split_once(':').unwrap().0.split('+').map(str::to_owned).collect::<Vec<_>>();
                let open = |chord| names(chord).into_iter().filter(|name| name.ends_with('-'));
                let closed = |chord| names(chord).into_iter().filter(|name| name.starts_with('-'));
                for pair in chords.windows(2) {
                    let open: Vec<_> = open(pair[0]).map(|name| name.trim_matches('-').to_owned()).collect();
                    let closed: Vec<_> = closed(pair[1]).map(|name| name.trim_matches('-').to_owned()).collect();
                    prop_assert_eq!(open, closed, "each tie has two ends");
                }
                written += chords.iter().flat_map(|chord| names(chord)).filter(|name| name != "r" && !name.starts_with('-')).count();
            }
            prop_assert_eq!(written, struck.len(), "each note is written once");
        }
    }
}
