//! Training from end to end, on tiny models and music that a formula writes.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use ndarray::Array4;
use vmt::{Clip, Conditions, Geometry, PerformedNote, Score, VOCABULARY};
use vmt_train::data::{Batch, Fragment, Fragments, targets};
use vmt_train::fit::{End, Learner, Objective, Recipe, Run, RunConfig, checkpoint, validate};
use vmt_train::random::Stream;
use vmt_train::{Model, ModelConfig};

const TINY: [&str; 2] = ["tiny-vmt", "tiny-seq2seq"];

fn sizes(name: &str) -> ModelConfig {
    ModelConfig::load(format!("{}/configs/{name}.yaml", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn learner(name: &str, dropout: f64, threads: usize) -> Learner {
    let sizes = ModelConfig { dropout, ..sizes(name) };
    Learner::new(sizes.init(1, &Device::flex().autodiff()), 1, Objective::LIKELIHOOD, threads)
}

/// Scales: fragment `i` begins on key `48 + i`, and its pictures are as bright as that. Four frames of 32 x 32.
struct Scales {
    count: usize,
    notes: usize,
}

const GEOMETRY: Geometry = Geometry::new(40, 32, 32, 250).unwrap();

impl Fragments for Scales {
    fn count(&self) -> usize {
        self.count
    }

    fn tokens(&self, index: usize) -> usize {
        3 * (self.notes + index % 3)
    }

    fn fragment(&self, index: usize, random: &mut Stream) -> anyhow::Result<Fragment> {
        let note = |i: usize| PerformedNote {
            start: i as f64 * 0.3,
            end: i as f64 * 0.3 + 0.2,
            pitch: (48 + (index + 2 * i) % 24) as u8,
            velocity: 64,
        };
        let notes: Vec<_> = (0..self.notes + index % 3).map(note).collect();
        let score = Score::quantise(&notes, std::time::Duration::from_secs(4));
        let brightness = (index * 80 % 256) as u8 ^ (random.below(4) as u8);
        let clip = Clip::new(Array4::from_elem((4, 3, 32, 32), brightness), &GEOMETRY)?;
        Ok(Fragment { clip: Some(clip), tokens: targets(&score), conditions: Conditions::default() })
    }
}

fn batch(rows: usize) -> Batch {
    let source = Scales { count: rows, notes: 5 };
    let fragment = |index| source.fragment(index, &mut Stream::new(0, "test", &[])).unwrap();
    Batch::new((0..rows).map(fragment).collect(), &GEOMETRY, 1024)
}

#[test]
fn an_untrained_model_knows_nothing_and_a_trained_one_a_batch_by_heart() {
    let chance = (VOCABULARY as f64).ln();
    for (name, rate, above) in [("tiny-vmt", 0.003, 0.8), ("tiny-seq2seq", 0.01, 0.1)] {
        let (mut learner, batch) = (learner(name, 0.0, 2), batch(4));
        let first = learner.step(1, rate, &batch).unwrap().loss;
        assert!((chance - 0.3..chance + above).contains(&first), "{name}: {first}");
        let enough = (2..1000).find(|&step| learner.step(step, rate, &batch).unwrap().loss < 0.05);
        assert!(enough.is_some(), "{name}: {}", validate(&learner.model, &[batch], Objective::LIKELIHOOD, 1).0);
    }
}

#[test]
fn an_empty_batch_is_an_error_and_nothing_to_validate() {
    let empty = Batch::new(Vec::new(), &GEOMETRY, 1024);
    let mut learner = learner("tiny-vmt", 0.0, 2);
    let error = learner.step(1, 1e-3, &empty).unwrap_err().to_string();
    assert_eq!(error, "a batch must have at least one row, but has none");
    assert_eq!(validate(&learner.model, &[empty], Objective::LIKELIHOOD, 2), (0.0, 0.0));
}

/// All gradients in one row.
struct Flat<'a>(&'a GradientsParams, Vec<f32>);

impl ModuleVisitor for Flat<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.1.extend(self.0.get::<D>(param.id).unwrap().into_data().iter::<f32>());
    }
}

