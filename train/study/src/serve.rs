//! `vmt-train study serve`: hands a study out and collects answers.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use tiny_http::{Header, Method, Request, Response, ResponseBox, Server};
use vmt_files::{print, warn};

use crate::answers::LARGEST;
use crate::call::{ensure, wrong};
use crate::formats::{Answers, Page};
use crate::make::read_page;

/// Requests that are answered at the same time.
const WORKERS: usize = 4;
/// How soon Ctrl-C is heard.
const PATIENCE: Duration = Duration::from_millis(200);
/// Files of answers in a folder, at most.
const MOST: usize = 100_000;

/// Serves a study to browsers, and collects answers
///
/// Hands the page out by HTTP, and writes the answers of each session that is sent to a file of its own. Each rater without `?rater=N`
/// in the address gets the next number, so that orders are balanced. Ctrl-C ends it. Only this machine can reach it, unless
/// --address says otherwise; there is no encryption and no password, so let a web server with HTTPS stand before it on the internet.
///
///   vmt-train study serve study
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct ServeArgs {
    /// The folder that `study make` wrote
    folder: PathBuf,
    /// The folder to write answers to, outside of it; it is made where it is missing [default: FOLDER.answers]
    #[arg(long, value_name = "DIR")]
    answers: Option<PathBuf>,
    /// Where to listen, IP:PORT; 0.0.0.0:PORT is reached from other machines, too
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    address: SocketAddr,
}

impl ServeArgs {
    /// Serves until Ctrl-C.
    ///
    /// # Errors
    /// [`clap::Error`] for a wrong call; where the folder holds no study, or the address cannot be listened at.
    pub fn run(self) -> Result<()> {
        static STOP: AtomicBool = AtomicBool::new(false);
        let collector = Collector::open(&self.folder, self.answers)?;
        let refused = |error| anyhow!("--address: {} cannot be listened at: {error}", self.address);
        let server = Server::http(self.address).map_err(refused)?;
        ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed))?;
        let (title, answers) = (&collector.page.title, collector.answers.display());
        print(format_args!("{title}: http://{}/\nanswers go to {answers}; Ctrl-C ends it", server.server_addr()))?;
        collector.serve(&server, &STOP);
        print(format_args!("{} sessions in {answers}", collector.sessions()))?;
        Ok(())
    }
}

/// A study that is served.
#[derive(Debug)]
pub struct Collector {
    page: Page,
    answers: PathBuf,
    /// What there is, by the path of its address. Nothing else is ever opened.
    files: HashMap<String, PathBuf>,
    /// The number of the next rater.
    next: AtomicU64,
}

impl Collector {
    /// The study in `folder`, whose answers go to a folder that is made where it is missing.
    ///
    /// # Errors
    /// [`clap::Error`] where there is no study, or answers cannot be written.
    pub fn open(folder: &Path, answers: Option<PathBuf>) -> Result<Self> {
        let index = folder.join("index.html");
        let study = format!("{}: must be a study, as `study make` writes it, but", index.display());
        let html = fs::read_to_string(&index).map_err(|error| wrong(format!("{study} {error}")))?;
        let page = read_page(&html).map_err(|error| wrong(format!("{study} {error:#}")))?;
        let mut files = HashMap::from([("/".to_owned(), index.clone()), ("/index.html".to_owned(), index)]);
        let pieces = page.films.iter().flat_map(|film| &film.pieces).chain(&page.training).chain(&page.checks);
        for piece in pieces {
            let name = format!("media/{piece}.mp4");
            let path = folder.join(&name);
            ensure(path.is_file(), format!("{}: must be there, since the page plays it, but is not", path.display()))?;
            files.insert(format!("/{name}"), path);
        }
        let real = folder.canonicalize().with_context(|| folder.display().to_string())?;
        let answers = answers.unwrap_or_else(|| real.with_added_extension("answers"));
        let at = || answers.display().to_string();
        fs::create_dir_all(&answers).with_context(at)?;
        let inside = answers.canonicalize().with_context(at)?.starts_with(&real);
        ensure(!inside, format!("{}: must be outside of the study's folder", at()))?;
        vmt_files::Drafts::default().of(&answers.join("a.json")).with_context(at)?;
        let taken = sessions(&answers).into_iter().filter_map(|path| {
            let name = path.file_stem()?.to_str()?.to_owned();
            name.split('-').nth(1)?.parse::<u64>().ok()
        });
        let next = AtomicU64::new(taken.max().map_or(0, |last| last + 1));
        Ok(Self { page, answers, files, next })
    }

