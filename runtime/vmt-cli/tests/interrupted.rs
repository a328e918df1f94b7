//! `vmt compose` killed at any moment: what is there is whole, and the next run finishes it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use vmt_video::Video;

const FILMS: [&str; 2] = ["one", "two"];
const FORMATS: [&str; 3] = ["mid", "wav", "mp4"];
const KILLS: usize = 20;

fn start(films: &Path, out: &Path) -> Child {
    start_shard(films, out, "1/1")
}

fn start_shard(films: &Path, out: &Path, shard: &str) -> Child {
    let mut vmt = Command::new(env!("CARGO_BIN_EXE_vmt"));
    vmt.arg("compose").arg(films).arg("-o").arg(out).args(["--format", &FORMATS.join(","), "--threads", "1"]);
    vmt.args(["--shard", shard]);
    vmt.stdout(Stdio::null()).spawn().unwrap()
}

/// Every name, hidden ones too, and what is in the files.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut files: Vec<_> = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap_or_default()))
        .collect();
    files.sort();
    files
}

/// How far a run has come with a film, by its drafts: the soundtrack, then the files in the order of `FORMATS`.
const DRAFTS: [&str; 4] = ["1.wav", "2.mid", "3.wav", "4.mp4"];

/// The hidden folders in `out`.
fn hidden(out: &Path) -> Vec<PathBuf> {
    let folders = fs::read_dir(out).unwrap().flatten().map(|entry| entry.path());
    folders.filter(|path| path.is_dir() && path.file_name().unwrap().as_encoded_bytes().starts_with(b".vmt-")).collect()
}

/// Waits until a hidden folder that is not `old` holds `draft`; an error if `vmt` ends before.
fn wait_for(draft: &str, out: &Path, old: &[PathBuf], vmt: &mut Child) -> Result<(), &'static str> {
    loop {
        if hidden(out).iter().any(|folder| !old.contains(folder) && folder.join(draft).exists()) {
            return Ok(());
        }
        if vmt.try_wait().unwrap().is_some() {
            return Err("the run ended before");
        }
        thread::sleep(Duration::from_micros(200));
    }
}

#[test]
fn a_killed_run_leaves_whole_files_and_the_next_one_finishes() {
    let place = tempfile::tempdir().unwrap();
    let [films, undisturbed, out] = ["films", "undisturbed", "out"].map(|name| place.path().join(name));
    fs::create_dir(&films).unwrap();
    fs::create_dir(&out).unwrap();
    for film in FILMS {
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=1", "-pix_fmt", "yuv420p"])
            .arg(films.join(film).with_extension("mp4"))
            .status();
        assert!(made.unwrap_or_else(|error| panic!("this test needs `ffmpeg`: run `make setup`. {error}")).success());
    }
    assert!(start(&films, &undisturbed).wait().unwrap().success());
    let want = files(&undisturbed);
    assert_eq!(want.len(), FILMS.len() * FORMATS.len());
    for (name, bytes) in &want {
        match name.rsplit_once('.').unwrap().1 {
            "mid" => assert!(!vmt::midi::read(bytes, vmt::midi::Sustain::Apply).unwrap().is_empty()),
            "wav" => assert_eq!(bytes.len(), 44 + 48_000 * 4),
            _ => {
                let film = Video::open(undisturbed.join(name)).unwrap().claimed_duration().unwrap();
                assert!(film.abs_diff(Duration::from_secs(1)) < Duration::from_millis(50), "{film:?}");
            }
        }
    }

    let mut left_behind = 0;
    for (kill, draft) in DRAFTS.iter().cycle().take(KILLS).enumerate() {
        let old = hidden(&out);
        let mut vmt = start(&films, &out);
        wait_for(draft, &out, &old, &mut vmt)
            .unwrap_or_else(|why| panic!("kill {kill} was to come at {draft}, but {why}"));
        vmt.kill().unwrap();
        vmt.wait().unwrap();
        let (hidden, whole): (Vec<_>, Vec<_>) = files(&out).into_iter().partition(|(name, _)| name.starts_with('.'));
        left_behind += usize::from(!hidden.is_empty());
        assert!(whole.iter().all(|file| want.contains(file)), "kill {kill} left part of a file under its name");
        // Now and then the first film is done, so that the second is interrupted too; never both.
        if kill % 8 == 3 {
            let first = FORMATS.map(|format| format!("{}.{format}", FILMS[0]));
            for name in first {
                fs::copy(undisturbed.join(&name), out.join(name)).unwrap();
            }
        } else if kill % 8 == 7 || whole.len() > FORMATS.len() {
            files(&out)
                .iter()
                .filter(|(name, _)| !name.starts_with('.'))
                .for_each(|(name, _)| fs::remove_file(out.join(name)).unwrap());
        }
    }
    // Between the sight of a draft and the kill, a run may finish a film, but not every time.
    assert!(left_behind > KILLS / 2, "{left_behind} of {KILLS} runs were killed at work");
    assert!(start(&films, &out).wait().unwrap().success());
    assert!(files(&out) == want);

    // A run that finds everything done cleans up, too, but leaves alone what is at work.
    let [dead, living] = [".vmt-dead", ".vmt-living"].map(|name| out.join(name));
    for folder in [&dead, &living] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("1.wav"), "half").unwrap();
    }
    let lock = fs::File::create(living.join("lock")).unwrap();
    lock.try_lock().unwrap();
    assert!(start(&films, &out).wait().unwrap().success());
    assert!(!dead.exists() && living.join("1.wav").exists());

    // So do two shards at once, which are at work in one folder.
    drop(lock);
    want.iter().for_each(|(name, _)| fs::remove_file(out.join(name)).unwrap());
    let shards = ["1/2", "2/2"].map(|shard| start_shard(&films, &out, shard));
    for mut shard in shards {
        assert!(shard.wait().unwrap().success());
    }
    assert!(files(&out) == want);
}
