//! MIDI files as they are found: containers, damage, and the sustain pedal.

use std::fs;
use std::time::Duration;

use proptest::prelude::*;
use vmt::click::{ClickTrack, Hit, HitKind, Options};
use vmt::midi::{self, Sustain};
use vmt::{BarLines, Conductor, Key, Marker, Note, Pitch, Score};

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data");

/// 500 ticks in a quarter note, so one a millisecond at 120 bpm.
const MILLISECONDS: [u8; 2] = 500_u16.to_be_bytes();

fn header(format: u8, tracks: u8, division: [u8; 2]) -> Vec<u8> {
    [b"MThd\0\0\0\x06\0".as_slice(), &[format, 0, tracks], &division].concat()
}

fn track(length: u32, events: &[u8]) -> Vec<u8> {
    [b"MTrk".as_slice(), &length.to_be_bytes(), events].concat()
}

/// A file of `tracks`, whose lengths are right.
fn file(format: u8, division: [u8; 2], tracks: &[&[u8]]) -> Vec<u8> {
    let mut bytes = header(format, tracks.len() as u8, division);
    bytes.extend(tracks.iter().flat_map(|events| track(events.len() as u32, events)));
    bytes
}

fn single(events: &[u8]) -> Vec<u8> {
    file(0, MILLISECONDS, &[events])
}

fn notes(bytes: &[u8], sustain: Sustain) -> String {
    Score::quantise(&midi::read(bytes, sustain).unwrap(), Duration::from_secs(100)).to_string()
}

#[track_caller]
fn check(bytes: &[u8], want: &str) {
    assert_eq!(notes(bytes, Sustain::Apply), want);
    assert!(midi::read_with_warnings(bytes, Sustain::Apply).unwrap().1.is_empty());
}

#[track_caller]
fn warned(bytes: &[u8], want: &str, warning: &str) {
    assert_eq!(notes(bytes, Sustain::Apply), want);
    assert_eq!(midi::read_with_warnings(bytes, Sustain::Apply).unwrap().1, [warning]);
}

#[track_caller]
fn refused(bytes: &[u8], reason: &str) {
    assert_eq!(
        midi::read(bytes, Sustain::Apply).unwrap_err().to_string(),
        format!("not a readable MIDI file: {reason}")
    );
}

/// A note of 100 ms, and the end of the track.
const C: &[u8] = b"\0\x90\x3c\x40\x64\x80\x3c\0\0\xff\x2f\0";
const D: &[u8] = b"\0\x90\x3e\x40\x64\x80\x3e\0\0\xff\x2f\0";
const C_ONLY: &str = "0-10 60@64\n";
const BOTH: &str = "0-10 60@64\n0-10 62@64\n";

#[test]
fn files_that_players_play_are_read() {
    let eight = |start: u32| -> String {
        (0..8).map(|n| format!("{}-{} {}@80\n", start + 25 * n, start + 25 * (n + 1), 60 + n)).collect()
    };
    let read = |name: &str| fs::read(format!("{DATA}/midi/{name}")).unwrap();
    check(&read("rmid.rmi"), &eight(0));
    check(&read("realtime_f8.mid"), &eight(0));
    check(&read("length_too_long.mid"), &eight(0));
    check(&read("late_start.mid"), &eight(3000));
    warned(&read("all_notes_off.mid"), "", "8 of its notes never end and are left out");
}

#[test]
fn containers_and_other_bytes_before_the_header_are_passed_over() {
    let plain = single(C);
    // An odd chunk with its padding before the data, and one after it.
    let list = b"LIST\x05\0\0\0INFO \0";
    let mut riff = [b"RMID".as_slice(), list, b"data", &(plain.len() as u32).to_le_bytes(), &plain, list].concat();
    riff.splice(0..0, [b"RIFF".as_slice(), &(riff.len() as u32).to_le_bytes()].concat());
    check(&riff, C_ONLY);
    check(&[&[0; 128], plain.as_slice()].concat(), C_ONLY);
    check(&[b"MThis is no header".as_slice(), &plain].concat(), C_ONLY);
}

