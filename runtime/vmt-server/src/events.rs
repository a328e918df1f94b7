//! What is played, as it is decoded, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, stream};
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::compose::DecodedEvent;
use crate::handlers::{JobBody, Shared};
use crate::jobs::{Job, Jobs, State as JobState};
use crate::problem::{ErrorBody, Problem};

/// What is played within this time is one message.
const BATCH: Duration = Duration::from_millis(100);
/// How often at least a running job says how far it is.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

/// A note's beginning or end.
#[derive(Serialize)]
struct NoteEvent {
    take: usize,
    time: f64,
    event: &'static str,
    pitch: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    velocity: Option<u8>,
}

/// How a job goes on, as server-sent events
///
/// Messages `job` have the job, first and at each change; messages `played` an array of what was decoded: `take` (from 0, before they
/// are ranked), `time` in seconds, `event` (`note_on` or `note_off`), `pitch`, and `velocity` of a `note_on`. The stream ends with the
/// job. `Last-Event-ID` goes on where a stream was broken.
#[utoipa::path(
    get,
    path = "/v1/jobs/{id}/events",
    params(("id" = String, Path), ("Last-Event-ID" = Option<usize>, Header)),
    responses(
        (status = 200, description = "Messages `job` and `played`", content_type = "text/event-stream", body = String),
        (status = 404, description = "No such job", body = ErrorBody),
    )
)]
pub async fn events(
    State(jobs): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    let job = jobs.find(&id)?;
    let sent = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok()).unwrap_or(0);
    let listener = Listener { changed: job.watch(), jobs, job, sent, reported: None, over: false };
    Ok(Sse::new(listener.messages()).keep_alive(KeepAlive::default()))
}

struct Listener {
    jobs: Arc<Jobs>,
    job: Arc<Job>,
    changed: watch::Receiver<()>,
    /// How many notes were sent.
    sent: usize,
    /// The last state and place in the queue that were sent, and when.
    reported: Option<(JobState, Option<usize>, Instant)>,
    over: bool,
}

impl Listener {
    fn messages(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut listener| async move {
            let message = listener.next().await?;
            Some((Ok(message), listener))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if self.over {
                return None;
            }
            // Read before the notes: an ended job has no more of them.
            let body = JobBody::new(&self.jobs, &self.job);
            if self.reported.is_some() {
                let notes = self.job.notes(self.sent);
                if !notes.is_empty() {
                    sleep(BATCH).await;
                    let notes = self.job.notes(self.sent);
                    self.sent += notes.len();
                    let notes: Vec<_> = notes.iter().filter_map(note).collect();
                    return self.message("played", &notes);
                }
            }
            self.changed.mark_unchanged();
            let is_news = self.reported.is_none_or(|(state, place, when)| {
                (state, place) != (body.state, body.place) || when.elapsed() > REPORT_INTERVAL
            });
            if is_news || body.state.is_end() {
                // The notes of a job that has ended before are behind its first message.
                self.over = body.state.is_end() && self.reported.is_some();
                self.reported = Some((body.state, body.place, Instant::now()));
                return self.message("job", &body);
            }
            if self.changed.changed().await.is_err() {
                return None;
            }
        }
    }

    fn message(&self, name: &str, data: &impl Serialize) -> Option<Event> {
        Event::default().event(name).id(self.sent.to_string()).json_data(data).ok()
    }
}

fn note(&DecodedEvent { lane, time, note }: &DecodedEvent) -> Option<NoteEvent> {
    let (pitch, velocity) = note?;
    let event = if velocity.is_some() { "note_on" } else { "note_off" };
    Some(NoteEvent { take: lane, time, event, pitch, velocity })
}