    /// Answers requests until `stop`.
    pub fn serve(&self, server: &Server, stop: &AtomicBool) {
        let work = || {
            while !stop.load(Ordering::Relaxed) {
                match server.recv_timeout(PATIENCE) {
                    Ok(Some(mut request)) => {
                        let response = self.answer(&mut request);
                        // Who has gone needs no answer.
                        let _ = request.respond(response);
                    }
                    Ok(None) => {}
                    Err(error) => warn(format_args!("a request could not be read: {error}")),
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(work);
            }
        });
    }

    /// How many sessions there are.
    pub fn sessions(&self) -> usize {
        sessions(&self.answers).len()
    }

    fn answer(&self, request: &mut Request) -> ResponseBox {
        let path = request.url().split(['?', '#']).next().unwrap_or_default().to_owned();
        match (request.method(), &path[..]) {
            (Method::Post, "/answers") => match self.collect(request) {
                Ok(()) => said(200, "arrived"),
                Err((status, problem)) => said(status, &problem),
            },
            (Method::Post, "/rater") => {
                let rater = self.next.fetch_add(1, Ordering::Relaxed);
                with(said(200, &format!("{{\"rater\": {rater}}}")), "Content-Type", "application/json")
            }
            (Method::Get | Method::Head, path) => match self.files.get(path) {
                Some(file) => send(file, request).unwrap_or_else(|_| said(500, "the file cannot be read")),
                None => said(404, "there is no such file"),
            },
            _ => said(405, "only GET, and POST of answers"),
        }
    }

    /// Writes what a session gave.
    fn collect(&self, request: &mut Request) -> Result<(), (u16, String)> {
        // A page of another origin cannot send this without asking first, which is never allowed.
        let is_json = header(request, "Content-Type").is_some_and(|kind| kind.starts_with("application/json"));
        if !is_json {
            return Err((415, "answers must be application/json".into()));
        }
        let length = request.body_length().ok_or((411, "the length must be given".to_owned()))? as u64;
        if length > LARGEST {
            return Err((413, format!("answers have at most {LARGEST} bytes")));
        }
        let mut body = Vec::new();
        let read = request.as_reader().take(length).read_to_end(&mut body);
        read.map_err(|error| (400, error.to_string()))?;
        let answers = Answers::parse(&body).map_err(|fault| (400, fault))?;
        let want = &self.page.study;
        if answers.study != *want {
            return Err((400, format!("must be of study {want:?}, but is of {:?}", answers.study)));
        }
        let path = self.answers.join(format!("answers-{}-{}.json", answers.rater, answers.session));
        if !path.exists() && self.sessions() >= MOST {
            return Err((507, "there is no room for more answers".into()));
        }
        let json = serde_json::to_vec_pretty(&answers).map_err(|error| (500, error.to_string()))?;
        vmt_files::write(&path, &json).map_err(|error| {
            warn(format_args!("answers are lost: {error}"));
            (500, "the answers cannot be written here; please save them as a file".to_owned())
        })
    }
}

/// The files of answers in a folder.
fn sessions(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("answers-") && name.ends_with(".json")
    };
    files.filter(is_ours).collect()
}

fn header<'r>(request: &'r Request, name: &'static str) -> Option<&'r str> {
    request.headers().iter().find(|header| header.field.equiv(name)).map(|header| header.value.as_str())
}

