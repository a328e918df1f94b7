//! `vmt compose` killed at any moment: what is there is whole, and the next run finishes it.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

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

/// Numbers from 0 to 1 that look random (Steele et al. 2014, SplitMix64).
fn noise(mut seed: u64) -> impl FnMut() -> f64 {
    move || {
        seed = seed.wrapping_add(0x9E3779B97F4A7C15);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58476D1CE4E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D049BB133111EB);
        (mixed ^ (mixed >> 31)) as f64 / u64::MAX as f64
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
    let began = Instant::now();
    assert!(start(&films, &undisturbed).wait().unwrap().success());
    let usual = began.elapsed();
    let want = files(&undisturbed);
    assert_eq!(want.len(), FILMS.len() * FORMATS.len());
    for (name, bytes) in &want {
        match name.rsplit_once('.').unwrap().1 {
            "mid" => assert!(!vmt::midi::read(bytes, true).unwrap().is_empty()),
            "wav" => assert_eq!(bytes.len(), 44 + 48_000 * 4),
            _ => {
                let film = Video::open(undisturbed.join(name)).unwrap().claimed_duration().unwrap();
                assert!(film.abs_diff(Duration::from_secs(1)) < Duration::from_millis(50), "{film:?}");
            }
        }
    }

    let (mut noise, mut running, mut left_behind) = (noise(1), 0, 0);
    for kill in 0..KILLS {
        let mut vmt = start(&films, &out);
        thread::sleep(usual.mul_f64(noise()));
        running += usize::from(vmt.try_wait().unwrap().is_none());
        vmt.kill().unwrap();
        vmt.wait().unwrap();
        let (hidden, whole): (Vec<_>, Vec<_>) = files(&out).into_iter().partition(|(name, _)| name.starts_with('.'));
        left_behind += usize::from(!hidden.is_empty());
        assert!(whole.iter().all(|file| want.contains(file)), "kill {kill} left part of a file under its name");
        // A run with nothing to do would show nothing.
        if whole.len() > FORMATS.len() {
            whole.iter().for_each(|(name, _)| fs::remove_file(out.join(name)).unwrap());
        }
    }
    assert!(running > KILLS / 2 && left_behind > 0, "{running} runs were killed, {left_behind} at work on a file");
    assert!(start(&films, &out).wait().unwrap().success());
    assert!(files(&out) == want);

    // A run that finds everything done cleans up, too, but leaves alone what is at work.
    let [dead, living] = [".vmt-dead", ".vmt-living"].map(|name| out.join(name));
    for workshop in [&dead, &living] {
        fs::create_dir(workshop).unwrap();
        fs::write(workshop.join("1.wav"), "half").unwrap();
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