#[test]
fn tracks_of_format_2_start_together_at_the_tempi_of_the_first() {
    check(&file(2, MILLISECONDS, &[C, D]), BOTH);
    let slow = |rest: &[u8]| [b"\0\xff\x51\x03\x0f\x42\x40", rest].concat();
    check(&file(2, MILLISECONDS, &[&slow(C), D]), "0-20 60@64\n0-20 62@64\n");
    check(&file(2, MILLISECONDS, &[C, &slow(D)]), BOTH);
    check(&file(1, MILLISECONDS, &[C, &slow(D)]), "0-20 60@64\n0-20 62@64\n");
}

#[test]
fn real_time_and_system_messages_change_nothing() {
    for status in 0xf8..=0xfe {
        check(&single(&[b"\0".as_slice(), &[status], C].concat()), C_ONLY);
        // After the note-on: its status still runs.
        check(&single(&[b"\0\x90\x3c\x40\x32".as_slice(), &[status], b"\x32\x3c\0"].concat()), C_ONLY);
        check(&single(&[b"\0\x90\x3c".as_slice(), &[status], b"\x40\x64\x3c\0"].concat()), C_ONLY);
    }
    for message in [b"\xf1\x01".as_slice(), b"\xf2\x01\x02", b"\xf3\x01", b"\xf6"] {
        check(&single(&[b"\0\x90\x3c\x40\x32", message, b"\x32\x3c\0"].concat()), C_ONLY);
    }
}

#[test]
fn running_status_goes_on_after_meta_and_exclusive_events() {
    check(&single(b"\0\x90\x3c\x40\0\xff\x01\x02la\x64\x3c\0\0\xff\x2f\0"), C_ONLY);
    check(&single(b"\0\x90\x3c\x40\0\xf0\x02\x01\xf7\x64\x3c\0\0\xff\x2f\0"), C_ONLY);
    check(&single(b"\0\x90\x3c\x40\0\xf7\x01\xf8\x64\x3c\0\0\xff\x2f\0"), C_ONLY);
}

#[test]
fn a_wrong_length_of_a_track_loses_nothing() {
    let right = C.len() as u32;
    for length in [0, 1, 5, right - 4, right - 1, right, right + 1, right + 7, 1000, u32::MAX] {
        let first = [header(1, 2, MILLISECONDS), track(length, C), track(D.len() as u32, D)].concat();
        check(&first, BOTH);
        let last = [header(1, 2, MILLISECONDS), track(D.len() as u32, D), track(length, C)].concat();
        check(&last, BOTH);
        // Padding of the file.
        check(&[&last, [0; 5].as_slice()].concat(), BOTH);
    }
    // Without an end of track, the length counts.
    let open = &C[..C.len() - 4];
    check(&file(1, MILLISECONDS, &[open, D]), BOTH);
    refused(&[header(0, 1, MILLISECONDS), track(right, open)].concat(), "track 1 of 1 is cut short after tick 100");
}

#[test]
fn what_follows_an_end_of_track_within_its_length_is_read_if_it_is_events() {
    let more = [C, b"\0\x90\x40\x40\x64\x80\x40\0"].concat();
    check(&file(0, MILLISECONDS, &[&more]), "0-10 60@64\n10-20 64@64\n");
    // The bytes after it would reach into the next track if they were events.
    for junk in [b"\x85\xff\x01\x20".as_slice(), b"\0\xf4", b"\0\0\0\0\0", b"\xff\xff\xff\xff\xff"] {
        check(&file(1, MILLISECONDS, &[&[C, junk].concat(), D]), BOTH);
    }
}

#[test]
fn chunks_of_other_kinds_between_tracks_are_passed_over() {
    let bytes = [header(1, 2, MILLISECONDS), track(12, C), b"XFIH\0\0\0\x03abc".to_vec(), track(12, D)].concat();
    check(&bytes, BOTH);
    let long_header = [b"MThd\0\0\0\x08\0\0\0\x01\x01\xf4\0\0".to_vec(), track(12, C)].concat();
    check(&long_header, C_ONLY);
}

