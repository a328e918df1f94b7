//! `study make` and `case-study` on films and music that are made here.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::time::Duration;

use clap::{Args, Command, FromArgMatches};
use vmt::{Note, Pitch, Score, midi};
use vmt_study::formats::Key;
use vmt_study::loudness::Loudness;
use vmt_study::make::read_page;
use vmt_study::model::Model;
use vmt_study::sources::{Film, read_score};
use vmt_study::{CaseStudyArgs, StudyArgs};

/// Runs a command with these arguments; the error, and whether the call was wrong.
fn call<A: Args + FromArgMatches>(
    run: impl FnOnce(A) -> anyhow::Result<()>,
    arguments: &[String],
) -> Result<(), (bool, String)> {
    let command = A::augment_args(Command::new("vmt-train"));
    let matches = command.try_get_matches_from(["vmt-train".to_owned()].iter().chain(arguments));
    let args = matches.and_then(|matches| A::from_arg_matches(&matches)).map_err(|error| (true, error.to_string()))?;
    run(args).map_err(|error| (error.is::<clap::Error>(), format!("{error:#}")))
}

struct Place(tempfile::TempDir);

impl Place {
    /// Two films of two seconds with a tone, one without sound, and music for the first two.
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for folder in ["films", "mute", "music", "loud"] {
            fs::create_dir(place.path(folder)).unwrap();
        }
        for (name, sound, size) in
            [("films/a", true, "320x180"), ("films/b", true, "1920x1080"), ("mute/c", false, "64x64")]
        {
            let mut ffmpeg = Program::new("ffmpeg");
            ffmpeg.args(["-v", "error", "-f", "lavfi", "-i", &format!("testsrc2=size={size}:rate=25:duration=2")]);
            if sound {
                ffmpeg.args(["-f", "lavfi", "-i", "sine=frequency=300:duration=2"]);
            }
            let path = place.path(name).with_extension("mp4");
            ffmpeg
                .args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-metadata", "title=a secret"])
                .arg(path);
            assert!(ffmpeg.status().unwrap().success());
        }
        for (name, velocity) in [("music/a", 30), ("music/b", 120), ("loud/a", 127), ("loud/b", 127)] {
            let pitch = |number: u32| Pitch::new(48 + (number * 5 % 30) as u8).unwrap();
            let note = |number| Note { start: number * 20, end: number * 20 + 15, pitch: pitch(number), velocity };
            let score = Score::new((0..10).map(note).collect(), Duration::from_secs(2)).unwrap();
            fs::write(place.path(name).with_extension("mid"), midi::write(&score).unwrap()).unwrap();
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Arguments, in which names of what is in the place are paths.
    fn arguments(&self, line: &str) -> Vec<String> {
        line.split(' ').map(|word| word.replace('@', &format!("{}/", self.0.path().display()))).collect()
    }

    fn study(&self, line: &str) -> Result<(), (bool, String)> {
        call(StudyArgs::run, &self.arguments(line))
    }
}

fn files(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn a_folder_that_tells_nothing() {
    let place = Place::new();
    let systems = "--system original --system soft=@music --system loud=@loud";
    place.study(&format!("make @films {systems} -o @study --seed 3 --per-rater 1")).unwrap();
    let key: Key = serde_json::from_slice(&fs::read(place.path("study.key.json")).unwrap()).unwrap();
    let html = fs::read_to_string(place.path("study/index.html")).unwrap();
    let page = read_page(&html).unwrap();
    assert_eq!(
        files(place.0.path()),
        ["films", "loud", "music", "mute", "study", "study.key.json"].map(str::to_owned).into()
    );
    assert_eq!(files(&place.path("study")), ["index.html", "media"].map(str::to_owned).into());

    let pieces: Vec<&String> =
        page.films.iter().flat_map(|film| &film.pieces).chain(&page.training).chain(&page.checks).collect();
    assert_eq!(pieces.len(), 2 * 3 + 2 + 2);
    assert_eq!(files(&place.path("study/media")), pieces.iter().map(|piece| format!("{piece}.mp4")).collect());
    assert_eq!((page.per_rater, key.systems), (1, ["original", "soft", "loud"].map(str::to_owned).to_vec()));
    for film in &key.films {
        let shown = page.films.iter().find(|shown| shown.id == film.id).unwrap();
        assert!(shown.pieces.is_sorted() && shown.pieces.iter().eq(film.pieces.keys()));
        let systems: BTreeSet<_> = film.pieces.values().map(|piece| piece.system).collect();
        assert_eq!(systems, (0..3).collect());
        // As they are played: equally loud, and nothing clips.
        let heard = film.pieces.keys().map(|piece| {
            let path = place.path("study/media").join(piece).with_extension("mp4");
            let bytes = fs::read(&path).unwrap();
            assert!(!bytes.windows(8).any(|part| part == b"a secret"), "metadata are left out");
            let sound = vmt_video::sound(&path).unwrap();
            let seconds = sound.len() as f64 / f64::from(vmt_video::SAMPLE_RATE);
            assert!((seconds - 2.0).abs() < 0.05, "{seconds} s");
            assert_eq!(vmt_video::duration(&path).unwrap(), Duration::from_secs(2));
            Loudness::of(&sound).unwrap()
        });
        let heard: Vec<Loudness> = heard.collect();
        let lufs: Vec<f64> = heard.iter().map(|heard| heard.lufs.unwrap()).collect();
        let [least, most] = [lufs.iter().copied().fold(0.0, f64::min), lufs.iter().copied().fold(-99.0, f64::max)];
        assert!(most - least < 0.3 && most < -19.0, "{lufs:?}");
        assert!(heard.iter().all(|heard| heard.peak < -0.3), "{heard:?}");
    }
    let large = place.path("study/media").join(&page.films[1].pieces[0]).with_extension("mp4");
    assert!((vmt_video::Video::open(large).unwrap().aspect() - 16.0 / 9.0).abs() < 0.01);
}

#[test]
fn wrong_calls_are_refused_before_the_work() {
    let place = Place::new();
    fs::create_dir(place.path("there")).unwrap();
    fs::write(place.path("films/note.txt"), "").unwrap();
    let two = "--system original --system soft=@music";
    for (line, want) in [
        ("make @films --system original -o @study", "there must be 2 to 8, but there are 1"),
        (&format!("make @films {two} --system soft=@loud -o @study"), "two are called soft"),
        (&format!("make @films {two} -o @there"), "must be new, but is there already"),
        (&format!("make @films {two} -o @missing/study"), "No such file"),
        (&format!("make @films {two} -o @study --key @study/key.json"), "key.json"),
        (&format!("make @films {two} -o @study --key @there"), "must be new, but is there already"),
        (&format!("make @films {two} -o @study --per-rater 3"), "--per-rater: must be at most the 2 films"),
        (&format!("make @films {two} -o @study --loudness 3"), "--loudness: must be -40 to -12, but is 3"),
        (&format!("make @films {two} -o @study --seconds 0"), "0 is not in 1..=600"),
        (&format!("make @films {two} -o @study --checks 6"), "6 is not in 0..=5"),
        (&format!("make @films @films/a.mp4 {two} -o @study"), "must have a name of its own"),
        (&format!("make @music {two} -o @study"), "must hold films"),
        ("make @films --system original --system none=@nothing -o @study", "must be a bundle, or a folder"),
        ("make @films --system original --system few=@there -o @study", "but has none for a, b"),
        ("make @films --system original --system nothing -o @study", "has no `=`"),
    ] {
        let (is_wrong, said) = place.study(line).unwrap_err();
        assert!(is_wrong && said.contains(want), "{line}: {said}");
    }
    let (is_wrong, said) = place.study("make @mute --system original --system soft=@music -o @study").unwrap_err();
    assert!(!is_wrong && said.contains("c.mp4: has no sound"), "{said}");
    assert!(!files(place.0.path()).contains("study") && !place.path("study.key.json").exists());
}

/// A bundle's piece is what `vmt compose` writes.
#[test]
fn bundles_compose_as_the_program_does() {
    let place = Place::new();
    let film = Film::open(&place.path("films/b.mp4"), Duration::MAX).unwrap();
    for bundle in ["vmt-beat", "tiny-vmt"] {
        let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../onnx").join(bundle);
        let out = place.path("music.mid");
        let paths = [&film.path, &bundle, &out].map(|path| path.display().to_string());
        let [film_name, bundle_name, out_name] = paths.each_ref().map(|path| &path[..]);
        let call = ["vmt", "compose", film_name, "--bundle", bundle_name, "--seed", "5", "-o", out_name, "--quiet"];
        vmt_cli::execute(call).unwrap();
        let want = read_score(&out, film.length).unwrap();
        let model = Model::load(&bundle).unwrap();
        let (got, _) = model.compose(&film.path, Duration::ZERO..film.length, 5, false).unwrap();
        assert!(!want.notes().is_empty());
        assert_eq!(got.score.notes(), want.notes(), "{bundle_name}");
    }
}

#[test]
fn figure_4() {
    let place = Place::new();
    let bundles = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../onnx");
    let bundle = |name: &str| bundles.join(name).display().to_string();
    let case = |line: &str| call(CaseStudyArgs::run, &place.arguments(line));
    let systems = format!(
        "--system S={} --system V={} --system original=@music/a.mid",
        bundle("tiny-seq2seq"),
        bundle("tiny-vmt")
    );
    case(&format!("@films/a.mp4 {systems} -o @figure.svg -o @figure.png")).unwrap();
    let svg = fs::read_to_string(place.path("figure.svg")).unwrap();
    assert!(svg.contains("<title>Piano rolls: S, V, original</title>"));
    assert!(fs::read(place.path("figure.png")).unwrap().starts_with(b"\x89PNG"));
    case(&format!("@films/a.mp4 {systems} -o @again.svg")).unwrap();
    assert_eq!(svg, fs::read_to_string(place.path("again.svg")).unwrap());
    for (line, want) in [
        (format!("@films/a.mp4 {systems} -o @figure.pdf"), "must end in .png or .svg"),
        (format!("@films/a.mp4 {systems} -o @figure.png --start 5"), "--start: must be within the film"),
        ("@films/a.mp4 --system original -o @figure.png".into(), "such as original=song.mid"),
        ("@films/a.mp4 --system a=@nothing.mid -o @figure.png".into(), "nothing.mid is not there"),
        (format!("@films/a.mp4 {systems} -o @missing/figure.png"), "No such file"),
    ] {
        let (is_wrong, said) = case(&line).unwrap_err();
        assert!(is_wrong && said.contains(want), "{line}: {said}");
    }
}
