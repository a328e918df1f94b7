//! Films that the `ffmpeg` command makes, with another soundtrack: the same packets, the right sound.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;
use vmt::Geometry;
use vmt_video::{CONTAINERS, Error, Video, check_mux, mux};

struct Folder(TempDir);

impl Folder {
    /// With `music.wav`: three seconds of 440 Hz.
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.run("ffmpeg", "-f lavfi -i sine=440:r=48000:d=3,volume=4 -ac 2 music.wav");
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    #[track_caller]
    fn run(&self, program: &str, arguments: &str) -> String {
        let mut command = Command::new(program);
        command.args(["-v", "error"]).args(arguments.split_whitespace()).current_dir(&self.0);
        let Output { status, stdout, stderr } =
            command.output().unwrap_or_else(|error| panic!("these tests need `{program}`, but: {error}"));
        assert!(status.success(), "{program} {arguments}: {}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    fn mux(&self, film: &str, out: &str, original_volume: f32) -> Result<(), Error> {
        self.mux_from(film, 0.0, out, original_volume)
    }

    fn mux_from(&self, film: &str, start: f64, out: &str, original_volume: f32) -> Result<(), Error> {
        let start = Duration::from_secs_f64(start);
        mux(&self.path(film), start, &self.path("music.wav"), &self.path(out), original_volume)
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A checksum of each packet of video.
    fn packets(&self, name: &str) -> Vec<String> {
        let entries = "-select_streams v:0 -show_packets -show_data_hash md5 -show_entries packet=data_hash,flags,size";
        self.run("ffprobe", &format!("{entries} -of csv=p=0 {name}")).lines().map(str::to_owned).collect()
    }

    /// When the sound starts and ends, by its samples.
    fn sound(&self, name: &str) -> [f64; 2] {
        let entries = "-select_streams a:0 -show_entries frame=pts_time,nb_samples -of csv=p=0";
        let frames = self.run("ffprobe", &format!("{entries} {name}"));
        let frame = |line: &str| {
            let (time, samples) = line.split_once(',').unwrap();
            (time.parse::<f64>().unwrap(), samples.trim_matches(',').parse::<f64>().unwrap() / 48_000.0)
        };
        let frames: Vec<_> = frames.lines().map(frame).collect();
        let (last, length) = frames[frames.len() - 1];
        [frames[0].0, last + length]
    }

    /// How loud `hertz` is in the sound of `name` between two moments, in dB.
    fn level(&self, name: &str, hertz: u32, from: f64, to: f64) -> f64 {
        let filters = format!(
            "atrim={from}:{to},bandpass=f={hertz}:width_type=h:w=60,bandpass=f={hertz}:width_type=h:w=60,\
             astats=metadata=0:measure_overall=RMS_level:measure_perchannel=none"
        );
        let arguments = ["-nostats", "-v", "info", "-i", name, "-map", "a:0", "-af", &filters, "-f", "null", "-"];
        let output = Command::new("ffmpeg").args(arguments).current_dir(&self.0).output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        let level = log.rsplit_once("RMS level dB: ").unwrap_or_else(|| panic!("{log}")).1;
        level.split_whitespace().next().unwrap().parse().unwrap()
    }
}

/// Pictures for three seconds, with B-frames.
const PICTURES: &str = "-f lavfi -i testsrc2=s=128x96:r=25:d=3";
const CODEC: &str = "-pix_fmt yuv420p -c:v libx264 -preset veryfast -bf 2";
/// 1500 Hz.
const NOISE: &str = "-f lavfi -i sine=1500:d=3,volume=4";

fn close(got: [f64; 2], want: [f64; 2]) {
    assert!(got.iter().zip(want).all(|(got, want)| (got - want).abs() < 0.05), "from and to {got:?} s, not {want:?}");
}

#[test]
fn the_pictures_stay_and_the_sound_is_replaced() {
    let folder = Folder::new();
    folder.run("ffmpeg", &format!("{PICTURES} {CODEC} silent.mp4"));
    folder.run("ffmpeg", &format!("{PICTURES} {NOISE} {CODEC} noisy.mp4"));
    folder.run("ffmpeg", "-i noisy.mp4 -c copy noisy.mkv");
    for film in ["silent.mp4", "noisy.mp4", "noisy.mkv"] {
        for out in ["out.MP4", "out.mkv"] {
            folder.mux(film, out, 0.0).unwrap();
            assert_eq!(folder.packets(out), folder.packets(film));
            close(folder.sound(out), [0.0, 3.0]);
            let streams = folder.run("ffprobe", &format!("-show_entries stream=codec_name -of csv=p=0 {out}"));
            assert_eq!(streams.split_whitespace().collect::<Vec<_>>(), ["h264", "aac"]);
            assert!(folder.level(out, 440, 0.0, 3.0) > -15.0);
            assert!(folder.level(out, 1500, 0.0, 3.0) < -50.0, "the film's own sound is gone");
        }
    }
}

#[test]
fn the_original_sound_is_mixed_under() {
    let folder = Folder::new();
    folder.run("ffmpeg", &format!("{PICTURES} {NOISE} {CODEC} noisy.mp4"));
    let level = |volume| {
        folder.mux("noisy.mp4", "out.mp4", volume).unwrap();
        close(folder.sound("out.mp4"), [0.0, 3.0]);
        [440, 1500].map(|hertz| folder.level("out.mp4", hertz, 0.2, 2.8))
    };
    let ([music, half], [same, fifth]) = (level(0.5), level(0.2));
    assert!((music - same).abs() < 1.5, "{music} and {same} dB");
    assert!((half - fifth - 7.96).abs() < 1.0, "{half} and {fifth} dB");

    folder.run("ffmpeg", &format!("{PICTURES} {CODEC} silent.mp4"));
    folder.mux("silent.mp4", "out.mp4", 0.5).unwrap();
    assert!(folder.level("out.mp4", 440, 0.0, 3.0) > -15.0);
}

#[test]
fn music_begins_with_the_first_picture() {
    let folder = Folder::new();
    // Sound for a second before the pictures, and a whole second in the middle of them without.
    folder.run("ffmpeg", &format!("-itsoffset 1 {PICTURES} -f lavfi -i sine=1500:d=2,volume=4 {CODEC} late.mkv"));
    for volume in [0.0, 0.5] {
        for out in ["out.mp4", "out.mkv"] {
            folder.mux("late.mkv", out, volume).unwrap();
            assert_eq!(folder.packets(out), folder.packets("late.mkv"));
            let first =
                folder.run("ffprobe", &format!("-select_streams v -show_entries frame=pts_time -of csv=p=0 {out}"));
            let first: f64 = first.split_whitespace().next().unwrap().trim_matches(',').parse().unwrap();
            close(folder.sound(out), [first, first + 3.0]);
            // From the first picture: ffmpeg counts from where a file begins.
            let film = [0.1, 1.3].map(|from| folder.level(out, 1500, from, from + 0.7));
            assert_eq!(film[0] > -30.0, volume > 0.0, "{film:?}");
            assert!(film[1] < -45.0, "{film:?}");
        }
    }
}

/// The pictures that are shown between two moments of a film, each as a checksum.
fn shown(folder: &Folder, name: &str, from: f64, to: f64) -> Vec<String> {
    let filter = format!("trim={from}:{to}");
    let frames = folder.run("ffmpeg", &format!("-i {name} -map 0:v -vf {filter} -fps_mode passthrough -f framemd5 -"));
    let sums = frames.lines().filter(|line| !line.starts_with('#'));
    sums.map(|line| line.rsplit_once(',').unwrap().1.trim().to_owned()).collect()
}

#[test]
fn a_part_of_a_film() {
    let folder = Folder::new();
    // Six seconds, a key picture every 48, and sound that is there from the fourth second on.
    let film = "-f lavfi -i testsrc2=s=128x96:r=25:d=6 -f lavfi -i sine=1500:d=6,volume=4*gte(t\\,4):eval=frame";
    folder.run("ffmpeg", &format!("{film} -pix_fmt yuv420p -c:v libx264 -preset veryfast -bf 2 -g 48 film.mp4"));
    folder.run("ffmpeg", "-i film.mp4 -c copy film.mkv");
    for film in ["film.mp4", "film.mkv"] {
        // In the middle of a group, at a key picture, to the end, and from the start.
        for from in [2.6, 1.92, 3.0, 0.0] {
            folder.mux_from(film, from, "out.mp4", 0.5).unwrap();
            close(folder.sound("out.mp4"), [0.0, 3.0]);
            // A hair before each moment, which is where a picture begins.
            let hair = 0.001;
            let want = shown(&folder, film, (from - hair).max(0.0), from + 3.0 - hair);
            let got = shown(&folder, "out.mp4", 0.0, 100.0);
            assert_eq!(got[..75], want, "{film} from {from}");
            assert!((75..=80).contains(&got.len()), "{} pictures from {from}", got.len());
            if from == 2.6 {
                let noise = [0.1, 1.6].map(|at| folder.level("out.mp4", 1500, at, at + 1.2));
                assert!(noise[0] < -45.0 && noise[1] > -30.0, "{noise:?}");
            }
        }
    }
    folder.mux("film.mkv", "out.mkv", 0.0).unwrap();
    close(folder.sound("out.mkv"), [0.0, 3.0]);
    let pictures = shown(&folder, "out.mkv", 0.0, 100.0).len();
    assert!((75..=80).contains(&pictures), "{pictures}");
}

#[test]
fn a_part_of_any_container() {
    let folder = Folder::new();
    folder.run("ffmpeg", "-f lavfi -i testsrc2=s=128x96:r=25:d=6 -c:v mpeg2video -bf 2 -g 48 film.mpg");
    let start = Duration::from_millis(2600);
    let refused = check_mux(&folder.path("film.mpg"), start, &folder.path("out.mkv"), 0.0).unwrap_err().to_string();
    assert!(refused.contains("film.mpg: cannot be copied into .mkv, which would show what comes before"), "{refused}");
    assert!(refused.ends_with("; write .mp4"), "{refused}");
    for out in ["out.mp4", "out.mov"] {
        assert_eq!(check_mux(&folder.path("film.mpg"), start, &folder.path(out), 0.0).unwrap(), None);
        folder.mux_from("film.mpg", 2.6, out, 0.0).unwrap();
        assert_eq!(shown(&folder, out, 0.0, 2.999)[..75], shown(&folder, "film.mpg", 2.599, 5.599));
    }
}

#[test]
fn the_same_call_is_the_same_film() {
    let folder = Folder::new();
    folder.run("ffmpeg", &format!("{PICTURES} {CODEC} silent.mp4"));
    for out in ["out.mp4", "out.mkv"] {
        let film = || {
            folder.mux("silent.mp4", out, 0.0).unwrap();
            std::fs::read(folder.path(out)).unwrap()
        };
        assert!(film() == film(), "{out}");
    }
}

#[test]
fn failures_leave_nothing() {
    let folder = Folder::new();
    folder.run("ffmpeg", &format!("{PICTURES} {CODEC} silent.mp4"));
    let refused = |music: &str, out: &str, want: &str| {
        let error = mux(&folder.path("silent.mp4"), Duration::ZERO, &folder.path(music), &folder.path(out), 0.0);
        let error = error.unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
        assert_eq!(folder.files(), ["music.wav", "silent.mp4"]);
    };
    refused("missing.wav", "out.mp4", "missing.wav: No such file");
    refused("silent.mp4", "out.mp4", "matches no streams");
    refused("music.wav", "out.nothing", "out.nothing: cannot be written: ffmpeg says");
    refused("music.wav", "missing/out.mp4", "No such file");
    assert!(matches!(
        mux(Path::new("no.mp4"), Duration::ZERO, &folder.path("music.wav"), &folder.path("out.mp4"), 0.0),
        Err(Error::Io { .. })
    ));
}

#[test]
fn pictures_have_a_shape() {
    let folder = Folder::new();
    let aspect = |name| Video::open(folder.path(name)).unwrap().aspect();
    let check = |aspect: f64, want: f64| assert!((aspect - want).abs() < 0.01, "{aspect}, not {want}");
    for (sample, want) in [("1", 16.0 / 9.0), ("3/4", 4.0 / 3.0)] {
        let film = "-y -f lavfi -i color=s=160x90:r=5:d=1 -pix_fmt yuv420p";
        folder.run("ffmpeg", &format!("{film} -vf setsar={sample} shape.mp4"));
        check(aspect("shape.mp4"), want);
    }
    // A quarter turn in the display matrix of the track's header.
    let mut film = std::fs::read(folder.path("shape.mp4")).unwrap();
    let header = film.windows(4).position(|bytes| bytes == b"tkhd").unwrap();
    let matrix = [0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30_i32].map(i32::to_be_bytes);
    film[header + 44..][..36].copy_from_slice(matrix.as_flattened());
    std::fs::write(folder.path("turned.mp4"), film).unwrap();
    check(aspect("turned.mp4"), 3.0 / 4.0);
}

/// How long a film is by what [`Video`] shows.
fn length(folder: &Folder, film: &str) -> f64 {
    let windows = Video::open(folder.path(film)).unwrap().windows(Geometry::PAPER);
    windows.map(|window| window.unwrap().duration.as_secs_f64()).sum()
}

/// The times of the packets of a stream that are shown, in order, and the end of the last.
fn packet_times(folder: &Folder, name: &str, stream: &str) -> (Vec<f64>, f64) {
    let entries =
        format!("-select_streams {stream} -show_entries packet=pts_time,duration_time,flags -of csv=p=0 {name}");
    let packets = folder.run("ffprobe", &entries);
    let shown = packets.lines().filter(|line| !line.is_empty() && !line.contains('D')).map(|line| {
        let mut parts = line.split(',').map(|part| part.parse::<f64>());
        let mut next = || parts.next().unwrap().unwrap_or(0.0);
        (next(), next())
    });
    let mut shown: Vec<_> = shown.collect();
    shown.sort_by(|a, b| a.0.total_cmp(&b.0));
    let end = shown.iter().map(|(time, duration)| time + duration).fold(0.0, f64::max);
    (shown.into_iter().map(|(time, _)| time).collect(), end)
}

/// Wants the film to be `seconds` long with pictures at these times, and in each container either a film with just those,
/// whose sound begins and ends with them to a frame, or a refusal with these words.
#[track_caller]
fn keeps_time(folder: &Folder, film: &str, seconds: f64, times: &[f64], refused: &[(&str, &str)]) {
    const FRAME: f64 = 0.04;
    assert!((length(folder, film) - seconds).abs() < 0.002, "{film} has {} s, not {seconds}", length(folder, film));
    let music = format!("-y -f lavfi -i sine=440:r=48000:d={seconds} -ac 2 music.wav");
    folder.run("ffmpeg", &music);
    for container in CONTAINERS {
        let (out, at) = (format!("out.{container}"), format!("{film} as .{container}"));
        let checked = check_mux(&folder.path(film), Duration::ZERO, &folder.path(&out), 0.0);
        if let Some((_, want)) = refused.iter().find(|(refused, _)| *refused == container) {
            let error = checked.unwrap_err();
            assert!(matches!(error, Error::Unfit { .. }) && error.to_string().contains(want), "{at}: {error}");
            continue;
        }
        assert_eq!(checked.unwrap(), None, "{at}");
        folder.mux(film, &out, 0.0).unwrap();
        let (pictures, end) = packet_times(folder, &out, "v:0");
        assert_eq!(pictures.len(), times.len(), "{at}");
        for (got, want) in pictures.iter().zip(times) {
            assert!((got - pictures[0] - want).abs() < 0.002, "{at}: a picture at {got} s, not {want}");
        }
        let (sound, sound_end) = packet_times(folder, &out, "a:0");
        assert!((sound[0].max(0.0) - pictures[0]).abs() < FRAME, "{at}: sound from {} s on", sound[0]);
        assert!((sound_end - end).abs() < FRAME, "{at}: pictures to {end} s, sound to {sound_end}");
        assert!((end - pictures[0] - seconds).abs() < FRAME, "{at}: pictures to {end} s");
        assert!((length(folder, &out) - seconds).abs() < 0.03, "{at} is {} s long", length(folder, &out));
    }
}

/// The times of so many frames, 25 a second.
fn steady(frames: usize) -> Vec<f64> {
    (0..frames).map(|frame| frame as f64 / 25.0).collect()
}

#[test]
fn recordings_that_were_joined() {
    let folder = Folder::new();
    let recording = |seconds: f64, from: f64, name: &str| {
        let codecs = if name.ends_with("mpg") {
            "-c:v mpeg2video -bf 2 -c:a mp2".to_owned()
        } else {
            format!("{CODEC} -c:a aac")
        };
        let source = format!("testsrc2=s=128x96:r=25:d={seconds} -f lavfi -i sine=1500:d={seconds},volume=4");
        folder.run("ffmpeg", &format!("-y -f lavfi -i {source} {codecs} -output_ts_offset {from} {name}"));
        std::fs::read(folder.path(name)).unwrap()
    };
    for (name, from) in
        [("ahead.ts", 40.0), ("back.ts", 0.0), ("a_little_back.ts", 2.5), ("ahead.mpg", 40.0), ("back.mpg", 0.0)]
    {
        let kind = name.rsplit('.').next().unwrap();
        let parts = [recording(3.0, 0.0, &format!("part.{kind}")), recording(2.0, from, &format!("part.{kind}"))];
        std::fs::write(folder.path(name), parts.concat()).unwrap();
        // Where the container has no presentation time, at the jump, a picture may come a frame later.
        let late = usize::from(name == "ahead.mpg");
        let times: Vec<_> = (0..125).map(|frame| (frame + if frame < 74 { 0 } else { late }) as f64 / 25.0).collect();
        keeps_time(&folder, name, (125 + late) as f64 / 25.0, &times, &[]);
    }
}

/// Each sound stays where its picture is.
#[test]
fn joined_sound_stays_with_the_pictures() {
    let folder = Folder::new();
    let recording = |from: f64, loud: &str| {
        let sound = format!("sine=1500:d=3,volume='4*between(t,{loud})':eval=frame");
        folder.run(
            "ffmpeg",
            &format!("-y {PICTURES} -f lavfi -i {sound} {CODEC} -c:a aac -output_ts_offset {from} part.ts"),
        );
        std::fs::read(folder.path("part.ts")).unwrap()
    };
    folder.run("ffmpeg", "-y -f lavfi -i sine=440:r=48000:d=6,volume=0.01 -ac 2 music.wav");
    for from in [40.0, 0.0] {
        let parts = [recording(0.0, "1,2"), recording(from, "2,3")];
        std::fs::write(folder.path("joined.ts"), parts.concat()).unwrap();
        for out in ["out.mp4", "out.mkv"] {
            folder.mux("joined.ts", out, 1.0).unwrap();
            for second in 0..6_u8 {
                let level = folder.level(out, 1500, f64::from(second) + 0.1, f64::from(second) + 0.9);
                assert_eq!(level > -30.0, [1, 5].contains(&second), "{out} from {from}: {level} dB in second {second}");
            }
        }
    }
    assert!(folder.files().iter().all(|name| !name.ends_with("mka")), "no scratch file is left");
}

#[test]
fn the_last_picture_is_held() {
    let folder = Folder::new();
    folder.run("ffmpeg", &format!("{PICTURES} {CODEC} -bf 0 film.mp4"));
    folder.run("ffmpeg", "-i film.mp4 -c copy -bsf:v setts=duration='if(eq(N,74),5/TB,DURATION)' hold.mp4");
    folder.run("ffmpeg", "-i hold.mp4 -c copy hold.mkv");
    let want = "which does not store that its last picture stays for 5.00s; write .mp4";
    for film in ["hold.mp4", "hold.mkv"] {
        keeps_time(&folder, film, 7.96, &steady(75), &[("mkv", want)]);
    }
    // One that is cut off is known by its size.
    let film = std::fs::read(folder.path("hold.mkv")).unwrap();
    std::fs::write(folder.path("cut.mkv"), &film[..film.len() - 500]).unwrap();
    let error = Video::open(folder.path("cut.mkv")).unwrap().windows(Geometry::PAPER).find_map(Result::err).unwrap();
    assert!(matches!(error, Error::CutOff { .. }), "{error}");
}

#[test]
fn what_was_trimmed_stays_away() {
    let folder = Folder::new();
    folder.run("ffmpeg", &format!("{PICTURES} {NOISE} {CODEC} -g 100 film.mp4"));
    folder.run("ffmpeg", "-ss 1.32 -i film.mp4 -c copy trimmed.mp4");
    let pictures = packet_times(&folder, "trimmed.mp4", "v:0").0.len();
    assert!((40..45).contains(&pictures), "{pictures}");
    let want = "which would show what comes before its beginning; write .mp4";
    keeps_time(&folder, "trimmed.mp4", pictures as f64 / 25.0, &steady(pictures), &[("mkv", want)]);
}

#[test]
fn sound_and_pictures_begin_apart() {
    let folder = Folder::new();
    folder.run("ffmpeg", &format!("{PICTURES} {NOISE} {CODEC} -c:a aac film.mkv"));
    for (name, streams) in [("late_pictures", "-map 0:v -map 1:a"), ("late_sound", "-map 1:v -map 0:a")] {
        for kind in ["mkv", "mp4", "ts"] {
            let film = format!("{name}.{kind}");
            folder.run("ffmpeg", &format!("-itsoffset 1.5 -i film.mkv -i film.mkv {streams} -c copy {film}"));
            keeps_time(&folder, &film, 3.0, &steady(75), &[]);
        }
    }
}

#[test]
fn containers_without_presentation_times() {
    let folder = Folder::new();
    folder.run("ffmpeg", &format!("{PICTURES} {NOISE} {CODEC} film.avi"));
    folder.run("ffmpeg", &format!("{PICTURES} {NOISE} -c:v mpeg2video -bf 2 film.mpg"));
    for film in ["film.avi", "film.mpg"] {
        keeps_time(&folder, film, 3.0, &steady(75), &[]);
    }
    folder.run("ffmpeg", &format!("{PICTURES} {CODEC} film.h264"));
    let want = "film.h264: does not say when its pictures are shown, so they cannot be copied; encode it first";
    keeps_time(&folder, "film.h264", 3.0, &[], &CONTAINERS.map(|container| (container, want)));
}

/// An edit list of two parts, each with frames that are not shown.
#[test]
fn an_edit_list_that_cuts_in_the_middle() {
    let folder = Folder::new();
    folder.run("ffmpeg", &format!("{PICTURES} {CODEC} film.mp4"));
    let mut film = std::fs::read(folder.path("film.mp4")).unwrap();
    let place = |film: &[u8], name: &[u8]| film.windows(4).position(|bytes| bytes == name).unwrap();
    let list = place(&film, b"elst");
    // Behind name and version: how many, then each as length, start and speed. The index is behind the pictures.
    assert!(list > place(&film, b"mdat"));
    film[list + 11] = 2;
    let edit = |start: i32| [720_i32, 1024 + start * 128, 1 << 16].map(i32::to_be_bytes).concat();
    film.splice(list + 12..list + 24, [edit(52), edit(212)].concat());
    for name in [b"moov", b"trak", b"edts", b"elst"] {
        let size = place(&film, name) - 4;
        let bytes = u32::from_be_bytes(film[size..size + 4].try_into().unwrap()) + 12;
        film[size..size + 4].copy_from_slice(&bytes.to_be_bytes());
    }
    std::fs::write(folder.path("edited.mp4"), film).unwrap();
    let want = "has an edit list that leaves pictures out in its middle, so they cannot be copied; encode it first";
    keeps_time(&folder, "edited.mp4", 1.44, &[], &CONTAINERS.map(|container| (container, want)));
}

#[test]
fn what_a_container_cannot_keep_is_refused() {
    let folder = Folder::new();
    let refused = |film: &str, out: &str, want: &str| {
        let error = check_mux(&folder.path(film), Duration::ZERO, &folder.path(out), 0.0).unwrap_err();
        let wanted = matches!(error, Error::Unfit { .. }) && error.to_string().contains(want);
        assert!(wanted && !error.to_string().contains("file:"), "{error}");
        assert!(!folder.path(out).exists());
    };
    let kept = |film: &str, out: &str| {
        assert_eq!(check_mux(&folder.path(film), Duration::ZERO, &folder.path(out), 0.0).unwrap(), None);
        folder.mux(film, out, 0.0).unwrap();
        assert_eq!(folder.packets(out).len(), folder.packets(film).len());
    };
    for (codec, film, refused_by, kept_by) in [
        ("libvpx -deadline realtime", "a.webm", &["mp4", "mov"] as &[&str], &["mkv"] as &[&str]),
        ("libvpx-vp9 -deadline realtime", "b.webm", &["mov"], &["mp4", "mkv"]),
        ("ffv1", "c.mkv", &["mp4"], &["mkv", "mov"]),
        ("prores", "d.mov", &["mp4"], &["mkv", "mov"]),
        ("mpeg4", "e.avi", &[], &["mp4", "mkv", "mov"]),
        ("mjpeg -pix_fmt yuvj420p", "f.avi", &[], &["mp4", "mkv", "mov"]),
    ] {
        folder.run("ffmpeg", &format!("{PICTURES} -c:v {codec} {film}"));
        for out in refused_by {
            let instead = format!("; write .{}", kept_by[0]);
            refused(
                film,
                &format!("out.{out}"),
                &format!("cannot be copied into .{out}, which cannot hold its pictures: "),
            );
            refused(film, &format!("out.{out}"), &instead);
        }
        kept_by.iter().for_each(|out| kept(film, &format!("out-{film}.{out}")));
    }

    folder.run("ffmpeg", &format!("{PICTURES} {CODEC} film.mp4"));
    let mut film = std::fs::read(folder.path("film.mp4")).unwrap();
    let header = film.windows(4).position(|bytes| bytes == b"tkhd").unwrap();
    let matrix = [0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30_i32].map(i32::to_be_bytes);
    film[header + 44..][..36].copy_from_slice(matrix.as_flattened());
    std::fs::write(folder.path("portrait.mp4"), film).unwrap();
    for out in ["turned.mp4", "turned.mov"] {
        kept("portrait.mp4", out);
        assert_eq!(Video::open(folder.path(out)).unwrap().aspect(), 0.75);
    }
    // Newer versions of FFmpeg write it.
    if let Err(error) = check_mux(&folder.path("portrait.mp4"), Duration::ZERO, &folder.path("out.mkv"), 0.0) {
        assert!(
            error.to_string().ends_with("cannot be copied into .mkv, which loses its rotation; write .mp4"),
            "{error}"
        );
    } else {
        kept("portrait.mp4", "turned.mkv");
        assert_eq!(Video::open(folder.path("turned.mkv")).unwrap().aspect(), 0.75);
    }
}

#[test]
fn hevc_is_tagged_as_apple_wants_it() {
    let folder = Folder::new();
    folder.run("ffmpeg", &format!("{PICTURES} -pix_fmt yuv420p -c:v libx265 -x265-params log-level=none film.mkv"));
    for out in ["out.mp4", "out.mov"] {
        folder.mux("film.mkv", out, 0.0).unwrap();
        let tag = folder
            .run("ffprobe", &format!("-select_streams v -show_entries stream=codec_tag_string -of csv=p=0 {out}"));
        assert_eq!(tag.trim(), "hvc1");
        assert_eq!(shown(&folder, out, 0.0, 3.0), shown(&folder, "film.mkv", 0.0, 3.0));
    }
}

#[test]
fn the_first_sound_that_can_be_decoded() {
    let folder = Folder::new();
    let sounds = "-f lavfi -i sine=700:d=3,volume=4 -f lavfi -i sine=1500:d=3,volume=4 -map 0 -map 1 -map 2";
    folder.run("ffmpeg", &format!("{PICTURES} {sounds} {CODEC} -c:a aac two.mp4"));
    folder.run("ffmpeg", &format!("{PICTURES} {NOISE} {CODEC} -c:a aac one.mp4"));
    let check = |film: &str, volume| check_mux(&folder.path(film), Duration::ZERO, &folder.path("out.mp4"), volume);
    assert_eq!(check("two.mp4", 0.5).unwrap(), None);
    for name in ["one.mp4", "two.mp4"] {
        let mut film = std::fs::read(folder.path(name)).unwrap();
        let sound = film.windows(4).position(|bytes| bytes == b"mp4a").unwrap();
        film[sound..sound + 4].copy_from_slice(b"apac");
        let codec = sound + film[sound..].windows(4).position(|bytes| bytes == b"esds").unwrap();
        film[codec..codec + 4].copy_from_slice(b"free");
        std::fs::write(folder.path(name), film).unwrap();
    }
    assert_eq!(check("two.mp4", 0.0).unwrap(), None);
    let remark = check("two.mp4", 0.5).unwrap().unwrap();
    assert!(remark.ends_with("two.mp4: its first sound cannot be decoded; stream 2 is taken"), "{remark}");
    folder.mux("two.mp4", "out.mp4", 0.5).unwrap();
    assert!(folder.level("out.mp4", 1500, 0.5, 2.5) > -30.0);
    let error = check("one.mp4", 0.5).unwrap_err();
    assert!(matches!(error, Error::Unfit { .. }), "{error}");
    assert!(error.to_string().contains("one.mp4: has no sound that FFmpeg can decode"), "{error}");
}

#[test]
#[cfg(unix)]
fn any_bytes_may_be_a_name() {
    let folder = Folder::new();
    folder.run("ffmpeg", &format!("{PICTURES} {NOISE} {CODEC} film.mp4"));
    let name =
        |bytes: &[u8]| folder.0.path().join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(bytes));
    let (film, out) = (name(b"caf\xe9.mp4"), name(b"\xff.mkv"));
    std::fs::rename(folder.path("film.mp4"), &film).unwrap();
    assert_eq!(Video::open(&film).unwrap().windows(Geometry::PAPER).count(), 1);
    assert_eq!(check_mux(&film, Duration::ZERO, &out, 0.5).unwrap(), None);
    mux(&film, Duration::ZERO, &folder.path("music.wav"), &out, 0.5).unwrap();
    std::fs::rename(&out, folder.path("out.mkv")).unwrap();
    assert_eq!(folder.packets("out.mkv").len(), 75);
}
