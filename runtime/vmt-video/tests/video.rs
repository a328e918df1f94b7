//! Films that the `ffmpeg` command makes, read back: the right pictures, in the right colours, at the right times.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;
use std::{fs, str};

use tempfile::TempDir;
use vmt::{Geometry, Window};
use vmt_video::{Error, Video};

const SIDE: usize = 128;

/// A folder of films.
struct Films(TempDir);

impl Films {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Result<Vec<Window>, Error> {
        Video::open(self.path(name))?.windows(Geometry::PAPER).collect()
    }

    /// Runs a program of FFmpeg's on arguments parted by spaces; returns what it prints.
    #[track_caller]
    fn run(&self, program: &str, arguments: &str) -> Vec<u8> {
        let mut command = Command::new(program);
        command.args(["-v", "error"]).args(arguments.split_whitespace()).current_dir(&self.0);
        let Output { status, stdout, stderr } =
            command.output().unwrap_or_else(|error| panic!("these tests need `{program}`, but: {error}"));
        assert!(status.success(), "{program} {arguments}: {}", String::from_utf8_lossy(&stderr));
        stdout
    }

    #[track_caller]
    fn ffmpeg(&self, arguments: &str) -> Vec<u8> {
        self.run("ffmpeg", arguments)
    }

    /// The frames' times in seconds from the first, as ffprobe sees them; empty if it sees none.
    fn times(&self, name: &str) -> Vec<f64> {
        let csv = self.run(
            "ffprobe",
            &format!("-select_streams v:0 -show_entries frame=best_effort_timestamp_time -of csv=p=0 {name}"),
        );
        let times = str::from_utf8(&csv).unwrap().lines().filter_map(|line| line.split(',').next()?.parse().ok());
        let times: Vec<f64> = times.collect();
        times.iter().map(|time| time - times[0]).collect()
    }

    /// Every frame as `ffmpeg` itself scales it, `[height, width, 3]`.
    fn scaled(&self, name: &str) -> Vec<Vec<u8>> {
        let raw = self.ffmpeg(&format!(
            "-i {name} -vf scale={SIDE}:{SIDE}:flags=area -fps_mode passthrough -pix_fmt rgb24 -f rawvideo -"
        ));
        raw.chunks(SIDE * SIDE * 3).map(<[u8]>::to_vec).collect()
    }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

/// Each picture: its moment, and its pixels as `[height, width, 3]`.
fn pictures(windows: &[Window]) -> Vec<(f64, Vec<u8>)> {
    let mut pictures = Vec::new();
    for window in windows {
        for (index, picture) in window.clip.pixels().outer_iter().enumerate() {
            let pixels = picture.permuted_axes([1, 2, 0]).iter().copied().collect();
            pictures.push((seconds(window.start + Geometry::PAPER.time(index)), pixels));
        }
    }
    pictures
}

fn index_at(times: &[f64], moment: f64) -> usize {
    times.iter().rposition(|&time| time <= moment + 1e-6).unwrap()
}

#[test]
fn one_pass_yields_what_two_do() {
    let films = Films::new();
    films.ffmpeg("-f lavfi -i testsrc2=s=64x48:r=10:d=14 -pix_fmt yuv420p a.mp4");
    let open = || Video::open(films.path("a.mp4")).unwrap();
    for range in [Duration::ZERO..Duration::MAX, Duration::from_secs(1)..Duration::from_millis(12_340)] {
        let mut frames = Vec::new();
        let windows = open().windows_and_thumbnails(range.clone(), Geometry::PAPER, 10, |frame| {
            frames.push(frame.clone());
            Ok::<_, Error>(())
        });
        let windows: Vec<_> = windows.collect::<Result<_, _>>().unwrap();
        let alone = open().windows_between(range.clone(), Geometry::PAPER, 10).collect::<Result<Vec<_>, _>>().unwrap();
        assert!(windows == alone && windows.len() > 1);
        assert!(frames == open().thumbnails(range).collect::<Result<Vec<_>, _>>().unwrap());
    }
    let refused = open().windows_and_thumbnails(Duration::ZERO..Duration::MAX, Geometry::PAPER, 10, |_| {
        Err(Error::Unreadable { path: PathBuf::new(), reason: "refused".to_owned() })
    });
    assert!(refused.last().unwrap().unwrap_err().to_string().contains("refused"));
}

mod times {
    use super::*;

