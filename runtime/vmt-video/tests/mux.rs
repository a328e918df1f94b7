//! Films that the `ffmpeg` command makes, with another soundtrack: the same packets, the right sound.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;
use vmt_video::{Error, Video, check_mux, mux};

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
        self.mux_part(film, 0.0..f64::INFINITY, out, original_volume)
    }

    fn mux_part(&self, film: &str, seconds: Range<f64>, out: &str, original_volume: f32) -> Result<(), Error> {
        let moment = |seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        let range = moment(seconds.start)..moment(seconds.end);
        mux(&self.path(film), range, &self.path("music.wav"), &self.path(out), original_volume)
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

const ALL: Range<Duration> = Duration::ZERO..Duration::MAX;

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
        for (from, to) in [(2.6, 5.6), (1.92, 4.92), (3.0, f64::INFINITY), (0.0, 3.0)] {
            folder.mux_part(film, from..to, "out.mp4", 0.5).unwrap();
            close(folder.sound("out.mp4"), [0.0, 3.0]);
            // A hair before each moment, which is where a picture begins.
            let hair = 0.001;
            let want = shown(&folder, film, (from - hair).max(0.0), from + 3.0 - hair);
            let got = shown(&folder, "out.mp4", 0.0, 100.0);
            assert_eq!(got[..75], want, "{film} from {from} to {to}");
            assert!((75..=80).contains(&got.len()), "{} pictures from {from} to {to}", got.len());
            if from == 2.6 {
                let noise = [0.1, 1.6].map(|at| folder.level("out.mp4", 1500, at, at + 1.2));
                assert!(noise[0] < -45.0 && noise[1] > -30.0, "{noise:?}");
            }
        }
    }
    folder.mux_part("film.mkv", 0.0..3.0, "out.mkv", 0.0).unwrap();
    close(folder.sound("out.mkv"), [0.0, 3.0]);
    let pictures = shown(&folder, "out.mkv", 0.0, 100.0).len();
    assert!((75..=80).contains(&pictures), "{pictures}");
}

#[test]
fn parts_that_cannot_be_copied() {
    let folder = Folder::new();
    folder.run("ffmpeg", "-f lavfi -i testsrc2=s=128x96:r=25:d=6 -c:v mpeg2video -g 48 film.mpg");
    let refused = |film: &str, out: &str, want: &str| {
        let error = folder.mux_part(film, 2.6..5.6, out, 0.0).unwrap_err().to_string();
        assert!(error.contains(want) && !folder.path(out).exists(), "{error}");
    };
    refused("film.mpg", "out.mkv", "only an .mp4 can begin at any frame");
    let want =
        "film.mpg: ffmpeg finds no frame to begin with at 2.6s; if there is one, copy the film first: ffmpeg -ff";
    refused("film.mpg", "out.mp4", want);
    let start = Duration::from_millis(2600);
    let error = check_mux(&folder.path("film.mpg"), start).unwrap_err().to_string();
    assert!(error.contains(want), "{error}");
    check_mux(&folder.path("film.mpg"), Duration::ZERO).unwrap();
    folder.run("ffmpeg", "-fflags +genpts -i film.mpg -c copy film.mkv");
    check_mux(&folder.path("film.mkv"), start).unwrap();
    folder.mux_part("film.mkv", 2.6..5.6, "out.mp4", 0.0).unwrap();
    assert_eq!(shown(&folder, "out.mp4", 0.0, 2.999), shown(&folder, "film.mkv", 2.599, 5.599));
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
    let names = || {
        let mut names: Vec<_> = std::fs::read_dir(&folder.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let refused = |music: &str, out: &str, want: &str| {
        let error =
            mux(&folder.path("silent.mp4"), ALL, &folder.path(music), &folder.path(out), 0.0).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
        assert_eq!(names(), ["music.wav", "silent.mp4"]);
    };
    refused("missing.wav", "out.mp4", "missing.wav: No such file");
    refused("silent.mp4", "out.mp4", "matches no streams");
    refused("music.wav", "out.nothing", "out.nothing: cannot be written: ffmpeg says");
    refused("music.wav", "missing/out.mp4", "No such file");
    check_mux(&folder.path("silent.mp4"), Duration::ZERO).unwrap();
    assert!(matches!(
        mux(Path::new("no.mp4"), ALL, &folder.path("music.wav"), &folder.path("out.mp4"), 0.0),
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