#[test]
fn missing_and_surplus_tracks_are_said() {
    let mut bytes = file(1, MILLISECONDS, &[C, D]);
    bytes[11] = 4;
    warned(&bytes, BOTH, "2 of its 4 tracks are missing");
    bytes[11] = 1;
    warned(&bytes, C_ONLY, "it has more tracks than the 1 of its header; they are left out");
    bytes[11] = 2;
    check(&bytes, BOTH);
}

#[test]
fn notes_without_an_end_are_no_notes_and_said() {
    warned(&single(b"\0\x90\x3c\x40\x64\x80\x3d\0"), "", "1 of its notes never end and are left out");
    // Drums are left out anyway.
    check(&single(b"\0\x99\x3c\x40"), "");
}

#[test]
fn what_is_wrong_is_named() {
    refused(b"", "it has no header");
    refused(b"ID3 an MP3 file, by the look of it", "it has no header");
    refused(b"MThd\0\0\0\x06\0\0\0\x01", "its header is cut short");
    refused(&header(0, 1, MILLISECONDS), "it has no tracks");
    refused(&header(3, 1, MILLISECONDS), "its format must be 0, 1 or 2, but is 3");
    refused(&file(0, [0, 0], &[b""]), "it has no ticks in a quarter note");
    refused(&file(0, [0x80, 40], &[b""]), "its frames per second must be 24, 25, 29 or 30, but are 128");
    refused(&file(0, [0xe7, 0], &[b""]), "it has no ticks in a frame");
    refused(&single(b"\x05\xff\x51\x03\0\0\0"), "a quarter note lasts no time from tick 5");
    refused(&single(b"\0\xff\x51\x02\0\0"), "track 1 of 1 has a tempo of less than three bytes after tick 0");
    refused(&single(b"\x05\x90\x3c\x40\0\xf4"), "track 1 of 1 has an event of an undefined status after tick 5");
    refused(&single(b"\0\x3c\x40"), "track 1 of 1 has an event without a status after tick 0");
    refused(&single(b"\0\x90\x3c\x90"), "track 1 of 1 has an event that lacks data after tick 0");
    refused(&single(b"\xff\xff\xff\xff\0\0"), "track 1 of 1 has a number of more than 28 bits after tick 0");
    refused(&single(b"\0\xff\x01\x7f"), "track 1 of 1 is cut short after tick 0");
    refused(&single(b"\0\x90\x3c"), "track 1 of 1 is cut short after tick 0");
    refused(&file(1, MILLISECONDS, &[C, b"\0\x90\x3c"]), "track 2 of 2 is cut short after tick 0");
}

#[test]
fn smpte_time_counts_frames() {
    // 25 frames of 40 ticks: a tick is a millisecond, and tempo says nothing.
    let events = b"\0\xff\x51\x03\x01\0\0\0\x90\x3c\x40\x64\x80\x3c\0";
    check(&file(0, [25_u8.wrapping_neg(), 40], &[events]), C_ONLY);
    check(&file(0, [29_u8.wrapping_neg(), 100], &[b"\0\x90\x3c\x40\x97\x35\x80\x3c\0"]), "0-100 60@64\n");
}

#[test]
fn a_key_that_comes_up_and_goes_down_at_once_stays_down() {
    let twice = "0-10 60@64\n10-20 60@64\n";
    check(&single(b"\0\x90\x3c\x40\x64\x3c\x40\0\x80\x3c\0\x64\x80\x3c\0"), twice);
    check(&single(b"\0\x90\x3c\x40\x64\x80\x3c\0\0\x90\x3c\x40\x64\x80\x3c\0"), twice);
}

/// The order at one tick is pedal down, pedal up, note on, note off, whatever the file's is.
#[test]
fn a_pedal_that_goes_down_as_a_note_ends_catches_it() {
    // Note off, then pedal down at 100 ms; pedal up at 200 ms.
    check(&single(b"\0\x90\x3c\x40\x64\x80\x3c\0\0\xb0\x40\x7f\x64\xb0\x40\0"), "0-20 60@64\n");
}

