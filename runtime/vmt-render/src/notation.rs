//! A score as sheet music: MusicXML 4.0 for two staves, rounded to sixteenths.

mod hands;
mod key;
mod measures;
mod mxl;

use std::collections::HashMap;

use vmt::{Conductor, Score};

pub use self::hands::hands;
use self::hands::{Chord, QUARTER, staves};
use self::key::Key;
use self::measures::{Measure, Measures};
pub use self::mxl::mxl;

/// Sixteenths in a whole note.
const WHOLE: u32 = 4 * QUARTER;

/// Writes `score` as a MusicXML document with `tempo` quarters per minute, 20-400.
///
/// Times are rounded to sixteenths. Each staff has one voice: notes that begin together end together, at the latest
/// when the next ones begin. The key is estimated from the pitches (Krumhansl and Schmuckler; profiles of Krumhansl and
/// Kessler 1982).
pub fn musicxml(score: &Score, tempo: f64) -> String {
    write(score, Key::of(score), &Measures::steady(score, tempo))
}

/// The same with the bars and tempi of a click track, and its key if that was set. A film that begins within a bar has a
/// first measure of number 0; a tempo begins with a measure.
pub fn musicxml_with(score: &Score, conductor: &Conductor) -> String {
    let key = conductor.key.map_or_else(|| Key::of(score), Into::into);
    write(score, key, &Measures::of(score, conductor))
}

fn write(score: &Score, key: Key, measures: &Measures) -> String {
    let staves = staves(score, |step| measures.sixteenth(step));
    let last = staves.iter().flatten().map(|chord| chord.end).max().unwrap_or(0);
    let measures = measures.up_to(last);

    let mut xml = String::from(HEAD);
    for (index, measure) in measures.iter().enumerate() {
        let &Measure { number, start, length, time, tempo, .. } = measure;
        let implicit = if number == 0 { " implicit=\"yes\"" } else { "" };
        xml.push_str(&format!("    <measure number=\"{number}\"{implicit}>\n"));
        if index == 0 {
            let printed = measures.get(1).map_or(tempo, |next| if number == 0 { next.tempo } else { tempo });
            xml.push_str(&attributes(key, time, tempo, printed));
        } else {
            let before = &measures[index - 1];
            if before.time != time {
                xml.push_str(&format!("      <attributes>\n{}      </attributes>\n", signature(time)));
            }
            if (before.tempo - tempo).abs() >= 0.001 {
                // Where a direction has no words, or there is none, MuseScore prints the tempo.
                xml.push_str(&format!(
                    "      <direction>\n        <direction-type><words> </words></direction-type>\n        <sound \
                     tempo=\"{tempo}\"/>\n      </direction>\n"
                ));
            }
        }
        for (staff, chords) in staves.iter().enumerate() {
            if staff > 0 {
                xml.push_str(&format!("      <backup><duration>{length}</duration></backup>\n"));
            }
            Staff { xml: &mut xml, key, staff, measure, accidentals: HashMap::new() }.write(chords, start);
        }
        if index + 1 == measures.len() {
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

fn signature((beats, beat_type): (u32, u32)) -> String {
    format!("        <time><beats>{beats}</beats><beat-type>{beat_type}</beat-type></time>\n")
}

/// `printed` is the tempo to be read, where that of the first measure is another.
fn attributes(key: Key, time: (u32, u32), tempo: f64, printed: f64) -> String {
    let shown = if printed == tempo { tempo } else { printed.round() };
    format!(
        r#"      <attributes>
        <divisions>{QUARTER}</divisions>
        <key><fifths>{}</fifths><mode>{}</mode></key>
{}        <staves>2</staves>
        <clef number="1"><sign>G</sign><line>2</line></clef>
        <clef number="2"><sign>F</sign><line>4</line></clef>
      </attributes>
      <direction placement="above">
        <direction-type><metronome><beat-unit>quarter</beat-unit><per-minute>{shown}</per-minute></metronome></direction-type>
        <staff>1</staff>
        <sound tempo="{tempo}"/>
      </direction>
"#,
        key.fifths,
        if key.minor { "minor" } else { "major" },
        signature(time)
    )
}

/// A measure of one staff, being written.
struct Staff<'x> {
    xml: &'x mut String,
    key: Key,
    staff: usize,
    measure: &'x Measure,
    /// The alteration in force for each line of the staff (step and octave).
    accidentals: HashMap<(char, i32), i32>,
}

impl Staff<'_> {
    /// Writes the chords that sound in the measure that begins at `start`, and rests between them.
    fn write(mut self, chords: &[Chord], start: u32) {
        let length = self.measure.length;
        let end = start + length;
        let mut clock = start;
        let first = chords.partition_point(|chord| chord.end <= start);
        for chord in chords[first..].iter().take_while(|chord| chord.start < end) {
            let (from, to) = (chord.start.max(start), chord.end.min(end));
            self.value(clock - start, from - start, None);
            self.value(from - start, to - start, Some((chord, start)));
            clock = to;
        }
        if clock == start {
            self.note(length, None);
        } else {
            self.value(clock - start, length, None);
        }
    }

    /// A chord or a rest from one sixteenth of the measure to another, as one note value or several tied ones.
    fn value(&mut self, from: u32, to: u32, chord: Option<(&Chord, u32)>) {
        let mut at = from;
        while at < to {
            let length = longest(at + self.measure.missing, to - at);
            match chord {
                Some((chord, measure)) => self.chord(chord, measure + at, length),
                None => self.note(length, None),
            }
            at += length;
        }
    }

    fn chord(&mut self, chord: &Chord, at: u32, length: u32) {
        let (tied, onset) = (at + length < chord.end, at == chord.start);
        for (index, &(pitch, velocity)) in chord.notes.iter().enumerate() {
            let (step, alter, octave) = self.key.spell(pitch);
            let known = self.accidentals.entry((step, octave)).or_insert_with(|| self.key.alter(step));
            // A tied note keeps the accidental of the note before, even over a bar line.
            let accidental = onset && std::mem::replace(known, if onset { alter } else { *known }) != alter;
            self.note(length, Some(Head { step, alter, octave, velocity, accidental, first: index == 0, onset, tied }));
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
            None if length == self.measure.length => "<rest measure=\"yes\"/>".to_owned(),
            None => "<rest/>".to_owned(),
        });
        parts.push(format!("<duration>{length}</duration>"));
        let ties = head.map_or([None; 2], |head| [(!head.onset).then_some("stop"), head.tied.then_some("start")]);
        let ties = ties.iter().flatten();
        parts.extend(ties.clone().map(|kind| format!("<tie type=\"{kind}\"/>")));
        parts.push(format!("<voice>{}</voice>", 1 + 4 * self.staff));
        // A rest of a whole measure looks like one of a whole note, however long it is.
        if head.is_some() || length == WHOLE || length != self.measure.length {
            parts.push(format!("<type>{kind}</type>"));
        }
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
        // MusicXML's `dynamics` are percent of a forte, which has velocity 90.
        let loudness =
            head.map_or(String::new(), |head| format!(" dynamics=\"{:.0}\"", f64::from(head.velocity) / 0.9));
        self.xml.push_str(&format!("      <note{loudness}>\n"));
        parts.iter().for_each(|part| self.xml.push_str(&format!("        {part}\n")));
        self.xml.push_str("      </note>\n");
    }
}