    /// Writes the frame's number as three grey bars, hexadecimal digits, the lowest first.
    const NUMBERED: &str = "geq=lum='20+14*mod(floor(N/pow(16,floor(X/32))),16)':cb=128:cr=128";

    fn number(picture: &[u8]) -> usize {
        let digit = |bar: usize| {
            let grey = picture[(SIDE / 2 * SIDE + SIDE / 6 * (2 * bar + 1)) * 3];
            ((f64::from(grey) * 219.0 / 255.0 + 16.0 - 20.0) / 14.0).round() as usize
        };
        digit(0) + 16 * digit(1) + 256 * digit(2)
    }

    /// Makes a film of `length` seconds at `rate`, whose frames are numbered, written as `options` say; wants windows of
    /// these lengths, and in each picture the number of the frame that ffprobe sees at that moment.
    #[track_caller]
    fn check(rate: f64, length: f64, options: &str, want: &[f64]) {
        let films = Films::new();
        films.ffmpeg(&format!("-f lavfi -i color=s=96x32:r={rate}:d={length},{NUMBERED} -pix_fmt yuv420p {options}"));
        let name = options.rsplit(' ').next().unwrap();
        let windows = films.read(name).unwrap();
        let got: Vec<_> = windows.iter().map(|window| seconds(window.duration)).collect();
        assert_eq!(got.len(), want.len(), "{got:?}");
        for (got, want) in got.iter().zip(want) {
            assert!((got - want).abs() < 2e-3, "windows of {got} s, not {want} s");
        }
        let mut times = films.times(name);
        if times.is_empty() {
            times = (0..).map(|index| f64::from(index) / rate).take_while(|&time| time < length).collect();
        }
        for (moment, picture) in pictures(&windows) {
            let want = (times[index_at(&times, moment)] * rate).round() as usize;
            assert_eq!(number(&picture), want, "at {moment} s");
        }
    }

    #[test]
    fn containers() {
        check(25.0, 12.0, "-c:v libx264 a.mp4", &[10.0, 2.0]);
        check(25.0, 12.0, "-c:v libx264 a.mov", &[10.0, 2.0]);
        check(25.0, 12.0, "-c:v libx264 a.mkv", &[10.0, 2.0]);
        check(25.0, 12.0, "-c:v libx264 a.ts", &[10.0, 2.0]);
        check(25.0, 12.0, "-c:v libx264 -bf 0 a.avi", &[10.0, 2.0]);
        check(25.0, 12.0, "-c:v libx264 -bf 0 a.h264", &[10.0, 2.0]);
        check(25.0, 12.0, "-c:v libx264 -movflags frag_keyframe+empty_moov -g 25 a.mp4", &[10.0, 2.0]);
    }

    #[test]
    fn codecs() {
        check(25.0, 10.0, "-c:v libx264 -bf 3 -b_strategy 0 a.mp4", &[10.0]);
        check(25.0, 10.0, "-c:v libvpx -b:v 1M -deadline realtime a.webm", &[10.0]);
        check(
            25.0,
            10.0,
            "-c:v libvpx-vp9 -b:v 1M -deadline realtime -auto-alt-ref 1 -lag-in-frames 9 a.webm",
            &[10.0],
        );
        check(25.0, 10.0, "-c:v mpeg4 -q:v 2 -bf 2 a.avi", &[10.0]);
        check(25.0, 10.0, "-c:v mpeg4 -q:v 2 a.mp4", &[10.0]);
        check(25.0, 10.0, "-c:v mjpeg -q:v 2 a.avi", &[10.0]);
        check(25.0, 10.0, "-c:v mpeg2video -q:v 2 -bf 2 a.ts", &[10.0]);
    }

    #[test]
    fn frame_rates() {
        check(15.0, 10.0, "-c:v libx264 a.mp4", &[10.0]);
        check(24.0, 10.0, "-c:v libx264 a.mp4", &[10.0]);
        check(30.0, 10.0, "-c:v libx264 a.mp4", &[10.0]);
        check(60.0, 10.0, "-c:v libx264 a.mp4", &[10.0]);
        check(30000.0 / 1001.0, 10.0, "-c:v libx264 a.mp4", &[10.0, 0.010]);
        check(24.0, 10.0, "-c:v libx264 a.mkv", &[10.0]);
        check(30.0, 10.0, "-c:v libx264 a.mkv", &[10.0]);
        check(60.0, 10.0, "-c:v libvpx -b:v 1M -deadline realtime a.webm", &[10.0]);
        check(2.0, 12.0, "-c:v libx264 a.mp4", &[10.0, 2.0]);
    }