#[test]
fn a_pedal_that_goes_up_and_down_at_once_is_up() {
    // Up, then down at 100 ms: the first note ends there, and the second at its note-off.
    let events = b"\0\xb0\x40\x7f\0\x90\x3c\x40\x32\x80\x3c\0\x32\xb0\x40\0\0\xb0\x40\x7f\
        \0\x90\x3e\x40\x64\x80\x3e\0\x64\x90\x40\x40\x64\x80\x40\0";
    check(&single(events), "0-10 60@64\n10-20 62@64\n30-40 64@64\n");
}

#[test]
fn a_key_that_is_struck_as_the_pedal_goes_down_ends_its_note_before() {
    // The first note would last to 200 ms: struck again, then pedal down at 100 ms; pedal up at 300 ms.
    let events = b"\0\x90\x3c\x40\x64\x90\x3c\x40\0\xb0\x40\x7f\x64\x80\x3c\0\x64\xb0\x40\0";
    check(&single(events), "0-10 60@64\n10-30 60@64\n");
    assert_eq!(notes(&single(events), Sustain::Ignore), "0-20 60@64\n10-20 60@64\n");
}

#[test]
fn a_note_that_ends_as_the_pedal_does_ends_there() {
    let events = b"\0\xb0\x40\x7f\0\x90\x3c\x40\x64\xb0\x40\0\0\x80\x3c\0\x64\x90\x3e\x40\x64\x80\x3e\0";
    check(&single(events), "0-10 60@64\n20-30 62@64\n");
}

#[test]
fn programs_of_a_channel_are_instruments() {
    // The pedal is down before any note, so both programs share it; the second does not end the first's note.
    let events = b"\0\xb0\x40\x7f\0\x90\x3c\x40\x64\x80\x3c\0\0\xc0\x05\0\x90\x3c\x40\x64\x80\x3c\0\x64\xb0\x40\0";
    check(&single(events), "0-30 60@64\n10-30 60@64\n");
    // Without it, the pedal of the first is not the second's.
    let events = b"\0\x90\x3c\x40\x64\x80\x3c\0\0\xb0\x40\x7f\0\xc0\x05\0\x90\x3c\x40\x64\x80\x3c\0\x64\xb0\x40\0";
    check(&single(events), "0-30 60@64\n10-20 60@64\n");
}

#[test]
fn the_pedal_of_drums_counts_for_the_end() {
    let events = b"\0\xb0\x40\x7f\0\x90\x3c\x40\x64\x80\x3c\0\0\x99\x23\x40\x64\x89\x23\0\x64\xb9\x40\0";
    check(&single(events), "0-30 60@64\n");
}

/// Bytes that are mostly events, with all kinds of lengths, statuses and data among them.
fn events() -> impl Strategy<Value = Vec<u8>> {
    let delta = prop_oneof![(0..0x80_u8).prop_map(|byte| vec![byte]), prop::collection::vec(any::<u8>(), 1..5)];
    let channel = (prop::sample::select(vec![0x80_u8, 0x90, 0xb0, 0xc0, 0xe0]), prop::sample::select(vec![0_u8, 1, 9]))
        .prop_flat_map(|(kind, channel)| {
            (Just(kind | channel), 58..66_u8, prop::sample::select(vec![0_u8, 63, 64, 127]))
        })
        .prop_map(|(status, first, second)| match status & 0xf0 {
            0xc0 => vec![status, first],
            0xb0 => vec![status, 64, second],
            _ => vec![status, first, second],
        });
    let meta = (any::<u8>(), prop::collection::vec(any::<u8>(), 0..6), any::<u8>())
        .prop_map(|(kind, data, wrong)| [&[0xff, kind, data.len() as u8 + u8::from(wrong < 20)], &data[..]].concat());
    let message = prop_oneof![
        8 => channel,
        2 => (58..66_u8, 0..128_u8).prop_map(|(first, second)| vec![first, second]),
        1 => any::<[u8; 3]>().prop_map(|[high, middle, low]| vec![0xff, 0x51, 3, high, middle, low]),
        1 => Just(vec![0xff, 0x2f, 0]),
        1 => (0xf0..=0xff_u8).prop_map(|status| vec![status]),
        1 => meta,
    ];
    let event = (delta, message).prop_map(|(delta, message)| [delta, message].concat());
    prop::collection::vec(event, 0..60).prop_map(|events| events.concat())
}

