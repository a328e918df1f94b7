//! The interface for programs: calls, jobs and their files.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::body::Body;
use axum::extract::{ConnectInfo, Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::time::timeout;
use tower_http::services::ServeFile;
use utoipa::ToSchema;

use crate::body::{self, Incoming};
use crate::compose::{About, Call, Parameter, music_name};
use crate::formats::{self, COPIES, FORMATS};
use crate::jobs::{Admission, Job, Jobs, State as JobState, Status};
use crate::problem::{ErrorBody, Problem, Reason};
use crate::settings::Limits;
use crate::stop::Stop;

/// Every handler has it.
pub type Shared = State<Arc<Jobs>>;

/// What is known of a job.
#[derive(Serialize, ToSchema)]
pub struct JobBody {
    /// Its name.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015")]
    pub id: String,
    pub state: JobState,
    /// Its place in the queue: 1 is the next.
    pub place: Option<usize>,
    /// How much is done, 0-1, where the film's length is known.
    pub progress: Option<f64>,
    /// Seconds of music so far.
    pub composed: f64,
    /// Seconds of the film; of the music when it is done.
    pub duration: Option<f64>,
    /// How many events were decoded.
    pub events: u64,
    /// The seed of the call.
    pub seed: Option<String>,
    /// The options of the call.
    pub options: BTreeMap<String, String>,
    /// When it was queued, in seconds since 1970.
    pub created: f64,
    /// Until when it is kept, in seconds since 1970.
    pub expires: Option<f64>,
    /// Why there is no music.
    pub error: Option<Reason>,
    /// The best first.
    pub takes: Vec<TakeBody>,
}

/// A take, and where its files are.
#[derive(Serialize, ToSchema)]
pub struct TakeBody {
    /// Its rank, from 1.
    pub take: usize,
    pub notes: usize,
    /// In seconds.
    pub duration: f64,
    /// What takes are ranked by, the higher the better.
    pub score: f64,
    /// Addresses of files by their extension; each is rendered when it is first asked for.
    pub files: BTreeMap<&'static str, String>,
}

/// What this server is, and what it takes.
#[derive(Serialize, ToSchema)]
pub struct Info {
    #[serde(flatten)]
    pub about: About,
    pub limits: Limits,
    /// Extensions of files that it renders.
    pub formats: Vec<&'static str>,
}

impl JobBody {
    pub fn new(jobs: &Jobs, job: &Job) -> Self {
        let Status { state, created, ended, duration, composed, events, error, takes, .. } = job.status();
        let files = |take| {
            let fits = |extension: &str| job.call.has_film() || !COPIES.contains(&extension);
            let file = |(extension, _)| (extension, format!("/v1/jobs/{}/{}", job.id, music_name(take, extension)));
            FORMATS.into_iter().filter(|(extension, _)| fits(extension)).map(file).collect()
        };
        let progress = match state {
            JobState::Done => Some(1.0),
            _ => duration.filter(|&all| all > 0.0).map(|all| (composed / all).min(1.0)),
        };
        Self {
            id: job.id.clone(),
            state,
            place: if state == JobState::Queued { jobs.place(job) } else { None },
            progress,
            composed,
            duration,
            events,
            seed: Some(job.call.option("seed").unwrap_or("0").to_owned()),
            options: job.call.options.iter().cloned().collect(),
            created,
            expires: ended.map(|ended| ended + jobs.settings.limits.keep_seconds as f64),
            error,
            takes: (1..)
                .zip(takes)
                .map(|(take, it)| TakeBody {
                    take,
                    notes: it.notes,
                    duration: it.duration,
                    score: it.score,
                    files: files(take),
                })
                .collect(),
        }
    }
}

/// Composes for a film
///
/// The body is the film, and options are in the query; or it is a form (`multipart/form-data`) with the film as the part `film` and
/// options as other parts, of which `primer`, `hits` and `intensity` may be files. With the options `size` (such as `320x180`) and
/// `fps` the film is raw frames, 3 bytes a pixel (rgb24). `GET /v1/options` lists all options. The answer is the
/// music in the form that `Accept` wants, or the job where that takes longer than `Prefer: wait=SECONDS` (RFC 7240), or at once with
/// `Prefer: respond-async`. A client that leaves before its answer, or closes its side of the connection, cancels the job.
#[utoipa::path(
    post,
    path = "/v1/compose",
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    params(
        ("takes" = Option<usize>, Query, description = "An option of the music; there are more"),
        ("seed" = Option<u64>, Query, description = "Another one"),
        ("Prefer" = Option<String>, Header, description = "respond-async, or wait=SECONDS"),
        ("Accept" = Option<String>, Header, description = "The media type of the music; audio/midi by default"),
    ),
    responses(
        (status = 200, description = "The music of the best take", content_type = "audio/midi", body = Vec<u8>),
        (status = 202, description = "The job; Location is its address", body = JobBody),
        (status = 400, description = "A wrong option or request", body = ErrorBody),
        (status = 401, description = "No token", body = ErrorBody),
        (status = 406, description = "No such form of music", body = ErrorBody),
        (status = 408, description = "The body came too slowly", body = ErrorBody),
        (status = 413, description = "Too many bytes", body = ErrorBody),
        (status = 422, description = "No film, or one beyond the limits", body = ErrorBody),
        (status = 429, description = "Too many requests; Retry-After says when to come again", body = ErrorBody),
        (status = 503, description = "The server is loading or about to end", body = ErrorBody),
        (status = 504, description = "The work took too long", body = ErrorBody),
        (status = 507, description = "No space", body = ErrorBody),
    )
)]
pub async fn compose(
    State(jobs): Shared,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    uri: Uri,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let mut body = Incoming::new(&jobs.settings, &headers, request.into_body());
    let queued = async {
        let extension = formats::accepted(&headers)?;
        let options = Query::<Vec<(String, String)>>::try_from_uri(&uri)
            .map_err(|error| Problem::bad_request(format!("the query: {error}")))?
            .0;
        jobs.compose()?;
        let admission = jobs.admit(peer.ip())?;
        if options.iter().any(|(name, _)| name == "size") && COPIES.contains(&extension) {
            return Err(Problem::not_acceptable("raw frames are no film that could be copied; Accept something else"));
        }
        // What the query has is checked before the film comes.
        let early = Call { folder: admission.folder(), options: options.clone(), files: Vec::new() };
        check(&jobs, early).await?;
        let call = body::receive(&admission, &headers, &mut body, options).await?;
        Ok((queue(&jobs, admission, call).await?, extension))
    };
    let (job, extension) = match queued.await {
        Ok(queued) => queued,
        Err(problem) => {
            body.discard().await;
            return Err(problem);
        }
    };
    let (wait, is_async) = preference(&headers, jobs.settings.wait);
    let left = CancelOnDrop { jobs: &jobs, job: Some(job.clone()) };
    if is_async || timeout(wait, job.ended()).await.is_err() {
        left.keep();
        return Ok(accepted(&jobs, &job));
    }
    let mut response = file(&jobs, &job, 1, extension, Request::new(Body::empty())).await?;
    left.keep();
    let place = HeaderValue::from_str(&format!("/v1/jobs/{}/{}", job.id, music_name(1, extension)));
    if let Ok(place) = place {
        response.headers_mut().insert(header::CONTENT_LOCATION, place);
    }
    Ok(response)
}