    #[test]
    fn lengths() {
        check(25.0, 0.04, "-c:v libx264 a.mp4", &[0.04]);
        check(25.0, 0.48, "-c:v libx264 a.mp4", &[0.48]);
        check(25.0, 25.0, "-c:v libx264 a.mp4", &[10.0, 10.0, 5.0]);
        check(10.0, 139.4, "-c:v libx264 a.mp4", &[[10.0; 13].as_slice(), &[9.4]].concat());
    }

    #[test]
    fn variable_frame_rate() {
        let bursts = "-vf select='lt(mod(n,50),9)' -fps_mode vfr";
        // The last frame that is left is number 258, at 10.32 s.
        check(25.0, 11.0, &format!("{bursts} -c:v libx264 a.mkv"), &[10.0, 0.36]);
        check(25.0, 11.0, &format!("{bursts} -c:v libx264 a.mp4"), &[10.0, 0.36]);
    }

    #[test]
    fn a_late_start() {
        check(25.0, 10.0, "-c:v libx264 -output_ts_offset 7 a.mp4", &[10.0]);
        check(25.0, 10.0, "-c:v libx264 -output_ts_offset 7 a.mkv", &[10.0]);
        check(25.0, 10.0, "-c:v libx264 -output_ts_offset 50000 a.ts", &[10.0]);
    }

    #[test]
    fn sound_is_passed_over() {
        let films = Films::new();
        films
            .ffmpeg("-f lavfi -i sine=d=14 -itsoffset 1 -f lavfi -i testsrc2=s=96x64:d=10 -c:v libx264 -c:a aac a.mkv");
        films.ffmpeg("-f lavfi -i sine=d=14 -f lavfi -i testsrc2=s=96x64:d=10 -c:v libx264 -c:a aac a.mp4");
        for name in ["a.mkv", "a.mp4"] {
            assert_eq!(films.read(name).unwrap().len(), 1, "{name}");
        }
    }

    #[test]
    fn joined_recordings_go_on() {
        let films = Films::new();
        films.ffmpeg("-f lavfi -i color=red:s=96x64:d=8 -c:v libx264 red.ts");
        films.ffmpeg("-f lavfi -i color=blue:s=200x300:d=7 -c:v libx264 blue.ts");
        let joined = ["red.ts", "blue.ts"].map(|name| fs::read(films.path(name)).unwrap()).concat();
        fs::write(films.path("joined.ts"), joined).unwrap();
        let windows = films.read("joined.ts").unwrap();
        assert_eq!(seconds(windows[1].start + windows[1].duration), 15.0);
        for (moment, picture) in pictures(&windows) {
            assert_eq!(picture[0] > picture[2], moment < 8.0, "at {moment} s, {:?}", &picture[..3]);
        }
    }
}

mod pixels {
    use super::*;

    /// Makes a film and wants its pictures to be those of `ffmpeg`, bit by bit.
    #[track_caller]
    fn check(source: &str, options: &str) {
        let films = Films::new();
        films.ffmpeg(&format!("-f lavfi -i {source} {options} a.mkv"));
        compare(&films, "a.mkv");
    }

    #[track_caller]
    fn compare(films: &Films, name: &str) {
        let (times, scaled) = (films.times(name), films.scaled(name));
        for (moment, picture) in pictures(&films.read(name).unwrap()) {
            assert!(picture == scaled[index_at(&times, moment)], "{name}: not ffmpeg's picture at {moment} s");
        }
    }

    #[test]
    fn sizes() {
        check("testsrc2=s=320x180:d=3", "-c:v libx264");
        check("testsrc2=s=854x480:d=3", "-c:v libx264");
        check("testsrc2=s=1920x1080:d=2", "-c:v libx264 -preset ultrafast");
        check("testsrc2=s=270x480:d=3", "-c:v libx264");
        check("testsrc2=s=128x128:d=3", "-c:v libx264");
        check("testsrc2=s=50x50:d=3", "-c:v libx264");
        check("testsrc2=s=333x77:d=3", "-c:v ffv1 -pix_fmt yuv420p");
        check("testsrc2=s=320x180:d=3", "-vf setsar=2 -c:v libx264");
    }