fn with(response: ResponseBox, name: &str, value: &str) -> ResponseBox {
    match Header::from_bytes(name, value) {
        Ok(header) => response.with_header(header),
        Err(()) => response,
    }
}

fn said(status: u16, text: &str) -> ResponseBox {
    Response::from_string(text).with_status_code(status).boxed()
}

/// A file, or the part of it that was asked for: some browsers play nothing without.
fn send(path: &Path, request: &Request) -> Result<ResponseBox> {
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    let kind = if path.extension().is_some_and(|end| end == "mp4") { "video/mp4" } else { "text/html; charset=utf-8" };
    let range = header(request, "Range").and_then(|range| part(range, size));
    let (begin, end) = range.unwrap_or((0, size));
    file.seek(SeekFrom::Start(begin))?;
    let body = file.take(end - begin);
    let length = usize::try_from(end - begin)?;
    let status = if range.is_some() { 206 } else { 200 };
    // With a length, not in chunks: players want to know it.
    let response =
        Response::new(status.into(), Vec::new(), body, Some(length), None).with_chunked_threshold(usize::MAX);
    let mut response = with(response.boxed(), "Content-Type", kind);
    for (name, value) in
        [("Accept-Ranges", "bytes"), ("Cache-Control", "no-cache"), ("X-Content-Type-Options", "nosniff")]
    {
        response = with(response, name, value);
    }
    if range.is_some() {
        response = with(response, "Content-Range", &format!("bytes {begin}-{}/{size}", end - 1));
    }
    Ok(response)
}