/// A note head.
#[derive(Clone, Copy)]
struct Head {
    step: char,
    alter: i32,
    octave: i32,
    velocity: u8,
    accidental: bool,
    /// The first of its chord.
    first: bool,
    /// Not tied to the note before.
    onset: bool,
    /// Tied to the next note.
    tied: bool,
}

/// The longest note value that may begin at sixteenth `at` of a measure without hiding its beats.
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

/// The name of a note value, and whether it is dotted.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use roxmltree::{Document, Node, ParsingOptions};
    use vmt::{Beat, Note, Pitch};

    use super::*;

    /// Notes as (start, end, pitch), in steps.
    fn score(notes: &[(u32, u32, u8)], seconds: f64) -> Score {
        let note = |&(start, end, pitch)| Note { start, end, pitch: Pitch::new(pitch).unwrap(), velocity: 90 };
        let mut notes: Vec<_> = notes.iter().map(note).collect();
        notes.sort_by_key(|note| (note.start, note.pitch));
        Score::new(notes, Duration::from_secs_f64(seconds)).unwrap()
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
        read_xml(&musicxml(score, tempo), |_| WHOLE)
    }

    /// The same of a document whose measures have these lengths.
    fn read_xml(xml: &str, length_of: impl Fn(usize) -> u32) -> [String; 2] {
        let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
        let document = Document::parse_with_options(xml, options).unwrap();
        let mut staves = [String::new(), String::new()];
        for (index, measure) in document.descendants().filter(|node| node.has_tag_name("measure")).enumerate() {
            let full = length_of(index);
            let mut clocks = [0; 2];
            for note in measure.children().filter(|node| node.has_tag_name("note")) {
                let staff = number(&note, "staff").unwrap() as usize - 1;
                let length = number(&note, "duration").unwrap();
                let dotted = has(&note, "dot", None);
                let rests = note.descendants().any(|node| node.attribute("measure") == Some("yes"));
                if rests && full != WHOLE {
                    assert_eq!((text(&note, "type"), length), (None, full));
                } else {
                    assert_eq!((text(&note, "type"), dotted), (Some(kind(length).0), kind(length).1));
                }
                assert_eq!(number(&note, "voice").unwrap(), 1 + 4 * staff as u32);
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
            assert_eq!(number(&backup, "duration"), Some(full));
            assert_eq!(clocks, [full; 2], "every measure is full on both staves: {xml}");
            staves.iter_mut().for_each(|line| line.push_str("| "));
        }
        staves.map(|line| line.trim_end_matches([' ', '|']).to_owned())
    }

    /// Beats as (step, number in the bar, beats of the bar).
    fn conductor(beats: &[(f64, u8, u8)]) -> Conductor {
        let beat = |&(step, in_bar, per_bar)| Beat { step, in_bar, per_bar };
        Conductor { beats: beats.iter().map(beat).collect(), ..Conductor::default() }
    }

    #[test]
    fn measures_are_the_click_tracks() {
        // A pickup of two beats, a bar of 3/4, faster by 20 %, and the beginning of another bar.
        let conductor = conductor(&[
            (0.0, 2, 3),
            (60.0, 3, 3),
            (120.0, 1, 3),
            (170.0, 2, 3),
            (220.0, 3, 3),
            (270.0, 1, 3),
            (320.0, 2, 3),
        ]);
        let score = score(&[(0, 60, 72), (60, 170, 74), (220, 270, 76), (270, 320, 77)], 3.2);
        let xml = musicxml_with(&score, &conductor);
        let staves = read_xml(&xml, |measure| [8, 12, 12][measure]);
        assert_eq!(staves, ["C5:4 D5-:4 | -D5:4 r:4 E5:4 | F5:4 r:8", "r:8 | r:12 | r:12"]);
        for want in [
            "<measure number=\"0\" implicit=\"yes\">",
            "<measure number=\"1\">",
            "<time><beats>3</beats><beat-type>4</beat-type></time>",
            "<per-minute>120</per-minute>",
            "<sound tempo=\"100\"/>",
            "<sound tempo=\"120\"/>",
        ] {
            assert_eq!(xml.matches(want).count(), 1, "{want}: {xml}");
        }
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/bars.musicxml");
        if std::env::var_os("VMT_BLESS").is_some() {
            std::fs::write(golden, &xml).unwrap();
        }
        let want = std::fs::read_to_string(golden).unwrap();
        assert!(xml == want, "not {golden}; if it is as it should be, run the tests with VMT_BLESS=1");
    }

    #[test]
    fn a_bar_that_is_cut_short_has_its_time_signature() {
        // A bar of 2/4 before a hit that had to be a downbeat, and a key that was set.
        let beats: Vec<_> = [(1, 4), (2, 4), (3, 4), (4, 4), (1, 2), (2, 2), (1, 4), (2, 4), (3, 4), (4, 4), (1, 4)]
            .iter()
            .zip(0_u8..)
            .map(|(&(in_bar, per_bar), index)| (f64::from(index) * 50.0, in_bar, per_bar))
            .collect();
        let conductor = Conductor { key: Some(vmt::Key { tonic: 9, minor: false }), ..conductor(&beats) };
        let xml = musicxml_with(&score(&[(0, 200, 72), (300, 500, 73)], 5.0), &conductor);
        let staves = read_xml(&xml, |measure| [16, 8, 16][measure]);
        assert_eq!(staves, ["C5:16 | r:8 | C#5:16", "r:16 | r:8 | r:16"]);
        assert_eq!(xml.matches("<beats>").count(), 3, "{xml}");
        assert!(
            xml.contains("<fifths>3</fifths><mode>major</mode>") && xml.contains("<measure number=\"1\">"),
            "{xml}"
        );
        assert!(!xml.contains("implicit"));
    }

    #[test]
    fn a_film_may_begin_anywhere_in_a_bar() {
        for sixteenths in 1..16_u8 {
            let beat = |index: u8| (f64::from(index) * 40.0 - f64::from(16 - sixteenths) * 10.0, index % 4 + 1, 4);
            let conductor = conductor(&(0..9).map(beat).collect::<Vec<_>>());
            let begins = u32::from(sixteenths) * 10;
            let score = score(&[(0, begins, 72), (begins, begins + 160, 74)], f64::from(begins + 160) / 100.0);
            let staves = read_xml(&musicxml_with(&score, &conductor), |measure| [u32::from(sixteenths), 16][measure]);
            assert!(staves[0].ends_with("| D5:16") && staves[1].ends_with("| r:16"), "{staves:?}");
        }
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
            let mut struck: Vec<_> = score.notes().iter().map(|note| (sixteenth(note.start), note.pitch)).collect();
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
