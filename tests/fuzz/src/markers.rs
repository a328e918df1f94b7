//! Marker lists of editors, and the click track for them.

use std::time::Duration;

use vmt::click::{ClickTrack, FrameRate, HitKind, Markers, Options, Timeline, read_markers, tempo_changes};

/// How many hits a click track is fitted to here: it takes a millisecond or more.
const HITS: usize = 3;

/// The first byte chooses the timeline, the rest is the list.
pub fn run(bytes: &[u8]) {
    let [choice, list @ ..] = bytes else { return };
    let rates = [(24, 1), (25, 1), (30, 1), (60, 1), (30_000, 1001), (60_000, 1001), (24_000, 1001), (1000, 1)];
    let (numerator, denominator) = rates[usize::from(choice & 7)];
    let seconds = [0, 10, 3600, 100_000_000_000][usize::from(choice >> 3 & 3)];
    let start = [None, None, Some("01:00:00:00"), Some("00:59:59;29")][usize::from(choice >> 5 & 3)];
    let timeline = Timeline {
        rate: FrameRate::new(numerator, denominator).unwrap(),
        duration: Duration::from_secs(seconds),
        start: start.map(str::to_owned),
    };
    let Markers { markers, hours_subtracted } = match read_markers(list, &timeline) {
        Ok(markers) => markers,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    assert!(hours_subtracted == 0 || (start.is_none() && !markers.is_empty()));
    assert!(markers.iter().all(|marker| marker.hit.time <= timeline.duration && marker.hit.kind == HitKind::Marker));
    let hits: Vec<_> = markers.iter().map(|marker| marker.hit).collect();
    if seconds == 10 && (1..=HITS).contains(&hits.len()) {
        let track = ClickTrack::fit(&hits, timeline.duration, &Options::default().with_bpm(90.0)).unwrap();
        assert!(track.beats.is_sorted_by(|a, b| a.step < b.step), "{track:?}");
        assert!(track.hits.len() <= hits.len() && !tempo_changes(&track.beats).is_empty());
    }
}

/// A list of each kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let lists: [(u8, &str); 6] = [
        (8, "# hits\n4.5 the door\n0:02.25\n0:0:7\n"),
        (8, "1.5\t1.5\tdoor\n\\\t100\t200\n2.0\t3.0\tcut\n"),
        (
            17,
            "TITLE: Timeline 1\nFCM: NON-DROP FRAME\n\n001  001      V     C        01:00:02:00 01:00:02:01 01:00:02:00 \
             01:00:02:01  \n |C:ResolveColorBlue |M:Marker 1 |D:1\n\n* LOC: 01:00:05:12 RED door\n",
        ),
        (20, "FCM: DROP FRAME\n* LOC: 01:00:05;12 RED door\n* LOC: 01:01:00;02 RED next\n"),
        (
            17,
            "Marker Name\tDescription\tIn\tOut\tDuration\tMarker Type\tx\ndoor\t\t00:00:04:12\t00:00:04:12\t0\tComment\t\n",
        ),
        (8, "#,Name,Start,End,Length\nM1,\"a, \"\"b\"\"\",0:04.500,,\nM2,c,7.25,,\nR1,d,00:00:05:00,,\n"),
    ];
    let mut seeds: Vec<Vec<u8>> = lists.map(|(choice, list)| [&[choice], list.as_bytes()].concat()).to_vec();
    seeds.push(
        [&[8, 0xff, 0xfe][..], &"4.5 door\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()].concat(),
    );
    seeds
}

/// What the formats are told by.
pub fn words() -> Vec<Vec<u8>> {
    crate::words(&[
        "TITLE:",
        "FCM: DROP FRAME\n",
        "* LOC: ",
        "|M:",
        "#,",
        "\t",
        "01:00:00:00",
        ";",
        "0:0:",
        "1e9",
        "\\",
        "\u{feff}",
    ])
}
