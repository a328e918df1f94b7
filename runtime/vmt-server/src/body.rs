//! Receives a film and options, in time and within limits.

use std::path::Path;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::http::{HeaderMap, header};
use futures_util::{StreamExt, stream};
use multer::Multipart;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout, timeout_at};

use crate::compose::Call;
use crate::jobs::Admission;
use crate::problem::Problem;
use crate::settings::Settings;

/// The least bytes a second of a body on the average, after so long.
const LEAST_RATE: f64 = 1024.0;
const RATE_CHECKED_AFTER: Duration = Duration::from_secs(10);
/// Parts of a form, bytes of one that is text, and of one that is a file besides the film.
const PARTS: usize = 100;
const TEXT: usize = 64 << 10;
const FILE: usize = 8 << 20;
/// How much of a refused body is read, and how long, so that its sender gets to read the answer.
const DISCARDED: u64 = 64 << 20;
const DISCARDING: Duration = Duration::from_secs(3);

/// A body as it comes.
pub struct Incoming {
    stream: BodyDataStream,
    most: u64,
    got: u64,
    began: Instant,
    end: Instant,
    seconds: u64,
    /// What was wrong with it.
    problem: Option<Problem>,
}

impl Incoming {
    /// Refuses one that says that it is too large.
    pub fn new(settings: &Settings, headers: &HeaderMap, body: Body) -> Self {
        let most = settings.limits.bytes;
        let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let problem = length.filter(|length| *length > most).map(|_| Problem::too_large(most));
        let began = Instant::now();
        let (stream, end, seconds) = (body.into_data_stream(), began + settings.body, settings.body.as_secs());
        Self { stream, most, got: 0, began, end, seconds, problem }
    }

    /// The next bytes; none at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        if let Some(problem) = &self.problem {
            return Err(problem.clone());
        }
        let next = self.read().await;
        self.problem = next.as_ref().err().cloned();
        next
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Problem> {
        let slow = self.began + RATE_CHECKED_AFTER.max(Duration::from_secs_f64(self.got as f64 / LEAST_RATE));
        let Ok(next) = timeout_at(self.end.min(slow), self.stream.next()).await else {
            let message =
                format!("the body must come within {} s and with {LEAST_RATE} bytes a second or more", self.seconds);
            return Err(Problem::body_timeout(message));
        };
        let bytes = next.transpose().map_err(|_| Problem::bad_request("the body ended before its end"))?;
        self.got += bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        if self.got > self.most { Err(Problem::too_large(self.most)) } else { Ok(bytes) }
    }

    /// Reads on without use.
    pub async fn discard(mut self) {
        let mut left = DISCARDED;
        let read = async {
            while let Some(Ok(bytes)) = self.stream.next().await {
                left = left.saturating_sub(bytes.len() as u64);
                if left == 0 {
                    break;
                }
            }
        };
        // Then the connection is closed in the middle.
        let _ = timeout(DISCARDING, read).await;
    }
}

/// Writes the film and other files of a request into its folder. `options` are those of the query.
pub async fn receive(
    admission: &Admission,
    headers: &HeaderMap,
    body: &mut Incoming,
    options: Vec<(String, String)>,
) -> Result<Call, Problem> {
    let mut call = Call { folder: admission.folder(), options, files: Vec::new() };
    let media = headers.get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    if media.trim_start().to_ascii_lowercase().starts_with("multipart/form-data") {
        let boundary =
            multer::parse_boundary(media).map_err(|error| Problem::bad_request(format!("Content-Type: {error}")))?;
        form(admission, body, &boundary, &mut call).await?;
    } else {
        let mut film = Saved::create(&call.film()).await?;
        while let Some(bytes) = body.next().await? {
            film.write(admission, &bytes).await?;
        }
        film.finish().await?;
    }
    if call.film().metadata().map_or(true, |film| film.len() == 0) {
        return Err(Problem::bad_request(
            "there must be a film, as the body or as the part `film` of a form, but is none",
        ));
    }
    Ok(call)
}

async fn form(admission: &Admission, body: &mut Incoming, boundary: &str, call: &mut Call) -> Result<(), Problem> {
    let chunks = stream::unfold(&mut *body, |body| async move {
        match body.next().await {
            Ok(bytes) => bytes.map(|bytes| (Ok(bytes), body)),
            // It is kept by the body.
            Err(problem) => Some((Err(std::io::Error::other(problem.reason().message)), body)),
        }
    });
    let mut parts = Multipart::new(Box::pin(chunks), boundary);
    let result = read_parts(admission, &mut parts, call).await;
    drop(parts);
    match (result, body.problem.take()) {
        (Err(_), Some(problem)) => Err(problem),
        (result, _) => result,
    }
}

async fn read_parts(admission: &Admission, parts: &mut Multipart<'_>, call: &mut Call) -> Result<(), Problem> {
    let broken = |error: multer::Error| Problem::bad_request(format!("the form is broken: {error}"));
    for count in 0.. {
        let Some(mut part) = parts.next_field().await.map_err(broken)? else { break };
        if count == PARTS {
            return Err(Problem::bad_request(format!("a form must have at most {PARTS} parts")));
        }
        let name = part.name().unwrap_or_default().to_owned();
        if name == Call::FILM {
            let mut film = Saved::create(&call.film()).await?;
            while let Some(bytes) = part.chunk().await.map_err(broken)? {
                film.write(admission, &bytes).await?;
            }
            film.finish().await?;
            continue;
        }
        let is_file = part.file_name().is_some();
        let most = if is_file { FILE } else { TEXT };
        let mut value = Vec::new();
        while let Some(bytes) = part.chunk().await.map_err(broken)? {
            value.extend(&bytes);
            if value.len() > most {
                return Err(Problem::bad_request(format!("the part {name:?} must have at most {most} bytes")));
            }
        }
        if is_file {
            // The name is ours: what comes from outside never becomes a path.
            let path = call.folder.join(format!("input.{count}"));
            let mut file = Saved::create(&path).await?;
            file.write(admission, &value).await?;
            file.finish().await?;
            call.files.push((name, path));
        } else {
            let value = String::from_utf8(value);
            let value = value.map_err(|_| Problem::bad_request(format!("the part {name:?} must be text in UTF-8")))?;
            call.options.push((name, value));
        }
    }
    Ok(())
}

/// A file that is being written.
pub struct Saved(File);

impl Saved {
    pub async fn create(path: &Path) -> Result<Self, Problem> {
        // A second part of this name.
        let new = File::create_new(path).await;
        new.map(Self).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Problem::bad_request("there must be one film, but came two"),
            _ => Problem::of_writing(&error),
        })
    }

    pub async fn write(&mut self, admission: &Admission, bytes: &[u8]) -> Result<(), Problem> {
        admission.reserve(bytes.len() as u64)?;
        self.0.write_all(bytes).await.map_err(|error| Problem::of_writing(&error))
    }

    pub async fn finish(mut self) -> Result<(), Problem> {
        self.0.flush().await.map_err(|error| Problem::of_writing(&error))
    }
}
