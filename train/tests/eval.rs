//! `vmt-train eval` from end to end, on tiny models and music that a formula writes.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use burn::tensor::Device;
use vmt::{Note, Pitch, Score, midi};
use vmt_train::data::prepared::{DATASET, Dataset, FORMAT, PreparedSong};
use vmt_train::data::{Split, Splits};
use vmt_train::eval::report::{Report, Value};
use vmt_train::eval::{Candidate, EvalOptions, Film, HeldOut, evaluate};
use vmt_train::fit::checkpoint::{self, Kind, State};
use vmt_train::fit::{Learner, Objective};
use vmt_train::{Model, ModelConfig};

fn sizes(name: &str) -> ModelConfig {
    ModelConfig::load(format!("{}/configs/{name}.yaml", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Four songs of 30 s, and which are for what: `a`, `b` and `c` for the test.
fn songs(folder: &Path) {
    for (index, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
        let note = |number: usize| Note {
            start: (number * (30 + 10 * index)) as u32,
            end: (number * (30 + 10 * index) + 25) as u32,
            pitch: Pitch::new((50 + 5 * index + number % 7) as u8).unwrap(),
            velocity: (60 + 10 * index + if number.is_multiple_of(8) { 20 } else { 0 }) as u8,
        };
        let notes = (0..3000 / (30 + 10 * index)).map(note).collect();
        let midi = midi::write(&Score::new(notes, Duration::from_secs(30)).unwrap()).unwrap();
        fs::write(folder.join(format!("{name}.mid")), midi).unwrap();
    }
    fs::write(folder.join("split.yaml"), "{test: [a, b, c], validation: [d]}").unwrap();
}

/// The folder of a run with an untrained model.
fn run(run: &Path, config: &ModelConfig) {
    fs::create_dir(run).unwrap();
    let learner = Learner::new(config.init(1, &Device::flex().autodiff()), 1, Objective::LIKELIHOOD, 1);
    checkpoint::save(run, Kind::Best, config, &learner, &State::default()).unwrap();
}

fn eval(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vmt-train")).current_dir(folder).arg("eval").args(args).output().unwrap()
}

const SMALL: [&str; 8] = ["--data", ".", "--split", "split.yaml", "--fragments", "5", "--generate", "3"];

#[test]
fn two_models_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    songs(folder);
    run(&folder.join("tiny-vmt"), &sizes("tiny-vmt"));
    run(&folder.join("tiny-seq2seq"), &sizes("tiny-seq2seq"));
    let models = ["--model", "VMT=tiny-vmt", "--model", "SEQ2SEQ=tiny-seq2seq", "--blind", "blind=tiny-vmt"];
    let report = |out: &str, threads: &str| {
        let args = [&models[..], &SMALL, &["-o", out, "--threads", threads, "--keep", "music"]].concat();
        let output = eval(folder, &args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let json = fs::read_to_string(folder.join(out).with_extension("json")).unwrap();
        (fs::read_to_string(folder.join(out)).unwrap(), json)
    };
    let (markdown, json) = report("one.md", "1");
    assert_eq!((markdown.clone(), json.clone()), report("reports/two.md", "2"), "the same seed, the same bytes");

    let report: Report = serde_yaml::from_str(&json).unwrap();
    assert_eq!(report.to_string(), markdown);
    assert_eq!(report.columns, ["VMT", "SEQ2SEQ", "blind", "original"]);
    assert_eq!((report.songs, report.fragments, report.pieces), (3, 5, 3));
    let values = |id: &str| {
        let metric = report.metrics.iter().find(|metric| metric.id == id);
        metric.unwrap_or_else(|| panic!("no {id}")).values.iter().map(|value| value.map(|Value { value, .. }| value))
    };
    let [vmt, seq2seq, blind, original] = values("nll.event").collect::<Vec<_>>()[..] else { panic!("four columns") };
    // Untrained: about the logarithm of 310.
    for nll in [vmt, seq2seq, blind] {
        assert!((5.2..6.8).contains(&nll.unwrap()), "{nll:?}");
    }
    assert_eq!((blind, original), (values("nll.event.no_video").next().unwrap(), None));
    assert_eq!(values("grammar.length_error.10s").collect::<Vec<_>>(), [Some(0.0); 4]);
    assert_eq!(values("grammar.unclosed").collect::<Vec<_>>(), [Some(0.0); 4]);
    assert!(values("swap.gain_lost.silence").take(2).all(|lost| lost.is_some()));
    // The formula repeats itself every seven notes.
    let motifs: Vec<_> = values("motifs.7notes.180s").map(Option::unwrap).collect();
    assert!(motifs[3] > 0.9 && motifs[..3].iter().all(|&share| share < 0.1), "{motifs:?}");
    assert!(values("key.kept.180s").all(|share| share.is_some()));
    assert!(markdown.contains("Left out: near copies, for want of songs for training"), "{markdown}");
    assert!(markdown.contains("Left out: music for real film, for want of footage"), "{markdown}");

    let mut kept: Vec<_> = fs::read_dir(folder.join("music"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept.len(), 3 * (1 + 2 * 3) + 3 * (1 + 3));
    assert_eq!(kept[..3], ["a-000s.SEQ2SEQ.mid", "a-000s.SEQ2SEQ.raw.mid", "a-000s.VMT.mid"]);
    for name in kept {
        midi::read(&fs::read(folder.join("music").join(name)).unwrap(), midi::Sustain::Apply).unwrap();
    }
}

#[test]
fn models_with_conditions_play_to_the_beats() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    songs(folder);
    run(&folder.join("with"), &ModelConfig { conditions: true, ..sizes("tiny-vmt") });
    run(&folder.join("without"), &sizes("tiny-vmt"));
    let report = |rest: &[&str]| -> Report {
        let args =
            [&["--model", "with=with", "--model", "without=without"], &SMALL[..], &["-o", "r.md"], rest].concat();
        let output = eval(folder, &args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_yaml::from_str(&fs::read_to_string(folder.join("r.json")).unwrap()).unwrap()
    };
    // Song `a` again, higher and slower, to learn from.
    let note = |number: usize| Note {
        start: (number * 36) as u32,
        end: (number * 36 + 25) as u32,
        pitch: Pitch::new((57 + number % 7) as u8).unwrap(),
        velocity: 60,
    };
    let learned = Score::new((0..100).map(note).collect(), Duration::from_secs(40)).unwrap();
    fs::write(folder.join("e.mid"), midi::write(&learned).unwrap()).unwrap();
    fs::write(folder.join("split.yaml"), "{test: [a, b, c], validation: [d], train: [e]}").unwrap();
    let values = |report: &Report, id: &str| -> Vec<Option<f64>> {
        let metric = report.metrics.iter().find(|metric| metric.id == id);
        metric.unwrap_or_else(|| panic!("no {id}")).values.iter().map(|value| value.map(|one| one.value)).collect()
    };
    let played = report(&[]);
    let sixteenths = values(&played, "sixteenths.25ms");
    let [Some(1.0), Some(off), Some(1.0)] = sixteenths[..] else { panic!("{sixteenths:?}") };
    assert!(off < 0.8, "{off}");
    assert!(values(&played, "raw.sixteenths.25ms")[0].unwrap() < 0.8);
    let [Some(held), Some(_), Some(1.0)] = values(&played, "hits.40ms")[..] else { panic!("three columns") };
    assert!(held > 0.9, "{held}");
    assert!(values(&played, "nll.event.nothing_known")[0].is_some());
    // All songs are of one formula; 20 to 33 notes in ten seconds.
    let copied = values(&played, "copies.notes.10s");
    assert!(copied[2].unwrap() > 18.0 && copied[..2].iter().all(|notes| notes.unwrap() < 10.0), "{copied:?}");
    let [with, without] = &played.told[..] else { panic!("{:?}", played.told) };
    assert!(with.contains("with: told the song's beats, bars, key and end") && with.contains("begin on sixteenths"));
    assert_eq!(without, "without: told nothing, for want of conditions.");

    let steady = report(&["--tempo", "100", "--no-quantize"]);
    assert!(values(&steady, "sixteenths.25ms")[0].unwrap() < 0.8);
    assert!(steady.metrics.iter().all(|metric| !metric.id.starts_with("hits.")));
    assert!(steady.told[0].ends_with("composing, told steady beats, 100 a minute in 4/4, and the end of the piece."));
}

#[test]
fn music_is_compared_with_films_that_are_held_out() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    songs(folder);
    run(&folder.join("tiny-vmt"), &sizes("tiny-vmt"));
    fs::create_dir(folder.join("films")).unwrap();
    for (name, source, seconds) in
        [("a", "testsrc2", 8), ("b", "mandelbrot", 8), ("short", "testsrc", 3), ("train", "testsrc", 8)]
    {
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", &format!("{source}=s=64x64:r=12"), "-t", &seconds.to_string()])
            .arg(folder.join(format!("films/{name}.mp4")))
            .status()
            .unwrap();
        assert!(made.success());
    }
    let table = "name\tlicence\na\tours\nb\tours\nshort\tours\ntrain\tours\n";
    fs::write(folder.join("films/footage.tsv"), table).unwrap();
    fs::write(folder.join("films.yaml"), "{test: [a, short], validation: [b], train: [train]}").unwrap();
    fs::write(folder.join("fewer.yaml"), "{test: [a, short], train: [train]}").unwrap();
    let count =
        |splits: &str| Film::open(&folder.join("films"), &Splits::load(folder.join(splits)).unwrap()).unwrap().len();
    assert_eq!([count("films.yaml"), count("fewer.yaml")], [2, 1]);
    let films = ["--footage", "films", "--footage-split", "films.yaml", "-o", "r.md"];
    let models = ["--model", "VMT=tiny-vmt", "--blind", "blind=tiny-vmt"];
    let output = eval(folder, &[&models[..], &SMALL, &films].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Report = serde_yaml::from_str(&fs::read_to_string(folder.join("r.json")).unwrap()).unwrap();
    let metric = |id: &str| report.metrics.iter().find(|metric| metric.id == id).unwrap_or_else(|| panic!("no {id}"));
    assert!(metric("film.density").doc.contains("each of 2 films of 6 s"), "{}", metric("film.density").doc);
    for id in ["film.density", "film.density.wrong", "film.loudness", "film.loudness.wrong"] {
        let [Some(vmt), Some(blind), None] = metric(id).values[..] else { panic!("{:?}", metric(id)) };
        assert!([vmt, blind].iter().all(|value| (-1.0..=1.0).contains(&value.value)), "{id}: {vmt:?} {blind:?}");
    }
}

#[test]
fn a_model_that_ignores_the_video_gains_nothing() {
    let folder = tempfile::tempdir().unwrap();
    songs(folder.path());
    let splits = Splits::load(folder.path().join("split.yaml")).unwrap();
    let sizes = sizes("tiny-vmt");
    let Model::Vmt(mut model) = sizes.init(1, &Device::flex()) else { panic!("it is a VMT") };
    for layer in &mut model.decoder {
        layer.cross_attention.out.weight = layer.cross_attention.out.weight.clone().map(|weight| weight.zeros_like());
    }
    let held_out = HeldOut::open(folder.path(), Split::Test, &splits, &[sizes.geometry]).unwrap();
    let options = EvalOptions { fragments: 6, pieces: 1, ..EvalOptions::fragments_of(Split::Test) };
    let candidate =
        Candidate { name: "ignorant".into(), model: Model::Vmt(model), geometry: sizes.geometry, blind: false };
    let (report, _) = evaluate(&held_out, None, &[], &[candidate], &options, &|_, _, _| {}).unwrap();
    let value = |id: &str| report.metrics.iter().find(|metric| metric.id == id).unwrap().values[0].unwrap().value;
    assert!((value("nll.event") - value("nll.event.no_video")).abs() < 1e-6);
    let gains: Vec<_> = report.metrics.iter().filter(|metric| metric.id.starts_with("swap.gain")).collect();
    assert_eq!(gains.len(), 1 + 9);
    for gain in gains {
        assert!(gain.values[0].unwrap().value.abs() < 1e-6, "{gain:?}");
    }
}

#[test]
fn prepared_pictures_cannot_be_drawn_without_a_channel() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    run(&folder.join("tiny-seq2seq"), &sizes("tiny-seq2seq"));
    let geometry = sizes("tiny-seq2seq").geometry;
    let song = |name: &str| PreparedSong { name: name.into(), split: Split::Test, fragments: 2, notes: 2 };
    let dataset = Dataset { format: FORMAT, geometry, songs: ["a", "b"].map(song).to_vec() };
    fs::write(folder.join(DATASET), serde_yaml::to_string(&dataset).unwrap()).unwrap();
    for (brightness, name) in ["a", "b"].into_iter().enumerate() {
        let size = 2 * geometry.frames() * 3 * geometry.height() * geometry.width();
        fs::write(folder.join(format!("{name}.frames")), vec![100 * brightness as u8; size]).unwrap();
        // Two fragments of a key that goes down, a second that passes, and the end.
        let ids = [40u16, 277, 128, 1, 41, 277, 129, 1];
        fs::write(folder.join(format!("{name}.tokens")), ids.map(u16::to_le_bytes).concat()).unwrap();
    }
    let args = ["--model", "GRU=tiny-seq2seq", "--data", ".", "--generate", "2", "-o", "r.md"];
    let output = eval(folder, &args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let markdown = fs::read_to_string(folder.join("r.md")).unwrap();
    assert!(markdown.contains("Left out: what each channel is worth"), "{markdown}");
    assert!(markdown.contains("`swap.gain.k3`") && !markdown.contains("gain_lost"), "{markdown}");

    let wider = ModelConfig { geometry: geometry.with_size(geometry.height(), 40).unwrap(), ..sizes("tiny-seq2seq") };
    run(&folder.join("wider"), &wider);
    let output = eval(folder, &[&args[..], &["--model", "wider=wider"]].concat());
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("must hold clips of Geometry { frames: 40, height: 32, width: 40"), "{error}");
}

#[test]
fn what_is_wrong_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    songs(folder);
    run(&folder.join("tiny-vmt"), &sizes("tiny-vmt"));
    let half = ModelConfig { geometry: vmt::Geometry::new(20, 128, 128, 250).unwrap(), ..sizes("tiny-vmt") };
    run(&folder.join("half"), &half);

    let refused = |code: i32, args: &[&str], said: &str| {
        let output = eval(folder, args);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(said), "{args:?}: {error}");
        assert_eq!(output.status.code(), Some(code), "{args:?}: {error}");
        assert!(!folder.join("r.md").exists() && !folder.join("r.json").exists());
    };
    let with =
        |model: &'static str, rest: &[&'static str]| [&["--model", model], &SMALL[..], &["-o", "r.md"], rest].concat();
    refused(2, &with("tiny-vmt", &[]), "must be NAME=DIR, such as VMT=my-run, but has no `=`");
    refused(2, &with("original=tiny-vmt", &[]), "and not `original`, but is `original`");
    refused(2, &with("a/b=tiny-vmt", &[]), "but is `a/b`");
    refused(2, &with("a=tiny-vmt", &["--tempo", "fast"]), "it must be beats a minute");
    refused(2, &with("a=tiny-vmt", &["--tempo", "19"]), "20-400 beats a minute");
    refused(1, &with("a=tiny-vmt", &["--model", "a=half"]), "two are called a");
    refused(1, &with("a=no/such", &[]), "no/such");
    refused(1, &with("a=.", &[]), "must be a checkpoint or a run with one (last-*, best-*), but is neither");
    refused(1, &with("a=tiny-vmt", &["--model", "b=half"]), "windows of 10s, as the first has, but one has 5s");
    refused(1, &with("a=tiny-vmt", &["--eval-split", "train"]), "must hold MIDI files for Train, but has none");
    refused(1, &with("a=tiny-vmt", &["--share", "validation"]), "no song may have more than half of them");
    refused(1, &["--model", "a=tiny-vmt", "--data", ".", "-o", "r.txt"], "r.txt: must end in .md");
    refused(
        1,
        &["--model", "a=tiny-vmt", "--data", ".", "-o", "r.md", "--generate", "0"],
        "--generate must be at least 1",
    );
}