/// The one range of `bytes=FROM-TO`, as from and behind; `None` for what is no such range, which is answered with all.
fn part(range: &str, size: u64) -> Option<(u64, u64)> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (begin, end) = match (from, to) {
        ("", last) => (size.saturating_sub(last.parse().ok()?), size),
        (from, "") => (from.parse().ok()?, size),
        (from, to) => (from.parse().ok()?, to.parse::<u64>().ok()?.checked_add(1)?.min(size)),
    };
    (begin < end).then_some((begin, end))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpStream;

    use super::*;
    use crate::formats::{FORMAT, PageFilm};
    use crate::make::html;

    /// A study of one film, without music.
    fn study() -> (tempfile::TempDir, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("study");
        fs::create_dir_all(folder.join("media")).unwrap();
        fs::write(place.path().join("study.key.json"), "secret").unwrap();
        let film = PageFilm {
            id: "f".into(),
            seconds: 2.0,
            pieces: vec!["a".into(), "b".into()],
            orders: vec![vec![0, 1], vec![1, 0]],
        };
        let page = Page {
            format: FORMAT,
            study: "0123456789ab".into(),
            title: "A </script> study".into(),
            intro: Vec::new(),
            per_rater: 1,
            films: vec![film],
            orders: vec![vec![0]],
            training: vec!["t".into()],
            checks: vec!["c".into()],
        };
        fs::write(folder.join("index.html"), html(&page).unwrap()).unwrap();
        for name in ["a", "b", "t", "c"] {
            fs::write(folder.join("media").join(name).with_extension("mp4"), "0123456789").unwrap();
        }
        (place, folder)
    }

    fn ask(address: &str, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, answer)
    }

    fn get(address: &str, path: &str, more: &str) -> (u16, String) {
        ask(address, &format!("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n{more}\r\n"))
    }

    fn post(address: &str, kind: &str, body: &str) -> (u16, String) {
        let head = format!("POST /answers HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Type: {kind}\r\n");
        ask(address, &format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()))
    }

    #[test]
    fn what_is_served_and_collected() {
        let (place, folder) = study();
        let collector = Collector::open(&folder, None).unwrap();
        assert_eq!(collector.answers, folder.canonicalize().unwrap().with_file_name("study.answers"));
        let server = Server::http("127.0.0.1:0").unwrap();
        let (stop, address) = (AtomicBool::new(false), server.server_addr().to_string());
        std::thread::scope(|scope| {
            scope.spawn(|| collector.serve(&server, &stop));
            // Whatever fails below, the server ends.
            let stopped = std::panic::catch_unwind(|| {
                let (status, page) = get(&address, "/?rater=3", "");
                assert!(status == 200 && page.contains("text/html") && page.contains("0123456789ab"), "{page}");
                assert!(page.contains(r"A \u003c/script> study"));
                let (status, all) = get(&address, "/media/a.mp4", "");
                assert!(status == 200 && all.contains("video/mp4") && all.ends_with("0123456789"), "{all}");
                for (range, want) in [("2-4", "234"), ("7-", "789"), ("-2", "89"), ("0-99", "0123456789")] {
                    let (status, part) = get(&address, "/media/a.mp4", &format!("Range: bytes={range}\r\n"));
                    assert!(status == 206 && part.ends_with(&format!("\r\n\r\n{want}")), "{range}: {part}");
                }
                assert_eq!(get(&address, "/media/a.mp4", "Range: bytes=5-2\r\n").0, 200);
                for path in [
                    "/../study.key.json",
                    "/media/../../study.key.json",
                    "/%2e%2e/study.key.json",
                    "//etc/passwd",
                    "/media/",
                    "/x",
                ] {
                    let (status, answer) = get(&address, path, "");
                    assert!(status == 404 && !answer.contains("secret"), "{path}: {answer}");
                }
                assert_eq!(
                    ask(&address, "PUT / HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").0,
                    405
                );
                let rater = "POST /rater HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
                assert!(
                    ask(&address, rater).1.ends_with("{\"rater\": 0}")
                        && ask(&address, rater).1.ends_with("{\"rater\": 1}")
                );

                let answers = |study: &str, session: &str, rating: u8| {
                    format!(
                        r#"{{"format":1,"study":"{study}","rater":7,"session":"{session}","started":"","complete":true,"films":[
                        {{"film":"f","ratings":[{{"piece":"a","smoothness":{rating},"relevance":0}}]}}],"checks":[]}}"#
                    )
                };
                let json = "application/json";
                let good = answers("0123456789ab", "00112233aabbccdd", 3);
                assert_eq!(post(&address, json, &good).0, 200);
                assert_eq!(post(&address, json, &good).0, 200, "the same once more");
                for (kind, body, want) in [
                    ("text/plain", &good[..], 415),
                    (json, "{}", 400),
                    (json, "no json", 400),
                    (json, &answers("other", "00112233aabbccdd", 3), 400),
                    (json, &answers("0123456789ab", "../../../etc", 3), 400),
                    (json, &answers("0123456789ab", "00112233aabbccdd", 6), 400),
                    (json, &" ".repeat(LARGEST as usize + 1), 413),
                ] {
                    let (status, answer) = post(&address, kind, body);
                    assert_eq!(status, want, "{kind}: {answer}");
                }
            });
            stop.store(true, Ordering::Relaxed);
            stopped.unwrap();
        });
        let names: Vec<_> =
            fs::read_dir(place.path().join("study.answers")).unwrap().map(|it| it.unwrap().file_name()).collect();
        assert_eq!(names, ["answers-7-00112233aabbccdd.json"]);
        // Numbers go on after a new start.
        let again = Collector::open(&folder, None).unwrap();
        assert_eq!((again.sessions(), again.next.load(Ordering::Relaxed)), (1, 8));
    }

    #[test]
    fn what_is_no_study() {
        let (place, folder) = study();
        let refused = |folder: &Path, answers: Option<&Path>| {
            Collector::open(folder, answers.map(Path::to_owned))
                .unwrap_err()
                .downcast::<clap::Error>()
                .unwrap()
                .to_string()
        };
        assert!(refused(place.path(), None).contains("must be a study"));
        assert!(refused(&folder, Some(&folder.join("answers"))).contains("outside"));
        fs::remove_file(folder.join("media/b.mp4")).unwrap();
        assert!(refused(&folder, None).contains("b.mp4: must be there"));
    }
}