/// Checks the film and all options, then puts the request into the queue.
pub async fn queue(jobs: &Arc<Jobs>, admission: Admission, call: Call) -> Result<Arc<Job>, Problem> {
    check(jobs, call.clone()).await?;
    let (inspector, asked) = (jobs.clone(), call.clone());
    let stop = StopOnDrop(Stop::default());
    let stopped = stop.0.clone();
    let inspect = move || inspector.compose()?.inspect(&asked, &stopped);
    let duration = blocking(inspect).await?;
    jobs.queue(admission, call, duration)
}

async fn check(jobs: &Arc<Jobs>, call: Call) -> Result<(), Problem> {
    let jobs = jobs.clone();
    blocking(move || jobs.compose()?.check(&call)).await
}

/// The answer that is a job.
fn accepted(jobs: &Jobs, job: &Job) -> Response {
    let place = format!("/v1/jobs/{}", job.id);
    (StatusCode::ACCEPTED, [(header::LOCATION, place)], Json(JobBody::new(jobs, job))).into_response()
}

/// How long the client wants to wait, and whether it does not want to.
fn preference(headers: &HeaderMap, most: Duration) -> (Duration, bool) {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let (mut wait, mut is_async) = (most, false);
    for preference in preferences.flat_map(|value| value.split(',')).map(str::trim) {
        if preference.eq_ignore_ascii_case("respond-async") {
            is_async = true;
        } else if let Some(seconds) = preference.strip_prefix("wait=").and_then(|seconds| seconds.parse().ok()) {
            wait = most.min(Duration::from_secs(seconds));
        }
    }
    (wait, is_async)
}

