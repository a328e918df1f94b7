//! `study score` on files: what it says of good ones and of bad ones.

use std::fs;
use std::path::Path;

use clap::{Args, Command, FromArgMatches};
use vmt_study::StudyArgs;
use vmt_study::simulation::{Preferences, Simulated};

/// Runs `vmt-train study` with these arguments.
fn study(arguments: &[&str]) -> Result<(), String> {
    let command = StudyArgs::augment_args(Command::new("study"));
    let matches = command.try_get_matches_from([&["study"], arguments].concat()).map_err(|error| error.to_string())?;
    let args = StudyArgs::from_arg_matches(&matches).map_err(|error| error.to_string())?;
    args.run().map_err(|error| format!("{error:#}"))
}

/// A study of the paper's size in a folder: answers/, key.json.
fn simulated(place: &Path) {
    let Simulated { key, answers } = Preferences::paper().simulate(23, 30, 10, 1);
    fs::create_dir(place.join("answers")).unwrap();
    fs::write(place.join("key.json"), serde_json::to_string(&key).unwrap()).unwrap();
    for answers in answers {
        let path = place.join("answers").join(format!("{}.json", answers.session));
        fs::write(path, serde_json::to_string(&answers).unwrap()).unwrap();
    }
}

fn score(place: &Path, answers: &str, out: &str) -> Result<(), String> {
    let path = |name: &str| place.join(name).display().to_string();
    study(&["score", &path(answers), "--key", &path("key.json"), "-o", &path(out)])
}

#[test]
fn a_report_in_four_forms() {
    let place = tempfile::tempdir().unwrap();
    simulated(place.path());
    score(place.path(), "answers", "scores.md").unwrap();
    let read = |name: &str| fs::read_to_string(place.path().join(name)).unwrap();
    let markdown = read("scores.md");
    assert!(markdown.contains("| | Smoothness | Relevance |\n|---|---|---|\n| original | 3."), "{markdown}");
    assert!(markdown.contains("| smoothness | original - VMT | +0."), "{markdown}");
    let json: serde_json::Value = serde_json::from_str(&read("scores.json")).unwrap();
    assert_eq!((json["people"].as_u64(), json["films"].as_u64()), (Some(23), Some(30)));
    assert!(
        read("scores.svg").starts_with("<svg")
            && fs::read(place.path().join("scores.png")).unwrap().starts_with(b"\x89PNG")
    );
    // The same again.
    score(place.path(), "answers", "again.md").unwrap();
    assert_eq!(markdown, read("again.md"));
}

#[test]
fn bad_files_are_named_and_left_out() {
    let place = tempfile::tempdir().unwrap();
    simulated(place.path());
    let answers = place.path().join("answers");
    let first = fs::read_dir(&answers).unwrap().next().unwrap().unwrap().path();
    let good = fs::read_to_string(&first).unwrap();
    let film = r#"{"film":"nothing","skipped":true,"ratings":[]}"#;
    let session = good.split("\"session\":\"").nth(1).unwrap().split('"').next().unwrap();
    let fresh = good.replace(session, "feedfeedfeedfeed");
    let smoothness = fresh.split("\"smoothness\":").nth(1).unwrap().split(',').next().unwrap();
    let bad = [
        ("a", String::new(), "must be answers of a study"),
        ("b", "[1, 2]".into(), "must be answers of a study"),
        ("c", fresh.replace("\"format\":1", "\"format\":9"), "must have format 1, but has 9"),
        (
            "d",
            fresh.replace("0123456789ab", "ba9876543210"),
            "must be of study \"0123456789ab\", but is of \"ba9876543210\"",
        ),
        (
            "e",
            fresh.replacen(&format!("\"smoothness\":{smoothness}"), "\"smoothness\":6", 1),
            "must be 0 to 5, but is 6",
        ),
        (
            "f",
            fresh.replacen(&format!("\"smoothness\":{smoothness}"), "\"smoothness\":-1", 1),
            "must be answers of a study",
        ),
        ("g", fresh.replace("\"films\":[", &format!("\"films\":[{film},")), "film \"nothing\" is not in the study"),
        ("h", fresh.replace("feedfeedfeedfeed", "../../x"), "`session` must be 8 to 32 hexadecimal digits"),
        ("i", fresh.replace("\"rater\"", "\"racer\""), "must be answers of a study"),
        ("j", fresh.replace("\"c0\"", "\"c9\""), "check \"c9\" is not in the study"),
        ("k", fresh.replace("\"c0\"", "\"c1\""), "must be there once, but is there twice"),
        ("l", good.clone(), "is of the same session as another file"),
    ];
    for (name, content, _) in &bad {
        fs::write(answers.join(format!("zz-{name}.json")), content).unwrap();
    }
    score(place.path(), "answers", "scores.md").unwrap();
    let json = fs::read_to_string(place.path().join("scores.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let faults: Vec<_> = json["faults"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect();
    assert_eq!((json["people"].as_u64(), faults.len()), (Some(23), bad.len()), "{faults:#?}");
    for (name, _, want) in bad {
        let file = format!("zz-{name}.json: ");
        let fault = faults.iter().find(|fault| fault.contains(&file)).unwrap_or_else(|| panic!("{file} {faults:#?}"));
        assert!(fault.contains(want) && !fault.contains('\n'), "{fault}");
    }
}

#[test]
fn wrong_calls() {
    let place = tempfile::tempdir().unwrap();
    simulated(place.path());
    let refused = |answers: &str, out: &str| score(place.path(), answers, out).unwrap_err();
    assert!(refused("answers", "scores.txt").contains("must end in .md"));
    assert!(refused("answers", "answers/scores.md").contains("must not be in a folder of answers"));
    assert!(refused("answers", "missing/scores.md").contains("missing/scores.md"));
    assert!(refused("nothing", "scores.md").contains("nothing: No such file"));
    fs::create_dir(place.path().join("empty")).unwrap();
    assert!(refused("empty", "scores.md").contains("of 0 sessions there are none"));
    fs::copy(place.path().join("answers/0000000000000000.json"), place.path().join("key.md")).unwrap();
    // The report's JSON would replace the key.
    assert!(refused("answers", "key.md").contains("which must stay"));
    assert!(place.path().join("key.json").metadata().unwrap().len() > 1000);
    fs::write(place.path().join("key.json"), "{}").unwrap();
    assert!(refused("answers", "scores.md").contains("must be the key of a study"));
}