    #[test]
    fn pixel_formats() {
        check("testsrc2=s=320x180:d=2", "-c:v libx264 -pix_fmt yuv444p");
        check("testsrc2=s=320x180:d=2", "-c:v ffv1 -pix_fmt yuv422p10");
        check("testsrc2=s=320x180:d=2", "-c:v ffv1 -pix_fmt gray");
        check("testsrc2=s=320x180:d=2", "-c:v ffv1 -pix_fmt bgra");
        check("testsrc2=s=320x180:d=2", "-c:v mjpeg -pix_fmt yuvj420p");
        check("testsrc2=s=128x128:d=2", "-c:v rawvideo -pix_fmt bgr24 -allow_raw_vfw 1");
    }

    #[test]
    fn colour_tags() {
        check("testsrc2=s=320x180:d=2", "-c:v libx264 -colorspace bt709");
        check("testsrc2=s=320x180:d=2", "-c:v libx264 -colorspace bt709 -color_range pc");
        check("testsrc2=s=320x180:d=2", "-c:v libx264 -colorspace smpte170m -color_range tv");
        check("testsrc2=s=320x180:d=2", "-c:v libx264 -colorspace bt2020nc -pix_fmt yuv420p10");
    }

    #[test]
    fn colours_come_back() {
        let films = Films::new();
        for (matrix, range, tag) in [
            ("bt601", "tv", ""),
            ("bt601", "tv", "-colorspace smpte170m"),
            ("bt709", "tv", "-colorspace bt709"),
            ("bt709", "pc", "-colorspace bt709 -color_range pc"),
            ("bt2020", "tv", "-colorspace bt2020nc"),
        ] {
            for want in [[0xC0, 0x20, 0x30], [0x20, 0xA0, 0x40], [0x30, 0x40, 0xD0], [0xE0, 0xC0, 0x20]] {
                let [r, g, b] = want;
                films.ffmpeg(&format!(
                    "-y -f lavfi -i color=0x{r:02X}{g:02X}{b:02X}:s=64x64:d=0.5,format=gbrp -vf \
                     scale=out_color_matrix={matrix}:out_range={range},format=yuv444p -c:v libx264 -qp 4 {tag} a.mp4"
                ));
                let pictures = pictures(&films.read("a.mp4").unwrap());
                let got = &pictures[0].1[..3];
                let near = got.iter().zip(want).all(|(&got, want)| got.abs_diff(want) <= 2);
                assert!(near, "{matrix} {range} {tag:?}: {got:?}, not {want:?}");
            }
        }
    }

    /// Writes the display matrix into the track header of the MP4, and wants what ffmpeg makes of it.
    #[test]
    fn rotations() {
        let films = Films::new();
        films.ffmpeg("-f lavfi -i testsrc2=s=320x180:d=2 -c:v libx264 a.mp4");
        let upright = films.scaled("a.mp4");
        let film = fs::read(films.path("a.mp4")).unwrap();
        let header = film.windows(4).position(|bytes| bytes == b"tkhd").unwrap();
        for [a, b, c, d] in [[0, 1, -1, 0], [-1, 0, 0, -1], [0, -1, 1, 0]] {
            let matrix = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30_i32].map(i32::to_be_bytes);
            let mut film = film.clone();
            film[header + 44..][..36].copy_from_slice(matrix.as_flattened());
            fs::write(films.path("turned.mp4"), film).unwrap();
            assert!(films.scaled("turned.mp4") != upright);
            compare(&films, "turned.mp4");
        }
    }
}

mod bad_files {
    use super::*;

    #[track_caller]
    fn check(films: &Films, name: &str, want: &str) {
        let error = films.read(name).expect_err(name).to_string();
        let want = format!("{}: {want}", films.path(name).display());
        assert!(error.starts_with(&want), "{error}, not {want}");
    }