/// Cancels a job whose client leaves while it waits.
pub struct CancelOnDrop<'j> {
    pub jobs: &'j Arc<Jobs>,
    pub job: Option<Arc<Job>>,
}

impl CancelOnDrop<'_> {
    pub fn keep(mut self) {
        self.job = None;
    }
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(job) = &self.job {
            self.jobs.cancel(job);
        }
    }
}

/// Stops the child processes of work whose client leaves.
struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop(crate::stop::Stopped::Cancelled);
    }
}

/// How a job is
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "The job", body = JobBody),
        (status = 404, description = "No such job", body = ErrorBody),
        (status = 410, description = "It was kept for its time, and is gone", body = ErrorBody),
    )
)]
pub async fn job(State(jobs): Shared, Path(id): Path<String>) -> Result<Json<JobBody>, Problem> {
    let job = jobs.find(&id)?;
    Ok(Json(JobBody::new(&jobs, &job)))
}

/// Stops a job, and removes what it has made
#[utoipa::path(
    delete,
    path = "/v1/jobs/{id}",
    params(("id" = String, Path)),
    responses((status = 204, description = "It is gone"), (status = 404, description = "No such job", body = ErrorBody))
)]
pub async fn delete(State(jobs): Shared, Path(id): Path<String>) -> Result<StatusCode, Problem> {
    let job = jobs.find(&id)?;
    blocking(move || {
        jobs.forget(&job);
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// The music of a job as a file
///
/// `music.mid`, `music.wav`, ... are of the best take, `music.2.mid` of the second best. Ranges work.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/{file}",
    params(("id" = String, Path), ("file" = String, Path, description = "music.EXTENSION, or music.TAKE.EXTENSION")),
    responses(
        (status = 200, description = "The file", content_type = "audio/midi", body = Vec<u8>),
        (status = 404, description = "No such job or file", body = ErrorBody),
        (status = 409, description = "The job is not done", body = ErrorBody),
        (status = 410, description = "It was kept for its time, and is gone", body = ErrorBody),
    )
)]
pub async fn music_file(
    State(jobs): Shared,
    Path((id, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let job = jobs.find(&id)?;
    let (take, extension) = parse(&name).ok_or_else(|| {
        let known: Vec<_> = FORMATS.iter().map(|(extension, _)| *extension).collect();
        Problem::not_found(format!("a file of a job is music.EXTENSION or music.TAKE.EXTENSION: {}", known.join(", ")))
    })?;
    file(&jobs, &job, take, extension, request).await
}

/// The take and the extension that a file's name stands for.
fn parse(name: &str) -> Option<(usize, &'static str)> {
    let name = name.strip_prefix("music.")?;
    let (take, extension) = match name.split_once('.') {
        Some((take, extension)) => {
            (take.parse().ok().filter(|_| take.bytes().all(|it| it.is_ascii_digit()))?, extension)
        }
        None => (1, name),
    };
    let known = FORMATS.iter().find(|(known, _)| *known == extension)?.0;
    (take > 0).then_some((take, known))
}

/// A file of a job that has ended, rendered if it is not there.
pub async fn file(
    jobs: &Arc<Jobs>,
    job: &Arc<Job>,
    take: usize,
    extension: &'static str,
    request: Request,
) -> Result<Response, Problem> {
    let path = rendered(jobs, job, take, extension).await?;
    let headers = request.headers().clone();
    let mut plain =
        Request::builder().method(request.method()).uri("/").body(Body::empty()).map_err(Problem::internal)?;
    *plain.headers_mut() = headers;
    let served = ServeFile::new(path).try_call(plain).await.map_err(|error| Problem::of_writing(&error))?;
    let mut response = served.map(Body::new);
    let media = formats::media_type(extension).unwrap_or("application/octet-stream");
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"{}\"", music_name(take, extension))) {
        headers.insert(header::CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

/// Where a file of a job is, once it is there.
pub async fn rendered(
    jobs: &Arc<Jobs>,
    job: &Arc<Job>,
    take: usize,
    extension: &'static str,
) -> Result<std::path::PathBuf, Problem> {
    let status = job.status();
    match (status.state, status.problem, status.error) {
        (JobState::Done, ..) => {}
        (_, Some(problem), _) => return Err(problem),
        (JobState::Lost, ..) => return Err(Problem::gone("the server ended before the job was done")),
        (_, _, Some(reason)) => return Err(Problem::gone(reason.message)),
        _ => return Err(Problem::conflict("the job is not done: GET its address to see how far it is")),
    }
    if take > status.takes.len() {
        return Err(Problem::not_found(format!("the job has {} takes", status.takes.len())));
    }
    if !job.call.has_film() && COPIES.contains(&extension) {
        return Err(Problem::not_found("raw frames are no film that could be copied"));
    }
    let path = job.call.music(take, extension);
    let _alone = job.rendering.lock().await;
    if !path.exists() {
        let _permit = jobs.renderers.acquire().await.map_err(Problem::internal)?;
        let stop = StopOnDrop(Stop::default());
        let (renderer, of, stopped) = (jobs.clone(), job.clone(), stop.0.clone());
        let render = move || {
            let began = Instant::now();
            renderer.make_room(0)?;
            let loaded = renderer.loaded().ok_or_else(Problem::loading)?;
            let done = loaded.render(&of.call, take, extension, &stopped);
            of.folder.measure();
            renderer.metrics.took("render", began.elapsed());
            done
        };
        let limit = Duration::from_secs(jobs.settings.limits.job_seconds);
        timeout(limit, blocking(render)).await.map_err(|_| Problem::late(limit.as_secs()))??;
    }
    Ok(path)
}

/// Runs what blocks.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(Problem::internal(error)))
}

/// The options of a call
#[utoipa::path(get, path = "/v1/options", responses((status = 200, description = "All options", body = Vec<Parameter>)))]
pub async fn options(State(jobs): Shared) -> Result<Json<Vec<Parameter>>, Problem> {
    Ok(Json(jobs.compose()?.parameters()))
}

/// What this server is, and its limits
#[utoipa::path(get, path = "/v1/info", responses((status = 200, description = "What it is", body = Info)))]
pub async fn info(State(jobs): Shared) -> Result<Json<Info>, Problem> {
    let about = jobs.compose()?.about();
    let formats = FORMATS.iter().map(|(extension, _)| *extension).collect();
    Ok(Json(Info { about, limits: jobs.settings.limits.clone(), formats }))
}

/// Whether the server lives
#[utoipa::path(get, path = "/health/live", responses((status = 200, description = "It does")))]
pub async fn live() -> &'static str {
    "live\n"
}

/// Whether the server takes calls
#[utoipa::path(
    get,
    path = "/health/ready",
    responses(
        (status = 200, description = "It does"),
        (status = 503, description = "It is loading, or about to end", body = ErrorBody),
    )
)]
pub async fn ready(State(jobs): Shared) -> Result<&'static str, Problem> {
    jobs.compose().map(|_| "ready\n")
}

/// Counters for Prometheus
#[utoipa::path(get, path = "/metrics", responses((status = 200, description = "In the text format of OpenMetrics")))]
pub async fn metrics(State(jobs): Shared) -> Result<Response, Problem> {
    let text = jobs.metrics.text(&jobs).map_err(Problem::internal)?;
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, media)], text).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        assert_eq!(parse("music.mid"), Some((1, "mid")));
        assert_eq!(parse("music.12.musicxml"), Some((12, "musicxml")));
        for bad in [
            "",
            "film",
            "music",
            "music.",
            "music.exe",
            "music.0.mid",
            "music.+1.mid",
            "music.1.2.mid",
            "music.../mid",
            "job.json",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn clients_say_how_long_they_wait() {
        let check = |prefer: &'static str, want: (u64, bool)| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", HeaderValue::from_static(prefer));
            let (wait, is_async) = preference(&headers, Duration::from_secs(30));
            assert_eq!((wait.as_secs(), is_async), want, "{prefer}");
        };
        check("respond-async", (30, true));
        check("wait=5", (5, false));
        check("respond-async, wait=500", (30, true));
        check("wait=x", (30, false));
    }
}
