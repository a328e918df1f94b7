//! Files that a call names: none that is read is replaced, and what cannot be written is known before the work.

use std::fs;
use std::os::unix::fs::symlink;

use super::{Place, exit_code};

#[test]
fn no_output_replaces_an_input() {
    let place = Place::new();
    place.vmt("compose %tests/data/demo.mp4 --end 2 -o @song.mid -o @song.json");
    fs::copy(crate::support::file("tests/data/demo.mp4"), place.path("film.mp4")).unwrap();
    for (link, to) in [("film.mkv", "film.mp4"), ("link.mid", "song.mid"), ("up", ".")] {
        symlink(to, place.path(link)).unwrap();
    }
    fs::hard_link(place.path("song.mid"), place.path("hard.mid")).unwrap();
    fs::create_dir(place.path("bundle")).unwrap();
    for file in ["manifest.yaml", "encoder.onnx", "decoder.onnx"] {
        fs::copy(crate::support::file("onnx/tiny-vmt").join(file), place.path("bundle").join(file)).unwrap();
    }
    symlink("bundle/encoder.onnx", place.path("model.json")).unwrap();
    fs::create_dir(place.path("frames")).unwrap();
    place.ffmpeg("-i %tests/data/demo.mp4 -t 1 -r 4 @frames/?.png");
    fs::write(place.path("hits.json"), "0.5\n1\n").unwrap();

    let compose = "compose @film.mp4 --end 1";
    let song = "song.mid: is an input, which must stay";
    let primer = "is the input @song.mid, which must stay";
    for (call, want) in [
        (format!("{compose} -o @film.mp4"), "film.mp4: is an input, which must stay"),
        (format!("{compose} -o @film.mkv"), "film.mkv: is the input @film.mp4, which must stay"),
        (format!("{compose} --primer @song.mid -o @song.mid"), song),
        (format!("{compose} --primer @song.mid -o @up/song.mid"), primer),
        (format!("{compose} --primer @song.mid -o @link.mid"), primer),
        (format!("{compose} --primer @song.mid -o @hard.mid"), primer),
        (format!("{compose} --primer @link.mid -o @song.mid"), "is the input @link.mid, which must stay"),
        (format!("{compose} --hits @hits.json -o @hits.json"), "hits.json: is an input, which must stay"),
        (format!("{compose} --intensity @hits.json -o @hits.json"), "hits.json: is an input, which must stay"),
        (format!("{compose} --bundle @bundle -o @model.json"), "is the input @bundle/encoder.onnx, which must stay"),
        ("compose --frames @frames --fps 4 -o @frames/2.png".to_owned(), "frames/2.png: is an input"),
        ("compose --frames @frames --fps 4 -o @frames/roll.png".to_owned(), "would be one of the --frames of the next"),
        ("compose --from @song.json -o @song.json".to_owned(), "song.json: is an input, which must stay"),
        ("tokens decode @song.mid -o @song.mid".to_owned(), song),
    ] {
        place.fails(2, &call, want);
    }
    // The second of two takes would.
    place.vmt("compose %tests/data/demo.mp4 --end 1 -o @a.2.mid");
    let takes = format!("{compose} --primer @a.2.mid --takes 2 --keep-takes -o @a.mid");
    place.fails(2, &takes, "a.2.mid: is an input, which must stay");
}