    #[test]
    fn no_video() {
        let films = Films::new();
        films.ffmpeg("-f lavfi -i sine=d=1 -c:a aac sound.m4a");
        films.ffmpeg("-f lavfi -i color=s=64x64 -frames:v 1 cover.png");
        films.ffmpeg("-i sound.m4a -i cover.png -map 0 -map 1 -c copy -disposition:v attached_pic album.m4a");
        fs::write(films.path("empty.mp4"), "").unwrap();
        fs::write(films.path("text.mp4"), "This is not a film.\n".repeat(1000)).unwrap();
        fs::write(films.path("list.m3u8"), "#EXTM3U\n#EXTINF:1\nhttp://localhost:9/film.ts\n#EXT-X-ENDLIST\n").unwrap();
        fs::create_dir(films.path("folder.mp4")).unwrap();

        check(&films, "missing.mp4", "No such file");
        check(&films, "folder.mp4", "is a directory");
        check(&films, "empty.mp4", "must be a video that FFmpeg can read, but it is empty");
        check(&films, "text.mp4", "must be a video that FFmpeg can read, but FFmpeg says: ");
        check(&films, "list.m3u8", "must be a video that FFmpeg can read, but ");
        check(&films, "sound.m4a", "must be a video that FFmpeg can read, but it has no video stream");
        check(&films, "album.m4a", "must be a video that FFmpeg can read, but it has no video stream");
        check(&films, "http://localhost/film.mp4", "No such file");
    }

    #[test]
    fn cut_off() {
        let films = Films::new();
        let source = "-f lavfi -i testsrc2=s=320x180:d=10 -c:v libx264";
        for (options, want) in [
            ("late.mp4", "must be a video that FFmpeg can read, but FFmpeg says: "),
            ("-movflags faststart early.mp4", "is cut off: its header says 10.0s, but its frames end at "),
            ("a.mkv", "is cut off: its header says 10.0s, but its frames end at "),
        ] {
            films.ffmpeg(&format!("{source} {options}"));
            let name = options.rsplit(' ').next().unwrap();
            let film = fs::read(films.path(name)).unwrap();
            fs::write(films.path(name), &film[..film.len() * 6 / 10]).unwrap();
            check(&films, name, want);
        }
        // A stream has no header to break: what is there counts.
        films.ffmpeg(&format!("{source} a.ts"));
        let film = fs::read(films.path("a.ts")).unwrap();
        fs::write(films.path("a.ts"), &film[..film.len() * 6 / 10]).unwrap();
        assert_eq!(films.read("a.ts").unwrap().len(), 1);
    }

    #[test]
    fn cut_off_after_a_window() {
        let films = Films::new();
        films.ffmpeg("-f lavfi -i testsrc2=s=320x180:d=30 -c:v libx264 -movflags faststart a.mp4");
        let film = fs::read(films.path("a.mp4")).unwrap();
        fs::write(films.path("a.mp4"), &film[..film.len() / 2]).unwrap();
        let windows = Video::open(films.path("a.mp4")).unwrap().windows(Geometry::PAPER);
        let fine: Vec<_> = windows.map(|window| window.is_ok()).collect();
        assert_eq!(fine, [true, false]);
    }

    #[test]
    fn no_picture_can_be_decoded() {
        let films = Films::new();
        films.ffmpeg("-f lavfi -i testsrc2=s=320x180:d=2 -c:v libx264 -movflags faststart a.mp4");
        let mut film = fs::read(films.path("a.mp4")).unwrap();
        let data = film.windows(4).position(|bytes| bytes == b"mdat").unwrap();
        film[data + 4..].fill(0xFF);
        fs::write(films.path("a.mp4"), film).unwrap();
        check(&films, "a.mp4", "must be a video that FFmpeg can read, but ");
    }

    #[test]
    fn absurd_size() {
        let films = Films::new();
        films.ffmpeg("-f lavfi -i color=s=16384x8192:d=0.04 -c:v mjpeg a.mkv");
        check(
            &films,
            "a.mkv",
            "must be a video that FFmpeg can read, but no decoder takes it, or its frames have over 67108864 pixels: ",
        );
    }

    #[test]
    fn damage_never_panics() {
        let films = Films::new();
        for name in ["a.mp4", "a.mkv", "a.ts", "a.avi"] {
            films.ffmpeg(&format!("-f lavfi -i testsrc2=s=320x180:d=2 {name}"));
            let film = fs::read(films.path(name)).unwrap();
            for step in [3, 97, 1009, 10_007] {
                let mut film = film.clone();
                film.iter_mut().step_by(step).for_each(|byte| *byte = byte.wrapping_mul(31).wrapping_add(7));
                fs::write(films.path(name), film).unwrap();
                let _ = films.read(name);
            }
        }
    }
}