#[test]
fn threads_share_a_batch_without_changing_it() {
    for name in TINY {
        let gradients = |threads| {
            let learner = Learner {
                objective: Objective { auxiliary_weight: 0.5, ..Objective::LIKELIHOOD },
                ..learner(name, 0.1, threads)
            };
            let (step, gradients) = learner.gradients(7, &batch(5));
            let mut flat = Flat(&gradients, Vec::new());
            learner.model.visit(&mut flat);
            (step.loss, flat.1)
        };
        let (loss, alone) = gradients(1);
        for threads in [2, 3, 9] {
            let (shared_loss, shared) = gradients(threads);
            assert!((loss - shared_loss).abs() < 1e-5, "{name}: {loss}, but {shared_loss} on {threads} threads");
            let far = alone.iter().zip(&shared).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(far < 1e-5, "{name}: gradients differ by up to {far} on {threads} threads");
        }
    }
}

fn recipe() -> Recipe {
    Recipe {
        steps: 8,
        batch: 3,
        warm_up: 4,
        without_video: 0.3,
        validate_every: 3,
        validation_fragments: 4,
        checkpoint_every: 3,
        ..Recipe::default()
    }
}

/// Runs in `folder` up to `steps`, and checks how it ends.
fn run(name: &str, recipe: &Recipe, folder: &Path, threads: usize, stop: bool) -> anyhow::Result<End> {
    let config = RunConfig {
        model: sizes(name),
        data: None,
        footage: None,
        weights: None,
        encoder_from: None,
        recipe: recipe.clone(),
    };
    run_config(&config, folder, threads, stop)
}

fn run_config(config: &RunConfig, folder: &Path, threads: usize, stop: bool) -> anyhow::Result<End> {
    let (training, validation) = (Scales { count: 11, notes: 6 }, Scales { count: 5, notes: 6 });
    let run = Run { config, folder, training: &training, validation: &validation, threads };
    run.run(&Device::flex(), &AtomicBool::new(stop))
}

/// The columns of a run's metrics that do not measure time.
fn metrics(folder: &Path) -> Vec<String> {
    let read = |name| fs::read_to_string(folder.join(name)).unwrap();
    let steps = read("train.csv").lines().map(|line| line.rsplit_once(',').unwrap().0.to_owned()).collect::<Vec<_>>();
    steps.into_iter().chain(read("validation.csv").lines().map(str::to_owned)).collect()
}

fn weights(model: &Model) -> Vec<u8> {
    struct Bytes(Vec<u8>);
    impl ModuleVisitor for Bytes {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.extend(param.val().into_data().iter::<f32>().flat_map(f32::to_le_bytes));
        }
    }
    let mut bytes = Bytes(Vec::new());
    model.visit(&mut bytes);
    bytes.0
}

#[test]
fn a_resumed_run_equals_an_unbroken_one() {
    for (name, threads) in [("tiny-vmt", 1), ("tiny-vmt", 2), ("tiny-seq2seq", 2)] {
        let folder = tempfile::tempdir().unwrap();
        let [unbroken, resumed, asked] = ["unbroken", "resumed", "asked"].map(|name| folder.path().join(name));
        let End::Done(state) = run(name, &recipe(), &unbroken, threads, false).unwrap() else { panic!("it stopped") };
        assert_eq!(state.step, 8);
        assert_eq!(metrics(&unbroken).len(), 1 + 8 + 1 + 3);

        for steps in [2, 4, 8] {
            run(name, &Recipe { steps, ..recipe() }, &resumed, threads, false).unwrap();
        }
        // The short runs validated at their ends too.
        let common: HashSet<_> = metrics(&resumed).into_iter().collect();
        assert!(metrics(&unbroken).iter().all(|row| common.contains(row)), "{name} on {threads} threads");

        // As after a crash: metrics are ahead of the checkpoint.
        while let End::Stopped(_) = run(name, &recipe(), &asked, threads, true).unwrap() {
            fs::write(asked.join("train.csv"), fs::read_to_string(asked.join("train.csv")).unwrap() + "99,0,0,0,0\n")
                .unwrap();
        }
        assert_eq!(metrics(&asked), metrics(&unbroken), "{name} on {threads} threads");

        let model = |run: &Path| checkpoint::load_model(run.join("last-00000008"), &Device::flex()).unwrap().1;
        assert!(weights(&model(&unbroken)) == weights(&model(&resumed)));
        assert!(weights(&model(&unbroken)) == weights(&model(&asked)));
    }
}