#[test]
fn links_are_written_through() {
    let place = Place::new();
    fs::create_dir(place.path("elsewhere")).unwrap();
    fs::write(place.path("elsewhere/old.mid"), "old").unwrap();
    symlink("elsewhere/old.mid", place.path("link.mid")).unwrap();
    place.vmt("compose %tests/data/demo.mp4 --end 1 -o @link.mid");
    assert!(place.path("link.mid").is_symlink());
    assert_eq!(&fs::read(place.path("elsewhere/old.mid")).unwrap()[..4], b"MThd");
    assert_eq!(fs::read_dir(place.path("elsewhere")).unwrap().count(), 1);

    symlink("nowhere.mid", place.path("dangling.mid")).unwrap();
    symlink("/dev/null", place.path("null.mid")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(place.path("fifo.mid")).status();
    assert!(made.unwrap().success());
    symlink("link.mid", place.path("same.mid")).unwrap();
    let compose = "compose %tests/data/demo.mp4 --end 1";
    for (name, want) in [
        ("dangling.mid", "@dangling.mid: No such file"),
        ("null.mid", "@null.mid: must be a file to write, but is a pipe or a device"),
        ("fifo.mid", "@fifo.mid: must be a file to write, but is a pipe or a device"),
        ("link.mid -o @same.mid", "@same.mid: is to be written twice"),
        ("link.mid -o @elsewhere/../link.mid", "is to be written twice"),
    ] {
        // Not `fails`: it would read the pipe.
        let arguments = place.arguments(&format!("{compose} -o @{name}"));
        let error = vmt_cli::execute(&arguments).expect_err(name).to_string();
        assert!(error.contains(&want.replace('@', &format!("{}/", place.0.path().display()))), "{error}, not {want}");
        assert_eq!(exit_code(vmt_cli::run(&arguments)), exit_code(2.into()), "{name}");
    }
}

#[test]
fn names_that_are_not_utf8() {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::OsStrExt;

    let place = Place::new();
    let path = |extension: &str| {
        let mut name = place.path("caf").into_os_string();
        name.push(OsStr::from_bytes(b"\xe9."));
        name.push(extension);
        name
    };
    fs::create_dir(place.path("frames")).unwrap();
    place.ffmpeg("-i %tests/data/demo.mp4 -t 1 -r 4 @frames/?.png");
    fs::rename(place.path("frames"), path("frames")).unwrap();
    let mut call: Vec<OsString> = ["vmt", "compose", "--fps", "4", "--frames"].map(OsString::from).into();
    call.push(path("frames"));
    for kind in ["mid", "json", "wav", "svg"] {
        call.extend(["-o".into(), path(kind)]);
    }
    vmt_cli::execute(call).unwrap();
    let again = [
        "vmt".into(),
        "compose".into(),
        "--from".into(),
        path("json"),
        "-o".into(),
        path("png"),
        "--thumbnails".into(),
    ];
    vmt_cli::execute(again).unwrap();
    for kind in ["mid", "json", "wav", "svg", "png"] {
        assert!(fs::metadata(path(kind)).unwrap().len() > 0, "{kind}");
    }
}

#[test]
fn films_and_results_in_one_folder() {
    let place = Place::new();
    fs::create_dir(place.path("many")).unwrap();
    let films = || {
        let entries = fs::read_dir(place.path("many")).unwrap().map(|entry| entry.unwrap());
        let mut films: Vec<_> = entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap())).collect();
        films.sort();
        films
    };
    for film in ["a", "b"] {
        place.ffmpeg(&format!("-f lavfi -i testsrc2=s=64x48:r=10:d=1 -pix_fmt yuv420p @many/{film}.mp4"));
    }
    let call = "compose @many -o @many --format mkv,mid";
    place.vmt(call);
    let done = films();
    assert_eq!(done.len(), 6);
    place.vmt(call);
    assert!(films() == done, "the second call has nothing to do");
    // The films themselves would be replaced.
    place.fails(2, "compose @many -o @many --format mp4", "a.mp4 would become a.mp4, which is a film here");
    // An .mkv of the user's own.
    place.ffmpeg("-i @many/a.mp4 -c copy @many/c.mkv");
    place.ffmpeg("-i @many/b.mp4 -c copy @many/c.mp4");
    place.fails(2, call, "c.mkv");
}

#[test]
fn takes_that_copy_a_song_come_last() {
    let place = Place::new();
    let compose = "compose %tests/data/demo.mp4 --takes 3 --keep-takes -o";
    place.vmt(&format!("{compose} @first.mid"));
    let read = |name: &str| fs::read(place.path(name)).unwrap();
    fs::create_dir_all(place.path("songs/deep")).unwrap();
    fs::write(place.path("songs/deep/best.MID"), read("first.mid")).unwrap();
    fs::write(place.path("songs/broken.mid"), "no music").unwrap();

    place.vmt(&format!("{compose} @second.mid --songs @songs"));
    for (before, now) in [("first.2.mid", "second.mid"), ("first.3.mid", "second.2.mid"), ("first.mid", "second.3.mid")]
    {
        assert!(read(before) == read(now), "{before} is not {now}");
    }

    fs::remove_dir_all(place.path("songs/deep")).unwrap();
    place.fails(
        1,
        &format!("{compose} @third.mid --songs @songs"),
        "songs: must hold MIDI files, but has none that can be read",
    );
    place.fails(1, &format!("{compose} @third.mid --songs @nowhere"), "nowhere: No such file");
}
