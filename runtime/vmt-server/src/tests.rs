//! The server around something that only pretends to compose.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, Response, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use crate::compose::{About, Call, Compose, Composed, DecodedEvent, Parameter, Take};
use crate::jobs::Jobs;
use crate::problem::Problem;
use crate::serving::router;
use crate::settings::{Limits, Log, Settings};
use crate::stop::Stop;

/// Only what hangs takes so long: how fast a machine is decides no test.
const LONGEST: Duration = Duration::from_secs(120);

/// Composes for as many milliseconds as the option `ms` says, or with the option `endless` until it is stopped.
struct Fake(Arc<AtomicUsize>);

impl Compose for Fake {
    fn about(&self) -> About {
        About { version: "1".into(), model: "fake".into(), engine: "none".into() }
    }

    fn parameters(&self) -> Vec<Parameter> {
        Vec::new()
    }

    fn check(&self, call: &Call) -> Result<(), Problem> {
        match call.option("bad") {
            Some(value) => Err(Problem::bad_option(format!("bad: must not be {value}"))),
            None => Ok(()),
        }
    }

    fn inspect(&self, call: &Call, _: &Stop) -> Result<Option<Duration>, Problem> {
        match fs::read(call.film()) {
            Ok(film) if film.starts_with(b"film") => Ok(Some(Duration::from_secs(2))),
            _ => Err(Problem::film("it is no film")),
        }
    }

    fn compose(&self, call: &Call, stop: &Stop, on_event: &mut dyn FnMut(DecodedEvent)) -> Result<Composed, Problem> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let end = Instant::now() + Duration::from_millis(call.option("ms").map_or(0, |ms| ms.parse().unwrap()));
        assert!(call.option("panic").is_none(), "asked for");
        on_event(DecodedEvent { lane: 0, time: 0.5, note: Some((60, Some(80))) });
        while Instant::now() < end || call.option("endless").is_some() {
            if stop.why().is_some() {
                return Err(Problem::internal("stopped"));
            }
            sleep(Duration::from_millis(2));
        }
        on_event(DecodedEvent { lane: 0, time: 1.5, note: Some((60, None)) });
        fs::write(call.music(1, "json"), "{}").unwrap();
        Ok(Composed { takes: vec![Take { notes: 1, duration: 2.0, score: 0.5 }], stages: Vec::new() })
    }

    fn render(&self, call: &Call, take: usize, extension: &str, _: &Stop) -> Result<(), Problem> {
        fs::write(call.music(take, extension), format!("{extension} of {}", fs::read_to_string(call.film()).unwrap()))
            .unwrap();
        Ok(())
    }
}

struct Server {
    place: TempDir,
    jobs: Arc<Jobs>,
    router: Router,
    composed: Arc<AtomicUsize>,
}

fn settings(place: &Path) -> Settings {
    let limits = Limits {
        bytes: 1000,
        seconds: 60,
        pixels: 1,
        frames_per_second: 1,
        takes: 1,
        job_seconds: 60,
        keep_seconds: 60,
    };
    Settings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        folder: Some(place.to_owned()),
        jobs: 1,
        queue: 2,
        per_client: 10,
        limits,
        wait: LONGEST,
        body: LONGEST,
        header: LONGEST,
        connections: 1,
        disk: 100_000,
        grace: Duration::ZERO,
        tokens: None,
        origins: Vec::new(),
        log: Log::Off,
    }
}

impl Server {
    fn new(change: impl FnOnce(&mut Settings)) -> Self {
        Self::at(tempfile::tempdir().unwrap(), change)
    }

