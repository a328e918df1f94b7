//! Errors as the client gets them.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What went wrong: a status of HTTP, a word for programs and a sentence for people.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
    /// Seconds after which it may be better.
    retry_after: Option<u64>,
}

/// The body of an answer that is an error.
#[derive(Serialize, ToSchema)]
pub struct ErrorBody {
    pub error: Reason,
}

/// What went wrong.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Reason {
    /// A word for programs, such as `bad_option`.
    #[schema(example = "bad_option")]
    pub code: String,
    /// A sentence for people.
    #[schema(example = "--takes: must be 1 to 16, but is 17")]
    pub message: String,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    fn after(self, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// 400: an option is unknown, or its value is out of range.
    pub fn bad_option(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_option", message)
    }

    /// 400: the request is none.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 422: what came is no film, or one beyond the limits.
    pub fn film(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "film", message)
    }

    /// 500: the server's fault. `message` goes into the log, not to the client.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        tracing::error!("{message}");
        let told = "something is wrong with the server, which its log tells more of";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", told)
    }

    /// 503: no child process can be started.
    pub fn no_process(error: &std::io::Error) -> Self {
        let message = format!("the server can start no process to read the film with: {error}");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "no_process", message).after(10)
    }

    /// 504: the job took longer than the server allows.
    pub fn late(seconds: u64) -> Self {
        let message = format!("the work took over {seconds} s, which this server allows");
        Self::new(StatusCode::GATEWAY_TIMEOUT, "job_time", message)
    }

    /// 507: the disk, or the server's share of it, is full.
    pub fn no_space(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "no_space", message).after(60)
    }

    /// Of an error while writing a file.
    pub fn of_writing(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::no_space(format!("the server's disk is full: {error}"))
            }
            _ => Self::internal(format!("a job's files cannot be written: {error}")),
        }
    }

    /// The work was stopped by the client.
    pub(crate) fn cancelled() -> Self {
        Self::new(StatusCode::GONE, "cancelled", "the job was cancelled")
    }

    pub(crate) fn unauthorized() -> Self {
        let message = "this server wants a token, as the header Authorization: Bearer TOKEN";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
    }

    pub(crate) fn forbidden_origin() -> Self {
        let message = "this server takes no requests from pages of other sites (--allow-origin)";
        Self::new(StatusCode::FORBIDDEN, "forbidden_origin", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(crate) fn method() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method", "this address does not know this method")
    }

    pub(crate) fn not_acceptable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", message)
    }

    pub(crate) fn body_timeout(message: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", message)
    }

    pub(crate) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "not_done", message)
    }

    pub(crate) fn gone(message: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "gone", message)
    }

    pub(crate) fn too_large(most: u64) -> Self {
        let message = format!("the body must have at most {most} bytes, but has more");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    }

    pub(crate) fn busy(message: impl Into<String>, seconds: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message).after(seconds)
    }

    pub(crate) fn loading() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "loading", "the model is being loaded").after(1)
    }

    pub(crate) fn draining() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "draining", "the server is about to end").after(10)
    }

    /// The same with another sentence.
    pub fn map(self, change: impl FnOnce(String) -> String) -> Self {
        Self { message: change(self.message), ..self }
    }

    /// Its code and sentence.
    pub fn reason(&self) -> Reason {
        Reason { code: self.code.to_owned(), message: self.message.clone() }
    }

    /// The same with a body of another form.
    pub(crate) fn response(&self, body: impl IntoResponse) -> Response {
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.response(Json(ErrorBody { error: self.reason() }))
    }
}