/// Files whose header is understood, mostly.
fn files() -> impl Strategy<Value = Vec<u8>> {
    let length = prop_oneof![3 => Just(None), 1 => (0..300_u32).prop_map(Some), 1 => any::<u32>().prop_map(Some)];
    let chunk = (prop::bool::weighted(0.9), length, events()).prop_map(|(known, length, events)| {
        let bytes = track(length.unwrap_or(events.len() as u32), &events);
        if known { bytes } else { [b"XFIH", &bytes[4..]].concat() }
    });
    let division = prop_oneof![4 => Just(MILLISECONDS), 1 => any::<[u8; 2]>()];
    let chunks = prop::collection::vec(chunk, 0..4);
    (prop::collection::vec(any::<u8>(), 0..9), 0..4_u8, 0..5_u8, division, chunks).prop_map(
        |(before, format, count, division, chunks)| [before, header(format, count, division), chunks.concat()].concat(),
    )
}

/// Reading `bytes` gives an error or notes that are in order and no more than the bytes can hold.
fn reads(bytes: &[u8]) -> Result<(), TestCaseError> {
    for sustain in [Sustain::Ignore, Sustain::Apply] {
        let Ok((notes, warnings)) = midi::read_with_warnings(bytes, sustain) else { continue };
        prop_assert!(notes.len() * 3 <= bytes.len() && warnings.len() <= 2);
        for note in notes {
            prop_assert!(note.start >= 0.0 && note.start < note.end && note.end.is_finite());
            prop_assert!(note.pitch < 128 && (1..128).contains(&note.velocity));
        }
    }
    if let Ok(conductor) = midi::conductor(bytes) {
        prop_assert!(midi::read(bytes, Sustain::Ignore).is_ok());
        prop_assert!(conductor.beats.windows(2).all(|pair| pair[0].step < pair[1].step), "{:?}", conductor.beats);
        prop_assert!(conductor.beats.iter().all(|beat| beat.in_bar <= beat.per_bar));
    }
    Ok(())
}

/// The files of the tests.
fn real_files() -> Vec<Vec<u8>> {
    let folders = ["codec", "midi"].map(|folder| fs::read_dir(format!("{DATA}/{folder}")).unwrap());
    let mut paths: Vec<_> = folders.into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension != "json"));
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Hits of a film of so many seconds, and notes at any steps, a key no more than once at a time.
fn on_click_tracks() -> impl Strategy<Value = (Vec<Hit>, f64, Vec<Note>)> {
    (1.0..90.0_f64).prop_flat_map(|end| {
        let kind = prop::sample::select(vec![HitKind::Cut, HitKind::Marker, HitKind::Downbeat]);
        let hit = (0.0..end, kind).prop_map(|(time, kind)| Hit::new(Duration::from_secs_f64(time), kind));
        let steps = (end * 100.0) as u32;
        let note = |(start, length, pitch)| Note {
            start,
            end: start + length,
            pitch: Pitch::new(pitch).unwrap(),
            velocity: 64,
        };
        let notes = prop::collection::vec((0..steps, 1..300_u32, 21..=108_u8).prop_map(note), 0..40);
        (prop::collection::vec(hit, 0..8), Just(end), notes)
    })
}