    fn at(place: TempDir, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = settings(place.path());
        change(&mut settings);
        let (jobs, composed) = (Jobs::open(settings).unwrap(), Arc::new(AtomicUsize::new(0)));
        jobs.start(Box::new(Fake(composed.clone())));
        let router = router(jobs.clone()).unwrap();
        Self { place, jobs, router, composed }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Response<Body> {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(body.into()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1))));
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> Response<Body> {
        self.send("GET", path, &[], "").await
    }

    /// Posts a film as a job; returns its address.
    async fn job(&self, query: &str) -> String {
        let response = self.send("POST", &format!("/v1/compose{query}"), &[("prefer", "respond-async")], "film").await;
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        response.headers()["location"].to_str().unwrap().to_owned()
    }

    async fn state(&self, job: &str) -> String {
        json(self.get(job).await).await["state"].as_str().unwrap().to_owned()
    }

    /// Waits until a job is in this state.
    async fn becomes(&self, job: &str, state: &str) {
        let end = Instant::now() + LONGEST;
        while self.state(job).await != state {
            assert!(Instant::now() < end, "it never was {state}: {}", self.state(job).await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What is in the folder of all jobs, but for the lock.
    fn folders(&self) -> usize {
        fs::read_dir(self.place.path()).unwrap().count() - 1
    }

    /// Waits until the folders of so many jobs are there: that of one which is gone stays while its worker holds it.
    async fn folders_become(&self, number: usize) {
        let end = Instant::now() + LONGEST;
        while self.folders() != number {
            assert!(Instant::now() < end, "there never were {number}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap()
}

async fn json(response: Response<Body>) -> Value {
    serde_json::from_str(&text(response).await).unwrap()
}

/// The code of an answer that is an error.
async fn refused(response: Response<Body>, status: u16) -> String {
    assert_eq!(response.status(), status);
    let body = json(response).await;
    assert!(body["error"]["message"].as_str().unwrap().len() > 5, "{body}");
    body["error"]["code"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_film_becomes_music() {
    let server = Server::new(|_| {});
    let response = server.send("POST", "/v1/compose?seed=3", &[("accept", "audio/wav")], "film 1").await;
    assert_eq!(
        (response.status(), &response.headers()["content-type"]),
        (StatusCode::OK, &"audio/wav".parse().unwrap())
    );
    let place = response.headers()["content-location"].to_str().unwrap().to_owned();
    assert_eq!(text(response).await, "wav of film 1");
    let job = place.trim_end_matches("/music.wav");
    assert_eq!(text(server.get(&format!("{job}/music.mid")).await).await, "mid of film 1");
    let body = json(server.get(job).await).await;
    assert_eq!((&body["state"], &body["seed"], &body["takes"][0]["notes"]), (&"done".into(), &"3".into(), &1.into()));
    let part = server.send("GET", &format!("{job}/music.mid"), &[("range", "bytes=7-10")], "").await;
    assert_eq!((part.status(), text(part).await.as_str()), (StatusCode::PARTIAL_CONTENT, "film"));
    for missing in ["music.2.mid", "music.exe", "film", "job.json", "..%2fjob.json"] {
        assert_eq!(refused(server.get(&format!("{job}/{missing}")).await, 404).await, "not_found", "{missing}");
    }
    assert_eq!(server.send("DELETE", job, &[], "").await.status(), StatusCode::NO_CONTENT);
    assert_eq!(refused(server.get(job).await, 404).await, "not_found");
    server.folders_become(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forms() {
    let server = Server::new(|_| {});
    let form = |parts: &str| parts.replace('\n', "\r\n").replace("--B", "--BOUNDARY");
    let media = [("content-type", "multipart/form-data; boundary=BOUNDARY")];
    let film = "--B\nContent-Disposition: form-data; name=\"film\"; filename=\"../../x\"\n\nfilm 2\n";
    let seed = "--B\nContent-Disposition: form-data; name=\"seed\"\n\n5\n";
    let send = |body: String| server.send("POST", "/v1/compose", &media, form(&body));
    let good = send(format!("{film}{seed}--B--\n")).await;
    assert_eq!((good.status(), text(good).await.as_str()), (StatusCode::OK, "mid of film 2"));
    assert_eq!(refused(send(format!("{seed}--B--\n")).await, 400).await, "bad_request", "no film");
    assert_eq!(refused(send(format!("{film}{film}--B--\n")).await, 400).await, "bad_request", "two films");
    assert_eq!(refused(send(film.to_owned()).await, 400).await, "bad_request", "no end");
    let large = film.replace("film 2", &"film".repeat(300));
    assert_eq!(refused(send(format!("{large}--B--\n")).await, 413).await, "too_large");
    assert_eq!(server.folders(), 1, "only the good one");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_refused() {
    let server = Server::new(|_| {});
    let post = |query: &str, headers, body: &str| {
        let (path, body) = (format!("/v1/compose{query}"), body.to_owned());
        let server = &server;
        async move { server.send("POST", &path, headers, body).await }
    };
    assert_eq!(refused(post("?bad=1", &[], "film").await, 400).await, "bad_option");
    assert_eq!(refused(post("", &[], "text").await, 422).await, "film");
    assert_eq!(refused(post("", &[], "").await, 400).await, "bad_request");
    assert_eq!(refused(post("", &[("accept", "text/html")], "film").await, 406).await, "not_acceptable");
    assert_eq!(refused(post("", &[], &"film".repeat(300)).await, 413).await, "too_large");
    assert_eq!(refused(post("?panic", &[], "film").await, 500).await, "internal");
    assert_eq!(refused(server.get("/v1/jobs/0").await, 404).await, "not_found");
    assert_eq!(refused(server.get("/other").await, 404).await, "not_found");
    assert_eq!(refused(server.get("/v1/compose").await, 405).await, "method");
    assert_eq!(server.get("/").await.status(), StatusCode::OK);
}

/// A body that never ends, as a client that has gone without a word.
#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_are_refused() {
    let server = Server::new(|settings| settings.body = Duration::from_millis(100));
    let endless = Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    assert_eq!(refused(server.send("POST", "/v1/compose", &[], endless).await, 408).await, "body_timeout");
    assert_eq!(server.folders(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_is_bounded() {
    let server = Server::new(|settings| settings.per_client = 3);
    let running = server.job("?endless").await;
    server.becomes(&running, "running").await;
    assert_eq!(refused(server.get(&format!("{running}/music.mid")).await, 409).await, "not_done");
    let [first, second] = [server.job("").await, server.job("").await];
    let place = |body: Value| body["place"].as_u64();
    assert_eq!(place(json(server.get(&second).await).await), Some(2));
    let full = server.send("POST", "/v1/compose", &[], "film").await;
    assert!(full.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(refused(full, 429).await, "busy");
    // A queued one leaves, then there is room in the queue, but not for this client after one more.
    assert_eq!(server.send("DELETE", &first, &[], "").await.status(), StatusCode::NO_CONTENT);
    assert_eq!(place(json(server.get(&second).await).await), Some(1));
    let third = server.job("").await;
    assert_eq!(refused(server.send("POST", "/v1/compose", &[], "film").await, 429).await, "busy");
    assert_eq!(server.send("DELETE", &running, &[], "").await.status(), StatusCode::NO_CONTENT);
    server.becomes(&third, "done").await;
    assert_eq!(server.state(&second).await, "done");
    assert_eq!(server.composed.load(Ordering::Relaxed), 3, "the first was never begun");
    server.folders_become(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_stops_its_job() {
    let server = Server::new(|_| {});
    let waiting = server.send("POST", "/v1/compose?endless", &[], "film");
    assert!(tokio::time::timeout(Duration::from_millis(300), waiting).await.is_err());
    let end = Instant::now() + LONGEST;
    while server.jobs.counts()[..2] != [0, 0] {
        assert!(Instant::now() < end);
        sleep(Duration::from_millis(5));
    }
    let next = server.job("").await;
    server.becomes(&next, "done").await;
    let long = server.send("POST", "/v1/compose?endless", &[("prefer", "wait=0")], "film").await;
    assert_eq!(long.status(), StatusCode::ACCEPTED);
    assert_eq!(server.send("DELETE", long.headers()["location"].to_str().unwrap(), &[], "").await.status(), 204);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_take_too_long_are_stopped() {
    let server = Server::new(|settings| settings.limits.job_seconds = 0);
    let job = server.job("?endless").await;
    server.becomes(&job, "running").await;
    sleep(Duration::from_millis(2));
    server.jobs.tidy();
    server.becomes(&job, "failed").await;
    assert_eq!(json(server.get(&job).await).await["error"]["code"], "job_time");
    assert_eq!(refused(server.get(&format!("{job}/music.mid")).await, 504).await, "job_time");
}

#[tokio::test(flavor = "multi_thread")]
async fn results_go_when_their_time_or_space_is_over() {
    let server = Server::new(|settings| (settings.limits.keep_seconds, settings.disk) = (0, 2000));
    let old = server.job("").await;
    server.becomes(&old, "done").await;
    sleep(Duration::from_millis(1100));
    server.jobs.tidy();
    assert_eq!(refused(server.get(&old).await, 410).await, "gone");
    let job = server.job("").await;
    server.becomes(&job, "done").await;
    for _ in 0..3 {
        let next = server.send("POST", "/v1/compose", &[], "film".repeat(200)).await;
        assert_eq!(next.status(), StatusCode::OK);
    }
    assert_eq!(refused(server.get(&job).await, 410).await, "gone");
    assert!(server.jobs.store.used() <= 2000 + 1000, "{}", server.jobs.store.used());
    let small = Server::new(|settings| settings.disk = 10);
    assert_eq!(refused(small.send("POST", "/v1/compose", &[], "film of some length").await, 507).await, "no_space");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_what_was_done_and_says_what_was_lost() {
    let Server { place, jobs, router, composed } = Server::new(|_| {});
    let server = Server { place: tempfile::tempdir().unwrap(), jobs, router, composed };
    let done = server.job("").await;
    server.becomes(&done, "done").await;
    let running = server.job("?endless").await;
    server.becomes(&running, "running").await;
    let queued = server.job("").await;
    // As after `kill -9`: a copy of what is there now.
    let copy = tempfile::tempdir().unwrap();
    for folder in fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap()).filter(|it| it.path().is_dir()) {
        let to = copy.path().join(folder.file_name());
        fs::create_dir(&to).unwrap();
        for file in fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap()).filter(|it| it.path().is_file()) {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
    fs::create_dir(copy.path().join("f".repeat(32))).unwrap();
    let again = Server::at(copy, |_| {});
    assert_eq!(text(again.get(&format!("{done}/music.mid")).await).await, "mid of film");
    for lost in [&running, &queued] {
        assert_eq!(again.state(lost).await, "lost");
        assert_eq!(refused(again.get(&format!("{lost}/music.mid")).await, 410).await, "gone");
    }
    assert_eq!(again.folders(), 3, "one that was never queued is gone");
    assert!(!server.jobs.drain());
    assert_eq!(server.state(&queued).await, "lost");
    assert_eq!(refused(server.send("POST", "/v1/compose", &[], "film").await, 503).await, "draining");
    assert_eq!(server.get("/health/live").await.status(), StatusCode::OK);
    assert_eq!(refused(server.get("/health/ready").await, 503).await, "draining");
    server.jobs.stop_running();
    server.becomes(&running, "lost").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_told_as_they_come() {
    let server = Server::new(|_| {});
    let job = server.job("?ms=300").await;
    let stream = text(server.get(&format!("{job}/events")).await).await;
    let messages: Vec<(&str, Value)> = stream
        .split("\n\n")
        .filter_map(|message| {
            let line = |name: &str| message.lines().find_map(|line| line.strip_prefix(name));
            Some((line("event: ")?, serde_json::from_str(line("data: ")?).unwrap()))
        })
        .collect();
    let notes: Vec<&Value> =
        messages.iter().filter(|(name, _)| *name == "played").flat_map(|(_, data)| data.as_array().unwrap()).collect();
    let kinds: Vec<_> =
        notes.iter().map(|note| (note["event"].as_str().unwrap(), note["time"].as_f64().unwrap())).collect();
    assert_eq!(kinds, [("note_on", 0.5), ("note_off", 1.5)]);
    assert_eq!(messages[0].0, "job");
    let (name, last) = messages.last().unwrap();
    assert_eq!((*name, &last["state"]), ("job", &"done".into()));
    let rest = server.send("GET", &format!("{job}/events"), &[("last-event-id", "1")], "").await;
    let rest = text(rest).await;
    assert!(!rest.contains("note_on") && rest.contains("note_off"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_and_pages_of_other_sites() {
    let server = Server::new(|settings| {
        settings.tokens = Some(vec!["secret".into()]);
        settings.origins = vec!["https://example.org".into()];
    });
    for path in ["/v1/info", "/v1/jobs/0", "/v2/models/vmt"] {
        let response = server.get(path).await;
        assert_eq!(
            (response.status(), &response.headers()["www-authenticate"]),
            (StatusCode::UNAUTHORIZED, &"Bearer".parse().unwrap())
        );
    }
    let token = ("authorization", "Bearer secret");
    let info = server.send("GET", "/v1/info", &[token], "").await;
    assert_eq!(json(info).await["limits"]["bytes"], 1000);
    for path in ["/", "/health/ready", "/metrics", "/openapi.json", "/example.mp4"] {
        assert_eq!(server.get(path).await.status(), StatusCode::OK, "{path}");
    }
    for (origin, status) in [("https://evil.example", 403), ("https://example.org", 200), ("http://here:8000", 200)] {
        let headers = [token, ("origin", origin), ("host", "here:8000")];
        assert_eq!(server.send("GET", "/v1/info", &headers, "").await.status(), status, "{origin}");
    }
    let asked = [("origin", "https://example.org"), ("access-control-request-method", "POST")];
    let preflight = server.send("OPTIONS", "/v1/compose", &asked, "").await;
    assert_eq!(preflight.headers()["access-control-allow-origin"], "https://example.org");
}
