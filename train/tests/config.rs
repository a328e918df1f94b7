//! Configuration files: all of ours load, and a wrong one says what is wrong and where.

use std::fs;

use vmt_train::ModelConfig;

#[test]
fn ours_load() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/configs");
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 6);
    for file in files {
        let config = ModelConfig::load(&file).unwrap();
        let again = ModelConfig::parse(&serde_yaml::to_string(&config).unwrap()).unwrap();
        assert_eq!(config, again);
    }
}

/// What reading says once `from` has become `to` in a good file.
#[track_caller]
fn check(from: &str, to: &str, said: &str) {
    let good = include_str!("../configs/tiny-vmt.yaml");
    assert!(good.contains(from));
    let error = ModelConfig::parse(&good.replace(from, to)).unwrap_err().to_string();
    assert!(error.contains(said), "{error}");
}

#[test]
fn unknown_field() {
    check("layers: 2", "layers: 2\nlayrs: 2", "unknown field `layrs`");
}

#[test]
fn unknown_inner_field() {
    check("heads: 2", "haeds: 2", "unknown field `haeds`");
}

#[test]
fn missing_field() {
    check("hidden: 32\n", "", "missing field `hidden`");
}

#[test]
fn not_a_number() {
    check("heads: 2", "heads: two", "model.vmt.heads: invalid type");
}

#[test]
fn unknown_model() {
    check("vmt:", "gpt:", "unknown variant `gpt`");
}

#[test]
fn zero() {
    check("feed_forward: 64", "feed_forward: 0", "model.vmt.feed_forward: must be at least 1, but is 0");
}

#[test]
fn heads_that_do_not_fit() {
    check("heads: 2", "heads: 3", "hidden: must be a multiple of 3 heads, but is 32");
}

#[test]
fn odd_hidden() {
    check("hidden: 32", "hidden: 33", "hidden: must be even (sines and cosines), but is 33");
}

#[test]
fn side_that_does_not_halve() {
    check("width: 32", "width: 36", "geometry.width: must be a multiple of 8 (it is halved three times), but is 36");
}

#[test]
fn dropout_of_everything() {
    check("dropout: 0.1", "dropout: 1.0", "dropout: must be in 0..1, but is 1");
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = ModelConfig::load("no/such.yaml").unwrap_err();
    assert!(format!("{error:#}").starts_with("no/such.yaml: "), "{error:#}");
}

/// Configurations of released bundles, and what is written of one: both are part of the format of bundles.
#[test]
fn old_keys_are_read_and_written() {
    let yaml = include_str!("../configs/small-vmt.yaml");
    let renamed =
        [("time_embedding:", "clock:"), ("held_notes:", "keys:"), ("alibi:", "recency:"), ("pool_grid:", "cells:")];
    let old = renamed.iter().fold(yaml.to_owned(), |yaml, (new, old)| {
        assert!(yaml.contains(new));
        yaml.replace(new, old)
    });
    let config = ModelConfig::parse(yaml).unwrap();
    assert_eq!(ModelConfig::parse(&old).unwrap(), config);
    let written = serde_yaml::to_string(&config).unwrap();
    for (new, old) in renamed {
        assert!(written.contains(old) && !written.contains(new), "{written}");
    }
}