#[test]
fn the_best_checkpoint_is_the_one_with_the_lowest_loss() {
    let folder = tempfile::tempdir().unwrap();
    let End::Done(state) = run("tiny-vmt", &recipe(), folder.path(), 1, false).unwrap() else { panic!("it stopped") };
    let (step, loss) = state.best.unwrap();
    let validation = fs::read_to_string(folder.path().join("validation.csv")).unwrap();
    let losses = validation.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().parse::<f64>().unwrap());
    assert_eq!(losses.reduce(f64::min), Some(loss));

    let mut names: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let best = format!("best-{step:08}");
    assert_eq!(names, [&best, "config.yaml", "last-00000008", "train.csv", "validation.csv"]);
    let (config, model) = checkpoint::load_model(&folder, &Device::flex()).unwrap();
    assert_eq!(config, sizes("tiny-vmt"));
    let (_, same) = checkpoint::load_model(folder.path().join(best), &Device::flex()).unwrap();
    assert!(weights(&model) == weights(&same));
    let error = checkpoint::load_model(std::env::temp_dir(), &Device::flex()).unwrap_err().to_string();
    assert!(error.contains("must be a checkpoint or a run with one"), "{error}");
}

#[test]
fn a_run_does_not_go_on_with_another_recipe() {
    let folder = tempfile::tempdir().unwrap();
    run("tiny-vmt", &Recipe { steps: 1, ..recipe() }, folder.path(), 1, false).unwrap();
    for (name, recipe) in [("tiny-seq2seq", recipe()), ("tiny-vmt", Recipe { peak: 0.5, ..recipe() })] {
        let error = run(name, &recipe, folder.path(), 1, false).unwrap_err().to_string();
        assert!(error.contains("this run began with another model, recipe, weights or footage"), "{error}");
    }
}

#[test]
fn a_frozen_decoder_stays_while_the_encoder_learns() {
    for name in TINY {
        let objective = Objective { train_decoder: false, train_encoder: true, auxiliary_weight: 1.0 };
        let mut learner = Learner { objective, ..learner(name, 0.0, 2) };
        let batch = batch(4);
        let embedding = |model: &Model| match model {
            Model::Vmt(model) => model.embedding.weight.val().into_data(),
            Model::Seq2Seq(model) => model.embedding.weight.val().into_data(),
        };
        let before = embedding(&learner.model);
        let errors: Vec<_> = (1..=60).map(|step| learner.step(step, 3e-3, &batch).unwrap().loss).collect();
        assert!(errors[59] < 0.5 * errors[0], "{name}: from {} to {}", errors[0], errors[59]);
        assert_eq!(embedding(&learner.model), before);
    }
}

#[test]
fn a_frozen_encoder_stays_while_the_decoder_learns() {
    for name in TINY {
        let objective = Objective { train_encoder: false, ..Objective::LIKELIHOOD };
        let mut learner = Learner { objective, ..learner(name, 0.0, 2) };
        let before = learner.model.clone();
        let losses: Vec<_> = (1..=10).map(|step| learner.step(step, 3e-3, &batch(4)).unwrap().loss).collect();
        assert!(losses[9] < losses[0], "{name}: from {} to {}", losses[0], losses[9]);
        let same_encoder = learner.model.clone().with_encoder_of(before.clone());
        assert!(weights(&learner.model) == weights(&same_encoder), "{name}");
        assert!(weights(&learner.model) != weights(&before), "{name}");
    }
}