#[test]
fn a_conductor_is_read() {
    // At 60 bpm and from the fifth quarter on at 120; a bar of 3/4, then 6/8; two flats, minor.
    let events = [
        &[0, 0xff, 0x51, 3, 0x0f, 0x42, 0x40, 0, 0xff, 0x58, 4, 3, 2, 24, 8, 0, 0xff, 0x59, 2, 0xfe, 1][..],
        &[
            0x8b, 0x5c, 0xff, 0x58, 4, 6, 3, 24, 8, 0x83, 0x74, 0xff, 0x51, 3, 0x07, 0xa1, 0x20, 0, 0xff, 0x06, 2,
            b'h', b'i',
        ],
        &[0x87, 0x68, 0xff, 0x2f, 0],
    ];
    let conductor = midi::conductor(&single(&events.concat())).unwrap();
    let beats: Vec<_> = conductor.beats.iter().map(|beat| (beat.step.round(), beat.in_bar, beat.per_bar)).collect();
    let want = [(0, 1, 3), (100, 2, 3), (200, 3, 3), (300, 1, 3), (400, 2, 3), (450, 3, 3), (500, 1, 3), (550, 2, 3)];
    assert_eq!(beats, want.map(|(step, in_bar, per_bar)| (f64::from(step), in_bar, per_bar)));
    assert_eq!(conductor.key, Some(Key { tonic: 7, minor: true }));
    assert_eq!(conductor.markers, [Marker { step: 400.0, text: "hi".into() }]);

    // No tempo is named, or time is counted in frames.
    let note = [0, 0x90, 60, 64, 0x83, 0x74, 0x80, 60, 0];
    assert_eq!(midi::conductor(&single(&note)).unwrap(), Conductor::default());
    let tempo = [&[0, 0xff, 0x51, 3, 0x0f, 0x42, 0x40], &note[..]].concat();
    assert_eq!(midi::conductor(&file(0, [0xe7, 40], &[&tempo])).unwrap(), Conductor::default());
    assert_eq!(midi::conductor(&single(&tempo)).unwrap().beats.len(), 3);
}

proptest! {
    #[test]
    fn a_tempo_map_changes_no_moment((hits, end, mut notes) in on_click_tracks(), bpm in prop::option::of(40.0..200.0_f64)) {
        notes.sort_by_key(|note| (note.start, note.pitch));
        let mut until = [0; 128];
        notes.retain(|note| {
            let until = &mut until[usize::from(note.pitch.get())];
            note.start >= std::mem::replace(until, note.end.max(*until))
        });
        let duration = Duration::from_secs_f64(end);
        let options = Options::default().with_bpm(bpm);
        let track = ClickTrack::fit(&hits, duration, &options).unwrap();
        let score = Score::new(notes, Duration::from_secs(100)).unwrap();
        let markers = hits.iter().map(|hit| Marker { step: hit.time.as_secs_f64() * 100.0, text: "hit".into() }).collect();
        let conductor = Conductor { beats: track.beats, key: None, markers };
        let bytes = midi::write_parts(&[("", &score)], &conductor).unwrap();
        let again = Score::quantise(&midi::read(&bytes, Sustain::Apply).unwrap(), Duration::from_secs(100));
        prop_assert_eq!(again.to_string(), score.to_string());

        let read = midi::conductor(&bytes).unwrap();
        let mut markers = conductor.markers.clone();
        markers.retain(|marker| marker.step <= 1e4);
        markers.sort_by(|a, b| a.step.total_cmp(&b.step));
        prop_assert_eq!(read.markers.len(), markers.len());
        for (read, marker) in read.markers.iter().zip(&markers) {
            prop_assert!((read.step - marker.step).abs() < 0.1 && read.text == marker.text, "{read:?} {marker:?}");
        }
        // From the second bar on: the first may be a part of one.
        let bars = BarLines::new(&conductor.beats);
        let second = bars.step(bars.bars()[1]);
        for beat in conductor.beats.iter().filter(|beat| beat.step >= second && beat.step < 9e3) {
            let near = read.beats.iter().min_by(|a, b| (a.step - beat.step).abs().total_cmp(&(b.step - beat.step).abs())).unwrap();
            prop_assert!((near.step - beat.step).abs() < 0.1 && near.in_bar == beat.in_bar, "{near:?} {beat:?}");
        }
    }

    #[test]
    fn no_structure_makes_it_panic(bytes in files()) {
        reads(&bytes)?;
    }

    #[test]
    fn no_flipped_bytes_of_real_files_make_it_panic(
        bytes in prop::sample::select(real_files()),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in prop::option::weighted(0.2, any::<prop::sample::Index>()),
    ) {
        let mut bytes = bytes;
        for (index, byte) in flips {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        bytes.truncate(cut.map_or(bytes.len(), |cut| cut.index(bytes.len())));
        reads(&bytes)?;
    }
}