#[test]
fn a_run_begins_with_the_weights_it_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    run("tiny-vmt", &recipe(), &first, 1, false).unwrap();
    let model = |run: &Path| checkpoint::load_model(run, &Device::flex()).unwrap().1;
    // A step so small that it changes nothing.
    let recipe = Recipe { steps: 1, peak: 1e-300, ..recipe() };
    let config = |name| RunConfig {
        model: sizes(name),
        data: None,
        footage: None,
        weights: Some(first.clone()),
        encoder_from: None,
        recipe: recipe.clone(),
    };
    run_config(&config("tiny-vmt"), &second, 1, false).unwrap();
    assert!(weights(&model(&second)) == weights(&model(&first)));

    let third = folder.path().join("third");
    let encoder = RunConfig { weights: None, encoder_from: Some(first.clone()), ..config("tiny-vmt") };
    run_config(&encoder, &third, 1, false).unwrap();
    let untrained = sizes("tiny-vmt").init(1, &Device::flex());
    let mixed = untrained.clone().with_encoder_of(model(&first));
    assert!(weights(&model(&third)) == weights(&mixed));
    assert!(weights(&mixed) != weights(&untrained) && weights(&mixed) != weights(&model(&first)));

    let fourth = folder.path().join("fourth");
    let error = run_config(&config("tiny-seq2seq"), &fourth, 1, false).unwrap_err().to_string();
    assert!(error.contains("the weights to begin with must be of the model that is trained"), "{error}");
    // What did not begin is in nobody's way.
    run_config(&config("tiny-vmt"), &fourth, 1, false).unwrap();
}

#[test]
fn a_loss_that_is_no_number_stops_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let error = run("tiny-vmt", &Recipe { peak: 1e30, ..recipe() }, folder.path(), 1, false).unwrap_err().to_string();
    assert!(error.contains("at step 2 with a learning rate of 5.000e29"), "{error}");
    assert!(!folder.path().join("last-00000002").exists());
}

#[test]
fn all_threads_end_when_a_fragment_cannot_be_read() {
    struct Broken;
    impl Fragments for Broken {
        fn count(&self) -> usize {
            9
        }
        fn tokens(&self, _: usize) -> usize {
            1
        }
        fn fragment(&self, index: usize, _: &mut Stream) -> anyhow::Result<Fragment> {
            anyhow::bail!("fragment {index} is broken")
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let config = RunConfig {
        model: sizes("tiny-vmt"),
        data: None,
        footage: None,
        weights: None,
        encoder_from: None,
        recipe: recipe(),
    };
    let validation = Scales { count: 0, notes: 0 };
    let run = Run { config: &config, folder: folder.path(), training: &Broken, validation: &validation, threads: 2 };
    let error = run.run(&Device::flex(), &AtomicBool::new(false)).unwrap_err().to_string();
    assert!(error.ends_with("is broken"), "{error}");
}

/// Run by hand: `cargo test --release --workspace -- --ignored --nocapture memory`.
#[test]
#[ignore = "takes minutes"]
fn memory_does_not_grow() {
    let resident = || -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    for name in TINY {
        let (mut learner, batch) = (learner(name, 0.1, 2), batch(4));
        let mut sizes = Vec::new();
        for step in 1..=2000 {
            learner.step(step, 1e-3, &batch).unwrap();
            if step % 250 == 0 {
                sizes.push(resident() / 1024);
            }
        }
        println!("{name}: MiB after each 250 steps: {sizes:?}");
        assert!(sizes[7] < sizes[0] + 20, "{name}: {sizes:?}");
    }
}
